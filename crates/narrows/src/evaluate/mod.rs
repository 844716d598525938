//! How good it is: scores with their formulas, always beside the best linear model.

pub mod certificate;
mod denoising;
mod neighbours;
mod pictures;
mod prediction;
mod reconstruction;

pub use certificate::Certificate;
pub use denoising::{Denoising, Likeness, Noise, denoise};
pub use neighbours::{NeighbourScores, Neighbours};
pub use pictures::{psnr, ssim};
pub use prediction::{ClassScore, Classification, Regression};
pub use reconstruction::{Evaluation, Pythagoras, Scores, evaluate};
