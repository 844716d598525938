//! Noise on the input of a model that is to give back the clean row.
//!
//! ```text
//! gaussian        x̃ = x + σ·ε,  ε ~ N(0, 1)              every component is corrupted
//! salt_and_pepper x̃ⱼ = low or high, each ½, with probability rate; else xⱼ
//! masking         x̃ⱼ = low, with probability rate; else xⱼ
//! emphasis        L = α Σ_(corrupted j) lⱼ + β Σ_(clean j) lⱼ     lⱼ: the loss of component j
//! ```
//!
//! low and high are the range of the data where it is known, else 0 and 1. Every row has a stream of
//! random numbers of its own, so neither threads nor an interruption change what is drawn.
//!
//! Source: P. Vincent et al., Stacked denoising autoencoders, JMLR 11 (2010), sections 3.3 and 4.3.

use serde::{Deserialize, Serialize};

use crate::compute::Real;
use crate::error::{Error, Result};
use crate::random::Random;

/// The kind of noise and its strength.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields, tag = "kind")]
pub enum Corruption {
    /// None.
    #[default]
    None,
    /// A normal draw is added to every component.
    Gaussian {
        /// Its standard deviation, in the units of the prepared rows.
        sigma: f64,
    },
    /// Some components are set to the lowest or the highest value.
    SaltAndPepper {
        /// The probability of each component.
        rate: f64,
    },
    /// Some components are set to the lowest value: dropout on the input.
    Masking {
        /// The probability of each component.
        rate: f64,
    },
}

impl Corruption {
    /// Refuses a strength that cannot be.
    ///
    /// # Errors
    /// If a rate is not between 0 and 1, or σ is negative or no number.
    pub fn check(&self) -> Result<()> {
        let (holds, name, expected, got) = match *self {
            Self::None => return Ok(()),
            Self::Gaussian { sigma } => {
                (sigma >= 0.0 && sigma.is_finite(), "sigma", "a number of 0 or more", sigma)
            }
            Self::SaltAndPepper { rate } | Self::Masking { rate } => {
                ((0.0..=1.0).contains(&rate), "rate", "a number from 0 to 1", rate)
            }
        };
        if holds {
            return Ok(());
        }
        Err(Error::mistake(
            "corrupt the input",
            format!("`{name}` to be {expected}"),
            got.to_string(),
            format!("set objective.corruption.{name}"),
        ))
    }

    /// Corrupts `row` in place; calls `touched` with the place of each component that was.
    pub fn apply<T: Real>(
        &self,
        row: &mut [T],
        range: (f64, f64),
        random: &mut Random,
        mut touched: impl FnMut(usize),
    ) {
        let (low, high) = (T::from_f64(range.0), T::from_f64(range.1));
        match *self {
            Self::None => {}
            Self::Gaussian { sigma } => {
                for (place, value) in row.iter_mut().enumerate() {
                    *value += T::from_f64(sigma * random.normal());
                    touched(place);
                }
            }
            Self::SaltAndPepper { rate } => {
                for (place, value) in row.iter_mut().enumerate() {
                    let draw = random.uniform();
                    if draw < rate {
                        *value = if draw < 0.5 * rate { low } else { high };
                        touched(place);
                    }
                }
            }
            Self::Masking { rate } => {
                for (place, value) in row.iter_mut().enumerate() {
                    if random.uniform() < rate {
                        *value = low;
                        touched(place);
                    }
                }
            }
        }
    }
}

/// Refuses weights α and β of corrupted and clean components with which nothing can be learned.
pub(crate) fn check_emphasis(emphasis: Option<[f64; 2]>) -> Result<()> {
    let Some(weights) = emphasis else { return Ok(()) };
    let holds = |weight: &f64| weight.is_finite() && *weight >= 0.0;
    if weights.iter().all(holds) && weights != [0.0; 2] {
        return Ok(());
    }
    Err(Error::mistake(
        "corrupt the input",
        "`emphasis` to be two numbers of 0 or more that are not both 0",
        format!("{weights:?}"),
        "set objective.corruption.emphasis",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corrupted(corruption: Corruption) -> (Vec<f32>, usize) {
        let mut row = vec![0.5_f32; 100_000];
        let mut count = 0;
        corruption.apply(&mut row, (0.0, 1.0), &mut Random::stream(1, "noise"), |_| count += 1);
        (row, count)
    }

    #[test]
    fn as_many_components_are_touched_as_asked() {
        let share = |row: &[f32], value| row.iter().filter(|&&v| v == value).count() as f64 / 1e5;
        let (row, count) = corrupted(Corruption::SaltAndPepper { rate: 0.3 });
        assert!((share(&row, 0.0) - 0.15).abs() < 0.005 && (share(&row, 1.0) - 0.15).abs() < 0.005);
        assert_eq!(row.iter().filter(|&&v| v != 0.5).count(), count);
        let (row, count) = corrupted(Corruption::Masking { rate: 0.25 });
        assert!((share(&row, 0.0) - 0.25).abs() < 0.005);
        assert_eq!(row.iter().filter(|&&v| v != 0.5).count(), count);
    }

    #[test]
    fn gaussian_noise_has_the_deviation_asked() {
        let (row, count) = corrupted(Corruption::Gaussian { sigma: 0.2 });
        let squares: f64 = row.iter().map(|v| (f64::from(*v) - 0.5).powi(2)).sum();
        assert!(((squares / 1e5).sqrt() - 0.2).abs() < 0.002);
        assert_eq!(count, 100_000);
    }

    #[test]
    fn impossible_strengths_are_refused() {
        assert!(Corruption::Masking { rate: 1.5 }.check().is_err());
        assert!(Corruption::Gaussian { sigma: f64::NAN }.check().is_err());
        assert!(Corruption::SaltAndPepper { rate: 0.3 }.check().is_ok());
    }

    #[test]
    fn an_emphasis_that_weighs_nothing_or_less_is_refused() {
        for weights in [[0.0, 0.0], [-1.0, 0.5], [1.0, f64::NAN], [f64::INFINITY, 1.0]] {
            assert!(check_emphasis(Some(weights)).is_err(), "{weights:?}");
        }
        for emphasis in [None, Some([1.0, 0.0]), Some([0.0, 1.0]), Some([1.0, 0.5])] {
            assert!(check_emphasis(emphasis).is_ok(), "{emphasis:?}");
        }
    }
}
