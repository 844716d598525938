//! One dictionary while it learns: a step from a batch.
//!
//! ```text
//! centre ─ sift ─ choose ─ rows: rebuild, compare, go back ─ group ─ latents: sum, step
//! ```

mod beginning;
mod kept;

use beginning::{first_length, first_number};
use ndarray::s;
use serde::{Deserialize, Serialize};

use super::batch_top_k::{self, Search};
use super::codes::Codes;
use super::dense::{DENSE, Dense, DensePass};
use super::latent_pass::{Kept, LatentParameters, LatentPass, Measured};
use super::learned::{Adam, Learned};
use super::options::{DecoderNorm, DictionaryOptions, Kind};
use super::revival::Revival;
use super::row_pass::{RowPass, Sums};
use super::rule::{Given, Rule};
use super::{control, resample, top_k};
use crate::compute::{Matrix, Sifted, Wanted, column_sums, multiply, multiply_add, subtract};
use crate::random::Random;

/// Rows of a batch of which L0 at τ is measured: a part of the cost of a step.
const MEASURED_ROWS: usize = 1024;

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
    /// Whether the targets are the rows.
    to_itself: bool,
    search: Search,
}

/// What a step writes on, kept so that no step allocates it; nothing on it outlives a step.
#[derive(Debug, Default)]
pub(super) struct Desk {
    sifted: Sifted,
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
    /// Learns from one batch `(B, d)` with its targets `(B, o)`.
    pub(super) fn step(
        &mut self,
        desk: &mut Desk,
        x: &Matrix,
        target: &Matrix,
        moment: &Moment,
    ) -> Came {
        let (came, told) = self.judge(desk, x, target, moment);
        let before = self.standing.rows;
        let came = self.learn(desk, x, moment, came, told);
        let mut times = self.options.resample_at.iter();
        if times.any(|&at| before < at && at <= self.standing.rows) {
            self.resample(desk, x, target);
        }
        came
    }

    /// Draws the dead latents anew from the batch that was learned from.
    fn resample(&mut self, desk: &Desk, x: &Matrix, target: &Matrix) {
        let (after, silent) = (self.options.dead_after, &self.standing.silent_for);
        let dead: Vec<usize> = (0..silent.len()).filter(|&own| silent[own] >= after).collect();
        let input = if self.centred { &desk.centred } else { x };
        let batch = resample::Batch { input, target, output: &desk.output };
        let first = first_number(&self.options);
        let mut random = Random::numbered(self.options.seed, "resample", &[self.standing.steps]);
        let length = first_length(self.options.norm());
        let length = self.to_itself.then_some(length);
        let begin = (length, first);
        let begun = resample::resample(&mut self.parameters, &dead, &batch, begin, &mut random);
        dead[..begun].iter().for_each(|&latent| self.standing.silent_for[latent] = 0);
    }

    /// Forward and back to the codes; says also what the rows tell c.
    fn judge(
        &mut self,
        desk: &mut Desk,
        x: &Matrix,
        target: &Matrix,
        moment: &Moment,
    ) -> (Came, Vec<f32>) {
        let mut search = std::mem::take(&mut self.search);
        let input = centre(x, self.centre.value.row(0), self.centred, &mut desk.centred);
        let weight = self.weight(moment, x.rows());
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
            let sifted = &mut desk.sifted;
            let least = self.choose(input, &rule, moment.k, sifted, &mut search);
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
        self.search = search;
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
                let weights = match self.options.norm() {
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

    /// Codes of a row at τ, mean over the first rows of a batch, where τ is learned.
    pub(super) fn l0_at_threshold(&self, desk: &mut Desk, x: &Matrix) -> Option<f64> {
        let threshold = self.standing.threshold? as f32;
        let rows = x.rows().min(MEASURED_ROWS);
        let values = x.as_slice()[..rows * x.cols()].to_vec();
        let x = Matrix::from_rows(rows, x.cols(), values).ok()?;
        let Desk { sifted, centred, .. } = desk;
        let input = centre(&x, self.centre.value.row(0), self.centred, centred);
        let LatentParameters { bias, norms, .. } = &self.parameters;
        let bounds: Vec<f32> =
            norms.iter().map(|norm| threshold / norm.max(f32::MIN_POSITIVE)).collect();
        sifted.sift(input, self.encoder(), bias.value.as_slice(), Wanted::Above(&bounds));
        Some(sifted.entries() as f64 / rows as f64)
    }

    /// From the codes to the parameters.
    fn learn(
        &mut self,
        desk: &mut Desk,
        x: &Matrix,
        moment: &Moment,
        mut came: Came,
        mut told: Vec<f32>,
    ) -> Came {
        let skip = self.skip.as_ref().map(|_| {
            // As of c: the first columns are what all nested dictionaries tell together.
            let all = desk.gradient.view().slice_move(s![.., ..told.len()]);
            let mut gradient = Matrix::zeros(told.len(), x.cols());
            multiply(all.t(), x.view(), gradient.view_mut());
            gradient
        });
        let weight = self.weight(moment, x.rows());
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
            norm: self.options.norm(),
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
        self.count(desk, came.sums.active, x.rows());
        if let Some(target) = self.options.target_l0.filter(|_| self.options.steered()) {
            let l0 = came.sums.active as f64 / x.rows() as f64;
            let Standing { weight, beyond, .. } = &mut self.standing;
            (*weight, *beyond) = control::steer((*weight, *beyond), l0, target);
        }
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

    /// λ/B of a step: one that is steered rises by itself.
    fn weight(&self, moment: &Moment, rows: usize) -> f32 {
        let steered = self.options.target_l0.is_some() && self.options.steered();
        let part = if steered { 1.0 } else { moment.sparsity };
        (self.standing.weight * part / rows as f64) as f32
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
