//! Rows held in memory, in the smallest type that holds their values.

use super::source::{Precision, Source};
use crate::error::Result;

/// `rows × dim` numbers of type `T` in memory, row after row.
///
/// Pictures stay bytes, a quarter of their size as `f32`, and are widened block by block.
pub(crate) struct Held<T> {
    values: Vec<T>,
    dim: usize,
}

impl<T> Held<T> {
    /// Rows of `dim` numbers.
    ///
    /// # Panics
    /// If `dim` is 0 or `values` does not hold whole rows: the caller's mistake.
    pub(crate) fn new(values: Vec<T>, dim: usize) -> Self {
        assert!(values.len().is_multiple_of(dim), "{} values in rows of {dim}", values.len());
        Self { values, dim }
    }

    fn block(&self, start: usize, len: usize) -> &[T] {
        assert!(len.is_multiple_of(self.dim), "{len} values in rows of {}", self.dim);
        &self.values[start * self.dim..][..len]
    }
}

macro_rules! held_is_a_source {
    ($kind:ty, $precision:expr) => {
        impl Source for Held<$kind> {
            fn rows(&self) -> usize {
                self.values.len() / self.dim
            }
            fn dim(&self) -> usize {
                self.dim
            }
            fn precision(&self) -> Precision {
                $precision
            }
            fn read_f32(&self, start: usize, out: &mut [f32]) -> Result<()> {
                for (value, out) in self.block(start, out.len()).iter().zip(out) {
                    *out = *value as f32;
                }
                Ok(())
            }
            fn read_f64(&self, start: usize, out: &mut [f64]) -> Result<()> {
                for (value, out) in self.block(start, out.len()).iter().zip(out) {
                    *out = *value as f64;
                }
                Ok(())
            }
        }
    };
}
held_is_a_source!(u8, Precision::F32);
held_is_a_source!(f32, Precision::F32);
held_is_a_source!(f64, Precision::F64);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn bytes_are_widened_row_by_row() {
        let held = Held::new(vec![0_u8, 1, 2, 253, 254, 255], 2);
        let mut rows = [0.0_f32; 4];
        held.read_f32(1, &mut rows).unwrap();
        assert_eq!(rows, [2.0, 253.0, 254.0, 255.0]);
        let mut row = [0.0_f64; 2];
        held.read_f64(0, &mut row).unwrap();
        assert_eq!((held.rows(), held.dim(), row), (3, 2, [0.0, 1.0]));
    }

    #[test]
    #[should_panic(expected = "3 values in rows of 2")]
    fn half_a_row_is_the_callers_mistake() {
        let _ = Held::new(vec![0.0_f32; 4], 2).read_f32(0, &mut [0.0; 3]);
    }
}
