//! The same step where most codes are not zero: products of whole matrices.
//!
//! ```text
//! A = (x − c)·Eᵀ + b      Z = value(A)      Y = Z·D + c      G = 2/B·(Y − t)      V = G·Dᵀ = ∂L/∂Z
//! g_D = Zᵀ·G              g_E = Sᵀ·(x − c)  with S = ∂L/∂<x − c, E> from A, V
//! ```
//!
//! A penalty on the codes needs some thousands of steps until it has emptied them. So long five products of
//! `2·B·n·d` operations are faster than to visit half of all codes one by one. Rows are taken 256 at a time: no
//! matrix has all rows and all latents.

use rayon::prelude::*;

use super::codes::Code;
use super::row_pass::Sums;
use super::rule::Rule;
use crate::compute::{Matrix, multiply, multiply_add};

/// The part of all codes above which the next step is made by products.
pub(super) const DENSE: f64 = 0.15;
/// Rows that are taken at a time.
const ROWS: usize = 256;

/// The gradients of all latents, and what their steps are made on.
#[derive(Debug, Default)]
pub(super) struct Dense {
    /// `(n, d)`: ∂L/∂E, that of the decoder apart where they are tied.
    pub(super) encoder: Matrix,
    /// `(n, o)`: ∂L/∂D.
    pub(super) decoder: Matrix,
    /// What belongs to each latent `(n)`.
    pub(super) latents: Vec<OfLatent>,
    before: Matrix,
    values: Matrix,
    slopes: Matrix,
    input: Matrix,
    gradient: Matrix,
    second: Matrix,
}

/// Sums over the rows of a batch for one latent.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct OfLatent {
    pub(super) bias: f32,
    pub(super) through: f32,
    pub(super) numbers: [f32; 2],
    pub(super) by_norm: f32,
    /// Codes that are not zero.
    pub(super) active: u32,
}

/// What a dense step is given.
pub(super) struct DensePass<'a> {
    pub(super) rule: Rule<'a>,
    pub(super) encoder: &'a Matrix,
    pub(super) latent_bias: &'a [f32],
    pub(super) decoder: &'a Matrix,
    /// c.
    pub(super) bias: &'a [f32],
    /// x − c, or x.
    pub(super) input: &'a Matrix,
    pub(super) target: &'a Matrix,
}

impl DensePass<'_> {
    /// Fills the gradients; `output (B, o)` holds c or c + Sx and becomes y; `told (B, o)` becomes G.
    pub(super) fn run(&self, dense: &mut Dense, output: &mut Matrix, told: &mut Matrix) -> Sums {
        let latents = self.encoder.rows();
        dense.encoder.reshape(latents, self.encoder.cols());
        dense.decoder.reshape(latents, self.decoder.cols());
        dense.latents.clear();
        dense.latents.resize(latents, OfLatent::default());
        let mut sums = Sums::default();
        for first in (0..self.input.rows()).step_by(ROWS) {
            let rows = first..(first + ROWS).min(self.input.rows());
            sums = sums.add(self.part(rows, dense, output, told));
        }
        sums
    }

    fn part(
        &self,
        rows: std::ops::Range<usize>,
        dense: &mut Dense,
        output: &mut Matrix,
        told: &mut Matrix,
    ) -> Sums {
        let (count, latents) = (rows.len(), self.encoder.rows());
        let keep = if rows.start == 0 { 0.0 } else { 1.0 };
        let share = 2.0 / self.input.rows() as f32;
        copy_rows(self.input, &rows, &mut dense.input);
        copy_rows(output, &rows, &mut dense.gradient);
        dense.before.reshape(count, latents);
        dense.values.reshape(count, latents);
        dense.slopes.reshape(count, latents);
        multiply(dense.input.view(), self.encoder.view().t(), dense.before.view_mut());
        let mut sums = self.values(&mut dense.before, &mut dense.values);
        multiply_add(1.0, 1.0, dense.values.view(), self.decoder.view(), dense.gradient.view_mut());
        paste_rows(&dense.gradient, &rows, output);
        let residual = self.compare(&rows, &mut dense.gradient, share);
        paste_rows(&dense.gradient, &rows, told);
        sums.0.residual = residual;
        sums.0.loss = residual / self.input.rows() as f64;
        multiply(dense.gradient.view(), self.decoder.view().t(), dense.slopes.view_mut());
        if self.rule.is_gated() {
            sums.0.loss += self.gate(&rows, dense, share) / self.input.rows() as f64;
        }
        self.back(dense, &sums.1);
        multiply_add(
            keep,
            1.0,
            dense.values.view().t(),
            dense.gradient.view(),
            dense.decoder.view_mut(),
        );
        multiply_add(
            keep,
            1.0,
            dense.slopes.view().t(),
            dense.input.view(),
            dense.encoder.view_mut(),
        );
        sums.0
    }

    /// From products to pre-activations and codes; says of each row how many are not zero.
    fn values(&self, before: &mut Matrix, values: &mut Matrix) -> (Sums, Vec<usize>) {
        let latents = self.encoder.rows();
        let befores = before.as_mut_slice().par_chunks_mut(latents);
        let rows = befores.zip(values.as_mut_slice().par_chunks_mut(latents));
        let of_rows: Vec<Sums> = rows
            .map(|(before, values)| {
                let mut sums = Sums::default();
                let pairs = before.iter_mut().zip(values).zip(self.latent_bias);
                for (latent, ((before, value), bias)) in pairs.enumerate() {
                    *before += bias;
                    let mut code =
                        Code { latent: latent as u32, before: *before, ..Code::default() };
                    *value = 0.0;
                    if code.before > self.rule.bound(latent) {
                        code.value = self.rule.value(&code);
                        sums.penalty += f64::from(self.rule.charge(&code));
                        *value = code.value;
                    }
                    sums.active += u64::from(*value != 0.0);
                    sums.total += f64::from(*value);
                }
                sums.penalty += f64::from(self.rule.charge_row(sums.active as usize));
                sums
            })
            .collect();
        let active = of_rows.iter().map(|sums| sums.active as usize).collect();
        (of_rows.into_iter().fold(Sums::default(), Sums::add), active)
    }

    /// From rebuilt rows to `share·(y − t)`; says `Σ‖y − t‖²`.
    fn compare(&self, rows: &std::ops::Range<usize>, rebuilt: &mut Matrix, share: f32) -> f64 {
        let mut squares = 0.0;
        let columns = rebuilt.cols();
        for (rebuilt, row) in rebuilt.as_mut_slice().chunks_exact_mut(columns).zip(rows.clone()) {
            for (y, t) in rebuilt.iter_mut().zip(self.target.row(row)) {
                let residual = *y - t;
                squares += f64::from(residual) * f64::from(residual);
                *y = share * residual;
            }
        }
        squares
    }

    /// Rebuilds the rows from their gates alone; leaves `∂L/∂(what they rebuild)·Dᵀ` in `second`.
    fn gate(&self, rows: &std::ops::Range<usize>, dense: &mut Dense, share: f32) -> f64 {
        let (count, latents) = (rows.len(), self.encoder.rows());
        let mut open = dense.before.clone();
        open.as_mut_slice().par_iter_mut().for_each(|value| *value = value.max(0.0));
        let mut rebuilt = Matrix::zeros(count, self.bias.len());
        rebuilt
            .as_mut_slice()
            .chunks_exact_mut(self.bias.len())
            .for_each(|row| row.copy_from_slice(self.bias));
        multiply_add(1.0, 1.0, open.view(), self.decoder.view(), rebuilt.view_mut());
        let squares = self.compare(rows, &mut rebuilt, share);
        dense.second.reshape(count, latents);
        multiply(rebuilt.view(), self.decoder.view().t(), dense.second.view_mut());
        squares
    }

    /// From ∂L/∂Z in `slopes` to what each code tells the encoder, and the sums of each latent.
    fn back(&self, dense: &mut Dense, active: &[usize]) {
        let latents = self.encoder.rows();
        let gated = self.rule.is_gated();
        let Dense { before, values, slopes, second, latents: sums, .. } = dense;
        // Latents are cut among threads, rows are not: each sum runs over the rows in their order.
        let columns = Columns::of(slopes, 64);
        columns.into_par_iter().zip(sums.par_chunks_mut(64)).enumerate().for_each(
            |(piece, (mut slopes, sums))| {
                for (row, slopes) in slopes.iter_mut().enumerate() {
                    for (place, (slope, sum)) in slopes.iter_mut().zip(&mut *sums).enumerate() {
                        let latent = piece * 64 + place;
                        let at = row * latents + latent;
                        let code = Code {
                            latent: latent as u32,
                            before: before.as_slice()[at],
                            value: values.as_slice()[at],
                            slope: match gated {
                                true => self.rule.gate_slope(latent, second.as_slice()[at]),
                                false => 0.0,
                            },
                            ..Code::default()
                        };
                        *slope = self.one_back(code, *slope, active[row], sum);
                    }
                }
            },
        );
    }

    #[inline(always)]
    fn one_back(&self, mut code: Code, d: f32, active: usize, sum: &mut OfLatent) -> f32 {
        if code.before <= self.rule.bound(code.latent as usize) {
            return 0.0;
        }
        self.rule.back(&mut code, d, active);
        let through = self.rule.to_encoder(&code);
        let [first, second] = self.rule.to_numbers(&code);
        sum.bias += code.slope;
        sum.through += through;
        sum.numbers = [sum.numbers[0] + first, sum.numbers[1] + second];
        sum.by_norm += self.rule.to_norm(&code);
        sum.active += u32::from(code.value != 0.0);
        through
    }
}

/// Pieces of the columns of a matrix, each as parts of its rows.
struct Columns;

impl Columns {
    fn of(matrix: &mut Matrix, width: usize) -> Vec<Vec<&mut [f32]>> {
        let columns = matrix.cols();
        let mut pieces: Vec<Vec<&mut [f32]>> = Vec::new();
        pieces.resize_with(columns.div_ceil(width), Vec::new);
        for row in matrix.as_mut_slice().chunks_exact_mut(columns) {
            row.chunks_mut(width).zip(&mut pieces).for_each(|(part, piece)| piece.push(part));
        }
        pieces
    }
}

fn copy_rows(from: &Matrix, rows: &std::ops::Range<usize>, to: &mut Matrix) {
    to.reshape(rows.len(), from.cols());
    let range = rows.start * from.cols()..rows.end * from.cols();
    to.as_mut_slice().copy_from_slice(&from.as_slice()[range]);
}

fn paste_rows(from: &Matrix, rows: &std::ops::Range<usize>, to: &mut Matrix) {
    let range = rows.start * from.cols()..rows.end * from.cols();
    to.as_mut_slice()[range].copy_from_slice(from.as_slice());
}
