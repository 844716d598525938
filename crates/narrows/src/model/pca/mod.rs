//! Principal component analysis: the best linear autoencoder, in closed form.
//!
//! ```text
//! μ  = mean of the rows                       x: (n, d)   μ: (d,)
//! Σ  = 1/(n−1) · Σᵢ (xᵢ − μ)(xᵢ − μ)ᵀ          (d, d)
//! Σ vⱼ = λⱼ vⱼ,  λ₁ ≥ λ₂ ≥ …                   V: (k, d), rows vⱼ, VVᵀ = I
//! encode  z = (x − μ) Vᵀ                      z: (n, k);  whitened: z / √λ
//! decode  x̂ = z V + μ
//! ```
//!
//! No other linear map of the same width reconstructs the rows with a smaller squared error.
//!
//! Source: K. Pearson, On lines and planes of closest fit, Philosophical Magazine 2 (1901);
//! C. Eckart and G. Young, Psychometrika 1 (1936). The trick for few long rows: M. Turk and
//! A. Pentland, Eigenfaces for recognition, Journal of Cognitive Neuroscience 3 (1991).
//!
//! Differs from scikit-learn 1.9 `PCA`: rows are centred before they are multiplied, so a large
//! mean costs no digits; everything fitted is f64; a direction without variance (a standard
//! deviation below 10⁻¹² of the largest is rounding, 10⁻⁶ for f32 rows and the randomised solver) is
//! not a component, so rank-deficient data give fewer components than asked for; few long rows
//! (n < d) are solved exactly through the n × n products. The same: variances divide by n − 1, ratios by the total
//! variance, whitening never scales the components, the entry of largest magnitude of each
//! component is positive.
//!
//! ```
//! use narrows::model::pca::{Components, Pca, PcaOptions};
//! use ndarray::array;
//!
//! let x = array![[0.0, 0.1], [1.0, 0.9], [2.0, 2.1], [3.0, 2.9]];
//! let options = PcaOptions { components: Components::Count(1), ..Default::default() };
//! let pca = Pca::fit(x.view(), &options)?;
//! let codes = pca.transform(x.view())?;
//! assert_eq!(codes.dim(), (4, 1));
//! assert!(pca.explained_variance_ratio[0] > 0.99);
//! # Ok::<(), narrows::Error>(())
//! ```

mod likelihood;
mod memory;
mod missing;
mod select;
mod solve;
mod spectrum;

pub use missing::MissingOptions;
pub use select::{Components, Selection};
pub use solve::{Algorithm, Solver};

use ndarray::{Array1, Array2, ArrayView2, Axis, s};

use super::Autoencoder;
use crate::compute::{Matrix, Moments, Real, centred, multiply};
use crate::data::Source;
use crate::error::Result;
use crate::model::check_columns;

/// Rows that are centred and multiplied at a time.
const BLOCK: usize = 4096;

/// How to fit.
#[derive(Debug, Clone, PartialEq)]
pub struct PcaOptions {
    /// How many components to keep.
    pub components: Components,
    /// Which algorithm computes them.
    pub solver: Solver,
    /// Whether codes are divided by the standard deviation of their component.
    pub whiten: bool,
    /// Seed of the randomised solver and of parallel analysis.
    pub seed: u64,
    /// Randomised solver: dimensions beyond those kept.
    pub oversampling: usize,
    /// Randomised solver: passes of the power iteration; by default 7 where fewer than a tenth of
    /// all components are kept, else 4.
    pub power_iterations: Option<usize>,
}

impl Default for PcaOptions {
    fn default() -> Self {
        Self {
            components: Components::All,
            solver: Solver::Auto,
            whiten: false,
            seed: 0,
            oversampling: 10,
            power_iterations: None,
        }
    }
}

/// A fitted principal component analysis.
#[derive(Debug, Clone, PartialEq)]
pub struct Pca {
    /// Mean of the training rows, `(d,)`.
    pub mean: Array1<f64>,
    /// The components as rows, orthonormal, `(k, d)`.
    pub components: Array2<f64>,
    /// Variance along each component, divided by n − 1, `(k,)`.
    pub explained_variance: Array1<f64>,
    /// The same divided by the total variance, `(k,)`.
    pub explained_variance_ratio: Array1<f64>,
    /// Singular values of the centred rows, `√(λ·(n−1))`, `(k,)`.
    pub singular_values: Array1<f64>,
    /// Mean variance of the directions left out, over `min(n, d) − k`; 0 if none is left out or
    /// they hold only rounding. Where the randomised solver does not know them it is what the others
    /// leave of the total.
    pub noise_variance: f64,
    /// Sum of the variances of all columns.
    pub total_variance: f64,
    /// Rows that were seen.
    pub rows: usize,
    /// Whether codes are divided by the standard deviation of their component.
    pub whiten: bool,
    /// Which algorithm computed it.
    pub solver: Algorithm,
    /// Why there are as many components as there are.
    pub selection: Selection,
}

impl Pca {
    /// Fits rows `(n, d)` held in memory.
    ///
    /// # Errors
    /// If there are fewer than two rows, a value is missing or infinite, squares overflow, all rows
    /// are the same, the number of components asked for cannot be had, or what the solver has to
    /// hold does not fit in memory.
    pub fn fit<T: Real>(x: ArrayView2<'_, T>, options: &PcaOptions) -> Result<Self> {
        solve::check_shape(x.nrows(), x.ncols(), options)?;
        let solution = solve::in_memory(x, options)?;
        Ok(Self::from_solution(solution, options.whiten))
    }

    /// Fits the rows of a source.
    ///
    /// Where there are at least as many rows as columns this takes one pass, and more only if a
    /// component is kept whose variance is below a millionth of the largest. It holds three blocks
    /// of rows (32 kB per column, 130 kB up to d = 256) and up to `48·d²` bytes (`72·d²` up to
    /// d = 256) for the covariance, its eigenvectors and what finding them takes. The same holds for
    /// the covariance and the streaming solver on rows of any shape. Otherwise, and for the other
    /// solvers, the rows are read into memory.
    ///
    /// # Errors
    /// As [`Pca::fit`], and if the source cannot be read.
    pub fn fit_source(source: &dyn Source, options: &PcaOptions) -> Result<Self> {
        solve::check_shape(source.rows(), source.dim(), options)?;
        let solution = solve::from_source(source, options)?;
        Ok(Self::from_solution(solution, options.whiten))
    }

    /// Fits from statistics that were gathered elsewhere, in any number of parts. Without the rows
    /// a variance has the digits that its share of the largest leaves of sixteen.
    ///
    /// # Errors
    /// As [`Pca::fit`].
    pub fn fit_moments(moments: &Moments, options: &PcaOptions) -> Result<Self> {
        solve::check_shape(moments.rows() as usize, moments.dim(), options)?;
        let solution = solve::from_moments(moments, options)?;
        Ok(Self::from_solution(solution, options.whiten))
    }

    fn from_solution(solution: solve::Solution, whiten: bool) -> Self {
        let solve::Solution { rows, mean, variances, mut axes, total_variance, solver, selection } =
            solution;
        make_signs_deterministic(&mut axes);
        let (k, d) = axes.dim();
        let explained_variance = variances.slice(ndarray::s![..k]).to_owned();
        let left_out = match variances.slice(ndarray::s![k..]) {
            // A sketch knows nothing of them.
            rest if rest.is_empty() => (total_variance - explained_variance.sum()).max(0.0),
            rest => rest.iter().rev().sum(),
        };
        let directions = rows.min(d) - k;
        Self {
            explained_variance_ratio: &explained_variance / total_variance,
            singular_values: explained_variance.mapv(|v| (v * (rows as f64 - 1.0)).sqrt()),
            noise_variance: if directions == 0 { 0.0 } else { left_out / directions as f64 },
            mean,
            components: axes,
            explained_variance,
            total_variance,
            rows,
            whiten,
            solver,
            selection,
        }
    }

    /// The same with its first `k` components alone, or all where it has no more. What depends on how many there are,
    /// such as the variance of the noise, stays that of all.
    #[must_use]
    pub fn first(&self, k: usize) -> Self {
        let k = k.min(self.components.nrows());
        Self {
            components: self.components.slice(s![..k, ..]).to_owned(),
            explained_variance: self.explained_variance.slice(s![..k]).to_owned(),
            explained_variance_ratio: self.explained_variance_ratio.slice(s![..k]).to_owned(),
            singular_values: self.singular_values.slice(s![..k]).to_owned(),
            ..self.clone()
        }
    }

    /// Codes `(n, k)` of rows `(n, d)`: `(x − μ) Vᵀ`, divided by `√λ` if whitened.
    ///
    /// # Errors
    /// If the rows have another number of columns than the model.
    pub fn transform<T: Real>(&self, x: ArrayView2<'_, T>) -> Result<Array2<T>> {
        check_columns("encode", "columns", self.mean.len(), x.ncols())?;
        let axes = self.scaled_components(|deviation| 1.0 / deviation);
        let mut codes = Array2::from_elem((x.nrows(), axes.nrows()), T::ZERO);
        let blocks = x.axis_chunks_iter(Axis(0), BLOCK);
        for (block, out) in blocks.zip(codes.axis_chunks_iter_mut(Axis(0), BLOCK)) {
            multiply(centred::<T, T>(block, &self.mean).view(), axes.t(), out);
        }
        Ok(codes)
    }

    /// Rows `(n, d)` from codes `(n, k)`: `z V + μ`.
    ///
    /// # Errors
    /// If the codes have another number of columns than the model has components.
    pub fn inverse_transform<T: Real>(&self, z: ArrayView2<'_, T>) -> Result<Array2<T>> {
        check_columns("decode", "latents", self.components.nrows(), z.ncols())?;
        let axes = self.scaled_components(|deviation| deviation);
        let mean: Vec<T> = self.mean.iter().map(|&value| T::from_f64(value)).collect();
        let mut rows = Array2::from_elem((z.nrows(), self.mean.len()), T::ZERO);
        crate::compute::multiply_then(z, axes.view(), rows.view_mut(), |first, row| {
            row.iter_mut().zip(&mean[first..]).for_each(|(value, &mean)| *value += mean);
        });
        Ok(rows)
    }

    /// The covariance that the fitted model implies, `(d, d)`: `V(Λ − σ²)Vᵀ + σ²I`.
    pub fn covariance(&self) -> Array2<f64> {
        likelihood::covariance(self)
    }

    /// Its inverse, `(d, d)`; the pseudo-inverse where the model has no noise and k < d.
    pub fn precision(&self) -> Array2<f64> {
        likelihood::precision(self)
    }

    /// Log-likelihood of each row under probabilistic PCA, `(n,)`, in nats; of a row with missing
    /// values (`NaN`), that of its observed values.
    ///
    /// Where nothing is left out and k < d the density lives on the component plane: it is
    /// measured there and the part of a row outside the plane is ignored.
    ///
    /// Source: M. Tipping and C. Bishop, Mixtures of probabilistic principal component analysers,
    /// Neural Computation 11 (1999).
    ///
    /// # Errors
    /// If the rows have another number of columns than the model.
    pub fn log_likelihood_rows<T: Real>(&self, x: ArrayView2<'_, T>) -> Result<Array1<f64>> {
        check_columns("score", "columns", self.mean.len(), x.ncols())?;
        likelihood::of_rows(self, x)
    }

    /// Mean log-likelihood of the rows, in nats.
    ///
    /// # Errors
    /// As [`Pca::log_likelihood_rows`].
    pub fn log_likelihood<T: Real>(&self, x: ArrayView2<'_, T>) -> Result<f64> {
        Ok(self.log_likelihood_rows(x)?.mean().unwrap_or(f64::NAN))
    }

    /// V `(k, d)`, whitened where codes are: codes are `(x − μ) Vᵀ`.
    pub(super) fn encoding_axes(&self) -> Array2<f64> {
        self.scaled_components(|deviation| 1.0 / deviation)
    }

    /// Components scaled for whitening, in the kind of number that rows come in.
    fn scaled_components<T: Real>(&self, scale: impl Fn(f64) -> f64) -> Array2<T> {
        let mut axes = self.components.mapv(T::from_f64);
        if self.whiten {
            for (mut axis, variance) in axes.rows_mut().into_iter().zip(&self.explained_variance) {
                let factor = T::from_f64(scale(variance.sqrt()));
                axis.iter_mut().for_each(|value| *value = *value * factor);
            }
        }
        axes
    }
}

/// The entry of largest magnitude of each row, the first of equals, becomes positive: the rule of
/// scikit-learn since 1.5.
fn make_signs_deterministic(axes: &mut Array2<f64>) {
    for mut axis in axes.rows_mut() {
        let largest =
            axis.iter().fold(0.0_f64, |best, &v| if v.abs() > best.abs() { v } else { best });
        if largest < 0.0 {
            axis.mapv_inplace(|value| -value);
        }
    }
}

impl Autoencoder for Pca {
    fn input_dim(&self) -> usize {
        self.mean.len()
    }
    fn latent_dim(&self) -> usize {
        self.components.nrows()
    }
    fn encode(&self, x: &Matrix) -> Result<Matrix> {
        Ok(self.transform(x.view())?.into())
    }
    fn decode(&self, z: &Matrix) -> Result<Matrix> {
        Ok(self.inverse_transform(z.view())?.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compute::principal_angles;
    use crate::random::Random;
    use ndarray::{array, concatenate, s};

    fn rows(n: usize, d: usize) -> Array2<f64> {
        let mut random = Random::stream(6, "pca");
        Array2::from_shape_fn((n, d), |(_, j)| 5.0 + random.normal() / (1.0 + j as f64))
    }

    fn with(components: Components, solver: Solver) -> PcaOptions {
        PcaOptions { components, solver, ..Default::default() }
    }

    /// Tall and wide: every exact solver against the thin SVD.
    #[test]
    fn exact_solvers_agree() {
        for (n, d) in [(60, 9), (9, 60), (20, 20), (700, 30)] {
            let x = rows(n, d);
            let oracle =
                Pca::fit(x.view(), &with(Components::Count(5), Solver::ThinSvd)).expect("fits");
            for solver in [Solver::Auto, Solver::Covariance, Solver::Gram, Solver::Streaming] {
                let pca = Pca::fit(x.view(), &with(Components::Count(5), solver)).expect("fits");
                let gap =
                    (&pca.explained_variance / &oracle.explained_variance - 1.0).mapv(f64::abs);
                assert!(gap.iter().all(|v| *v < 1e-11), "{solver:?} {gap}");
                let gap = (&pca.components - &oracle.components).mapv(f64::abs);
                assert!(gap.iter().all(|v| *v < 1e-9), "{solver:?}");
                assert!((pca.noise_variance / oracle.noise_variance - 1.0).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn the_randomised_solver_finds_a_low_rank_exactly() {
        let mut random = Random::stream(0, "low rank");
        let mut normal = |shape| Array2::from_shape_fn(shape, |_| random.normal());
        let x = normal((300, 6)).dot(&normal((6, 200)));
        let exact = Pca::fit(x.view(), &with(Components::Count(6), Solver::ThinSvd)).expect("fits");
        let sketch =
            Pca::fit(x.view(), &with(Components::Count(6), Solver::Randomized)).expect("fits");
        let angles = principal_angles(&exact.components, &sketch.components).expect("converges");
        assert!(angles.iter().all(|angle| *angle < 1e-10), "{angles:?}");
        assert!((sketch.total_variance / exact.total_variance - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_direction_without_variance_is_not_a_component() {
        let x = rows(40, 3);
        let twice = concatenate![Axis(1), x, x, Array2::from_elem((40, 1), 3.0)];
        for solver in [Solver::Covariance, Solver::Gram, Solver::ThinSvd, Solver::Streaming] {
            let pca = Pca::fit(twice.view(), &with(Components::Count(5), solver)).expect("fits");
            assert_eq!(pca.components.nrows(), 3, "{solver:?}");
            assert!(pca.noise_variance.abs() < 1e-12);
        }
    }

    #[test]
    fn rows_come_back_whole_where_nothing_is_left_out_whitened_or_not() {
        let x = rows(50, 7);
        for whiten in [false, true] {
            let options = PcaOptions { whiten, ..Default::default() };
            let pca = Pca::fit(x.view(), &options).expect("fits");
            let codes = pca.transform(x.view()).expect("same columns");
            if whiten {
                let variance = codes.column(3).mapv(|v| v * v).sum() / 49.0;
                assert!((variance - 1.0).abs() < 1e-10);
            }
            let norms = pca.components.dot(&pca.components.t()).diag().to_owned();
            assert!(norms.iter().all(|norm| (norm - 1.0).abs() < 1e-12));
            let back = pca.inverse_transform(codes.view()).expect("same width");
            assert!((back - &x).iter().all(|v| v.abs() < 1e-12));
        }
    }

    #[test]
    fn the_largest_entry_of_a_component_is_positive() {
        let mut axes = array![[0.5, -0.5, 0.1], [-2.0, 1.0, 0.0], [1.0, -3.0, 3.0]];
        make_signs_deterministic(&mut axes);
        assert_eq!(axes, array![[0.5, -0.5, 0.1], [2.0, -1.0, 0.0], [-1.0, 3.0, -3.0]]);
    }

    /// Slow twin: the density of a normal distribution with the whole covariance matrix.
    #[test]
    fn the_likelihood_is_that_of_the_whole_normal_distribution() {
        let x = rows(30, 4);
        let pca = Pca::fit(x.view(), &with(Components::Count(2), Solver::Auto)).expect("fits");
        let product = pca.covariance().dot(&pca.precision());
        assert!((product - Array2::<f64>::eye(4)).iter().all(|v| v.abs() < 1e-12));
        let eigen =
            crate::compute::symmetric_eigenvalues(pca.covariance().view()).expect("converges");
        let constant = 4.0 * (2.0 * std::f64::consts::PI).ln() + eigen.mapv(f64::ln).sum();
        let scores = pca.log_likelihood_rows(x.view()).expect("same columns");
        for (row, score) in x.rows().into_iter().zip(scores) {
            let rest = &row - &pca.mean;
            let expected = -0.5 * (constant + rest.dot(&pca.precision().dot(&rest)));
            assert!((score - expected).abs() < 1e-10);
        }
    }

    #[test]
    fn parallel_analysis_keeps_the_planted_directions() {
        let mut random = Random::stream(0, "planted");
        let mut normal = |shape| Array2::from_shape_fn(shape, |_| random.normal());
        let x = normal((400, 3)).dot(&normal((3, 20))) + normal((400, 20));
        let pca =
            Pca::fit(x.view(), &with(Components::ParallelAnalysis, Solver::Auto)).expect("fits");
        assert_eq!(pca.components.nrows(), 3, "{:?}", pca.selection);
    }

    #[test]
    fn statistics_gathered_in_parts_give_the_same_fit() {
        let x = rows(600, 12);
        let whole = Pca::fit(x.view(), &with(Components::All, Solver::Streaming)).expect("fits");
        let part = |range| {
            let mut moments = Moments::new(12);
            moments
                .add(x.slice(s![range, ..]), 0, crate::compute::ProductPrecision::F64)
                .expect("finite");
            moments
        };
        let merged = part(0..100).merge(&part(100..600)).expect("same columns");
        let pca = Pca::fit_moments(&merged, &PcaOptions::default()).expect("fits");
        assert!((pca.components - whole.components).iter().all(|v| v.abs() < 1e-10));
        let streamed =
            Pca::fit_source(&x.view(), &with(Components::All, Solver::Streaming)).expect("fits");
        assert_eq!(streamed.explained_variance, whole.explained_variance);
    }

    #[test]
    fn mistakes_are_told() {
        let x = rows(10, 4);
        let message = |components, solver| {
            Pca::fit(x.view(), &with(components, solver)).expect_err("a mistake").to_string()
        };
        assert!(message(Components::Count(5), Solver::Auto).contains("a number from 1 to 4"));
        assert!(message(Components::Variance(1.5), Solver::Auto).contains("got 1.5"));
        assert!(
            message(Components::All, Solver::Randomized).contains("a number for the randomised")
        );
        let same = Array2::from_elem((5, 3), 2.5);
        let error = Pca::fit(same.view(), &PcaOptions::default()).expect_err("no variance");
        assert!(error.to_string().contains("rows that are all the same"), "{error}");
        let pca = Pca::fit(x.view(), &PcaOptions::default()).expect("fits");
        assert!(pca.transform(rows(2, 5).view()).is_err());
    }
}
