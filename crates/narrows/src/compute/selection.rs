//! What remains of dense rows when codes are made of them, and what sparse rows add up to.
//!
//! ```text
//! keep_top      the k largest entries of a row, whatever their sign; keep_farthest: the k farthest from zero
//! combine       y = Σⱼ zⱼ·Dⱼ + c         z: sparse (rows, n)   D: (n, o)   c: (o)   y: (rows, o)
//! transposed    (n, d) from (d, n)
//! ```
//!
//! Of equal entries the one in the earlier column is kept, so that a result never depends on the
//! order in which they were met.

use std::cmp::Ordering;

use rayon::prelude::*;

use super::{Matrix, SparseRows};

/// One entry of a sparse row: its column and its value.
pub type Entry = (u32, f32);

/// Keeps the `k` entries of largest value, in rising order of their columns.
pub fn keep_top(k: usize, entries: &mut Vec<Entry>) {
    keep_by(k, entries, |value| value);
}

/// Keeps the `k` entries farthest from zero, in rising order of their columns.
pub fn keep_farthest(k: usize, entries: &mut Vec<Entry>) {
    keep_by(k, entries, f32::abs);
}

fn keep_by(k: usize, entries: &mut Vec<Entry>, rank: impl Fn(f32) -> f32) {
    if entries.len() <= k {
        return;
    }
    if k == 0 {
        return entries.clear();
    }
    let earlier =
        |a: &Entry, b: &Entry| -> Ordering { rank(b.1).total_cmp(&rank(a.1)).then(a.0.cmp(&b.0)) };
    entries.select_nth_unstable_by(k - 1, earlier);
    entries.truncate(k);
    entries.sort_unstable_by_key(|entry| entry.0);
}

/// `y = Σⱼ zⱼ·fⱼ·Dⱼ + c`, each row by itself; without factors f `(n)`, 1.
///
/// # Panics
/// If the shapes do not fit: the caller's mistake.
pub fn combine(
    z: &SparseRows,
    factors: Option<&[f32]>,
    directions: &Matrix,
    bias: &[f32],
) -> Matrix {
    let width = directions.cols();
    assert!(z.cols() == directions.rows() && bias.len() == width, "combine: the shapes do not fit");
    let mut out = Matrix::zeros(z.rows(), width);
    out.as_mut_slice().par_chunks_exact_mut(width.max(1)).enumerate().for_each(|(index, y)| {
        y.copy_from_slice(bias);
        let (columns, values) = z.row(index);
        for (&column, &value) in columns.iter().zip(values) {
            let factor = factors.map_or(1.0, |factors| factors[column as usize]);
            let direction = directions.row(column as usize);
            let share = value * factor;
            y.iter_mut().zip(direction).for_each(|(y, direction)| *y += share * direction);
        }
    });
    out
}

/// The norm of each row, summed in f64.
pub fn row_norms(matrix: &Matrix) -> Vec<f32> {
    let norm = |row: usize| {
        let squares = matrix.row(row).iter().map(|&v| f64::from(v) * f64::from(v));
        squares.sum::<f64>().sqrt() as f32
    };
    (0..matrix.rows()).into_par_iter().map(norm).collect()
}

/// Multiplies each row by its factor.
///
/// # Panics
/// If there is not one factor for each row.
pub fn scale_rows(matrix: &mut Matrix, factors: &[f32]) {
    assert_eq!(matrix.rows(), factors.len(), "scale_rows: one factor for each row");
    let cols = matrix.cols().max(1);
    let rows = matrix.as_mut_slice().par_chunks_exact_mut(cols).zip(factors);
    rows.for_each(|(row, factor)| row.iter_mut().for_each(|value| *value *= factor));
}

/// The matrix with rows and columns exchanged, as rows in one block of memory.
pub fn transposed(matrix: &Matrix) -> Matrix {
    // Blocks of 32 × 32 keep both sides within the first cache.
    const BLOCK: usize = 32;
    let (rows, cols) = (matrix.rows(), matrix.cols());
    let mut out = Matrix::zeros(cols, rows);
    let bands = out.as_mut_slice().par_chunks_mut((BLOCK * rows).max(1)).enumerate();
    bands.for_each(|(band, out)| {
        let first = band * BLOCK;
        let height = out.len() / rows.max(1);
        for start in (0..rows).step_by(BLOCK) {
            for row in start..rows.min(start + BLOCK) {
                let values = &matrix.row(row)[first..first + height];
                values.iter().enumerate().for_each(|(i, value)| out[i * rows + row] = *value);
            }
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn random(rows: usize, cols: usize) -> Matrix {
        let mut random = Random::stream(1, "selection");
        let values = (0..rows * cols).map(|_| random.normal() as f32).collect();
        Matrix::from_rows(rows, cols, values).expect("fits")
    }

    #[test]
    fn the_largest_are_kept_as_a_sort_would() {
        let row = random(1, 500);
        for (k, by_size) in [(0, false), (1, false), (17, true), (32, false), (600, true)] {
            let mut kept: Vec<Entry> =
                row.as_slice().iter().enumerate().map(|(j, &v)| (j as u32, v)).collect();
            let mut sorted = kept.clone();
            let rank = |v: f32| if by_size { v.abs() } else { v };
            sorted.sort_by(|a, b| rank(b.1).total_cmp(&rank(a.1)));
            sorted.truncate(k);
            sorted.sort_by_key(|entry| entry.0);
            match by_size {
                true => keep_farthest(k, &mut kept),
                false => keep_top(k, &mut kept),
            }
            assert_eq!(kept, sorted);
        }
    }

    #[test]
    fn of_equals_the_earlier_is_kept() {
        let mut entries = vec![(0, 1.0), (3, 2.0), (5, 2.0), (9, 2.0)];
        keep_top(2, &mut entries);
        assert_eq!(entries, [(3, 2.0), (5, 2.0)]);
    }

    #[test]
    fn combining_is_the_dense_product() {
        let (mut z, directions) = (random(7, 40), random(40, 5));
        z.as_mut_slice().iter_mut().for_each(|v| *v = if *v > 1.0 { *v } else { 0.0 });
        let factors: Vec<f32> = (0..40).map(|j| 1.0 + j as f32).collect();
        let bias = [1.0, 2.0, 3.0, 4.0, 5.0];
        let y = combine(&SparseRows::from(&z), Some(&factors), &directions, &bias);
        for row in 0..7 {
            for (col, bias) in bias.iter().enumerate() {
                let sum: f64 = (0..40)
                    .map(|j| {
                        f64::from(z.row(row)[j] * factors[j]) * f64::from(directions.row(j)[col])
                    })
                    .sum();
                assert!((f64::from(y.row(row)[col]) - sum - f64::from(*bias)).abs() < 1e-4);
            }
        }
    }

    #[test]
    fn transposing_moves_every_number() {
        for (rows, cols) in [(1, 1), (3, 70), (65, 33), (0, 4)] {
            let (matrix, turned) = (random(rows, cols), transposed(&random(rows, cols)));
            assert_eq!((turned.rows(), turned.cols()), (cols, rows));
            assert_eq!(turned.view(), matrix.view().reversed_axes());
        }
    }
}
