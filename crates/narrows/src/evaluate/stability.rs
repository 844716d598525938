//! Whether dictionaries that differ in their seed alone find the same atoms.
//!
//! Every two of them are compared as [`compare_dictionaries`] does: MMCS, the mean of both ways, and MCC. A
//! dictionary that says what is there, not how it was started, comes to 1.
//!
//! Source: X. Song et al., Position: mechanistic interpretability should prioritize feature consistency in
//! SAEs (2025); G. Paulo and N. Belrose, Sparse autoencoders trained on the same data learn different features
//! (2025), who pair atoms one to one and count pairs above a cosine.

use serde::{Deserialize, Serialize};

use super::frontier::Spread;
use super::matching::compare_dictionaries;
use crate::compute::Matrix;
use crate::error::Result;

/// How alike dictionaries of several seeds are, over all pairs of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeedStability {
    /// Dictionaries.
    pub seeds: usize,
    /// Pairs of them.
    pub pairs: usize,
    /// Mean max cosine similarity, both ways.
    pub mmcs: Spread,
    /// Mean correlation coefficient.
    pub mcc: Spread,
    /// The share of atoms that are paired at a |cosine| above 0.9.
    pub matched: f64,
}

impl SeedStability {
    /// Compares every two of some decoders `(n, d)`; `None` of fewer than two.
    ///
    /// # Errors
    /// If they are of different width.
    pub fn measure(decoders: &[&Matrix]) -> Result<Option<Self>> {
        let (mut mmcs, mut mcc, mut matched) = (Vec::new(), Vec::new(), Vec::new());
        for (place, one) in decoders.iter().enumerate() {
            for other in &decoders[place + 1..] {
                let found = compare_dictionaries(one, other)?;
                mmcs.push((found.mmcs + found.mmcs_of_other) / 2.0);
                mcc.push(found.mcc);
                matched.push(found.matched);
            }
        }
        if mmcs.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self {
            seeds: decoders.len(),
            pairs: matched.len(),
            mmcs: Spread::of(&mmcs),
            mcc: Spread::of(&mcc),
            matched: Spread::of(&matched).mean,
        }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn pairs_are_averaged() {
        let turned = |angle: f32| {
            let (sin, cos) = angle.sin_cos();
            Matrix::from_rows(2, 2, vec![cos, sin, -sin, cos]).unwrap()
        };
        let [a, b, c] = [0.0, 0.1, 0.3].map(turned);
        assert_eq!(SeedStability::measure(&[&a]).unwrap(), None);
        let found = SeedStability::measure(&[&a, &b, &c]).unwrap().unwrap();
        // Pairs are 0.1, 0.3 and 0.2 apart.
        let cosines = [0.1_f64, 0.3, 0.2].map(f64::cos);
        let mean = cosines.iter().sum::<f64>() / 3.0;
        let squares: f64 = cosines.iter().map(|cosine| (cosine - mean).powi(2)).sum();
        assert_eq!((found.seeds, found.pairs, found.matched), (3, 3, 1.0));
        for (ours, expected) in [(found.mmcs.mean, mean), (found.mcc.mean, mean)] {
            assert!((ours - expected).abs() < 1e-6, "{ours} {expected}");
        }
        let deviation = (squares / 2.0).sqrt();
        assert!((found.mcc.deviation.unwrap() - deviation).abs() < 1e-6);
    }
}
