//! What is learned: anything that squeezes a row into a code and unsqueezes it again.

pub mod linear;
pub mod pca;

pub use linear::Linear;
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

/// The matrices of one pass through a model, kept between passes so that none is allocated twice.
#[derive(Debug, Default)]
pub struct Pass {
    /// What the model keeps between forward and backward, in an order of its own.
    pub hidden: Vec<Matrix>,
    /// The reconstruction `(n, d)`, written by [`Trainable::forward`].
    pub output: Matrix,
    /// The derivative `(n, d)` of the objective by the output, read by [`Trainable::backward`].
    pub gradient: Matrix,
}

/// An autoencoder that is learned by following gradients.
///
/// Parameters and their gradients have one fixed order and layout.
pub trait Trainable: Autoencoder {
    /// Reconstructs rows `(n, d)`, and keeps in `pass` what [`Trainable::backward`] needs.
    ///
    /// # Panics
    /// If the rows have another number of columns than the model: the caller's mistake.
    fn forward(&self, x: &Matrix, pass: &mut Pass);

    /// Adds `share` times the derivative of the objective by each parameter to `gradients`, from
    /// the derivative by the output in `pass`, after a forward pass of the same rows.
    fn backward(&self, share: f32, pass: &mut Pass, gradients: &mut [Vec<f32>]);

    /// The parameters.
    fn parameters(&self) -> Vec<&[f32]>;

    /// The parameters, to be changed.
    fn parameters_mut(&mut self) -> Vec<&mut [f32]>;

    /// Restores what a step may have broken, such as unit norms. Nothing, unless a model says so.
    fn project(&mut self) {}
}

/// Any model that can be kept and used again.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "there is one model at a time, never an array")]
pub enum Model {
    /// Principal component analysis.
    Pca(Pca),
    /// A linear autoencoder.
    Linear(Linear),
}

impl Model {
    fn as_autoencoder(&self) -> &dyn Autoencoder {
        match self {
            Self::Pca(pca) => pca,
            Self::Linear(linear) => linear,
        }
    }

    /// Columns of a row.
    pub fn input_dim(&self) -> usize {
        self.as_autoencoder().input_dim()
    }

    /// Columns of a code.
    pub fn latent_dim(&self) -> usize {
        self.as_autoencoder().latent_dim()
    }

    /// Codes `(n, m)` of rows `(n, d)`; PCA computes in f64, networks in f32.
    ///
    /// # Errors
    /// If the rows have another number of columns than the model.
    pub fn encode(&self, x: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
        match self {
            Self::Pca(pca) => pca.transform(x),
            Self::Linear(linear) => through_f32(x, |x| linear.encode(x)),
        }
    }

    /// Rows `(n, d)` from codes `(n, m)`.
    ///
    /// # Errors
    /// If the codes have another number of columns than the model.
    pub fn decode(&self, z: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
        match self {
            Self::Pca(pca) => pca.inverse_transform(z),
            Self::Linear(linear) => through_f32(z, |z| linear.decode(z)),
        }
    }

    /// Fills each `NaN` of rows `(n, d)` with what the model expects there, where it can.
    ///
    /// # Errors
    /// If the rows have another number of columns than the model.
    pub fn fill_missing(&self, x: &mut Array2<f64>) -> Result<()> {
        match self {
            Self::Pca(pca) => pca.fill_missing(x),
            Self::Linear(_) => Ok(()),
        }
    }
}

/// Computes in f32, as the model was trained, whatever kind the rows come in.
fn through_f32(
    rows: ArrayView2<'_, f64>,
    map: impl Fn(&Matrix) -> Result<Matrix>,
) -> Result<Array2<f64>> {
    let narrow = Matrix::from(rows.mapv(|value| value as f32));
    Ok(map(&narrow)?.into_array().mapv(f64::from))
}
