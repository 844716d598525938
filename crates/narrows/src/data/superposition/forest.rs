//! Features below features: a child fires only where its parent does, and alone among its siblings.
//!
//! ```text
//! roots 0 .. r;  then the children of root 0, of root 1, …, b of each;  then theirs, to depth D
//! p′ⱼ = pⱼ / p_parent · (1 + Σ_siblings p / p_parent), at most 1      the rate it is drawn with
//! ```
//!
//! The trees are numbered level by level until the features run out; what is left over stands alone.
//! p′ is the rate given the parent for which the child fires about as often as p says: the first factor
//! undoes the gate of the parent, the second what is lost to siblings. The second counts siblings as if
//! they never fired together, so p is only aimed at.
//!
//! Source: `generate_hierarchy` and `compute_probability_correction_factors` of `SAELens` 6.54.

use std::ops::Range;

/// Trees over features, numbered level by level.
#[derive(Debug, Clone)]
pub(super) struct Forest {
    /// The first feature of each level, and the end of the last.
    levels: Vec<usize>,
    branching: usize,
}

impl Forest {
    /// `roots` trees whose nodes have `branching` children down to `depth` levels below the root, as
    /// far as `features` go round.
    pub(super) fn new(features: usize, roots: usize, branching: usize, depth: usize) -> Self {
        let mut levels = vec![0, roots.min(features)];
        for level in 0..depth {
            let parents = levels[level + 1] - levels[level];
            let children = parents.saturating_mul(branching);
            levels.push(levels[level + 1].saturating_add(children).min(features));
        }
        Self { levels, branching }
    }

    /// The end of the features that stand in a tree.
    pub(super) fn end(&self) -> usize {
        self.levels[self.levels.len() - 1]
    }

    /// The end of the roots.
    pub(super) fn roots(&self) -> usize {
        self.levels[1]
    }

    /// The children of a feature; empty at the leaves and outside the trees.
    pub(super) fn children(&self, feature: usize) -> Range<usize> {
        let level = self.levels.partition_point(|&start| start <= feature);
        // `level` counts from 1; the last entry of `levels` is the end of the last level.
        if level + 1 >= self.levels.len() {
            return 0..0;
        }
        let (start, end) = (self.levels[level], self.levels[level + 1]);
        let first = (start + (feature - self.levels[level - 1]) * self.branching).min(end);
        first..(first + self.branching).min(end)
    }

    /// The rates given the parent, p′, from the rates p.
    pub(super) fn given_parent(&self, rates: &[f64]) -> Vec<f64> {
        let mut given = rates.to_vec();
        for parent in 0..self.end() {
            let children = self.children(parent);
            let together: f64 = rates[children.clone()].iter().sum();
            for child in children {
                let others = (together - rates[child]).max(0.0) / rates[parent];
                given[child] = (rates[child] / rates[parent] * (1.0 + others)).min(1.0);
            }
        }
        given
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_numbered_level_by_level() {
        let forest = Forest::new(40, 2, 3, 2);
        assert_eq!((forest.roots(), forest.end()), (2, 26));
        assert_eq!((forest.children(0), forest.children(1)), (2..5, 5..8));
        assert_eq!((forest.children(2), forest.children(7)), (8..11, 23..26));
        assert!([8, 25, 26, 39].into_iter().all(|leaf| forest.children(leaf).is_empty()));
    }

    #[test]
    fn features_may_run_out_inside_a_level() {
        let forest = Forest::new(10, 2, 3, 2);
        assert_eq!((forest.end(), forest.children(2)), (10, 8..10));
        assert!(forest.children(3).is_empty());
        let no_trees = Forest::new(10, 0, 3, 2);
        assert_eq!(no_trees.end(), 0);
        assert!(no_trees.children(4).is_empty());
    }
}
