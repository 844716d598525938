//! What is learned: anything that squeezes a row into a code and unsqueezes it again.

pub mod pca;

pub use pca::Pca;

use ndarray::{Array2, ArrayView2};

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

/// Any model that can be kept and used again.
#[derive(Debug, Clone)]
pub enum Model {
    /// Principal component analysis.
    Pca(Pca),
}

impl Model {
    /// Columns of a row.
    pub fn input_dim(&self) -> usize {
        match self {
            Self::Pca(pca) => pca.input_dim(),
        }
    }

    /// Columns of a code.
    pub fn latent_dim(&self) -> usize {
        match self {
            Self::Pca(pca) => pca.latent_dim(),
        }
    }

    /// Codes `(n, m)` of rows `(n, d)`; PCA computes in f64, networks in f32.
    ///
    /// # Errors
    /// If the rows have another number of columns than the model.
    pub fn encode(&self, x: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
        match self {
            Self::Pca(pca) => pca.transform(x),
        }
    }

    /// Rows `(n, d)` from codes `(n, m)`.
    ///
    /// # Errors
    /// If the codes have another number of columns than the model.
    pub fn decode(&self, z: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
        match self {
            Self::Pca(pca) => pca.inverse_transform(z),
        }
    }

    /// Fills each `NaN` of rows `(n, d)` with what the model expects there, where it can.
    ///
    /// # Errors
    /// If the rows have another number of columns than the model.
    pub fn fill_missing(&self, x: &mut Array2<f64>) -> Result<()> {
        match self {
            Self::Pca(pca) => pca.fill_missing(x),
        }
    }
}
