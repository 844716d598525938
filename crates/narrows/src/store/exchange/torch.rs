//! Files of `torch.save`: a zip archive of one pickle and the storages that it refers to.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use zip::{CompressionMethod, ZipArchive};

use super::pickle::{Object, Pickle, Place};
use crate::data::Content;
use crate::data::tensors::{Kind, Tensor, Tensors};
use crate::error::{Error, Result};

const REMEDY: &str = "fetch it again, or save the state_dict alone with `torch.save`";

/// What `torch.save` wrote.
pub(super) struct Saved {
    path: PathBuf,
    content: Content,
    pickle: Pickle,
    /// What the names of the members of the archive begin with.
    prefix: String,
}

impl Saved {
    /// Reads the pickle; storages are read when they are asked for.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let bad = |problem: String| Error::bad_file(path, problem, REMEDY);
        let content = Content::of(path)?;
        if !content.bytes.starts_with(b"PK\x03\x04") {
            let problem = "it is no zip archive, as `torch.save` has written since version 1.6";
            return Err(bad(problem.to_owned()));
        }
        let name = name_of_pickle(&content.bytes).map_err(&bad)?;
        let prefix = name.trim_end_matches("data.pkl").to_owned();
        let order = format!("{prefix}byteorder");
        let order = member(&content.bytes, &order).unwrap_or(b"little");
        if order != b"little" {
            return Err(bad("it was written on a machine of the other byte order".to_owned()));
        }
        let pickle = member(&content.bytes, &name).and_then(Pickle::read).map_err(bad)?;
        Ok(Self { path: path.to_owned(), content, pickle, prefix })
    }

    pub(super) fn pickle(&self) -> &Pickle {
        &self.pickle
    }

    pub(super) fn bad(&self, problem: impl Into<String>) -> Error {
        Error::bad_file(&self.path, problem, REMEDY)
    }

    /// The tensors of a mapping; what is no tensor is left out.
    pub(super) fn tensors(&self, mapping: Place) -> Result<Tensors> {
        let mut tensors = BTreeMap::new();
        for (name, place) in self.pickle.entries(mapping) {
            if let Object::Tensor { storage, offset, shape, strides } = self.pickle.get(place) {
                let tensor = self.tensor(*storage, *offset, shape, strides);
                tensors.insert(
                    name.to_owned(),
                    tensor.map_err(|p| self.bad(format!("'{name}': {p}")))?,
                );
            }
        }
        Ok(Tensors::new(&self.path, tensors))
    }

    fn tensor(
        &self,
        storage: Place,
        offset: usize,
        shape: &[usize],
        strides: &[usize],
    ) -> std::result::Result<Tensor, String> {
        let Object::Storage { kind, key, length } = self.pickle.get(storage) else {
            return Err("a tensor without a storage".to_owned());
        };
        let bytes = member(&self.content.bytes, &format!("{}data/{key}", self.prefix))?;
        if length.checked_mul(kind.size()) != Some(bytes.len()) {
            return Err(format!("its storage of {length} numbers has {} bytes", bytes.len()));
        }
        let count = shape.iter().try_fold(1_usize, |count, &axis| count.checked_mul(axis));
        // A tensor may lie across its storage in any way, but not be larger than it.
        let count = count.filter(|count| count <= length && shape.len() == strides.len());
        let (Some(count), Some(end)) = (count, extent(offset, shape, strides)) else {
            return Err(format!(
                "the shape {shape:?} is more than its storage of {length} numbers"
            ));
        };
        if count > 0 && end >= *length {
            return Err(format!(
                "the shape {shape:?} reaches beyond its storage of {length} numbers"
            ));
        }
        let values = gather(*kind, bytes, offset, shape, strides, count);
        Ok(Tensor { kind: *kind, shape: shape.to_vec(), values })
    }
}

/// The place of the last number of a tensor in its storage.
fn extent(offset: usize, shape: &[usize], strides: &[usize]) -> Option<usize> {
    shape.iter().zip(strides).try_fold(offset, |end, (&axis, &stride)| {
        end.checked_add(axis.saturating_sub(1).checked_mul(stride)?)
    })
}

/// The numbers of a tensor in row-major order; the places are known to lie in the storage.
fn gather(
    kind: Kind,
    bytes: &[u8],
    offset: usize,
    shape: &[usize],
    strides: &[usize],
    count: usize,
) -> Vec<f32> {
    if count == 0 {
        return Vec::new();
    }
    let size = kind.size();
    let mut row_major = 1;
    let contiguous = shape.iter().zip(strides).rev().all(|(&axis, &stride)| {
        let fits = axis <= 1 || stride == row_major;
        row_major *= axis;
        fits
    });
    if contiguous {
        return kind.decode(bytes.get(offset * size..(offset + count) * size).unwrap_or_default());
    }
    let all = kind.decode(bytes);
    let mut index = vec![0; shape.len()];
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        let place: usize = index.iter().zip(strides).map(|(i, stride)| i * stride).sum();
        values.push(all[offset + place]);
        for (i, &axis) in index.iter_mut().zip(shape).rev() {
            *i += 1;
            if *i < axis {
                break;
            }
            *i = 0;
        }
    }
    values
}

fn name_of_pickle(bytes: &[u8]) -> std::result::Result<String, String> {
    let archive = archive(bytes)?;
    let name = archive.file_names().flatten().find(|name| name.ends_with("/data.pkl"));
    name.map(|name| name.into_owned()).ok_or_else(|| "it holds no data.pkl".to_owned())
}

fn archive(bytes: &[u8]) -> std::result::Result<ZipArchive<Cursor<&[u8]>>, String> {
    ZipArchive::new(Cursor::new(bytes)).map_err(|e| format!("the archive cannot be read ({e})"))
}

/// A member where it lies; `torch.save` compresses nothing.
fn member<'a>(bytes: &'a [u8], name: &str) -> std::result::Result<&'a [u8], String> {
    let mut archive = archive(bytes)?;
    let file = archive.by_name(name).map_err(|error| format!("'{name}': {error}"))?;
    if file.compression() != CompressionMethod::Stored {
        return Err(format!("'{name}' is compressed, which `torch.save` never does"));
    }
    let start = file.data_start().and_then(|start| usize::try_from(start).ok());
    let size = usize::try_from(file.size()).ok();
    let range = start.zip(size).and_then(|(start, size)| Some(start..start.checked_add(size)?));
    range.and_then(|range| bytes.get(range)).ok_or_else(|| format!("'{name}' is cut off"))
}
