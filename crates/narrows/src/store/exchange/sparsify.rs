//! sparsify: `cfg.json` and `sae.safetensors` of one hookpoint.
//!
//! ```text
//! encoder.weight (n, d)   encoder.bias (n)   W_dec (n, d)   b_dec (d)   W_skip (d, d)
//! z = topk(relu((x − b_dec)·Eᵀ + b))         without "− b_dec" where `transcode`
//! y = z·W_dec + b_dec [+ x·W_skipᵀ]
//! ```
//!
//! Source: `sparsify/sparse_coder.py` of eai-sparsify 1.3.3.
//!
//! Differs from: the reader of SAELens 6.54.12, which transposes `W_dec` and so cannot load these files,
//! and takes `normalize_decoder` for a sign that `b_dec` is not subtracted.

use std::path::Path;

use serde_json::json;

use super::saelens::fold_decoder_norms;
use super::{About, Library, config, metadata, refused};
use crate::data::tensors::Tensors;
use crate::error::{Error, Result};
use crate::model::dictionary::{Gate, RowScale};
use crate::model::{Autoencoder, Dictionary};
use crate::store::weights::{Stored, write_tensors};
use crate::store::write_json;

const CONFIG: &str = "cfg.json";
const WEIGHTS: &str = "sae.safetensors";

pub(super) fn read(folder: &Path) -> Result<(Dictionary, About)> {
    let cfg = config(&folder.join(CONFIG))?;
    let activation = cfg["activation"].as_str().unwrap_or("topk");
    if activation != "topk" {
        let got = format!("the activation '{activation}'");
        return Err(refused(Library::Sparsify, got, "give one that was trained with topk"));
    }
    let mut tensors = Tensors::of_safetensors(&folder.join(WEIGHTS))?;
    let about = About {
        library: Library::Sparsify,
        architecture: activation.to_owned(),
        kinds: tensors.kinds(),
        metadata: cfg["metadata"].clone(),
        config: cfg.clone(),
        notes: Vec::new(),
    };
    let k = cfg["k"].as_u64().unwrap_or(32) as usize;
    let dictionary = Dictionary {
        encoder: tensors.matrix("encoder.weight")?,
        encoder_bias: tensors.vector("encoder.bias")?,
        decoder: tensors.matrix("W_dec")?,
        decoder_bias: tensors.vector("b_dec")?,
        skip: tensors.optional_matrix("W_skip")?,
        centred: !cfg["transcode"].as_bool().unwrap_or(false),
        gate: Gate::TopK { k, by_norm: false },
        row_scale: RowScale::None,
    };
    tensors.finish()?;
    Ok((dictionary, about))
}

/// Writes the two files of one hookpoint.
///
/// # Errors
/// If sparsify cannot express the dictionary, or a file cannot be written.
pub(super) fn write(folder: &Path, dictionary: &Dictionary, about: &About) -> Result<()> {
    let (k, by_norm) = expressible(dictionary)?;
    let folded = by_norm.then(|| {
        let mut folded = dictionary.clone();
        fold_decoder_norms(&mut folded);
        folded
    });
    let shown = folded.as_ref().unwrap_or(dictionary);
    let mut tensors = vec![
        Stored::matrix("W_dec", &shown.decoder),
        Stored::vector("b_dec", &shown.decoder_bias),
        Stored::vector("encoder.bias", &shown.encoder_bias),
        Stored::matrix("encoder.weight", &shown.encoder),
    ];
    tensors.extend(shown.skip.as_ref().map(|skip| Stored::matrix("W_skip", skip)));
    write_tensors(&folder.join(WEIGHTS), tensors)?;
    let cfg = json!({
        "activation": "topk",
        "expansion_factor": dictionary.latent_dim().div_ceil(dictionary.input_dim()),
        // It says what training does after each step, and nothing of these weights.
        "normalize_decoder": true,
        "num_latents": dictionary.latent_dim(),
        "k": k,
        "multi_topk": false,
        "skip_connection": dictionary.skip.is_some(),
        "transcode": !dictionary.centred,
        "d_in": dictionary.input_dim(),
        "metadata": metadata(about),
        "narrows_version": env!("CARGO_PKG_VERSION"),
    });
    write_json(&folder.join(CONFIG), &cfg)
}

fn expressible(dictionary: &Dictionary) -> Result<(usize, bool)> {
    let refuse = |got: String| {
        Err(Error::mistake(
            "write a dictionary for sparsify",
            "the kind 'topk', from rows to rows of the same width, not scaled one by one",
            got,
            "use `--to saelens`",
        ))
    };
    let (d, o) = (dictionary.input_dim(), dictionary.output_dim());
    match dictionary.gate {
        _ if d != o => refuse(format!("a transcoder from {d} to {o} columns")),
        _ if dictionary.row_scale != RowScale::None => refuse("rows that are scaled".to_owned()),
        Gate::TopK { k, by_norm } => Ok((k, by_norm)),
        ref gate => refuse(format!("the kind '{}'", gate.name())),
    }
}
