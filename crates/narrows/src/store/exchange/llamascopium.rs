//! Llamascopium (earlier `lm-saes`), and the files of Llama Scope.
//!
//! ```text
//! new    config.json, sae_weights.safetensors      W_E (d, n), b_E (n), W_D (n, d), b_D (d)
//!        activation_function.log_jumprelu_threshold (n)
//! middle the same files                            encoder.weight (n, d), encoder.bias, decoder.weight (d, n),
//!        log_jumprelu_threshold (n)                decoder.bias
//! old    hyperparams.json, checkpoints/final.safetensors: tensors as before, one jump_relu_threshold
//!
//! a = (x·s)·W_E + b_E      s = √d/(average norm of the input)      dataset-wise; 1 for `inference`
//! z = a·gate(a·‖W_D‖)      without ‖W_D‖ where `sparsity_include_decoder_norm` is false
//! y = (z·W_D + b_D)/s'     s' as s, of the output
//! ```
//!
//! The factors are folded: `W_E ← s·W_E, W_D ← W_D/s', b_D ← b_D/s'`, so that rows are taken as they are
//! and codes are those of the library. So are the norms: a threshold is divided by them; for top-k W_D is
//! brought to unit norm, and codes are ‖W_D‖ times those of the library. The one threshold of the old
//! files is meant for rows that are not multiplied by s, and is multiplied by it, as SAELens does.
//!
//! Source: `llamascopium/models/sparse_dictionary.py` and `sae.py`, 2.0.0b34; for the old files
//! `sae_lens/loading/pretrained_sae_loaders.py`.
//!
//! Differs from: SAELens, which does not apply ‖W_D‖ to the threshold of old files.

use std::path::Path;

use serde_json::Value;

use super::saelens::fold_decoder_norms;
use super::{About, Library, config, refused};
use crate::compute::{row_norms, scale_rows};
use crate::data::tensors::Tensors;
use crate::error::Result;
use crate::model::Dictionary;
use crate::model::dictionary::{Gate, RowScale};

const LIBRARY: Library = Library::Llamascopium;
const NORMS: &str = "dataset_average_activation_norm.";

/// The new files, and those between.
pub(super) fn read(folder: &Path) -> Result<(Dictionary, About)> {
    let cfg = config(&folder.join("config.json"))?;
    let mut tensors = Tensors::of_safetensors(&folder.join("sae_weights.safetensors"))?;
    let [input, output] = ["hook_point_in", "hook_point_out"]
        .map(|key| format!("{NORMS}{}", cfg[key].as_str().unwrap_or_default()));
    let mut norm = |name: &str| match tensors.contains(name) {
        true => tensors.number(name).map(Some),
        false => Ok(None),
    };
    let norm_in = norm(&input)?;
    let norms = [norm_in, if output == input { norm_in } else { norm(&output)? }];
    while let Some(name) = tensors.starting(NORMS) {
        tensors.drop(&name);
    }
    for name in ["log_jumprelu_threshold", "activation_function.log_jumprelu_threshold"] {
        tensors.rename(name, "threshold");
    }
    let about = about(&cfg, &tensors);
    let mut dictionary = assemble(&cfg, &mut tensors, |tensors, _| {
        let logarithms = tensors.vector("threshold")?;
        Ok(logarithms.into_iter().map(f32::exp).collect())
    })?;
    tensors.finish()?;
    let mut about = about?;
    fold(&cfg, norms, &mut dictionary, &mut about)?;
    Ok((dictionary, about))
}

/// The old files.
pub(super) fn read_old(folder: &Path) -> Result<(Dictionary, About)> {
    let cfg = config(&folder.join("hyperparams.json"))?;
    let mut tensors = Tensors::of_safetensors(&folder.join("checkpoints/final.safetensors"))?;
    let about = about(&cfg, &tensors);
    let kept = &cfg["dataset_average_activation_norm"];
    let norms = ["in", "out"].map(|side| kept[side].as_f64().map(|norm| norm as f32));
    let scale = factor(&cfg, norms[0])?;
    let mut dictionary = assemble(&cfg, &mut tensors, |_, latents| {
        let threshold = cfg["jump_relu_threshold"].as_f64().unwrap_or(0.0) as f32;
        Ok(vec![threshold * scale; latents])
    })?;
    tensors.finish()?;
    let mut about = about?;
    fold(&cfg, norms, &mut dictionary, &mut about)?;
    Ok((dictionary, about))
}

fn about(cfg: &Value, tensors: &Tensors) -> Result<About> {
    let refuse = |got: &str| Err(refused(LIBRARY, got, "give a plain dictionary"));
    let kind = cfg["sae_type"].as_str().unwrap_or("sae");
    match () {
        () if kind != "sae" => refuse(&format!("the type '{kind}'")),
        () if cfg["use_glu_encoder"] == true => refuse("an encoder with a gated linear unit"),
        () => Ok(About {
            library: LIBRARY,
            architecture: cfg["act_fn"].as_str().unwrap_or("relu").to_lowercase(),
            kinds: tensors.kinds(),
            metadata: Value::Null,
            config: cfg.clone(),
            notes: Vec::new(),
        }),
    }
}

fn assemble(
    cfg: &Value,
    tensors: &mut Tensors,
    threshold: impl FnOnce(&mut Tensors, usize) -> Result<Vec<f32>>,
) -> Result<Dictionary> {
    let new = tensors.contains("W_E");
    let (encoder, decoder) = match new {
        true => (tensors.transposed("W_E")?, tensors.matrix("W_D")?),
        false => (tensors.matrix("encoder.weight")?, tensors.transposed("decoder.weight")?),
    };
    let [bias, decoder_bias] = if new { ["b_E", "b_D"] } else { ["encoder.bias", "decoder.bias"] };
    let encoder_bias = tensors.vector(bias)?;
    let decoder_bias =
        tensors.optional_vector(decoder_bias)?.unwrap_or_else(|| vec![0.0; decoder.cols()]);
    let gate = match cfg["act_fn"].as_str().unwrap_or("relu").to_lowercase().as_str() {
        "relu" => Gate::Relu,
        "jumprelu" => Gate::Threshold(threshold(tensors, decoder.rows())?),
        "topk" => {
            let k = cfg["top_k"].as_u64().unwrap_or(50) as usize;
            Gate::TopK { k, by_norm: false }
        }
        other => {
            let got = format!("the activation '{other}', which depends on the batch");
            return Err(refused(LIBRARY, got, "convert it to jumprelu with Llamascopium"));
        }
    };
    let centred = cfg["apply_decoder_bias_to_pre_encoder"].as_bool().unwrap_or(false);
    let row_scale = match cfg["norm_activation"].as_str().unwrap_or("dataset-wise") {
        "dataset-wise" | "inference" => RowScale::None,
        "token-wise" if cfg["hook_point_in"] == cfg["hook_point_out"] => RowScale::ConstantNorm,
        other => {
            let got = format!("norm_activation '{other}'");
            return Err(refused(LIBRARY, got, "give one of 'dataset-wise' or 'inference'"));
        }
    };
    Ok(Dictionary {
        encoder,
        encoder_bias,
        decoder,
        decoder_bias,
        skip: None,
        centred,
        gate,
        row_scale,
    })
}

fn fold(
    cfg: &Value,
    [norm_in, norm_out]: [Option<f32>; 2],
    dictionary: &mut Dictionary,
    about: &mut About,
) -> Result<()> {
    // The library includes the norms unless it is told otherwise; the old files always tell.
    if cfg["sparsity_include_decoder_norm"].as_bool().unwrap_or(cfg["sae_type"].is_string()) {
        let norms = row_norms(&dictionary.decoder);
        match &mut dictionary.gate {
            Gate::Threshold(threshold) => {
                threshold.iter_mut().zip(&norms).for_each(|(threshold, norm)| *threshold /= norm);
                about
                    .notes
                    .push("thresholds divided by the decoder norms they were meant for".into());
            }
            Gate::TopK { .. } => {
                fold_decoder_norms(dictionary);
                about.notes.push(
                    "decoder norms folded: codes are those of the library times the norm".into(),
                );
            }
            _ => {}
        }
    }
    let (scale_in, scale_out) = (factor(cfg, norm_in)?, factor(cfg, norm_out)?);
    if (scale_in, scale_out) == (1.0, 1.0) {
        return Ok(());
    }
    let latents = dictionary.decoder.rows();
    if dictionary.centred {
        return Err(refused(LIBRARY, "rows both scaled and centred", "give a plain dictionary"));
    }
    scale_rows(&mut dictionary.encoder, &vec![scale_in; latents]);
    scale_rows(&mut dictionary.decoder, &vec![1.0 / scale_out; latents]);
    dictionary.decoder_bias.iter_mut().for_each(|bias| *bias /= scale_out);
    about.notes.push(format!("the factors of the rows folded: {scale_in} in, {scale_out} out"));
    Ok(())
}

/// What rows of the data set are multiplied by.
fn factor(cfg: &Value, norm: Option<f32>) -> Result<f32> {
    if cfg["norm_activation"].as_str().unwrap_or("dataset-wise") != "dataset-wise" {
        return Ok(1.0);
    }
    let dim = cfg["d_model"].as_f64().unwrap_or(f64::NAN) as f32;
    // What was never measured is kept as whatever lay in the memory.
    let factor = dim.sqrt() / norm.unwrap_or(f32::NAN);
    if factor.is_finite() && (1e-6..1e6).contains(&factor) {
        return Ok(factor);
    }
    let got = "rows normalised by an average norm that is not in the file or was never measured";
    Err(refused(LIBRARY, got, "save it again after the norm was measured, or folded (`inference`)"))
}
