//! How well codes keep neighbours together.
//!
//! ```text
//! accuracy         share of the rows whose class most of their k nearest others have, by their codes
//! trustworthiness  1 − 2/(n·k·(2n − 3k − 1)) · Σᵢ Σ_(j ∈ Uᵢ) (r(i, j) − k)
//!
//! Uᵢ       those of the k nearest codes of i that are not among the k nearest rows of i
//! r(i, j)  the place of row j by its distance from row i, 1 for the nearest
//! ‖a − b‖² = ‖a‖² + ‖b‖² − 2 a·b,  a, b: rows less their mean, in f64
//! ```
//!
//! Of classes with as many votes the first wins; of distances equal to the last bit the earlier row is
//! the nearer. One is perfect in both; codes drawn by chance have a trustworthiness of about a half.
//!
//! Source: J. Venna and S. Kaski, Neighborhood preservation in nonlinear projection methods, ICANN 2001.
//!
//! Differs from: nothing but such ties; scikit-learn's `trustworthiness`, and `KNeighborsClassifier` under
//! `LeaveOneOut`, give these figures.

use ndarray::{Array2, ArrayView1, ArrayView2, Axis, s};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::compute::{centred, column_means, multiply};

/// Rows whose distances from all rows are held at a time.
const BLOCK: usize = 256;

/// How well codes keep the neighbours of some rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NeighbourScores {
    /// Share of the rows whose class their nearest codes tell; `None` without classes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub accuracy: Option<f64>,
    /// Venna's and Kaski's trustworthiness.
    pub trustworthiness: f64,
}

/// The same of a model and of what it is to be compared with.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Neighbours {
    /// Rows that were measured.
    pub rows: usize,
    /// k, the neighbours that are looked at.
    pub nearest: usize,
    /// Of the model's codes.
    #[serde(flatten)]
    pub scores: NeighbourScores,
    /// Of the codes of PCA of the same width; `None` where the model is PCA itself, or has none beside it.
    pub pca: Option<NeighbourScores>,
    /// The accuracy by the rows themselves in place of codes; `None` without classes.
    pub accuracy_of_rows: Option<f64>,
}

impl Neighbours {
    /// Measures codes `(n, m)`, and PCA's codes where given, of rows `(n, d)`, whose classes are numbers;
    /// `nearest` is k. It is made smaller where it is not less than half of n. `None` of fewer than three
    /// rows.
    ///
    /// Takes n² (d + m) operations, and holds a copy of what is given and two blocks of 256 n distances.
    ///
    /// # Panics
    /// If the numbers of rows differ: the caller's mistake.
    pub fn measure(
        rows: ArrayView2<'_, f64>,
        codes: ArrayView2<'_, f64>,
        pca: Option<ArrayView2<'_, f64>>,
        classes: Option<&[usize]>,
        nearest: usize,
    ) -> Option<Self> {
        let count = rows.nrows();
        let nearest = nearest.min(count.saturating_sub(1) / 2);
        if nearest == 0 {
            return None;
        }
        let rows = Cloud::new(rows);
        let measure = |codes| scores(&rows, &Cloud::new(codes), classes, nearest);
        Some(Self {
            rows: count,
            nearest,
            scores: measure(codes),
            pca: pca.map(measure),
            accuracy_of_rows: scores(&rows, &rows, classes, nearest).accuracy,
        })
    }
}

/// Centred points, and their squared lengths.
struct Cloud {
    points: Array2<f64>,
    squares: Vec<f64>,
}

impl Cloud {
    fn new(points: ArrayView2<'_, f64>) -> Self {
        let points: Array2<f64> = centred(points, &column_means(points));
        let squares = points.outer_iter().map(|point| point.dot(&point)).collect();
        Self { points, squares }
    }

    /// Squared distances `(b, n)` of the points from `first` on to all; a point is infinitely far from
    /// itself.
    fn distances(&self, first: usize) -> Array2<f64> {
        let count = self.points.nrows();
        let block = self.points.slice(s![first..count.min(first + BLOCK), ..]);
        let mut distances = Array2::zeros((block.nrows(), count));
        multiply(block, self.points.t(), distances.view_mut());
        distances.axis_iter_mut(Axis(0)).into_par_iter().enumerate().for_each(
            |(place, mut line)| {
                let own = self.squares[first + place];
                let others = line.iter_mut().zip(&self.squares);
                others.for_each(|(distance, other)| *distance = own + other - 2.0 * *distance);
                line[first + place] = f64::INFINITY;
            },
        );
        distances
    }
}

/// The figures of `codes` beside `rows`.
fn scores(rows: &Cloud, codes: &Cloud, classes: Option<&[usize]>, k: usize) -> NeighbourScores {
    let count = rows.points.nrows();
    assert_eq!(codes.points.nrows(), count, "neighbours: rows and codes differ in number");
    assert!(classes.is_none_or(|classes| classes.len() == count), "neighbours: a class is missing");
    let (mut right, mut too_far) = (0_u64, 0_u64);
    for first in (0..count).step_by(BLOCK) {
        let (by_row, by_code) = (rows.distances(first), codes.distances(first));
        let lines = (by_row.outer_iter().into_par_iter()).zip(by_code.outer_iter());
        let of_line = |(place, (by_row, by_code)): (usize, (ArrayView1<'_, f64>, _))| {
            let nearest = nearest(by_code, k);
            let told = classes.is_some_and(|own| vote(own, &nearest) == own[first + place]);
            let beyond = nearest.iter().map(|&j| rank(by_row, j).saturating_sub(k) as u64);
            (u64::from(told), beyond.sum::<u64>())
        };
        let sums = lines.enumerate().map(of_line);
        let (told, beyond) = sums.reduce(|| (0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
        right += told;
        too_far += beyond;
    }
    let (n, k) = (count as f64, k as f64);
    NeighbourScores {
        accuracy: classes.map(|_| right as f64 / n),
        trustworthiness: 1.0 - too_far as f64 * 2.0 / (n * k * (2.0 * n - 3.0 * k - 1.0)),
    }
}

/// The places of the k least distances, in no order.
fn nearest(distances: ArrayView1<'_, f64>, k: usize) -> Vec<usize> {
    let mut places: Vec<usize> = (0..distances.len()).collect();
    let nearer = |a: &usize, b: &usize| distances[*a].total_cmp(&distances[*b]).then(a.cmp(b));
    places.select_nth_unstable_by(k, nearer);
    places.truncate(k);
    places
}

/// The place of `other` in the order of the distances, 1 for the nearest.
fn rank(distances: ArrayView1<'_, f64>, other: usize) -> usize {
    let nearer = |(place, distance): (usize, &f64)| {
        distance.total_cmp(&distances[other]).then(place.cmp(&other)).is_lt()
    };
    1 + distances.iter().enumerate().filter(|pair| nearer(*pair)).count()
}

/// The class that most of some rows have.
fn vote(classes: &[usize], rows: &[usize]) -> usize {
    let mut voted: Vec<usize> = rows.iter().map(|&row| classes[row]).collect();
    voted.sort_unstable();
    let (mut most, mut winner) = (0, 0);
    for votes in voted.chunk_by(|a, b| a == b) {
        if votes.len() > most {
            (most, winner) = (votes.len(), votes[0]);
        }
    }
    winner
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::random::Random;

    fn drawn(count: usize, dim: usize, name: &str) -> Array2<f64> {
        let mut random = Random::stream(3, name);
        Array2::from_shape_fn((count, dim), |_| random.normal())
    }

    /// Every distance by its definition, every order by sorting.
    fn slow(rows: &Array2<f64>, codes: &Array2<f64>, classes: &[usize], k: usize) -> [f64; 2] {
        let n = rows.nrows();
        let order = |points: &Array2<f64>, i: usize| {
            let distance = |j: usize| (&points.row(i) - &points.row(j)).mapv(|v| v * v).sum();
            let mut others: Vec<(f64, usize)> =
                (0..n).filter(|&j| j != i).map(|j| (distance(j), j)).collect();
            others.sort_by(|a, b| a.partial_cmp(b).unwrap());
            others.into_iter().map(|(_, j)| j).collect::<Vec<_>>()
        };
        let (mut right, mut sum) = (0.0, 0.0);
        for i in 0..n {
            let (near, far) = (order(codes, i), order(rows, i));
            let votes = |class| near[..k].iter().filter(|&&j| classes[j] == class).count() as isize;
            let most = (0..4).max_by_key(|&class| (votes(class), -(class as isize))).unwrap();
            right += f64::from(u8::from(most == classes[i]));
            for j in near[..k].iter().filter(|j| !far[..k].contains(j)) {
                sum += (far.iter().position(|other| other == j).unwrap() + 1 - k) as f64;
            }
        }
        let (n, k) = (n as f64, k as f64);
        [right / n, 1.0 - 2.0 / (n * k * (2.0 * n - 3.0 * k - 1.0)) * sum]
    }

    /// More rows than two blocks, far from the origin.
    #[test]
    fn figures_are_those_of_the_slow_twin() {
        let rows = drawn(600, 8, "rows") + 1000.0;
        let codes = rows.slice(s![.., ..3]).to_owned() + 0.3 * drawn(600, 3, "codes");
        let classes: Vec<usize> =
            rows.outer_iter().map(|x| usize::from(x[0] > 1e3) + usize::from(x[4] > 1e3)).collect();
        for k in [1, 5, 12] {
            let pca = Some(codes.slice(s![.., ..2]));
            let found = Neighbours::measure(rows.view(), codes.view(), pca, Some(&classes), k);
            let found = found.unwrap();
            let flat = codes.slice(s![.., ..2]).to_owned();
            for (found, codes) in [(found.scores, &codes), (found.pca.unwrap(), &flat)] {
                let [accuracy, trustworthiness] = slow(&rows, codes, &classes, k);
                assert_eq!(found.accuracy, Some(accuracy), "k = {k}");
                assert!((found.trustworthiness - trustworthiness).abs() < 1e-12, "k = {k}");
            }
            let [accuracy, _] = slow(&rows, &rows, &classes, k);
            assert_eq!((found.rows, found.accuracy_of_rows), (600, Some(accuracy)));
        }
    }

    #[test]
    fn codes_that_keep_every_distance_are_trusted_wholly() {
        let rows = drawn(90, 3, "kept");
        let turned = rows.slice(s![.., ..;-1]).to_owned() * 7.0 - 4.0;
        let found = Neighbours::measure(rows.view(), turned.view(), None, None, 5).unwrap();
        let scores = NeighbourScores { accuracy: None, trustworthiness: 1.0 };
        assert_eq!((found.scores, found.pca, found.accuracy_of_rows), (scores, None, None));
    }

    #[test]
    fn few_rows_are_measured_by_fewer_neighbours_or_not_at_all() {
        let nearest = |count| {
            let rows = drawn(count, 2, "few");
            let found = Neighbours::measure(rows.view(), rows.view(), None, None, 5);
            found.map(|found| found.nearest)
        };
        assert_eq!(
            [0, 1, 2, 3, 10, 11, 12].map(nearest),
            [None, None, None, Some(1), Some(4), Some(5), Some(5)]
        );
    }
}
