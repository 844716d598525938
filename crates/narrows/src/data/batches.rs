//! Batches of rows that are read while the ones before are learned from.
//!
//! One thread reads ahead into three sets of matrices, which go round: one is learned from, one is
//! ready, one is being filled. What comes depends on the order alone, not on who is faster.

use std::ops::Range;
use std::sync::mpsc::{Receiver, Sender, channel};

use rayon::prelude::*;

use super::order::Order;
use super::source::Source;
use crate::compute::Matrix;
use crate::error::{Error, Result};

/// Batches that are held.
const HELD: usize = 3;
/// Numbers that one thread looks through.
const PIECE: usize = 1 << 16;

/// What is to be read.
pub struct Reading<'a> {
    /// The rows `(n, d)`.
    pub source: &'a dyn Source,
    /// What each row is to be turned into `(n, d')`, where that is not the row itself.
    pub targets: Option<&'a dyn Source>,
    /// Which row comes when; it has `n` rows.
    pub order: &'a Order,
    /// Rows of a batch, at least 1.
    pub batch_size: usize,
    /// The positions of the order that are read. Batches are counted from the first on.
    pub positions: Range<u64>,
}

/// Rows that are learned from at once.
pub struct Batch<'a> {
    /// The position of the first row in the order.
    pub position: u64,
    /// `(batch, d)`; the last batch may have fewer rows than the others.
    pub rows: &'a Matrix,
    /// `(batch, d')`, where targets are read.
    pub targets: Option<&'a Matrix>,
}

/// The batches of a [`Reading`], one after the other.
pub struct Batches<'a> {
    filled: Receiver<Result<Held>>,
    empty: Sender<Held>,
    /// The one that was given out.
    current: Option<Held>,
    sources: Vec<&'a dyn Source>,
    bytes_before: u64,
}

#[derive(Default)]
struct Held {
    position: u64,
    rows: Matrix,
    targets: Option<Matrix>,
    places: Vec<usize>,
}

/// Calls `run` with the batches of `reading` while a thread of their own reads them.
///
/// # Errors
/// If targets and rows differ in number, or what `run` returns.
///
/// # Panics
/// If the order is of another number of rows, or a batch of none: the caller's mistake.
pub fn with_batches<T>(
    reading: &Reading<'_>,
    run: impl FnOnce(&mut Batches<'_>) -> Result<T>,
) -> Result<T> {
    let rows = reading.source.rows();
    assert_eq!(reading.order.rows(), rows, "an order of these rows");
    assert!(reading.batch_size > 0, "batches without rows");
    if let Some(targets) = reading.targets.filter(|targets| targets.rows() != rows) {
        return Err(Error::mistake(
            "read targets",
            format!("a target for each of the {rows} rows"),
            format!("{} targets", targets.rows()),
            "give rows and targets of the same inputs",
        ));
    }
    let sources: Vec<_> = [Some(reading.source), reading.targets].into_iter().flatten().collect();
    let bytes_before = sources.iter().map(|source| source.bytes_read()).sum();
    std::thread::scope(|scope| {
        let (filled, to_learn) = channel();
        let (empty, to_fill) = channel();
        for _ in 0..HELD {
            let held =
                Held { targets: reading.targets.map(|_| Matrix::default()), ..Held::default() };
            // The other end is held below.
            let _ = empty.send(held);
        }
        scope.spawn(move || read_ahead(reading, &to_fill, &filled));
        // Dropped before the scope ends, which tells the thread that nobody waits any more.
        run(&mut Batches { filled: to_learn, empty, current: None, sources, bytes_before })
    })
}

fn read_ahead(reading: &Reading<'_>, empty: &Receiver<Held>, filled: &Sender<Result<Held>>) {
    let Range { mut start, end } = reading.positions;
    while start < end {
        let Ok(mut held) = empty.recv() else { return };
        let rows = (end - start).min(reading.batch_size as u64) as usize;
        let done = held.fill(reading, start, rows).map(|()| held);
        if done.is_err() | filled.send(done).is_err() {
            return;
        }
        start += rows as u64;
    }
}

impl Held {
    fn fill(&mut self, reading: &Reading<'_>, position: u64, rows: usize) -> Result<()> {
        self.position = position;
        self.places.resize(rows, 0);
        reading.order.places(position, &mut self.places);
        read(reading.source, &self.places, &mut self.rows)?;
        match (reading.targets, &mut self.targets) {
            (Some(source), Some(targets)) => read(source, &self.places, targets),
            _ => Ok(()),
        }
    }
}

fn read(source: &dyn Source, places: &[usize], out: &mut Matrix) -> Result<()> {
    out.reshape(places.len(), source.dim());
    source.gather_f32(places, out.as_mut_slice())?;
    refuse_not_finite(source, |row| places[row], out)
}

/// Refuses numbers that are not finite in `rows (n, d)` that were read of `source`, row i of them at
/// `place(i)`.
///
/// # Errors
/// If there is one; the first is named.
pub fn refuse_not_finite(
    source: &dyn Source,
    place: impl Fn(usize) -> usize,
    rows: &Matrix,
) -> Result<()> {
    let bad = |piece: &[f32]| piece.iter().fold(false, |bad, x| bad | !x.is_finite());
    let pieces = rows.as_slice().par_chunks(PIECE);
    if !pieces.map(bad).reduce(|| false, |a, b| a | b) {
        return Ok(());
    }
    let wrong = rows.as_slice().iter().enumerate().find(|(_, x)| !x.is_finite());
    let (index, value) = wrong.unwrap_or((0, &f32::NAN));
    let (row, column) = (place(index / rows.cols()), index % rows.cols());
    Err(Error::mistake(
        "read rows",
        "numbers that are finite",
        format!("{value} in {}, column {}", source.whereabouts(row), column + 1),
        "leave such rows out",
    ))
}

impl Batches<'_> {
    /// The next batch; `None` after the last.
    ///
    /// # Errors
    /// If the rows cannot be read, or one of them holds a number that is not finite.
    pub fn advance(&mut self) -> Result<Option<Batch<'_>>> {
        if let Some(used) = self.current.take() {
            // The reading thread may already have read its last.
            let _ = self.empty.send(used);
        }
        // Where the thread has ended there is nothing more to come.
        let Ok(held) = self.filled.recv() else { return Ok(None) };
        let held = self.current.insert(held?);
        let (rows, targets) = (&held.rows, held.targets.as_ref());
        Ok(Some(Batch { position: held.position, rows, targets }))
    }

    /// Bytes that were read of files for these batches, those that wait included.
    pub fn bytes_read(&self) -> u64 {
        self.sources.iter().map(|source| source.bytes_read()).sum::<u64>() - self.bytes_before
    }
}
