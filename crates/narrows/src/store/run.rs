//! A fitted model with everything that is needed to use it.

use std::borrow::Cow;
use std::path::Path;

use ndarray::{ArrayViewD, IxDyn};
use serde_json::Value;

use super::folder::{CHECKPOINT, CONFIG, DICTIONARIES, PREPARATION, WEIGHTS};
use super::pca::Told;
use super::weights::write_beside;
use super::{Weights, dictionary, read_json, write_json};
use crate::data::Preparation;
use crate::error::{Error, Result};
use crate::model::network::Shape;
use crate::model::{Answer, Linear, Model, Network, Pca, Predictor};

/// What the names of the tensors of the PCA beside another model begin with.
const BASELINE: &str = "baseline.";

/// A run folder, read.
#[derive(Debug)]
pub struct Run {
    /// What was asked for, complete; `model.kind` names the model.
    pub config: Value,
    /// How rows are prepared.
    pub preparation: Preparation,
    /// What was learned.
    pub model: Model,
    /// PCA of the same width on the same rows; `None` where the model is PCA itself.
    pub baseline: Option<Pca>,
}

impl Run {
    /// Writes the files of the run into a folder that exists.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write_into(&self, folder: &Path) -> Result<()> {
        write_json(&folder.join(CONFIG), &self.told())?;
        write_json(&folder.join(PREPARATION), &self.preparation)?;
        let mut weights = Weights::default();
        if let Some(pca) = &self.baseline {
            weights.insert_pca(BASELINE, pca);
        }
        match &self.model {
            Model::Pca(pca) => weights.insert_pca("", pca),
            Model::Linear(linear) => insert_tensors(&mut weights, linear.tensors())?,
            Model::Network(network) => insert_tensors(&mut weights, network.tensors())?,
            Model::Predictor(predictor) => {
                let tensors = predictor.network().tensors().into_iter();
                let renamed = tensors.map(|(name, shape, v)| (head_name(&name), shape, v));
                insert_tensors(&mut weights, renamed.collect())?;
            }
            Model::Dictionary(found) => {
                return write_beside(&folder.join(WEIGHTS), dictionary::tensors(found), &weights);
            }
        }
        weights.write(&folder.join(WEIGHTS))
    }

    /// The configuration; of a dictionary with what its tensors do not tell.
    fn told(&self) -> Cow<'_, Value> {
        let Model::Dictionary(found) = &self.model else { return Cow::Borrowed(&self.config) };
        let mut config = self.config.clone();
        config["dictionary"] = dictionary::options(found);
        Cow::Owned(config)
    }

    /// Reads a run folder.
    ///
    /// # Errors
    /// If there is none, it is of another kind, or a file is missing or damaged.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(CONFIG);
        let config = read_config(folder)?;
        let preparation: Preparation = read_json(&folder.join(PREPARATION))?;
        let kind = config["model"]["kind"].as_str().unwrap_or("none");
        // The parameters of a dictionary are too many to be held as f64.
        let wanted = |name: &str| kind != "dictionary" || name.starts_with(BASELINE);
        let weights = Weights::read_named(&folder.join(WEIGHTS), wanted)?;
        let model = match kind {
            "pca" => {
                let whiten = config["model"]["whiten"].as_bool().unwrap_or(false);
                Model::Pca(weights.pca("", told(&config, &path, whiten)?)?)
            }
            "linear" => Model::Linear(read_linear(&weights)?),
            "network" | "stack" => {
                Model::Network(read_network(&config, &path, &weights, str::to_owned)?)
            }
            "classifier" | "regressor" => {
                let network = read_network(&config, &path, &weights, head_name)?;
                Model::Predictor(Predictor::new(network, read_answer(&config, &path)?)?)
            }
            "dictionary" => {
                let shape = &config["dictionary"];
                Model::Dictionary(dictionary::read(shape, &path, &folder.join(WEIGHTS))?)
            }
            other => {
                let problem = format!("the model is '{other}', which this version does not know");
                return Err(Error::bad_file(path, problem, "use the version that wrote it"));
            }
        };
        let baseline = match weights.contains("baseline.components") {
            true => Some(weights.pca(BASELINE, told(&config, &path, false)?)?),
            false => None,
        };
        Ok(Self { config, preparation, model, baseline })
    }
}

/// What was asked for, of a run whose training is at its end.
fn read_config(folder: &Path) -> Result<Value> {
    let other = |what: &str, remedy: String| {
        Error::mistake(
            "open a run",
            "a run folder written by `narrows fit`",
            format!("'{}', {what}", folder.display()),
            remedy,
        )
    };
    let path = folder.join(CONFIG);
    if !path.exists() {
        let what =
            if folder.exists() { "which holds no config.json" } else { "which does not exist" };
        return Err(other(what, "give the folder that --out named".into()));
    }
    let config: Value = read_json(&path)?;
    if config["kind"] == "faces" {
        let what = "which is a run of `narrows faces train`";
        return Err(other(what, "use `narrows faces identify`, `verify` or `add`".into()));
    }
    if !folder.join(WEIGHTS).exists() && folder.join(DICTIONARIES).is_dir() {
        let remedy = format!("give one of those in {}/{DICTIONARIES}", folder.display());
        return Err(other("which holds several dictionaries", remedy));
    }
    if !folder.join(WEIGHTS).exists() && folder.join(CHECKPOINT).is_dir() {
        let command = match config["model"]["kind"].as_str() {
            Some("classifier" | "regressor") => "finetune",
            _ => "fit",
        };
        let remedy = format!("go on with `narrows {command} --resume --out {}`", folder.display());
        return Err(other("where training has not finished", remedy));
    }
    Ok(config)
}

fn insert_tensors(
    weights: &mut Weights,
    tensors: Vec<(String, Vec<usize>, Vec<f32>)>,
) -> Result<()> {
    for (name, shape, values) in tensors {
        let array = ArrayViewD::from_shape(IxDyn(&shape), &values)
            .map_err(|error| Error::failure("write weights", error.to_string(), "report it"))?;
        weights.insert_f32(&name, array);
    }
    Ok(())
}

/// The network whose shape the configuration tells.
///
/// `kept_name` is what the file calls a tensor of the network.
fn read_network(
    config: &Value,
    path: &Path,
    weights: &Weights,
    kept_name: impl Fn(&str) -> String,
) -> Result<Network> {
    let shape: Shape = serde_json::from_value(config["network"].clone())
        .map_err(|error| Error::bad_file(path, format!("network: {error}"), "fit again"))?;
    let mut network = Network::of_shape(&shape)?;
    let names = network.tensors().into_iter().map(|(name, ..)| name);
    let tensors: Result<Vec<_>> = names
        .map(|name| {
            let (_, shape, values) = weights.tensor_f32(&kept_name(&name))?;
            Ok((name, shape, values))
        })
        .collect();
    network.set_tensors(tensors?)?;
    Ok(network)
}

/// What is called a decoder in an autoencoder is the head of a predictor: `head.weight`, `head.bias`.
fn head_name(name: &str) -> String {
    name.replacen("decoder.0.", "head.", 1)
}

fn read_answer(config: &Value, path: &Path) -> Result<Answer> {
    let model = &config["model"];
    let answer = match model["target"].as_str() {
        Some(name) => Some(Answer::Number(name.to_owned())),
        None => serde_json::from_value(model["classes"].clone()).ok().map(Answer::Class),
    };
    answer.ok_or_else(|| {
        Error::bad_file(path, "it names neither classes nor a target", "fine-tune again")
    })
}

fn read_linear(weights: &Weights) -> Result<Linear> {
    let names = ["decoder.weight", "encoder.weight", "mean", "weight"];
    let present = names.into_iter().filter(|name| weights.contains(name));
    Linear::from_tensors(present.map(|name| weights.tensor_f32(name)).collect::<Result<_>>()?)
}

/// What the configuration tells of its PCA.
fn told(config: &Value, path: &Path, whiten: bool) -> Result<Told> {
    let fitted = &config["fitted"];
    Ok(Told {
        rows: config["data"]["rows"].as_u64().unwrap_or(0) as usize,
        whiten,
        solver: serde_json::from_value(fitted["solver"].clone()).map_err(|error| {
            Error::bad_file(path, format!("fitted.solver: {error}"), "fit the model again")
        })?,
        reason: fitted["reason"].as_str().unwrap_or_default().to_owned(),
    })
}
