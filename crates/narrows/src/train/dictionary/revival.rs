//! A loss that revives dead latents: they are asked to rebuild what the living leave over.
//!
//! ```text
//! e = t − y, held fixed;  of each row the k' largest pre-activations a of dead latents
//! ê = Σ_{dead, chosen} aⱼDⱼ
//! L' = w · s · 1/B Σ_rows ‖e − ê‖²        s = min(1, number dead / k')      w = 1/32, k' = d/2
//!
//! ∂L'/∂aⱼ = <2ws/B·(ê − e), Dⱼ>
//! ```
//!
//! A latent is dead when no row of the last `dead_after` gave it a code.
//!
//! Source: L. Gao et al., Scaling and evaluating sparse autoencoders (2024), appendix A.2 (`AuxK`).
//!
//! Differs from: the paper and dictionary_learning, which divide by the variance of e; sparsify divides by
//! that of t; SAELens has w = 1. The pre-activations may be negative, as in SAELens, where sparsify and
//! dictionary_learning rectify them first: a latent whose pre-activations are all negative is then never told
//! anything.

use rayon::prelude::*;

use super::codes::Codes;
use crate::compute::{Kept, Matrix, Sifted, Wanted, add_scaled, dot, wide};

/// Rows that one task takes.
const PIECE: usize = 32;

/// The dead latents of one step.
#[derive(Debug, Default)]
pub(super) struct Revival {
    /// Their places.
    dead: Vec<usize>,
    encoder: Matrix,
    bias: Vec<f32>,
    weights: Vec<f32>,
    sifted: Sifted,
    pub(super) codes: Codes,
    /// `(B, o)`: 2ws/B·(ê − e).
    pub(super) gradient: Matrix,
}

impl Revival {
    /// Finds the dead among the latents; says how many there are.
    pub(super) fn find(&mut self, silent_for: &[u64], dead_after: u64) -> usize {
        self.dead.clear();
        let dead = silent_for.iter().enumerate().filter(|(_, rows)| **rows >= dead_after);
        self.dead.extend(dead.map(|(latent, _)| latent));
        self.dead.len()
    }

    /// Asks the dead latents to rebuild `target − output`; says L'.
    ///
    /// `encoder`, `bias` and `norms` are those of all latents; codes are ordered by a·ν.
    pub(super) fn ask(
        &mut self,
        (input, encoder, bias, norms): (&Matrix, &Matrix, &[f32], &[f32]),
        decoder: &Matrix,
        (target, output): (&Matrix, &Matrix),
        (weight, k): (f64, usize),
    ) -> f64 {
        let scale = (self.dead.len() as f64 / k as f64).min(1.0);
        self.gather(encoder, bias, norms);
        let wanted = Wanted::Largest { k, above: f32::NEG_INFINITY, weights: &self.weights };
        self.sifted.sift(input, &self.encoder, &self.bias, wanted);
        for entries in self.sifted.rows_mut() {
            let own = |entry: &mut Kept| entry.column = self.dead[entry.column as usize] as u32;
            entries.iter_mut().for_each(own);
        }
        self.codes.fill(self.sifted.rows());
        self.gradient.reshape(target.rows(), target.cols());
        let share = (weight * scale / target.rows() as f64) as f32;
        let loss = self.back(decoder, target, output, share);
        self.codes.group(encoder.rows());
        loss
    }

    fn gather(&mut self, encoder: &Matrix, bias: &[f32], norms: &[f32]) {
        self.encoder.reshape(self.dead.len(), encoder.cols());
        crate::compute::gather(encoder.view(), &self.dead, &mut self.encoder);
        let pick = |from: &[f32], to: &mut Vec<f32>| {
            to.clear();
            to.extend(self.dead.iter().map(|&latent| from[latent]));
        };
        pick(bias, &mut self.bias);
        pick(norms, &mut self.weights);
    }

    fn back(&mut self, decoder: &Matrix, target: &Matrix, output: &Matrix, share: f32) -> f64 {
        let columns = target.cols();
        let mut rest = &mut self.codes.codes[..];
        let mut pieces = Vec::with_capacity(target.rows().div_ceil(PIECE));
        let gradients = self.gradient.as_mut_slice().chunks_mut(PIECE * columns);
        for (index, gradient) in gradients.enumerate() {
            let first = index * PIECE;
            let starts = &self.codes.starts[first..=(first + PIECE).min(target.rows())];
            let (own, later) = rest.split_at_mut(starts[starts.len() - 1] - starts[0]);
            rest = later;
            pieces.push((first, starts, own, gradient));
        }
        let sums: Vec<f64> = pieces
            .into_par_iter()
            .map(|(first, starts, codes, gradient)| {
                wide(
                    #[inline(always)]
                    || {
                        let mut sum = 0.0;
                        for (row, gradient) in gradient.chunks_exact_mut(columns).enumerate() {
                            let own = starts[row] - starts[0]..starts[row + 1] - starts[0];
                            let codes = &mut codes[own];
                            let pairs = output.row(first + row).iter().zip(target.row(first + row));
                            gradient.iter_mut().zip(pairs).for_each(|(g, (y, t))| *g = y - t);
                            for code in &mut *codes {
                                code.value = code.before;
                                let own = decoder.row(code.latent as usize);
                                add_scaled(gradient, code.value, own);
                            }
                            sum += f64::from(share * dot(gradient, gradient));
                            gradient.iter_mut().for_each(|g| *g *= 2.0 * share);
                            for code in codes {
                                code.slope = dot(gradient, decoder.row(code.latent as usize));
                            }
                        }
                        sum
                    },
                )
            })
            .collect();
        sums.iter().sum()
    }
}
