//! How well a model predicts text.
//!
//! ```text
//! of each window of l tokens t₁ … tₗ:    −ln p(tᵢ₊₁ | t₁ … tᵢ)   for i = 1 … l − 1, in nats
//! loss = their mean over all windows     perplexity = e^loss
//! ```

use narrows::Result;
use narrows::compute::{Matrix, log_softmax_rows};
use serde::Serialize;

use super::{Hook, LanguageModel, Pass};
use crate::text::Windows;

/// Numbers of logits that are held at a time.
const LOGITS: usize = 1 << 22;

/// What a model loses on text.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TextLoss {
    /// Tokens that were predicted.
    pub predictions: usize,
    /// Mean of −ln p, in nats.
    pub loss: f64,
    /// e^loss.
    pub perplexity: f64,
}

impl TextLoss {
    /// The mean of losses.
    pub fn of(sum: f64, predictions: usize) -> Self {
        let loss = sum / predictions as f64;
        Self { predictions, loss, perplexity: loss.exp() }
    }
}

/// Rows of the residual stream whose logits are held at a time.
pub(crate) fn rows_of_tile(model: &LanguageModel) -> usize {
    (LOGITS / model.architecture.vocabulary).clamp(16, 4096)
}

/// Calls `each(row, log p (tokens))` with the logarithms of the shares of every row of `rows (n, d)`, the
/// residual stream after the last block, in tiles of at most 4 million numbers.
pub(crate) fn for_each_distribution(
    model: &LanguageModel,
    rows: &Matrix,
    mut each: impl FnMut(usize, &Matrix),
) {
    let (mut tile, mut normed, mut logits) =
        (Matrix::default(), Matrix::default(), Matrix::default());
    let d = rows.cols();
    let most = rows_of_tile(model);
    for (place, chunk) in rows.as_slice().chunks(most * d).enumerate() {
        tile.reshape(chunk.len() / d, d);
        tile.as_mut_slice().copy_from_slice(chunk);
        model.last_norm(&tile, &mut normed);
        model.logits(&normed, &mut logits);
        log_softmax_rows(&mut logits);
        each(place * most, &logits);
    }
}

/// −ln p of every token but the first of each window, window after window, with `hook` on the way.
///
/// # Errors
/// Those of `hook`.
pub fn losses(
    model: &LanguageModel,
    windows: &Windows,
    pass: &mut Pass,
    hook: &mut dyn Hook,
) -> Result<Vec<f32>> {
    model.run(windows, pass, hook)?;
    let mut losses = Vec::with_capacity(windows.tokens.len());
    for_each_distribution(model, &pass.rows, |first, logs| {
        for row in 0..logs.rows() {
            let place = first + row;
            if (place + 1) % windows.length != 0 {
                losses.push(-logs.row(row)[windows.tokens[place + 1] as usize]);
            }
        }
    });
    Ok(losses)
}
