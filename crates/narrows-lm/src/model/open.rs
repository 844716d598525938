//! A model read from a folder.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use narrows::data::tensors::Tensors;
use narrows::store::read_json;
use narrows::{Error, Result};
use serde_json::Value;

use super::angles::Angles;
use super::architecture::{Architecture, Family, tokens};
use super::block::Shelf;
use super::{LanguageModel, Parameters, gpt_neox, gpt2, llama, llama2c};
use crate::text::Tokenizer;

impl LanguageModel {
    /// Reads a model: a folder of Hugging Face `transformers` (`config.json`, `model.safetensors` or its
    /// shards, `tokenizer.json`), or one with a `.bin` of llama2.c and its `tok….bin`.
    ///
    /// It takes 4 bytes of memory for each parameter, and while it reads once more those of its largest matrix, of
    /// llama2.c those of the queries, keys and values of a block. Files of safetensors are mapped beside it: what
    /// was read of one counts as memory in use until the system takes it back.
    ///
    /// # Errors
    /// If the folder holds no model, one of a kind that is not known, or a file is missing or damaged.
    pub fn open(folder: &Path) -> Result<Self> {
        let config = folder.join("config.json");
        if !config.is_file() {
            return match llama2c::find(folder) {
                Some((model, vocabulary)) => llama2c::open(&model, &vocabulary),
                None => Err(no_model(folder)),
            };
        }
        let table: Value = read_json(&config)?;
        let made = Architecture::from_config(&config, &table)?;
        let is_left_out = match made.family {
            Family::GptNeoX => gpt_neox::is_left_out,
            Family::Gpt2 => gpt2::is_left_out,
            _ => llama::is_left_out,
        };
        let mut shelf =
            Shelf { tensors: read_tensors(folder, is_left_out)?, prefix: String::new() };
        let parameters = match made.family {
            Family::GptNeoX => gpt_neox::read(&mut shelf, &made),
            Family::Gpt2 => gpt2::read(&mut shelf, &made),
            _ => llama::read(&mut shelf, &made),
        }?;
        shelf.tensors.finish()?;
        let tokenizer = Tokenizer::open(&folder.join("tokenizer.json"), made.vocabulary)?;
        let name = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let name = name.file_name().map_or_else(String::new, |name| name.to_string_lossy().into());
        let mut model = Self::new(name, made, tokenizer, parameters);
        model.ends = ends(folder, &table, model.architecture.vocabulary)?;
        Ok(model)
    }

    pub(super) fn new(
        name: String,
        architecture: Architecture,
        tokenizer: Tokenizer,
        parameters: Parameters,
    ) -> Self {
        let angles = Angles::new(&architecture);
        Self { name, architecture, tokenizer, ends: Vec::new(), parameters, angles }
    }
}

/// The tokens that end a text, as `generation_config.json` or else `config.json` says.
fn ends(folder: &Path, table: &Value, vocabulary: usize) -> Result<Vec<u32>> {
    let path = folder.join("generation_config.json");
    let own: Value = if path.is_file() { read_json(&path)? } else { Value::Null };
    let given = if own["eos_token_id"].is_null() { table } else { &own };
    Ok(tokens(&given["eos_token_id"], vocabulary))
}

fn no_model(folder: &Path) -> Error {
    let below = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut below: Vec<PathBuf> = below.filter(|path| path.join("config.json").is_file()).collect();
    below.sort();
    Error::mistake(
        "read a language model",
        "a folder with config.json, model.safetensors and tokenizer.json, or with a .bin of llama2.c and \
         its tok….bin",
        format!(
            "'{}'{}",
            folder.display(),
            if folder.is_dir() { "" } else { ", which is no folder" }
        ),
        match below.first() {
            Some(first) => format!("give a folder in it, such as {}", first.display()),
            None => "check the path".to_owned(),
        },
    )
}

fn read_tensors(folder: &Path, is_left_out: impl Fn(&str) -> bool) -> Result<Tensors> {
    let index = folder.join("model.safetensors.index.json");
    if !index.is_file() {
        let single = folder.join("model.safetensors");
        if !single.is_file() {
            return Err(Error::bad_file(
                folder,
                "the weights are missing: neither model.safetensors nor model.safetensors.index.json",
                "copy them there; weights in another format can be written again by \
                 `model.save_pretrained(DIR)`",
            ));
        }
        return Tensors::of_safetensors_but(&single, is_left_out);
    }
    let table: Value = read_json(&index)?;
    let map = table["weight_map"]
        .as_object()
        .ok_or_else(|| Error::bad_file(&index, "it has no 'weight_map'", "fetch it again"))?;
    let shards: BTreeSet<&str> = map.values().filter_map(Value::as_str).collect();
    let mut all: Option<Tensors> = None;
    for shard in shards {
        let path = folder.join(shard);
        if Path::new(shard).components().count() != 1 || !path.is_file() {
            return Err(Error::bad_file(&path, "the shard is missing", "fetch it again"));
        }
        let part = Tensors::of_safetensors_but(&path, &is_left_out)?;
        match &mut all {
            Some(all) => all.extend(part),
            None => all = Some(part),
        }
    }
    all.ok_or_else(|| Error::bad_file(&index, "it names no shard", "fetch it again"))
}
