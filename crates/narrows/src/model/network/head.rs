//! Layers as pieces: the encoder of one network under a head of another, and parts of a network by
//! themselves.
//!
//! ```text
//! head     o = a_c Wᵀ + b      a_c: (n, m) codes   W: (outputs, m)   b: (outputs,)   o: (n, outputs)
//! affine   z = (x − μ) Vᵀ as a layer: W = V, b = −V μ
//! ```

use std::ops::Range;

use ndarray::{ArrayView1, ArrayView2};

use super::{Initialisation, Layer, Network};
use crate::compute::{Activation, Matrix};
use crate::random::Random;

/// Rows that pass through layers at a time.
const PIECE: usize = 2048;

impl Network {
    /// The layers up to the code, with weights of their own.
    pub fn encoder(&self) -> Self {
        let layers = (0..self.encoder_depth).map(|place| Layer {
            weight: Matrix::from(self.weight(place).to_owned()),
            tied_to: None,
            ..self.layers[place].clone()
        });
        Self { layers: layers.collect(), logits: false, ..self.clone() }
    }

    /// The same layers, each of which drops a number with that probability in training.
    #[must_use]
    pub fn with_dropout(mut self, dropout: f64) -> Self {
        self.layers.iter_mut().for_each(|layer| layer.dropout = dropout);
        self
    }

    /// The one layer that centres rows and projects them on `axes` `(m, d)`; `mean` is `(d,)`.
    pub fn projection(axes: ArrayView2<'_, f64>, mean: ArrayView1<'_, f64>) -> Self {
        let (to, from) = axes.dim();
        let weight = Matrix::from(axes.mapv(|value| value as f32));
        let mut layer = Layer::bare(from, to, weight, None, Activation::Identity);
        layer.bias = axes.dot(&mean).iter().map(|&value| -value as f32).collect();
        Self::of_layers(vec![layer], 1)
    }

    /// The encoder with one dense layer of `outputs` columns on its code, drawn from `seed`; `logits`
    /// if the loss takes them. The codes stay available: [`Network::encoder_depth`] is that of the
    /// encoder.
    pub fn with_head(&self, outputs: usize, logits: bool, seed: u64) -> Self {
        let mut network = self.encoder();
        let place = network.layers.len();
        let codes = network.layers[place - 1].output_dim();
        network.layers.push(head(codes, outputs, place, seed));
        Self { logits, ..network }
    }

    /// A head without an encoder under it: linear or logistic regression.
    pub(crate) fn only_head(input_dim: usize, outputs: usize, logits: bool, seed: u64) -> Self {
        Self { logits, ..Self::of_layers(vec![head(input_dim, outputs, 0, seed)], 0) }
    }

    /// The same layers with weights drawn anew from `seed`, as suits their activations.
    pub fn from_scratch(&self, seed: u64) -> Self {
        let fresh = |(place, layer): (usize, &Layer)| {
            let (from, to) = layer.dims;
            let mut random = Random::numbered(seed, "weights", &[place as u64]);
            let weight = match layer.tied_to {
                Some(_) => Matrix::default(),
                None => Initialisation::Auto.draw(from, to, layer.activation, &mut random),
            };
            let mut fresh = Layer::bare(from, to, weight, layer.tied_to, layer.activation);
            fresh.normalise(layer.normalisation);
            fresh.dropout = layer.dropout;
            fresh
        };
        Self { layers: self.layers.iter().enumerate().map(fresh).collect(), ..self.clone() }
    }

    /// The layers from `depth` on, none of which may be tied to one before.
    pub(crate) fn tail(&self, depth: usize) -> Self {
        Self {
            layers: self.layers[depth..].to_vec(),
            encoder_depth: self.encoder_depth.saturating_sub(depth),
            input_dim: self.layers[depth].input_dim(),
            ..self.clone()
        }
    }

    /// Takes the layers of `tail` in place of those from `depth` on.
    pub(crate) fn set_tail(&mut self, depth: usize, tail: Self) {
        self.layers.truncate(depth);
        self.layers.extend(tail.layers);
    }

    /// `rows` `(n, d)` through some layers as the model is used, in pieces.
    pub(crate) fn through(&self, rows: &Matrix, layers: Range<usize>) -> Matrix {
        let to = layers.clone().next_back().map_or(rows.cols(), |l| self.layers[l].output_dim());
        let mut out = Matrix::zeros(rows.rows(), to);
        let pieces = rows.view();
        let outs = out.as_mut_slice().chunks_mut(PIECE * to);
        for (piece, out) in pieces.axis_chunks_iter(ndarray::Axis(0), PIECE).zip(outs) {
            let values = self.run(&Matrix::from(piece.to_owned()), layers.clone(), true);
            out.copy_from_slice(values.as_slice());
        }
        out
    }

    /// Outputs are multiplied by `scale`, then `shift` is added; the last layer must be linear.
    pub(crate) fn stretch_outputs(&mut self, scale: f32, shift: f32) {
        if let Some(last) = self.layers.last_mut() {
            last.weight.as_mut_slice().iter_mut().for_each(|weight| *weight *= scale);
            last.bias.iter_mut().for_each(|bias| *bias = *bias * scale + shift);
        }
    }

    fn of_layers(layers: Vec<Layer>, encoder_depth: usize) -> Self {
        let input_dim = layers.first().map_or(0, Layer::input_dim);
        Self { layers, encoder_depth, input_dim, top_k: None, logits: false }
    }
}

fn head(codes: usize, outputs: usize, place: usize, seed: u64) -> Layer {
    let mut random = Random::numbered(seed, "weights", &[place as u64]);
    let activation = Activation::Identity;
    let weight = Initialisation::Glorot.draw(codes, outputs, activation, &mut random);
    Layer::bare(codes, outputs, weight, None, activation)
}
