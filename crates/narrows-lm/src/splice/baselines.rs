//! Directions in place of a dictionary: as many codes in a row, or as many directions.
//!
//! ```text
//! n latents of the dictionary, d columns, k its L0 on the fitted rows, rounded
//! at its L0      PCA, first k | PCA, k largest | ICA, k largest | n random, k largest | columns, k largest
//! at its width   PCA, ICA and columns with all d codes, which give rows back but for rounding;
//!                n random directions with all codes, E = (d/n)·D: on average DᵀD is n/d times the identity
//! ```
//!
//! They are fitted on rows of another text than they are measured on; see [`narrows::evaluate::Baselines`].

use narrows::compute::Matrix;
use narrows::evaluate::{CodeOrder, Frame};
use narrows::{Error, Result};

use crate::basis::Basis;

/// Rows that directions are fitted on, at most, and numbers in them.
const MOST_ROWS: usize = 50_000;
const MOST_NUMBERS: usize = 1 << 25;

/// Directions that were fitted on rows.
pub struct BaselineFrames {
    /// Rows that they were fitted on.
    pub rows: usize,
    /// Whether the iteration of ICA came to rest.
    pub ica_converged: bool,
    pca: Frame,
    ica: Frame,
    seed: u64,
}

impl BaselineFrames {
    /// Rows of `dim` columns that are enough to fit on: more only take memory, of which fitting takes 12 bytes a number.
    pub fn most_rows(dim: usize) -> usize {
        MOST_ROWS.min(MOST_NUMBERS / dim.max(1)).max(4)
    }

    /// Fits them on rows `(n, d)`.
    ///
    /// # Errors
    /// If there are fewer than two rows for each column, on which any direction would fit.
    pub fn fit(rows: &Matrix, seed: u64) -> Result<Self> {
        if rows.rows() < 2 * rows.cols() {
            return Err(Error::mistake(
                "fit baselines",
                format!("at least {} rows, two for each column", 2 * rows.cols()),
                rows.rows().to_string(),
                "give more text, or other text to fit them on with --fit-text",
            ));
        }
        let pca = Frame::pca(rows, seed)?;
        let (ica, ica_converged) = Frame::ica(rows, seed)?;
        // The mean row of the few that it was learned from is another.
        let ica = Frame { mean: pca.mean.clone(), ..ica };
        Ok(Self { rows: rows.rows(), ica_converged, pca, ica, seed })
    }

    /// With `most` codes in a row, beside a dictionary of `latents`.
    ///
    /// # Errors
    /// None that can happen: the shapes are its own.
    pub fn at_l0(&self, most: usize, latents: usize) -> Result<Vec<Basis>> {
        let first = Frame { order: CodeOrder::First, ..self.pca.clone() };
        let random = Frame::random(latents, self.pca.mean.clone(), self.seed)?;
        let columns = Frame::columns(self.pca.mean.clone())?;
        Ok(vec![
            Basis::frame(format!("PCA, first {most}"), first, most),
            Basis::frame(format!("PCA, {most} largest"), self.pca.clone(), most),
            Basis::frame(format!("ICA, {most} largest"), self.ica.clone(), most),
            Basis::frame(format!("{latents} random, {most} largest"), random, most),
            Basis::frame(format!("columns, {most} largest"), columns, most),
        ])
    }

    /// With all codes, beside a dictionary of `latents`.
    ///
    /// # Errors
    /// None that can happen: the shapes are its own.
    pub fn at_width(&self, latents: usize) -> Result<Vec<Basis>> {
        let d = self.pca.mean.len();
        let mut random = Frame::random(latents, self.pca.mean.clone(), self.seed)?;
        let share = d as f32 / latents as f32;
        random.encoder.as_mut_slice().iter_mut().for_each(|x| *x *= share);
        let (columns, ica) = (Frame::columns(self.pca.mean.clone())?, self.ica.clone());
        Ok(vec![
            Basis::frame("PCA, all", self.pca.clone(), d),
            Basis::frame("ICA, all", ica, d),
            Basis::frame(format!("{latents} random, all"), random, latents),
            Basis::frame("columns, all", columns, d),
        ])
    }
}
