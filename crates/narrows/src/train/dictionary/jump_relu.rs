//! A learned threshold for each latent: `kind = "jumprelu"`.
//!
//! ```text
//! z = a·[a > θ];  B rows; λ the weight; νⱼ = ‖Dⱼ‖; H the step; ε the bandwidth; T the target
//!
//! L = 1/B Σ_rows ‖t − y‖² + 1/B Σ_rows S
//! step        S = λ Σⱼ H(aⱼ − θⱼ) = λ·L0
//! quadratic   S = λ·(2/T)·(L0 − T)²
//! tanh        S = λ Σⱼ tanh(s·zⱼ·νⱼ)
//!
//! The step has no slope, so one is lent to it where |a − θ| < ε/2:
//! ∂z/∂θ = −θ/ε     ∂H/∂θ = −1/ε     ∂z/∂a = [a > θ]
//! and with slope_to_encoder also   ∂z/∂a = [a > θ] + θ/ε     ∂H/∂a = 1/ε
//! ```
//!
//! θ is learned as it is and kept from falling below 0.
//!
//! Source: S. Rajamanoharan et al., Jumping ahead: improving reconstruction fidelity with JumpReLU sparse
//! autoencoders (2024), equations 9 to 12; T. Conerly et al., Dictionary learning optimization techniques
//! (Transformer Circuits, January 2025) for tanh and `slope_to_encoder`; the quadratic one is that of Gemma
//! Scope 2, as SAELens has it.
//!
//! Differs from: the paper, which learns log θ (Adam moves a small θ hardly at all then). Anthropic's
//! charge for dead pre-activations is not here; dead latents are revived by `revival`. `SAELens` begins with
//! θ = 0.01 and ε = 0.05 without `slope_to_encoder`: on rows of length √d so few pre-activations lie near θ that
//! it takes millions of rows to rise to the size of a code; 0.5 and 1 with it arrive within some hundred steps.

use super::options::JumpPenalty;

/// What the rule needs to know.
#[derive(Debug, Clone, Copy)]
pub(super) struct Jump<'a> {
    /// θ `(n)`.
    pub(super) thresholds: &'a [f32],
    /// ν `(n)`.
    pub(super) norms: &'a [f32],
    pub(super) penalty: JumpPenalty,
    /// λ/B.
    pub(super) weight: f32,
    /// ε.
    pub(super) bandwidth: f32,
    /// s.
    pub(super) scale: f32,
    /// T.
    pub(super) target: f32,
    pub(super) slope_to_encoder: bool,
}

impl Jump<'_> {
    #[inline(always)]
    pub(super) fn value(&self, before: f32, j: usize) -> f32 {
        if before > self.thresholds[j] { before } else { 0.0 }
    }

    /// What lies above it has a code, or lends θ a slope.
    #[inline(always)]
    pub(super) fn bound(&self, j: usize) -> f32 {
        self.thresholds[j] - self.bandwidth / 2.0
    }

    #[inline(always)]
    pub(super) fn charge(&self, value: f32, j: usize) -> f32 {
        match self.penalty {
            JumpPenalty::Tanh => self.weight * (self.scale * value * self.norms[j]).tanh(),
            JumpPenalty::Step | JumpPenalty::Quadratic => 0.0,
        }
    }

    #[inline(always)]
    pub(super) fn charge_row(&self, active: usize) -> f32 {
        let beyond = active as f32 - self.target;
        match self.penalty {
            JumpPenalty::Step => self.weight * active as f32,
            JumpPenalty::Quadratic => self.weight * 2.0 / self.target * beyond * beyond,
            JumpPenalty::Tanh => 0.0,
        }
    }

    /// ∂S/∂H, the same for every latent of a row.
    #[inline(always)]
    fn of_step(&self, active: usize) -> f32 {
        match self.penalty {
            JumpPenalty::Step => self.weight,
            JumpPenalty::Quadratic => {
                self.weight * 4.0 / self.target * (active as f32 - self.target)
            }
            JumpPenalty::Tanh => 0.0,
        }
    }

    /// `1 − tanh²(s·z·ν)`.
    #[inline(always)]
    fn tanh_slope(&self, value: f32, j: usize) -> f32 {
        1.0 - (self.scale * value * self.norms[j]).tanh().powi(2)
    }

    /// The derivatives by a and by θ.
    #[inline(always)]
    pub(super) fn back(&self, before: f32, d: f32, active: usize, j: usize) -> (f32, f32) {
        let threshold = self.thresholds[j];
        let value = self.value(before, j);
        let by_value = match self.penalty {
            JumpPenalty::Tanh => {
                d + self.weight * self.scale * self.norms[j] * self.tanh_slope(value, j)
            }
            JumpPenalty::Step | JumpPenalty::Quadratic => d,
        };
        let passed = if before > threshold { by_value } else { 0.0 };
        // As the slope is defined, by a quotient: its rounding decides what lies within.
        if ((before - threshold) / self.bandwidth).abs() >= 0.5 {
            return (passed, 0.0);
        }
        let lent = (threshold * by_value + self.of_step(active)) / self.bandwidth;
        (if self.slope_to_encoder { passed + lent } else { passed }, -lent)
    }

    #[inline(always)]
    pub(super) fn to_norm(self, value: f32, j: usize) -> f32 {
        match self.penalty {
            JumpPenalty::Tanh => self.weight * self.scale * value * self.tanh_slope(value, j),
            JumpPenalty::Step | JumpPenalty::Quadratic => 0.0,
        }
    }
}
