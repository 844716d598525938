//! A network as named tensors, and back.
//!
//! ```text
//! encoder.0.weight (d_out, d_in)   encoder.0.bias (d_out)   encoder.0.scale, .running_mean,
//! .running_variance (d_out) where normalised; decoder.0.… likewise; no weight where tied
//! ```

use serde::{Deserialize, Serialize};

use super::{Layer, Network, Normalisation};
use crate::compute::{Activation, Matrix};
use crate::error::{Error, Result};

/// A tensor: name, shape, values.
type Tensor = (String, Vec<usize>, Vec<f32>);

/// Everything about a network that is not a number learned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Columns of a row.
    pub input_dim: usize,
    /// Layers up to the code.
    pub encoder_depth: usize,
    /// How many numbers of a code are kept, if not all.
    pub top_k: Option<usize>,
    /// Whether the last activation is part of the loss.
    pub logits: bool,
    /// Each layer.
    pub layers: Vec<LayerShape>,
}

/// Everything about a layer that is not a number learned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerShape {
    /// Columns of its output.
    pub width: usize,
    /// The function at its end.
    pub activation: Activation,
    /// What normalises it.
    pub normalisation: Normalisation,
    /// The probability that a number is dropped in training.
    pub dropout: f64,
    /// The layer whose weights it has, transposed.
    pub tied_to: Option<usize>,
}

impl Network {
    /// Everything but the numbers learned.
    pub fn shape(&self) -> Shape {
        let layers = self.layers.iter().map(|layer| LayerShape {
            width: layer.output_dim(),
            activation: layer.activation,
            normalisation: layer.normalisation,
            dropout: layer.dropout,
            tied_to: layer.tied_to,
        });
        Shape {
            input_dim: self.input_dim,
            encoder_depth: self.encoder_depth,
            top_k: self.top_k,
            logits: self.logits,
            layers: layers.collect(),
        }
    }

    /// A network of that shape, all of whose numbers are zero.
    ///
    /// # Errors
    /// If the shape contradicts itself.
    pub fn of_shape(shape: &Shape) -> Result<Self> {
        let bad = |got: String| {
            let remedy = "give a run that `narrows fit` wrote";
            Err(Error::mistake("load a network", "layers that fit each other", got, remedy))
        };
        if shape.encoder_depth == 0 || shape.encoder_depth > shape.layers.len() {
            return bad(format!("a code after {} layers", shape.encoder_depth));
        }
        let mut from = shape.input_dim;
        let mut layers: Vec<Layer> = Vec::with_capacity(shape.layers.len());
        for (place, layer) in shape.layers.iter().enumerate() {
            let to = layer.width;
            let owner = layer.tied_to.map(|owner| layers.get(owner).map(|l| (l.dims, l.tied_to)));
            if owner.is_some_and(|owner| owner != Some(((to, from), None))) || to == 0 {
                return bad(format!("layer {place} of {to} columns tied to {:?}", layer.tied_to));
            }
            let weight = match layer.tied_to {
                Some(_) => Matrix::default(),
                None => Matrix::zeros(to, from),
            };
            let mut made = Layer::bare(from, to, weight, layer.tied_to, layer.activation);
            made.normalise(layer.normalisation);
            made.dropout = layer.dropout;
            layers.push(made);
            from = to;
        }
        Ok(Self {
            layers,
            encoder_depth: shape.encoder_depth,
            input_dim: shape.input_dim,
            top_k: shape.top_k,
            logits: shape.logits,
        })
    }

    /// Names, shapes and values of everything learned.
    pub fn tensors(&self) -> Vec<Tensor> {
        let mut tensors = Vec::new();
        for (place, layer) in self.layers.iter().enumerate() {
            for (part, shape, values) in parts(layer) {
                tensors.push((self.name(place, part), shape, values.to_vec()));
            }
        }
        tensors
    }

    /// Takes over the values of tensors as [`Network::tensors`] names them, in any order.
    ///
    /// # Errors
    /// If one is missing, unknown or of another shape.
    pub fn set_tensors(&mut self, tensors: Vec<Tensor>) -> Result<()> {
        let wanted = self.tensors();
        let mut given: std::collections::BTreeMap<_, _> =
            tensors.into_iter().map(|(name, shape, values)| (name, (shape, values))).collect();
        let bad = |expected: String, got: String| {
            let remedy = "give the weights that belong to the configuration";
            Error::mistake("load a network", expected, got, remedy)
        };
        let mut found = Vec::with_capacity(wanted.len());
        for (name, shape, values) in wanted {
            let expected = || format!("`{name}` of shape {shape:?}");
            let (got_shape, got) =
                given.remove(&name).ok_or_else(|| bad(expected(), "none".to_owned()))?;
            if got_shape != shape || got.len() != values.len() {
                return Err(bad(expected(), format!("shape {got_shape:?}")));
            }
            found.push(got);
        }
        if let Some((name, _)) = given.pop_first() {
            return Err(bad(
                "the tensors of the configuration".to_owned(),
                format!("`{name}` too"),
            ));
        }
        let mut found = found.into_iter();
        for layer in &mut self.layers {
            let running = [&mut layer.running.0, &mut layer.running.1];
            let mut vectors = vec![&mut layer.bias, &mut layer.scale];
            vectors.extend(running);
            if layer.tied_to.is_none() {
                let values = found.next().unwrap_or_default();
                layer.weight = Matrix::from_rows(layer.dims.1, layer.dims.0, values)?;
            }
            for vector in vectors.into_iter().filter(|vector| !vector.is_empty()) {
                *vector = found.next().unwrap_or_default();
            }
        }
        Ok(())
    }

    fn name(&self, place: usize, part: &str) -> String {
        match place.checked_sub(self.encoder_depth) {
            None => format!("encoder.{place}.{part}"),
            Some(place) => format!("decoder.{place}.{part}"),
        }
    }
}

/// The parts of a layer that are there: name, shape, values.
fn parts(layer: &Layer) -> impl Iterator<Item = (&'static str, Vec<usize>, &[f32])> {
    let (from, to) = layer.dims;
    [
        ("weight", vec![to, from], layer.weight.as_slice()),
        ("bias", vec![to], &layer.bias),
        ("scale", vec![to], &layer.scale),
        ("running_mean", vec![to], &layer.running.0),
        ("running_variance", vec![to], &layer.running.1),
    ]
    .into_iter()
    .filter(|(_, _, values)| !values.is_empty())
}
