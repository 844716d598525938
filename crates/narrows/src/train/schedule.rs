//! The learning rate as training goes on.
//!
//! ```text
//! p: the part of training that is done, 0 … 1      w: the part that is warm-up
//! f = (p − w)/(1 − w): the part of what comes after it
//!
//! p < w       η(p) = η · p/w;  one cycle: η/25 rising to η along half a cosine
//! constant    η(p) = η
//! cosine      η(p) = η · ½ (1 + cos πf)
//! step        η(p) = η · 10^(−⌊3f⌋)
//! one cycle   η(p) falls from η to η/250,000 along half a cosine; w = 0.3 unless given
//! ```
//!
//! Source: I. Loshchilov and F. Hutter, SGDR: stochastic gradient descent with warm restarts (2017),
//! equation 5 without restarts; L. Smith and N. Topin, Super-convergence (2018).
//!
//! Differs from PyTorch's `OneCycleLR`, which also lowers the momentum while the rate is high.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// How the learning rate falls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// It does not.
    Constant,
    /// To zero along half a cosine.
    Cosine,
    /// To a tenth at one third and at two thirds.
    Step,
    /// Up along half a cosine and down along another.
    OneCycle,
}

impl Schedule {
    /// The factor of the learning rate when the part `progress` of training is done, of which
    /// `warm_up` is spent rising.
    pub fn factor(self, progress: f64, warm_up: f64) -> f64 {
        let between =
            |from: f64, to: f64, part: f64| to + (from - to) * 0.5 * (1.0 + (PI * part).cos());
        let warm_up = match self {
            Self::OneCycle if warm_up == 0.0 => 0.3,
            _ => warm_up,
        };
        let falling = (progress - warm_up) / (1.0 - warm_up);
        match self {
            Self::OneCycle if progress < warm_up => between(0.04, 1.0, progress / warm_up),
            _ if progress < warm_up => progress / warm_up,
            Self::Constant => 1.0,
            Self::Cosine => between(1.0, 0.0, falling),
            Self::Step => 0.1_f64.powf((3.0 * falling).floor().min(2.0)),
            Self::OneCycle => between(1.0, 4e-6, falling),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Schedule;

    #[test]
    fn rates_are_those_of_the_formulas() {
        let close = |schedule: Schedule, progress, expected: f64| {
            let found = schedule.factor(progress, 0.2);
            assert!((found - expected).abs() < 1e-15, "{schedule:?} {progress} {found}");
        };
        for schedule in [Schedule::Constant, Schedule::Cosine, Schedule::Step] {
            close(schedule, 0.0, 0.0);
            close(schedule, 0.05, 0.25);
            close(schedule, 0.2, 1.0);
        }
        close(Schedule::Constant, 0.99, 1.0);
        close(Schedule::Cosine, 0.6, 0.5);
        close(Schedule::Cosine, 1.0, 0.0);
        close(Schedule::Step, 0.45, 1.0);
        close(Schedule::Step, 0.5, 0.1);
        close(Schedule::Step, 1.0, 0.1 * 0.1);
        close(Schedule::OneCycle, 0.0, 0.04);
        close(Schedule::OneCycle, 0.1, 0.52);
        close(Schedule::OneCycle, 0.2, 1.0);
        close(Schedule::OneCycle, 1.0, 4e-6);
    }
}
