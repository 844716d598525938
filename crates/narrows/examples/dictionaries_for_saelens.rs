//! Writes one random dictionary of each kind for SAELens, with random rows and their codes, for
//! `scripts/check_saelens.py` to read with SAELens itself.
//!
//! `cargo run --example dictionaries_for_saelens -- FOLDER`

use std::collections::BTreeMap;
use std::path::PathBuf;

use narrows::compute::Matrix;
use narrows::model::Dictionary;
use narrows::model::dictionary::{Gate, RowScale};
use narrows::random::Random;
use narrows::store::exchange::{self, About, Library, Target};
use narrows::store::write_npy;
use narrows::{Error, Result};
use serde_json::Value;

/// Columns of a row, latents, and columns of what transcoders rebuild.
const SHAPE: (usize, usize, usize) = (48, 300, 32);
const ROWS: usize = 500;

fn main() -> Result<()> {
    let folder = std::env::args()
        .nth(1)
        .map(PathBuf::from)
        .ok_or_else(|| Error::mistake("write dictionaries", "a folder", "nothing", "name one"))?;
    let (d, n, o) = SHAPE;
    let threshold = |scale: f32| Gate::Threshold(draw("threshold", n, |v| scale * v.abs()));
    let kinds = [
        ("relu", Gate::Relu),
        ("relu_not_centred", Gate::Relu),
        ("relu_layer_norm", Gate::Relu),
        ("relu_constant_norm", Gate::Relu),
        ("topk", Gate::TopK { k: 12, by_norm: false }),
        ("topk_by_norm", Gate::TopK { k: 12, by_norm: true }),
        ("abstopk", Gate::AbsTopK { k: 12, by_norm: true }),
        ("jumprelu", threshold(4.0)),
        (
            "gated",
            Gate::Gated {
                log_magnitude: draw("log_magnitude", n, |v| 0.3 * v),
                magnitude_bias: draw("magnitude_bias", n, |v| 0.3 * v),
            },
        ),
        (
            "matching_pursuit",
            Gate::Pursuit {
                residual_threshold: 0.5,
                max_iterations: Some(20),
                stop_on_duplicate: true,
            },
        ),
        ("transcoder", Gate::Relu),
        ("skip_transcoder", Gate::Relu),
        ("jumprelu_transcoder", threshold(4.0)),
        ("jumprelu_skip_transcoder", threshold(4.0)),
    ];
    let x = matrix("rows", ROWS, d, |v| 1.5 * v + 0.5);
    for (name, gate) in kinds {
        let dictionary = dictionary(name, gate, if name.contains("transcoder") { o } else { d });
        let home = folder.join(name);
        let agreement = exchange::write(&home, Target::SaeLens, &dictionary, &nothing_known())?;
        let z = dictionary.encode_sparse(&x)?;
        let tables = [("x", x.clone()), ("f", dictionary.rebuild(&z, &x)?), ("z", z.to_dense())];
        for (table, matrix) in tables {
            write_npy(home.join(format!("{table}.npy")), matrix.view())?;
        }
        println!("{name}: {} codes of {} rows compared", agreement.codes, agreement.rows);
    }
    Ok(())
}

fn dictionary(name: &str, gate: Gate, o: usize) -> Dictionary {
    let (d, n, _) = SHAPE;
    let transcodes = name.contains("transcoder");
    let mut decoder = matrix("decoder", n, o, |v| 0.3 * v);
    let pursuit = matches!(gate, Gate::Pursuit { .. });
    if pursuit {
        for row in decoder.as_mut_slice().chunks_exact_mut(o) {
            let norm = row.iter().map(|v| v * v).sum::<f32>().sqrt();
            row.iter_mut().for_each(|v| *v /= norm);
        }
    }
    Dictionary {
        encoder: matrix("encoder", if pursuit { 0 } else { n }, d, |v| 0.3 * v),
        encoder_bias: draw("encoder bias", if pursuit { 0 } else { n }, |v| 0.5 * v),
        decoder,
        decoder_bias: draw("decoder bias", o, |v| 0.5 * v),
        skip: name.contains("skip").then(|| matrix("skip", o, d, |v| 0.3 * v)),
        centred: !transcodes && name != "relu_not_centred",
        gate,
        row_scale: match name {
            "relu_layer_norm" => RowScale::LayerNorm,
            "relu_constant_norm" => RowScale::ConstantNorm,
            _ => RowScale::None,
        },
    }
}

fn draw(name: &str, count: usize, map: impl Fn(f32) -> f32) -> Vec<f32> {
    let mut random = Random::stream(0, name);
    (0..count).map(|_| map(random.normal() as f32)).collect()
}

fn matrix(name: &str, rows: usize, cols: usize, map: impl Fn(f32) -> f32) -> Matrix {
    Matrix::from_rows(rows, cols, draw(name, rows * cols, map))
        .expect("as many as there are places")
}

fn nothing_known() -> About {
    About {
        library: Library::Narrows,
        architecture: String::new(),
        kinds: BTreeMap::new(),
        config: Value::Null,
        metadata: Value::Null,
        notes: Vec::new(),
    }
}
