//! Penalties that keep most of a code silent.
//!
//! ```text
//! h: the code (n, m)
//!
//! L1   Ω      = 1/n · Σᵢ Σⱼ |hᵢⱼ|
//!      ∂Ω/∂hᵢⱼ = 1/n · sign(hᵢⱼ)
//! KL   Ω      = Σⱼ p ln(p/qⱼ) + (1 − p) ln((1 − p)/(1 − qⱼ))
//!      ∂Ω/∂hᵢⱼ = s/n · ((1 − p)/(1 − qⱼ) − p/qⱼ)
//!
//! qⱼ = 1/n · Σᵢ aᵢⱼ over the mini-batch;  a = h, s = 1 for activations in (0, 1),
//! a = (h + 1)/2, s = ½ for tanh. With `memory` μ > 0: qⱼ ← μ·qⱼ(last) + (1 − μ)·(mean of the batch),
//! started at the first batch, and the derivative is taken as if q were the mean of the batch.
//! q is kept 1e-6 away from 0 and 1.
//!
//! The loss is J + α·Ω(h).
//! ```
//!
//! Source: A. Ng, CS294A lecture notes: sparse autoencoder (2011), section 3.
//!
//! Differs from the notes, which average over the whole training set: here over the mini-batch, or
//! its running mean. Keras' L1 is this one.

use serde::{Deserialize, Serialize};

use crate::compute::{Activation, Matrix, Real, column_sums};
use crate::error::{Error, Result};

const EDGE: f64 = 1e-6;

/// Which penalty, and how strong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields, tag = "kind")]
pub enum Sparsity {
    /// None.
    #[default]
    None,
    /// The mean over rows of the sum of absolute values.
    L1 {
        /// α.
        weight: f64,
    },
    /// The divergence of the mean activation from a target.
    Kl {
        /// α.
        weight: f64,
        /// p, between 0 and 1.
        target: f64,
        /// μ: 0 for the mean of the mini-batch alone, below 1.
        #[serde(default)]
        memory: f64,
    },
}

/// The running mean of activations, `(m,)`; empty before the first batch.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SparsityState {
    /// q.
    pub mean: Vec<f64>,
}

impl Sparsity {
    /// Refuses settings that cannot work with a code that `activation` makes.
    ///
    /// # Errors
    /// If a number is out of its range, or KL is asked of activations that are no shares.
    pub fn check(&self, activation: Activation) -> Result<()> {
        let refuse = |expected: &str, got: String, remedy: &str| {
            Err(Error::mistake("penalise the code", expected, got, remedy))
        };
        match *self {
            Self::None => Ok(()),
            Self::L1 { weight } | Self::Kl { weight, .. }
                if !(weight >= 0.0 && weight.is_finite()) =>
            {
                refuse("`weight` of 0 or more", weight.to_string(), "set objective.sparsity.weight")
            }
            Self::L1 { .. } => Ok(()),
            Self::Kl { target, .. } if !(target > 0.0 && target < 1.0) => refuse(
                "`target` between 0 and 1",
                target.to_string(),
                "set objective.sparsity.target",
            ),
            Self::Kl { memory, .. } if !(0.0..1.0).contains(&memory) => refuse(
                "`memory` of 0 or more, below 1",
                memory.to_string(),
                "set objective.sparsity.memory",
            ),
            Self::Kl { .. } if !matches!(activation, Activation::Sigmoid | Activation::Tanh) => {
                refuse(
                    "a code between 0 and 1 (sigmoid) or −1 and 1 (tanh, rescaled), as the divergence \
                 compares shares",
                    format!("{activation:?} units, whose values have no upper bound")
                        .to_lowercase(),
                    "set model.code_activation=\"sigmoid\", or use objective.sparsity.kind=\"l1\"",
                )
            }
            Self::Kl { .. } => Ok(()),
        }
    }

    /// Whether the penalty of a row depends on the other rows of its batch.
    pub fn joins_rows(&self) -> bool {
        matches!(self, Self::Kl { .. })
    }

    /// α·Ω(h); its derivative is written to `gradient` `(n, m)`. `activation` is what made `code`.
    pub fn evaluate<T: Real>(
        &self,
        activation: Activation,
        code: &Matrix<T>,
        state: &mut SparsityState,
        gradient: &mut Matrix<T>,
    ) -> f64 {
        gradient.reshape(code.rows(), code.cols());
        let rows = code.rows().max(1) as f64;
        match *self {
            Self::None => {
                gradient.as_mut_slice().fill(T::ZERO);
                0.0
            }
            Self::L1 { weight } => {
                let slope = T::from_f64(weight / rows);
                let values = code.as_slice().iter().zip(gradient.as_mut_slice());
                let sum: f64 = values
                    .map(|(&h, g)| {
                        *g = if h > T::ZERO {
                            slope
                        } else if h < T::ZERO {
                            -slope
                        } else {
                            T::ZERO
                        };
                        h.abs().to_f64()
                    })
                    .sum();
                weight * sum / rows
            }
            Self::Kl { weight, target, memory } => {
                let stretch = if activation == Activation::Tanh { 0.5 } else { 1.0 };
                let mut sums = vec![T::ZERO; code.cols()];
                column_sums(code, T::ONE, &mut sums);
                let batch = sums.iter().map(|sum| {
                    let mean = sum.to_f64() / rows;
                    if stretch < 1.0 { 0.5 * (mean + 1.0) } else { mean }
                });
                if state.mean.len() == code.cols() && memory > 0.0 {
                    let running = state.mean.iter_mut().zip(batch);
                    running.for_each(|(q, now)| *q = memory * *q + (1.0 - memory) * now);
                } else {
                    state.mean = batch.collect();
                }
                let mut value = 0.0;
                let slopes: Vec<T> = state
                    .mean
                    .iter()
                    .map(|q| {
                        let (p, q) = (target, q.clamp(EDGE, 1.0 - EDGE));
                        value += p * (p / q).ln() + (1.0 - p) * ((1.0 - p) / (1.0 - q)).ln();
                        T::from_f64(weight * stretch / rows * ((1.0 - p) / (1.0 - q) - p / q))
                    })
                    .collect();
                let cols = code.cols().max(1);
                gradient
                    .as_mut_slice()
                    .chunks_exact_mut(cols)
                    .for_each(|g| g.copy_from_slice(&slopes));
                weight * value
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(seed: &str) -> Matrix<f64> {
        let mut random = crate::random::Random::stream(3, seed);
        let numbers = (0..6 * 4).map(|_| random.between(0.05, 0.95)).collect();
        Matrix::from_rows(6, 4, numbers).expect("fits")
    }

    #[test]
    fn gradients_are_quotients_of_differences() {
        let kl = Sparsity::Kl { weight: 3.0, target: 0.1, memory: 0.0 };
        for (sparsity, activation) in [
            (Sparsity::L1 { weight: 0.7 }, Activation::Relu),
            (kl, Activation::Sigmoid),
            (kl, Activation::Tanh),
        ] {
            let mut code = draw("code");
            let (mut gradient, mut unused) = (Matrix::default(), Matrix::default());
            sparsity.evaluate(activation, &code, &mut SparsityState::default(), &mut gradient);
            for place in 0..24 {
                let start = code.as_slice()[place];
                let mut at = |value: f64| {
                    code.as_mut_slice()[place] = value;
                    sparsity.evaluate(activation, &code, &mut SparsityState::default(), &mut unused)
                };
                let quotient = (at(start + 1e-5) - at(start - 1e-5)) / 2e-5;
                at(start);
                let got = gradient.as_slice()[place];
                assert!((quotient - got).abs() < 1e-6 * got.abs().max(1e-2), "{quotient} {got}");
            }
        }
    }

    /// p = 0.1, q = 0.5: 0.1 ln 0.2 + 0.9 ln 1.8 = 0.368064.
    #[test]
    fn the_divergence_by_hand() {
        let code = Matrix::from_rows(2, 1, vec![0.25, 0.75]).expect("fits");
        let kl = Sparsity::Kl { weight: 2.0, target: 0.1, memory: 0.0 };
        let mut gradient = Matrix::<f64>::default();
        let value =
            kl.evaluate(Activation::Sigmoid, &code, &mut SparsityState::default(), &mut gradient);
        assert!((value - 2.0 * 0.368_064_2).abs() < 1e-6, "{value}");
    }

    #[test]
    fn kl_of_unbounded_units_is_refused() {
        let kl = Sparsity::Kl { weight: 1.0, target: 0.05, memory: 0.0 };
        assert!(kl.check(Activation::Relu).is_err());
        assert!(kl.check(Activation::Tanh).is_ok());
    }
}
