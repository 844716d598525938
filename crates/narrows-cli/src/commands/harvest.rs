//! `narrows harvest`: rows of a language model at one or more places, into stores.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::Result;
use clap::Args;
use narrows::Error;
use narrows::data::{Manifest, ShardElement};
use narrows::report::count;
use narrows::store::{ShardOptions, ShardWriter};
use narrows_lm::harvest::{COLUMNS, Harvester, harvest};
use narrows_lm::{LanguageModel, Tap};
use serde_json::{Map, Value, json};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::bar::Bar;
use super::language::{TextArgs, open_model, tap};
use super::{Output, Screen};

/// Let a language model read text and keep its rows at named places, as stores
///
/// A row is kept for every token, with its id and its position in the window, but for the token
/// that begins a text: models park attention there, and its rows are many times as long as others.
/// With one --tap OUT is the store, with several OUT/TAP is one of each; all come from one pass,
/// which ends after the last of them. Harvesting that was stopped, also by kill -9, goes on with
/// --resume to the same bytes.
///
/// Memory: the model (4 bytes for each parameter), the rows of a pass of 8 windows, and 4 MiB for
/// each store.
///
/// Examples:
///
///   narrows harvest pythia-70m --text pile.jsonl.gz --tap blocks.3.residual_post --out stores/resid3
///   narrows harvest pythia-70m --text pile.jsonl.gz --tap blocks.2.mlp_out \
///     --tap blocks.3.mlp_out --out stores/mlp
///   narrows fit --model dictionary --data stores/resid3 --out runs/sae
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct HarvestArgs {
    /// The folder of the model
    model: PathBuf,
    #[command(flatten)]
    text: TextArgs,
    /// A place, such as blocks.2.residual_post; may be given many times. `narrows lm info` lists them
    #[arg(long = "tap", required = true, value_name = "TAP")]
    taps: Vec<String>,
    /// The folder to write
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Rows of each store, at most [default: all that the text gives]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    rows: Option<u64>,
    /// How a number is kept: bf16, f16, f32 or int8 with a scale for every row
    #[arg(long, default_value = "bf16")]
    element: ShardElement,
    /// Keep the rows of the token that begins a text too
    #[arg(long)]
    keep_begin: bool,
    /// Go on where harvesting the same was stopped
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    output: Output,
}

pub(crate) fn run(args: &HarvestArgs) -> Result<()> {
    let model = open_model(&args.model)?;
    let asked = places(args, &model)?;
    let mut corpus = args.text.open(&model)?;
    let (hash, alone) = (model.content_hash(), asked.len() == 1);
    let (mut taps, mut stores, mut finished) = (Vec::new(), Vec::new(), Vec::new());
    for place in asked {
        let folder = if alone { args.out.clone() } else { args.out.join(place.to_string()) };
        let options = options(args, &model, &hash, place);
        match begun(args.resume, &folder, options)? {
            Begun::Finished(manifest) => finished.push((place, *manifest)),
            Begun::Open(store) => {
                taps.push(place);
                stores.push(*store);
            }
        }
    }
    if taps.is_empty() {
        return tell(args, &finished, 0.0);
    }
    let most = args.rows.map_or(usize::MAX, |rows| rows as usize);
    let stopped = stop_signal()?;
    let (begin, mut bar) = (Instant::now(), Bar::new(&args.output));
    let total = text_bytes(&args.text.text);
    let mut harvester = Harvester::new(&model, &taps, args.keep_begin);
    let done = harvest(&mut corpus, &mut harvester, &mut stores, most, &mut |progress| {
        let speed = progress.tokens as f64 / begin.elapsed().as_secs_f64().max(1e-9);
        let part = match most {
            usize::MAX => progress.bytes as f64 / total.max(1) as f64,
            most => progress.rows as f64 / most as f64,
        };
        bar.advance(part.min(1.0), || {
            format!("{} rows, {} tokens/s", count(progress.rows), count(speed as usize))
        });
        !stopped.load(Ordering::SeqCst)
    });
    bar.finish();
    let done = match done {
        // What is whole can be gone on with.
        Err(error @ Error::Interrupted { .. }) => return Err(error.into()),
        Err(error) => {
            abandon(stores, &args.out);
            return Err(error.into());
        }
        Ok(done) => done,
    };
    if done.rows == 0 {
        let expected = format!("text of at least {} tokens, one window", args.text.length(&model));
        abandon(stores, &args.out);
        return Err(Error::mistake(
            "harvest",
            expected,
            "less",
            "give more text or a smaller --context",
        )
        .into());
    }
    for (place, store) in taps.into_iter().zip(stores) {
        finished.push((place, store.finish()?));
    }
    tell(args, &finished, done.tokens as f64 / begin.elapsed().as_secs_f64())
}

fn places(args: &HarvestArgs, model: &LanguageModel) -> narrows::Result<Vec<Tap>> {
    let mut taps = Vec::new();
    for name in &args.taps {
        let place = tap(name, model)?;
        if taps.contains(&place) {
            let got = format!("'{name}' twice");
            return Err(Error::mistake("harvest", "each tap once", got, "leave one out"));
        }
        taps.push(place);
    }
    Ok(taps)
}

fn options(args: &HarvestArgs, model: &LanguageModel, hash: &str, place: Tap) -> ShardOptions {
    let text: Vec<Value> = args
        .text
        .text
        .iter()
        .map(|file| json!({"name": file.display().to_string(), "bytes": file.metadata().map_or(0, |m| m.len())}))
        .collect();
    let metadata = json!({
        "model": model.name,
        "model_hash": hash,
        "tap": place.to_string(),
        "context": args.text.length(model),
        "text": text,
        "field": args.text.field,
        "lowercase": args.text.lowercase,
        "begin": !args.text.no_begin,
        "keep_begin": args.keep_begin,
        "rows_wanted": args.rows,
    });
    ShardOptions {
        columns: COLUMNS.map(str::to_owned).into(),
        metadata: metadata.as_object().cloned().unwrap_or_else(Map::new),
        ..ShardOptions::new(place.width(&model.architecture), args.element)
    }
}

/// Takes away what holds no whole shard, so that nothing is in the way of the next harvest.
fn abandon(stores: Vec<ShardWriter>, out: &Path) {
    stores.into_iter().for_each(ShardWriter::abandon);
    // Of several stores: where it holds another, it stays.
    let _ = std::fs::remove_dir(out);
}

/// A store as it was left, or a new one.
enum Begun {
    Finished(Box<Manifest>),
    Open(Box<ShardWriter>),
}

/// The store in a folder, which is new unless it is to be gone on with.
fn begun(resume: bool, folder: &Path, options: ShardOptions) -> narrows::Result<Begun> {
    if resume {
        if let Some(manifest) = ShardWriter::finished(folder)? {
            check_same(&manifest, &options)?;
            return Ok(Begun::Finished(Box::new(manifest)));
        }
        // Of several stores one may not have been begun.
        if folder.join("unfinished.json").exists() {
            let writer = ShardWriter::resume(folder)?;
            check_same(writer.manifest(), &options)?;
            return Ok(Begun::Open(Box::new(writer)));
        }
    }
    Ok(Begun::Open(Box::new(ShardWriter::create(folder, options)?)))
}

/// Refuses to go on with a store that was begun in another way.
fn check_same(begun: &Manifest, options: &ShardOptions) -> narrows::Result<()> {
    let same = (begun.dim, begun.element) == (options.dim, options.element)
        && (&begun.columns, &begun.metadata) == (&options.columns, &options.metadata);
    match same {
        true => Ok(()),
        false => Err(Error::mistake(
            "go on with a harvest",
            "the model, text and options with which it was begun",
            "others",
            "say the same again, or begin a new store",
        )),
    }
}

/// Bytes of the files, as they lie there.
fn text_bytes(files: &[PathBuf]) -> u64 {
    files.iter().filter_map(|file| file.metadata().ok()).map(|about| about.len()).sum()
}

/// Is true once the person wants it to stop; a second time stops at once.
pub(super) fn stop_signal() -> narrows::Result<Arc<AtomicBool>> {
    let stopped = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, 130, Arc::clone(&stopped))
            .and_then(|_| flag::register(signal, Arc::clone(&stopped)))
            .map_err(|error| Error::failure("watch for Ctrl-C", error.to_string(), "try again"))?;
    }
    Ok(stopped)
}

fn tell(args: &HarvestArgs, stores: &[(Tap, Manifest)], speed: f64) -> Result<()> {
    if args.output.json {
        let manifests: Vec<&Manifest> = stores.iter().map(|(_, manifest)| manifest).collect();
        let told = json!({ "stores": manifests, "tokens_per_second": speed.round() });
        return Ok(writeln!(Screen, "{told:#}")?);
    }
    for (place, manifest) in stores {
        writeln!(
            Screen,
            "{place}: {} rows of {} numbers as {}, {:.3} GB",
            count(manifest.rows),
            manifest.dim,
            manifest.element,
            manifest.bytes() as f64 / 1e9
        )?;
    }
    args.output.say(format!(
        "{} tokens per second; written: {}",
        count(speed as usize),
        args.out.display()
    ));
    Ok(())
}
