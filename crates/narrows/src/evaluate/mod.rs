//! How good it is: scores with their formulas, always beside the best linear model.

mod reconstruction;

pub use reconstruction::{Evaluation, Pythagoras, Scores, evaluate};
