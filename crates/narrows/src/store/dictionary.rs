//! Sparse dictionaries in run folders.
//!
//! ```text
//! weights.safetensors   encoder.weight (n, d), encoder.bias (n), decoder.weight (n, o), decoder.bias (o),
//!                       threshold (n), log_magnitude (n), magnitude_bias (n), skip.weight (o, d): those
//!                       that the gate has; all f32
//! config.json           under `dictionary`: the gate with its settings, centred, row_scale
//! ```
//!
//! Parameters go to the file and come from it as they are, without a copy as f64.

use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::weights::Stored;
use crate::compute::Matrix;
use crate::data::Content;
use crate::error::{Error, Result};
use crate::model::Dictionary;
use crate::model::dictionary::{Gate, RowScale};

const REMEDY: &str = "fit or convert it again, or restore the folder";

/// What the tensors do not tell.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    gate: GateOptions,
    centred: bool,
    row_scale: RowScale,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
enum GateOptions {
    Relu,
    TopK {
        k: usize,
        by_norm: bool,
    },
    AbsTopK {
        k: usize,
        by_norm: bool,
    },
    JumpRelu,
    Gated,
    #[serde(rename = "matching_pursuit")]
    Pursuit {
        residual_threshold: f32,
        max_iterations: Option<usize>,
        stop_on_duplicate: bool,
    },
}

/// The table `dictionary` of config.json.
pub(super) fn options(dictionary: &Dictionary) -> Value {
    let gate = match dictionary.gate {
        Gate::Relu => GateOptions::Relu,
        Gate::TopK { k, by_norm } => GateOptions::TopK { k, by_norm },
        Gate::AbsTopK { k, by_norm } => GateOptions::AbsTopK { k, by_norm },
        Gate::Threshold(_) => GateOptions::JumpRelu,
        Gate::Gated { .. } => GateOptions::Gated,
        Gate::Pursuit { residual_threshold, max_iterations, stop_on_duplicate } => {
            GateOptions::Pursuit { residual_threshold, max_iterations, stop_on_duplicate }
        }
    };
    let (centred, row_scale) = (dictionary.centred, dictionary.row_scale);
    json!(Options { gate, centred, row_scale })
}

/// The tensors, where they lie.
pub(super) fn tensors(dictionary: &Dictionary) -> Vec<Stored<'_>> {
    let mut tensors = vec![
        Stored::matrix("decoder.weight", &dictionary.decoder),
        Stored::vector("decoder.bias", &dictionary.decoder_bias),
    ];
    if !matches!(dictionary.gate, Gate::Pursuit { .. }) {
        tensors.push(Stored::matrix("encoder.weight", &dictionary.encoder));
        tensors.push(Stored::vector("encoder.bias", &dictionary.encoder_bias));
    }
    match &dictionary.gate {
        Gate::Threshold(threshold) => tensors.push(Stored::vector("threshold", threshold)),
        Gate::Gated { log_magnitude, magnitude_bias } => {
            tensors.push(Stored::vector("log_magnitude", log_magnitude));
            tensors.push(Stored::vector("magnitude_bias", magnitude_bias));
        }
        _ => {}
    }
    tensors.extend(dictionary.skip.as_ref().map(|skip| Stored::matrix("skip.weight", skip)));
    tensors
}

/// The dictionary whose table and tensors were written.
///
/// # Errors
/// If the files are damaged or contradict each other.
pub(super) fn read(table: &Value, config: &Path, weights: &Path) -> Result<Dictionary> {
    let options: Options = serde_json::from_value(table.clone())
        .map_err(|error| Error::bad_file(config, format!("dictionary: {error}"), REMEDY))?;
    let content = Content::of(weights)?;
    let file = SafeTensors::deserialize(&content.bytes)
        .map_err(|error| Error::bad_file(weights, error.to_string(), REMEDY))?;
    let file = File { path: weights, tensors: file };
    let decoder = file.matrix("decoder.weight")?;
    let pursuit = matches!(options.gate, GateOptions::Pursuit { .. });
    let dictionary = Dictionary {
        encoder: match pursuit {
            true => Matrix::zeros(0, decoder.cols()),
            false => file.matrix("encoder.weight")?,
        },
        encoder_bias: if pursuit { Vec::new() } else { file.vector("encoder.bias")? },
        decoder_bias: file.vector("decoder.bias")?,
        skip: file.has("skip.weight").then(|| file.matrix("skip.weight")).transpose()?,
        centred: options.centred,
        row_scale: options.row_scale,
        gate: match options.gate {
            GateOptions::Relu => Gate::Relu,
            GateOptions::TopK { k, by_norm } => Gate::TopK { k, by_norm },
            GateOptions::AbsTopK { k, by_norm } => Gate::AbsTopK { k, by_norm },
            GateOptions::JumpRelu => Gate::Threshold(file.vector("threshold")?),
            GateOptions::Gated => Gate::Gated {
                log_magnitude: file.vector("log_magnitude")?,
                magnitude_bias: file.vector("magnitude_bias")?,
            },
            GateOptions::Pursuit { residual_threshold, max_iterations, stop_on_duplicate } => {
                Gate::Pursuit { residual_threshold, max_iterations, stop_on_duplicate }
            }
        },
        decoder,
    };
    let fits = dictionary.check();
    fits.map_err(|error| Error::bad_file(weights, error.to_string(), REMEDY))?;
    Ok(dictionary)
}

struct File<'a> {
    path: &'a Path,
    tensors: SafeTensors<'a>,
}

impl File<'_> {
    fn has(&self, name: &str) -> bool {
        self.tensors.tensor(name).is_ok()
    }

    fn tensor(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>)> {
        let bad = |problem: String| Error::bad_file(self.path, problem, REMEDY);
        let view = self.tensors.tensor(name).map_err(|_| bad(format!("'{name}' is missing")))?;
        if view.dtype() != Dtype::F32 {
            return Err(bad(format!("'{name}' is {}, not f32", view.dtype())));
        }
        let values: Vec<f32> = bytemuck::pod_collect_to_vec(view.data());
        match values.iter().all(|value| value.is_finite()) {
            true => Ok((view.shape().to_vec(), values)),
            false => Err(bad(format!("'{name}' holds a number that is not finite"))),
        }
    }

    fn vector(&self, name: &str) -> Result<Vec<f32>> {
        match self.tensor(name)? {
            (shape, values) if shape.len() == 1 => Ok(values),
            (shape, _) => Err(self.misshapen(name, &shape)),
        }
    }

    fn matrix(&self, name: &str) -> Result<Matrix> {
        let (shape, values) = self.tensor(name)?;
        match shape[..] {
            [rows, cols] => Matrix::from_rows(rows, cols, values),
            _ => Err(self.misshapen(name, &shape)),
        }
    }

    fn misshapen(&self, name: &str, shape: &[usize]) -> Error {
        Error::bad_file(self.path, format!("'{name}' has the shape {shape:?}"), REMEDY)
    }
}
