//! Where numbers are multiplied: matrices, products, sums, decompositions.
//!
//! The only room that knows threads and SIMD. Every loop over a matrix lives here, so that another
//! device can be added without touching a model. Work is always cut into pieces of a fixed size
//! that are summed in a fixed order: the number of threads never changes a bit of a result.

mod activation;
mod attention;
mod centre;
mod cross_product;
mod decompose;
mod elementary;
mod elementwise;
mod matrix;
mod moments;
mod normalise;
mod product;
mod real;
mod rotary;
mod rows;
mod selection;
mod sift;
mod softmax;
mod sparse_rows;
mod thin_out;
mod vectors;

/// How many threads share the work: as many as the processor has, or as the environment variable
/// `RAYON_NUM_THREADS` says. No result depends on it.
pub fn threads() -> usize {
    rayon::current_num_threads()
}

/// Does `work` on one of the threads that share it. Whoever asks them from outside is put to sleep and woken at each
/// product, which for small batches takes longer than the product; one of them goes on at once.
///
/// Not for work that waits for a thread of its own that asks them too: with one thread it would wait for ever.
pub fn in_the_pool<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| work())
}

pub use activation::{Activation, activate};
pub use attention::{AttentionShape, causal_attention};
pub use cross_product::add_cross_products;
pub use decompose::{
    Eigen, ThinSvd, orthonormal_rows, principal_angles, symmetric_eigen, symmetric_eigenvalues,
    thin_svd,
};
pub use elementwise::{column_sums, in_pieces, multiply_into, wide};
pub use matrix::Matrix;

pub(crate) use centre::not_finite;
pub use centre::{centred, column_means};
pub use moments::{Moments, ProductPrecision};
pub use normalise::{
    Normalised, RowNorm, back_through_columns, back_through_rows, column_products, inverse_root,
    normalise_columns, normalise_rows, normalise_rows_into, shift_and_scale, stretch,
};
pub use product::{multiply, multiply_add, multiply_then};
pub use real::Real;
pub use rotary::Rotation;
pub use rows::{gather, subtract, sum_rows};
pub use selection::{Entry, combine, keep_farthest, keep_top, row_norms, scale_rows, transposed};
pub use sift::{Kept, Sifted, Wanted};
pub use softmax::{log_softmax_rows, softmax_rows};
pub use sparse_rows::SparseRows;
pub use thin_out::{drop_out, keep_largest};
pub use vectors::{add_scaled, dot};
