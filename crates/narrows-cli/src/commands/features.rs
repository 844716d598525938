//! `narrows features`: what features mean.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use narrows::report::count;
use narrows::store::{Folder, check_replaceable, write_aside, write_folder};
use narrows_lm::Basis;
use narrows_lm::features::{FeaturesOptions, collect, write_browser, write_jsonl};
use serde_json::json;

use super::Output;
use super::bar::Bar;
use super::dictionaries::open;
use super::language::{TextArgs, open_model, tap};

/// Look at what the features of a dictionary mean, in a page to browse
///
/// For each feature: how often it fires, its codes, the contexts in which it is highest and some
/// drawn from lower codes, with the code at every token; the tokens that it promotes and
/// suppresses; the features that are near to it and that fire with it. OUT/index.html is opened
/// from the disk, needs no server and no network, and is searched by token or number.
///
/// Memory: the model, the tokens of the text (4 bytes each), the contexts that are kept, and 100 MB
/// for pairs of features. The text is read twice.
///
/// Examples:
///
///   narrows features runs/sae --lm pythia-70m --tap blocks.3.residual_post --text pile.txt \
///     --out features
///   narrows features runs/sae --lm lm-tiny --tap blocks.1.residual_post --text stories.txt \
///     --lowercase \
///     --features 0..99 --format jsonl --out features
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct FeaturesArgs {
    /// The folder of the dictionary
    run: PathBuf,
    /// The folder of the model
    #[arg(long, value_name = "MODEL_DIR")]
    lm: PathBuf,
    /// The place that it is of, such as blocks.3.residual_post
    #[arg(long)]
    tap: String,
    #[command(flatten)]
    text: TextArgs,
    /// The features: numbers and ranges with both ends, as in 0,5,10..20 [default: all]
    #[arg(long, value_name = "LIST", value_parser = list)]
    features: Option<List>,
    /// Contexts of the highest codes of each feature
    #[arg(long, default_value_t = 20, value_name = "N")]
    top: usize,
    /// What is written: html (a page to browse), jsonl (for machines)
    #[arg(long, value_delimiter = ',', default_value = "html,jsonl", value_name = "LIST")]
    format: Vec<Format>,
    /// The folder to write
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Html,
    Jsonl,
}

/// Numbers of features.
#[derive(Debug, Clone)]
struct List(Vec<usize>);

fn list(text: &str) -> Result<List, String> {
    let wrong = || format!("expected numbers and ranges such as 0,5,10..20, not '{text}'");
    let mut found = Vec::new();
    for part in text.split(',') {
        let (from, to) = part.split_once("..").unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<usize>().map_err(|_| wrong());
        let (from, to) = (number(from)?, number(to)?);
        if from > to || to - from > 10_000_000 {
            return Err(wrong());
        }
        found.extend(from..=to);
    }
    found.sort_unstable();
    found.dedup();
    Ok(List(found))
}

pub(crate) fn run(args: &FeaturesArgs) -> Result<()> {
    check_replaceable(&args.out, Folder::Features)?;
    let model = open_model(&args.lm)?;
    let place = tap(&args.tap, &model)?;
    let name = args.run.file_name().map_or_else(|| args.run.clone(), PathBuf::from);
    let basis = Basis::dictionary(name.display().to_string(), open(&args.run)?)?;
    basis.check(place.width(&model.architecture))?;
    let windows = args.text.windows(&model)?;
    let options = FeaturesOptions {
        features: args.features.as_ref().map(|list| list.0.clone()).unwrap_or_default(),
        top: args.top,
        ..FeaturesOptions::default()
    };
    let mut bar = Bar::new(&args.output);
    let tokens = windows.tokens.len();
    let found = collect(&model, place, &basis, &windows, &options, &mut |done| {
        bar.advance(done, || format!("{} tokens, read twice", count(tokens)));
    })?;
    bar.finish();
    write_folder(&args.out, Folder::Features, |folder| {
        let told = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "features": found.features.len(),
            "model": found.model,
            "tap": found.tap,
        });
        write_aside(&folder.join("features.json"), format!("{told:#}\n").as_bytes())?;
        for format in &args.format {
            match format {
                Format::Html => write_browser(&found, &model.tokenizer, folder)?,
                Format::Jsonl => {
                    write_jsonl(&found, &model.tokenizer, &folder.join("features.jsonl"))?;
                }
            }
        }
        Ok(())
    })?;
    let dead = found.features.iter().filter(|own| own.density == 0.0).count();
    args.output.say(format!(
        "{} features over {} tokens, {} of them silent; written: {}",
        count(found.features.len()),
        count(found.tokens),
        count(dead),
        args.out.display()
    ));
    Ok(())
}
