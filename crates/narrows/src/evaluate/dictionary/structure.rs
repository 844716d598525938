//! How often latents fire, and how their atoms lie to each other.

use serde::{Deserialize, Serialize};

use super::super::matching::nearest_within;
use crate::compute::Matrix;

/// Atoms with a higher cosine say the same.
const SAME: f64 = 0.9;

/// The rates of latents that fired at all, counted on a logarithmic scale.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DensityHistogram {
    /// log₁₀ of the rate at the lower edge of the first bin. A bin holds its lower edge; the last also 0.
    pub lowest: f64,
    /// Width of a bin.
    pub step: f64,
    /// Latents in each bin.
    pub latents: Vec<usize>,
}

impl DensityHistogram {
    /// Counts rates above 0, in bins of a quarter of a power of ten, from the last that holds one.
    pub fn of(rates: &[f64]) -> Self {
        const STEP: f64 = 0.25;
        let bin = |rate: f64| (rate.log10() / STEP).floor().min(-1.0) as i64;
        let fired = rates.iter().filter(|rate| **rate > 0.0).map(|&rate| bin(rate));
        let lowest = fired.clone().min().unwrap_or(-1);
        let mut latents = vec![0; lowest.unsigned_abs() as usize];
        fired.for_each(|bin| latents[(bin - lowest) as usize] += 1);
        Self { lowest: lowest as f64 * STEP, step: STEP, latents }
    }
}

/// How atoms of a decoder lie to each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DecoderStructure {
    /// Mean over atoms of the largest cosine with another.
    pub mean_nearest_cosine: f64,
    /// The largest of all.
    pub largest_cosine: f64,
    /// The share of atoms with one nearer than a cosine of 0.9.
    pub near_share: f64,
    /// The atom that is nearest to each, and their cosine `(n)`; not kept in records.
    #[serde(skip)]
    pub nearest: Vec<(usize, f64)>,
}

impl DecoderStructure {
    /// Measures atoms `(n, d)` of any length: `2·n²·d` operations.
    pub fn of(decoder: &Matrix) -> Self {
        let nearest = nearest_within(decoder);
        let cosines = || nearest.iter().map(|(_, cosine)| *cosine);
        let count = nearest.len().max(1) as f64;
        Self {
            mean_nearest_cosine: cosines().sum::<f64>() / count,
            largest_cosine: cosines().fold(0.0, f64::max),
            near_share: cosines().filter(|cosine| *cosine > SAME).count() as f64 / count,
            nearest,
        }
    }
}
