//! Folders of activations, and the whole numbers that come with rows.

use std::collections::BTreeMap;
use std::path::Path;

use super::extents::RowIntegers;
use super::mapped::Content;
use super::open::{from_source, split};
use super::positioned::Positioned;
use super::shards::{FIRST, MANIFEST, Shards, UNFINISHED};
use super::{Dataset, arrow};
use crate::error::{Error, Result};

/// Bytes at both ends of a file by which it is known.
const END: u64 = 64 << 10;

/// Whether a folder holds activations.
pub(super) fn is_folder(folder: &Path) -> bool {
    is_store(folder) || arrow::is_folder(folder)
}

fn is_store(folder: &Path) -> bool {
    [MANIFEST, UNFINISHED, FIRST].iter().any(|file| folder.join(file).is_file())
}

/// Opens a store, or a data set of Hugging Face `datasets` and of it the column called `name`.
pub(super) fn open_folder(folder: &Path, name: Option<&str>) -> Result<Dataset> {
    if is_store(folder) {
        if name.is_some() {
            let got = format!("'{}'", folder.display());
            let expected = "a data set with columns before '#'";
            return Err(Error::mistake("open", expected, got, "give the path alone"));
        }
        let rows = Shards::open(folder)?;
        let element = rows.manifest().element.in_dataset();
        // The manifest names the hash of every shard.
        let hash = Content::of(&folder.join(MANIFEST))?.hash;
        return Ok(from_source(rows, element, hash));
    }
    let files = arrow::files(folder)?;
    let rows = arrow::open(&files, name)?.rows;
    let element = rows.kind().element();
    let mut hasher = blake3::Hasher::new();
    for path in files {
        hash_ends(&Positioned::open(&path)?, &mut hasher)?;
    }
    Ok(from_source(rows, element, hasher.finalize().to_hex().to_string()))
}

fn hash_ends(file: &Positioned, hasher: &mut blake3::Hasher) -> Result<()> {
    hasher.update(&file.len().to_le_bytes());
    let mut bytes = vec![0; END.min(file.len()) as usize];
    for start in [0, file.len().saturating_sub(END)] {
        file.read_at(start, &mut bytes)?;
        hasher.update(&bytes);
    }
    Ok(())
}

/// The whole numbers that the set called `spec` has for every row, by name: the columns of a store, and
/// those of a data set of Hugging Face `datasets`. Other sets have none.
///
/// # Errors
/// As [`super::open`].
pub fn row_integers(spec: &str) -> Result<BTreeMap<String, RowIntegers>> {
    if spec.starts_with(super::demo::PREFIX) {
        return Ok(BTreeMap::new());
    }
    let (path, name) = split(spec)?;
    if !path.is_dir() || !is_folder(&path) {
        return Ok(BTreeMap::new());
    }
    if is_store(&path) {
        return Ok(Shards::open(&path)?.into_columns());
    }
    Ok(arrow::open(&arrow::files(&path)?, name.as_deref())?.integers)
}
