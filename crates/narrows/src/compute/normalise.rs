//! Numbers brought to mean 0 and variance 1 on their way from layer to layer.
//!
//! ```text
//! x̂ = (x − mean)/√(variance + ε),   y = x̂ ⊙ γ + β      x, x̂, y: (n, d)   γ, β: (d,)   ε = 1e-5
//!
//! batch: mean and variance (divided by n) of each column      layer: of each row (divided by d)
//!
//! With G = ∂L/∂y and D = G ⊙ γ:
//! ∂L/∂γ = Σᵢ Gᵢ ⊙ x̂ᵢ       ∂L/∂β = Σᵢ Gᵢ
//! ∂L/∂x = (D − mean(D) − x̂ ⊙ mean(D ⊙ x̂))/√(variance + ε)    means over the same numbers as above
//! ```
//!
//! Source: S. Ioffe and C. Szegedy, Batch normalization (2015); J. Ba, J. Kiros and G. Hinton, Layer
//! normalization (2016).

use rayon::prelude::*;

use super::elementwise::wide;
use super::vectors::{dot, lane_sum};
use super::{Matrix, Real};

/// ε.
const EPSILON: f64 = 1e-5;
/// Rows that one task handles, and columns that one task sums.
const PIECE: usize = 64;
const STRIP: usize = 64;

/// What a pass forward leaves for the pass back.
#[derive(Debug, Clone, Default)]
pub struct Normalised<T> {
    /// x̂ `(n, d)`.
    pub values: Matrix<T>,
    /// `1/√(variance + ε)`: of each column (batch) or each row (layer).
    pub scales: Vec<T>,
}

/// Normalises the columns of `rows` in place to x̂; gives their means and variances.
pub fn normalise_columns<T: Real>(
    rows: &mut Matrix<T>,
    kept: &mut Normalised<T>,
) -> (Vec<T>, Vec<T>) {
    let (count, cols) = (T::from_f64(rows.rows() as f64), rows.cols());
    let (mut means, mut variances) = (vec![T::ZERO; cols], vec![T::ZERO; cols]);
    let source = &*rows;
    means.par_chunks_mut(STRIP).zip(variances.par_chunks_mut(STRIP)).enumerate().for_each(
        |(strip, (means, variances))| {
            let columns = strip * STRIP..strip * STRIP + means.len();
            for row in source.as_slice().chunks_exact(cols.max(1)) {
                means.iter_mut().zip(&row[columns.clone()]).for_each(|(m, &x)| *m += x);
            }
            means.iter_mut().for_each(|mean| *mean = *mean / count);
            for row in source.as_slice().chunks_exact(cols.max(1)) {
                let pairs = means.iter().zip(&row[columns.clone()]);
                for (variance, (&mean, &x)) in variances.iter_mut().zip(pairs) {
                    *variance += (x - mean) * (x - mean);
                }
            }
            variances.iter_mut().for_each(|variance| *variance = *variance / count);
        },
    );
    kept.scales = variances.iter().map(|&variance| inverse_root(variance)).collect();
    shift_and_scale(rows, &means, &kept.scales);
    copy(rows, &mut kept.values);
    (means, variances)
}

/// `(x − means) · scales` in place, column by column.
pub fn shift_and_scale<T: Real>(rows: &mut Matrix<T>, means: &[T], scales: &[T]) {
    let cols = rows.cols().max(1);
    rows.as_mut_slice().par_chunks_mut(PIECE * cols).for_each(|piece| {
        for row in piece.chunks_exact_mut(cols) {
            for ((x, &mean), &scale) in row.iter_mut().zip(means).zip(scales) {
                *x = (*x - mean) * scale;
            }
        }
    });
}

/// `1/√(variance + ε)`.
pub fn inverse_root<T: Real>(variance: T) -> T {
    T::ONE / (variance + T::from_f64(EPSILON)).sqrt()
}

/// Normalises each row in place to x̂, and keeps what the pass back needs where asked.
pub fn normalise_rows<T: Real>(rows: &mut Matrix<T>, kept: Option<&mut Normalised<T>>) {
    let cols = rows.cols().max(1);
    let width = T::from_f64(cols as f64);
    let mut scales = vec![T::ZERO; rows.rows()];
    rows.as_mut_slice().par_chunks_mut(PIECE * cols).zip(scales.par_chunks_mut(PIECE)).for_each(
        |(piece, scales)| {
            for (row, scale) in piece.chunks_exact_mut(cols).zip(scales) {
                let mean = row.iter().copied().sum::<T>() / width;
                row.iter_mut().for_each(|x| *x -= mean);
                let variance = row.iter().map(|&x| x * x).sum::<T>() / width;
                *scale = inverse_root(variance);
                row.iter_mut().for_each(|x| *x = *x * *scale);
            }
        },
    );
    if let Some(kept) = kept {
        kept.scales = scales;
        copy(rows, &mut kept.values);
    }
}

/// Which numbers of a row are brought to 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowNorm {
    /// The deviation from the mean: `(x − mean)/√(variance + ε)`.
    Layer,
    /// The root of the mean square: `x/√(mean x² + ε)`.
    RootMeanSquare,
}

/// `out = x̂ ⊙ γ + β` of each row, x̂ as `norm` says with its own ε; without β where that is empty.
///
/// Source of the root of the mean square: B. Zhang and R. Sennrich, Root mean square layer normalization (2019).
///
/// # Panics
/// If γ or β has another length than a row: the caller's mistake.
pub fn normalise_rows_into(
    rows: &Matrix,
    norm: RowNorm,
    epsilon: f32,
    gamma: &[f32],
    beta: &[f32],
    out: &mut Matrix,
) {
    let cols = rows.cols();
    assert!(gamma.len() == cols && (beta.is_empty() || beta.len() == cols), "norm: shapes differ");
    out.reshape(rows.rows(), cols);
    let pieces = out.as_mut_slice().par_chunks_mut(PIECE * cols.max(1));
    pieces.zip(rows.as_slice().par_chunks(PIECE * cols.max(1))).for_each(|(out, rows)| {
        for (out, row) in out.chunks_exact_mut(cols).zip(rows.chunks_exact(cols)) {
            wide(
                #[inline(always)]
                || normalise_row(row, norm, epsilon, gamma, beta, out),
            );
        }
    });
}

#[inline(always)]
fn normalise_row(
    row: &[f32],
    norm: RowNorm,
    epsilon: f32,
    gamma: &[f32],
    beta: &[f32],
    out: &mut [f32],
) {
    out.copy_from_slice(row);
    let share = 1.0 / row.len() as f32;
    if norm == RowNorm::Layer {
        let mean = share * lane_sum(row);
        for x in out.iter_mut() {
            *x -= mean;
        }
    }
    let scale = 1.0 / (share * dot(out, out) + epsilon).sqrt();
    for (x, gamma) in out.iter_mut().zip(gamma) {
        *x = *x * scale * gamma;
    }
    for (x, beta) in out.iter_mut().zip(beta) {
        *x += beta;
    }
}

/// `y = x̂ ⊙ γ + β` in place.
pub fn stretch<T: Real>(rows: &mut Matrix<T>, gamma: &[T], beta: &[T]) {
    let cols = rows.cols().max(1);
    rows.as_mut_slice().par_chunks_mut(PIECE * cols).for_each(|piece| {
        for row in piece.chunks_exact_mut(cols) {
            for ((x, &gamma), &beta) in row.iter_mut().zip(gamma).zip(beta) {
                *x = *x * gamma + beta;
            }
        }
    });
}

/// `Σᵢ Gᵢ ⊙ x̂ᵢ`, `(d,)`.
pub fn column_products<T: Real>(gradient: &Matrix<T>, values: &Matrix<T>) -> Vec<T> {
    let cols = gradient.cols();
    let mut sums = vec![T::ZERO; cols];
    sums.par_chunks_mut(STRIP).enumerate().for_each(|(strip, sums)| {
        let columns = strip * STRIP..strip * STRIP + sums.len();
        let rows = gradient.as_slice().chunks_exact(cols.max(1));
        for (g, x) in rows.zip(values.as_slice().chunks_exact(cols.max(1))) {
            let pairs = g[columns.clone()].iter().zip(&x[columns.clone()]);
            sums.iter_mut().zip(pairs).for_each(|(sum, (&g, &x))| *sum += g * x);
        }
    });
    sums
}

/// ∂L/∂y to ∂L/∂x in place, for columns; `products` and `sums` are `Σᵢ Gᵢ ⊙ x̂ᵢ` and `Σᵢ Gᵢ`.
pub fn back_through_columns<T: Real>(
    gradient: &mut Matrix<T>,
    kept: &Normalised<T>,
    gamma: &[T],
    products: &[T],
    sums: &[T],
) {
    let cols = gradient.cols().max(1);
    let share = T::from_f64(1.0 / gradient.rows().max(1) as f64);
    let pieces = gradient.as_mut_slice().par_chunks_mut(PIECE * cols);
    pieces.zip(kept.values.as_slice().par_chunks(PIECE * cols)).for_each(|(g, x)| {
        for (g, x) in g.chunks_exact_mut(cols).zip(x.chunks_exact(cols)) {
            for (j, (g, &x)) in g.iter_mut().zip(x).enumerate() {
                let rest = *g - share * sums[j] - x * share * products[j];
                *g = gamma[j] * kept.scales[j] * rest;
            }
        }
    });
}

/// ∂L/∂y to ∂L/∂x in place, for rows.
pub fn back_through_rows<T: Real>(gradient: &mut Matrix<T>, kept: &Normalised<T>, gamma: &[T]) {
    let cols = gradient.cols().max(1);
    let share = T::from_f64(1.0 / cols as f64);
    let pieces = gradient.as_mut_slice().par_chunks_mut(PIECE * cols);
    let values = kept.values.as_slice().par_chunks(PIECE * cols);
    pieces.zip(values).zip(kept.scales.par_chunks(PIECE)).for_each(|((g, x), scales)| {
        for ((g, x), &scale) in g.chunks_exact_mut(cols).zip(x.chunks_exact(cols)).zip(scales) {
            g.iter_mut().zip(gamma).for_each(|(g, &gamma)| *g = *g * gamma);
            let mean = share * g.iter().copied().sum::<T>();
            let product = share * g.iter().zip(x).map(|(&g, &x)| g * x).sum::<T>();
            g.iter_mut().zip(x).for_each(|(g, &x)| *g = scale * (*g - mean - x * product));
        }
    });
}

fn copy<T: Real>(from: &Matrix<T>, to: &mut Matrix<T>) {
    to.reshape(from.rows(), from.cols());
    to.as_mut_slice().copy_from_slice(from.as_slice());
}
