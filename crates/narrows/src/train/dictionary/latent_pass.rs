//! Latents: what all rows tell each of them, and its step, while its parameters are in the cache.
//!
//! ```text
//! g_D = Σ_rows zⱼ·G_row + (∂L/∂νⱼ)·Dⱼ/νⱼ       g_E = Σ_rows (∂L/∂<x − c, Eⱼ>)·(x − c)
//! unit norm    g_D ← g_D − <g_D, Dⱼ>·Dⱼ          after the step Dⱼ ← Dⱼ/‖Dⱼ‖
//! tied         g ← g_E + g_D, D = M/‖M‖           g_M = (g − <g, D>·D)/‖M‖
//! c            g_c = Σ_rows G_row − Σⱼ (Σ_rows ∂L/∂<x − c, Eⱼ>)·Eⱼ    the second where c is taken from x
//! ```
//!
//! Only rows in which a latent has a code are visited, in their order, by the one thread that has the
//! latent: no sum is shared. Gradients are kept only where their common length, or what they tell c, has to be
//! known before the step: the rows of a large batch are in no cache, and to visit them twice would cost more.
//!
//! Differs from: others, which clip before the part along Dⱼ is taken away.

use rayon::prelude::*;

use super::codes::{Code, Codes};
use super::dense::Dense;
use super::learned::{Adam, Learned, Rows};
use super::options::DecoderNorm;
use super::row_pass::group_of;
use super::rule::Rule;
use crate::compute::{Matrix, add_scaled, dot, wide};

/// Latents that one task takes.
const PIECE: usize = 64;

/// The parameters that belong to latents.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LatentParameters {
    /// E, or M where weights are tied.
    pub(super) encoder: Learned,
    /// D; it only follows M where weights are tied.
    pub(super) decoder: Learned,
    /// b.
    pub(super) bias: Learned,
    /// θ or r; nothing where the kind has neither.
    pub(super) first: Learned,
    /// m of a gated dictionary.
    pub(super) second: Learned,
    /// ν.
    pub(super) norms: Vec<f32>,
}

/// What a step knows of a batch.
pub(super) struct LatentPass<'a> {
    pub(super) rule: Rule<'a>,
    pub(super) codes: &'a Codes,
    /// Sums over all rows that were made already: there are no codes then.
    pub(super) dense: Option<&'a Dense>,
    /// Codes of dead latents, and the derivatives `(B, o)` by what they rebuild.
    pub(super) revived: Option<(&'a Codes, &'a Matrix)>,
    /// x − c, or x.
    pub(super) input: &'a Matrix,
    /// What each row tells, `(B, G·o)`.
    pub(super) gradient: &'a Matrix,
    pub(super) widths: &'a [usize],
    pub(super) norm: DecoderNorm,
    pub(super) tied: bool,
    /// Whether c is taken from the input.
    pub(super) centred: bool,
    /// Whether θ is kept from falling below 0.
    pub(super) first_is_positive: bool,
}

/// The gradients of the latents that spoke, between their measure and the step.
#[derive(Debug, Default)]
pub(super) struct Kept {
    encoder: Matrix,
    decoder: Matrix,
    /// Of the bias and of the latent's two other numbers.
    numbers: Vec<[f32; 3]>,
}

/// The gradient of one latent.
#[derive(Debug)]
struct Told<'a> {
    encoder: &'a mut [f32],
    decoder: &'a mut [f32],
    bias: f32,
    numbers: [f32; 2],
    /// `Σ_rows ∂L/∂<x − c, Eⱼ>`.
    through: f32,
}

impl<'a> Told<'a> {
    fn new(encoder: &'a mut [f32], decoder: &'a mut [f32]) -> Self {
        Self { encoder, decoder, bias: 0.0, numbers: [0.0; 2], through: 0.0 }
    }

    /// Takes over sums that were made already; says what they tell the norm.
    #[inline(always)]
    fn take_over(&mut self, dense: &Dense, latent: usize) -> f32 {
        self.encoder.copy_from_slice(dense.encoder.row(latent));
        self.decoder.copy_from_slice(dense.decoder.row(latent));
        let own = &dense.latents[latent];
        (self.bias, self.numbers, self.through) = (own.bias, own.numbers, own.through);
        own.by_norm
    }
}

/// What the sums over latents come to.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Measured {
    /// The square of the length of all gradients together.
    pub(super) squares: f64,
    /// `Σⱼ (Σ_rows …)·Eⱼ`, `(d)`; empty where c is not taken from the input.
    pub(super) shift: Vec<f32>,
}

impl Measured {
    fn add(mut self, more: &Self) -> Self {
        self.squares += more.squares;
        match self.shift.len() {
            0 => self.shift.clone_from(&more.shift),
            _ => add_scaled(&mut self.shift, 1.0, &more.shift),
        }
        self
    }
}

impl LatentPass<'_> {
    /// The length of the gradients, which are kept, and what the latents tell c.
    pub(super) fn measure(&self, parameters: &LatentParameters, kept: &mut Kept) -> Measured {
        let latents = parameters.encoder.value.rows();
        let (input, output) = (self.input.cols(), parameters.decoder.value.cols());
        kept.encoder.reshape(latents, input);
        kept.decoder.reshape(latents, output);
        kept.numbers.resize(latents, [0.0; 3]);
        let encoders = kept.encoder.as_mut_slice().par_chunks_mut(PIECE * input);
        let decoders = kept.decoder.as_mut_slice().par_chunks_mut(PIECE * output);
        let pieces = encoders.zip(decoders).zip(kept.numbers.par_chunks_mut(PIECE)).enumerate();
        let parts: Vec<Measured> = pieces
            .map(|(piece, ((encoders, decoders), numbers))| {
                wide(
                    #[inline(always)]
                    || self.measure_piece(parameters, piece * PIECE, (encoders, decoders, numbers)),
                )
            })
            .collect();
        parts.iter().fold(Measured::default(), Measured::add)
    }

    #[inline(always)]
    fn measure_piece(
        &self,
        parameters: &LatentParameters,
        first_latent: usize,
        (encoders, decoders, numbers): (&mut [f32], &mut [f32], &mut [[f32; 3]]),
    ) -> Measured {
        let (input, output) = (self.input.cols(), parameters.decoder.value.cols());
        let shift = vec![0.0; if self.centred { input } else { 0 }];
        let mut measured = Measured { squares: 0.0, shift };
        let rows = encoders.chunks_exact_mut(input).zip(decoders.chunks_exact_mut(output));
        for (index, ((to_encoder, to_decoder), numbers)) in rows.zip(numbers).enumerate() {
            let latent = first_latent + index;
            if !self.speaks(latent) {
                continue;
            }
            let encoder = parameters.encoder.value.row(latent);
            let decoder = parameters.decoder.value.row(latent);
            let mut told = Told::new(to_encoder, to_decoder);
            self.tell(latent, encoder, decoder, parameters.norms[latent], &mut told);
            if self.centred {
                add_scaled(&mut measured.shift, told.through, encoder);
            }
            let rows = dot(told.encoder, told.encoder) + dot(told.decoder, told.decoder);
            *numbers = [told.bias, told.numbers[0], told.numbers[1]];
            let numbers: f32 = numbers.iter().map(|number| number * number).sum();
            measured.squares += f64::from(rows) + f64::from(numbers);
        }
        measured
    }

    /// One step of all latents, along gradients that were kept, if they were.
    pub(super) fn step(&self, parameters: &mut LatentParameters, kept: Option<&Kept>, adam: Adam) {
        let latents = parameters.encoder.value.rows();
        let LatentParameters { encoder, decoder, bias, first, second, norms } = parameters;
        let numbers = bias.pieces(PIECE).zip(first.pieces(PIECE)).zip(second.pieces(PIECE));
        let rows = encoder.pieces(PIECE).zip(decoder.pieces(PIECE)).zip(norms.chunks_mut(PIECE));
        let pieces = rows.zip(numbers).take(latents.div_ceil(PIECE)).enumerate();
        let pieces: Vec<Piece<'_>> = pieces
            .map(|(index, (((encoder, decoder), norms), ((bias, first), second)))| Piece {
                first_latent: index * PIECE,
                encoder,
                decoder,
                norms,
                numbers: [bias, first, second],
            })
            .collect();
        pieces.into_par_iter().for_each(|piece| {
            wide(
                #[inline(always)]
                || self.step_piece(piece, kept, adam),
            );
        });
    }

    #[inline(always)]
    fn step_piece(&self, mut piece: Piece<'_>, kept: Option<&Kept>, adam: Adam) {
        let (mut to_encoder, mut to_decoder) = match kept {
            Some(_) => (Vec::new(), Vec::new()),
            None => (vec![0.0; piece.encoder.width], vec![0.0; piece.decoder.width]),
        };
        for index in 0..piece.norms.len() {
            let latent = piece.first_latent + index;
            if !self.speaks(latent) {
                piece.rest(index, adam, self.tied);
            } else if let Some(kept) = kept {
                let rows = (kept.encoder.row(latent), kept.decoder.row(latent));
                piece.step(index, adam, rows, kept.numbers[latent], self.tied);
            } else {
                let (encoder, decoder) = (piece.encoder.row(index), piece.decoder.row(index));
                let mut told = Told::new(&mut to_encoder, &mut to_decoder);
                self.tell(latent, encoder, decoder, piece.norms[index], &mut told);
                let numbers = [told.bias, told.numbers[0], told.numbers[1]];
                piece.step(index, adam, (&to_encoder, &to_decoder), numbers, self.tied);
            }
            self.settle(&mut piece, index);
        }
    }

    /// Brings what has to hold of a latent's parameters about again.
    #[inline(always)]
    fn settle(&self, piece: &mut Piece<'_>, index: usize) {
        if self.first_is_positive {
            piece.numbers[1].value[index] = piece.numbers[1].value[index].max(0.0);
        }
        let width = piece.decoder.width;
        let decoder = &mut piece.decoder.value[index * width..(index + 1) * width];
        if self.tied {
            let free = &piece.encoder.value[index * width..(index + 1) * width];
            piece.norms[index] = bring_to_unit(free, decoder);
            return;
        }
        let length = dot(decoder, decoder).sqrt();
        match self.norm {
            DecoderNorm::Unit if length > 0.0 => {
                decoder.iter_mut().for_each(|value| *value /= length);
            }
            DecoderNorm::Unit => {}
            DecoderNorm::Weighted => piece.norms[index] = length,
        }
    }

    /// Whether any row tells a latent anything.
    #[inline(always)]
    fn speaks(&self, latent: usize) -> bool {
        let revived = self.revived.is_some_and(|(codes, _)| codes.count(latent) > 0);
        revived || self.dense.is_some() || self.codes.count(latent) > 0
    }

    /// Sums the gradient of one latent.
    #[inline(always)]
    fn tell(
        &self,
        latent: usize,
        encoder: &[f32],
        decoder: &[f32],
        norm: f32,
        told: &mut Told<'_>,
    ) {
        let by_norm = match self.dense {
            Some(dense) => told.take_over(dense, latent),
            None => self.tell_rows(latent, told),
        };
        if let Some((codes, gradient)) = self.revived {
            for code in codes.of(latent) {
                add_scaled(told.decoder, code.value, gradient.row(code.row as usize));
                told.bias += code.slope;
                told.through += code.slope;
                add_scaled(told.encoder, code.slope, self.input.row(code.row as usize));
            }
        }
        if self.tied {
            return tie(encoder, decoder, told);
        }
        match self.norm {
            DecoderNorm::Unit => {
                let along = dot(told.decoder, decoder);
                add_scaled(told.decoder, -along, decoder);
            }
            DecoderNorm::Weighted if by_norm != 0.0 && norm > 0.0 => {
                add_scaled(told.decoder, by_norm / norm, decoder);
            }
            DecoderNorm::Weighted => {}
        }
    }

    /// Sums what each row tells one latent; says what they tell its norm.
    #[inline(always)]
    fn tell_rows(&self, latent: usize, told: &mut Told<'_>) -> f32 {
        told.encoder.fill(0.0);
        told.decoder.fill(0.0);
        (told.bias, told.numbers, told.through) = (0.0, [0.0; 2], 0.0);
        let width = told.decoder.len();
        let group = group_of(self.widths, latent);
        let mut by_norm = 0.0;
        for code in self.codes.of(latent) {
            let gradient =
                &self.gradient.row(code.row as usize)[group * width..(group + 1) * width];
            if code.value != 0.0 {
                add_scaled(told.decoder, code.value, gradient);
            }
            self.hear(code, told);
            by_norm += self.rule.to_norm(code);
            let [first, second] = self.rule.to_numbers(code);
            told.numbers = [told.numbers[0] + first, told.numbers[1] + second];
        }
        by_norm
    }

    /// What a code tells the encoder and its bias.
    #[inline(always)]
    fn hear(&self, code: &Code, told: &mut Told<'_>) {
        let through = self.rule.to_encoder(code);
        told.bias += code.slope;
        if through != 0.0 {
            told.through += through;
            add_scaled(told.encoder, through, self.input.row(code.row as usize));
        }
    }
}

/// From g to `g_M`; the decoder's gradient has then been told.
#[inline(always)]
fn tie(free: &[f32], unit: &[f32], told: &mut Told<'_>) {
    let length = dot(free, free).sqrt();
    let Told { encoder, decoder, .. } = told;
    add_scaled(encoder, 1.0, decoder);
    decoder.fill(0.0);
    let along = dot(encoder, unit);
    add_scaled(encoder, -along, unit);
    if length > 0.0 {
        encoder.iter_mut().for_each(|g| *g /= length);
    }
}

/// `out = row/‖row‖`; says 1, the length of `out`.
#[inline(always)]
pub(super) fn bring_to_unit(row: &[f32], out: &mut [f32]) -> f32 {
    let length = dot(row, row).sqrt();
    let factor = if length > 0.0 { 1.0 / length } else { 0.0 };
    out.iter_mut().zip(row).for_each(|(out, value)| *out = factor * value);
    1.0
}

struct Piece<'a> {
    first_latent: usize,
    encoder: Rows<'a>,
    decoder: Rows<'a>,
    norms: &'a mut [f32],
    numbers: [Rows<'a>; 3],
}

impl Piece<'_> {
    /// One step of one latent along its gradient.
    #[inline(always)]
    fn step(
        &mut self,
        index: usize,
        adam: Adam,
        (encoder, decoder): (&[f32], &[f32]),
        numbers: [f32; 3],
        tied: bool,
    ) {
        self.encoder.step(index, adam, encoder);
        if !tied {
            self.decoder.step(index, adam, decoder);
        }
        for (own, gradient) in self.numbers.iter_mut().zip(numbers) {
            if !own.value.is_empty() {
                own.step(index, adam, &[gradient]);
            }
        }
    }

    /// One step of one latent that nothing was told.
    #[inline(always)]
    fn rest(&mut self, index: usize, adam: Adam, tied: bool) {
        self.encoder.rest(index, adam);
        if !tied {
            self.decoder.rest(index, adam);
        }
        for own in self.numbers.iter_mut().filter(|own| !own.value.is_empty()) {
            own.rest(index, adam);
        }
    }
}
