//! What is kept and told of the storeys of a stack.

use std::io::Write;
use std::path::Path;

use anyhow::Result;
use narrows::Error;
use narrows::store::write_json;
use narrows::train::StoreyRecord;
use serde_json::{Value, json};

use super::super::{Screen, figure};
use super::write_history;

/// Writes history and scores of each into `storeys/1`, `storeys/2`, …
pub(super) fn write(folder: &Path, storeys: &[StoreyRecord]) -> narrows::Result<()> {
    for (place, storey) in storeys.iter().enumerate() {
        let folder = folder.join("storeys").join((place + 1).to_string());
        std::fs::create_dir_all(&folder).map_err(|error| Error::write(&folder, error))?;
        write_history(&folder.join("history.jsonl"), &storey.history)?;
        write_json(&folder.join("scores.json"), &json!({ "fit": scores(storey) }))?;
    }
    Ok(())
}

/// What the fit knows of a storey; its errors are those of its own input, not of the rows.
pub(super) fn scores(storey: &StoreyRecord) -> Value {
    let last = storey.history.last();
    json!({
        "kind": if storey.loss.is_some() { "autoencoder" } else { "pca" },
        "input_dim": storey.shape.input_dim,
        "latent_dim": latent_dim(storey),
        "objective": storey.loss,
        "epochs": storey.history.len(),
        "loss": last.map(|epoch| epoch.loss),
        "penalty": last.and_then(|epoch| epoch.penalty),
        "validation": last.and_then(|epoch| epoch.validation),
        "squared_error_per_row": storey.squared_error_per_row,
        "fraction_variance_unexplained": storey.fraction_variance_unexplained,
    })
}

/// A line on each.
pub(super) fn tell(storeys: &[StoreyRecord]) -> Result<()> {
    for (place, storey) in storeys.iter().enumerate() {
        let how = match storey.history.last() {
            Some(last) => format!("{} epochs, loss {}", storey.history.len(), figure(last.loss)),
            None => "PCA".to_owned(),
        };
        let lost = storey.fraction_variance_unexplained.map_or_else(
            || "its input does not vary".to_owned(),
            |lost| format!("{:.2} % of the variance of its input lost", 100.0 * lost),
        );
        let (from, to) = (storey.shape.input_dim, latent_dim(storey));
        writeln!(Screen, "storey {}: {from} → {to} columns, {how}, {lost}", place + 1)?;
    }
    Ok(())
}

fn latent_dim(storey: &StoreyRecord) -> usize {
    storey.shape.layers[storey.shape.encoder_depth - 1].width
}
