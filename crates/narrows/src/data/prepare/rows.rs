//! The four steps, done to rows and undone.

use rayon::prelude::*;

use super::{Missing, Preparation, is_categorical, width};
use crate::compute::Real;
use crate::error::{Error, Result};

/// The size of a piece of work for one thread, in numbers.
const PIECE: usize = 1 << 15;

#[derive(Clone, Copy)]
enum Scaling<T> {
    /// Every column divided by the same number.
    Uniform(T),
    /// In f64, so that a large shift does not cost digits.
    ByColumn,
}

impl Preparation {
    /// Prepares whole rows: `raw` is `(n, input_dim)` in the units of the source, `out` is
    /// `(n, output_dim)`. `row0` is the index of the first row, for messages.
    ///
    /// # Errors
    /// If a value is infinite, missing and refused, or no category; the first place is named.
    ///
    /// # Panics
    /// If `raw` and `out` do not hold the same number of whole rows: the caller's mistake.
    pub fn prepare<T: Real>(&self, raw: &[T], row0: usize, out: &mut [T]) -> Result<()> {
        same_rows(raw, self.input_dim, out, self.output_dim());
        if !self.has_categories() {
            out.copy_from_slice(raw);
            return self.prepare_in_place(out, row0);
        }
        let scaling = self.scaling();
        each_row(out, self.output_dim(), |index, out| {
            let raw = &raw[index * self.input_dim..][..self.input_dim];
            let whole = self.admit(raw, row0 + index)?;
            self.expand(raw, row0 + index, out)?;
            self.settle(out, whole, scaling);
            Ok(())
        })
    }

    /// As [`Preparation::prepare`] where there are no categories: rows keep their width.
    pub(super) fn prepare_in_place<T: Real>(&self, values: &mut [T], row0: usize) -> Result<()> {
        let scaling = self.scaling();
        each_row(values, self.input_dim, |index, row| {
            let whole = self.admit(row, row0 + index)?;
            if self.config.row_norm {
                let length = self.length(row);
                row.iter_mut().for_each(|x| *x = T::from_f64(x.to_f64() / length));
            }
            self.settle(row, whole, scaling);
            Ok(())
        })
    }

    /// Goes back to the units of the source: `prepared` is `(n, output_dim)`, `out` is
    /// `(n, input_dim)`. One-hot columns become the index of the largest. Where rows were divided
    /// by their length, they keep length 1: see [`Preparation::invert_with_norms`].
    ///
    /// # Panics
    /// If `prepared` and `out` do not hold the same number of whole rows: the caller's mistake.
    pub fn invert<T: Real>(&self, prepared: &[T], out: &mut [T]) {
        self.invert_scaled(prepared, |_| 1.0, out);
    }

    /// As [`Preparation::invert`], with the length that each row had: `norms` is `(n)`.
    ///
    /// # Panics
    /// If the three do not hold the same number of rows: the caller's mistake.
    pub fn invert_with_norms<T: Real>(&self, prepared: &[T], norms: &[T], out: &mut [T]) {
        same_rows(norms, 1, out, self.input_dim);
        self.invert_scaled(prepared, |row| norms[row].to_f64(), out);
    }

    /// The number that each row is divided by, 1 where rows are not normed: `raw` is
    /// `(n, input_dim)` in the units of the source, `out` is `(n)`.
    ///
    /// # Panics
    /// If the two do not hold the same number of rows: the caller's mistake.
    pub fn row_norms<T: Real>(&self, raw: &[T], out: &mut [T]) {
        same_rows(raw, self.input_dim, out, 1);
        for (raw, out) in raw.chunks_exact(self.input_dim).zip(out) {
            *out = if self.config.row_norm { T::from_f64(self.length(raw)) } else { T::ONE };
        }
    }

    /// The Euclidean length of the numeric values that are present; 1 where it is 0.
    fn length<T: Real>(&self, raw: &[T]) -> f64 {
        let square = |x: f64| if x.is_nan() { 0.0 } else { x * x };
        let categorical = |index| self.columns.get(index).is_some_and(is_categorical);
        let squares = raw.iter().enumerate().filter(|&(index, _)| !categorical(index));
        let length = squares.map(|(_, x)| square(x.to_f64())).sum::<f64>().sqrt();
        if length == 0.0 { 1.0 } else { length }
    }

    /// Refuses infinite and, if they are not allowed, missing values. Says whether none is missing.
    fn admit<T: Real>(&self, raw: &[T], row: usize) -> Result<bool> {
        // x · 0 is 0 for numbers and NaN for everything else; no early exit, to run at full width.
        if !raw.iter().fold(false, |odd, &x| odd | (x * T::ZERO != T::ZERO)) {
            return Ok(true);
        }
        for (column, x) in raw.iter().enumerate() {
            let place = || format!("row {}, {}", row + 1, self.place(column));
            if x.to_f64().is_infinite() {
                let got = format!("{:?} in {}", x, place());
                let remedy = "correct the value, or leave the row out";
                return Err(Error::mistake("prepare rows", "finite numbers", got, remedy));
            }
            if x.to_f64().is_nan() && self.config.missing == Missing::Refuse {
                let got = format!("a missing value (NaN) in {}", place());
                let remedy = "fit with `--missing mean` or, for PCA, `--missing em`; for a dictionary \
                              leave such rows out";
                return Err(Error::mistake("prepare rows", "a number", got, remedy));
            }
        }
        Ok(false)
    }

    /// Makes categories one-hot and norms the numbers beside them.
    fn expand<T: Real>(&self, raw: &[T], row: usize, out: &mut [T]) -> Result<()> {
        let length = if self.config.row_norm { self.length(raw) } else { 1.0 };
        let mut rest = out;
        for (index, (column, &value)) in self.columns.iter().zip(raw).enumerate() {
            let (out, after) = rest.split_at_mut(width(column));
            rest = after;
            if !is_categorical(column) {
                out[0] = T::from_f64(value.to_f64() / length);
            } else if value.to_f64().is_nan() {
                out.fill(value);
            } else {
                out.fill(T::ZERO);
                out[self.category(index, value.to_f64(), row)?] = T::ONE;
            }
        }
        Ok(())
    }

    /// The training index of a category that the source gives as `value`.
    fn category(&self, column: usize, value: f64, row: usize) -> Result<usize> {
        let training = self.columns[column].categories.len();
        let theirs = self.renumbered.get(column);
        let known = theirs.map_or(training, Vec::len);
        if value < 0.0 || value.fract() != 0.0 || value >= known as f64 {
            return Err(Error::mistake(
                "prepare rows",
                format!("the index of one of {known} categories"),
                format!("{value} in row {}, {}", row + 1, self.place(column)),
                "give the table with the same columns as in training",
            ));
        }
        Ok(theirs.map_or(value as usize, |theirs| theirs[value as usize]))
    }

    /// Fills in what is missing, then scales.
    fn settle<T: Real>(&self, row: &mut [T], whole: bool, scaling: Scaling<T>) {
        if !whole {
            for (x, &fill) in row.iter_mut().zip(&self.fill) {
                if x.to_f64().is_nan() {
                    *x = T::from_f64(fill);
                }
            }
        }
        match scaling {
            Scaling::Uniform(one) if one == T::ONE => {}
            Scaling::Uniform(scale) => row.iter_mut().for_each(|x| *x = *x / scale),
            Scaling::ByColumn => {
                for ((x, shift), scale) in row.iter_mut().zip(&self.shift).zip(&self.scale) {
                    *x = T::from_f64((x.to_f64() - shift) / scale);
                }
            }
        }
    }

    fn invert_scaled<T: Real>(
        &self,
        prepared: &[T],
        norm: impl Fn(usize) -> f64 + Sync,
        out: &mut [T],
    ) {
        same_rows(prepared, self.output_dim(), out, self.input_dim);
        let categorical = self.has_categories();
        let scaling = self.scaling();
        let inverted = each_row(out, self.input_dim, |index, out| {
            let row = &prepared[index * self.output_dim()..][..self.output_dim()];
            match scaling {
                _ if categorical => self.gather(row, norm(index), out),
                Scaling::Uniform(scale) if !self.config.row_norm => {
                    out.iter_mut().zip(row).for_each(|(out, &y)| *out = y * scale);
                }
                _ => {
                    let norm = norm(index);
                    let plan = self.shift.iter().zip(&self.scale);
                    for ((out, y), (shift, scale)) in out.iter_mut().zip(row).zip(plan) {
                        *out = T::from_f64((y.to_f64() * scale + shift) * norm);
                    }
                }
            }
            Ok(())
        });
        debug_assert!(inverted.is_ok(), "no row can fail");
    }

    /// Undoes the scaling and the one-hot columns of a row.
    fn gather<T: Real>(&self, row: &[T], norm: f64, out: &mut [T]) {
        let value = |at: usize| row[at].to_f64() * self.scale[at] + self.shift[at];
        let mut start = 0;
        for (column, out) in self.columns.iter().zip(out) {
            let end = start + width(column);
            let largest = |a, b| if value(b) > value(a) { b } else { a };
            *out = T::from_f64(match is_categorical(column) {
                true => ((start..end).reduce(largest).unwrap_or(start) - start) as f64,
                false => value(start) * norm,
            });
            start = end;
        }
    }

    /// The cheapest arithmetic that scales exactly as `shift` and `scale` say.
    fn scaling<T: Real>(&self) -> Scaling<T> {
        let first = self.scale[0];
        let uniform =
            self.shift.iter().all(|&x| x == 0.0) && self.scale.iter().all(|&x| x == first);
        let exact = T::from_f64(first);
        if uniform && exact.to_f64() == first { Scaling::Uniform(exact) } else { Scaling::ByColumn }
    }
}

fn same_rows<A, B>(a: &[A], a_width: usize, b: &[B], b_width: usize) {
    let whole = a.len().is_multiple_of(a_width) && b.len().is_multiple_of(b_width);
    assert!(
        whole && a.len() / a_width == b.len() / b_width,
        "{} numbers in rows of {a_width} and {} in rows of {b_width}",
        a.len(),
        b.len(),
    );
}

/// Calls `work` with every row and its index, on all threads if there is enough to do. The error
/// is that of the first row that fails, whichever thread comes to one first.
fn each_row<T: Real>(
    rows: &mut [T],
    width: usize,
    work: impl Fn(usize, &mut [T]) -> Result<()> + Sync,
) -> Result<()> {
    let piece = (PIECE / width).max(1);
    let one_piece = |(index, rows): (usize, &mut [T])| {
        let mut rows = rows.chunks_exact_mut(width).enumerate();
        rows.find_map(|(row, values)| work(index * piece + row, values).err())
    };
    let pieces = rows.len().div_ceil(piece * width);
    let failure = if pieces <= 2 {
        rows.chunks_mut(piece * width).enumerate().find_map(one_piece)
    } else {
        rows.par_chunks_mut(piece * width).enumerate().find_map_first(one_piece)
    };
    failure.map_or(Ok(()), Err)
}
