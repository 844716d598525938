//! Whether two dictionaries do the same: codes and rebuilt rows of random rows, beside each other.
//!
//! Rows are normal, half of them about zero and half about the bias of the decoder, and larger and larger
//! until some latent is in use, since the thresholds of a dictionary are in units that nobody tells.

use serde::Serialize;

use crate::compute::{Matrix, SparseRows};
use crate::error::{Error, Result};
use crate::model::{Autoencoder, Dictionary};
use crate::random::Random;

/// Rows that are compared.
const ROWS: usize = 64;
/// How much of the largest value of its row a difference may be.
const TOLERANCE: f32 = 1e-5;
/// Scales of rows, each four times the one before, before a dictionary is taken for dead.
const SCALES: usize = 16;

/// How far two dictionaries agree.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Agreement {
    /// Rows that went through both.
    pub rows: usize,
    /// Codes that were not zero.
    pub codes: usize,
    /// The largest difference of a code, as a share of the largest of its row.
    pub largest_code_difference: f32,
    /// The largest difference of a number of a rebuilt row, as a share of the largest of its row.
    pub largest_row_difference: f32,
}

/// Sends the same random rows through both.
///
/// # Errors
/// If a code or a rebuilt row differs by more than 1e-5 of the largest value of its row.
pub fn compare(source: &Dictionary, written: &Dictionary) -> Result<Agreement> {
    let differs = |what: String| {
        let remedy = "report it, with the dictionary; nothing was written";
        Error::failure("check what was written", what, remedy)
    };
    let shape = |d: &Dictionary| (d.input_dim(), d.latent_dim(), d.output_dim());
    if shape(source) != shape(written) {
        return Err(differs(format!("{:?} became {:?}", shape(source), shape(written))));
    }
    let (x, z) = rows_in_use(source)?;
    let again = written.encode_sparse(&x)?;
    let codes = difference(&z.to_dense(), &again.to_dense());
    let rows = difference(&source.rebuild(&z, &x)?, &written.rebuild(&again, &x)?);
    for (found, what) in [(codes, "codes"), (rows, "rebuilt rows")] {
        // Not a number is no agreement either.
        if found.is_nan() || found > TOLERANCE {
            return Err(differs(format!("{what} of the same rows differ by {found:e}")));
        }
    }
    Ok(Agreement {
        rows: ROWS,
        codes: z.entries(),
        largest_code_difference: codes,
        largest_row_difference: rows,
    })
}

fn rows_in_use(dictionary: &Dictionary) -> Result<(Matrix, SparseRows)> {
    let d = dictionary.input_dim();
    let mut random = Random::stream(0, "check a written dictionary");
    let noise: Vec<f32> = (0..ROWS * d).map(|_| random.normal() as f32).collect();
    let mut scale = 1.0;
    loop {
        let value = |(place, noise): (usize, &f32)| {
            let (row, column) = (place / d, place % d);
            let about = if row % 2 == 1 && dictionary.output_dim() == d { 1.0 } else { 0.0 };
            let bias = dictionary.decoder_bias.get(column).copied().unwrap_or(0.0);
            about * bias + scale * noise
        };
        let x = Matrix::from_rows(ROWS, d, noise.iter().enumerate().map(value).collect())?;
        let z = dictionary.encode_sparse(&x)?;
        if z.entries() >= ROWS || scale >= 4_f32.powi(SCALES as i32) {
            return Ok((x, z));
        }
        scale *= 4.0;
    }
}

fn difference(a: &Matrix, b: &Matrix) -> f32 {
    let of_row = |row: usize| {
        let (a, b) = (a.row(row), b.row(row));
        let largest = a.iter().fold(f32::MIN_POSITIVE, |largest, value| largest.max(value.abs()));
        let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs() / largest);
        differences.fold(0.0, |worst: f32, d| if d.is_nan() { f32::NAN } else { worst.max(d) })
    };
    (0..a.rows()).map(of_row).fold(0.0, |worst: f32, d| if d.is_nan() { d } else { worst.max(d) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::dictionary::{Gate, RowScale};

    fn dictionary() -> Dictionary {
        let mut random = Random::stream(3, "dictionary");
        let mut draw = |count: usize| (0..count).map(|_| random.normal() as f32).collect();
        Dictionary {
            encoder: Matrix::from_rows(20, 5, draw(100)).expect("fits"),
            encoder_bias: draw(20),
            decoder: Matrix::from_rows(20, 5, draw(100)).expect("fits"),
            decoder_bias: draw(5),
            skip: None,
            centred: true,
            gate: Gate::Threshold(vec![700.0; 20]),
            row_scale: RowScale::None,
        }
    }

    #[test]
    fn rows_grow_until_latents_are_in_use() {
        let agreement = compare(&dictionary(), &dictionary()).expect("agrees");
        assert!(agreement.codes >= ROWS && agreement.largest_code_difference == 0.0);
    }

    /// What a writer may get wrong: the bias, the threshold, the norms, the order of latents.
    #[test]
    fn what_differs_is_refused() {
        let wrong: [fn(&mut Dictionary); 5] = [
            |d| d.centred = false,
            |d| d.gate = Gate::Threshold(vec![800.0; 20]),
            |d| crate::compute::scale_rows(&mut d.decoder, &[1.001; 20]),
            |d| d.encoder.as_mut_slice()[..10].reverse(),
            |d| d.encoder.as_mut_slice()[0] = f32::NAN,
        ];
        for change in wrong {
            let mut written = dictionary();
            change(&mut written);
            let message = compare(&dictionary(), &written).expect_err("differs").to_string();
            assert!(message.contains("differ by"), "{message}");
        }
    }
}
