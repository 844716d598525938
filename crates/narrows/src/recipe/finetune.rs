//! From a run to a run that predicts labels.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{CorruptionTable, DataTable, Fitted, Recipe};
use crate::compute::Matrix;
use crate::data::{Dataset, Labels, Prepared, Source};
use crate::error::{Error, Result};
use crate::evaluate::Classification;
use crate::model::{Answer, Model, Network, Predictor, network};
use crate::objective::Loss;
use crate::store::Run;
use crate::train::{
    self, Checkpoint, FewLabels, Observer, Outcome, Task, TrainOptions, Unfreezing, one_hot,
};

/// Fewer steps teach little, however few the rows.
const LEAST_STEPS: usize = 2000;

/// Everything that fine-tuning can be told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finetune {
    /// The folder of the run whose encoder is used, as the configuration will name it.
    pub source: String,
    /// Where rows and labels come from, as the configuration will name it.
    pub data: DataTable,
    /// Whether labels are numbers to be told, not names of classes.
    pub regression: bool,
    /// Which layers learn.
    pub unfreezing: Unfreezing,
    /// Whether the encoder is drawn anew, for comparison.
    pub scratch: bool,
    /// Noise on the rows while they are learned.
    pub corruption: CorruptionTable,
    /// The probability that a number between the layers is dropped in training, in place of that of
    /// the run.
    pub dropout: Option<f64>,
    /// How they learn; its seed is `seed`.
    pub train: TrainOptions,
    /// Seed of everything random.
    pub seed: u64,
    /// Epochs are added until there are so many steps.
    pub least_steps: usize,
}

impl Finetune {
    /// Reads the settings of the table `[train]`, `model.dropout` and the noise of
    /// `[objective.corruption]`; what is left out suits a head: AdamW, and at least 2,000 steps where
    /// `train.epochs` is left out.
    ///
    /// # Errors
    /// If there is another key or a value does not fit.
    pub fn from_settings(settings: &Value, seed: u64) -> Result<Self> {
        check_tables(settings)?;
        let suits = TrainOptions::labels();
        let given = settings["train"].as_object();
        let mut train = match Self::usual_training(&settings["train"]["optimizer"]) == suits {
            true => json!({ "optimizer": suits.optimizer, "weight_decay": suits.weight_decay }),
            false => json!({}),
        };
        given.into_iter().flatten().for_each(|(key, value)| train[key] = value.clone());
        let mut whole = settings.clone();
        whole["model"]["kind"] = json!("network");
        whole["train"] = train;
        let recipe = Recipe::from_value(whole)?;
        let epochs_given = settings["train"].get("epochs").is_some();
        let dropout = settings["model"].get("dropout").map(|_| recipe.model.dropout);
        network::check_dropout(recipe.model.dropout)?;
        recipe.objective.corruption.corruption().check()?;
        Ok(Self {
            source: String::new(),
            data: DataTable::default(),
            regression: false,
            unfreezing: Unfreezing::default(),
            scratch: false,
            corruption: recipe.objective.corruption,
            dropout,
            train: recipe.train,
            seed,
            least_steps: if epochs_given { 0 } else { LEAST_STEPS },
        })
    }

    /// What is not said of the table `[train]` is so: the weight decay of AdamW suits no other
    /// optimiser.
    pub fn usual_training(optimizer: &Value) -> TrainOptions {
        match optimizer.as_str() {
            None | Some("adamw") => TrainOptions::labels(),
            Some(_) => TrainOptions::network(),
        }
    }

    /// A hash of what is learned from: the rows and labels of `dataset`, the encoder of `source`.
    pub fn fingerprint(source: &Run, dataset: &Dataset) -> String {
        let mut hasher = blake3::Hasher::new();
        let labels = dataset.labels.as_ref().map(|labels| (&labels.names, &labels.classes));
        let prepared = [json!(source.preparation), json!(dataset.content_hash), json!(labels)];
        prepared.iter().for_each(|part| {
            hasher.update(part.to_string().as_bytes());
        });
        // A model without layers is refused before anything is learned.
        let layers = source.model.encoder().map(|encoder| encoder.tensors()).unwrap_or_default();
        for (name, _, values) in layers {
            hasher.update(name.as_bytes()).update(bytemuck::cast_slice(&values));
        }
        hasher.finalize().to_hex().to_string()
    }

    /// Puts a head on the encoder of `source` and teaches it the labels of `dataset`, from the start or
    /// from a checkpoint.
    ///
    /// The rows are held as f32, and the codes of frozen layers beside them.
    ///
    /// # Errors
    /// If there are no labels or they do not suit, the rows do not suit the run, or training fails.
    pub fn fit(
        &self,
        source: &Run,
        dataset: &Dataset,
        mut from: Option<Checkpoint>,
        observer: &mut dyn Observer,
    ) -> Result<Fitted> {
        let labels = labels(dataset)?;
        let encoder = self.encoder(source)?;
        let seed = self.seed;
        let encoder = if self.scratch { encoder.from_scratch(seed) } else { encoder };
        let rows = prepared(source, dataset)?;
        let train = self.training().with_least_steps(self.least_steps, rows.rows());
        let task = self.task(source, &rows)?;
        let mut learn = |network: &mut Network, targets: &Matrix, loss| {
            let task = Task { targets: Some(targets), loss, ..task.clone() };
            train::finetune(network, &task, self.unfreezing, &train, from.take(), observer)
        };
        let (network, answer, history) = if self.regression {
            let expected = "numbers as labels with --task regression";
            let numbers = labels.numbers("fine-tune", expected, "use --task classification")?;
            let (mean, deviation) = spread(&numbers)?;
            let standard = |y: &f64| ((y - mean) / deviation) as f32;
            let targets = numbers.iter().map(standard).collect();
            let targets = Matrix::from_rows(numbers.len(), 1, targets)?;
            let mut network = encoder.with_head(1, false, seed);
            let history = learn(&mut network, &targets, Loss::SquaredError)?;
            network.stretch_outputs(deviation as f32, mean as f32);
            let name = self.data.label_column.clone().unwrap_or_else(|| "label".to_owned());
            (network, Answer::Number(name), history)
        } else {
            check_classes(labels)?;
            let targets = one_hot(&labels.classes, labels.names.len());
            let mut network = encoder.with_head(labels.names.len(), true, seed);
            let history = learn(&mut network, &targets, Loss::SoftmaxCrossEntropy)?;
            (network, Answer::Class(labels.names.clone()), history)
        };
        let config = self.resolved(source, dataset, &network, &answer, &train);
        let preparation = source.preparation.clone();
        let model = Model::Predictor(Predictor::new(network, answer)?);
        let run = Run { config, preparation, model, baseline: None };
        let storeys = Vec::new();
        Ok(Fitted { run, history, storeys, certificate: None, training: None })
    }

    /// Compares what few labels teach the encoder of `source` and three others; see
    /// [`FewLabels`].
    ///
    /// # Errors
    /// As [`FewLabels::run`]; if the run keeps no PCA, or the test rows have other classes.
    pub fn study(
        &self,
        source: &Run,
        [dataset, test]: [&Dataset; 2],
        (counts, seeds): (&[usize], usize),
        tell: impl FnMut(&Outcome),
    ) -> Result<Vec<Outcome>> {
        let (known, asked) = (labels(dataset)?, labels(test)?);
        check_classes(known)?;
        let pca = match (&source.model, &source.baseline) {
            (Model::Pca(_), _) => source.model.encoder()?,
            (_, Some(pca)) => Model::Pca(pca.clone()).encoder()?,
            _ => {
                return Err(Error::mistake(
                    "study few labels",
                    "a run that keeps PCA of the same width",
                    "one that was fine-tuned, which keeps none",
                    "give the run that it was made from",
                ));
            }
        };
        let rows = prepared(source, dataset)?;
        FewLabels {
            encoder: &self.encoder(source)?,
            pca: &pca,
            task: &self.task(source, &rows)?,
            labels: known,
            test_rows: &prepared(source, test)?,
            test_classes: &Classification::truth(&known.names, asked)?,
            counts,
            seeds,
            unfreezing: self.unfreezing,
            train: self.training(),
            least_steps: self.least_steps,
        }
        .run(tell)
    }

    fn training(&self) -> TrainOptions {
        TrainOptions { seed: self.seed, ..self.train.clone() }
    }

    /// The layers under the head.
    fn encoder(&self, source: &Run) -> Result<Network> {
        let encoder = source.model.encoder()?;
        let Some(dropout) = self.dropout else { return Ok(encoder) };
        if self.unfreezing == Unfreezing::Frozen {
            return Err(Error::mistake(
                "fine-tune",
                "layers that learn where `model.dropout` is given",
                "--mode frozen",
                "leave it out, or use --mode full",
            ));
        }
        Ok(encoder.with_dropout(dropout))
    }

    /// The rows, with what is done to them while they are learned.
    fn task<'a>(&self, source: &Run, rows: &'a Matrix) -> Result<Task<'a>> {
        Ok(Task {
            corruption: self.corruption.corruption(),
            range: source.preparation.bounds().unwrap_or((0.0, 1.0)),
            augmentation: self.train.augmentation.of(&source.preparation)?,
            ..Task::reconstruct(rows)
        })
    }

    fn resolved(
        &self,
        source: &Run,
        dataset: &Dataset,
        network: &Network,
        answer: &Answer,
        train: &TrainOptions,
    ) -> Value {
        let (kind, key, names) = match answer {
            Answer::Class(names) => ("classifier", "classes", json!(names)),
            Answer::Number(name) => ("regressor", "target", json!(name)),
        };
        let mut config = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "seed": train.seed,
            "data": self.data,
            "prepare": source.preparation.config(),
            "model": {
                "kind": kind,
                "mode": self.unfreezing,
                "scratch": self.scratch,
                "source": { "run": self.source, "model": source.config["model"] },
            },
            "objective": { "corruption": self.corruption },
            "train": train,
            "network": network.shape(),
        });
        if let Some(dropout) = self.dropout {
            config["model"]["dropout"] = json!(dropout);
        }
        config["model"][key] = names;
        config["data"]["rows"] = json!(dataset.rows.rows());
        config["data"]["dim"] = json!(dataset.rows.dim());
        config["data"]["element"] = json!(dataset.element);
        config["data"]["content_hash"] = json!(dataset.content_hash);
        config
    }
}

/// Refuses what fine-tuning does not read.
fn check_tables(settings: &Value) -> Result<()> {
    let tables = settings.as_object().into_iter().flatten();
    let keys = tables.flat_map(|(table, keys)| {
        keys.as_object().into_iter().flat_map(Map::keys).map(move |key| format!("{table}.{key}"))
    });
    let read = |key: &String| {
        key.starts_with("train.") || key == "model.dropout" || key == "objective.corruption"
    };
    let refuse_with = |got: String, remedy: &str| {
        Err(Error::mistake(
            "fine-tune",
            "keys of [train] or [objective.corruption], such as train.epochs=50, or model.dropout",
            got,
            remedy,
        ))
    };
    let refuse =
        |got: String| refuse_with(got, "leave it out; model and preparation are those of the run");
    let mut values = settings.as_object().into_iter().flatten();
    match values.find(|(_, value)| !value.is_object()) {
        Some((key, _)) if key == "seed" => return refuse_with("'seed'".to_owned(), "use --seed"),
        Some((key, _)) => return refuse(format!("'{key}'")),
        None => {}
    }
    if let Some(key) = keys.into_iter().find(|key| !read(key)) {
        return refuse(format!("'{key}'"));
    }
    if settings["train"]["augmentation"].get("undo").is_some() {
        return refuse("'train.augmentation.undo', where nothing is rebuilt".to_owned());
    }
    if settings["objective"]["corruption"].get("emphasis").is_some() {
        return refuse("'objective.corruption.emphasis', a weight of what is rebuilt".to_owned());
    }
    Ok(())
}

/// The rows of `dataset` as the model of `run` takes them, held in memory.
fn prepared(run: &Run, dataset: &Dataset) -> Result<Matrix> {
    let preparation = run.preparation.check(dataset)?;
    train::read(&Prepared { source: &*dataset.rows, preparation: &preparation } as &dyn Source)
}

fn labels(dataset: &Dataset) -> Result<&Labels> {
    dataset.labels.as_ref().ok_or_else(|| {
        Error::mistake(
            "fine-tune",
            format!("labels for the rows of {}", dataset.name),
            "none",
            "give --labels or --label-column (of test rows, --test-labels)",
        )
    })
}

fn check_classes(labels: &Labels) -> Result<()> {
    if labels.names.len() > 1 {
        return Ok(());
    }
    Err(Error::mistake(
        "fine-tune",
        "labels of at least two classes",
        format!("'{}' for every row", labels.names.join("")),
        "give other labels",
    ))
}

/// Mean and standard deviation.
fn spread(numbers: &[f64]) -> Result<(f64, f64)> {
    let n = numbers.len() as f64;
    let mean = numbers.iter().sum::<f64>() / n;
    let variance = numbers.iter().map(|y| (y - mean) * (y - mean)).sum::<f64>() / n;
    if variance > 0.0 {
        return Ok((mean, variance.sqrt()));
    }
    Err(Error::mistake(
        "fine-tune",
        "numbers that vary",
        format!("{mean} for every row"),
        "give other labels",
    ))
}
