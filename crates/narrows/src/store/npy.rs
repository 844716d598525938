//! NumPy arrays as files (`.npy`), written block by block.

use std::io::{BufWriter, Write};
use std::path::Path;

use ndarray::ArrayView2;

use super::aside::Aside;
use crate::compute::Real;
use crate::data::{NPY_MAGIC, Precision};
use crate::error::{Error, Result};

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

    /// What stands before bytes in an array of at least two axes.
    pub(crate) fn header_of_bytes(shape: &[usize]) -> Vec<u8> {
        header_of("|u1", shape)
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
    header_of(descr, &[rows, cols])
}

fn header_of(descr: &str, shape: &[usize]) -> Vec<u8> {
    let shape: Vec<String> = shape.iter().map(usize::to_string).collect();
    let shape = shape.join(", ");
    let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}");
    // The numbers begin at a multiple of 64 bytes; the header ends with a new line.
    let len = (10 + text.len() + 1).next_multiple_of(64) - 10;
    let mut bytes = NPY_MAGIC.to_vec();
    bytes.extend([1, 0]);
    bytes.extend((len as u16).to_le_bytes());
    bytes.extend(format!("{text:<width$}\n", width = len - 1).into_bytes());
    bytes
}
