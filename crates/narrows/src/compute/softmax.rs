//! Shares from logits.

use rayon::prelude::*;

use super::Matrix;

/// Rows that one task handles.
const PIECE: usize = 256;

/// `e^(x_ij) / Σ_k e^(x_ik)` in place, each row by itself; the largest logit of a row is taken away
/// first, so that nothing overflows.
pub fn softmax_rows(rows: &mut Matrix) {
    let cols = rows.cols().max(1);
    rows.as_mut_slice().par_chunks_mut(PIECE * cols).for_each(|piece| {
        for row in piece.chunks_exact_mut(cols) {
            let largest = row.iter().fold(f32::NEG_INFINITY, |most, &logit| most.max(logit));
            row.iter_mut().for_each(|value| *value = (*value - largest).exp());
            let total: f32 = row.iter().sum();
            row.iter_mut().for_each(|value| *value /= total);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_by_hand_also_of_large_logits() {
        let ln3 = 3.0_f32.ln();
        let mut rows = Matrix::from_rows(2, 2, vec![0.0, ln3, 900.0, 900.0 + ln3]).expect("fits");
        softmax_rows(&mut rows);
        for row in rows.view().outer_iter() {
            assert!((row[0] - 0.25).abs() < 1e-4 && (row[1] - 0.75).abs() < 1e-4, "{row}");
        }
    }
}
