//! NumPy arrays in files (`.npy`): read where they lie, written block by block.
//!
//! The format is a magic string, a version, the length of a header, the header (a Python literal
//! such as `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`) and the numbers.
//! Source: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.

use std::io::{BufWriter, Write};
use std::path::Path;

use ndarray::ArrayView2;

use super::aside::Aside;
use super::numbers::{Kind, Layout};
use super::source::Precision;
use crate::compute::Real;
use crate::error::{Error, Result};

const MAGIC: &[u8] = b"\x93NUMPY";

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
        format!("its numbers are of type {shown}, not bool, int8 to int64 or float32 or float64"),
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

/// Writes `rows` to `path` as a npy file of `f32` or `f64`, whichever they are.
///
/// # Errors
/// If the file cannot be written; a file that was there before then stays as it was.
pub fn write_npy<T: Real>(path: impl AsRef<Path>, rows: ArrayView2<'_, T>) -> Result<()> {
    let precision = if size_of::<T>() == 4 { Precision::F32 } else { Precision::F64 };
    let mut writer = NpyWriter::create(path, rows.nrows(), rows.ncols(), precision)?;
    match rows.as_slice() {
        Some(values) => writer.write_rows(values)?,
        None => {
            for row in rows.rows() {
                writer.write_rows(&row.to_vec())?;
            }
        }
    }
    writer.finish()
}

/// Writes a npy file block by block, so that the array is never held in memory.
///
/// The numbers go to a temporary file in the same folder, which takes its name when
/// [`NpyWriter::finish`] is called: a file that was there before stays whole until then.
pub struct NpyWriter {
    file: BufWriter<Aside>,
    shape: [usize; 2],
    written: usize,
    precision: Precision,
}

impl NpyWriter {
    /// Begins an array of `rows × cols` numbers.
    ///
    /// # Errors
    /// If no file can be made in the folder of `path`.
    pub fn create(
        path: impl AsRef<Path>,
        rows: usize,
        cols: usize,
        precision: Precision,
    ) -> Result<Self> {
        let aside = Aside::create(path.as_ref())?;
        let mut file = BufWriter::with_capacity(1 << 20, aside);
        let header = header_bytes(rows, cols, precision);
        file.write_all(&header).map_err(|error| file.get_ref().failed(error))?;
        Ok(Self { file, shape: [rows, cols], written: 0, precision })
    }

    /// Adds whole rows, one after the other, rounded to the precision of the file.
    ///
    /// # Errors
    /// If the numbers cannot be written.
    pub fn write_rows<T: Real>(&mut self, values: &[T]) -> Result<()> {
        self.written += values.len();
        let file = &mut self.file;
        let result = match (self.precision, size_of::<T>()) {
            (Precision::F32, 4) | (Precision::F64, 8) if cfg!(target_endian = "little") => {
                file.write_all(bytemuck::cast_slice(values))
            }
            (Precision::F32, _) => values
                .iter()
                .try_for_each(|value| file.write_all(&(value.to_f64() as f32).to_le_bytes())),
            (Precision::F64, _) => {
                values.iter().try_for_each(|value| file.write_all(&value.to_f64().to_le_bytes()))
            }
        };
        result.map_err(|error| self.file.get_ref().failed(error))
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// If fewer or more numbers were written than announced, or the disk is full.
    pub fn finish(self) -> Result<()> {
        let [rows, cols] = self.shape;
        if self.written != rows * cols {
            return Err(Error::mistake(
                "write npy",
                format!("{rows} × {cols} numbers"),
                self.written.to_string(),
                "write every row once before finishing",
            ));
        }
        match self.file.into_inner() {
            Ok(aside) => aside.finish(),
            Err(error) => {
                let (error, file) = error.into_parts();
                Err(file.get_ref().failed(error))
            }
        }
    }
}

fn header_bytes(rows: usize, cols: usize, precision: Precision) -> Vec<u8> {
    let descr = match precision {
        Precision::F32 => "<f4",
        Precision::F64 => "<f8",
    };
    let text =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({rows}, {cols}), }}");
    // The numbers begin at a multiple of 64 bytes; the header ends with a new line.
    let len = (10 + text.len() + 1).next_multiple_of(64) - 10;
    let mut bytes = MAGIC.to_vec();
    bytes.extend([1, 0]);
    bytes.extend((len as u16).to_le_bytes());
    bytes.extend(format!("{text:<width$}\n", width = len - 1).into_bytes());
    bytes
}
