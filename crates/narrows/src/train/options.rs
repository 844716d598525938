//! How to train.

use serde::{Deserialize, Serialize};

use super::{Method, Optimizer, Schedule};
use crate::error::{Error, Result};
use crate::model::Trainable;

/// How to train. The defaults bring a linear autoencoder of MNIST within 1e-6 of the optimal loss;
/// sets of few rows take few steps per epoch and need more epochs.
///
/// Batches grow from epoch to epoch until a step sees every row: small batches come near the
/// minimum in few passes, and the last passes, free of the noise of sampling, reach it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainOptions {
    /// The rule that turns gradients into steps.
    pub optimizer: Method,
    /// Its step size, η.
    pub learning_rate: f64,
    /// How much of its last step it keeps, β: 0 … 1, 1 excluded.
    pub momentum: f64,
    /// Adam: how much of the last mean square of the gradient it keeps, β₂: 0 … 1, 1 excluded.
    pub second_momentum: f64,
    /// Rows of a step in the first epoch.
    pub batch_size: usize,
    /// What the batch is multiplied by after each epoch, at least 1. It ends at all rows.
    pub batch_growth: f64,
    /// Passes over the rows.
    pub epochs: usize,
    /// How the learning rate falls.
    pub schedule: Schedule,
    /// The part of training in which the learning rate rises from zero: 0 … 1, 1 excluded.
    pub warm_up: f64,
    /// Seed of the order of rows.
    #[serde(skip)]
    pub seed: u64,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            optimizer: Method::Adam,
            learning_rate: 1e-2,
            momentum: 0.9,
            second_momentum: 0.99,
            batch_size: 256,
            batch_growth: 1.25,
            epochs: 120,
            schedule: Schedule::Cosine,
            warm_up: 0.0,
            seed: 0,
        }
    }
}

impl TrainOptions {
    /// Refuses what cannot work.
    pub(super) fn check(&self) -> Result<()> {
        let part = |value: f64| (0.0..1.0).contains(&value);
        let rules: [(&str, &str, bool, String); 7] = [
            (
                "learning_rate",
                "a positive number",
                self.learning_rate > 0.0 && self.learning_rate.is_finite(),
                self.learning_rate.to_string(),
            ),
            ("momentum", "0 or more, below 1", part(self.momentum), self.momentum.to_string()),
            (
                "second_momentum",
                "0 or more, below 1",
                part(self.second_momentum),
                self.second_momentum.to_string(),
            ),
            ("batch_size", "at least 1", self.batch_size > 0, self.batch_size.to_string()),
            (
                "batch_growth",
                "a number of at least 1",
                self.batch_growth >= 1.0 && self.batch_growth.is_finite(),
                self.batch_growth.to_string(),
            ),
            ("epochs", "at least 1", self.epochs > 0, self.epochs.to_string()),
            ("warm_up", "0 or more, below 1", part(self.warm_up), self.warm_up.to_string()),
        ];
        for (name, expected, holds, got) in rules {
            if !holds {
                let expected = format!("`{name}` to be {expected}");
                return Err(Error::mistake("train", expected, got, format!("set train.{name}")));
            }
        }
        Ok(())
    }

    pub(super) fn optimizer(&self, model: &dyn Trainable) -> Optimizer {
        let sizes: Vec<usize> = model.parameters().iter().map(|values| values.len()).collect();
        Optimizer::new(self.optimizer, self.momentum as f32, self.second_momentum as f32, sizes)
    }

    /// Rows of a step in an epoch, counted from 0.
    pub(super) fn batch_size_at(&self, epoch: usize, rows: usize) -> usize {
        let grown = self.batch_size as f64 * self.batch_growth.powf(epoch as f64);
        // A cast of a large float saturates.
        (grown as usize).clamp(1, rows)
    }

    pub(super) fn rate(&self, progress: f64) -> f64 {
        self.learning_rate * self.schedule.factor(progress, self.warm_up)
    }
}
