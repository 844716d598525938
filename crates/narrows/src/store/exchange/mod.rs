//! Sparse dictionaries of other libraries, read and written.
//!
//! ```text
//! library               known by                                          read   written
//! SAELens               cfg.json + sae_weights.safetensors                 yes    yes
//! sparsify              cfg.json + sae.safetensors                         yes    yes
//! dictionary_learning   config.json + ae.pt                                yes
//! Gemma Scope           params.npz, or params.safetensors                  yes
//! OpenAI                a .pt file with `pre_bias` and `latent_bias`       yes
//! Llamascopium          config.json + sae_weights.safetensors, or          yes
//!                       hyperparams.json + checkpoints/final.safetensors
//! narrows               a run folder                                       yes    yes
//! ```
//!
//! What a file cannot tell, or what the dictionary of narrows cannot express, is refused by name. A
//! dictionary is written only if, read again, it makes the same codes of the same rows.

mod check;
mod dictionary_learning;
mod gemma_scope;
mod llamascopium;
mod openai;
mod pickle;
mod saelens;
mod sparsify;
mod torch;
mod verify;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Value, json};

pub use check::{Finding, check};
pub use verify::{Agreement, compare};

use super::folder::{Folder, holds_a_model, write_folder};
use super::{Run, read_json};
use crate::data::Preparation;
use crate::error::{Error, Result};
use crate::model::{Dictionary, Model};

/// Whose files a dictionary lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Library {
    /// `sae-lens`.
    SaeLens,
    /// `eai-sparsify`.
    Sparsify,
    /// `dictionary-learning`.
    DictionaryLearning,
    /// Google's `params.npz`.
    GemmaScope,
    /// `openai/sparse_autoencoder`.
    OpenAi,
    /// `llamascopium`, earlier `lm-saes`.
    Llamascopium,
    /// A run folder.
    Narrows,
}

impl fmt::Display for Library {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::SaeLens => "SAELens",
            Self::Sparsify => "sparsify",
            Self::DictionaryLearning => "dictionary_learning",
            Self::GemmaScope => "Gemma Scope",
            Self::OpenAi => "OpenAI",
            Self::Llamascopium => "Llamascopium",
            Self::Narrows => "narrows",
        })
    }
}

/// What is known of a dictionary beside its numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct About {
    /// Whose files it lay in.
    pub library: Library,
    /// What that library calls its kind.
    pub architecture: String,
    /// How each tensor is kept in the file, by name.
    pub kinds: BTreeMap<String, String>,
    /// The configuration as it lay there.
    pub config: Value,
    /// What the library keeps for its own use or for people: `metadata` of SAELens, else nothing.
    pub metadata: Value,
    /// What was done to the numbers as they were read, in sentences.
    pub notes: Vec<String>,
}

/// What a dictionary can be written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// For SAELens 6.
    SaeLens,
    /// For sparsify 1.3.
    Sparsify,
    /// As a run folder.
    Narrows,
}

/// Reads a dictionary from a folder or file of any library that is known.
///
/// # Errors
/// If it is none of those, a file is missing or damaged, or the dictionary is of a kind that cannot be
/// expressed; the error names it.
pub fn open(path: &Path) -> Result<(Dictionary, About)> {
    let (dictionary, about) = read(path)?;
    dictionary.check().map_err(|error| {
        Error::bad_file(path, error.to_string(), "fetch it again, or write it again")
    })?;
    Ok((dictionary, about))
}

fn read(path: &Path) -> Result<(Dictionary, About)> {
    if path.extension().is_some_and(|extension| extension == "pt") {
        return openai::read(path).or_else(|error| match error {
            None => dictionary_learning::read_file(path),
            Some(error) => Err(error),
        });
    }
    let folder = match path.file_name() {
        Some(_) if path.is_file() => path.parent().map_or(PathBuf::from("."), Path::to_owned),
        _ => path.to_owned(),
    };
    let has = |name: &str| folder.join(name).is_file();
    match () {
        () if has("cfg.json") && has("sae_weights.safetensors") => saelens::read(&folder),
        () if has("cfg.json") && has("sae.safetensors") => sparsify::read(&folder),
        () if has("ae.pt") => dictionary_learning::read_file(&folder.join("ae.pt")),
        () if has("params.npz") || has("params.safetensors") => gemma_scope::read(&folder),
        () if has("config.json") && has("sae_weights.safetensors") => llamascopium::read(&folder),
        () if has("hyperparams.json") => llamascopium::read_old(&folder),
        () if has("config.json") && holds_a_model(&folder) => read_run(&folder),
        () => Err(unknown(path, &folder)),
    }
}

fn unknown(path: &Path, folder: &Path) -> Error {
    let within = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut below: Vec<String> = within
        .filter(|entry| {
            let has = |name: &str| entry.path().join(name).is_file();
            ["cfg.json", "ae.pt", "params.npz", "hyperparams.json"].into_iter().any(has)
        })
        .map(|entry| entry.path().display().to_string())
        .collect();
    below.sort();
    let remedy = match below.first() {
        Some(first) => format!("give one of the folders in it, such as {first}"),
        None if !path.exists() => "check the path".to_owned(),
        None => "give the folder that the library saved, with its configuration".to_owned(),
    };
    Error::mistake(
        "open a dictionary",
        "a dictionary of SAELens, sparsify, dictionary_learning, Gemma Scope, OpenAI, Llamascopium or \
         narrows",
        format!(
            "'{}'{}",
            path.display(),
            if path.exists() { "" } else { ", which does not exist" }
        ),
        remedy,
    )
}

fn read_run(folder: &Path) -> Result<(Dictionary, About)> {
    let run = Run::open(folder)?;
    let identity = run.preparation.is_identity();
    match run.model {
        Model::Dictionary(dictionary) if identity => {
            let about = About {
                library: Library::Narrows,
                architecture: dictionary.gate.name().to_owned(),
                kinds: BTreeMap::new(),
                metadata: run.config["metadata"].clone(),
                config: run.config,
                notes: Vec::new(),
            };
            Ok((dictionary, about))
        }
        Model::Dictionary(_) => Err(Error::mistake(
            "open a dictionary",
            "a run whose rows are taken as they are",
            "one whose rows are prepared first, which no other library would do",
            "fit it again with `prepare.scale = \"none\"`",
        )),
        _ => Err(Error::mistake(
            "open a dictionary",
            "a run of a sparse dictionary",
            format!("a run of '{}'", run.config["model"]["kind"].as_str().unwrap_or("?")),
            "give another run",
        )),
    }
}

/// Writes a dictionary for another library, or as a run folder, and proves on random rows that what was
/// written makes the same codes as what was read.
///
/// # Errors
/// If a number of it is not finite, the target cannot express it, what was written differs, or the folder cannot be written; nothing
/// is left behind.
pub fn write(
    path: &Path,
    target: Target,
    dictionary: &Dictionary,
    about: &About,
) -> Result<Agreement> {
    if let Some(found) = check::not_finite(dictionary) {
        let got = format!("a source in which {found}");
        let remedy = "fetch it again; if it is so at the source, it cannot be used";
        return Err(Error::mistake("write a dictionary", "numbers that are finite", got, remedy));
    }
    let kind = if target == Target::Narrows { Folder::Run } else { Folder::Dictionary };
    let mut agreement = None;
    write_folder(path, kind, |folder| {
        match target {
            Target::SaeLens => saelens::write(folder, dictionary, about)?,
            Target::Sparsify => sparsify::write(folder, dictionary, about)?,
            Target::Narrows => write_run(folder, dictionary, about)?,
        }
        let (again, _) = open(folder)?;
        agreement = Some(compare(dictionary, &again)?);
        Ok(())
    })?;
    agreement.ok_or_else(|| Error::failure("write a dictionary", "nothing compared", "report it"))
}

fn write_run(folder: &Path, dictionary: &Dictionary, about: &About) -> Result<()> {
    let dim = crate::model::Autoencoder::input_dim(dictionary);
    let config = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "model": {"kind": "dictionary"},
        "metadata": metadata(about),
    });
    Run {
        config,
        preparation: Preparation::none(dim),
        model: Model::Dictionary(dictionary.clone()),
        baseline: None,
    }
    .write_into(folder)
}

/// The metadata as it was, or, of a library that has none, where the dictionary came from.
fn metadata(about: &About) -> Value {
    if about.metadata.is_object() {
        return about.metadata.clone();
    }
    json!({"source_library": about.library.to_string(), "source_config": about.config})
}

/// The configuration of a foreign library.
fn config(path: &Path) -> Result<Value> {
    let value: Value = read_json(path)?;
    if value.is_object() {
        return Ok(value);
    }
    Err(Error::bad_file(path, "it holds no table", "fetch it again"))
}

/// A dictionary that narrows cannot express.
fn refused(library: Library, got: impl Into<String>, remedy: &str) -> Error {
    Error::mistake(
        format!("read a dictionary of {library}"),
        "a kind that narrows can express",
        got,
        remedy,
    )
}
