//! Answers that were given, kept under the hash of what was asked.
//!
//! ```text
//! FOLDER/ab/ab….json    {"request": …, "answer": "…", "tokens": 123}    ab… = blake3(URL, request), hexadecimal
//! ```

use std::path::{Path, PathBuf};

use narrows::store::{read_json, write_aside};
use narrows::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An answer, and what it cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) request: Value,
    pub(super) answer: String,
    /// Tokens of request and answer, as the endpoint says or estimated.
    pub(super) tokens: u64,
}

/// A folder of answers.
pub(super) struct Cache(PathBuf);

impl Cache {
    pub(super) fn new(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    fn place(&self, url: &str, body: &str) -> PathBuf {
        let mut hasher = blake3::Hasher::new();
        hasher.update(url.as_bytes()).update(&[0]).update(body.as_bytes());
        let name = hasher.finalize().to_hex();
        self.0.join(&name[..2]).join(format!("{name}.json"))
    }

    /// What was answered; a file that is damaged is as none.
    pub(super) fn find(&self, url: &str, body: &str) -> Option<Kept> {
        read_json(&self.place(url, body)).ok()
    }

    pub(super) fn keep(&self, url: &str, body: &str, kept: &Kept) -> Result<()> {
        let place = self.place(url, body);
        if let Some(folder) = place.parent() {
            std::fs::create_dir_all(folder).map_err(|error| Error::write(folder, error))?;
        }
        let bytes = serde_json::to_vec_pretty(kept)
            .map_err(|error| Error::failure("keep an answer", error.to_string(), "report it"))?;
        write_aside(&place, &bytes)
    }
}
