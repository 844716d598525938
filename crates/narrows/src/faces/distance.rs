//! How far two faces are from each other, measured on their weights.
//!
//! ```text
//! L2            ‖a − b‖                         a, b: (k,) weights of two faces
//! cosine        1 − a·b / (‖a‖·‖b‖)             1 where a or b is zero
//! Mahalanobis   √Σᵢ (aᵢ − bᵢ)² / λᵢ             λᵢ: variance of the known faces along eigenface i
//! ```
//!
//! Weights are counted from the mean face, so the cosine is that of mean-centred pictures.
//!
//! L2 distances come from `‖a‖² + ‖b‖² − 2·a·b` in f64: a product instead of a loop over pairs. A
//! squared distance is then exact to about 1e-15 of the squared lengths.

use std::fmt;
use std::str::FromStr;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

use crate::compute::multiply;
use crate::error::{Error, Result};

/// Probes whose distances to all known faces are held at a time.
const BLOCK: usize = 512;

/// A distance between the weights of two faces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distance {
    /// The Euclidean distance.
    L2,
    /// One minus the cosine of the angle.
    Cosine,
    /// The Euclidean distance after every weight is divided by its standard deviation.
    Mahalanobis,
}

impl Distance {
    /// All of them, in the order in which they are reported.
    pub const ALL: [Distance; 3] = [Distance::L2, Distance::Cosine, Distance::Mahalanobis];

    /// Its name in a sentence.
    pub fn label(self) -> &'static str {
        match self {
            Self::L2 => "L2",
            Self::Cosine => "cosine",
            Self::Mahalanobis => "Mahalanobis",
        }
    }

    /// Whether two distances of one face are the same but for rounding; `farthest` is its largest
    /// distance to any face. What is exact to rounding is the squared distance, of which the cosine
    /// distance is half that of unit weights.
    pub(super) fn is_tie(self, nearest: f64, second: f64, farthest: f64) -> bool {
        const ROUNDING: f64 = 1e-12;
        let squared = |distance: f64| match self {
            Self::Cosine => distance,
            Self::L2 | Self::Mahalanobis => distance * distance,
        };
        squared(second) - squared(nearest) <= ROUNDING * squared(farthest)
    }

    /// Distances `(n, m)` between weights `(n, k)` and `(m, k)`; `variances` are those of the `k`
    /// eigenfaces.
    ///
    /// # Panics
    /// If the numbers of columns differ: the caller's mistake.
    pub fn between(
        self,
        a: ArrayView2<'_, f64>,
        b: ArrayView2<'_, f64>,
        variances: ArrayView1<'_, f64>,
    ) -> Array2<f64> {
        let mut out = Array2::zeros((a.nrows(), b.nrows()));
        self.visit(a, b, variances, |row, distances| out.row_mut(row).assign(&distances));
        out
    }

    /// Hands out the distances of each row of `a` to all rows of `b`, holding few of them.
    pub(super) fn visit(
        self,
        a: ArrayView2<'_, f64>,
        b: ArrayView2<'_, f64>,
        variances: ArrayView1<'_, f64>,
        mut visit: impl FnMut(usize, ArrayView1<'_, f64>),
    ) {
        let known = self.points(b, variances);
        for (block, rows) in a.axis_chunks_iter(Axis(0), BLOCK).enumerate() {
            let probes = self.points(rows, variances);
            let distances = match self {
                Self::Cosine => angular(probes.view(), known.view()),
                Self::L2 | Self::Mahalanobis => euclidean(probes.view(), known.view()),
            };
            for (row, distances) in distances.rows().into_iter().enumerate() {
                visit(block * BLOCK + row, distances);
            }
        }
    }

    /// Weights scaled so that only lengths or angles are left to measure.
    fn points(self, weights: ArrayView2<'_, f64>, variances: ArrayView1<'_, f64>) -> Array2<f64> {
        let mut points = weights.to_owned();
        match self {
            Self::L2 => {}
            Self::Mahalanobis => points /= &variances.mapv(f64::sqrt),
            Self::Cosine => {
                for mut point in points.rows_mut() {
                    let length = point.dot(&point).sqrt();
                    if length > 0.0 {
                        point /= length;
                    }
                }
            }
        }
        points
    }
}

/// `‖a − b‖` for every pair of rows.
pub(super) fn euclidean(a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>) -> Array2<f64> {
    let (of_a, of_b) = (squared_lengths(a), squared_lengths(b));
    let mut out = Array2::zeros((a.nrows(), b.nrows()));
    multiply(a, b.t(), out.view_mut());
    for (mut row, of_a) in out.rows_mut().into_iter().zip(of_a) {
        row.zip_mut_with(&of_b, |value, of_b| {
            *value = (of_a + of_b - 2.0 * *value).max(0.0).sqrt()
        });
    }
    out
}

/// `1 − a·b` for every pair of unit (or zero) rows.
fn angular(a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>) -> Array2<f64> {
    let mut out = Array2::zeros((a.nrows(), b.nrows()));
    multiply(a, b.t(), out.view_mut());
    out.mapv_inplace(|cosine| (1.0 - cosine).max(0.0));
    out
}

/// `‖row‖²` of every row.
pub(super) fn squared_lengths(rows: ArrayView2<'_, f64>) -> Array1<f64> {
    rows.rows().into_iter().map(|row| row.dot(&row)).collect()
}

/// The first of the nearest places that `counts` admits, and its distance.
pub(super) fn nearest_where(
    distances: ArrayView1<'_, f64>,
    counts: impl Fn(usize) -> bool,
) -> Option<(usize, f64)> {
    let admitted = distances.iter().copied().enumerate().filter(|&(place, _)| counts(place));
    admitted.reduce(|best, next| if next.1 < best.1 { next } else { best })
}

impl fmt::Display for Distance {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::L2 => "l2",
            Self::Cosine => "cosine",
            Self::Mahalanobis => "mahalanobis",
        })
    }
}

impl FromStr for Distance {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|distance| distance.to_string() == text).ok_or_else(|| {
            Error::mistake(
                "choose a distance",
                "`l2`, `cosine` or `mahalanobis`",
                format!("`{text}`"),
                "give one of the three",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use ndarray::array;

    fn slow_distance(distance: Distance, a: &[f64], b: &[f64], variances: &[f64]) -> f64 {
        let sum = |f: &dyn Fn(usize) -> f64| (0..a.len()).map(f).sum::<f64>();
        match distance {
            Distance::L2 => sum(&|i| (a[i] - b[i]).powi(2)).sqrt(),
            Distance::Mahalanobis => sum(&|i| (a[i] - b[i]).powi(2) / variances[i]).sqrt(),
            Distance::Cosine => {
                let lengths = sum(&|i| a[i] * a[i]).sqrt() * sum(&|i| b[i] * b[i]).sqrt();
                1.0 - sum(&|i| a[i] * b[i]) / lengths
            }
        }
    }

    #[test]
    fn distances_agree_with_the_slow_twin() {
        let mut random = Random::stream(0, "distances");
        let mut normal = |shape| Array2::from_shape_fn(shape, |_| 3.0 * random.normal());
        let (a, b) = (normal((BLOCK + 9, 12)), normal((21, 12)));
        let variances = Array1::from_shape_fn(12, |i| 9.0 / (1.0 + i as f64));
        for distance in Distance::ALL {
            let got = distance.between(a.view(), b.view(), variances.view());
            for ((i, j), got) in got.indexed_iter() {
                let (a, b) = (a.row(i).to_vec(), b.row(j).to_vec());
                let expected = slow_distance(distance, &a, &b, &variances.to_vec());
                assert!((got - expected).abs() < 1e-12, "{distance} {got} {expected}");
            }
        }
    }

    #[test]
    fn two_people_in_two_dimensions() {
        let (a, b) = (array![[3.0, 4.0]], array![[0.0, 0.0], [6.0, 8.0], [-4.0, 3.0], [3.0, 5.0]]);
        let variances = array![9.0, 0.25];
        let between = |distance: Distance| {
            distance.between(a.view(), b.view(), variances.view()).into_raw_vec_and_offset().0
        };
        assert_eq!(between(Distance::L2), [5.0, 5.0, 50.0_f64.sqrt(), 1.0]);
        let cosines = between(Distance::Cosine);
        assert!(cosines[..3].iter().zip([1.0, 0.0, 1.0]).all(|(a, b)| (a - b).abs() < 1e-15));
        assert_eq!(between(Distance::Mahalanobis)[3], 2.0);
    }

    #[test]
    fn the_first_of_equals_is_nearest() {
        let distances = array![2.0, 1.0, 1.0, 0.5];
        assert_eq!(nearest_where(distances.view(), |place| place < 3), Some((1, 1.0)));
        assert_eq!(nearest_where(distances.view(), |_| false), None);
    }

    #[test]
    fn names_read_back() {
        for distance in Distance::ALL {
            assert_eq!(distance.to_string().parse::<Distance>().expect("its own name"), distance);
        }
        assert!("euclid".parse::<Distance>().is_err());
    }
}
