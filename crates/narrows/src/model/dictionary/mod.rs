//! Sparse dictionaries: overcomplete autoencoders whose codes are almost all zero.
//!
//! ```text
//! x (d)            a row                          y (o)     the rebuilt row; o = d but for transcoders
//! E (n, d), b (n)  encoder and its bias           D (n, o), c (o)  decoder and its bias
//! S (o, d)         skip, of some transcoders      n         latents
//!
//! a = E·(x − c) + b        pre-activations; without "− c" where the input is not centred
//! z = gate(a)              codes: see Gate
//! y = Σⱼ zⱼ·Dⱼ + c [+ S·x]
//! ```
//!
//! Each latent is one row of E and one row of D, so that what touches a latent touches contiguous memory.
//!
//! Source: H. Cunningham et al., Sparse autoencoders find highly interpretable features in language
//! models (2023); T. Bricken et al., Towards monosemanticity (2023).

mod encode;
mod fold;
mod pursuit;
mod scale;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::compute::Matrix;

/// A sparse dictionary, as it is used: what training leaves and what other libraries' files hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Dictionary {
    /// E `(n, d)`; of matching pursuit without rows, since its encoder is D.
    pub encoder: Matrix,
    /// b `(n)`; of a gated dictionary the bias of the gate, of matching pursuit nothing.
    pub encoder_bias: Vec<f32>,
    /// D `(n, o)`.
    pub decoder: Matrix,
    /// c `(o)`.
    pub decoder_bias: Vec<f32>,
    /// S `(o, d)`.
    pub skip: Option<Matrix>,
    /// Whether c is taken from the input first.
    pub centred: bool,
    /// What makes codes of pre-activations.
    pub gate: Gate,
    /// What is done to a row before all else, and undone after.
    pub row_scale: RowScale,
}

/// What makes codes z of pre-activations a.
#[derive(Debug, Clone, PartialEq)]
pub enum Gate {
    /// `z = max(a, 0)`.
    Relu,
    /// The k largest of a row, where they are positive.
    TopK {
        /// Codes of a row.
        k: usize,
        /// Whether a is first multiplied by ‖Dⱼ‖, and z divided by it before it is decoded.
        by_norm: bool,
    },
    /// The k of a row that are farthest from zero, with their sign.
    AbsTopK {
        /// Codes of a row.
        k: usize,
        /// As in [`Gate::TopK`].
        by_norm: bool,
    },
    /// `z = max(a, 0)` where `a > θ`, else 0: `JumpReLU`.
    Threshold(
        /// θ `(n)`.
        Vec<f32>,
    ),
    /// `z = max(e^r ∘ E·(x − c) + m, 0)` where `a > 0`, else 0.
    Gated {
        /// r `(n)`.
        log_magnitude: Vec<f32>,
        /// m `(n)`.
        magnitude_bias: Vec<f32>,
    },
    /// Matching pursuit: again and again the latent that explains most of what is left.
    Pursuit {
        /// Ends when the norm of what is left is below this.
        residual_threshold: f32,
        /// Ends after so many latents, if given.
        max_iterations: Option<usize>,
        /// Whether it ends when a step adds no new latent.
        stop_on_duplicate: bool,
    },
}

/// What is done to a row before it is encoded, and undone after it is decoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowScale {
    /// Nothing.
    #[default]
    None,
    /// Each row is brought to norm √d.
    ConstantNorm,
    /// Each row is brought to mean 0 and standard deviation 1.
    LayerNorm,
}
