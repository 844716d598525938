//! `narrows fetch`: public data sets, from where they lie, as `fit` reads them.

mod download;
mod part;
mod sets;
mod unpack;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use narrows::Error;

use super::Output;
use download::{Download, sha256};
use sets::{Proof, Remote, Set};

/// Fetch a public data set
///
/// Files of mnist, fashion-mnist and olivetti are compared with their known sums (SHA-256) before
/// they take their names; of orl the 400 pictures are, when they are unpacked. No sum of tinystories
/// is known: its files are checked only for their length, as the server tells it, and for being
/// stories. The sum of a file that has no known one is printed, unless -q, for you to note.
///
/// A download that broke off goes on where it was, in the same command or the next, if the server
/// tells that the file there is still the same; what is there and right is not fetched again. Then:
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
        let path = args.out.join(file.name);
        let told = if fetched { "fetched" } else { "there already" };
        args.output.say(format!("{told}: {}", path.display()));
        if fetched {
            say_sum(args, file, &path)?;
        }
        unpack(args, &path, fetched)?;
    }
    Ok(())
}

/// Says the sum of a file that was compared with none.
fn say_sum(args: &FetchArgs, file: &Remote, path: &Path) -> Result<()> {
    if args.output.quiet || !matches!(file.proof, Proof::Stories) {
        return Ok(());
    }
    let sum = File::open(path).and_then(sha256).map_err(|error| Error::read(path, error))?;
    args.output.say(format!("not compared, its sha256 is {sum}: {}", path.display()));
    Ok(())
}

fn unpack(args: &FetchArgs, file: &Path, fetched: bool) -> Result<()> {
    match args.set {
        Set::Mnist | Set::FashionMnist | Set::TinyStories => return Ok(()),
        Set::Orl => unpack::orl(file, &args.out.join("orl-faces"), fetched)?,
        Set::Olivetti => {
            let [images, labels] = ["images-idx3", "labels-idx1"]
                .map(|name| args.out.join(format!("olivetti-{name}-ubyte")));
            unpack::olivetti(file, &images, &labels)?;
        }
    }
    args.output.say(format!("unpacked: {}", file.display()));
    Ok(())
}
