//! One file for each command: read the arguments, call the library, print.

mod bar;
pub(crate) mod compress;
pub(crate) mod convert;
pub(crate) mod data;
mod dictionaries;
pub(crate) mod evaluate;
pub(crate) mod faces;
pub(crate) mod features;
pub(crate) mod fetch;
pub(crate) mod finetune;
pub(crate) mod fit;
pub(crate) mod harvest;
pub(crate) mod interpret;
mod language;
pub(crate) mod lexical;
pub(crate) mod lm;
pub(crate) mod patch;
pub(crate) mod predict;
pub(crate) mod report;
mod sample;
pub(crate) mod shards;
pub(crate) mod shell;
pub(crate) mod steer;
pub(crate) mod study;
mod table;
pub(crate) mod tour;
pub(crate) mod transform;
pub(crate) mod tree;

use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use narrows::data::{self as rows, Dataset, OpenOptions};
use narrows::store::Run;

use dictionaries::Shelf;

/// How to talk.
#[derive(Debug, Args)]
pub(crate) struct Output {
    /// Print JSON for machines
    #[arg(long)]
    json: bool,
    /// Say nothing beside the result
    #[arg(short, long)]
    quiet: bool,
}

impl Output {
    /// Talks to the person, not to the program that reads the result.
    fn say(&self, message: impl AsRef<str>) {
        if !self.quiet {
            let _ = writeln!(io::stderr(), "{}", message.as_ref());
        }
    }
}

/// Standard output. Whoever stops reading before the end, as `head` does, has read enough.
struct Screen;

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match io::stdout().write(bytes) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(bytes.len()),
            done => done,
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        match io::stdout().flush() {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            done => done,
        }
    }
}

/// A run and the rows that go through it.
#[derive(Debug, Args)]
pub(crate) struct RunOnData {
    /// The run folder that `narrows fit` wrote
    run: PathBuf,
    /// Rows: a file, a folder of pictures, `PATH#name` in an npz, safetensors or arrow file, a store of
    /// `narrows shards`, or a built-in set such as `demo:digits`
    #[arg(long, value_name = "PATH")]
    data: String,
    /// The column of a table that holds the labels, and is left out of the rows [default: that of
    /// the training data, where it is there]
    #[arg(long, value_name = "NAME")]
    label_column: Option<String>,
}

impl RunOnData {
    /// Opens both, the data as the training data were opened.
    fn open(&self, labels: Option<String>) -> Result<(Run, Dataset)> {
        let run = open_run(&self.run)?;
        let given =
            OpenOptions { label_column: self.label_column.clone(), labels, ..Default::default() };
        let dataset = open_like(&run, &self.data, given)?;
        Ok((run, dataset))
    }
}

/// Opens a run of any model.
fn open_run(folder: &Path) -> Result<Run> {
    if let Some(shelf) = Shelf::find(folder)?.filter(|_| folder.is_dir()) {
        shelf.refuse_foreign("open a run")?;
    }
    Ok(Run::open(folder)?)
}

/// Opens data as the training data were opened: pictures in their size and colours, tables without
/// their column of labels, sound in their frames. Where that does not apply, the data are taken as they are.
fn open_like(run: &Run, data: &str, given: OpenOptions) -> narrows::Result<Dataset> {
    let table = &run.config["data"];
    let given = OpenOptions { frame: Some(run.preparation.input_dim()), ..given };
    let trained = OpenOptions {
        colour: table["colour"].as_bool().unwrap_or(false),
        resize: serde_json::from_value(table["resize"].clone()).ok().flatten(),
        label_column: given
            .label_column
            .clone()
            .or_else(|| table["label_column"].as_str().map(str::to_owned)),
        labels: given.labels.clone(),
        frame: given.frame,
    };
    let like = rows::open(data, &trained);
    let fits = |set: &Dataset| set.rows.dim() == run.preparation.input_dim();
    if trained == given || like.as_ref().is_ok_and(fits) {
        return like;
    }
    match (like, rows::open(data, &given)) {
        (Ok(like), Ok(plain)) if !fits(&plain) => Ok(like),
        (_, plain) => plain,
    }
}

/// The noise or the penalty that a run was trained with: that of a storey, if it is a stack whose storey
/// has its own, else that of the objective.
fn of_storey<T: serde::de::DeserializeOwned>(run: &Run, place: usize, table: &str) -> Option<T> {
    let own = &run.config["storey"][place][table];
    let used = if own.is_null() { &run.config["objective"][table] } else { own };
    serde_json::from_value(used.clone()).ok()
}

/// A number for a person to read.
fn figure(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if !size.is_finite() => "—".to_owned(),
        size if (1e-3..1e6).contains(&size) => format!("{value:.6}"),
        _ => format!("{value:.3e}"),
    }
}

fn size(text: &str) -> Result<(usize, usize), String> {
    let sides = text.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    sides.ok_or_else(|| "expected a width and a height such as 92x112".to_owned())
}

/// A word as the shell has to be told it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}
