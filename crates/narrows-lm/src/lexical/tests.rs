//! Features whose rule is known, and plain loops beside the sums in cells.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use narrows::compute::Matrix;
use narrows::evaluate::{CodeOrder, Frame};
use narrows::random::Random;

use super::rules::{Means, SHRINKAGE, Sums};
use super::*;
use crate::text::Windows;

const LENGTH: usize = 32;
const TOKENS: usize = 20;
const BEGIN: u32 = 0;

fn windows(count: usize) -> Windows {
    let mut random = Random::stream(5, "tokens");
    Windows::new((0..count * LENGTH).map(|_| random.below(TOKENS) as u32).collect(), LENGTH)
}

/// The activation of a feature at a place of some tokens.
type Made<'a> = &'a dyn Fn(usize, &[u32]) -> f32;

/// Rows of which each column is a feature.
fn rows(windows: &Windows, features: &[Made<'_>]) -> Matrix {
    let (mut values, mut row) = (Vec::new(), 0);
    for (place, &token) in windows.tokens.iter().enumerate() {
        if token != BEGIN {
            let seen = &windows.tokens[place / LENGTH * LENGTH..=place];
            values.extend(features.iter().map(|feature| feature(row, seen)));
            row += 1;
        }
    }
    Matrix::from_rows(row, features.len(), values).unwrap()
}

/// A dictionary whose latents are the columns.
fn columns(count: usize) -> Basis {
    let mut eye = Matrix::zeros(count, count);
    (0..count).for_each(|j| eye.as_mut_slice()[j * count + j] = 1.0);
    let dictionary = narrows::model::Dictionary {
        encoder: eye.clone(),
        encoder_bias: vec![0.0; count],
        decoder: eye,
        decoder_bias: vec![0.0; count],
        skip: None,
        centred: false,
        gate: narrows::model::dictionary::Gate::Relu,
        row_scale: narrows::model::dictionary::RowScale::None,
    };
    Basis::dictionary("dictionary", dictionary).unwrap()
}

fn last(seen: &[u32], steps: usize) -> Option<u32> {
    seen.len().checked_sub(1 + steps).map(|place| seen[place])
}

fn noise(row: usize) -> f32 {
    Random::numbered(1, "noise", &[row as u64]).uniform() as f32
}

fn scores_of(scores: &LexicalScores, feature: usize) -> &FeatureScore {
    scores.features.iter().find(|score| score.feature == feature).unwrap()
}

fn all(windows: &Windows, rows: &Matrix, basis: &Basis) -> LexicalScores {
    let contexts = Contexts::new(windows, Some(BEGIN)).unwrap();
    measure(basis, Rows::Matrix(rows), &contexts, &LexicalOptions::default(), &mut |_| ()).unwrap()
}

#[test]
fn a_feature_whose_rule_is_known_is_told_by_it() {
    let windows = windows(6000);
    let one = |yes: bool| f32::from(u8::from(yes));
    let rows = rows(
        &windows,
        &[
            &|_, seen| one(last(seen, 0) == Some(3) || last(seen, 0) == Some(7)),
            &|_, seen| one(last(seen, 1) == Some(4)),
            &|_, seen| one(last(seen, 1) == Some(4) && last(seen, 0) == Some(9)),
            // Not the first place, which the rule of the token before knows by its absence.
            &|_, seen| one(seen.len() == 3 || seen.len() == 4),
            &|row, _| if noise(row) < 0.1 { noise(row) } else { 0.0 },
            &|_, _| 0.0,
            &|row, _| one(row < 3),
        ],
    );
    let scores = all(&windows, &rows, &columns(7));
    assert_eq!((scores.drawn, scores.dead, scores.rare, scores.features.len()), (7, 1, 1, 5));
    let expected = [Rule::Current, Rule::Previous, Rule::Bigram, Rule::Position];
    for (feature, rule) in expected.into_iter().enumerate() {
        let found = scores_of(&scores, feature);
        assert_eq!(found.rule, rule, "feature {feature}");
        assert!(found.correlation > 0.999, "feature {feature}: {}", found.correlation);
        let set = &found.set;
        assert_eq!((set.rule, set.precision, set.recall, set.f1), (rule, 1.0, 1.0, 1.0));
    }
    let tokens: Vec<_> = scores_of(&scores, 0).set.contexts.iter().map(|c| c.tokens[0]).collect();
    assert!(tokens.len() == 2 && tokens.contains(&Some(3)) && tokens.contains(&Some(7)));
    // What no rule can know is not known on rows that were held out.
    let random = scores_of(&scores, 4);
    assert!(random.correlation.abs() < 0.04, "{}", random.correlation);
    assert!(random.set.f1 < 0.22, "{}", random.set.f1);
}

/// A feature that fires on a token with probability ½ has, of the rule of that token, a correlation and an F1 in
/// closed form: with share s of the token among those with a row, `√((½s − ¼s²)⁻¹)·½·√(s(1 − s))`, precision ½, recall 1.
#[test]
fn a_feature_that_fires_half_the_time_has_the_scores_of_the_closed_form() {
    let windows = windows(2000);
    let basis = columns(2);
    let rows = rows(
        &windows,
        &[
            &|row, seen| f32::from(u8::from(last(seen, 0) == Some(3) && noise(row) < 0.5)),
            &|row, seen| f32::from(u8::from(last(seen, 0) == Some(3) && noise(row) < 0.5)),
        ],
    );
    let found = all(&windows, &rows, &basis);
    let s = 1.0 / (TOKENS - 1) as f64;
    let (p, spread) = (s / 2.0, (s * (1.0 - s)).sqrt() / 2.0);
    let expected = spread / (p * (1.0 - p)).sqrt();
    let score = scores_of(&found, 0);
    assert_eq!(score.rule, Rule::Current);
    assert!((score.correlation - expected).abs() < 0.02, "{} {expected}", score.correlation);
    let set = &score.token_set;
    assert!((set.precision - 0.5).abs() < 0.03 && set.recall == 1.0, "{set:?}");
    // Two features alike have a mean of that and no error.
    let error = found.correlation.standard_error.unwrap();
    assert!((found.correlation.mean - score.correlation).abs() < 1e-12 && error < 1e-12);
}

#[test]
fn held_out_rows_change_nothing_that_is_chosen() {
    let windows = windows(200);
    let contexts = Contexts::new(&windows, Some(BEGIN)).unwrap();
    let plain = |row: usize, seen: &[u32]| {
        if last(seen, 0) == Some(2) { 1.0 + noise(row) } else { 0.1 * noise(row + 9) }
    };
    let upside_down = |row: usize, seen: &[u32]| match contexts.is_held_out(row) {
        true => f32::from(u8::from(last(seen, 0) == Some(5))),
        false => plain(row, seen),
    };
    let rows = rows(&windows, &[&plain, &upside_down]);
    let found = all(&windows, &rows, &columns(2));
    let (plain, other) = (scores_of(&found, 0), scores_of(&found, 1));
    assert_eq!(plain.rule, other.rule);
    assert_eq!(plain.set.contexts, other.set.contexts);
    assert!(plain.correlation > 0.9 && other.correlation < 0.0);
    let share = contexts.fitted() as f64 / contexts.rows() as f64;
    assert!((0.4..0.6).contains(&share), "{share}");
}

/// Sums, predictions without the row itself and the correlation, by plain loops.
#[test]
fn sums_in_cells_are_those_of_plain_loops() {
    let windows = windows(40);
    let contexts = Contexts::new(&windows, None).unwrap();
    let count = contexts.rows();
    let a: Vec<f64> = (0..count)
        .map(|row| if noise(row) < 0.3 { f64::from(noise(row + 1)) } else { 0.0 })
        .collect();
    let listed: Vec<(u32, f32)> =
        (0..count).filter(|&row| a[row] > 0.0).map(|row| (row as u32, a[row] as f32)).collect();
    let sums = Sums::new(&contexts, &listed);
    let chain = &contexts.chains[0];
    let means = Means::of_chain(chain, &sums.cells[0], contexts.fitted(), sums.all.sum, |c| c.sum);
    let keys = |row: usize| {
        let token = |steps: usize| (row % LENGTH >= steps).then(|| windows.tokens[row - steps]);
        [vec![], vec![token(0)], vec![token(1), token(0)], vec![token(2), token(1), token(0)]]
    };
    let fitted: Vec<usize> = (0..count).filter(|&row| !contexts.is_held_out(row)).collect();
    let mut cells: HashMap<Vec<Option<u32>>, (f64, f64)> = HashMap::new();
    for &row in &fitted {
        for key in keys(row) {
            let cell = cells.entry(key).or_default();
            *cell = (cell.0 + a[row], cell.1 + 1.0);
        }
    }
    let predict = |row: usize, depth: usize, own: Option<f64>| {
        let less = own.map_or(0.0, |_| 1.0);
        let keys = keys(row);
        let cell = |key: &Vec<Option<u32>>| cells.get(key).copied().unwrap_or_default();
        let (sum, n) = cell(&keys[0]);
        let mut value = (sum - own.unwrap_or(0.0)) / (n - less);
        for key in &keys[1..=depth] {
            let (sum, n) = cell(key);
            value = (sum - own.unwrap_or(0.0) + SHRINKAGE * value) / (n - less + SHRINKAGE);
        }
        value
    };
    for depth in 1..=3 {
        let (level, own) = (&chain.levels[depth - 1], &sums.cells[0][depth - 1]);
        let error: f64 =
            fitted.iter().map(|&row| (a[row] - predict(row, depth, Some(a[row]))).powi(2)).sum();
        let found = means[depth - 1].error_without_itself(level, own);
        assert!((found - error).abs() < 1e-6 * error, "{found} {error}");
        let held: Vec<(f64, f64)> = (0..count)
            .filter(|&row| contexts.is_held_out(row))
            .map(|row| (a[row], predict(row, depth, None)))
            .collect();
        let n = held.len() as f64;
        let (x, y) = held.iter().fold((0.0, 0.0), |s, p| (s.0 + p.0 / n, s.1 + p.1 / n));
        let [xy, xx, yy] = held.iter().fold([0.0; 3], |[xy, xx, yy], (a, b)| {
            let (a, b) = (a - x, b - y);
            [xy + a * b, xx + a * a, yy + b * b]
        });
        let expected = xy / (xx * yy).sqrt();
        let found = sums.held_out_correlation(level, own, &means[depth - 1]);
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    }
}

#[test]
fn a_dense_basis_fires_as_often_as_it_is_told_and_on_the_side_that_leans_up() {
    let windows = windows(300);
    let rows = rows(
        &windows,
        &[
            &|row, seen| if last(seen, 0) == Some(3) { -5.0 - noise(row) } else { noise(row) },
            &|row, _| noise(row + 7) - 0.5,
        ],
    );
    let mut axes = Matrix::zeros(2, 2);
    axes.as_mut_slice().copy_from_slice(&[1.0, 0.0, 0.0, 1.0]);
    let frame = Frame {
        mean: vec![0.0; 2],
        encoder: axes.clone(),
        decoder: axes,
        order: CodeOrder::Largest,
    };
    let contexts = Contexts::new(&windows, Some(BEGIN)).unwrap();
    let options = LexicalOptions { densities: vec![0.04], ..LexicalOptions::default() };
    let found = measure(
        &Basis::frame("axes", frame.clone(), 2),
        Rows::Matrix(&rows),
        &contexts,
        &options,
        &mut |_| (),
    )
    .unwrap();
    assert!(found.dense);
    let leaning = scores_of(&found, 0);
    assert!(leaning.negative && leaning.set.precision > 0.7, "{leaning:?}");
    for feature in &found.features {
        assert!((feature.density - 0.04).abs() < 0.006, "{}", feature.density);
    }
    let none = LexicalOptions::default();
    let missing = measure(
        &Basis::frame("axes", frame, 2),
        Rows::Matrix(&rows),
        &contexts,
        &none,
        &mut |_| (),
    );
    assert!(missing.unwrap_err().to_string().contains("measure the dictionary first"));
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let windows = windows(100);
    let rows = rows(
        &windows,
        &[
            &|row, seen| if last(seen, 0) == Some(3) { noise(row) } else { 0.0 },
            &|row, _| noise(row + 7) - 0.8,
            &|row, _| noise(row + 3) - 0.4,
        ],
    );
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| all(&windows, &rows, &columns(3)))
    };
    assert_eq!(with(1), with(3));
}

#[test]
fn what_does_not_fit_is_refused() {
    let text = windows(4);
    let contexts = Contexts::new(&text, None).unwrap();
    let rows = Matrix::zeros(7, 2);
    let options = LexicalOptions::default();
    let error = measure(&columns(2), Rows::Matrix(&rows), &contexts, &options, &mut |_| ());
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("128 rows, one for each token that begins no document")
    );
    assert!(Contexts::new(&windows(1), None).is_err());
    let begun = text.tokens.iter().filter(|&&token| token == BEGIN).count();
    assert!(begun > 0 && Contexts::new(&text, Some(BEGIN)).unwrap().rows() == 128 - begun);
}
