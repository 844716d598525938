//! NumPy arrays in files (`.npy`): read where they lie. `store` writes them.
//!
//! The format is a magic string, a version, the length of a header, the header (a Python literal
//! such as `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`) and the numbers.
//! Source: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.

use std::path::Path;

use super::numbers::{Kind, Layout};
use crate::error::{Error, Result};

pub(crate) const MAGIC: &[u8] = b"\x93NUMPY";

/// Whether these are the first bytes of a npy file.
pub(super) fn recognises(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// The layout of the array, and the place of its first number.
///
/// The header is taken apart here rather than by a reader of Python literals, because those
/// recurse as deep and multiply as far as a hostile file asks.
pub(super) fn header(path: &Path, bytes: &[u8]) -> Result<(Layout, usize)> {
    let damaged = |problem: &str| {
        Error::bad_file(path, problem, "write the array again with `numpy.save` or fetch it again")
    };
    let cut_off = || damaged("the npy header is cut off");
    let (start, len) = match bytes.get(MAGIC.len()..12).ok_or_else(cut_off)? {
        [1, _, low, high, ..] => (10, usize::from(u16::from_le_bytes([*low, *high]))),
        [2 | 3, _, a, b, c, d] => (12, u32::from_le_bytes([*a, *b, *c, *d]) as usize),
        _ => return Err(damaged("a version of the npy format that is not known")),
    };
    let end = start + len;
    let text = std::str::from_utf8(bytes.get(start..end).ok_or_else(cut_off)?)
        .map_err(|_| damaged("the npy header is not text"))?;

    let entry = |key: &str| {
        let at = text.find(key).ok_or_else(|| damaged(&format!("the npy header lacks {key}")))?;
        Ok(text[at + key.len()..].trim_start())
    };
    let descr = entry("'descr':")?;
    let (kind, big_endian) = element(descr).ok_or_else(|| unsupported(path, descr))?;
    let fortran = match entry("'fortran_order':")? {
        order if order.starts_with("True") => true,
        order if order.starts_with("False") => false,
        _ => return Err(damaged("the npy header does not say the order of the axes")),
    };
    let shape = shape(entry("'shape':")?).ok_or_else(|| damaged("the npy shape is not legal"))?;
    Ok((Layout { kind, big_endian, fortran, shape }, end))
}

fn element(descr: &str) -> Option<(Kind, bool)> {
    let (descr, _) = descr.strip_prefix('\'')?.split_once('\'')?;
    let kind = match descr.get(1..)? {
        "b1" => Kind::Bool,
        "u1" => Kind::U8,
        "i1" => Kind::I8,
        "u2" => Kind::U16,
        "i2" => Kind::I16,
        "u4" => Kind::U32,
        "i4" => Kind::I32,
        "u8" => Kind::U64,
        "i8" => Kind::I64,
        "f2" => Kind::F16,
        "f4" => Kind::F32,
        "f8" => Kind::F64,
        _ => return None,
    };
    match &descr[..1] {
        ">" => Some((kind, true)),
        "<" | "|" => Some((kind, false)),
        _ => None,
    }
}

fn unsupported(path: &Path, descr: &str) -> Error {
    let shown: String =
        descr.split(", 'fortran").next().unwrap_or(descr).chars().take(40).collect();
    Error::bad_file(
        path,
        format!("its numbers are of type {shown}, not bool, int8 to int64 or float16 to float64"),
        "save it again after `.astype('float32')`",
    )
}

fn shape(text: &str) -> Option<Vec<usize>> {
    let (axes, _) = text.strip_prefix('(')?.split_once(')')?;
    let axes = axes.trim().trim_end_matches(',');
    if axes.is_empty() {
        return Some(Vec::new());
    }
    // Python 2 wrote whole numbers as `3L`.
    axes.split(',').map(|axis| axis.trim().trim_end_matches('L').parse().ok()).collect()
}
