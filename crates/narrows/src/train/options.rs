//! How to train.

use serde::{Deserialize, Serialize};

use super::{AugmentationOptions, Epoch, Method, Optimizer, Schedule};
use crate::error::{Error, Result};
use crate::model::Trainable;

/// How to train. [`TrainOptions::linear`] and [`TrainOptions::network`] are defaults that suit.
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
    /// λ: how strongly weights are drawn to zero.
    pub weight_decay: f64,
    /// The largest norm that the gradient of all parameters together may have.
    pub gradient_clip: Option<f64>,
    /// Rows of a step in the first epoch.
    pub batch_size: usize,
    /// What the batch is multiplied by after each epoch, at least 1. It ends at all rows.
    pub batch_growth: f64,
    /// Passes over the rows; steps of L-BFGS.
    pub epochs: usize,
    /// How the learning rate falls.
    pub schedule: Schedule,
    /// The part of training in which the learning rate rises: 0 … 1, 1 excluded.
    pub warm_up: f64,
    /// The share of the rows, drawn at random, that are kept out of training to measure it.
    pub validation: f64,
    /// Epochs without a better validation loss after which training stops; the best weights are kept.
    pub patience: Option<usize>,
    /// How much of itself the running average of the weights keeps at each step; the average is what
    /// is measured and kept. 0: no average.
    pub average: f64,
    /// Small changes of pictures while training.
    pub augmentation: AugmentationOptions,
    /// Seconds after which training writes a checkpoint.
    pub checkpoint_seconds: f64,
    /// Seed of the order of rows and of noise.
    #[serde(skip)]
    pub seed: u64,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self::network()
    }
}

impl TrainOptions {
    /// Brings a linear autoencoder of MNIST within 1e-6 of the optimal loss; sets of few rows take few
    /// steps per epoch and need more epochs.
    ///
    /// Batches grow from epoch to epoch until a step sees every row: small batches come near the
    /// minimum in few passes, and the last passes, free of the noise of sampling, reach it.
    pub fn linear() -> Self {
        Self {
            learning_rate: 1e-2,
            second_momentum: 0.99,
            batch_size: 256,
            batch_growth: 1.25,
            epochs: 120,
            ..Self::network()
        }
    }

    /// Suits a head, and the layers under it, that learn labels.
    pub fn labels() -> Self {
        Self { optimizer: Method::Adamw, weight_decay: 0.01, ..Self::network() }
    }

    /// With as many epochs more as it takes to make `steps` steps over so many rows; as it is with
    /// L-BFGS, whose steps are worth many.
    #[must_use]
    pub fn with_least_steps(mut self, steps: usize, rows: usize) -> Self {
        if self.optimizer == Method::Lbfgs {
            return self;
        }
        let trained = rows as f64 * (1.0 - self.validation);
        let per_epoch = (trained / self.batch_size.max(1) as f64).ceil().max(1.0);
        self.epochs = self.epochs.max((steps as f64 / per_epoch).ceil() as usize);
        self
    }

    /// Suits networks of layers on some ten thousand rows.
    pub fn network() -> Self {
        Self {
            optimizer: Method::Adam,
            learning_rate: 1e-3,
            momentum: 0.9,
            second_momentum: 0.999,
            weight_decay: 0.0,
            gradient_clip: None,
            batch_size: 128,
            batch_growth: 1.0,
            epochs: 30,
            schedule: Schedule::Cosine,
            warm_up: 0.0,
            validation: 0.0,
            patience: None,
            average: 0.0,
            augmentation: AugmentationOptions::default(),
            checkpoint_seconds: 60.0,
            seed: 0,
        }
    }
}

impl TrainOptions {
    /// Refuses what cannot work.
    pub(super) fn check(&self) -> Result<()> {
        let part = |value: f64| (0.0..1.0).contains(&value);
        let augmentation = self.augmentation;
        let rules: [(&str, &str, bool, String); 15] = [
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
            (
                "weight_decay",
                "a number of at least 0",
                self.weight_decay >= 0.0 && self.weight_decay.is_finite(),
                self.weight_decay.to_string(),
            ),
            (
                "gradient_clip",
                "a positive number",
                self.gradient_clip.is_none_or(|limit| limit > 0.0),
                format!("{:?}", self.gradient_clip),
            ),
            (
                "validation",
                "0 or more, below 1",
                part(self.validation),
                self.validation.to_string(),
            ),
            (
                "patience",
                "at least 1, with train.validation above 0",
                self.patience.is_none_or(|epochs| epochs > 0 && self.validation > 0.0),
                format!("{:?}, validation {}", self.patience, self.validation),
            ),
            ("average", "0 or more, below 1", part(self.average), self.average.to_string()),
            (
                "average",
                "0 with L-BFGS, whose steps each see every row",
                self.average == 0.0 || self.optimizer != Method::Lbfgs,
                self.average.to_string(),
            ),
            (
                "checkpoint_seconds",
                "a number of at least 0",
                self.checkpoint_seconds >= 0.0,
                self.checkpoint_seconds.to_string(),
            ),
            (
                "augmentation",
                "numbers of at least 0, `share` at most 1",
                [augmentation.shift, augmentation.rotation, augmentation.elastic]
                    .iter()
                    .all(|&size| size >= 0.0 && size.is_finite())
                    && (0.0..=1.0).contains(&augmentation.share),
                format!("{augmentation:?}"),
            ),
        ];
        for (name, expected, holds, got) in rules {
            if !holds {
                let expected = format!("`{name}` to be {expected}");
                return Err(Error::mistake("train", expected, got, format!("set train.{name}")));
            }
        }
        Ok(())
    }

    /// The epoch of a training whose weights were kept: with `patience` the first of least validation
    /// loss, else the last.
    pub fn kept<'a>(&self, history: &'a [Epoch]) -> Option<&'a Epoch> {
        let better = |best: &'a Epoch, next: &'a Epoch| match next.validation < best.validation {
            true => next,
            false => best,
        };
        match self.patience {
            Some(_) => history.iter().reduce(better),
            None => history.last(),
        }
    }

    pub(super) fn optimizer(&self, model: &dyn Trainable) -> Optimizer {
        let sizes: Vec<usize> = model.parameters().iter().map(|values| values.len()).collect();
        let numbers = [self.momentum, self.second_momentum, self.weight_decay];
        Optimizer::new(self.optimizer, numbers, sizes)
    }

    /// Rows of a step in an epoch, counted from 0.
    pub(super) fn batch_size_at(&self, epoch: usize, rows: usize) -> usize {
        let grown = self.batch_size as f64 * self.batch_growth.powf(epoch as f64);
        // A cast of a large float saturates.
        (grown as usize).clamp(1, rows)
    }

    /// The rate of a step of an epoch that has `steps`, both counted from 0.
    pub(super) fn rate_at(&self, epoch: usize, step: f64, steps: usize) -> f64 {
        let progress = (epoch as f64 + step / steps as f64) / self.epochs as f64;
        self.learning_rate * self.schedule.factor(progress, self.warm_up)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_patience_the_epoch_of_least_validation_loss_is_kept() {
        let epoch = |place: usize, validation: f64| Epoch {
            epoch: place + 1,
            loss: 1.0 / (place as f64 + 1.0),
            penalty: None,
            validation: Some(validation),
            learning_rate: 0.1,
            batch_size: 1,
            seconds: 0.0,
            rows_per_second: 0.0,
        };
        let losses = [0.9, 0.5, 0.7, 0.5, 0.8];
        let history: Vec<Epoch> =
            losses.iter().enumerate().map(|(place, &loss)| epoch(place, loss)).collect();
        let kept = |patience| {
            let options = TrainOptions { patience, ..TrainOptions::network() };
            options.kept(&history).map(|epoch| epoch.epoch)
        };
        assert_eq!((kept(Some(3)), kept(None)), (Some(2), Some(5)));
        assert_eq!(TrainOptions::network().kept(&[]), None);
    }
}
