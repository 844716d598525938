//! Directions that were not learned as a dictionary: principal axes, independent components, random ones and
//! the columns themselves.
//!
//! ```text
//! μ (d) the mean row    E, D (n, d)    z = E·(x − μ)    x̂ = μ + Σ_{j ∈ S} zⱼ·Dⱼ
//!
//! PCA       E = D principal axes            random    E = D drawn evenly from the sphere
//! ICA       D independent components at length 1, E what gives their sizes
//! columns   E = D = I
//! ```

use ndarray::{Array2, s};
use rayon::prelude::*;

use super::ica::Ica;
use crate::compute::{Entry, Matrix, SparseRows, keep_farthest, multiply};
use crate::error::Result;
use crate::model::Pca;
use crate::model::pca::{Components, PcaOptions};
use crate::random::Random;

/// Rows that independent components are learned from, at most, and steps.
const ICA_ROWS: usize = 10_000;
const ICA_STEPS: usize = 40;
const ICA_TOLERANCE: f64 = 1e-4;
/// Rows whose codes are held at a time.
const TILE: usize = 256;

/// Which codes of a row are kept, of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeOrder {
    /// The first.
    First,
    /// Those farthest from zero.
    Largest,
}

/// Directions, and what gives their codes.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// μ `(d)`.
    pub mean: Vec<f32>,
    /// E `(n, d)`.
    pub encoder: Matrix,
    /// D `(n, d)`.
    pub decoder: Matrix,
    /// Which codes are kept where not all are.
    pub order: CodeOrder,
}

impl Frame {
    /// All principal axes of rows `(n, d)`.
    ///
    /// # Errors
    /// As [`Pca::fit`].
    pub fn pca(rows: &Matrix, seed: u64) -> Result<Self> {
        let wide: Array2<f64> = rows.view().mapv(f64::from);
        let options = PcaOptions { components: Components::All, seed, ..Default::default() };
        let pca = Pca::fit(wide.view(), &options)?;
        Ok(Self::orthonormal(means(&pca.mean), narrow(&pca.components)?))
    }

    /// The independent components of rows `(n, d)`, learned from the first 10,000 in at most 40 steps; says
    /// also whether they came to rest.
    ///
    /// # Errors
    /// As [`Ica::fit`].
    pub fn ica(rows: &Matrix, seed: u64) -> Result<(Self, bool)> {
        let few = rows.view().slice_move(s![..ICA_ROWS.min(rows.rows()), ..]).mapv(f64::from);
        let ica = Ica::fit(few.view(), ICA_TOLERANCE, ICA_STEPS, seed)?;
        let (mut unmixing, mut mixing) = (ica.unmixing.clone(), ica.mixing.clone());
        for (mut code, mut direction) in unmixing.outer_iter_mut().zip(mixing.outer_iter_mut()) {
            let length = direction.dot(&direction).sqrt();
            code *= length;
            direction /= length;
        }
        let frame = Self {
            mean: means(&ica.mean),
            encoder: narrow(&unmixing)?,
            decoder: narrow(&mixing)?,
            order: CodeOrder::Largest,
        };
        Ok((frame, ica.converged))
    }

    /// `count` directions drawn evenly from the sphere, about the mean row `(d)`.
    ///
    /// # Errors
    /// None that can happen: the shapes are its own.
    pub fn random(count: usize, mean: Vec<f32>, seed: u64) -> Result<Self> {
        let mut random = Random::stream(seed, "directions of a baseline");
        let mut directions = Array2::from_shape_simple_fn((count, mean.len()), || random.normal());
        directions.outer_iter_mut().for_each(|mut row| row /= row.dot(&row).sqrt());
        Ok(Self::orthonormal(mean, narrow(&directions)?))
    }

    /// The columns, about the mean row `(d)`.
    ///
    /// # Errors
    /// None that can happen: the shapes are its own.
    pub fn columns(mean: Vec<f32>) -> Result<Self> {
        let axes = narrow(&Array2::eye(mean.len()))?;
        Ok(Self::orthonormal(mean, axes))
    }

    fn orthonormal(mean: Vec<f32>, axes: Matrix) -> Self {
        Self { mean, encoder: axes.clone(), decoder: axes, order: CodeOrder::Largest }
    }

    /// Codes `(rows, n)` of rows `(rows, d)`, of each row at most `most` of them.
    ///
    /// # Panics
    /// If the rows have other columns than the directions: the caller's mistake.
    pub fn encode(&self, rows: &Matrix, most: usize) -> SparseRows {
        let (dim, count) = (rows.cols(), self.encoder.rows());
        assert_eq!(dim, self.mean.len(), "encode: other columns");
        let mut codes = SparseRows::new(count);
        let (mut tile, mut product) = (Matrix::default(), Matrix::default());
        for chunk in rows.as_slice().chunks(TILE * dim) {
            tile.reshape(chunk.len() / dim, dim);
            tile.as_mut_slice().copy_from_slice(chunk);
            let centred = tile.as_mut_slice().par_chunks_exact_mut(dim);
            centred.for_each(|row| row.iter_mut().zip(&self.mean).for_each(|(x, m)| *x -= m));
            product.reshape(tile.rows(), count);
            multiply(tile.view(), self.encoder.view().reversed_axes(), product.view_mut());
            for row in product.as_slice().chunks_exact(count) {
                codes.push_row(self.kept(row, most).into_iter().filter(|(_, code)| *code != 0.0));
            }
        }
        codes
    }

    fn kept(&self, codes: &[f32], most: usize) -> Vec<Entry> {
        let mut kept: Vec<Entry> = (0..).zip(codes.iter().copied()).collect();
        if most < kept.len() {
            match self.order {
                CodeOrder::First => kept.truncate(most),
                CodeOrder::Largest => {
                    keep_farthest(most, &mut kept);
                    kept.sort_unstable_by_key(|(direction, _)| *direction);
                }
            }
        }
        kept
    }

    /// `μ + Σⱼ zⱼ·Dⱼ` `(rows, d)` of codes `(rows, n)`.
    ///
    /// # Panics
    /// If there are codes of other directions: the caller's mistake.
    pub fn rebuild(&self, codes: &SparseRows) -> Matrix {
        assert_eq!(codes.cols(), self.decoder.rows(), "rebuild: other directions");
        let dim = self.mean.len();
        let mut rows = Matrix::zeros(codes.rows(), dim);
        rows.as_mut_slice().par_chunks_exact_mut(dim).with_min_len(16).enumerate().for_each(
            |(place, row)| {
                row.copy_from_slice(&self.mean);
                let (directions, values) = codes.row(place);
                for (&direction, &value) in directions.iter().zip(values) {
                    let direction = self.decoder.row(direction as usize);
                    row.iter_mut().zip(direction).for_each(|(x, d)| *x += value * d);
                }
            },
        );
        rows
    }
}

fn means(mean: &ndarray::Array1<f64>) -> Vec<f32> {
    mean.iter().map(|&mean| mean as f32).collect()
}

fn narrow(values: &Array2<f64>) -> Result<Matrix> {
    let narrow = values.iter().map(|&value| value as f32).collect();
    Matrix::from_rows(values.nrows(), values.ncols(), narrow)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn all_principal_codes_give_rows_back_and_fewer_are_the_farthest() {
        let mut random = Random::stream(3, "rows");
        let values = (0..300 * 6).map(|_| random.normal() as f32).collect();
        let rows = Matrix::from_rows(300, 6, values).unwrap();
        let frame = Frame::pca(&rows, 0).unwrap();
        let again = frame.rebuild(&frame.encode(&rows, 6));
        let apart = again.as_slice().iter().zip(rows.as_slice()).map(|(a, b)| (a - b).abs());
        assert!(apart.fold(0.0, f32::max) < 1e-5);
        let (all, few) = (frame.encode(&rows, 6), frame.encode(&rows, 2));
        for row in 0..300 {
            let mut sizes: Vec<f32> = all.row(row).1.iter().map(|code| code.abs()).collect();
            sizes.sort_by(f32::total_cmp);
            let least = few.row(row).1.iter().map(|code| code.abs()).fold(f32::MAX, f32::min);
            assert_eq!((few.row(row).1.len(), least), (2, sizes[4]));
        }
    }
}
