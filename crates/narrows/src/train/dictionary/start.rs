//! What dictionaries begin with: the scale of the rows, and their middle.
//!
//! ```text
//! s = √d / mean ‖x‖                                over a sample of rows x (d)
//! c ← Σ x/‖x − c‖ / Σ 1/‖x − c‖                    from the mean on: the geometric median
//! ```
//!
//! Source: T. Conerly et al., Update on how we train SAEs (Transformer Circuits, April 2024) for s;
//! T. Bricken et al., Towards monosemanticity (2023) for c; E. Weiszfeld, Tôhoku Mathematical Journal 43
//! (1937).

use ndarray::Array1;

use crate::compute::Matrix;

/// Iterations at most, and the part of the length of c below which a move ends them.
const ITERATIONS: usize = 100;
const STILL: f64 = 1e-6;

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
    fn rows_have_length_root_d_on_average_after_scaling() {
        let rows = Matrix::from_rows(2, 4, vec![1.0, 0., 0., 0., 0., 3.0, 0., 0.]).expect("fits");
        assert_eq!(scale(&rows), 1.0);
    }
}
