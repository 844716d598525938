//! Where numbers are multiplied: matrices, products, sums, decompositions.
//!
//! The only room that knows threads and SIMD. Every loop over a matrix lives here, so that another
//! device can be added without touching a model. Work is always cut into pieces of a fixed size
//! that are summed in a fixed order: the number of threads never changes a bit of a result.

mod centre;
mod cross_product;
mod decompose;
mod matrix;
mod moments;
mod product;
mod real;
mod rows;

pub use cross_product::add_cross_products;
pub use decompose::{
    Eigen, ThinSvd, orthonormal_rows, principal_angles, symmetric_eigen, symmetric_eigenvalues,
    thin_svd,
};
pub use matrix::Matrix;

pub(crate) use centre::not_finite;
pub use centre::{centred, column_means};
pub use moments::{Moments, ProductPrecision};
pub use product::{multiply, multiply_add, multiply_then};
pub use real::Real;
pub use rows::{gather, subtract, sum_rows};
