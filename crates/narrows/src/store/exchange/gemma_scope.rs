//! Gemma Scope: `params.npz`, and `params.safetensors` of its second edition.
//!
//! ```text
//! w_enc (d, n)   b_enc (n)   w_dec (n, o)   b_dec (o)   threshold (n)   affine_skip_connection (d, o)
//! a = x·w_enc + b_enc      z = a where a > threshold, else 0      y = z·w_dec + b_dec [+ x·skip]
//! ```
//!
//! Names are in upper or lower case. Dictionaries of the embedding were trained on rows √d times as large:
//! `w_enc` is divided and `w_dec` multiplied by √d where one of the last three folders is called `embedding`,
//! as in `embedding/width_4k/average_l0_6`.
//!
//! Source: T. Lieberum et al., Gemma Scope (2024); `sae_lens/loading/pretrained_sae_loaders.py`.
//!
//! Differs from: SAELens, which looks for the word anywhere in the name that a dictionary has at its source.

use std::path::Path;

use serde_json::Value;

use super::{About, Library, config};
use crate::compute::{scale_rows, transposed};
use crate::data::tensors::Tensors;
use crate::error::Result;
use crate::model::Dictionary;
use crate::model::dictionary::{Gate, RowScale};

/// Folders that tell of a dictionary: the layer, the width, and L0.
const LAYOUT: usize = 3;

pub(super) fn read(folder: &Path) -> Result<(Dictionary, About)> {
    let npz = folder.join("params.npz");
    let mut tensors = match npz.is_file() {
        true => Tensors::of_npz(&npz)?,
        false => Tensors::of_safetensors(&folder.join("params.safetensors"))?,
    };
    let settings = folder.join("config.json");
    let mut about = About {
        library: Library::GemmaScope,
        architecture: "jumprelu".to_owned(),
        kinds: tensors.kinds(),
        metadata: Value::Null,
        config: if settings.is_file() { config(&settings)? } else { Value::Null },
        notes: Vec::new(),
    };
    let skip = tensors.optional_matrix("affine_skip_connection")?;
    let mut dictionary = Dictionary {
        encoder: tensors.transposed("w_enc")?,
        encoder_bias: tensors.vector("b_enc")?,
        decoder: tensors.matrix("w_dec")?,
        decoder_bias: tensors.vector("b_dec")?,
        skip: skip.map(|skip| transposed(&skip)),
        centred: false,
        gate: Gate::Threshold(tensors.vector("threshold")?),
        row_scale: RowScale::None,
    };
    tensors.finish()?;
    if is_of_embedding(folder) {
        let (root, n) = ((dictionary.encoder.cols() as f32).sqrt(), dictionary.decoder.rows());
        let rows = dictionary.encoder.rows();
        scale_rows(&mut dictionary.encoder, &vec![1.0 / root; rows]);
        scale_rows(&mut dictionary.decoder, &vec![root; n]);
        about.notes.push("of the embedding: brought from rows of √d times the size".into());
    }
    Ok((dictionary, about))
}

/// Whether a folder lies where Gemma Scope keeps dictionaries of the embedding: `embedding/WIDTH/L0`.
fn is_of_embedding(folder: &Path) -> bool {
    let whole = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    whole.iter().rev().take(LAYOUT).any(|part| part == "embedding")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_folder_of_that_name_near_the_end_says_embedding() {
        for (folder, expected) in [
            ("/hub/gemma-scope-2b-pt-res/embedding/width_4k/average_l0_6", true),
            ("embedding/width_4k/average_l0_6/", true),
            ("/data/embedding", true),
            ("/data/embeddings/layer_20/width_16k/average_l0_71", false),
            ("/data/my-embedding-study/width_16k/average_l0_71", false),
            ("/data/embedding/gemma/layer_20/width_16k/average_l0_71", false),
        ] {
            assert_eq!(is_of_embedding(Path::new(folder)), expected, "{folder}");
        }
    }
}
