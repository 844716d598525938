//! Features as JSON: a [`super::FeatureRecord`] on each line, tokens as text beside their ids.

use std::path::Path;

use narrows::Result;
use narrows::store::write_aside;
use serde_json::{Value, json};

use super::collect::{Features, TokenWeight};
use crate::text::Tokenizer;

fn texts(tokenizer: &Tokenizer, tokens: &[u32]) -> Vec<String> {
    tokens.iter().map(|&token| tokenizer.token(token)).collect()
}

fn words(tokenizer: &Tokenizer, weights: &[TokenWeight]) -> Vec<String> {
    weights.iter().map(|own| tokenizer.token(own.token)).collect()
}

/// A line for each feature.
///
/// # Errors
/// If it cannot be written.
pub fn write_jsonl(features: &Features, tokenizer: &Tokenizer, path: &Path) -> Result<()> {
    let mut text = String::new();
    for record in &features.features {
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
        line["tap"] = json!(features.tap);
        text += &line.to_string();
        text.push('\n');
    }
    write_aside(path, text.as_bytes())
}
