//! Rows at taps, collected while a model reads text.
//!
//! A row is kept for every token but, unless asked for, the one that begins a text: models park attention there,
//! its rows are many times as long as others, and a dictionary would learn little else. Some models, GPT-2 among
//! them, do so at the first place of a window whatever token is there; such rows are kept, one for each window, and
//! `positions` tells them. The pass ends after the last tap.

use narrows::compute::Matrix;
use narrows::store::ShardWriter;
use narrows::{Error, Result};

use crate::model::{Hook, LanguageModel, Pass, Tap};
use crate::text::{AT_ONCE, Corpus, Windows};

/// Names of the whole numbers that are kept for every row.
pub const COLUMNS: [&str; 2] = ["token_ids", "positions"];

/// What runs windows and keeps rows.
pub struct Harvester<'a> {
    model: &'a LanguageModel,
    taps: Vec<Tap>,
    keep_begin: bool,
    pass: Pass,
    found: Harvest,
}

/// Rows of some windows.
#[derive(Debug, Default)]
pub struct Harvest {
    /// The rows `(n, columns)` of each tap.
    pub rows: Vec<Matrix>,
    /// The token of each row `(n)`.
    pub token_ids: Vec<u32>,
    /// Its position in its window, counted from 0 `(n)`.
    pub positions: Vec<u32>,
    /// Its place among the tokens of the windows `(n)`.
    pub places: Vec<usize>,
}

impl<'a> Harvester<'a> {
    /// Keeps rows at `taps`, those of the token that begins a text too if `keep_begin`.
    ///
    /// # Panics
    /// If there are no taps: the caller's mistake.
    pub fn new(model: &'a LanguageModel, taps: &[Tap], keep_begin: bool) -> Self {
        assert!(!taps.is_empty(), "harvest: at least one tap");
        let found = Harvest { rows: vec![Matrix::default(); taps.len()], ..Harvest::default() };
        Self { model, taps: taps.to_vec(), keep_begin, pass: Pass::default(), found }
    }

    /// Whether the row of a token is kept.
    pub fn keeps(&self, token: u32) -> bool {
        self.keep_begin || Some(token) != self.model.begin()
    }

    /// Rows that windows have, which need not be run for it.
    pub fn count(&self, windows: &Windows) -> usize {
        windows.tokens.iter().filter(|&&token| self.keeps(token)).count()
    }

    /// Runs windows up to the last tap and keeps their rows.
    ///
    /// # Errors
    /// If a row holds a number that is not finite.
    pub fn run(&mut self, windows: &Windows) -> Result<&Harvest> {
        let places = (0..windows.tokens.len()).filter(|&place| self.keeps(windows.tokens[place]));
        self.found.places = places.collect();
        let places = &self.found.places;
        self.found.token_ids = places.iter().map(|&place| windows.tokens[place]).collect();
        self.found.positions = places.iter().map(|&p| (p % windows.length) as u32).collect();
        let last = self.taps.iter().max().copied();
        let mut keep = Keep { taps: &self.taps, places, rows: &mut self.found.rows };
        self.model.run_to(windows, last, &mut self.pass, &mut keep)?;
        Ok(&self.found)
    }
}

/// Copies the rows that are kept.
struct Keep<'a> {
    taps: &'a [Tap],
    places: &'a [usize],
    rows: &'a mut [Matrix],
}

impl Hook for Keep<'_> {
    fn wants(&self, tap: Tap) -> bool {
        self.taps.contains(&tap)
    }

    fn at(&mut self, tap: Tap, rows: &mut Matrix) -> Result<()> {
        for (own, kept) in self.taps.iter().zip(self.rows.iter_mut()) {
            if *own == tap {
                kept.reshape(self.places.len(), rows.cols());
                let filled = kept.as_mut_slice().chunks_exact_mut(rows.cols().max(1));
                filled
                    .zip(self.places)
                    .for_each(|(out, &place)| out.copy_from_slice(rows.row(place)));
                if kept.as_slice().iter().any(|value| !value.is_finite()) {
                    return Err(Error::failure(
                        "harvest",
                        format!("a number at {tap} is not finite"),
                        "the weights of the model are damaged, or too large for f32",
                    ));
                }
            }
        }
        Ok(())
    }
}

/// How far a harvest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HarvestProgress {
    /// Rows of a store so far.
    pub rows: usize,
    /// Tokens that the model has read in this call.
    pub tokens: usize,
    /// Documents that were begun.
    pub documents: usize,
    /// Bytes of text that were made into tokens.
    pub bytes: u64,
}

/// Reads `corpus` to its end, or until each store has `most` rows, and writes the rows of each tap into its
/// store. Rows that a store has already, of a harvest that was stopped, are not written again, and windows that all
/// stores have are not run again. `watch` says whether to go on.
///
/// # Errors
/// If text cannot be read, rows cannot be written, or `watch` ends it, which is [`Error::Interrupted`].
///
/// # Panics
/// If there is not one store for each tap of `harvester`: the caller's mistake.
pub fn harvest(
    corpus: &mut Corpus<'_>,
    harvester: &mut Harvester<'_>,
    stores: &mut [ShardWriter],
    most: usize,
    watch: &mut dyn FnMut(HarvestProgress) -> bool,
) -> Result<HarvestProgress> {
    assert_eq!(stores.len(), harvester.taps.len(), "harvest: a store for each tap");
    let written: Vec<usize> = stores.iter().map(ShardWriter::rows).collect();
    let fewest = written.iter().copied().min().unwrap_or(0);
    let mut progress = HarvestProgress { rows: 0, tokens: 0, documents: 0, bytes: 0 };
    while progress.rows < most {
        let Some(windows) = corpus.advance(AT_ONCE)? else { break };
        let first = progress.rows;
        let count = harvester.count(&windows).min(most - first);
        progress.rows += count;
        (progress.documents, progress.bytes) = (corpus.documents(), corpus.bytes());
        if progress.rows > fewest {
            let found = harvester.run(&windows)?;
            progress.tokens += windows.tokens.len();
            for ((store, rows), &written) in stores.iter_mut().zip(&found.rows).zip(&written) {
                let from = written.saturating_sub(first).min(count);
                let columns = [&found.token_ids[from..count], &found.positions[from..count]];
                let values = &rows.as_slice()[from * rows.cols()..count * rows.cols()];
                store.push_with(values, &columns)?;
            }
        }
        if !watch(progress) {
            return Err(Error::Interrupted {
                operation: "harvest".to_owned(),
                remedy: "go on with --resume".to_owned(),
            });
        }
    }
    Ok(progress)
}
