//! OpenAI's `sparse_autoencoder`: one `.pt` file.
//!
//! ```text
//! pre_bias (d)   encoder.weight (n, d)   latent_bias (n)   decoder.weight (d, n)
//! activation: "TopK" with k, or "ReLU"
//! a = (LN(x) − pre_bias)·Eᵀ + latent_bias      y = LN⁻¹(z·Dᵀ + pre_bias)
//! ```
//!
//! `LN` brings each row to mean 0 and standard deviation 1, and is done for TopK only, as the library
//! infers it from the name of the activation. A tied decoder is kept as `decoder.linear.weight (n, d)`.
//!
//! Source: `sparse_autoencoder/model.py` of openai/sparse_autoencoder, commit 4965b941.

use std::path::Path;

use serde_json::{Value, json};

use super::pickle::{Object, Place};
use super::torch::Saved;
use super::{About, Library, refused};
use crate::error::Error;
use crate::model::Dictionary;
use crate::model::dictionary::{Gate, RowScale};

/// Reads the file; no error where it is of another library.
pub(super) fn read(path: &Path) -> Result<(Dictionary, About), Option<Error>> {
    let saved = Saved::read(path)?;
    let pickle = saved.pickle();
    let root = pickle.root();
    if pickle.entry(root, "pre_bias").is_none() {
        return Err(None);
    }
    let text = |place: Option<Place>| match place.map(|place| pickle.get(place)) {
        Some(Object::Text(text)) => Some(text.clone()),
        _ => None,
    };
    let activation = text(pickle.entry(root, "activation")).unwrap_or_else(|| "ReLU".to_owned());
    let state = pickle.entry(root, "activation_state_dict");
    let within = |key: &str| state.and_then(|state| pickle.entry(state, key));
    let after = text(within("postact_fn"));
    let (gate, row_scale) =
        match (&*activation, after.as_deref(), within("k").map(|k| pickle.get(k))) {
            ("ReLU", ..) => (Gate::Relu, RowScale::None),
            ("TopK", Some("ReLU"), Some(Object::Integer(k))) => (
                Gate::TopK { k: usize::try_from(*k).unwrap_or(0), by_norm: false },
                RowScale::LayerNorm,
            ),
            (_, after, _) => {
                let got = format!(
                    "the activation '{activation}' and then '{}'",
                    after.unwrap_or("nothing")
                );
                return Err(Some(refused(Library::OpenAi, got, "give one with ReLU or TopK")));
            }
        };
    let mut tensors = saved.tensors(root)?;
    for name in ["stats_last_nonzero", "latents_activation_frequency", "latents_mean_square"] {
        tensors.drop(name);
    }
    let about = About {
        library: Library::OpenAi,
        architecture: activation.clone(),
        kinds: tensors.kinds(),
        metadata: Value::Null,
        config: json!({"activation": activation}),
        notes: Vec::new(),
    };
    let encoder = tensors.matrix("encoder.weight")?;
    let decoder = match tensors.optional_matrix("decoder.linear.weight")? {
        Some(tied) => tied,
        None => tensors.transposed("decoder.weight")?,
    };
    let dictionary = Dictionary {
        encoder,
        encoder_bias: tensors.vector("latent_bias")?,
        decoder,
        decoder_bias: tensors.vector("pre_bias")?,
        skip: None,
        centred: true,
        gate,
        row_scale,
    };
    tensors.finish()?;
    Ok((dictionary, about))
}
