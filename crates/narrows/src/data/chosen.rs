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
    fn gather_f32(&self, places: &[usize], out: &mut [f32]) -> Result<()> {
        let places: Vec<usize> = places.iter().map(|&place| self.places[place]).collect();
        self.source.gather_f32(&places, out)
    }
    fn whereabouts(&self, row: usize) -> String {
        self.source.whereabouts(self.places[row])
    }
    fn bytes_read(&self) -> u64 {
        self.source.bytes_read()
    }
    fn mark_filled(&self, start: usize, out: &mut [bool]) -> Result<bool> {
        let marks = out.chunks_exact_mut(self.dim().max(1));
        self.places[start..].iter().zip(marks).try_fold(false, |any, (&place, marks)| {
            Ok(self.source.mark_filled(place, marks)? || any)
        })
    }
}

/// The places of at most `most` of `rows` rows, evenly taken.
pub fn evenly(rows: usize, most: usize) -> Vec<usize> {
    (0..rows).step_by(rows.div_ceil(most).max(1)).collect()
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
        let mut out = [0.0_f32; 4];
        chosen.gather_f32(&[1, 0], &mut out).expect("reads");
        assert_eq!(out, [0.0, 1.0, 4.0, 5.0]);
        assert_eq!(chosen.whereabouts(0), "row 3");
    }

    /// Every row whose place is odd was filled.
    struct Filled;

    impl Source for Filled {
        fn rows(&self) -> usize {
            5
        }
        fn dim(&self) -> usize {
            1
        }
        fn precision(&self) -> Precision {
            Precision::F64
        }
        fn read_f32(&self, _: usize, _: &mut [f32]) -> Result<()> {
            Ok(())
        }
        fn read_f64(&self, _: usize, _: &mut [f64]) -> Result<()> {
            Ok(())
        }
        fn mark_filled(&self, start: usize, out: &mut [bool]) -> Result<bool> {
            out.iter_mut().enumerate().for_each(|(row, mark)| *mark = (start + row) % 2 == 1);
            Ok(out.contains(&true))
        }
    }

    #[test]
    fn what_was_filled_is_told_of_the_rows_chosen() {
        let chosen = Chosen { source: &Filled, places: &[4, 1, 2, 3] };
        let mut marks = [false; 4];
        assert!(chosen.mark_filled(0, &mut marks).expect("reads"));
        assert_eq!(marks, [false, true, false, true]);
        assert!(!chosen.mark_filled(2, &mut marks[..1]).expect("reads"));
    }

    #[test]
    fn rows_are_taken_evenly() {
        assert_eq!(evenly(10, 4), [0, 3, 6, 9]);
        assert_eq!(evenly(3, 5), [0, 1, 2]);
        assert!(evenly(0, 5).is_empty());
    }
}
