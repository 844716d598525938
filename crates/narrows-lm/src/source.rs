//! Rows at a tap that are computed when they are asked for: training without a store.
//!
//! ```text
//! windows of tokens    in memory, 4 bytes each
//! a block              windows of 2,048 tokens together, at least one, that are run together; rows of the last 64 blocks
//!                      are kept
//! ```
//!
//! An order that mixes blocks of rows with each other ([`narrows::data::Shuffle::Blocks`], of at most 2,048 rows)
//! asks for no more blocks at a time than are kept, so that each is run about twice in an epoch, at its edges,
//! and any position can be gone on from.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use narrows::Result;
use narrows::compute::Matrix;
use narrows::data::{Precision, Source};

use crate::harvest::Harvester;
use crate::model::{LanguageModel, Tap};
use crate::text::Windows;

/// Blocks whose rows are kept.
const KEPT: usize = 64;

/// Rows of an order's block that go well with what is kept, and tokens of a block.
pub const SHUFFLED_ROWS: usize = 2048;

/// The rows at one tap of a model that reads some windows.
pub struct ActivationSource {
    model: LanguageModel,
    windows: Windows,
    tap: Tap,
    keep_begin: bool,
    /// Windows of a block.
    together: usize,
    /// The row with which each block begins, and how many there are.
    starts: Vec<usize>,
    runs: AtomicUsize,
    kept: Mutex<VecDeque<(usize, Matrix)>>,
}

impl ActivationSource {
    /// The rows at `tap`, those of the token that begins a text too if `keep_begin`.
    pub fn new(model: LanguageModel, windows: Windows, tap: Tap, keep_begin: bool) -> Self {
        let harvester = Harvester::new(&model, &[tap], keep_begin);
        let together = (SHUFFLED_ROWS / windows.length.max(1)).max(1);
        let mut starts = vec![0];
        for tokens in windows.tokens.chunks((together * windows.length).max(1)) {
            let rows = tokens.iter().filter(|&&token| harvester.keeps(token)).count();
            starts.push(starts[starts.len() - 1] + rows);
        }
        drop(harvester);
        let (runs, kept) = (AtomicUsize::new(0), Mutex::new(VecDeque::new()));
        Self { model, windows, tap, keep_begin, together, starts, runs, kept }
    }

    /// Blocks that there are, and how many were run so far.
    pub fn blocks_and_runs(&self) -> [usize; 2] {
        [self.starts.len() - 1, self.runs.load(Ordering::Relaxed)]
    }

    /// A hash of the model's parameters, the tokens and the place (blake3, hexadecimal).
    pub fn content_hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(
            format!("{} {:?} {}", self.tap, self.keep_begin, self.windows.length).as_bytes(),
        );
        self.windows.tokens.iter().for_each(|token| {
            hasher.update(&token.to_le_bytes());
        });
        self.model.hash_into(&mut hasher);
        hasher.finalize().to_hex().to_string()
    }

    /// Calls `read` with the rows of the block that a row is in, and the row with which it begins.
    fn with_block<T>(&self, row: usize, read: impl FnOnce(&Matrix, usize) -> T) -> Result<T> {
        let block = self.starts.partition_point(|&start| start <= row) - 1;
        // A thread that panicked left whole blocks behind.
        let mut kept = self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let place = kept.iter().position(|(own, _)| *own == block);
        let found = match place.and_then(|place| kept.remove(place)) {
            Some(found) => found,
            None => (block, self.run(block)?),
        };
        let read = read(&found.1, self.starts[block]);
        kept.truncate(KEPT - 1);
        kept.push_front(found);
        Ok(read)
    }

    fn run(&self, block: usize) -> Result<Matrix> {
        self.runs.fetch_add(1, Ordering::Relaxed);
        let first = block * self.together;
        let windows = self.windows.part(first..self.windows.sequences().min(first + self.together));
        let mut harvester = Harvester::new(&self.model, &[self.tap], self.keep_begin);
        Ok(harvester.run(&windows)?.rows[0].clone())
    }
}

impl Source for ActivationSource {
    fn rows(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
    }

    fn dim(&self) -> usize {
        self.tap.width(&self.model.architecture)
    }

    fn precision(&self) -> Precision {
        Precision::F32
    }

    fn read_f32(&self, start: usize, out: &mut [f32]) -> Result<()> {
        let dim = self.dim();
        let (mut row, mut rest) = (start, out);
        while !rest.is_empty() {
            let taken = self.with_block(row, |rows, begin| {
                let from = (row - begin) * dim;
                let count = rest.len().min(rows.as_slice().len() - from);
                rest[..count].copy_from_slice(&rows.as_slice()[from..from + count]);
                count
            })?;
            rest = &mut rest[taken..];
            row += taken / dim;
        }
        Ok(())
    }

    fn read_f64(&self, start: usize, out: &mut [f64]) -> Result<()> {
        let mut narrow = vec![0.0; out.len()];
        self.read_f32(start, &mut narrow)?;
        out.iter_mut().zip(narrow).for_each(|(out, value)| *out = f64::from(value));
        Ok(())
    }

    fn gather_f32(&self, places: &[usize], out: &mut [f32]) -> Result<()> {
        let dim = self.dim();
        assert_eq!(out.len(), places.len() * dim, "gather: one row for each place");
        // Block after block, so that none is dropped before all its rows are read.
        let mut order: Vec<usize> = (0..places.len()).collect();
        order.sort_by_key(|&index| places[index]);
        for index in order {
            let out = &mut out[index * dim..(index + 1) * dim];
            self.with_block(places[index], |rows, begin| {
                out.copy_from_slice(rows.row(places[index] - begin));
            })?;
        }
        Ok(())
    }

    fn whereabouts(&self, row: usize) -> String {
        format!("row {} at {} of {}", row + 1, self.tap, self.model.name)
    }
}
