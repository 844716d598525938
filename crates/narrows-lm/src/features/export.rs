//! Features as JSON: our own lines, and the shapes of Neuronpedia and delphi.
//!
//! ```text
//! features.jsonl                          a FeatureRecord on each line, tokens as text beside their ids
//! neuronpedia/features/batch-0.jsonl.gz   modelId, layer, index, frac_nonzero, maxActApprox, pos_str, pos_values,
//!                                         neg_str, neg_values, freq_hist_data_bar_heights, …_values, 1,024 a file
//! neuronpedia/activations/batch-0.jsonl.gz  modelId, layer, index, tokens, values, maxValue, maxValueTokenIndex,
//!                                         binMin, binMax
//! delphi/latent17.json                    examples with str_tokens and activations, the largest first
//! ```
//!
//! Source: the records of `SAEDashboard` for Neuronpedia and of `delphi` by EleutherAI, as far as they are told of a
//! dictionary and a text; what they also have and is not known here (explanations, neuron alignment) is left out.

use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use narrows::store::write_aside;
use narrows::{Error, Result};
use serde_json::{Value, json};

use super::collect::{Context, FeatureRecord, Features, TokenWeight};
use crate::text::Tokenizer;

/// Features of a file.
const BATCH: usize = 1024;

fn texts(tokenizer: &Tokenizer, tokens: &[u32]) -> Vec<String> {
    tokens.iter().map(|&token| tokenizer.token(token)).collect()
}

fn words(tokenizer: &Tokenizer, weights: &[TokenWeight]) -> Vec<String> {
    weights.iter().map(|own| tokenizer.token(own.token)).collect()
}

fn weights(weights: &[TokenWeight]) -> Vec<f32> {
    weights.iter().map(|own| own.weight).collect()
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

/// The files that Neuronpedia takes in, under `folder`.
///
/// # Errors
/// If they cannot be written.
pub fn write_neuronpedia(features: &Features, tokenizer: &Tokenizer, folder: &Path) -> Result<()> {
    for (batch, records) in features.features.chunks(BATCH).enumerate() {
        let lines = records.iter().map(|record| feature_line(features, tokenizer, record));
        write_packed(&folder.join(format!("features/batch-{batch}.jsonl.gz")), lines)?;
        let lines = records.iter().flat_map(|record| {
            let drawn = record.bands.iter().flatten();
            let all = record.top.iter().chain(drawn);
            all.map(|context| activation_line(features, tokenizer, record, context))
        });
        write_packed(&folder.join(format!("activations/batch-{batch}.jsonl.gz")), lines)?;
    }
    Ok(())
}

fn feature_line(features: &Features, tokenizer: &Tokenizer, record: &FeatureRecord) -> Value {
    let bins = record.histogram.len() as f32;
    let middle = |bin: usize| (bin as f32 + 0.5) / bins * record.largest;
    json!({
        "modelId": features.model,
        "layer": features.tap,
        "index": record.feature.to_string(),
        "maxActApprox": record.largest,
        "frac_nonzero": record.density,
        "pos_str": words(tokenizer, &record.promoted),
        "pos_values": weights(&record.promoted),
        "neg_str": words(tokenizer, &record.suppressed),
        "neg_values": weights(&record.suppressed),
        "freq_hist_data_bar_heights": record.histogram,
        "freq_hist_data_bar_values": (0..record.histogram.len()).map(middle).collect::<Vec<_>>(),
        "correlated_features_indices": record.together.iter().map(|own| own.0).collect::<Vec<_>>(),
        "correlated_features_pearson": Value::Null,
        "correlated_features_jaccard": record.together.iter().map(|own| own.1).collect::<Vec<_>>(),
    })
}

fn activation_line(
    features: &Features,
    tokenizer: &Tokenizer,
    record: &FeatureRecord,
    context: &Context,
) -> Value {
    let largest = context.codes.iter().copied().fold(0.0, f32::max);
    let place = context.codes.iter().position(|&code| code == largest);
    json!({
        "modelId": features.model,
        "layer": features.tap,
        "index": record.feature.to_string(),
        "tokens": texts(tokenizer, &context.tokens),
        "values": context.codes,
        "maxValue": largest,
        "maxValueTokenIndex": place,
        "minValue": context.codes.iter().copied().fold(largest, f32::min),
        "binMin": 0.0,
        "binMax": record.largest,
    })
}

fn write_packed(path: &Path, lines: impl Iterator<Item = Value>) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| Error::write(folder, error))?;
    }
    let failed = |error| Error::write(path, error);
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    for line in lines {
        writeln!(packed, "{line}").map_err(failed)?;
    }
    write_aside(path, &packed.finish().map_err(failed)?)
}

/// A file for each feature, as delphi gives examples to its explainers.
///
/// # Errors
/// If they cannot be written.
pub fn write_delphi(features: &Features, tokenizer: &Tokenizer, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|error| Error::write(folder, error))?;
    for record in &features.features {
        let example = |context: &Context| {
            json!({
                "str_tokens": texts(tokenizer, &context.tokens),
                "tokens": context.tokens,
                "activations": context.codes,
                "max_activation": context.codes.iter().copied().fold(0.0, f32::max),
            })
        };
        let all = record.top.iter().chain(record.bands.iter().flatten());
        let told = json!({
            "latent": format!("{}_latent{}", features.tap, record.feature),
            "max_activation": record.largest,
            "examples": all.map(example).collect::<Vec<_>>(),
        });
        let path = folder.join(format!("latent{}.json", record.feature));
        write_aside(&path, told.to_string().as_bytes())?;
    }
    Ok(())
}
