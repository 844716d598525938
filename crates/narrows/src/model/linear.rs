//! The linear autoencoder, learned by gradient.
//!
//! ```text
//! encode  z = (x − μ) Vᵀ              x: (n, d)   μ: (d,)   V: (m, d)   z: (n, m)
//! decode  x̂ = z Uᵀ + μ                U: (d, m)
//! tied    z = (x − μ) C,  x̂ = z Cᵀ + μ            C: (d, m)
//!
//! With G = ∂L/∂x̂ (n, d):
//! ∂L/∂U = Gᵀ z                 (d, m)
//! ∂L/∂V = (G U)ᵀ (x − μ)       (m, d)
//! ∂L/∂C = Gᵀ z + (x − μ)ᵀ G C  (d, m)
//! ```
//!
//! μ is the mean of the training rows and stays fixed.
//!
//! Source: P. Baldi and K. Hornik, Neural networks and principal component analysis: learning from
//! examples without local minima, Neural Networks 2 (1989). Every minimum of the squared error is
//! global; all other stationary points are saddles.
//!
//! Differs from PCA: at a minimum the columns of U (or C) span the space of the first m components,
//! but are themselves free up to an invertible (tied: orthogonal) m × m matrix, so single latents
//! mean nothing.

use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut2};
use serde::{Deserialize, Serialize};

use super::{Autoencoder, Pass, Rule, Trainable, check_columns};
use crate::compute::{
    Activation, Matrix, column_means, multiply, multiply_add, multiply_then, subtract,
};
use crate::data::Source;
use crate::error::{Error, Result};
use crate::random::Random;

/// Rows that are read at a time.
const BLOCK: usize = 4096;

/// The shape of a linear autoencoder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LinearOptions {
    /// Columns of a code.
    pub latent_dim: usize,
    /// Whether the encoder is the transpose of the decoder.
    pub tied: bool,
}

impl Default for LinearOptions {
    fn default() -> Self {
        Self { latent_dim: 32, tied: false }
    }
}

/// A linear autoencoder.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    mean: Vec<f32>,
    /// U or, if tied, C: `(d, m)`.
    decoder: Matrix,
    /// V: `(m, d)`; nothing if tied.
    encoder: Option<Matrix>,
}

impl Linear {
    /// A model with random weights, normal with variance 1/d, and the mean of the rows of `source`,
    /// which takes one pass.
    ///
    /// # Errors
    /// If there are no rows, `latent_dim` is not between 1 and the number of columns, or the source
    /// cannot be read.
    pub fn new(source: &dyn Source, options: &LinearOptions, seed: u64) -> Result<Self> {
        let (d, m) = (source.dim(), options.latent_dim);
        if m == 0 || m > d {
            return Err(Error::mistake(
                "make a linear autoencoder",
                format!("`latent_dim` from 1 to {d}, the columns of the data"),
                m.to_string(),
                "set model.latent_dim: more latents than columns cannot lower the error",
            ));
        }
        let mean = mean(source)?.iter().map(|&value| value as f32).collect();
        let draw = |name, rows, cols| {
            let mut random = Random::stream(seed, name);
            let deviation = 1.0 / (d as f64).sqrt();
            Matrix::from(Array2::from_shape_simple_fn((rows, cols), || {
                (deviation * random.normal()) as f32
            }))
        };
        let decoder = draw("decoder.weight", d, m);
        let encoder = (!options.tied).then(|| draw("encoder.weight", m, d));
        Ok(Self { mean, decoder, encoder })
    }

    /// Whether the encoder is the transpose of the decoder.
    pub fn is_tied(&self) -> bool {
        self.encoder.is_none()
    }

    /// The mean of the training rows, `(d,)`.
    pub fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// U or, if tied, C: `(d, m)`.
    pub fn decoder(&self) -> ArrayView2<'_, f32> {
        self.decoder.view()
    }

    /// V or, if tied, Cᵀ: `(m, d)`.
    pub fn encoder(&self) -> ArrayView2<'_, f32> {
        self.encoder.as_ref().map_or(self.decoder.view().reversed_axes(), Matrix::view)
    }

    /// Names, shapes and values of everything learned, sorted by name: `decoder.weight` (d, m),
    /// `encoder.weight` (m, d) and `mean` (d) or, if tied, `mean` (d) and `weight` (d, m).
    pub fn tensors(&self) -> Vec<(String, Vec<usize>, Vec<f32>)> {
        let tensor = |name: &str, m: &Matrix| {
            (name.to_owned(), vec![m.rows(), m.cols()], m.as_slice().to_vec())
        };
        let mean = ("mean".to_owned(), vec![self.mean.len()], self.mean.clone());
        match &self.encoder {
            Some(encoder) => vec![
                tensor("decoder.weight", &self.decoder),
                tensor("encoder.weight", encoder),
                mean,
            ],
            None => vec![mean, tensor("weight", &self.decoder)],
        }
    }

    /// The inverse of [`Linear::tensors`]; the order does not matter.
    ///
    /// # Errors
    /// If a tensor is missing, unknown or has another shape than the others imply.
    pub fn from_tensors(tensors: Vec<(String, Vec<usize>, Vec<f32>)>) -> Result<Self> {
        let (mut mean, mut tied, mut decoder, mut encoder) = (None, None, None, None);
        for (name, shape, values) in tensors {
            match (name.as_str(), shape.as_slice()) {
                ("mean", &[d]) if values.len() == d => mean = Some(values),
                ("weight", &[d, m]) => tied = Some(Matrix::from_rows(d, m, values)?),
                ("decoder.weight", &[d, m]) => decoder = Some(Matrix::from_rows(d, m, values)?),
                ("encoder.weight", &[m, d]) => encoder = Some(Matrix::from_rows(m, d, values)?),
                _ => return Err(bad_tensors(format!("`{name}` of shape {shape:?}"))),
            }
        }
        let (mean, decoder, encoder) = match (mean, tied, decoder, encoder) {
            (Some(mean), Some(weight), None, None) => (mean, weight, None),
            (Some(mean), None, Some(decoder), Some(encoder)) => (mean, decoder, Some(encoder)),
            _ => return Err(bad_tensors("only some of them, or both kinds".to_owned())),
        };
        let (d, m) = (decoder.rows(), decoder.cols());
        let fits = encoder.as_ref().is_none_or(|v| (v.rows(), v.cols()) == (m, d));
        if mean.len() != d || !fits {
            return Err(bad_tensors("shapes that contradict each other".to_owned()));
        }
        Ok(Self { mean, decoder, encoder })
    }

    fn decode_into(&self, z: ArrayView2<'_, f32>, out: ArrayViewMut2<'_, f32>) {
        multiply_then(z, self.decoder.view().reversed_axes(), out, |first, row| {
            row.iter_mut().zip(&self.mean[first..]).for_each(|(value, mean)| *value += mean);
        });
    }
}

fn bad_tensors(got: String) -> Error {
    Error::mistake(
        "load a linear autoencoder",
        "the tensors `decoder.weight` (d, m), `encoder.weight` (m, d) and `mean` (d), or `weight` \
         (d, m) and `mean` (d)",
        got,
        "give the weights that `narrows fit --model linear` wrote",
    )
}

/// The mean of the rows of a source, in f64, block after block.
fn mean(source: &dyn Source) -> Result<Array1<f64>> {
    let (rows, dim) = (source.rows(), source.dim());
    if rows == 0 {
        return Err(Error::mistake(
            "make a linear autoencoder",
            "at least one row",
            "none",
            "give data that is not empty",
        ));
    }
    let mut block = vec![0.0_f64; BLOCK.min(rows) * dim];
    let mut sum = Array1::zeros(dim);
    for start in (0..rows).step_by(BLOCK) {
        let count = BLOCK.min(rows - start);
        let block = &mut block[..count * dim];
        source.read_f64(start, block)?;
        let view = ArrayView2::from_shape((count, dim), block).expect("whole rows");
        sum.scaled_add(count as f64, &column_means(view));
    }
    Ok(sum / rows as f64)
}

impl Autoencoder for Linear {
    fn input_dim(&self) -> usize {
        self.decoder.rows()
    }
    fn latent_dim(&self) -> usize {
        self.decoder.cols()
    }
    fn encode(&self, x: &Matrix) -> Result<Matrix> {
        check_columns("encode", "columns", self.decoder.rows(), x.cols())?;
        let mut centred = Matrix::zeros(x.rows(), x.cols());
        subtract(x, &self.mean, &mut centred);
        let mut z = Matrix::zeros(x.rows(), self.latent_dim());
        multiply(centred.view(), self.encoder().reversed_axes(), z.view_mut());
        Ok(z)
    }
    fn decode(&self, z: &Matrix) -> Result<Matrix> {
        check_columns("decode", "columns", self.latent_dim(), z.cols())?;
        let mut x = Matrix::zeros(z.rows(), self.input_dim());
        self.decode_into(z.view(), x.view_mut());
        Ok(x)
    }
}

impl Trainable for Linear {
    fn dims(&self) -> (usize, usize) {
        (self.decoder.rows(), self.decoder.rows())
    }

    fn forward(&mut self, x: &Matrix, pass: &mut Pass) {
        pass.hidden.resize_with(3, Matrix::default);
        let [centred, z, _] = &mut pass.hidden[..] else { unreachable!("just resized") };
        centred.reshape(x.rows(), x.cols());
        subtract(x, &self.mean, centred);
        z.reshape(x.rows(), self.decoder.cols());
        multiply(centred.view(), self.encoder().reversed_axes(), z.view_mut());
        pass.output.reshape(x.rows(), x.cols());
        self.decode_into(z.view(), pass.output.view_mut());
    }

    fn judge(&self, x: &Matrix) -> Matrix {
        self.reconstruct(x).expect("rows have the columns of the model")
    }

    fn backward(
        &self,
        _: &Matrix,
        keep: f32,
        share: f32,
        pass: &mut Pass,
        gradients: &mut [Vec<f32>],
    ) {
        let (d, m) = (self.decoder.rows(), self.decoder.cols());
        let Pass { hidden, gradient, code_gradient, .. } = pass;
        let [centred, z, by_z] = &mut hidden[..] else { panic!("backward before forward") };
        by_z.reshape(z.rows(), m);
        let add_penalty = match code_gradient.rows() {
            0 => 0.0,
            _ => {
                by_z.as_mut_slice().copy_from_slice(code_gradient.as_slice());
                1.0
            }
        };
        multiply_add(add_penalty, 1.0, gradient.view(), self.decoder.view(), by_z.view_mut());
        let mut add = |index: usize, keep, (rows, cols), a: &Matrix, b: &Matrix| {
            let out = ArrayViewMut2::from_shape((rows, cols), &mut gradients[index]);
            let out = out.expect("gradients have the sizes of the parameters");
            multiply_add(keep, share, a.view().reversed_axes(), b.view(), out);
        };
        add(0, keep, (d, m), gradient, z);
        match self.is_tied() {
            true => add(0, 1.0, (d, m), centred, by_z),
            false => add(1, keep, (m, d), by_z, centred),
        }
    }

    fn code<'a>(&self, pass: &'a Pass) -> (Activation, &'a Matrix) {
        (Activation::Identity, &pass.hidden[1])
    }

    fn parameters(&self) -> Vec<&[f32]> {
        std::iter::once(&self.decoder).chain(&self.encoder).map(Matrix::as_slice).collect()
    }

    fn parameters_mut(&mut self) -> Vec<&mut [f32]> {
        let weights = std::iter::once(&mut self.decoder).chain(&mut self.encoder);
        weights.map(Matrix::as_mut_slice).collect()
    }

    fn rules(&self) -> Vec<Rule> {
        vec![Rule::Decayed; if self.is_tied() { 1 } else { 2 }]
    }

    fn operations_per_row(&self) -> usize {
        // Two products forward and three back, where the rows' own derivative is not wanted.
        10 * self.decoder.rows() * self.decoder.cols()
    }
}
