//! A bar that shows how far a training is.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use narrows::train::{Beginning, Epoch, Observer, Step, Wish};

use super::{Output, figure};

/// Parts that the bar is divided into.
const PARTS: f64 = 1000.0;

/// Shows a training that keeps no checkpoint.
pub(super) struct Bar<'a> {
    output: &'a Output,
    bar: ProgressBar,
    last_drawn: Option<Instant>,
    validation: Option<f64>,
}

impl<'a> Bar<'a> {
    pub(super) fn new(output: &'a Output) -> Self {
        let bar = if output.quiet { ProgressBar::hidden() } else { ProgressBar::new(PARTS as u64) };
        let style = ProgressStyle::with_template("{bar:24} {msg}  {eta} left");
        let bar = bar.with_style(style.unwrap_or(ProgressStyle::default_bar()));
        Self { output, bar, last_drawn: None, validation: None }
    }

    /// Forgets what was measured and how fast it went, for a training that begins.
    pub(super) fn begin(&mut self) {
        self.validation = None;
        self.bar.reset_eta();
    }

    /// Moves on, ten times a second at most.
    pub(super) fn draw(&mut self, step: &Step) {
        if self.last_drawn.is_some_and(|last| last.elapsed() <= Duration::from_millis(100)) {
            return;
        }
        self.last_drawn = Some(Instant::now());
        self.bar.set_position((PARTS * step.done) as u64);
        let validation = self.validation.map(|loss| format!(", validation {}", figure(loss)));
        self.bar.set_message(format!(
            "epoch {}: loss {}{}  {:.0} rows/s",
            step.epoch + 1,
            figure(step.loss),
            validation.unwrap_or_default(),
            step.rows_per_second
        ));
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Observer for Bar<'_> {
    fn begin(&mut self, beginning: &Beginning) {
        let Beginning { parameters, rows, validation_rows, epochs_done, .. } = *beginning;
        let measured = match validation_rows {
            0 => String::new(),
            rows => format!(", {rows} more to measure on"),
        };
        let stage = match epochs_done {
            0 => String::new(),
            epochs => format!("after epoch {epochs}: "),
        };
        self.output.say(format!("{stage}{parameters} parameters learn; {rows} rows{measured}"));
    }

    fn step(&mut self, step: &Step) -> Wish {
        self.draw(step);
        Wish::GoOn
    }

    fn epoch(&mut self, epoch: &Epoch) -> ControlFlow<()> {
        self.validation = epoch.validation;
        ControlFlow::Continue(())
    }
}
