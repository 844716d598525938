//! Products of matrices.
//!
//! ```text
//! out = a · b                a: (m, k)   b: (k, n)   out: (m, n)      2·m·k·n operations
//! ```
//!
//! The kernels are those of the `gemm` crate (AVX-512 chosen at run time). The output is cut into
//! pieces whose size depends on the shapes alone and each piece is computed by one thread, so the
//! number of threads never changes a bit. A view may have any strides: a transposed operand costs
//! nothing but its packing.

use ndarray::{ArrayView2, ArrayViewMut2, Axis};
use rayon::prelude::*;

use super::Real;

/// Rows (or columns) of the output that one task computes. Large enough that packing the other
/// operand again for each piece costs a few per cent, small enough to feed many threads.
const PIECE: usize = 256;
const SMALLEST_PIECE: usize = 64;

/// `out = a · b`.
///
/// # Panics
/// If the shapes do not fit: the caller's mistake, user input is checked where it enters.
pub fn multiply<T: Real>(a: ArrayView2<'_, T>, b: ArrayView2<'_, T>, out: ArrayViewMut2<'_, T>) {
    pieces(T::ZERO, T::ONE, a, b, out, &|_, _| {});
}

/// `out = keep · out + factor · a · b`.
///
/// # Panics
/// If the shapes do not fit.
pub fn multiply_add<T: Real>(
    keep: T,
    factor: T,
    a: ArrayView2<'_, T>,
    b: ArrayView2<'_, T>,
    out: ArrayViewMut2<'_, T>,
) {
    pieces(keep, factor, a, b, out, &|_, _| {});
}

/// `out = a · b`, then `epilogue(first_column, row_part)` on every row of a piece while it is still
/// in the cache: the place for a bias and an activation. `out` must be row-major.
///
/// # Panics
/// If the shapes do not fit or `out` is not row-major.
pub fn multiply_then<T: Real>(
    a: ArrayView2<'_, T>,
    b: ArrayView2<'_, T>,
    out: ArrayViewMut2<'_, T>,
    epilogue: impl Fn(usize, &mut [T]) + Sync,
) {
    pieces(T::ZERO, T::ONE, a, b, out, &|first_column, mut piece: ArrayViewMut2<'_, T>| {
        for mut row in piece.rows_mut() {
            epilogue(first_column, row.as_slice_mut().expect("the output is row-major"));
        }
    });
}

fn pieces<T: Real>(
    keep: T,
    factor: T,
    a: ArrayView2<'_, T>,
    b: ArrayView2<'_, T>,
    mut out: ArrayViewMut2<'_, T>,
    epilogue: &(impl Fn(usize, ArrayViewMut2<'_, T>) + Sync),
) {
    assert_eq!((a.nrows(), b.ncols()), out.dim(), "product: the output has another shape");
    assert_eq!(a.ncols(), b.nrows(), "product: the inner dimensions differ");
    let (m, n) = out.dim();
    let by_rows = m >= n;
    let size = piece_size(m.max(n));
    if by_rows {
        out.axis_chunks_iter_mut(Axis(0), size)
            .into_par_iter()
            .zip(a.axis_chunks_iter(Axis(0), size))
            .for_each(|(mut out, a)| {
                kernel(keep, factor, a, b, out.view_mut());
                epilogue(0, out);
            });
    } else {
        out.axis_chunks_iter_mut(Axis(1), size)
            .into_par_iter()
            .zip(b.axis_chunks_iter(Axis(1), size))
            .enumerate()
            .for_each(|(index, (mut out, b))| {
                kernel(keep, factor, a, b, out.view_mut());
                epilogue(index * size, out);
            });
    }
}

/// At least eight pieces where they do not become too small, so that few threads share evenly.
fn piece_size(length: usize) -> usize {
    length.div_ceil(8).next_multiple_of(16).clamp(SMALLEST_PIECE, PIECE)
}

/// One product on one thread.
#[allow(unsafe_code)]
pub(super) fn kernel<T: Real>(
    keep: T,
    factor: T,
    a: ArrayView2<'_, T>,
    b: ArrayView2<'_, T>,
    mut out: ArrayViewMut2<'_, T>,
) {
    let (m, n) = out.dim();
    let k = a.ncols();
    assert!(a.nrows() == m && b.dim() == (k, n), "product: the shapes do not fit");
    if m == 0 || n == 0 {
        return;
    }
    let (out_strides, a_strides, b_strides) =
        ([out.strides()[0], out.strides()[1]], a.strides().to_vec(), b.strides().to_vec());
    // SAFETY: the three views are alive for the whole call and their pointers and strides, in
    // elements, come from `ndarray`, so every address `gemm` forms for the asserted shapes lies
    // inside them. `out` is borrowed mutably, hence does not overlap `a` or `b`. `T` is `f32` or
    // `f64` (`Real` is implemented for no other type), both of which `gemm` supports.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            out_strides[1],
            out_strides[0],
            keep != T::ZERO,
            a.as_ptr(),
            a_strides[1],
            a_strides[0],
            b.as_ptr(),
            b_strides[1],
            b_strides[0],
            keep,
            factor,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use ndarray::Array2;

    fn slow_product<T: Real>(a: ArrayView2<'_, T>, b: ArrayView2<'_, T>) -> Array2<f64> {
        Array2::from_shape_fn((a.nrows(), b.ncols()), |(i, j)| {
            (0..a.ncols()).map(|k| a[[i, k]].to_f64() * b[[k, j]].to_f64()).sum()
        })
    }

    fn random<T: Real>(rows: usize, cols: usize, name: &str) -> Array2<T> {
        let mut random = Random::stream(0, name);
        Array2::from_shape_fn((rows, cols), |_| T::from_f64(random.normal()))
    }

    fn agrees_with_the_slow_twin<T: Real>(tolerance: f64) {
        for (m, k, n) in
            [(1, 1, 1), (3, 5, 2), (300, 70, 20), (20, 70, 700), (65, 1, 1), (1, 9, 600)]
        {
            let a = random::<T>(m, k, "a");
            let b = random::<T>(n, k, "b").reversed_axes();
            let mut out = Array2::from_elem((m, n), T::ONE);
            let expected = slow_product(a.view(), b.view());
            multiply_add(T::from_f64(2.0), T::from_f64(3.0), a.view(), b.view(), out.view_mut());
            for (got, expected) in out.iter().zip(&expected) {
                assert!((got.to_f64() - 2.0 - 3.0 * expected).abs() < tolerance * k as f64);
            }
            multiply_then(a.view(), b.view(), out.view_mut(), |first, row| {
                row.iter_mut()
                    .enumerate()
                    .for_each(|(j, value)| *value += T::from_f64((first + j) as f64));
            });
            for ((i, j), got) in out.indexed_iter() {
                assert!(
                    (got.to_f64() - j as f64 - expected[[i, j]]).abs()
                        < (tolerance * k as f64).max(1e-4)
                );
            }
        }
    }

    #[test]
    fn f32_agrees_with_the_slow_twin() {
        agrees_with_the_slow_twin::<f32>(2e-5);
    }

    #[test]
    fn f64_agrees_with_the_slow_twin() {
        agrees_with_the_slow_twin::<f64>(1e-13);
    }

    #[test]
    fn an_empty_inner_dimension_gives_zero() {
        let mut out = Array2::from_elem((2, 3), 7.0_f32);
        multiply(Array2::zeros((2, 0)).view(), Array2::zeros((0, 3)).view(), out.view_mut());
        assert!(out.iter().all(|&value| value == 0.0));
    }
}
