//! The normal distribution that a fitted PCA implies.
//!
//! ```text
//! C    = V (Λ − σ²) Vᵀ + σ² I                                      (d, d)
//! C⁻¹  = V (1/Λ − 1/σ²) Vᵀ + 1/σ² I
//! ln p(x) = −½ [ d·ln 2π + Σ ln λᵢ + (d − k)·ln σ² + Σ zᵢ²/λᵢ + ‖r‖²/σ² ]
//! z = V (x − μ),   r = (x − μ) − Vᵀz
//! ```
//!
//! Of a row with missing values it is the density of the observed ones, the others integrated out.
//!
//! Source: Tipping and Bishop (1999). Differs from scikit-learn: also where n < d, and where no
//! noise is left the density is that on the component plane.

use ndarray::{Array1, Array2, ArrayView2, Axis};
use rayon::prelude::*;

use super::missing::{Parameters, log_likelihood_of_observed};
use super::{BLOCK, Pca};
use crate::compute::{Real, centred, multiply, multiply_add};
use crate::error::Result;

/// Noise below this share of the largest variance is rounding.
fn noise(pca: &Pca) -> f64 {
    let floor = pca.explained_variance[0] * f64::EPSILON * pca.mean.len() as f64;
    if pca.noise_variance > floor { pca.noise_variance } else { 0.0 }
}

pub(super) fn covariance(pca: &Pca) -> Array2<f64> {
    let noise = noise(pca);
    spread(pca, noise, |variance| variance - noise)
}

pub(super) fn precision(pca: &Pca) -> Array2<f64> {
    let inverse = if noise(pca) > 0.0 { 1.0 / noise(pca) } else { 0.0 };
    spread(pca, inverse, |variance| 1.0 / variance - inverse)
}

/// `V diag(scale(λ)) Vᵀ + diagonal·I`.
fn spread(pca: &Pca, diagonal: f64, scale: impl Fn(f64) -> f64) -> Array2<f64> {
    let mut scaled = pca.components.clone();
    for (mut axis, &variance) in scaled.rows_mut().into_iter().zip(&pca.explained_variance) {
        axis *= scale(variance);
    }
    let mut out = Array2::zeros((pca.mean.len(), pca.mean.len()));
    multiply(pca.components.t(), scaled.view(), out.view_mut());
    out.diag_mut().iter_mut().for_each(|value| *value += diagonal);
    out
}

pub(super) fn of_rows<T: Real>(pca: &Pca, x: ArrayView2<'_, T>) -> Result<Array1<f64>> {
    let (k, d) = pca.components.dim();
    let noise = noise(pca);
    let dimensions = if noise > 0.0 { d } else { k } as f64;
    let mut log_determinant = pca.explained_variance.mapv(f64::ln).sum();
    if noise > 0.0 {
        log_determinant += (d - k) as f64 * noise.ln();
    }
    let constant = dimensions * (2.0 * std::f64::consts::PI).ln() + log_determinant;
    let mut out = Array1::zeros(x.nrows());
    for (block, mut out) in
        x.axis_chunks_iter(Axis(0), BLOCK).zip(out.axis_chunks_iter_mut(Axis(0), BLOCK))
    {
        let mut rest: Array2<f64> = centred(block, &pca.mean);
        let mut codes = Array2::zeros((rest.nrows(), k));
        multiply(rest.view(), pca.components.t(), codes.view_mut());
        multiply_add(1.0, -1.0, codes.view(), pca.components.view(), rest.view_mut());
        for ((out, code), rest) in out.iter_mut().zip(codes.rows()).zip(rest.rows()) {
            let inside: f64 = code
                .iter()
                .zip(&pca.explained_variance)
                .map(|(z, variance)| z * z / variance)
                .sum();
            let outside = if noise > 0.0 { rest.dot(&rest) / noise } else { 0.0 };
            *out = -0.5 * (constant + inside + outside);
        }
    }
    let missing: Vec<usize> = (0..out.len()).filter(|&row| out[row].is_nan()).collect();
    let parameters = Parameters::of(pca);
    let of_observed = |&row: &usize| {
        let row = x.row(row).mapv(Real::to_f64);
        log_likelihood_of_observed(pca, &parameters, row.view(), noise)
    };
    let found: Vec<f64> = missing.par_iter().map(of_observed).collect::<Result<_>>()?;
    missing.iter().zip(found).for_each(|(&row, found)| out[row] = found);
    Ok(out)
}
