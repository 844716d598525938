//! `narrows features`: what features mean.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use anyhow::Result;
use clap::{Args, ValueEnum};
use narrows::Result as Narrows;
use narrows::report::count;
use narrows::store::{Folder, check_replaceable, write_aside, write_folder};
use narrows_lm::features::{
    CREATOR, DelphiOptions, DelphiWriter, Features, FeaturesOptions, Firing, Listener,
    NeuronpediaOptions, check_set, collect, write_browser, write_jsonl, write_neuronpedia,
};
use narrows_lm::text::Windows;
use narrows_lm::{Basis, LanguageModel, Tap};
use serde_json::json;

use super::Output;
use super::bar::Bar;
use super::dictionaries::{Shelf, open};
use super::harvest::stop_signal;
use super::language::{TextArgs, note_letters, open_model, tap_of};

/// Look at what the features of a dictionary mean, in a page to browse
///
/// For each feature: how often it fires, its codes, the contexts in which it is highest and some
/// drawn from lower codes, with the code at every token; the tokens that it promotes and
/// suppresses; the features that are near to it and that fire with it. OUT/index.html is opened
/// from the disk, needs no server and no network, and is searched by token or number.
///
/// For other programs: --format delphi writes every firing into OUT/delphi, as EleutherAI's delphi
/// caches them; neuronpedia writes OUT/neuronpedia/MODEL/LAYER-SET with the rows that Neuronpedia
/// imports. What is left empty there: vectors, correlations between features and with neurons, and
/// attribution.
///
/// Memory: the model, the tokens of the text (4 bytes each), the contexts that are kept (49 tokens
/// each, 40 of a feature), and 64 MiB for features that fire together: of longer texts one token in
/// 2, 4, 8, … is counted for these, which the page says. The text is read twice, and windows of
/// which contexts are kept once more.
///
/// Examples:
///
///   narrows features runs/sae --lm pythia-70m --text pile.txt --out features
///   narrows features runs/sae --lm lm-tiny --text stories.txt --lowercase --features 0..99 \
///     --format jsonl --out f
///   narrows features runs/sae --lm pythia-70m --text pile.txt --format delphi,neuronpedia \
///     --out for-others
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct FeaturesArgs {
    /// The folder of the dictionary
    run: PathBuf,
    /// The folder of the model
    #[arg(long, value_name = "MODEL_DIR")]
    lm: PathBuf,
    /// The place that it is of, such as blocks.3.residual_post [default: what the run or its store names]
    #[arg(long)]
    tap: Option<String>,
    #[command(flatten)]
    text: TextArgs,
    /// The features: numbers and ranges with both ends, as in 0,5,10..20 [default: all]
    #[arg(long, value_name = "LIST", value_parser = list)]
    features: Option<List>,
    /// Contexts of the highest codes of each feature
    #[arg(long, default_value_t = 20, value_name = "N")]
    top: usize,
    /// What is written: html (a page to browse), jsonl (for machines), delphi, neuronpedia
    #[arg(long, value_delimiter = ',', default_value = "html,jsonl", value_name = "LIST")]
    format: Vec<Format>,
    /// delphi: the files that the latents are divided among
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    splits: u32,
    /// neuronpedia: the set of sources; a source is called LAYER-SET [default: the name of the run's folder]
    #[arg(long, value_name = "NAME")]
    set_name: Option<String>,
    /// neuronpedia: the id of the user whom the rows belong to
    #[arg(long, default_value = CREATOR, value_name = "ID")]
    creator_id: String,
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
    Delphi,
    Neuronpedia,
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

/// What features are collected of.
struct Subject {
    model: LanguageModel,
    tap: Tap,
    basis: Basis,
    windows: Windows,
}

pub(crate) fn run(args: &FeaturesArgs) -> Result<()> {
    check_replaceable(&args.out, Folder::Features)?;
    let name = args.run.file_name().map_or_else(|| args.run.clone(), PathBuf::from);
    let name = name.display().to_string();
    if args.format.contains(&Format::Neuronpedia) {
        check_set(args.set_name.as_ref().unwrap_or(&name))?;
    }
    let model = open_model(&args.lm)?;
    let shelf = Shelf::find(&args.run)?;
    let tap = tap_of("features", args.tap.as_deref(), shelf.as_ref(), &model, &args.output)?;
    note_letters(shelf.as_ref(), args.text.lowercase, &args.output)?;
    let basis = Basis::dictionary(name, open(&args.run)?)?;
    basis.check(tap.width(&model.architecture))?;
    let windows = args.text.windows(&model)?;
    let subject = Subject { model, tap, basis, windows };
    let stopped = stop_signal()?;
    let mut found = None;
    write_folder(&args.out, Folder::Features, |folder| {
        found = Some(write(args, &subject, stopped, folder)?);
        Ok(())
    })?;
    if let Some(found) = found {
        let silent = found.features.iter().filter(|own| own.density == 0.0).count();
        args.output.say(format!(
            "{} features over {} tokens, {} of them silent; written: {}",
            count(found.features.len()),
            count(found.tokens),
            count(silent),
            args.out.display()
        ));
    }
    Ok(())
}

/// Collects and writes into a folder, which goes where this fails.
fn write(
    args: &FeaturesArgs,
    subject: &Subject,
    stopped: Arc<AtomicBool>,
    folder: &Path,
) -> Narrows<Features> {
    let Subject { model, tap, basis, windows } = subject;
    let options = FeaturesOptions {
        features: args.features.as_ref().map(|list| list.0.clone()).unwrap_or_default(),
        top: args.top,
        ..FeaturesOptions::default()
    };
    let delphi = match args.format.contains(&Format::Delphi) {
        true => Some(delphi(args, subject, folder)?),
        false => None,
    };
    let tokens = windows.tokens.len();
    let mut watch = Watch { bar: Bar::new(&args.output), tokens, stopped, delphi };
    let found = collect(model, *tap, basis, windows, &options, &mut watch)?;
    watch.bar.finish();
    if let Some(delphi) = watch.delphi {
        delphi.finish()?;
    }
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
            Format::Jsonl => write_jsonl(&found, &model.tokenizer, &folder.join("features.jsonl"))?,
            Format::Delphi => {}
            Format::Neuronpedia => {
                let options = neuronpedia(args, &found);
                let folder = folder.join("neuronpedia");
                write_neuronpedia(&found, model, *tap, windows, &options, &folder)?;
            }
        }
    }
    Ok(found)
}

fn dataset(args: &FeaturesArgs) -> String {
    let files: Vec<String> = args.text.text.iter().map(|file| file.display().to_string()).collect();
    files.join(" ")
}

fn delphi<'a>(
    args: &FeaturesArgs,
    subject: &'a Subject,
    folder: &Path,
) -> Narrows<DelphiWriter<'a>> {
    let options = DelphiOptions {
        module: subject.tap.to_string(),
        model_name: args.lm.display().to_string(),
        dataset: dataset(args),
        splits: args.splits as usize,
    };
    let latents = subject.basis.features();
    DelphiWriter::create(&folder.join("delphi"), latents, &subject.windows, options)
}

fn neuronpedia(args: &FeaturesArgs, found: &Features) -> NeuronpediaOptions {
    NeuronpediaOptions {
        set: args.set_name.clone().unwrap_or_else(|| found.basis.clone()),
        creator: args.creator_id.clone(),
        dataset: dataset(args),
        created: SystemTime::now(),
    }
}

/// Shows how far it is, keeps firings where they are wanted, and ends it on Ctrl-C.
struct Watch<'a> {
    bar: Bar<'a>,
    tokens: usize,
    stopped: Arc<AtomicBool>,
    delphi: Option<DelphiWriter<'a>>,
}

impl Listener for Watch<'_> {
    fn firings(&mut self, firings: &[Firing]) -> Narrows<()> {
        self.delphi.as_mut().map_or(Ok(()), |delphi| delphi.push(firings))
    }

    fn done(&mut self, part: f64) -> bool {
        let tokens = self.tokens;
        self.bar.advance(part, || format!("{} tokens, read up to three times", count(tokens)));
        !self.stopped.load(Ordering::SeqCst)
    }
}
