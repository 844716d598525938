//! How alike the atoms of two dictionaries are.
//!
//! ```text
//! A (n, d), B (m, d) rows of length 1        Cᵢⱼ = Aᵢ·Bⱼ      a row of zeros has cosine 0 with all
//! MMCS of A in B    1/n · Σᵢ maxⱼ Cᵢⱼ         mean max cosine similarity; another number than of B in A
//! MCC               1/min(n, m) · max over one-to-one π of Σᵢ |Cᵢ,π(i)|
//! uniqueness        the number of different argmaxⱼ |Cᵢⱼ| over i, divided by n
//! ```
//!
//! MMCS forgives several atoms that found the same; MCC, mean correlation coefficient, pairs each with
//! one.
//!
//! Source: L. Sharkey et al. (2022) and H. Cunningham et al. (2023) for MMCS, with the sign of the cosine;
//! X. Song et al., Position: mechanistic interpretability should prioritize feature consistency in SAEs
//! (2025) and `sae_lens.synthetic.evals` 6.54 for MCC and uniqueness, without the sign.

use ndarray::{ArrayView2, Axis, s};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::assignment::linear_sum_assignment;
use crate::compute::{Matrix, multiply};
use crate::error::{Error, Result};

/// Rows whose cosines with all others are held at a time.
const TILE: usize = 256;
/// What counts as the same direction.
const SAME: f64 = 0.9;

/// How alike two dictionaries are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DictionaryLikeness {
    /// Atoms of the one.
    pub latents: usize,
    /// Atoms of the other.
    pub latents_of_other: usize,
    /// MMCS of the one in the other: the mean over its atoms of the largest cosine with one of the other.
    pub mmcs: f64,
    /// MMCS of the other in the one.
    pub mmcs_of_other: f64,
    /// MCC: the mean |cosine| of atoms that are paired one to one.
    pub mcc: f64,
    /// The share of these pairs whose |cosine| is above 0.9.
    pub matched: f64,
    /// How many different atoms of the other are nearest to an atom of the one, divided by its atoms.
    pub uniqueness: f64,
    /// The largest cosine of each atom of the other with one of the one `(m)`; not kept in records.
    #[serde(skip)]
    pub cosines_of_other: Vec<f64>,
}

/// Compares decoders `(n, d)` and `(m, d)`, one atom a row, of any length.
///
/// Holds `n·m` cosines as f32 for the pairing.
///
/// # Errors
/// If they have different columns, or one has no atoms.
pub fn compare_dictionaries(one: &Matrix, other: &Matrix) -> Result<DictionaryLikeness> {
    check(one, other)?;
    let (one, other) = (unit_rows(one), unit_rows(other));
    let mut cosines = Matrix::<f32>::zeros(one.rows(), other.rows());
    multiply(one.view(), other.view().t(), cosines.view_mut());
    let best = best_of_rows(cosines.view());
    let nearest: Vec<usize> = best.iter().map(|best| best.by_size.0).collect();
    let column_best = (0..other.rows()).into_par_iter().map(|column| {
        cosines.view().column(column).iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b))
    });
    let cosines_of_other: Vec<f64> = column_best.map(f64::from).collect();
    // Costs in place of cosines: the same memory.
    cosines.as_mut_slice().par_iter_mut().for_each(|cosine| *cosine = -cosine.abs());
    let pairs = linear_sum_assignment(cosines.view());
    let matched: Vec<f64> =
        pairs.iter().map(|&(row, column)| -f64::from(cosines.row(row)[column])).collect();
    Ok(DictionaryLikeness {
        latents: one.rows(),
        latents_of_other: other.rows(),
        mmcs: mean(best.iter().map(|best| f64::from(best.by_sign))),
        mmcs_of_other: mean(cosines_of_other.iter().copied()),
        mcc: mean(matched.iter().copied()),
        matched: mean(matched.iter().map(|&cosine| f64::from(u8::from(cosine > SAME)))),
        uniqueness: different(nearest) as f64 / one.rows() as f64,
        cosines_of_other,
    })
}

/// For each atom of the one `(n, d)` the atom of the other `(m, d)` with the largest |cosine|, the first
/// of several. Takes 256 rows of cosines at a time.
///
/// # Errors
/// As [`compare_dictionaries`].
pub(super) fn nearest(one: &Matrix, other: &Matrix) -> Result<Vec<usize>> {
    check(one, other)?;
    let (one, other) = (unit_rows(one), unit_rows(other));
    let mut found = Vec::with_capacity(one.rows());
    in_tiles(&one, &other, |_, cosines| {
        found.extend(best_of_rows(cosines).into_iter().map(|best| best.by_size.0));
    });
    Ok(found)
}

/// For each atom `(n, d)` the other of the same dictionary with the largest cosine, and that cosine; itself
/// and 0 where it is alone.
pub(super) fn nearest_within(atoms: &Matrix) -> Vec<(usize, f64)> {
    let atoms = unit_rows(atoms);
    let mut found = Vec::with_capacity(atoms.rows());
    in_tiles(&atoms, &atoms, |first, cosines| {
        let nearest =
            cosines.axis_iter(Axis(0)).into_par_iter().enumerate().map(|(row, cosines)| {
                let own = first + row;
                let others = cosines.iter().enumerate().filter(|(column, _)| *column != own);
                let larger = |best: (usize, f32), (column, &cosine): (usize, &f32)| {
                    if cosine > best.1 { (column, cosine) } else { best }
                };
                match others.fold((own, f32::NEG_INFINITY), larger) {
                    (nearest, cosine) if cosine.is_finite() => (nearest, f64::from(cosine)),
                    _ => (own, 0.0),
                }
            });
        found.extend(nearest.collect::<Vec<_>>());
    });
    found
}

fn check(one: &Matrix, other: &Matrix) -> Result<()> {
    let got = format!("{} × {} and {} × {}", one.rows(), one.cols(), other.rows(), other.cols());
    if one.cols() != other.cols() {
        let expected = "dictionaries of rows with as many columns";
        return Err(Error::mistake("compare dictionaries", expected, got, "compare others"));
    }
    if one.rows() == 0 || other.rows() == 0 {
        return Err(Error::mistake("compare dictionaries", "atoms", got, "compare others"));
    }
    Ok(())
}

fn in_tiles(one: &Matrix, other: &Matrix, mut use_tile: impl FnMut(usize, ArrayView2<'_, f32>)) {
    let mut cosines = Matrix::<f32>::zeros(TILE.min(one.rows()), other.rows());
    for first in (0..one.rows()).step_by(TILE) {
        let last = (first + TILE).min(one.rows());
        cosines.reshape(last - first, other.rows());
        multiply(one.view().slice(s![first..last, ..]), other.view().t(), cosines.view_mut());
        use_tile(first, cosines.view());
    }
}

/// The largest cosine, and the place and size of the one farthest from zero.
struct Best {
    by_sign: f32,
    by_size: (usize, f32),
}

fn best_of_rows(cosines: ArrayView2<'_, f32>) -> Vec<Best> {
    let rows = cosines.axis_iter(Axis(0)).into_par_iter();
    rows.map(|row| {
        let mut best = Best { by_sign: f32::NEG_INFINITY, by_size: (0, -1.0) };
        for (column, &cosine) in row.iter().enumerate() {
            best.by_sign = best.by_sign.max(cosine);
            if cosine.abs() > best.by_size.1 {
                best.by_size = (column, cosine.abs());
            }
        }
        best
    })
    .collect()
}

/// Atoms at length 1; those shorter than 1e-8 become nearly zero.
fn unit_rows(atoms: &Matrix) -> Matrix {
    let mut unit = atoms.clone();
    unit.as_mut_slice().par_chunks_mut(atoms.cols().max(1)).for_each(|row| {
        let norm = row.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
        row.iter_mut().for_each(|value| *value = (f64::from(*value) / norm.max(1e-8)) as f32);
    });
    unit
}

fn different(mut places: Vec<usize>) -> usize {
    places.sort_unstable();
    places.dedup();
    places.len()
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}
