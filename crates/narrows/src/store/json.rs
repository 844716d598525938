//! Values as JSON that people can read.

use std::fs;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// Writes `value` as readable JSON.
///
/// # Errors
/// If the file cannot be written.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_string_pretty(value)
        .map_err(|error| Error::failure("write JSON", error.to_string(), "report it"))?;
    text.push('\n');
    fs::write(path, text).map_err(|error| Error::write(path, error))
}

/// Reads what [`write_json`] wrote.
///
/// # Errors
/// If the file cannot be read or holds something else.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read(path).map_err(|error| Error::read(path, error))?;
    let remedy = "fit again, or restore the folder";
    serde_json::from_slice(&text).map_err(|error| Error::bad_file(path, error.to_string(), remedy))
}
