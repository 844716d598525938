//! Rows that are sums of known directions: what a sparse dictionary should find is known exactly.
//!
//! ```text
//! xᵢ = Σⱼ zᵢⱼ·Dⱼ + c      x (d) a row    z (n) codes, almost all zero    D (n, d) unit directions    c (d) bias
//! ```
//!
//! Row i of a seed depends on the seed, the knobs and i alone, so rows are made as they are read: any
//! number of them, in any order, on any number of threads, with the same bits.

mod directions;
mod firing;
mod forest;
mod synthetic;
#[cfg(test)]
mod tests;
mod toy;

use std::ops::Range;

use rayon::prelude::*;

use super::source::{Precision, Source};
use crate::compute::{Matrix, SparseRows, wide};
use crate::error::{Error, Result};
pub use synthetic::SuperpositionKnobs;
pub use toy::ToyKnobs;

/// Rows that one thread makes at a time.
const PIECE: usize = 16;

/// Draws the codes of a row.
trait DrawCodes: Send + Sync {
    /// Fills `codes` with the entries of row `row` that are not zero, in rising order of features.
    /// `scratch` is memory that is kept from call to call and holds nothing of worth.
    fn draw(&self, row: u64, codes: &mut Vec<(u32, f32)>, scratch: &mut Vec<f32>);
}

/// A source of rows whose directions and codes are known.
pub struct KnownTruth {
    directions: Matrix,
    bias: Vec<f32>,
    rates: Vec<f64>,
    codes: Box<dyn DrawCodes>,
    rows: Range<usize>,
}

impl KnownTruth {
    /// D `(n, d)`: one unit direction a row.
    pub fn directions(&self) -> &Matrix {
        &self.directions
    }

    /// c `(d)`: what is added to every row.
    pub fn bias(&self) -> &[f32] {
        &self.bias
    }

    /// The share of rows in which each feature is meant to fire `(n)`. It is exact for features that
    /// depend on no other; below a parent it is what the corrections of [`SuperpositionKnobs`] aim at.
    pub fn rates(&self) -> &[f64] {
        &self.rates
    }

    /// Number of features n.
    pub fn features(&self) -> usize {
        self.directions.rows()
    }

    /// The same truth with so many of the first rows at most.
    pub fn first_rows(mut self, most: usize) -> Self {
        self.rows.end = self.rows.end.min(self.rows.start.saturating_add(most));
        self
    }

    /// The codes of rows, counted from the first row of the source.
    ///
    /// # Panics
    /// If the rows lie outside the source: the caller's mistake.
    pub fn codes(&self, rows: Range<usize>) -> SparseRows {
        assert!(rows.start <= rows.end && rows.end <= self.rows.len(), "rows outside the source");
        let drawn: Vec<Vec<(u32, f32)>> = rows
            .into_par_iter()
            .with_min_len(PIECE)
            .map_init(Vec::new, |scratch, row| {
                let mut codes = Vec::new();
                self.codes.draw((self.rows.start + row) as u64, &mut codes, scratch);
                codes
            })
            .collect();
        let mut sparse = SparseRows::new(self.features());
        drawn.into_iter().for_each(|row| sparse.push_row(row));
        sparse
    }

    fn fill(&self, row: usize, out: &mut [f32], room: &mut Room) {
        self.codes.draw((self.rows.start + row) as u64, &mut room.codes, &mut room.scratch);
        out.copy_from_slice(&self.bias);
        for &(feature, code) in &room.codes {
            let direction = self.directions.row(feature as usize);
            wide(
                #[inline(always)]
                || out.iter_mut().zip(direction).for_each(|(out, &d)| *out += code * d),
            );
        }
    }
}

/// Memory of one thread.
#[derive(Default)]
struct Room {
    codes: Vec<(u32, f32)>,
    scratch: Vec<f32>,
}

impl Source for KnownTruth {
    fn rows(&self) -> usize {
        self.rows.len()
    }
    fn dim(&self) -> usize {
        self.directions.cols()
    }
    fn precision(&self) -> Precision {
        Precision::F32
    }
    fn read_f32(&self, start: usize, out: &mut [f32]) -> Result<()> {
        let dim = self.dim();
        assert!(out.len().is_multiple_of(dim) && start + out.len() / dim <= self.rows.len());
        out.par_chunks_mut(PIECE * dim).enumerate().for_each_init(Room::default, |room, part| {
            let (piece, out) = part;
            for (row, out) in out.chunks_exact_mut(dim).enumerate() {
                self.fill(start + piece * PIECE + row, out, room);
            }
        });
        Ok(())
    }
    fn read_f64(&self, start: usize, out: &mut [f64]) -> Result<()> {
        let mut rows = vec![0.0; out.len()];
        self.read_f32(start, &mut rows)?;
        out.iter_mut().zip(rows).for_each(|(out, value)| *out = f64::from(value));
        Ok(())
    }
    fn gather_f32(&self, places: &[usize], out: &mut [f32]) -> Result<()> {
        let dim = self.dim();
        assert_eq!(out.len(), places.len() * dim, "gather: one row for each place");
        assert!(places.iter().all(|&place| place < self.rows.len()), "gather: rows outside");
        let pieces = out.par_chunks_mut(PIECE * dim).zip(places.par_chunks(PIECE));
        pieces.for_each_init(Room::default, |room, (out, places)| {
            let rows = out.chunks_exact_mut(dim).zip(places);
            rows.for_each(|(out, &place)| self.fill(place, out, room));
        });
        Ok(())
    }
}

/// Refuses a knob that lies outside what makes sense.
fn require(ok: bool, expected: &str, got: impl std::fmt::Display) -> Result<()> {
    if ok {
        return Ok(());
    }
    let remedy = "change the knob, or leave it out";
    Err(Error::mistake("make superposed features", expected, format!("{got}"), remedy))
}

/// The rows `first .. first + rows`, if their numbers can be counted.
fn range(first: usize, rows: usize) -> Result<Range<usize>> {
    require(rows >= 1, "rows of at least 1", rows)?;
    let end = first.checked_add(rows);
    require(end.is_some(), "rows whose numbers fit 64 bits", first)?;
    Ok(first..first.saturating_add(rows))
}
