//! A language model, text and a place in it, as several commands are told of them.

use std::path::{Path, PathBuf};

use clap::Args;
use narrows::data::{Manifest, store_folder};
use narrows::{Error, Result};
use narrows_lm::text::{Corpus, TextOptions, Windows};
use narrows_lm::{LanguageModel, Tap};
use serde_json::Value;

use super::Output;
use super::dictionaries::Shelf;

/// Text that a model reads.
#[derive(Debug, Clone, Args)]
pub(crate) struct TextArgs {
    /// Text files: plain (`<|endoftext|>` between documents), .jsonl, either gzipped
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    pub(super) text: Vec<PathBuf>,
    /// The key of the text in a line of .jsonl
    #[arg(long, default_value = "text", value_name = "KEY")]
    pub(super) field: String,
    /// Make letters small, for models that know only those
    #[arg(long)]
    pub(super) lowercase: bool,
    /// Tokens of a window; documents are put one after the other and cut into windows [default: 256, or as
    /// many as the model takes where that is less]
    #[arg(long, value_name = "N")]
    pub(super) context: Option<usize>,
    /// Do not put the token that begins a text before each document
    #[arg(long)]
    pub(super) no_begin: bool,
}

/// Tokens of a window, unless one says otherwise.
const CONTEXT: usize = 256;

impl TextArgs {
    pub(super) fn options(&self) -> TextOptions {
        TextOptions {
            files: self.text.clone(),
            field: self.field.clone(),
            lowercase: self.lowercase,
        }
    }

    pub(super) fn length(&self, model: &LanguageModel) -> usize {
        self.context.unwrap_or(CONTEXT.min(model.architecture.context))
    }

    /// Begins to read the text as windows of tokens.
    pub(super) fn open<'a>(&self, model: &'a LanguageModel) -> Result<Corpus<'a>> {
        Corpus::open(model, &self.options(), self.length(model), !self.no_begin)
    }

    /// All of the text as windows of tokens, four bytes each.
    pub(super) fn windows(&self, model: &LanguageModel) -> Result<Windows> {
        self.open(model)?.collect()
    }
}

/// The model in a folder.
pub(super) fn open_model(folder: &Path) -> Result<LanguageModel> {
    LanguageModel::open(folder)
}

/// The place of this name in a model.
pub(super) fn tap(name: &str, model: &LanguageModel) -> Result<Tap> {
    Tap::parse(name, &model.architecture)
}

/// The place that is named, or that which a dictionary was trained at, as its run or the store of its rows says.
pub(super) fn tap_of(
    operation: &str,
    named: Option<&str>,
    shelf: Option<&Shelf>,
    model: &LanguageModel,
    output: &Output,
) -> Result<Tap> {
    if let Some(name) = named {
        return tap(name, model);
    }
    let trained_at = shelf.map(|shelf| learned_with(shelf, "tap")).transpose()?.flatten();
    if let Some(name) = trained_at.as_ref().and_then(Value::as_str) {
        output.say(format!("at {name}, which the dictionary was trained at"));
        return tap(name, model);
    }
    Err(Error::mistake(
        operation,
        "the place of the rows",
        "none, and neither the run nor a store that it was trained on names one",
        "give --tap, such as blocks.0.residual_post; `narrows lm info` lists them",
    ))
}

/// Says so where a dictionary was learned from text in small letters and is now shown text as it is.
pub(super) fn note_letters(shelf: Option<&Shelf>, lowercase: bool, output: &Output) -> Result<()> {
    let Some(shelf) = shelf.filter(|_| !lowercase) else { return Ok(()) };
    let small = learned_with(shelf, "lowercase")?.and_then(|small| small.as_bool());
    if small == Some(true) {
        output.say("note: the dictionary was learned from text in small letters; give --lowercase for the same");
    }
    Ok(())
}

/// What a run says of the rows that it was trained on, or else the store that they came from.
fn learned_with(shelf: &Shelf, key: &str) -> Result<Option<Value>> {
    let of_run = shelf.config["data"]["lm"].get(key).filter(|value| !value.is_null());
    if let Some(value) = of_run {
        return Ok(Some(value.clone()));
    }
    let Some(store) = shelf.trained_on().and_then(store_folder) else { return Ok(None) };
    Ok(Manifest::read(&store)?.metadata.get(key).cloned())
}
