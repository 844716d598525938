//! `narrows shards`: pack rows into a store, say what a store holds, compare it with what was written.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};
use narrows::Error;
use narrows::data::{
    self, Dataset, Manifest, OpenOptions, RowIntegers, ShardElement, refuse_damaged, verify_shards,
};
use narrows::report::count;
use narrows::store::{ShardOptions, ShardWriter};
use serde_json::{Map, Value, json};

use super::table::table;
use super::{Output, Screen};

/// Numbers that are read at a time.
const BLOCK: usize = 1 << 20;

/// Keep activations as a store: a folder of safetensors shards with a manifest
///
/// A store is read by pieces, in any order, by `--data FOLDER` of every command. It may be larger
/// than memory. Of dictionaries, `fit`, `evaluate` and `report` compare it with its hashes before
/// they learn from it or measure on it.
///
/// Examples:
///
///   narrows shards pack cache#blocks.3.hook_resid_post --out stores/resid3 --element bf16
///   narrows shards info stores/resid3
///   narrows fit --model dictionary --data stores/resid3 --out runs/sae
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct ShardsArgs {
    #[command(subcommand)]
    command: ShardsCommand,
}

#[derive(Debug, Subcommand)]
enum ShardsCommand {
    Pack(PackArgs),
    Info(InfoArgs),
    Verify(VerifyArgs),
}

/// Pack rows of one or more inputs, one after the other, into a store
///
/// Of (n, context, d) tensors in safetensors and Arrow files the last axis counts the columns.
/// Whole numbers that a data set of Hugging Face has for every row, such as `token_ids`, are packed
/// too.
///
/// Examples:
///
///   narrows shards pack layer3.npy --out stores/layer3 --element bf16
///   narrows shards pack cache#blocks.3.hook_resid_post --out stores/resid --meta model=pythia-70m
///   narrows shards pack part1.safetensors#acts part2.safetensors#acts --out stores/both
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
struct PackArgs {
    /// npy, npz, safetensors or arrow files (`PATH#name`), stores, folders of Hugging Face `datasets`, …
    #[arg(required = true, value_name = "SRC")]
    sources: Vec<String>,
    /// The folder to write
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How a number is kept: bf16, f16, f32 or int8 with a scale for every row [default: as the first
    /// input keeps it; f32 if that is none of these]
    #[arg(long)]
    element: Option<ShardElement>,
    /// Rows of a shard [default: as many as make 256 MiB]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    rows_per_shard: Option<u64>,
    /// What is to be known of the rows: a word, or a number, list or table as JSON
    #[arg(long = "meta", value_name = "KEY=VALUE", value_parser = key_and_value)]
    metadata: Vec<(String, Value)>,
    /// Go on where packing the same inputs was stopped
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    output: Output,
}

/// Say what a store holds
///
/// Example: narrows shards info stores/layer3
#[derive(Debug, Args)]
struct InfoArgs {
    /// The folder of the store
    folder: PathBuf,
    #[command(flatten)]
    output: Output,
}

/// Read a whole store and compare lengths and hashes with what was written; find NaN and infinity
///
/// Ends with exit code 2 if a shard is damaged or missing.
///
/// Example: narrows shards verify stores/layer3
#[derive(Debug, Args)]
struct VerifyArgs {
    /// The folder of the store
    folder: PathBuf,
    #[command(flatten)]
    output: Output,
}

pub(crate) fn run(args: ShardsArgs) -> Result<()> {
    match args.command {
        ShardsCommand::Pack(args) => pack(args),
        ShardsCommand::Info(args) => info(&args),
        ShardsCommand::Verify(args) => verify(&args),
    }
}

fn key_and_value(text: &str) -> Result<(String, Value), String> {
    let (key, value) = text
        .split_once('=')
        .filter(|(key, _)| !key.is_empty())
        .ok_or_else(|| "expected a key, = and a value, such as model=pythia-70m".to_owned())?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
    Ok((key.to_owned(), value))
}

/// An input: its rows and the whole numbers that come with them.
struct Input {
    set: Dataset,
    integers: BTreeMap<String, RowIntegers>,
}

fn pack(args: PackArgs) -> Result<()> {
    let open = |source: &String| -> narrows::Result<Input> {
        let set = data::open(source, &OpenOptions::default())?;
        Ok(Input { set, integers: data::row_integers(source)? })
    };
    let inputs = args.sources.iter().map(open).collect::<narrows::Result<Vec<_>>>()?;
    check_dims(&inputs)?;
    let options = options(&args, &inputs);
    let mut writer = match args.resume {
        true => resumed(&args, &options)?,
        false => ShardWriter::create(&args.out, options)?,
    };
    let rows: usize = inputs.iter().map(|input| input.set.rows.rows()).sum();
    let mut skip = writer.rows();
    if skip > 0 {
        args.output.say(format!("{} of {} rows are there", count(skip), count(rows)));
    }
    for input in &inputs {
        let first = skip.min(input.set.rows.rows());
        let packed = pack_rows(&mut writer, input, first);
        let mistaken =
            |error: &anyhow::Error| matches!(error.downcast_ref(), Some(Error::Mistake { .. }));
        if packed.as_ref().is_err_and(mistaken) && !args.resume {
            // The same inputs could never finish it.
            writer.abandon();
            return packed;
        }
        packed?;
        skip -= first;
    }
    let manifest = writer.finish()?;
    if args.output.json {
        writeln!(Screen, "{}", serde_json::to_string_pretty(&manifest)?)?;
    } else {
        args.output.say(told(&manifest));
    }
    Ok(())
}

fn check_dims(inputs: &[Input]) -> Result<()> {
    let dim = |input: &Input| input.set.rows.dim();
    match inputs.iter().find(|input| dim(input) != dim(&inputs[0])) {
        Some(other) => Err(Error::mistake(
            "pack",
            format!("rows of {} numbers, as in '{}'", dim(&inputs[0]), inputs[0].set.name),
            format!("{} in '{}'", dim(other), other.set.name),
            "pack inputs of one width into one store",
        ))?,
        None => Ok(()),
    }
}

fn options(args: &PackArgs, inputs: &[Input]) -> ShardOptions {
    let first = &inputs[0];
    let kept = match first.set.element {
        data::Element::F16 => ShardElement::F16,
        data::Element::Bf16 => ShardElement::Bf16,
        data::Element::Int8 => ShardElement::Int8,
        _ => ShardElement::F32,
    };
    let everywhere = |name: &&String| inputs.iter().all(|input| input.integers.contains_key(*name));
    let source = |input: &Input| json!({"name": input.set.name, "hash": input.set.content_hash});
    let mut metadata = Map::from_iter(args.metadata.iter().cloned());
    metadata.insert("packed_from".to_owned(), inputs.iter().map(source).collect());
    ShardOptions {
        dim: first.set.rows.dim(),
        element: args.element.unwrap_or(kept),
        columns: first.integers.keys().filter(everywhere).cloned().collect(),
        rows_per_shard: args.rows_per_shard.map(|rows| rows as usize),
        metadata,
    }
}

/// The store that is gone on with, if it was begun in the same way.
fn resumed(args: &PackArgs, options: &ShardOptions) -> Result<ShardWriter> {
    let writer = ShardWriter::resume(&args.out)?;
    let begun = writer.manifest();
    let same = (begun.dim, begun.element) == (options.dim, options.element)
        && (&begun.columns, &begun.metadata) == (&options.columns, &options.metadata)
        && options.rows_per_shard.is_none_or(|rows| rows == begun.rows_per_shard);
    match same {
        true => Ok(writer),
        false => Err(Error::mistake(
            "go on with a store",
            "the inputs and options with which it was begun",
            "others",
            "say the same again, or begin a new store",
        ))?,
    }
}

fn pack_rows(writer: &mut ShardWriter, input: &Input, first: usize) -> Result<()> {
    let source = &input.set.rows;
    let (rows, dim) = (source.rows(), source.dim());
    let block = (BLOCK / dim).max(1).min(rows);
    let mut values = vec![0.0; block * dim];
    let columns: Vec<&RowIntegers> =
        writer.manifest().columns.iter().map(|name| &input.integers[name]).collect();
    let mut numbers = vec![vec![0; block]; columns.len()];
    for start in (first..rows).step_by(block) {
        let count = block.min(rows - start);
        let values = &mut values[..count * dim];
        source.read_f32(start, values)?;
        if let Some(place) = values.iter().position(|value| !value.is_finite()) {
            Err(Error::mistake(
                "pack",
                "numbers that are finite",
                format!(
                    "{} in {} of '{}', column {} (both counted from 1)",
                    values[place],
                    source.whereabouts(start + place / dim),
                    input.set.name,
                    place % dim + 1
                ),
                "leave that row out",
            ))?;
        }
        for (column, numbers) in columns.iter().zip(&mut numbers) {
            column.read(start, &mut numbers[..count])?;
        }
        let numbers: Vec<&[u32]> = numbers.iter().map(|numbers| &numbers[..count]).collect();
        writer.push_with(values, &numbers)?;
    }
    Ok(())
}

fn told(manifest: &Manifest) -> String {
    let Manifest { rows, dim, element, shards, .. } = manifest;
    let (rows, size) = (count(*rows), manifest.bytes() as f64 / 1e9);
    let shards =
        if shards.len() == 1 { "1 shard".into() } else { format!("{} shards", shards.len()) };
    format!("{rows} rows of {dim} numbers as {element} in {shards}, {size:.3} GB")
}

fn info(args: &InfoArgs) -> Result<()> {
    let manifest = Manifest::read(&args.folder)?;
    if args.output.json {
        writeln!(Screen, "{}", serde_json::to_string_pretty(&manifest)?)?;
        return Ok(());
    }
    writeln!(Screen, "{}", told(&manifest))?;
    if !manifest.columns.is_empty() {
        writeln!(Screen, "for every row: {}", manifest.columns.join(", "))?;
    }
    for (key, value) in &manifest.metadata {
        writeln!(Screen, "{key}: {value}")?;
    }
    let line = |shard: &data::Shard| {
        vec![shard.file.clone(), shard.rows.to_string(), shard.bytes.to_string()]
    };
    let lines: Vec<_> = manifest.shards.iter().map(line).collect();
    write!(Screen, "\n{}", table(&["shard", "#rows", "#bytes"], &lines))?;
    Ok(())
}

fn verify(args: &VerifyArgs) -> Result<()> {
    let checks = verify_shards(&args.folder)?;
    if args.output.json {
        writeln!(Screen, "{}", serde_json::to_string_pretty(&checks)?)?;
    } else {
        let line = |check: &data::ShardCheck| {
            vec![check.file.clone(), check.problem.clone().unwrap_or_else(|| "whole".to_owned())]
        };
        let lines: Vec<_> = checks.iter().map(line).collect();
        write!(Screen, "{}", table(&["shard", "found"], &lines))?;
    }
    Ok(refuse_damaged(&args.folder, &checks)?)
}
