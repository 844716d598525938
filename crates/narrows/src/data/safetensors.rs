//! Tensors in files (`.safetensors`): read where they lie, not mapped.
//!
//! The format is the length of a header (u64, little-endian), the header (JSON: kind, shape and place
//! of each tensor) and the numbers, little-endian, last axis fastest.
//! Source: <https://github.com/huggingface/safetensors>, the section on the format.
//!
//! Of a tensor `(n, …, d)` the last axis counts the columns, all others together the rows: activations
//! are kept as `(n, d)` or as `(sequences, places, d)`.

use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use super::extents::{Extent, Extents};
use super::nearest::did_you_mean;
use super::numbers::{Kind, shown};
use super::positioned::Positioned;
use crate::error::{Error, Result};

const REMEDY: &str = "write or fetch the file again";
/// The longest header that the format allows.
const LONGEST: u64 = 100_000_000;

/// Whether these are the first bytes of a safetensors file.
pub(super) fn recognises(bytes: &[u8]) -> bool {
    bytes.first_chunk().is_some_and(|len| u64::from_le_bytes(*len) <= LONGEST)
        && bytes.get(8) == Some(&b'{')
}

/// What the header of a file says, and the byte at which its numbers begin.
pub(super) struct Header {
    tensors: Metadata,
    start: u64,
}

impl Header {
    pub(super) fn read(file: &Positioned) -> Result<Self> {
        let damaged = |problem: String| Error::bad_file(file.path(), problem, REMEDY);
        let mut len = [0; 8];
        file.read_at(0, &mut len)?;
        let len = u64::from_le_bytes(len);
        if len > LONGEST.min(file.len().saturating_sub(8)) {
            return Err(damaged("the safetensors header is cut off or no such header".to_owned()));
        }
        let mut text = vec![0; len as usize];
        file.read_at(8, &mut text)?;
        let tensors: Metadata = serde_json::from_slice(&text)
            .map_err(|error| damaged(format!("the safetensors header is not legal ({error})")))?;
        let (start, held) = (8 + len, file.len() - 8 - len);
        if tensors.data_len() as u64 != held {
            let promised = tensors.data_len();
            return Err(damaged(format!("its tensors need {promised} bytes, found {held}")));
        }
        Ok(Self { tensors, start })
    }

    pub(super) fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.info(name)
    }

    /// The byte of the file at which a tensor begins.
    pub(super) fn place(&self, tensor: &TensorInfo) -> u64 {
        self.start + tensor.data_offsets.0 as u64
    }

    fn listed(&self) -> String {
        let mut listed: Vec<String> = self
            .tensors
            .tensors()
            .into_iter()
            .collect::<Vec<_>>()
            .iter()
            .map(|(name, tensor)| format!("{name} {} {}", tensor.dtype, shown(&tensor.shape)))
            .collect();
        listed.sort();
        if listed.is_empty() { "(none)".to_owned() } else { listed.join(", ") }
    }
}

/// How numbers of these kinds lie; `None` for kinds that are not rows of activations.
fn kind(dtype: Dtype) -> Option<Kind> {
    match dtype {
        Dtype::F16 => Some(Kind::F16),
        Dtype::BF16 => Some(Kind::Bf16),
        Dtype::F32 => Some(Kind::F32),
        Dtype::F64 => Some(Kind::F64),
        _ => None,
    }
}

fn has_rows(tensor: &TensorInfo) -> bool {
    kind(tensor.dtype).is_some() && tensor.shape.len() > 1
}

/// The tensor called `name`, or the only one that has rows and columns.
pub(super) fn open(path: &Path, name: Option<&str>) -> Result<Extents> {
    let file = Positioned::open(path)?;
    let header = Header::read(&file)?;
    let tensor = choose(path, &header, name)?;
    let kind = kind(tensor.dtype).ok_or_else(|| unfit(path, &header))?;
    let (&dim, rows) = tensor.shape.split_last().ok_or_else(|| unfit(path, &header))?;
    let rows = rows.iter().product();
    let extent = Extent { file: 0, start: header.place(&tensor), rows, scales: None };
    Extents::new([file].into(), vec![extent], kind, dim)
}

fn choose(path: &Path, header: &Header, name: Option<&str>) -> Result<TensorInfo> {
    let tensors = header.tensors.tensors();
    let Some(name) = name else {
        let mut fitting = tensors.values().filter(|tensor| has_rows(tensor));
        return match (fitting.next(), fitting.next()) {
            (Some(tensor), None) => Ok((*tensor).clone()),
            (Some(_), Some(_)) => Err(Error::mistake(
                format!("open '{}'", path.display()),
                "one tensor with rows and columns",
                format!("the tensors {}", header.listed()),
                format!("name one: {}#NAME", path.display()),
            )),
            _ => Err(unfit(path, header)),
        };
    };
    let Some(tensor) = header.tensor(name) else {
        return Err(Error::mistake(
            format!("open '{}'", path.display()),
            format!("one of the tensors {}", header.listed()),
            format!("'{name}'"),
            did_you_mean(name, tensors.keys().map(String::as_str)),
        ));
    };
    if !has_rows(tensor) {
        return Err(unfit(path, header));
    }
    Ok(tensor.clone())
}

fn unfit(path: &Path, header: &Header) -> Error {
    Error::mistake(
        format!("open '{}'", path.display()),
        "a tensor of f16, bf16, f32 or f64 with rows and columns",
        format!("the tensors {}", header.listed()),
        "give activations, not weights of other kinds",
    )
}
