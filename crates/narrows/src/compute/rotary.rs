//! Positions told by turning pairs of columns.
//!
//! ```text
//! rows (n·l, h·c)    of each head the first r columns, in pairs (i, i + r/2), i < r/2
//! (xᵢ, xᵢ₊ᵣ⸝₂) ← (xᵢ·cos − xᵢ₊ᵣ⸝₂·sin, xᵢ₊ᵣ⸝₂·cos + xᵢ·sin)    of the angle p·fᵢ at position p
//! ```
//!
//! Source: J. Su et al., RoFormer (2021), with the pairs as GPT-NeoX has them.
//! Differs from: the paper and llama2.c turn neighbouring columns; a permutation of the rows of the weights
//! that queries and keys come from makes the two the same.

use ndarray::ArrayViewMut2;
use rayon::prelude::*;

/// The cosine and sine of the angle of every pair at every position.
#[derive(Debug, Clone, PartialEq)]
pub struct Rotation {
    pairs: usize,
    /// Of position p the cosines of all pairs, then the sines.
    angles: Vec<f32>,
}

impl Rotation {
    /// The angles of `length` positions for frequencies `f (r/2)`.
    ///
    /// An angle is the product in f32, as the models that were trained with it had it.
    pub fn new(length: usize, frequencies: &[f32]) -> Self {
        let of_position = |position: usize| {
            let angle = move |&f: &f32| f64::from(position as f32 * f);
            let cosines = frequencies.iter().map(move |f| angle(f).cos() as f32);
            cosines.chain(frequencies.iter().map(move |f| angle(f).sin() as f32))
        };
        Self { pairs: frequencies.len(), angles: (0..length).flat_map(of_position).collect() }
    }

    /// Positions that have angles.
    pub fn positions(&self) -> usize {
        self.angles.len() / (2 * self.pairs).max(1)
    }

    /// Turns the heads of `width` columns in rows that are whole sequences of `length` positions.
    ///
    /// # Panics
    /// If a head has fewer columns than are turned, rows are not contiguous, or there are more positions
    /// than angles: the caller's mistake.
    pub fn turn(&self, length: usize, width: usize, mut rows: ArrayViewMut2<'_, f32>) {
        let pairs = self.pairs;
        assert!(2 * pairs <= width && length <= self.positions(), "rotation: shapes do not fit");
        rows.outer_iter_mut().into_par_iter().with_min_len(16).enumerate().for_each(
            |(row, mut columns)| {
                let place = row % length * 2 * pairs;
                let (cosines, sines) = self.angles[place..place + 2 * pairs].split_at(pairs);
                let columns = columns.as_slice_mut().expect("rows are contiguous");
                for head in columns.chunks_exact_mut(width) {
                    let (first, second) = head[..2 * pairs].split_at_mut(pairs);
                    let angles = cosines.iter().zip(sines);
                    for ((a, b), (cos, sin)) in first.iter_mut().zip(second).zip(angles) {
                        (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
                    }
                }
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compute::Matrix;

    #[test]
    fn pairs_are_turned_by_their_angle_and_the_rest_stays() {
        let rotation = Rotation::new(3, &[1.0, 0.5]);
        let values: Vec<f32> = (0..6 * 10).map(|i| (i as f32 * 0.7).sin()).collect();
        let mut rows = Matrix::from_rows(6, 10, values).expect("fits");
        let before = rows.clone();
        rotation.turn(3, 5, rows.view_mut());
        for row in 0..6 {
            for head in 0..2 {
                let (x, y) = (&before.row(row)[head * 5..], &rows.row(row)[head * 5..]);
                for (pair, frequency) in [1.0_f64, 0.5].into_iter().enumerate() {
                    let (sin, cos) = ((row % 3) as f64 * frequency).sin_cos();
                    let (a, b) = (f64::from(x[pair]), f64::from(x[pair + 2]));
                    assert!((f64::from(y[pair]) - (a * cos - b * sin)).abs() < 1e-6);
                    assert!((f64::from(y[pair + 2]) - (b * cos + a * sin)).abs() < 1e-6);
                }
                assert_eq!(x[4], y[4]);
            }
        }
    }
}
