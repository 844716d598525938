//! Parameters with their state of Adam, one row for each latent.
//!
//! ```text
//! g ← gradient · clip
//! m ← β₁·m + (1 − β₁)·g        v ← β₂·v + (1 − β₂)·g²
//! θ ← θ − η/(1 − β₁ᵗ) · m / (√(v/(1 − β₂ᵗ)) + ε)          ε = 10⁻⁸
//! ```
//!
//! Source: D. P. Kingma and J. Ba, Adam: a method for stochastic optimization (2015), algorithm 1.

use crate::compute::Matrix;

const EPSILON: f32 = 1e-8;

/// θ `(n, width)`, with m and v of the same shape.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Learned {
    pub(super) value: Matrix,
    pub(super) mean: Vec<f32>,
    pub(super) square: Vec<f32>,
}

/// Some rows of [`Learned`].
pub(super) struct Rows<'a> {
    pub(super) value: &'a mut [f32],
    pub(super) mean: &'a mut [f32],
    pub(super) square: &'a mut [f32],
    pub(super) width: usize,
}

/// The numbers of a step of Adam that are the same for all parameters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Adam {
    /// η/(1 − β₁ᵗ).
    pub(super) rate: f32,
    /// β₁.
    pub(super) momentum: f32,
    /// β₂.
    pub(super) second_momentum: f32,
    /// 1/(1 − β₂ᵗ).
    pub(super) unbias: f32,
    pub(super) clip: f32,
}

impl Adam {
    /// Step `t`, counted from 1, at rate η.
    pub(super) fn new(rate: f64, [momentum, second]: [f64; 2], t: u64, clip: f64) -> Self {
        let correction = |beta: f64| 1.0 - beta.powf(t as f64);
        Self {
            rate: (rate / correction(momentum)) as f32,
            momentum: momentum as f32,
            second_momentum: second as f32,
            unbias: (1.0 / correction(second)) as f32,
            clip: clip as f32,
        }
    }

    #[inline(always)]
    pub(super) fn step(self, value: &mut [f32], mean: &mut [f32], square: &mut [f32], g: &[f32]) {
        let Self { rate, momentum, second_momentum, unbias, clip } = self;
        let (new, second_new) = (1.0 - momentum, 1.0 - second_momentum);
        let state = mean.iter_mut().zip(square);
        for ((p, &g), (m, v)) in value.iter_mut().zip(g).zip(state) {
            let g = clip * g;
            *m = momentum * *m + new * g;
            *v = second_momentum * *v + second_new * g * g;
            *p -= rate * *m / ((*v * unbias).sqrt() + EPSILON);
        }
    }

    /// The same where the gradient is zero.
    #[inline(always)]
    pub(super) fn rest(self, value: &mut [f32], mean: &mut [f32], square: &mut [f32]) {
        let Self { rate, momentum, second_momentum, unbias, .. } = self;
        for ((p, m), v) in value.iter_mut().zip(mean).zip(square) {
            *m *= momentum;
            *v *= second_momentum;
            *p -= rate * *m / ((*v * unbias).sqrt() + EPSILON);
        }
    }
}

impl Learned {
    /// θ at rest.
    pub(super) fn new(value: Matrix) -> Self {
        let rest = vec![0.0; value.as_slice().len()];
        Self { value, mean: rest.clone(), square: rest }
    }

    /// n numbers, one for each latent, or none.
    pub(super) fn numbers(value: Vec<f32>) -> Self {
        let rows = value.len();
        Self::new(Matrix::from_rows(rows, 1, value).expect("one a row"))
    }

    /// Pieces of `latents` rows; endless empty ones where there is nothing to learn.
    pub(super) fn pieces(&mut self, latents: usize) -> impl Iterator<Item = Rows<'_>> {
        let width = self.value.cols();
        let size = (latents * width).max(1);
        let state = self.mean.chunks_mut(size).zip(self.square.chunks_mut(size));
        let pieces = self.value.as_mut_slice().chunks_mut(size).zip(state);
        let nothing = std::iter::repeat_with(move || Rows {
            value: &mut [],
            mean: &mut [],
            square: &mut [],
            width,
        });
        pieces
            .map(move |(value, (mean, square))| Rows { value, mean, square, width })
            .chain(nothing)
    }
}

impl Rows<'_> {
    pub(super) fn row(&self, index: usize) -> &[f32] {
        &self.value[index * self.width..(index + 1) * self.width]
    }

    /// One step of one row.
    #[inline(always)]
    pub(super) fn step(&mut self, index: usize, adam: Adam, gradient: &[f32]) {
        let range = index * self.width..(index + 1) * self.width;
        let (value, mean) = (&mut self.value[range.clone()], &mut self.mean[range.clone()]);
        adam.step(value, mean, &mut self.square[range], gradient);
    }

    /// One step of one row without a gradient.
    #[inline(always)]
    pub(super) fn rest(&mut self, index: usize, adam: Adam) {
        let range = index * self.width..(index + 1) * self.width;
        let (value, mean) = (&mut self.value[range.clone()], &mut self.mean[range.clone()]);
        adam.rest(value, mean, &mut self.square[range]);
    }
}
