//! A stack as its tables describe it: storeys with what each has of its own, and the whole.
//!
//! ```text
//! storey            input      its range       output, loss
//! first             rows       of the data     as of a network
//! others, on        sigmoid    0 … 1           sigmoid; binary cross-entropy, or `objective.loss`
//!                   tanh       −1 … 1          identity; squared error
//!                   others     as if 0 … 1     identity; squared error
//! PCA               any        –               identity; closed form
//! ```
//!
//! Codes have `model.activation`, those of the last storey `model.code_activation`, those of PCA
//! none. The whole has the output and the loss of the first storey and no penalty on its code.

use super::{CorruptionTable, Decided, Kind, Recipe, StoreyKind, StoreyTable};
use crate::compute::{Activation, Matrix};
use crate::data::Preparation;
use crate::error::{Error, Result};
use crate::model::network::NetworkOptions;
use crate::objective::Loss;
use crate::train::{Stack, Storey, Task, TrainOptions};

const OPERATION: &str = "fit a stack";

impl Recipe {
    /// The stack before training, checked.
    pub(super) fn stack<'a>(
        &self,
        rows: &'a Matrix,
        preparation: &Preparation,
    ) -> Result<Stack<'a>> {
        let decided = self.decide(preparation.bounds());
        self.check_storeys(decided.output)?;
        self.check_decided(OPERATION, &decided)?;
        let augmentation = self.train.augmentation.of(preparation)?;
        let mut storeys: Vec<Storey<'a>> = Vec::with_capacity(self.model.layers.len());
        for (place, &width) in self.model.layers.iter().enumerate() {
            let decided = match storeys.last() {
                None => decided,
                Some(below) => self.decide_above(below.shape.code_activation),
            };
            storeys.push(self.storey(place, width, rows, decided));
        }
        let first = storeys.first_mut().and_then(|storey| storey.training.as_mut());
        first.into_iter().for_each(|(task, _)| task.augmentation = augmentation);
        let mut fine_tuning = self.fine_tuning(rows, decided);
        fine_tuning.iter_mut().for_each(|(task, _)| task.augmentation = augmentation);
        let stack = Stack { rows, storeys, fine_tuning, seed: self.seed };
        stack.check()?;
        Ok(stack)
    }

    /// Whether the rows go into PCA, whose output is as it is.
    pub(super) fn begins_with_pca(&self) -> bool {
        self.model.kind == Kind::Stack && self.is_pca(0)
    }

    fn is_pca(&self, place: usize) -> bool {
        self.storey.get(place).is_some_and(|storey| storey.kind == StoreyKind::Pca)
    }

    fn storey<'a>(
        &self,
        place: usize,
        width: usize,
        rows: &'a Matrix,
        decided: Decided,
    ) -> Storey<'a> {
        let code_activation = match place + 1 == self.model.layers.len() {
            _ if self.is_pca(place) => Activation::Identity,
            true => self.model.code_activation,
            false => self.model.activation,
        };
        let shape = NetworkOptions {
            layers: vec![width],
            code_activation,
            ..self.model.network(decided.output)
        };
        let training = (!self.is_pca(place)).then(|| {
            let own = self.storey.get(place).cloned().unwrap_or_default();
            let sparsity = own.sparsity.unwrap_or_else(|| self.objective.sparsity.clone());
            let task = decided.task(rows, &self.corruption_of(place));
            let usual = self.training();
            let options = TrainOptions {
                epochs: own.epochs.unwrap_or(usual.epochs),
                learning_rate: own.learning_rate.unwrap_or(usual.learning_rate),
                ..usual
            };
            (Task { sparsity: sparsity.sparsity(), ..task }, options)
        });
        Storey { shape, training }
    }

    fn fine_tuning<'a>(
        &self,
        rows: &'a Matrix,
        decided: Decided,
    ) -> Option<(Task<'a>, TrainOptions)> {
        let usual = self.training();
        let epochs = self.model.fine_tune_epochs.unwrap_or(usual.epochs);
        let noise = match self.model.fine_tune_corruption {
            true => self.corruption_of(0),
            false => CorruptionTable::default(),
        };
        (epochs > 0).then(|| (decided.task(rows, &noise), TrainOptions { epochs, ..usual }))
    }

    fn corruption_of(&self, place: usize) -> CorruptionTable {
        let own = self.storey.get(place).and_then(|storey| storey.corruption.clone());
        own.unwrap_or_else(|| self.objective.corruption.clone())
    }

    /// What the activation of a storey decides for the one above it.
    fn decide_above(&self, activation: Activation) -> Decided {
        let (output, loss) = (Activation::Identity, Loss::SquaredError);
        match activation {
            Activation::Sigmoid => Decided {
                output: Activation::Sigmoid,
                loss: self.objective.loss.unwrap_or(Loss::BinaryCrossEntropy),
                range: (0.0, 1.0),
            },
            Activation::Tanh => Decided { output, loss, range: (-1.0, 1.0) },
            _ => Decided { output, loss, range: (0.0, 1.0) },
        }
    }

    fn check_storeys(&self, output: Activation) -> Result<()> {
        let refuse = |expected: String, got: String, remedy: &str| {
            Err(Error::mistake(OPERATION, expected, got, remedy))
        };
        let (tables, widths) = (self.storey.len(), self.model.layers.len());
        if tables != 0 && tables != widths {
            return refuse(
                format!("no [[storey]] or {widths}, one for each width of model.layers"),
                tables.to_string(),
                "an empty [[storey]] is as [objective] and [train] say",
            );
        }
        let bare = StoreyTable { kind: StoreyKind::Pca, ..Default::default() };
        let odd = |storey: &StoreyTable| storey.kind == StoreyKind::Pca && *storey != bare;
        if let Some(place) = self.storey.iter().position(odd) {
            return refuse(
                format!("storey {} to have no other key beside `kind = \"pca\"`", place + 1),
                "one that PCA does not read".to_owned(),
                "leave it out, or set kind = \"autoencoder\"",
            );
        }
        if self.begins_with_pca() && output != Activation::Identity {
            return refuse(
                "an identity output, as the first storey is PCA".to_owned(),
                format!("{output:?}").to_lowercase(),
                "leave model.output_activation and objective.loss out",
            );
        }
        (0..widths).try_for_each(|place| self.corruption_of(place).check())
    }
}

#[cfg(test)]
mod tests;
