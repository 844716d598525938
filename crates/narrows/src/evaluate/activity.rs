//! How often the units of a code are on.
//!
//! ```text
//! relu and its kin    a unit is on where h > 0         rate: share of the rows in which it is on
//! top-k codes         a unit is on where h ≠ 0         rate: the same
//! sigmoid             h is a share itself              rate: mean of h
//! tanh under KL       (1 + h)/2 is                     rate: mean of it, as the penalty takes it
//!
//! dead    never on; where activations are shares: max h − min h < 0.01 over the rows, so that the unit
//!         tells nothing of them, whether it stays at 0 or at the p that a KL penalty wants
//! dense   rate above ½
//! ```
//!
//! Codes of other functions (identity, softplus, tanh without KL) have no off.

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::compute::Activation;
use crate::data::Source;
use crate::error::Result;
use crate::model::Model;

/// Rows that are held at a time.
const BLOCK: usize = 2048;
/// A unit whose activation is a share and moves less than this is dead.
const STILL: f64 = 0.01;
/// A unit with a higher rate is dense.
const DENSE: f64 = 0.5;

/// What the rate of a unit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rate {
    /// The share of the rows where it is above zero.
    Positive,
    /// The share of the rows where it is not zero.
    Kept,
    /// The mean of its activation, brought to shares of one.
    Mean,
}

/// How often each unit is on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Activity {
    /// Rows that were measured.
    pub rows: usize,
    /// What the rates are.
    pub rate: Rate,
    /// The rate of each unit, `(m,)`.
    pub rates: Vec<f64>,
    /// Units that are never on, or never move.
    pub dead: usize,
    /// Units with a rate above a half.
    pub dense: usize,
    /// The rate that a KL penalty asked for; `None` without one.
    pub target: Option<f64>,
}

impl Activity {
    /// Measures the code of `model` on prepared rows, read once, 2,048 at a time; `target` is the p of its
    /// KL penalty. `None` where its code has no off.
    ///
    /// # Errors
    /// If the rows cannot be read, or have other columns than the model.
    pub fn measure(rows: &dyn Source, model: &Model, target: Option<f64>) -> Result<Option<Self>> {
        let Some(seen) = Seen::by(model, target) else { return Ok(None) };
        let mut units = vec![Unit::default(); model.latent_dim()];
        let (count, dim) = (rows.rows(), rows.dim());
        for start in (0..count).step_by(BLOCK) {
            let mut block = Array2::<f64>::zeros((BLOCK.min(count - start), dim));
            rows.read_f64(start, block.as_slice_mut().expect("owned and row-major"))?;
            model.fill_missing(&mut block)?;
            for code in model.encode(block.view())?.outer_iter() {
                units.iter_mut().zip(code).for_each(|(unit, &h)| unit.add(seen.value(h)));
            }
        }
        let rates: Vec<f64> = units.iter().map(|unit| unit.sum / count.max(1) as f64).collect();
        let dead = |unit: &&Unit| match seen.rate {
            Rate::Mean => unit.most - unit.least < STILL,
            Rate::Positive | Rate::Kept => unit.sum == 0.0,
        };
        Ok(Some(Self {
            rows: count,
            rate: seen.rate,
            dead: units.iter().filter(dead).count(),
            dense: rates.iter().filter(|rate| **rate > DENSE).count(),
            rates,
            target,
        }))
    }
}

/// How an activation counts.
struct Seen {
    rate: Rate,
    /// Whether it lies between −1 and 1.
    signed: bool,
}

impl Seen {
    fn by(model: &Model, target: Option<f64>) -> Option<Self> {
        let network = match model {
            Model::Network(network) => network,
            Model::Predictor(predictor) => predictor.network(),
            Model::Pca(_) | Model::Linear(_) | Model::Dictionary(_) => return None,
        };
        let activation = network.layers()[network.encoder_depth() - 1].activation();
        let (rate, signed) = match activation {
            _ if network.shape().top_k.is_some() => (Rate::Kept, false),
            Activation::Relu
            | Activation::LeakyRelu
            | Activation::Elu
            | Activation::Gelu
            | Activation::GeluTanh
            | Activation::Silu => (Rate::Positive, false),
            Activation::Sigmoid => (Rate::Mean, false),
            Activation::Tanh if target.is_some() => (Rate::Mean, true),
            Activation::Tanh | Activation::Identity | Activation::Softplus => return None,
        };
        Some(Self { rate, signed })
    }

    fn value(&self, h: f64) -> f64 {
        match self.rate {
            Rate::Positive => f64::from(u8::from(h > 0.0)),
            Rate::Kept => f64::from(u8::from(h != 0.0)),
            Rate::Mean if self.signed => 0.5 * (1.0 + h),
            Rate::Mean => h,
        }
    }
}

#[derive(Debug, Clone)]
struct Unit {
    sum: f64,
    least: f64,
    most: f64,
}

impl Default for Unit {
    fn default() -> Self {
        Self { sum: 0.0, least: f64::INFINITY, most: f64::NEG_INFINITY }
    }
}

impl Unit {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.least = self.least.min(value);
        self.most = self.most.max(value);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::Network;
    use crate::model::network::NetworkOptions;
    use ndarray::array;

    /// A code of three units: the first two numbers of a row, and the second less 5.
    fn model(code_activation: Activation, top_k: Option<usize>) -> Model {
        let options =
            NetworkOptions { layers: vec![3], code_activation, top_k, ..Default::default() };
        let mut network = Network::new(2, &options, false, 0).unwrap();
        let mut tensors = network.tensors();
        tensors[0].2 = vec![1.0, 0.0, 0.0, 1.0, 0.0, 1.0];
        tensors[1].2 = vec![0.0, 0.0, -5.0];
        network.set_tensors(tensors).unwrap();
        Model::Network(network)
    }

    fn measured(model: &Model, target: Option<f64>) -> Option<Activity> {
        let rows = array![[1.0, 2.0], [-1.0, 3.0], [-2.0, 4.0], [-3.0, -1.0]];
        Activity::measure(&rows.view(), model, target).unwrap()
    }

    #[test]
    fn a_unit_of_relu_is_on_above_zero() {
        let found = measured(&model(Activation::Relu, None), None).unwrap();
        assert_eq!((found.rate, &found.rates[..]), (Rate::Positive, &[0.25, 0.75, 0.0][..]));
        assert_eq!((found.rows, found.dead, found.dense), (4, 1, 1));
    }

    /// The largest of each row: 2, 3, 4, −1.
    #[test]
    fn a_unit_of_a_top_k_code_is_on_where_it_is_kept() {
        let found = measured(&model(Activation::Identity, Some(1)), None).unwrap();
        assert_eq!((found.rate, &found.rates[..]), (Rate::Kept, &[0.0, 1.0, 0.0][..]));
        assert_eq!((found.dead, found.dense), (2, 1));
    }

    #[test]
    fn shares_are_averaged_and_dead_where_they_do_not_move() {
        let share = |x: f64| 1.0 / (1.0 + (-x).exp());
        let found = measured(&model(Activation::Sigmoid, None), Some(0.1)).unwrap();
        let expected = [1.0, -1.0, -2.0, -3.0].map(share).iter().sum::<f64>() / 4.0;
        assert!((found.rates[0] - expected).abs() < 1e-7, "{found:?}");
        assert_eq!((found.rate, found.dead, found.target), (Rate::Mean, 0, Some(0.1)));

        let mut still = model(Activation::Sigmoid, None);
        let Model::Network(network) = &mut still else { unreachable!("a network was made") };
        let mut tensors = network.tensors();
        tensors[0].2 = vec![1.0, 0.0, 0.0, 0.0, 1e-3, 0.0];
        network.set_tensors(tensors).unwrap();
        assert_eq!(measured(&still, None).unwrap().dead, 2);
    }

    #[test]
    fn tanh_is_a_share_where_a_penalty_takes_it_for_one() {
        let tanh = model(Activation::Tanh, None);
        let expected = [1.0, -1.0, -2.0, -3.0].map(|x: f64| 0.5 * (1.0 + x.tanh()));
        let found = measured(&tanh, Some(0.2)).unwrap();
        assert!((found.rates[0] - expected.iter().sum::<f64>() / 4.0).abs() < 1e-7, "{found:?}");
        assert_eq!(measured(&tanh, None), None);
        assert_eq!(measured(&model(Activation::Identity, None), None), None);
    }
}
