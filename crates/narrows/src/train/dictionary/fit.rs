//! The loop: every batch is read once and every dictionary learns from it.

use super::class::Class;
use super::options::{DictionaryOptions, DictionaryTraining};
use super::progress::{DictionaryCheckpoint, DictionaryObserver, DictionaryRecord, DictionaryStep};
use crate::compute::Matrix;
use crate::data::{Order, Reading, Source, with_batches};
use crate::error::{Error, Result};
use crate::model::Dictionary;
use crate::train::Wish;

/// Rows, and what they are to be turned into where that is not the rows themselves.
pub struct DictionaryTask<'a> {
    /// `(n, d)`.
    pub rows: &'a dyn Source,
    /// `(n, o)`.
    pub targets: Option<&'a dyn Source>,
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
    /// Bytes that were read of files while learning; not those of the sample of at most 8,192 rows, read once
    /// before, of which scale and middle are taken.
    pub bytes_read: u64,
    /// Rows since each latent of each dictionary had a code.
    pub silent_for: Vec<Vec<u64>>,
}

/// Trains a dictionary for each of `options` from one pass over the rows of `task`.
///
/// Each is, to the bit, what it would be if it were trained alone. It holds three batches; of each dictionary
/// its parameters three times, with Adam's state; and once for all, as large as the largest needs it, what a
/// step writes on: the gradient and the encoder once more (the gradient twice more while a penalty has not
/// emptied the codes yet), and of a batch of B rows the codes and B·(d + (1 + G)·o) numbers, G the nested
/// widths of a matryoshka dictionary, otherwise 1.
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
            if training.line_is_due(position, x.rows() as u64, total) {
                let first = class.history.len();
                class.record(&x);
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
        if own.skip && task.targets.is_none() {
            return refuse(
                "targets that are not the rows where `skip` is true: a skip gives rows back as they are",
                "none".to_owned(),
                "give --target PATH for a transcoder, or set skip to false",
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
