//! What is kept of a dictionary is for rows as they are, though it learned from scaled ones.

use super::super::learner::{Desk, Learner};
use super::{STILL, drawn, one_of_each, put};
use crate::compute::{Matrix, row_norms};
use crate::model::{Autoencoder, Dictionary};
use crate::train::dictionary::{
    DecoderNorm, DictionaryOptions, DictionaryRecord, DictionaryTask, DictionaryTraining,
    fit_dictionaries,
};

fn times(matrix: &Matrix, factor: f32) -> Matrix {
    let mut matrix = matrix.clone();
    matrix.as_mut_slice().iter_mut().for_each(|value| *value *= factor);
    matrix
}

/// `Σ‖t − y‖²` and the codes that are not zero, as the learner has them of scaled rows and as what is kept
/// has them of the rows themselves; says what is kept.
fn compare(
    what: &str,
    mut learner: Learner,
    x: &Matrix,
    target: &Matrix,
    scales: [f32; 2],
) -> Dictionary {
    let came =
        learner.step(&mut Desk::default(), &times(x, scales[0]), &times(target, scales[1]), &STILL);
    let l0 = learner.l0_at_threshold(&mut Desk::default(), &times(x, scales[0]));
    // A threshold is exceeded, and the least of the batch is to be among the codes.
    learner.standing.threshold = learner.standing.threshold.map(|own| own * (1.0 - 1e-5));
    let kept = learner.into_dictionary(scales);
    let rebuilt = kept.reconstruct(x).expect("fits");
    let pairs = rebuilt.as_slice().iter().zip(target.as_slice());
    let scale = f64::from(scales[1]);
    let residual: f64 = pairs.map(|(y, t)| (scale * f64::from(y - t)).powi(2)).sum();
    let gap = (residual / came.sums.residual - 1.0).abs();
    assert!(gap < 1e-5, "{what}: {residual}, not {}", came.sums.residual);
    let codes = kept.encode_sparse(x).expect("fits");
    assert_eq!(codes.entries() as u64, came.sums.active, "{what}");
    // All that was chosen but the least, whose value τ is as far as it was not rounded.
    let at_threshold = [1, 0].map(|least| (came.sums.active - least) as f64 / x.rows() as f64);
    assert!(l0.is_none_or(|l0| at_threshold.contains(&l0)), "{what}: {l0:?}, {at_threshold:?}");
    assert_eq!(l0.is_some(), what.starts_with("batch") || what.starts_with("matryoshka"), "{what}");
    kept
}

#[test]
fn a_dictionary_says_of_rows_what_it_learned_of_scaled_ones() {
    let (rows, input, latents) = (70, 20, 90);
    for (name, options) in one_of_each(latents) {
        let x = drawn("x", rows, input, 3.0);
        let centre = drawn("c", 1, input, 0.5);
        let mut learner = Learner::new(options, (input, true), vec![0.0; input]);
        put(&mut learner, [("bias", drawn("b", 1, latents, 0.2).row(0))]);
        if !learner.options.tied {
            put(&mut learner, [("centre", centre.row(0))]);
        }
        let free = learner.options.norm() == DecoderNorm::Weighted;
        if free {
            put(&mut learner, [("decoder", drawn("d", latents, input, 0.1).as_slice())]);
        }
        let kept = compare(name, learner, &x, &x, [0.37, 0.37]);
        let lengths = row_norms(&kept.decoder);
        let of_one_length = lengths.iter().all(|length| (0.37 * length - 1.0).abs() < 1e-5);
        assert!(of_one_length, "{name}: {lengths:?}");
    }
}

#[test]
fn a_transcoder_says_of_rows_what_it_learned_of_scaled_ones() {
    let (rows, input, output, latents) = (70, 20, 14, 90);
    for (name, mut options) in one_of_each(latents) {
        options.skip = !options.tied;
        if options.tied {
            continue;
        }
        let (x, target) = (drawn("x", rows, input, 3.0), drawn("t", rows, output, 0.5));
        let mut learner = Learner::new(options, (input, input == output), vec![0.0; output]);
        put(
            &mut learner,
            [
                ("bias", drawn("b", 1, latents, 0.2).row(0)),
                ("centre", drawn("c", 1, output, 0.5).row(0)),
                ("skip", drawn("s", output, input, 0.3).as_slice()),
            ],
        );
        compare(name, learner, &x, &target, [0.37, 1.9]);
    }
}

#[test]
fn targets_that_are_others_are_not_centred() {
    let (rows, input) = (40, 6);
    let (x, target) = (drawn("x", rows, input, 3.0), drawn("t", rows, input, 0.5));
    let task = DictionaryTask { rows: &x, targets: Some(&target) };
    let training = DictionaryTraining { batch_size: 20, ..DictionaryTraining::default() };
    let fit = |centred| {
        let options = DictionaryOptions { latents: 12, k: 2.0, centred, ..Default::default() };
        fit_dictionaries(&task, &[options], &training, None, &mut |_: &[DictionaryRecord]| {})
    };
    assert!(!fit(None).expect("trains").dictionaries[0].centred);
    let refused = fit(Some(true)).expect_err("two scales have no one centre");
    assert!(refused.to_string().contains("centred"), "{refused}");
}

#[test]
fn rows_do_not_skip_to_themselves() {
    let x = drawn("x", 40, 6, 1.0);
    let options = DictionaryOptions { latents: 12, k: 2.0, skip: true, ..Default::default() };
    let fit = |targets| {
        let (task, training) = (DictionaryTask { rows: &x, targets }, Default::default());
        let options = std::slice::from_ref(&options);
        fit_dictionaries(&task, options, &training, None, &mut |_: &[DictionaryRecord]| {})
    };
    let targets = drawn("t", 40, 6, 0.5);
    assert!(fit(Some(&targets)).expect("trains").dictionaries[0].skip.is_some());
    let refused = fit(None).expect_err("a skip alone gives the rows back").to_string();
    assert!(refused.contains("give --target PATH"), "{refused}");
}
