//! Directions that interfere as little as so many can.
//!
//! ```text
//! D (n, d) unit rows      loss Σ_{i≠j} (Dᵢ·Dⱼ)² = ‖DᵀD‖² − n      ≥ n²/d − n for n ≥ d, 0 for n ≤ d
//! n > d, each round:  D ← D·(DᵀD·d/n)^(−1/2), rows brought back to length 1
//! n ≤ d:              orthonormal rows
//! ```
//!
//! The loss is least for a tight frame, DᵀD = n/d·I. A round goes to the nearest tight frame and back
//! to unit rows; two reach the least loss in f32.
//!
//! Source: J. Tropp et al., Designing structured tight frames via an alternating projection method
//! (2005).
//! Differs from: `orthogonalize_embeddings` of `SAELens` goes down the same loss by steps of Adam through
//! all n² products. At n = 4096, d = 192 its 100 steps at 3e-4 come to 1.000004 of the least loss, two
//! rounds to 1.0000001, from 1.049 at random, with the same mean largest |cosine|, 0.265. The products of
//! columns, d², need n/d times less work, and there is no step length.

use ndarray::{Array2, Axis};
use rayon::prelude::*;

use crate::compute::{Matrix, add_cross_products, multiply, orthonormal_rows, symmetric_eigen};
use crate::error::Result;
use crate::random::Random;

/// Random unit directions `(features, dim)`, uniform on the sphere.
pub(super) fn random_directions(features: usize, dim: usize, seed: u64) -> Matrix {
    let mut directions = Matrix::zeros(features, dim);
    directions.as_mut_slice().par_chunks_mut(dim).enumerate().for_each(|(index, row)| {
        let mut random = Random::numbered(seed, "direction", &[index as u64]);
        row.iter_mut().for_each(|value| *value = random.normal() as f32);
        to_length(row, 1.0);
    });
    directions
}

/// Brings directions towards the least loss, in `rounds` rounds.
///
/// # Errors
/// If the eigenvalues cannot be computed.
pub(super) fn spread_out(mut directions: Matrix, rounds: usize) -> Result<Matrix> {
    let (features, dim) = (directions.rows(), directions.cols());
    if rounds == 0 {
        return Ok(directions);
    }
    if features <= dim {
        let rows = orthonormal_rows(&directions.view().mapv(f64::from));
        return Ok(Matrix::from(rows.mapv(|value| value as f32)));
    }
    let mut moved = Matrix::zeros(features, dim);
    for _ in 0..rounds {
        let turn = inverse_root(&directions, features as f64 / dim as f64)?;
        multiply(directions.view(), turn.view(), moved.view_mut());
        moved.as_mut_slice().par_chunks_mut(dim).for_each(|row| to_length(row, 1.0));
        std::mem::swap(&mut directions, &mut moved);
    }
    Ok(directions)
}

/// `(DᵀD / scale)^(−1/2)`, `(d, d)`.
fn inverse_root(directions: &Matrix, scale: f64) -> Result<Array2<f32>> {
    let dim = directions.cols();
    let mut products = Array2::<f64>::zeros((dim, dim));
    // Pieces of rows, so that sums in f32 stay short.
    for rows in directions.view().axis_chunks_iter(Axis(0), 1024) {
        add_cross_products([(rows, products.view_mut())], &mut Vec::new());
    }
    for row in 0..dim {
        for column in 0..row {
            products[[row, column]] = products[[column, row]];
        }
    }
    let eigen = symmetric_eigen(products.view())?;
    // Directions that leave a column out, possible only by chance, must not be divided by zero.
    let roots = eigen.values.mapv(|value| (scale / value.max(1e-9 * scale)).powf(0.25));
    let half = &eigen.vectors * &roots.insert_axis(Axis(1));
    let mut root = Array2::zeros((dim, dim));
    multiply(half.t(), half.view(), root.view_mut());
    Ok(root.mapv(|value| value as f32))
}

/// Brings a row to a length.
pub(super) fn to_length(row: &mut [f32], length: f64) {
    let norm = row.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
    row.iter_mut().for_each(|value| *value = (f64::from(*value) * length / norm) as f32);
}
