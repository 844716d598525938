//! What is kept of training.

use std::path::Path;

use anyhow::Result;
use narrows::Error;
use narrows::evaluate::Certificate;
use narrows::report::Storey;
use narrows::store::read_json;
use narrows::train::Epoch;
use serde_json::Value;

/// How training went, if there was any.
pub(super) fn history(folder: &Path) -> Result<Option<Vec<Epoch>>> {
    let path = folder.join("history.jsonl");
    if !path.exists() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&path).map_err(|error| Error::read(&path, error))?;
    let epochs: Result<Vec<Epoch>, _> = text.lines().map(serde_json::from_str).collect();
    let epochs = epochs.map_err(|error| {
        Error::bad_file(&path, error.to_string(), "fit again, or remove the file")
    })?;
    Ok(Some(epochs))
}

pub(super) fn certificate(folder: &Path) -> Result<Option<Certificate>> {
    let path = folder.join("scores.json");
    if !path.exists() {
        return Ok(None);
    }
    let scores: serde_json::Value = read_json(&path)?;
    Ok(serde_json::from_value(scores["fit"]["certificate"].clone()).unwrap_or_default())
}

/// The storeys of a stack, from the lowest; `None` of other models.
pub(super) fn storeys(folder: &Path) -> Result<Option<Vec<Storey>>> {
    let folder_of = |place: usize| folder.join("storeys").join(place.to_string());
    let folders = (1..).map(folder_of).take_while(|folder| folder.join("scores.json").exists());
    let storeys = folders.map(|folder| storey(&folder)).collect::<Result<Vec<_>>>()?;
    Ok((!storeys.is_empty()).then_some(storeys))
}

fn storey(folder: &Path) -> Result<Storey> {
    let path = folder.join("scores.json");
    let scores: Value = read_json(&path)?;
    let fit = &scores["fit"];
    let width = |key: &str| {
        fit[key].as_u64().map(|width| width as usize).ok_or_else(|| {
            let problem = format!("fit.{key} is no whole number");
            Error::bad_file(&path, problem, "fit again, or remove the folder")
        })
    };
    Ok(Storey {
        input_dim: width("input_dim")?,
        latent_dim: width("latent_dim")?,
        history: history(folder)?.unwrap_or_default(),
        squared_error_per_row: fit["squared_error_per_row"].as_f64(),
        fraction_variance_unexplained: fit["fraction_variance_unexplained"].as_f64(),
    })
}
