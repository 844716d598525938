//! What is learned: anything that squeezes a row into a code and unsqueezes it again.

pub mod pca;

pub use pca::Pca;

use crate::compute::Matrix;
use crate::error::Result;

/// Squeezes a row and unsqueezes it again.
pub trait Autoencoder {
    /// Columns of a row.
    fn input_dim(&self) -> usize;

    /// Columns of a code.
    fn latent_dim(&self) -> usize;

    /// Codes `(n, m)` of rows `(n, d)`.
    ///
    /// # Errors
    /// If the rows have another number of columns than the model.
    fn encode(&self, x: &Matrix) -> Result<Matrix>;

    /// Rows `(n, d)` from codes `(n, m)`.
    ///
    /// # Errors
    /// If the codes have another number of columns than the model.
    fn decode(&self, z: &Matrix) -> Result<Matrix>;

    /// Rows through the code and back.
    ///
    /// # Errors
    /// As [`Autoencoder::encode`].
    fn reconstruct(&self, x: &Matrix) -> Result<Matrix> {
        self.decode(&self.encode(x)?)
    }
}
