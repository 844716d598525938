//! One dictionary while it learns: a step from a batch.
//!
//! ```text
//! centre ─ sift ─ choose ─ rows: rebuild, compare, go back ─ group ─ latents: sum, step
//! ```

use ndarray::s;
use serde::{Deserialize, Serialize};

use super::batch_top_k::{self, Search};
use super::codes::Codes;
use super::dense::{DENSE, Dense, DensePass};
use super::jump_relu::Jump;
use super::latent_pass::{Kept, LatentParameters, LatentPass, Measured, bring_to_unit};
use super::learned::{Adam, Learned};
use super::options::{DecoderNorm, DictionaryOptions, Kind};
use super::revival::Revival;
use super::row_pass::{RowPass, Sums};
use super::rule::Rule;
use super::{control, resample, start, top_k};
use crate::compute::{Matrix, Sifted, Wanted, column_sums, multiply, multiply_add, subtract};
use crate::model::Dictionary;
use crate::model::dictionary::{Gate, RowScale};
use crate::random::Random;

/// The length of the decoder's rows at the start where they are free: Conerly et al. (April 2024).
const FREE_LENGTH: f32 = 0.1;

/// How many times the L0 that is aimed at a dictionary begins with.
const FIRST_L0: f64 = 4.0;

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

/// Where a dictionary stands, beside its parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Standing {
    /// Steps done.
    pub(super) steps: u64,
    /// Rows seen.
    pub(super) rows: u64,
    /// λ, where it is steered.
    pub(super) weight: f64,
    /// How far L0 is beyond its target: see `control`.
    pub(super) beyond: f64,
    /// τ of batch top k.
    pub(super) threshold: Option<f64>,
    /// The part of all codes that took part in the last step.
    pub(super) density: f64,
    /// Rows since each latent had a code `(n)`.
    pub(super) silent_for: Vec<u64>,
}

/// What is the same for all dictionaries in a step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// η.
    pub(super) rate: f64,
    /// β₁, β₂.
    pub(super) momenta: [f64; 2],
    pub(super) clip: Option<f64>,
    /// The part of the penalty that counts.
    pub(super) sparsity: f64,
    /// The part of its way that k has come.
    pub(super) k: f64,
}

/// What a step came to.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Came {
    pub(super) sums: Sums,
    /// L'.
    pub(super) revival: f64,
    pub(super) dead: usize,
    /// The length of all gradients together; 0 where it was not asked for.
    pub(super) gradient: f64,
}

/// A dictionary while it learns.
#[derive(Debug)]
pub(super) struct Learner {
    pub(super) options: DictionaryOptions,
    pub(super) parameters: LatentParameters,
    /// c.
    pub(super) centre: Learned,
    /// S.
    pub(super) skip: Option<Learned>,
    pub(super) standing: Standing,
    widths: Vec<usize>,
    centred: bool,
    desk: Desk,
}

/// What a step writes on, kept so that no step allocates it.
#[derive(Debug, Default)]
struct Desk {
    sifted: Sifted,
    search: Search,
    codes: Codes,
    dense: Dense,
    kept: Kept,
    revival: Revival,
    magnitude: Vec<f32>,
    centred: Matrix,
    output: Matrix,
    gradient: Matrix,
}

impl Learner {
    /// A dictionary of rows `(d)` for targets `(o)` with weights drawn from its seed, and c as given.
    pub(super) fn new(options: DictionaryOptions, input: usize, centre: Vec<f32>) -> Self {
        let (latents, output) = (options.latents, centre.len());
        let centred = !options.tied && options.centred.unwrap_or(input == output);
        let mut encoder = unit_rows(options.seed, "encoder", latents, input);
        let mut decoder = match input == output && centred || options.tied {
            true => encoder.clone(),
            false => unit_rows(options.seed, "decoder", latents, output),
        };
        let length = first_length(options.decoder_norm);
        decoder.as_mut_slice().iter_mut().for_each(|value| *value *= length);
        if options.penalised() && !options.tied {
            // Half of all latents take part at first: together they should rebuild a row, not a multiple.
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
            options,
            desk: Desk::default(),
        }
    }

    /// Gives the latents biases with which no more of them than a few times the target have a code of a row
    /// `(m, d)` of a sample: nothing that λ would have to silence first.
    pub(super) fn begin_sparse(&mut self, sample: &Matrix) {
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

    /// Learns from one batch `(B, d)` with its targets `(B, o)`.
    pub(super) fn step(&mut self, x: &Matrix, target: &Matrix, moment: &Moment) -> Came {
        let (came, told) = self.judge(x, target, moment);
        let before = self.standing.rows;
        let came = self.learn(x, moment, came, told);
        let mut times = self.options.resample_at.iter();
        if times.any(|&at| before < at && at <= self.standing.rows) {
            self.resample(x, target);
        }
        came
    }

    /// Draws the dead latents anew from the batch that was learned from.
    fn resample(&mut self, x: &Matrix, target: &Matrix) {
        let (after, silent) = (self.options.dead_after, &mut self.standing.silent_for);
        let dead: Vec<usize> = (0..silent.len()).filter(|&own| silent[own] >= after).collect();
        dead.iter().for_each(|&latent| silent[latent] = 0);
        let input = if self.centred { &self.desk.centred } else { x };
        let batch = resample::Batch { input, target, output: &self.desk.output };
        let first = first_number(&self.options);
        let mut random = Random::numbered(self.options.seed, "resample", &[self.standing.steps]);
        let length = first_length(self.options.decoder_norm);
        let length = self.centred.then_some(length);
        resample::resample(&mut self.parameters, &dead, &batch, (length, first), &mut random);
    }

    /// Forward and back to the codes; says also what the rows tell c.
    fn judge(&mut self, x: &Matrix, target: &Matrix, moment: &Moment) -> (Came, Vec<f32>) {
        let mut desk = std::mem::take(&mut self.desk);
        let input = centre(x, self.centre.value.row(0), self.centred, &mut desk.centred);
        let weight = (self.standing.weight * moment.sparsity / x.rows() as f64) as f32;
        desk.magnitude.clear();
        if self.options.kind == Kind::Gated {
            let r = self.parameters.first.value.as_slice();
            desk.magnitude.extend(r.iter().map(|r| r.exp()));
        }
        let rule = self.rule(weight, &desk.magnitude);
        self.lay_out(x, &mut desk.output);
        desk.gradient.reshape(x.rows(), target.cols() * self.widths.len());
        let (sums, threshold) = if self.standing.density > DENSE {
            desk.codes.clear(x.rows());
            let pass = DensePass {
                rule,
                encoder: self.encoder(),
                latent_bias: self.parameters.bias.value.as_slice(),
                decoder: &self.parameters.decoder.value,
                bias: self.centre.value.row(0),
                input,
                target,
            };
            (pass.run(&mut desk.dense, &mut desk.output, &mut desk.gradient), None)
        } else {
            let (sifted, search) = (&mut desk.sifted, &mut desk.search);
            let least = self.choose(input, &rule, moment.k, sifted, search);
            desk.codes.fill(sifted.rows());
            let pass = RowPass {
                rule,
                decoder: &self.parameters.decoder.value,
                bias: self.centre.value.row(0),
                target,
                widths: &self.widths,
            };
            (pass.run(&mut desk.codes, &mut desk.output, &mut desk.gradient), least)
        };
        let dead = desk.revival.find(&self.standing.silent_for, self.options.dead_after);
        let mut revival = 0.0;
        if dead > 0 && self.revives() {
            let k = self.options.revival_k.unwrap_or(x.cols() / 2).max(1);
            let LatentParameters { bias, decoder, norms, .. } = &self.parameters;
            revival = desk.revival.ask(
                (input, self.encoder(), bias.value.as_slice(), norms),
                &decoder.value,
                (target, &desk.output),
                (self.options.revival_weight, k),
            );
        }
        desk.codes.group(self.options.latents);
        if let Some(least) = threshold {
            let Standing { threshold, steps, .. } = &mut self.standing;
            *threshold = Some(batch_top_k::follow(*threshold, least, *steps + 1));
        }
        // c is told by every row that it is part of, the widest tells it of all.
        let mut told = vec![0.0; desk.gradient.cols()];
        column_sums(&desk.gradient, 1.0, &mut told);
        told.truncate(target.cols());
        self.desk = desk;
        (Came { sums, revival, dead, gradient: 0.0 }, told)
    }

    /// Each row of the output without its codes: c, or c + Sx.
    fn lay_out(&self, x: &Matrix, output: &mut Matrix) {
        let columns = self.centre.value.cols();
        output.reshape(x.rows(), columns);
        for row in output.as_mut_slice().chunks_exact_mut(columns) {
            row.copy_from_slice(self.centre.value.row(0));
        }
        if let Some(skip) = &self.skip {
            multiply_add(1.0, 1.0, x.view(), skip.value.view().t(), output.view_mut());
        }
    }

    /// Finds the pre-activations that take part in the step; says the least of those that a batch was
    /// left with, where there is such a choice.
    fn choose(
        &self,
        input: &Matrix,
        rule: &Rule<'_>,
        k_factor: f64,
        sifted: &mut Sifted,
        search: &mut Search,
    ) -> Option<f32> {
        let encoder = self.encoder();
        let LatentParameters { bias, norms, .. } = &self.parameters;
        let bias = bias.value.as_slice();
        let latents = self.options.latents;
        let k = top_k::warmed(self.options.k, input.cols(), latents, k_factor);
        match self.options.kind {
            Kind::TopK => {
                let weights = match self.options.decoder_norm {
                    DecoderNorm::Unit => &[][..],
                    DecoderNorm::Weighted => norms,
                };
                let k = k.round() as usize;
                sifted.sift(input, encoder, bias, Wanted::Largest { k, above: 0.0, weights });
                None
            }
            Kind::BatchTopK | Kind::Matryoshka => {
                let count = (k * input.rows() as f64).round() as usize;
                search.find(sifted, (input, encoder, bias), norms, count)
            }
            Kind::Relu | Kind::JumpRelu | Kind::Gated => {
                let bounds: Vec<f32> = (0..latents).map(|latent| rule.bound(latent)).collect();
                sifted.sift(input, encoder, bias, Wanted::Above(&bounds));
                None
            }
        }
    }

    /// From the codes to the parameters.
    fn learn(&mut self, x: &Matrix, moment: &Moment, mut came: Came, mut told: Vec<f32>) -> Came {
        let mut desk = std::mem::take(&mut self.desk);
        let skip = self.skip.as_ref().map(|_| {
            // As of c: the first columns are what all nested dictionaries tell together.
            let all = desk.gradient.view().slice_move(s![.., ..told.len()]);
            let mut gradient = Matrix::zeros(told.len(), x.cols());
            multiply(all.t(), x.view(), gradient.view_mut());
            gradient
        });
        let weight = (self.standing.weight * moment.sparsity / x.rows() as f64) as f32;
        let numbers = (self.parameters.first.value.clone(), self.parameters.second.value.clone());
        let bias = self.parameters.bias.value.clone();
        let norms = self.parameters.norms.clone();
        let given = Given { weight, norms: &norms, magnitude: &desk.magnitude };
        let rule = given.rule(&self.options, bias.as_slice(), [&numbers.0, &numbers.1]);
        let pass = LatentPass {
            rule,
            codes: &desk.codes,
            dense: (self.standing.density > DENSE).then_some(&desk.dense),
            revived: (came.dead > 0 && self.revives())
                .then_some((&desk.revival.codes, &desk.revival.gradient)),
            input: if self.centred { &desk.centred } else { x },
            gradient: &desk.gradient,
            widths: &self.widths,
            norm: self.options.decoder_norm,
            tied: self.options.tied,
            centred: self.centred,
            first_is_positive: self.options.kind == Kind::JumpRelu,
        };
        let measures = moment.clip.is_some() || self.centred;
        let measured = match measures {
            true => pass.measure(&self.parameters, &mut desk.kept),
            false => Measured::default(),
        };
        told.iter_mut().zip(&measured.shift).for_each(|(told, shift)| *told -= shift);
        let square = |values: &[f32]| -> f64 {
            values.iter().map(|&value| f64::from(value) * f64::from(value)).sum()
        };
        let others = skip.as_ref().map_or(0.0, |skip| square(skip.as_slice()));
        let own = if self.options.tied { 0.0 } else { square(&told) };
        came.gradient = (measured.squares + others + own).sqrt();
        let clip = moment.clip.filter(|&clip| came.gradient > clip);
        let clip = clip.map_or(1.0, |clip| clip / came.gradient);
        self.standing.steps += 1;
        let adam = Adam::new(moment.rate, moment.momenta, self.standing.steps, clip);
        pass.step(&mut self.parameters, measures.then_some(&desk.kept), adam);
        if !self.options.tied {
            step_whole(&mut self.centre, adam, &told);
        }
        if let (Some(own), Some(gradient)) = (&mut self.skip, skip) {
            step_whole(own, adam, gradient.as_slice());
        }
        self.count(&desk, came.sums.active, x.rows());
        if let Some(target) = self.options.target_l0.filter(|_| self.options.steered()) {
            let l0 = came.sums.active as f64 / x.rows() as f64;
            let Standing { weight, beyond, .. } = &mut self.standing;
            (*weight, *beyond) = control::steer((*weight, *beyond), l0, target);
        }
        std::mem::swap(&mut self.desk, &mut desk);
        came
    }

    /// Rows since each latent had a code, and how many codes there were.
    fn count(&mut self, desk: &Desk, active: u64, rows: usize) {
        self.standing.rows += rows as u64;
        let silent = &mut self.standing.silent_for;
        silent.iter_mut().for_each(|silent_for| *silent_for += rows as u64);
        let mut taking_part = desk.codes.codes.len() as u64;
        if self.standing.density > DENSE {
            let latents = silent.iter_mut().zip(&desk.dense.latents);
            latents.filter(|(_, own)| own.active > 0).for_each(|(silent_for, _)| *silent_for = 0);
            taking_part = active;
        }
        for code in desk.codes.codes.iter().filter(|code| code.value != 0.0) {
            silent[code.latent as usize] = 0;
        }
        if self.options.penalised() {
            self.standing.density =
                taking_part as f64 / (rows as f64 * self.options.latents as f64);
        }
    }

    /// Whether dead latents are revived.
    fn revives(&self) -> bool {
        self.options.revival_weight > 0.0 && self.options.kind != Kind::Relu
    }

    /// What rows are multiplied by.
    fn encoder(&self) -> &Matrix {
        match self.options.tied {
            true => &self.parameters.decoder.value,
            false => &self.parameters.encoder.value,
        }
    }

    fn rule<'a>(&'a self, weight: f32, magnitude: &'a [f32]) -> Rule<'a> {
        let LatentParameters { bias, first, second, norms, .. } = &self.parameters;
        let given = Given { weight, norms, magnitude };
        given.rule(&self.options, bias.value.as_slice(), [&first.value, &second.value])
    }

    /// Everything that Adam moves and what it remembers, by name.
    pub(super) fn vectors(&self) -> Vec<(&'static str, &[f32])> {
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
    pub(super) fn vectors_mut(&mut self) -> Vec<(&'static str, &mut [f32])> {
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
    /// were multiplied by `scales`.
    pub(super) fn dictionary(&self, [input, output]: [f32; 2]) -> Dictionary {
        let LatentParameters { decoder, bias, first, second, norms, .. } = &self.parameters;
        let scaled = |matrix: &Matrix, factor: f32| {
            let mut matrix = matrix.clone();
            matrix.as_mut_slice().iter_mut().for_each(|value| *value *= factor);
            matrix
        };
        let by_norm = self.options.decoder_norm == DecoderNorm::Weighted;
        let gate = match self.options.kind {
            Kind::Relu => Gate::Relu,
            Kind::TopK => Gate::TopK { k: self.options.k.round() as usize, by_norm },
            Kind::BatchTopK | Kind::Matryoshka => {
                let threshold = self.standing.threshold.unwrap_or(0.0) as f32;
                Gate::Threshold(norms.iter().map(|norm| threshold / norm).collect())
            }
            Kind::JumpRelu => Gate::Threshold(first.value.as_slice().to_vec()),
            Kind::Gated => Gate::Gated {
                log_magnitude: first.value.as_slice().to_vec(),
                magnitude_bias: second.value.as_slice().to_vec(),
            },
        };
        Dictionary {
            encoder: scaled(self.encoder(), input),
            encoder_bias: bias.value.as_slice().to_vec(),
            decoder: scaled(&decoder.value, 1.0 / output),
            decoder_bias: scaled(&self.centre.value, 1.0 / output).as_slice().to_vec(),
            skip: self.skip.as_ref().map(|skip| scaled(&skip.value, input / output)),
            centred: self.centred,
            gate,
            row_scale: RowScale::None,
        }
    }
}

/// What the rules are made of beside the options and the latents' numbers.
struct Given<'a> {
    weight: f32,
    norms: &'a [f32],
    magnitude: &'a [f32],
}

impl<'a> Given<'a> {
    fn rule(
        &self,
        options: &DictionaryOptions,
        bias: &'a [f32],
        [first, second]: [&'a Matrix; 2],
    ) -> Rule<'a> {
        let Self { weight, norms, magnitude } = *self;
        match options.kind {
            Kind::Relu => Rule::L1 { weight, norms },
            Kind::TopK | Kind::BatchTopK | Kind::Matryoshka => Rule::Chosen,
            Kind::JumpRelu => Rule::Jump(Jump {
                thresholds: first.as_slice(),
                norms,
                penalty: options.penalty,
                weight,
                bandwidth: options.bandwidth as f32,
                scale: options.tanh_scale as f32,
                target: options.target_l0.unwrap_or(1.0) as f32,
                slope_to_encoder: options.slope_to_encoder,
            }),
            Kind::Gated => {
                let magnitude_bias = second.as_slice();
                Rule::Gated { weight, norms, magnitude, bias, magnitude_bias }
            }
        }
    }
}

fn centre<'a>(x: &'a Matrix, c: &[f32], centred: bool, out: &'a mut Matrix) -> &'a Matrix {
    if !centred {
        return x;
    }
    out.reshape(x.rows(), x.cols());
    subtract(x, c, out);
    out
}

fn step_whole(own: &mut Learned, adam: Adam, gradient: &[f32]) {
    adam.step(own.value.as_mut_slice(), &mut own.mean, &mut own.square, gradient);
}

/// θ or r at the start.
fn first_number(options: &DictionaryOptions) -> f32 {
    if options.kind == Kind::JumpRelu { options.threshold as f32 } else { 0.0 }
}

/// The length of a row of the decoder at the start.
fn first_length(norm: DecoderNorm) -> f32 {
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
