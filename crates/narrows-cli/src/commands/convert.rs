//! `narrows convert`: sparse dictionaries from the files of one library to those of another.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, ValueEnum};
use narrows::Error;
use narrows::model::{Autoencoder, Dictionary};
use narrows::store::exchange::{self, About, Agreement, Finding, Target};
use narrows::store::read_json;
use serde_json::{Value, json};

use super::{Output, Screen, figure};

/// Read a sparse dictionary of any library and write it for another, or check it
///
/// Reads SAELens, sparsify, dictionary_learning, Gemma Scope, OpenAI, Llamascopium and run folders
/// of narrows. What is written is read again and has to make the same codes of the same random
/// rows, or nothing is written. --check writes nothing, says what is suspicious and ends with exit
/// code 0 all the same.
///
/// Examples:
///
///   narrows convert downloads/ae runs/ae --to narrows
///   narrows convert runs/ae release --to saelens
///   narrows convert downloads/ae --check
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct ConvertArgs {
    /// The folder that the library saved, a .pt file, or a run folder
    source: PathBuf,
    /// The folder to write; an earlier one that was converted is replaced
    #[arg(required_unless_present = "check", requires = "to")]
    destination: Option<PathBuf>,
    /// What to write
    #[arg(long, value_enum, value_name = "saelens|sparsify|narrows", requires = "destination")]
    to: Option<To>,
    /// Look for what is likely to mislead: norms that were not folded, thresholds that are unset or that
    /// the file keeps as bf16 or f16, the bias of the decoder taken off twice, directions that come twice, numbers that are none
    #[arg(long, conflicts_with = "destination")]
    check: bool,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum To {
    /// cfg.json and sae_weights.safetensors, for inference with SAELens 6
    Saelens,
    /// cfg.json and sae.safetensors of one hookpoint
    Sparsify,
    /// A run folder, for the other commands
    Narrows,
}

pub(crate) fn run(args: ConvertArgs) -> Result<()> {
    let (dictionary, about) = exchange::open(&args.source)?;
    about.notes.iter().for_each(|note| args.output.say(format!("note: {note}")));
    let (Some(destination), Some(to)) = (&args.destination, args.to) else {
        return told_findings(&dictionary, &about, &args.output);
    };
    let target = match to {
        To::Saelens => Target::SaeLens,
        To::Sparsify => Target::Sparsify,
        To::Narrows => Target::Narrows,
    };
    if let (Ok(from), Ok(into)) = (args.source.canonicalize(), destination.canonicalize())
        && from.starts_with(&into)
    {
        return Err(Error::mistake(
            "convert",
            "another folder to write",
            format!("'{}', where the dictionary lies", destination.display()),
            "give a new name",
        )
        .into());
    }
    refuse_trained(destination)?;
    let agreement = exchange::write(destination, target, &dictionary, &about)?;
    if args.output.json {
        let mut told = told(&dictionary, &about);
        told["agreement"] = json!(agreement);
        writeln!(Screen, "{told:#}")?;
        return Ok(());
    }
    writeln!(Screen, "{}", sentence(&dictionary, &about))?;
    told_agreement(&agreement)?;
    args.output.say(format!("written: {}", destination.display()));
    Ok(())
}

/// Refuses to replace a run that was trained on data: its training would be lost.
fn refuse_trained(destination: &Path) -> Result<()> {
    let config = destination.join("config.json");
    let config: Value = if config.is_file() { read_json(&config)? } else { Value::Null };
    match config["data"].is_object() {
        false => Ok(()),
        true => Err(Error::mistake(
            "convert",
            "a new folder to write, or one that was converted",
            format!("'{}', a run that was trained there", destination.display()),
            "give another destination",
        )
        .into()),
    }
}

fn told_agreement(found: &Agreement) -> Result<()> {
    writeln!(
        Screen,
        "{} random rows, {} codes: largest difference of a code {}, of a rebuilt number {}",
        found.rows,
        found.codes,
        figure(f64::from(found.largest_code_difference)),
        figure(f64::from(found.largest_row_difference)),
    )?;
    if found.codes == 0 {
        writeln!(Screen, "no latent was in use, so only the shapes were compared")?;
    }
    Ok(())
}

fn sentence(dictionary: &Dictionary, about: &About) -> String {
    format!(
        "{}, {}: {} → {} latents → {} columns",
        about.library,
        about.architecture,
        dictionary.input_dim(),
        dictionary.latent_dim(),
        dictionary.output_dim()
    )
}

fn told(dictionary: &Dictionary, about: &About) -> Value {
    json!({
        "library": about.library,
        "architecture": about.architecture,
        "kind": dictionary.gate.name(),
        "input_dim": dictionary.input_dim(),
        "latent_dim": dictionary.latent_dim(),
        "output_dim": dictionary.output_dim(),
        "centred": dictionary.centred,
        "row_scale": dictionary.row_scale,
        "notes": about.notes,
        "metadata": about.metadata,
    })
}

fn told_findings(dictionary: &Dictionary, about: &About, output: &Output) -> Result<()> {
    let findings = exchange::check(dictionary, about);
    if output.json {
        let mut told = told(dictionary, about);
        told["findings"] = json!(findings);
        writeln!(Screen, "{told:#}")?;
        return Ok(());
    }
    writeln!(Screen, "{}", sentence(dictionary, about))?;
    for Finding { check, found, meaning, remedy } in &findings {
        writeln!(Screen, "\n{check}: {found}\n  meaning: {meaning}\n  what to do: {remedy}")?;
    }
    if findings.is_empty() {
        writeln!(Screen, "nothing found that is likely to mislead")?;
    }
    Ok(())
}
