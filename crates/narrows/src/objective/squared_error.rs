//! The squared error, summed over columns and averaged over rows.
//!
//! ```text
//! L        = 1/n · Σᵢ Σⱼ wᵢⱼ (xᵢⱼ − x̂ᵢⱼ)²          x, x̂, w: (n, d); w = 1 unless given
//! ∂L/∂x̂ᵢⱼ = 2/n · wᵢⱼ (x̂ᵢⱼ − xᵢⱼ)                 (n, d)
//! ```
//!
//! Source: A. M. Legendre, Nouvelles méthodes pour la détermination des orbites des comètes (1805).
//!
//! Differs from PyTorch `MSELoss`: columns are summed, not averaged, so the value is the distance
//! that PCA minimises and does not shrink with d.

use super::Objective;
use crate::compute::{Matrix, Real, sum_rows};

/// `1/n · Σᵢ Σⱼ wᵢⱼ (xᵢⱼ − x̂ᵢⱼ)²`.
#[derive(Debug, Clone, Copy, Default)]
pub struct SquaredError;

impl<T: Real> Objective<T> for SquaredError {
    fn evaluate(
        &self,
        target: &Matrix<T>,
        output: &Matrix<T>,
        weights: Option<&Matrix<T>>,
        gradient: &mut Matrix<T>,
    ) -> f64 {
        let rows = target.rows().max(1) as f64;
        let factor = T::from_f64(2.0 / rows);
        let sum =
            sum_rows(target, output, weights, gradient, |target, output, weights, gradient| {
                for ((gradient, &x), &y) in gradient.iter_mut().zip(target).zip(output) {
                    *gradient = y - x;
                }
                let squares = sum_of_products(gradient, weights);
                gradient.iter_mut().for_each(|value| *value = *value * factor);
                gradient
                    .iter_mut()
                    .zip(weights)
                    .for_each(|(value, &weight)| *value = *value * weight);
                squares
            });
        sum / rows
    }
}

/// `Σ w v²` in f64, without weights `Σ v²`, in eight interleaved sums so that it runs at the width
/// of the machine.
fn sum_of_products<T: Real>(values: &[T], weights: &[T]) -> f64 {
    if !weights.is_empty() {
        let terms = values.iter().zip(weights);
        return terms.map(|(v, w)| w.to_f64() * v.to_f64() * v.to_f64()).sum();
    }
    let mut sums = [0.0_f64; 8];
    for chunk in values.chunks(sums.len()) {
        for (sum, &value) in sums.iter_mut().zip(chunk) {
            *sum += value.to_f64() * value.to_f64();
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_and_gradient_by_hand() {
        let target = Matrix::<f32>::from_rows(2, 2, vec![1.0, 2.0, 3.0, 4.0]).expect("fits");
        let output = Matrix::from_rows(2, 2, vec![0.0, 4.0, 3.0, 7.0]).expect("fits");
        let mut gradient = Matrix::zeros(2, 2);
        let value = SquaredError.evaluate(&target, &output, None, &mut gradient);
        assert_eq!(value, (1.0 + 4.0 + 0.0 + 9.0) / 2.0);
        assert_eq!(gradient.as_slice(), [-1.0, 2.0, 0.0, 3.0]);
    }
}
