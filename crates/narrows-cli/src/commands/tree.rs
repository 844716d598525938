//! `narrows tree`: which earlier features make a feature.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use narrows::Error;
use narrows_lm::Basis;
use narrows_lm::tree::{Floor, Node, causes};
use serde_json::json;

use super::dictionaries::open;
use super::language::{TextArgs, open_model, tap};
use super::{Output, Screen};

/// Trace a feature to the features at earlier taps that make it
///
/// In the windows of the text in which the feature is most active, each of the features that are
/// active before it at the next earlier tap is taken away, and told is by how much the feature
/// falls. The strongest are traced on in the same way. Dictionaries are given from late to early,
/// each with its tap.
///
/// Memory: the model, and the tokens of the text (4 bytes each).
///
/// Example:
///
///   narrows tree --lm lm-tiny --text stories.txt --lowercase --feature 17 \
///     --at blocks.2.residual_post=runs/l2 --at blocks.1.residual_post=runs/l1 \
///     --at blocks.0.residual_post=runs/l0
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct TreeArgs {
    /// The folder of the model
    #[arg(long, value_name = "MODEL_DIR")]
    lm: PathBuf,
    #[command(flatten)]
    text: TextArgs,
    /// The feature to trace, of the first dictionary
    #[arg(long, value_name = "N")]
    feature: usize,
    /// A tap and the folder of the dictionary there; from late to early
    #[arg(long = "at", required = true, value_name = "TAP=RUN", value_parser = place)]
    at: Vec<(String, PathBuf)>,
    /// Causes of each feature that are told and traced on
    #[arg(long, default_value_t = 3, value_name = "N")]
    causes: usize,
    #[command(flatten)]
    output: Output,
}

fn place(text: &str) -> Result<(String, PathBuf), String> {
    let parts = text.split_once('=').filter(|(tap, run)| !tap.is_empty() && !run.is_empty());
    let (tap, run) = parts.ok_or("expected a tap, = and a folder")?;
    Ok((tap.to_owned(), PathBuf::from(run)))
}

pub(crate) fn run(args: &TreeArgs) -> Result<()> {
    let model = open_model(&args.lm)?;
    if args.at.len() < 2 {
        let remedy = "give --at again, for an earlier tap";
        return Err(Error::mistake(
            "find causes",
            "dictionaries at two taps or more",
            "one",
            remedy,
        )
        .into());
    }
    let mut bases = Vec::new();
    for (name, run) in &args.at {
        let place = tap(name, &model)?;
        let basis = Basis::dictionary(name.clone(), open(run)?)?;
        basis.check(place.width(&model.architecture))?;
        bases.push((place, basis));
    }
    let floors: Vec<Floor<'_>> =
        bases.iter().map(|(tap, basis)| Floor { tap: *tap, basis }).collect();
    let windows = args.text.windows(&model)?;
    let found = causes(&model, &windows, &floors, args.feature, args.causes)?;
    if args.output.json {
        return Ok(writeln!(Screen, "{:#}", json!(found))?);
    }
    show(&found, "", "")
}

fn show(node: &Node, before: &str, below: &str) -> Result<()> {
    let effect = match node.effect {
        Some([mean, error]) => format!(" makes {mean:+.3} ± {error:.3} of it;"),
        None => String::new(),
    };
    writeln!(
        Screen,
        "{before}{} feature {}:{effect} mean code {:.3} where it is most active",
        node.tap, node.feature, node.code
    )?;
    let last = node.causes.len().saturating_sub(1);
    for (place, cause) in node.causes.iter().enumerate() {
        let (branch, rest) = if place == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        show(cause, &format!("{below}{branch}"), &format!("{below}{rest}"))?;
    }
    Ok(())
}
