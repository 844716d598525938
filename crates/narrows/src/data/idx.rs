//! The idx format of the MNIST files: two zero bytes, a type, the number of axes, the length of
//! each axis as a big-endian `u32`, and the numbers, big-endian, last axis fastest.

use std::path::Path;

use super::numbers::{Kind, Layout};
use crate::error::{Error, Result};

/// Whether these are the first bytes of an idx file.
pub(super) fn recognises(bytes: &[u8]) -> bool {
    matches!(bytes, [0, 0, kind, axes, ..] if element(*kind).is_some() && *axes > 0)
}

/// The layout of the array, and the place of its first number.
pub(super) fn header(path: &Path, bytes: &[u8]) -> Result<(Layout, usize)> {
    let cut_off =
        || Error::bad_file(path, "the idx header is cut off", "write or fetch the file again");
    let [0, 0, kind, axes, ..] = *bytes else { return Err(cut_off()) };
    let kind = element(kind).ok_or_else(cut_off)?;
    let end = 4 + 4 * usize::from(axes);
    let lengths = bytes.get(4..end).ok_or_else(cut_off)?.as_chunks::<4>().0;
    let shape = lengths.iter().map(|axis| u32::from_be_bytes(*axis) as usize).collect();
    Ok((Layout { kind, big_endian: true, fortran: false, shape }, end))
}

fn element(code: u8) -> Option<Kind> {
    match code {
        0x08 => Some(Kind::U8),
        0x09 => Some(Kind::I8),
        0x0b => Some(Kind::I16),
        0x0c => Some(Kind::I32),
        0x0d => Some(Kind::F32),
        0x0e => Some(Kind::F64),
        _ => None,
    }
}
