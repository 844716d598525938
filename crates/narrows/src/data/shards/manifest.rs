//! What a store holds: `shards.json`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::ShardElement;
use crate::error::{Error, Result};

/// The file that makes a folder a store.
pub(crate) const MANIFEST: &str = "shards.json";
/// The first shard, by which a store that lost its manifest is known.
pub(crate) const FIRST: &str = "shard-00000.safetensors";
/// Stands for the manifest while the store is written: what is whole so far.
pub(crate) const UNFINISHED: &str = "unfinished.json";
/// The version that this program writes and reads.
const VERSION: u32 = 1;
const REMEDY: &str = "pack the rows again, or restore the file";

/// What a store of activations holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of the format, 1.
    pub version: u32,
    /// Number of rows.
    pub rows: usize,
    /// Numbers in a row.
    pub dim: usize,
    /// How a number is kept.
    pub element: ShardElement,
    /// Whole numbers that are kept for every row (u32), by name, such as `token_ids`.
    pub columns: Vec<String>,
    /// Rows of every shard but the last, which may have fewer.
    pub rows_per_shard: usize,
    /// What the person wants to be known: source, tap, model, …
    pub metadata: Map<String, Value>,
    /// The files, in the order of their rows.
    pub shards: Vec<Shard>,
}

/// One file of a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Its name in the folder.
    pub file: String,
    /// Number of rows.
    pub rows: usize,
    /// Its length.
    pub bytes: u64,
    /// The hash of all its bytes (blake3, hexadecimal).
    pub blake3: String,
}

impl Manifest {
    /// A store without rows.
    pub(crate) fn new(
        dim: usize,
        element: ShardElement,
        columns: Vec<String>,
        rows_per_shard: usize,
        metadata: Map<String, Value>,
    ) -> Self {
        let (version, rows, shards) = (VERSION, 0, Vec::new());
        Self { version, rows, dim, element, columns, rows_per_shard, metadata, shards }
    }

    /// Reads `shards.json` of a store.
    ///
    /// # Errors
    /// If there is none, because the store was never finished or is none, or what it says cannot be.
    pub fn read(folder: &Path) -> Result<Self> {
        let (manifest, unfinished) = (folder.join(MANIFEST), folder.join(UNFINISHED));
        if manifest.exists() {
            return Self::read_from(&manifest);
        }
        let name = folder.display();
        let (got, remedy) = if unfinished.exists() {
            let rows = Self::read_from(&unfinished)?.rows;
            let got = format!("'{name}', of which {rows} rows were written so far");
            (got, "finish it: give the command that began it again, with --resume")
        } else {
            (format!("'{name}', in which it is not"), "make one: narrows shards pack")
        };
        let expected = format!("a finished store, a folder with {MANIFEST}");
        Err(Error::mistake("open", expected, got, remedy))
    }

    pub(crate) fn read_from(path: &Path) -> Result<Self> {
        let text = fs::read(path).map_err(|error| Error::read(path, error))?;
        let damaged = |problem: String| Error::bad_file(path, problem, REMEDY);
        let version = serde_json::from_slice::<Value>(&text)
            .map_err(|error| damaged(error.to_string()))?["version"]
            .as_u64();
        if version.is_some_and(|version| version > u64::from(VERSION)) {
            let problem =
                format!("version {} of the store is newer than this program", version.unwrap_or(0));
            return Err(Error::bad_file(path, problem, "use a newer narrows"));
        }
        let manifest: Self =
            serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        manifest.check().map_err(damaged)?;
        Ok(manifest)
    }

    fn check(&self) -> std::result::Result<(), String> {
        let counted = self.shards.iter().try_fold(0_usize, |sum, s| sum.checked_add(s.rows));
        if counted != Some(self.rows) {
            return Err(format!("it promises {} rows, its shards do not sum to that", self.rows));
        }
        if self.dim == 0 || self.rows_per_shard == 0 {
            return Err("rows or shards without numbers".to_owned());
        }
        let plain = |file: &str| {
            Path::new(file).file_name().is_some_and(|name| name == file) && !file.contains('\\')
        };
        if let Some(shard) = self.shards.iter().find(|shard| !plain(&shard.file)) {
            return Err(format!("'{}' is not the name of a file in the folder", shard.file));
        }
        let names: BTreeSet<&str> = self.shards.iter().map(|shard| &*shard.file).collect();
        if names.len() != self.shards.len() {
            return Err("a shard is listed twice".to_owned());
        }
        Ok(())
    }

    /// Bytes of all shards.
    pub fn bytes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.bytes).sum()
    }

    /// The path of a shard.
    pub(super) fn path(folder: &Path, shard: &Shard) -> PathBuf {
        folder.join(&shard.file)
    }
}
