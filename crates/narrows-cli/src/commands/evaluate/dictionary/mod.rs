//! `narrows evaluate` of sparse dictionaries: one, or those of a sweep beside each other.

mod baselines;
mod beside;
mod one;
mod sweep;

use anyhow::Result;
use narrows::Error;
use narrows::data::OpenOptions;

use super::super::dictionaries::{Rows, Shelf};
use super::EvaluateArgs;

/// Names the split of the rows of probes, and random directions.
const SEED: u64 = 0;

pub(super) fn run(args: &EvaluateArgs, shelf: &Shelf) -> Result<()> {
    if args.corrupt {
        let got = if shelf.sweep { "a sweep of dictionaries" } else { "a sparse dictionary" };
        let expected = "a network that was trained to take noise away where --corrupt is given";
        return Err(Error::mistake("evaluate", expected, got, "leave it out").into());
    }
    let label_column = args.on.label_column.clone();
    let given = OpenOptions { labels: args.labels.clone(), label_column, ..Default::default() };
    let own = shelf.trained_on() == Some(args.on.data());
    let known = shelf.config["data"]["target"].as_str().filter(|_| own);
    let target = args.target.as_deref().or(known);
    if target.is_none() && shelf.config["data"]["target"].is_string() {
        return Err(Error::mistake(
            "evaluate",
            "the rows that should come out of a transcoder",
            "none",
            "give --target PATH",
        )
        .into());
    }
    if args.baselines && target.is_some() {
        return Err(Error::mistake(
            "evaluate",
            "rows that are rebuilt where --baselines is given",
            "a transcoder, which turns them into others; baselines rebuild the rows themselves",
            "leave it out",
        )
        .into());
    }
    let verified = (!args.unverified).then_some(&args.output);
    let rows = Rows::open(args.on.data(), target, &given, verified)?;
    match shelf.sweep {
        true => sweep::evaluate(args, shelf, &rows),
        false => one::evaluate(args, shelf, &rows),
    }
}
