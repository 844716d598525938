//! A bar that shows how far a training is; lines now and then where nobody watches a terminal.

use std::io::{self, IsTerminal};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use narrows::train::{Beginning, Epoch, Observer, Stage, Step, Wish};

use super::{Output, figure};

/// Parts that the bar is divided into.
const PARTS: f64 = 1000.0;
/// Between two lines.
const LINES: Duration = Duration::from_secs(10);

/// Says what a training is and shows how far it is.
pub(super) struct Bar<'a> {
    output: &'a Output,
    bar: ProgressBar,
    last_drawn: Option<Instant>,
    validation: Option<f64>,
    /// Where there are lines: when the last was said, and where the training began.
    lines: Option<(Instant, Option<(Instant, f64)>)>,
}

impl<'a> Bar<'a> {
    pub(super) fn new(output: &'a Output) -> Self {
        let bar = if output.quiet { ProgressBar::hidden() } else { ProgressBar::new(PARTS as u64) };
        let style = ProgressStyle::with_template("{bar:24} {msg}  {eta} left");
        let bar = bar.with_style(style.unwrap_or(ProgressStyle::default_bar()));
        let lines = (!io::stderr().is_terminal()).then(|| (Instant::now(), None));
        Self { output, bar, last_drawn: None, validation: None, lines }
    }

    /// Moves on, ten times a second at most.
    pub(super) fn draw(&mut self, step: &Step) {
        let validation = self.validation;
        self.advance(step.done, || told(step, validation));
    }

    /// Moves on to the part `done`; `told` says where that is, which is asked ten times a second at most.
    pub(super) fn advance(&mut self, done: f64, told: impl FnOnce() -> String) {
        if self.lines.is_some() {
            return self.write(done, told);
        }
        if self.last_drawn.is_some_and(|last| last.elapsed() <= Duration::from_millis(100)) {
            return;
        }
        self.last_drawn = Some(Instant::now());
        self.bar.set_position((PARTS * done) as u64);
        self.bar.set_message(told());
    }

    /// Says where it is, every ten seconds at most.
    fn write(&mut self, done: f64, told: impl FnOnce() -> String) {
        let Some((said, begun)) = &mut self.lines else { return };
        let (start, from) = *begun.get_or_insert((Instant::now(), done));
        if said.elapsed() < LINES || done <= from {
            return;
        }
        *said = Instant::now();
        let rest = (1.0 - done) / (done - from).max(1e-9);
        let left = start.elapsed().mul_f64(rest.min(1e6));
        self.output.say(format!("{}  {} left", told(), HumanDuration(left)));
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn told(step: &Step, validation: Option<f64>) -> String {
    let validation = validation.map(|loss| format!(", validation {}", figure(loss)));
    format!(
        "epoch {}: loss {}{}  {:.0} rows/s",
        step.epoch + 1,
        figure(step.loss),
        validation.unwrap_or_default(),
        step.rows_per_second
    )
}

/// Steps below which a person is told that they are few.
const FEW_STEPS: usize = 100;

impl Observer for Bar<'_> {
    fn begin(&mut self, beginning: &Beginning) {
        let Beginning {
            stage,
            parameters,
            operations_per_row,
            rows,
            validation_rows,
            epochs_done,
            steps,
        } = *beginning;
        let stage = match stage {
            Stage::Whole => String::new(),
            Stage::Storey { number, of } => format!("storey {number} of {of}: "),
            Stage::FineTuning => "the whole: ".to_owned(),
        };
        let mut said = format!(
            "{stage}{} parameters, {:.3} million operations per row forward and back; {rows} rows",
            parameters,
            operations_per_row as f64 / 1e6
        );
        if validation_rows > 0 {
            said += &format!(", {validation_rows} more to measure on");
        }
        if epochs_done > 0 {
            said += &format!("; {epochs_done} epochs done before");
        }
        self.output.say(said);
        if let Some(steps) = steps.filter(|&steps| steps < FEW_STEPS) {
            self.output.say(format!(
                "note: {steps} steps in all, which is little for a network; give a smaller train.batch_size or more \
                 train.epochs"
            ));
        }
        // Another training is as fast as it is.
        self.validation = None;
        self.bar.reset_eta();
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
