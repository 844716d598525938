//! Shares from logits, and their logarithms.

use rayon::prelude::*;

use super::elementwise::wide;
use super::vectors::lane_sum;
use super::{Matrix, Real};

/// Rows that one task handles.
const PIECE: usize = 16;
/// Sums and comparisons that go on side by side.
const LANES: usize = 16;

/// `e^(x_ij) / Σ_k e^(x_ik)` in place, each row by itself; the largest logit of a row is taken away
/// first, so that nothing overflows.
// A function that is given by its name is called, and not at the width of the machine.
#[allow(clippy::redundant_closure)]
pub fn softmax_rows(rows: &mut Matrix) {
    for_each_row(
        rows,
        #[inline(always)]
        |row| shares(row),
    );
}

/// `x_ij − ln Σ_k e^(x_ik)` in place, each row by itself: the logarithms of the shares.
#[allow(clippy::redundant_closure)]
pub fn log_softmax_rows(rows: &mut Matrix) {
    for_each_row(
        rows,
        #[inline(always)]
        |row| logarithms(row),
    );
}

#[inline(always)]
fn for_each_row(rows: &mut Matrix, work: impl Fn(&mut [f32]) + Sync) {
    let cols = rows.cols().max(1);
    rows.as_mut_slice().par_chunks_mut(PIECE * cols).for_each(|piece| {
        for row in piece.chunks_exact_mut(cols) {
            wide(
                #[inline(always)]
                || work(row),
            );
        }
    });
}

/// The shares of one row, in place; for loops that are compiled for wide vectors.
#[inline(always)]
pub(super) fn shares(row: &mut [f32]) {
    let most = largest(row);
    for x in row.iter_mut() {
        *x = Real::exp(*x - most);
    }
    let share = 1.0 / lane_sum(row);
    for x in row {
        *x *= share;
    }
}

/// The logarithms of the shares of one row, in place.
#[inline(always)]
fn logarithms(row: &mut [f32]) {
    let most = largest(row);
    let taken = most + exponentials(row, most).ln();
    for x in row {
        *x -= taken;
    }
}

#[inline(always)]
fn largest(row: &[f32]) -> f32 {
    let (chunks, rest) = row.as_chunks::<LANES>();
    let mut most = [f32::NEG_INFINITY; LANES];
    for chunk in chunks {
        for lane in 0..LANES {
            most[lane] = if chunk[lane] > most[lane] { chunk[lane] } else { most[lane] };
        }
    }
    most.iter().chain(rest).fold(f32::NEG_INFINITY, |most, &x| f32::max(most, x))
}

/// `Σ e^(x − most)`.
#[inline(always)]
fn exponentials(row: &[f32], most: f32) -> f32 {
    let (chunks, rest) = row.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for chunk in chunks {
        for lane in 0..LANES {
            sums[lane] += Real::exp(chunk[lane] - most);
        }
    }
    sums.iter().sum::<f32>() + rest.iter().map(|&x| Real::exp(x - most)).sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_by_hand_also_of_large_logits() {
        let ln3 = 3.0_f32.ln();
        let mut rows = Matrix::from_rows(2, 2, vec![0.0, ln3, 900.0, 900.0 + ln3]).expect("fits");
        softmax_rows(&mut rows);
        for row in rows.view().outer_iter() {
            assert!((row[0] - 0.25).abs() < 1e-4 && (row[1] - 0.75).abs() < 1e-4, "{row}");
        }
    }

    #[test]
    fn logarithms_are_those_of_the_shares() {
        let values: Vec<f32> = (0..4 * 37).map(|i| 8.0 * (i as f32).sin()).collect();
        let mut logs = Matrix::from_rows(4, 37, values).expect("fits");
        let wide = logs.clone();
        log_softmax_rows(&mut logs);
        for row in 0..4 {
            let total: f64 = wide.row(row).iter().map(|&x| f64::from(x).exp()).sum();
            for (&ours, &x) in logs.row(row).iter().zip(wide.row(row)) {
                assert!((f64::from(ours) - (f64::from(x) - total.ln())).abs() < 4e-6);
            }
        }
    }
}
