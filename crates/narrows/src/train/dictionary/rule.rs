//! What each kind of dictionary says of a single code, in one place for the loops over rows and latents.
//!
//! ```text
//! B rows, a pre-activation, z code, ν = ‖Dⱼ‖ (1 where the rows of D have length 1 by force)
//! d = ∂L/∂z as far as it comes from the rebuilt row: <∂L/∂y, Dⱼ>
//! ```

use super::codes::Code;
use super::gated;
use super::jump_relu::Jump;
use super::l1;
use super::options::{DictionaryOptions, Kind};
use crate::compute::Matrix;

/// What a kind says, with the numbers that it needs.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rule<'a> {
    /// A penalty λ/B on each code.
    L1 {
        /// λ/B.
        weight: f32,
        /// ν `(n)`.
        norms: &'a [f32],
    },
    /// What was chosen is kept as it is: top k, batch top k, matryoshka.
    Chosen,
    /// A threshold for each latent.
    Jump(Jump<'a>),
    /// A gate that is learned apart.
    Gated {
        /// λ/B.
        weight: f32,
        /// ν `(n)`.
        norms: &'a [f32],
        /// e^r `(n)`.
        magnitude: &'a [f32],
        /// b `(n)`, the bias of the gate.
        bias: &'a [f32],
        /// m `(n)`.
        magnitude_bias: &'a [f32],
    },
}

impl Rule<'_> {
    /// z of a code whose pre-activation is known.
    #[inline(always)]
    pub(super) fn value(&self, code: &Code) -> f32 {
        let j = code.latent as usize;
        match self {
            Self::L1 { .. } | Self::Chosen => code.before,
            Self::Jump(jump) => jump.value(code.before, j),
            Self::Gated { magnitude, bias, magnitude_bias, .. } => {
                gated::size(code.before, magnitude[j], bias[j], magnitude_bias[j])
            }
        }
    }

    /// What the penalty charges for a code, times B.
    #[inline(always)]
    pub(super) fn charge(&self, code: &Code) -> f32 {
        let j = code.latent as usize;
        match self {
            Self::L1 { weight, norms } => l1::charge(*weight, code.value, norms[j]),
            Self::Gated { weight, norms, .. } => l1::charge(*weight, code.before, norms[j]),
            Self::Jump(jump) => jump.charge(code.value, j),
            Self::Chosen => 0.0,
        }
    }

    /// What the penalty charges for a row with so many codes, beside [`Rule::charge`].
    #[inline(always)]
    pub(super) fn charge_row(&self, active: usize) -> f32 {
        match self {
            Self::Jump(jump) => jump.charge_row(active),
            _ => 0.0,
        }
    }

    /// Sets the slopes of a code from d, in a row with so many codes.
    #[inline(always)]
    pub(super) fn back(&self, code: &mut Code, d: f32, active: usize) {
        let j = code.latent as usize;
        match self {
            Self::L1 { weight, norms } => code.slope = d + weight * norms[j],
            Self::Chosen => code.slope = d,
            Self::Jump(jump) => {
                (code.slope, code.second_slope) = jump.back(code.before, d, active, j);
            }
            // The slope of the gate comes from its own rebuilt row: see `gated`.
            Self::Gated { .. } => code.second_slope = if code.value > 0.0 { d } else { 0.0 },
        }
    }

    /// The slope of a gate, from what its own rebuilt row tells it: see `gated`.
    #[inline(always)]
    pub(super) fn gate_slope(self, j: usize, from_row: f32) -> f32 {
        match self {
            Self::Gated { weight, norms, .. } => weight * norms[j] + from_row,
            _ => 0.0,
        }
    }

    /// l: above it a pre-activation takes part in a step.
    #[inline(always)]
    pub(super) fn bound(self, j: usize) -> f32 {
        match self {
            Self::Jump(jump) => jump.bound(j),
            _ => 0.0,
        }
    }

    /// ∂L/∂<x − c, Eⱼ>: what a code tells the encoder.
    #[inline(always)]
    pub(super) fn to_encoder(self, code: &Code) -> f32 {
        match self {
            Self::Gated { magnitude, .. } => {
                code.slope + magnitude[code.latent as usize] * code.second_slope
            }
            _ => code.slope,
        }
    }

    /// What the penalty tells ν: ∂L/∂ν of a code.
    #[inline(always)]
    pub(super) fn to_norm(self, code: &Code) -> f32 {
        match self {
            Self::L1 { weight, .. } => weight * code.value,
            Self::Gated { weight, .. } => weight * code.before,
            Self::Jump(jump) => jump.to_norm(code.value, code.latent as usize),
            Self::Chosen => 0.0,
        }
    }

    /// The derivatives by the numbers that a latent has beside its bias: θ of JumpReLU; r and m of a gate.
    #[inline(always)]
    pub(super) fn to_numbers(self, code: &Code) -> [f32; 2] {
        match self {
            Self::Jump(_) => [code.second_slope, 0.0],
            Self::Gated { magnitude, bias, .. } => {
                let j = code.latent as usize;
                let product = magnitude[j] * (code.before - bias[j]);
                [code.second_slope * product, code.second_slope]
            }
            _ => [0.0; 2],
        }
    }

    /// Whether a second row is rebuilt from the gate alone.
    pub(super) fn is_gated(&self) -> bool {
        matches!(self, Self::Gated { .. })
    }
}

/// What a rule is made of beside the options and the latents' numbers.
pub(super) struct Given<'a> {
    /// λ/B.
    pub(super) weight: f32,
    /// ν `(n)`.
    pub(super) norms: &'a [f32],
    /// e^r `(n)`, of a gated dictionary.
    pub(super) magnitude: &'a [f32],
}

impl<'a> Given<'a> {
    /// The rule of a dictionary, from its bias `(n)` and the other numbers of its latents.
    pub(super) fn rule(
        &self,
        options: &DictionaryOptions,
        bias: &'a [f32],
        [first, second]: [&'a Matrix; 2],
    ) -> Rule<'a> {
        let Self { weight, norms, magnitude } = *self;
        match options.kind {
            Kind::Relu => Rule::L1 { weight, norms },
            Kind::TopK | Kind::BatchTopK | Kind::Matryoshka => Rule::Chosen,
            Kind::JumpRelu => Rule::Jump(Jump {
                thresholds: first.as_slice(),
                norms,
                penalty: options.penalty,
                weight,
                bandwidth: options.bandwidth as f32,
                scale: options.tanh_scale as f32,
                target: options.target_l0.unwrap_or(1.0) as f32,
                slope_to_encoder: options.slope_to_encoder,
            }),
            Kind::Gated => {
                let magnitude_bias = second.as_slice();
                Rule::Gated { weight, norms, magnitude, bias, magnitude_bias }
            }
        }
    }
}
