//! Several dictionaries beside each other: L0 against what is lost, seeds of one kind together.
//!
//! ```text
//! mean  1/s·Σ v    deviation  √(Σ(v − mean)²/(s − 1))      over the s dictionaries that differ in their seed alone
//! ```

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::dictionary::DictionaryScores;
use super::stability::SeedStability;

/// A mean, and how far apart what it is of lies.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// The standard deviation, squares divided by one less than their number; `None` of one value.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub deviation: Option<f64>,
}

impl Spread {
    /// Of some values, of which there is at least one.
    pub fn of(values: &[f64]) -> Self {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt());
        Self { mean, deviation }
    }
}

/// Dictionaries that were made alike but for their seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FrontierPoint {
    /// What they were made like, without the seed.
    pub made: Value,
    /// Which of all they are, counted from 0.
    pub members: Vec<usize>,
    /// Mean number of latents that fire in a row.
    pub l0: Spread,
    /// Squared error over squared distance from the mean row.
    pub fraction_variance_unexplained: Spread,
    /// The share of latents that never fired.
    pub dead_share: Spread,
    /// Mean F1 of latents as detectors of true features.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub f1: Option<Spread>,
    /// MCC to the true directions.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mcc: Option<Spread>,
    /// How alike they are to each other.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stability: Option<SeedStability>,
}

impl FrontierPoint {
    /// Puts dictionaries that were made alike together, in the order of the first of each.
    pub fn group(made: &[Value], scores: &[DictionaryScores]) -> Vec<Self> {
        let mut groups: Vec<(Value, Vec<usize>)> = Vec::new();
        for (place, made) in made.iter().enumerate() {
            let mut made = made.clone();
            made.as_object_mut().map(|made| made.remove("seed"));
            match groups.iter_mut().find(|(other, _)| *other == made) {
                Some((_, members)) => members.push(place),
                None => groups.push((made, vec![place])),
            }
        }
        groups.into_iter().map(|(made, members)| Self::new(made, members, scores)).collect()
    }

    fn new(made: Value, members: Vec<usize>, scores: &[DictionaryScores]) -> Self {
        let of = |value: &dyn Fn(&DictionaryScores) -> Option<f64>| {
            let values: Option<Vec<f64>> =
                members.iter().map(|&member| value(&scores[member])).collect();
            values.map(|values| Spread::of(&values))
        };
        let every = |value: fn(&DictionaryScores) -> f64| {
            Spread::of(&members.iter().map(|&member| value(&scores[member])).collect::<Vec<_>>())
        };
        Self {
            l0: every(|scores| scores.l0),
            fraction_variance_unexplained: every(|scores| scores.fraction_variance_unexplained),
            dead_share: every(|scores| scores.dead_share),
            f1: of(&|scores| scores.truth.as_ref().map(|truth| truth.f1)),
            mcc: of(&|scores| scores.truth.as_ref().map(|truth| truth.likeness.mcc)),
            stability: None,
            made,
            members,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::dictionary::evaluate_dictionary;
    use super::*;
    use crate::compute::Matrix;
    use crate::model::Dictionary;
    use crate::model::dictionary::{Gate, RowScale};
    use serde_json::json;

    /// One latent along the first of two columns, times `length`.
    fn scores(length: f32) -> DictionaryScores {
        let atom = || Matrix::from_rows(1, 2, vec![1.0, 0.0]).unwrap();
        let dictionary = Dictionary {
            encoder: atom(),
            encoder_bias: vec![0.0],
            decoder: Matrix::from_rows(1, 2, vec![length, 0.0]).unwrap(),
            decoder_bias: vec![0.0; 2],
            skip: None,
            centred: false,
            gate: Gate::Relu,
            row_scale: RowScale::None,
        };
        let rows = Matrix::from_rows(2, 2, vec![2.0, 0.0, -2.0, 0.0]).unwrap();
        evaluate_dictionary(&dictionary, &rows, None, None).unwrap()
    }

    #[test]
    fn dictionaries_are_grouped_by_all_but_their_seed() {
        let made =
            [(4, 0), (8, 0), (4, 1)].map(|(k, seed)| json!({"kind": "topk", "k": k, "seed": seed}));
        let found = FrontierPoint::group(&made, &[scores(1.0), scores(0.5), scores(0.0)]);
        assert_eq!(found.len(), 2);
        assert_eq!((&found[0].members, &found[1].members), (&vec![0, 2], &vec![1]));
        assert_eq!(found[0].made, json!({"kind": "topk", "k": 4}));
        // Half of the spread is lost, and all of it.
        let lost = found[0].fraction_variance_unexplained;
        assert_eq!((lost.mean, lost.deviation), (0.75, Some(0.125_f64.sqrt())));
        assert_eq!(found[1].fraction_variance_unexplained, Spread { mean: 0.625, deviation: None });
        assert_eq!((found[0].l0.mean, found[0].f1), (0.5, None));
    }
}
