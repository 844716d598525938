//! How coarse the codes may be: chosen on training rows, never on those that are compressed.
//!
//! ```text
//! q*     bits per row     the least q with  Σᵢ Hᵢ(q) ≤ bits
//!        PSNR, SNR        the largest q whose rebuilt rows reach it
//!        excess           the largest q with  E(q) ≤ (1 + excess) E(0)
//!
//! Hᵢ: what index i takes, the lower of its empirical entropy, with (K − 1)/2n · log₂ n for what has to
//! be learned of its K values, and of its cost by the prior; E: squared error of the rows through the
//! model, E(0) without quantising
//! ```
//!
//! Bits fall and the error rises with q, so q is found by halving. The default is an excess of 5 %: more bits
//! would go into what the model loses anyway. Of a model that loses less than a ten-thousandth of the
//! rows' squares (40 dB) the excess counts from there.
//!
//! The answer of the decoder, gᵢ in [`super::quantiser`], is measured by central differences of a tenth
//! of the code's standard deviation: at one row where the decoder is linear, else at 64 of the rows, all
//! dimensions of a row at once. Source of the
//! error Δ²/12: W. R. Bennett, Spectra of quantized signals, Bell System Technical Journal 27 (1948).

use half::bf16;
use ndarray::Array2;
use rayon::prelude::*;

use super::pass::Codec;
use super::quantiser::{Quantiser, Rules, counted};
use super::values::{Fidelity, Values};
use crate::data::{Chosen, Source, evenly};
use crate::error::{Error, Result};

/// Training rows that the choice is made on, at most …
const MOST_ROWS: usize = 4096;
/// … and the numbers in them: 128 MiB as f64.
const MOST_NUMBERS: usize = 1 << 24;
/// Rows at which the answer of a decoder that is not linear is measured.
const ANSWERED: usize = 64;
/// Halvings of the range of q, which is 2²⁶: to a five-hundredth of a step.
const HALVINGS: usize = 14;
const RANGE: f64 = 26.0;
/// What a model loses at least, as a share of the rows' squares, before an excess counts.
const LEAST_LOSS: f64 = 1e-4;

/// What is wanted of the codes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// So many bits per row, without the head of the file.
    BitsPerRow(f64),
    /// A peak signal-to-noise ratio in dB, of pictures.
    Psnr(f64),
    /// A signal-to-noise ratio in dB.
    Snr(f64),
    /// A squared error above that of the model by this share.
    Excess(f64),
}

impl Default for Target {
    fn default() -> Self {
        Self::Excess(0.05)
    }
}

/// What training rows look like, measured once for every q.
pub(super) struct Training<'a> {
    codec: Codec<'a>,
    rows: Chosen<'a>,
    /// Codes by column.
    columns: Vec<Vec<f64>>,
    offsets: Vec<bf16>,
    /// √g of each dimension.
    answers: Vec<f64>,
    /// The largest spread of a row's coordinate that a dimension makes.
    widest: f64,
}

/// The quantiser that serves the target best on the training rows.
///
/// Memory is that of 4,096 rows with their codes.
///
/// # Errors
/// If the rows cannot be read or coded, or the model cannot reach the target.
pub fn choose(codec: &Codec<'_>, training: &dyn Source, target: Target) -> Result<Quantiser> {
    if training.rows() == 0 {
        let remedy = "give rows that the model was fitted on";
        return Err(Error::mistake("compress", "training rows", "none", remedy));
    }
    check(codec, target)?;
    let most = (MOST_NUMBERS / training.dim().max(1)).clamp(1, MOST_ROWS);
    let places = evenly(training.rows(), most);
    Training::new(*codec, training, &places)?.find(target)
}

/// Refuses a target that says nothing of such rows.
fn check(codec: &Codec<'_>, target: Target) -> Result<()> {
    let (option, value) = match target {
        Target::BitsPerRow(bits) => ("bits per row", bits),
        Target::Psnr(value) => ("a PSNR in dB", value),
        Target::Snr(value) => ("an SNR in dB", value),
        Target::Excess(share) => ("an excess", share),
    };
    if !(value.is_finite() && value > 0.0) {
        let (expected, got) = (format!("{option} above 0"), value.to_string());
        return Err(Error::mistake("compress", expected, got, "give a positive number"));
    }
    if matches!(target, Target::Psnr(_)) && codec.values() != Values::Bytes {
        let (expected, got) = ("8-bit pictures for a PSNR", "other rows");
        return Err(Error::mistake("compress", expected, got, "give an SNR or bits per row"));
    }
    Ok(())
}

impl<'a> Training<'a> {
    fn new(codec: Codec<'a>, source: &'a dyn Source, places: &'a [usize]) -> Result<Self> {
        let rows = Chosen { source, places };
        let dim = codec.model().latent_dim();
        let mut columns = vec![Vec::with_capacity(places.len()); dim];
        for block in codec.blocks(places.len()) {
            let codes = codec.codes(codec.prepared(&rows, block)?.view())?;
            for (column, dim) in columns.iter_mut().zip(0..) {
                column.extend(codes.iter().skip(dim).step_by(codes.len() / block.1));
            }
        }
        let spreads: Vec<(f64, f64)> =
            columns.iter().map(|column| mean_deviation(column)).collect();
        let offsets = spreads.iter().map(|&(mean, _)| bf16::from_f64(mean)).collect();
        let answers = answers(&codec, &columns, &spreads)?;
        let wide = answers.iter().zip(&spreads).map(|(answer, (_, deviation))| answer * deviation);
        let widest = wide.fold(0.0, f64::max);
        Ok(Self { codec, rows, columns, offsets, answers, widest })
    }

    /// The quantiser whose steps all change a row by about `q`.
    fn quantiser(&self, q: f64) -> Quantiser {
        let step = |answer: &f64| {
            let step = if *answer > 0.0 { q / answer } else { 1.0 };
            bf16::from_f64(step.clamp(1e-30, 1e30))
        };
        let steps: Vec<bf16> = self.answers.iter().map(step).collect();
        Quantiser::learn(&self.columns, &self.offsets, &steps)
    }

    fn find(&self, target: Target) -> Result<Quantiser> {
        // The coarsest steps leave nothing but the offsets.
        let coarsest = 16.0 * self.widest.max(f64::MIN_POSITIVE);
        let at = |octaves: f64| self.quantiser(coarsest * libm::exp2(-octaves));
        let most = match target {
            Target::Excess(share) => {
                let alone = self.alone()?;
                (1.0 + share) * alone.squared_error.max(LEAST_LOSS * alone.squares)
            }
            _ => f64::INFINITY,
        };
        // Whether steps are at least as fine as the target wants them.
        let wanted = |found: &Quantiser| -> Result<bool> {
            Ok(match target {
                Target::BitsPerRow(bits) => self.bits(found) > bits,
                Target::Psnr(least) => self.fidelity(found)?.psnr() >= least,
                Target::Snr(least) => self.fidelity(found)?.snr() >= least,
                Target::Excess(_) => self.fidelity(found)?.squared_error <= most,
            })
        };
        let (mut coarse, mut fine) = (0.0, RANGE);
        if wanted(&at(coarse))? {
            return Ok(at(coarse));
        }
        if !wanted(&at(fine))? {
            return self.without_end(target, at(fine));
        }
        for _ in 0..HALVINGS {
            let middle = 0.5 * (coarse + fine);
            if wanted(&at(middle))? { fine = middle } else { coarse = middle }
        }
        // Bits stay below what is wanted, the others above.
        Ok(at(if matches!(target, Target::BitsPerRow(_)) { coarse } else { fine }))
    }

    /// What the finest steps are worth where they do not reach the target.
    fn without_end(&self, target: Target, finest: Quantiser) -> Result<Quantiser> {
        let (name, least, found) = match target {
            Target::BitsPerRow(_) | Target::Excess(_) => return Ok(finest),
            Target::Psnr(least) => ("PSNR", least, self.alone()?.psnr()),
            Target::Snr(least) => ("SNR", least, self.alone()?.snr()),
        };
        Err(Error::mistake(
            "compress",
            format!("a {name} that the model reaches on training rows, at most {found:.2} dB"),
            format!("{least} dB"),
            "ask for less, or fit a model with a wider code",
        ))
    }

    /// Bits that a row takes, as far as training rows tell.
    pub(super) fn bits(&self, quantiser: &Quantiser) -> f64 {
        let rules = quantiser.rules();
        let columns = self.columns.par_iter().enumerate();
        let bits: Vec<f64> =
            columns.map(|(dim, column)| dimension_bits(&rules, dim, column)).collect();
        bits.iter().sum()
    }

    /// How well the training rows are rebuilt from quantised codes.
    fn fidelity(&self, quantiser: &Quantiser) -> Result<Fidelity> {
        let rules = quantiser.rules();
        self.through(|codes| Ok(quantiser.dequantise(&rules.quantise(codes)?)))
    }

    /// How well the training rows are rebuilt by the model.
    fn alone(&self) -> Result<Fidelity> {
        self.through(|codes| Ok(codes.to_vec()))
    }

    fn through(&self, code: impl Fn(&[f64]) -> Result<Vec<f64>>) -> Result<Fidelity> {
        let mut found = Fidelity::default();
        for (start, rows) in self.codec.blocks(self.rows.rows()) {
            let prepared = self.codec.prepared(&self.rows, (start, rows))?;
            let codes: Vec<f64> = (start..start + rows)
                .flat_map(|row| self.columns.iter().map(move |column| column[row]))
                .collect();
            let rebuilt = self.codec.rebuild(code(&codes)?)?;
            self.codec.compare(&self.rows, start, &prepared, &rebuilt, &mut found)?;
        }
        Ok(found)
    }
}

fn mean_deviation(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    (mean, variance.sqrt())
}

fn dimension_bits(rules: &Rules, dim: usize, column: &[f64]) -> f64 {
    let counts = counted(column.iter().map(|&code| rules.of(dim, code)));
    let rows = column.len() as f64;
    let entropy: f64 =
        counts.iter().map(|&(_, n)| -(n as f64 / rows) * (n as f64 / rows).log2()).sum();
    let learned = (counts.len() - 1) as f64 / (2.0 * rows) * rows.log2();
    let prior: f64 =
        counts.iter().map(|&(index, n)| n as f64 / rows * rules.bits(dim, index)).sum();
    prior.min(entropy + learned)
}

/// √g of each dimension: how far a row moves when its code does.
fn answers(codec: &Codec<'_>, columns: &[Vec<f64>], spreads: &[(f64, f64)]) -> Result<Vec<f64>> {
    let rows = columns.first().map_or(0, Vec::len);
    let measured = evenly(rows, if codec.is_linear() { 1 } else { ANSWERED });
    let mut squares = vec![0.0; columns.len()];
    for &row in &measured {
        let code: Vec<f64> = columns.iter().map(|column| column[row]).collect();
        for (sum, square) in squares.iter_mut().zip(answers_at(codec, &code, spreads)?) {
            *sum += square;
        }
    }
    Ok(squares.iter().map(|sum| (sum / measured.len() as f64).sqrt()).collect())
}

/// ‖∂x̂/∂zᵢ‖² at one code, all dimensions in one decoding forwards and one backwards.
fn answers_at(codec: &Codec<'_>, code: &[f64], spreads: &[(f64, f64)]) -> Result<Vec<f64>> {
    let widths: Vec<f64> = spreads.iter().map(|&(_, deviation)| 0.1 * deviation).collect();
    let moved = |sign: f64| {
        let mut codes = Array2::from_shape_fn((code.len(), code.len()), |(_, dim)| code[dim]);
        widths.iter().enumerate().for_each(|(dim, width)| codes[(dim, dim)] += sign * width);
        codec.model().decode(codes.view())
    };
    let (forwards, backwards) = (moved(1.0)?, moved(-1.0)?);
    let square = |(dim, &width): (usize, &f64)| {
        let pairs = forwards.row(dim).into_iter().zip(backwards.row(dim));
        let moved: f64 = pairs.map(|(a, b)| (a - b).powi(2)).sum();
        // A code that never varies tells nothing of how the decoder answers.
        if width > 0.0 { moved / (2.0 * width).powi(2) } else { 0.0 }
    };
    Ok(widths.iter().enumerate().map(square).collect())
}
