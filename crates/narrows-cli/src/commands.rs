//! One file for each command: read the arguments, call the library, print.

pub(crate) mod data;
pub(crate) mod evaluate;
pub(crate) mod faces;
pub(crate) mod fit;
pub(crate) mod report;
mod table;
pub(crate) mod transform;

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use narrows::data::{Dataset, OpenOptions};
use narrows::store::Run;

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
            eprintln!("{}", message.as_ref());
        }
    }
}

/// A run and the rows that go through it.
#[derive(Debug, Args)]
pub(crate) struct RunOnData {
    /// The run folder that `narrows fit` wrote
    run: PathBuf,
    /// Rows: a file, a folder of pictures, `PATH#name` in an npz, or `demo:digits`
    #[arg(long, value_name = "PATH")]
    data: String,
    /// The column of a table that holds the labels, and is left out of the rows
    #[arg(long, value_name = "NAME")]
    label_column: Option<String>,
}

impl RunOnData {
    /// Opens both, the data as the training data were opened.
    fn open(&self) -> Result<(Run, Dataset)> {
        let run = Run::open(&self.run)?;
        let options = options_of(&run, &self.data, self.label_column.clone());
        let dataset = narrows::data::open(&self.data, &options)?;
        Ok((run, dataset))
    }
}

/// Pictures are brought to the size and colours of the training pictures.
fn options_of(run: &Run, data: &str, label_column: Option<String>) -> OpenOptions {
    let table = &run.config["data"];
    let folder = Path::new(data).is_dir();
    OpenOptions {
        colour: folder && table["colour"].as_bool().unwrap_or(false),
        resize: serde_json::from_value(table["resize"].clone()).ok().flatten().filter(|_| folder),
        label_column,
        labels: None,
    }
}

/// A number for a person to read.
fn figure(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if (1e-3..1e6).contains(&size) => format!("{value:.6}"),
        _ => format!("{value:.3e}"),
    }
}

fn size(text: &str) -> Result<(usize, usize), String> {
    let sides = text.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    sides.ok_or_else(|| "expected a width and a height such as 92x112".to_owned())
}
