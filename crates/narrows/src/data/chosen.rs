//! Some rows of another source.

use super::{Precision, ReadRows, Source};
use crate::error::Result;

/// The rows at `places` of a source, in that order.
pub struct Chosen<'a> {
    /// Where they come from.
    pub source: &'a dyn Source,
    /// Which rows of it.
    pub places: &'a [usize],
}

impl Chosen<'_> {
    fn read<T: ReadRows>(&self, start: usize, out: &mut [T]) -> Result<()> {
        let rows = out.chunks_exact_mut(self.dim().max(1));
        self.places[start..]
            .iter()
            .zip(rows)
            .try_for_each(|(&place, row)| T::read_rows(self.source, place, row))
    }
}

impl Source for Chosen<'_> {
    fn rows(&self) -> usize {
        self.places.len()
    }
    fn dim(&self) -> usize {
        self.source.dim()
    }
    fn precision(&self) -> Precision {
        self.source.precision()
    }
    fn read_f32(&self, start: usize, out: &mut [f32]) -> Result<()> {
        self.read(start, out)
    }
    fn read_f64(&self, start: usize, out: &mut [f64]) -> Result<()> {
        self.read(start, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_in_the_order_of_their_places() {
        let rows = ndarray::array![[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]];
        let chosen = Chosen { source: &rows.view(), places: &[2, 0, 2] };
        assert_eq!((chosen.rows(), chosen.dim()), (3, 2));
        let mut out = [0.0_f64; 4];
        chosen.read_f64(1, &mut out).expect("reads");
        assert_eq!(out, [0.0, 1.0, 4.0, 5.0]);
    }
}
