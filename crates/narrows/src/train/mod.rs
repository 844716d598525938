//! How it is minimised: the loop on one page, optimisers, schedules, checkpoints.
//!
//! Everything random is named by seed, epoch and row, never by what was drawn before: training that
//! goes on from a checkpoint gives the bits of training that never stopped.

mod augmentation;
pub mod dictionary;
mod few_labels;
mod finetune;
mod lbfgs;
mod optimizer;
mod options;
mod range_test;
mod schedule;
mod stack;
mod state;
mod task;
#[cfg(test)]
mod tests;

pub use augmentation::{Augmentation, AugmentationOptions};
pub use few_labels::{FewLabels, Outcome, Start};
pub use finetune::{Unfreezing, finetune, one_hot};
pub use optimizer::{Method, Optimizer};
pub use options::TrainOptions;
pub use range_test::{RangeTest, RatePoint, range_test};
pub use schedule::Schedule;
pub use stack::{Stack, Stacked, Stage, Storey, StoreyRecord};
pub use state::{Checkpoint, Progress};
pub use task::Task;

use std::ops::ControlFlow;
use std::time::Instant;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::compute::{Matrix, in_the_pool, not_finite};
use crate::data::Source;
use crate::error::{Error, Result};
use crate::model::{Draw, Trainable};
use crate::objective::{Loss, check_emphasis};
use crate::random::Random;
use optimizer::clip_factor;
use state::State;
use task::Desk;

/// What one epoch brought.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Counted from 1.
    pub epoch: usize,
    /// Mean of the loss over the rows, each under the parameters of its step.
    pub loss: f64,
    /// The same of the penalty on the code; `None` where there is none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub penalty: Option<f64>,
    /// The loss over rows that are not trained on, after the epoch; `None` where there are none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub validation: Option<f64>,
    /// Of the last step.
    pub learning_rate: f64,
    /// Rows of a step.
    pub batch_size: usize,
    /// Wall time of the epoch.
    pub seconds: f64,
    /// Rows passed forward and back, per second.
    pub rows_per_second: f64,
}

/// What is about to be trained, for whoever watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beginning {
    /// Which part of the training it is.
    pub stage: Stage,
    /// Numbers that are learned.
    pub parameters: usize,
    /// Multiplications and additions of one row, forward and back.
    pub operations_per_row: usize,
    /// Rows that are trained on.
    pub rows: usize,
    /// Rows that are kept out to measure.
    pub validation_rows: usize,
    /// Epochs that were done before.
    pub epochs_done: usize,
    /// Steps of all epochs, or of the first thousand where there are more; `None` where a step is of all rows.
    pub steps: Option<usize>,
}

/// What one step brought, for whoever watches.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// The part of the whole training that is done, 0 … 1.
    pub done: f64,
    /// Epochs done.
    pub epoch: usize,
    /// Mean of the loss over the rows of the epoch so far.
    pub loss: f64,
    /// Rows passed forward and back, per second, in the epoch so far.
    pub rows_per_second: f64,
}

/// What the watcher wants after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// To go on.
    GoOn,
    /// A checkpoint, and to go on.
    Checkpoint,
    /// A checkpoint, and to stop.
    Stop,
}

/// Whoever watches the training.
pub trait Observer: Send {
    /// Before the first step.
    fn begin(&mut self, _: &Beginning) {}

    /// After every step.
    fn step(&mut self, _: &Step) -> Wish {
        Wish::GoOn
    }

    /// After every epoch, which it may make the last.
    fn epoch(&mut self, _: &Epoch) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// Keeps a checkpoint that it wished for.
    ///
    /// # Errors
    /// If it cannot be kept.
    fn checkpoint(&mut self, _: &Checkpoint) -> Result<()> {
        Ok(())
    }
}

/// Whoever only wants to hear of epochs.
impl<F: FnMut(&Epoch) -> ControlFlow<()> + Send> Observer for F {
    fn epoch(&mut self, epoch: &Epoch) -> ControlFlow<()> {
        self(epoch)
    }
}

/// Minimises the loss of `task`, from the parameters that the model has or from a checkpoint.
///
/// Each epoch visits the rows in a new random order. The result does not depend on the number of
/// threads. Beside the rows it holds four times the parameters (five with an average, six with
/// `patience`) and what a pass over a batch keeps.
///
/// # Errors
/// If an option is out of range, there are no rows, other columns than the model has or fewer targets,
/// values are missing, infinite or not those that the loss takes, the loss explodes, the checkpoint does not fit, or the observer
/// stops the training, which is [`Error::Interrupted`].
pub fn fit(
    model: &mut dyn Trainable,
    task: &Task<'_>,
    options: &TrainOptions,
    from: Option<Checkpoint>,
    observer: &mut dyn Observer,
) -> Result<Vec<Epoch>> {
    options.check()?;
    check(&*model, task)?;
    in_the_pool(|| steps(model, task, options, from, observer))
}

fn steps(
    model: &mut dyn Trainable,
    task: &Task<'_>,
    options: &TrainOptions,
    from: Option<Checkpoint>,
    observer: &mut dyn Observer,
) -> Result<Vec<Epoch>> {
    let (rows, held_out) = split(task.rows.rows(), options)?;
    let mut state = match from {
        Some(checkpoint) => State::restore(checkpoint, model, options)?,
        None => State::new(&*model, options),
    };
    let mut gradients = no_gradients(&*model);
    let rules = model.rules();
    let mut desk = Desk::default();
    let steps = |epoch| rows.len().div_ceil(options.batch_size_at(epoch, rows.len()).max(1));
    observer.begin(&Beginning {
        steps: (options.optimizer != Method::Lbfgs)
            .then(|| (0..options.epochs.min(COUNTED)).map(steps).sum()),
        ..beginning(&*model, &rows, &held_out, state.progress.epoch)
    });

    if options.optimizer == Method::Lbfgs {
        return lbfgs::fit(model, task, options, state, (&rows, &held_out), observer);
    }
    while state.progress.epoch < options.epochs && !exhausted(&state.progress, options) {
        let epoch = state.progress.epoch;
        let start = Instant::now();
        let before = state.progress.seconds;
        let order =
            Random::numbered(options.seed, "order", &[epoch as u64]).permutation(rows.len());
        let batch_size = options.batch_size_at(epoch, rows.len());
        let steps = rows.len().div_ceil(batch_size);
        let mut rate = options.rate_at(epoch, (steps - 1) as f64, steps);
        let mut seen = state.progress.step * batch_size;
        for (step, chosen) in order.chunks(batch_size).enumerate().skip(state.progress.step) {
            let chosen: Vec<usize> = chosen.iter().map(|&place| rows[place]).collect();
            let draw = Draw { seed: options.seed, step: state.progress.steps, first: 0 };
            let sparsity = &mut state.progress.sparsity;
            let value = desk.learn(model, task, &chosen, (draw, epoch), sparsity, &mut gradients);
            rate = options.rate_at(epoch, step as f64, steps);
            refuse_explosion(value.loss, &state.progress, Some(rate))?;
            let clip = clip_factor(&gradients, options.gradient_clip);
            state.optimizer.step(rate, clip, model.parameters_mut(), &rules, &gradients);
            follow(&mut state.average, &*model, options.average, state.progress.steps);

            seen += chosen.len();
            let progress = &mut state.progress;
            progress.sums[0] += value.loss * chosen.len() as f64;
            progress.sums[1] += value.penalty * chosen.len() as f64;
            progress.steps += 1;
            progress.step = step + 1;
            progress.seconds = before + start.elapsed().as_secs_f64();
            let (loss, rows_per_second) =
                (progress.sums[0] / seen as f64, seen as f64 / progress.seconds);
            let done = (epoch as f64 + progress.step as f64 / steps as f64) / options.epochs as f64;
            let wish = observer.step(&Step { done, epoch, loss, rows_per_second });
            if wish != Wish::GoOn {
                observer.checkpoint(&state.save(&*model))?;
            }
            if wish == Wish::Stop {
                return Err(interrupted());
            }
        }
        let validation = measure(&mut desk, model, task, &held_out, &mut state.average);
        let progress = &mut state.progress;
        let seconds = before + start.elapsed().as_secs_f64();
        let [loss, penalty] = progress.sums.map(|sum| sum / rows.len() as f64);
        progress.history.push(Epoch {
            epoch: epoch + 1,
            loss,
            penalty: (task.sparsity != crate::objective::Sparsity::None).then_some(penalty),
            validation,
            learning_rate: rate,
            batch_size,
            seconds,
            rows_per_second: rows.len() as f64 / progress.seconds,
        });
        (progress.epoch, progress.step) = (epoch + 1, 0);
        (progress.sums, progress.seconds) = ([0.0; 2], 0.0);
        remember(&mut state, &*model, options, validation);
        if state.progress.history.last().is_some_and(|last| observer.epoch(last).is_break()) {
            break;
        }
    }
    state.finish(model);
    Ok(state.progress.history)
}

/// A zero for every parameter.
fn no_gradients(model: &dyn Trainable) -> Vec<Vec<f32>> {
    model.parameters().iter().map(|parameter| vec![0.0; parameter.len()]).collect()
}

/// Epochs whose steps are counted at the beginning, at most: training may be endless.
const COUNTED: usize = 1000;

fn beginning(
    model: &dyn Trainable,
    rows: &[usize],
    held_out: &[usize],
    epochs_done: usize,
) -> Beginning {
    Beginning {
        stage: Stage::Whole,
        parameters: model.parameters().iter().map(|parameter| parameter.len()).sum(),
        operations_per_row: model.operations_per_row(),
        rows: rows.len(),
        validation_rows: held_out.len(),
        epochs_done,
        steps: None,
    }
}

/// Parts the rows into those that are trained on and those that are not, each in rising order.
fn split(rows: usize, options: &TrainOptions) -> Result<(Vec<usize>, Vec<usize>)> {
    let kept_out = (rows as f64 * options.validation).round() as usize;
    if options.validation > 0.0 && (kept_out == 0 || kept_out == rows) {
        return Err(Error::mistake(
            "train",
            "rows to train on and rows to measure on",
            format!("{kept_out} of {rows} rows kept out"),
            "set train.validation, or give more rows",
        ));
    }
    let mut order = Random::stream(options.seed, "validation").permutation(rows);
    let mut held_out = order.split_off(rows - kept_out);
    order.sort_unstable();
    held_out.sort_unstable();
    Ok((order, held_out))
}

pub(crate) fn interrupted() -> Error {
    Error::Interrupted { operation: "train".to_owned(), remedy: "go on with --resume".to_owned() }
}

fn exhausted(progress: &Progress, options: &TrainOptions) -> bool {
    options.patience.is_some_and(|patience| progress.waited >= patience)
}

/// Lets the average follow parameters and buffers; in the first steps it follows closer.
fn follow(average: &mut [Vec<f32>], model: &dyn Trainable, keep: f64, steps: u64) {
    let steps = steps as f64;
    let keep = keep.min((1.0 + steps) / (10.0 + steps)) as f32;
    for (average, parameter) in average.iter_mut().zip(state::all(model)) {
        average.par_iter_mut().with_min_len(1 << 14).zip(parameter).for_each(|(mean, &now)| {
            *mean = keep * *mean + (1.0 - keep) * now;
        });
    }
}

/// The loss over rows that are not trained on, under the average of the weights if there is one.
fn measure(
    desk: &mut Desk,
    model: &mut dyn Trainable,
    task: &Task<'_>,
    held_out: &[usize],
    average: &mut [Vec<f32>],
) -> Option<f64> {
    let mut exchange = |model: &mut dyn Trainable| {
        let (parameters, buffers) =
            average.split_at_mut(average.len().min(model.parameters().len()));
        let swap = |(average, own): (&mut Vec<f32>, &mut [f32])| average.swap_with_slice(own);
        parameters.iter_mut().zip(model.parameters_mut()).for_each(swap);
        buffers.iter_mut().zip(model.buffers_mut()).for_each(swap);
    };
    if held_out.is_empty() {
        return None;
    }
    exchange(model);
    let loss = desk.judge(&*model, task, held_out);
    exchange(model);
    Some(loss)
}

/// Keeps the weights if they are the best so far, and counts the epochs since.
fn remember(
    state: &mut State,
    model: &dyn Trainable,
    options: &TrainOptions,
    validation: Option<f64>,
) {
    let Some(loss) = validation.filter(|_| options.patience.is_some()) else { return };
    if state.progress.best.is_none_or(|best| loss < best) {
        state.progress.best = Some(loss);
        state.progress.waited = 0;
        state.keep_best(model);
    } else {
        state.progress.waited += 1;
    }
}

/// All rows in f32, held in memory: `4·n·d` bytes.
///
/// # Errors
/// If there are none, they cannot be read, or values are missing or infinite.
pub fn read(source: &dyn Source) -> Result<Matrix> {
    let mut rows = Matrix::zeros(source.rows(), source.dim());
    source.read_f32(0, rows.as_mut_slice())?;
    if rows.as_slice().iter().any(|value| !value.is_finite()) {
        return Err(not_finite(rows.view(), 0));
    }
    Ok(rows)
}

fn check(model: &dyn Trainable, task: &Task<'_>) -> Result<()> {
    let (input, output) = model.dims();
    let rows = task.rows;
    if rows.rows() == 0 || rows.cols() != input || task.target_dim() != output {
        return Err(Error::mistake(
            "train",
            format!("rows of {input} columns and targets of {output}, as the model has"),
            format!(
                "{} rows of {} columns, targets of {}",
                rows.rows(),
                rows.cols(),
                task.target_dim()
            ),
            "give the data that the model was made for",
        ));
    }
    if let Some(targets) = task.targets.filter(|targets| targets.rows() != rows.rows()) {
        return Err(Error::mistake(
            "train",
            format!("{} targets, one for each row", rows.rows()),
            targets.rows().to_string(),
            "give as many targets as rows",
        ));
    }
    if rows.as_slice().iter().any(|value| !value.is_finite()) {
        return Err(not_finite(rows.view(), 0));
    }
    check_shares(task)?;
    check_emphasis(task.emphasis)?;
    task.corruption.check()
}

/// Refuses targets of which the loss says nothing.
fn check_shares(task: &Task<'_>) -> Result<()> {
    let targets = task.targets.unwrap_or(task.rows);
    let outside = |value: &f32| !(0.0..=1.0).contains(value);
    let place = match task.loss {
        Loss::BinaryCrossEntropy => targets.as_slice().iter().position(outside),
        _ => None,
    };
    let Some(place) = place else { return Ok(()) };
    let (row, column) = (place / targets.cols() + 1, place % targets.cols() + 1);
    Err(Error::mistake(
        "train",
        "values between 0 and 1 with binary cross-entropy",
        format!("{} in row {row}, column {column}", targets.as_slice()[place]),
        "set prepare.scale=\"unit_range\", or objective.loss=\"squared_error\"",
    ))
}

/// Stops when the loss is no number any more, or a thousand times that of the first epoch; there is no
/// rate where the optimiser finds the length of its steps.
fn refuse_explosion(loss: f64, progress: &Progress, rate: Option<f64>) -> Result<()> {
    let limit = progress.history.first().map_or(f64::INFINITY, |first| 1000.0 * first.loss.abs());
    if loss.is_finite() && loss <= limit {
        return Ok(());
    }
    let grown = format!("the loss grew to {loss:.3e} in epoch {}", progress.epoch + 1);
    let scale = "scale the data with prepare.scale=\"standardise\"";
    let (grown, remedy) = match rate {
        Some(rate) => (
            format!("{grown} at learning rate {rate:.1e}"),
            format!("set train.learning_rate to a tenth, or {scale}"),
        ),
        None => (grown, scale.to_owned()),
    };
    Err(Error::failure("train", grown, remedy))
}
