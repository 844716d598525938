//! The functions between layers, and their slopes.
//!
//! ```text
//! name        f(x)                                f'(x)
//! identity    x                                   1
//! relu        max(0, x)                           1 if x > 0, else 0
//! leaky_relu  x if x > 0, else x/100              1 if x > 0, else 1/100
//! elu         x if x > 0, else eˣ − 1             1 if x > 0, else eˣ
//! gelu        x·Φ(x)                              Φ(x) + x·φ(x)
//! gelu_tanh   x·σ(2u),  u = √(2/π)·(x + 0.044715·x³)   σ(2u) + 2x·u'·σ(2u)·(1 − σ(2u))
//! silu        x·σ(x)                              σ(x)·(1 + x·(1 − σ(x)))
//! sigmoid     σ(x) = 1/(1 + e⁻ˣ)                  σ(x)·(1 − σ(x))
//! tanh        (1 − e^(−2x))/(1 + e^(−2x))         1 − tanh²(x)
//! softplus    ln(1 + eˣ)                          σ(x)
//! ```
//!
//! Φ and φ are the standard normal distribution function and density.
//!
//! Source: D. Clevert et al., ELU (2016); D. Hendrycks and K. Gimpel, GELU (2016), the exact form and
//! that with tanh;
//! P. Ramachandran et al., SiLU as Swish with β = 1 (2017).
//!
//! Differs from: nothing; PyTorch's defaults are these. The slope of relu at 0 is 0, as there.

use serde::{Deserialize, Serialize};

use super::elementwise::{in_pieces, wide};
use super::{Matrix, Real};

/// A function between layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// x.
    Identity,
    /// max(0, x).
    Relu,
    /// x, a hundredth of it below zero.
    LeakyRelu,
    /// x, eˣ − 1 below zero.
    Elu,
    /// x·Φ(x).
    Gelu,
    /// x·Φ(x) as GPT-2 takes it, by the hyperbolic tangent.
    GeluTanh,
    /// x·σ(x).
    Silu,
    /// 1/(1 + e⁻ˣ).
    Sigmoid,
    /// The hyperbolic tangent.
    Tanh,
    /// ln(1 + eˣ).
    Softplus,
}

impl Activation {
    /// Every one of them.
    pub const ALL: [Self; 10] = [
        Self::Identity,
        Self::Relu,
        Self::LeakyRelu,
        Self::Elu,
        Self::Gelu,
        Self::GeluTanh,
        Self::Silu,
        Self::Sigmoid,
        Self::Tanh,
        Self::Softplus,
    ];

    /// Value and slope at `x`.
    pub fn at(self, x: f64) -> (f64, f64) {
        value_and_slope(self, x)
    }

    /// The factor of the standard deviation of weights that keeps the size of signals from layer to
    /// layer: √2 where half of the inputs are cut off, else 1.
    pub fn gain(self) -> f64 {
        match self {
            Self::Relu | Self::LeakyRelu | Self::Elu | Self::Gelu | Self::GeluTanh | Self::Silu => {
                std::f64::consts::SQRT_2
            }
            Self::Identity | Self::Sigmoid | Self::Tanh | Self::Softplus => 1.0,
        }
    }
}

#[inline(always)]
fn sigmoid<T: Real>(x: T) -> T {
    T::ONE / (T::ONE + (-x).exp())
}

#[inline(always)]
fn tanh<T: Real>(x: T) -> T {
    let two = T::ONE + T::ONE;
    let e = (-(two * x.abs())).exp();
    let size = (T::ONE - e) / (T::ONE + e);
    // Near zero the difference above cancels; the series is exact there to the last digits.
    let square = x * x;
    let series = T::from_f64(-17.0 / 315.0) * square + T::from_f64(2.0 / 15.0);
    let near = x + x * square * (series * square - T::from_f64(1.0 / 3.0));
    let limit = T::from_f64(T::EPSILON.powf(0.125));
    let far = if x < T::ZERO { -size } else { size };
    if x.abs() < limit { near } else { far }
}

#[inline(always)]
fn value_and_slope<T: Real>(activation: Activation, x: T) -> (T, T) {
    let (zero, one) = (T::ZERO, T::ONE);
    let positive = x > zero;
    match activation {
        Activation::Identity => (x, one),
        Activation::Relu => (x.max(zero), if positive { one } else { zero }),
        Activation::LeakyRelu => {
            let slope = if positive { one } else { T::from_f64(0.01) };
            (slope * x, slope)
        }
        Activation::Elu => {
            let e = x.exp();
            if positive { (x, one) } else { (e - one, e) }
        }
        Activation::Gelu => {
            let half = T::from_f64(0.5);
            let below = half * (one + (x * T::from_f64(std::f64::consts::FRAC_1_SQRT_2)).erf());
            let root = 0.5 * std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2;
            let density = T::from_f64(root) * (-(half * x * x)).exp();
            (x * below, below + x * density)
        }
        Activation::GeluTanh => {
            let (factor, two) = (
                T::from_f64(0.5 * std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::SQRT_2),
                one + one,
            );
            let cubic = T::from_f64(0.044715) * x * x;
            let share = sigmoid(two * factor * x * (one + cubic));
            let slope = two * factor * (one + (two + one) * cubic);
            (x * share, share * (one + x * slope * (one - share)))
        }
        Activation::Silu => {
            let share = sigmoid(x);
            (x * share, share * (one + x * (one - share)))
        }
        Activation::Sigmoid => {
            let share = sigmoid(x);
            (share, share * (one - share))
        }
        Activation::Tanh => {
            let value = tanh(x);
            (value, one - value * value)
        }
        Activation::Softplus => {
            let value = x.max(zero) + (-x.abs()).exp().ln_1p_of_share();
            (value, sigmoid(x))
        }
    }
}

/// `values[i, j] = f(values[i, j])` in place; where `slopes` is given, also its derivative there.
///
/// # Panics
/// If the shapes differ: the caller's mistake.
pub fn activate<T: Real>(
    activation: Activation,
    values: &mut Matrix<T>,
    slopes: Option<&mut Matrix<T>>,
) {
    // A macro, so that each function has a loop of its own that the compiler can widen.
    macro_rules! each {
        ($($name:ident),*) => {
            match activation {
                $(Activation::$name => run(
                    values,
                    slopes,
                    #[inline(always)]
                    |x| value_and_slope(Activation::$name, x),
                ),)*
            }
        };
    }
    each!(Identity, Relu, LeakyRelu, Elu, Gelu, GeluTanh, Silu, Sigmoid, Tanh, Softplus);
}

#[inline(always)]
fn run<T: Real>(
    values: &mut Matrix<T>,
    slopes: Option<&mut Matrix<T>>,
    function: impl Fn(T) -> (T, T) + Sync + Copy,
) {
    match slopes {
        Some(slopes) => {
            slopes.reshape(values.rows(), values.cols());
            in_pieces(values.as_mut_slice(), slopes.as_mut_slice(), |values, slopes| {
                wide(
                    #[inline(always)]
                    || {
                        for (value, slope) in values.iter_mut().zip(slopes) {
                            (*value, *slope) = function(*value);
                        }
                    },
                );
            });
        }
        None => in_pieces(values.as_mut_slice(), &mut [], |values: &mut [T], _: &mut [T]| {
            wide(
                #[inline(always)]
                || {
                    // A closure in `for_each` may be called instead, at the width of one number.
                    for value in values.iter_mut() {
                        *value = function(*value).0;
                    }
                },
            );
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(activation: Activation, x: f64) -> f64 {
        match activation {
            Activation::Identity => x,
            Activation::Relu => x.max(0.0),
            Activation::LeakyRelu => x.max(0.01 * x),
            Activation::Elu => x.max(0.0) + x.min(0.0).exp_m1(),
            Activation::Gelu => 0.5 * x * libm::erfc(-x / 2.0_f64.sqrt()),
            Activation::GeluTanh => {
                let u = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
                0.5 * x * (1.0 + u.tanh())
            }
            Activation::Silu => x / (1.0 + (-x).exp()),
            Activation::Sigmoid => 0.5 * (1.0 + (0.5 * x).tanh()),
            Activation::Tanh => x.tanh(),
            Activation::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
        }
    }

    fn through<T: Real>(activation: Activation, xs: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let numbers = xs.iter().map(|&x| T::from_f64(x)).collect();
        let mut values = Matrix::<T>::from_rows(1, xs.len(), numbers).expect("fits");
        let mut slopes = Matrix::default();
        activate(activation, &mut values, Some(&mut slopes));
        let wide = |m: &Matrix<T>| m.as_slice().iter().map(|v| v.to_f64()).collect();
        (wide(&values), wide(&slopes))
    }

    #[test]
    fn values_and_slopes_are_those_of_the_formulas() {
        let xs: Vec<f64> = (-4000..4000).map(|i| 0.0025 * (f64::from(i) + 0.5)).collect();
        for activation in Activation::ALL {
            let (values, slopes) = through::<f64>(activation, &xs);
            let (narrow, narrow_slopes) = through::<f32>(activation, &xs);
            for (place, &x) in xs.iter().enumerate() {
                let value = exact(activation, f64::from(x as f32));
                assert!((values[place] - exact(activation, x)).abs() < 1e-13, "{activation:?} {x}");
                assert!(
                    (narrow[place] - value).abs() < 6e-7 * (1.0 + x.abs()),
                    "{activation:?} {x}"
                );
                let step = 1e-5;
                let quotient =
                    (exact(activation, x + step) - exact(activation, x - step)) / (2.0 * step);
                assert!((slopes[place] - quotient).abs() < 1e-9, "{activation:?} at {x}");
                assert!((narrow_slopes[place] - slopes[place]).abs() < 3e-6, "{activation:?} {x}");
            }
        }
    }

    #[test]
    fn far_from_zero_nothing_overflows() {
        for activation in Activation::ALL {
            let (values, slopes) = through::<f32>(activation, &[-1e4, 1e4, -200.0, 200.0]);
            assert!(
                values.iter().chain(&slopes).all(|v| v.is_finite()),
                "{activation:?} {values:?}"
            );
        }
    }
}
