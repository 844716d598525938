//! Which features fire in a row: a normal copula of low rank, drawn without a number for every feature.
//!
//! ```text
//! gⱼ = Fⱼ·ε + √(1 − ‖Fⱼ‖²)·ηⱼ      F (n, r) loadings    ε (r), η (n) standard normal
//! j fires where gⱼ > tⱼ,  P(gⱼ > tⱼ) = pⱼ
//! given ε the features are independent:   P(j fires | ε) = Φ(aⱼ),   aⱼ = (Fⱼ·ε − tⱼ) / √(1 − ‖Fⱼ‖²)
//! ```
//!
//! ε is drawn and all aⱼ are computed, r products each. Features with aⱼ above a fixed bound, few, are
//! drawn one by one. Among the others, whose chance is at most q = Φ(bound), candidates are found by
//! geometric leaps, and candidate j is kept with chance Φ(aⱼ)/q: thinning, which gives every feature
//! exactly its chance and needs about q·n draws.
//!
//! Source: L. Devroye, Non-Uniform Random Variate Generation (1986), VI.2; the copula is that of
//! `ActivationGenerator` in `SAELens` 6.54, which draws η for every feature.

use crate::compute::wide;
use crate::random::Random;

/// The bound on a: its chance q is 1.4 %.
const RARE: f32 = -2.2;
/// Scores that are looked at together.
const LANES: usize = 64;

/// Φ, the distribution function of the standard normal distribution.
pub(super) fn normal_cdf(x: f64) -> f64 {
    0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}

/// t with `P(g > t) = rate` for a standard normal g; −∞ and ∞ at 1 and 0.
pub(super) fn threshold(rate: f64) -> f64 {
    if rate <= 0.0 || rate >= 1.0 {
        return if rate <= 0.0 { f64::INFINITY } else { f64::NEG_INFINITY };
    }
    let (mut low, mut high) = (-40.0, 40.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if normal_cdf(-middle) > rate { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// `scores[j] = Σₖ ε[k]·loadings[k, j] − cuts[j]`, with `loadings` `(r, n)` factor by factor.
pub(super) fn score(loadings: &[f32], cuts: &[f32], factors: &[f32], scores: &mut Vec<f32>) {
    scores.clear();
    scores.extend(cuts.iter().map(|cut| -cut));
    // A strip stays in the first cache while all factors are added to it.
    const STRIP: usize = 2048;
    for (strip, scores) in scores.chunks_mut(STRIP).enumerate() {
        for (factor, loadings) in factors.iter().zip(loadings.chunks_exact(cuts.len())) {
            let loadings = &loadings[strip * STRIP..];
            wide(
                #[inline(always)]
                || scores.iter_mut().zip(loadings).for_each(|(s, &loading)| *s += factor * loading),
            );
        }
    }
}

/// Calls `fires(j)` for every j that fires, each on its own with chance Φ(scores[j]); not in order.
pub(super) fn fire(scores: &[f32], random: &mut Random, mut fires: impl FnMut(usize)) {
    for (group, lanes) in scores.chunks(LANES).enumerate() {
        let any = wide(
            #[inline(always)]
            || lanes.iter().fold(false, |any, &score| any | (score > RARE)),
        );
        if any {
            for (lane, &score) in lanes.iter().enumerate() {
                if score > RARE && random.uniform() < normal_cdf(f64::from(score)) {
                    fires(group * LANES + lane);
                }
            }
        }
    }
    let bound = normal_cdf(f64::from(RARE));
    let leap = 1.0 / (-bound).ln_1p();
    let mut next = 0.0;
    loop {
        // 1 − uniform lies in (0, 1], so the logarithm is finite.
        next += ((1.0 - random.uniform()).ln() * leap).floor();
        if next >= scores.len() as f64 {
            return;
        }
        let score = scores[next as usize];
        if score <= RARE && random.uniform() * bound < normal_cdf(f64::from(score)) {
            fires(next as usize);
        }
        next += 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_invert_the_distribution_function() {
        // `scipy.stats.norm.isf` of SciPy 1.17.
        let known = [(0.5, 0.0), (0.4, 0.253_347_103_135_799_7), (5e-4, 3.290_526_731_491_926)];
        for (rate, expected) in known {
            assert!((threshold(rate) - expected).abs() < 1e-12, "{rate}");
        }
        assert_eq!((threshold(1.0), threshold(0.0)), (f64::NEG_INFINITY, f64::INFINITY));
    }

    #[test]
    fn every_feature_fires_with_its_chance() {
        // On both sides of the bound, certain and impossible ones among them.
        let mut scores: Vec<f32> =
            (0..700).map(|j| -4.0 + 6.0 * (j * 7919 % 700) as f32 / 700.0).collect();
        (scores[3], scores[500]) = (f32::INFINITY, f32::NEG_INFINITY);
        let rows = 100_000;
        let mut random = Random::stream(11, "fire");
        let mut counts = vec![0_u32; scores.len()];
        (0..rows).for_each(|_| fire(&scores, &mut random, |j| counts[j] += 1));
        assert_eq!((counts[3], counts[500]), (rows, 0));
        // Σ (count − n·p)² / (n·p·(1 − p)) is χ² with 698 degrees of freedom: mean 698, deviation 37.4.
        let chi_squared: f64 = (0..scores.len())
            .filter(|&j| scores[j].is_finite())
            .map(|j| {
                let (n, p) = (f64::from(rows), normal_cdf(f64::from(scores[j])));
                (f64::from(counts[j]) - n * p).powi(2) / (n * p * (1.0 - p))
            })
            .sum();
        assert!((chi_squared - 698.0).abs() < 4.0 * 37.4, "{chi_squared}");
    }

    #[test]
    fn features_fire_independently_given_their_scores() {
        let scores = [-2.5_f32; 8];
        let chance = normal_cdf(-2.5);
        let mut random = Random::stream(12, "fire");
        let rows = 2_000_000;
        let mut pairs = 0_u32;
        for _ in 0..rows {
            let mut count = 0_u32;
            fire(&scores, &mut random, |_| count += 1);
            pairs += count * count.saturating_sub(1) / 2;
        }
        // 28 pairs, each with chance p²; their number is close to a Poisson one.
        let expected = f64::from(rows) * 28.0 * chance * chance;
        assert!((f64::from(pairs) - expected).abs() < 4.0 * expected.sqrt(), "{pairs} {expected}");
    }
}
