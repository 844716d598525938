//! All dictionaries that learn from one pass: the same batch for each, in turn.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Instant;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::fit::{DictionaryTask, LearnedDictionaries};
use super::learner::{Came, Desk, Learner, Moment};
use super::options::{DictionaryOptions, DictionaryTraining};
use super::progress::{DictionaryCheckpoint, DictionaryProgress, DictionaryRecord};
use super::start;
use crate::compute::{Matrix, column_sums};
use crate::data::{Order, Reading, Source, with_batches};
use crate::error::{Error, Result};

/// Rows of which scale and middle are taken.
const SAMPLE: usize = 8192;
/// Numbers, and rows, that one task takes.
const PIECE: usize = 1 << 14;
const ROWS: usize = 32;

/// What one dictionary came to since the last line of the history.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Since {
    rows: u64,
    loss: f64,
    penalty: f64,
    revival: f64,
    residual: f64,
    spread: f64,
    active: u64,
    total: f64,
    seconds: f64,
    /// η of the last step.
    learning_rate: f64,
}

/// All dictionaries that learn from one pass.
pub(super) struct Class {
    learners: Vec<Learner>,
    /// Shared: each writes on it in turn.
    desk: Desk,
    since: Vec<Since>,
    scales: [f32; 2],
    pub(super) position: u64,
    pub(super) history: Vec<DictionaryRecord>,
}

impl Class {
    pub(super) fn new(
        task: &DictionaryTask<'_>,
        options: &[DictionaryOptions],
        training: &DictionaryTraining,
        order: &Order,
    ) -> Result<Self> {
        let mut rows = sample(task.rows, order)?;
        let targets = task.targets.map(|targets| sample(targets, order)).transpose()?;
        let input = rows.cols();
        let mut scales = [1.0; 2];
        let mut middle = start::geometric_median(targets.as_ref().unwrap_or(&rows));
        if training.scale {
            scales[0] = start::scale(&rows);
            scales[1] = targets.as_ref().map_or(scales[0], start::scale);
            middle.iter_mut().for_each(|value| *value *= scales[1]);
            rows.as_mut_slice().iter_mut().for_each(|value| *value *= scales[0]);
        }
        let learner = |own: &DictionaryOptions| {
            let middle = if own.tied { vec![0.0; middle.len()] } else { middle.clone() };
            let mut learner = Learner::new(own.clone(), (input, task.targets.is_none()), middle);
            learner.begin_sparse(&rows);
            learner
        };
        Ok(Self {
            learners: options.iter().map(learner).collect(),
            desk: Desk::default(),
            since: vec![Since::default(); options.len()],
            scales,
            position: 0,
            history: Vec::new(),
        })
    }

    pub(super) fn restore(
        checkpoint: DictionaryCheckpoint<'_>,
        task: &DictionaryTask<'_>,
        options: &[DictionaryOptions],
    ) -> Result<Self> {
        let DictionaryCheckpoint { progress, vectors } = checkpoint;
        let misfit = || {
            Error::mistake(
                "go on from a checkpoint",
                "the dictionaries that it was made of",
                "others",
                "give the recipe and the data that it was made with, or start anew without --resume",
            )
        };
        if progress.standings.len() != options.len() || progress.since.len() != options.len() {
            return Err(misfit());
        }
        let output = task.targets.map_or(task.rows.dim(), Source::dim);
        let vectors = vectors.into_iter().map(|(name, values)| (name, values.into_owned()));
        let mut by_name: HashMap<String, Vec<f32>> = vectors.collect();
        let mut learners = Vec::with_capacity(options.len());
        for (index, (own, standing)) in options.iter().zip(progress.standings).enumerate() {
            let to_itself = task.targets.is_none();
            let mut learner =
                Learner::new(own.clone(), (task.rows.dim(), to_itself), vec![0.0; output]);
            if standing.silent_for.len() != learner.options.latents {
                return Err(misfit());
            }
            learner.standing = standing;
            for (name, place) in learner.vectors_mut() {
                let kept = by_name.remove(&format!("{index}.{name}"));
                let kept = kept.filter(|kept| kept.len() == place.len()).ok_or_else(misfit)?;
                place.copy_from_slice(&kept);
            }
            learners.push(learner);
        }
        Ok(Self {
            learners,
            desk: Desk::default(),
            since: progress.since,
            scales: progress.scales,
            position: progress.position,
            history: progress.history,
        })
    }

    pub(super) fn checkpoint(&self) -> DictionaryCheckpoint<'_> {
        let vectors = self.learners.iter().enumerate().flat_map(|(index, learner)| {
            let own = learner.vectors().into_iter();
            own.map(move |(name, values)| (format!("{index}.{name}"), values.into()))
        });
        DictionaryCheckpoint {
            progress: DictionaryProgress {
                position: self.position,
                scales: self.scales,
                standings: self.learners.iter().map(|own| own.standing.clone()).collect(),
                since: self.since.clone(),
                history: self.history.clone(),
            },
            vectors: vectors.collect(),
        }
    }

    pub(super) fn scaled(&self, rows: &Matrix, which: usize, out: &mut Matrix) {
        out.reshape(rows.rows(), rows.cols());
        let factor = self.scales[which];
        let pieces =
            out.as_mut_slice().par_chunks_mut(PIECE).zip(rows.as_slice().par_chunks(PIECE));
        pieces.for_each(|(out, rows)| {
            out.iter_mut().zip(rows).for_each(|(out, value)| *out = factor * value);
        });
    }

    /// One step of every dictionary; says the mean fraction of variance that they leave unexplained.
    pub(super) fn step(
        &mut self,
        x: &Matrix,
        target: &Matrix,
        training: &DictionaryTraining,
        total: u64,
    ) -> Result<f64> {
        let done = self.position as f64 / total as f64;
        let spread = spread(target);
        let mut unexplained = 0.0;
        for (learner, since) in self.learners.iter_mut().zip(&mut self.since) {
            let start = Instant::now();
            let moment = moment(training, learner.options.latents, done);
            let came = learner.step(&mut self.desk, x, target, &moment);
            let loss = came.sums.loss + came.sums.penalty;
            if !loss.is_finite() {
                return Err(Error::failure(
                    "train dictionaries",
                    format!("the loss of a dictionary is {loss} after {} rows", self.position),
                    "set train.learning_rate to a tenth",
                ));
            }
            since.add(&came, x.rows() as u64, spread);
            since.seconds += start.elapsed().as_secs_f64();
            since.learning_rate = moment.rate;
            unexplained += part(came.sums.residual, spread);
        }
        self.position += x.rows() as u64;
        Ok(unexplained / self.learners.len() as f64)
    }

    /// A line of the history for every dictionary; `x` is the batch of the last step.
    pub(super) fn record(&mut self, x: &Matrix) {
        for (index, (learner, since)) in self.learners.iter().zip(&mut self.since).enumerate() {
            let silent = learner.standing.silent_for.iter();
            let dead = silent.filter(|&&rows| rows >= learner.options.dead_after).count();
            let rows = since.rows as f64;
            self.history.push(DictionaryRecord {
                dictionary: index,
                rows: self.position,
                loss: since.loss / rows,
                penalty: since.penalty / rows,
                revival: since.revival / rows,
                fraction_variance_unexplained: part(since.residual, since.spread),
                l0: since.active as f64 / rows,
                l1: since.total / rows,
                dead,
                sparsity_weight: learner.standing.weight,
                threshold: learner.standing.threshold,
                l0_at_threshold: learner.l0_at_threshold(&mut self.desk, x),
                learning_rate: since.learning_rate,
                seconds: since.seconds,
            });
            *since = Since::default();
        }
    }

    pub(super) fn finish(self, bytes_read: u64) -> LearnedDictionaries {
        // One after the other: what Adam remembers of each goes before the next is made.
        let (mut dictionaries, mut silent_for) = (Vec::new(), Vec::new());
        for mut learner in self.learners {
            silent_for.push(std::mem::take(&mut learner.standing.silent_for));
            dictionaries.push(learner.into_dictionary(self.scales));
        }
        let (history, rows) = (self.history, self.position);
        LearnedDictionaries { dictionaries, history, rows, bytes_read, silent_for }
    }
}

impl Since {
    fn add(&mut self, came: &Came, rows: u64, spread: f64) {
        let sums = &came.sums;
        self.rows += rows;
        self.loss += (sums.loss + sums.penalty) * rows as f64;
        self.penalty += sums.penalty * rows as f64;
        self.revival += came.revival * rows as f64;
        self.residual += sums.residual;
        self.spread += spread;
        self.active += sums.active;
        self.total += sums.total;
    }
}

fn moment(training: &DictionaryTraining, latents: usize, done: f64) -> Moment {
    Moment {
        rate: training.full_rate(latents) * training.rate_factor(done),
        momenta: [training.momentum, training.second_momentum],
        clip: training.gradient_clip,
        sparsity: training.sparsity_factor(done),
        k: training.k_factor(done),
    }
}

/// The first rows that will be learned from.
fn sample(source: &dyn Source, order: &Order) -> Result<Matrix> {
    let rows = source.rows().min(SAMPLE);
    let reading = Reading {
        source,
        targets: None,
        order,
        batch_size: rows,
        positions: Range { start: 0, end: rows as u64 },
    };
    with_batches(&reading, |batches| {
        Ok(batches.advance()?.map(|batch| batch.rows.clone()).unwrap_or_default())
    })
}

/// The part of the spread that is left; 0 where rows do not differ.
fn part(residual: f64, spread: f64) -> f64 {
    if spread > 0.0 { residual / spread } else { 0.0 }
}

/// `Σ‖t − t̄‖²` with t̄ the mean of the rows.
fn spread(rows: &Matrix) -> f64 {
    let columns = rows.cols();
    let mut mean = vec![0.0; columns];
    column_sums(rows, 1.0 / rows.rows() as f32, &mut mean);
    let squares = |rows: &[f32]| -> f64 {
        let row = |row: &[f32]| -> f64 {
            let pairs = row.iter().zip(&mean);
            pairs.map(|(x, mean)| f64::from(x - mean) * f64::from(x - mean)).sum()
        };
        rows.chunks_exact(columns).map(row).sum()
    };
    let pieces: Vec<f64> = rows.as_slice().par_chunks(ROWS * columns).map(squares).collect();
    pieces.iter().sum()
}
