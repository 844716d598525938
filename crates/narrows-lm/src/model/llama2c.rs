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

use std::fs::File;
use std::io::{BufReader, Read};
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
    let mut values = Values::open(model)?;
    let header = values.header()?;
    let made = architecture(&header)
        .ok_or_else(|| Error::bad_file(model, format!("its header is {header:?}"), REMEDY))?;
    let parameters = read(&mut values, &made)?;
    if values.left > 0 {
        let problem = format!("{} bytes are left over", values.left);
        return Err(Error::bad_file(model, problem, REMEDY));
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

/// The numbers of a file, taken one after the other so that none are in memory twice.
struct Values<'a> {
    path: &'a Path,
    file: BufReader<File>,
    /// Bytes that were not taken.
    left: u64,
}

impl<'a> Values<'a> {
    fn open(path: &'a Path) -> Result<Self> {
        let file = File::open(path).map_err(|error| Error::read(path, error))?;
        let left = file.metadata().map_err(|error| Error::read(path, error))?.len();
        Ok(Self { path, file: BufReader::with_capacity(1 << 20, file), left })
    }

    fn header(&mut self) -> Result<[i32; HEADER]> {
        let mut header = [0; HEADER];
        self.fill(bytemuck::cast_slice_mut(&mut header))?;
        Ok(header.map(i32::from_le))
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<()> {
        self.check(bytes.len() as u64)?;
        self.file.read_exact(bytes).map_err(|error| Error::read(self.path, error))?;
        self.left -= bytes.len() as u64;
        Ok(())
    }

    /// Refuses a file that is cut off, before memory is asked for.
    fn check(&self, bytes: u64) -> Result<()> {
        if bytes <= self.left {
            return Ok(());
        }
        let problem = format!("it ends {} bytes early", bytes - self.left);
        Err(Error::bad_file(self.path, problem, REMEDY))
    }

    fn take(&mut self, count: usize) -> Result<Vec<f32>> {
        self.check(4 * count as u64)?;
        let mut taken = vec![0_f32; count];
        self.fill(bytemuck::cast_slice_mut(&mut taken))?;
        taken.iter_mut().for_each(|value| *value = f32::from_bits(u32::from_le(value.to_bits())));
        Ok(taken)
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
    let joined = queries.into_iter().zip(key).zip(value).map(|((q, k), v)| {
        let turned = |weight: &Matrix| half_apart(weight, made.head_width).map(plain);
        stacked(&[turned(&q)?, turned(&k)?, plain(v)])
    });
    let attention = attention_norms.into_iter().zip(joined).zip(out);
    let mlp = mlp_norms.into_iter().zip(w1).zip(w2).zip(w3);
    let block = |(((attention_norm, queries), out), (((mlp_norm, w1), w2), w3))| {
        Ok(Block {
            attention_norm: norm(attention_norm),
            queries: queries?,
            attention: plain(out),
            mlp_norm: norm(mlp_norm),
            into_mlp: plain(w1),
            gated: Some(plain(w3)),
            out_of_mlp: plain(w2),
        })
    };
    Ok(Parameters {
        embedding,
        positions: None,
        blocks: attention.zip(mlp).map(block).collect::<Result<_>>()?,
        norm: NormWeights { gamma: last, beta: Vec::new() },
        unembedding,
    })
}

fn plain(weight: Matrix) -> Projection {
    Projection { weight, bias: Vec::new() }
}

fn norm(gamma: Matrix) -> NormWeights {
    NormWeights { gamma: gamma.as_slice().to_vec(), beta: Vec::new() }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::{NoHook, Pass, losses};
    use crate::text::Windows;

    /// One layer of 4 columns, 2 heads, 3 hidden, 6 tokens and 5 positions, tied.
    fn write(folder: &Path, numbers: usize) {
        let header = [4_i32, 3, 1, 2, 2, 6, 5];
        let values = (0..numbers).map(|i| (i as f32 * 0.37).sin());
        let mut bytes: Vec<u8> = header.iter().flat_map(|number| number.to_le_bytes()).collect();
        bytes.extend(values.flat_map(f32::to_le_bytes));
        std::fs::write(folder.join("model.bin"), bytes).unwrap();
        let mut bytes = 1_i32.to_le_bytes().to_vec();
        for piece in b"abcdef" {
            bytes.extend(0_f32.to_le_bytes());
            bytes.extend(1_i32.to_le_bytes());
            bytes.push(*piece);
        }
        std::fs::write(folder.join("tok.bin"), bytes).unwrap();
    }

    #[test]
    fn a_file_is_read_to_its_end_and_neither_cut_nor_longer() {
        let folder = tempfile::tempdir().unwrap();
        let rotation = 5 * 2;
        let numbers = 6 * 4 + 4 + 4 * 16 + 4 + 3 * 12 + 4 + rotation;
        write(folder.path(), numbers);
        let model = LanguageModel::open(folder.path()).unwrap();
        assert_eq!(model.parameters(), numbers - rotation);
        let windows = Windows::new(vec![1, 2, 3, 4], 4);
        let found = losses(&model, &windows, &mut Pass::default(), &mut NoHook).unwrap();
        assert!(found.iter().all(|loss| loss.is_finite()));
        let told = |numbers: usize| {
            write(folder.path(), numbers);
            LanguageModel::open(folder.path()).err().unwrap().to_string()
        };
        assert!(told(numbers - 1).contains("it ends 4 bytes early"));
        assert!(told(numbers + 2).contains("8 bytes are left over"));
    }
}
