//! Watching dictionaries learn: the bar, Ctrl-C, checkpoints.

use std::path::Path;
use std::time::Instant;

use narrows::Result;
use narrows::report::count;
use narrows::train::Wish;
use narrows::train::dictionary::{
    DictionaryCheckpoint, DictionaryObserver, DictionaryRecord, DictionaryStep,
};

use super::super::watch::{Asked, Keeper};
use crate::commands::Output;
use crate::commands::bar::Bar;

/// Whoever watches dictionaries learn at the command line.
pub(super) struct Watch<'a> {
    bar: Bar<'a>,
    keeper: Keeper<'a>,
    /// When it began, after so many rows.
    begun: (Instant, u64),
    /// Mean over the dictionaries of the last line of the history: codes of a row, and dead latents.
    last: Option<(f64, f64)>,
    /// Rows seen, and rows in all.
    at: [u64; 2],
}

impl<'a> Watch<'a> {
    /// Takes over Ctrl-C: see [`Keeper::new`].
    pub(super) fn new(asked: Asked, out: &'a Path, output: &'a Output, from: u64) -> Result<Self> {
        let (bar, keeper) = (Bar::new(output), Keeper::new(asked, out)?);
        Ok(Self { bar, keeper, begun: (Instant::now(), from), last: None, at: [0; 2] })
    }

    /// How far it came, for whoever stopped it.
    pub(super) fn kept(&self) -> String {
        let [seen, total] = self.at.map(|rows| count(rows as usize));
        format!("{seen} of {total} rows kept; ")
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.bar.finish();
    }
}

impl DictionaryObserver for Watch<'_> {
    fn step(&mut self, step: &DictionaryStep) -> Wish {
        self.at = [step.position, step.total];
        let (start, from) = self.begun;
        let speed = (step.position - from) as f64 / start.elapsed().as_secs_f64().max(1e-9);
        let last =
            self.last.map_or(String::new(), |(l0, dead)| format!(", L0 {l0:.1}, {dead:.0} dead"));
        self.bar.advance(step.position as f64 / step.total as f64, || {
            let unexplained = step.fraction_variance_unexplained;
            format!("{} rows: FVU {unexplained:.4}{last}  {speed:.0} rows/s", step.position)
        });
        self.keeper.wish()
    }

    fn record(&mut self, records: &[DictionaryRecord]) {
        let mean = |of: fn(&DictionaryRecord) -> f64| {
            records.iter().map(of).sum::<f64>() / records.len().max(1) as f64
        };
        self.last = Some((mean(|own| own.l0), mean(|own| own.dead as f64)));
    }

    fn checkpoint(&mut self, checkpoint: &DictionaryCheckpoint<'_>) -> Result<()> {
        self.keeper.keep(&checkpoint.progress, &checkpoint.vectors)
    }
}
