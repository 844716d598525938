//! What codes of so many numbers keep without a dictionary that was learned.
//!
//! ```text
//! μ (d) the mean row    E, D (n, d) directions    z = E·(x − μ)    S the k entries with the largest |z|
//! x̂ = μ + Σ_{j ∈ S} zⱼ·Dⱼ      fraction of variance unexplained  Σ‖x − x̂‖² / Σ‖x − x̄‖²
//!
//! PCA               E = D principal axes, and S always the first k: what is least for any k fixed axes
//! PCA, largest      the same axes, and S chosen for each row
//! ICA, largest      D independent components at length 1, E what gives their sizes
//! random, largest   E = D directions drawn evenly from the sphere; z are projections, and since D is not
//!                   orthogonal, the sum overshoots where k is not small beside d: it may pass 1
//! columns, largest  E = D = I
//! ```
//!
//! Everything is fitted on every other row of an even sample and measured on the rest of it.
//!
//! Source: H. Cunningham et al., Sparse autoencoders find highly interpretable features in language
//! models (2023), for the choice; they take rectified codes of random directions and of columns.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::frame::{CodeOrder, Frame};
use crate::compute::{Entry, Matrix, keep_farthest, multiply};
use crate::data::{Source, evenly};
use crate::error::{Error, Result};

/// Rows of the sample, at most, and numbers in it.
const MOST_ROWS: usize = 50_000;
const MOST_NUMBERS: usize = 1 << 25;
/// Rows whose codes are held at a time.
const TILE: usize = 256;

/// What stands in place of a learned dictionary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Baseline {
    /// The first k principal axes.
    Pca,
    /// The k largest codes of all principal axes.
    PcaLargest,
    /// The k largest independent components.
    IcaLargest,
    /// The k largest projections on random directions.
    RandomLargest,
    /// The k columns farthest from their mean.
    ColumnsLargest,
}

/// What one of them keeps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BaselineCurve {
    /// What it is.
    pub baseline: Baseline,
    /// Directions n that it has.
    pub directions: usize,
    /// The fraction of variance unexplained at each L0.
    pub fraction_variance_unexplained: Vec<f64>,
}

/// What all of them keep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baselines {
    /// Rows that they were fitted on.
    pub fitted_rows: usize,
    /// Rows that they were measured on.
    pub rows: usize,
    /// Codes k of a row, rising.
    pub l0: Vec<usize>,
    /// Whether the iteration of ICA came to rest.
    pub ica_converged: bool,
    /// One for each.
    pub curves: Vec<BaselineCurve>,
}

impl Baselines {
    /// Measures codes of each of the sizes `l0` on an even sample of at most 50,000 rows, `random` directions
    /// drawn by `seed`. A size above the directions that there are takes all.
    ///
    /// # Errors
    /// If there are fewer than four rows, or they cannot be read.
    pub fn measure(source: &dyn Source, l0: &[usize], random: usize, seed: u64) -> Result<Self> {
        let mut l0 = l0.to_vec();
        l0.sort_unstable();
        l0.dedup();
        let [fitted, held_out] = sample(source)?;
        let pca = Frame::pca(&fitted, seed)?;
        let (ica, ica_converged) = Frame::ica(&fitted, seed)?;
        let mean = &pca.mean;
        let frames = [
            (Baseline::Pca, Frame { order: CodeOrder::First, ..pca.clone() }),
            (Baseline::PcaLargest, pca.clone()),
            // The mean row of the few that it was learned from is another.
            (Baseline::IcaLargest, Frame { mean: mean.clone(), ..ica }),
            (Baseline::RandomLargest, Frame::random(random, mean.clone(), seed)?),
            (Baseline::ColumnsLargest, Frame::columns(mean.clone())?),
        ];
        let spread = spread(&held_out);
        let curve = |(baseline, frame): (Baseline, Frame)| BaselineCurve {
            baseline,
            directions: frame.decoder.rows(),
            fraction_variance_unexplained: frame
                .errors(&held_out, &l0)
                .into_iter()
                .map(|error| error / spread)
                .collect(),
        };
        Ok(Self {
            fitted_rows: fitted.rows(),
            rows: held_out.rows(),
            ica_converged,
            curves: frames.map(curve).into(),
            l0,
        })
    }
}

/// Two halves of an even sample: every other row.
fn sample(source: &dyn Source) -> Result<[Matrix; 2]> {
    let most = MOST_ROWS.min(MOST_NUMBERS / source.dim().max(1)).max(4);
    let places = evenly(source.rows(), most);
    if places.len() < 4 {
        let got = format!("{}", places.len());
        return Err(Error::mistake("measure baselines", "at least 4 rows", got, "give more rows"));
    }
    let half = |first: usize| {
        let places: Vec<usize> = places.iter().copied().skip(first).step_by(2).collect();
        let mut rows = Matrix::zeros(places.len(), source.dim());
        source.gather_f32(&places, rows.as_mut_slice())?;
        Ok(rows)
    };
    Ok([half(0)?, half(1)?])
}

/// `Σ‖x − x̄‖²`.
fn spread(rows: &Matrix) -> f64 {
    let mean = crate::compute::column_means(rows.view());
    let squares = rows.as_slice().par_chunks_exact(rows.cols()).with_min_len(TILE).map(|row| {
        row.iter().zip(&mean).map(|(&x, mean)| (f64::from(x) - mean).powi(2)).sum::<f64>()
    });
    squares.collect::<Vec<f64>>().iter().sum()
}

impl Frame {
    /// `Σ‖x − x̂‖²` at each of the rising sizes `l0`.
    fn errors(&self, rows: &Matrix, l0: &[usize]) -> Vec<f64> {
        let (dim, count) = (rows.cols(), self.encoder.rows());
        let (mut tile, mut codes) = (Matrix::default(), Matrix::default());
        let mut sums = vec![0.0; l0.len()];
        for chunk in rows.as_slice().chunks(TILE * dim) {
            let here = chunk.len() / dim;
            tile.reshape(here, dim);
            tile.as_mut_slice().copy_from_slice(chunk);
            let left = tile.as_mut_slice().par_chunks_exact_mut(dim);
            left.for_each(|row| row.iter_mut().zip(&self.mean).for_each(|(x, mean)| *x -= mean));
            codes.reshape(here, count);
            multiply(tile.view(), self.encoder.view().reversed_axes(), codes.view_mut());
            let left = tile.as_mut_slice().par_chunks_exact_mut(dim).enumerate();
            let errors = left.map(|(row, left)| self.errors_of_row(codes.row(row), left, l0));
            for errors in errors.collect::<Vec<_>>() {
                sums.iter_mut().zip(errors).for_each(|(sum, error)| *sum += error);
            }
        }
        sums
    }

    /// The same of one row, from which its directions are taken one after the other.
    fn errors_of_row(&self, codes: &[f32], left: &mut [f32], l0: &[usize]) -> Vec<f64> {
        let most = l0.last().map_or(0, |&most| most.min(codes.len()));
        let mut kept: Vec<Entry> = (0..).zip(codes.iter().copied()).collect();
        match self.order {
            CodeOrder::First => kept.truncate(most),
            CodeOrder::Largest => {
                keep_farthest(most, &mut kept);
                kept.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
            }
        }
        let mut taken = 0;
        let at = |&wanted: &usize| {
            for &(direction, code) in &kept[taken..wanted.min(most)] {
                let direction = self.decoder.row(direction as usize);
                left.iter_mut().zip(direction).for_each(|(left, d)| *left -= code * d);
            }
            taken = wanted.min(most);
            left.iter().map(|&x| f64::from(x) * f64::from(x)).sum()
        };
        l0.iter().map(at).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::data::superposition::ToyKnobs;
    use ndarray::s;

    fn rows() -> Matrix {
        let knobs =
            ToyKnobs { features: 40, dim: 12, rows: 600, active: 3.0, ..Default::default() };
        let truth = knobs.generate().unwrap();
        let mut rows = Matrix::zeros(600, 12);
        truth.read_f32(0, rows.as_mut_slice()).unwrap();
        rows
    }

    fn of(found: &Baselines, baseline: Baseline) -> &[f64] {
        let curve = found.curves.iter().find(|curve| curve.baseline == baseline).unwrap();
        &curve.fraction_variance_unexplained
    }

    #[test]
    fn principal_axes_lose_what_the_closed_form_says() {
        let rows = rows();
        let found = Baselines::measure(&rows, &[1, 4, 12, 30], 40, 0).unwrap();
        assert_eq!((found.fitted_rows, found.rows), (300, 300));
        let half = |first: usize| {
            let half = rows.view().slice(s![first..;2, ..]).mapv(f64::from);
            let mean = half.mean_axis(ndarray::Axis(0)).unwrap();
            (half, mean)
        };
        let ((fitted, mean), (held_out, own_mean)) = (half(0), half(1));
        let svd = crate::compute::thin_svd((&fitted - &mean).view()).unwrap();
        let total = (&held_out - &own_mean).mapv(|x| x * x).sum();
        for (place, k) in [1, 4, 12].into_iter().enumerate() {
            let axes = svd.right.slice(s![..k, ..]);
            let centred = &held_out - &mean;
            let left = &centred - &centred.dot(&axes.t()).dot(&axes);
            let expected = left.mapv(|x| x * x).sum() / total;
            let ours = of(&found, Baseline::Pca)[place];
            assert!((ours - expected).abs() < 1e-6, "{k}: {ours} {expected}");
        }
    }

    #[test]
    fn the_largest_codes_are_those_of_each_row() {
        let rows = rows();
        let found = Baselines::measure(&rows, &[0, 2, 12], 40, 0).unwrap();
        let fitted_mean = crate::compute::column_means(rows.view().slice(s![..;2, ..]));
        let held_out = rows.view().slice(s![1..;2, ..]).mapv(f64::from);
        let own_mean = crate::compute::column_means(held_out.view());
        let total = (&held_out - &own_mean).mapv(|x| x * x).sum();
        let mut left = 0.0;
        for row in held_out.outer_iter() {
            let mut squares: Vec<f64> = (&row - &fitted_mean).mapv(|x| x * x).to_vec();
            squares.sort_by(f64::total_cmp);
            left += squares[..10].iter().sum::<f64>();
        }
        let columns = of(&found, Baseline::ColumnsLargest);
        assert!((columns[1] - left / total).abs() < 1e-6, "{columns:?}");
        // Nothing kept, and everything.
        for baseline in [Baseline::PcaLargest, Baseline::IcaLargest, Baseline::ColumnsLargest] {
            let curve = of(&found, baseline);
            assert!((curve[0] - 1.0).abs() < 0.02 && curve[2] < 1e-9, "{baseline:?}: {curve:?}");
        }
        let fixed = of(&found, Baseline::Pca);
        assert!(of(&found, Baseline::PcaLargest)[1] < fixed[1]);
    }

    #[test]
    fn one_random_direction_takes_away_its_projection() {
        let rows = rows();
        let found = Baselines::measure(&rows, &[1], 1, 5).unwrap();
        let frame = Frame::random(1, vec![0.0; 12], 5).unwrap();
        let direction = frame.decoder.view().row(0).mapv(f64::from);
        let mean = crate::compute::column_means(rows.view().slice(s![..;2, ..]));
        let held_out = rows.view().slice(s![1..;2, ..]).mapv(f64::from);
        let own_mean = crate::compute::column_means(held_out.view());
        let total = (&held_out - &own_mean).mapv(|x| x * x).sum();
        let left = |row: ndarray::ArrayView1<'_, f64>| {
            let centred = &row - &mean;
            centred.dot(&centred) - centred.dot(&direction).powi(2)
        };
        let expected = held_out.outer_iter().map(left).sum::<f64>() / total;
        let ours = of(&found, Baseline::RandomLargest)[0];
        assert!((ours - expected).abs() < 1e-6, "{ours} {expected}");
    }
}
