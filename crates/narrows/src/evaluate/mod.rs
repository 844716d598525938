//! How good it is: scores with their formulas, always beside the best linear model.

mod activity;
pub mod certificate;
mod denoising;
mod neighbours;
mod pictures;
mod prediction;
mod reconstruction;

pub use activity::{Activity, Rate};
pub use certificate::Certificate;
pub use denoising::{Cleaned, Denoising, Likeness, Noise, clean, denoise};
pub use neighbours::{NeighbourScores, Neighbours};
pub use pictures::{psnr, ssim};
pub use prediction::{ClassScore, Classification, Regression};
pub use reconstruction::{Evaluation, Pythagoras, Scores, evaluate};
