//! Which features fire at the same tokens.
//!
//! ```text
//! A, B   the tokens at which two features fire        share = |A ∩ B| / |A ∪ B|
//! ```
//!
//! Which features fire at a token is kept, 4 bytes each, and pairs are counted when all of the text is read: counts of
//! pairs as they come by would be as many as the square of the latents. Of a text with more firings than are kept, one
//! token in 2, 4, 8, … is counted, the others are let go; shares are then those of these tokens. Token t is one of them
//! where the fraction of t·φ (φ the golden ratio) lies below 1/2, 1/4, …: such tokens lie evenly over a text, and at no
//! place of a window more often than at another.

use rayon::prelude::*;

use narrows::compute::SparseRows;

/// Firings that are kept, at most: 32 MiB, and as much again while they are counted.
pub(super) const FIRINGS: usize = 1 << 23;
/// 2⁶⁴ / φ.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The features that fire at each token, of some of the tokens.
pub(super) struct Together {
    features: usize,
    most: usize,
    /// One token in `2^halvings` is kept.
    halvings: u32,
    tokens: u64,
    kept: Vec<u64>,
    starts: Vec<usize>,
    firing: Vec<u32>,
}

impl Together {
    /// Of `features` features; at most `most` firings are kept, unless one token alone has more.
    pub(super) fn new(features: usize, most: usize) -> Self {
        let (kept, firing) = (Vec::new(), Vec::new());
        Self { features, most, halvings: 0, tokens: 0, kept, starts: vec![0], firing }
    }

    /// One token in so many is counted.
    pub(super) fn one_in(&self) -> u64 {
        1 << self.halvings
    }

    pub(super) fn add(&mut self, codes: &SparseRows) {
        for row in 0..codes.rows() {
            let token = self.tokens;
            self.tokens += 1;
            if !is_kept(token, self.halvings) {
                continue;
            }
            let (features, values) = codes.row(row);
            let fires = features.iter().zip(values).filter(|(_, code)| **code != 0.0);
            self.firing.extend(fires.map(|(feature, _)| feature));
            self.kept.push(token);
            self.starts.push(self.firing.len());
            while self.firing.len() > self.most && self.kept.len() > 1 {
                self.halve();
            }
        }
    }

    /// Lets half of the tokens go.
    fn halve(&mut self) {
        self.halvings += 1;
        let (mut kept, mut starts, mut end) = (Vec::new(), vec![0], 0);
        for (place, &token) in self.kept.iter().enumerate() {
            if is_kept(token, self.halvings) {
                let own = self.starts[place]..self.starts[place + 1];
                self.firing.copy_within(own.clone(), end);
                end += own.len();
                kept.push(token);
                starts.push(end);
            }
        }
        self.firing.truncate(end);
        (self.kept, self.starts) = (kept, starts);
    }

    /// Of each of some features the `most` others that share most tokens with it, and the shares.
    pub(super) fn of(&self, asked: &[usize], most: usize) -> Vec<Vec<(usize, f32)>> {
        let (begins, places) = self.by_feature();
        let tokens_of = |feature: usize| &places[begins[feature]..begins[feature + 1]];
        let nearest = |counts: &mut Vec<u32>, feature: usize| {
            let own = tokens_of(feature);
            let mut met = Vec::new();
            for &place in own {
                let place = place as usize;
                for &other in &self.firing[self.starts[place]..self.starts[place + 1]] {
                    let count = &mut counts[other as usize];
                    if *count == 0 {
                        met.push(other as usize);
                    }
                    *count += 1;
                }
            }
            met.retain(|&other| other != feature);
            let share = |other: usize, both: u32| {
                let either = own.len() + tokens_of(other).len() - both as usize;
                (f64::from(both) / either as f64) as f32
            };
            let mut found: Vec<(usize, f32)> =
                met.iter().map(|&other| (other, share(other, counts[other]))).collect();
            met.iter().for_each(|&other| counts[other] = 0);
            counts[feature] = 0;
            super::lens::keep_largest(&mut found, most);
            found
        };
        let counts = || vec![0; self.features];
        asked.par_iter().map_init(counts, |counts, &feature| nearest(counts, feature)).collect()
    }

    /// Of each feature the places of the tokens at which it fires, one after the other.
    fn by_feature(&self) -> (Vec<usize>, Vec<u32>) {
        let mut begins = vec![0; self.features + 1];
        self.firing.iter().for_each(|&feature| begins[feature as usize + 1] += 1);
        (0..self.features).for_each(|feature| begins[feature + 1] += begins[feature]);
        let mut next = begins.clone();
        let mut places = vec![0; self.firing.len()];
        for place in 0..self.kept.len() {
            for &feature in &self.firing[self.starts[place]..self.starts[place + 1]] {
                let at = &mut next[feature as usize];
                places[*at] = place as u32;
                *at += 1;
            }
        }
        (begins, places)
    }
}

fn is_kept(token: u64, halvings: u32) -> bool {
    halvings == 0 || token.wrapping_mul(GOLDEN) >> (64 - halvings) == 0
}

#[cfg(test)]
mod tests {
    use narrows::random::Random;

    use super::*;

    /// Random codes of which each has its own frequency; a pair that always fires together is among them.
    fn codes(rows: usize, features: usize) -> SparseRows {
        let mut random = Random::stream(1, "codes");
        let mut codes = SparseRows::new(features);
        for _ in 0..rows {
            let mut fires: Vec<u32> = (0..features as u32)
                .filter(|&feature| random.uniform() < 0.3 / (1.0 + f64::from(feature)))
                .collect();
            if fires.contains(&4) && !fires.contains(&9) {
                fires.push(9);
                fires.sort_unstable();
            }
            codes.push_row(fires.into_iter().map(|feature| (feature, 1.0)));
        }
        codes
    }

    /// Counts over the dense matrix, of the tokens that are kept.
    fn slowly(codes: &SparseRows, one_in: u64, feature: usize, most: usize) -> Vec<(usize, f32)> {
        let dense = codes.to_dense();
        let halvings = one_in.trailing_zeros();
        let rows: Vec<usize> =
            (0..codes.rows()).filter(|&row| is_kept(row as u64, halvings)).collect();
        let count = |of: &dyn Fn(&[f32]) -> bool| {
            rows.iter().filter(|&&row| of(dense.row(row))).count() as f64
        };
        let mut found: Vec<(usize, f32)> = (0..codes.cols())
            .filter(|&other| other != feature)
            .map(|other| {
                let both = count(&|row| row[feature] != 0.0 && row[other] != 0.0);
                let either = count(&|row| row[feature] != 0.0 || row[other] != 0.0);
                (other, (both / either.max(1.0)) as f32)
            })
            .filter(|(_, share)| *share > 0.0)
            .collect();
        found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        found.truncate(most);
        found
    }

    #[test]
    fn shares_are_those_of_a_count_over_all_pairs() {
        let codes = codes(2000, 40);
        for (most, one_in) in [(FIRINGS, 1), (1500, 2), (300, 8)] {
            let mut together = Together::new(40, most);
            together.add(&codes);
            assert!(together.one_in() >= one_in, "{} of {most}", together.one_in());
            assert!(together.firing.len() <= most);
            let asked = [4, 0, 39, 17];
            let found = together.of(&asked, 5);
            for (feature, found) in asked.into_iter().zip(found) {
                assert_eq!(found, slowly(&codes, together.one_in(), feature, 5), "{feature}");
            }
        }
    }

    /// With counts of the first pairs alone, features that come late in a text would have none.
    #[test]
    fn features_that_come_late_are_counted_too() {
        let mut together = Together::new(4000, 4000);
        let mut codes = SparseRows::new(4000);
        for row in 0..4000_u32 {
            let first = row / 1000 * 1000 + row % 2 * 2;
            codes.push_row([(first, 1.0), (first + 1, 1.0)]);
        }
        together.add(&codes);
        assert!(together.one_in() > 1);
        for found in together.of(&[0, 3, 3000, 3003], 3) {
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].1, 1.0);
        }
    }

    /// A token in two, four, … of each place of a window, and of each part of the text.
    #[test]
    fn tokens_are_kept_evenly() {
        for halvings in 1..6 {
            let kept: Vec<u64> = (0..65_536).filter(|&token| is_kept(token, halvings)).collect();
            let wanted = 65_536 >> halvings;
            assert!(kept.len().abs_diff(wanted) <= 2, "{} of {wanted}", kept.len());
            for place in 0..256 {
                let here = kept.iter().filter(|&&token| token % 256 == place).count();
                assert!(here.abs_diff(256 >> halvings) <= 8, "{here} at {place}, {halvings}");
            }
        }
    }
}
