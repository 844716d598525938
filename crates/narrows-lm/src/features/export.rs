//! Features as JSON: a [`super::FeatureRecord`] on each line, tokens as text beside their ids.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use narrows::{Error, Result};
use serde_json::{Value, json};

use super::collect::{FeatureRecord, Features, TokenWeight};
use crate::text::Tokenizer;

fn texts(tokenizer: &Tokenizer, tokens: &[u32]) -> Vec<String> {
    tokens.iter().map(|&token| tokenizer.token(token)).collect()
}

fn words(tokenizer: &Tokenizer, weights: &[TokenWeight]) -> Vec<String> {
    weights.iter().map(|own| tokenizer.token(own.token)).collect()
}

/// A line for each feature, written as it is made: all of them may be larger than memory.
///
/// # Errors
/// If it cannot be written; what was written until then stays.
pub fn write_jsonl(features: &Features, tokenizer: &Tokenizer, path: &Path) -> Result<()> {
    let failed = |error| Error::write(path, error);
    let mut file = BufWriter::new(File::create(path).map_err(failed)?);
    for record in &features.features {
        let line = line(record, &features.tap, tokenizer);
        writeln!(file, "{line}").map_err(failed)?;
    }
    file.into_inner().map_err(|error| failed(error.into_error()))?.sync_all().map_err(failed)
}

fn line(record: &FeatureRecord, tap: &str, tokenizer: &Tokenizer) -> Value {
    let mut line = json!(record);
    let with_text = |contexts: &mut Value| {
        for context in contexts.as_array_mut().into_iter().flatten() {
            let tokens: Vec<u32> =
                serde_json::from_value(context["tokens"].clone()).unwrap_or_default();
            context["text"] = json!(texts(tokenizer, &tokens));
        }
    };
    with_text(&mut line["top"]);
    line["bands"].as_array_mut().into_iter().flatten().for_each(with_text);
    line["promoted_text"] = json!(words(tokenizer, &record.promoted));
    line["suppressed_text"] = json!(words(tokenizer, &record.suppressed));
    line["tap"] = json!(tap);
    line
}
