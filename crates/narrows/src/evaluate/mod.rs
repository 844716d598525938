//! How good it is: scores with their formulas, always beside the best linear model.

pub mod certificate;
mod reconstruction;

pub use certificate::Certificate;
pub use reconstruction::{Evaluation, Pythagoras, Scores, evaluate};
