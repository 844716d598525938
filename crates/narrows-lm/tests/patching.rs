//! Replaced features, against rows changed by hand.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use narrows::compute::Matrix;
use narrows::evaluate::Frame;
use narrows_lm::model::NoHook;
use narrows_lm::patching::{Experiment, Method, Pair};
use narrows_lm::steer::{divergence, next_token};
use narrows_lm::{Basis, LanguageModel, Tap};

const THRESHOLDS: [f64; 10] = [0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4];

fn model() -> LanguageModel {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/models/neox-parallel");
    LanguageModel::open(&folder).unwrap()
}

/// Prompts of which the second half of the pairs is one token shorter.
fn pairs() -> Vec<Pair> {
    let pair = |n: u32| {
        let mut base: Vec<u32> = vec![0, 5, 9 + n, 2, 7, 3 + n];
        base.truncate(if n < 2 { 6 } else { 5 });
        let mut target = base.clone();
        target[1] = 20 + n;
        Pair { base, target }
    };
    (0..4).map(pair).collect()
}

/// All columns of a row, so that all of them replaced leave nothing of the base prompt.
fn columns(model: &LanguageModel) -> Basis {
    let width = model.architecture.width;
    Basis::frame("columns", Frame::columns(vec![0.0; width]).unwrap(), width)
}

fn rows(model: &LanguageModel, tap: Tap, tokens: &[u32]) -> Matrix {
    let mut found = Matrix::default();
    let mut keep = (tap, |rows: &mut Matrix| {
        found.clone_from(rows);
        Ok(())
    });
    next_token(model, tokens, &mut keep).unwrap();
    found
}

/// The KL to the target of a pair with some columns taken from it.
fn by_hand(model: &LanguageModel, tap: Tap, pair: &Pair, columns: &[usize]) -> f64 {
    let other = rows(model, tap, &pair.target);
    let wanted = next_token(model, &pair.target, &mut NoHook).unwrap();
    let mut put = (tap, |rows: &mut Matrix| {
        let width = rows.cols();
        for row in 0..rows.rows() {
            for &column in columns {
                rows.as_mut_slice()[row * width + column] = other.row(row)[column];
            }
        }
        Ok(())
    });
    divergence(&wanted, &next_token(model, &pair.base, &mut put).unwrap())
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn all_features_of_a_whole_basis_make_the_target_of_the_base() {
    let (model, tap) = (model(), Tap::after(0));
    let experiment = Experiment::new(&model, tap, &pairs()).unwrap();
    let curve = experiment.curve(&columns(&model), Method::Effect, &mut |_| true).unwrap();
    let (first, last) = (curve.points.first().unwrap(), curve.points.last().unwrap());
    assert_eq!((first.features, first.edit), (0, 0.0));
    assert_eq!(last.features, model.architecture.width);
    let none: Vec<f64> = pairs()[2..].iter().map(|pair| by_hand(&model, tap, pair, &[])).collect();
    assert!((first.kl - mean(&none)).abs() < 1e-4 * first.kl, "{} {none:?}", first.kl);
    assert!(first.kl > 1e-3 && last.kl < 1e-5 * first.kl, "{} {}", first.kl, last.kl);
    let apart = |pair: &Pair| {
        let (base, target) = (rows(&model, tap, &pair.base), rows(&model, tap, &pair.target));
        let squares = base.as_slice().iter().zip(target.as_slice());
        squares.map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt()
    };
    let edits: Vec<f64> = pairs()[2..].iter().map(apart).collect();
    assert!((last.edit - mean(&edits)).abs() < 1e-4 * last.edit);
}

/// The removal of the paper as plain loops over hooks.
#[test]
fn removal_is_that_of_plain_loops() {
    let (model, tap) = (model(), Tap::after(0));
    let experiment = Experiment::new(&model, tap, &pairs()).unwrap();
    let found = experiment.curve(&columns(&model), Method::Removal, &mut |_| true).unwrap();
    let of = |pairs: &[Pair], set: &[usize]| {
        mean(&pairs.iter().map(|pair| by_hand(&model, tap, pair, set)).collect::<Vec<_>>())
    };
    let all = pairs();
    let (ordered, reported) = all.split_at(2);
    let mut order: Vec<usize> = (0..model.architecture.width).collect();
    let effects: Vec<f64> = order.iter().map(|&column| of(ordered, &[column])).collect();
    order.sort_by(|&a, &b| effects[a].total_cmp(&effects[b]));
    assert_eq!(found.first[..3], order[..3]);
    let nothing = of(ordered, &[]);
    let (mut sets, mut left) = (vec![vec![], order.clone()], order.clone());
    for threshold in THRESHOLDS {
        let mut current = of(ordered, &left);
        for column in left.clone().into_iter().rev() {
            let without: Vec<usize> = left.iter().copied().filter(|&own| own != column).collect();
            let after = of(ordered, &without);
            if after - current < threshold * nothing {
                (left, current) = (without, after);
            }
        }
        sets.push(left.clone());
    }
    sets.sort_by_key(Vec::len);
    sets.dedup();
    assert_eq!(found.points.len(), sets.len());
    for (point, set) in found.points.iter().zip(&sets) {
        assert_eq!(point.features, set.len());
        let expected = of(reported, set);
        assert!((point.kl - expected).abs() < 1e-4 * nothing, "{point:?} {expected}");
    }
}

#[test]
fn whoever_watches_can_end_it() {
    let (model, tap) = (model(), Tap::after(0));
    let experiment = Experiment::new(&model, tap, &pairs()).unwrap();
    let ended = experiment.curve(&columns(&model), Method::Removal, &mut |_| false);
    assert!(matches!(ended, Err(narrows::Error::Interrupted { .. })));
}
