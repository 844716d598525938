//! Products of which only the large entries are wanted.
//!
//! ```text
//! aᵢⱼ = <xᵢ, Eⱼ> + bⱼ          x: (rows, d)   E: (n, d)   b: (n)        2·rows·n·d operations
//!
//! above    of each row every j with aᵢⱼ > lⱼ                        l: (n)
//! largest  of each row the k aᵢⱼ above l with the largest aᵢⱼ·wⱼ, the lower j where two are equal
//! ```
//!
//! The entries are compared with the least that is still wanted while they are in registers, so the
//! `(rows, n)` matrix is never written: what goes to memory is what is kept. Rows of x and of E are packed
//! once, side by side: rows a power of two apart would drive each other out of the first cache. Of x so many
//! rows are packed at a time as stay in the second cache.
//!
//! Every sum runs over the columns in their order, whichever vectors the processor has, so neither the
//! number of threads nor how the rows are cut changes a bit.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::Matrix;

/// Bytes of packed rows that stay in the cache while the rows of E pass by.
const CACHED: usize = 512 << 10;
/// Rows of x that are packed together on the widest vectors.
const PANEL: usize = 32;
/// Rows of E that are packed together: with two vectors of rows of x, as many sums as the registers hold.
const BLOCK: usize = 12;
/// The same where there are sixteen registers.
const SMALL_BLOCK: usize = 4;
/// Rows of E that one task packs.
const PACKED_BY_ONE: usize = 40 * BLOCK;

/// One entry that was kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kept {
    /// j.
    pub column: u32,
    /// aᵢⱼ.
    pub value: f32,
}

/// Which entries are wanted.
#[derive(Debug, Clone, Copy)]
pub enum Wanted<'a> {
    /// Those above lⱼ `(n)`.
    Above(&'a [f32]),
    /// The k largest of each row that are above l, ordered by aᵢⱼ·wⱼ.
    Largest {
        /// Entries of a row, at most.
        k: usize,
        /// l, the same for all: 0, or −∞.
        above: f32,
        /// w `(n)`; all 1 if empty.
        weights: &'a [f32],
    },
}

/// The wanted entries of every row, in rising order of their columns; keeps its memory between uses.
#[derive(Debug, Default)]
pub struct Sifted {
    rows: Vec<Vec<Kept>>,
    chunks: Vec<Chunk>,
    /// E, in blocks of [`BLOCK`] rows, of each column first its number in every row of the block.
    encoder: Vec<f32>,
}

/// What one task works on.
#[derive(Debug, Default)]
struct Chunk {
    packed: Vec<f32>,
    least: Vec<f32>,
}

impl Sifted {
    /// The entries of one row.
    pub fn row(&self, index: usize) -> &[Kept] {
        &self.rows[index]
    }

    /// Number of entries of all rows.
    pub fn entries(&self) -> usize {
        self.rows.iter().map(Vec::len).sum()
    }

    /// The entries of each row.
    pub fn rows(&self) -> &[Vec<Kept>] {
        &self.rows
    }

    /// The entries of each row, to be changed.
    pub fn rows_mut(&mut self) -> &mut [Vec<Kept>] {
        &mut self.rows
    }

    /// Finds the wanted entries of `x·Eᵀ + b`.
    ///
    /// # Panics
    /// If the shapes do not fit: the caller's mistake.
    pub fn sift(&mut self, x: &Matrix, encoder: &Matrix, bias: &[f32], wanted: Wanted<'_>) {
        assert_eq!(x.cols(), encoder.cols(), "sift: the inner dimensions differ");
        assert_eq!(encoder.rows(), bias.len(), "sift: one bias for each row of E");
        let (weights, k) = match wanted {
            Wanted::Above(least) => {
                assert_eq!(least.len(), bias.len(), "sift: one bound for each row of E");
                (&[][..], usize::MAX)
            }
            Wanted::Largest { k, weights, .. } => {
                assert!(weights.is_empty() || weights.len() == bias.len(), "sift: weights");
                (weights, k)
            }
        };
        let (bounds, above) = match wanted {
            Wanted::Above(least) => (least, 0.0),
            Wanted::Largest { above, .. } => (&[][..], above),
        };
        self.rows.resize_with(x.rows(), Vec::new);
        self.pack(encoder);
        let (columns, encoder) = (x.cols(), &self.encoder[..]);
        let size = chunk_size(x.rows(), x.cols());
        self.chunks.resize_with(x.rows().div_ceil(size), Chunk::default);
        let tasks = self.rows.par_chunks_mut(size).zip(self.chunks.par_iter_mut()).enumerate();
        tasks.for_each(|(index, (rows, chunk))| {
            rows.iter_mut().for_each(Vec::clear);
            if k == 0 {
                return;
            }
            let x = &x.as_slice()[index * size * x.cols()..][..rows.len() * x.cols()];
            Arch::new().dispatch(Task {
                x,
                columns,
                encoder,
                bias,
                bounds,
                above,
                weights,
                k,
                rows,
                chunk,
            });
        });
    }
}

impl Sifted {
    fn pack(&mut self, encoder: &Matrix) {
        let columns = encoder.cols();
        self.encoder.resize(encoder.rows().next_multiple_of(BLOCK) * columns, 0.0);
        let size = PACKED_BY_ONE * columns.max(1);
        let pieces = self.encoder.par_chunks_mut(size).zip(encoder.as_slice().par_chunks(size));
        pieces.for_each(|(to, from)| {
            let blocks = to.chunks_exact_mut(BLOCK * columns.max(1));
            for (to, from) in blocks.zip(from.chunks(BLOCK * columns.max(1))) {
                side_by_side(from, columns, BLOCK, to);
            }
        });
    }
}

/// Lays rows side by side: of each column first its number in every row, `width` places for each column.
#[inline(always)]
fn side_by_side(rows: &[f32], columns: usize, width: usize, out: &mut [f32]) {
    for (place, row) in rows.chunks_exact(columns.max(1)).enumerate() {
        for (to, &from) in out[place..].iter_mut().step_by(width).zip(row) {
            *to = from;
        }
    }
}

/// Rows of a task: what the cache holds, but a share for every thread.
fn chunk_size(rows: usize, columns: usize) -> usize {
    let cached = CACHED / (4 * PANEL * columns.max(1)) * PANEL;
    let shared = rows.div_ceil(super::threads()).next_multiple_of(PANEL);
    // As many chunks as a multiple of the threads, so that none waits for another.
    let rounds = shared.div_ceil(cached.max(PANEL));
    shared.div_ceil(rounds.max(1)).next_multiple_of(PANEL)
}

struct Task<'a> {
    x: &'a [f32],
    columns: usize,
    /// Packed.
    encoder: &'a [f32],
    bias: &'a [f32],
    /// lⱼ; empty where there is one for all.
    bounds: &'a [f32],
    above: f32,
    weights: &'a [f32],
    k: usize,
    rows: &'a mut [Vec<Kept>],
    chunk: &'a mut Chunk,
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        if S::REGISTER_COUNT >= 32 {
            self.run::<S, 2, BLOCK>(simd);
        } else {
            self.run::<S, 2, SMALL_BLOCK>(simd);
        }
        for row in self.rows {
            if row.len() > self.k {
                keep_largest(row, self.k, self.weights);
            }
            row.sort_unstable_by_key(|entry| entry.column);
        }
    }
}

impl Task<'_> {
    /// V vectors of rows of x by N rows of E at a time.
    #[inline(always)]
    fn run<S: Simd, const V: usize, const N: usize>(&mut self, simd: S) {
        let panel = V * S::F32_LANES;
        self.pack(panel);
        let columns = self.columns;
        let Chunk { packed, least } = &mut *self.chunk;
        let mut sieve = Sieve {
            bias: self.bias,
            bounds: self.bounds,
            above: self.above,
            weights: self.weights,
            k: self.k,
            limit: self.k.saturating_add((self.k / 2).max(8)),
            rows: &mut *self.rows,
            least,
        };
        for (block, encoder) in self.encoder.chunks_exact(BLOCK * columns).enumerate() {
            for part in 0..BLOCK / N {
                let first = block * BLOCK + part * N;
                for (index, x) in packed.chunks_exact(panel * columns).enumerate() {
                    let x = S::as_simd_f32s(x).0;
                    let sums = products::<S, V, N>(simd, x, &encoder[part * N..], columns);
                    sieve.pass(simd, sums, first, index * panel);
                }
            }
        }
    }

    #[inline(always)]
    fn pack(&mut self, panel: usize) {
        let (columns, count) = (self.columns, self.rows.len());
        let Chunk { packed, least } = &mut *self.chunk;
        packed.clear();
        packed.resize(count.div_ceil(panel) * panel * columns, 0.0);
        let panels = packed.chunks_exact_mut(panel * columns);
        for (to, from) in panels.zip(self.x.chunks(panel * columns)) {
            side_by_side(from, columns, panel, to);
        }
        // Rows that only fill a panel want nothing.
        least.clear();
        least.resize(count, f32::NEG_INFINITY);
        least.resize(count.div_ceil(panel) * panel, f32::INFINITY);
    }
}

/// `Σ_c x[c, v]·E[j, c]` for V vectors of rows of x and N rows of a block of E.
#[inline(always)]
fn products<S: Simd, const V: usize, const N: usize>(
    simd: S,
    x: &[S::f32s],
    encoder: &[f32],
    columns: usize,
) -> [[S::f32s; V]; N] {
    let mut sums = [[simd.splat_f32s(0.0); V]; N];
    let pairs = x.chunks_exact(V).zip(encoder.chunks(BLOCK)).take(columns);
    for (x, factors) in pairs {
        let (x, factors) = (&x[..V], &factors[..N]);
        for (sums, &factor) in sums.iter_mut().zip(factors) {
            let factor = simd.splat_f32s(factor);
            for (sum, &x) in sums.iter_mut().zip(x) {
                *sum = simd.mul_add_e_f32s(factor, x, *sum);
            }
        }
    }
    sums
}

struct Sieve<'a> {
    bias: &'a [f32],
    bounds: &'a [f32],
    above: f32,
    weights: &'a [f32],
    k: usize,
    /// Entries of a row of which the largest are sought out.
    limit: usize,
    rows: &'a mut [Vec<Kept>],
    /// Of each row what an ordered value has to exceed.
    least: &'a mut [f32],
}

impl Sieve<'_> {
    #[inline(always)]
    fn pass<S: Simd, const V: usize, const N: usize>(
        &mut self,
        simd: S,
        sums: [[S::f32s; V]; N],
        first_column: usize,
        first_row: usize,
    ) {
        for (j, sums) in sums.into_iter().enumerate() {
            let column = first_column + j;
            if column >= self.bias.len() {
                return;
            }
            let bias = simd.splat_f32s(self.bias[column]);
            let bound = self.bounds.get(column).copied().unwrap_or(self.above);
            let weight = self.weights.get(column).copied().unwrap_or(1.0);
            for (v, sum) in sums.into_iter().enumerate() {
                let row = first_row + v * S::F32_LANES;
                let value = simd.add_f32s(sum, bias);
                let least = S::as_simd_f32s(&self.least[row..row + S::F32_LANES]).0[0];
                let ordered = simd.mul_f32s(value, simd.splat_f32s(weight));
                let wanted = simd.and_m32s(
                    simd.greater_than_f32s(ordered, least),
                    simd.greater_than_f32s(value, simd.splat_f32s(bound)),
                );
                let lanes = lanes_of::<S>(wanted);
                if lanes != 0 {
                    let values: &[f32] = bytemuck::cast_slice(std::slice::from_ref(&value));
                    self.keep(lanes, values, column, row);
                }
            }
        }
    }

    /// Keeps the numbers of the given lanes: those of `column` in the rows from `first_row` on.
    #[inline(always)]
    fn keep(&mut self, mut lanes: u32, values: &[f32], column: usize, first_row: usize) {
        while lanes != 0 {
            let lane = lanes.trailing_zeros() as usize;
            lanes &= lanes - 1;
            let entries = &mut self.rows[first_row + lane];
            entries.push(Kept { column: column as u32, value: values[lane] });
            if entries.len() >= self.limit {
                self.least[first_row + lane] = keep_largest(entries, self.k, self.weights);
            }
        }
    }
}

/// A bit for every lane where `mask` is true, the first lowest.
#[inline(always)]
fn lanes_of<S: Simd>(mask: S::m32s) -> u32 {
    // With AVX-512 a mask is these bits already; elsewhere it is a vector of all ones or zeros.
    if const { size_of::<S::m32s>() == size_of::<u16>() } {
        u32::from(bytemuck::cast::<S::m32s, u16>(mask))
    } else {
        let lanes: &[u32] = bytemuck::cast_slice(std::slice::from_ref(&mask));
        let bits = lanes.iter().enumerate().map(|(lane, &mask)| u32::from(mask != 0) << lane);
        bits.fold(0, |all, bit| all | bit)
    }
}

/// Keeps the k entries with the largest weighted value, and says the least of them.
fn keep_largest(entries: &mut Vec<Kept>, k: usize, weights: &[f32]) -> f32 {
    let key =
        |entry: &Kept| entry.value * weights.get(entry.column as usize).copied().unwrap_or(1.0);
    let last = k - 1;
    if entries.len() > k {
        entries.select_nth_unstable_by(last, |a, b| {
            key(b).total_cmp(&key(a)).then(a.column.cmp(&b.column))
        });
        entries.truncate(k);
    }
    key(&entries[last])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn drawn(name: &str, rows: usize, cols: usize) -> Matrix {
        let mut random = Random::stream(5, name);
        let values = (0..rows * cols).map(|_| random.normal() as f32).collect();
        Matrix::from_rows(rows, cols, values).expect("fits")
    }

    /// All entries, each summed in f64.
    fn slow(x: &Matrix, encoder: &Matrix, bias: &[f32]) -> Vec<Vec<f64>> {
        let product = |i: usize, j: usize| -> f64 {
            let pairs = x.row(i).iter().zip(encoder.row(j));
            pairs.map(|(x, e)| f64::from(*x) * f64::from(*e)).sum::<f64>() + f64::from(bias[j])
        };
        (0..x.rows()).map(|i| (0..encoder.rows()).map(|j| product(i, j)).collect()).collect()
    }

    #[test]
    fn entries_above_their_bound_are_those_of_the_slow_twin() {
        for (rows, latents, columns) in [(1, 1, 1), (33, 21, 7), (70, 203, 50), (129, 64, 33)] {
            let (x, e) = (drawn("x", rows, columns), drawn("e", latents, columns));
            let bias = drawn("b", 1, latents);
            let bounds = drawn("l", 1, latents);
            let mut sifted = Sifted::default();
            sifted.sift(&x, &e, bias.row(0), Wanted::Above(bounds.row(0)));
            for (i, exact) in slow(&x, &e, bias.row(0)).iter().enumerate() {
                let mut found = sifted.row(i).iter().peekable();
                for (j, &exact) in exact.iter().enumerate() {
                    let bound = f64::from(bounds.row(0)[j]);
                    let kept = found.next_if(|entry| entry.column as usize == j);
                    match kept {
                        Some(entry) => assert!((f64::from(entry.value) - exact).abs() < 1e-4),
                        None => assert!(exact < bound + 1e-4, "row {i} column {j} is missing"),
                    }
                    assert!(kept.is_none() || exact > bound - 1e-4);
                }
                assert!(found.next().is_none());
            }
        }
    }

    #[test]
    fn the_largest_are_those_of_a_full_sort() {
        let (x, e) = (drawn("x", 70, 12), drawn("e", 300, 12));
        let bias = drawn("b", 1, 300);
        let weights: Vec<f32> = (0..300).map(|j| 0.5 + (j % 7) as f32).collect();
        let zero = vec![0.0; 300];
        for (k, weights) in [(1, &[][..]), (5, &weights[..]), (40, &weights[..]), (299, &[])] {
            let (mut all, mut sifted) = (Sifted::default(), Sifted::default());
            all.sift(&x, &e, bias.row(0), Wanted::Above(&zero));
            sifted.sift(&x, &e, bias.row(0), Wanted::Largest { k, above: 0.0, weights });
            for i in 0..70 {
                let weight = |j: u32| weights.get(j as usize).copied().unwrap_or(1.0);
                let mut expected = all.row(i).to_vec();
                expected.sort_by(|a, b| {
                    (b.value * weight(b.column)).total_cmp(&(a.value * weight(a.column)))
                });
                expected.truncate(k);
                expected.sort_by_key(|entry| entry.column);
                assert_eq!(sifted.row(i), expected, "k {k}, row {i}");
            }
        }
    }

    #[test]
    fn of_equal_entries_the_first_are_kept() {
        let x = Matrix::from_rows(1, 1, vec![1.0]).expect("fits");
        let e = Matrix::from_rows(50, 1, vec![2.0; 50]).expect("fits");
        let mut sifted = Sifted::default();
        sifted.sift(&x, &e, &[0.0; 50], Wanted::Largest { k: 3, above: 0.0, weights: &[] });
        let kept: Vec<u32> = sifted.row(0).iter().map(|entry| entry.column).collect();
        assert_eq!(kept, [0, 1, 2]);
    }
}
