//! What of a dictionary is kept: everything, to go on from, or what is used.

use super::super::latent_pass::LatentParameters;
use super::super::learned::Learned;
use super::super::options::{DecoderNorm, Kind};
use super::Learner;
use crate::compute::Matrix;
use crate::model::Dictionary;
use crate::model::dictionary::{Gate, RowScale};

/// What checkpoints call θ, m and v of the encoder, the decoder, the bias, the latents' other numbers, and c.
const NAMES: [[&str; 3]; 6] = [
    ["encoder", "encoder.mean", "encoder.square"],
    ["decoder", "decoder.mean", "decoder.square"],
    ["bias", "bias.mean", "bias.square"],
    ["first", "first.mean", "first.square"],
    ["second", "second.mean", "second.square"],
    ["centre", "centre.mean", "centre.square"],
];
const SKIP_NAMES: [&str; 3] = ["skip", "skip.mean", "skip.square"];

impl Learner {
    /// Everything that Adam moves and what it remembers, by name.
    pub(in super::super) fn vectors(&self) -> Vec<(&'static str, &[f32])> {
        let LatentParameters { encoder, decoder, bias, first, second, norms } = &self.parameters;
        let mut named = vec![("norms", &norms[..])];
        for (own, names) in
            [encoder, decoder, bias, first, second, &self.centre].into_iter().zip(NAMES)
        {
            named.extend(names.into_iter().zip([own.value.as_slice(), &own.mean, &own.square]));
        }
        if let Some(own) = &self.skip {
            let vectors = [own.value.as_slice(), &own.mean[..], &own.square[..]];
            named.extend(SKIP_NAMES.into_iter().zip(vectors));
        }
        named
    }

    /// The same, to be changed.
    pub(in super::super) fn vectors_mut(&mut self) -> Vec<(&'static str, &mut [f32])> {
        let LatentParameters { encoder, decoder, bias, first, second, norms } =
            &mut self.parameters;
        let mut named = vec![("norms", &mut norms[..])];
        let all = [encoder, decoder, bias, first, second, &mut self.centre];
        for (own, names) in all.into_iter().zip(NAMES) {
            let Learned { value, mean, square } = own;
            let vectors = [value.as_mut_slice(), &mut mean[..], &mut square[..]];
            named.extend(names.into_iter().zip(vectors));
        }
        if let Some(Learned { value, mean, square }) = &mut self.skip {
            let vectors = [value.as_mut_slice(), &mut mean[..], &mut square[..]];
            named.extend(SKIP_NAMES.into_iter().zip(vectors));
        }
        named
    }

    /// The dictionary as it is used, on rows and targets that are not scaled: those that it learned from
    /// were multiplied by `scales`. Rows of D that were free are brought to one length, so that codes can be
    /// compared across latents. Nothing is copied but what tied weights share.
    pub(in super::super) fn into_dictionary(self, [input, output]: [f32; 2]) -> Dictionary {
        let free = self.options.norm() == DecoderNorm::Weighted;
        let LatentParameters { encoder, decoder, bias, first, second, norms } = self.parameters;
        let [bias, first, second] = [bias, first, second].map(|own| own.value.as_slice().to_vec());
        let (encoder, decoder) = (value_of(encoder), value_of(decoder));
        let encoder = if self.options.tied { decoder.clone() } else { encoder };
        let with_norm = |mut values: Vec<f32>| {
            if free {
                values.iter_mut().zip(&norms).for_each(|(value, norm)| *value *= norm);
            }
            values
        };
        let gate = match self.options.kind {
            Kind::Relu => Gate::Relu,
            Kind::TopK => Gate::TopK { k: self.options.k.round() as usize, by_norm: false },
            Kind::BatchTopK | Kind::Matryoshka => {
                let threshold = self.standing.threshold.unwrap_or(0.0) as f32;
                Gate::Threshold(vec![threshold; norms.len()])
            }
            Kind::JumpRelu => Gate::Threshold(with_norm(first)),
            Kind::Gated => Gate::Gated { log_magnitude: first, magnitude_bias: with_norm(second) },
        };
        let mut dictionary = Dictionary {
            encoder: scaled(encoder, input),
            encoder_bias: bias,
            decoder: scaled(decoder, 1.0 / output),
            decoder_bias: scaled(value_of(self.centre), 1.0 / output).as_slice().to_vec(),
            skip: self.skip.map(|skip| scaled(value_of(skip), input / output)),
            centred: self.centred,
            gate,
            row_scale: RowScale::None,
        };
        if free {
            dictionary.fold(&norms);
        }
        dictionary
    }
}

/// θ, without what Adam remembers of it.
fn value_of(learned: Learned) -> Matrix {
    learned.value
}

fn scaled(mut matrix: Matrix, factor: f32) -> Matrix {
    matrix.as_mut_slice().iter_mut().for_each(|value| *value *= factor);
    matrix
}
