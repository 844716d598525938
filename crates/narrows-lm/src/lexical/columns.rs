//! Activations of chosen features, column for column.

use narrows::Result;
use narrows::compute::{Matrix, multiply};
use narrows::evaluate::Frame;
use narrows::model::dictionary::{Dictionary, Gate};
use rayon::prelude::*;

use super::Rows;
use super::contexts::Contexts;
use super::feature::{Activations, Found};
use crate::basis::Basis;

/// Rows that are encoded at a time, and dense features that are held at a time.
const TILE: usize = 4096;
const BLOCK: usize = 32;

/// The chosen features of a basis.
pub(super) struct Columns<'a> {
    basis: &'a Basis,
    features: &'a [usize],
}

impl<'a> Columns<'a> {
    pub(super) fn new(basis: &'a Basis, features: &'a [usize]) -> Self {
        Self { basis, features }
    }

    /// The directions, if all codes are kept.
    fn frame(&self) -> Option<&'a Frame> {
        let all =
            |(frame, most): (&'a Frame, usize)| (most >= frame.encoder.rows()).then_some(frame);
        self.basis.as_frame().and_then(all)
    }

    pub(super) fn is_dense(&self) -> bool {
        self.frame().is_some()
    }

    /// What each feature comes to.
    pub(super) fn scores(
        &self,
        rows: Rows<'_>,
        contexts: &Contexts,
        densities: &[f64],
        told: &mut dyn FnMut(f64),
    ) -> Result<Vec<Found>> {
        let Some(frame) = self.frame() else {
            let columns = self.sparse(rows, &mut |part| told(0.5 * part))?;
            let each = columns.into_par_iter().zip(self.features.par_iter());
            let found = each
                .map(|(codes, &feature)| rectified(feature, codes, contexts, None).score(contexts));
            return Ok(found.collect());
        };
        let (mut found, count) = (Vec::new(), self.features.len());
        for (block, features) in self.features.chunks(BLOCK).enumerate() {
            let done =
                |part: f64| (found.len() as f64 + part * features.len() as f64) / count as f64;
            let columns = dense(frame, features, rows, &mut |part| told(done(0.5 * part)))?;
            let each = columns.par_chunks(rows.count()).zip(features).enumerate();
            let scores: Vec<Found> = each
                .map(|(place, (codes, &feature))| {
                    let codes = (0..).zip(codes.iter().copied()).collect();
                    let density = densities[(block * BLOCK + place) % densities.len()];
                    rectified(feature, codes, contexts, Some(density)).score(contexts)
                })
                .collect();
            found.extend(scores);
        }
        Ok(found)
    }

    /// The codes that are not 0 of each feature, with their rows.
    fn sparse(&self, rows: Rows<'_>, told: &mut dyn FnMut(f64)) -> Result<Vec<Vec<(u32, f32)>>> {
        let alone = self.basis.as_dictionary().and_then(|whole| restricted(whole, self.features));
        let narrowed = alone.map(|own| Basis::dictionary(&self.basis.name, own)).transpose()?;
        let mut columns = vec![Vec::new(); self.features.len()];
        let mut column_of = vec![None; self.basis.features()];
        for (column, &feature) in self.features.iter().enumerate() {
            column_of[feature] = Some(column);
        }
        let mut tile = Matrix::default();
        for start in (0..rows.count()).step_by(TILE) {
            rows.read(start, TILE.min(rows.count() - start), &mut tile)?;
            let codes = narrowed.as_ref().unwrap_or(self.basis).encode(&tile)?;
            for row in 0..codes.rows() {
                let (latents, values) = codes.row(row);
                for (&latent, &value) in latents.iter().zip(values) {
                    let column = match narrowed {
                        Some(_) => Some(latent as usize),
                        None => column_of[latent as usize],
                    };
                    if let Some(column) = column {
                        columns[column].push(((start + row) as u32, value));
                    }
                }
            }
            told((start + tile.rows()) as f64 / rows.count() as f64);
        }
        Ok(columns)
    }
}

/// Some latents of a dictionary by themselves, where no latent's code depends on the others.
fn restricted(whole: &Dictionary, features: &[usize]) -> Option<Dictionary> {
    let pick = |values: &[f32]| features.iter().map(|&j| values[j]).collect::<Vec<f32>>();
    let gate = match &whole.gate {
        Gate::Relu => Gate::Relu,
        Gate::Threshold(threshold) => Gate::Threshold(pick(threshold)),
        Gate::Gated { log_magnitude, magnitude_bias } => {
            Gate::Gated { log_magnitude: pick(log_magnitude), magnitude_bias: pick(magnitude_bias) }
        }
        Gate::TopK { .. } | Gate::AbsTopK { .. } | Gate::Pursuit { .. } => return None,
    };
    Some(Dictionary {
        encoder: picked(&whole.encoder, features),
        encoder_bias: pick(&whole.encoder_bias),
        decoder: picked(&whole.decoder, features),
        decoder_bias: whole.decoder_bias.clone(),
        skip: None,
        centred: whole.centred,
        gate,
        row_scale: whole.row_scale,
    })
}

/// Some rows of a matrix.
fn picked(matrix: &Matrix, rows: &[usize]) -> Matrix {
    let mut out = Matrix::zeros(rows.len(), matrix.cols());
    let into = out.as_mut_slice().chunks_exact_mut(matrix.cols().max(1));
    into.zip(rows).for_each(|(into, &row)| into.copy_from_slice(matrix.row(row)));
    out
}

/// All codes of some features, one feature after the other.
fn dense(
    frame: &Frame,
    features: &[usize],
    rows: Rows<'_>,
    told: &mut dyn FnMut(f64),
) -> Result<Vec<f32>> {
    let count = rows.count();
    let mut columns = vec![0.0; features.len() * count];
    let encoder = picked(&frame.encoder, features);
    let (mut tile, mut codes) = (Matrix::default(), Matrix::default());
    for start in (0..count).step_by(TILE) {
        rows.read(start, TILE.min(count - start), &mut tile)?;
        let centred = tile.as_mut_slice().par_chunks_exact_mut(frame.mean.len());
        centred.for_each(|row| row.iter_mut().zip(&frame.mean).for_each(|(x, m)| *x -= m));
        codes.reshape(tile.rows(), features.len());
        multiply(tile.view(), encoder.view().reversed_axes(), codes.view_mut());
        columns.par_chunks_exact_mut(count).enumerate().for_each(|(column, values)| {
            let codes = codes.as_slice().iter().skip(column).step_by(features.len());
            values[start..start + tile.rows()].iter_mut().zip(codes).for_each(|(v, &z)| *v = z);
        });
        told((start + tile.rows()) as f64 / count as f64);
    }
    Ok(columns)
}

/// The side of codes that is taken, and where the feature fires; at `density` if it is dense.
fn rectified(
    feature: usize,
    codes: Vec<(u32, f32)>,
    contexts: &Contexts,
    density: Option<f64>,
) -> Activations {
    let negative = codes.iter().any(|(_, z)| *z < 0.0) && leans_down(&codes, contexts);
    let side = if negative { -1.0 } else { 1.0 };
    let mut all = codes;
    all.retain_mut(|(_, z)| {
        *z *= side;
        *z > 0.0
    });
    let threshold = density.map_or(0.0, |density| quantile(&all, contexts, density));
    Activations { feature, negative, all, threshold }
}

/// Whether the third central moment over rows that are fitted on is below 0.
fn leans_down(codes: &[(u32, f32)], contexts: &Contexts) -> bool {
    let fitted = codes.iter().filter(|(row, _)| !contexts.is_held_out(*row as usize));
    let count = contexts.fitted() as f64;
    let [first, second, third] = fitted.fold([0.0; 3], |[a, b, c], (_, z)| {
        let z = f64::from(*z);
        [a + z, b + z * z, c + z * z * z]
    });
    let mean = first / count;
    third / count - 3.0 * mean * second / count + 2.0 * mean.powi(3) < 0.0
}

/// What a share `density` of the rows that are fitted on lies above; 0 where fewer are above it.
fn quantile(activations: &[(u32, f32)], contexts: &Contexts, density: f64) -> f32 {
    let wanted = (density * contexts.fitted() as f64).round() as usize;
    let fitted = activations.iter().filter(|(row, _)| !contexts.is_held_out(*row as usize));
    let mut fitted: Vec<f32> = fitted.map(|(_, a)| *a).collect();
    if wanted >= fitted.len() {
        return 0.0;
    }
    *fitted.select_nth_unstable_by(wanted, |a, b| b.total_cmp(a)).1
}
