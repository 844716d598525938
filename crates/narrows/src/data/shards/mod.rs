//! A store of activations: a folder of safetensors files with a manifest.
//!
//! ```text
//! shards.json                  rows, dim, element, columns, metadata; of each shard rows, bytes, hash
//! shard-00000.safetensors      activations (rows, dim); scales (rows,) of int8; columns (rows,)
//! shard-00001.safetensors      …
//! ```
//!
//! The manifest is written last: a folder without it is no store. `store::ShardWriter` writes them.
//! Rows are read where they lie by any number of threads; nothing is mapped or kept in memory.

mod element;
mod manifest;
mod verify;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use safetensors::Dtype;
use safetensors::tensor::TensorInfo;

use super::extents::{Extent, Extents, RowIntegers};
use super::numbers::Kind;
use super::positioned::Positioned;
use super::safetensors::Header;
use super::source::{Precision, Source};
use crate::error::{Error, Result};

pub use element::ShardElement;
pub(crate) use manifest::{FIRST, MANIFEST, UNFINISHED};
pub use manifest::{Manifest, Shard};
pub use verify::{ShardCheck, refuse_damaged, verify_shards};

/// The tensor of the rows in a shard.
pub(crate) const ACTIVATIONS: &str = "activations";
/// The tensor of the scales of int8.
pub(crate) const SCALES: &str = "scales";

/// Shards that stay open, of a store and of its targets too within the 1,024 files that a process may have.
/// The others are opened for each read: some microseconds, of a read of up to a megabyte.
const KEPT_OPEN: usize = 256;

/// A store that is open for reading.
pub struct Shards {
    manifest: Manifest,
    rows: Extents,
    columns: BTreeMap<String, RowIntegers>,
}

impl Shards {
    /// Opens a store.
    ///
    /// # Errors
    /// If the folder is none, it was never finished, or a shard is missing, cut off or other than the
    /// manifest says. Hashes are not compared: see [`verify_shards`].
    pub fn open(folder: &Path) -> Result<Self> {
        let manifest = Manifest::read(folder)?;
        let (mut files, mut extents) = (Vec::new(), Vec::new());
        let mut columns: BTreeMap<String, Vec<Extent>> = BTreeMap::new();
        for (file, shard) in manifest.shards.iter().enumerate() {
            let opened = open_shard(folder, shard)?;
            let header = Header::read(&opened)?;
            files.push(if file < KEPT_OPEN { opened } else { opened.closed() });
            let of_column = |start| Extent { file, start, rows: shard.rows, scales: None };
            let tensors = Tensors::find(folder, &manifest, shard, &header)?;
            extents.push(Extent { scales: tensors.scales, ..of_column(tensors.activations) });
            for (name, start) in tensors.columns {
                columns.entry(name).or_default().push(of_column(start));
            }
        }
        let files: Arc<[Positioned]> = files.into();
        let element = manifest.element.kind();
        let rows = Extents::new(files.clone(), extents, element, manifest.dim)?;
        let columns = columns.into_iter().map(|(name, extents)| {
            Ok((name, RowIntegers::new(Extents::new(files.clone(), extents, Kind::U32, 1)?)))
        });
        let columns = columns.collect::<Result<_>>()?;
        Ok(Self { manifest, rows, columns })
    }

    /// What the store says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The whole numbers of this name that are kept for every row.
    pub fn column(&self, name: &str) -> Option<&RowIntegers> {
        self.columns.get(name)
    }

    pub(super) fn into_columns(self) -> BTreeMap<String, RowIntegers> {
        self.columns
    }
}

/// Opens a shard whose length is as the manifest says.
fn open_shard(folder: &Path, shard: &Shard) -> Result<Positioned> {
    let path = Manifest::path(folder, shard);
    let file = Positioned::open(&path).map_err(|error| match error {
        Error::Io { source, .. } if source.kind() == ErrorKind::NotFound => {
            let problem = "the shard is missing";
            Error::bad_file(&path, problem, "restore it, or pack the rows again")
        }
        other => other,
    })?;
    if file.len() != shard.bytes {
        let problem = format!("{} bytes where the manifest says {}", file.len(), shard.bytes);
        return Err(Error::bad_file(path, problem, REMEDY));
    }
    Ok(file)
}

const REMEDY: &str = "the shard is cut off or of another store: restore it, or pack the rows again";

/// The bytes at which the tensors of a shard begin.
struct Tensors {
    activations: u64,
    scales: Option<u64>,
    columns: Vec<(String, u64)>,
}

impl Tensors {
    fn find(folder: &Path, manifest: &Manifest, shard: &Shard, header: &Header) -> Result<Self> {
        let place = |name: &str, dtype: Dtype, shape: &[usize]| {
            let fits = |tensor: &&TensorInfo| tensor.dtype == dtype && tensor.shape == shape;
            let tensor = header.tensor(name).filter(fits).ok_or_else(|| {
                let problem = format!("it holds no '{name}' of {dtype} {shape:?}");
                Error::bad_file(Manifest::path(folder, shard), problem, REMEDY)
            })?;
            Ok(header.place(tensor))
        };
        let element = manifest.element;
        let scales = (element == ShardElement::Int8)
            .then(|| place(SCALES, Dtype::F32, &[shard.rows]))
            .transpose()?;
        let column = |name: &String| Ok((name.clone(), place(name, Dtype::U32, &[shard.rows])?));
        Ok(Self {
            activations: place(ACTIVATIONS, element.dtype(), &[shard.rows, manifest.dim])?,
            scales,
            columns: manifest.columns.iter().map(column).collect::<Result<_>>()?,
        })
    }
}

impl Source for Shards {
    fn rows(&self) -> usize {
        self.rows.rows()
    }
    fn dim(&self) -> usize {
        self.rows.dim()
    }
    fn precision(&self) -> Precision {
        self.rows.precision()
    }
    fn read_f32(&self, start: usize, out: &mut [f32]) -> Result<()> {
        self.rows.read_f32(start, out)
    }
    fn read_f64(&self, start: usize, out: &mut [f64]) -> Result<()> {
        self.rows.read_f64(start, out)
    }
    fn gather_f32(&self, places: &[usize], out: &mut [f32]) -> Result<()> {
        self.rows.gather_f32(places, out)
    }
    fn whereabouts(&self, row: usize) -> String {
        self.rows.whereabouts(row)
    }
    fn bytes_read(&self) -> u64 {
        self.rows.bytes_read()
    }
}
