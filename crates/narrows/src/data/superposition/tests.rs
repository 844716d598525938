#![allow(clippy::unwrap_used)]

use std::ops::Range;

use super::firing::{normal_cdf, threshold};
use super::*;
use crate::random::Random;

/// As in `make_superposition.py`.
fn small(seed: u64) -> SuperpositionKnobs {
    let shape = SuperpositionKnobs {
        features: 2048,
        dim: 8,
        roots: 16,
        rows: 10_000,
        ..Default::default()
    };
    SuperpositionKnobs { seed, rounds: 0, ..shape }
}
const LEVELS: [usize; 6] = [0, 16, 80, 336, 1360, 2048];

fn flat() -> SuperpositionKnobs {
    SuperpositionKnobs { roots: 0, ..small(5) }
}

fn golden() -> serde_json::Value {
    serde_json::from_str(include_str!("../../../tests/golden/superposition.json")).unwrap()
}

fn numbers(value: &serde_json::Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn variance(values: &[f64]) -> f64 {
    let mean = mean(values);
    values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64
}

/// How many features of each row fire in a range, and all their codes.
fn level(codes: &SparseRows, range: Range<usize>) -> (Vec<f64>, Vec<f64>) {
    let mut counts = Vec::new();
    let mut values = Vec::new();
    for row in 0..codes.rows() {
        let (columns, entries) = codes.row(row);
        let inside = columns.iter().zip(entries).filter(|(c, _)| range.contains(&(**c as usize)));
        let before = values.len();
        values.extend(inside.map(|(_, &value)| f64::from(value)));
        counts.push((values.len() - before) as f64);
    }
    (counts, values)
}

fn figures(codes: &SparseRows) -> Vec<f64> {
    let (counts, _) = level(codes, 0..2048);
    let mut figures = vec![mean(&counts), variance(&counts)];
    for bounds in LEVELS.windows(2) {
        let (counts, values) = level(codes, bounds[0]..bounds[1]);
        figures.extend([mean(&counts), mean(&values), variance(&values).sqrt()]);
    }
    figures
}

#[test]
fn features_fire_as_often_and_as_strongly_as_those_of_saelens() {
    let golden = golden();
    let models = 60;
    let found: Vec<Vec<f64>> = (0..models)
        .map(|seed| figures(&small(seed).generate().unwrap().codes(0..10_000)))
        .collect();
    let (theirs, their_errors) = (numbers(&golden["means"]), numbers(&golden["standard_errors"]));
    for (place, name) in golden["names"].as_array().unwrap().iter().enumerate() {
        let ours: Vec<f64> = found.iter().map(|figures| figures[place]).collect();
        let error = (variance(&ours) / models as f64 + their_errors[place].powi(2)).sqrt();
        let gap = mean(&ours) - theirs[place];
        // 17 figures: a gap of 4 standard errors comes by chance once in a thousand tests.
        assert!(gap.abs() < 4.0 * error, "{name}: {gap} beside {error}");
    }
}

#[test]
fn rates_are_those_of_saelens() {
    let (golden, truth) = (golden(), small(0).generate().unwrap());
    for (ours, theirs) in truth.rates().iter().zip(numbers(&golden["rates"])) {
        assert!((ours - theirs).abs() < 1e-6 * theirs + 1e-8, "{ours} {theirs}");
    }
    let given = forest::Forest::new(2048, 16, 4, 3).given_parent(truth.rates());
    for (ours, theirs) in given.iter().zip(numbers(&golden["given_parent"])) {
        assert!((ours - theirs).abs() < 1e-5 * theirs, "{ours} {theirs}");
    }
}

#[test]
fn without_trees_every_feature_fires_at_its_rate() {
    let truth = SuperpositionKnobs { rows: 60_000, ..flat() }.generate().unwrap();
    let codes = truth.codes(0..60_000);
    let mut counts = vec![0.0; 2048];
    for row in 0..codes.rows() {
        codes.row(row).0.iter().for_each(|&feature| counts[feature as usize] += 1.0);
    }
    // σ is at most about 2.5 beside means of 4 and 5: a magnitude is cut to 0 in one draw in 10,000.
    let terms = counts.iter().zip(truth.rates()).map(|(count, p)| {
        let n = codes.rows() as f64;
        (count - n * p).powi(2) / (n * p * (1.0 - p))
    });
    let chi_squared: f64 = terms.sum();
    // χ² with 2,048 degrees of freedom has deviation 64.
    assert!((chi_squared - 2048.0).abs() < 4.0 * 64.0, "{chi_squared}");
}

#[test]
fn pairs_fire_together_as_the_copula_says() {
    // Few features, frequent and strongly correlated; two of them share half of their variance.
    let knobs = SuperpositionKnobs {
        features: 12,
        max_rate: 0.3,
        min_rate: 0.1,
        rank: 3,
        correlation: 0.4,
        rows: 200_000,
        ..flat()
    };
    let codes = knobs.generate().unwrap().codes(0..knobs.rows);
    let mut together = vec![vec![0.0; 12]; 12];
    for row in 0..codes.rows() {
        let (columns, _) = codes.row(row);
        for &a in columns {
            columns.iter().for_each(|&b| together[a as usize][b as usize] += 1.0);
        }
    }
    let loadings = synthetic::loadings_for_tests(&knobs);
    let rates = knobs.generate().unwrap().rates().to_vec();
    let n = codes.rows() as f64;
    let mut strongest: f64 = 0.0;
    for a in 0..12 {
        for b in 0..a {
            let correlation = loadings[a].iter().zip(&loadings[b]).map(|(x, y)| x * y).sum();
            let p = both(threshold(rates[a]), threshold(rates[b]), correlation);
            let deviation = (p * (1.0 - p) / n).sqrt();
            let gap = together[a][b] / n - p;
            assert!(gap.abs() < 4.5 * deviation, "{a} and {b}: {gap} beside {deviation}");
            strongest = strongest.max((p / (rates[a] * rates[b]) - 1.0).abs());
        }
    }
    assert!(strongest > 0.5, "no pair is correlated enough to tell: {strongest}");
}

/// P(g > s and h > t) of standard normal numbers of a correlation, by the trapezoid rule over g.
fn both(s: f64, t: f64, correlation: f64) -> f64 {
    let step = 1e-3;
    let own = (1.0 - correlation * correlation).sqrt();
    let at = |g: f64| {
        let density = (-0.5 * g * g).exp() / (2.0 * std::f64::consts::PI).sqrt();
        density * normal_cdf((correlation * g - t) / own)
    };
    (0..10_000)
        .map(|i| 0.5 * step * (at(s + i as f64 * step) + at(s + (i + 1) as f64 * step)))
        .sum()
}

#[test]
fn a_child_fires_only_below_its_parent_and_alone() {
    let truth = small(9).generate().unwrap();
    let codes = truth.codes(0..10_000);
    let forest = forest::Forest::new(2048, 16, 4, 3);
    let mut children = 0;
    for row in 0..codes.rows() {
        let (columns, _) = codes.row(row);
        let fires = |feature: usize| columns.binary_search(&(feature as u32)).is_ok();
        let mut allowed: Vec<usize> = (0..16).chain(1360..2048).filter(|&j| fires(j)).collect();
        let mut next = 0;
        while next < allowed.len() {
            let fired: Vec<usize> = forest.children(allowed[next]).filter(|&j| fires(j)).collect();
            assert!(fired.len() <= 1, "siblings fire together");
            children += fired.len();
            allowed.extend(fired);
            next += 1;
        }
        assert_eq!(allowed.len(), columns.len(), "a feature fires without its parent");
    }
    assert!(children > 10_000);
}

#[test]
fn children_share_their_parent_as_enumeration_says() {
    // One root that always fires, four children, no correlation, no spread: all chances are known.
    let knobs = SuperpositionKnobs {
        features: 5,
        dim: 4,
        roots: 1,
        depth: 1,
        rank: 0,
        spread: 0.0,
        max_rate: 0.9,
        min_rate: 0.05,
        rows: 100_000,
        ..small(2)
    };
    let truth = knobs.generate().unwrap();
    let given = forest::Forest::new(5, 1, 4, 1).given_parent(truth.rates());
    let codes = truth.codes(0..knobs.rows);
    let mut counts = [0.0; 5];
    (0..codes.rows()).for_each(|i| codes.row(i).0.iter().for_each(|&j| counts[j as usize] += 1.0));
    for child in 1..5 {
        // Over every set of siblings that fire too, the share of the draws that this child wins.
        let mut chance = 0.0;
        for set in (0..16_u32).filter(|set| set >> (child - 1) & 1 == 1) {
            let of = |j: usize| if set >> (j - 1) & 1 == 1 { given[j] } else { 1.0 - given[j] };
            chance += (1..5).map(of).product::<f64>() / f64::from(set.count_ones());
        }
        let (parent, n) = (counts[0], knobs.rows as f64);
        let deviation = (parent * chance * (1.0 - chance)).sqrt();
        assert!((counts[child] - parent * chance).abs() < 4.0 * deviation, "child {child}");
        assert!((parent / n - 0.9).abs() < 4.0 * (0.09 / n).sqrt());
    }
    let (_, values) = level(&codes, 0..1);
    assert!(values.iter().all(|&value| value == 5.0));
    // The parent is as strong as its mean, so a child is as strong as its own.
    let (_, values) = level(&codes, 4..5);
    assert!(values.iter().all(|&value| (value - 4.0).abs() < 1e-6));
}

#[test]
fn rows_are_their_codes_in_their_directions() {
    let truth = SuperpositionKnobs { dim: 33, rows: 100, ..small(4) }.generate().unwrap();
    let mut rows = vec![0.0; 100 * 33];
    truth.read_f32(0, &mut rows).unwrap();
    let codes = truth.codes(0..100).to_dense();
    for (i, row) in rows.chunks_exact(33).enumerate() {
        for (k, value) in row.iter().enumerate() {
            let terms = codes.row(i).iter().enumerate();
            let sum: f64 =
                terms.map(|(j, &z)| f64::from(z) * f64::from(truth.directions().row(j)[k])).sum();
            assert!((f64::from(*value) - sum - f64::from(truth.bias()[k])).abs() < 1e-4);
        }
    }
    let norm = truth.bias().iter().map(|c| f64::from(*c).powi(2)).sum::<f64>().sqrt();
    assert!((norm - 0.5).abs() < 1e-6);
}

#[test]
fn a_row_is_the_same_however_it_is_read() {
    for (truth, later) in [
        (
            small(7).generate().unwrap(),
            SuperpositionKnobs { first: 60, rows: 40, ..small(7) }.generate(),
        ),
        (
            ToyKnobs::default().generate().unwrap(),
            ToyKnobs { first: 60, ..Default::default() }.generate(),
        ),
    ] {
        let (dim, later) = (truth.dim(), later.unwrap());
        let mut whole = vec![0.0; 100 * dim];
        truth.read_f32(0, &mut whole).unwrap();
        let mut part = vec![0.0; 31 * dim];
        truth.read_f32(60, &mut part).unwrap();
        assert_eq!(part, whole[60 * dim..91 * dim]);
        later.read_f32(0, &mut part).unwrap();
        assert_eq!(part, whole[60 * dim..91 * dim]);
        let places = Random::stream(0, "places").permutation(100);
        let mut gathered = vec![0.0; 100 * dim];
        truth.gather_f32(&places, &mut gathered).unwrap();
        for (row, &place) in gathered.chunks_exact(dim).zip(&places) {
            assert_eq!(row, &whole[place * dim..][..dim]);
        }
        let threads = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let mut alone = vec![0.0; 100 * dim];
        threads.install(|| truth.read_f32(0, &mut alone)).unwrap();
        assert_eq!(alone, whole);
    }
}

#[test]
fn the_first_codes_never_change() {
    let codes = small(0).generate().unwrap().codes(0..1);
    assert_eq!(&codes.row(0).0[..6], PINNED);
}
const PINNED: [u32; 6] = [4, 13, 15, 34, 69, 76];

fn products(directions: &Matrix) -> Vec<f64> {
    let n = directions.rows();
    let mut products = ndarray::Array2::zeros((n, n));
    crate::compute::multiply(directions.view(), directions.view().t(), products.view_mut());
    products.iter().map(|&x| f64::from(x)).collect()
}

#[test]
fn directions_reach_the_least_loss() {
    let knobs = SuperpositionKnobs { features: 600, dim: 50, ..small(3) };
    let loss = |rounds: usize| {
        let truth = SuperpositionKnobs { rounds, ..knobs.clone() }.generate().unwrap();
        let products = products(truth.directions());
        assert!((0..600).all(|j| (products[j * 601] - 1.0).abs() < 1e-5));
        products.iter().map(|x| x * x).sum::<f64>() - 600.0
    };
    let least = 600.0_f64 * 600.0 / 50.0 - 600.0;
    // Random directions: each of n(n − 1) products has variance 1/d.
    assert!((loss(0) / (600.0 * 599.0 / 50.0) - 1.0).abs() < 0.02);
    assert!((loss(3) / least - 1.0).abs() < 1e-4, "{} {least}", loss(3));
    // Fewer features than dimensions need not interfere at all.
    let few = SuperpositionKnobs { features: 40, dim: 50, rounds: 1, ..knobs }.generate().unwrap();
    let largest = products(few.directions())
        .iter()
        .enumerate()
        .filter(|(place, _)| place % 41 != 0)
        .map(|(_, x)| x.abs())
        .fold(0.0, f64::max);
    assert!(largest < 1e-5, "{largest}");
}

#[test]
fn the_toy_fires_five_features_that_fade() {
    let truth = ToyKnobs { rows: 50_000, ..Default::default() }.generate().unwrap();
    let codes = truth.codes(0..50_000);
    let (counts, values) = level(&codes, 0..512);
    // Rows in which none would fire have one: they add e^(−5) or a little less.
    let expected = 5.0 + (-5.0_f64).exp();
    let error = (variance(&counts) / counts.len() as f64).sqrt();
    assert!((mean(&counts) - expected).abs() < 0.01 + 4.0 * error, "{}", mean(&counts));
    assert!(counts.iter().all(|&count| count >= 1.0));
    // A product of two uniform numbers has mean ¼ and variance 1/9 − 1/16.
    let error = ((1.0 / 9.0 - 1.0 / 16.0) / values.len() as f64).sqrt();
    assert!((mean(&values) - 0.25).abs() < 0.001 + 4.0 * error, "{}", mean(&values));
    let (early, _) = level(&codes, 0..100);
    let (late, _) = level(&codes, 200..300);
    let ratio = mean(&early) / mean(&late);
    let meant = 0.99_f64.powi(-200);
    assert!((ratio / meant - 1.0).abs() < 0.1, "{ratio} {meant}");
}

#[test]
fn pairs_of_the_toy_fire_together_as_their_covariance_says() {
    let knobs = ToyKnobs {
        features: 32,
        dim: 4,
        active: 8.0,
        decay: 1.0,
        rows: 100_000,
        ..Default::default()
    };
    let codes = knobs.generate().unwrap().codes(0..knobs.rows);
    let mut together = vec![vec![0.0; 32]; 32];
    for row in 0..codes.rows() {
        for &a in codes.row(row).0 {
            codes.row(row).0.iter().for_each(|&b| together[a as usize][b as usize] += 1.0);
        }
    }
    let factors = toy::factors(32, knobs.seed).unwrap().into_array();
    let covariance = |a: usize, b: usize| {
        factors.column(a).iter().zip(factors.column(b)).map(|(x, y)| f64::from(x * y)).sum::<f64>()
    };
    let n = codes.rows() as f64;
    let (mut meant, mut found) = (Vec::new(), Vec::new());
    for a in 0..32 {
        for b in 0..a {
            meant.push(covariance(a, b));
            found.push(together[a][b] / n - together[a][a] * together[b][b] / (n * n));
        }
    }
    // Means of two numbers uniform on [0, 1).
    assert!(meant.iter().all(|x| (-1e-4..1.0).contains(x)) && (mean(&meant) - 0.5).abs() < 0.05);
    assert!((variance(&meant) - 1.0 / 24.0).abs() < 0.01);
    let (centre_meant, centre_found) = (mean(&meant), mean(&found));
    let shared = meant.iter().zip(&found).map(|(x, y)| (x - centre_meant) * (y - centre_found));
    let shared = shared.sum::<f64>() / (meant.len() - 1) as f64;
    let likeness = shared / (variance(&meant) * variance(&found)).sqrt();
    assert!(likeness > 0.9, "{likeness}");
}
