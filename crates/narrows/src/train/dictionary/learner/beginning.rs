//! A dictionary before it has learned anything.
//!
//! ```text
//! Eⱼ = s·u with u a direction without preference, Dⱼ = ℓ·u, or ℓ times another where the targets are others
//! ℓ = 1 (unit rows) or 0.1 (free rows);  s = 1, but min(1, 2d/(n·ℓ)) of relu and gated, unless weights are tied
//! b = 0, but see `start` where an L0 is aimed at;  c: the geometric median of the targets, or 0 with tied weights
//! ```
//!
//! Source: T. Conerly et al., Update on how we train SAEs (Transformer Circuits, April 2024) for ℓ. Of relu and
//! gated half of all latents take part at first: together they should rebuild a row, not a multiple of it. Of
//! `JumpReLU` the threshold leaves few; a short encoder would put most codes below it, where latents die.
//!
//! Differs from: Conerly et al. and SAELens, where `E = Dᵀ` also in its length of 0.1.

use super::super::batch_top_k::Search;
use super::super::latent_pass::{LatentParameters, bring_to_unit};
use super::super::learned::Learned;
use super::super::options::{DecoderNorm, DictionaryOptions, Kind};
use super::super::start;
use super::{Learner, Standing, centre};
use crate::compute::Matrix;
use crate::random::Random;

/// The length of the decoder's rows at the start where they are free: Conerly et al. (April 2024).
const FREE_LENGTH: f32 = 0.1;

/// How many times the L0 that is aimed at a dictionary begins with.
const FIRST_L0: f64 = 4.0;

impl Learner {
    /// A dictionary of rows `(d)` for targets `(o)`, which are the rows or others, with weights drawn from its
    /// seed, and c as given.
    pub(in super::super) fn new(
        options: DictionaryOptions,
        (input, to_itself): (usize, bool),
        centre: Vec<f32>,
    ) -> Self {
        let (latents, output) = (options.latents, centre.len());
        let centred = !options.tied && options.centred.unwrap_or(to_itself);
        let mut encoder = unit_rows(options.seed, "encoder", latents, input);
        let mut decoder = match to_itself {
            true => encoder.clone(),
            false => unit_rows(options.seed, "decoder", latents, output),
        };
        let length = first_length(options.norm());
        decoder.as_mut_slice().iter_mut().for_each(|value| *value *= length);
        if matches!(options.kind, Kind::Relu | Kind::Gated) && !options.tied {
            let share = (2.0 * input as f32 / (latents as f32 * length)).min(1.0);
            encoder.as_mut_slice().iter_mut().for_each(|value| *value *= share);
        }
        let (first, second) = match options.kind {
            Kind::JumpRelu => (vec![first_number(&options); latents], Vec::new()),
            Kind::Gated => (vec![first_number(&options); latents], vec![0.0; latents]),
            _ => (Vec::new(), Vec::new()),
        };
        let skip = options.skip.then(|| Learned::new(Matrix::zeros(output, input)));
        Self {
            parameters: LatentParameters {
                encoder: Learned::new(encoder),
                decoder: Learned::new(decoder),
                bias: Learned::numbers(vec![0.0; latents]),
                first: Learned::numbers(first),
                second: Learned::numbers(second),
                norms: vec![length; latents],
            },
            centre: Learned::new(Matrix::from_rows(1, output, centre).expect("one row")),
            skip,
            standing: Standing {
                steps: 0,
                rows: 0,
                weight: options.sparsity_weight,
                beyond: 0.0,
                threshold: None,
                // A penalty has emptied nothing yet.
                density: if options.penalised() { 1.0 } else { 0.0 },
                silent_for: vec![0; latents],
            },
            widths: options.nested_widths(),
            centred,
            to_itself,
            options,
            search: Search::default(),
        }
    }

    /// Gives the latents biases with which no more of them than a few times the target have a code of a row
    /// `(m, d)` of a sample: nothing that λ would have to silence first.
    pub(in super::super) fn begin_sparse(&mut self, sample: &Matrix) {
        let aimed_at = self.options.target_l0.filter(|_| self.options.penalised());
        let Some(part) = aimed_at.map(|l0| FIRST_L0 * l0 / self.options.latents as f64) else {
            return;
        };
        if part >= 0.5 {
            return;
        }
        let mut centred = Matrix::default();
        let rows = centre(sample, self.centre.value.row(0), self.centred, &mut centred);
        let biases = start::sparse_bias(rows, self.encoder(), first_number(&self.options), part);
        self.parameters.bias.value.as_mut_slice().copy_from_slice(&biases);
        self.standing.density = part;
    }
}

/// θ or r at the start.
pub(super) fn first_number(options: &DictionaryOptions) -> f32 {
    if options.kind == Kind::JumpRelu { options.threshold as f32 } else { 0.0 }
}

/// The length of a row of the decoder at the start.
pub(super) fn first_length(norm: DecoderNorm) -> f32 {
    match norm {
        DecoderNorm::Unit => 1.0,
        DecoderNorm::Weighted => FREE_LENGTH,
    }
}

/// Rows of length 1 in directions without preference.
fn unit_rows(seed: u64, name: &str, rows: usize, columns: usize) -> Matrix {
    let mut random = Random::stream(seed, name);
    let drawn: Vec<f32> = (0..rows * columns).map(|_| random.normal() as f32).collect();
    let mut unit = Matrix::zeros(rows, columns);
    let pairs = unit.as_mut_slice().chunks_exact_mut(columns).zip(drawn.chunks_exact(columns));
    pairs.for_each(|(unit, drawn)| {
        bring_to_unit(drawn, unit);
    });
    unit
}
