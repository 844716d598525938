//! Watching a training: the bar, Ctrl-C, checkpoints, and how to go on from one.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use narrows::data::Dataset;
use narrows::recipe::Recipe;
use narrows::store::{read_state, write_json, write_state};
use narrows::train::{Beginning, Checkpoint, Epoch, Observer, Stage, Step, Wish};
use narrows::{Error, Result};
use serde_json::{Value, json};

use super::super::Output;
use super::super::bar::Bar;

/// Where the checkpoint of a run lies.
pub(super) fn checkpoint_path(out: &Path) -> PathBuf {
    out.join("checkpoint").join("state.safetensors")
}

/// Whoever watches a training at the command line.
pub(super) struct Watch<'a> {
    output: &'a Output,
    bar: Bar<'a>,
    out: &'a Path,
    recipe: Value,
    content_hash: &'a str,
    interval: Duration,
    last_kept: Instant,
    stopped: Arc<AtomicBool>,
}

impl<'a> Watch<'a> {
    /// Takes over Ctrl-C: the first stops the training with a checkpoint, the second at once.
    ///
    /// # Errors
    /// If the system refuses.
    pub(super) fn new(
        recipe: &Recipe,
        dataset: &'a Dataset,
        out: &'a Path,
        output: &'a Output,
    ) -> Result<Self> {
        let stopped = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stopped);
        ctrlc::set_handler(move || {
            if flag.swap(true, Ordering::SeqCst) {
                std::process::exit(130);
            }
        })
        .map_err(|error| Error::failure("watch for Ctrl-C", error.to_string(), "try again"))?;
        let interval = Duration::from_secs_f64(recipe.train.checkpoint_seconds.min(1e9));
        Ok(Self {
            output,
            bar: Bar::new(output),
            out,
            recipe: serde_json::to_value(recipe).unwrap_or_default(),
            content_hash: &dataset.content_hash,
            interval,
            last_kept: Instant::now(),
            stopped,
        })
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.bar.finish();
    }

    /// Makes the folder of a run that is not finished, so that it is known as one.
    fn make_folder(&self, path: &Path) -> Result<()> {
        let folder = path.parent().unwrap_or(self.out);
        std::fs::create_dir_all(folder).map_err(|error| Error::write(folder, error))?;
        let config = self.out.join("config.json");
        if config.exists() {
            return Ok(());
        }
        let mut told = self.recipe.clone();
        told["version"] = json!(env!("CARGO_PKG_VERSION"));
        write_json(&config, &told)
    }
}

impl Observer for Watch<'_> {
    fn begin(&mut self, beginning: &Beginning) {
        let Beginning { stage, parameters, operations_per_row, rows, validation_rows, epochs_done } =
            *beginning;
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
        self.bar.begin();
    }

    fn step(&mut self, step: &Step) -> Wish {
        self.bar.draw(step);
        if self.stopped.load(Ordering::SeqCst) {
            Wish::Stop
        } else if self.last_kept.elapsed() >= self.interval {
            Wish::Checkpoint
        } else {
            Wish::GoOn
        }
    }

    fn epoch(&mut self, epoch: &Epoch) -> ControlFlow<()> {
        self.bar.epoch(epoch)
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let path = checkpoint_path(self.out);
        self.make_folder(&path)?;
        let about = json!({
            "recipe": self.recipe,
            "content_hash": self.content_hash,
            "progress": checkpoint.progress,
        });
        write_state(&path, &about, &checkpoint.vectors)?;
        self.last_kept = Instant::now();
        Ok(())
    }
}

/// What an interrupted training left.
pub(super) struct Left {
    pub(super) recipe: Recipe,
    content_hash: String,
    checkpoint: Checkpoint,
}

impl Left {
    /// Reads it from the folder of the run; `None` where there is no checkpoint.
    pub(super) fn in_folder(out: &Path) -> Result<Option<Self>> {
        let path = checkpoint_path(out);
        if !path.exists() {
            return Ok(None);
        }
        let (about, vectors) = read_state(&path)?;
        let recipe = serde_json::from_value(about["recipe"].clone());
        let recipe: Recipe = recipe.map_err(|error| {
            Error::bad_file(&path, error.to_string(), "start anew without --resume")
        })?;
        let content_hash = about["content_hash"].as_str().unwrap_or_default().to_owned();
        let checkpoint = Checkpoint::from_kept(&about["progress"], vectors)?;
        Ok(Some(Self { recipe, content_hash, checkpoint }))
    }

    /// The checkpoint, if it is of these rows.
    pub(super) fn of(self, dataset: &Dataset) -> Result<Checkpoint> {
        if self.content_hash == dataset.content_hash {
            return Ok(self.checkpoint);
        }
        Err(Error::mistake(
            "resume training",
            "the rows that it began with",
            format!("'{}', which has changed since", dataset.name),
            "restore them, or start anew without --resume",
        ))
    }
}
