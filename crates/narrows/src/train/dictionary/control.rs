//! A weight that finds the L0 it is told: `target_l0`.
//!
//! ```text
//! log λ ← log λ + κ·log(L0/T), the step kept within ±κ         κ = 0.003
//! ```
//!
//! An integral controller on a logarithmic scale: λ may start wrong by powers of ten, and what is left when
//! it comes to rest is L0 = T.
//!
//! Source: the usual integral control; for dictionaries no one else has it: Gemma Scope 2 moves the penalty
//! instead (see `jump_relu`, quadratic).

/// κ.
const GAIN: f64 = 0.003;

/// λ after a batch with so many codes a row.
pub(super) fn steer(weight: f64, l0: f64, target: f64) -> f64 {
    let beyond = (l0.max(1e-3) / target).ln().clamp(-1.0, 1.0);
    weight.max(1e-12) * (GAIN * beyond).exp()
}
