//! Indices to bits: a probability for every index, learned while it is coded, and a range coder.
//!
//! ```text
//! prior      P(k) = F((k + ½)/s) − F((k − ½)/s),  F(x) = 1/(1 + e⁻ˣ)      k: index, s: scale
//! adaptive   p(k) = (α P(k) + n(k)) / (α + n)                            n(k): times k was coded
//! ```
//!
//! The prior is a logistic distribution cut into the quantiser's intervals, one scale per dimension of
//! the code, learned on training rows: one byte in the file. What it does not know of a dimension
//! is counted while rows are coded, on both sides alike, with the prior as α = 32 observations. So
//! there are no tables in the file, and after n rows a dimension of K common indices has cost about
//! K/2 · log₂ n bits more than if its distribution had been known, nearly nothing per row.
//!
//! An index beyond 10 scales is told by an escape and 32 bits of its own. Where a scale is above 100
//! steps, the lowest bits of an index are all but uniform and are written as they are, so that a table
//! has 2,000 entries at most.
//!
//! Probabilities are whole numbers over 2²⁴, made of whole numbers and of `libm`'s exponential, which is
//! the same everywhere: a decoder on another machine reads the same indices.
//!
//! Source: T. M. Cover and J. A. Thomas, Elements of Information Theory (2006), §13.2 (mixtures with
//! a prior); the discretised logistic: T. Salimans et al., PixelCNN++, ICLR 2017. The range coder (G. N. N.
//! Martin, 1979) is that of the crate `constriction`.

use constriction::UnwrapInfallible;
use constriction::stream::model::{DefaultContiguousCategoricalEntropyModel, DefaultUniformModel};
use constriction::stream::queue::{DefaultRangeDecoder, DefaultRangeEncoder};
use constriction::stream::{Decode, Encode};

use crate::error::{Error, Result};

/// Probabilities are counted in parts of 2²⁴.
const PRECISION: u32 = 24;
/// What the prior weighs, in parts of one table.
const PRIOR: f64 = 65536.0;
/// What one observation weighs: the prior is 32 of them.
const OBSERVATION: u64 = 65536 / 32;
/// Scales that a table reaches to on each side.
const REACH: f64 = 10.0;
/// The largest scale of a table, in steps.
const WIDEST: f64 = 100.0;
/// A table is made anew after so many rows at the latest, and earlier in the beginning.
const RENEWED: usize = 1024;
/// Rows after which the first table is made anew.
const FIRST_RENEWED: usize = 16;

/// How widely the indices of a dimension spread, as one byte: 0 where all are 0, else
/// `s = 2^((code − 49)/8)` steps, from 1/64 to 2²⁵.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spread(pub u8);

impl Spread {
    /// Every index is 0, and none is coded.
    pub const NONE: Self = Self(0);

    fn scale(self) -> f64 {
        libm::exp2((f64::from(self.0) - 49.0) / 8.0)
    }

    /// Low bits of an index that are written as they are.
    pub(super) fn low_bits(self) -> u32 {
        match self {
            Self::NONE => 0,
            _ => libm::ceil(libm::log2(self.scale() / WIDEST)).max(0.0) as u32,
        }
    }

    /// The scale of what stands in the table.
    fn table_scale(self) -> f64 {
        self.scale() / f64::from(1_u32 << self.low_bits())
    }

    fn reach(self) -> i32 {
        libm::ceil(REACH * self.table_scale()) as i32 + 2
    }

    /// Weights of −reach … reach and, last, of the escape.
    fn prior(self) -> Vec<u64> {
        let (scale, reach) = (self.table_scale(), self.reach());
        // Above 0 the difference of two numbers near 1 would lose its digits.
        let tail = |x: f64| 1.0 / (1.0 + libm::exp(x / scale));
        let share = |k: i32| {
            let k = f64::from(k.abs());
            if k == 0.0 { 1.0 - 2.0 * tail(0.5) } else { tail(k - 0.5) - tail(k + 0.5) }
        };
        let weight = |share: f64| libm::round(PRIOR * share) as u64 + 1;
        (-reach..=reach).map(|k| weight(share(k))).chain([1]).collect()
    }

    /// Bits that each of −reach … reach costs by the prior, and what an escape costs.
    pub(super) fn costs(self) -> Costs {
        let prior = self.prior();
        let total = prior.iter().sum::<u64>() as f64;
        let bits: Vec<f64> = prior.iter().map(|&w| libm::log2(total / w as f64)).collect();
        Costs { reach: self.reach(), low_bits: self.low_bits(), bits }
    }

    /// The spread under which `counted` indices, each so many times, cost least.
    pub(super) fn fit(counted: &[(i32, u64)]) -> Self {
        if counted.iter().all(|&(index, _)| index == 0) {
            return Self::NONE;
        }
        let cost = |spread: Self| {
            let costs = spread.costs();
            counted.iter().map(|&(index, times)| costs.of(index) * times as f64).sum::<f64>()
        };
        // Bits fall and then rise with the scale: the section that holds the least is thirded.
        let (mut low, mut high) = (1_u8, u8::MAX);
        while high - low > 2 {
            let third = (high - low) / 3;
            let (a, b) = (low + third, high - third);
            if cost(Self(a)) <= cost(Self(b)) { high = b } else { low = a }
        }
        let least = (low..=high).map(|code| (cost(Self(code)), code));
        let least = least.min_by(|a, b| a.0.total_cmp(&b.0));
        Self(least.map_or(low, |(_, code)| code))
    }
}

/// Bits that an index costs by the prior.
#[derive(Debug, Clone)]
pub(super) struct Costs {
    reach: i32,
    low_bits: u32,
    bits: Vec<f64>,
}

impl Costs {
    pub(super) fn of(&self, index: i32) -> f64 {
        let high = index >> self.low_bits;
        let bits = match high.unsigned_abs() <= self.reach.unsigned_abs() {
            true => self.bits[(high + self.reach) as usize],
            false => self.bits[self.bits.len() - 1] + 32.0,
        };
        bits + f64::from(self.low_bits)
    }
}

/// The probabilities of one dimension.
struct Table {
    reach: i32,
    low_bits: u32,
    weights: Vec<u64>,
    model: DefaultContiguousCategoricalEntropyModel,
}

impl Table {
    fn new(spread: Spread) -> Result<Self> {
        let weights = spread.prior();
        let model = model(&weights)?;
        Ok(Self { reach: spread.reach(), low_bits: spread.low_bits(), weights, model })
    }

    fn escape(&self) -> usize {
        self.weights.len() - 1
    }

    fn count(&mut self, symbol: usize) {
        self.weights[symbol] += OBSERVATION;
    }
}

/// Probabilities in the proportion of weights, none of them 0.
fn model(weights: &[u64]) -> Result<DefaultContiguousCategoricalEntropyModel> {
    let total: u128 = weights.iter().map(|&weight| u128::from(weight)).sum();
    let free = u128::from((1_u64 << PRECISION) - weights.len() as u64);
    let share = |&weight: &u64| 1 + (u128::from(weight) * free / total) as u32;
    let mut shares: Vec<u32> = weights.iter().map(share).collect();
    // What rounding down left over goes where it is felt least.
    let left = (1_u32 << PRECISION) - shares.iter().sum::<u32>();
    if let Some(largest) = shares.iter_mut().max_by_key(|share| **share) {
        *largest += left;
    }
    DefaultContiguousCategoricalEntropyModel::from_nonzero_fixed_point_probabilities(&shares, false)
        .map_err(|()| Error::failure("code", "probabilities do not sum to 1", "report it"))
}

/// The tables of all dimensions, as far as rows were coded.
pub(super) struct Tables {
    tables: Vec<Option<Table>>,
    rows: usize,
    renew_at: usize,
}

impl Tables {
    /// As they are before the first row.
    pub(super) fn new(spreads: &[Spread]) -> Result<Self> {
        let table = |&spread: &Spread| match spread {
            Spread::NONE => Ok(None),
            spread => Table::new(spread).map(Some),
        };
        let tables = spreads.iter().map(table).collect::<Result<_>>()?;
        Ok(Self { tables, rows: 0, renew_at: FIRST_RENEWED })
    }

    /// The code words of rows of indices, one for each dimension.
    ///
    /// # Errors
    /// If a table cannot be made.
    pub(super) fn encode(&mut self, indices: &[i32]) -> Result<Vec<u32>> {
        let mut coder = DefaultRangeEncoder::new();
        for row in indices.chunks_exact(self.tables.len().max(1)) {
            for (table, &index) in self.tables.iter_mut().zip(row) {
                if let Some(table) = table {
                    encode_index(&mut coder, table, index)?;
                }
            }
            self.next_row()?;
        }
        Ok(coder.into_compressed().unwrap_infallible())
    }

    /// So many rows of indices from their code words; `None` where these are none.
    ///
    /// # Errors
    /// If a table cannot be made.
    pub(super) fn decode(&mut self, words: &[u32], rows: usize) -> Result<Option<Vec<i32>>> {
        let mut coder = DefaultRangeDecoder::from_compressed(words.to_vec()).unwrap_infallible();
        let mut indices = Vec::with_capacity(rows * self.tables.len());
        for _ in 0..rows {
            for table in &mut self.tables {
                let index = match table {
                    Some(table) => match decode_index(&mut coder, table) {
                        Some(index) => index,
                        None => return Ok(None),
                    },
                    None => 0,
                };
                indices.push(index);
            }
            self.next_row()?;
        }
        Ok(Some(indices))
    }

    /// Takes what was counted into the tables: after 16, 32, 64, … rows, later after every 1,024.
    fn next_row(&mut self) -> Result<()> {
        self.rows += 1;
        if self.rows < self.renew_at {
            return Ok(());
        }
        self.renew_at += self.rows.min(RENEWED);
        for table in self.tables.iter_mut().flatten() {
            table.model = model(&table.weights)?;
        }
        Ok(())
    }
}

fn encode_index(coder: &mut DefaultRangeEncoder, table: &mut Table, index: i32) -> Result<()> {
    let high = index >> table.low_bits;
    let within = high.unsigned_abs() <= table.reach.unsigned_abs();
    let symbol = if within { (high + table.reach) as usize } else { table.escape() };
    table.count(symbol);
    let coded = coder.encode_symbol(symbol, &table.model);
    coded.map_err(|error| Error::failure("code", format!("{error:?}"), "report it"))?;
    let (rest, bits) = if within { (index, table.low_bits) } else { (index, 32) };
    encode_bits(coder, rest as u32, bits)
}

fn decode_index(coder: &mut DefaultRangeDecoder, table: &mut Table) -> Option<i32> {
    let symbol: usize = coder.decode_symbol(&table.model).ok()?;
    table.count(symbol);
    if symbol == table.escape() {
        return decode_bits(coder, 32).map(|bits| bits as i32);
    }
    let low = decode_bits(coder, table.low_bits)?;
    let high = (symbol as i32 - table.reach).checked_shl(table.low_bits)?;
    Some(high | low as i32)
}

/// The lowest `bits` of a number, 16 at a time.
fn encode_bits(coder: &mut DefaultRangeEncoder, value: u32, bits: u32) -> Result<()> {
    for (at, width) in pieces(bits) {
        let piece = (value >> at) & ((1 << width) - 1);
        let coded = coder.encode_symbol(piece as usize, uniform(width));
        coded.map_err(|error| Error::failure("code", format!("{error:?}"), "report it"))?;
    }
    Ok(())
}

fn decode_bits(coder: &mut DefaultRangeDecoder, bits: u32) -> Option<u32> {
    pieces(bits).try_fold(0, |value, (at, width)| {
        let piece: usize = coder.decode_symbol(uniform(width)).ok()?;
        Some(value | (piece as u32) << at)
    })
}

/// Where the pieces of a number of so many bits begin, and their bits.
fn pieces(bits: u32) -> impl Iterator<Item = (u32, u32)> {
    (0..bits).step_by(16).map(move |at| (at, (bits - at).min(16)))
}

fn uniform(bits: u32) -> DefaultUniformModel {
    DefaultUniformModel::new(1 << bits)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::random::Random;

    fn there_and_back(spreads: &[Spread], indices: &[i32]) -> usize {
        let words = Tables::new(spreads).unwrap().encode(indices).unwrap();
        let rows = indices.len() / spreads.len();
        let back = Tables::new(spreads).unwrap().decode(&words, rows).unwrap().unwrap();
        assert_eq!(back, indices);
        32 * words.len()
    }

    /// The empirical entropy of each column, in bits of all rows.
    fn entropy(indices: &[i32], columns: usize) -> f64 {
        let rows = indices.len() / columns;
        let column = |column: usize| {
            let mut counts = std::collections::BTreeMap::new();
            let values = indices.iter().skip(column).step_by(columns);
            values.for_each(|&index| *counts.entry(index).or_insert(0_usize) += 1);
            let share = |count: usize| count as f64 / rows as f64;
            counts.into_values().map(|n| -(n as f64) * share(n).log2()).sum::<f64>()
        };
        (0..columns).map(column).sum()
    }

    /// Normal, which is not what the prior holds for likely.
    fn normal(rows: usize, deviations: &[f64]) -> Vec<i32> {
        let mut random = Random::stream(1, "indices");
        let mut draw = |d: &f64| (d * random.normal()).round() as i32;
        let row = |_| deviations.iter().map(&mut draw).collect::<Vec<_>>();
        (0..rows).flat_map(row).collect()
    }

    #[test]
    fn any_index_comes_back() {
        for code in [1, 20, 49, 90, 120, 160, 255] {
            let spread = [Spread(code)];
            there_and_back(&spread, &[0, 1, -1, 5, -77, 3_000, -100_000, i32::MAX, i32::MIN, 0]);
            there_and_back(&spread, &[]);
        }
    }

    #[test]
    fn what_never_varies_takes_no_bits() {
        assert_eq!(there_and_back(&[Spread::NONE; 3], &[0; 3000]), 0);
    }

    #[test]
    fn bits_are_the_entropy_within_two_percent() {
        let deviations = [0.3, 1.0, 4.0, 30.0];
        let indices = normal(20_000, &deviations);
        let counted = |column: usize| -> Vec<(i32, u64)> {
            indices.iter().skip(column).step_by(4).map(|&index| (index, 1)).collect()
        };
        let spreads: Vec<Spread> = (0..4).map(|column| Spread::fit(&counted(column))).collect();
        let (bits, bound) = (there_and_back(&spreads, &indices) as f64, entropy(&indices, 4));
        assert!(bits > bound && bits < 1.02 * bound, "{bits} bits, entropy {bound}");
    }

    #[test]
    fn the_best_spread_is_that_of_all() {
        let counted: Vec<(i32, u64)> =
            normal(2_000, &[2.5]).into_iter().map(|index| (index, 1)).collect();
        let cost = |code: u8| {
            let costs = Spread(code).costs();
            counted.iter().map(|&(index, _)| costs.of(index)).sum::<f64>()
        };
        let best = (1..=255).min_by(|&a, &b| cost(a).total_cmp(&cost(b))).unwrap();
        assert_eq!(Spread::fit(&counted), Spread(best));
    }
}
