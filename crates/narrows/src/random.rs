//! One seed, many named streams.
//!
//! Every draw in the library comes from `Random::stream(seed, "what it is for")`. Streams of one
//! seed are independent of each other, so adding a draw in one place never changes another, and
//! there is no global state. The generator is ChaCha with 8 rounds: its output is fixed by
//! specification, hence the same on every machine and in every later version.

use chacha20::ChaCha8Rng;
use rand::{Rng, SeedableRng};
use rand_distr::{ChiSquared, Distribution, StandardNormal};

/// A stream of random numbers with a name.
#[derive(Debug)]
pub struct Random {
    generator: ChaCha8Rng,
}

impl Random {
    /// The stream called `name` of `seed`.
    pub fn stream(seed: u64, name: &str) -> Self {
        let mut key = blake3::Hasher::new();
        key.update(&seed.to_le_bytes());
        key.update(name.as_bytes());
        Self { generator: ChaCha8Rng::from_seed(*key.finalize().as_bytes()) }
    }

    /// The stream of `seed` that belongs to `name` and the given numbers, such as an epoch and a row.
    pub fn numbered(seed: u64, name: &str, numbers: &[u64]) -> Self {
        let mut key = blake3::Hasher::new();
        key.update(&seed.to_le_bytes());
        key.update(name.as_bytes());
        key.update(&[0]);
        numbers.iter().for_each(|number| {
            key.update(&number.to_le_bytes());
        });
        Self { generator: ChaCha8Rng::from_seed(*key.finalize().as_bytes()) }
    }

    /// A uniform number in `[0, 1)` with 53 random bits.
    pub fn uniform(&mut self) -> f64 {
        (self.generator.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// A uniform number in `[low, high)`.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// A draw from the standard normal distribution.
    pub fn normal(&mut self) -> f64 {
        StandardNormal.sample(&mut self.generator)
    }

    /// A draw from the χ² distribution with `freedom` degrees of freedom, a positive number.
    ///
    /// # Panics
    /// If `freedom` is not positive: the caller's mistake.
    pub fn chi_squared(&mut self, freedom: f64) -> f64 {
        let distribution = ChiSquared::new(freedom).expect("positive degrees of freedom");
        distribution.sample(&mut self.generator)
    }

    /// A uniform whole number in `0..bound`, without the bias of a plain remainder.
    ///
    /// # Panics
    /// If `bound` is 0: that is a mistake of the caller, never of the data.
    pub fn below(&mut self, bound: usize) -> usize {
        assert!(bound > 0, "below(0) has no answer");
        let bound = bound as u64;
        let limit = u64::MAX - u64::MAX % bound;
        loop {
            let draw = self.generator.next_u64();
            if draw < limit {
                return (draw % bound) as usize;
            }
        }
    }

    /// Puts the items into a uniformly random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// A random order of `0..count`.
    pub fn permutation(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        self.shuffle(&mut order);
        order
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn streams_repeat_and_differ() {
        let draw = |seed, name| Random::stream(seed, name).uniform();
        assert_eq!(draw(1, "a"), draw(1, "a"));
        assert_ne!(draw(1, "a"), draw(1, "b"));
        assert_ne!(draw(1, "a"), draw(2, "a"));
    }

    #[test]
    fn the_first_draws_never_change() {
        let mut random = Random::stream(7, "pinned");
        let draws: Vec<usize> = (0..6).map(|_| random.below(1000)).collect();
        assert_eq!(draws, PINNED);
    }
    const PINNED: [usize; 6] = [870, 583, 519, 663, 271, 496];

    #[test]
    fn normal_draws_have_mean_zero_and_variance_one() {
        let mut random = Random::stream(0, "moments");
        let draws: Vec<f64> = (0..200_000).map(|_| random.normal()).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / draws.len() as f64;
        assert!(mean.abs() < 0.01, "mean {mean}");
        assert!((variance - 1.0).abs() < 0.015, "variance {variance}");
    }

    #[test]
    fn a_permutation_holds_every_number_once() {
        let mut order = Random::stream(3, "order").permutation(1000);
        assert_ne!(order[..10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        order.sort_unstable();
        assert!(order.iter().copied().eq(0..1000));
    }
}
