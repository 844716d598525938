//! Rows of a batch: rebuilt from their codes, compared with their targets, and back to the codes.
//!
//! ```text
//! widths m₁ < … < m_G = n (one, n, but for matryoshka)
//! y_g = Σ_{j < m_g} zⱼDⱼ + c [+ Sx]         L = 1/(B·G) Σ_rows Σ_g ‖t − y_g‖²
//! ∂L/∂zⱼ = <Σ_{g: m_g > j} 2/(B·G)·(y_g − t), Dⱼ>
//! ```
//!
//! Each row of D that a row needs is fetched once: it is still in the cache when the row goes back.

use rayon::prelude::*;

use super::codes::{Code, Codes};
use super::gated;
use super::rule::Rule;
use crate::compute::{Matrix, add_scaled, dot, wide};

/// Rows that one task takes.
const PIECE: usize = 32;

/// What the rows of a batch came to, summed.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Sums {
    /// `Σ ‖t − y‖²` of the whole dictionary.
    pub(super) residual: f64,
    /// The squared errors as the loss has them, mean over the batch.
    pub(super) loss: f64,
    /// The penalty as the loss has it, mean over the batch.
    pub(super) penalty: f64,
    /// Codes that are not zero.
    pub(super) active: u64,
    /// `Σ z`.
    pub(super) total: f64,
}

impl Sums {
    pub(super) fn add(self, more: Self) -> Self {
        Self {
            residual: self.residual + more.residual,
            loss: self.loss + more.loss,
            penalty: self.penalty + more.penalty,
            active: self.active + more.active,
            total: self.total + more.total,
        }
    }
}

/// What all rows share.
pub(super) struct RowPass<'a> {
    pub(super) rule: Rule<'a>,
    /// D.
    pub(super) decoder: &'a Matrix,
    /// c.
    pub(super) bias: &'a [f32],
    pub(super) target: &'a Matrix,
    pub(super) widths: &'a [usize],
}

struct Piece<'a> {
    first: usize,
    starts: &'a [usize],
    codes: &'a mut [Code],
    output: &'a mut [f32],
    gradient: &'a mut [f32],
}

impl RowPass<'_> {
    /// Fills values and slopes of the codes; `output (B, o)` holds c or c + Sx and becomes y; `gradient
    /// (B, G·o)` becomes of each row, for each nested width, what it tells the latents below it.
    pub(super) fn run(
        &self,
        codes: &mut Codes,
        output: &mut Matrix,
        gradient: &mut Matrix,
    ) -> Sums {
        let columns = output.cols();
        let mut rest = &mut codes.codes[..];
        let outputs = output.as_mut_slice().chunks_mut(PIECE * columns);
        let gradients = gradient.as_mut_slice().chunks_mut(PIECE * columns * self.widths.len());
        let mut pieces = Vec::with_capacity(self.target.rows().div_ceil(PIECE));
        for (index, (output, gradient)) in outputs.zip(gradients).enumerate() {
            let first = index * PIECE;
            let last = (first + PIECE).min(self.target.rows());
            let starts = &codes.starts[first..=last];
            let (own, later) = rest.split_at_mut(starts[last - first] - starts[0]);
            rest = later;
            pieces.push(Piece { first, starts, codes: own, output, gradient });
        }
        let sums: Vec<Sums> = pieces
            .into_par_iter()
            .map(|piece| {
                wide(
                    #[inline(always)]
                    || self.piece(piece),
                )
            })
            .collect();
        sums.into_iter().fold(Sums::default(), Sums::add)
    }

    #[inline(always)]
    fn piece(&self, piece: Piece<'_>) -> Sums {
        let Piece { first, starts, codes, output, gradient } = piece;
        let columns = self.target.cols();
        let outputs = output.chunks_exact_mut(columns);
        let gradients = gradient.chunks_exact_mut(columns * self.widths.len());
        let mut second = vec![0.0; if self.rule.is_gated() { columns } else { 0 }];
        let mut sums = Sums::default();
        for (row, (output, gradient)) in outputs.zip(gradients).enumerate() {
            let own = starts[row] - starts[0]..starts[row + 1] - starts[0];
            let own = &mut codes[own];
            sums = sums.add(self.row(
                own,
                self.target.row(first + row),
                output,
                gradient,
                &mut second,
            ));
        }
        sums
    }

    #[inline(always)]
    fn row(
        &self,
        codes: &mut [Code],
        target: &[f32],
        output: &mut [f32],
        gradient: &mut [f32],
        second: &mut [f32],
    ) -> Sums {
        let rows = self.target.rows() as f32;
        let groups = self.widths.len();
        let share = 2.0 / (rows * groups as f32);
        let mut sums = Sums::default();
        let mut active = 0;
        let mut place = 0;
        for (&width, gradient) in self.widths.iter().zip(gradient.chunks_exact_mut(target.len())) {
            while place < codes.len() && (codes[place].latent as usize) < width {
                let code = &mut codes[place];
                code.value = self.rule.value(code);
                if code.value != 0.0 {
                    add_scaled(output, code.value, self.decoder.row(code.latent as usize));
                    sums.total += f64::from(code.value);
                    active += 1;
                }
                sums.penalty += f64::from(self.rule.charge(code));
                place += 1;
            }
            let pairs = output.iter().zip(target);
            gradient.iter_mut().zip(pairs).for_each(|(g, (y, t))| *g = y - t);
            sums.residual = f64::from(dot(gradient, gradient));
            sums.loss += sums.residual / f64::from(rows * groups as f32);
            gradient.iter_mut().for_each(|g| *g *= share);
        }
        for group in (1..groups).rev() {
            let (before, after) = gradient.split_at_mut(group * target.len());
            add_scaled(&mut before[(group - 1) * target.len()..], 1.0, &after[..target.len()]);
        }
        sums.active = active as u64;
        sums.penalty += f64::from(self.rule.charge_row(active));
        for code in &mut *codes {
            let group = group_of(self.widths, code.latent as usize);
            let gradient = &gradient[group * target.len()..(group + 1) * target.len()];
            let d = dot(gradient, self.decoder.row(code.latent as usize));
            self.rule.back(code, d, active);
        }
        if self.rule.is_gated() {
            second.copy_from_slice(self.bias);
            let squares = gated::back_through_gate(
                codes,
                &self.rule,
                self.decoder,
                target,
                2.0 / rows,
                second,
            );
            sums.loss += f64::from(squares / rows);
        }
        sums
    }
}

/// The nested dictionary that a latent is the first to belong to.
#[inline(always)]
pub(super) fn group_of(widths: &[usize], latent: usize) -> usize {
    widths.iter().position(|&width| latent < width).unwrap_or(0)
}
