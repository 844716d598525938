//! What is minimised: losses, sparsity of the code, and the corruption that a model learns to undo.

mod corruption;
mod cross_entropy;
mod softmax;
mod sparsity;
mod squared_error;

pub use corruption::Corruption;
pub(crate) use corruption::check_emphasis;
pub use cross_entropy::BinaryCrossEntropy;
pub use softmax::SoftmaxCrossEntropy;
pub use sparsity::{Sparsity, SparsityState};
pub use squared_error::SquaredError;

use serde::{Deserialize, Serialize};

use crate::compute::{Matrix, Real};

/// A loss: the mean over rows of a loss per row.
pub trait Objective<T: Real = f32>: Sync {
    /// The value for targets and outputs `(n, d)`; its derivative by the output is written to
    /// `gradient` `(n, d)`. Where `weights` `(n, d)` are given, each term of the sum over columns is
    /// multiplied by its weight.
    ///
    /// # Panics
    /// If the shapes differ: the caller's mistake.
    fn evaluate(
        &self,
        target: &Matrix<T>,
        output: &Matrix<T>,
        weights: Option<&Matrix<T>>,
        gradient: &mut Matrix<T>,
    ) -> f64;
}

/// The losses by the names that recipes give them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// [`SquaredError`].
    #[default]
    SquaredError,
    /// [`BinaryCrossEntropy`].
    BinaryCrossEntropy,
    /// [`SoftmaxCrossEntropy`].
    SoftmaxCrossEntropy,
}

impl Loss {
    /// Whether outputs are logits: the unit that makes shares of them is part of the loss.
    pub fn takes_logits(self) -> bool {
        self != Self::SquaredError
    }
}

impl<T: Real> Objective<T> for Loss {
    fn evaluate(
        &self,
        target: &Matrix<T>,
        output: &Matrix<T>,
        weights: Option<&Matrix<T>>,
        gradient: &mut Matrix<T>,
    ) -> f64 {
        match self {
            Self::SquaredError => SquaredError.evaluate(target, output, weights, gradient),
            Self::BinaryCrossEntropy => {
                BinaryCrossEntropy.evaluate(target, output, weights, gradient)
            }
            Self::SoftmaxCrossEntropy => {
                SoftmaxCrossEntropy.evaluate(target, output, weights, gradient)
            }
        }
    }
}
