//! The order in which rows are visited: a permutation for every epoch that no table holds.
//!
//! Position `p` of a training is step `p mod n` of epoch `⌊p / n⌋`, `n` the number of rows. Its row is
//! `π(p mod n)` with a keyed permutation `π` of `0 … n − 1` for every seed and epoch, so that every row
//! comes once an epoch and any position can be gone on from:
//!
//! ```text
//! (l, r) ← (r, l ⊕ F(r, key_i))    i = 1 … 8,  l, r the halves of a number of b bits, n ≤ 2ᵇ
//! again while the result is ≥ n     ("cycle walking": less than twice on average, b being least)
//! ```
//!
//! where `F` are low bits of the mixing function of SplitMix64. With `b` odd the halves differ by a bit
//! and change places.
//!
//! [`Shuffle::Blocks`] keeps neighbours near for disks that read long stretches faster than single rows:
//! the rows, as a ring from a random first row on, are cut into blocks; the blocks are permuted; the rows
//! within each sixteen blocks that follow each other are permuted. The last block, which may be short,
//! stays last; where the ring begins is drawn for every epoch, so that no rows are always last.
//!
//! Source: J. Black, P. Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002 (cycle walking);
//! G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014 (mixing).
//! Differs from: a list of shuffled places, which needs 8 bytes for every row.

use crate::random::Random;

/// Blocks whose rows are mixed with each other.
const WINDOW: usize = 16;
const ROUNDS: usize = 8;
/// Fewest bits: of smaller numbers the halves would be too few for rounds to mix them.
const FEWEST_BITS: u32 = 8;

/// How rows are mixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shuffle {
    /// As they lie.
    None,
    /// Every order is as likely as any other.
    Global,
    /// Blocks of so many rows, mixed within sixteen blocks that are anywhere.
    Blocks {
        /// Rows that lie together, at least 1.
        rows: usize,
    },
}

/// Which row comes when.
#[derive(Debug, Clone)]
pub struct Order {
    seed: u64,
    rows: usize,
    shuffle: Shuffle,
}

impl Order {
    /// The order of `rows` rows, another for every seed.
    ///
    /// # Panics
    /// If there are no rows, or blocks without rows: the caller's mistake.
    pub fn new(seed: u64, rows: usize, shuffle: Shuffle) -> Self {
        assert!(rows > 0, "an order of no rows");
        assert!(shuffle != Shuffle::Blocks { rows: 0 }, "blocks without rows");
        Self { seed, rows, shuffle }
    }

    /// Number of rows, which is the length of an epoch.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The row at a position, counted over all epochs.
    pub fn place(&self, position: u64) -> usize {
        let mut place = [0];
        self.places(position, &mut place);
        place[0]
    }

    /// The rows at the positions from `first` on: cheaper than one by one.
    pub fn places(&self, first: u64, places: &mut [usize]) {
        let length = self.rows as u64;
        let mut position = first;
        let mut rest = places;
        while !rest.is_empty() {
            let (epoch, step) = (position / length, (position % length) as usize);
            let (part, after) = rest.split_at_mut(rest.len().min(self.rows - step));
            let draw = Epoch::new(self, epoch);
            part.iter_mut().enumerate().for_each(|(i, place)| *place = draw.place(step + i));
            position += part.len() as u64;
            rest = after;
        }
    }
}

/// What is drawn for one epoch.
enum Epoch {
    AsTheyLie,
    Global(Permutation),
    Blocks(Blocks),
}

impl Epoch {
    fn new(order: &Order, epoch: u64) -> Self {
        let mut random = Random::numbered(order.seed, "order of rows", &[epoch]);
        match order.shuffle {
            Shuffle::None => Self::AsTheyLie,
            Shuffle::Global => Self::Global(Permutation::new(Keys::draw(&mut random), order.rows)),
            Shuffle::Blocks { rows } => Self::Blocks(Blocks::draw(&mut random, order.rows, rows)),
        }
    }

    fn place(&self, step: usize) -> usize {
        match self {
            Self::AsTheyLie => step,
            Self::Global(permutation) => permutation.of(step),
            Self::Blocks(blocks) => blocks.place(step),
        }
    }
}

/// Blocks of a ring of rows.
struct Blocks {
    rows: usize,
    block: usize,
    /// The row with which the ring begins.
    first: usize,
    /// The order of the blocks that are whole.
    order: Permutation,
    within: Keys,
}

impl Blocks {
    fn draw(random: &mut Random, rows: usize, block: usize) -> Self {
        let block = block.min(rows);
        let first = random.below(rows);
        let order = Permutation::new(Keys::draw(random), rows / block);
        Self { rows, block, first, order, within: Keys::draw(random) }
    }

    fn place(&self, step: usize) -> usize {
        let length = self.block.saturating_mul(WINDOW);
        let (window, start) = (step / length, step / length * length);
        let keys = self.within.of_window(window as u64);
        let mixed = start + Permutation::new(keys, length.min(self.rows - start)).of(step - start);
        let (block, row) = (mixed / self.block, mixed % self.block);
        let whole = self.rows / self.block;
        let block = if block < whole { self.order.of(block) } else { block };
        // Of two numbers below `rows`, which a vector of rows bounds: the sum fits.
        (self.first + block * self.block + row) % self.rows
    }
}

#[derive(Clone, Copy)]
struct Keys([u64; ROUNDS]);

impl Keys {
    fn draw(random: &mut Random) -> Self {
        let mut word = || (random.below(1 << 32) as u64) << 32 | random.below(1 << 32) as u64;
        Self(std::array::from_fn(|_| word()))
    }

    fn of_window(self, window: u64) -> Self {
        Self(self.0.map(|key| mix(key ^ mix(window))))
    }
}

/// A keyed permutation of `0 … count − 1`.
struct Permutation {
    keys: Keys,
    count: u64,
    /// Bits of the left and of the right half.
    halves: [u32; 2],
}

impl Permutation {
    fn new(keys: Keys, count: usize) -> Self {
        let count = count as u64;
        let bits = (u64::BITS - count.saturating_sub(1).leading_zeros()).max(FEWEST_BITS);
        Self { keys, count, halves: [bits / 2, bits - bits / 2] }
    }

    fn of(&self, index: usize) -> usize {
        let mut number = index as u64;
        loop {
            number = self.rounds(number);
            if number < self.count {
                return number as usize;
            }
        }
    }

    fn rounds(&self, number: u64) -> u64 {
        let [mut left_bits, mut right_bits] = self.halves;
        let mut left = number >> right_bits;
        let mut right = number & low(right_bits);
        for key in self.keys.0 {
            let mixed = left ^ (mix(right ^ key) & low(left_bits));
            (left, right) = (right, mixed);
            (left_bits, right_bits) = (right_bits, left_bits);
        }
        left << right_bits | right
    }
}

/// A number of so many ones.
fn low(bits: u32) -> u64 {
    (1 << bits) - 1
}

/// The mixing function of SplitMix64, by which every bit of the result depends on all of `x`.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(order: &Order, epoch: u64) -> Vec<usize> {
        let mut places = vec![0; order.rows()];
        order.places(epoch * order.rows() as u64, &mut places);
        places
    }

    fn shuffles() -> [Shuffle; 5] {
        let blocks = |rows| Shuffle::Blocks { rows };
        [Shuffle::None, Shuffle::Global, blocks(1), blocks(7), blocks(1000)]
    }

    #[test]
    fn every_row_comes_once_in_every_epoch() {
        for shuffle in shuffles() {
            for rows in [1, 2, 3, 5, 16, 17, 255, 256, 257, 1000, 4099] {
                for number in 0..3 {
                    let mut places = epoch(&Order::new(1, rows, shuffle), number);
                    places.sort_unstable();
                    assert!(places.into_iter().eq(0..rows), "{shuffle:?} of {rows}");
                }
            }
        }
    }

    #[test]
    fn any_position_can_be_asked_for_alone() {
        for shuffle in shuffles() {
            let order = Order::new(5, 301, shuffle);
            let mut places = vec![0; 1000];
            order.places(250, &mut places);
            for (i, &place) in places.iter().enumerate() {
                assert_eq!(order.place(250 + i as u64), place, "{shuffle:?}");
            }
        }
    }

    #[test]
    fn orders_differ_by_seed_and_epoch() {
        for shuffle in &shuffles()[1..] {
            let order = |seed| Order::new(seed, 5000, *shuffle);
            let common = |a: &[usize], b: &[usize]| a.iter().zip(b).filter(|(a, b)| a == b).count();
            let first = epoch(&order(1), 0);
            assert!(common(&first, &epoch(&order(1), 1)) < 50, "{shuffle:?}");
            assert!(common(&first, &epoch(&order(2), 0)) < 50, "{shuffle:?}");
            assert_eq!(first, epoch(&order(1), 0));
        }
    }

    #[test]
    fn the_first_rows_never_change() {
        let first = |shuffle| {
            let order = Order::new(7, 1_000_000, shuffle);
            (0..6).map(|position| order.place(position)).collect::<Vec<_>>()
        };
        assert_eq!(first(Shuffle::Global), GLOBAL);
        assert_eq!(first(Shuffle::Blocks { rows: 512 }), BLOCKS);
    }
    const GLOBAL: [usize; 6] = [991_588, 774_372, 759_270, 234_521, 305_509, 455_008];
    const BLOCKS: [usize; 6] = [212_284, 324_229, 471_443, 138_532, 586_327, 138_593];

    /// `Σ (observed − expected)² / expected`.
    fn chi_squared(counts: &[usize], expected: f64) -> f64 {
        counts.iter().map(|&count| (count as f64 - expected).powi(2) / expected).sum()
    }

    /// All 120 orders of five rows are as likely, as χ² of 119 degrees of freedom says.
    #[test]
    fn every_order_of_few_rows_is_as_likely() {
        let mut counts = std::collections::BTreeMap::new();
        let draws = 60_000;
        for seed in 0..draws {
            *counts.entry(epoch(&Order::new(seed, 5, Shuffle::Global), 0)).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 120);
        let counts: Vec<usize> = counts.into_values().collect();
        let statistic = chi_squared(&counts, draws as f64 / 120.0);
        // The 0.1 % and 99.9 % points.
        assert!((75.0..172.0).contains(&statistic), "χ² = {statistic}");
    }

    /// Which row comes at a step, and how far the next one is, is as likely for all of 64 × 64.
    #[test]
    fn rows_are_as_likely_at_every_step_and_after_every_row() {
        for shuffle in [Shuffle::Global, Shuffle::Blocks { rows: 4 }] {
            let (rows, epochs) = (64, 12_800);
            let order = Order::new(3, rows, shuffle);
            let mut at = vec![0; rows * rows];
            let mut after = vec![0; rows * rows];
            for number in 0..epochs {
                let places = epoch(&order, number);
                places.iter().enumerate().for_each(|(step, &row)| at[step * rows + row] += 1);
                places.windows(2).for_each(|pair| after[pair[0] * rows + pair[1]] += 1);
            }
            // 63 · 63 degrees of freedom: mean 3969, standard deviation 89.
            let statistic = chi_squared(&at, epochs as f64 / rows as f64);
            assert!((statistic - 3969.0).abs() < 4.0 * 89.0, "{shuffle:?}: χ² = {statistic}");
            after.retain(|&count| count > 0);
            assert_eq!(after.len(), rows * (rows - 1));
            let statistic = chi_squared(&after, epochs as f64 / rows as f64);
            assert!(
                (statistic - 3969.0).abs() < 4.0 * 89.0,
                "{shuffle:?}: pairs, χ² = {statistic}"
            );
        }
    }

    #[test]
    fn blocks_keep_neighbours_near() {
        let order = Order::new(9, 100_000, Shuffle::Blocks { rows: 100 });
        let mut window = vec![0; WINDOW * 100];
        order.places(2 * window.len() as u64, &mut window);
        assert!(!window.is_sorted());
        window.sort_unstable();
        let runs = 1 + window.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
        assert!((8..=WINDOW + 1).contains(&runs), "{runs} stretches");
    }
}
