//! A gate that is learned apart from the size: `kind = "gated"`.
//!
//! ```text
//! π = E(x − c) + b             the gate             p = max(π, 0)
//! z = [π > 0]·max(e^r ∘ E(x − c) + m, 0)            the size;  e^r ∘ E(x − c) = e^r ∘ (π − b)
//! y = Σⱼ zⱼDⱼ + c              y' = Σⱼ pⱼDⱼ + c with D and c held fixed
//!
//! L = 1/B Σ_rows ‖t − y‖² + λ/B Σ_rows Σⱼ pⱼνⱼ + 1/B Σ_rows ‖t − y'‖²
//!
//! ∂L/∂π = [π > 0] (λν/B + <2/B·(y' − t), D>)        the step of the gate has no slope
//! ∂L/∂(size) = [z > 0] <∂L/∂y, D>                   it reaches E times e^r, r times e^r ∘ E(x − c), and m
//! ```
//!
//! Source: S. Rajamanoharan et al., Improving dictionary learning with gated sparse autoencoders (2024),
//! equations 6 to 8.
//!
//! Differs from: SAELens, in which the third term also moves D and c.

use super::codes::Code;
use super::rule::Rule;
use crate::compute::{Matrix, add_scaled, dot};

/// z of an open gate.
#[inline(always)]
pub(super) fn size(gate: f32, magnitude: f32, bias: f32, magnitude_bias: f32) -> f32 {
    (magnitude * (gate - bias) + magnitude_bias).max(0.0)
}

/// Rebuilds a row from its gates alone, sets their slopes and says `‖t − y'‖²`; `rebuilt` holds c.
#[inline(always)]
pub(super) fn back_through_gate(
    codes: &mut [Code],
    rule: &Rule<'_>,
    decoder: &Matrix,
    target: &[f32],
    share: f32,
    rebuilt: &mut [f32],
) -> f32 {
    for code in &*codes {
        add_scaled(rebuilt, code.before, decoder.row(code.latent as usize));
    }
    rebuilt.iter_mut().zip(target).for_each(|(y, t)| *y -= t);
    let squares = dot(rebuilt, rebuilt);
    for code in codes {
        let j = code.latent as usize;
        code.slope = rule.gate_slope(j, share * dot(rebuilt, decoder.row(j)));
    }
    squares
}
