//! Watching a training: the bar, Ctrl-C, checkpoints, and how to go on from one.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use narrows::store::{is_finished, read_state, write_aside, write_state};
use narrows::train::{Beginning, Checkpoint, Epoch, Observer, Step, Wish};
use narrows::{Error, Result};
use serde::Serialize;
use serde_json::{Value, json};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::super::bar::Bar;
use super::super::{Output, quoted};

/// Where the checkpoint of a run lies.
pub(super) fn checkpoint_path(out: &Path) -> PathBuf {
    out.join("checkpoint").join("state.safetensors")
}

/// What a checkpoint is of: what was asked for and of which data, so that only the same goes on from it.
pub(in super::super) struct Asked {
    /// The command: `fit` or `finetune`.
    pub(in super::super) command: &'static str,
    /// All that it was told.
    pub(in super::super) settings: Value,
    /// What `config.json` says until there is a whole one.
    pub(in super::super) config: Value,
    /// A hash of what is learned from.
    pub(in super::super) content_hash: String,
    /// Between checkpoints.
    pub(in super::super) seconds: f64,
}

/// Keeps the checkpoints of a training and knows when the person wants it to stop.
pub(super) struct Keeper<'a> {
    out: &'a Path,
    asked: Asked,
    interval: Duration,
    last_kept: Instant,
    /// Whether the checkpoint in the folder is of an earlier training, for which this one's would be
    /// taken.
    stale: bool,
    stopped: Arc<AtomicBool>,
}

impl<'a> Keeper<'a> {
    /// Takes over Ctrl-C and the request to terminate: the first stops the training with a checkpoint, the
    /// second at once.
    ///
    /// # Errors
    /// If the system refuses.
    pub(super) fn new(asked: Asked, out: &'a Path) -> Result<Self> {
        let stopped = Arc::new(AtomicBool::new(false));
        // What a hang-up does stays with the shell, so that `nohup` is obeyed.
        for signal in [SIGINT, SIGTERM] {
            flag::register_conditional_shutdown(signal, 130, Arc::clone(&stopped))
                .and_then(|_| flag::register(signal, Arc::clone(&stopped)))
                .map_err(|error| {
                    Error::failure("watch for Ctrl-C", error.to_string(), "try again")
                })?;
        }
        let interval = Duration::from_secs_f64(asked.seconds.clamp(0.0, 1e9));
        let stale = checkpoint_path(out).exists();
        Ok(Self { out, asked, interval, last_kept: Instant::now(), stale, stopped })
    }

    /// What the training is to do after a step.
    pub(super) fn wish(&mut self) -> Wish {
        if self.stopped.load(Ordering::SeqCst) {
            Wish::Stop
        } else if self.last_kept.elapsed() >= self.interval || std::mem::take(&mut self.stale) {
            Wish::Checkpoint
        } else {
            Wish::GoOn
        }
    }

    /// Keeps where the training stands.
    pub(super) fn keep(
        &mut self,
        progress: &impl Serialize,
        vectors: &[(String, impl AsRef<[f32]>)],
    ) -> Result<()> {
        let path = checkpoint_path(self.out);
        self.make_folder(&path)?;
        let about = json!({
            "command": self.asked.command,
            "settings": self.asked.settings,
            "content_hash": self.asked.content_hash,
            "progress": progress,
        });
        write_state(&path, &about, vectors)?;
        self.last_kept = Instant::now();
        Ok(())
    }

    /// Makes the folder of a run that is not finished, so that it is known as one. The configuration of
    /// weights that are there already stays.
    fn make_folder(&self, path: &Path) -> Result<()> {
        let folder = path.parent().unwrap_or(self.out);
        std::fs::create_dir_all(folder).map_err(|error| Error::write(folder, error))?;
        if is_finished(self.out) {
            return Ok(());
        }
        let config = self.out.join("config.json");
        let mut told = self.asked.config.clone();
        told["version"] = json!(env!("CARGO_PKG_VERSION"));
        let text = format!("{told:#}\n");
        match std::fs::read_to_string(&config) {
            Ok(said) if said == text => Ok(()),
            _ => write_aside(&config, text.as_bytes()),
        }
    }
}

/// Whoever watches a training at the command line.
pub(in super::super) struct Watch<'a> {
    bar: Bar<'a>,
    keeper: Keeper<'a>,
    output: &'a Output,
    /// Whether a training that was interrupted, if there is one, is yet to be told of as replaced.
    replaces: bool,
}

impl<'a> Watch<'a> {
    /// Takes over Ctrl-C: see [`Keeper::new`].
    ///
    /// # Errors
    /// If the system refuses.
    pub(in super::super) fn new(asked: Asked, out: &'a Path, output: &'a Output) -> Result<Self> {
        let (bar, keeper) = (Bar::new(output), Keeper::new(asked, out)?);
        Ok(Self { bar, keeper, output, replaces: false })
    }

    /// Says, once it begins and nothing is refused any more, which interrupted training it replaces.
    pub(super) fn replacing(self, replaces: bool) -> Self {
        Self { replaces, ..self }
    }

    /// Takes the bar away.
    pub(in super::super) fn finish(&self) {
        self.bar.finish();
    }
}

impl Observer for Watch<'_> {
    fn begin(&mut self, beginning: &Beginning) {
        if std::mem::take(&mut self.replaces) {
            tell_replaced(self.keeper.out, self.output);
        }
        self.bar.begin(beginning);
    }

    fn step(&mut self, step: &Step) -> Wish {
        self.bar.draw(step);
        self.keeper.wish()
    }

    fn epoch(&mut self, epoch: &Epoch) -> ControlFlow<()> {
        self.bar.epoch(epoch)
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        self.keeper.keep(&checkpoint.progress, &checkpoint.vectors)
    }
}

/// What was asked for when the training that `--resume` goes on with began; `said` is what is asked for
/// now, if anything is.
pub(in super::super) fn begun<T: Clone + PartialEq>(
    left: Option<&Left<T>>,
    said: Option<T>,
    out: &Path,
) -> Result<T> {
    let refuse = |expected: &str, got: String, remedy: &str| {
        Err(Error::mistake("resume training", expected, got, remedy))
    };
    match (left, said) {
        (Some(left), Some(said)) if said != left.asked => Err(other_settings()),
        (Some(left), _) => Ok(left.asked.clone()),
        (None, Some(_)) if is_finished(out) => refuse(
            "a run that was interrupted",
            format!("'{}', which is finished", out.display()),
            "leave --resume out to replace it, or name another folder with --out",
        ),
        (None, Some(said)) => Ok(said),
        (None, None) => refuse(
            "a run that was interrupted",
            format!("'{}', which holds no checkpoint", out.display()),
            "name its folder with --out, or say what to fit to start it",
        ),
    }
}

/// An interruption of `narrows fit`, with what was kept and the command that goes on from it.
pub(super) fn with_command(error: Error, kept: &str, out: &Path) -> Error {
    match error {
        Error::Interrupted { operation, .. } => Error::Interrupted {
            operation,
            remedy: format!(
                "{kept}go on with `narrows fit --resume --out {}`",
                quoted(&out.to_string_lossy())
            ),
        },
        other => other,
    }
}

/// Says that an interrupted training in `out` will be replaced, if there is one.
pub(super) fn tell_replaced(out: &Path, output: &Output) {
    if checkpoint_path(out).exists() {
        output.say(format!(
            "note: the training that was interrupted in {} is replaced; --resume would go on with it",
            out.display()
        ));
    }
}

/// Says that a training which is to replace the model in `folder` was interrupted, if one was.
pub(in super::super) fn tell_unfinished(folder: &Path, output: &Output) {
    if is_finished(folder) && checkpoint_path(folder).exists() {
        output.say(format!(
            "note: this is the model from before the training that was interrupted in {}",
            folder.display()
        ));
    }
}

/// The mistake of going on with something else.
pub(super) fn other_settings() -> Error {
    Error::mistake(
        "resume training",
        "the settings that it began with",
        "others",
        "give --resume and --out alone, or start anew without --resume",
    )
}

/// What an interrupted training left.
pub(in super::super) struct Left<T> {
    /// What was asked for when it began.
    pub(in super::super) asked: T,
    content_hash: String,
    progress: Value,
    vectors: Vectors,
}

/// Vectors with names.
type Vectors = Vec<(String, Vec<f32>)>;

impl<T> Left<T> {
    /// Reads what `command` left in the folder of the run; `None` where there is no checkpoint.
    pub(in super::super) fn in_folder(
        command: &str,
        out: &Path,
        read: impl FnOnce(Value) -> serde_json::Result<T>,
    ) -> Result<Option<Self>> {
        let path = checkpoint_path(out);
        if !path.exists() {
            return Ok(None);
        }
        let (about, vectors) = read_state(&path)?;
        if let Some(other) = about["command"].as_str().filter(|other| *other != command) {
            return Err(Error::mistake(
                "resume training",
                format!("a training of `narrows {command}`"),
                format!("one of `narrows {other}`"),
                format!("use `narrows {other} --resume --out {}`", out.display()),
            ));
        }
        let asked = read(about["settings"].clone()).map_err(|error| {
            Error::bad_file(&path, error.to_string(), "start anew without --resume")
        })?;
        let content_hash = about["content_hash"].as_str().unwrap_or_default().to_owned();
        Ok(Some(Self { asked, content_hash, progress: about["progress"].clone(), vectors }))
    }

    /// The checkpoint, if it is of data with this hash.
    pub(in super::super) fn of(self, content_hash: &str, name: &str) -> Result<Checkpoint> {
        let (progress, vectors) = self.kept(content_hash, name)?;
        Checkpoint::from_kept(&progress, vectors)
    }

    /// Where it stood, if it is of data with this hash.
    pub(super) fn kept(self, content_hash: &str, name: &str) -> Result<(Value, Vectors)> {
        if self.content_hash == content_hash {
            return Ok((self.progress, self.vectors));
        }
        Err(Error::mistake(
            "resume training",
            "the rows that it began with",
            format!("'{name}', which has changed since"),
            "restore them, or start anew without --resume",
        ))
    }
}
