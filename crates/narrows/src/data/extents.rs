//! Rows that lie as plain bytes in stretches of one or many files, read where they lie.
//!
//! Nothing is mapped and nothing is kept: what is asked for is read at its place, decoded, and
//! forgotten. Rows that are asked for one by one are read in the order in which they lie.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use super::numbers::{Decode, Kind};
use super::positioned::Positioned;
use super::source::{Precision, Source};
use crate::error::{Error, Result};

/// Bytes of rows that follow each other that are read by one call: a disk is faster the more it is
/// asked for at once, and the cache of a core holds them while they are decoded.
const RUN: usize = 1 << 20;
/// Bytes that are rather read and thrown away than skipped by another call.
const GAP: usize = 8 << 10;
/// Rows that one thread gathers.
const GATHERED: usize = 64;

/// Rows that lie one after the other.
pub(super) struct Extent {
    /// Which of the files.
    pub(super) file: usize,
    /// The byte at which its first row begins.
    pub(super) start: u64,
    /// How many rows.
    pub(super) rows: usize,
    /// The byte at which the scales of its rows begin, where the numbers have scales: one `f32` a
    /// row, by which the numbers of the row are to be multiplied.
    pub(super) scales: Option<u64>,
}

/// Rows of `dim` little-endian numbers of one kind.
pub(super) struct Extents {
    files: Arc<[Positioned]>,
    extents: Vec<Extent>,
    /// The first row of each extent, and the number of all rows.
    firsts: Vec<usize>,
    kind: Kind,
    dim: usize,
    bytes_read: AtomicU64,
}

thread_local! {
    /// The bytes that a thread reads into, kept between calls.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Lends `work` a block of `len` bytes that holds anything.
fn with_scratch<R>(len: usize, work: impl FnOnce(&mut [u8]) -> R) -> R {
    // Taken out rather than borrowed: a thread that waits may be given other work meanwhile.
    let mut scratch = SCRATCH.take();
    if scratch.len() < len {
        scratch.resize(len, 0);
    }
    let result = work(&mut scratch[..len]);
    SCRATCH.set(scratch);
    result
}

impl Extents {
    /// The rows of `extents`, one after the other.
    ///
    /// # Errors
    /// If there are no rows, or one of them would lie outside its file.
    pub(super) fn new(
        files: Arc<[Positioned]>,
        extents: Vec<Extent>,
        kind: Kind,
        dim: usize,
    ) -> Result<Self> {
        let mut firsts = vec![0_usize];
        for extent in &extents {
            let file = &files[extent.file];
            let end = |start: u64, row: usize| {
                let len = extent.rows.checked_mul(row)?;
                start.checked_add(u64::try_from(len).ok()?).filter(|&end| end <= file.len())
            };
            let rows = dim.checked_mul(kind.size()).and_then(|row| end(extent.start, row));
            if rows.is_none() || extent.scales.is_some_and(|start| end(start, 4).is_none()) {
                return Err(Error::bad_file(
                    file.path(),
                    format!("{} rows of {dim} numbers reach beyond its end", extent.rows),
                    "the file is cut off or damaged: write or fetch it again",
                ));
            }
            firsts.push(firsts[firsts.len() - 1] + extent.rows);
        }
        if firsts[firsts.len() - 1] == 0 || dim == 0 {
            return Err(Error::mistake(
                "open",
                "at least one row and one column",
                format!("{} rows of {dim} numbers", firsts[firsts.len() - 1]),
                "give a set that holds rows",
            ));
        }
        Ok(Self { files, extents, firsts, kind, dim, bytes_read: AtomicU64::new(0) })
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    fn row_bytes(&self) -> usize {
        self.dim * self.kind.size()
    }

    /// The extent of a row and the place of the row in it.
    fn locate(&self, row: usize) -> (&Extent, usize) {
        let extent = self.firsts.partition_point(|&first| first <= row) - 1;
        (&self.extents[extent], row - self.firsts[extent])
    }

    fn read_at(&self, extent: &Extent, start: u64, bytes: &mut [u8]) -> Result<()> {
        self.bytes_read.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.files[extent.file].read_at(start, bytes)
    }

    /// Reads `rows` rows of an extent and gives them to `work`, with their scales.
    fn with_run(
        &self,
        extent: &Extent,
        first: usize,
        rows: usize,
        work: impl FnOnce(&[u8], &[u8]),
    ) -> Result<()> {
        let len = rows * self.row_bytes();
        let scales_len = if extent.scales.is_some() { rows * 4 } else { 0 };
        with_scratch(len + scales_len, |scratch| {
            let (bytes, scales) = scratch.split_at_mut(len);
            self.read_at(extent, extent.start + (first * self.row_bytes()) as u64, bytes)?;
            if let Some(start) = extent.scales {
                self.read_at(extent, start + (first * 4) as u64, scales)?;
            }
            work(bytes, scales);
            Ok(())
        })
    }

    /// Decodes one row, the `index`-th of a run.
    fn decode<T: Decode>(&self, bytes: &[u8], scales: &[u8], index: usize, out: &mut [T]) {
        let bytes = &bytes[index * self.row_bytes()..][..self.row_bytes()];
        T::decode_all(self.kind, bytes, out);
        if let Some(scale) = scales.as_chunks::<4>().0.get(index) {
            let scale = T::from_f64(f64::from(f32::from_le_bytes(*scale)));
            out.iter_mut().for_each(|value| *value = *value * scale);
        }
    }

    fn read<T: Decode>(&self, start: usize, out: &mut [T]) -> Result<()> {
        let rows = out.len() / self.dim;
        assert!(rows * self.dim == out.len(), "{} values in rows of {}", out.len(), self.dim);
        assert!(start + rows <= self.rows(), "rows {start}..{} of {}", start + rows, self.rows());
        let piece = (RUN / self.row_bytes()).max(1);
        let pieces = out.par_chunks_mut(piece * self.dim).enumerate();
        pieces.try_for_each(|(index, out)| self.read_piece(start + index * piece, out))
    }

    fn read_piece<T: Decode>(&self, mut row: usize, mut out: &mut [T]) -> Result<()> {
        while !out.is_empty() {
            let (extent, first) = self.locate(row);
            let rows = (out.len() / self.dim).min(extent.rows - first);
            let (part, rest) = out.split_at_mut(rows * self.dim);
            if self.kind == T::KIND && extent.scales.is_none() && cfg!(target_endian = "little") {
                let start = extent.start + (first * self.row_bytes()) as u64;
                self.read_at(extent, start, bytemuck::cast_slice_mut(part))?;
            } else {
                self.with_run(extent, first, rows, |bytes, scales| {
                    for (index, out) in part.chunks_exact_mut(self.dim).enumerate() {
                        self.decode(bytes, scales, index, out);
                    }
                })?;
            }
            (row, out) = (row + rows, rest);
        }
        Ok(())
    }

    /// Reads rows that are sorted by their place into where they belong, near ones together.
    fn gather_piece(&self, mut rows: &mut [(usize, &mut [f32])]) -> Result<()> {
        while let Some(&(place, _)) = rows.first() {
            let (extent, first) = self.locate(place);
            let count = self.near(rows, extent.rows - first);
            let (run, rest) = rows.split_at_mut(count);
            self.with_run(extent, first, run[count - 1].0 - place + 1, |bytes, scales| {
                for (row, out) in run {
                    self.decode(bytes, scales, *row - place, out);
                }
            })?;
            rows = rest;
        }
        Ok(())
    }

    /// How many of the first of `rows`, all within `most` rows of a file, are best read by one call.
    fn near(&self, rows: &[(usize, &mut [f32])], most: usize) -> usize {
        let (first, row_bytes) = (rows[0].0, self.row_bytes());
        let fits = |pair: &[(usize, &mut [f32])]| {
            let (before, place) = (pair[0].0, pair[1].0);
            place - first < most
                && (place - first + 1) * row_bytes <= RUN
                && (place - before).saturating_sub(1) * row_bytes <= GAP
        };
        1 + rows.windows(2).take_while(|pair| fits(pair)).count()
    }
}

impl Source for Extents {
    fn rows(&self) -> usize {
        self.firsts[self.firsts.len() - 1]
    }
    fn dim(&self) -> usize {
        self.dim
    }
    fn precision(&self) -> Precision {
        self.kind.precision()
    }
    fn read_f32(&self, start: usize, out: &mut [f32]) -> Result<()> {
        self.read(start, out)
    }
    fn read_f64(&self, start: usize, out: &mut [f64]) -> Result<()> {
        self.read(start, out)
    }
    fn gather_f32(&self, places: &[usize], out: &mut [f32]) -> Result<()> {
        assert_eq!(out.len(), places.len() * self.dim, "gather: one row for each place");
        if let Some(&beyond) = places.iter().find(|&&place| place >= self.rows()) {
            panic!("gather: row {beyond} of {}", self.rows());
        }
        if let Some(&first) = places.first().filter(|_| places.windows(2).all(|p| p[1] == p[0] + 1))
        {
            return self.read_f32(first, out);
        }
        let mut rows: Vec<_> = places.iter().copied().zip(out.chunks_exact_mut(self.dim)).collect();
        rows.sort_unstable_by_key(|&(place, _)| place);
        rows.par_chunks_mut(GATHERED).try_for_each(|rows| self.gather_piece(rows))
    }
    fn whereabouts(&self, row: usize) -> String {
        let (extent, place) = self.locate(row);
        // A file may hold many extents; its rows are counted through.
        let here = self.extents.iter().zip(&self.firsts);
        let first = here.filter(|(other, _)| other.file == extent.file).map(|(_, first)| *first);
        let first = first.min().unwrap_or(row - place);
        let path = self.files[extent.file].path().display();
        format!("row {} of '{path}'", row - first + 1)
    }
    fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }
}

/// A whole number for every row, such as the token that it belongs to.
pub struct RowIntegers(Extents);

impl RowIntegers {
    pub(super) fn new(extents: Extents) -> Self {
        Self(extents)
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.0.rows()
    }

    /// Reads the numbers of rows `start .. start + out.len()`.
    ///
    /// # Errors
    /// If the file cannot be read, or a number is negative or more than 32 bits hold.
    ///
    /// # Panics
    /// If the rows lie outside: the caller's mistake.
    pub fn read(&self, start: usize, out: &mut [u32]) -> Result<()> {
        let mut values = vec![0.0_f64; out.len()];
        self.0.read_f64(start, &mut values)?;
        for (row, (value, out)) in values.into_iter().zip(out).enumerate() {
            *out = value as u32;
            if f64::from(*out) != value {
                return Err(Error::mistake(
                    "read the numbers of rows",
                    format!("whole numbers of 0 to {}", u32::MAX),
                    format!("{value} in {}", self.0.whereabouts(start + row)),
                    "leave that column out",
                ));
            }
        }
        Ok(())
    }
}
