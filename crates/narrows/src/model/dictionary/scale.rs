//! Rows brought to one scale before they are encoded, and rebuilt rows brought back.
//!
//! ```text
//! ConstantNorm   x' = x·√d/‖x‖                       y = y'·‖x‖/√d
//! LayerNorm      x' = (x − μ)/(σ + 1e-5)             y = y'·σ + μ
//! μ, σ: mean and standard deviation of the d numbers of the row, σ² over d − 1
//! ```
//!
//! Source: SAELens (`constant_norm_rescale`, `layer_norm`) and OpenAI's `sparse_autoencoder` (`LN`).
//!
//! Differs from: both, where a row is all zeros: it stays so here, and becomes NaN in SAELens.

use rayon::prelude::*;

use super::RowScale;
use crate::compute::Matrix;

/// Added to the standard deviation that a row is divided by, not under the root.
const EPSILON: f32 = 1e-5;

impl RowScale {
    /// What is subtracted from a row, what it is then multiplied by, and what undoes that.
    fn of(self, row: &[f32]) -> (f32, f32, f32) {
        let count = row.len() as f64;
        let sum = |f: &dyn Fn(f64) -> f64| row.iter().map(|&v| f(f64::from(v))).sum::<f64>();
        match self {
            Self::None => (0.0, 1.0, 1.0),
            Self::ConstantNorm => {
                let norm = sum(&|v| v * v).sqrt();
                let factor = count.sqrt() / norm;
                if norm == 0.0 {
                    (0.0, 1.0, 1.0)
                } else {
                    (0.0, factor as f32, (1.0 / factor) as f32)
                }
            }
            Self::LayerNorm => {
                let mean = sum(&|v| v) / count;
                let variance = sum(&|v| (v - mean).powi(2)) / (count - 1.0).max(1.0);
                let deviation = variance.sqrt() as f32;
                (mean as f32, 1.0 / (deviation + EPSILON), deviation)
            }
        }
    }

    /// Brings each row to its scale.
    pub(super) fn apply(self, rows: &mut Matrix) {
        if self == Self::None {
            return;
        }
        let cols = rows.cols().max(1);
        rows.as_mut_slice().par_chunks_exact_mut(cols).for_each(|row| {
            let (mean, factor, _) = self.of(row);
            row.iter_mut().for_each(|value| *value = (*value - mean) * factor);
        });
    }

    /// What undoes the factor of each row.
    pub(super) fn stretches(self, rows: &Matrix) -> Vec<f32> {
        (0..rows.rows()).map(|row| self.of(rows.row(row)).2).collect()
    }

    /// Brings rebuilt rows back to the scales of the rows `x` that they were made from.
    pub(super) fn undo(self, x: &Matrix, rebuilt: &mut Matrix) {
        if self == Self::None {
            return;
        }
        let cols = rebuilt.cols().max(1);
        rebuilt.as_mut_slice().par_chunks_exact_mut(cols).enumerate().for_each(|(index, row)| {
            let (mean, _, factor) = self.of(x.row(index));
            row.iter_mut().for_each(|value| *value = *value * factor + mean);
        });
    }
}
