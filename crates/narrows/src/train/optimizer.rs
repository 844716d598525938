//! Rules that turn gradients into steps.
//!
//! ```text
//! θ, g, v, s: the parameters, their gradient and the state, all of one shape; η: learning rate
//! λ: weight decay, for parameters that decay; g is first multiplied by the factor of clipping
//!
//! SGD     g ← g + λθ       v ← β v + g                     θ ← θ − η v
//! Adam    g ← g + λθ       v ← β v + (1 − β) g             s ← β₂ s + (1 − β₂) g²     t ← t + 1
//!         θ ← θ − η · v/(1 − βᵗ) / (√(s/(1 − β₂ᵗ)) + ε)
//! AdamW   θ ← θ − ηλθ, then Adam with λ = 0
//!
//! clipping   factor = min(1, limit/‖g‖), ‖g‖ over all parameters together
//! ```
//!
//! Source: B. T. Polyak, USSR Computational Mathematics and Mathematical Physics 4 (1964);
//! D. P. Kingma and J. Ba, Adam: a method for stochastic optimization (2015), algorithm 1 with
//! ε = 1e-8; I. Loshchilov and F. Hutter, Decoupled weight decay regularization (2019).

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::lbfgs::Pair;
use crate::compute::wide;
use crate::model::Rule;

const EPSILON: f32 = 1e-8;
/// Numbers that one task updates.
const PIECE: usize = 1 << 14;

/// Which rule is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Stochastic gradient descent with momentum. The learning rate has to suit the data.
    Sgd,
    /// Adam: steps do not depend on the scale of the loss.
    Adam,
    /// Adam with weight decay that does not pass through the gradient.
    Adamw,
    /// Full-batch steps along quasi-Newton directions, for small sets.
    Lbfgs,
}

/// A rule and its state, one vector per parameter in the order of the parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Optimizer {
    pub(super) method: Method,
    pub(super) momentum: f32,
    pub(super) second_momentum: f32,
    pub(super) weight_decay: f32,
    /// v.
    pub(super) velocity: Vec<Vec<f32>>,
    /// s, for Adam.
    pub(super) squares: Vec<Vec<f32>>,
    /// t.
    pub(super) steps: u64,
    /// For L-BFGS.
    pub(super) pairs: Vec<Pair>,
}

/// The numbers of one step that are the same for all parameters.
#[derive(Clone, Copy)]
struct Step {
    rate: f32,
    momentum: f32,
    second_momentum: f32,
    /// 1/(1 − β₂ᵗ).
    unbias: f32,
    clip: f32,
    /// Added to the gradient, times θ.
    coupled: f32,
    /// What θ is multiplied by first.
    shrink: f32,
}

impl Optimizer {
    /// At rest, for parameters of the given sizes.
    pub fn new(
        method: Method,
        [momentum, second_momentum, weight_decay]: [f64; 3],
        sizes: impl IntoIterator<Item = usize>,
    ) -> Self {
        let velocity: Vec<Vec<f32>> = sizes.into_iter().map(|size| vec![0.0; size]).collect();
        let squares = match method {
            Method::Adam | Method::Adamw => velocity.clone(),
            Method::Sgd | Method::Lbfgs => Vec::new(),
        };
        Self {
            method,
            momentum: momentum as f32,
            second_momentum: second_momentum as f32,
            weight_decay: weight_decay as f32,
            velocity,
            squares,
            steps: 0,
            pairs: Vec::new(),
        }
    }

    /// One step of size `rate` (η) along `gradients`, each multiplied by `clip`.
    ///
    /// # Panics
    /// If there are other numbers of parameters than at the start: the caller's mistake.
    pub fn step(
        &mut self,
        rate: f64,
        clip: f64,
        parameters: Vec<&mut [f32]>,
        rules: &[Rule],
        gradients: &[Vec<f32>],
    ) {
        assert_eq!(parameters.len(), self.velocity.len(), "step: other parameters");
        self.steps += 1;
        let correction = |beta: f32| 1.0 - f64::from(beta).powf(self.steps as f64);
        let adaptive = !self.squares.is_empty();
        let base = Step {
            rate: if adaptive { (rate / correction(self.momentum)) as f32 } else { rate as f32 },
            momentum: self.momentum,
            second_momentum: self.second_momentum,
            unbias: (1.0 / correction(self.second_momentum)) as f32,
            clip: clip as f32,
            coupled: 0.0,
            shrink: 1.0,
        };
        let parameters = parameters.into_iter().zip(rules).zip(gradients).enumerate();
        for (place, ((parameter, &rule), gradient)) in parameters {
            let step = match (rule, self.method) {
                (Rule::Free, _) => base,
                (Rule::Decayed, Method::Adamw) => {
                    Step { shrink: 1.0 - rate as f32 * self.weight_decay, ..base }
                }
                (Rule::Decayed, _) => Step { coupled: self.weight_decay, ..base },
            };
            let velocity = &mut self.velocity[place];
            match self.squares.get_mut(place) {
                Some(squares) => adam(step, parameter, gradient, velocity, squares),
                None => sgd(step, parameter, gradient, velocity),
            }
        }
    }
}

fn sgd(step: Step, parameter: &mut [f32], gradient: &[f32], velocity: &mut [f32]) {
    let Step { rate, momentum, clip, coupled, .. } = step;
    let pieces = parameter.par_chunks_mut(PIECE).zip(gradient.par_chunks(PIECE));
    pieces.zip(velocity.par_chunks_mut(PIECE)).for_each(|((parameter, gradient), velocity)| {
        wide(
            #[inline(always)]
            || {
                for ((p, &g), v) in parameter.iter_mut().zip(gradient).zip(velocity) {
                    *v = momentum * *v + (clip * g + coupled * *p);
                    *p -= rate * *v;
                }
            },
        );
    });
}

fn adam(
    step: Step,
    parameter: &mut [f32],
    gradient: &[f32],
    velocity: &mut [f32],
    squares: &mut [f32],
) {
    let Step { rate, momentum, second_momentum, unbias, clip, coupled, shrink } = step;
    let (new, second_new) = (1.0 - momentum, 1.0 - second_momentum);
    let pieces = parameter.par_chunks_mut(PIECE).zip(gradient.par_chunks(PIECE));
    let state = velocity.par_chunks_mut(PIECE).zip(squares.par_chunks_mut(PIECE));
    pieces.zip(state).for_each(|((parameter, gradient), (velocity, squares))| {
        wide(
            #[inline(always)]
            || {
                let state = velocity.iter_mut().zip(squares);
                for ((p, &g), (v, s)) in parameter.iter_mut().zip(gradient).zip(state) {
                    let g = clip * g + coupled * *p;
                    *v = momentum * *v + new * g;
                    *s = second_momentum * *s + second_new * g * g;
                    *p = shrink * *p - rate * *v / ((*s * unbias).sqrt() + EPSILON);
                }
            },
        );
    });
}

/// The factor that brings the gradient of all parameters together to at most `limit`.
pub(super) fn clip_factor(gradients: &[Vec<f32>], limit: Option<f64>) -> f64 {
    let Some(limit) = limit else { return 1.0 };
    let squares = |gradient: &Vec<f32>| -> f64 {
        let pieces = gradient.par_chunks(PIECE);
        let sums: Vec<f64> =
            pieces.map(|piece| piece.iter().map(|&g| f64::from(g) * f64::from(g)).sum()).collect();
        sums.iter().sum()
    };
    let norm = gradients.iter().map(squares).sum::<f64>().sqrt();
    if norm > limit { limit / norm } else { 1.0 }
}
