//! Layers one after the other: deep autoencoders, and classifiers made of them.
//!
//! ```text
//! layer l    aₗ = f(N(aₗ₋₁ Wₗᵀ) + bₗ) ⊙ Mₗ         aₗ: (n, dₗ)   Wₗ: (dₗ, dₗ₋₁)   bₗ: (dₗ,)
//! a₀ = x, the code is a_c, the output is the last; f: activation; N: normalisation or nothing;
//! M: dropout, 0 with probability p, else 1/(1 − p), in training only
//! tied       the weights of the decoder are those of the encoder, transposed: W_(L−l+1) = Wₗᵀ
//! top-k      of each row of the code all but the k largest are set to 0
//!
//! With Gₗ = ∂L/∂(argument of f in layer l):
//! ∂L/∂Wₗ = Gₗᵀ aₗ₋₁      ∂L/∂bₗ = Σᵢ Gₗᵢ      Gₗ₋₁ = (Gₗ Wₗ) ⊙ f'(·) ⊙ Mₗ₋₁
//! ```
//!
//! Where the loss takes logits, the last activation is part of the loss: it is applied when the model
//! is used, not when it is trained.
//!
//! Source: D. Rumelhart, G. Hinton and R. Williams, Nature 323 (1986); N. Srivastava et al., Dropout,
//! JMLR 15 (2014); A. Makhzani and B. Frey, k-sparse autoencoders (2014).

mod head;
mod layer;
mod pass;
mod tensors;
#[cfg(test)]
mod tests;
mod unroll;
mod warm_start;

pub use layer::{Initialisation, Layer, Normalisation};
pub use tensors::{LayerShape, Shape};

use serde::{Deserialize, Serialize};

use super::{Autoencoder, check_columns};
use crate::compute::{Activation, Matrix, Real};
use crate::error::{Error, Result};
use crate::random::Random;

/// The shape of an autoencoder of layers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkOptions {
    /// Columns of each layer of the encoder; the last is the code.
    pub layers: Vec<usize>,
    /// Columns of each layer of the decoder but the last, which has those of the rows; by default the
    /// encoder's mirrored.
    pub decoder_layers: Option<Vec<usize>>,
    /// Whether the decoder has the encoder's weights, transposed.
    pub tied: bool,
    /// Between layers.
    pub activation: Activation,
    /// Of the code.
    pub code_activation: Activation,
    /// Of the output.
    pub output_activation: Activation,
    /// How weights are drawn.
    pub initialisation: Initialisation,
    /// Of every layer between input and output, the code not included.
    pub normalisation: Normalisation,
    /// The probability that a number between the layers is dropped in training.
    pub dropout: f64,
    /// How many numbers of a code are kept, if not all.
    pub top_k: Option<usize>,
}

impl Default for NetworkOptions {
    fn default() -> Self {
        Self {
            layers: vec![128, 32],
            decoder_layers: None,
            tied: false,
            activation: Activation::Relu,
            code_activation: Activation::Identity,
            output_activation: Activation::Identity,
            initialisation: Initialisation::Auto,
            normalisation: Normalisation::None,
            dropout: 0.0,
            top_k: None,
        }
    }
}

/// Layers one after the other, with a code among them.
#[derive(Debug, Clone, PartialEq)]
pub struct Network<T = f32> {
    layers: Vec<Layer<T>>,
    /// Layers up to the code.
    encoder_depth: usize,
    pub(super) input_dim: usize,
    top_k: Option<usize>,
    /// Whether the last activation is left to the loss.
    logits: bool,
}

impl<T: Real> Network<T> {
    /// An autoencoder of rows of `input_dim` columns with weights drawn from `seed`; `logits` if the
    /// loss takes them.
    ///
    /// # Errors
    /// If a width is 0, `top_k` is not between 1 and the width of the code, dropout is not between 0
    /// and 1, or a tied decoder is to have widths of its own.
    pub fn new(
        input_dim: usize,
        options: &NetworkOptions,
        logits: bool,
        seed: u64,
    ) -> Result<Self> {
        check(input_dim, options)?;
        let depth = options.layers.len();
        let mut widths = options.layers.clone();
        match &options.decoder_layers {
            Some(decoder) => widths.extend(decoder),
            None => widths.extend(options.layers[..depth - 1].iter().rev()),
        }
        widths.push(input_dim);
        let mut from = input_dim;
        let mut layers = Vec::with_capacity(widths.len());
        for (place, &to) in widths.iter().enumerate() {
            let inner = place + 1 != depth && place + 1 != widths.len();
            let activation = match place + 1 {
                last if last == widths.len() => options.output_activation,
                code if code == depth => options.code_activation,
                _ => options.activation,
            };
            let tied_to = (options.tied && place >= depth).then(|| widths.len() - 1 - place);
            let mut random = Random::numbered(seed, "weights", &[place as u64]);
            layers.push(Layer::new(from, to, activation, tied_to, options, inner, &mut random));
            from = to;
        }
        Ok(Self { layers, encoder_depth: depth, input_dim, top_k: options.top_k, logits })
    }

    /// The layers, first to last.
    pub fn layers(&self) -> &[Layer<T>] {
        &self.layers
    }

    /// How many of them lead to the code.
    pub fn encoder_depth(&self) -> usize {
        self.encoder_depth
    }

    /// The weights `(d_l, d_(l−1))` of layer `place`.
    pub fn weight(&self, place: usize) -> ndarray::ArrayView2<'_, T> {
        match &self.layers[place].tied_to {
            Some(owner) => self.layers[*owner].weight.view().reversed_axes(),
            None => self.layers[place].weight.view(),
        }
    }
}

/// Refuses a shape that cannot be.
pub(crate) fn check(input_dim: usize, options: &NetworkOptions) -> Result<()> {
    let refuse = |expected: &str, got: String, remedy: &str| {
        Err(Error::mistake("make a network", expected, got, remedy))
    };
    let decoder = options.decoder_layers.iter().flatten();
    if options.layers.is_empty() || options.layers.iter().chain(decoder).any(|&width| width == 0) {
        let got = format!("{:?}", options.layers);
        return refuse("widths of at least 1, one or more", got, "set model.layers, as [128, 32]");
    }
    if input_dim == 0 {
        return refuse("rows of at least 1 column", "0".into(), "give other data");
    }
    if options.tied && options.decoder_layers.is_some() {
        let got = "`decoder_layers` of its own".to_owned();
        return refuse("a tied decoder to mirror the encoder", got, "leave one of both out");
    }
    let code = options.layers[options.layers.len() - 1];
    if let Some(k) = options.top_k.filter(|&k| k == 0 || k > code) {
        return refuse(
            &format!("`top_k` from 1 to {code}, the width of the code"),
            k.to_string(),
            "set model.top_k",
        );
    }
    check_dropout(options.dropout)?;
    match options.initialisation {
        Initialisation::Pca => warm_start::check(options),
        _ => Ok(()),
    }
}

/// Refuses what is no probability of dropping a number, or drops them all.
pub(crate) fn check_dropout(dropout: f64) -> Result<()> {
    if (0.0..1.0).contains(&dropout) {
        return Ok(());
    }
    Err(Error::mistake(
        "make a network",
        "`dropout` of 0 or more, below 1",
        dropout.to_string(),
        "set model.dropout",
    ))
}

impl Autoencoder for Network {
    fn input_dim(&self) -> usize {
        self.input_dim
    }
    fn latent_dim(&self) -> usize {
        self.layers[self.encoder_depth - 1].output_dim()
    }
    fn encode(&self, x: &Matrix) -> Result<Matrix> {
        check_columns("encode", "columns", self.input_dim, x.cols())?;
        Ok(self.run(x, 0..self.encoder_depth, true))
    }
    fn decode(&self, z: &Matrix) -> Result<Matrix> {
        check_columns("decode", "columns", self.latent_dim(), z.cols())?;
        Ok(self.run(z, self.encoder_depth..self.layers.len(), true))
    }
}
