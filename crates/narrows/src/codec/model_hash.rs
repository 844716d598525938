//! Which model a file was compressed with.

use std::fs::File;
use std::path::Path;

use serde_json::Value;

use super::MODEL_HASH;
use crate::error::{Error, Result};
use crate::store::read_json;

/// Names what a run folder decodes with: the first 16 bytes of the blake3 of its weights, its preparation
/// and what its configuration says of the model. Where it lies, and what was measured since, do not count.
///
/// # Errors
/// If a file of the folder cannot be read.
pub fn model_hash(folder: &Path) -> Result<[u8; MODEL_HASH]> {
    let mut hasher = blake3::Hasher::new();
    for name in ["weights.safetensors", "preparation.json"] {
        let path = folder.join(name);
        let file = File::open(&path).map_err(|error| Error::read(&path, error))?;
        hasher.update_reader(file).map_err(|error| Error::read(&path, error))?;
        hasher.update(name.as_bytes());
    }
    let config: Value = read_json(&folder.join("config.json"))?;
    for table in ["model", "network"] {
        hasher.update(config[table].to_string().as_bytes());
    }
    let mut hash = [0; MODEL_HASH];
    hash.copy_from_slice(&hasher.finalize().as_bytes()[..MODEL_HASH]);
    Ok(hash)
}
