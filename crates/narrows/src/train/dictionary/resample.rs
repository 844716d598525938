//! Dead latents drawn anew, towards rows that are rebuilt badly: `resample_at`.
//!
//! ```text
//! for each dead latent j a row r of the batch, with probability ∝ (‖t_r − y_r‖²)²
//! u = (x_r − c)/‖x_r − c‖         Dⱼ ← u (times 0.1 where D is free)
//! Eⱼ ← u · 0.2 · mean ‖E‖ of the living        bⱼ ← 0        Adam's m and v of all of them ← 0
//! ```
//!
//! Source: T. Bricken et al., Towards monosemanticity (2023), appendix "Neuron resampling".
//!
//! Differs from: the source, which draws from 819,200 rows, and not from those of one batch.

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

/// Draws the latents at `dead` anew; their decoder's rows get the given length.
pub(super) fn resample(
    parameters: &mut LatentParameters,
    dead: &[usize],
    batch: &Batch<'_>,
    length: f32,
    random: &mut Random,
) {
    let chances = cumulated(batch);
    let Some(&total) = chances.last().filter(|total| **total > 0.0) else { return };
    let living = mean_length(&parameters.encoder.value, dead);
    let mut unit = vec![0.0; batch.input.cols()];
    for &latent in dead {
        let drawn = random.between(0.0, total);
        let row = chances.partition_point(|&chance| chance <= drawn).min(chances.len() - 1);
        bring_to_unit(batch.input.row(row), &mut unit);
        begin(&mut parameters.encoder, latent, &unit, SHARE * living);
        let seen = batch.target.cols() == unit.len();
        if seen {
            begin(&mut parameters.decoder, latent, &unit, length);
            parameters.norms[latent] = length;
        }
        begin(&mut parameters.bias, latent, &[0.0], 0.0);
    }
}

/// Sums of the squared losses of the rows, one after the other.
fn cumulated(batch: &Batch<'_>) -> Vec<f64> {
    let mut sum = 0.0;
    let loss = |row: usize| -> f64 {
        let pairs = batch.target.row(row).iter().zip(batch.output.row(row));
        pairs.map(|(t, y)| f64::from(t - y).powi(2)).sum()
    };
    (0..batch.target.rows())
        .map(|row| {
            sum += loss(row).powi(2);
            sum
        })
        .collect()
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
        resample(&mut parameters, &[1], &batch, 1.0, &mut random);
        assert_eq!(parameters.encoder.value.as_slice(), [3.0, 4.0, 0.0, 1.0]);
        assert_eq!(parameters.decoder.value.as_slice(), [1.0, 0.0, 0.0, 1.0]);
        assert_eq!(parameters.bias.value.as_slice(), [0.5, 0.0]);
        assert_eq!(parameters.encoder.mean, [7.0, 7.0, 0.0, 0.0]);
    }
}
