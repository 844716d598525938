//! A head on the codes of an encoder: a classifier or a regressor.
//!
//! ```text
//! classifier   p_ic = e^(o_ic) / Σ_k e^(o_ik)      o: the outputs of the network (n, classes)
//! regressor    ŷ_i = o_i                           o: (n, 1), in the units of the labels
//! ```

use ndarray::{Array2, ArrayView2};

use super::{Model, Network, through_f32};
use crate::compute::softmax_rows;
use crate::error::{Error, Result};
use crate::model::check_columns;

/// What a predictor tells of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Its class, of these.
    Class(Vec<String>),
    /// A number, which has this name.
    Number(String),
}

/// An encoder with a head on its codes.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictor {
    network: Network,
    answer: Answer,
}

impl Predictor {
    /// From a network whose outputs are logits of the classes, or the number.
    ///
    /// # Errors
    /// If there are other numbers of outputs and of classes (one for a number).
    pub fn new(network: Network, answer: Answer) -> Result<Self> {
        let outputs = network.layers().last().map_or(0, |layer| layer.output_dim());
        let wanted = match &answer {
            Answer::Class(names) => names.len(),
            Answer::Number(_) => 1,
        };
        if outputs == wanted && outputs > 0 {
            return Ok(Self { network, answer });
        }
        Err(Error::mistake(
            "make a predictor",
            format!("{wanted} outputs, one for each class (one for a number)"),
            outputs.to_string(),
            "give a network with a head for these classes",
        ))
    }

    /// The encoder with its head.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// What it tells of a row.
    pub fn answer(&self) -> &Answer {
        &self.answer
    }

    /// The probability of each class `(n, classes)`, or the number `(n, 1)`, for rows `(n, d)`; it
    /// computes in f32.
    ///
    /// # Errors
    /// If the rows have another number of columns than the model.
    pub fn predict(&self, x: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
        through_f32(x, |x| {
            check_columns("predict", "columns", self.network.input_dim, x.cols())?;
            let mut outputs = self.network.through(x, 0..self.network.layers().len());
            if matches!(self.answer, Answer::Class(_)) {
                softmax_rows(&mut outputs);
            }
            Ok(outputs)
        })
    }
}

impl Model {
    /// What turns rows into codes, as layers: of a closed form or a linear autoencoder one layer
    /// without an activation.
    ///
    /// # Errors
    /// If the model is a sparse dictionary, which has no layers.
    pub fn encoder(&self) -> Result<Network> {
        Ok(match self {
            Self::Pca(pca) => Network::projection(pca.encoding_axes().view(), pca.mean.view()),
            Self::Linear(linear) => {
                let mean = linear.mean().iter().map(|&value| f64::from(value)).collect();
                let mean: ndarray::Array1<f64> = mean;
                Network::projection(linear.encoder().mapv(f64::from).view(), mean.view())
            }
            Self::Network(network) => network.encoder(),
            Self::Predictor(predictor) => predictor.network.encoder(),
            Self::Dictionary(_) => {
                return Err(Error::mistake(
                    "take the encoder of a model",
                    "a model whose encoder is layers",
                    "a sparse dictionary",
                    "give a run of another kind, or learn from its codes: `narrows encode`",
                ));
            }
        })
    }
}
