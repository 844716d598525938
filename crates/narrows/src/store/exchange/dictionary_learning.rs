//! dictionary_learning: `ae.pt`, a saved state, and `config.json` beside it.
//!
//! ```text
//! AutoEncoder              bias (d), encoder.weight (n, d), encoder.bias (n), decoder.weight (d, n)
//! AutoEncoderNew           the same with decoder.bias (d) for bias; rows are not centred
//! GatedAutoEncoder         decoder_bias (d), r_mag, gate_bias, mag_bias (n), encoder.weight, decoder.weight
//! AutoEncoderTopK          b_dec (d), k (), threshold (), encoder.weight, encoder.bias, decoder.weight
//! BatchTopKSAE             the same; used with the threshold
//! MatryoshkaBatchTopKSAE   W_enc (d, n), b_enc, W_dec (n, d), b_dec, k, threshold, group_sizes (g)
//! JumpReluAutoEncoder      W_enc, b_enc, W_dec, b_dec, threshold (n); rows are not centred
//! ```
//!
//! Source: `dictionary_learning/dictionary.py` and `trainers/*.py` of dictionary-learning 0.1.0. Kinds are
//! known by their tensors; `dict_class` of the configuration has to agree where there is one.
//!
//! As `load_dictionary` does, an AutoEncoder whose decoder is not of unit norm is folded. A backup written
//! in the middle of a run has the same name and holds the state as `ae`, before the biases were brought to
//! the scale of the data; here they are.

use std::path::Path;

use serde_json::Value;

use super::pickle::{Object, Place};
use super::saelens::fold_decoder_norms;
use super::torch::Saved;
use super::{About, Library, config};
use crate::compute::{Matrix, row_norms};
use crate::data::tensors::Tensors;
use crate::error::Result;
use crate::model::Dictionary;
use crate::model::dictionary::{Gate, RowScale};

pub(super) fn read_file(path: &Path) -> Result<(Dictionary, About)> {
    let saved = Saved::read(path)?;
    let (state, backup) = match saved.pickle().entry(saved.pickle().root(), "ae") {
        Some(state) => (state, true),
        None => (saved.pickle().root(), false),
    };
    if !matches!(saved.pickle().get(state), Object::Mapping(_)) {
        return Err(saved.bad("it holds no state_dict"));
    }
    let mut tensors = saved.tensors(state)?;
    let beside = path.with_file_name("config.json");
    let settings = if beside.is_file() { config(&beside)? } else { Value::Null };
    let mut about = About {
        library: Library::DictionaryLearning,
        architecture: String::new(),
        kinds: tensors.kinds(),
        metadata: Value::Null,
        config: settings,
        notes: Vec::new(),
    };
    let asked = about.config["trainer"]["dict_class"].as_str().map(str::to_owned);
    let (class, mut dictionary) = assemble(&mut tensors, asked.as_deref())?;
    tensors.finish()?;
    if let Some(asked) = asked.filter(|asked| asked != class) {
        return Err(
            saved.bad(format!("config.json tells of {asked}, but the tensors are of {class}"))
        );
    }
    if class == "AutoEncoder" && !unit_norms(&dictionary) {
        fold_decoder_norms(&mut dictionary);
        about.notes.push("decoder norms folded, as load_dictionary does".into());
    }
    if backup {
        unscale(&saved, &mut dictionary, &mut about)?;
    }
    about.architecture = class.to_owned();
    Ok((dictionary, about))
}

/// The kind that the tensors are of, and the dictionary; only `asked` tells two kinds apart.
fn assemble(tensors: &mut Tensors, asked: Option<&str>) -> Result<(&'static str, Dictionary)> {
    let relu = |encoder, encoder_bias, decoder, decoder_bias, centred| Dictionary {
        encoder,
        encoder_bias,
        decoder,
        decoder_bias,
        skip: None,
        centred,
        gate: Gate::Relu,
        row_scale: RowScale::None,
    };
    if tensors.contains("W_enc") {
        let (encoder, bias) = (tensors.transposed("W_enc")?, tensors.vector("b_enc")?);
        let (decoder, decoder_bias) = (tensors.matrix("W_dec")?, tensors.vector("b_dec")?);
        let threshold = tensors.spread("threshold", decoder.rows())?;
        let matryoshka = tensors.contains("group_sizes");
        ["group_sizes", "k"].iter().for_each(|name| tensors.drop(name));
        let class = if matryoshka { "MatryoshkaBatchTopKSAE" } else { "JumpReluAutoEncoder" };
        let gate = Gate::Threshold(threshold);
        return Ok((
            class,
            Dictionary { gate, ..relu(encoder, bias, decoder, decoder_bias, matryoshka) },
        ));
    }
    let (encoder, decoder) = linear(tensors)?;
    if tensors.contains("r_mag") {
        let gate = Gate::Gated {
            log_magnitude: tensors.vector("r_mag")?,
            magnitude_bias: tensors.vector("mag_bias")?,
        };
        let (bias, decoder_bias) = (tensors.vector("gate_bias")?, tensors.vector("decoder_bias")?);
        return Ok((
            "GatedAutoEncoder",
            Dictionary { gate, ..relu(encoder, bias, decoder, decoder_bias, true) },
        ));
    }
    let bias = tensors.vector("encoder.bias")?;
    if tensors.contains("b_dec") {
        let (k, decoder_bias) = (tensors.number("k")? as usize, tensors.vector("b_dec")?);
        let (class, gate) = if asked == Some("BatchTopKSAE") {
            ("BatchTopKSAE", Gate::Threshold(vec![tensors.number("threshold")?; decoder.rows()]))
        } else {
            // It is kept for a mode that the library does not use by itself.
            tensors.drop("threshold");
            ("AutoEncoderTopK", Gate::TopK { k, by_norm: false })
        };
        return Ok((
            class,
            Dictionary { gate, ..relu(encoder, bias, decoder, decoder_bias, true) },
        ));
    }
    if tensors.contains("decoder.bias") {
        let decoder_bias = tensors.vector("decoder.bias")?;
        return Ok(("AutoEncoderNew", relu(encoder, bias, decoder, decoder_bias, false)));
    }
    let decoder_bias = tensors.vector("bias")?;
    Ok(("AutoEncoder", relu(encoder, bias, decoder, decoder_bias, true)))
}

fn linear(tensors: &mut Tensors) -> Result<(Matrix, Matrix)> {
    Ok((tensors.matrix("encoder.weight")?, tensors.transposed("decoder.weight")?))
}

/// Whether `torch.allclose` finds the norms to be ones.
fn unit_norms(dictionary: &Dictionary) -> bool {
    row_norms(&dictionary.decoder).iter().all(|norm| (norm - 1.0).abs() <= 1e-8 + 1e-5)
}

/// Brings the biases of a backup to the scale of the data, as the end of the run would have.
fn unscale(saved: &Saved, dictionary: &mut Dictionary, about: &mut About) -> Result<()> {
    let pickle = saved.pickle();
    let number = |place: Place| match pickle.get(place) {
        Object::Number(number) => Some(*number as f32),
        Object::Integer(number) => Some(*number as f32),
        _ => None,
    };
    let factor = pickle.entry(pickle.root(), "norm_factor").and_then(number);
    about.notes.push("a backup from the middle of a run, not its end".into());
    let Some(factor) = factor.filter(|factor| *factor != 1.0) else { return Ok(()) };
    let scale = |values: &mut [f32]| values.iter_mut().for_each(|value| *value *= factor);
    scale(&mut dictionary.encoder_bias);
    scale(&mut dictionary.decoder_bias);
    match &mut dictionary.gate {
        Gate::Threshold(threshold) => {
            // An unset threshold of batch top-k is −1 at any scale.
            threshold.iter_mut().filter(|t| **t >= 0.0).for_each(|t| *t *= factor);
        }
        Gate::Gated { magnitude_bias, .. } => scale(magnitude_bias),
        _ => {}
    }
    about.notes.push(format!(
        "biases multiplied by the norm_factor {factor} that training divides rows by"
    ));
    Ok(())
}
