//! What to do, in one value: every key of a recipe with its default, and the fit that it asks for.
//!
//! The tables are those of the rooms that read them: `[data]`, `[prepare]`, `[model]`, `[train]`.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::data::{
    self, Dataset, Missing, OpenOptions, Preparation, PrepareConfig, Prepared, Source,
};
use crate::error::{Error, Result};
use crate::evaluate::Certificate;
use crate::model::Model;
use crate::model::linear::{Linear, LinearOptions};
use crate::model::pca::{Components, MissingOptions, Pca, PcaOptions, Solver};
use crate::store::Run;
use crate::train::Epoch;
use crate::train::{self, Observer, Task, TrainOptions};

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
    /// How it is learned, where there is no closed form.
    pub train: TrainOptions,
}

/// What a fit gives.
#[derive(Debug)]
pub struct Fitted {
    /// The model and everything that is needed to use it.
    pub run: Run,
    /// What each epoch brought; empty for a closed form.
    pub history: Vec<Epoch>,
    /// Linear autoencoder: how far it is from the closed form.
    pub certificate: Option<Certificate>,
}

/// Where rows come from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataTable {
    /// A file, a folder of pictures, `PATH#name` in an npz, or `demo:digits`.
    pub path: Option<String>,
    /// A file with one label per row.
    pub labels: Option<String>,
    /// The column of a table that holds the labels.
    pub label_column: Option<String>,
    /// Whether pictures keep their colours.
    pub colour: bool,
    /// Width and height that pictures are brought to.
    pub resize: Option<(usize, usize)>,
}

/// What is learned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelTable {
    /// The kind of model.
    pub kind: Kind,
    /// PCA: how many components; by default the fewest that explain more than 95 %.
    pub components: Components,
    /// PCA: which algorithm.
    pub solver: Solver,
    /// PCA: whether codes are divided by the standard deviation of their component.
    pub whiten: bool,
    /// PCA, randomised solver: dimensions beyond those kept.
    pub oversampling: usize,
    /// PCA, randomised solver: passes of the power iteration.
    pub power_iterations: Option<usize>,
    /// Linear autoencoder: columns of a code.
    pub latent_dim: usize,
    /// Linear autoencoder: whether the encoder is the transpose of the decoder.
    pub tied: bool,
}

/// The kinds of model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Principal component analysis, in closed form.
    #[default]
    Pca,
    /// A linear autoencoder, learned by following gradients.
    Linear,
}

/// Keys that are read only where another key has one of these values; a table stands for all its
/// keys. A key that stands in several lines needs all of them.
const READ_WHERE: &[(&str, &str, &[&str])] = &[
    ("model.components", "model.kind", &["pca"]),
    ("model.solver", "model.kind", &["pca"]),
    ("model.whiten", "model.kind", &["pca"]),
    ("model.oversampling", "model.kind", &["pca"]),
    ("model.oversampling", "model.solver", &["auto", "randomized"]),
    ("model.power_iterations", "model.kind", &["pca"]),
    ("model.power_iterations", "model.solver", &["auto", "randomized"]),
    ("model.latent_dim", "model.kind", &["linear"]),
    ("model.tied", "model.kind", &["linear"]),
    ("train", "model.kind", &["linear"]),
    ("train.second_momentum", "train.optimizer", &["adam"]),
];

impl Default for ModelTable {
    fn default() -> Self {
        let pca = PcaOptions::default();
        let linear = LinearOptions::default();
        Self {
            kind: Kind::default(),
            components: Components::Variance(0.95),
            solver: pca.solver,
            whiten: pca.whiten,
            oversampling: pca.oversampling,
            power_iterations: pca.power_iterations,
            latent_dim: linear.latent_dim,
            tied: linear.tied,
        }
    }
}

impl Recipe {
    /// Reads a recipe; keys that are left out have their defaults.
    ///
    /// # Errors
    /// If a key is unknown, named with the nearest one, a value does not fit, or a key is given
    /// that would not be read.
    pub fn from_value(given: Value) -> Result<Self> {
        check_keys(&given, &plain(&Self::default()), "")?;
        let recipe = serde_json::from_value(given.clone()).map_err(|error| {
            Error::mistake(
                "read the recipe",
                format!("a value that fits `{}`", misfit(&given).unwrap_or_default()),
                error.to_string(),
                "`narrows fit --print-recipe` shows every key with its default",
            )
        })?;
        check_read(&given, &plain(&recipe))?;
        Ok(recipe)
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
        data::open(path, &OpenOptions { colour, resize, label_column, labels })
    }

    /// Prepares the rows and fits the model to them; tells `observer` about each epoch, which may
    /// stop the training.
    ///
    /// PCA of tall data takes one pass over the rows, one more where the preparation has to be
    /// learned; memory is that of [`Pca::fit_source`]. A linear autoencoder holds the rows as f32;
    /// PCA of the same width is fitted before it.
    ///
    /// # Errors
    /// If the data, the preparation or the model cannot be had as asked.
    pub fn fit(&self, dataset: &Dataset, observer: &mut dyn Observer) -> Result<Fitted> {
        let preparation = Preparation::fit(dataset, &self.prepare)?;
        let rows = Prepared { source: &*dataset.rows, preparation: &preparation };
        match self.model.kind {
            Kind::Pca => {
                let pca = self.fit_pca(&rows)?;
                let config = self.resolved(dataset, &preparation, &pca);
                let run = Run { config, preparation, model: Model::Pca(pca), baseline: None };
                Ok(Fitted { run, history: Vec::new(), certificate: None })
            }
            Kind::Linear => {
                self.check_linear(&rows)?;
                let pca = Pca::fit_source(&rows, &self.baseline_options())?;
                let (linear, history) = self.fit_linear(&rows, observer)?;
                let certificate = Some(Certificate::new(&linear, &pca, &rows)?);
                let config = self.resolved(dataset, &preparation, &pca);
                let model = Model::Linear(linear);
                let run = Run { config, preparation, model, baseline: Some(pca) };
                Ok(Fitted { run, history, certificate })
            }
        }
    }

    /// Refuses what could not be fitted, before anything is.
    fn check_linear(&self, rows: &Prepared<'_>) -> Result<()> {
        let operation = "fit a linear autoencoder";
        if self.prepare.missing == Missing::Em {
            return Err(Error::mistake(
                operation,
                "missing values to be refused or replaced",
                "`missing = em`, which only PCA can",
                "use `--missing mean`",
            ));
        }
        let (n, d) = (rows.rows(), rows.dim());
        let most = n.min(d);
        if !(1..=most).contains(&self.model.latent_dim) {
            return Err(Error::mistake(
                operation,
                format!("`latent_dim` from 1 to {most} (the smaller of {n} rows and {d} columns)"),
                self.model.latent_dim.to_string(),
                "set model.latent_dim: more latents cannot lower the error",
            ));
        }
        Ok(())
    }

    fn fit_linear(
        &self,
        rows: &Prepared<'_>,
        observer: &mut dyn Observer,
    ) -> Result<(Linear, Vec<Epoch>)> {
        let ModelTable { latent_dim, tied, .. } = self.model;
        let mut linear = Linear::new(rows, &LinearOptions { latent_dim, tied }, self.seed)?;
        let options = TrainOptions { seed: self.seed, ..self.train.clone() };
        let held = train::read(rows)?;
        let task = Task::reconstruct(&held);
        let history = train::fit(&mut linear, &task, &options, None, observer)?;
        Ok((linear, history))
    }

    /// PCA as wide as the model beside which it stands.
    fn baseline_options(&self) -> PcaOptions {
        let components = Components::Count(self.model.latent_dim);
        PcaOptions { components, seed: self.seed, ..Default::default() }
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
    fn resolved(&self, dataset: &Dataset, preparation: &Preparation, pca: &Pca) -> Value {
        let mut config = plain(self);
        config["version"] = json!(env!("CARGO_PKG_VERSION"));
        config["prepare"] = json!(preparation.config());
        config["data"]["rows"] = json!(dataset.rows.rows());
        config["data"]["dim"] = json!(dataset.rows.dim());
        config["data"]["element"] = json!(dataset.element);
        config["data"]["content_hash"] = json!(dataset.content_hash);
        config["fitted"] = json!({
            "solver": pca.solver,
            "latent_dim": pca.components.nrows(),
            "reason": pca.selection.reason,
        });
        config
    }
}

fn plain(recipe: &Recipe) -> Value {
    serde_json::to_value(recipe).expect("a recipe is plain data")
}

/// What stands at `a.b.c`.
fn at<'a>(recipe: &'a Value, key: &str) -> Option<&'a Value> {
    key.split('.').try_fold(recipe, |table, part| table.get(part))
}

/// The first key whose value is refused.
fn misfit(given: &Value) -> Option<String> {
    let refused = |recipe: Value| serde_json::from_value::<Recipe>(recipe).is_err();
    given.as_object()?.iter().find_map(|(table, keys)| {
        let inner = keys.as_object().into_iter().flatten();
        let mut inner = inner.filter(|(key, value)| refused(json!({ table: { *key: value } })));
        inner
            .next()
            .map(|(key, _)| format!("{table}.{key}"))
            .or_else(|| refused(json!({ table: keys })).then(|| table.clone()))
    })
}

/// Names the first key that no recipe has, and the nearest that one has.
fn check_keys(given: &Value, known: &Value, table: &str) -> Result<()> {
    let (Value::Object(given), Value::Object(known)) = (given, known) else {
        return Ok(());
    };
    for (key, value) in given {
        let Some(known_value) = known.get(key) else {
            let names = known.keys().map(String::as_str);
            return Err(Error::mistake(
                "read the recipe",
                match table {
                    "" => "a key of a recipe".to_owned(),
                    _ => format!("a key of [{table}]"),
                },
                format!("'{key}'"),
                data::did_you_mean(key, names),
            ));
        };
        check_keys(value, known_value, key)?;
    }
    Ok(())
}

/// Refuses a key that was given and would silently do nothing.
fn check_read(given: &Value, recipe: &Value) -> Result<()> {
    let chosen = |key| at(recipe, key).and_then(Value::as_str).unwrap_or_default();
    let ignored = READ_WHERE
        .iter()
        .find(|(key, by, values)| at(given, key).is_some() && !values.contains(&chosen(by)));
    let Some((key, by, values)) = ignored else { return Ok(()) };
    let value = chosen(by);
    let read =
        READ_WHERE.iter().filter(|(_, other, values)| other == by && values.contains(&value));
    let read: Vec<&str> = read.map(|(key, ..)| *key).collect();
    Err(Error::mistake(
        "read the recipe",
        format!("`{by}` to be {} where `{key}` is given", values.join(" or ")),
        format!("`{value}`, which does not read it"),
        match read[..] {
            [] => "leave it out".to_owned(),
            _ => format!("leave it out; `{value}` reads {}", read.join(", ")),
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_would_not_be_read_is_refused() {
        let refused = |recipe: Value| Recipe::from_value(recipe).expect_err("refused").to_string();
        let message = refused(json!({"model": {"latent_dim": 32}}));
        assert!(
            message.contains("`model.kind` to be linear where `model.latent_dim`"),
            "{message}"
        );
        assert!(message.contains("`pca`, which does not read it"), "{message}");
        assert!(message.contains("`pca` reads model.components, model.solver,"), "{message}");
        refused(json!({"train": {"epochs": 3}}));
        refused(json!({"model": {"kind": "linear", "components": 30}}));
        refused(json!({"model": {"solver": "gram", "oversampling": 5}}));
        let sgd = json!({"optimizer": "sgd", "second_momentum": 0.9});
        refused(json!({"model": {"kind": "linear"}, "train": sgd}));
        let legal = json!({"model": {"kind": "linear", "tied": true}, "train": {"momentum": 0.8}});
        assert!(Recipe::from_value(legal).is_ok());
        assert!(Recipe::from_value(json!({"model": {"oversampling": 5}})).is_ok());
    }

    /// A slip in the table would refuse nothing, or everything.
    #[test]
    fn the_table_of_keys_names_keys_and_values_that_there_are() {
        let default = plain(&Recipe::default());
        for (key, by, values) in READ_WHERE {
            let known = |key| at(&default, key).is_some();
            assert!(known(key) && known(by), "{key} {by}");
            for value in *values {
                let (table, by) = by.split_once('.').expect("a table and a key");
                let recipe = json!({table: {by: value}});
                assert!(serde_json::from_value::<Recipe>(recipe).is_ok(), "{by} = {value}");
            }
        }
    }

    #[test]
    fn a_width_that_cannot_be_had_is_told_before_the_training() {
        let rows = ndarray::Array2::from_shape_fn((5, 10), |(i, j)| ((i * j) as f64).sin());
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("rows.npy");
        crate::store::write_npy(&path, rows.view()).expect("writes");
        let fit = |latent_dim: usize| {
            let recipe = json!({
                "data": {"path": path.to_str()},
                "model": {"kind": "linear", "latent_dim": latent_dim},
                "train": {"epochs": 2},
            });
            let recipe = Recipe::from_value(recipe).expect("legal");
            let dataset = recipe.open().expect("opens");
            let mut epochs = 0;
            let fitted = recipe.fit(&dataset, &mut |_: &Epoch| {
                epochs += 1;
                std::ops::ControlFlow::Continue(())
            });
            (fitted.map(|_| ()), epochs)
        };
        let (refused, epochs) = fit(8);
        let message = refused.expect_err("too wide").to_string();
        assert!(message.contains("`latent_dim` from 1 to 5 (the smaller of 5 rows"), "{message}");
        assert_eq!(epochs, 0);
        assert!(matches!(fit(3), (Ok(()), 2)));
    }

    #[test]
    fn an_unknown_key_names_the_nearest() {
        let error = Recipe::from_value(json!({"model": {"componets": 3}})).expect_err("unknown");
        let message = error.to_string();
        assert!(message.contains("a key of [model]"), "{message}");
        assert!(message.contains("did you mean 'components'?"), "{message}");
    }

    #[test]
    fn the_digits_are_fitted_kept_and_opened_again() {
        let recipe = json!({"data": {"path": "demo:digits"}, "model": {"components": 10}});
        let recipe = Recipe::from_value(recipe).expect("legal");
        let run = recipe.open().expect("opens");
        let run = recipe
            .fit(&run, &mut |_: &Epoch| std::ops::ControlFlow::Continue(()))
            .expect("fits")
            .run;
        let folder = tempfile::tempdir().expect("a folder");
        run.write_into(folder.path()).expect("writes");
        let again = Run::open(folder.path()).expect("opens");
        let (Model::Pca(before), Model::Pca(after)) = (&run.model, &again.model) else {
            panic!("another kind of model");
        };
        assert_eq!(before, after);
        assert_eq!(run.preparation, again.preparation);
    }
}
