//! What is learned: anything that squeezes a row into a code and unsqueezes it again.

pub mod dictionary;
pub mod linear;
pub mod network;
pub mod pca;
mod predictor;

pub use dictionary::Dictionary;
pub use linear::Linear;
pub use network::Network;
pub use pca::Pca;
pub use predictor::{Answer, Predictor};

use ndarray::{Array2, ArrayView2};

use crate::compute::{Activation, Matrix, Normalised, Real};
use crate::error::{Error, Result};

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

/// Refuses rows or codes of another width; `what` its columns are called.
fn check_columns(operation: &str, what: &str, expected: usize, got: usize) -> Result<()> {
    if expected == got {
        return Ok(());
    }
    Err(Error::mistake(
        operation,
        format!("{expected} {what}, as the model has"),
        got.to_string(),
        "give data of the kind that the model was fitted on",
    ))
}

/// The matrices of one pass through a model, kept between passes so that none is allocated twice.
#[derive(Debug, Default)]
pub struct Pass<T = f32> {
    /// What the model keeps between forward and backward, in an order of its own.
    pub hidden: Vec<Matrix<T>>,
    /// What normalised layers keep, by layer.
    pub normalised: Vec<Normalised<T>>,
    /// The output `(n, d)`, written by [`Trainable::forward`].
    pub output: Matrix<T>,
    /// The derivative `(n, d)` of the loss by the output, read by [`Trainable::backward`], which may
    /// overwrite it.
    pub gradient: Matrix<T>,
    /// The derivative `(n, m)` of a penalty on the code; without rows if there is none.
    pub code_gradient: Matrix<T>,
    /// Names the random numbers of this pass, such as those of dropout.
    pub draw: Draw,
}

/// Names the random numbers of one step of training.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Draw {
    /// The seed of the training.
    pub seed: u64,
    /// Steps before this one.
    pub step: u64,
    /// Rows of the step before the first of this pass.
    pub first: u64,
}

/// What a step may do to a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// It follows its gradient.
    Free,
    /// It follows its gradient, and weight decay draws it to zero.
    Decayed,
}

/// A model that is learned by following gradients.
///
/// Parameters and their gradients have one fixed order and layout.
pub trait Trainable<T: Real = f32>: Send {
    /// Columns of a row, and of the output.
    fn dims(&self) -> (usize, usize);

    /// The output for rows `(n, d)`; keeps in `pass` what [`Trainable::backward`] needs.
    ///
    /// # Panics
    /// If the rows have another number of columns than the model: the caller's mistake.
    fn forward(&mut self, x: &Matrix<T>, pass: &mut Pass<T>);

    /// The output for rows `(n, d)` as the loss takes it and as the model is used: no dropout.
    ///
    /// # Panics
    /// If the rows have another number of columns than the model: the caller's mistake.
    fn judge(&self, x: &Matrix<T>) -> Matrix<T>;

    /// The derivative of the loss by each parameter, from the derivatives in `pass`, after a forward
    /// pass of the same rows: `gradients ← keep · gradients + share · derivative`.
    fn backward(
        &self,
        x: &Matrix<T>,
        keep: T,
        share: T,
        pass: &mut Pass<T>,
        gradients: &mut [Vec<T>],
    );

    /// The code `(n, m)` that the last forward pass went through, and what made it.
    fn code<'a>(&self, pass: &'a Pass<T>) -> (Activation, &'a Matrix<T>);

    /// Whether a row passes through the model as if it were alone, so that a batch may be cut.
    fn rows_are_independent(&self) -> bool {
        true
    }

    /// The parameters.
    fn parameters(&self) -> Vec<&[T]>;

    /// The parameters, to be changed.
    fn parameters_mut(&mut self) -> Vec<&mut [T]>;

    /// What a step may do to each parameter.
    fn rules(&self) -> Vec<Rule>;

    /// Multiplications and additions of one row, forward and back.
    fn operations_per_row(&self) -> usize;

    /// Numbers that passes forward change and no gradient does, such as running means.
    fn buffers(&self) -> Vec<&[T]> {
        Vec::new()
    }

    /// The same, to be changed.
    fn buffers_mut(&mut self) -> Vec<&mut [T]> {
        Vec::new()
    }
}

/// Any model that can be kept and used again.
#[derive(Debug, Clone)]
pub enum Model {
    /// Principal component analysis.
    Pca(Pca),
    /// A linear autoencoder.
    Linear(Linear),
    /// An autoencoder of layers.
    Network(Network),
    /// A classifier or regressor on the codes of an encoder.
    Predictor(Predictor),
    /// A sparse dictionary.
    Dictionary(Dictionary),
}

impl Model {
    fn as_autoencoder(&self) -> &dyn Autoencoder {
        match self {
            Self::Pca(pca) => pca,
            Self::Linear(linear) => linear,
            Self::Network(network) => network,
            Self::Predictor(predictor) => predictor.network(),
            Self::Dictionary(dictionary) => dictionary,
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

    /// Columns of a rebuilt row: those of a row, but for transcoders.
    pub fn output_dim(&self) -> usize {
        match self {
            Self::Dictionary(dictionary) => dictionary.output_dim(),
            _ => self.input_dim(),
        }
    }

    /// Codes `(n, m)` of rows `(n, d)`; PCA computes in f64, networks in f32.
    ///
    /// # Errors
    /// If the rows have another number of columns than the model.
    pub fn encode(&self, x: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
        match self {
            Self::Pca(pca) => pca.transform(x),
            Self::Linear(linear) => through_f32(x, |x| linear.encode(x)),
            Self::Network(network) => through_f32(x, |x| network.encode(x)),
            Self::Predictor(predictor) => through_f32(x, |x| predictor.network().encode(x)),
            Self::Dictionary(dictionary) => through_f32(x, |x| dictionary.encode(x)),
        }
    }

    /// Rows `(n, d)` from codes `(n, m)`; of a transcoder those that it turns rows into.
    ///
    /// # Errors
    /// If the codes have another number of columns than the model, or it has no way back.
    pub fn decode(&self, z: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
        match self {
            Self::Pca(pca) => pca.inverse_transform(z),
            Self::Linear(linear) => through_f32(z, |z| linear.decode(z)),
            Self::Network(network) => through_f32(z, |z| network.decode(z)),
            Self::Dictionary(dictionary) => through_f32(z, |z| dictionary.decode(z)),
            Self::Predictor(_) => Err(Error::mistake(
                "rebuild rows",
                "a model that rebuilds rows",
                "one that was fine-tuned to predict labels",
                "use `narrows predict`, or give the run that it was made from",
            )),
        }
    }

    /// Rows `(n, d)` through the code and back, with their codes `(n, m)`.
    ///
    /// # Errors
    /// As [`Model::encode`] and [`Model::decode`].
    pub fn reconstruct(&self, x: ArrayView2<'_, f64>) -> Result<(Array2<f64>, Array2<f64>)> {
        let Self::Dictionary(dictionary) = self else {
            let codes = self.encode(x)?;
            let rebuilt = self.decode(codes.view())?;
            return Ok((codes, rebuilt));
        };
        let narrow = Matrix::from(x.mapv(|value| value as f32));
        let codes = dictionary.encode_sparse(&narrow)?;
        let rebuilt = dictionary.rebuild(&codes, &narrow)?;
        let wide = |matrix: Matrix| matrix.into_array().mapv(f64::from);
        Ok((wide(codes.to_dense()), wide(rebuilt)))
    }

    /// Fills each `NaN` of rows `(n, d)` with what the model expects there, where it can.
    ///
    /// # Errors
    /// If the rows have another number of columns than the model.
    pub fn fill_missing(&self, x: &mut Array2<f64>) -> Result<()> {
        match self {
            Self::Pca(pca) => pca.fill_missing(x),
            Self::Linear(_) | Self::Network(_) | Self::Predictor(_) | Self::Dictionary(_) => Ok(()),
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
