//! The toy of superposition: 512 features in 256 dimensions, about five of them in a row, correlated.
//!
//! ```text
//! Σ = (U + Uᵀ)/2 − 1.001·λ_min·I      U (n, n) uniform on [0, 1);  the shift only where λ_min < 0
//! g ~ N(0, Σ),  pⱼ = κ·Φ(gⱼ)·γʲ       κ: such that Σⱼ pⱼ = a, the features that fire on average
//! zⱼ = u·v with chance pⱼ             u, v uniform on [0, 1);  where none fires, one does with z = v
//! x = Σⱼ zⱼ·Dⱼ                        D (n, d) random unit directions, no bias
//! ```
//!
//! Source: L. Sharkey et al., Taking features out of superposition with sparse autoencoders (2022); H.
//! Cunningham et al. (2023), `random_dataset.py` of their code, with the settings of their
//! `replicate_toy_models.py`: n = 512, d = 256, a = 5, γ = 0.99.
//! Differs from: g is drawn for each row, where that code draws one for each batch: a row has the same
//! distribution, but does not tell of its neighbours. p is kept at most 1.

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::directions::random_directions;
use super::firing::normal_cdf;
use super::{DrawCodes, KnownTruth, range, require};
use crate::compute::{Matrix, symmetric_eigen, wide};
use crate::error::Result;
use crate::random::Random;

/// What can be said of the toy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ToyKnobs {
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
    /// a: features that fire in a row, on average.
    pub active: f64,
    /// γ: how fast the rates fall from one feature to the next.
    pub decay: f64,
}

impl Default for ToyKnobs {
    fn default() -> Self {
        Self { features: 512, dim: 256, rows: 100_000, first: 0, seed: 0, active: 5.0, decay: 0.99 }
    }
}

impl ToyKnobs {
    /// Makes the truth; its rows are made as they are read.
    ///
    /// # Errors
    /// If a knob is out of range.
    pub fn generate(&self) -> Result<KnownTruth> {
        require((1..=4096).contains(&self.features), "features from 1 to 4,096", self.features)?;
        require((1..=1 << 20).contains(&self.dim), "dim from 1 to 1,048,576", self.dim)?;
        require(
            (0.0..=1.0).contains(&self.decay) && self.decay > 0.0,
            "decay in (0, 1]",
            self.decay,
        )?;
        let few = self.active > 0.0 && self.active <= self.features as f64;
        require(few, "active above 0 and at most as many as the features", self.active)?;
        let rows = range(self.first, self.rows)?;
        let directions = random_directions(self.features, self.dim, self.seed);
        let decay: Vec<f64> = (0..self.features).map(|j| self.decay.powi(j as i32)).collect();
        // Φ(g) is ½ on average for every feature, so κ is nearly the same in all rows.
        let together: f64 = decay.iter().sum();
        let rates = decay.iter().map(|d| (d * self.active / together).min(1.0)).collect();
        let factors = factors(self.features, self.seed)?;
        let codes = Box::new(Toy { seed: self.seed, active: self.active, decay, factors });
        Ok(KnownTruth { directions, bias: vec![0.0; self.dim], rates, codes, rows })
    }
}

struct Toy {
    seed: u64,
    active: f64,
    /// γʲ.
    decay: Vec<f64>,
    /// `(n, n)` with Σ = factorsᵀ·factors.
    factors: Matrix,
}

impl DrawCodes for Toy {
    fn draw(&self, row: u64, codes: &mut Vec<(u32, f32)>, scratch: &mut Vec<f32>) {
        let mut random = Random::numbered(self.seed, "row of the toy", &[row]);
        scratch.clear();
        scratch.resize(self.decay.len(), 0.0);
        for factor in self.factors.as_slice().chunks_exact(self.decay.len()) {
            let drawn = random.normal() as f32;
            wide(
                #[inline(always)]
                || scratch.iter_mut().zip(factor).for_each(|(g, &factor)| *g += drawn * factor),
            );
        }
        for (g, decay) in scratch.iter_mut().zip(&self.decay) {
            *g = (normal_cdf(f64::from(*g)) * decay) as f32;
        }
        let together: f64 = scratch.iter().map(|&p| f64::from(p)).sum();
        let scale = self.active / together;
        codes.clear();
        for (feature, &chance) in scratch.iter().enumerate() {
            if random.uniform() < scale * f64::from(chance) {
                codes.push((feature as u32, (random.uniform() * random.uniform()) as f32));
            }
        }
        if codes.is_empty() {
            codes.push((random.below(self.decay.len()) as u32, random.uniform() as f32));
        }
        codes.retain(|&(_, code)| code > 0.0);
    }
}

/// A root of Σ, its rows scaled eigenvectors.
pub(super) fn factors(n: usize, seed: u64) -> Result<Matrix> {
    let mut random = Random::stream(seed, "correlations of the toy");
    let drawn = Array2::from_shape_fn((n, n), |_| random.uniform());
    // No eigenvalue of numbers in [0, 1) lies below −n, so with n more all are positive.
    let lifted = Array2::from_shape_fn((n, n), |(i, j)| {
        0.5 * (drawn[[i, j]] + drawn[[j, i]]) + if i == j { n as f64 } else { 0.0 }
    });
    let eigen = symmetric_eigen(lifted.view())?;
    let lowest = eigen.values[n - 1] - n as f64;
    let shift = if lowest < 0.0 { 1.001 * lowest } else { 0.0 };
    let scales = eigen.values.mapv(|value| (value - n as f64 - shift).max(0.0).sqrt());
    let root = |(i, j)| (scales[i] * eigen.vectors[[i, j]]) as f32;
    Ok(Array2::from_shape_fn((n, n), root).into())
}
