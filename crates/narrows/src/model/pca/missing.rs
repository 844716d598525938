//! PCA of rows with missing values, by expectation and maximisation.
//!
//! ```text
//! x = W z + μ + ε,  z ~ N(0, I),  ε ~ N(0, σ²I)          W: (d, k)
//! for each row, over its observed columns o:
//!   M = W_oᵀW_o + σ²I      z̄ = M⁻¹ W_oᵀ (x_o − μ_o)      E[zzᵀ] = σ²M⁻¹ + z̄z̄ᵀ
//! for each column j, over the rows that have it, with z̃ = (z, 1):
//!   (w_j, μ_j) = (Σ E[z̃z̃ᵀ])⁻¹ Σ x_j E[z̃]
//! then z is standardised again: its mean m and covariance LLᵀ over the rows move into
//! μ ← μ + W m and W ← W L (parameter expansion), without which W takes thousands of rounds
//! σ² = mean over observed values of (x_j − μ_j − w_j·z̄)² + w_jᵀ σ²M⁻¹ w_j
//! ```
//!
//! On complete rows the result is that of the closed form. A missing value of a new row is filled
//! with its conditional mean given the observed ones.
//!
//! Source: M. Tipping and C. Bishop, Probabilistic principal component analysis, Journal of the
//! Royal Statistical Society B 61 (1999), appendix; A. Ilin and T. Raiko, Journal of Machine
//! Learning Research 11 (2010); parameter expansion: C. Liu, D. Rubin and Y. Wu, Biometrika 85 (1998).

use std::f64::consts::PI;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, s};
use rayon::prelude::*;

use super::{Algorithm, Components, Pca, PcaOptions, Selection, make_signs_deterministic, solve};
use crate::compute::{Real, thin_svd};
use crate::error::{Error, Result};
use crate::model::check_columns;

/// When to stop.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MissingOptions {
    /// Stop when the log-likelihood of the observed values grows by less than this share.
    pub tolerance: f64,
    /// Stop after this many rounds in any case.
    pub rounds: usize,
}

impl Default for MissingOptions {
    fn default() -> Self {
        Self { tolerance: 1e-9, rounds: 1000 }
    }
}

/// Parts that rows are summed in, joined in order.
const PARTS: usize = 8;

/// The parameters of the model.
pub(super) struct Parameters {
    /// `(d, k + 1)`: row `j` is `(w_j, μ_j)`.
    weights: Array2<f64>,
    noise: f64,
    /// The noise that keeps M regular where the rows have none.
    least_noise: f64,
}

/// Share of the largest variance that the noise has at least.
const LEAST_NOISE: f64 = 1e-12;

/// Sums over rows that the next parameters come from.
struct Sums {
    /// `(d, (k + 1)²)`: Σ E[z̃z̃ᵀ] of each column.
    second: Array2<f64>,
    /// `(d, k + 1)`: Σ x E[z̃] of each column.
    first: Array2<f64>,
    /// `(k + 1, k + 1)`: Σ E[z̃z̃ᵀ] of all rows.
    latent: Vec<f64>,
    log_likelihood: f64,
    squared_error: f64,
    observed: usize,
}

impl Pca {
    /// Fits rows `(n, d)` in which `NaN` marks a missing value.
    ///
    /// Holds the rows and `64·d·(k + 1)²` bytes. The number of components must be given.
    ///
    /// # Errors
    /// As [`Pca::fit`]; if a row or a column has no value at all; if a value is infinite.
    pub fn fit_missing(
        x: ArrayView2<'_, f64>,
        options: &PcaOptions,
        stop: &MissingOptions,
    ) -> Result<Self> {
        solve::check_shape(x.nrows(), x.ncols(), options)?;
        let Components::Count(k) = options.components else {
            return Err(Error::mistake(
                "fit PCA with missing values",
                "a number of components",
                format!("`{}`", options.components),
                "give a number, or use `--missing mean`",
            ));
        };
        check_observed(x)?;
        let mut parameters = start(x, k, options)?;
        let mut last = f64::NEG_INFINITY;
        for round in 1..=stop.rounds {
            let sums = expectation(x, &parameters);
            let gain = sums.log_likelihood - last;
            last = sums.log_likelihood;
            if last.is_nan() {
                return Err(too_few_values());
            }
            if gain < stop.tolerance * last.abs() {
                return finish(
                    &parameters,
                    x.nrows(),
                    options,
                    format!("{k} were asked for (expectation–maximisation, {round} rounds)"),
                );
            }
            maximisation(&mut parameters, &sums)?;
        }
        let reason = format!(
            "{k} were asked for (expectation–maximisation, stopped after {} rounds before it converged)",
            stop.rounds
        );
        finish(&parameters, x.nrows(), options, reason)
    }

    /// Fills every `NaN` of rows `(n, d)` with its conditional mean given the rest of its row.
    ///
    /// # Errors
    /// If the rows have another number of columns than the model.
    pub fn fill_missing<T: Real>(&self, x: &mut Array2<T>) -> Result<()> {
        check_columns("fill missing values", "columns", self.mean.len(), x.ncols())?;
        let parameters = Parameters::of(self);
        x.axis_iter_mut(Axis(0)).into_par_iter().for_each(|mut row| {
            if row.iter().all(|value| !value.to_f64().is_nan()) {
                return;
            }
            let known = row.mapv(Real::to_f64);
            let posterior = Posterior::of(known.view(), &parameters);
            for (j, value) in row.iter_mut().enumerate().filter(|(_, v)| v.to_f64().is_nan()) {
                *value = T::from_f64(parameters.expected(j, &posterior.mean));
            }
        });
        Ok(())
    }
}

/// Log-likelihood of the observed values of a row, those that are not `NaN`, with the others
/// integrated out: the row's normal distribution over its observed columns alone.
pub(super) fn log_likelihood_of_observed(
    pca: &Pca,
    parameters: &Parameters,
    row: ArrayView1<'_, f64>,
    noise: f64,
) -> Result<f64> {
    if noise > 0.0 {
        return Ok(Posterior::of(row, parameters).log_likelihood(parameters.noise));
    }
    // Without noise the observed columns of a row lie in the space that A = V_oᵀ√Λ spans.
    let observed: Vec<usize> = (0..row.len()).filter(|&j| !row[j].is_nan()).collect();
    let deviations = pca.explained_variance.mapv(f64::sqrt);
    let axes = pca.components.select(Axis(1), &observed).reversed_axes() * &deviations;
    let rest: Array1<f64> = observed.iter().map(|&j| row[j] - pca.mean[j]).collect();
    let svd = thin_svd(axes.view())?;
    let spanned = svd.values.iter().zip(svd.left.rows());
    let terms =
        spanned.filter(|(value, _)| **value > 1e-12 * deviations[0]).map(|(value, axis)| {
            (2.0 * PI).ln() + 2.0 * value.ln() + (axis.dot(&rest) / value).powi(2)
        });
    Ok(-0.5 * terms.sum::<f64>())
}

impl Parameters {
    pub(super) fn of(pca: &Pca) -> Self {
        let (k, d) = pca.components.dim();
        let least_noise = LEAST_NOISE * pca.explained_variance[0];
        let noise = pca.noise_variance.max(least_noise);
        let mut weights = Array2::zeros((d, k + 1));
        for (i, axis) in pca.components.rows().into_iter().enumerate() {
            let length = (pca.explained_variance[i] - noise).max(0.0).sqrt();
            weights.column_mut(i).assign(&axis.mapv(|value| value * length));
        }
        weights.column_mut(k).assign(&pca.mean);
        Self { weights, noise, least_noise }
    }

    fn latent_dim(&self) -> usize {
        self.weights.ncols() - 1
    }

    /// What the model expects in a column, given the latents.
    fn expected(&self, column: usize, latent: &[f64]) -> f64 {
        let weights = self.weights.row(column);
        latent.iter().zip(weights).map(|(z, w)| z * w).sum::<f64>() + weights[latent.len()]
    }
}

/// What is known of the latents of one row.
struct Posterior {
    mean: Vec<f64>,
    /// `M⁻¹`, `(k, k)`.
    inverse: Vec<f64>,
    log_determinant: f64,
    observed: usize,
    /// `‖x_o − μ_o − W_o z̄‖² + σ²‖z̄‖²`, which is σ² times the Mahalanobis term: the smallest value
    /// over z̄, so rounding of z̄ hardly shows, and nothing is taken from a larger number.
    distance: f64,
}

impl Posterior {
    fn of(row: ArrayView1<'_, f64>, parameters: &Parameters) -> Self {
        let k = parameters.latent_dim();
        let mut precision = vec![0.0; k * k];
        let mut projection = vec![0.0; k];
        let mut observed = 0;
        for (j, value) in row.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
            let weights = parameters.weights.row(j);
            let rest = value - weights[k];
            observed += 1;
            for a in 0..k {
                projection[a] += weights[a] * rest;
                for b in 0..=a {
                    precision[a * k + b] += weights[a] * weights[b];
                }
            }
        }
        for a in 0..k {
            precision[a * k + a] += parameters.noise;
        }
        let log_determinant = factor(&mut precision, k);
        let inverse = invert(&precision, k);
        let mean: Vec<f64> =
            (0..k).map(|a| (0..k).map(|b| inverse[a * k + b] * projection[b]).sum()).collect();
        let known = row.iter().enumerate().filter(|(_, value)| !value.is_nan());
        let outside: f64 =
            known.map(|(j, value)| (value - parameters.expected(j, &mean)).powi(2)).sum();
        let inside: f64 = mean.iter().map(|z| z * z).sum();
        let distance = outside + parameters.noise * inside;
        Self { mean, inverse, log_determinant, observed, distance }
    }

    fn log_likelihood(&self, noise: f64) -> f64 {
        let k = self.mean.len() as f64;
        let observed = self.observed as f64;
        -0.5 * (observed * (2.0 * PI).ln()
            + (observed - k) * noise.ln()
            + self.log_determinant
            + self.distance / noise)
    }
}

fn check_observed(x: ArrayView2<'_, f64>) -> Result<()> {
    let refuse = |got: String| {
        Err(Error::mistake(
            "fit PCA with missing values",
            "at least one value in every row and column, none of them infinite",
            got,
            "remove it, or correct the file",
        ))
    };
    if let Some(((row, column), value)) = x.indexed_iter().find(|(_, value)| value.is_infinite()) {
        return refuse(format!("{value} in row {}, column {}", row + 1, column + 1));
    }
    for (axis, name) in [(0, "row"), (1, "column")] {
        let empty = x.axis_iter(Axis(axis)).position(|lane| lane.iter().all(|v| v.is_nan()));
        if let Some(index) = empty {
            return refuse(format!("{name} {} with none", index + 1));
        }
    }
    Ok(())
}

/// The closed form on rows whose missing values are replaced by the mean of their column.
fn start(x: ArrayView2<'_, f64>, k: usize, options: &PcaOptions) -> Result<Parameters> {
    let mut filled = x.to_owned();
    for mut column in filled.columns_mut() {
        let known: Vec<f64> = column.iter().copied().filter(|value| !value.is_nan()).collect();
        let mean = known.iter().sum::<f64>() / known.len() as f64;
        column.iter_mut().filter(|value| value.is_nan()).for_each(|value| *value = mean);
    }
    let options = PcaOptions { components: Components::Count(k), ..options.clone() };
    let pca = Pca::fit(filled.view(), &options)?;
    if pca.components.nrows() < k {
        return Err(Error::mistake(
            "fit PCA with missing values",
            format!("data with {k} independent directions"),
            pca.components.nrows().to_string(),
            "ask for fewer components",
        ));
    }
    Ok(Parameters::of(&pca))
}

fn expectation(x: ArrayView2<'_, f64>, parameters: &Parameters) -> Sums {
    let rows_per_part = x.nrows().div_ceil(PARTS).max(1);
    let parts: Vec<Sums> = x
        .axis_chunks_iter(Axis(0), rows_per_part)
        .into_par_iter()
        .map(|rows| sums_of(rows, parameters))
        .collect();
    let mut parts = parts.into_iter();
    let first = parts.next().expect("at least two rows");
    parts.fold(first, |mut sum, part| {
        sum.second += &part.second;
        sum.first += &part.first;
        sum.latent.iter_mut().zip(&part.latent).for_each(|(sum, part)| *sum += part);
        sum.log_likelihood += part.log_likelihood;
        sum.squared_error += part.squared_error;
        sum.observed += part.observed;
        sum
    })
}

fn sums_of(rows: ArrayView2<'_, f64>, parameters: &Parameters) -> Sums {
    let (d, width) = parameters.weights.dim();
    let k = width - 1;
    let mut sums = Sums {
        second: Array2::zeros((d, width * width)),
        first: Array2::zeros((d, width)),
        latent: vec![0.0; width * width],
        log_likelihood: 0.0,
        squared_error: 0.0,
        observed: 0,
    };
    let mut moment = vec![0.0; width * width];
    for row in rows.rows() {
        let posterior = Posterior::of(row, parameters);
        sums.log_likelihood += posterior.log_likelihood(parameters.noise);
        sums.observed += posterior.observed;
        let latent = |a: usize| if a < k { posterior.mean[a] } else { 1.0 };
        let spread = |a: usize, b: usize| {
            if a < k && b < k { parameters.noise * posterior.inverse[a * k + b] } else { 0.0 }
        };
        for a in 0..width {
            for b in 0..width {
                moment[a * width + b] = latent(a) * latent(b) + spread(a, b);
            }
        }
        sums.latent.iter_mut().zip(&moment).for_each(|(sum, m)| *sum += m);
        for (j, &value) in row.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
            let error = value - parameters.expected(j, &posterior.mean);
            sums.squared_error += error * error + quadratic(parameters, j, &posterior.inverse);
            sums.second.row_mut(j).iter_mut().zip(&moment).for_each(|(sum, m)| *sum += m);
            for a in 0..width {
                sums.first[[j, a]] += value * latent(a);
            }
        }
    }
    sums
}

/// `σ² w_jᵀ M⁻¹ w_j`.
fn quadratic(parameters: &Parameters, column: usize, inverse: &[f64]) -> f64 {
    let k = parameters.latent_dim();
    let w = parameters.weights.row(column);
    let form: f64 =
        (0..k).map(|a| w[a] * (0..k).map(|b| inverse[a * k + b] * w[b]).sum::<f64>()).sum();
    parameters.noise * form
}

/// The noise is that of the old weights; both steps raise the likelihood.
fn maximisation(parameters: &mut Parameters, sums: &Sums) -> Result<()> {
    let width = parameters.weights.ncols();
    parameters.noise = (sums.squared_error / sums.observed as f64).max(parameters.least_noise);
    parameters.weights.axis_iter_mut(Axis(0)).into_par_iter().enumerate().for_each(
        |(j, mut weights)| {
            let mut second = sums.second.row(j).to_vec();
            factor(&mut second, width);
            let inverse = invert(&second, width);
            for a in 0..width {
                weights[a] = (0..width).map(|b| inverse[a * width + b] * sums.first[[j, b]]).sum();
            }
        },
    );
    standardise_latents(parameters, &sums.latent);
    if parameters.weights.iter().all(|value| value.is_finite()) {
        return Ok(());
    }
    Err(too_few_values())
}

fn too_few_values() -> Error {
    Error::failure(
        "fit PCA with missing values",
        "a row or a column has too few values for so many components",
        "ask for fewer components, or leave it out",
    )
}

/// Moves the mean and covariance of the latents into the weights.
fn standardise_latents(parameters: &mut Parameters, latent: &[f64]) {
    let width = parameters.weights.ncols();
    let k = width - 1;
    let rows = latent[width * width - 1];
    let mean: Vec<f64> = (0..k).map(|a| latent[a * width + k] / rows).collect();
    let mut covariance: Vec<f64> = (0..k * k)
        .map(|i| latent[i / k * width + i % k] / rows - mean[i / k] * mean[i % k])
        .collect();
    factor(&mut covariance, k);
    for mut weights in parameters.weights.rows_mut() {
        weights[k] += (0..k).map(|a| weights[a] * mean[a]).sum::<f64>();
        for b in 0..k {
            weights[b] = (b..k).map(|a| weights[a] * covariance[a * k + b]).sum();
        }
    }
}

fn finish(
    parameters: &Parameters,
    rows: usize,
    options: &PcaOptions,
    reason: String,
) -> Result<Pca> {
    let (d, width) = parameters.weights.dim();
    let k = width - 1;
    let svd = thin_svd(parameters.weights.slice(s![.., ..k]))?;
    // Maximum likelihood divides by n; variances here divide by n − 1 as everywhere.
    let unbiased = rows as f64 / (rows as f64 - 1.0);
    let explained_variance: Array1<f64> =
        svd.values.mapv(|v| (v * v + parameters.noise) * unbiased);
    let noise_variance = if k == d { 0.0 } else { parameters.noise * unbiased };
    let total_variance = explained_variance.sum() + noise_variance * (d - k) as f64;
    let mut components = svd.left;
    make_signs_deterministic(&mut components);
    Ok(Pca {
        mean: parameters.weights.column(k).to_owned(),
        components,
        explained_variance_ratio: &explained_variance / total_variance,
        singular_values: explained_variance.mapv(|v| (v * (rows as f64 - 1.0)).sqrt()),
        noise_variance,
        total_variance,
        rows,
        whiten: options.whiten,
        solver: Algorithm::ExpectationMaximization,
        selection: Selection {
            components: k,
            reason,
            spectrum: explained_variance.to_vec(),
            threshold: None,
        },
        explained_variance,
    })
}

/// Cholesky factor in the lower triangle, in place; gives the logarithm of the determinant.
fn factor(matrix: &mut [f64], n: usize) -> f64 {
    let mut log_determinant = 0.0;
    for i in 0..n {
        for j in 0..=i {
            let inner: f64 = (0..j).map(|p| matrix[i * n + p] * matrix[j * n + p]).sum();
            let rest = matrix[i * n + j] - inner;
            matrix[i * n + j] = if i == j { rest.sqrt() } else { rest / matrix[j * n + j] };
        }
        log_determinant += 2.0 * matrix[i * n + i].ln();
    }
    log_determinant
}

/// The inverse of `LLᵀ`, both triangles.
fn invert(factor: &[f64], n: usize) -> Vec<f64> {
    let mut lower = vec![0.0; n * n];
    for j in 0..n {
        lower[j * n + j] = 1.0 / factor[j * n + j];
        for i in j + 1..n {
            let inner: f64 = (j..i).map(|p| factor[i * n + p] * lower[p * n + j]).sum();
            lower[i * n + j] = -inner / factor[i * n + i];
        }
    }
    let mut inverse = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            let value = (i..n).map(|p| lower[p * n + i] * lower[p * n + j]).sum();
            inverse[i * n + j] = value;
            inverse[j * n + i] = value;
        }
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compute::principal_angles;
    use crate::random::Random;

    fn low_rank_rows(rows: usize, dim: usize, k: usize, noise: f64) -> Array2<f64> {
        let mut random = Random::stream(9, "low rank");
        let w = Array2::from_shape_fn((k, dim), |(i, _)| (3.0 - i as f64) * random.normal());
        let z = Array2::from_shape_fn((rows, k), |_| random.normal());
        z.dot(&w) + Array2::from_shape_fn((rows, dim), |(_, j)| j as f64 + noise * random.normal())
    }

    fn count(k: usize) -> PcaOptions {
        PcaOptions { components: Components::Count(k), ..Default::default() }
    }

    #[test]
    fn complete_rows_give_the_closed_form() {
        let x = low_rank_rows(200, 8, 2, 0.3);
        let closed = Pca::fit(x.view(), &count(2)).expect("fits");
        let stop = MissingOptions { tolerance: 1e-14, rounds: 5000 };
        let em = Pca::fit_missing(x.view(), &count(2), &stop).expect("fits");
        let angles = principal_angles(&closed.components, &em.components).expect("converges");
        assert!(angles.iter().all(|angle| *angle < 1e-5), "{angles:?}");
        assert!(
            (&em.explained_variance / &closed.explained_variance - 1.0)
                .iter()
                .all(|v| v.abs() < 1e-6)
        );
        assert!((em.noise_variance / closed.noise_variance - 1.0).abs() < 1e-6);
        assert!((em.total_variance / closed.total_variance - 1.0).abs() < 1e-6);
    }

    #[test]
    fn a_fifth_missing_is_filled_better_than_by_the_mean() {
        let truth = low_rank_rows(300, 10, 2, 0.1);
        let mut random = Random::stream(2, "holes");
        let mut x = truth.clone();
        x.iter_mut().for_each(|value| {
            if random.uniform() < 0.2 {
                *value = f64::NAN
            }
        });
        let pca = Pca::fit_missing(x.view(), &count(2), &Default::default()).expect("fits");
        let mut filled = x.clone();
        pca.fill_missing(&mut filled).expect("same columns");
        let error = |guess: &dyn Fn(usize, usize) -> f64| {
            let holes: Vec<f64> = x
                .indexed_iter()
                .filter(|(_, v)| v.is_nan())
                .map(|((i, j), _)| (guess(i, j) - truth[[i, j]]).powi(2))
                .collect();
            (holes.iter().sum::<f64>() / holes.len() as f64).sqrt()
        };
        let by_model = error(&|i, j| filled[[i, j]]);
        let by_mean = error(&|_, j| pca.mean[j]);
        assert!(by_model < 0.15 && by_mean > 1.0, "model {by_model}, mean {by_mean}");
    }

    /// Slow twin: the conditional mean of the full covariance matrix.
    #[test]
    fn filling_is_the_conditional_mean_of_the_normal_distribution() {
        let x = low_rank_rows(50, 4, 2, 0.5);
        let pca = Pca::fit(x.view(), &count(2)).expect("fits");
        let c = pca.covariance();
        let mut row = x.slice(s![..1, ..]).to_owned();
        row[[0, 1]] = f64::NAN;
        let observed = [0usize, 2, 3];
        let mut c_oo: Vec<f64> =
            observed.iter().flat_map(|&i| observed.map(|j| c[[i, j]])).collect();
        factor(&mut c_oo, 3);
        let inverse = invert(&c_oo, 3);
        let mut expected = pca.mean[1];
        for (a, &i) in observed.iter().enumerate() {
            for (b, &j) in observed.iter().enumerate() {
                expected += c[[1, i]] * inverse[a * 3 + b] * (row[[0, j]] - pca.mean[j]);
            }
        }
        pca.fill_missing(&mut row).expect("same columns");
        assert!((row[[0, 1]] - expected).abs() < 1e-9, "{} {expected}", row[[0, 1]]);
    }

    #[test]
    fn the_likelihood_of_observed_values_never_falls() {
        let x = with_holes(low_rank_rows(80, 6, 2, 0.4), 0.3);
        let mut parameters = start(x.view(), 2, &count(2)).expect("starts");
        let mut last = f64::NEG_INFINITY;
        for _ in 0..100 {
            let sums = expectation(x.view(), &parameters);
            assert!(sums.log_likelihood > last - 1e-9 * last.abs().min(1e9));
            last = sums.log_likelihood;
            maximisation(&mut parameters, &sums).expect("regular");
        }
    }

    #[test]
    fn an_empty_column_is_named() {
        let mut x = low_rank_rows(20, 4, 1, 0.1);
        x.column_mut(2).fill(f64::NAN);
        let error = Pca::fit_missing(x.view(), &count(1), &Default::default()).expect_err("empty");
        assert!(error.to_string().contains("column 3 with none"), "{error}");
    }

    fn with_holes(mut x: Array2<f64>, share: f64) -> Array2<f64> {
        let mut random = Random::stream(5, "holes");
        x.iter_mut().for_each(|value| {
            if random.uniform() < share {
                *value = f64::NAN
            }
        });
        x
    }

    /// Columns that are sums of others leave no noise; a row with fewer values than components
    /// then has latents that only the noise determines.
    #[test]
    fn rows_of_exactly_low_rank_with_few_values_are_fitted() {
        for seed in 0..12 {
            let mut random = Random::stream(seed, "sums");
            let mut x = Array2::from_shape_fn((60, 7), |_| 5.0 + random.normal());
            for mut row in x.rows_mut() {
                row[3] = row[0] + row[1];
                row[4] = row[1] - row[2];
                row[5] = row[0] + row[2];
                row[6] = row[0] - row[1];
            }
            let truth = x.clone();
            for (i, mut row) in x.rows_mut().into_iter().enumerate().filter(|(i, _)| i % 5 == 0) {
                let kept = [i % 7, (i / 7) % 7];
                row.indexed_iter_mut()
                    .filter(|(j, _)| !kept.contains(j))
                    .for_each(|(_, value)| *value = f64::NAN);
            }
            let closed = Pca::fit(truth.view(), &count(3)).expect("fits");
            for tolerance in [1e-9, 0.0] {
                let stop = MissingOptions { tolerance, rounds: 300 };
                let pca = Pca::fit_missing(x.view(), &count(3), &stop).expect("fits");
                assert!(pca.noise_variance < 1e-11 * pca.explained_variance[0], "seed {seed}");
                let angles =
                    principal_angles(&closed.components, &pca.components).expect("converges");
                assert!(angles.iter().all(|angle| *angle < 1e-5), "seed {seed}: {angles:?}");
            }
        }
    }

    /// Slow twin: the density of a normal distribution with the part of the covariance that
    /// belongs to the observed columns. Noise left over, none because all is kept, none at all.
    #[test]
    fn the_likelihood_of_a_row_with_holes_is_that_of_its_observed_values() {
        let mut dependent = low_rank_rows(50, 6, 3, 0.0);
        dependent.column_mut(5).fill(2.0);
        for (x, k) in
            [(low_rank_rows(50, 6, 2, 0.5), 2), (low_rank_rows(50, 6, 2, 0.5), 6), (dependent, 3)]
        {
            let pca = Pca::fit(x.view(), &count(k)).expect("fits");
            let covariance = pca.covariance();
            let holes = with_holes(x, 0.6);
            let found = pca.log_likelihood_rows(holes.view()).expect("same columns");
            for (row, found) in holes.rows().into_iter().zip(found) {
                let observed: Vec<usize> = (0..6).filter(|&j| !row[j].is_nan()).collect();
                let part = covariance.select(Axis(0), &observed).select(Axis(1), &observed);
                let rest: Array1<f64> = observed.iter().map(|&j| row[j] - pca.mean[j]).collect();
                let mut expected = 0.0;
                if !observed.is_empty() {
                    let eigen = crate::compute::symmetric_eigen(part.view()).expect("converges");
                    for (value, axis) in eigen.values.iter().zip(eigen.vectors.rows()) {
                        if *value > 1e-12 * pca.explained_variance[0] {
                            let square = axis.dot(&rest).powi(2) / value;
                            expected -= 0.5 * ((2.0 * PI * value).ln() + square);
                        }
                    }
                }
                assert!((found - expected).abs() < 1e-8, "{k}, {row}: {found} {expected}");
            }
        }
    }
}
