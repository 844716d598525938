//! What dictionaries begin with: the scale of the rows, their middle, and biases that leave few codes.
//!
//! ```text
//! s = √d / mean ‖x‖                                over a sample of rows x (d)
//! c ← Σ x/‖x − c‖ / Σ 1/‖x − c‖                    from the mean on: the geometric median
//! bⱼ = l − q_p(<x − c, Eⱼ>)                        q_p exceeded by the part p of the sample, l the bound
//! ```
//!
//! Source: T. Conerly et al., Update on how we train SAEs (Transformer Circuits, April 2024) for s;
//! T. Bricken et al., Towards monosemanticity (2023) for c; E. Weiszfeld, Tôhoku Mathematical Journal 43
//! (1937); T. Conerly et al., Dictionary learning optimization techniques (Transformer Circuits, January
//! 2025) for b.
//!
//! Differs from: the last one takes p = 10⁴/n; here p follows the L0 that is aimed at.

use ndarray::{Array1, s};
use rayon::prelude::*;

use crate::compute::{Matrix, multiply};

/// Iterations at most, and the part of the length of c below which a move ends them.
const ITERATIONS: usize = 100;
const STILL: f64 = 1e-6;

/// Latents whose pre-activations of the whole sample are held at a time.
const LATENTS: usize = 256;

/// s, 1 if all rows are zero.
pub(super) fn scale(rows: &Matrix) -> f32 {
    let total: f64 = lengths(rows, &vec![0.0; rows.cols()]).iter().sum();
    let mean = total / rows.rows() as f64;
    if mean > 0.0 { ((rows.cols() as f64).sqrt() / mean) as f32 } else { 1.0 }
}

/// c: the point from which the rows are least far, all distances added.
pub(super) fn geometric_median(rows: &Matrix) -> Vec<f32> {
    let mut middle: Vec<f64> = weighted_mean(rows, &vec![1.0; rows.rows()]);
    for _ in 0..ITERATIONS {
        let weights: Vec<f64> =
            lengths(rows, &middle).iter().map(|distance| 1.0 / distance.max(1e-12)).collect();
        let next = weighted_mean(rows, &weights);
        let pairs = next.iter().zip(&middle);
        let moved: f64 = pairs.map(|(a, b)| (a - b).powi(2)).sum();
        let length: f64 = next.iter().map(|value| value * value).sum();
        middle = next;
        if moved <= STILL * STILL * length {
            break;
        }
    }
    middle.iter().map(|&value| value as f32).collect()
}

/// b `(n)`: biases with which the part `p` of the rows `(m, d)` lies above `bound` for each row of the encoder
/// `(n, d)`.
pub(super) fn sparse_bias(rows: &Matrix, encoder: &Matrix, bound: f32, p: f64) -> Vec<f32> {
    let rank = ((p * rows.rows() as f64) as usize).min(rows.rows() - 1);
    let mut products = Matrix::default();
    let mut biases = Vec::with_capacity(encoder.rows());
    for first in (0..encoder.rows()).step_by(LATENTS) {
        let block = first..(first + LATENTS).min(encoder.rows());
        products.reshape(block.len(), rows.rows());
        let latents = encoder.view().slice_move(s![block, ..]);
        multiply(latents, rows.view().t(), products.view_mut());
        let quantile = |of_latent: &mut [f32]| {
            *of_latent.select_nth_unstable_by(rank, |a, b| b.total_cmp(a)).1
        };
        let rows_of_latents = products.as_mut_slice().par_chunks_exact_mut(rows.rows());
        biases.par_extend(rows_of_latents.map(|own| bound - quantile(own)));
    }
    biases
}

fn lengths(rows: &Matrix, from: &[f64]) -> Vec<f64> {
    let distance = |row: &[f32]| -> f64 {
        row.iter().zip(from).map(|(x, c)| (f64::from(*x) - c).powi(2)).sum::<f64>().sqrt()
    };
    (0..rows.rows()).map(|index| distance(rows.row(index))).collect()
}

fn weighted_mean(rows: &Matrix, weights: &[f64]) -> Vec<f64> {
    let total: f64 = weights.iter().sum();
    let mut sum = Array1::<f64>::zeros(rows.cols());
    for (row, weight) in rows.view().rows().into_iter().zip(weights) {
        sum.zip_mut_with(&row, |sum, &x| *sum += weight * f64::from(x));
    }
    sum.iter().map(|value| value / total).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_a_line_is_its_middle_point() {
        let rows = Matrix::from_rows(3, 2, vec![0.0, 0.0, 1.0, 1.0, 100.0, 100.0]).expect("fits");
        let middle = geometric_median(&rows);
        assert!(middle.iter().all(|&value| (value - 1.0).abs() < 1e-2), "{middle:?}");
    }

    #[test]
    fn a_bias_leaves_the_part_of_the_rows_that_was_asked_for() {
        let rows = Matrix::from_rows(8, 1, (0..8).map(|value| value as f32).collect());
        let rows = rows.expect("fits");
        let encoder = Matrix::from_rows(2, 1, vec![1.0, -2.0]).expect("fits");
        let biases = sparse_bias(&rows, &encoder, 0.5, 0.25);
        for (direction, bias) in [1.0, -2.0].iter().zip(biases) {
            let above = (0..8).filter(|&row| row as f32 * direction + bias > 0.5).count();
            assert_eq!(above, 2);
        }
    }

    #[test]
    fn rows_have_length_root_d_on_average_after_scaling() {
        let rows = Matrix::from_rows(2, 4, vec![1.0, 0., 0., 0., 0., 3.0, 0., 0.]).expect("fits");
        assert_eq!(scale(&rows), 1.0);
    }
}
