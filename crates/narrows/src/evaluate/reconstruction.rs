//! What a model loses of rows, in one pass and in f64.
//!
//! ```text
//! squared_error_per_row           1/n · Σᵢ ‖xᵢ − x̂ᵢ‖²
//! squared_error_per_row_clipped   the same with x̂ clipped to the range of the data
//! binary_cross_entropy            1/(n·d) · Σᵢⱼ −x ln x̂ − (1 − x) ln(1 − x̂), x̂ kept 1e-7 from 0 and 1
//! fraction_variance_unexplained   Σᵢ ‖xᵢ − x̂ᵢ‖² / Σᵢ ‖xᵢ − x̄‖²          x̄: mean of these rows
//! explained_variance              1 − Σᵢ ‖eᵢ − ē‖² / Σᵢ ‖xᵢ − x̄‖²,   e = x − x̂
//! Pythagoras                      Σ ‖V(x − μ)‖² + Σ ‖x − x̂‖² = Σ ‖x − μ‖²   μ, V: the model's
//! ```
//!
//! All in the units of the prepared rows. Where values are missing, a row goes through the model
//! filled in (by the mean, or by what PCA expects), but every sum above and the mean x̄ are taken
//! over the observed values alone, and the log-likelihood is the density of those. Only the three
//! sums of Pythagoras are of whole rows, the filled ones where values are missing; they are computed
//! independently, and their disagreement is the rounding of the whole computation.

use ndarray::{Array1, Array2, ArrayView2};
use serde::{Deserialize, Serialize};

use crate::data::Source;
use crate::error::{Error, Result};
use crate::model::{Model, Pca};

/// Rows that are held at a time.
const BLOCK: usize = 2048;

/// What a model loses of rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Mean over rows of the sum over columns of the squared error.
    pub squared_error_per_row: f64,
    /// The same with reconstructions clipped to the range of the data, where that is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub squared_error_per_row_clipped: Option<f64>,
    /// Networks on data between 0 and 1: the mean over all values of the binary cross-entropy, as
    /// Keras has it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub binary_cross_entropy: Option<f64>,
    /// Squared error over squared distance from the mean of these rows.
    pub fraction_variance_unexplained: f64,
    /// One minus the variance of the error over the variance of the rows.
    pub explained_variance: f64,
}

/// The sums of the Pythagorean identity, each computed on its own, divided by the rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pythagoras {
    /// `Σ ‖V(x − μ)‖² / n`.
    pub projected: f64,
    /// `Σ ‖x − x̂‖² / n`.
    pub residual: f64,
    /// `Σ ‖x − μ‖² / n`.
    pub total: f64,
    /// `|projected + residual − total| / total`.
    pub relative_error: f64,
}

/// Everything measured on some rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Rows used.
    pub rows: usize,
    /// Columns of a prepared row.
    pub input_dim: usize,
    /// Columns of a code.
    pub latent_dim: usize,
    /// The model's scores.
    #[serde(flatten)]
    pub scores: Scores,
    /// The same of PCA of the same width, fitted on the training rows.
    pub pca: Scores,
    /// For PCA: projected variance + reconstruction error = total variance, missing values filled.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pythagoras: Option<Pythagoras>,
    /// For PCA: mean log-likelihood of the observed values of a row under the fitted normal
    /// distribution, in nats.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub log_likelihood: Option<f64>,
}

/// Measures `model`, and `baseline` where it is not PCA itself, on prepared rows; `bounds` is the
/// range of the data. Reads the rows once, 2,048 at a time (twice where missing values are filled by
/// the preparation, to tell which were).
///
/// # Errors
/// If the rows cannot be read, there are none, or they have other columns than the model.
pub fn evaluate(
    rows: &dyn Source,
    model: &Model,
    baseline: Option<&Pca>,
    bounds: Option<(f64, f64)>,
) -> Result<Evaluation> {
    let (count, dim) = (rows.rows(), rows.dim());
    if count == 0 {
        return Err(Error::mistake("evaluate", "at least one row", "none", "give more data"));
    }
    if let Model::Predictor(_) = model {
        return Err(Error::mistake(
            "evaluate",
            "a model that rebuilds rows",
            "one that was fine-tuned to predict labels",
            "use `narrows predict --labels`",
        ));
    }
    if model.output_dim() != model.input_dim() {
        return Err(Error::mistake(
            "evaluate",
            "a model that rebuilds rows",
            "a transcoder, which turns them into others",
            "measure it against those: `evaluate_dictionary`",
        ));
    }
    let baseline = baseline.map(|pca| Model::Pca(pca.clone()));
    let mut variance = Variance::new(dim);
    let shares = matches!(model, Model::Network(_)) && bounds == Some((0.0, 1.0));
    let mut own = Errors::new(dim, bounds, shares);
    let mut other = baseline.as_ref().map(|_| Errors::new(dim, bounds, shares));
    let mut identity = match model {
        Model::Pca(pca) => Some(Identity::new(pca)),
        _ => None,
    };
    let mut start = 0;
    while start < count {
        let mut x = Array2::<f64>::zeros((BLOCK.min(count - start), dim));
        rows.read_f64(start, x.as_slice_mut().expect("owned and row-major"))?;
        let missing = missing(rows, start, &x)?;
        start += x.nrows();
        if missing.is_some() {
            model.fill_missing(&mut x)?;
        }
        variance.add(&x, missing.as_ref());
        let (codes, rebuilt) = model.reconstruct(x.view())?;
        own.add(x.view(), rebuilt.view(), missing.as_ref());
        if let (Some(errors), Some(pca)) = (&mut other, &baseline) {
            let rebuilt = pca.decode(pca.encode(x.view())?.view())?;
            errors.add(x.view(), rebuilt.view(), missing.as_ref());
        }
        if let Some(identity) = &mut identity {
            identity.add(x, codes.view(), rebuilt.view(), missing.as_ref())?;
        }
    }
    let scores = own.scores(&variance);
    let identity = identity.map(|identity| identity.finish());
    Ok(Evaluation {
        rows: count,
        input_dim: dim,
        latent_dim: model.latent_dim(),
        pca: other.map_or_else(|| scores.clone(), |errors| errors.scores(&variance)),
        scores,
        pythagoras: identity.as_ref().map(|(pythagoras, _)| pythagoras.clone()),
        log_likelihood: identity.map(|(_, log_likelihood)| log_likelihood),
    })
}

/// Which values of a block were not observed; `None` where all were.
fn missing(rows: &dyn Source, start: usize, x: &Array2<f64>) -> Result<Option<Array2<bool>>> {
    let mut filled = Array2::from_elem(x.dim(), false);
    if rows.mark_filled(start, filled.as_slice_mut().expect("owned and row-major"))? {
        return Ok(Some(filled));
    }
    Ok(x.iter().any(|value| value.is_nan()).then(|| x.mapv(f64::is_nan)))
}

/// Calls `with` on the column and every observed value beside its reconstruction.
fn each_observed(
    x: ArrayView2<'_, f64>,
    beside: ArrayView2<'_, f64>,
    missing: Option<&Array2<bool>>,
    mut with: impl FnMut(usize, f64, f64),
) {
    for (index, (row, beside)) in x.outer_iter().zip(beside.outer_iter()).enumerate() {
        for (column, (&value, &beside)) in row.iter().zip(beside).enumerate() {
            if missing.is_none_or(|missing| !missing[[index, column]]) {
                with(column, value, beside);
            }
        }
    }
}

/// Squared distances from the mean of each column, by Chan's update of blocks.
struct Variance {
    counts: Array1<f64>,
    mean: Array1<f64>,
    squares: f64,
}

impl Variance {
    fn new(dim: usize) -> Self {
        Self { counts: Array1::zeros(dim), mean: Array1::zeros(dim), squares: 0.0 }
    }

    fn add(&mut self, x: &Array2<f64>, missing: Option<&Array2<bool>>) {
        let (mut counts, mut sums) = (Array1::zeros(x.ncols()), Array1::zeros(x.ncols()));
        each_observed(x.view(), x.view(), missing, |column, value, _| {
            counts[column] += 1.0;
            sums[column] += value;
        });
        let mean: Array1<f64> = sums / counts.mapv(|count: f64| count.max(1.0));
        each_observed(x.view(), x.view(), missing, |column, value, _| {
            self.squares += (value - mean[column]).powi(2);
        });
        for (column, &count) in counts.indexed_iter().filter(|(_, count)| **count > 0.0) {
            let (before, total) = (self.counts[column], self.counts[column] + count);
            let step = mean[column] - self.mean[column];
            self.squares += step * step * before * count / total;
            self.mean[column] += step * count / total;
            self.counts[column] = total;
        }
    }
}

struct Errors {
    bounds: Option<(f64, f64)>,
    rows: f64,
    squares: f64,
    clipped: f64,
    /// Sum and number of the terms of the cross-entropy, where it is wanted.
    entropy: Option<(f64, f64)>,
    sum: Array1<f64>,
}

impl Errors {
    fn new(dim: usize, bounds: Option<(f64, f64)>, shares: bool) -> Self {
        let entropy = shares.then_some((0.0, 0.0));
        Self { bounds, rows: 0.0, squares: 0.0, clipped: 0.0, entropy, sum: Array1::zeros(dim) }
    }

    fn add(
        &mut self,
        x: ArrayView2<'_, f64>,
        rebuilt: ArrayView2<'_, f64>,
        missing: Option<&Array2<bool>>,
    ) {
        self.rows += x.nrows() as f64;
        let (low, high) = self.bounds.unwrap_or((f64::NEG_INFINITY, f64::INFINITY));
        each_observed(x, rebuilt, missing, |column, value, guess| {
            let error = value - guess;
            self.squares += error * error;
            self.clipped += (value - guess.clamp(low, high)).powi(2);
            self.sum[column] += error;
            if let Some((sum, count)) = &mut self.entropy {
                let share = guess.clamp(1e-7, 1.0 - 1e-7);
                *sum -= value * share.ln() + (1.0 - value) * (1.0 - share).ln();
                *count += 1.0;
            }
        });
    }

    fn scores(&self, variance: &Variance) -> Scores {
        let of_column = |(sum, count): (&f64, &f64)| sum * sum / count.max(1.0);
        let shift: f64 = self.sum.iter().zip(&variance.counts).map(of_column).sum();
        Scores {
            squared_error_per_row: self.squares / self.rows,
            squared_error_per_row_clipped: self.bounds.map(|_| self.clipped / self.rows),
            binary_cross_entropy: self.entropy.map(|(sum, count)| sum / count),
            fraction_variance_unexplained: self.squares / variance.squares,
            explained_variance: 1.0 - (self.squares - shift) / variance.squares,
        }
    }
}

/// The three sums, and the likelihood.
struct Identity<'a> {
    pca: &'a Pca,
    rows: f64,
    projected: f64,
    residual: f64,
    total: f64,
    log_likelihood: f64,
}

impl<'a> Identity<'a> {
    fn new(pca: &'a Pca) -> Self {
        Self { pca, rows: 0.0, projected: 0.0, residual: 0.0, total: 0.0, log_likelihood: 0.0 }
    }

    fn add(
        &mut self,
        mut x: Array2<f64>,
        codes: ArrayView2<'_, f64>,
        rebuilt: ArrayView2<'_, f64>,
        missing: Option<&Array2<bool>>,
    ) -> Result<()> {
        let pca = self.pca;
        let unwhiten = |k: usize| if pca.whiten { pca.explained_variance[k] } else { 1.0 };
        self.rows += x.nrows() as f64;
        for ((row, code), rebuilt) in
            x.outer_iter().zip(codes.outer_iter()).zip(rebuilt.outer_iter())
        {
            self.projected +=
                code.iter().enumerate().map(|(k, z)| z * z * unwhiten(k)).sum::<f64>();
            self.residual += row.iter().zip(rebuilt).map(|(v, r)| (v - r).powi(2)).sum::<f64>();
            self.total += row.iter().zip(&pca.mean).map(|(v, m)| (v - m).powi(2)).sum::<f64>();
        }
        if let Some(missing) = missing {
            x.zip_mut_with(missing, |value, missing| {
                if *missing {
                    *value = f64::NAN
                }
            });
        }
        self.log_likelihood += pca.log_likelihood_rows(x.view())?.sum();
        Ok(())
    }

    fn finish(self) -> (Pythagoras, f64) {
        let [projected, residual, total] =
            [self.projected, self.residual, self.total].map(|sum| sum / self.rows);
        let relative_error = (projected + residual - total).abs() / total;
        let pythagoras = Pythagoras { projected, residual, total, relative_error };
        (pythagoras, self.log_likelihood / self.rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::pca::{Components, PcaOptions};
    use crate::random::Random;

    fn rows(count: usize) -> Array2<f64> {
        let mut random = Random::stream(8, "rows");
        Array2::from_shape_fn((count, 6), |(_, j)| 3.0 + random.normal() / (1.0 + j as f64))
    }

    fn fit(x: &Array2<f64>, k: usize, whiten: bool) -> Model {
        let options = PcaOptions { components: Components::Count(k), whiten, ..Default::default() };
        Model::Pca(Pca::fit(x.view(), &options).expect("fits"))
    }

    /// On training rows the closed form is known: the variances left out.
    #[test]
    fn the_error_on_training_rows_is_the_variance_left_out() {
        let x = rows(5000);
        let all = Pca::fit(x.view(), &PcaOptions::default()).expect("fits");
        let left_out = all.explained_variance.iter().skip(2).sum::<f64>() * 4999.0 / 5000.0;
        for whiten in [false, true] {
            let found = evaluate(&x.view(), &fit(&x, 2, whiten), None, None).expect("measures");
            assert!((found.scores.squared_error_per_row / left_out - 1.0).abs() < 1e-12);
            let share = left_out * 5000.0 / 4999.0 / all.total_variance;
            assert!((found.scores.fraction_variance_unexplained - share).abs() < 1e-12);
            assert!((found.scores.explained_variance - 1.0 + share).abs() < 1e-12);
            assert!(found.pythagoras.expect("PCA").relative_error < 1e-12);
            assert_eq!(found.scores, found.pca);
        }
    }

    #[test]
    fn the_identity_holds_on_rows_never_seen() {
        let x = rows(500);
        let other = rows(900).slice(ndarray::s![500.., ..]).to_owned() + 0.5;
        let found = evaluate(&other.view(), &fit(&x, 3, false), None, None).expect("measures");
        let pythagoras = found.pythagoras.expect("PCA");
        assert!(pythagoras.relative_error < 1e-12 && pythagoras.residual > 0.0, "{pythagoras:?}");
    }

    #[test]
    fn clipping_never_hurts_where_rows_lie_in_the_range() {
        let x = rows(300).mapv(|value| value.clamp(2.5, 3.5));
        let found = evaluate(&x.view(), &fit(&x, 1, false), None, Some((2.5, 3.5)));
        let scores = found.expect("measures").scores;
        let clipped = scores.squared_error_per_row_clipped.expect("bounded");
        assert!(clipped < scores.squared_error_per_row);
    }

    /// Rows with holes that the source fills with 7, as a preparation may.
    struct Filled(Array2<f64>);

    impl Source for Filled {
        fn rows(&self) -> usize {
            self.0.nrows()
        }
        fn dim(&self) -> usize {
            self.0.ncols()
        }
        fn precision(&self) -> crate::data::Precision {
            crate::data::Precision::F64
        }
        fn read_f32(&self, _: usize, _: &mut [f32]) -> Result<()> {
            unreachable!("rows are measured in f64")
        }
        fn read_f64(&self, start: usize, out: &mut [f64]) -> Result<()> {
            let filled = self.0.mapv(|value| if value.is_nan() { 7.0 } else { value });
            filled.view().read_f64(start, out)
        }
        fn mark_filled(&self, start: usize, out: &mut [bool]) -> Result<bool> {
            let values = self.0.iter().skip(start * self.0.ncols());
            out.iter_mut().zip(values).for_each(|(out, value)| *out = value.is_nan());
            Ok(out.contains(&true))
        }
    }

    /// Slow twin, cell by cell, over two blocks: holes that the model fills, and the preparation.
    #[test]
    fn only_observed_values_are_counted() {
        let x = rows(BLOCK + 300);
        let model = fit(&x, 3, false);
        let mut random = Random::stream(4, "holes");
        let holes = x.mapv(|value| if random.uniform() < 0.3 { f64::NAN } else { value });
        let Model::Pca(pca) = &model else { unreachable!("PCA was fitted") };
        let log_likelihood = pca.log_likelihood_rows(holes.view()).expect("fits");
        for by_model in [true, false] {
            let mut filled = holes.mapv(|value| if value.is_nan() { 7.0 } else { value });
            if by_model {
                filled = holes.clone();
                pca.fill_missing(&mut filled).expect("fits");
            }
            let codes = pca.transform(filled.view()).expect("fits");
            let rebuilt = pca.inverse_transform(codes.view()).expect("fits");
            let (mut squares, mut spread, mut about) = (0.0, 0.0, 0.0);
            for j in 0..x.ncols() {
                let seen: Vec<usize> =
                    (0..x.nrows()).filter(|&i| !holes[[i, j]].is_nan()).collect();
                let mean_of = |value: &dyn Fn(usize) -> f64| {
                    seen.iter().map(|&i| value(i)).sum::<f64>() / seen.len() as f64
                };
                let error = |i: usize| x[[i, j]] - rebuilt[[i, j]];
                let (mean, bias) = (mean_of(&|i| x[[i, j]]), mean_of(&error));
                for &i in &seen {
                    squares += error(i).powi(2);
                    about += (error(i) - bias).powi(2);
                    spread += (x[[i, j]] - mean).powi(2);
                }
            }
            let found = match by_model {
                true => evaluate(&holes.view(), &model, None, None),
                false => evaluate(&Filled(holes.clone()), &model, None, None),
            };
            let found = found.expect("measures");
            let close = |found: f64, expected: f64| {
                assert!((found / expected - 1.0).abs() < 1e-12, "{by_model}: {found} {expected}");
            };
            close(found.scores.squared_error_per_row, squares / x.nrows() as f64);
            close(found.scores.fraction_variance_unexplained, squares / spread);
            close(found.scores.explained_variance, 1.0 - about / spread);
            let expected = log_likelihood.sum() / x.nrows() as f64;
            close(found.log_likelihood.expect("PCA"), expected);
        }
    }
}
