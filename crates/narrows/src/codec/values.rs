//! What a rebuilt number becomes in a file, and how far that is from what it was.
//!
//! ```text
//! SNR    10 · log₁₀(Σ x² / Σ (x − x̂)²)            dB, over all values
//! PSNR   10 · log₁₀(255² · N / Σ (x − x̂)²)         dB, of 8-bit pictures
//! ```
//!
//! Of pictures and sound both are of what comes out of the file: rounded, and kept within the range of
//! its kind. Of tables and arrays, whose columns may have different units, the prepared rows are
//! compared.

use serde::{Deserialize, Serialize};

use crate::data::{Element, FULL_SCALE, Precision};

/// The largest value of a picture.
const PEAK: f64 = 255.0;

/// The numbers that come out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Values {
    /// Whole numbers of 0 to 255.
    Bytes,
    /// Samples of 16 bits, as `value / 32768`.
    Pcm16,
    /// Single precision.
    F32,
    /// Double precision.
    F64,
}

impl Values {
    /// Those of a set that is no sound.
    pub fn of(element: Element, precision: Precision) -> Self {
        match (element, precision) {
            (Element::U8, _) => Self::Bytes,
            (_, Precision::F32) => Self::F32,
            (_, Precision::F64) => Self::F64,
        }
    }

    /// What a number becomes in a file of this kind, still as f64.
    pub fn kept(self, value: f64) -> f64 {
        match self {
            Self::Bytes => value.round().clamp(0.0, PEAK),
            Self::Pcm16 => {
                (value * FULL_SCALE).round().clamp(-FULL_SCALE, FULL_SCALE - 1.0) / FULL_SCALE
            }
            Self::F32 => f64::from(value as f32),
            Self::F64 => value,
        }
    }

    /// Bytes of a number where nothing is compressed.
    pub fn size(self) -> usize {
        match self {
            Self::Bytes => 1,
            Self::Pcm16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// Whether rows are compared in their own units, which are those of all columns.
    pub(super) fn in_own_units(self) -> bool {
        matches!(self, Self::Bytes | Self::Pcm16)
    }
}

/// How far rebuilt values are from what they were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Fidelity {
    /// Values that were compared.
    pub values: u64,
    /// Σ x².
    pub squares: f64,
    /// Σ (x − x̂)².
    pub squared_error: f64,
}

impl Fidelity {
    /// Takes more values in; sums are made in the order of the values.
    pub fn add(&mut self, true_values: &[f64], rebuilt: &[f64]) {
        self.values += true_values.len() as u64;
        for (x, y) in true_values.iter().zip(rebuilt) {
            self.squares += x * x;
            self.squared_error += (x - y) * (x - y);
        }
    }

    /// The peak signal-to-noise ratio of 8-bit pictures.
    pub fn psnr(&self) -> f64 {
        10.0 * (PEAK * PEAK * self.values as f64 / self.squared_error).log10()
    }

    /// The signal-to-noise ratio.
    pub fn snr(&self) -> f64 {
        10.0 * (self.squares / self.squared_error).log10()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_within_their_kind() {
        let kept = |values: Values, all: [f64; 3]| all.map(|value| values.kept(value));
        assert_eq!(kept(Values::Bytes, [-3.0, 77.4, 300.0]), [0.0, 77.0, 255.0]);
        let [low, middle, high] = kept(Values::Pcm16, [-2.0, 1.4 / 32768.0, 1.0]);
        assert_eq!([low, middle, high], [-1.0, 1.0 / 32768.0, 32767.0 / 32768.0]);
        assert_eq!(kept(Values::F32, [0.1; 3]), [f64::from(0.1_f32); 3]);
    }

    #[test]
    fn ratios_are_those_of_the_definition() {
        let mut found = Fidelity::default();
        found.add(&[3.0, 4.0], &[3.0, 5.0]);
        assert!((found.snr() - 10.0 * 25_f64.log10()).abs() < 1e-12);
        let (x, y) = ([3.0, 4.0], [3.0, 5.0]);
        assert!((found.psnr() - crate::evaluate::psnr(&x, &y, 255.0)).abs() < 1e-12);
    }
}
