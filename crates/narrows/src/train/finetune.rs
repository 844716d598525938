//! Teaching a network with a head what rows are called: all of it, the head alone, or from the head
//! downwards.
//!
//! ```text
//! frozen    the head
//! full      every layer
//! gradual   the head; then the head and the last layer of the encoder; …; then every layer. The
//!           epochs are split evenly over these stages, each of which has its own schedule.
//! ```
//!
//! Layers that stay as they are see each row once: what comes out of them is kept, `4·n·width` bytes,
//! and the layers above are trained on that. They are used as the finished model uses them, without
//! dropout and with running means.
//!
//! Source: J. Howard and S. Ruder, Universal language model fine-tuning for text classification
//! (2018), section 3.3, for gradual unfreezing.
//!
//! Differs from there: stages are as long as the epochs allow, not one epoch each.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::state::misfit;
use super::{Beginning, Checkpoint, Epoch, Observer, Step, Task, TrainOptions, Wish, fit};
use crate::compute::Matrix;
use crate::error::{Error, Result};
use crate::model::Network;
use crate::objective::{Corruption, Sparsity};

/// Which layers learn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unfreezing {
    /// The head alone.
    Frozen,
    /// All of them.
    #[default]
    Full,
    /// The head first, then one more layer from the top in each stage.
    Gradual,
}

/// Minimises the loss of `task` over a network with a head, from the parameters that it has; or from a
/// checkpoint, where the layers that stay as they are are still taken from `network`.
///
/// # Errors
/// As [`fit`]; if there are fewer epochs than stages or a penalty on the code; if rows are to be augmented or corrupted and
/// some layers stay as they are.
pub fn finetune(
    network: &mut Network,
    task: &Task<'_>,
    unfreezing: Unfreezing,
    options: &TrainOptions,
    mut from: Option<Checkpoint>,
    observer: &mut dyn Observer,
) -> Result<Vec<Epoch>> {
    let depth = network.encoder_depth();
    let stages: Vec<usize> = match unfreezing {
        Unfreezing::Frozen => vec![depth],
        Unfreezing::Full => vec![0],
        Unfreezing::Gradual => (0..=depth).rev().collect(),
    };
    check(&stages, task, options)?;
    let progress = from.as_mut().map(|from| &mut from.progress);
    let (finished, mut history) = progress.map_or((0, Vec::new()), |progress| {
        (std::mem::take(&mut progress.stages), std::mem::take(&mut progress.stages_history))
    });
    if finished >= stages.len() {
        return Err(misfit(format!("{finished} finished stages of {}", stages.len())));
    }
    for (stage, &frozen) in stages.iter().enumerate().skip(finished) {
        let until = |stage: usize| options.epochs * stage / stages.len();
        let options = TrainOptions { epochs: until(stage + 1) - until(stage), ..options.clone() };
        let (before, stages) = (history.len(), stages.len());
        let observer = &mut *observer;
        let mut staged = Staged { observer, before: &history, stage, stages, ended: false };
        let learned = train_from(network, task, frozen, &options, from.take(), &mut staged)?;
        let ended = staged.ended;
        let learned = learned.into_iter();
        history.extend(learned.map(|epoch| Epoch { epoch: before + epoch.epoch, ..epoch }));
        if ended {
            break;
        }
    }
    Ok(history)
}

/// Trains the layers from `frozen` on, on what comes out of those before.
fn train_from(
    network: &mut Network,
    task: &Task<'_>,
    frozen: usize,
    options: &TrainOptions,
    from: Option<Checkpoint>,
    observer: &mut dyn Observer,
) -> Result<Vec<Epoch>> {
    if frozen == 0 {
        return fit(network, task, options, from, observer);
    }
    let features = network.through(task.rows, 0..frozen);
    let mut tail = network.tail(frozen);
    let task = Task { rows: &features, ..task.clone() };
    let history = fit(&mut tail, &task, options, from, observer)?;
    network.set_tail(frozen, tail);
    Ok(history)
}

fn check(stages: &[usize], task: &Task<'_>, options: &TrainOptions) -> Result<()> {
    let refuse = |expected: String, got: String, remedy: &str| {
        Err(Error::mistake("fine-tune", expected, got, remedy))
    };
    if options.epochs < stages.len() {
        return refuse(
            format!("at least {} epochs, one for each stage of unfreezing", stages.len()),
            options.epochs.to_string(),
            "set train.epochs, or choose another --mode",
        );
    }
    if task.sparsity != Sparsity::None {
        return refuse(
            "no penalty on the code, whose layers may stay as they are".to_owned(),
            "one".to_owned(),
            "leave it out",
        );
    }
    let changed = match task {
        Task { augmentation: Some(_), .. } => Some("train.augmentation"),
        Task { corruption: Corruption::None, .. } => None,
        _ => Some("objective.corruption"),
    };
    if let Some(changed) = changed.filter(|_| stages != [0]) {
        return refuse(
            "rows as they are where layers stay as they are".to_owned(),
            changed.to_owned(),
            "leave it out, or use --mode full",
        );
    }
    Ok(())
}

/// Tells of a stage as of a part of the whole.
struct Staged<'a> {
    observer: &'a mut dyn Observer,
    /// What the epochs of earlier stages brought.
    before: &'a [Epoch],
    stage: usize,
    stages: usize,
    ended: bool,
}

impl Observer for Staged<'_> {
    fn begin(&mut self, beginning: &Beginning) {
        let epochs_done = self.before.len() + beginning.epochs_done;
        self.observer.begin(&Beginning { epochs_done, ..*beginning });
    }

    fn step(&mut self, step: &Step) -> Wish {
        let done = (self.stage as f64 + step.done) / self.stages as f64;
        self.observer.step(&Step { done, epoch: self.before.len() + step.epoch, ..*step })
    }

    fn epoch(&mut self, epoch: &Epoch) -> ControlFlow<()> {
        let whole = Epoch { epoch: self.before.len() + epoch.epoch, ..epoch.clone() };
        let flow = self.observer.epoch(&whole);
        self.ended = flow.is_break();
        flow
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let mut whole = checkpoint.clone();
        whole.progress.stages = self.stage;
        whole.progress.stages_history = self.before.to_vec();
        self.observer.checkpoint(&whole)
    }
}

/// Classes as targets `(n, count)`: 1 in the column of the class, else 0.
///
/// # Panics
/// If a class is not below `count`: the caller's mistake.
pub fn one_hot(classes: &[usize], count: usize) -> Matrix {
    let mut targets = Matrix::zeros(classes.len(), count);
    let rows = targets.as_mut_slice().chunks_exact_mut(count.max(1));
    rows.zip(classes).for_each(|(row, &class)| row[class] = 1.0);
    targets
}
