//! Tokens that directions promote, and directions near to each other.

use std::cmp::Ordering;

use narrows::compute::{Matrix, RowNorm, multiply};
use serde::Serialize;

use super::collect::TokenWeight;
use crate::model::LanguageModel;

/// Directions whose logits are held at a time.
const TILE: usize = 64;
/// Bins of a histogram of logits.
const BINS: usize = 40;

/// How much a direction raises or lowers all tokens.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LogitHistogram {
    /// What it does to the token that it lowers most.
    pub least: f32,
    /// What it does to the token that it raises most.
    pub most: f32,
    /// How many tokens lie in each of 40 equal bins between.
    pub counts: Vec<u32>,
}

/// What a direction does to tokens.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Lens {
    pub(super) promoted: Vec<TokenWeight>,
    pub(super) suppressed: Vec<TokenWeight>,
    pub(super) logits: Option<LogitHistogram>,
}

/// Of some of the directions `(n, d)` the `most` tokens that each promotes, those that it suppresses, and all of them
/// as a histogram.
pub(super) fn through(
    model: &LanguageModel,
    directions: &Matrix,
    asked: &[usize],
    most: usize,
) -> Vec<Lens> {
    let unembedding = model.unembedding();
    let d = directions.cols();
    let (mut tile, mut logits) = (Matrix::default(), Matrix::default());
    let mut found = Vec::with_capacity(asked.len());
    for some in asked.chunks(TILE) {
        gather(&mut tile, directions, some);
        for row in tile.as_mut_slice().chunks_exact_mut(d) {
            if model.architecture.norm == RowNorm::Layer {
                let mean = row.iter().sum::<f32>() / d as f32;
                row.iter_mut().for_each(|x| *x -= mean);
            }
            row.iter_mut().zip(model.last_norm_factors()).for_each(|(x, gamma)| *x *= gamma);
        }
        logits.reshape(TILE, unembedding.rows());
        multiply(tile.view(), unembedding.view().reversed_axes(), logits.view_mut());
        found.extend((0..some.len()).map(|row| lens(logits.row(row), most)));
    }
    found
}

/// The tile has all of its rows even where fewer are wanted: products of few rows round differently, and what is told of
/// a feature is not to depend on which others are asked for.
fn gather(tile: &mut Matrix, from: &Matrix, rows: &[usize]) {
    tile.reshape(TILE, from.cols());
    tile.as_mut_slice().fill(0.0);
    let into = tile.as_mut_slice().chunks_exact_mut(from.cols());
    into.zip(rows).for_each(|(into, &row)| into.copy_from_slice(from.row(row)));
}

fn lens(logits: &[f32], most: usize) -> Lens {
    let [promoted, suppressed] = ends(logits, most);
    Lens { promoted, suppressed, logits: histogram(logits) }
}

/// None of no logits.
fn histogram(logits: &[f32]) -> Option<LogitHistogram> {
    let least = logits.iter().copied().min_by(f32::total_cmp)?;
    let most = logits.iter().copied().max_by(f32::total_cmp)?;
    let width = (most - least).max(f32::MIN_POSITIVE);
    let mut counts = vec![0; BINS];
    for logit in logits {
        let bin = ((logit - least) / width * BINS as f32) as usize;
        counts[bin.min(BINS - 1)] += 1;
    }
    Some(LogitHistogram { least, most, counts })
}

/// The largest, from the largest on, and the smallest, from the smallest on; of equals the first.
fn ends(values: &[f32], most: usize) -> [Vec<TokenWeight>; 2] {
    let all = values.iter().copied().enumerate();
    let mut highest: Vec<(usize, f32)> = all.clone().collect();
    keep_largest(&mut highest, most);
    let mut lowest: Vec<(usize, f32)> = all.map(|(token, value)| (token, -value)).collect();
    keep_largest(&mut lowest, most);
    let weight = |token: usize| TokenWeight { token: token as u32, weight: values[token] };
    [highest, lowest].map(|some| some.into_iter().map(|(token, _)| weight(token)).collect())
}

/// Keeps the `most` with the largest values, in falling order; of equals those with the lower numbers.
pub(super) fn keep_largest(items: &mut Vec<(usize, f32)>, most: usize) {
    let order = |a: &(usize, f32), b: &(usize, f32)| -> Ordering {
        b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
    };
    if most < items.len() {
        // A full sort of a wide vocabulary for each of many features would take longer than their logits.
        items.select_nth_unstable_by(most, order);
        items.truncate(most);
    }
    items.sort_unstable_by(order);
}

/// Of some of the directions the `most` others, of all, with the largest cosine.
pub(super) fn near(directions: &Matrix, asked: &[usize], most: usize) -> Vec<Vec<(usize, f32)>> {
    let d = directions.cols();
    let mut unit = directions.clone();
    for row in unit.as_mut_slice().chunks_exact_mut(d) {
        let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        if length > 0.0 {
            row.iter_mut().for_each(|x| *x /= length);
        }
    }
    let (mut tile, mut cosines) = (Matrix::default(), Matrix::default());
    let mut found = Vec::with_capacity(asked.len());
    for some in asked.chunks(TILE) {
        gather(&mut tile, &unit, some);
        cosines.reshape(TILE, unit.rows());
        multiply(tile.view(), unit.view().reversed_axes(), cosines.view_mut());
        for (row, own) in some.iter().enumerate() {
            let all = cosines.row(row).iter().copied().enumerate();
            let mut others: Vec<(usize, f32)> = all.filter(|(other, _)| other != own).collect();
            keep_largest(&mut others, most);
            found.push(others);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use narrows::random::Random;

    use super::*;

    #[test]
    fn the_nearest_by_hand() {
        let directions = Matrix::from_rows(3, 2, vec![2.0, 0.0, 0.0, 1.0, 3.0, 3.0]).expect("fits");
        let found = near(&directions, &[0, 1, 2], 1);
        assert_eq!(found.iter().map(|near| near[0].0).collect::<Vec<_>>(), [2, 2, 0]);
        assert!((found[0][0].1 - 0.5_f32.sqrt()).abs() < 1e-6);
        assert_eq!(near(&directions, &[1], 1), [found[1].clone()]);
    }

    #[test]
    fn ends_of_an_order() {
        let [most, least] = ends(&[0.5, -2.0, 3.0, 0.0], 2);
        assert_eq!(most.iter().map(|own| own.token).collect::<Vec<_>>(), [2, 0]);
        assert_eq!(least.iter().map(|own| own.token).collect::<Vec<_>>(), [1, 3]);
    }

    #[test]
    fn the_largest_are_those_of_a_full_sort() {
        let mut random = Random::stream(3, "values");
        // Few values, so that many are equal.
        let all: Vec<(usize, f32)> = (0..500).map(|at| (at, random.below(20) as f32)).collect();
        for most in [0, 1, 7, 499, 500, 600] {
            let (mut ours, mut sorted) = (all.clone(), all.clone());
            keep_largest(&mut ours, most);
            sorted.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            sorted.truncate(most);
            assert_eq!(ours, sorted);
        }
    }

    #[test]
    fn a_histogram_has_every_token() {
        let found = histogram(&[-1.0, 3.0, 3.0, 1.0]).expect("some");
        assert_eq!((found.least, found.most), (-1.0, 3.0));
        assert_eq!((found.counts[0], found.counts[20], found.counts[39]), (1, 1, 2));
        assert_eq!(found.counts.iter().sum::<u32>(), 4);
        assert_eq!(histogram(&[2.0, 2.0]).expect("some").counts[0], 2);
    }
}
