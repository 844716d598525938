//! How good it is: scores with their formulas, always beside the best linear model.

pub mod certificate;
mod prediction;
mod reconstruction;

pub use certificate::Certificate;
pub use prediction::{ClassScore, Classification, Regression};
pub use reconstruction::{Evaluation, Pythagoras, Scores, evaluate};
