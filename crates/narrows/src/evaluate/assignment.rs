//! The linear assignment problem: each row gets a column of its own, at the least total cost.
//!
//! ```text
//! C (m, n) costs, m ≤ n      min over one-to-one π of Σᵢ C[i, π(i)]
//! duals u (m), v (n) ≤ 0     C[i, j] − uᵢ − vⱼ ≥ 0, and = 0 where j = π(i); v = 0 at free columns
//! ```
//!
//! Rows whose cheapest column is free take it at once. For each other row the shortest path to a free
//! column, by reduced costs, is found as Dijkstra does, and columns change hands along it. At most
//! `m²·n` steps, in practice far fewer.
//!
//! Source: R. Jonker and A. Volgenant, A shortest augmenting path algorithm for dense and sparse linear
//! assignment problems, Computing 38 (1987); D. Crouse, On implementing 2D rectangular assignment
//! algorithms (2016), which `scipy.optimize.linear_sum_assignment` follows.
//! Differs from: `SciPy` by the greedy start alone; among equally good assignments it may find another.

use ndarray::{ArrayView2, CowArray, Ix2};

use crate::compute::{Real, wide};

/// No row, or no column.
const NONE: u32 = u32::MAX;

/// Pairs of a row and a column of costs `(m, n)`, `min(m, n)` of them in rising order of rows, no row and
/// no column twice, whose total cost is least. All costs must be finite.
///
/// # Panics
/// If a side is 2³² or longer: the caller's mistake.
pub fn linear_sum_assignment<T: Real>(costs: ArrayView2<'_, T>) -> Vec<(usize, usize)> {
    assert!(costs.nrows().max(costs.ncols()) < NONE as usize, "assignment: too many rows");
    if costs.nrows() > costs.ncols() {
        let mut pairs: Vec<(usize, usize)> =
            assign(costs.t()).into_iter().enumerate().map(|(column, row)| (row, column)).collect();
        pairs.sort_unstable();
        return pairs;
    }
    assign(costs).into_iter().enumerate().collect()
}

/// The column of each row.
fn assign<T: Real>(costs: ArrayView2<'_, T>) -> Vec<usize> {
    // Rows are scanned from end to end again and again.
    let costs = costs.as_standard_layout();
    let mut matching = Matching::greedy(costs.view());
    let mut search = Search::new(costs.ncols());
    for row in 0..costs.nrows() {
        if matching.column_of[row] == NONE {
            search.augment(&costs, row, &mut matching);
        }
    }
    matching.column_of.into_iter().map(|column| column as usize).collect()
}

/// Who has what, and the duals that prove it is cheap.
struct Matching {
    column_of: Vec<u32>,
    row_of: Vec<u32>,
    u: Vec<f64>,
    v: Vec<f64>,
}

impl Matching {
    /// Gives rows their cheapest column, first come, first served.
    fn greedy<T: Real>(costs: ArrayView2<'_, T>) -> Self {
        let (m, n) = costs.dim();
        let mut this = Self {
            column_of: vec![NONE; m],
            row_of: vec![NONE; n],
            u: vec![0.0; m],
            v: vec![0.0; n],
        };
        for (row, costs) in costs.rows().into_iter().enumerate() {
            let mut cheapest = (0, f64::INFINITY);
            for (column, cost) in costs.iter().enumerate() {
                if cost.to_f64() < cheapest.1 {
                    cheapest = (column, cost.to_f64());
                }
            }
            this.u[row] = cheapest.1;
            if this.row_of[cheapest.0] == NONE {
                this.row_of[cheapest.0] = row as u32;
                this.column_of[row] = cheapest.0 as u32;
            }
        }
        this
    }
}

/// Memory of the search for a path, kept from row to row.
struct Search {
    /// The shortest known way to each column whose way is not yet final; ∞ once it is.
    open: Vec<f64>,
    /// v, and −∞ where the way is final, so that no way leads there again.
    v: Vec<f64>,
    /// The row from which the shortest way comes.
    from: Vec<u32>,
    /// Columns whose way is final, and its length.
    done: Vec<(usize, f64)>,
}

impl Search {
    fn new(columns: usize) -> Self {
        Self {
            open: vec![f64::INFINITY; columns],
            v: vec![0.0; columns],
            from: vec![NONE; columns],
            done: Vec::new(),
        }
    }

    /// Finds a column for `start` and hands columns on along the way.
    fn augment<T: Real>(
        &mut self,
        costs: &CowArray<'_, T, Ix2>,
        start: usize,
        matching: &mut Matching,
    ) {
        self.open.fill(f64::INFINITY);
        self.v.copy_from_slice(&matching.v);
        self.done.clear();
        let (mut row, mut length) = (start, 0.0);
        let end = loop {
            let costs = costs.row(row);
            let costs = costs.as_slice().expect("in standard layout");
            self.relax(costs, row as u32, length - matching.u[row]);
            let (column, shortest) = self.nearest();
            length = shortest;
            self.open[column] = f64::INFINITY;
            self.v[column] = f64::NEG_INFINITY;
            self.done.push((column, length));
            if matching.row_of[column] == NONE {
                break column;
            }
            row = matching.row_of[column] as usize;
        };
        matching.u[start] += length;
        for &(column, at) in &self.done {
            if let Some(u) = matching.u.get_mut(matching.row_of[column] as usize) {
                *u += length - at;
            }
            matching.v[column] -= length - at;
        }
        let mut column = end as u32;
        while column != NONE {
            let row = self.from[column as usize];
            matching.row_of[column as usize] = row;
            let next = std::mem::replace(&mut matching.column_of[row as usize], column);
            column = if row as usize == start { NONE } else { next };
        }
    }

    /// Shortens ways by going through `row`, whose reduced costs are `base + costs − v`.
    fn relax<T: Real>(&mut self, costs: &[T], row: u32, base: f64) {
        let ways = self.open.iter_mut().zip(&mut self.from).zip(&self.v).zip(costs);
        wide(
            #[inline(always)]
            || {
                for (((open, from), v), cost) in ways {
                    let way = base + cost.to_f64() - v;
                    let shorter = way < *open;
                    *open = if shorter { way } else { *open };
                    *from = if shorter { row } else { *from };
                }
            },
        );
    }

    /// The column with the shortest open way, the first of several.
    fn nearest(&self) -> (usize, f64) {
        const LANES: usize = 16;
        let shortest = wide(
            #[inline(always)]
            || {
                let mut lowest = [f64::INFINITY; LANES];
                let chunks = self.open.chunks_exact(LANES);
                let rest = chunks.remainder();
                for chunk in chunks {
                    for (lowest, &way) in lowest.iter_mut().zip(chunk) {
                        *lowest = if way < *lowest { way } else { *lowest };
                    }
                }
                lowest.iter().chain(rest).fold(f64::INFINITY, |a, &b| if b < a { b } else { a })
            },
        );
        let place = self.open.iter().position(|&way| way == shortest);
        (place.expect("a row has a column left, as there are no fewer columns"), shortest)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::random::Random;

    fn total(costs: &Array2<f64>, pairs: &[(usize, usize)]) -> f64 {
        pairs.iter().map(|&pair| costs[pair]).sum()
    }

    fn random(rows: usize, columns: usize, name: &str) -> Array2<f64> {
        let mut random = Random::stream(0, name);
        Array2::from_shape_fn((rows, columns), |_| random.normal())
    }

    /// Every one-to-one choice, tried.
    fn least(costs: &Array2<f64>, row: usize, taken: u32) -> f64 {
        if row == costs.nrows() {
            return 0.0;
        }
        (0..costs.ncols())
            .filter(|column| taken >> column & 1 == 0)
            .map(|column| costs[[row, column]] + least(costs, row + 1, taken | 1 << column))
            .fold(f64::INFINITY, f64::min)
    }

    #[test]
    fn no_choice_is_cheaper() {
        for (case, (m, n)) in
            [(1, 1), (1, 5), (3, 3), (4, 6), (6, 6), (5, 8)].into_iter().enumerate()
        {
            for again in 0..20 {
                let mut costs = random(m, n, &format!("costs {case} {again}"));
                if again % 2 == 0 {
                    // Ties, and rows that all want the same column.
                    costs.mapv_inplace(|cost| cost.round());
                    costs.column_mut(0).fill(-9.0);
                }
                let pairs = linear_sum_assignment(costs.view());
                assert_eq!(pairs.len(), m);
                let mut columns: Vec<usize> = pairs.iter().map(|pair| pair.1).collect();
                columns.sort_unstable();
                columns.dedup();
                assert_eq!(columns.len(), m, "a column is given twice");
                assert!((total(&costs, &pairs) - least(&costs, 0, 0)).abs() < 1e-12);
                let turned = linear_sum_assignment(costs.t());
                let back: Vec<_> = turned.iter().map(|&(i, j)| (j, i)).collect();
                assert_eq!(back.len(), m);
                assert!((total(&costs, &back) - total(&costs, &pairs)).abs() < 1e-12);
            }
        }
        assert!(linear_sum_assignment(Array2::<f64>::zeros((0, 4)).view()).is_empty());
    }

    #[test]
    fn pairs_are_those_of_scipy() {
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/golden/assignment.json")).expect("json");
        for case in golden.as_array().expect("cases") {
            let [m, n, seed] =
                ["rows", "columns", "seed"].map(|key| case[key].as_u64().expect("set"));
            // The numbers of the script: a linear congruence, the same in both languages.
            let mut state = seed;
            let costs = Array2::from_shape_fn((m as usize, n as usize), |_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 40) as f32 / 16_777_216.0
            });
            let pairs = linear_sum_assignment(costs.view());
            let columns: Vec<u64> = pairs.iter().map(|pair| pair.1 as u64).collect();
            let theirs: Vec<u64> = case["column_of_row"]
                .as_array()
                .expect("columns")
                .iter()
                .map(|column| column.as_u64().expect("whole"))
                .collect();
            let rows: Vec<u64> = pairs.iter().map(|pair| pair.0 as u64).collect();
            let kept: Vec<u64> = rows.iter().map(|&row| theirs[row as usize]).collect();
            assert_eq!(columns, kept, "{m} × {n}");
        }
    }
}
