//! The binary cross-entropy of logits, summed over columns and averaged over rows.
//!
//! ```text
//! L        = 1/n · Σᵢ Σⱼ wᵢⱼ (max(oᵢⱼ, 0) − oᵢⱼ xᵢⱼ + ln(1 + e^(−|oᵢⱼ|)))
//!                                                     x in 0 … 1, o logits, w: (n, d)
//! ∂L/∂oᵢⱼ = 1/n · wᵢⱼ (σ(oᵢⱼ) − xᵢⱼ)                  (n, d)
//! ```
//!
//! It equals −x ln σ(o) − (1 − x) ln(1 − σ(o)), without its overflow.
//!
//! Source: C. M. Bishop, Pattern Recognition and Machine Learning (2006), equation 4.90.
//!
//! Differs from Keras and PyTorch, which average over columns too: theirs is this divided by d. For
//! values between 0 and 1 the least possible value is not 0 but the entropy of x.

use super::Objective;
use crate::compute::{Matrix, Real, sum_rows};

/// `1/n · Σᵢ Σⱼ wᵢⱼ (max(oᵢⱼ, 0) − oᵢⱼ xᵢⱼ + ln(1 + e^(−|oᵢⱼ|)))`.
#[derive(Debug, Clone, Copy, Default)]
pub struct BinaryCrossEntropy;

impl<T: Real> Objective<T> for BinaryCrossEntropy {
    fn evaluate(
        &self,
        target: &Matrix<T>,
        output: &Matrix<T>,
        weights: Option<&Matrix<T>>,
        gradient: &mut Matrix<T>,
    ) -> f64 {
        let rows = target.rows().max(1) as f64;
        let factor = T::from_f64(1.0 / rows);
        let sum =
            sum_rows(target, output, weights, gradient, |target, output, weights, gradient| {
                // The gradient first holds the terms of the value: two plain loops, each of which the
                // compiler can widen.
                for ((term, &x), &o) in gradient.iter_mut().zip(target).zip(output) {
                    *term = o.max(T::ZERO) - o * x + (-o.abs()).exp().ln_1p_of_share();
                }
                gradient.iter_mut().zip(weights).for_each(|(term, &weight)| *term = *term * weight);
                let value = gradient.iter().map(|term| term.to_f64()).sum();
                for ((slope, &x), &o) in gradient.iter_mut().zip(target).zip(output) {
                    *slope = (T::ONE / (T::ONE + (-o).exp()) - x) * factor;
                }
                gradient
                    .iter_mut()
                    .zip(weights)
                    .for_each(|(slope, &weight)| *slope = *slope * weight);
                value
            });
        sum / rows
    }
}
