//! What is kept and told of the storeys of a stack.

use std::io::Write;
use std::path::Path;

use anyhow::Result;
use narrows::Error;
use narrows::store::write_json;
use narrows::train::{StoreyRecord, TrainOptions};
use serde_json::{Value, json};

use super::super::{Screen, figure};
use super::{kept_scores, lay, told_kept, write_history};

/// Writes history and scores of each into `storeys/1`, `storeys/2`, …
pub(super) fn write(
    folder: &Path,
    train: &TrainOptions,
    storeys: &[StoreyRecord],
) -> narrows::Result<()> {
    for (place, storey) in storeys.iter().enumerate() {
        let folder = folder.join("storeys").join((place + 1).to_string());
        std::fs::create_dir_all(&folder).map_err(|error| Error::write(&folder, error))?;
        write_history(&folder.join("history.jsonl"), &storey.history)?;
        write_json(&folder.join("scores.json"), &json!({ "fit": scores(train, storey) }))?;
    }
    Ok(())
}

/// What the fit knows of a storey; its errors are those of its own input, not of the rows.
pub(super) fn scores(train: &TrainOptions, storey: &StoreyRecord) -> Value {
    let mut scores = json!({
        "kind": if storey.loss.is_some() { "autoencoder" } else { "pca" },
        "input_dim": storey.shape.input_dim,
        "latent_dim": latent_dim(storey),
        "objective": storey.loss,
        "squared_error_per_row": storey.squared_error_per_row,
        "fraction_variance_unexplained": storey.fraction_variance_unexplained,
    });
    lay(&mut scores, kept_scores(train, &storey.history));
    scores
}

/// A line on each.
pub(super) fn tell(train: &TrainOptions, storeys: &[StoreyRecord]) -> Result<()> {
    for (place, storey) in storeys.iter().enumerate() {
        let history = &storey.history;
        let how = match train.kept(history) {
            Some(kept) => format!(
                "{} epochs{}, loss {}",
                history.len(),
                told_kept(train, history),
                figure(kept.loss)
            ),
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
