//! The scores of a basis, and of two beside each other.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Rule;
use super::feature::{FeatureScore, Found};

/// The mean of some features.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Mean {
    /// x̄; 0 where there is no feature.
    pub mean: f64,
    /// `√(Σ(x − x̄)² / (n − 1) / n)`; none of fewer than two.
    pub standard_error: Option<f64>,
}

impl Mean {
    /// Of values.
    pub fn of(values: impl Iterator<Item = f64>) -> Self {
        let values: Vec<f64> = values.collect();
        let count = values.len() as f64;
        let mean = if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / count };
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let error = (squares / (count - 1.0) / count).sqrt();
        Self { mean, standard_error: (values.len() > 1).then_some(error) }
    }

    /// The mean and its standard error, 0 where there is none.
    pub fn with_error(&self) -> [f64; 2] {
        [self.mean, self.standard_error.unwrap_or(0.0)]
    }
}

/// How much larger one mean is than another of features that were drawn for themselves.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Difference {
    /// The first less the second.
    pub difference: f64,
    /// `√(e₁² + e₂²)`.
    pub standard_error: Option<f64>,
}

impl Difference {
    /// `first − second`.
    pub fn between(first: &Mean, second: &Mean) -> Self {
        let errors = first.standard_error.zip(second.standard_error);
        Self {
            difference: first.mean - second.mean,
            standard_error: errors.map(|(first, second)| first.hypot(second)),
        }
    }
}

/// The lexical interpretability of a basis.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LexicalScores {
    /// What the basis is called.
    pub basis: String,
    /// Whether all codes of a row are kept.
    pub dense: bool,
    /// Features that were drawn.
    pub drawn: usize,
    /// Of these, those that fire nowhere, and those that fire too seldom to be scored.
    pub dead: usize,
    /// See `dead`.
    pub rare: usize,
    /// The share of rows on which a feature fires.
    pub density: Mean,
    /// corr(a, â).
    pub correlation: Mean,
    /// The same of what is left of a where the feature fires.
    pub matched_correlation: Mean,
    /// Of the best sets.
    pub f1: Mean,
    /// See `f1`.
    pub precision: Mean,
    /// See `f1`.
    pub recall: Mean,
    /// F1 of the best sets of single tokens.
    pub token_f1: Mean,
    /// How many features each rule predicts best.
    pub wins: BTreeMap<Rule, usize>,
    /// The features, in the order in which they were drawn.
    pub features: Vec<FeatureScore>,
}

impl LexicalScores {
    pub(super) fn of(basis: &str, dense: bool, found: Vec<Found>) -> Self {
        let drawn = found.len();
        let dead = found.iter().filter(|found| matches!(found, Found::Dead)).count();
        let scored = |found| match found {
            Found::Scored(score) => Some(*score),
            Found::Dead | Found::Rare => None,
        };
        let features: Vec<FeatureScore> = found.into_iter().filter_map(scored).collect();
        let mean = |value: fn(&FeatureScore) -> f64| Mean::of(features.iter().map(value));
        let mut wins: BTreeMap<Rule, usize> = Rule::ALL.map(|rule| (rule, 0)).into();
        features.iter().for_each(|feature| *wins.entry(feature.rule).or_default() += 1);
        Self {
            basis: basis.to_owned(),
            dense,
            drawn,
            dead,
            rare: drawn - dead - features.len(),
            density: mean(|f| f.density),
            correlation: mean(|f| f.correlation),
            matched_correlation: mean(|f| f.matched_correlation),
            f1: mean(|f| f.set.f1),
            precision: mean(|f| f.set.precision),
            recall: mean(|f| f.set.recall),
            token_f1: mean(|f| f.token_set.f1),
            wins,
            features,
        }
    }

    /// The share of rows on which each scored feature fires.
    pub fn densities(&self) -> Vec<f64> {
        self.features.iter().map(|feature| feature.density).collect()
    }
}

/// The harmonic mean of precision and recall.
pub(super) fn f1(precision: f64, recall: f64) -> f64 {
    let sum = precision + recall;
    if sum > 0.0 { 2.0 * precision * recall / sum } else { 0.0 }
}
