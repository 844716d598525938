//! `narrows data`: say what is in there.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use narrows::Error;
use narrows::data::superposition::KnownTruth;
use narrows::data::{self, Dataset, Description, OpenOptions, Source};
use narrows::store::write_truth;

use super::{Output, Screen, size};

/// Say what is in a file or folder: rows, columns, types, ranges, missing values, classes
///
/// Example: narrows data train-images-idx3-ubyte.gz
#[derive(Debug, Args)]
pub(crate) struct DataArgs {
    /// A file, a folder of pictures, `PATH#name` in an npz, or a built-in set: `demo:digits`,
    /// `demo:faces`, `demo:superposition` or `demo:toy`
    path: String,
    /// A file with one label per row
    #[arg(long, value_name = "PATH")]
    labels: Option<String>,
    /// The column of a table that holds the labels
    #[arg(long, value_name = "NAME")]
    label_column: Option<String>,
    /// Keep the colours of pictures
    #[arg(long)]
    colour: bool,
    /// Bring pictures to this size
    #[arg(long, value_name = "WIDTHxHEIGHT", value_parser = size)]
    resize: Option<(usize, usize)>,
    /// Write the truth behind `demo:superposition` or `demo:toy` as safetensors: directions, bias,
    /// rates, and the codes of all rows
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

pub(crate) fn run(args: DataArgs) -> Result<()> {
    let truth = data::known_truth(&args.path)?;
    if let Some(path) = &args.truth {
        return write_known(path, truth.as_ref(), &args);
    }
    let DataArgs { labels, label_column, colour, resize, .. } = args;
    let options = OpenOptions { colour, resize, label_column, labels, ..Default::default() };
    let dataset = data::open(&args.path, &options)?;
    tell_doubtful(&dataset, &args.output)?;
    let description = data::describe(&dataset)?;
    let known = truth.as_ref().map(Known::of);
    if args.output.json {
        let told = Told { description: &description, truth: known };
        writeln!(Screen, "{}", serde_json::to_string_pretty(&told)?)?;
    } else {
        write!(Screen, "{}", description.screen())?;
        known.map_or(Ok(()), |known| known.print())?;
    }
    Ok(())
}

/// Says which columns of a table are taken as categories and probably should not be.
pub(super) fn tell_doubtful(dataset: &Dataset, output: &Output) -> narrows::Result<()> {
    let doubtful = data::doubtful_columns(dataset)?;
    doubtful.iter().for_each(|doubt| output.say(format!("note: {doubt}")));
    Ok(())
}

#[derive(serde::Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    description: &'a Description,
    #[serde(skip_serializing_if = "Option::is_none")]
    truth: Option<Known>,
}

/// What is known of superposed features.
#[derive(serde::Serialize)]
struct Known {
    features: usize,
    /// Features that fire in a row, on average over the first rows.
    active_per_row: f64,
    highest_rate: f64,
    lowest_rate: f64,
    rows_measured: usize,
}

impl Known {
    fn of(truth: &KnownTruth) -> Self {
        let rows = truth.rows().min(4096);
        let active = truth.codes(0..rows).entries() as f64 / rows as f64;
        let rates = truth.rates().iter().copied();
        Self {
            features: truth.features(),
            active_per_row: active,
            highest_rate: rates.clone().fold(0.0, f64::max),
            lowest_rate: rates.fold(1.0, f64::min),
            rows_measured: rows,
        }
    }

    fn print(&self) -> Result<()> {
        writeln!(
            Screen,
            "  truth      {} directions, {:.1} active per row on average",
            self.features, self.active_per_row
        )?;
        let (high, low) = (self.highest_rate, self.lowest_rate);
        Ok(writeln!(Screen, "  rates      {high:.4} down to {low:.2e}")?)
    }
}

fn write_known(path: &Path, truth: Option<&KnownTruth>, args: &DataArgs) -> Result<()> {
    let Some(truth) = truth else {
        return Err(Error::mistake(
            "data --truth",
            "demo:superposition or demo:toy, whose truth is known",
            format!("'{}'", args.path),
            "leave out --truth",
        ))?;
    };
    write_truth(path, truth)?;
    args.output.say(format!("wrote the truth of {} rows to {}", truth.rows(), path.display()));
    Ok(())
}
