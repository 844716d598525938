//! The two kinds of numbers that products are made of: `f32` and `f64`.

use std::fmt::Debug;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub, SubAssign};

use super::elementary;

/// `f32` or `f64`.
///
/// Parameters and activations are `f32`; sums and closed forms are `f64`. PCA accepts both.
pub trait Real:
    Copy
    + Debug
    + Default
    + PartialOrd
    + Send
    + Sync
    + Add<Output = Self>
    + AddAssign
    + Sub<Output = Self>
    + SubAssign
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + Sum
    + bytemuck::Pod
    + 'static
{
    /// Zero.
    const ZERO: Self;
    /// One.
    const ONE: Self;
    /// Distance from 1 to the next larger number.
    const EPSILON: f64;
    /// The nearest number of this kind.
    fn from_f64(value: f64) -> Self;
    /// The same number with more digits.
    fn to_f64(self) -> f64;
    /// √x.
    fn sqrt(self) -> Self;
    /// |x|.
    fn abs(self) -> Self;
    /// The larger of both.
    fn max(self, other: Self) -> Self;
    /// eˣ. In f32 without a branch or a call, so that loops of it run at the width of the machine:
    /// within 2 units in the last place, 0 below −87 and at most 2¹²⁷ above 88.
    fn exp(self) -> Self;
    /// ln(1 + x) for x from 0 to 1, the only range that is asked for here.
    fn ln_1p_of_share(self) -> Self;
    /// The error function, 2/√π · ∫₀ˣ e^(−t²) dt; in f32 within 4e-7.
    fn erf(self) -> Self;
}

impl Real for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const EPSILON: f64 = f32::EPSILON as f64;
    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value as f32
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        f32::sqrt(self)
    }
    #[inline(always)]
    fn abs(self) -> Self {
        f32::abs(self)
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        if self > other { self } else { other }
    }
    #[inline(always)]
    fn exp(self) -> Self {
        elementary::exp(self)
    }
    #[inline(always)]
    fn ln_1p_of_share(self) -> Self {
        elementary::ln_1p_of_share(self)
    }
    #[inline(always)]
    fn erf(self) -> Self {
        elementary::erf(self)
    }
}

impl Real for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const EPSILON: f64 = f64::EPSILON;
    fn from_f64(value: f64) -> Self {
        value
    }
    fn to_f64(self) -> f64 {
        self
    }
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }
    fn abs(self) -> Self {
        f64::abs(self)
    }
    fn max(self, other: Self) -> Self {
        f64::max(self, other)
    }
    fn exp(self) -> Self {
        f64::exp(self)
    }
    fn ln_1p_of_share(self) -> Self {
        f64::ln_1p(self)
    }
    fn erf(self) -> Self {
        libm::erf(self)
    }
}

/// Shows a view of `T` as a view of `U` where both are the same type.
///
/// # Panics
/// If they are not.
#[allow(unsafe_code)]
pub(super) fn same_type<T: Real, U: Real>(
    view: ndarray::ArrayView2<'_, T>,
) -> ndarray::ArrayView2<'_, U> {
    assert_eq!(std::any::TypeId::of::<T>(), std::any::TypeId::of::<U>());
    // SAFETY: `T` and `U` are the same type, as just asserted, so the two views are the same type
    // too: pointer, shape, strides and lifetime pass unchanged.
    unsafe { std::mem::transmute_copy(&view) }
}

#[cfg(test)]
mod tests {
    use super::same_type;

    #[test]
    fn a_view_is_shown_as_its_own_type() {
        let array = ndarray::array![[1.0_f64, 2.0], [3.0, 4.0]];
        let view: ndarray::ArrayView2<'_, f64> = same_type(array.t());
        assert_eq!(view[[0, 1]], 3.0);
    }
}
