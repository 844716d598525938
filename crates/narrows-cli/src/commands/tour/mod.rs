//! `narrows tour`: the whole subject, run and shown.

mod copying;
mod deep;
mod denoising;
mod draw;
mod eigenfaces;
mod language;
mod lego;
mod limits;
mod linear;
mod page;
mod pythagoras;
mod recognition;
mod sets;
mod sparse;
mod spot;
mod stacked;
mod told;
mod why;
mod workshop;

use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use clap::Args;
use narrows::Error;
use serde_json::{Value, json};

use super::{Output, Screen};
use told::Told;
use workshop::Workshop;

/// See every idea of the subject work on data, in about a minute: trained, measured, shown on one page
///
/// Sixteen sections, from the linear autoencoder and PCA through eigenfaces, deep, stacked,
/// denoising and sparse networks to the features of a language model. Each trains here and now,
/// prints what it measured, on held-out rows unless it is said otherwise, and goes onto the page
/// with its idea, its formula, its picture and the command for data of your own.
///
/// Without --data it takes what comes with narrows: 1,797 handwritten digits, faces of people who
/// do not exist, and a small language model with its text. The same seed gives the same figures.
///
/// Examples:
///
///   narrows tour
///   narrows tour --only 9,13 --out lecture
///   narrows tour --full --data ~/data
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct TourArgs {
    /// A folder with data to take instead, as far as they are there: mnist/ (the four idx files, gzipped or not),
    /// orl-faces/ (s1/1.pgm …; five people or more, eight pictures of each), lm-tiny/ (a language model) and
    /// text/tinystories-lowercase-4mb.txt
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Write the page to DIR/tour.html [default: narrows-tour.html, here]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Only these sections
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = clap::value_parser!(u8).range(1..=16))]
    only: Vec<u8>,
    /// Train longer, on all rows: of MNIST some twelve minutes, and a gigabyte of memory
    #[arg(long)]
    full: bool,
    /// The seed of everything that is drawn
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    output: Output,
}

/// A section: its title, and what runs it.
type Entry = (&'static str, fn(&Workshop<'_>) -> narrows::Result<Told>);

/// All of them, counted from 1.
const SECTIONS: [Entry; 16] = [
    ("Why narrow", why::run),
    ("A linear autoencoder by gradient", linear::by_gradient),
    ("Tied, it is PCA", linear::in_closed_form),
    ("Pythagoras", pythagoras::run),
    ("Eigenfaces, step by step", eigenfaces::step_by_step),
    ("A face as a sum", eigenfaces::growing),
    ("Who is it?", recognition::run),
    ("Where planes end", limits::run),
    ("Deep: a curved surface", deep::run),
    ("Wide codes copy", copying::run),
    ("Storey by storey", stacked::run),
    ("Lego", lego::run),
    ("Noise taken away", denoising::run),
    ("Sparse, by L1", sparse::by_l1),
    ("Sparse, by KL", sparse::by_kl),
    ("Features of a language model", language::run),
];

pub(crate) fn run(args: TourArgs) -> Result<()> {
    if let Some(folder) = args.data.as_ref().filter(|folder| !folder.is_dir()) {
        let expected = "a folder of data";
        let got = format!("'{}'", folder.display());
        return Err(Error::mistake("tour", expected, got, "check --data, or leave it out").into());
    }
    let path = page::place(args.out.as_deref())?;
    let shop = Workshop::new(&args.output, args.data.clone(), args.full, args.seed);
    let begin = Instant::now();
    let (mut told, mut for_machines) = (Vec::new(), Vec::new());
    for (place, (title, section)) in SECTIONS.into_iter().enumerate() {
        let number = place + 1;
        if !args.only.is_empty() && !args.only.iter().any(|&own| usize::from(own) == number) {
            continue;
        }
        let begin = Instant::now();
        let own = section(&shop)?;
        if !args.output.json {
            writeln!(Screen, "{number:>2}  {title}: {}", own.figure)?;
        }
        for_machines.push(own.for_machines(number, title, begin.elapsed().as_secs_f64()));
        told.push((number, title, own));
    }
    let seconds = begin.elapsed().as_secs_f64();
    page::write(&path, told, &for_machines, seconds)?;
    if args.output.json {
        let seconds = (10.0 * seconds).round() / 10.0;
        let all: Value = json!({"sections": for_machines, "seconds": seconds, "page": path.display().to_string()});
        return Ok(writeln!(Screen, "{all:#}")?);
    }
    writeln!(Screen, "\n{seconds:.0} s. The page: {}", path.display())?;
    Ok(())
}
