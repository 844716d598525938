//! The learning rate as training goes on.
//!
//! ```text
//! p: the part of training that is done, 0 … 1      w: the part that is warm-up
//!
//! p < w       η(p) = η · p/w
//! constant    η(p) = η
//! cosine      η(p) = η · ½ (1 + cos(π · (p − w)/(1 − w)))
//! ```
//!
//! Source: I. Loshchilov and F. Hutter, SGDR: stochastic gradient descent with warm restarts (2017),
//! equation 5 without restarts.

use serde::{Deserialize, Serialize};

/// How the learning rate falls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// It does not.
    Constant,
    /// To zero along half a cosine.
    Cosine,
}

impl Schedule {
    /// The factor of the learning rate when the part `progress` of training is done, of which
    /// `warm_up` rises in a line from zero.
    pub fn factor(self, progress: f64, warm_up: f64) -> f64 {
        match self {
            _ if progress < warm_up => progress / warm_up,
            Self::Constant => 1.0,
            Self::Cosine => {
                let falling = (progress - warm_up) / (1.0 - warm_up);
                0.5 * (1.0 + (std::f64::consts::PI * falling).cos())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Schedule;

    #[test]
    fn the_rate_rises_in_a_line_and_falls_along_a_cosine() {
        let close = |schedule: Schedule, progress, expected: f64| {
            assert!((schedule.factor(progress, 0.2) - expected).abs() < 1e-15);
        };
        close(Schedule::Constant, 0.05, 0.25);
        close(Schedule::Constant, 0.7, 1.0);
        close(Schedule::Cosine, 0.1, 0.5);
        close(Schedule::Cosine, 0.2, 1.0);
        close(Schedule::Cosine, 0.6, 0.5);
        close(Schedule::Cosine, 1.0, 0.0);
        assert_eq!(Schedule::Cosine.factor(0.0, 0.0), 1.0);
    }
}
