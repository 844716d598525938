//! SAELens: `cfg.json` and `sae_weights.safetensors`.
//!
//! ```text
//! W_enc (d, n)   b_enc (n)   W_dec (n, o)   b_dec (o)      a = (x − b_dec)·W_enc + b_enc
//! threshold (n)                                            jumprelu, and transcoders of that kind
//! b_gate, b_mag, r_mag (n), and no b_enc                   gated
//! topk_threshold ()                                        batchtopk and matryoshka, while they train
//! W_skip (o, d)                                            transcoders that skip
//! ```
//!
//! Source: `sae_lens/saes/*.py` of sae-lens 6.54.12; written files are for 6.0.0 and later.
//!
//! Differs from: SAELens, which cannot read a training checkpoint of batchtopk for use: here it is folded
//! as SAELens folds it when it saves for inference. The factor of `expected_average_only_in`, which
//! SAELens does not apply when it reads a folder, is folded if `activation_scaler.json` is beside it.

use std::path::Path;

use serde_json::{Value, json};

use super::{About, Library, config, metadata, refused};
use crate::compute::{Matrix, row_norms, scale_rows, transposed};
use crate::data::tensors::Tensors;
use crate::error::{Error, Result};
use crate::model::dictionary::{Gate, RowScale};
use crate::model::{Autoencoder, Dictionary};
use crate::store::weights::{Stored, write_tensors};
use crate::store::write_json;

/// The version whose format is written, and whose package the written files are tested with.
const FORMAT: &str = "6.54.12";
const CONFIG: &str = "cfg.json";
const WEIGHTS: &str = "sae_weights.safetensors";

pub(super) fn read(folder: &Path) -> Result<(Dictionary, About)> {
    let path = folder.join(CONFIG);
    let cfg = modern(config(&path)?);
    let architecture = cfg["architecture"].as_str().unwrap_or("standard").to_owned();
    if architecture == "temporal" {
        let got = "a temporal dictionary, whose codes depend on the rows before";
        return Err(refused(Library::SaeLens, got, "give another kind"));
    }
    let mut tensors = Tensors::of_safetensors(&folder.join(WEIGHTS))?;
    let mut about = About {
        library: Library::SaeLens,
        architecture: architecture.clone(),
        kinds: tensors.kinds(),
        metadata: cfg["metadata"].clone(),
        config: cfg.clone(),
        notes: Vec::new(),
    };
    let mut dictionary = assemble(&architecture, &cfg, &mut tensors, &mut about)?;
    tensors.finish()?;
    fold_training(folder, &cfg, &mut dictionary, &mut about)?;
    Ok((dictionary, about))
}

fn assemble(
    architecture: &str,
    cfg: &Value,
    tensors: &mut Tensors,
    about: &mut About,
) -> Result<Dictionary> {
    let transcoder = architecture.ends_with("transcoder");
    let centred = cfg["apply_b_dec_to_input"].as_bool().unwrap_or(!transcoder);
    if transcoder && centred {
        return Err(
            tensors.bad("a transcoder with apply_b_dec_to_input, as SAELens refuses".into())
        );
    }
    let row_scale = row_scale(cfg)?;
    if transcoder && row_scale != RowScale::None {
        let got = "a transcoder whose rows are scaled one by one";
        return Err(refused(Library::SaeLens, got, "scale the rows before"));
    }
    drop_unit_factor(tensors)?;
    let decoder = tensors.matrix("W_dec")?;
    let n = decoder.rows();
    let mut decoder_bias = tensors.vector("b_dec")?;
    let pursuit = architecture == "matching_pursuit";
    let encoder =
        if pursuit { Matrix::zeros(0, decoder.cols()) } else { tensors.transposed("W_enc")? };
    let bias_name = if architecture == "gated" { "b_gate" } else { "b_enc" };
    let encoder_bias = if pursuit { Vec::new() } else { tensors.vector(bias_name)? };
    if pursuit && !centred {
        // SAELens adds the bias of its tied kind only where it subtracts it.
        decoder_bias.fill(0.0);
    }
    let gate = match architecture {
        "standard" | "transcoder" | "skip_transcoder" => Gate::Relu,
        "topk" => Gate::TopK { k: k(cfg, n)?, by_norm: by_norm(cfg) },
        "abstopk" => Gate::AbsTopK { k: k(cfg, n)?, by_norm: by_norm(cfg) },
        "jumprelu" | "jumprelu_transcoder" | "jumprelu_skip_transcoder" => {
            Gate::Threshold(tensors.vector("threshold")?)
        }
        "batchtopk" | "matryoshka_batchtopk" => {
            let threshold = tensors.number("topk_threshold")?;
            about.notes.push(if threshold == 0.0 { UNLEARNED } else { LEARNED }.into());
            Gate::Threshold(vec![threshold; n])
        }
        "gated" => Gate::Gated {
            log_magnitude: tensors.vector("r_mag")?,
            magnitude_bias: tensors.vector("b_mag")?,
        },
        "matching_pursuit" => pursuit_of(cfg),
        other => {
            return Err(refused(Library::SaeLens, format!("the architecture '{other}'"), OTHER));
        }
    };
    let skip = tensors.optional_matrix("W_skip")?;
    Ok(Dictionary { encoder, encoder_bias, decoder, decoder_bias, skip, centred, gate, row_scale })
}

const OTHER: &str = "give another kind, or a later version of narrows";

/// Folds what training keeps beside the weights: the scale of the rows, and the norms of the decoder that
/// the threshold of batchtopk is meant for.
fn fold_training(
    folder: &Path,
    cfg: &Value,
    dictionary: &mut Dictionary,
    about: &mut About,
) -> Result<()> {
    // Its threshold is one of codes times norms, and the norms change with the factor.
    let learned =
        by_norm(cfg) && matches!(&*about.architecture, "batchtopk" | "matryoshka_batchtopk");
    match cfg["normalize_activations"].as_str() {
        Some("expected_average_only_in") => {
            let path = folder.join("activation_scaler.json");
            let kept = if path.is_file() { config(&path)? } else { Value::Null };
            match kept["scaling_factor"].as_f64() {
                Some(factor) => {
                    fold_factor(dictionary, factor as f32);
                    if let (true, Gate::Threshold(thresholds)) = (learned, &mut dictionary.gate) {
                        thresholds.iter_mut().for_each(|own| *own /= factor as f32);
                    }
                    about.notes.push(format!("the factor {factor} of the rows folded"));
                }
                None => about.notes.push(UNSCALED.into()),
            }
        }
        Some("covariance_whitening") => about.notes.push(UNWHITENED.into()),
        _ => {}
    }
    if learned {
        fold_decoder_norms(dictionary);
        about
            .notes
            .push("decoder norms folded, as SAELens does when it saves for inference".into());
    }
    Ok(())
}

const LEARNED: &str = "a checkpoint of training: its learned threshold stands for the k of a batch";
const UNLEARNED: &str = "a checkpoint of training whose threshold was not learned yet: it is 0, and every \
                         positive pre-activation is a code";
const UNSCALED: &str = "rows are expected to be multiplied by a factor (expected_average_only_in) that \
                        the folder does not hold: they are taken as they are, as SAELens does";
const UNWHITENED: &str = "rows are expected to be whitened (covariance_whitening): they are taken as they are, as SAELens does";

/// Brings the rows of D to length 1, for a gate that was meant for codes times their lengths.
pub(super) fn fold_decoder_norms(dictionary: &mut Dictionary) {
    let norms = row_norms(&dictionary.decoder);
    dictionary.fold(&norms);
}

/// Rows were multiplied by `factor` before: `E ← f·E, D ← D/f, c ← c/f`.
fn fold_factor(dictionary: &mut Dictionary, factor: f32) {
    let latents = dictionary.decoder.rows();
    let rows = dictionary.encoder.rows();
    scale_rows(&mut dictionary.encoder, &vec![factor; rows]);
    scale_rows(&mut dictionary.decoder, &vec![1.0 / factor; latents]);
    dictionary.decoder_bias.iter_mut().for_each(|bias| *bias /= factor);
    if let Gate::Pursuit { residual_threshold, .. } = &mut dictionary.gate {
        *residual_threshold /= factor;
    }
}

fn k(cfg: &Value, latents: usize) -> Result<usize> {
    // A checkpoint of batchtopk may have a fractional k; the kinds asked for here may not.
    let k = cfg["k"].as_u64().or_else(|| cfg["activation_fn_kwargs"]["k"].as_u64()).unwrap_or(100);
    usize::try_from(k).ok().filter(|k| (1..=latents).contains(k)).ok_or_else(|| {
        refused(Library::SaeLens, format!("k = {k} of {latents} latents"), "mend cfg.json")
    })
}

fn by_norm(cfg: &Value) -> bool {
    cfg["rescale_acts_by_decoder_norm"].as_bool().unwrap_or(false)
}

fn pursuit_of(cfg: &Value) -> Gate {
    Gate::Pursuit {
        residual_threshold: cfg["residual_threshold"].as_f64().unwrap_or(1e-2) as f32,
        max_iterations: cfg["max_iterations"].as_u64().map(|steps| steps as usize),
        stop_on_duplicate: cfg["stop_on_duplicate_support"].as_bool().unwrap_or(true),
    }
}

fn row_scale(cfg: &Value) -> Result<RowScale> {
    match cfg["normalize_activations"].as_str() {
        None | Some("none" | "expected_average_only_in" | "covariance_whitening") => {
            Ok(RowScale::None)
        }
        Some("constant_norm_rescale") => Ok(RowScale::ConstantNorm),
        Some("layer_norm") => Ok(RowScale::LayerNorm),
        Some(other) => {
            Err(refused(Library::SaeLens, format!("normalize_activations '{other}'"), OTHER))
        }
    }
}

/// Some early files hold factors of fine-tuning, which are ones where they were not used.
fn drop_unit_factor(tensors: &mut Tensors) -> Result<()> {
    if let Some(factors) = tensors.optional_vector("scaling_factor")?
        && factors.iter().any(|factor| (factor - 1.0).abs() > 1e-5)
    {
        let got = "scaling factors of fine-tuning, which SAELens 6 does not apply either";
        return Err(refused(Library::SaeLens, got, "fold them first"));
    }
    Ok(())
}

/// Names of versions before 6, as SAELens renames them.
fn modern(mut cfg: Value) -> Value {
    let version = ["sae_lens_version"].iter().find_map(|key| {
        cfg["metadata"][key].as_str().or_else(|| cfg[key].as_str()).map(str::to_owned)
    });
    let major = version.as_deref().and_then(|v| v.split('.').next()?.parse::<u32>().ok());
    if major.is_some_and(|major| major >= 6) {
        return cfg;
    }
    let function = ["activation_fn", "activation_fn_str"].iter().find_map(|key| cfg[key].as_str());
    if function == Some("topk") && cfg["activation_fn_kwargs"]["k"].is_u64() {
        cfg["architecture"] = json!("topk");
    }
    if cfg["architecture"].is_null() {
        cfg["architecture"] = json!("standard");
    }
    if let Some(asked) = cfg["normalize_activations"].as_bool() {
        cfg["normalize_activations"] =
            json!(if asked { "expected_average_only_in" } else { "none" });
    }
    cfg
}

/// Writes the two files of a dictionary for inference.
///
/// # Errors
/// If SAELens has no such kind, or a file cannot be written.
pub(super) fn write(folder: &Path, dictionary: &Dictionary, about: &About) -> Result<()> {
    let architecture = architecture(dictionary)?;
    let encoder = transposed(&dictionary.encoder);
    let (n, o) = (dictionary.decoder.rows(), dictionary.output_dim());
    let mut tensors = vec![
        Stored::matrix("W_dec", &dictionary.decoder),
        Stored::vector("b_dec", &dictionary.decoder_bias),
    ];
    if architecture != "matching_pursuit" {
        tensors.push(Stored::matrix("W_enc", &encoder));
        let name = if architecture == "gated" { "b_gate" } else { "b_enc" };
        tensors.push(Stored::vector(name, &dictionary.encoder_bias));
    }
    match &dictionary.gate {
        Gate::Threshold(threshold) => tensors.push(Stored::vector("threshold", threshold)),
        Gate::Gated { log_magnitude, magnitude_bias } => {
            tensors.push(Stored::vector("r_mag", log_magnitude));
            tensors.push(Stored::vector("b_mag", magnitude_bias));
        }
        _ => {}
    }
    tensors.extend(dictionary.skip.as_ref().map(|skip| Stored::matrix("W_skip", skip)));
    write_tensors(&folder.join(WEIGHTS), tensors)?;
    let mut cfg = json!({
        "architecture": architecture,
        "d_in": dictionary.input_dim(),
        "d_sae": n,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": dictionary.centred,
        "normalize_activations": match dictionary.row_scale {
            RowScale::None => "none",
            RowScale::ConstantNorm => "constant_norm_rescale",
            RowScale::LayerNorm => "layer_norm",
        },
        "reshape_activations": about.config["reshape_activations"].as_str().unwrap_or("none"),
        "metadata": versioned(metadata(about)),
    });
    match dictionary.gate {
        Gate::TopK { k, by_norm } | Gate::AbsTopK { k, by_norm } => {
            cfg["k"] = json!(k);
            cfg["rescale_acts_by_decoder_norm"] = json!(by_norm);
        }
        Gate::Pursuit { residual_threshold, max_iterations, stop_on_duplicate } => {
            cfg["residual_threshold"] = json!(residual_threshold);
            cfg["max_iterations"] = json!(max_iterations);
            cfg["stop_on_duplicate_support"] = json!(stop_on_duplicate);
        }
        _ => {}
    }
    if architecture.ends_with("transcoder") {
        cfg["d_out"] = json!(o);
    }
    write_json(&folder.join(CONFIG), &cfg)
}

fn architecture(dictionary: &Dictionary) -> Result<&'static str> {
    let skips = dictionary.skip.is_some();
    // A transcoder as wide as its rows and without a skip is a plain dictionary that is not centred.
    let transcodes = skips || dictionary.output_dim() != dictionary.input_dim();
    let unscaled = dictionary.row_scale == RowScale::None && !dictionary.centred;
    Ok(match (&dictionary.gate, transcodes) {
        (Gate::Relu, false) => "standard",
        (Gate::TopK { .. }, false) => "topk",
        (Gate::AbsTopK { .. }, false) => "abstopk",
        (Gate::Threshold(_), false) => "jumprelu",
        (Gate::Gated { .. }, false) => "gated",
        (Gate::Pursuit { .. }, false) => "matching_pursuit",
        (Gate::Relu, true) if unscaled && skips => "skip_transcoder",
        (Gate::Relu, true) if unscaled => "transcoder",
        (Gate::Threshold(_), true) if unscaled && skips => "jumprelu_skip_transcoder",
        (Gate::Threshold(_), true) if unscaled => "jumprelu_transcoder",
        (gate, true) => {
            return Err(Error::mistake(
                "write a dictionary for SAELens",
                "a transcoder of the kind relu or jumprelu whose rows are not centred or scaled",
                format!("one of the kind '{}'", gate.name()),
                "use another target: SAELens has no such kind",
            ));
        }
    })
}

/// SAELens puts files without a version, or of one before 6, through its renaming of old names.
fn versioned(mut metadata: Value) -> Value {
    let kept =
        metadata["sae_lens_version"].as_str().and_then(|v| v.split('.').next()?.parse().ok());
    if kept.is_none_or(|major: u32| major < 6) {
        metadata["sae_lens_version"] = json!(FORMAT);
    }
    metadata["narrows_version"] = json!(env!("CARGO_PKG_VERSION"));
    metadata
}
