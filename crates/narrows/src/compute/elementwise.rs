//! Loops over all numbers of a matrix, in pieces of a fixed size, at the width of the machine.

use rayon::prelude::*;

use super::{Matrix, Real};

/// Numbers that one task handles.
const PIECE: usize = 1 << 14;
/// Columns that one task sums.
const STRIP: usize = 128;

/// Compiles `loop_body` for the widest vectors that the processor has, and runs it.
///
/// The compiler widens plain loops by itself; this lets it use AVX2 or AVX-512 where they are found
/// at run time. Each operation is the same on any width, so the bits are too.
#[inline(always)]
pub fn wide<R>(loop_body: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(loop_body)
}

/// Hands out pieces of `first` and, where it is not empty, the same pieces of `second`, to threads.
///
/// # Panics
/// If `second` is neither empty nor as long as `first`: the caller's mistake.
pub fn in_pieces<T: Real, U: Real>(
    first: &mut [T],
    second: &mut [U],
    work: impl Fn(&mut [T], &mut [U]) + Sync,
) {
    assert!(second.is_empty() || second.len() == first.len(), "pieces: lengths differ");
    if second.is_empty() {
        first.par_chunks_mut(PIECE).for_each(|first| work(first, &mut []));
    } else {
        let pieces = first.par_chunks_mut(PIECE).zip(second.par_chunks_mut(PIECE));
        pieces.for_each(|(first, second)| work(first, second));
    }
}

/// `out[i, j] ← out[i, j] · factor[i, j]`.
///
/// # Panics
/// If the shapes differ: the caller's mistake.
pub fn multiply_into<T: Real>(out: &mut Matrix<T>, factor: &Matrix<T>) {
    assert_eq!((out.rows(), out.cols()), (factor.rows(), factor.cols()), "multiply: shapes differ");
    let pieces = out.as_mut_slice().par_chunks_mut(PIECE).zip(factor.as_slice().par_chunks(PIECE));
    pieces.for_each(|(out, factor)| {
        wide(
            #[inline(always)]
            || out.iter_mut().zip(factor).for_each(|(out, &factor)| *out = *out * factor),
        );
    });
}

/// `out[j] ← out[j] + share · Σᵢ rows[i, j]`, each column by one thread in the order of the rows.
///
/// # Panics
/// If `out` has another length than the rows: the caller's mistake.
pub fn column_sums<T: Real>(rows: &Matrix<T>, share: T, out: &mut [T]) {
    assert_eq!(out.len(), rows.cols(), "column sums: shapes differ");
    let cols = rows.cols();
    out.par_chunks_mut(STRIP).enumerate().for_each(|(strip, out)| {
        let mut sum = [T::ZERO; STRIP];
        let sum = &mut sum[..out.len()];
        for row in rows.as_slice().chunks_exact(cols.max(1)) {
            let row = &row[strip * STRIP..strip * STRIP + sum.len()];
            wide(
                #[inline(always)]
                || sum.iter_mut().zip(row).for_each(|(sum, &value)| *sum += value),
            );
        }
        out.iter_mut().zip(sum).for_each(|(out, sum)| *out += share * *sum);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_summed_and_scaled() {
        let numbers: Vec<f64> = (0..300 * 200).map(f64::from).collect();
        let rows = Matrix::from_rows(300, 200, numbers).expect("fits");
        let mut out = vec![1.0; 200];
        column_sums(&rows, 0.5, &mut out);
        for (j, got) in out.iter().enumerate() {
            let exact: f64 = (0..300).map(|i| (200 * i + j) as f64).sum();
            assert_eq!(*got, 1.0 + 0.5 * exact);
        }
    }

    #[test]
    fn every_number_is_multiplied_once() {
        let mut out = Matrix::from_rows(400, 100, vec![2.0_f32; 40_000]).expect("fits");
        let factor = out.clone();
        multiply_into(&mut out, &factor);
        assert!(out.as_slice().iter().all(|&value| value == 4.0));
    }
}
