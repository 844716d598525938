//! `narrows data`: say what is in there.

use std::io::Write;

use anyhow::Result;
use clap::Args;
use narrows::data::{self, OpenOptions};

use super::{Output, Screen, size};

/// Say what is in a file or folder: rows, columns, types, ranges, missing values, classes
///
/// Example: narrows data train-images-idx3-ubyte.gz
#[derive(Debug, Args)]
pub(crate) struct DataArgs {
    /// A file, a folder of pictures, `PATH#name` in an npz, or `demo:digits`
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
    #[command(flatten)]
    output: Output,
}

pub(crate) fn run(args: DataArgs) -> Result<()> {
    let DataArgs { labels, label_column, colour, resize, .. } = args;
    let options = OpenOptions { colour, resize, label_column, labels };
    let description = data::describe(&data::open(&args.path, &options)?)?;
    if args.output.json {
        writeln!(Screen, "{}", serde_json::to_string_pretty(&description)?)?;
    } else {
        write!(Screen, "{}", description.screen())?;
    }
    Ok(())
}
