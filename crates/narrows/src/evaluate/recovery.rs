//! How far a dictionary found a truth that is known.
//!
//! ```text
//! t(j) = argmaxₖ |Dⱼ·Tₖ| / ‖Dⱼ‖‖Tₖ‖      the feature that latent j is held to stand for
//! TP, FP, FN of j over rows: j fires and t(j) does; j but not t(j); t(j) but not j
//! precision TP/(TP + FP)    recall TP/(TP + FN)    F1 = 2·P·R/(P + R)    accuracy (TP + TN)/N
//! ```
//!
//! All four are 0 where they are not defined, as of a dead latent, and then averaged over all latents:
//! several latents may stand for one feature, and a feature that none stands for is not counted against
//! them. [`DictionaryLikeness`] says how many there are.
//!
//! Source: D. Chanin and A. Garriga-Alonso, `SynthSAEBench` (2026): `sae_lens.synthetic.evals` 6.54.

use serde::{Deserialize, Serialize};

use super::matching::{DictionaryLikeness, compare_dictionaries, nearest};
use crate::compute::{Matrix, SparseRows};
use crate::data::superposition::KnownTruth;
use crate::error::Result;

/// How far a known truth was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recovery {
    /// Mean precision of latents as detectors of their features.
    pub precision: f64,
    /// Mean recall.
    pub recall: f64,
    /// Mean F1.
    pub f1: f64,
    /// Mean accuracy.
    pub accuracy: f64,
    /// Mean number of features that fire in a row.
    pub true_l0: f64,
    /// The atoms beside the true directions.
    #[serde(flatten)]
    pub likeness: DictionaryLikeness,
    /// Precision and recall of each latent `(n)`; not kept in records.
    #[serde(skip)]
    pub of_latents: Vec<[f64; 2]>,
    /// The share of rows in which each feature fired `(m)`; not kept in records.
    #[serde(skip)]
    pub feature_rates: Vec<f64>,
}

/// Counts of a latent over rows.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Counts {
    both: u64,
    latent: u64,
    feature: u64,
}

/// Counts when latents fire and when the features do that they stand for.
pub(super) struct Hits {
    /// The feature of each latent `(n)`.
    feature_of: Vec<usize>,
    counts: Vec<Counts>,
    /// Latents of each feature.
    latents_of: Vec<Vec<u32>>,
    rows: u64,
    /// Rows in which each feature fired.
    features: Vec<u64>,
    /// Whether each feature fires in the row at hand.
    fires: Vec<bool>,
}

impl Hits {
    pub(super) fn new(decoder: &Matrix, truth: &KnownTruth) -> Result<Self> {
        Self::with_directions(decoder, truth.directions())
    }

    fn with_directions(decoder: &Matrix, directions: &Matrix) -> Result<Self> {
        let feature_of = nearest(decoder, directions)?;
        let mut latents_of = vec![Vec::new(); directions.rows()];
        for (latent, &feature) in feature_of.iter().enumerate() {
            latents_of[feature].push(latent as u32);
        }
        let counts = vec![Counts::default(); decoder.rows()];
        let fires = vec![false; directions.rows()];
        let features = vec![0; directions.rows()];
        Ok(Self { feature_of, counts, latents_of, rows: 0, features, fires })
    }

    /// Adds rows of codes and of true codes.
    pub(super) fn add(&mut self, codes: &SparseRows, truth: &SparseRows) {
        for row in 0..codes.rows() {
            let (features, values) = truth.row(row);
            let firing = || features.iter().zip(values).filter(|(_, value)| **value > 0.0);
            for (&feature, _) in firing() {
                self.fires[feature as usize] = true;
                self.features[feature as usize] += 1;
                for &latent in &self.latents_of[feature as usize] {
                    self.counts[latent as usize].feature += 1;
                }
            }
            let (latents, values) = codes.row(row);
            for (&latent, _) in latents.iter().zip(values).filter(|(_, value)| **value != 0.0) {
                let counts = &mut self.counts[latent as usize];
                counts.latent += 1;
                counts.both += u64::from(self.fires[self.feature_of[latent as usize]]);
            }
            firing().for_each(|(&feature, _)| self.fires[feature as usize] = false);
            self.rows += 1;
        }
    }

    pub(super) fn recovery(self, decoder: &Matrix, truth: &KnownTruth) -> Result<Recovery> {
        self.judge(compare_dictionaries(decoder, truth.directions())?)
    }

    fn judge(self, likeness: DictionaryLikeness) -> Result<Recovery> {
        let share =
            |part: u64, whole: u64| if whole > 0 { part as f64 / whole as f64 } else { 0.0 };
        let count = self.counts.len() as f64;
        let mean =
            |value: &dyn Fn(&Counts) -> f64| self.counts.iter().map(value).sum::<f64>() / count;
        let right = |c: &Counts| share(self.rows + 2 * c.both - c.latent - c.feature, self.rows);
        let of_latent = |c: &Counts| [share(c.both, c.latent), share(c.both, c.feature)];
        Ok(Recovery {
            precision: mean(&|c| share(c.both, c.latent)),
            recall: mean(&|c| share(c.both, c.feature)),
            // 2·P·R/(P + R) with P and R put in.
            f1: mean(&|c| share(2 * c.both, c.latent + c.feature)),
            accuracy: mean(&right),
            true_l0: share(self.features.iter().sum(), self.rows),
            likeness,
            of_latents: self.counts.iter().map(of_latent).collect(),
            feature_rates: self.features.iter().map(|&fired| share(fired, self.rows)).collect(),
        })
    }
}

#[cfg(test)]
pub(super) fn recovery_for_tests(
    decoder: &Matrix,
    directions: &Matrix,
    codes: &SparseRows,
    truth: &SparseRows,
) -> Result<Recovery> {
    let mut hits = Hits::with_directions(decoder, directions)?;
    hits.add(codes, truth);
    hits.judge(compare_dictionaries(decoder, directions)?)
}
