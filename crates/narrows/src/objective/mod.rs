//! What is minimised: a value and its gradient from a target and an output.

mod squared_error;

pub use squared_error::SquaredError;

use crate::compute::Matrix;

/// A loss: the mean over rows of a loss per row.
pub trait Objective {
    /// Its name in configurations and records.
    fn name(&self) -> &'static str;

    /// The value for targets and outputs `(n, d)`; its derivative by the output is written to
    /// `gradient` `(n, d)`.
    ///
    /// # Panics
    /// If the shapes differ: the caller's mistake.
    fn evaluate(&self, target: &Matrix, output: &Matrix, gradient: &mut Matrix) -> f64;
}
