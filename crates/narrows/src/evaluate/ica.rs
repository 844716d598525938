//! Independent component analysis by the parallel fixed-point iteration (FastICA).
//!
//! ```text
//! x (d) a row, x̄ (d) the mean row    V (r, d), σ² (r) principal axes and variances, squares over N
//! u = diag(1/σ)·V·(x − x̄)            whitened rows; axes with σ² ≤ 10⁻¹⁰·σ²₁ are left out
//! W (r, r) orthogonal, from          W⁺ = mean tanh(W·u)·uᵀ − diag(mean(1 − tanh²(W·u)))·W
//!                                    W ← (W⁺·W⁺ᵀ)^(−½)·W⁺
//! ends when every |Wⱼ⁺·Wⱼ| is within `tolerance` of 1
//! s = W·u = U·(x − x̄)                U (r, d) = W·diag(1/σ)·V
//! x ≈ x̄ + Σⱼ sⱼ·Aⱼ                    A (r, d) = W·diag(σ)·V
//! ```
//!
//! Source: A. Hyvärinen, Fast and robust fixed-point algorithms for independent component analysis (1999),
//! with G = ln cosh. Components have variance 1 and come in no order.
//! Differs from: `scikit-learn` whitens by a singular value decomposition of the rows, here of their
//! covariance, and draws another first W; where the iteration converges, sign and order aside, both find the
//! same.

use ndarray::{Array1, Array2, ArrayView2, Axis};
use rayon::prelude::*;

use crate::compute::{centred, multiply, symmetric_eigen};
use crate::error::Result;
use crate::model::Pca;
use crate::model::pca::{Components, PcaOptions};
use crate::random::Random;

/// Axes of less variance, relative to the first, are noise of rounding.
const NOTHING: f64 = 1e-10;
/// Rows that one thread squashes at a time.
const PIECE: usize = 64;

/// Independent components.
#[derive(Debug, Clone, PartialEq)]
pub struct Ica {
    /// x̄ `(d)`.
    pub mean: Array1<f64>,
    /// U `(r, d)`: what gives the components of a row.
    pub unmixing: Array2<f64>,
    /// A `(r, d)`: what each component adds to a row.
    pub mixing: Array2<f64>,
    /// Steps that were made.
    pub iterations: usize,
    /// Whether they ended because nothing moved any more.
    pub converged: bool,
}

impl Ica {
    /// Fits as many components as the rows `(n, d)` vary in.
    ///
    /// Each of at most `most_iterations` takes `4·n·r²` operations and one decomposition of r × r.
    ///
    /// # Errors
    /// As [`Pca::fit`].
    pub fn fit(
        rows: ArrayView2<'_, f64>,
        tolerance: f64,
        most_iterations: usize,
        seed: u64,
    ) -> Result<Self> {
        let options = PcaOptions { components: Components::All, ..Default::default() };
        let pca = Pca::fit(rows, &options)?;
        let first = pca.explained_variance.first().copied().unwrap_or(0.0);
        let varies = |variance: &&f64| **variance > NOTHING * first;
        let rank = pca.explained_variance.iter().take_while(varies).count();
        let axes = pca.components.slice(ndarray::s![..rank, ..]).to_owned();
        // PCA divides by n − 1, whitening by n.
        let unbias = (rows.nrows() as f64 - 1.0) / rows.nrows() as f64;
        let deviation: Array1<f64> =
            pca.explained_variance.iter().take(rank).map(|v| (v * unbias).sqrt()).collect();
        let deviation = deviation.insert_axis(Axis(1));
        let whitening = &axes / &deviation;
        let white: Array2<f64> = centred(rows, &pca.mean);
        let white = product(white.view(), whitening.t());
        let mut found = Unmixed::start(rank, seed)?;
        while found.iterations < most_iterations && !found.converged {
            found.step(&white, tolerance)?;
        }
        let rotation = found.rotation.view();
        Ok(Self {
            unmixing: product(rotation, whitening.view()),
            mixing: product(rotation, (&axes * &deviation).view()),
            mean: pca.mean,
            iterations: found.iterations,
            converged: found.converged,
        })
    }
}

/// W on its way.
struct Unmixed {
    rotation: Array2<f64>,
    iterations: usize,
    converged: bool,
}

impl Unmixed {
    fn start(rank: usize, seed: u64) -> Result<Self> {
        let mut random = Random::stream(seed, "first directions of ICA");
        let drawn = Array2::from_shape_simple_fn((rank, rank), || random.normal());
        Ok(Self { rotation: orthogonal(drawn)?, iterations: 0, converged: rank == 0 })
    }

    fn step(&mut self, white: &Array2<f64>, tolerance: f64) -> Result<()> {
        let count = white.nrows() as f64;
        let mut squashed = product(white.view(), self.rotation.t());
        let slopes = squash(&mut squashed) / count;
        let mut next = product(squashed.t(), white.view());
        next /= count;
        next -= &(&self.rotation * &slopes.insert_axis(Axis(1)));
        let next = orthogonal(next)?;
        let moved = next.outer_iter().zip(self.rotation.outer_iter());
        let moved = moved.map(|(new, old)| (new.dot(&old).abs() - 1.0).abs()).fold(0.0, f64::max);
        self.rotation = next;
        self.iterations += 1;
        self.converged = moved < tolerance;
        Ok(())
    }
}

/// tanh of all; the sums of its slopes over the rows.
fn squash(values: &mut Array2<f64>) -> Array1<f64> {
    let columns = values.ncols();
    let pieces: Vec<Array1<f64>> = values
        .axis_chunks_iter_mut(Axis(0), PIECE)
        .into_par_iter()
        .map(|mut rows| {
            let mut slopes = Array1::zeros(columns);
            for mut row in rows.rows_mut() {
                row.iter_mut().zip(&mut slopes).for_each(|(value, slope)| {
                    *value = value.tanh();
                    *slope += 1.0 - *value * *value;
                });
            }
            slopes
        })
        .collect();
    pieces.iter().fold(Array1::zeros(columns), |sum, piece| sum + piece)
}

/// `(W·Wᵀ)^(−½)·W`.
fn orthogonal(matrix: Array2<f64>) -> Result<Array2<f64>> {
    let gram = product(matrix.view(), matrix.t());
    let eigen = symmetric_eigen(gram.view())?;
    let roots = eigen.values.mapv(|value| 1.0 / value.max(f64::MIN_POSITIVE).sqrt());
    let scaled = &eigen.vectors * &roots.insert_axis(Axis(1));
    let inverse_root = product(eigen.vectors.t(), scaled.view());
    Ok(product(inverse_root.view(), matrix.view()))
}

fn product(a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>) -> Array2<f64> {
    let mut out = Array2::zeros((a.nrows(), b.ncols()));
    multiply(a, b, out.view_mut());
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::Value;

    fn array(golden: &Value, name: &str, columns: usize) -> Array2<f64> {
        let values: Vec<f64> =
            golden[name].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
        Array2::from_shape_vec((values.len() / columns, columns), values).unwrap()
    }

    #[test]
    fn components_are_those_of_scikit_learn_up_to_sign_and_order() {
        let golden: Value =
            serde_json::from_str(include_str!("../../tests/golden/ica.json")).unwrap();
        let (rows, expected) = (array(&golden, "rows", 5), array(&golden, "components", 5));
        let found = Ica::fit(rows.view(), 1e-13, 1000, 3).unwrap();
        assert!(found.converged, "{} iterations", found.iterations);
        let mut taken = [false; 4];
        for theirs in expected.outer_iter() {
            let apart = |ours: ndarray::ArrayView1<'_, f64>| {
                let sign = ours.dot(&theirs).signum();
                ours.iter().zip(theirs).map(|(a, b)| (sign * a - b).abs()).fold(0.0, f64::max)
            };
            let near = found.unmixing.outer_iter().position(|ours| apart(ours) < 1e-7);
            let near = near.unwrap_or_else(|| panic!("no component is {theirs}"));
            assert!(!std::mem::replace(&mut taken[near], true), "two are {theirs}");
        }
        // Five columns were mixed of four sources.
        assert_eq!(found.unmixing.nrows(), 4);
    }

    #[test]
    fn what_is_mixed_again_is_what_there_was() {
        let golden: Value =
            serde_json::from_str(include_str!("../../tests/golden/ica.json")).unwrap();
        let rows = array(&golden, "rows", 5);
        let found = Ica::fit(rows.view(), 1e-4, 200, 0).unwrap();
        let sources = (&rows - &found.mean).dot(&found.unmixing.t());
        let again = sources.dot(&found.mixing) + &found.mean;
        assert!((&again - &rows).iter().all(|difference| difference.abs() < 1e-9));
        for source in sources.columns() {
            let square = source.dot(&source) / source.len() as f64;
            assert!((square - 1.0).abs() < 1e-9, "variance {square}");
        }
    }
}
