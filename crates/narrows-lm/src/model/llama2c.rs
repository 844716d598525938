//! A model file of llama2.c (version 0, `.bin`).
//!
//! ```text
//! int32: dim, hidden, layers, heads, key heads, vocabulary (negative: with an unembedding), positions
//! float32, of all layers one after the other: embedding, attention norm, wq, wk, wv, wo, MLP norm, w1, w2, w3,
//! last norm, cosines and sines of the rotation (not read), unembedding
//! ```
//!
//! Source: llama2.c by A. Karpathy, `run.c`.
//! Differs from: there neighbouring columns of queries and keys are turned as pairs; here their rows are put
//! in the order in which columns half a head apart are pairs, which gives the same products.

use std::path::{Path, PathBuf};

use narrows::compute::{Activation, Matrix, RowNorm};
use narrows::{Error, Result};

use super::architecture::{Architecture, Family, Positions};
use super::block::{Block, NormWeights, Projection};
use super::llama::stacked;
use super::{LanguageModel, Parameters};
use crate::text::Tokenizer;

const HEADER: usize = 7;
const REMEDY: &str = "give a version 0 .bin of llama2.c; fetch it again if it is one";

/// The model file and the vocabulary in a folder, if there is just one of each.
pub(super) fn find(folder: &Path) -> Option<(PathBuf, PathBuf)> {
    let entries = std::fs::read_dir(folder).ok()?;
    let mut bins: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    bins.retain(|path| path.extension().is_some_and(|end| end == "bin"));
    let (mut vocabularies, models): (Vec<PathBuf>, Vec<PathBuf>) =
        bins.into_iter().partition(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("tok"))
        });
    match (&models[..], vocabularies.pop()) {
        ([model], Some(vocabulary)) if vocabularies.is_empty() => Some((model.clone(), vocabulary)),
        _ => None,
    }
}

pub(super) fn open(model: &Path, vocabulary: &Path) -> Result<LanguageModel> {
    let bytes = std::fs::read(model).map_err(|error| Error::read(model, error))?;
    let bad = |problem: String| Error::bad_file(model, problem, REMEDY);
    if bytes.len() < 4 * HEADER {
        return Err(bad("it is cut off".to_owned()));
    }
    let (header, numbers) = bytes.split_at(4 * HEADER);
    let header: Vec<i32> =
        header.as_chunks::<4>().0.iter().map(|bytes| i32::from_le_bytes(*bytes)).collect();
    let made = architecture(&header).ok_or_else(|| bad(format!("its header is {header:?}")))?;
    let values: Vec<f32> =
        numbers.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let mut values = Values { path: model, rest: &values };
    let parameters = read(&mut values, &made)?;
    if !values.rest.is_empty() {
        return Err(bad(format!("{} numbers are left over", values.rest.len())));
    }
    let tokenizer = Tokenizer::open_pieces(vocabulary, made.vocabulary)?;
    let name = model.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into());
    Ok(LanguageModel::new(name, made, tokenizer, parameters))
}

fn architecture(header: &[i32]) -> Option<Architecture> {
    let count =
        |place: usize| usize::try_from(header[place]).ok().filter(|n| (1..1 << 24).contains(n));
    let (width, heads, key_heads) = (count(0)?, count(3)?, count(4)?);
    let (layers, vocabulary) = (count(2)?, header[5].unsigned_abs() as usize);
    if !width.is_multiple_of(heads) || !heads.is_multiple_of(key_heads) || vocabulary == 0 {
        return None;
    }
    let head_width = width / heads;
    let frequency = |pair| 10_000_f64.powf(-2.0 * pair as f64 / head_width as f64) as f32;
    Some(Architecture {
        family: Family::Llama2C,
        vocabulary,
        width,
        layers,
        heads,
        key_heads,
        head_width,
        hidden: count(1)?,
        context: count(6)?,
        norm: RowNorm::RootMeanSquare,
        epsilon: 1e-5,
        activation: Activation::Silu,
        gated: true,
        parallel: false,
        positions: Positions::Rotary { frequencies: (0..head_width / 2).map(frequency).collect() },
        window: None,
        query_bias: false,
        attention_bias: false,
        mlp_bias: false,
        tied: header[5] > 0,
        attention_scales: vec![1.0 / (head_width as f32).sqrt(); layers],
        begin: Some(1),
    })
}

struct Values<'a> {
    path: &'a Path,
    rest: &'a [f32],
}

impl Values<'_> {
    fn take(&mut self, count: usize) -> Result<Vec<f32>> {
        if self.rest.len() < count {
            let problem = format!("it ends {} numbers early", count - self.rest.len());
            return Err(Error::bad_file(self.path, problem, REMEDY));
        }
        let (taken, rest) = self.rest.split_at(count);
        self.rest = rest;
        Ok(taken.to_vec())
    }

    /// One matrix for each layer.
    fn matrices(&mut self, layers: usize, rows: usize, cols: usize) -> Result<Vec<Matrix>> {
        (0..layers).map(|_| Matrix::from_rows(rows, cols, self.take(rows * cols)?)).collect()
    }
}

fn read(values: &mut Values<'_>, made: &Architecture) -> Result<Parameters> {
    let (d, hidden, layers) = (made.width, made.hidden, made.layers);
    let keys = made.key_heads * made.head_width;
    let embedding = Matrix::from_rows(made.vocabulary, d, values.take(made.vocabulary * d)?)?;
    let attention_norms = values.matrices(layers, 1, d)?;
    let queries = values.matrices(layers, d, d)?;
    let key = values.matrices(layers, keys, d)?;
    let value = values.matrices(layers, keys, d)?;
    let out = values.matrices(layers, d, d)?;
    let mlp_norms = values.matrices(layers, 1, d)?;
    let w1 = values.matrices(layers, hidden, d)?;
    let w2 = values.matrices(layers, d, hidden)?;
    let w3 = values.matrices(layers, hidden, d)?;
    let last = values.take(d)?;
    values.take(made.context * made.head_width)?;
    let unembedding = match made.tied {
        true => None,
        false => Some(Matrix::from_rows(made.vocabulary, d, values.take(made.vocabulary * d)?)?),
    };
    let plain = |weight: &Matrix| Projection { weight: weight.clone(), bias: Vec::new() };
    let norm = |gamma: &[f32]| NormWeights { gamma: gamma.to_vec(), beta: Vec::new() };
    let block = |layer: usize| {
        let turned = |weight: &Matrix| half_apart(weight, made.head_width).map(|w| plain(&w));
        Ok(Block {
            attention_norm: norm(attention_norms[layer].as_slice()),
            queries: stacked(&[
                turned(&queries[layer])?,
                turned(&key[layer])?,
                plain(&value[layer]),
            ])?,
            attention: plain(&out[layer]),
            mlp_norm: norm(mlp_norms[layer].as_slice()),
            into_mlp: plain(&w1[layer]),
            gated: Some(plain(&w3[layer])),
            out_of_mlp: plain(&w2[layer]),
        })
    };
    Ok(Parameters {
        embedding,
        positions: None,
        blocks: (0..layers).map(block).collect::<Result<_>>()?,
        norm: norm(&last),
        unembedding,
    })
}

/// Rows (2i, 2i + 1) of each head go to (i, i + half).
fn half_apart(weight: &Matrix, head: usize) -> Result<Matrix> {
    let from = |row: usize| {
        let (first, column) = (row / head * head, row % head);
        first + if column < head / 2 { 2 * column } else { 2 * (column - head / 2) + 1 }
    };
    let values = (0..weight.rows()).flat_map(|row| weight.row(from(row))).copied().collect();
    Matrix::from_rows(weight.rows(), weight.cols(), values)
}
