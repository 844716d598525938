//! The loop: every batch is read once and every dictionary learns from it.

use std::ops::Range;
use std::time::Instant;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::learner::{Came, Learner, Moment, Standing};
use super::options::{DictionaryOptions, DictionaryTraining};
use super::start;
use crate::compute::{Matrix, column_sums};
use crate::data::{Order, Reading, Source, with_batches};
use crate::error::{Error, Result};
use crate::model::Dictionary;
use crate::train::Wish;

/// Rows of which scale and middle are taken.
const SAMPLE: usize = 8192;
/// Numbers, and rows, that one task takes.
const PIECE: usize = 1 << 14;
const ROWS: usize = 32;

/// Rows, and what they are to be turned into where that is not the rows themselves.
pub struct DictionaryTask<'a> {
    /// `(n, d)`.
    pub rows: &'a dyn Source,
    /// `(n, o)`.
    pub targets: Option<&'a dyn Source>,
}

/// What one dictionary came to over some rows: a line of the history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DictionaryRecord {
    /// Which dictionary, counted from 0.
    pub dictionary: usize,
    /// Rows seen.
    pub rows: u64,
    /// The loss, mean over the rows since the last line: what its kind makes of the squared error.
    pub loss: f64,
    /// The penalty in it.
    pub penalty: f64,
    /// The loss that revives dead latents.
    pub revival: f64,
    /// Σ‖t − y‖²/Σ‖t − t̄‖², t̄ the mean of each batch.
    pub fraction_variance_unexplained: f64,
    /// Codes of a row that are not zero, mean.
    pub l0: f64,
    /// Sum of the codes of a row, mean.
    pub l1: f64,
    /// Latents without a code for as many rows as make them dead.
    pub dead: usize,
    /// λ at the end.
    pub sparsity_weight: f64,
    /// τ at the end, of batch top k and matryoshka.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub threshold: Option<f64>,
    /// η of the last step.
    pub learning_rate: f64,
    /// Seconds of its own steps since the last line.
    pub seconds: f64,
}

/// What one dictionary came to since the last line of the history.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Since {
    rows: u64,
    loss: f64,
    penalty: f64,
    revival: f64,
    residual: f64,
    spread: f64,
    active: u64,
    total: f64,
    seconds: f64,
}

/// Where the training of several dictionaries stands; with [`DictionaryCheckpoint::vectors`] all there is to
/// know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DictionaryProgress {
    /// Rows seen.
    pub position: u64,
    /// What rows and targets are multiplied by.
    scales: [f32; 2],
    standings: Vec<Standing>,
    since: Vec<Since>,
    /// The lines so far.
    pub history: Vec<DictionaryRecord>,
}

/// A moment of the training of several dictionaries.
#[derive(Debug, Clone, PartialEq)]
pub struct DictionaryCheckpoint<'a> {
    /// Where it stands.
    pub progress: DictionaryProgress,
    /// Parameters and the state of Adam, by name.
    pub vectors: Vec<(String, std::borrow::Cow<'a, [f32]>)>,
}

/// What a step came to, for whoever watches.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DictionaryStep {
    /// Rows seen.
    pub position: u64,
    /// Rows in all.
    pub total: u64,
    /// Mean of the fraction of variance that is not explained, over the dictionaries, of this batch.
    pub fraction_variance_unexplained: f64,
    /// Bytes that were read of files.
    pub bytes_read: u64,
}

/// Whoever watches the training of dictionaries.
pub trait DictionaryObserver {
    /// After every step.
    fn step(&mut self, _: &DictionaryStep) -> Wish {
        Wish::GoOn
    }

    /// After every line of the history, of which there is one for each dictionary.
    fn record(&mut self, _: &[DictionaryRecord]) {}

    /// Keeps a checkpoint that it wished for.
    ///
    /// # Errors
    /// If it cannot be kept.
    fn checkpoint(&mut self, _: &DictionaryCheckpoint<'_>) -> Result<()> {
        Ok(())
    }
}

/// Whoever only wants to hear of lines of the history.
impl<F: FnMut(&[DictionaryRecord])> DictionaryObserver for F {
    fn record(&mut self, records: &[DictionaryRecord]) {
        self(records);
    }
}

/// What came of it.
#[derive(Debug)]
pub struct LearnedDictionaries {
    /// One for each options, for rows and targets that are not scaled.
    pub dictionaries: Vec<Dictionary>,
    /// The lines of all of them, in the order of the rows.
    pub history: Vec<DictionaryRecord>,
    /// Rows seen.
    pub rows: u64,
    /// Bytes that were read of files.
    pub bytes_read: u64,
    /// Rows since each latent of each dictionary had a code.
    pub silent_for: Vec<Vec<u64>>,
}

/// Trains a dictionary for each of `options` from one pass over the rows of `task`.
///
/// Each is, to the bit, what it would be if it were trained alone. Beside three batches it holds of each
/// dictionary its parameters four times (with Adam's state and the gradient), the encoder once more, and
/// what a step writes on: of a
/// batch of B rows its codes and 2·B·(d + o) numbers.
///
/// # Errors
/// If an option is out of range, rows and targets do not fit, a value is not finite, the loss is no number
/// any more, the checkpoint does not fit, or the observer stops the training, which is
/// [`Error::Interrupted`].
pub fn fit_dictionaries(
    task: &DictionaryTask<'_>,
    options: &[DictionaryOptions],
    training: &DictionaryTraining,
    from: Option<DictionaryCheckpoint<'_>>,
    observer: &mut dyn DictionaryObserver,
) -> Result<LearnedDictionaries> {
    training.check()?;
    check(task, options)?;
    let order = Order::new(training.seed, task.rows.rows(), training.shuffle);
    let total = training.rows.unwrap_or(task.rows.rows() as u64);
    let mut class = match from {
        Some(checkpoint) => Class::restore(checkpoint, task, options)?,
        None => Class::new(task, options, training, &order)?,
    };
    let reading = Reading {
        source: task.rows,
        targets: task.targets,
        order: &order,
        batch_size: training.batch_size,
        positions: class.position..total,
    };
    let bytes_read = with_batches(&reading, |batches| {
        let (mut x, mut t) = (Matrix::default(), Matrix::default());
        while let Some(batch) = batches.advance()? {
            class.scaled(batch.rows, 0, &mut x);
            if let Some(targets) = batch.targets {
                class.scaled(targets, 1, &mut t);
            }
            let target = if task.targets.is_some() { &t } else { &x };
            let unexplained = class.step(&x, target, training, total)?;
            let position = class.position;
            if position / training.log_every > (position - x.rows() as u64) / training.log_every
                || position == total
            {
                let first = class.history.len();
                class.record(training, total);
                observer.record(&class.history[first..]);
            }
            let wish = observer.step(&DictionaryStep {
                position,
                total,
                fraction_variance_unexplained: unexplained,
                bytes_read: batches.bytes_read(),
            });
            if wish != Wish::GoOn {
                observer.checkpoint(&class.checkpoint())?;
            }
            if wish == Wish::Stop {
                return Err(crate::train::interrupted());
            }
        }
        Ok(batches.bytes_read())
    })?;
    Ok(class.finish(bytes_read))
}

fn check(task: &DictionaryTask<'_>, options: &[DictionaryOptions]) -> Result<()> {
    let refuse = |expected: &str, got: String, remedy: &str| {
        Err(Error::mistake("train dictionaries", expected, got, remedy))
    };
    if options.is_empty() {
        return refuse("at least one dictionary", "none".to_owned(), "describe one");
    }
    if task.rows.rows() == 0 {
        return refuse("at least one row", "none".to_owned(), "give data");
    }
    let rows = task.rows.rows();
    if let Some(targets) = task.targets.filter(|targets| targets.rows() != rows) {
        return refuse(
            &format!("a target for each of the {rows} rows"),
            format!("{} targets", targets.rows()),
            "give rows and targets of the same inputs",
        );
    }
    for own in options {
        own.check()?;
        let output = task.targets.map_or(task.rows.dim(), Source::dim);
        if own.tied && output != task.rows.dim() {
            return refuse(
                "targets of as many columns as the rows, for tied dictionaries",
                format!("{output} and {}", task.rows.dim()),
                "set tied to false",
            );
        }
        if own.centred == Some(true) && task.targets.is_some() {
            return refuse(
                "rows that are their own targets, for centred dictionaries",
                "others".to_owned(),
                "set centred to false",
            );
        }
    }
    Ok(())
}

/// Options that leave nothing open: c is in the scale of the targets and is only taken from rows that are
/// their own.
fn settled(own: &DictionaryOptions, task: &DictionaryTask<'_>) -> DictionaryOptions {
    let centred = Some(own.centred.unwrap_or(task.targets.is_none()));
    DictionaryOptions { centred, ..own.clone() }
}

/// All dictionaries that learn from one pass.
struct Class {
    learners: Vec<Learner>,
    since: Vec<Since>,
    scales: [f32; 2],
    position: u64,
    history: Vec<DictionaryRecord>,
}

impl Class {
    fn new(
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
            let mut learner = Learner::new(settled(own, task), input, middle);
            learner.begin_sparse(&rows);
            learner
        };
        Ok(Self {
            learners: options.iter().map(learner).collect(),
            since: vec![Since::default(); options.len()],
            scales,
            position: 0,
            history: Vec::new(),
        })
    }

    fn restore(
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
        let mut vectors = vectors.into_iter().map(|(name, values)| (name, values.into_owned()));
        let mut by_name: std::collections::HashMap<String, Vec<f32>> = vectors.by_ref().collect();
        let mut learners = Vec::with_capacity(options.len());
        for (index, (own, standing)) in options.iter().zip(progress.standings).enumerate() {
            let own = settled(own, task);
            let mut learner = Learner::new(own, task.rows.dim(), vec![0.0; output]);
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
            since: progress.since,
            scales: progress.scales,
            position: progress.position,
            history: progress.history,
        })
    }

    fn checkpoint(&self) -> DictionaryCheckpoint<'_> {
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

    fn scaled(&self, rows: &Matrix, which: usize, out: &mut Matrix) {
        out.reshape(rows.rows(), rows.cols());
        let factor = self.scales[which];
        let pieces =
            out.as_mut_slice().par_chunks_mut(PIECE).zip(rows.as_slice().par_chunks(PIECE));
        pieces.for_each(|(out, rows)| {
            out.iter_mut().zip(rows).for_each(|(out, value)| *out = factor * value);
        });
    }

    /// One step of every dictionary; says the mean fraction of variance that they leave unexplained.
    fn step(
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
            let came = learner.step(x, target, &moment);
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
            unexplained += came.sums.residual / spread;
        }
        self.position += x.rows() as u64;
        Ok(unexplained / self.learners.len() as f64)
    }

    /// A line of the history for every dictionary.
    fn record(&mut self, training: &DictionaryTraining, total: u64) {
        let done = (self.position.saturating_sub(1)) as f64 / total as f64;
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
                fraction_variance_unexplained: since.residual / since.spread,
                l0: since.active as f64 / rows,
                l1: since.total / rows,
                dead,
                sparsity_weight: learner.standing.weight,
                threshold: learner.standing.threshold,
                learning_rate: moment(training, learner.options.latents, done).rate,
                seconds: since.seconds,
            });
            *since = Since::default();
        }
    }

    fn finish(self, bytes_read: u64) -> LearnedDictionaries {
        LearnedDictionaries {
            dictionaries: self.learners.iter().map(|own| own.dictionary(self.scales)).collect(),
            history: self.history,
            rows: self.position,
            bytes_read,
            silent_for: self.learners.into_iter().map(|own| own.standing.silent_for).collect(),
        }
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
    pieces.iter().sum::<f64>().max(f64::MIN_POSITIVE)
}
