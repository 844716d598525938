//! How good it is: scores with their formulas, always beside the best linear model.

mod activity;
mod assignment;
mod baselines;
pub mod certificate;
mod denoising;
mod dictionary;
mod frame;
mod frontier;
mod ica;
mod logistic;
mod matching;
mod neighbours;
mod pictures;
mod prediction;
mod probe;
mod reconstruction;
mod recovery;
mod stability;

pub use activity::{Activity, Rate};
pub use assignment::linear_sum_assignment;
pub use baselines::{Baseline, BaselineCurve, Baselines};
pub use certificate::Certificate;
pub use denoising::{Cleaned, Denoising, Likeness, Noise, clean, denoise};
pub use dictionary::{
    DecoderStructure, DensityHistogram, DictionaryScores, Measured, evaluate_dictionary,
};
pub use frame::{CodeOrder, Frame};
pub use frontier::{FrontierPoint, Spread};
pub use ica::Ica;
pub use matching::{DictionaryLikeness, compare_dictionaries};
pub use neighbours::{NeighbourScores, Neighbours};
pub use pictures::{psnr, ssim};
pub use prediction::{ClassScore, Classification, Regression};
pub use probe::{Probe, Probes};
pub use reconstruction::{Evaluation, Pythagoras, Scores, evaluate};
pub use recovery::Recovery;
pub use stability::SeedStability;
