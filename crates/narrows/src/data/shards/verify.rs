//! Whether a store still holds what was written.

use std::path::Path;

use rayon::prelude::*;
use serde::Serialize;

use super::{Manifest, Shard, Tensors, open_shard};
use crate::data::extents::{Extent, Extents};
use crate::data::positioned::Positioned;
use crate::data::safetensors::Header;
use crate::data::source::Source;
use crate::error::{Error, Result};

/// Bytes that are hashed at a time.
const PIECE: usize = 1 << 20;

/// What was found of one shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShardCheck {
    /// Its name in the folder.
    pub file: String,
    /// What is wrong with it; nothing if it is whole.
    pub problem: Option<String>,
}

/// Reads a whole store and compares every shard with the manifest: length, hash, tensors; and whether
/// every number is finite. As many shards at a time as there are threads, a piece of each in memory.
///
/// # Errors
/// If there is no manifest that could be read. A damaged shard is no error but is told of.
pub fn verify_shards(folder: &Path) -> Result<Vec<ShardCheck>> {
    let manifest = Manifest::read(folder)?;
    let checks = manifest.shards.par_iter().map(|shard| {
        let problem = match check(folder, &manifest, shard) {
            Ok(problem) => problem,
            // Told without its remedy, which is one for all shards.
            Err(Error::BadFile { problem, .. }) => Some(problem),
            Err(error) => Some(error.to_string()),
        };
        ShardCheck { file: shard.file.clone(), problem }
    });
    Ok(checks.collect())
}

/// Refuses damaged shards among `checks` of the store in `folder`.
///
/// # Errors
/// If there is one.
pub fn refuse_damaged(folder: &Path, checks: &[ShardCheck]) -> Result<()> {
    let damaged = |check: &ShardCheck| Some(format!("{}: {}", check.file, check.problem.as_ref()?));
    let damaged: Vec<String> = checks.iter().filter_map(damaged).collect();
    let Some(first) = damaged.first() else { return Ok(()) };
    let which = if damaged.len() > 1 { ", the first of them" } else { ":" };
    let problem =
        format!("{} of {} shards are damaged{which} {first}", damaged.len(), checks.len());
    Err(Error::bad_file(folder, problem, "restore them, or pack the rows again"))
}

fn check(folder: &Path, manifest: &Manifest, shard: &Shard) -> Result<Option<String>> {
    let file = open_shard(folder, shard)?;
    if hash(&file)? != shard.blake3 {
        return Ok(Some("its bytes are not those that were written (blake3)".to_owned()));
    }
    let tensors = Tensors::find(folder, manifest, shard, &Header::read(&file)?)?;
    let (start, scales) = (tensors.activations, tensors.scales);
    let extent = Extent { file: 0, start, rows: shard.rows, scales };
    let rows = Extents::new([file].into(), vec![extent], manifest.element.kind(), manifest.dim)?;
    let row = first_not_finite(&rows)?;
    Ok(row.map(|row| format!("row {} holds a number that is not finite", row + 1)))
}

/// The hash of all bytes of a file (blake3, hexadecimal).
fn hash(file: &Positioned) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    let mut bytes = vec![0; PIECE];
    let mut start = 0;
    while start < file.len() {
        let len = (file.len() - start).min(PIECE as u64) as usize;
        file.read_at(start, &mut bytes[..len])?;
        hasher.update(&bytes[..len]);
        start += len as u64;
    }
    Ok(hasher.finalize().to_hex().to_string())
}

fn first_not_finite(rows: &Extents) -> Result<Option<usize>> {
    let (count, dim) = (rows.rows(), rows.dim());
    let block = (PIECE / dim).max(1);
    let mut values = vec![0.0_f32; block.min(count) * dim];
    for start in (0..count).step_by(block) {
        let values = &mut values[..block.min(count - start) * dim];
        rows.read_f32(start, values)?;
        if let Some(place) = values.iter().position(|value| !value.is_finite()) {
            return Ok(Some(start + place / dim));
        }
    }
    Ok(None)
}
