//! A fitted model with everything that is needed to use it.

use std::path::Path;

use ndarray::{ArrayView1, ArrayViewD, IxDyn, arr0};
use serde_json::Value;

use super::folder::CONFIG;
use super::{Weights, read_json, write_json};
use crate::data::Preparation;
use crate::error::{Error, Result};
use crate::model::{Linear, Model, Pca, pca};

const PREPARATION: &str = "preparation.json";
const WEIGHTS: &str = "weights.safetensors";
const REMEDY: &str = "fit the model again";
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
        write_json(&folder.join(CONFIG), &self.config)?;
        write_json(&folder.join(PREPARATION), &self.preparation)?;
        let mut weights = Weights::default();
        match &self.model {
            Model::Pca(pca) => insert_pca(&mut weights, "", pca),
            Model::Linear(linear) => insert_linear(&mut weights, linear)?,
        }
        if let Some(pca) = &self.baseline {
            insert_pca(&mut weights, BASELINE, pca);
        }
        weights.write(&folder.join(WEIGHTS))
    }

    /// Reads a run folder.
    ///
    /// # Errors
    /// If there is none, it is of another kind, or a file is missing or damaged.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(CONFIG);
        if !path.exists() {
            return Err(Error::mistake(
                "open a run",
                "a run folder written by `narrows fit`",
                format!("'{}', which holds no config.json", folder.display()),
                "give the folder that --out named",
            ));
        }
        let config: Value = read_json(&path)?;
        let preparation: Preparation = read_json(&folder.join(PREPARATION))?;
        let weights = Weights::read(&folder.join(WEIGHTS))?;
        let kind = config["model"]["kind"].as_str().unwrap_or("none");
        let model = match kind {
            "pca" => Model::Pca(read_pca(&weights, "", &config, folder)?),
            "linear" => Model::Linear(read_linear(&weights)?),
            other => {
                let problem = format!("the model is '{other}', which this version does not know");
                return Err(Error::bad_file(path, problem, "use the version that wrote it"));
            }
        };
        let baseline = match weights.contains("baseline.components") {
            true => Some(read_pca(&weights, BASELINE, &config, folder)?),
            false => None,
        };
        Ok(Self { config, preparation, model, baseline })
    }
}

fn insert_pca(weights: &mut Weights, prefix: &str, pca: &Pca) {
    let mut insert = |name: &str, array: ArrayViewD<'_, f64>| {
        weights.insert(&format!("{prefix}{name}"), array);
    };
    insert("mean", pca.mean.view().into_dyn());
    insert("components", pca.components.view().into_dyn());
    insert("explained_variance", pca.explained_variance.view().into_dyn());
    insert("spectrum", ArrayView1::from(&pca.selection.spectrum).into_dyn());
    insert("noise_variance", arr0(pca.noise_variance).view().into_dyn());
    insert("total_variance", arr0(pca.total_variance).view().into_dyn());
    if let Some(threshold) = &pca.selection.threshold {
        insert("spectrum_threshold", ArrayView1::from(threshold).into_dyn());
    }
}

fn insert_linear(weights: &mut Weights, linear: &Linear) -> Result<()> {
    for (name, shape, values) in linear.tensors() {
        let array = ArrayViewD::from_shape(IxDyn(&shape), &values)
            .map_err(|error| Error::failure("write weights", error.to_string(), "report it"))?;
        weights.insert_f32(&name, array);
    }
    Ok(())
}

fn read_linear(weights: &Weights) -> Result<Linear> {
    let names = ["decoder.weight", "encoder.weight", "mean", "weight"];
    let present = names.into_iter().filter(|name| weights.contains(name));
    Linear::from_tensors(present.map(|name| weights.tensor_f32(name)).collect::<Result<_>>()?)
}

fn read_pca(weights: &Weights, prefix: &str, config: &Value, folder: &Path) -> Result<Pca> {
    let name = |name: &str| format!("{prefix}{name}");
    let mean = weights.vector(&name("mean"), None)?;
    let explained_variance = weights.vector(&name("explained_variance"), None)?;
    let k = explained_variance.len();
    if k == 0 {
        let problem = format!("'{}' is empty", name("components"));
        return Err(Error::bad_file(folder.join(WEIGHTS), problem, REMEDY));
    }
    let components = weights.matrix(&name("components"), (k, mean.len()))?;
    let total_variance = weights.number(&name("total_variance"))?;
    let rows = config["data"]["rows"].as_u64().unwrap_or(0) as usize;
    let fitted = &config["fitted"];
    let word = |key: &str| fitted[key].clone();
    let threshold = name("spectrum_threshold");
    Ok(Pca {
        components,
        explained_variance_ratio: &explained_variance / total_variance,
        singular_values: explained_variance.mapv(|v| (v * (rows as f64 - 1.0)).sqrt()),
        noise_variance: weights.number(&name("noise_variance"))?,
        total_variance,
        rows,
        whiten: prefix.is_empty() && config["model"]["whiten"].as_bool().unwrap_or(false),
        solver: serde_json::from_value(word("solver")).map_err(|error| {
            Error::bad_file(folder.join(CONFIG), format!("fitted.solver: {error}"), REMEDY)
        })?,
        selection: pca::Selection {
            components: k,
            reason: word("reason").as_str().unwrap_or_default().to_owned(),
            spectrum: weights.vector(&name("spectrum"), None)?.to_vec(),
            threshold: match weights.contains(&threshold) {
                true => Some(weights.vector(&threshold, None)?.to_vec()),
                false => None,
            },
        },
        explained_variance,
        mean,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::pca::PcaOptions;
    use ndarray::{Array1, Array2, array};

    #[test]
    fn a_pca_without_components_is_refused() {
        let x = array![[0.0, 1.0], [2.0, 0.5], [1.0, 3.0]];
        let pca = Pca::fit(x.view(), &PcaOptions::default()).expect("fits");
        let mut weights = Weights::default();
        let config = serde_json::json!({"fitted": {"solver": "thin_svd"}});
        let folder = Path::new("run");
        insert_pca(&mut weights, "", &pca);
        assert!(read_pca(&weights, "", &config, folder).is_ok());
        let empty = Array2::<f64>::zeros((0, 2));
        let (components, explained_variance) = (empty, Array1::zeros(0));
        insert_pca(&mut weights, "", &Pca { components, explained_variance, ..pca });
        let error = read_pca(&weights, "", &config, folder).expect_err("no component");
        assert!(error.to_string().contains("'components' is empty"), "{error}");
        assert_eq!(error.exit_code(), 2);
    }
}
