//! How a dictionary begins, and how its dead latents begin anew.

use std::collections::HashSet;

use super::super::learner::{Desk, Learner, Moment};
use super::{STILL, drawn};
use crate::compute::{Matrix, dot};
use crate::train::dictionary::{DecoderNorm, DictionaryOptions, Kind};

#[test]
fn a_weight_that_is_steered_counts_from_the_first_step_and_another_warms_up() {
    let x = drawn("x", 50, 20, 1.0);
    let first = Moment { sparsity: 0.0, ..STILL };
    for (target_l0, counts) in [(Some(40.0), true), (None, false)] {
        let options =
            DictionaryOptions { kind: Kind::Relu, latents: 90, target_l0, ..Default::default() };
        let mut learner = Learner::new(options, (20, true), vec![0.0; 20]);
        let came = learner.step(&mut Desk::default(), &x, &x, &first);
        assert!(came.sums.active > 0);
        assert_eq!(came.sums.penalty > 0.0, counts, "{target_l0:?}");
    }
}

/// A dictionary of so many latents, all of which were dead, after they could begin anew towards rows of a
/// batch.
fn begun_anew(x: &Matrix, latents: usize, to_itself: bool) -> Learner {
    let options = DictionaryOptions {
        kind: Kind::TopK,
        latents,
        k: 5.0,
        // A dictionary of the rows need not be centred.
        centred: Some(false),
        decoder_norm: Some(DecoderNorm::Unit),
        dead_after: 50,
        resample_at: vec![50],
        ..Default::default()
    };
    let mut learner = Learner::new(options, (20, to_itself), vec![0.0; 20]);
    learner.standing.silent_for.fill(1000);
    // Nobody has a code, so that all are dead.
    learner.parameters.bias.value.as_mut_slice().fill(-1e3);
    learner.step(&mut Desk::default(), x, x, &STILL);
    learner
}

/// Whether each latent's decoder points along a row of the batch after all began anew.
fn point_at_rows(to_itself: bool) -> bool {
    let (x, latents) = (drawn("x", 50, 20, 1.0), 50);
    let learner = begun_anew(&x, latents, to_itself);
    let along = |latent: usize, row: usize| {
        let (u, row) = (learner.parameters.decoder.value.row(latent), x.row(row));
        dot(u, row) / dot(row, row).sqrt()
    };
    (0..latents).all(|latent| (0..50).any(|row| along(latent, row) > 1.0 - 1e-5))
}

#[test]
fn decoders_begin_anew_where_rows_are_their_own_targets_centred_or_not() {
    assert!(point_at_rows(true));
    assert!(!point_at_rows(false));
}

#[test]
fn no_two_latents_begin_anew_alike_and_those_without_a_row_stay_dead() {
    let (rows, latents) = (50, 90);
    let mut x = drawn("x", rows, 20, 1.0);
    // Two rows are the same, as the first token of every text is.
    let first = x.row(0).to_vec();
    x.as_mut_slice()[20..40].copy_from_slice(&first);
    let learner = begun_anew(&x, latents, true);
    let silent = &learner.standing.silent_for;
    let dead = (0..latents).filter(|&latent| silent[latent] > 0).count();
    assert_eq!(dead, latents - (rows - 1));
    assert!(silent[..rows - 1].iter().all(|&rows| rows == 0), "{silent:?}");
    let bits = |latent: usize| -> Vec<u32> {
        let parts = [&learner.parameters.encoder, &learner.parameters.decoder];
        let values = parts.into_iter().flat_map(|own| own.value.row(latent));
        values.map(|value| value.to_bits()).collect()
    };
    let different: HashSet<Vec<u32>> = (0..latents).map(bits).collect();
    assert_eq!(different.len(), latents);
}
