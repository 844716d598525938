//! Dead latents drawn anew, towards rows that are rebuilt badly: `resample_at`.
//!
//! ```text
//! for each dead latent j another row r of the batch, with probability ∝ (‖t_r − y_r‖²)²
//! u = (x_r − c)/‖x_r − c‖         Dⱼ ← u (times 0.1 where D is free)
//! Eⱼ ← u · 0.2 · mean ‖E‖ of the living        bⱼ ← 0        θ, r and m as at the start
//! and what Adam remembers of all of them ← 0
//! ```
//!
//! D stays where targets are others than the rows: u says nothing of them. No direction is given twice, or the
//! latents that share it would learn the same for ever. Where there are fewer than dead latents, the last of
//! these stay dead until the next time.
//!
//! Source: T. Bricken et al., Towards monosemanticity (2023), appendix "Neuron resampling"; of drawing without
//! putting back, P. S. Efraimidis and P. G. Spirakis, Weighted random sampling with a reservoir (2006).
//!
//! Differs from: the source, which draws from 819,200 rows, and not from those of one batch.

use std::collections::HashSet;

use super::latent_pass::{LatentParameters, bring_to_unit};
use super::learned::Learned;
use crate::compute::{Matrix, dot};
use crate::random::Random;

/// The length of a new encoder's row, in parts of that of the living.
const SHARE: f32 = 0.2;

/// Rows as the latents see them `(B, d)`, and as they should be and are rebuilt `(B, o)`.
pub(super) struct Batch<'a> {
    pub(super) input: &'a Matrix,
    pub(super) target: &'a Matrix,
    pub(super) output: &'a Matrix,
}

/// Draws the first of the latents at `dead` anew, as many as there are rows for, and says how many: their
/// decoder's rows get the given length, if one is given, and θ or r the value that it starts with.
pub(super) fn resample(
    parameters: &mut LatentParameters,
    dead: &[usize],
    batch: &Batch<'_>,
    (length, first): (Option<f32>, f32),
    random: &mut Random,
) -> usize {
    let living = mean_length(&parameters.encoder.value, dead);
    let mut unit = vec![0.0; batch.input.cols()];
    let (mut waiting, mut met) = (dead.iter(), HashSet::new());
    for row in drawn(batch, random) {
        bring_to_unit(batch.input.row(row), &mut unit);
        let is_none = unit.iter().all(|&value| value == 0.0);
        if is_none || !met.insert(blake3::hash(bytemuck::cast_slice(&unit))) {
            continue;
        }
        let Some(&latent) = waiting.next() else { break };
        begin(&mut parameters.encoder, latent, &unit, SHARE * living);
        if let Some(length) = length {
            begin(&mut parameters.decoder, latent, &unit, length);
            parameters.norms[latent] = length;
        }
        begin(&mut parameters.bias, latent, &[0.0], 0.0);
        for (own, value) in [(&mut parameters.first, first), (&mut parameters.second, 0.0)] {
            if !own.mean.is_empty() {
                begin(own, latent, &[value], 1.0);
            }
        }
    }
    dead.len() - waiting.len()
}

/// The rows that have a loss, in the order in which they are drawn one after the other: ∝ loss² of those that
/// are left, which is the order of `−ln(u)/loss²` with u uniform.
fn drawn(batch: &Batch<'_>, random: &mut Random) -> Vec<usize> {
    let loss = |row: usize| -> f64 {
        let pairs = batch.target.row(row).iter().zip(batch.output.row(row));
        pairs.map(|(t, y)| f64::from(t - y).powi(2)).sum()
    };
    let mut turns: Vec<(f64, usize)> = (0..batch.target.rows())
        .map(|row| (-(1.0 - random.uniform()).ln() / loss(row).powi(2), row))
        .filter(|(turn, _)| turn.is_finite())
        .collect();
    turns.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    turns.into_iter().map(|(_, row)| row).collect()
}

fn mean_length(encoder: &Matrix, dead: &[usize]) -> f32 {
    let mut living = vec![true; encoder.rows()];
    dead.iter().for_each(|&latent| living[latent] = false);
    let lengths = (0..encoder.rows()).filter(|&latent| living[latent]).map(|latent| {
        let row = encoder.row(latent);
        f64::from(dot(row, row)).sqrt()
    });
    let (sum, count) = lengths.fold((0.0, 0), |(sum, count), length| (sum + length, count + 1));
    if count > 0 { (sum / f64::from(count)) as f32 } else { 1.0 }
}

/// `row · factor` in place of what a latent had learned.
fn begin(own: &mut Learned, latent: usize, row: &[f32], factor: f32) {
    let range = latent * row.len()..(latent + 1) * row.len();
    let values = &mut own.value.as_mut_slice()[range.clone()];
    values.iter_mut().zip(row).for_each(|(value, x)| *value = factor * x);
    own.mean[range.clone()].fill(0.0);
    own.square[range].fill(0.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dead_begin_anew_towards_the_worst_row() {
        let rows = |values: &[f32]| Matrix::from_rows(2, 2, values.to_vec()).expect("fits");
        let learned = |values: &[f32], rows: usize| {
            Learned::new(Matrix::from_rows(rows, 2, values.to_vec()).expect("fits"))
        };
        let mut parameters = LatentParameters {
            encoder: learned(&[3.0, 4.0, 9.0, 9.0], 2),
            decoder: learned(&[1.0, 0.0, 0.6, 0.8], 2),
            bias: Learned::numbers(vec![0.5, 0.5]),
            first: Learned::numbers(Vec::new()),
            second: Learned::numbers(Vec::new()),
            norms: vec![1.0; 2],
        };
        parameters.encoder.mean.fill(7.0);
        // The first row is rebuilt perfectly: only the second can be drawn.
        let (input, output) = (rows(&[5.0, 5.0, 0.0, 2.0]), rows(&[5.0, 5.0, 0.0, 0.0]));
        let batch = Batch { input: &input, target: &input, output: &output };
        let mut random = Random::stream(0, "test");
        let begun = resample(&mut parameters, &[1], &batch, (Some(1.0), 0.0), &mut random);
        assert_eq!(begun, 1);
        assert_eq!(parameters.encoder.value.as_slice(), [3.0, 4.0, 0.0, 1.0]);
        assert_eq!(parameters.decoder.value.as_slice(), [1.0, 0.0, 0.0, 1.0]);
        assert_eq!(parameters.bias.value.as_slice(), [0.5, 0.0]);
        assert_eq!(parameters.encoder.mean, [7.0, 7.0, 0.0, 0.0]);
    }

    #[test]
    fn rows_are_drawn_by_their_squared_loss_and_none_of_them_twice() {
        // Losses 1, 2 and 0: of two draws the second row is the first in 4 of 5.
        let input = Matrix::from_rows(3, 1, vec![1.0, 2.0_f32.sqrt(), 3.0]).expect("fits");
        let output = Matrix::from_rows(3, 1, vec![0.0, 0.0, 3.0]).expect("fits");
        let batch = Batch { input: &input, target: &input, output: &output };
        let mut random = Random::stream(1, "test");
        let (count, mut first) = (20_000, 0);
        for _ in 0..count {
            let rows = drawn(&batch, &mut random);
            assert_eq!(rows.iter().sum::<usize>(), 1, "{rows:?}");
            assert_eq!(rows.len(), 2);
            first += usize::from(rows[0] == 1);
        }
        // Five standard deviations.
        let share = first as f64 / f64::from(count);
        assert!((share - 0.8).abs() < 5.0 * (0.16 / f64::from(count)).sqrt(), "{share}");
    }
}
