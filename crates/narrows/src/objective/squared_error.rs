//! The squared error, summed over columns and averaged over rows.
//!
//! ```text
//! L        = 1/n · Σᵢ Σⱼ (xᵢⱼ − x̂ᵢⱼ)²              x, x̂: (n, d)
//! ∂L/∂x̂ᵢⱼ = 2/n · (x̂ᵢⱼ − xᵢⱼ)                     (n, d)
//! ```
//!
//! Source: A. M. Legendre, Nouvelles méthodes pour la détermination des orbites des comètes (1805).
//!
//! Differs from PyTorch `MSELoss`: columns are summed, not averaged, so the value is the distance
//! that PCA minimises and does not shrink with d.

use super::Objective;
use crate::compute::{Matrix, sum_rows};

/// `1/n · Σᵢ Σⱼ (xᵢⱼ − x̂ᵢⱼ)²`.
#[derive(Debug, Clone, Copy, Default)]
pub struct SquaredError;

impl Objective for SquaredError {
    fn name(&self) -> &'static str {
        "squared_error"
    }

    fn evaluate(&self, target: &Matrix, output: &Matrix, gradient: &mut Matrix) -> f64 {
        let rows = target.rows().max(1) as f64;
        let factor = (2.0 / rows) as f32;
        let sum = sum_rows(target, output, gradient, |target, output, gradient| {
            for ((gradient, x), y) in gradient.iter_mut().zip(target).zip(output) {
                *gradient = y - x;
            }
            let squares = sum_of_squares(gradient);
            gradient.iter_mut().for_each(|value| *value *= factor);
            squares
        });
        sum / rows
    }
}

/// In f64, in eight interleaved sums so that it runs at the width of the machine.
fn sum_of_squares(values: &[f32]) -> f64 {
    let mut sums = [0.0_f64; 8];
    for chunk in values.chunks(sums.len()) {
        for (sum, &value) in sums.iter_mut().zip(chunk) {
            *sum += f64::from(value) * f64::from(value);
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_and_gradient_by_hand() {
        let target = Matrix::from_rows(2, 2, vec![1.0, 2.0, 3.0, 4.0]).expect("fits");
        let output = Matrix::from_rows(2, 2, vec![0.0, 4.0, 3.0, 7.0]).expect("fits");
        let mut gradient = Matrix::zeros(2, 2);
        let value = SquaredError.evaluate(&target, &output, &mut gradient);
        assert_eq!(value, (1.0 + 4.0 + 0.0 + 9.0) / 2.0);
        assert_eq!(gradient.as_slice(), [-1.0, 2.0, 0.0, 3.0]);
    }

    /// The loss is a parabola in each output, so the central difference has no error but rounding.
    #[test]
    fn the_gradient_is_the_quotient_of_differences() {
        let mut random = crate::random::Random::stream(0, "squared error");
        let mut draw = || {
            let numbers = (0..7 * 13).map(|_| random.normal() as f32).collect();
            Matrix::from_rows(7, 13, numbers).expect("fits")
        };
        let (target, mut output) = (draw(), draw());
        let (mut gradient, mut unused) = (Matrix::zeros(7, 13), Matrix::zeros(7, 13));
        SquaredError.evaluate(&target, &output, &mut gradient);
        let step = 0.125;
        for place in 0..7 * 13 {
            let start = output.as_slice()[place];
            let mut at = |value: f32| {
                output.as_mut_slice()[place] = value;
                SquaredError.evaluate(&target, &output, &mut unused)
            };
            let (above, below) = (at(start + step), at(start - step));
            at(start);
            let quotient = (above - below) / f64::from(2.0 * step);
            assert!((quotient - f64::from(gradient.as_slice()[place])).abs() < 1e-5);
        }
    }
}
