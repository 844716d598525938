//! Watching a study: the bar, and Ctrl-C.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use narrows::Result;
use narrows::report::count;
use narrows::train::Wish;
use narrows::train::dictionary::{
    DictionaryCheckpoint, DictionaryObserver, DictionaryRecord, DictionaryStep,
};
use narrows_lm::study::StudyWatch;

use crate::commands::Output;
use crate::commands::bar::Bar;
use crate::commands::harvest::stop_signal;

/// Whoever watches a study at the command line.
pub(super) struct Watch<'a> {
    output: &'a Output,
    bar: Bar<'a>,
    stage: String,
    stopped: Arc<AtomicBool>,
}

impl<'a> Watch<'a> {
    pub(super) fn new(output: &'a Output) -> Result<Self> {
        Ok(Self { output, bar: Bar::new(output), stage: String::new(), stopped: stop_signal()? })
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.bar.finish();
    }
}

impl StudyWatch for Watch<'_> {
    fn stage(&mut self, name: &str) {
        self.bar.finish();
        self.bar = Bar::new(self.output);
        self.stage = name.to_owned();
        self.output.say(name);
    }

    fn advance(&mut self, done: f64) -> bool {
        let stage = &self.stage;
        self.bar.advance(done, || stage.clone());
        !self.stopped.load(Ordering::SeqCst)
    }

    fn observer(&mut self) -> &mut dyn DictionaryObserver {
        self
    }
}

impl DictionaryObserver for Watch<'_> {
    fn step(&mut self, step: &DictionaryStep) -> Wish {
        let stage = &self.stage;
        self.bar.advance(step.position as f64 / step.total as f64, || {
            format!(
                "{stage}: {} of {} rows",
                count(step.position as usize),
                count(step.total as usize)
            )
        });
        if self.stopped.load(Ordering::SeqCst) { Wish::Stop } else { Wish::GoOn }
    }

    fn record(&mut self, _records: &[DictionaryRecord]) {}

    fn checkpoint(&mut self, _checkpoint: &DictionaryCheckpoint<'_>) -> Result<()> {
        Ok(())
    }
}
