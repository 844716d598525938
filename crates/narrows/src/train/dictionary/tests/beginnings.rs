//! How a dictionary begins, and how its dead latents begin anew.

use super::super::learner::{Desk, Learner, Moment};
use super::{STILL, drawn};
use crate::compute::dot;
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

/// Whether each latent's decoder points along a row of the batch after all began anew.
fn point_at_rows(to_itself: bool) -> bool {
    let (x, latents) = (drawn("x", 50, 20, 1.0), 90);
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
    learner.step(&mut Desk::default(), &x, &x, &STILL);
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
