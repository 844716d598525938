//! A page to look features up on, from a file, without a server.
//!
//! ```text
//! index.html          the page, with its style and its script
//! data/index.js       of every feature: density, largest code, the tokens of its peaks and those that it promotes
//! data/000.js, …      64 features each, whole; read when one of them is opened
//! ```
//!
//! Data are scripts that call `narrows(…)`, since a page from a file may not fetch others.

use std::path::Path;

use narrows::store::write_aside;
use narrows::{Error, Result};
use serde_json::{Value, json};

use super::collect::{Context, FeatureRecord, Features};
use crate::text::Tokenizer;

const PAGE: &str = include_str!("browser/page.html");
const STYLE: &str = include_str!("browser/style.css");
const SCRIPT: &str = include_str!("browser/script.js");
/// Features of a file.
const CHUNK: usize = 64;

/// Writes the page and its data into a folder.
///
/// # Errors
/// If they cannot be written.
pub fn write_browser(features: &Features, tokenizer: &Tokenizer, folder: &Path) -> Result<()> {
    let page = PAGE.replace("/*STYLE*/", STYLE).replace("/*SCRIPT*/", SCRIPT);
    write_aside(&folder.join("index.html"), page.as_bytes())?;
    let data = folder.join("data");
    std::fs::create_dir_all(&data).map_err(|error| Error::write(&data, error))?;
    let rows: Vec<Value> =
        features.features.iter().map(|record| index_row(tokenizer, record)).collect();
    let index = json!({
        "model": features.model,
        "tap": features.tap,
        "basis": features.basis,
        "count": features.count,
        "tokens": features.tokens,
        "one_in": features.together_one_in,
        "chunk": CHUNK,
        "features": rows,
    });
    write_script(&data.join("index.js"), &index)?;
    for (place, records) in features.features.chunks(CHUNK).enumerate() {
        let whole: Vec<Value> = records.iter().map(|record| whole(tokenizer, record)).collect();
        write_script(
            &data.join(format!("{place:03}.js")),
            &json!({"place": place, "whole": whole}),
        )?;
    }
    Ok(())
}

fn write_script(path: &Path, value: &Value) -> Result<()> {
    // Within a script a line separator of Unicode would end the line; `<` may begin what ends a script or hides its end.
    let text = value.to_string().replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
    write_aside(path, format!("narrows({});\n", text.replace('<', "\\u003c")).as_bytes())
}

/// Number, density, largest code, tokens of the peaks, tokens that are promoted.
fn index_row(tokenizer: &Tokenizer, record: &FeatureRecord) -> Value {
    let mut peaks: Vec<String> = record
        .top
        .iter()
        .take(8)
        .filter_map(|context| context.tokens.get(context.peak))
        .map(|&token| tokenizer.token(token))
        .collect();
    peaks.dedup();
    let promoted: Vec<String> =
        record.promoted.iter().take(5).map(|own| tokenizer.token(own.token)).collect();
    json!([record.feature, record.density, record.largest, peaks, promoted])
}

fn whole(tokenizer: &Tokenizer, record: &FeatureRecord) -> Value {
    // A thousandth of the largest is what the eye can tell.
    let step = record.largest.max(f32::MIN_POSITIVE) / 1000.0;
    let context = |context: &Context| {
        let texts: Vec<String> =
            context.tokens.iter().map(|&token| tokenizer.token(token)).collect();
        let codes: Vec<f32> =
            context.codes.iter().map(|code| (code / step).ceil() * step).collect();
        json!([texts, codes, context.peak])
    };
    let list = |contexts: &[Context]| contexts.iter().map(context).collect::<Vec<_>>();
    let told = |weights: &[super::TokenWeight]| {
        weights
            .iter()
            .map(|own| json!([tokenizer.token(own.token), own.weight]))
            .collect::<Vec<_>>()
    };
    json!({
        "feature": record.feature,
        "density": record.density,
        "mean": record.mean,
        "largest": record.largest,
        "histogram": record.histogram,
        "promoted": told(&record.promoted),
        "suppressed": told(&record.suppressed),
        "near": record.near,
        "together": record.together,
        "top": list(&record.top),
        "bands": record.bands.iter().map(|band| list(band)).collect::<Vec<_>>(),
    })
}
