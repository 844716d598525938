//! Matching pursuit: codes that are found one latent after the other.
//!
//! ```text
//! r ← x − c;  then again and again     j = argmax Dr,   v = max(Dⱼ·r, 0),   zⱼ ← zⱼ + v,   r ← r − v·Dⱼ
//! ```
//!
//! A row ends after so many steps (d, if not given), when a step adds no latent to those in use, or
//! when ‖r‖ is below the threshold; after at least one step.
//!
//! Source: S. Mallat and Z. Zhang, Matching pursuits with time-frequency dictionaries (1993); the
//! rules for ending are those of SAELens (`matching_pursuit`).

use rayon::prelude::*;

use super::Gate;
use crate::compute::{Entry, Matrix, multiply};

/// The codes of a tile of rows; the rows become what is left of them.
pub(super) fn pursue(gate: &Gate, decoder: &Matrix, left: &mut Matrix, codes: &mut [Vec<Entry>]) {
    let Gate::Pursuit { residual_threshold, max_iterations, stop_on_duplicate } = *gate else {
        unreachable!("called for a pursuit");
    };
    codes.iter_mut().for_each(Vec::clear);
    let mut done = vec![false; left.rows()];
    let mut product = Matrix::zeros(left.rows(), decoder.rows());
    let dim = left.cols();
    for _ in 0..max_iterations.unwrap_or(dim) {
        multiply(left.view(), decoder.view().reversed_axes(), product.view_mut());
        let rows = left.as_mut_slice().par_chunks_exact_mut(dim).zip(codes.par_iter_mut());
        rows.zip(&mut done).enumerate().filter(|(_, (_, done))| !**done).for_each(
            |(index, ((left, code), done))| {
                let is_new = step(product.row(index), decoder, left, code);
                let norm = left.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt();
                let small = residual_threshold > 0.0 && norm < f64::from(residual_threshold);
                *done = small || (stop_on_duplicate && !is_new);
            },
        );
        if done.iter().all(|done| *done) {
            break;
        }
    }
    codes.par_iter_mut().for_each(|code| code.sort_unstable_by_key(|entry| entry.0));
}

/// One step of one row; whether it brought a latent into use.
fn step(product: &[f32], decoder: &Matrix, left: &mut [f32], code: &mut Vec<Entry>) -> bool {
    let best = (0..product.len()).reduce(|a, b| if product[b] > product[a] { b } else { a });
    let Some(best) = best else { return false };
    let direction = decoder.row(best);
    let value: f32 = left.iter().zip(direction).map(|(left, d)| left * d).sum();
    if value.is_nan() || value <= 0.0 {
        return false;
    }
    left.iter_mut().zip(direction).for_each(|(left, d)| *left -= value * d);
    match code.iter_mut().find(|entry| entry.0 == best as u32) {
        Some(entry) => {
            entry.1 += value;
            false
        }
        None => {
            code.push((best as u32, value));
            true
        }
    }
}
