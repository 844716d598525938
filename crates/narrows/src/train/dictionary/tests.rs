//! The trainer beside PyTorch, beside a slow twin in f64, and beside itself.

mod against_twin;
mod beginnings;
mod golden;
mod same_bits;
mod scaled;
mod twin;

use std::collections::BTreeMap;

use super::learner::{Came, Desk, Learner, Moment};
use super::options::{DecoderNorm, DictionaryOptions, JumpPenalty, Kind};
use crate::compute::{Matrix, dot};
use crate::random::Random;

/// A step that moves nothing, of which Adam's first moment is the gradient.
const STILL: Moment =
    Moment { rate: 0.0, momenta: [0.0; 2], clip: Some(f64::INFINITY), sparsity: 1.0, k: 1.0 };

/// Densities before a step: visited code by code, and made of whole products where the kind can be.
fn densities(options: &DictionaryOptions) -> &'static [f64] {
    if options.penalised() { &[0.0, 1.0] } else { &[0.0] }
}

/// Puts parameters in place by name, and with them what follows from them.
fn put<'a>(learner: &mut Learner, parameters: impl IntoIterator<Item = (&'a str, &'a [f32])>) {
    let given: BTreeMap<&str, &[f32]> = parameters.into_iter().collect();
    let placed = learner
        .vectors_mut()
        .into_iter()
        .filter_map(|(name, place)| given.get(name).map(|values| place.copy_from_slice(values)));
    assert_eq!(placed.count(), given.len(), "a parameter has no place");
    let own = &mut learner.parameters;
    if learner.options.tied {
        for row in 0..own.encoder.value.rows() {
            let free = own.encoder.value.row(row);
            let length = dot(free, free).sqrt();
            let unit: Vec<f32> = free.iter().map(|value| value / length).collect();
            let columns = unit.len();
            own.decoder.value.as_mut_slice()[row * columns..][..columns].copy_from_slice(&unit);
        }
    } else if learner.options.norm() == DecoderNorm::Weighted {
        for (row, norm) in own.norms.iter_mut().enumerate() {
            let decoder = own.decoder.value.row(row);
            *norm = dot(decoder, decoder).sqrt();
        }
    }
}

/// What a batch comes to, and the gradient of everything that is learned, by name.
fn gradients(
    learner: &mut Learner,
    x: &Matrix,
    target: &Matrix,
) -> (Came, BTreeMap<&'static str, Vec<f32>>) {
    let came = learner.step(&mut Desk::default(), x, target, &STILL);
    let named = learner.vectors().into_iter().filter_map(|(name, values)| {
        name.strip_suffix(".mean").map(|name| (name, values.to_vec()))
    });
    (came, named.collect())
}

fn drawn(name: &str, rows: usize, cols: usize, scale: f32) -> Matrix {
    let mut random = Random::stream(11, name);
    let values = (0..rows * cols).map(|_| scale * random.normal() as f32).collect();
    Matrix::from_rows(rows, cols, values).expect("fits")
}

/// One of each kind, and of each option that changes what a step computes.
fn one_of_each(latents: usize) -> Vec<(&'static str, DictionaryOptions)> {
    let of = |kind| DictionaryOptions {
        kind,
        latents,
        k: 6.0,
        decoder_norm: Some(DecoderNorm::Unit),
        ..DictionaryOptions::default()
    };
    let weighted = |own| DictionaryOptions { decoder_norm: Some(DecoderNorm::Weighted), ..own };
    let jump = |penalty| DictionaryOptions {
        penalty,
        sparsity_weight: 0.2,
        threshold: 0.3,
        bandwidth: 0.4,
        target_l0: (penalty == JumpPenalty::Quadratic).then_some(9.0),
        slope_to_encoder: false,
        ..of(Kind::JumpRelu)
    };
    let nested = DictionaryOptions {
        widths: vec![latents / 5, latents / 2, latents],
        ..of(Kind::Matryoshka)
    };
    let to_encoder = |own| DictionaryOptions { slope_to_encoder: true, ..own };
    vec![
        ("relu", of(Kind::Relu)),
        ("relu weighted", weighted(of(Kind::Relu))),
        ("relu tied", DictionaryOptions { tied: true, ..of(Kind::Relu) }),
        ("top k", of(Kind::TopK)),
        ("top k weighted", weighted(of(Kind::TopK))),
        ("batch top k", of(Kind::BatchTopK)),
        ("batch top k weighted", weighted(of(Kind::BatchTopK))),
        ("matryoshka", nested.clone()),
        ("matryoshka weighted", weighted(nested)),
        ("jump step", jump(JumpPenalty::Step)),
        ("jump step to encoder", to_encoder(jump(JumpPenalty::Step))),
        ("jump quadratic", jump(JumpPenalty::Quadratic)),
        ("jump tanh weighted", to_encoder(weighted(jump(JumpPenalty::Tanh)))),
        ("gated", of(Kind::Gated)),
        ("gated weighted", weighted(of(Kind::Gated))),
    ]
}
