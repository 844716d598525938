//! Elementary functions of f32 without a branch or a call, which loops can run at the width of the
//! machine.
//!
//! ```text
//! exp      eˣ = 2ⁿ · eʳ,  n = round(x / ln 2),  r = x − n·ln 2,  |r| ≤ ½ ln 2; eʳ by its series
//! ln_1p    ln(1 + x) = 2 artanh(s),  s = x/(2 + x);  artanh by its series, s ≤ ⅓
//! erf      1 − (a₁t + … + a₅t⁵) e^(−x²),  t = 1/(1 + p·x); near zero by its series
//! ```
//!
//! Source: series: M. Abramowitz and I. Stegun, Handbook of Mathematical Functions (1964), 4.2.1,
//! 4.6.22, 7.1.5 and 7.1.26 (error at most 1.5e-7).

/// Adding and taking away this rounds to a whole number, for numbers below 2²².
const ROUND: f32 = 12_582_912.0;

/// eˣ within 2 units in the last place; 0 below −87, and not above e⁸⁸.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // ln 2 in two parts, the first with few digits so that n times it is exact.
    const HIGH: f32 = 0.693_359_4;
    const LOW: f32 = -2.121_944_4e-4;
    let limited = if x < 88.0 { x } else { 88.0 };
    let limited = if limited > -87.0 { limited } else { -87.0 };
    let shifted = limited * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = limited - n * HIGH - n * LOW;
    let series = 1.0 / 5040.0;
    let series = series * r + 1.0 / 720.0;
    let series = series * r + 1.0 / 120.0;
    let series = series * r + 1.0 / 24.0;
    let series = series * r + 1.0 / 6.0;
    let series = series * r + 0.5;
    let series = series * r * r + r + 1.0;
    // The whole number is in the last digits of what was shifted; a cast of it would saturate, which vectors cannot.
    let n = shifted.to_bits().wrapping_sub(ROUND.to_bits());
    let power = f32::from_bits(n.wrapping_add(127) << 23);
    // A comparison with NaN is false, so NaN stays.
    if x < -87.0 {
        0.0
    } else if x.is_nan() {
        x
    } else {
        series * power
    }
}

/// ln(1 + x) for 0 ≤ x ≤ 1, within 3 units in the last place.
#[inline(always)]
pub(super) fn ln_1p_of_share(x: f32) -> f32 {
    let s = x / (2.0 + x);
    let square = s * s;
    let series = 1.0 / 15.0;
    let series = series * square + 1.0 / 13.0;
    let series = series * square + 1.0 / 11.0;
    let series = series * square + 1.0 / 9.0;
    let series = series * square + 1.0 / 7.0;
    let series = series * square + 1.0 / 5.0;
    let series = series * square + 1.0 / 3.0;
    2.0 * (series * square * s + s)
}

/// The error function within 4e-7.
#[inline(always)]
pub(super) fn erf(x: f32) -> f32 {
    let size = x.abs();
    let t = 1.0 / (1.0 + 0.327_591_1 * size);
    let sum = 1.061_405_4;
    let sum = sum * t - 1.453_152;
    let sum = sum * t + 1.421_413_7;
    let sum = sum * t - 0.284_496_74;
    let sum = sum * t + 0.254_829_6;
    let far = (1.0 - sum * t * exp(-size * size)).copysign(x);
    let square = x * x;
    let near = 1.0 / 216.0;
    let near = near * square - 1.0 / 42.0;
    let near = near * square + 0.1;
    let near = near * square - 1.0 / 3.0;
    let near = std::f32::consts::FRAC_2_SQRT_PI * (near * square * x + x);
    if size < 0.3 { near } else { far }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest error over an even grid, relative to `size(x)`.
    fn worst(
        from: f32,
        to: f32,
        ours: fn(f32) -> f32,
        exact: fn(f64) -> f64,
        size: fn(f64) -> f64,
    ) -> f64 {
        (0..=200_000).fold(0.0, |worst, step| {
            let x = from + (to - from) * step as f32 / 200_000.0;
            let exact = exact(f64::from(x));
            f64::max(worst, (f64::from(ours(x)) - exact).abs() / size(exact))
        })
    }

    #[test]
    fn exp_is_right_to_single_precision() {
        assert!(worst(-87.0, 88.0, exp, f64::exp, f64::abs) < 2.4e-7);
        assert_eq!(exp(-100.0), 0.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert!(exp(f32::INFINITY) > 1e38 && exp(f32::NAN).is_nan());
    }

    #[test]
    fn ln_1p_is_right_to_single_precision() {
        assert!(worst(1e-4, 1.0, ln_1p_of_share, f64::ln_1p, f64::abs) < 3.6e-7);
        assert_eq!(ln_1p_of_share(0.0), 0.0);
    }

    #[test]
    fn erf_is_right_to_its_bound() {
        let worst = worst(-5.0, 5.0, erf, libm::erf, |_| 1.0);
        assert!(worst < 4e-7, "{worst:e}");
    }
}
