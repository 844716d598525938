//! What to do, in one value: every key of a recipe with its default, and the fit that it asks for.
//!
//! The tables are those of the rooms that read them: `[data]`, `[prepare]`, `[model]`, `[objective]`,
//! `[train]`.

mod dictionary;
mod finetune;
mod misfit;
mod rate;
mod reading;
mod stack;
mod tables;
#[cfg(test)]
mod tests;

pub use dictionary::{
    ActivationTable, DictionaryModel, DictionaryRecipe, LanguageModelRows, OnlyDictionary,
};
pub use finetune::Finetune;
pub use tables::{
    CorruptionKind, CorruptionTable, DataTable, Kind, ModelTable, ObjectiveTable, SparsityKind,
    SparsityTable, StoreyKind, StoreyTable,
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::compute::{Activation, Matrix};
use crate::data::{
    self, Dataset, Missing, OpenOptions, Preparation, PrepareConfig, Prepared, Source,
};
use crate::error::{Error, Result};
use crate::evaluate::{Certificate, Evaluation, evaluate};
use crate::model::linear::{Linear, LinearOptions};
use crate::model::network::Initialisation;
use crate::model::pca::{Components, MissingOptions, Pca, PcaOptions};
use crate::model::{Autoencoder, Model, Network};
use crate::objective::Loss;
use crate::store::Run;
use crate::train::{self, Checkpoint, Epoch, Observer, StoreyRecord, Task, TrainOptions};

/// Everything that a fit can be told.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recipe {
    /// Seed of everything random.
    pub seed: u64,
    /// Where rows come from.
    pub data: DataTable,
    /// How they are prepared.
    pub prepare: PrepareConfig,
    /// What is learned.
    pub model: ModelTable,
    /// What is minimised, where there is no closed form.
    pub objective: ObjectiveTable,
    /// How it is learned, where there is no closed form.
    pub train: TrainOptions,
    /// Stack: what each storey has of its own, none or one for each width.
    pub storey: Vec<StoreyTable>,
}

/// What a fit gives.
#[derive(Debug)]
pub struct Fitted {
    /// The model and everything that is needed to use it.
    pub run: Run,
    /// What each epoch brought, of a stack each of the fine-tuning; empty for a closed form.
    pub history: Vec<Epoch>,
    /// Stack: what each storey brought.
    pub storeys: Vec<StoreyRecord>,
    /// Linear autoencoder: how far it is from the closed form.
    pub certificate: Option<Certificate>,
    /// What was trained, measured beside PCA on some of the training rows, evenly taken.
    pub training: Option<Evaluation>,
}

impl Recipe {
    /// Every default of a kind of model.
    pub fn of(kind: Kind) -> Self {
        let train = match kind {
            Kind::Linear => TrainOptions::linear(),
            Kind::Pca | Kind::Network | Kind::Stack => TrainOptions::network(),
        };
        let mut model = ModelTable { kind, ..Default::default() };
        if kind == Kind::Stack {
            (model.activation, model.code_activation) = (Activation::Sigmoid, Activation::Sigmoid);
        }
        Self { model, train, ..Default::default() }
    }

    /// Reads a recipe; keys that are left out have the defaults of its kind of model.
    ///
    /// # Errors
    /// If a key is unknown, named with the nearest one, a value does not fit, or a key is given
    /// that would not be read.
    pub fn from_value(given: Value) -> Result<Self> {
        reading::read(&given)
    }

    /// Whether a key, such as `model.whiten`, makes a difference.
    pub fn reads(&self, key: &str) -> bool {
        reading::reads(self, key, None)
    }

    /// Whether a key could make a difference with other settings of the same kind of model.
    pub fn may_read(&self, key: &str) -> bool {
        reading::reads(self, key, Some("model.kind"))
    }

    /// Opens the data that the recipe names.
    ///
    /// # Errors
    /// If it names none, or they cannot be read.
    pub fn open(&self) -> Result<Dataset> {
        let path = self.data.path.as_deref().ok_or_else(|| {
            Error::mistake("fit", "data", "none", "give --data PATH, or `data.path` in the recipe")
        })?;
        let DataTable { labels, label_column, colour, resize, .. } = self.data.clone();
        data::open(
            path,
            &OpenOptions { colour, resize, label_column, labels, ..Default::default() },
        )
    }

    /// Prepares the rows and fits the model to them, from the start or from a checkpoint; `observer`
    /// watches the training.
    ///
    /// PCA of tall data takes one pass over the rows, one more where the preparation has to be
    /// learned; memory is that of [`Pca::fit_source`]. What is trained holds the rows as f32; PCA of
    /// the same width is fitted before it.
    ///
    /// # Errors
    /// If the data, the preparation or the model cannot be had as asked, or the observer stops it.
    pub fn fit(
        &self,
        dataset: &Dataset,
        from: Option<Checkpoint>,
        observer: &mut dyn Observer,
    ) -> Result<Fitted> {
        let preparation = Preparation::fit(dataset, &self.prepare)?;
        let rows = Prepared { source: &*dataset.rows, preparation: &preparation };
        let mut storeys = Vec::new();
        let (model, baseline, history, certificate) = match self.model.kind {
            Kind::Pca => (Model::Pca(self.fit_pca(&rows)?), None, Vec::new(), None),
            Kind::Linear => {
                self.check_linear(&rows)?;
                let pca = Pca::fit_source(&rows, &self.baseline_options(self.latent_dim(&rows)))?;
                let (linear, history) = self.fit_linear(&rows, from, observer)?;
                let certificate = Some(Certificate::new(&linear, &pca, &rows)?);
                (Model::Linear(linear), Some(pca), history, certificate)
            }
            Kind::Network => {
                self.check_complete("fit a network")?;
                let network = self.network(&rows)?;
                let pca = self.baseline(&rows, network.latent_dim())?;
                let (network, history) = self.fit_network(network, &rows, from, observer)?;
                (Model::Network(network), Some(pca), history, None)
            }
            Kind::Stack => {
                self.check_complete("fit a stack")?;
                let held = train::read(&rows)?;
                let stack = self.stack(&held, &preparation)?;
                let pca = self.baseline(&rows, self.model.layers.last().copied().unwrap_or(1))?;
                let stacked = stack.fit(from, observer)?;
                storeys = stacked.storeys;
                (Model::Network(stacked.network), Some(pca), stacked.history, None)
            }
        };
        let training = match &baseline {
            Some(pca) => Some(measure(&rows, &model, pca, preparation.bounds())?),
            None => None,
        };
        let config = self.resolved(dataset, &preparation, &model, baseline.as_ref());
        let run = Run { config, preparation, model, baseline };
        Ok(Fitted { run, history, storeys, certificate, training })
    }

    /// The width asked for, or one that narrows: half of the columns, at most 32.
    fn latent_dim(&self, rows: &Prepared<'_>) -> usize {
        let narrow = (rows.dim() / 2).min(rows.rows()).clamp(1, 32);
        self.model.latent_dim.unwrap_or(narrow)
    }

    /// Refuses what could not be fitted, before anything is.
    fn check_linear(&self, rows: &Prepared<'_>) -> Result<()> {
        let operation = "fit a linear autoencoder";
        self.check_complete(operation)?;
        let (n, d) = (rows.rows(), rows.dim());
        let most = n.min(d);
        let latent_dim = self.latent_dim(rows);
        if !(1..=most).contains(&latent_dim) {
            return Err(Error::mistake(
                operation,
                format!("`latent_dim` from 1 to {most} (the smaller of {n} rows and {d} columns)"),
                latent_dim.to_string(),
                "set model.latent_dim: more latents cannot lower the error",
            ));
        }
        Ok(())
    }

    fn check_complete(&self, operation: &str) -> Result<()> {
        if self.prepare.missing != Missing::Em {
            return Ok(());
        }
        Err(Error::mistake(
            operation,
            "missing values to be refused or replaced",
            "`missing = em`, which only PCA can",
            "use `--missing mean`",
        ))
    }

    /// The linear autoencoder before training.
    fn linear(&self, rows: &Prepared<'_>) -> Result<Linear> {
        let (latent_dim, tied) = (self.latent_dim(rows), self.model.tied);
        Linear::new(rows, &LinearOptions { latent_dim, tied }, self.seed)
    }

    fn fit_linear(
        &self,
        rows: &Prepared<'_>,
        from: Option<Checkpoint>,
        observer: &mut dyn Observer,
    ) -> Result<(Linear, Vec<Epoch>)> {
        let mut linear = self.linear(rows)?;
        let held = train::read(rows)?;
        let task = Task::reconstruct(&held);
        let history = train::fit(&mut linear, &task, &self.training(), from, observer)?;
        Ok((linear, history))
    }

    /// What the data decide where the recipe does not.
    fn decide(&self, bounds: Option<(f64, f64)>) -> Decided {
        let shares = bounds == Some((0.0, 1.0));
        let output = self.model.output_activation.unwrap_or(match self.objective.loss {
            Some(Loss::BinaryCrossEntropy) => Activation::Sigmoid,
            _ if shares && !self.begins_with_pca() => Activation::Sigmoid,
            _ => Activation::Identity,
        });
        let loss = self.objective.loss.unwrap_or(match output {
            Activation::Sigmoid if shares => Loss::BinaryCrossEntropy,
            _ => Loss::SquaredError,
        });
        Decided { output, loss, range: bounds.unwrap_or((0.0, 1.0)) }
    }

    /// The network before training, checked together with what is to be minimised.
    fn network(&self, rows: &Prepared<'_>) -> Result<Network> {
        let decided = self.decide(rows.preparation.bounds());
        self.check_decided("fit a network", &decided)?;
        self.objective.corruption.check()?;
        self.objective.sparsity.sparsity().check(self.model.code_activation)?;
        let options = self.model.network(decided.output);
        let mut network =
            Network::new(rows.dim(), &options, decided.loss.takes_logits(), self.seed)?;
        if options.initialisation == Initialisation::Pca {
            network.start_from_pca(rows, self.seed)?;
        }
        Ok(network)
    }

    /// Refuses a loss that does not suit the output or the data.
    fn check_decided(&self, operation: &str, decided: &Decided) -> Result<()> {
        let refuse = |expected: &str, got: String, remedy: &str| {
            Err(Error::mistake(operation, expected, got, remedy))
        };
        if decided.loss == Loss::SoftmaxCrossEntropy {
            return refuse(
                "a loss of rows: squared_error or binary_cross_entropy",
                "softmax_cross_entropy, a loss of classes".into(),
                "set objective.loss, or use `narrows finetune`",
            );
        }
        if decided.loss == Loss::BinaryCrossEntropy {
            if decided.output != Activation::Sigmoid {
                return refuse(
                    "`output_activation = sigmoid` with binary cross-entropy",
                    format!("{:?}", decided.output).to_lowercase(),
                    "leave model.output_activation out, or set objective.loss=\"squared_error\"",
                );
            }
            if decided.range != (0.0, 1.0) {
                return refuse(
                    "values between 0 and 1 with binary cross-entropy",
                    "values of another or no known range".into(),
                    "set prepare.scale=\"unit_range\", or objective.loss=\"squared_error\"",
                );
            }
        }
        Ok(())
    }

    fn fit_network(
        &self,
        mut network: Network,
        rows: &Prepared<'_>,
        from: Option<Checkpoint>,
        observer: &mut dyn Observer,
    ) -> Result<(Network, Vec<Epoch>)> {
        let held = train::read(rows)?;
        let task = self.task(&held, rows.preparation)?;
        let history = train::fit(&mut network, &task, &self.training(), from, observer)?;
        Ok((network, history))
    }

    /// What a network is to learn from prepared rows.
    fn task<'a>(&self, held: &'a Matrix, preparation: &Preparation) -> Result<Task<'a>> {
        let decided = self.decide(preparation.bounds());
        Ok(Task {
            sparsity: self.objective.sparsity.sparsity(),
            augmentation: self.train.augmentation.of(preparation)?,
            ..decided.task(held, &self.objective.corruption)
        })
    }

    fn training(&self) -> TrainOptions {
        TrainOptions { seed: self.seed, ..self.train.clone() }
    }

    /// PCA as wide as a code, or as wide as it can be.
    fn baseline(&self, rows: &Prepared<'_>, latent_dim: usize) -> Result<Pca> {
        let widest = rows.rows().min(rows.dim());
        Pca::fit_source(rows, &self.baseline_options(latent_dim.min(widest)))
    }

    /// PCA as wide as the model beside which it stands.
    fn baseline_options(&self, count: usize) -> PcaOptions {
        PcaOptions { components: Components::Count(count), seed: self.seed, ..Default::default() }
    }

    fn fit_pca(&self, rows: &Prepared<'_>) -> Result<Pca> {
        let ModelTable { components, solver, whiten, oversampling, power_iterations, .. } =
            self.model;
        let seed = self.seed;
        let options =
            PcaOptions { components, solver, whiten, seed, oversampling, power_iterations };
        if self.prepare.missing != Missing::Em {
            return Pca::fit_source(rows, &options);
        }
        let mut held = ndarray::Array2::<f64>::zeros((rows.rows(), rows.dim()));
        rows.read_f64(0, held.as_slice_mut().expect("owned and row-major"))?;
        match held.iter().any(|value| value.is_nan()) {
            true => Pca::fit_missing(held.view(), &options, &MissingOptions::default()),
            false => Pca::fit(held.view(), &options),
        }
    }

    /// The recipe with everything that was decided on the way.
    fn resolved(
        &self,
        dataset: &Dataset,
        preparation: &Preparation,
        model: &Model,
        baseline: Option<&Pca>,
    ) -> Value {
        let mut config = reading::plain(self);
        reading::drop_unread(&mut config, self.model.kind);
        config["version"] = json!(env!("CARGO_PKG_VERSION"));
        config["prepare"] = json!(preparation.config());
        config["data"]["rows"] = json!(dataset.rows.rows());
        config["data"]["dim"] = json!(dataset.rows.dim());
        config["data"]["element"] = json!(dataset.element);
        config["data"]["content_hash"] = json!(dataset.content_hash);
        if self.model.kind == Kind::Linear {
            config["model"]["latent_dim"] = json!(model.latent_dim());
        }
        if let Model::Network(network) = model {
            let decided = self.decide(preparation.bounds());
            config["model"]["output_activation"] = json!(decided.output);
            // In a stack it would be that of every storey, if it were asked for.
            if self.model.kind == Kind::Network {
                config["objective"]["loss"] = json!(decided.loss);
            }
            config["network"] = json!(network.shape());
        }
        let pca = match model {
            Model::Pca(pca) => Some(pca),
            _ => baseline,
        };
        config["fitted"] = json!(pca.map(|pca| json!({
            "solver": pca.solver,
            "latent_dim": model.latent_dim(),
            "reason": pca.selection.reason,
        })));
        config
    }
}

/// Rows that are measured after training, at most.
const MEASURED: usize = 10_000;

fn measure(
    rows: &Prepared<'_>,
    model: &Model,
    pca: &Pca,
    bounds: Option<(f64, f64)>,
) -> Result<Evaluation> {
    let places = data::evenly(rows.rows(), MEASURED);
    evaluate(&data::Chosen { source: rows, places: &places }, model, Some(pca), bounds)
}

/// What the data decide where the recipe does not.
#[derive(Debug, Clone, Copy)]
struct Decided {
    output: Activation,
    loss: Loss,
    /// The range of the rows where it is known, else 0 to 1.
    range: (f64, f64),
}

impl Decided {
    /// To give back rows from noisy ones.
    fn task<'a>(&self, rows: &'a Matrix, noise: &CorruptionTable) -> Task<'a> {
        Task {
            loss: self.loss,
            corruption: noise.corruption(),
            emphasis: noise.emphasis,
            range: self.range,
            ..Task::reconstruct(rows)
        }
    }
}
