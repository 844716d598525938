//! What a sparse dictionary does to rows, in f64.
//!
//! ```text
//! x (d) a row (of a transcoder: the row it should give)    x̄ the mean row    z (n) its code
//! y (d) what comes out of it    e = x − y    ē the mean of e
//!
//! l0                             1/N · Σᵢ #{j: zᵢⱼ ≠ 0}
//! l1                             1/N · Σᵢⱼ |zᵢⱼ|
//! squared_error_per_row          1/N · Σᵢ ‖eᵢ‖²
//! fraction_variance_unexplained  Σᵢ ‖eᵢ‖² / Σᵢ ‖xᵢ − x̄‖²
//! explained_variance             1 − Σᵢ ‖eᵢ − ē‖² / Σᵢ ‖xᵢ − x̄‖²
//! explained_variance_legacy      1/N · Σᵢ (1 − ‖eᵢ‖² / ‖xᵢ − x̄‖²)
//! cosine                         1/N · Σᵢ xᵢ·yᵢ / (‖xᵢ‖ ‖yᵢ‖)            rows whose y is 0 count as 0
//! l2_ratio                       1/N · Σᵢ ‖yᵢ‖ / ‖xᵢ‖
//! shrinkage                      argmin_c Σᵢ ‖xᵢ − c·yᵢ‖² = Σᵢ xᵢ·yᵢ / Σᵢ ‖yᵢ‖²    above 1: y is too short
//! rate of a latent               share of rows in which its code is not 0;  dead: 0,  dense: above 0.1
//! ```
//!
//! Rows of length 0 count in neither cosine nor `l2_ratio`, rows that are the mean row not in
//! `explained_variance_legacy`.
//!
//! Source: A. Karvonen et al., `SAEBench` (2025).
//! Differs from: `explained_variance` of `SAELens` since July 2026 is 1 −
//! `fraction_variance_unexplained`, before that 1 − Σ‖e‖²/Σ‖x‖²; that of `dictionary_learning` is ours.
//! `explained_variance_legacy` there takes the mean of each batch for x̄, here that of all rows. What
//! `sae_lens.synthetic` calls shrinkage is `l2_ratio`; 1/`shrinkage` is its `relative_reconstruction_bias`.

mod structure;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

pub use structure::{DecoderStructure, DensityHistogram};

use super::recovery::{Hits, Recovery};
use crate::compute::{Matrix, SparseRows};
use crate::data::superposition::KnownTruth;
use crate::data::{Source, refuse_not_finite};
use crate::error::{Error, Result};
use crate::model::Dictionary;

/// Rows that are held at a time.
const BLOCK: usize = 2048;
/// A latent with a higher rate is dense.
const DENSE: f64 = 0.1;

/// What a dictionary does to rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DictionaryScores {
    /// Rows N that were measured.
    pub rows: usize,
    /// Latents n.
    pub latents: usize,
    /// Mean number of latents that fire in a row.
    pub l0: f64,
    /// Mean over rows of the sum of the absolute codes.
    pub l1: f64,
    /// Mean over rows of the sum over columns of the squared error.
    pub squared_error_per_row: f64,
    /// Squared error over squared distance from the mean row.
    pub fraction_variance_unexplained: f64,
    /// One minus the variance of the error over the variance of the rows.
    pub explained_variance: f64,
    /// The mean over rows, but those that are the mean row, of one minus squared error over squared distance
    /// from the mean row.
    pub explained_variance_legacy: f64,
    /// Mean cosine of a row and what comes out.
    pub cosine: f64,
    /// Mean ratio of the length of what comes out and of the row.
    pub l2_ratio: f64,
    /// The factor that best rescales what comes out.
    pub shrinkage: f64,
    /// Latents that never fired.
    pub dead: usize,
    /// Their share.
    pub dead_share: f64,
    /// The share of latents that fired in more than a tenth of the rows.
    pub dense_share: f64,
    /// How many latents fire how often.
    pub density: DensityHistogram,
    /// How atoms of the decoder lie to each other.
    pub decoder: DecoderStructure,
    /// How far the known truth was found, where it is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub truth: Option<Recovery>,
    /// The rate of each latent `(n)`; not kept in records.
    #[serde(skip)]
    pub rates: Vec<f64>,
    /// The mean of the absolute code of each latent over the rows in which it fires `(n)`, 0 of dead ones;
    /// not kept in records.
    #[serde(skip)]
    pub mean_codes: Vec<f64>,
}

/// What a dictionary does to rows, which should give `targets` where it is a transcoder.
///
/// # Errors
/// If rows cannot be read, there are none, a number of them is not finite, or shapes differ.
pub fn evaluate_dictionary(
    dictionary: &Dictionary,
    rows: &dyn Source,
    targets: Option<&dyn Source>,
    truth: Option<&KnownTruth>,
) -> Result<DictionaryScores> {
    let measured = Measured { rows, targets, decoder: &dictionary.decoder, truth };
    measured.scores(|rows, codes, output| {
        *codes = dictionary.encode_sparse(rows)?;
        *output = dictionary.rebuild(codes, rows)?;
        Ok(())
    })
}

/// What is measured, and against what.
pub struct Measured<'a> {
    /// The rows that are encoded.
    pub rows: &'a dyn Source,
    /// The rows that should come out, of a transcoder; `None` where they are the same.
    pub targets: Option<&'a dyn Source>,
    /// The decoder `(n, d)`, one atom a row.
    pub decoder: &'a Matrix,
    /// The truth that `rows` were made of, row for row.
    pub truth: Option<&'a KnownTruth>,
}

impl Measured<'_> {
    /// Reads the rows twice, 2,048 at a time: once for their mean, once through `code`, which is given a
    /// block of rows and fills in their codes and what comes out of them.
    ///
    /// # Errors
    /// If rows cannot be read, there are none, a number of them is not finite, or shapes differ; and those
    /// of `code`.
    pub fn scores(
        &self,
        mut code: impl FnMut(&Matrix, &mut SparseRows, &mut Matrix) -> Result<()>,
    ) -> Result<DictionaryScores> {
        let goal = self.targets.unwrap_or(self.rows);
        self.check(goal)?;
        let mean = mean_row(goal)?;
        let mut sums = Sums::new(self.decoder.rows(), goal.dim());
        let mut hits = self.truth.map(|truth| Hits::new(self.decoder, truth)).transpose()?;
        let (mut input, mut target) = (Matrix::default(), Matrix::default());
        let (mut codes, mut output) = (SparseRows::new(self.decoder.rows()), Matrix::default());
        for start in (0..self.rows.rows()).step_by(BLOCK) {
            let count = BLOCK.min(self.rows.rows() - start);
            read(self.rows, start, count, &mut input)?;
            code(&input, &mut codes, &mut output)?;
            if let Some(targets) = self.targets {
                read(targets, start, count, &mut target)?;
            }
            let target = if self.targets.is_some() { &target } else { &input };
            check_coded(target, self.decoder.rows(), &codes, &output)?;
            sums.add(target, &mean, &codes, &output);
            if let (Some(hits), Some(truth)) = (&mut hits, self.truth) {
                hits.add(&codes, &truth.codes(start..start + count));
            }
        }
        let truth = match (hits, self.truth) {
            (Some(hits), Some(truth)) => Some(hits.recovery(self.decoder, truth)?),
            _ => None,
        };
        Ok(sums.scores(DecoderStructure::of(self.decoder), truth))
    }

    fn check(&self, goal: &dyn Source) -> Result<()> {
        let count = self.rows.rows();
        if count == 0 {
            return Err(Error::mistake("evaluate", "at least one row", "none", "give more data"));
        }
        let refuse = |expected: String, got: String| {
            Err(Error::mistake("evaluate", expected, got, "give rows of the same set"))
        };
        if goal.dim() != self.decoder.cols() {
            let expected = format!("rows of {} columns", self.decoder.cols());
            return refuse(expected, goal.dim().to_string());
        }
        if goal.rows() != count {
            return refuse(format!("{count} rows that should come out"), goal.rows().to_string());
        }
        match self.truth {
            Some(truth) if truth.rows() != count => {
                refuse(format!("the truth of {count} rows"), format!("that of {}", truth.rows()))
            }
            _ => Ok(()),
        }
    }
}

fn read(source: &dyn Source, start: usize, count: usize, out: &mut Matrix) -> Result<()> {
    out.reshape(count, source.dim());
    source.read_f32(start, out.as_mut_slice())?;
    refuse_not_finite(source, |row| start + row, out)
}

fn mean_row(source: &dyn Source) -> Result<Vec<f64>> {
    let (count, dim) = (source.rows(), source.dim());
    let mut mean = vec![0.0; dim];
    let mut block = Matrix::default();
    for start in (0..count).step_by(BLOCK) {
        read(source, start, BLOCK.min(count - start), &mut block)?;
        for row in block.as_slice().chunks_exact(dim.max(1)) {
            mean.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x));
        }
    }
    mean.iter_mut().for_each(|sum| *sum /= count as f64);
    Ok(mean)
}

fn check_coded(target: &Matrix, latents: usize, codes: &SparseRows, output: &Matrix) -> Result<()> {
    let fits = (output.rows(), output.cols()) == (target.rows(), target.cols())
        && (codes.rows(), codes.cols()) == (target.rows(), latents);
    if fits {
        return Ok(());
    }
    let expected =
        format!("{} rows of {} columns from {latents} latents", target.rows(), target.cols());
    let got = format!("{} of {} from {}", output.rows(), output.cols(), codes.cols());
    Err(Error::mistake("evaluate", expected, got, "evaluate the dictionary that made these codes"))
}

/// The sums of one row.
#[derive(Default)]
struct RowSums {
    /// ‖x‖², ‖y‖², x·y.
    x: f64,
    y: f64,
    xy: f64,
    /// ‖e‖², ‖x − x̄‖².
    error: f64,
    spread: f64,
}

impl RowSums {
    fn of(target: &[f32], output: &[f32], mean: &[f64]) -> Self {
        let mut sums = Self::default();
        for ((&x, &y), mean) in target.iter().zip(output).zip(mean) {
            let (x, y) = (f64::from(x), f64::from(y));
            sums.x += x * x;
            sums.y += y * y;
            sums.xy += x * y;
            sums.error += (x - y) * (x - y);
            sums.spread += (x - mean) * (x - mean);
        }
        sums
    }
}

/// Sums over rows, in their order.
struct Sums {
    rows: usize,
    /// Rows of a length, and rows that are not the mean row.
    with_length: usize,
    with_spread: usize,
    whole: RowSums,
    legacy: f64,
    cosine: f64,
    ratio: f64,
    /// Σ e `(d)`.
    error: Vec<f64>,
    /// Rows in which each latent fired `(n)`, and the sum of its absolute codes.
    fired: Vec<u64>,
    code: Vec<f64>,
}

impl Sums {
    fn new(latents: usize, dim: usize) -> Self {
        let (error, fired, whole) = (vec![0.0; dim], vec![0; latents], RowSums::default());
        let (legacy, cosine, ratio, code) = (0.0, 0.0, 0.0, vec![0.0; latents]);
        let [rows, with_length, with_spread] = [0; 3];
        Self { rows, with_length, with_spread, whole, legacy, cosine, ratio, error, fired, code }
    }

    fn add(&mut self, target: &Matrix, mean: &[f64], codes: &SparseRows, output: &Matrix) {
        let rows = (0..target.rows()).into_par_iter().with_min_len(16);
        let sums: Vec<RowSums> =
            rows.map(|row| RowSums::of(target.row(row), output.row(row), mean)).collect();
        for (row, sums) in sums.iter().enumerate() {
            self.add_row(sums);
            for (error, (&x, &y)) in
                self.error.iter_mut().zip(target.row(row).iter().zip(output.row(row)))
            {
                *error += f64::from(x) - f64::from(y);
            }
            let (latents, values) = codes.row(row);
            for (&latent, &value) in latents.iter().zip(values) {
                // A code may be kept and yet be 0, where its pre-activation is.
                self.fired[latent as usize] += u64::from(value != 0.0);
                self.code[latent as usize] += f64::from(value.abs());
            }
        }
    }

    fn add_row(&mut self, sums: &RowSums) {
        self.rows += 1;
        self.whole.x += sums.x;
        self.whole.y += sums.y;
        self.whole.xy += sums.xy;
        self.whole.error += sums.error;
        self.whole.spread += sums.spread;
        if sums.spread > 0.0 {
            self.with_spread += 1;
            self.legacy += 1.0 - sums.error / sums.spread;
        }
        if sums.x > 0.0 {
            self.with_length += 1;
            self.ratio += (sums.y / sums.x).sqrt();
            self.cosine += if sums.y > 0.0 { sums.xy / (sums.x * sums.y).sqrt() } else { 0.0 };
        }
    }

    fn scores(self, decoder: DecoderStructure, truth: Option<Recovery>) -> DictionaryScores {
        let (n, latents) = (self.rows as f64, self.fired.len());
        let rates: Vec<f64> = self.fired.iter().map(|&fired| fired as f64 / n).collect();
        let dead = self.fired.iter().filter(|fired| **fired == 0).count();
        let dense = rates.iter().filter(|rate| **rate > DENSE).count();
        let codes = self.code.iter().zip(&self.fired);
        let mean_codes = codes.map(|(sum, &fired)| sum / (fired as f64).max(1.0));
        let bias = self.error.iter().map(|sum| sum * sum).sum::<f64>() / n;
        DictionaryScores {
            rows: self.rows,
            latents,
            l0: self.fired.iter().sum::<u64>() as f64 / n,
            l1: self.code.iter().sum::<f64>() / n,
            squared_error_per_row: self.whole.error / n,
            fraction_variance_unexplained: self.whole.error / self.whole.spread,
            explained_variance: 1.0 - (self.whole.error - bias) / self.whole.spread,
            explained_variance_legacy: self.legacy / self.with_spread as f64,
            cosine: self.cosine / self.with_length as f64,
            l2_ratio: self.ratio / self.with_length as f64,
            shrinkage: self.whole.xy / self.whole.y,
            dead,
            dead_share: dead as f64 / latents as f64,
            dense_share: dense as f64 / latents as f64,
            density: DensityHistogram::of(&rates),
            decoder,
            truth,
            rates,
            mean_codes: mean_codes.collect(),
        }
    }
}

#[cfg(test)]
mod tests;
