//! What is predicted from several residual streams, beside the undisturbed one.

use narrows::compute::{Matrix, log_softmax_rows};
use rayon::prelude::*;

use super::scores::Sums;
use crate::model::{LanguageModel, rows_of_tile};
use crate::text::Windows;

/// The matrices that distributions are made in, kept between tiles.
#[derive(Default)]
struct Tile {
    rows: Matrix,
    normed: Matrix,
    logs: Matrix,
}

impl Tile {
    /// ln p of some rows `(n, d)` of the residual stream after the last block.
    fn fill(&mut self, model: &LanguageModel, rows: &[f32], d: usize) {
        self.rows.reshape(rows.len() / d, d);
        self.rows.as_mut_slice().copy_from_slice(rows);
        model.last_norm(&self.rows, &mut self.normed);
        model.logits(&self.normed, &mut self.logs);
        log_softmax_rows(&mut self.logs);
    }
}

/// Compares streams `(n·l, d)` after the last block with `clean`, a tile of distributions at a time, and adds
/// what each loses to its sums; gives the sum of what `clean` loses.
pub(super) fn compare(
    model: &LanguageModel,
    windows: &Windows,
    clean: &Matrix,
    spliced: &[Matrix],
    sums: &mut [Sums],
) -> f64 {
    let (d, most) = (clean.cols(), rows_of_tile(model));
    let (mut first, mut other, mut shares) = (Tile::default(), Tile::default(), Matrix::default());
    let mut clean_loss = 0.0;
    for (tile, rows) in clean.as_slice().chunks(most * d).enumerate() {
        let next = next_tokens(windows, tile * most, rows.len() / d);
        first.fill(model, rows, d);
        clean_loss += loss(&first.logs, &next);
        shares.reshape(first.logs.rows(), first.logs.cols());
        let pieces = shares.as_mut_slice().par_chunks_mut(1 << 12);
        pieces.zip(first.logs.as_slice().par_chunks(1 << 12)).for_each(|(shares, logs)| {
            shares.iter_mut().zip(logs).for_each(|(share, log)| *share = log.exp());
        });
        for (stream, sums) in spliced.iter().zip(&mut *sums) {
            let from = tile * most * d;
            other.fill(model, &stream.as_slice()[from..from + rows.len()], d);
            sums.loss += loss(&other.logs, &next);
            sums.kl += divergence(&shares, &first.logs, &other.logs, &next);
        }
    }
    clean_loss
}

/// Of each of `rows` rows from `start` the token that comes next; `None` of the last of a window.
fn next_tokens(windows: &Windows, start: usize, rows: usize) -> Vec<Option<u32>> {
    let next = |place: usize| match (place + 1).is_multiple_of(windows.length) {
        true => None,
        false => Some(windows.tokens[place + 1]),
    };
    (start..start + rows).map(next).collect()
}

fn loss(logs: &Matrix, next: &[Option<u32>]) -> f64 {
    let of_row = |(row, next): (usize, &Option<u32>)| {
        next.map(|token| -f64::from(logs.row(row)[token as usize]))
    };
    next.iter().enumerate().filter_map(of_row).sum()
}

/// `Σ p·(ln p − ln q)` of the rows that predict a token.
fn divergence(shares: &Matrix, clean: &Matrix, other: &Matrix, next: &[Option<u32>]) -> f64 {
    let of_row = |row: usize| -> f64 {
        if next[row].is_none() {
            return 0.0;
        }
        let logs = clean.row(row).iter().zip(other.row(row));
        let terms = shares.row(row).iter().zip(logs);
        terms.map(|(&share, (&p, &q))| f64::from(share) * (f64::from(p) - f64::from(q))).sum()
    };
    let rows: Vec<f64> = (0..next.len()).into_par_iter().with_min_len(8).map(of_row).collect();
    rows.iter().sum()
}
