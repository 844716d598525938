//! `narrows fetch`: public data sets, from where they lie, as `fit` reads them.

mod download;
mod sets;
mod unpack;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use narrows::Error;

use super::Output;
use download::Download;
use sets::Set;

/// Fetch a public data set
///
/// Files are compared with their known sums before they take their names. A download that broke off
/// goes on where it was, in the same command or the next; what is there and right is not fetched
/// again. Then:
///
///   mnist, fashion-mnist   train- and t10k-images-idx3-ubyte.gz, and -labels-idx1-ubyte.gz
///   orl                    a folder orl-faces with one folder of pictures for each person
///   olivetti               olivetti-images-idx3-ubyte and olivetti-labels-idx1-ubyte
///   tinystories            TinyStoriesV2-GPT4-train.txt and -valid.txt, for --text
///
/// Whose the sets are and what may be done with them is told on their pages; it is not for narrows
/// to allow.
///
/// Example: narrows fetch mnist --out data/mnist
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct FetchArgs {
    /// The set
    set: Set,
    /// The folder to write into; it is made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// A folder on a server that holds the same files, instead of the usual addresses
    #[arg(long, value_name = "URL")]
    mirror: Option<String>,
    #[command(flatten)]
    output: Output,
}

pub(crate) fn run(args: &FetchArgs) -> Result<()> {
    fs::create_dir_all(&args.out).map_err(|error| Error::write(&args.out, error))?;
    if args.set == Set::Orl && unpack::has_orl(&args.out.join("orl-faces"))? {
        args.output.say(format!("there already: {}", args.out.join("orl-faces").display()));
        return Ok(());
    }
    let download = Download::new(&args.out, args.mirror.as_deref(), args.output.quiet);
    for file in args.set.files() {
        let fetched = download.fetch(file)?;
        let told = if fetched { "fetched" } else { "there already" };
        args.output.say(format!("{told}: {}", args.out.join(file.name).display()));
        unpack(args, &args.out.join(file.name))?;
    }
    Ok(())
}

fn unpack(args: &FetchArgs, file: &Path) -> Result<()> {
    match args.set {
        Set::Mnist | Set::FashionMnist | Set::TinyStories => return Ok(()),
        Set::Orl => unpack::orl(file, &args.out.join("orl-faces"))?,
        Set::Olivetti => {
            let [images, labels] = ["images-idx3", "labels-idx1"]
                .map(|name| args.out.join(format!("olivetti-{name}-ubyte")));
            unpack::olivetti(file, &images, &labels)?;
        }
    }
    args.output.say(format!("unpacked: {}", file.display()));
    Ok(())
}
