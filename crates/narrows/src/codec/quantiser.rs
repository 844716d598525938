//! Numbers of a code to whole numbers and back.
//!
//! ```text
//! index       k = the one of round(u) and its neighbour towards 0 with the less  (u − k)² + λ b(k)
//!             u = (z − c)/Δ,  λ = (ln 2)/6,  b(k): bits of k by the prior
//! dequantise  ẑ = c + Δ k
//! steps       Δᵢ = q / √gᵢ,   gᵢ = mean over rows of ‖∂x̂/∂zᵢ‖²
//! ```
//!
//! One number q sets all steps. A uniform quantiser of step Δ adds the error Δ²/12 to a coordinate and
//! takes h − log₂ Δ bits, so the least error for a number of bits adds the same error to each coordinate
//! of the *row*, and a number to which the decoder answers twice as strongly gets half the step. Of
//! PCA, where all gᵢ are 1, this is reverse water-filling: components whose spread lies below the step
//! become 0 and take no bits, all others have the same error. Of a network it holds as far as the
//! decoder is linear over a step.
//!
//! λ is the slope of that curve: with D = Δ²/12 and R = h − log₂ Δ, −dD/dR = 2 ln 2 · D = Δ² (ln 2)/6.
//! The rule moves what lies nearly as well at the cheaper neighbour and leaves the rest, which is what
//! an entropy-coded quantiser with uniform steps needs at low rates (a wider interval around 0).
//!
//! Source: H. Gish and J. N. Pierce, Asymptotically efficient quantizing, IEEE Transactions on Information
//! Theory 14 (1968); reverse water-filling: T. M. Cover and J. A. Thomas, Elements of Information
//! Theory (2006), §10.3.3; P. A. Chou, T. Lookabaugh and R. M. Gray,
//! Entropy-constrained vector quantization, IEEE Transactions on Acoustics, Speech and Signal Processing 37
//! (1989); G. J. Sullivan, Efficient scalar quantization of exponential and Laplacian random
//! variables, IEEE Transactions on Information Theory 42 (1996).

use half::bf16;
use rayon::prelude::*;

use super::entropy::{Costs, Spread};
use crate::error::{Error, Result};

/// (ln 2)/6.
const SLOPE: f64 = std::f64::consts::LN_2 / 6.0;
/// How often the spread is learned again from indices that were chosen by the one before.
const REFINED: usize = 2;

/// How the numbers of a code become whole numbers: three for each dimension.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantiser {
    /// What index 0 stands for.
    pub offsets: Vec<bf16>,
    /// What lies between two indices.
    pub steps: Vec<bf16>,
    /// How widely the indices spread.
    pub spreads: Vec<Spread>,
}

impl Quantiser {
    /// Columns of a code.
    pub fn dim(&self) -> usize {
        self.steps.len()
    }

    /// How many of the first dimensions hold all those that get bits, at least one.
    pub(super) fn used(&self) -> usize {
        let last = self.spreads.iter().rposition(|spread| *spread != Spread::NONE);
        last.map_or(1, |last| last + 1)
    }

    /// The same of the first `dims` dimensions.
    pub(super) fn first(&self, dims: usize) -> Self {
        Self {
            offsets: self.offsets[..dims].to_vec(),
            steps: self.steps[..dims].to_vec(),
            spreads: self.spreads[..dims].to_vec(),
        }
    }

    /// What indices `(n, m)` stand for.
    pub fn dequantise(&self, indices: &[i32]) -> Vec<f64> {
        let mut values = vec![0.0; indices.len()];
        let rows = values.chunks_exact_mut(self.dim()).zip(indices.chunks_exact(self.dim()));
        for (out, row) in rows {
            for ((out, &index), dim) in out.iter_mut().zip(row).zip(0..) {
                *out = self.offsets[dim].to_f64() + self.steps[dim].to_f64() * f64::from(index);
            }
        }
        values
    }

    /// The quantiser and what it makes of the codes that it is learned from, `(n, m)` by columns.
    pub(super) fn learn(columns: &[Vec<f64>], offsets: &[bf16], steps: &[bf16]) -> Self {
        let learned = columns.par_iter().zip(offsets).zip(steps);
        let spreads = learned.map(|((column, &offset), &step)| {
            let plain = column.iter().map(|&z| nearest(scaled(z, offset, step)));
            let mut spread = Spread::fit(&counted(plain));
            for _ in 0..REFINED {
                let rule = Rule { offset, step, costs: costs(spread) };
                spread = Spread::fit(&counted(column.iter().map(|&z| rule.index(z))));
            }
            spread
        });
        let spreads = spreads.collect();
        Self { offsets: offsets.to_vec(), steps: steps.to_vec(), spreads }
    }

    /// The rule of every dimension, made once for many rows.
    pub fn rules(&self) -> Rules {
        let dims = self.offsets.iter().zip(&self.steps).zip(&self.spreads);
        let rule = |((&offset, &step), &spread)| Rule { offset, step, costs: costs(spread) };
        Rules(dims.map(rule).collect())
    }
}

/// What a number becomes, by dimension.
pub struct Rules(Vec<Rule>);

struct Rule {
    offset: bf16,
    step: bf16,
    costs: Option<Costs>,
}

impl Rules {
    /// Indices `(n, m)` of codes `(n, m)`.
    ///
    /// # Errors
    /// If a number is not finite.
    pub fn quantise(&self, codes: &[f64]) -> Result<Vec<i32>> {
        if codes.iter().any(|z| !z.is_finite()) {
            let problem = "the model's code of a row is not a finite number";
            return Err(Error::failure("quantise codes", problem, "see whether the row is sound"));
        }
        let rules = self.0.iter().cycle();
        Ok(codes.iter().zip(rules).map(|(&z, rule)| rule.index(z)).collect())
    }

    pub(super) fn of(&self, dim: usize, code: f64) -> i32 {
        self.0[dim].index(code)
    }

    pub(super) fn bits(&self, dim: usize, index: i32) -> f64 {
        self.0[dim].costs.as_ref().map_or(0.0, |costs| costs.of(index))
    }
}

impl Rule {
    fn index(&self, code: f64) -> i32 {
        let Some(costs) = &self.costs else { return 0 };
        let u = scaled(code, self.offset, self.step);
        let near = nearest(u);
        // 32 bits hold every index; one at their ends has no cheaper neighbour worth a thought.
        let inner = near - near.signum();
        let price = |k: i32| (u - f64::from(k)).powi(2) + SLOPE * costs.of(k);
        if price(inner) < price(near) { inner } else { near }
    }
}

fn scaled(code: f64, offset: bf16, step: bf16) -> f64 {
    (code - offset.to_f64()) / step.to_f64()
}

/// The nearest whole number of 32 bits.
fn nearest(u: f64) -> i32 {
    u.round() as i32
}

fn costs(spread: Spread) -> Option<Costs> {
    (spread != Spread::NONE).then(|| spread.costs())
}

/// How often each index occurs, in the order of the indices.
pub(super) fn counted(indices: impl Iterator<Item = i32>) -> Vec<(i32, u64)> {
    let mut sorted: Vec<i32> = indices.collect();
    sorted.sort_unstable();
    sorted.chunk_by(|a, b| a == b).map(|same| (same[0], same.len() as u64)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn quantiser(step: f32, spread: u8) -> Quantiser {
        Quantiser {
            offsets: vec![bf16::from_f32(0.5)],
            steps: vec![bf16::from_f32(step)],
            spreads: vec![Spread(spread)],
        }
    }

    #[test]
    fn an_index_is_the_nearest_or_its_neighbour_towards_the_offset() {
        let quantiser = quantiser(0.25, 60);
        let rules = quantiser.rules();
        let mut moved = 0;
        for at in -400..400 {
            let code = f64::from(at) * 0.01;
            let index = rules.quantise(&[code]).unwrap()[0];
            let near = ((code - 0.5) / 0.25).round() as i32;
            assert!(index == near || index == near - near.signum(), "{code}: {index}, {near}");
            moved += i32::from(index != near);
            let back = quantiser.dequantise(&[index])[0];
            assert_eq!(back, 0.5 + 0.25 * f64::from(index));
        }
        assert!((20..250).contains(&moved), "{moved} of 800 moved");
    }

    #[test]
    fn what_has_no_spread_is_its_offset() {
        let quantiser = quantiser(0.25, 0);
        assert_eq!(quantiser.rules().quantise(&[7.0]).unwrap(), [0]);
        assert_eq!(quantiser.dequantise(&[0]), [0.5]);
    }

    #[test]
    fn numbers_that_are_none_are_refused() {
        let error = quantiser(1.0, 60).rules().quantise(&[f64::NAN]).unwrap_err().to_string();
        assert!(error.contains("not a finite number"), "{error}");
    }

    /// The rule is worth its trouble: fewer bits for the same error than plain rounding.
    #[test]
    fn the_rule_beats_rounding_on_laplacian_codes() {
        let mut random = crate::random::Random::stream(3, "codes");
        let codes: Vec<f64> = (0..20_000)
            .map(|_| random.between(1e-9, 1.0).ln() * [1.0, -1.0][random.below(2)])
            .collect();
        let entropy = |indices: &[i32]| {
            let n = indices.len() as f64;
            let counts = counted(indices.iter().copied());
            counts.iter().map(|&(_, c)| -(c as f64 / n) * (c as f64 / n).log2()).sum::<f64>()
        };
        let point = |step: f64, ruled: bool| {
            let (offset, step) = (bf16::ZERO, bf16::from_f64(step));
            let column = [codes.clone()];
            let found = Quantiser::learn(&column, &[offset], &[step]);
            let indices = match ruled {
                true => found.rules().quantise(&codes).unwrap(),
                false => codes.iter().map(|&z| nearest(scaled(z, offset, step))).collect(),
            };
            let rebuilt = found.dequantise(&indices);
            let error = codes.iter().zip(&rebuilt).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
            (entropy(&indices), 10.0 * (error / codes.len() as f64).log10())
        };
        for step in [1.0, 2.0] {
            let (bits, error) = point(step, true);
            // The step of plain rounding that leaves the same error.
            let finer = (1..400).map(|i| step * 1.5 * f64::from(i) / 400.0);
            let same = finer.map(|step| point(step, false)).rfind(|&(_, e)| e <= error).unwrap();
            assert!(bits < same.0, "step {step}: {bits} bits, plain rounding {}", same.0);
        }
    }
}
