//! Causal attention: every position of a sequence looks at itself and at those before it.
//!
//! ```text
//! q (n·l, h·c)   k, v (n·l, g·c)      n sequences of l positions, h heads of c columns, g heads of keys
//! head a of the queries looks at head ⌊a·g/h⌋ of the keys (grouped queries where g < h)
//! sᵢⱼ = scale · qᵢ·kⱼ   for max(0, i − w + 1) ≤ j ≤ i, w the window; other j do not take part
//! outᵢ = Σⱼ softmaxⱼ(sᵢⱼ) · vⱼ         out (n·l, h·c)
//! ```
//!
//! Queries are taken in tiles of 64, and of the keys only those that a tile can see, so that the scores of
//! a tile stay in the cache and half of the products of a full square are never made.
//!
//! Source: A. Vaswani et al., Attention is all you need (2017); J. Ainslie et al., GQA (2023).

use ndarray::{ArrayView2, ArrayViewMut2, s};
use rayon::prelude::*;

use super::Matrix;
use super::elementwise::wide;
use super::product::kernel;
use super::softmax::shares;

/// Queries that one task handles.
const TILE: usize = 64;

/// How many heads there are, and what a position sees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttentionShape {
    /// Positions l of a sequence.
    pub length: usize,
    /// Heads h of the queries.
    pub heads: usize,
    /// Heads g of keys and values; g divides h.
    pub key_heads: usize,
    /// What products are multiplied by.
    pub scale: f32,
    /// Positions w that are seen, the own one included; `None`: all before.
    pub window: Option<usize>,
}

/// `out = attention(q, k, v)`; `out` is brought to the shape of `q`.
///
/// # Panics
/// If the shapes do not fit: the caller's mistake.
pub fn causal_attention(
    shape: &AttentionShape,
    q: ArrayView2<'_, f32>,
    k: ArrayView2<'_, f32>,
    v: ArrayView2<'_, f32>,
    out: &mut Matrix,
) {
    let (rows, columns) = q.dim();
    let AttentionShape { length, heads, key_heads, .. } = *shape;
    assert!(length > 0 && rows % length == 0, "attention: whole sequences");
    assert!(heads > 0 && key_heads > 0 && heads % key_heads == 0, "attention: heads do not fit");
    let width = columns / heads;
    assert!(k.dim() == (rows, key_heads * width) && v.dim() == k.dim(), "attention: shapes differ");
    out.reshape(rows, columns);
    out.as_mut_slice().par_chunks_mut(length * columns).enumerate().for_each(|(sequence, out)| {
        let own = s![sequence * length..(sequence + 1) * length, ..];
        let (q, k, v) = (q.slice(own), k.slice(own), v.slice(own));
        out.par_chunks_mut(TILE * columns).enumerate().for_each_init(
            Matrix::default,
            |scores, (tile, out)| {
                let tile = Tile { shape, first: tile * TILE, width };
                let out = ArrayViewMut2::from_shape((out.len() / columns, columns), out)
                    .expect("whole rows");
                tile.run(q, k, v, scores, out);
            },
        );
    });
}

/// Neighbouring queries of one sequence.
struct Tile<'a> {
    shape: &'a AttentionShape,
    first: usize,
    /// Columns of a head.
    width: usize,
}

impl Tile<'_> {
    fn run(
        &self,
        q: ArrayView2<'_, f32>,
        k: ArrayView2<'_, f32>,
        v: ArrayView2<'_, f32>,
        scores: &mut Matrix,
        mut out: ArrayViewMut2<'_, f32>,
    ) {
        let rows = out.nrows();
        let end = self.first + rows;
        let begin = self.seen_from(self.first);
        let AttentionShape { heads, key_heads, scale, .. } = *self.shape;
        for head in 0..heads {
            let of_query = head * self.width..(head + 1) * self.width;
            let group = head * key_heads / heads;
            let of_key = group * self.width..(group + 1) * self.width;
            let q = q.slice(s![self.first..end, of_query.clone()]);
            let k = k.slice(s![begin..end, of_key.clone()]);
            let v = v.slice(s![begin..end, of_key]);
            scores.reshape(rows, end - begin);
            kernel(0.0, scale, q, k.reversed_axes(), scores.view_mut());
            self.to_shares(begin, scores);
            kernel(0.0, 1.0, scores.view(), v, out.slice_mut(s![.., of_query]));
        }
    }

    /// The first position that a position sees.
    fn seen_from(&self, position: usize) -> usize {
        self.shape.window.map_or(0, |window| (position + 1).saturating_sub(window))
    }

    fn to_shares(&self, begin: usize, scores: &mut Matrix) {
        let columns = scores.cols();
        for (row, scores) in scores.as_mut_slice().chunks_exact_mut(columns).enumerate() {
            let position = self.first + row;
            let (from, to) = (self.seen_from(position) - begin, position + 1 - begin);
            scores[..from].fill(0.0);
            scores[to..].fill(0.0);
            wide(
                #[inline(always)]
                || shares(&mut scores[from..to]),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn random(rows: usize, cols: usize, name: &str) -> Matrix {
        let mut random = Random::stream(1, name);
        let values = (0..rows * cols).map(|_| random.normal() as f32).collect();
        Matrix::from_rows(rows, cols, values).expect("fits")
    }

    fn slow_twin(shape: &AttentionShape, q: &Matrix, k: &Matrix, v: &Matrix) -> Vec<f64> {
        let width = q.cols() / shape.heads;
        let mut out = Vec::new();
        for row in 0..q.rows() {
            let (sequence, i) = (row / shape.length, row % shape.length);
            let from = shape.window.map_or(0, |w| (i + 1).saturating_sub(w));
            for head in 0..shape.heads {
                let group = head / (shape.heads / shape.key_heads);
                let at = |m: &Matrix, j: usize, head: usize, c: usize| {
                    f64::from(m.row(sequence * shape.length + j)[head * width + c])
                };
                let scores: Vec<f64> = (from..=i)
                    .map(|j| {
                        let product: f64 =
                            (0..width).map(|c| at(q, i, head, c) * at(k, j, group, c)).sum();
                        (f64::from(shape.scale) * product).exp()
                    })
                    .collect();
                let total: f64 = scores.iter().sum();
                for c in 0..width {
                    let sum: f64 =
                        (from..=i).zip(&scores).map(|(j, s)| s * at(v, j, group, c)).sum();
                    out.push(sum / total);
                }
            }
        }
        out
    }

    #[test]
    fn agrees_with_the_slow_twin() {
        for (sequences, length, heads, key_heads, width, window) in [
            (2, 5, 4, 4, 3, None),
            (3, 130, 4, 2, 8, None),
            (1, 150, 2, 1, 5, Some(70)),
            (2, 1, 1, 1, 2, None),
        ] {
            let shape = AttentionShape { length, heads, key_heads, scale: 0.4, window };
            let rows = sequences * length;
            let q = random(rows, heads * width, "q");
            let (k, v) =
                (random(rows, key_heads * width, "k"), random(rows, key_heads * width, "v"));
            let mut out = Matrix::default();
            causal_attention(&shape, q.view(), k.view(), v.view(), &mut out);
            for (ours, expected) in out.as_slice().iter().zip(slow_twin(&shape, &q, &k, &v)) {
                assert!((f64::from(*ours) - expected).abs() < 2e-6, "{ours} {expected}");
            }
        }
    }
}
