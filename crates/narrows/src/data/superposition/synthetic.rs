//! Superposed features as language models are thought to have them: many more than dimensions, most of
//! them rare, some below others, firing together more or less than by chance.
//!
//! ```text
//! pⱼ = p_min + (p_max − p_min)·(j^−s − n^−s)/(1 − n^−s)    j = 1 … n: Zipf, exponent s
//! fires                a normal copula: see `firing`; below a parent with p′: see `forest`
//! mⱼ = max(μⱼ + σⱼ·N(0, 1), 0)        μ falls evenly from 5 to 4 over the features,  σⱼ = |N(½, ½)|
//! zⱼ = mⱼ                             of a feature without a parent that fires
//! zⱼ = mⱼ·z_parent/μ_parent           of a child that fires, where its parent does (z_parent > 0) and
//!                                     it is the one of its siblings that fire with m > 0 drawn to stay
//! F = scale·N(0, 1) (n, r), rows of ‖F‖² > 0.99 shortened to that;  c: a random direction, length ‖c‖
//! ```
//!
//! The defaults are those of SynthSAEBench-16k: about 35 features fire in a row. Children are drawn only
//! where their parent fires; what a silent parent would switch off is never drawn.
//!
//! Source: D. Chanin and A. Garriga-Alonso, `SynthSAEBench`: evaluating sparse autoencoders on scalable
//! realistic synthetic data (2026), and its implementation, `sae_lens.synthetic` 6.54.
//! Differs from: the directions come to the same least loss by another way (see `directions`). Codes have
//! the same distribution; their numbers are those of another generator of random numbers.

use serde::{Deserialize, Serialize};

use super::directions::{random_directions, spread_out, to_length};
use super::firing::{fire, normal_cdf, score, threshold};
use super::forest::Forest;
use super::{DrawCodes, KnownTruth, range, require};
use crate::compute::Matrix;
use crate::error::Result;
use crate::random::Random;

/// The magnitude of the most and of the least frequent feature.
const MAGNITUDES: (f64, f64) = (5.0, 4.0);
/// What ‖F‖² of a feature may be at most, so that something of its own is left.
const MOST_SHARED: f64 = 0.99;

/// What can be said of superposed features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SuperpositionKnobs {
    /// Features n.
    pub features: usize,
    /// Columns d of a row.
    pub dim: usize,
    /// Rows.
    pub rows: usize,
    /// The number of the first row: other rows of the same truth, to measure on.
    pub first: usize,
    /// Names the truth and the rows.
    pub seed: u64,
    /// s: how fast rates fall.
    pub exponent: f64,
    /// p of the most frequent feature.
    pub max_rate: f64,
    /// p of the rarest.
    pub min_rate: f64,
    /// Trees of features; 0 for none.
    pub roots: usize,
    /// Children of a feature that has any.
    pub children: usize,
    /// Levels below the roots.
    pub depth: usize,
    /// Factors r that features share; 0 for independent features.
    pub rank: usize,
    /// The standard deviation of the entries of F.
    pub correlation: f64,
    /// Mean and standard deviation of the normal distribution that σ is folded from.
    pub spread: f64,
    /// ‖c‖.
    pub bias: f64,
    /// Rounds that spread the directions out; 0 leaves them random.
    pub rounds: usize,
}

impl Default for SuperpositionKnobs {
    /// SynthSAEBench-16k, 100,000 rows.
    fn default() -> Self {
        Self {
            features: 16_384,
            dim: 768,
            rows: 100_000,
            first: 0,
            seed: 0,
            exponent: 0.5,
            max_rate: 0.4,
            min_rate: 5e-4,
            roots: 128,
            children: 4,
            depth: 3,
            rank: 25,
            correlation: 0.1,
            spread: 0.5,
            bias: 0.5,
            rounds: 2,
        }
    }
}

impl SuperpositionKnobs {
    /// Makes the truth; its rows are made as they are read.
    ///
    /// Takes about `3·rounds·n·d²` operations.
    ///
    /// # Errors
    /// If a knob is out of range.
    pub fn generate(&self) -> Result<KnownTruth> {
        self.check()?;
        let rows = range(self.first, self.rows)?;
        let random = random_directions(self.features, self.dim, self.seed);
        let directions = spread_out(random, self.rounds)?;
        let mut random = Random::stream(self.seed, "bias of superposed features");
        let mut bias: Vec<f32> = (0..self.dim).map(|_| random.normal() as f32).collect();
        to_length(&mut bias, self.bias);
        let rates = self.rates();
        let codes = Box::new(Features::new(self, &rates));
        Ok(KnownTruth { directions, bias, rates, codes, rows })
    }

    fn check(&self) -> Result<()> {
        let shape = format!("{} features in {} dimensions", self.features, self.dim);
        let sizes = 1..=1 << 24;
        let sized = sizes.contains(&self.features) && sizes.contains(&self.dim);
        require(sized, "features and dim between 1 and 16,777,216", shape)?;
        require(
            self.exponent > 0.0 && self.exponent <= 10.0,
            "exponent in (0, 10]",
            self.exponent,
        )?;
        let rates = format!("min_rate={} and max_rate={}", self.min_rate, self.max_rate);
        let ordered = 0.0 < self.min_rate && self.min_rate <= self.max_rate && self.max_rate <= 1.0;
        require(ordered, "0 < min_rate ≤ max_rate ≤ 1", rates)?;
        require((2..=1 << 20).contains(&self.children), "children of at least 2", self.children)?;
        require(self.depth <= 24, "depth of at most 24", self.depth)?;
        require(self.rank <= 1024, "rank of at most 1,024", self.rank)?;
        let scales =
            [("correlation", self.correlation), ("spread", self.spread), ("bias", self.bias)];
        for (name, scale) in scales {
            let expected = format!("{name} between 0 and 1000");
            require((0.0..=1000.0).contains(&scale), &expected, scale)?;
        }
        require(self.rounds <= 100, "rounds of at most 100", self.rounds)
    }

    /// p `(n)`.
    fn rates(&self) -> Vec<f64> {
        let zipf = |rank: usize| (rank as f64).powf(-self.exponent);
        let last = zipf(self.features);
        let share = |rank| if rank == 1 { 1.0 } else { (zipf(rank) - last) / (1.0 - last) };
        let between = self.max_rate - self.min_rate;
        (1..=self.features).map(|rank| self.min_rate + between * share(rank)).collect()
    }
}

/// What codes are drawn from.
struct Features {
    seed: u64,
    forest: Forest,
    rank: usize,
    /// The features without a parent, in rising order.
    free: Vec<u32>,
    /// F/√(1 − ‖F‖²) of these, factor by factor `(r, free)`, and t/√(1 − ‖F‖²).
    free_loadings: Vec<f32>,
    free_cuts: Vec<f32>,
    /// The same of all features `(n, r)` and `(n)`.
    loadings: Matrix,
    cuts: Vec<f32>,
    /// μ and σ `(n)`.
    means: Vec<f32>,
    spreads: Vec<f32>,
}

impl Features {
    fn new(knobs: &SuperpositionKnobs, rates: &[f64]) -> Self {
        let (n, rank) = (knobs.features, knobs.rank);
        let forest = Forest::new(n, knobs.roots, knobs.children, knobs.depth);
        let (loadings, own) = loadings(knobs);
        let given = forest.given_parent(rates);
        let cuts: Vec<f32> =
            given.iter().zip(&own).map(|(&p, &own)| (threshold(p) / own) as f32).collect();
        let free: Vec<u32> = (0..n as u32).filter(|&j| stands_free(&forest, j as usize)).collect();
        let mut free_loadings = Vec::with_capacity(rank * free.len());
        for factor in 0..rank {
            free_loadings.extend(free.iter().map(|&j| loadings.row(j as usize)[factor]));
        }
        let free_cuts = free.iter().map(|&j| cuts[j as usize]).collect();
        let (first, last) = MAGNITUDES;
        let step = (last - first) / (n.max(2) - 1) as f64;
        let means = (0..n).map(|j| (first + step * j as f64) as f32).collect();
        let mut random = Random::stream(knobs.seed, "spreads of superposed features");
        let spread = |_| (knobs.spread * (1.0 + random.normal())).abs() as f32;
        let spreads = (0..n).map(spread).collect();
        let seed = knobs.seed;
        Self { seed, forest, rank, free, free_loadings, free_cuts, loadings, cuts, means, spreads }
    }

    /// `max(μ + σ·N(0, 1), 0)`.
    fn magnitude(&self, feature: usize, random: &mut Random) -> f32 {
        (self.means[feature] + self.spreads[feature] * random.normal() as f32).max(0.0)
    }

    /// The child of a feature that fires, if one does, and its magnitude.
    fn child(&self, parent: usize, factors: &[f32], random: &mut Random) -> Option<(usize, f32)> {
        let mut chosen = None;
        let mut alive = 0;
        for child in self.forest.children(parent) {
            let shared = factors.iter().zip(self.loadings.row(child));
            let score = shared.fold(-self.cuts[child], |sum, (factor, f)| sum + factor * f);
            if random.uniform() >= normal_cdf(f64::from(score)) {
                continue;
            }
            let magnitude = self.magnitude(child, random);
            if magnitude > 0.0 {
                alive += 1;
                // Each of those alive so far is the chosen one with the same chance.
                if alive == 1 || random.below(alive) == 0 {
                    chosen = Some((child, magnitude));
                }
            }
        }
        chosen
    }
}

impl DrawCodes for Features {
    fn draw(&self, row: u64, codes: &mut Vec<(u32, f32)>, scratch: &mut Vec<f32>) {
        let mut random = Random::numbered(self.seed, "row of superposed features", &[row]);
        let factors: Vec<f32> = (0..self.rank).map(|_| random.normal() as f32).collect();
        score(&self.free_loadings, &self.free_cuts, &factors, scratch);
        codes.clear();
        fire(scratch, &mut random, |place| codes.push((self.free[place], 0.0)));
        for (feature, code) in codes.iter_mut() {
            *code = self.magnitude(*feature as usize, &mut random);
        }
        codes.retain(|&(_, code)| code > 0.0);
        let mut next = 0;
        while next < codes.len() {
            let (parent, code) = (codes[next].0 as usize, codes[next].1);
            if let Some((child, magnitude)) = self.child(parent, &factors, &mut random) {
                codes.push((child as u32, magnitude * (code / self.means[parent])));
            }
            next += 1;
        }
        codes.sort_unstable_by_key(|&(feature, _)| feature);
    }
}

fn stands_free(forest: &Forest, feature: usize) -> bool {
    feature < forest.roots() || feature >= forest.end()
}

/// `F/√(1 − ‖F‖²)` `(n, r)` and `√(1 − ‖F‖²)` `(n)`.
fn loadings(knobs: &SuperpositionKnobs) -> (Matrix, Vec<f64>) {
    let mut loadings = Matrix::zeros(knobs.features, knobs.rank);
    let mut own = vec![1.0; knobs.features];
    let mut random = Random::stream(knobs.seed, "loadings of superposed features");
    let rows = loadings.as_mut_slice().chunks_exact_mut(knobs.rank.max(1));
    for (row, own) in rows.zip(&mut own) {
        let drawn: Vec<f64> = row.iter().map(|_| knobs.correlation * random.normal()).collect();
        let shared = drawn.iter().map(|value| value * value).sum::<f64>();
        let kept = if shared > MOST_SHARED { (MOST_SHARED / shared).sqrt() } else { 1.0 };
        *own = (1.0 - shared * kept * kept).sqrt();
        row.iter_mut().zip(drawn).for_each(|(to, value)| *to = (value * kept / *own) as f32);
    }
    (loadings, own)
}

/// F `(n, r)` itself, to check what the rows show against it.
#[cfg(test)]
pub(super) fn loadings_for_tests(knobs: &SuperpositionKnobs) -> Vec<Vec<f64>> {
    let (scaled, own) = loadings(knobs);
    let row = |j: usize| scaled.row(j).iter().map(|f| f64::from(*f) * own[j]).collect();
    (0..knobs.features).map(row).collect()
}
