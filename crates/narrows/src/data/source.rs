//! Rows of numbers, read by blocks.

use ndarray::ArrayView2;

use crate::compute::{Matrix, Real};
use crate::error::Result;

/// The precision that keeps every digit of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// `f32` holds every value exactly.
    F32,
    /// The values need `f64`.
    F64,
}

/// Rows of numbers that are read by blocks, in any order.
///
/// A missing value is `NaN`. Implementations never hold more than a block in memory unless their
/// format leaves no choice (a compressed file, a text file).
pub trait Source: Send + Sync {
    /// Number of rows.
    fn rows(&self) -> usize;

    /// Number of columns.
    fn dim(&self) -> usize;

    /// The precision that keeps every digit.
    fn precision(&self) -> Precision;

    /// Reads rows `start .. start + out.len() / dim` into `out`, row-major.
    ///
    /// # Errors
    /// If the file cannot be read.
    ///
    /// # Panics
    /// If the rows lie outside the source or `out` does not hold whole rows: the caller's mistake.
    fn read_f32(&self, start: usize, out: &mut [f32]) -> Result<()>;

    /// As [`Source::read_f32`], in `f64`.
    ///
    /// # Errors
    /// If the file cannot be read.
    fn read_f64(&self, start: usize, out: &mut [f64]) -> Result<()>;

    /// Reads the rows at `places`, in that order, into `out`, row-major.
    ///
    /// # Errors
    /// If the file cannot be read.
    ///
    /// # Panics
    /// If a place lies outside the source or `out` does not hold one row for each: the caller's mistake.
    fn gather_f32(&self, places: &[usize], out: &mut [f32]) -> Result<()> {
        assert_eq!(out.len(), places.len() * self.dim(), "gather: one row for each place");
        for (&place, out) in places.iter().zip(out.chunks_exact_mut(self.dim().max(1))) {
            self.read_f32(place, out)?;
        }
        Ok(())
    }

    /// Where a row lies, for messages: `row 3`, or the row of a file of many.
    fn whereabouts(&self, row: usize) -> String {
        format!("row {}", row + 1)
    }

    /// Bytes that were read of files since the source was opened; 0 where the rows are in memory.
    fn bytes_read(&self) -> u64 {
        0
    }

    /// Marks the values that are missing in the data and are only filled in as they are read, in
    /// the rows that [`Source::read_f32`] would read; says whether there are any.
    ///
    /// # Errors
    /// If the file cannot be read.
    fn mark_filled(&self, _start: usize, _out: &mut [bool]) -> Result<bool> {
        Ok(false)
    }
}

/// Reads rows in the precision that the caller computes in.
pub trait ReadRows: Real {
    /// Calls [`Source::read_f32`] or [`Source::read_f64`].
    ///
    /// # Errors
    /// As the method that it calls.
    fn read_rows(source: &dyn Source, start: usize, out: &mut [Self]) -> Result<()>;
}

impl ReadRows for f32 {
    fn read_rows(source: &dyn Source, start: usize, out: &mut [f32]) -> Result<()> {
        source.read_f32(start, out)
    }
}

impl ReadRows for f64 {
    fn read_rows(source: &dyn Source, start: usize, out: &mut [f64]) -> Result<()> {
        source.read_f64(start, out)
    }
}

impl Source for Matrix {
    fn rows(&self) -> usize {
        Matrix::rows(self)
    }
    fn dim(&self) -> usize {
        self.cols()
    }
    fn precision(&self) -> Precision {
        Precision::F32
    }
    fn read_f32(&self, start: usize, out: &mut [f32]) -> Result<()> {
        self.view().read_f32(start, out)
    }
    fn read_f64(&self, start: usize, out: &mut [f64]) -> Result<()> {
        self.view().read_f64(start, out)
    }
}

macro_rules! view_is_a_source {
    ($kind:ty, $precision:expr) => {
        impl Source for ArrayView2<'_, $kind> {
            fn rows(&self) -> usize {
                self.nrows()
            }
            fn dim(&self) -> usize {
                self.ncols()
            }
            fn precision(&self) -> Precision {
                $precision
            }
            fn read_f32(&self, start: usize, out: &mut [f32]) -> Result<()> {
                copy_rows(self, start, out);
                Ok(())
            }
            fn read_f64(&self, start: usize, out: &mut [f64]) -> Result<()> {
                copy_rows(self, start, out);
                Ok(())
            }
        }
    };
}
view_is_a_source!(f32, Precision::F32);
view_is_a_source!(f64, Precision::F64);

fn copy_rows<A: Real, B: Real>(view: &ArrayView2<'_, A>, start: usize, out: &mut [B]) {
    for (row, out) in out.chunks_exact_mut(view.ncols().max(1)).enumerate() {
        for (out, value) in out.iter_mut().zip(view.row(start + row)) {
            *out = B::from_f64(value.to_f64());
        }
    }
}
