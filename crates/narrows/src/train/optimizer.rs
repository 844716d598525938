//! Rules that turn gradients into steps.
//!
//! ```text
//! θ, g, v, s: the parameters, their gradient and the state, all of one shape; η: learning rate
//!
//! SGD     v ← β v + g                     θ ← θ − η v
//! Adam    v ← β v + (1 − β) g             s ← β₂ s + (1 − β₂) g²         t ← t + 1
//!         θ ← θ − η · v/(1 − βᵗ) / (√(s/(1 − β₂ᵗ)) + ε)
//! ```
//!
//! Source: B. T. Polyak, USSR Computational Mathematics and Mathematical Physics 4 (1964);
//! D. P. Kingma and J. Ba, Adam: a method for stochastic optimization (2015), algorithm 1 with
//! ε = 1e-8.

use serde::{Deserialize, Serialize};

const EPSILON: f32 = 1e-8;

/// Which rule is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Stochastic gradient descent with momentum. The learning rate has to suit the data.
    Sgd,
    /// Adam: steps do not depend on the scale of the loss.
    Adam,
}

/// A rule and its state, one vector per parameter in the order of the parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Optimizer {
    /// Stochastic gradient descent with momentum.
    Sgd {
        /// β.
        momentum: f32,
        /// v.
        velocity: Vec<Vec<f32>>,
    },
    /// Adam.
    Adam {
        /// β.
        momentum: f32,
        /// β₂.
        second_momentum: f32,
        /// v.
        velocity: Vec<Vec<f32>>,
        /// s.
        squares: Vec<Vec<f32>>,
        /// t.
        steps: u64,
    },
}

impl Optimizer {
    /// At rest, for parameters of the given sizes.
    pub fn new(
        method: Method,
        momentum: f32,
        second_momentum: f32,
        sizes: impl IntoIterator<Item = usize>,
    ) -> Self {
        let velocity: Vec<Vec<f32>> = sizes.into_iter().map(|size| vec![0.0; size]).collect();
        match method {
            Method::Sgd => Self::Sgd { momentum, velocity },
            Method::Adam => Self::Adam {
                momentum,
                second_momentum,
                squares: velocity.clone(),
                velocity,
                steps: 0,
            },
        }
    }

    /// One step of size `rate` (η) along `gradients`.
    ///
    /// # Panics
    /// If there are other numbers of parameters than at the start: the caller's mistake.
    pub fn step(&mut self, rate: f64, parameters: Vec<&mut [f32]>, gradients: &[Vec<f32>]) {
        match self {
            Self::Sgd { momentum, velocity } => {
                assert_eq!(parameters.len(), velocity.len(), "step: other parameters");
                for ((parameter, gradient), v) in
                    parameters.into_iter().zip(gradients).zip(velocity)
                {
                    sgd(rate as f32, *momentum, parameter, gradient, v);
                }
            }
            Self::Adam { momentum, second_momentum, velocity, squares, steps } => {
                assert_eq!(parameters.len(), velocity.len(), "step: other parameters");
                *steps += 1;
                let correction = |beta: f32| 1.0 - f64::from(beta).powf(*steps as f64);
                let rate = (rate / correction(*momentum)) as f32;
                let unbias = (1.0 / correction(*second_momentum)) as f32;
                let state = velocity.iter_mut().zip(squares);
                for ((parameter, gradient), (v, s)) in
                    parameters.into_iter().zip(gradients).zip(state)
                {
                    for (((p, &g), v), s) in parameter.iter_mut().zip(gradient).zip(v).zip(s) {
                        *v = *momentum * *v + (1.0 - *momentum) * g;
                        *s = *second_momentum * *s + (1.0 - *second_momentum) * g * g;
                        *p -= rate * *v / ((*s * unbias).sqrt() + EPSILON);
                    }
                }
            }
        }
    }
}

fn sgd(rate: f32, momentum: f32, parameter: &mut [f32], gradient: &[f32], velocity: &mut [f32]) {
    for ((p, g), v) in parameter.iter_mut().zip(gradient).zip(velocity) {
        *v = momentum * *v + g;
        *p -= rate * *v;
    }
}
