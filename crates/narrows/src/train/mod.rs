//! How it is minimised: the loop on one page, optimisers, schedules.

mod optimizer;
mod options;
mod schedule;
#[cfg(test)]
mod tests;

pub use optimizer::{Method, Optimizer};
pub use options::TrainOptions;
pub use schedule::Schedule;

use std::ops::ControlFlow;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::compute::{Matrix, gather, not_finite};
use crate::data::Source;
use crate::error::{Error, Result};
use crate::model::{Pass, Trainable};
use crate::objective::Objective;
use crate::random::Random;

/// Rows that pass through the model at a time: a larger batch is summed from several such pieces,
/// so that what a pass keeps stays small.
const PIECE: usize = 1024;

/// What one epoch brought.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Counted from 1.
    pub epoch: usize,
    /// Mean of the objective over the rows, each under the parameters of its step.
    pub loss: f64,
    /// The same over rows that are not trained on, after the epoch; `None` where there are none.
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

/// Minimises `objective` over the rows of `source`, and tells `observer` about each epoch, which may
/// stop it.
///
/// The rows are read once and held in memory as f32: `4·n·d` bytes. Each epoch visits them in a new
/// random order. The result does not depend on the number of threads.
///
/// # Errors
/// If an option is out of range, there are no rows or other columns than the model has, the source
/// cannot be read or has missing or infinite values, or the loss explodes.
pub fn fit(
    model: &mut dyn Trainable,
    objective: &dyn Objective,
    source: &dyn Source,
    options: &TrainOptions,
    observer: &mut dyn FnMut(&Epoch) -> ControlFlow<()>,
) -> Result<Vec<Epoch>> {
    options.check()?;
    let rows = read(source, model.input_dim())?;
    let mut optimizer = options.optimizer(&*model);
    let mut gradients: Vec<Vec<f32>> =
        model.parameters().iter().map(|parameter| vec![0.0; parameter.len()]).collect();
    let (mut batch, mut pass) = (Matrix::default(), Pass::default());
    let mut history: Vec<Epoch> = Vec::new();

    for epoch in 0..options.epochs {
        let start = Instant::now();
        let order =
            Random::stream(options.seed, &format!("epoch {epoch}")).permutation(rows.rows());
        let batch_size = options.batch_size_at(epoch, rows.rows());
        let steps = rows.rows().div_ceil(batch_size);
        let (mut loss, mut rate) = (0.0, 0.0);
        for (step, chosen) in order.chunks(batch_size).enumerate() {
            gradients.iter_mut().for_each(|gradient| gradient.fill(0.0));
            for piece in chosen.chunks(PIECE) {
                batch.reshape(piece.len(), rows.cols());
                gather(rows.view(), piece, &mut batch);
                model.forward(&batch, &mut pass);
                pass.gradient.reshape(piece.len(), rows.cols());
                let value = objective.evaluate(&batch, &pass.output, &mut pass.gradient);
                loss += value * piece.len() as f64 / rows.rows() as f64;
                model.backward(piece.len() as f32 / chosen.len() as f32, &mut pass, &mut gradients);
            }
            refuse_explosion(loss, history.first(), epoch, rate)?;
            rate =
                options.rate((epoch as f64 + step as f64 / steps as f64) / options.epochs as f64);
            optimizer.step(rate, model.parameters_mut(), &gradients);
            model.project();
        }
        let seconds = start.elapsed().as_secs_f64();
        let rows_per_second = rows.rows() as f64 / seconds;
        let (epoch, learning_rate) = (epoch + 1, rate);
        history.push(Epoch {
            epoch,
            loss,
            validation: None,
            learning_rate,
            batch_size,
            seconds,
            rows_per_second,
        });
        if history.last().is_some_and(|last| observer(last).is_break()) {
            break;
        }
    }
    Ok(history)
}

/// All rows in f32.
fn read(source: &dyn Source, dim: usize) -> Result<Matrix> {
    if source.rows() == 0 || source.dim() != dim {
        return Err(Error::mistake(
            "train",
            format!("rows of {dim} columns, as the model has"),
            format!("{} rows of {} columns", source.rows(), source.dim()),
            "give the data that the model was made for",
        ));
    }
    let mut rows = Matrix::zeros(source.rows(), dim);
    source.read_f32(0, rows.as_mut_slice())?;
    if rows.as_slice().iter().any(|value| !value.is_finite()) {
        return Err(not_finite(rows.view(), 0));
    }
    Ok(rows)
}

/// Stops when the loss is no number any more, or a thousand times that of the first epoch.
fn refuse_explosion(loss: f64, first: Option<&Epoch>, epoch: usize, rate: f64) -> Result<()> {
    let limit = first.map_or(f64::INFINITY, |first| 1000.0 * first.loss);
    if loss.is_finite() && loss <= limit {
        return Ok(());
    }
    Err(Error::failure(
        "train",
        format!("the loss grew to {loss:.3e} in epoch {} at learning rate {rate:.1e}", epoch + 1),
        "set train.learning_rate to a tenth, or scale the data with prepare.scale=\"standardise\"",
    ))
}
