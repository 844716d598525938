//! The forward pass.

use std::ops::Range;

use narrows::Result;
use narrows::compute::{
    AttentionShape, Matrix, activate, causal_attention, in_the_pool, multiply, multiply_into,
};
use ndarray::s;
use rayon::prelude::*;

use super::{Hook, LanguageModel, Site, Tap};
use crate::text::Windows;

/// The matrices of a pass, kept between passes so that none is allocated twice.
#[derive(Debug, Default)]
pub struct Pass {
    /// The residual stream `(n·l, d)`.
    pub rows: Matrix,
    normed: Matrix,
    queries: Matrix,
    heads: Matrix,
    hidden: Matrix,
    gated: Matrix,
    added: Matrix,
    second: Matrix,
}

/// Adds what a part of a block says.
fn add(rows: &mut Matrix, added: &Matrix) {
    let pieces = rows.as_mut_slice().par_chunks_mut(1 << 14);
    pieces.zip(added.as_slice().par_chunks(1 << 14)).for_each(|(rows, added)| {
        rows.iter_mut().zip(added).for_each(|(x, y)| *x += y);
    });
}

impl LanguageModel {
    /// Runs windows through the blocks; `pass.rows` is the residual stream `(n·l, d)` after the last one.
    ///
    /// Beside it `pass` holds `n·l` rows of at most `6·d + 2·hidden` numbers.
    ///
    /// # Errors
    /// Those of `hook`.
    ///
    /// # Panics
    /// If a token or a position is not the model's: see [`LanguageModel::check_tokens`] and
    /// [`LanguageModel::check_length`].
    pub fn run(&self, windows: &Windows, pass: &mut Pass, hook: &mut dyn Hook) -> Result<()> {
        self.run_to(windows, None, pass, hook)
    }

    /// As [`LanguageModel::run`], but ends after the place `last`.
    ///
    /// # Errors
    /// As [`LanguageModel::run`].
    ///
    /// # Panics
    /// As [`LanguageModel::run`].
    pub fn run_to(
        &self,
        windows: &Windows,
        last: Option<Tap>,
        pass: &mut Pass,
        hook: &mut dyn Hook,
    ) -> Result<()> {
        let layers = self.architecture.layers;
        let blocks = last.map_or(layers, |last| last.block + 1);
        in_the_pool(|| {
            self.embed(windows, &mut pass.rows);
            (0..blocks).try_for_each(|block| {
                let own = last.filter(|last| last.block == block).map(|last| last.site);
                self.block(block, windows.length, own, pass, hook)
            })
        })
    }

    /// Goes on from the residual stream in `pass.rows`, of sequences of `length` tokens, through some blocks.
    ///
    /// # Errors
    /// As [`LanguageModel::run`].
    pub fn run_blocks(
        &self,
        blocks: Range<usize>,
        length: usize,
        pass: &mut Pass,
        hook: &mut dyn Hook,
    ) -> Result<()> {
        in_the_pool(|| {
            blocks.into_iter().try_for_each(|block| self.block(block, length, None, pass, hook))
        })
    }

    fn embed(&self, windows: &Windows, rows: &mut Matrix) {
        let d = self.architecture.width;
        rows.reshape(windows.tokens.len(), d);
        let filled = rows.as_mut_slice().par_chunks_mut(d).with_min_len(64).enumerate();
        filled.zip(&windows.tokens).for_each(|((place, row), &token)| {
            row.copy_from_slice(self.parameters.embedding.row(token as usize));
            if let Some(positions) = &self.parameters.positions {
                let position = positions.row(place % windows.length);
                row.iter_mut().zip(position).for_each(|(x, p)| *x += p);
            }
        });
    }

    /// One block, up to the place `last` of it where that is given.
    fn block(
        &self,
        block: usize,
        length: usize,
        last: Option<Site>,
        pass: &mut Pass,
        hook: &mut dyn Hook,
    ) -> Result<()> {
        let mut show = |site: Site, rows: &mut Matrix| {
            let tap = Tap { block, site };
            if hook.wants(tap) { hook.at(tap, rows) } else { Ok(()) }
        };
        let ends = |site: Site| last.is_some_and(|last| last <= site);
        let parallel = self.architecture.parallel;
        show(Site::ResidualPre, &mut pass.rows)?;
        if ends(Site::ResidualPre) {
            return Ok(());
        }
        self.attend(block, length, pass);
        show(Site::AttentionOut, &mut pass.added)?;
        if !parallel {
            add(&mut pass.rows, &pass.added);
            show(Site::ResidualMid, &mut pass.rows)?;
        }
        if ends(Site::ResidualMid) {
            return Ok(());
        }
        let own = &self.parameters.blocks[block];
        let made = &self.architecture;
        own.mlp_norm.apply(&pass.rows, made.norm, made.epsilon, &mut pass.normed);
        show(Site::MlpIn, &mut pass.normed)?;
        if ends(Site::MlpIn) {
            return Ok(());
        }
        own.into_mlp.apply(&pass.normed, &mut pass.hidden);
        activate(made.activation, &mut pass.hidden, None);
        if let Some(gated) = &own.gated {
            gated.apply(&pass.normed, &mut pass.gated);
            multiply_into(&mut pass.hidden, &pass.gated);
        }
        show(Site::MlpHidden, &mut pass.hidden)?;
        if ends(Site::MlpHidden) {
            return Ok(());
        }
        own.out_of_mlp.apply(&pass.hidden, &mut pass.second);
        show(Site::MlpOut, &mut pass.second)?;
        if parallel {
            add(&mut pass.rows, &pass.added);
        }
        add(&mut pass.rows, &pass.second);
        show(Site::ResidualPost, &mut pass.rows)
    }

    /// What attention adds, into `pass.added`.
    fn attend(&self, block: usize, length: usize, pass: &mut Pass) {
        let (own, made) = (&self.parameters.blocks[block], &self.architecture);
        own.attention_norm.apply(&pass.rows, made.norm, made.epsilon, &mut pass.normed);
        own.queries.apply(&pass.normed, &mut pass.queries);
        let inner = made.heads * made.head_width;
        let keys = made.key_heads * made.head_width;
        if let Some(angles) = &self.angles {
            let turned = pass.queries.view_mut();
            angles.of(length).turn(
                length,
                made.head_width,
                turned.slice_move(s![.., ..inner + keys]),
            );
        }
        let all = pass.queries.view();
        let shape = AttentionShape {
            length,
            heads: made.heads,
            key_heads: made.key_heads,
            scale: made.attention_scales[block],
            window: made.window,
        };
        causal_attention(
            &shape,
            all.slice(s![.., ..inner]),
            all.slice(s![.., inner..inner + keys]),
            all.slice(s![.., inner + keys..]),
            &mut pass.heads,
        );
        own.attention.apply(&pass.heads, &mut pass.added);
    }

    /// The residual stream after the last block, normed as logits are made of it.
    pub fn last_norm(&self, rows: &Matrix, out: &mut Matrix) {
        let made = &self.architecture;
        self.parameters.norm.apply(rows, made.norm, made.epsilon, out);
    }

    /// Logits `(n, tokens)` of the tokens that follow these rows of a pass.
    pub fn next_logits(&self, pass: &Pass, rows: &[usize]) -> Matrix {
        let mut last = Matrix::zeros(rows.len(), pass.rows.cols());
        let into = last.as_mut_slice().chunks_exact_mut(pass.rows.cols());
        into.zip(rows).for_each(|(into, &row)| into.copy_from_slice(pass.rows.row(row)));
        let (mut normed, mut logits) = (Matrix::default(), Matrix::default());
        self.last_norm(&last, &mut normed);
        self.logits(&normed, &mut logits);
        logits
    }

    /// Logits `(n, tokens)` of normed rows `(n, d)`.
    pub fn logits(&self, normed: &Matrix, out: &mut Matrix) {
        let unembedding = self.unembedding();
        out.reshape(normed.rows(), unembedding.rows());
        multiply(normed.view(), unembedding.view().reversed_axes(), out.view_mut());
    }
}
