//! Where numbers are multiplied: matrices, products, sums, decompositions.
//!
//! The only room that knows threads and SIMD. Every loop over a matrix lives here, so that another
//! device can be added without touching a model. Work is always cut into pieces of a fixed size
//! that are summed in a fixed order: the number of threads never changes a bit of a result.

mod matrix;
mod real;

pub use matrix::Matrix;
pub use real::Real;
