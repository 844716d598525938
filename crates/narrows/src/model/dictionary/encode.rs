//! Rows to codes and back.
//!
//! Rows are taken in tiles of 256: the product with the encoder, then the gate while the tile is still
//! in the cache. Of the codes only what is not zero is kept, so no matrix of rows × latents is held.

use rayon::prelude::*;

use super::pursuit::pursue;
use super::{Dictionary, Gate, RowScale};
use crate::compute::{
    Entry, Matrix, SparseRows, combine, keep_farthest, keep_top, multiply, multiply_add, row_norms,
};
use crate::error::{Error, Result};
use crate::model::{Autoencoder, check_columns};

/// Rows whose pre-activations are held at a time.
const TILE: usize = 256;

impl Dictionary {
    /// Columns of a rebuilt row: those of a row, but for transcoders.
    pub fn output_dim(&self) -> usize {
        self.decoder.cols()
    }

    /// Refuses shapes that do not fit each other.
    ///
    /// # Errors
    /// If they do not.
    pub fn check(&self) -> Result<()> {
        let (n, d, o) = (self.decoder.rows(), self.input_dim(), self.output_dim());
        let tied = matches!(self.gate, Gate::Pursuit { .. });
        let gate = match &self.gate {
            Gate::Threshold(threshold) => threshold.len() == n,
            Gate::Gated { log_magnitude: r, magnitude_bias: m } => r.len() == n && m.len() == n,
            Gate::TopK { k, .. } | Gate::AbsTopK { k, .. } => (1..=n).contains(k),
            Gate::Relu | Gate::Pursuit { .. } => true,
        };
        let encoder = match tied {
            true => self.encoder.rows() == 0 && self.encoder_bias.is_empty(),
            false => self.encoder.rows() == n && self.encoder_bias.len() == n,
        };
        let skip = self.skip.as_ref().is_none_or(|s| (s.rows(), s.cols()) == (o, d));
        let square = d == o || (!self.centred && self.row_scale == RowScale::None);
        if n > 0
            && d > 0
            && o > 0
            && gate
            && encoder
            && skip
            && square
            && self.decoder_bias.len() == o
        {
            return Ok(());
        }
        Err(Error::mistake(
            "make a sparse dictionary",
            "an encoder (n, d) with bias (n), a decoder (n, o) with bias (o), k from 1 to n, and o = d \
             where rows are centred or scaled",
            format!(
                "an encoder {} × {} with bias {}, a decoder {n} × {o} with bias {}, the gate {}",
                self.encoder.rows(),
                self.encoder.cols(),
                self.encoder_bias.len(),
                self.decoder_bias.len(),
                self.gate.name(),
            ),
            "give tensors of one dictionary",
        ))
    }

    /// The codes `(rows, n)` of rows `(rows, d)`.
    ///
    /// # Errors
    /// If the rows have other columns than the dictionary.
    pub fn encode_sparse(&self, x: &Matrix) -> Result<SparseRows> {
        check_columns("encode", "columns", self.input_dim(), x.cols())?;
        let latents = self.latent_dim();
        let mut codes = SparseRows::new(latents);
        let norms = self.gate.by_norm().then(|| row_norms(&self.decoder));
        let (mut tile, mut product) = (Matrix::default(), Matrix::default());
        let mut kept: Vec<Vec<Entry>> = vec![Vec::new(); TILE.min(x.rows())];
        for start in (0..x.rows()).step_by(TILE) {
            let rows = TILE.min(x.rows() - start);
            self.take_tile(x, start, rows, &mut tile);
            if let Gate::Pursuit { .. } = self.gate {
                pursue(&self.gate, &self.decoder, &mut tile, &mut kept[..rows]);
            } else {
                product.reshape(rows, latents);
                multiply(tile.view(), self.encoder.view().reversed_axes(), product.view_mut());
                kept[..rows].par_iter_mut().enumerate().for_each(|(row, kept)| {
                    self.gate.select(product.row(row), &self.encoder_bias, norms.as_deref(), kept);
                });
            }
            kept[..rows].iter().for_each(|row| codes.push_row(row.iter().copied()));
        }
        Ok(codes)
    }

    /// Rows `start ..` of `x`, brought to their scale and centred.
    fn take_tile(&self, x: &Matrix, start: usize, rows: usize, tile: &mut Matrix) {
        let d = x.cols();
        tile.reshape(rows, d);
        tile.as_mut_slice().copy_from_slice(&x.as_slice()[start * d..(start + rows) * d]);
        self.row_scale.apply(tile);
        if self.centred {
            tile.as_mut_slice().par_chunks_exact_mut(d).for_each(|row| {
                row.iter_mut().zip(&self.decoder_bias).for_each(|(value, bias)| *value -= bias);
            });
        }
    }

    /// `Σⱼ zⱼ·Dⱼ + c (rows, o)` of codes `(rows, n)`: what they say by themselves, in the scale that
    /// rows are brought to and without what skips the codes. [`Dictionary::rebuild`] has both.
    ///
    /// # Errors
    /// If the codes have other columns than the dictionary.
    pub fn decode_sparse(&self, z: &SparseRows) -> Result<Matrix> {
        check_columns("decode", "columns", self.latent_dim(), z.cols())?;
        Ok(combine(z, self.shares().as_deref(), &self.decoder, &self.decoder_bias))
    }

    /// What of its direction a code of 1 is of each latent `(n)`, where that is not all of it.
    pub fn shares(&self) -> Option<Vec<f32>> {
        let inverse = |norm: f32| if norm > 0.0 { 1.0 / norm } else { 0.0 };
        self.gate.by_norm().then(|| row_norms(&self.decoder).into_iter().map(inverse).collect())
    }

    /// How many times as long rebuilt rows are as what their codes add up to, for each of the rows `x (rows, d)` that
    /// codes were made from: 1 where rows are brought to no scale.
    pub fn stretches(&self, x: &Matrix) -> Vec<f32> {
        self.row_scale.stretches(x)
    }

    /// The rebuilt rows `(rows, o)` of codes `(rows, n)` that were made from rows `x (rows, d)`.
    ///
    /// # Errors
    /// If codes or rows have other columns than the dictionary, or are not equally many.
    pub fn rebuild(&self, z: &SparseRows, x: &Matrix) -> Result<Matrix> {
        check_columns("rebuild", "columns", self.input_dim(), x.cols())?;
        check_columns("rebuild", "codes, one for each row", x.rows(), z.rows())?;
        let mut y = self.decode_sparse(z)?;
        self.row_scale.undo(x, &mut y);
        if let Some(skip) = &self.skip {
            multiply_add(1.0, 1.0, x.view(), skip.view().reversed_axes(), y.view_mut());
        }
        Ok(y)
    }
}

impl Autoencoder for Dictionary {
    fn input_dim(&self) -> usize {
        match self.gate {
            Gate::Pursuit { .. } => self.decoder.cols(),
            _ => self.encoder.cols(),
        }
    }

    fn latent_dim(&self) -> usize {
        self.decoder.rows()
    }

    fn encode(&self, x: &Matrix) -> Result<Matrix> {
        Ok(self.encode_sparse(x)?.to_dense())
    }

    fn decode(&self, z: &Matrix) -> Result<Matrix> {
        if self.row_scale != RowScale::None || self.skip.is_some() {
            return Err(Error::mistake(
                "decode",
                "a dictionary whose codes alone give the rows",
                "one that needs the rows too, for their scale or for what skips the codes",
                "use `reconstruct` on the rows",
            ));
        }
        check_columns("decode", "columns", self.latent_dim(), z.cols())?;
        self.decode_sparse(&SparseRows::from(z))
    }

    fn reconstruct(&self, x: &Matrix) -> Result<Matrix> {
        self.rebuild(&self.encode_sparse(x)?, x)
    }
}

impl Gate {
    /// What it is called in messages and files.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::TopK { .. } => "topk",
            Self::AbsTopK { .. } => "abstopk",
            Self::Threshold(_) => "jumprelu",
            Self::Gated { .. } => "gated",
            Self::Pursuit { .. } => "matching_pursuit",
        }
    }

    fn by_norm(&self) -> bool {
        matches!(self, Self::TopK { by_norm: true, .. } | Self::AbsTopK { by_norm: true, .. })
    }

    /// The code of one row, from its product with the encoder `(n)`.
    fn select(&self, product: &[f32], bias: &[f32], norms: Option<&[f32]>, code: &mut Vec<Entry>) {
        code.clear();
        let activations = product.iter().zip(bias).map(|(product, bias)| product + bias);
        let weighted = activations.enumerate().map(|(column, a)| match norms {
            Some(norms) => (column as u32, a * norms[column]),
            None => (column as u32, a),
        });
        match self {
            Self::Relu => code.extend(weighted.filter(|(_, a)| *a > 0.0)),
            Self::TopK { k, .. } => {
                code.extend(weighted.filter(|(_, a)| *a > 0.0));
                keep_top(*k, code);
            }
            Self::AbsTopK { k, .. } => {
                code.extend(weighted.filter(|(_, a)| *a != 0.0));
                keep_farthest(*k, code);
            }
            Self::Threshold(threshold) => code.extend(
                weighted.zip(threshold).filter(|((_, a), t)| *a > 0.0 && a > *t).map(|(e, _)| e),
            ),
            Self::Gated { log_magnitude, magnitude_bias } => {
                let open = weighted.filter(|(_, a)| *a > 0.0);
                let values = open.map(|(column, _)| {
                    let j = column as usize;
                    (column, log_magnitude[j].exp() * product[j] + magnitude_bias[j])
                });
                code.extend(values.filter(|(_, value)| *value > 0.0));
            }
            Self::Pursuit { .. } => unreachable!("a pursuit is not made of one product"),
        }
    }
}
