//! The cross-entropy of a softmax over columns, averaged over rows: the loss of a classifier.
//!
//! ```text
//! p_ic     = e^(o_ic) / Σ_k e^(o_ik)                   o: logits (n, classes)
//! L        = 1/n · Σᵢ Σ_c −t_ic ln p_ic               t: shares, 1 in all in each row
//! ∂L/∂o_ic = 1/n · (p_ic Σ_k t_ik − t_ic)             (n, classes)
//! ```
//!
//! Source: C. M. Bishop, Pattern Recognition and Machine Learning (2006), equations 4.108 and 4.109.

use super::Objective;
use crate::compute::{Matrix, Real, sum_rows};

/// `1/n · Σᵢ Σ_c −t_ic ln p_ic` with p the softmax of the output.
#[derive(Debug, Clone, Copy, Default)]
pub struct SoftmaxCrossEntropy;

impl<T: Real> Objective<T> for SoftmaxCrossEntropy {
    /// # Panics
    /// Also if weights are given: classes are not components that could be weighted apart.
    fn evaluate(
        &self,
        target: &Matrix<T>,
        output: &Matrix<T>,
        weights: Option<&Matrix<T>>,
        gradient: &mut Matrix<T>,
    ) -> f64 {
        assert!(weights.is_none(), "softmax: classes have no weights");
        let rows = target.rows().max(1) as f64;
        let factor = T::from_f64(1.0 / rows);
        let sum = sum_rows(target, output, None, gradient, |target, output, _, gradient| {
            let largest = output.iter().fold(output[0], |most, &o| most.max(o));
            let mut total = T::ZERO;
            for (share, &o) in gradient.iter_mut().zip(output) {
                *share = (o - largest).exp();
                total += *share;
            }
            let logarithm = total.to_f64().ln() + largest.to_f64();
            let pairs = target.iter().zip(output);
            let value = pairs.map(|(t, o)| t.to_f64() * (logarithm - o.to_f64())).sum();
            let scale = target.iter().copied().sum::<T>() / total;
            for (share, &t) in gradient.iter_mut().zip(target) {
                *share = (*share * scale - t) * factor;
            }
            value
        });
        sum / rows
    }
}
