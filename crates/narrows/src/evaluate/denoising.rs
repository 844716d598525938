//! How well a model cleans noisy rows, beside the noise itself and the best projection.
//!
//! ```text
//! x: clean rows    x̃: the same with noise    restored: the model's reconstruction of x̃
//! projection  μ + Σ_(j≤k) (vⱼ·(x̃ − μ)) vⱼ, PCA of clean rows, for the k with the least error here
//! ```
//!
//! Each figure is the mean over rows, the PSNR over those that differ from the clean ones at all. Where
//! the range of the rows is known, what leaves it is brought back to it, restored or projected. The
//! projection is given the best k from 0 to the components that there are, for these very rows, which the
//! model is not: an advantage that it does not need to lose.

use ndarray::{Array1, Array2};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::pictures::{psnr, ssim};
use crate::data::{ImageShape, Source};
use crate::error::Result;
use crate::model::{Model, Pca};
use crate::objective::Corruption;
use crate::random::Random;

/// Rows that are held at a time.
const BLOCK: usize = 1000;

/// How far rows are from the clean ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Likeness {
    /// Squared error per row.
    pub squared_error_per_row: f64,
    /// Peak signal-to-noise ratio in dB; infinite if nothing differs.
    pub psnr: f64,
    /// Structural similarity, where rows are pictures of at least 11 × 11.
    pub ssim: Option<f64>,
}

/// How well noise was taken away.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Denoising {
    /// Rows used.
    pub rows: usize,
    /// The noise.
    pub corruption: Corruption,
    /// With the noise.
    pub noisy: Likeness,
    /// Cleaned by the model.
    pub restored: Likeness,
    /// Projected on the best number of principal components.
    pub projected: Likeness,
    /// That number.
    pub components: usize,
    /// How many there were to choose from.
    pub most_components: usize,
}

/// What noise is put on which rows, and what they look like.
#[derive(Debug, Clone, Copy)]
pub struct Noise {
    /// Kind and strength.
    pub corruption: Corruption,
    /// The range of the rows.
    pub range: (f64, f64),
    /// Whether that is known of them, not assumed.
    pub bounded: bool,
    /// The shape of a row, where it is a picture.
    pub image: Option<ImageShape>,
    /// Names the noise.
    pub seed: u64,
}

/// Puts noise on rows and measures what `model` and projections on the components of `pca` leave of
/// it. Reads the rows twice, 1,000 at a time.
///
/// # Errors
/// If the rows cannot be read, or have other columns than the model.
pub fn denoise(rows: &dyn Source, model: &Model, pca: &Pca, noise: &Noise) -> Result<Denoising> {
    let components = best_projection(rows, pca, noise)?;
    let mut sums = [Sum::default(); 3];
    for_blocks(rows, noise, |clean, noisy| {
        let restored = restore(noisy, model, noise)?;
        let projected = project(noisy, pca, components, noise);
        for (sum, rows) in sums.iter_mut().zip([noisy, &restored, &projected]) {
            likeness(clean, rows, noise).into_iter().for_each(|row| sum.add(row));
        }
        Ok(())
    })?;
    let [noisy, restored, projected] = sums.map(|sum| sum.mean(rows.rows()));
    let corruption = noise.corruption;
    let most_components = pca.components.nrows();
    let rows = rows.rows();
    Ok(Denoising { rows, corruption, noisy, restored, projected, components, most_components })
}

/// Rows before and after, each of the later ones with its likeness to the clean row.
#[derive(Debug, Clone, PartialEq)]
pub struct Cleaned {
    /// Without noise, `(n, d)`.
    pub clean: Array2<f64>,
    /// With it.
    pub noisy: (Array2<f64>, Vec<Likeness>),
    /// Cleaned by the model.
    pub restored: (Array2<f64>, Vec<Likeness>),
    /// Projected on principal components.
    pub projected: (Array2<f64>, Vec<Likeness>),
}

/// Puts noise on a few rows and gives back what `model`, and the projection on the first `components`
/// components of `pca`, make of them.
///
/// # Errors
/// If the rows cannot be read, or have other columns than the model.
pub fn clean(
    rows: &dyn Source,
    model: &Model,
    (pca, components): (&Pca, usize),
    noise: &Noise,
) -> Result<Cleaned> {
    let (clean, noisy) = block(rows, noise, 0, rows.rows())?;
    let beside = |rows: Array2<f64>| {
        let likeness = likeness(&clean, &rows, noise);
        (rows, likeness)
    };
    let restored = beside(restore(&noisy, model, noise)?);
    let projected = beside(project(&noisy, pca, components, noise));
    let noisy = beside(noisy);
    Ok(Cleaned { clean, noisy, restored, projected })
}

fn restore(noisy: &Array2<f64>, model: &Model, noise: &Noise) -> Result<Array2<f64>> {
    Ok(within(model.reconstruct(noisy.view())?.1, noise))
}

fn project(noisy: &Array2<f64>, pca: &Pca, components: usize, noise: &Noise) -> Array2<f64> {
    let axes = pca.components.slice(ndarray::s![..components, ..]);
    within((noisy - &pca.mean).dot(&axes.t()).dot(&axes) + &pca.mean, noise)
}

fn within(mut rows: Array2<f64>, noise: &Noise) -> Array2<f64> {
    if noise.bounded {
        rows.mapv_inplace(|value| value.clamp(noise.range.0, noise.range.1));
    }
    rows
}

/// The number of components whose projection of the noisy rows is nearest to the clean ones.
///
/// Components are at right angles: with c and z the codes of clean and noisy row, the squared error is
/// `‖x − μ‖² + Σ_(j≤k) (zⱼ² − 2 cⱼ zⱼ)`.
fn best_projection(rows: &dyn Source, pca: &Pca, noise: &Noise) -> Result<usize> {
    let mut gains = Array1::<f64>::zeros(pca.components.nrows());
    for_blocks(rows, noise, |clean, noisy| {
        let code = |rows: &Array2<f64>| (rows - &pca.mean).dot(&pca.components.t());
        let (c, z) = (code(clean), code(noisy));
        gains += &(&z * &z - 2.0 * &c * &z).sum_axis(ndarray::Axis(0));
        Ok(())
    })?;
    let mut sum = 0.0;
    let sums: Vec<f64> = gains
        .iter()
        .map(|gain| {
            sum += gain;
            sum
        })
        .collect();
    let best = (0..sums.len()).min_by(|&a, &b| sums[a].total_cmp(&sums[b]));
    Ok(best.filter(|&place| sums[place] < 0.0).map_or(0, |place| place + 1))
}

/// Hands out blocks of clean rows and of the same rows with noise.
fn for_blocks(
    rows: &dyn Source,
    noise: &Noise,
    mut with: impl FnMut(&Array2<f64>, &Array2<f64>) -> Result<()>,
) -> Result<()> {
    for start in (0..rows.rows()).step_by(BLOCK) {
        let (clean, noisy) = block(rows, noise, start, BLOCK.min(rows.rows() - start))?;
        with(&clean, &noisy)?;
    }
    Ok(())
}

/// `count` clean rows from `start` on, and the same with noise.
fn block(
    rows: &dyn Source,
    noise: &Noise,
    start: usize,
    count: usize,
) -> Result<(Array2<f64>, Array2<f64>)> {
    let dim = rows.dim();
    let mut clean = Array2::<f64>::zeros((count, dim));
    rows.read_f64(start, clean.as_slice_mut().expect("owned and row-major"))?;
    let mut noisy = clean.clone();
    let values = noisy.as_slice_mut().expect("owned and row-major");
    values.par_chunks_mut(dim.max(1)).enumerate().for_each(|(place, row)| {
        let mut random =
            Random::numbered(noise.seed, "evaluation noise", &[(start + place) as u64]);
        noise.corruption.apply(row, noise.range, &mut random, |_| {});
    });
    Ok((clean, noisy))
}

/// How like the clean rows others are, one by one.
fn likeness(clean: &Array2<f64>, rows: &Array2<f64>, noise: &Noise) -> Vec<Likeness> {
    let range = noise.range.1 - noise.range.0;
    let pairs: Vec<_> = clean.outer_iter().zip(rows.outer_iter()).collect();
    let of_pair = |(x, y): (ndarray::ArrayView1<'_, f64>, ndarray::ArrayView1<'_, f64>)| {
        let (x, y) = (x.to_vec(), y.to_vec());
        Likeness {
            squared_error_per_row: x.iter().zip(&y).map(|(a, b)| (a - b) * (a - b)).sum(),
            psnr: psnr(&x, &y, range),
            ssim: noise.image.and_then(|shape| ssim(&x, &y, shape, range)),
        }
    };
    pairs.into_par_iter().map(of_pair).collect()
}

#[derive(Clone, Copy, Default)]
struct Sum {
    squares: f64,
    psnr: f64,
    differing: usize,
    ssim: f64,
    pictures: usize,
}

impl Sum {
    fn add(&mut self, row: Likeness) {
        self.squares += row.squared_error_per_row;
        if row.psnr.is_finite() {
            self.psnr += row.psnr;
            self.differing += 1;
        }
        self.ssim += row.ssim.unwrap_or(0.0);
        self.pictures += usize::from(row.ssim.is_some());
    }

    fn mean(self, rows: usize) -> Likeness {
        let rows = rows as f64;
        Likeness {
            squared_error_per_row: self.squares / rows,
            psnr: match self.differing {
                0 => f64::INFINITY,
                differing => self.psnr / differing as f64,
            },
            ssim: (self.pictures > 0).then(|| self.ssim / rows),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compute::Matrix;
    use crate::model::pca::{Components, PcaOptions};

    fn rows() -> Matrix {
        let mut random = Random::stream(1, "denoising");
        let draws = Array2::from_shape_fn((600, 3), |_| random.normal());
        let mix = Array2::from_shape_fn((3, 10), |_| random.normal());
        Matrix::from(draws.dot(&mix).mapv(|value| value as f32))
    }

    fn noise() -> Noise {
        let corruption = Corruption::Gaussian { sigma: 0.5 };
        Noise { corruption, range: (-5.0, 5.0), bounded: false, image: None, seed: 0 }
    }

    /// Rows of three dimensions and noise in ten: the projection on three leaves 3/10 of the noise.
    #[test]
    fn the_best_projection_has_the_dimension_of_the_rows() {
        let rows = rows();
        let options = PcaOptions { components: Components::Count(8), ..Default::default() };
        let pca = Pca::fit_source(&rows, &options).expect("fits");
        let model = Model::Pca(pca.clone());
        let found = denoise(&rows, &model, &pca, &noise()).expect("measures");
        assert_eq!(found.components, 3);
        assert!((found.noisy.squared_error_per_row / 2.5 - 1.0).abs() < 0.05, "{found:?}");
        assert!((found.projected.squared_error_per_row / 0.75 - 1.0).abs() < 0.08, "{found:?}");
        assert!(found.restored.squared_error_per_row > found.projected.squared_error_per_row);
        assert!(found.projected.psnr > found.noisy.psnr + 3.0);
    }

    #[test]
    fn the_rows_shown_are_those_that_are_measured() {
        let rows = rows();
        let options = PcaOptions { components: Components::Count(8), ..Default::default() };
        let pca = Pca::fit_source(&rows, &options).expect("fits");
        let model = Model::Pca(pca.clone());
        let found = denoise(&rows, &model, &pca, &noise()).expect("measures");
        let shown = clean(&rows, &model, (&pca, found.components), &noise()).expect("cleans");
        for (scores, (cleaned, likeness)) in [
            (found.noisy, &shown.noisy),
            (found.restored, &shown.restored),
            (found.projected, &shown.projected),
        ] {
            let error = (cleaned - &shown.clean).mapv(|value| value * value).sum() / 600.0;
            assert!((error / scores.squared_error_per_row - 1.0).abs() < 1e-12);
            let psnr = likeness.iter().map(|row| row.psnr).sum::<f64>() / 600.0;
            assert!((psnr / scores.psnr - 1.0).abs() < 1e-12);
        }
        let clean = rows.view().mapv(f64::from);
        assert_eq!(shown.clean, clean);
    }

    /// Rows that the noise left alone are as good as can be: they do not make the mean infinite.
    #[test]
    fn rows_without_noise_do_not_count_for_the_psnr() {
        let rows = rows();
        let options = PcaOptions { components: Components::Count(3), ..Default::default() };
        let pca = Pca::fit_source(&rows, &options).expect("fits");
        let model = Model::Pca(pca.clone());
        let noise = Noise { corruption: Corruption::Masking { rate: 0.02 }, ..noise() };
        let found = denoise(&rows, &model, &pca, &noise).expect("measures");
        let shown = clean(&rows, &model, (&pca, 3), &noise).expect("cleans");
        let differs = |row: &&Likeness| row.squared_error_per_row > 0.0;
        let touched: Vec<f64> = shown.noisy.1.iter().filter(differs).map(|row| row.psnr).collect();
        assert!((50..200).contains(&touched.len()), "1 − 0.98¹⁰ = 0.18 of 600: {}", touched.len());
        let mean = touched.iter().sum::<f64>() / touched.len() as f64;
        assert!((mean / found.noisy.psnr - 1.0).abs() < 1e-12, "{mean} {found:?}");
    }

    /// Noise on rows between 0 and 1 leaves that range, and a projection of it does; what is measured
    /// does not.
    #[test]
    fn what_leaves_a_known_range_is_brought_back() {
        let shares = Matrix::from(rows().view().mapv(|value| 1.0 / (1.0 + (-value).exp())));
        let pca = Pca::fit_source(&shares, &PcaOptions::default()).expect("fits");
        let model = Model::Pca(pca.clone());
        let [free, bounded] = [false, true].map(|bounded| {
            let noise = Noise { range: (0.0, 1.0), bounded, ..noise() };
            clean(&shares, &model, (&pca, 3), &noise).expect("cleans")
        });
        for (free, bounded) in
            [(free.restored, bounded.restored), (free.projected, bounded.projected)]
        {
            assert!(free.0.iter().any(|value| !(0.0..=1.0).contains(value)));
            assert_eq!(bounded.0, free.0.mapv(|value| value.clamp(0.0, 1.0)));
        }
    }
}
