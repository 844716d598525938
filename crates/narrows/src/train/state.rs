//! Everything that training would need to go on as if it had never stopped.

use serde::{Deserialize, Serialize};

use super::{Epoch, Optimizer, StoreyRecord, TrainOptions};
use crate::error::{Error, Result};
use crate::model::Trainable;
use crate::objective::SparsityState;

/// One vector per parameter, or per buffer.
pub(super) type Vectors = Vec<Vec<f32>>;

/// Where training stands; with [`Checkpoint::vectors`] all there is to know.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Epochs done.
    pub epoch: usize,
    /// Steps done of the next one.
    pub step: usize,
    /// Sums over the rows of the steps done of the next epoch: loss and penalty.
    pub sums: [f64; 2],
    /// Seconds spent on the steps done of the next epoch.
    pub seconds: f64,
    /// Steps done in all.
    pub steps: u64,
    /// Steps that the optimiser has done.
    pub optimizer_steps: u64,
    /// Running means of the code.
    pub sparsity: SparsityState,
    /// Epochs since the best validation loss.
    pub waited: usize,
    /// The best validation loss.
    pub best: Option<f64>,
    /// What each epoch brought.
    pub history: Vec<Epoch>,
    /// Of a stack: the storeys that were finished before, which the rest of this does not count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub storeys: Vec<StoreyRecord>,
    /// Of gradual fine-tuning: the stages that were finished before, which the rest of this does not
    /// count.
    #[serde(default)]
    pub stages: usize,
    /// What each epoch of those brought.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages_history: Vec<Epoch>,
}

/// A moment of training.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// Where it stands.
    pub progress: Progress,
    /// Parameters, state of the optimiser, average and best weights, by name.
    pub vectors: Vec<(String, Vec<f32>)>,
}

impl Checkpoint {
    /// From what was kept of one: its progress as JSON and its vectors.
    ///
    /// # Errors
    /// If the progress cannot be read.
    pub fn from_kept(
        progress: &serde_json::Value,
        vectors: Vec<(String, Vec<f32>)>,
    ) -> Result<Self> {
        let progress =
            Progress::deserialize(progress).map_err(|error| misfit(error.to_string()))?;
        Ok(Self { progress, vectors })
    }
}

/// The vectors that training keeps beside the model.
#[derive(Debug)]
pub(super) struct State {
    pub(super) progress: Progress,
    pub(super) optimizer: Optimizer,
    /// The running average of parameters, then of buffers, which belong to them; empty if there is
    /// none.
    pub(super) average: Vectors,
    /// Parameters, then buffers, of the best epoch; empty before it.
    pub(super) best: Vectors,
}

impl State {
    pub(super) fn new(model: &dyn Trainable, options: &TrainOptions) -> Self {
        let average = match options.average > 0.0 {
            true => copied(all(model)),
            false => Vec::new(),
        };
        let optimizer = options.optimizer(model);
        Self { progress: Progress::default(), optimizer, average, best: Vec::new() }
    }

    pub(super) fn save(&self, model: &dyn Trainable) -> Checkpoint {
        let mut vectors = Vec::new();
        let mut add = |kind: &str, all: Vec<&[f32]>| {
            for (place, vector) in all.into_iter().enumerate() {
                vectors.push((format!("{kind}.{place}"), vector.to_vec()));
            }
        };
        add("parameter", model.parameters());
        add("buffer", model.buffers());
        add("velocity", slices(&self.optimizer.velocity));
        add("squares", slices(&self.optimizer.squares));
        add("average", slices(&self.average));
        add("best", slices(&self.best));
        let pairs = &self.optimizer.pairs;
        add("step", pairs.iter().map(|(step, _)| step.as_slice()).collect());
        add("change", pairs.iter().map(|(_, change)| change.as_slice()).collect());
        let mut progress = self.progress.clone();
        progress.optimizer_steps = self.optimizer.steps;
        Checkpoint { progress, vectors }
    }

    /// Takes everything back from a checkpoint of the same model and options.
    pub(super) fn restore(
        checkpoint: Checkpoint,
        model: &mut dyn Trainable,
        options: &TrainOptions,
    ) -> Result<Self> {
        let mut state = Self::new(&*model, options);
        state.progress = checkpoint.progress;
        state.optimizer.steps = state.progress.optimizer_steps;
        if state.progress.best.is_some() {
            state.best = copied(all(model));
        }
        let mut given: std::collections::BTreeMap<String, Vec<f32>> =
            checkpoint.vectors.into_iter().collect();
        let all = model.parameters().iter().map(|parameter| parameter.len()).sum();
        let pairs = given.keys().filter(|name| name.starts_with("step.")).count();
        state.optimizer.pairs = vec![(vec![0.0; all], vec![0.0; all]); pairs];
        let mut fill = |kind: &str, all: Vec<&mut [f32]>| -> Result<()> {
            for (place, vector) in all.into_iter().enumerate() {
                let name = format!("{kind}.{place}");
                let got = given.remove(&name).filter(|got| got.len() == vector.len());
                let got = got.ok_or_else(|| misfit(format!("no fitting `{name}`")))?;
                vector.copy_from_slice(&got);
            }
            Ok(())
        };
        fill("parameter", model.parameters_mut())?;
        fill("buffer", model.buffers_mut())?;
        fill("velocity", slices_mut(&mut state.optimizer.velocity))?;
        fill("squares", slices_mut(&mut state.optimizer.squares))?;
        fill("average", slices_mut(&mut state.average))?;
        fill("best", slices_mut(&mut state.best))?;
        let pairs = &mut state.optimizer.pairs;
        fill("step", pairs.iter_mut().map(|(step, _)| step.as_mut_slice()).collect())?;
        fill("change", pairs.iter_mut().map(|(_, change)| change.as_mut_slice()).collect())?;
        match given.pop_first() {
            Some((name, _)) => Err(misfit(format!("`{name}` too"))),
            None => Ok(state),
        }
    }

    /// Remembers parameters and buffers as the best so far.
    pub(super) fn keep_best(&mut self, model: &dyn Trainable) {
        self.best = match self.average.is_empty() {
            true => copied(all(model)),
            false => self.average.clone(),
        };
    }

    /// Gives the model the weights that training ends with: the best, or the average, or the last.
    pub(super) fn finish(&mut self, model: &mut dyn Trainable) {
        let chosen = if self.best.is_empty() { &self.average } else { &self.best };
        let count = model.parameters().len();
        for (place, parameter) in model.parameters_mut().into_iter().enumerate() {
            if let Some(values) = chosen.get(place) {
                parameter.copy_from_slice(values);
            }
        }
        for (place, buffer) in model.buffers_mut().into_iter().enumerate() {
            if let Some(values) = chosen.get(count + place) {
                buffer.copy_from_slice(values);
            }
        }
    }
}

pub(super) fn misfit(got: String) -> Error {
    Error::mistake(
        "resume training",
        "a checkpoint of this model with these settings",
        got,
        "start anew without --resume",
    )
}

/// Parameters, then buffers.
pub(super) fn all(model: &dyn Trainable) -> Vec<&[f32]> {
    model.parameters().into_iter().chain(model.buffers()).collect()
}

fn copied(vectors: Vec<&[f32]>) -> Vectors {
    vectors.into_iter().map(<[f32]>::to_vec).collect()
}

fn slices(vectors: &[Vec<f32>]) -> Vec<&[f32]> {
    vectors.iter().map(Vec::as_slice).collect()
}

fn slices_mut(vectors: &mut [Vec<f32>]) -> Vec<&mut [f32]> {
    vectors.iter_mut().map(Vec::as_mut_slice).collect()
}
