//! One layer: weights, bias, what normalises it and what bends it.
//!
//! ```text
//! He          W ~ N(0, gain²/d_in)                     gain: that of the activation
//! Glorot      W ~ U(−√(6/(d_in + d_out)), +√(6/(d_in + d_out)))
//! orthogonal  W = gain · Q, rows (or columns) of Q orthonormal
//! auto        He where the activation cuts off, else Glorot
//! ```
//!
//! Source: K. He et al., Delving deep into rectifiers (2015); X. Glorot and Y. Bengio (2010); A. Saxe
//! et al. (2014).

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::NetworkOptions;
use crate::compute::{Activation, Matrix, Real, orthonormal_rows};
use crate::random::Random;

/// How weights are drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Initialisation {
    /// He or Glorot, as suits the activation.
    #[default]
    Auto,
    /// Normal, by the number of inputs and the gain of the activation.
    He,
    /// Uniform, by the numbers of inputs and outputs.
    Glorot,
    /// Orthonormal rows or columns, times the gain.
    Orthogonal,
    /// As PCA of the rows, by [`Network::start_from_pca`](super::Network::start_from_pca); drawn as
    /// [`Initialisation::Auto`] before.
    Pca,
}

/// What brings numbers to mean 0 and variance 1 between layers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalisation {
    /// Nothing.
    #[default]
    None,
    /// Over the rows of the batch; running means when the model is used.
    Batch,
    /// Over the columns of each row.
    Layer,
}

/// One layer of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer<T = f32> {
    /// `(d_out, d_in)`; empty where the layer is tied.
    pub(super) weight: Matrix<T>,
    pub(super) dims: (usize, usize),
    /// The layer whose weights it has, transposed.
    pub(super) tied_to: Option<usize>,
    /// `(d_out,)`: b, which follows the normalisation.
    pub(super) bias: Vec<T>,
    /// γ `(d_out,)`, where it is normalised.
    pub(super) scale: Vec<T>,
    pub(super) normalisation: Normalisation,
    /// Batch normalisation: mean and variance of each column `(d_out,)` over batches.
    pub(super) running: (Vec<T>, Vec<T>),
    pub(super) activation: Activation,
    pub(super) dropout: f64,
}

impl<T: Real> Layer<T> {
    pub(super) fn new(
        from: usize,
        to: usize,
        activation: Activation,
        tied_to: Option<usize>,
        options: &NetworkOptions,
        inner: bool,
        random: &mut Random,
    ) -> Self {
        let weight = match tied_to {
            Some(_) => Matrix::default(),
            None => options.initialisation.draw(from, to, activation, random),
        };
        let normalisation = if inner { options.normalisation } else { Normalisation::None };
        let mut layer = Self::bare(from, to, weight, tied_to, activation);
        layer.normalise(normalisation);
        layer.dropout = if inner { options.dropout } else { 0.0 };
        layer
    }

    /// A layer without bias, normalisation and dropout.
    pub(super) fn bare(
        from: usize,
        to: usize,
        weight: Matrix<T>,
        tied_to: Option<usize>,
        activation: Activation,
    ) -> Self {
        Self {
            weight,
            dims: (from, to),
            tied_to,
            bias: vec![T::ZERO; to],
            scale: Vec::new(),
            normalisation: Normalisation::None,
            running: (Vec::new(), Vec::new()),
            activation,
            dropout: 0.0,
        }
    }

    pub(super) fn normalise(&mut self, normalisation: Normalisation) {
        let to = self.dims.1;
        self.normalisation = normalisation;
        if normalisation != Normalisation::None {
            self.scale = vec![T::ONE; to];
        }
        if normalisation == Normalisation::Batch {
            self.running = (vec![T::ZERO; to], vec![T::ONE; to]);
        }
    }

    /// Columns of its input.
    pub fn input_dim(&self) -> usize {
        self.dims.0
    }

    /// Columns of its output.
    pub fn output_dim(&self) -> usize {
        self.dims.1
    }

    /// The function at its end.
    pub fn activation(&self) -> Activation {
        self.activation
    }

    /// `(d_out,)`.
    pub fn bias(&self) -> &[T] {
        &self.bias
    }

    /// What is learned, those that are there: weight, bias, scale.
    pub(super) fn parameters(&self) -> impl Iterator<Item = &[T]> {
        [self.weight.as_slice(), &self.bias, &self.scale].into_iter().filter(|p| !p.is_empty())
    }

    pub(super) fn parameters_mut(&mut self) -> impl Iterator<Item = &mut [T]> {
        let all = [self.weight.as_mut_slice(), &mut self.bias, &mut self.scale];
        all.into_iter().filter(|p| !p.is_empty())
    }
}

impl Initialisation {
    /// Weights `(to, from)`.
    pub(super) fn draw<T: Real>(
        self,
        from: usize,
        to: usize,
        activation: Activation,
        random: &mut Random,
    ) -> Matrix<T> {
        let gain = activation.gain();
        let drawn = match self {
            Self::Auto | Self::Pca if gain > 1.0 => {
                return Self::He.draw(from, to, activation, random);
            }
            Self::Auto | Self::Pca | Self::Glorot => {
                let limit = (6.0 / (from + to) as f64).sqrt();
                Array2::from_shape_simple_fn((to, from), || random.between(-limit, limit))
            }
            Self::He => {
                let deviation = gain / (from as f64).sqrt();
                Array2::from_shape_simple_fn((to, from), || deviation * random.normal())
            }
            Self::Orthogonal => {
                let (short, long) = (from.min(to), from.max(to));
                let rows = Array2::from_shape_simple_fn((short, long), || random.normal());
                let rows = orthonormal_rows(&rows) * gain;
                if to <= from { rows } else { rows.reversed_axes() }
            }
        };
        Matrix::from(drawn.mapv(T::from_f64))
    }
}
