//! A weight that finds the L0 it is told: `target_l0`.
//!
//! ```text
//! e ← e + μ·(log(L0/T) − e)                                    μ = 1/8: batches differ
//! log λ ← log λ + κ·e + π·(e − e of the batch before)          κ = 0.005, π = 1/2; of κ·e at most κ
//! ```
//!
//! Proportional and integral control on a logarithmic scale: π answers at once to an L0 that is far off and
//! damps what κ does, κ goes on until L0 = T, and λ may start wrong by powers of ten.
//!
//! Source: the usual control in its velocity form; for dictionaries no one else has it: Gemma Scope 2 moves
//! the penalty instead (see `jump_relu`, quadratic).

/// κ, π and μ.
const INTEGRAL: f64 = 0.005;
const PROPORTIONAL: f64 = 0.5;
const SMOOTHING: f64 = 0.125;

/// λ and e after a batch with so many codes a row.
pub(super) fn steer((weight, beyond): (f64, f64), l0: f64, target: f64) -> (f64, f64) {
    let moved = SMOOTHING * ((l0.max(1e-3) / target).ln() - beyond);
    let now = beyond + moved;
    let rise = INTEGRAL * now.clamp(-1.0, 1.0) + PROPORTIONAL * moved;
    (weight.max(1e-12) * rise.exp(), now)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// L0 = 100/√λ, reached with a lag of 200 batches.
    #[test]
    fn a_lagging_l0_is_brought_to_its_target_from_weights_wrong_by_powers_of_ten() {
        for start in [1e-3, 1.0, 1e3] {
            let (mut weight, mut beyond, mut lagging) = (start, 0.0_f64, (100.0_f64).ln());
            for _ in 0..6000 {
                lagging += ((100.0 / f64::sqrt(weight)).ln() - lagging) / 200.0;
                (weight, beyond) = steer((weight, beyond), lagging.exp(), 25.0);
            }
            assert!((lagging.exp() / 25.0 - 1.0).abs() < 0.01, "{start}: {}", lagging.exp());
            assert!((weight / 16.0 - 1.0).abs() < 0.03, "{start}: {weight}");
        }
    }
}
