//! How good it is: scores with their formulas, always beside the best linear model.

pub mod certificate;

pub use certificate::Certificate;
