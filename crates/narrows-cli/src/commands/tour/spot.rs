//! A curved surface among pictures: one spot of light, anywhere.
//!
//! ```text
//! x(u, v)ₐᵦ = exp(−((a − u)² + (b − v)²) / 2σ²)      u, v ~ U(m, s − 1 − m), a, b: pixels of an s × s picture
//! ```
//!
//! Two numbers, u and v, tell a picture entirely, but no plane holds the pictures: half of the sum of two spots
//! is two faint spots, not one between them.

use narrows::Result;
use narrows::compute::Matrix;
use narrows::data::ImageShape;
use narrows::random::Random;

/// Pixels of a side.
const SIDE: usize = 16;
/// σ, in pixels.
const SPREAD: f64 = 1.6;
/// Pixels from the edge that a middle keeps.
const MARGIN: f64 = 2.5;

pub(super) const SHAPE: ImageShape = ImageShape { height: SIDE, width: SIDE, channels: 1 };

/// `count` pictures with the middle of the spot drawn at random.
pub(super) fn pictures(count: usize, seed: u64, part: &str) -> Result<Matrix> {
    let mut random = Random::stream(seed, &format!("tour spots {part}"));
    let mut place = || random.between(MARGIN, (SIDE - 1) as f64 - MARGIN);
    let mut pixels = Vec::with_capacity(count * SIDE * SIDE);
    for _ in 0..count {
        let (u, v) = (place(), place());
        pixels.extend((0..SIDE * SIDE).map(|at| {
            let (x, y) = ((at % SIDE) as f64, (at / SIDE) as f64);
            (-((x - u).powi(2) + (y - v).powi(2)) / (2.0 * SPREAD * SPREAD)).exp() as f32
        }));
    }
    Matrix::from_rows(count, SIDE * SIDE, pixels)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Far from the edge the sum of a spot is that of the normal density, 2πσ², to what the edge cuts off.
    #[test]
    fn a_spot_has_the_light_of_its_formula() {
        let pictures = pictures(50, 1, "test").expect("pictures");
        let whole = 2.0 * std::f64::consts::PI * SPREAD * SPREAD;
        for row in 0..50 {
            let sum: f64 = pictures.row(row).iter().map(|&value| f64::from(value)).sum();
            assert!(sum > 0.85 * whole && sum < 1.001 * whole, "{sum} of {whole}");
        }
    }
}
