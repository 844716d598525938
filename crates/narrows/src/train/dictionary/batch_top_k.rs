//! The k largest of each row on average over a batch: `kind = "batchtopk"`.
//!
//! ```text
//! z = the k·B largest of a·ν of all rows of the batch, where a > 0
//! L = 1/B Σ_rows ‖t − y‖²  +  L' of the dead: see `revival`
//!
//! τ ← τ + f·(least a·ν that was chosen − τ)         in step t by f = max(0.01, min(1, 3/t))
//! ```
//!
//! Once learned, z = a where a·ν > τ: a row alone needs no batch.
//!
//! The batch is searched once: what is above a guess is kept, from a little below the last batch's least;
//! where that is too little the guess was too high, and the search is done again below it. The choice is exact
//! whatever the guess. Of equal values the first row's, then the first latent's is chosen.
//!
//! Source: B. Bussmann, P. Leask, N. Nanda, `BatchTopK` sparse autoencoders (2024).
//!
//! Differs from: SAELens, in which f = 0.01 and τ starts at 0, so that it needs some hundreds of steps to
//! arrive; here it is of the last third of the steps at first.

use crate::compute::{Kept, Matrix, Sifted, Wanted};

/// How much of the way to a batch's least value τ goes at least, and in step t with t below it.
const FOLLOW: f64 = 0.01;
const AT_FIRST: f64 = 3.0;
/// The guess, in parts of the last least value.
const BELOW: f32 = 0.9;
/// Rows of which the first guess is made.
const SAMPLE: usize = 32;

/// The search of a batch, with what it learned of the last.
#[derive(Debug, Default)]
pub(super) struct Search {
    /// What to look above; unknown at first.
    guess: Option<f32>,
    bounds: Vec<f32>,
    places: Vec<(f32, u32, u32)>,
}

impl Search {
    /// Finds the `count` largest a·ν of the batch; says the least of them, if there are any.
    pub(super) fn find(
        &mut self,
        sifted: &mut Sifted,
        (input, encoder, bias): (&Matrix, &Matrix, &[f32]),
        norms: &[f32],
        count: usize,
    ) -> Option<f32> {
        let mut guess = match self.guess {
            Some(guess) => guess,
            None => self.first_guess(sifted, (input, encoder, bias), norms, count),
        };
        loop {
            self.bounds.clear();
            self.bounds.extend(norms.iter().map(|&norm| guess / norm.max(f32::MIN_POSITIVE)));
            sifted.sift(input, encoder, bias, Wanted::Above(&self.bounds));
            if sifted.entries() >= count || guess == 0.0 {
                break;
            }
            guess = if guess > 1e-6 { guess / 2.0 } else { 0.0 };
        }
        let least = self.cut(sifted, norms, count);
        self.guess = Some(BELOW * least.unwrap_or(0.0));
        least
    }

    /// The value that as many entries of the first rows exceed as are wanted of them.
    fn first_guess(
        &mut self,
        sifted: &mut Sifted,
        (input, encoder, bias): (&Matrix, &Matrix, &[f32]),
        norms: &[f32],
        count: usize,
    ) -> f32 {
        let rows = input.rows().min(SAMPLE);
        let values = input.as_slice()[..rows * input.cols()].to_vec();
        let Ok(sample) = Matrix::from_rows(rows, input.cols(), values) else { return 0.0 };
        self.bounds.clear();
        self.bounds.resize(norms.len(), 0.0);
        sifted.sift(&sample, encoder, bias, Wanted::Above(&self.bounds));
        let share = count * rows / input.rows().max(1);
        BELOW * self.cut(sifted, norms, share).unwrap_or(0.0)
    }

    /// Keeps the `count` largest.
    fn cut(&mut self, sifted: &mut Sifted, norms: &[f32], count: usize) -> Option<f32> {
        let ordered = |entry: &Kept| entry.value * norms[entry.column as usize];
        self.places.clear();
        for (row, entries) in sifted.rows().iter().enumerate() {
            self.places.extend(entries.iter().map(|e| (ordered(e), row as u32, e.column)));
        }
        let count = count.min(self.places.len());
        let Some(last) = count.checked_sub(1) else {
            sifted.rows_mut().iter_mut().for_each(Vec::clear);
            return None;
        };
        let (_, &mut least, _) = self.places.select_nth_unstable_by(last, |a, b| {
            b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2))
        });
        for (row, entries) in sifted.rows_mut().iter_mut().enumerate() {
            let place = (row as u32, least.1, least.2);
            entries.retain(|entry| match ordered(entry).total_cmp(&least.0) {
                std::cmp::Ordering::Greater => true,
                std::cmp::Ordering::Less => false,
                std::cmp::Ordering::Equal => (place.0, entry.column) <= (place.1, place.2),
            });
        }
        Some(least.0)
    }
}

/// τ after a batch whose least chosen value is known, in a step counted from 1.
pub(super) fn follow(threshold: Option<f64>, least: f32, step: u64) -> f64 {
    let part = (AT_FIRST / step as f64).clamp(FOLLOW, 1.0);
    threshold.map_or(f64::from(least), |own| own + part * (f64::from(least) - own))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn the_choice_is_that_of_a_full_sort_whatever_the_guess() {
        let mut random = Random::stream(3, "batch");
        let mut drawn = |rows: usize, cols: usize| {
            let values = (0..rows * cols).map(|_| random.normal() as f32).collect();
            Matrix::from_rows(rows, cols, values).expect("fits")
        };
        let (x, e) = (drawn(70, 9), drawn(120, 9));
        let bias = vec![0.1; 120];
        let norms: Vec<f32> = (0..120).map(|j| 1.0 + (j % 3) as f32).collect();
        let mut all = Sifted::default();
        all.sift(&x, &e, &bias, Wanted::Above(&[0.0; 120]));
        let mut expected: Vec<(f32, usize, u32)> = (0..70)
            .flat_map(|row| {
                let own = all.row(row).iter();
                own.map(move |e| (e.value, row, e.column)).collect::<Vec<_>>()
            })
            .map(|(value, row, column)| (value * norms[column as usize], row, column))
            .collect();
        expected.sort_by(|a, b| b.0.total_cmp(&a.0));
        expected.truncate(300);
        let least = expected[299].0;
        expected.sort_by_key(|&(_, row, column)| (row, column));
        for guess in [None, Some(0.0), Some(1.0), Some(1e3)] {
            let mut search = Search { guess, ..Search::default() };
            let mut sifted = Sifted::default();
            let found = search.find(&mut sifted, (&x, &e, &bias), &norms, 300);
            let chosen: Vec<(usize, u32)> = (0..70)
                .flat_map(|row| sifted.row(row).iter().map(move |e| (row, e.column)))
                .collect();
            let wanted: Vec<(usize, u32)> = expected.iter().map(|e| (e.1, e.2)).collect();
            assert_eq!((found, chosen), (Some(least), wanted), "{guess:?}");
            let found = search.find(&mut sifted, (&x, &e, &bias), &norms, 0);
            assert_eq!((found, sifted.entries()), (None, 0));
        }
    }
}
