//! Decompositions, in f64, by `faer`.
//!
//! Work is always split into the same number of parts, whatever the number of threads that carry
//! them out, so the bits do not depend on the machine's load or on `RAYON_NUM_THREADS`.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::{evd, householder, qr, svd};
use faer::{Conj, MatMut, MatRef, Par};
use ndarray::{Array1, Array2, ArrayView2};

use crate::error::{Error, Result};

/// Parts that a decomposition is split into.
fn parts() -> Par {
    Par::rayon(8)
}

/// Eigenvalues in falling order and their eigenvectors.
#[derive(Debug, Clone)]
pub struct Eigen {
    /// `(n,)`, largest first.
    pub values: Array1<f64>,
    /// `(n, n)`: row `i` is the unit eigenvector of `values[i]`.
    pub vectors: Array2<f64>,
}

/// Singular values in falling order and their right and left vectors.
#[derive(Debug, Clone)]
pub struct ThinSvd {
    /// `(r,)` with `r = min(m, n)`, largest first.
    pub values: Array1<f64>,
    /// `(r, m)`: row `i` is the left vector of `values[i]`.
    pub left: Array2<f64>,
    /// `(r, n)`: row `i` is the right vector of `values[i]`.
    pub right: Array2<f64>,
}

/// Eigenvalues and eigenvectors of a symmetric positive semi-definite matrix `(n, n)`; only its
/// lower triangle is read.
///
/// Takes about `9·n³` operations. Where the iteration fails, as it does on some matrices that are
/// almost all zero, the singular value decomposition takes its place: for such a matrix both are
/// the same.
///
/// # Errors
/// If the iteration does not converge, which finite input does not cause.
pub fn symmetric_eigen(matrix: ArrayView2<'_, f64>) -> Result<Eigen> {
    let n = matrix.nrows();
    let mut values = vec![0.0; n];
    let mut vectors = Array2::<f64>::zeros((n, n));
    if eigen_into(matrix, &mut values, Some(&mut vectors)).is_err() {
        let n = matrix.nrows();
        let whole = Array2::from_shape_fn((n, n), |(i, j)| matrix[[i.max(j), i.min(j)]]);
        let svd = thin_svd(whole.view())?;
        return Ok(Eigen { values: svd.values, vectors: svd.right });
    }
    values.reverse();
    vectors.invert_axis(ndarray::Axis(0));
    Ok(Eigen { values: values.into(), vectors: vectors.as_standard_layout().into_owned() })
}

/// Eigenvalues alone of a symmetric positive semi-definite matrix, largest first; as
/// [`symmetric_eigen`] where the iteration fails.
///
/// # Errors
/// As [`symmetric_eigen`].
pub fn symmetric_eigenvalues(matrix: ArrayView2<'_, f64>) -> Result<Array1<f64>> {
    let mut values = vec![0.0; matrix.nrows()];
    if eigen_into(matrix, &mut values, None).is_err() {
        return Ok(symmetric_eigen(matrix)?.values);
    }
    values.reverse();
    Ok(values.into())
}

/// Fills `values` in rising order and the rows of `vectors` in the same order.
fn eigen_into(
    matrix: ArrayView2<'_, f64>,
    values: &mut [f64],
    vectors: Option<&mut Array2<f64>>,
) -> Result<()> {
    let n = matrix.nrows();
    let want = match vectors {
        Some(_) => evd::ComputeEigenvectors::Yes,
        None => evd::ComputeEigenvectors::No,
    };
    let mut memory =
        MemBuffer::new(evd::self_adjoint_evd_scratch::<f64>(n, want, parts(), Default::default()));
    // Column-major columns are row-major rows: each eigenvector lands in one row.
    let vectors = vectors.map(|v| {
        MatMut::from_column_major_slice_mut(v.as_slice_mut().expect("owned and row-major"), n, n)
    });
    evd::self_adjoint_evd(
        as_faer(matrix),
        MatMut::from_column_major_slice_mut(values, n, 1).col_mut(0).as_diagonal_mut(),
        vectors,
        parts(),
        MemStack::new(&mut memory),
        Default::default(),
    )
    .map_err(|_| no_convergence("eigenvalues", n, n))
}

/// The thin singular value decomposition of a matrix `(m, n)`.
///
/// # Errors
/// If the iteration does not converge, which finite input does not cause.
pub fn thin_svd(matrix: ArrayView2<'_, f64>) -> Result<ThinSvd> {
    let (m, n) = matrix.dim();
    let r = m.min(n);
    let mut values = Array1::<f64>::zeros(r);
    let (mut left, mut right) = (Array2::<f64>::zeros((r, m)), Array2::<f64>::zeros((r, n)));
    let want = svd::ComputeSvdVectors::Thin;
    let mut memory =
        MemBuffer::new(svd::svd_scratch::<f64>(m, n, want, want, parts(), Default::default()));
    svd::svd(
        as_faer(matrix),
        MatMut::from_column_major_slice_mut(values.as_slice_mut().expect("owned"), r, 1)
            .col_mut(0)
            .as_diagonal_mut(),
        Some(MatMut::from_column_major_slice_mut(left.as_slice_mut().expect("owned"), m, r)),
        Some(MatMut::from_column_major_slice_mut(right.as_slice_mut().expect("owned"), n, r)),
        parts(),
        MemStack::new(&mut memory),
        Default::default(),
    )
    .map_err(|_| no_convergence("singular values", m, n))?;
    Ok(ThinSvd { values, left, right })
}

/// An orthonormal basis of the space that the rows of `(r, n)`, `r ≤ n`, span, as rows `(r, n)`:
/// the thin Q of a Householder QR. Where rows depend on each other the basis is completed.
pub fn orthonormal_rows(rows: &Array2<f64>) -> Array2<f64> {
    let (r, n) = rows.dim();
    assert!(r <= n, "orthonormal_rows: more rows than dimensions");
    let mut basis = rows.as_standard_layout().into_owned();
    let mut q = Array2::<f64>::zeros((r, n));
    q.diag_mut().fill(1.0);
    if r == 0 {
        return q;
    }
    let block = qr::no_pivoting::factor::recommended_block_size::<f64>(n, r);
    let mut factor = vec![0.0; block * r];
    let mut factor = MatMut::from_column_major_slice_mut(&mut factor, block, r);
    let mut basis =
        MatMut::from_column_major_slice_mut(basis.as_slice_mut().expect("row-major"), n, r);
    let mut memory = MemBuffer::new(qr::no_pivoting::factor::qr_in_place_scratch::<f64>(
        n,
        r,
        block,
        parts(),
        Default::default(),
    ));
    qr::no_pivoting::factor::qr_in_place(
        basis.as_mut(),
        factor.as_mut(),
        parts(),
        MemStack::new(&mut memory),
        Default::default(),
    );
    let mut memory = MemBuffer::new(
        householder::apply_block_householder_sequence_on_the_left_in_place_scratch::<f64>(
            n, block, r,
        ),
    );
    householder::apply_block_householder_sequence_on_the_left_in_place_with_conj(
        basis.as_ref(),
        factor.as_ref(),
        Conj::No,
        MatMut::from_column_major_slice_mut(q.as_slice_mut().expect("owned"), n, r),
        parts(),
        MemStack::new(&mut memory),
    );
    q
}

/// Principal angles between the spaces that the rows of `a` `(p, n)` and `b` `(q, n)` span,
/// `min(p, q)` of them in radians, smallest first.
///
/// Angles below 45° come from sines, the others from cosines, so that tiny angles keep their digits
/// (Å. Björck and G. H. Golub, Mathematics of Computation 27, 1973).
///
/// # Errors
/// If the decomposition does not converge.
pub fn principal_angles(a: &Array2<f64>, b: &Array2<f64>) -> Result<Vec<f64>> {
    let (a, b) = (orthonormal_rows(a), orthonormal_rows(b));
    let (small, large) = if a.nrows() <= b.nrows() { (a, b) } else { (b, a) };
    let mut inner = Array2::zeros((small.nrows(), large.nrows()));
    super::multiply(small.view(), large.t(), inner.view_mut());
    let cosines = thin_svd(inner.view())?.values;
    let mut rest = small;
    super::multiply_add(1.0, -1.0, inner.view(), large.view(), rest.view_mut());
    let sines = thin_svd(rest.view())?.values;
    Ok(cosines
        .iter()
        .zip(sines.iter().rev())
        .map(
            |(&cosine, &sine)| {
                if sine * sine < 0.5 { sine.asin() } else { cosine.clamp(-1.0, 1.0).acos() }
            },
        )
        .collect())
}

#[allow(unsafe_code)]
fn as_faer(matrix: ArrayView2<'_, f64>) -> MatRef<'_, f64> {
    let (rows, cols) = matrix.dim();
    let strides = [matrix.strides()[0], matrix.strides()[1]];
    // SAFETY: pointer, shape and strides (in elements) come from a live `ndarray` view whose
    // lifetime the result carries; nothing writes through it.
    unsafe { MatRef::from_raw_parts(matrix.as_ptr(), rows, cols, strides[0], strides[1]) }
}

fn no_convergence(what: &str, rows: usize, cols: usize) -> Error {
    Error::failure(
        format!("compute {what} of a {rows} × {cols} matrix"),
        "the iteration did not converge",
        "look for values of extreme size in the data",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn random(rows: usize, cols: usize) -> Array2<f64> {
        let mut random = Random::stream(4, "decompose");
        Array2::from_shape_fn((rows, cols), |_| random.normal())
    }

    fn assert_orthonormal(rows: &Array2<f64>) {
        let worst = (rows.dot(&rows.t()) - Array2::<f64>::eye(rows.nrows()))
            .iter()
            .fold(0.0_f64, |m, v| m.max(v.abs()));
        assert!(worst < 1e-12, "{worst:e}");
    }

    #[test]
    fn eigenvectors_solve_the_eigenvalue_equation() {
        for n in [1, 2, 17, 130] {
            let half = random(n, n);
            let matrix = half.dot(&half.t());
            let eigen = symmetric_eigen(matrix.view()).expect("converges");
            assert_orthonormal(&eigen.vectors);
            assert!(eigen.values.windows(2).into_iter().all(|pair| pair[0] >= pair[1]));
            let gap = matrix.dot(&eigen.vectors.t()) - &eigen.vectors.t() * &eigen.values;
            assert!(gap.iter().all(|v| v.abs() < 1e-11 * eigen.values[0]));
            let alone = symmetric_eigenvalues(matrix.view()).expect("converges");
            assert!((alone - eigen.values).iter().all(|v| v.abs() < 1e-11 * n as f64));
        }
    }

    /// A covariance of five directions, otherwise exactly zero: what a sparse file gives.
    #[test]
    fn a_matrix_that_is_almost_all_zero_is_solved() {
        let mut axes = Array2::<f64>::zeros((5, 784));
        for (index, mut axis) in axes.rows_mut().into_iter().enumerate() {
            axis.slice_mut(ndarray::s![index * 192..index * 192 + 16]).fill(0.25);
        }
        for scale in [1.0, 1e-2, 1e-8] {
            let means = [9e-4, 0.0, 8e-4, 1.6e-3, -1.5e-3];
            let small = Array2::from_shape_fn((5, 5), |(i, j)| {
                let own = if i == j { 1e-3 * (1.0 + i as f64) } else { 0.0 };
                scale * (own - means[i] * means[j])
            });
            let matrix = axes.t().dot(&small).dot(&axes);
            let found = symmetric_eigen(matrix.view()).expect("converges");
            let alone = symmetric_eigenvalues(matrix.view()).expect("converges");
            let expected = symmetric_eigen(small.view()).expect("converges");
            for k in 0..5 {
                assert!((found.values[k] / expected.values[k] - 1.0).abs() < 1e-10);
                assert!((alone[k] / expected.values[k] - 1.0).abs() < 1e-10);
            }
            assert_orthonormal(&found.vectors);
        }
    }

    #[test]
    fn strided_views_are_read_in_place() {
        let wide = random(6, 12);
        let view = wide.slice(ndarray::s![..;2, ..;3]);
        let svd = thin_svd(view).expect("converges");
        let rebuilt = (&svd.left.t() * &svd.values).dot(&svd.right);
        assert!((rebuilt - view).iter().all(|v| v.abs() < 1e-12));
    }

    #[test]
    fn the_svd_rebuilds_the_matrix() {
        for (m, n) in [(5, 9), (40, 7), (1, 3), (300, 2)] {
            let matrix = random(m, n);
            let svd = thin_svd(matrix.view()).expect("converges");
            assert_orthonormal(&svd.left);
            assert_orthonormal(&svd.right);
            let rebuilt = (&svd.left.t() * &svd.values).dot(&svd.right);
            assert!((rebuilt - matrix).iter().all(|v| v.abs() < 1e-12));
        }
    }

    #[test]
    fn the_basis_spans_the_rows() {
        let mut rows = random(5, 30);
        let twin = rows.row(0).to_owned();
        rows.row_mut(4).assign(&twin);
        let basis = orthonormal_rows(&rows);
        assert_orthonormal(&basis);
        let projected = rows.dot(&basis.t()).dot(&basis);
        assert!((projected - rows).iter().all(|v| v.abs() < 1e-12));
    }

    #[test]
    fn principal_angles_of_a_known_rotation() {
        let mut a = Array2::<f64>::zeros((2, 4));
        (a[[0, 0]], a[[1, 1]]) = (1.0, 1.0);
        let mut b = Array2::<f64>::zeros((2, 4));
        (b[[0, 0]], b[[0, 2]]) = (1e-9_f64.cos(), 1e-9_f64.sin());
        (b[[1, 1]], b[[1, 3]]) = (1.2_f64.cos(), 1.2_f64.sin());
        let angles = principal_angles(&a, &b).expect("converges");
        assert!((angles[0] - 1e-9).abs() < 1e-15 && (angles[1] - 1.2).abs() < 1e-12, "{angles:?}");
    }
}
