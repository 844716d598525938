//! Passes over the rows of matrices, in pieces of a fixed size that are joined in order.

use ndarray::ArrayView2;
use rayon::prelude::*;

use super::elementwise::wide;
use super::{Matrix, Real};

/// Numbers in a piece of work for one thread.
const PIECE: usize = 1 << 14;

fn rows_in_a_piece(cols: usize) -> usize {
    (PIECE / cols.max(1)).max(1)
}

/// `out[i] = rows[order[i]]`: `rows` is `(n, d)`, `out` `(order.len(), d)`.
///
/// # Panics
/// If the shapes do not fit or an index lies outside: the caller's mistake.
pub fn gather<T: Real>(rows: ArrayView2<'_, T>, order: &[usize], out: &mut Matrix<T>) {
    assert_eq!((order.len(), rows.ncols()), (out.rows(), out.cols()), "gather: shapes differ");
    let (cols, piece) = (out.cols().max(1), rows_in_a_piece(out.cols()));
    let chunks = out.as_mut_slice().par_chunks_mut(piece * cols).zip(order.par_chunks(piece));
    chunks.for_each(|(out, order)| {
        for (out, &index) in out.chunks_exact_mut(cols).zip(order) {
            match rows.row(index).to_slice() {
                Some(row) => out.copy_from_slice(row),
                None => rows.row(index).iter().zip(out).for_each(|(&from, to)| *to = from),
            }
        }
    });
}

/// `out[i] = rows[i] − shift`: `rows` and `out` are `(n, d)`, `shift` is `(d,)`.
///
/// # Panics
/// If the shapes differ: the caller's mistake.
pub fn subtract<T: Real>(rows: &Matrix<T>, shift: &[T], out: &mut Matrix<T>) {
    assert_eq!((rows.rows(), rows.cols()), (out.rows(), out.cols()), "subtract: shapes differ");
    assert_eq!(shift.len(), rows.cols(), "subtract: shapes differ");
    let (cols, piece) = (rows.cols().max(1), rows_in_a_piece(rows.cols()));
    let chunks = out.as_mut_slice().par_chunks_mut(piece * cols);
    chunks.zip(rows.as_slice().par_chunks(piece * cols)).for_each(|(out, rows)| {
        for (out, row) in out.chunks_exact_mut(cols).zip(rows.chunks_exact(cols)) {
            for ((out, x), shift) in out.iter_mut().zip(row).zip(shift) {
                *out = *x - *shift;
            }
        }
    });
}

/// `Σᵢ value(target[i], output[i], weights[i], gradient[i])` over the rows of `(n, d)` matrices, the
/// last of which is written: the frame of every loss. Without weights their row is empty.
///
/// # Panics
/// If the shapes differ: the caller's mistake.
pub fn sum_rows<T: Real>(
    target: &Matrix<T>,
    output: &Matrix<T>,
    weights: Option<&Matrix<T>>,
    gradient: &mut Matrix<T>,
    value: impl Fn(&[T], &[T], &[T], &mut [T]) -> f64 + Sync,
) -> f64 {
    let shape = (target.rows(), target.cols());
    assert_eq!(shape, (output.rows(), output.cols()), "loss: target and output differ in shape");
    assert_eq!(shape, (gradient.rows(), gradient.cols()), "loss: the gradient differs in shape");
    let cols = target.cols().max(1);
    let piece = rows_in_a_piece(cols) * cols;
    let weights_of = |piece_index: usize, row: usize| match weights {
        Some(weights) => weights.row(piece_index * rows_in_a_piece(cols) + row),
        None => &[],
    };
    let sums: Vec<f64> = target
        .as_slice()
        .par_chunks(piece)
        .zip(output.as_slice().par_chunks(piece))
        .zip(gradient.as_mut_slice().par_chunks_mut(piece))
        .enumerate()
        .map(|(index, ((target, output), gradient))| {
            wide(
                #[inline(always)]
                || {
                    let rows = target.chunks_exact(cols).zip(output.chunks_exact(cols));
                    rows.zip(gradient.chunks_exact_mut(cols))
                        .enumerate()
                        .map(|(row, ((t, o), g))| value(t, o, weights_of(index, row), g))
                        .sum()
                },
            )
        })
        .collect();
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(rows: usize, cols: usize) -> Matrix {
        let numbers: Vec<f32> = (0..rows * cols).map(|i| i as f32).collect();
        Matrix::from_rows(rows, cols, numbers).expect("the count fits")
    }

    #[test]
    fn rows_are_gathered_in_the_order_given() {
        let mut out = Matrix::zeros(3, 2);
        gather(counted(4, 2).view(), &[3, 0, 3], &mut out);
        assert_eq!(out.as_slice(), [6.0, 7.0, 0.0, 1.0, 6.0, 7.0]);
    }

    #[test]
    fn the_shift_is_taken_from_every_row_of_every_piece() {
        let rows = counted(3000, 50);
        let shift = vec![1.0; 50];
        let mut out = Matrix::zeros(3000, 50);
        subtract(&rows, &shift, &mut out);
        assert!(out.as_slice().iter().zip(rows.as_slice()).all(|(out, x)| *out == x - 1.0));
    }

    #[test]
    fn every_row_is_summed_once() {
        let rows = counted(3000, 50);
        let mut seen = Matrix::zeros(3000, 50);
        let sum = sum_rows(&rows, &rows, None, &mut seen, |row, _, _, seen| {
            seen.copy_from_slice(row);
            f64::from(row[0])
        });
        assert_eq!(seen, rows);
        assert_eq!(sum, (0..3000).map(|i| f64::from(i * 50)).sum::<f64>());
    }
}
