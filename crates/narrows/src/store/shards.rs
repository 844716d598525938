//! Stores of activations, written shard by shard; `data::Shards` reads them.
//!
//! A shard is written aside and takes its name when it is whole; then `unfinished.json` names it. The
//! manifest is written when all is there: a folder in which writing stopped is no store, and is gone
//! on with by [`ShardWriter::resume`].

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde_json::{Map, Value};

use super::aside::{Aside, PREFIX};
use super::write_aside;
use crate::data::shards::{ACTIVATIONS, MANIFEST, SCALES, UNFINISHED};
use crate::data::{Manifest, Shard, ShardElement};
use crate::error::{Error, Result};

/// Bytes of a shard, unless the caller says how many rows.
const SHARD: usize = 256 << 20;
/// Rows that one thread encodes.
const PIECE: usize = 64;
/// Bytes that are encoded before they are written.
const ENCODED: usize = 4 << 20;
/// Space for a header that says any number of rows.
const SPARE: usize = 128;

/// What a store is to hold.
#[derive(Debug, Clone, PartialEq)]
pub struct ShardOptions {
    /// Numbers in a row.
    pub dim: usize,
    /// How a number is kept.
    pub element: ShardElement,
    /// Names of the whole numbers that come with every row, such as `token_ids`.
    pub columns: Vec<String>,
    /// Rows of a shard; `None`: as many as make 256 MiB.
    pub rows_per_shard: Option<usize>,
    /// What is to be known of the rows: source, tap, model, …
    pub metadata: Map<String, Value>,
}

impl ShardOptions {
    /// Rows of `dim` numbers of one kind, without columns and metadata.
    pub fn new(dim: usize, element: ShardElement) -> Self {
        Self { dim, element, columns: Vec::new(), rows_per_shard: None, metadata: Map::new() }
    }
}

/// Writes a store of activations. Of the rows no more than 4 MiB are held in memory.
pub struct ShardWriter {
    folder: PathBuf,
    /// What is whole.
    manifest: Manifest,
    /// The shard that is being written.
    open: Option<OpenShard>,
}

impl ShardWriter {
    /// Begins a store in a folder that is new or empty.
    ///
    /// # Errors
    /// If the folder holds something, nothing can be written there, or the options cannot be.
    pub fn create(folder: &Path, options: ShardOptions) -> Result<Self> {
        check_options(&options)?;
        let holds = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
        if holds || folder.is_file() {
            let (kind, remedy) = match (folder.join(MANIFEST), folder.join(UNFINISHED)) {
                (whole, _) if whole.exists() => ("is a store", "give another --out, or delete it"),
                (_, part) if part.exists() => {
                    ("is an unfinished store", "say --resume to go on with it, or delete it")
                }
                _ => ("holds something else", "give another --out"),
            };
            return Err(Error::mistake(
                "write a store",
                "a new name or an empty folder",
                format!("'{}', which {kind}", folder.display()),
                remedy,
            ));
        }
        fs::create_dir_all(folder).map_err(|error| Error::write(folder, error))?;
        let ShardOptions { dim, element, columns, rows_per_shard, metadata } = options;
        let row = dim * element.size();
        let rows_per_shard = rows_per_shard.unwrap_or((SHARD / row).max(1));
        let manifest = Manifest::new(dim, element, columns, rows_per_shard, metadata);
        let writer = Self { folder: folder.to_owned(), manifest, open: None };
        writer.write_manifest(UNFINISHED)?;
        Ok(writer)
    }

    /// Goes on with a store that was not finished: with the row after its last whole shard.
    ///
    /// # Errors
    /// If the folder is no unfinished store, or one of its shards is missing or cut off.
    pub fn resume(folder: &Path) -> Result<Self> {
        let unfinished = folder.join(UNFINISHED);
        if folder.join(MANIFEST).exists() || !unfinished.exists() {
            return Err(Error::mistake(
                "go on with a store",
                "a store that was not finished",
                format!("'{}', which is none", folder.display()),
                "leave --resume out",
            ));
        }
        let manifest = Manifest::read_from(&unfinished)?;
        for shard in &manifest.shards {
            let path = folder.join(&shard.file);
            let about = fs::metadata(&path).map_err(|error| Error::read(&path, error))?;
            if about.len() != shard.bytes {
                return Err(Error::bad_file(
                    path,
                    "it is cut off",
                    "delete the folder, begin again",
                ));
            }
        }
        remove_rests(folder);
        Ok(Self { folder: folder.to_owned(), manifest, open: None })
    }

    /// What a folder holds, where it is a store that was finished, if only just: the program may have been stopped before it
    /// took the notes of the unfinished store away, which is done now.
    ///
    /// # Errors
    /// If what the store says of itself cannot be read.
    pub fn finished(folder: &Path) -> Result<Option<Manifest>> {
        if !folder.join(MANIFEST).exists() {
            return Ok(None);
        }
        let manifest = Manifest::read(folder)?;
        let notes = folder.join(UNFINISHED);
        if notes.exists() {
            fs::remove_file(&notes).map_err(|error| Error::write(&notes, error))?;
        }
        Ok(Some(manifest))
    }

    /// Takes the folder away again where it holds no whole shard.
    pub fn abandon(self) {
        let Self { folder, manifest, open } = self;
        drop(open);
        if manifest.shards.is_empty() {
            // What cannot be deleted says of itself that it is unfinished.
            let _ = fs::remove_file(folder.join(UNFINISHED)).and_then(|()| fs::remove_dir(folder));
        }
    }

    /// Rows of the store so far, those of the shard that is being written too.
    pub fn rows(&self) -> usize {
        self.manifest.rows + self.open.as_ref().map_or(0, |open| open.rows)
    }

    /// What is whole so far.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Adds whole rows of a store without columns.
    ///
    /// # Errors
    /// As [`ShardWriter::push_with`].
    ///
    /// # Panics
    /// As [`ShardWriter::push_with`].
    pub fn push(&mut self, rows: &[f32]) -> Result<()> {
        self.push_with(rows, &[])
    }

    /// Adds whole rows, and for each column of the store one number for every row.
    ///
    /// # Errors
    /// If a number is not finite, or would not be in the kind in which it is kept; if the numbers
    /// cannot be written: what was whole before then stays.
    ///
    /// # Panics
    /// If there are not whole rows, or not one number for each in every column: the caller's mistake.
    pub fn push_with(&mut self, rows: &[f32], columns: &[&[u32]]) -> Result<()> {
        let dim = self.manifest.dim;
        let count = rows.len() / dim;
        assert_eq!(count * dim, rows.len(), "push: whole rows of {dim}");
        assert_eq!(columns.len(), self.manifest.columns.len(), "push: every column");
        assert!(columns.iter().all(|column| column.len() == count), "push: a number for every row");
        self.check_numbers(rows)?;
        let most = (ENCODED / (dim * 4)).max(1);
        let mut start = 0;
        while start < count {
            let left = self.manifest.rows_per_shard - self.open.as_ref().map_or(0, |o| o.rows);
            let end = count.min(start + most.min(left));
            let columns: Vec<&[u32]> = columns.iter().map(|column| &column[start..end]).collect();
            if self.open.is_none() {
                self.open = Some(OpenShard::create(&self.folder, &self.manifest)?);
            }
            if let Some(open) = &mut self.open {
                open.push(&rows[start * dim..end * dim], &columns, &self.manifest)?;
            }
            start = end;
            if self.open.as_ref().is_some_and(|open| open.rows == self.manifest.rows_per_shard) {
                self.close_shard()?;
            }
        }
        Ok(())
    }

    /// Writes the last shard and the manifest: now the folder is a store.
    ///
    /// # Errors
    /// If there are no rows, or something cannot be written.
    pub fn finish(mut self) -> Result<Manifest> {
        self.close_shard()?;
        if self.manifest.rows == 0 {
            return Err(Error::mistake("write a store", "at least one row", "none", "give rows"));
        }
        self.write_manifest(MANIFEST)?;
        let unfinished = self.folder.join(UNFINISHED);
        fs::remove_file(&unfinished).map_err(|error| Error::write(&unfinished, error))?;
        Ok(self.manifest)
    }

    fn close_shard(&mut self) -> Result<()> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let shard = open.finish(&self.manifest)?;
        self.manifest.rows += shard.rows;
        self.manifest.shards.push(shard);
        self.write_manifest(UNFINISHED)
    }

    fn write_manifest(&self, name: &str) -> Result<()> {
        let mut text = serde_json::to_string_pretty(&self.manifest)
            .map_err(|error| Error::failure("write a store", error.to_string(), "report it"))?;
        text.push('\n');
        write_aside(&self.folder.join(name), text.as_bytes())
    }

    fn check_numbers(&self, rows: &[f32]) -> Result<()> {
        let (dim, element) = (self.manifest.dim, self.manifest.element);
        let largest = element.largest();
        let place = rows.par_iter().position_first(|value| value.is_nan() || value.abs() > largest);
        let Some(place) = place else { return Ok(()) };
        let value = rows[place];
        let remedy = match value.is_finite() {
            true => "keep them as f32 or bf16",
            false => "leave that row out",
        };
        let row = self.rows() + place / dim + 1;
        Err(Error::mistake(
            "write a store",
            format!("numbers that {element} holds"),
            format!("{value} in row {row}, column {}", place % dim + 1),
            remedy,
        ))
    }
}

fn check_options(options: &ShardOptions) -> Result<()> {
    let names: BTreeSet<&str> = options.columns.iter().map(|name| &**name).collect();
    let taken = [ACTIVATIONS, SCALES, ""].into_iter().find(|name| names.contains(name));
    let wrong = match options {
        ShardOptions { dim: 0, .. } => "rows without numbers".to_owned(),
        ShardOptions { rows_per_shard: Some(0), .. } => "shards without rows".to_owned(),
        _ if names.len() < options.columns.len() => "two columns of one name".to_owned(),
        _ => match taken {
            Some(name) => format!("a column called '{name}'"),
            None => return Ok(()),
        },
    };
    Err(Error::mistake("write a store", "rows, shards and columns", wrong, "change that"))
}

/// Deletes what was being written when the program was killed.
fn remove_rests(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            // What cannot be deleted does no harm.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// A shard that is being written: a header that says it will be full, then the rows as they come.
/// Scales and columns, which lie behind all rows, wait in memory.
struct OpenShard {
    name: String,
    file: Aside,
    hasher: blake3::Hasher,
    header_len: usize,
    rows: usize,
    scales: Vec<f32>,
    columns: Vec<Vec<u32>>,
}

impl OpenShard {
    fn create(folder: &Path, manifest: &Manifest) -> Result<Self> {
        let name = format!("shard-{:05}.safetensors", manifest.shards.len());
        let (file, hasher) = (Aside::create(&folder.join(&name))?, blake3::Hasher::new());
        let columns = vec![Vec::new(); manifest.columns.len()];
        let header = header(manifest, manifest.rows_per_shard, None)?;
        let header_len = header.len();
        let mut open =
            Self { name, file, hasher, header_len, rows: 0, scales: Vec::new(), columns };
        open.write(&header)?;
        Ok(open)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.hasher.update(bytes);
        self.file.write_all(bytes).map_err(|error| self.file.failed(error))
    }

    fn push(&mut self, rows: &[f32], columns: &[&[u32]], manifest: &Manifest) -> Result<()> {
        let (dim, element) = (manifest.dim, manifest.element);
        let pieces = rows.par_chunks(PIECE * dim).map(|rows| {
            let mut bytes = Vec::with_capacity(rows.len() * element.size());
            let scales = rows.chunks_exact(dim).map(|row| element.encode(row, &mut bytes));
            let scales: Vec<f32> = scales.collect();
            (bytes, scales)
        });
        for (bytes, scales) in pieces.collect::<Vec<_>>() {
            self.write(&bytes)?;
            if element == ShardElement::Int8 {
                self.scales.extend(scales);
            }
        }
        for (kept, column) in self.columns.iter_mut().zip(columns) {
            kept.extend_from_slice(column);
        }
        self.rows += rows.len() / dim;
        Ok(())
    }

    fn finish(mut self, manifest: &Manifest) -> Result<Shard> {
        let scales: Vec<u8> = self.scales.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.write(&scales)?;
        for column in std::mem::take(&mut self.columns) {
            let bytes: Vec<u8> = column.iter().flat_map(|x| x.to_le_bytes()).collect();
            self.write(&bytes)?;
        }
        let mut hash = self.hasher.finalize().to_hex().to_string();
        if self.rows < manifest.rows_per_shard {
            self.file.overwrite_start(&header(manifest, self.rows, Some(self.header_len))?)?;
            hash = self.file.hash()?;
        }
        let Self { name, file, rows, header_len, .. } = self;
        let per_row = manifest.dim * manifest.element.size()
            + if manifest.element == ShardElement::Int8 { 4 } else { 0 }
            + 4 * manifest.columns.len();
        file.finish()?;
        Ok(Shard { file: name, rows, bytes: (header_len + rows * per_row) as u64, blake3: hash })
    }
}

/// The safetensors header of a shard, its length before it, filled up with spaces to `len` bytes.
fn header(manifest: &Manifest, rows: usize, len: Option<usize>) -> Result<Vec<u8>> {
    let too_large = || {
        let got = format!("{rows} rows of {} numbers", manifest.dim);
        Error::mistake("write a store", "shards that a file can hold", got, "ask for fewer rows")
    };
    let mut tensors = Vec::new();
    let mut end = 0_usize;
    let mut add = |name: &str, dtype: Dtype, shape: Vec<usize>| {
        let len = shape.iter().try_fold(dtype.bitsize() / 8, |len, &axis| len.checked_mul(axis));
        let start = end;
        end = len.and_then(|len| end.checked_add(len)).ok_or_else(too_large)?;
        tensors.push((name.to_owned(), TensorInfo { dtype, shape, data_offsets: (start, end) }));
        Ok(())
    };
    add(ACTIVATIONS, manifest.element.dtype(), vec![rows, manifest.dim])?;
    if manifest.element == ShardElement::Int8 {
        add(SCALES, Dtype::F32, vec![rows])?;
    }
    manifest.columns.iter().try_for_each(|name| add(name, Dtype::U32, vec![rows]))?;
    let about = HashMap::from([("format".to_owned(), "narrows shards".to_owned())]);
    let failed = |problem: String| Error::failure("write a store", problem, "report it");
    let described =
        Metadata::new(Some(about), tensors).map_err(|error| failed(error.to_string()))?;
    let mut text = serde_json::to_vec(&described).map_err(|error| failed(error.to_string()))?;
    let len = len.unwrap_or((8 + text.len() + SPARE).next_multiple_of(64));
    text.resize(len - 8, b' ');
    Ok([&((len - 8) as u64).to_le_bytes()[..], &text].concat())
}
