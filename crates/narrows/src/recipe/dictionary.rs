//! Sparse dictionaries: one, several, or a sweep, from one pass over the rows.
//!
//! ```toml
//! [model]
//! kind = "dictionary"
//!
//! [[dictionary]]               # one table for each, or one alone as [dictionary]
//! kind = "batchtopk"
//! latents = "8x"               # a number, or a multiple of the columns of a row
//! k = 32
//!
//! sweep = "k=16,32,64; seed=0..2"      # every table with every combination of these
//! ```
//!
//! The axes of a sweep are parted by semicolons. Each is a key of a dictionary, `alpha` and `width` standing
//! for `sparsity_weight` and `latents`, and its values: a list `1x,2x,4x`, whole numbers `0..4` with both
//! ends, or `1e-4..1e-2 log 8`, eight numbers with equal ratios, or `0.1..0.9 linear 5`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::reading::{check_keys, lay_over};
use crate::data::{self, Dataset, OpenOptions, Source, did_you_mean};
use crate::error::{Error, Result};
use crate::train::dictionary::{
    DictionaryCheckpoint, DictionaryObserver, DictionaryOptions, DictionaryTask,
    DictionaryTraining, LearnedDictionaries, fit_dictionaries,
};

/// Latents of a dictionary that says nothing of them.
const USUAL_LATENTS: &str = "8x";

/// Everything that a fit of dictionaries can be told.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DictionaryRecipe {
    /// Seed of everything random; a dictionary may have its own.
    pub seed: u64,
    /// Where rows come from.
    pub data: ActivationTable,
    /// What is learned: dictionaries.
    pub model: DictionaryModel,
    /// What each is made like; keys that are left out have their defaults.
    pub dictionary: Vec<Value>,
    /// What each of them is made with in turn.
    pub sweep: Option<String>,
    /// How they are trained.
    pub train: DictionaryTraining,
}

/// Where rows come from, and what they are to be turned into.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ActivationTable {
    /// Any set of rows: a folder of shards, an activation cache, npy, safetensors, `demo:superposition`.
    pub path: Option<String>,
    /// Rows that the rows are to be turned into: a transcoder.
    pub target: Option<String>,
}

/// The kind of model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DictionaryModel {
    /// Always `dictionary`.
    pub kind: OnlyDictionary,
}

/// The one kind of model that this recipe makes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnlyDictionary {
    /// A sparse dictionary.
    #[default]
    Dictionary,
}

/// Keys of a dictionary that are read only where its kind is one of these.
const READ_BY: &[(&str, &[&str])] = &[
    ("k", &["topk", "batchtopk", "matryoshka"]),
    ("sparsity_weight", &["relu", "jumprelu", "gated"]),
    ("target_l0", &["relu", "jumprelu", "gated"]),
    ("tied", &["relu"]),
    ("penalty", &["jumprelu"]),
    ("threshold", &["jumprelu"]),
    ("bandwidth", &["jumprelu"]),
    ("tanh_scale", &["jumprelu"]),
    ("slope_to_encoder", &["jumprelu"]),
    ("widths", &["matryoshka"]),
];

/// Words of a sweep that stand for keys.
const ALSO: &[(&str, &str)] = &[("alpha", "sparsity_weight"), ("width", "latents")];

impl DictionaryRecipe {
    /// Whether what was given asks for dictionaries.
    pub fn is_meant(given: &Value) -> bool {
        given["model"]["kind"] == "dictionary"
    }

    /// Reads a recipe.
    ///
    /// # Errors
    /// If a key is unknown, named with the nearest one, a value does not fit, or a key is given that would
    /// not be read.
    pub fn from_value(given: &Value) -> Result<Self> {
        let mut given = given.clone();
        let tables = given.get("dictionary").cloned();
        given["dictionary"] = match tables {
            Some(Value::Array(tables)) => json!(tables),
            Some(table @ Value::Object(_)) => json!([table]),
            _ => json!([{}]),
        };
        let mut whole = plain(&Self::default());
        let bare = given.as_object().into_iter().flatten().filter(|(key, _)| *key != "dictionary");
        check_keys(&bare.map(|(k, v)| (k.clone(), v.clone())).collect(), &whole, "")?;
        lay_over(&mut whole, &given);
        let recipe: Self = serde_json::from_value(whole).map_err(misfit)?;
        recipe.train.check()?;
        // Any width shows what is wrong with the tables, before the rows are known.
        recipe.dictionaries(64)?;
        Ok(recipe)
    }

    /// The dictionaries that it asks for, of rows of so many columns, in the order of the tables and of the
    /// sweep, whose last axis changes first.
    ///
    /// # Errors
    /// If a key is unknown or would not be read, or a value does not fit.
    pub fn dictionaries(&self, columns: usize) -> Result<Vec<DictionaryOptions>> {
        let axes = match &self.sweep {
            Some(sweep) => sweep_axes(sweep)?,
            None => Vec::new(),
        };
        let mut tables = self.dictionary.clone();
        for (key, values) in &axes {
            let with = |table: &Value, value: &Value| {
                let mut table = table.clone();
                table[key] = value.clone();
                table
            };
            tables = tables
                .iter()
                .flat_map(|table| values.iter().map(|value| with(table, value)))
                .collect();
        }
        tables.iter().map(|table| self.dictionary(table, columns)).collect()
    }

    fn dictionary(&self, table: &Value, columns: usize) -> Result<DictionaryOptions> {
        let mut whole = plain(&DictionaryOptions::default());
        whole["seed"] = json!(self.seed);
        whole["latents"] = json!(USUAL_LATENTS);
        check_keys(table, &whole, "dictionary")?;
        lay_over(&mut whole, table);
        whole["latents"] = latents(&whole["latents"], columns)?;
        let options: DictionaryOptions = serde_json::from_value(whole.clone()).map_err(misfit)?;
        let kind = whole["kind"].as_str().unwrap_or_default();
        let unread =
            READ_BY.iter().find(|(key, kinds)| table.get(key).is_some() && !kinds.contains(&kind));
        if let Some((key, kinds)) = unread {
            return Err(Error::mistake(
                "read the recipe",
                format!("`dictionary.kind` to be {} where `{key}` is given", kinds.join(" or ")),
                format!("`{kind}`, which does not read it"),
                "leave it out",
            ));
        }
        options.check()?;
        Ok(options)
    }

    /// Whether dictionaries of a kind read a key.
    pub fn reads(kind: &str, key: &str) -> bool {
        read_by(key).is_none_or(|kinds| kinds.contains(&kind))
    }

    /// Opens the rows, and the targets where it names them.
    ///
    /// # Errors
    /// If it names none, or they cannot be read.
    pub fn open(&self) -> Result<(Dataset, Option<Dataset>)> {
        let path = self.data.path.as_deref().ok_or_else(|| {
            Error::mistake("fit", "data", "none", "give --data PATH, or `data.path` in the recipe")
        })?;
        let options = OpenOptions::default();
        let target = self.data.target.as_deref().map(|path| data::open(path, &options));
        Ok((data::open(path, &options)?, target.transpose()?))
    }

    /// The training with the recipe's seed.
    pub fn training(&self) -> DictionaryTraining {
        DictionaryTraining { seed: self.seed, ..self.train.clone() }
    }

    /// Trains all dictionaries from one pass.
    ///
    /// # Errors
    /// As [`fit_dictionaries`].
    pub fn fit(
        &self,
        rows: &dyn Source,
        targets: Option<&dyn Source>,
        from: Option<DictionaryCheckpoint<'_>>,
        observer: &mut dyn DictionaryObserver,
    ) -> Result<LearnedDictionaries> {
        let options = self.dictionaries(rows.dim())?;
        let task = DictionaryTask { rows, targets };
        fit_dictionaries(&task, &options, &self.training(), from, observer)
    }
}

/// The kinds that read a key, if not all do.
fn read_by(key: &str) -> Option<&'static [&'static str]> {
    READ_BY.iter().find(|(read, _)| *read == key).map(|(_, kinds)| *kinds)
}

fn plain(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("a recipe is plain data")
}

fn misfit(error: serde_json::Error) -> Error {
    Error::mistake(
        "read the recipe",
        "values that fit their keys",
        error.to_string(),
        "`narrows fit --model dictionary --print-recipe` shows every key with its default",
    )
}

/// A number of latents, or `8x`: so many times the columns.
fn latents(given: &Value, columns: usize) -> Result<Value> {
    let Some(text) = given.as_str() else { return Ok(given.clone()) };
    let times = text.strip_suffix('x').and_then(|times| times.parse::<f64>().ok());
    match times.map(|times| (times * columns as f64).round()) {
        Some(latents) if (1.0..1e9).contains(&latents) => Ok(json!(latents as usize)),
        _ => Err(Error::mistake(
            "read the recipe",
            "latents as a number, or as a multiple of the columns such as \"8x\"",
            format!("'{text}'"),
            "change latents",
        )),
    }
}

/// Keys and their values, in the order in which they are written.
fn sweep_axes(text: &str) -> Result<Vec<(String, Vec<Value>)>> {
    let known = plain(&DictionaryOptions::default());
    let axes = text.split(';').map(str::trim).filter(|axis| !axis.is_empty());
    let axes = axes.map(|axis| {
        let refuse = |got: String, remedy: String| {
            let expected = "axes such as `alpha=1e-4..1e-2 log 8; width=1x,2x; seed=0..4`";
            Err(Error::mistake("read the sweep", expected, got, remedy))
        };
        let Some((key, values)) = axis.split_once('=') else {
            return refuse(format!("'{axis}'"), "write a key, '=' and values".to_owned());
        };
        let key = key.trim();
        let key = ALSO.iter().find(|(word, _)| *word == key).map_or(key, |(_, key)| key);
        let names = known.as_object().map(Map::keys).into_iter().flatten().map(String::as_str);
        if known.get(key).is_none() {
            return refuse(format!("the key '{key}'"), did_you_mean(key, names));
        }
        match axis_values(values.trim()) {
            Some(values) => Ok((key.to_owned(), values)),
            None => refuse(format!("'{axis}'"), "correct its values".to_owned()),
        }
    });
    axes.collect()
}

/// The values of an axis; `None` where they cannot be read.
fn axis_values(text: &str) -> Option<Vec<Value>> {
    let Some((from, rest)) = text.split_once("..") else {
        let values: Vec<Value> = text.split(',').map(|value| one_value(value.trim())).collect();
        return values.iter().all(|value| *value != json!("")).then_some(values);
    };
    let words: Vec<&str> = rest.split_whitespace().collect();
    let from: f64 = from.trim().parse().ok()?;
    let to: f64 = words.first()?.parse().ok()?;
    match words[1..] {
        [] if from.fract() == 0.0 && to.fract() == 0.0 && to - from < 1e6 => {
            let numbers = from as i64..=to as i64;
            (from <= to).then(|| numbers.map(|number| json!(number)).collect())
        }
        [how, count] => {
            let count: usize =
                count.parse().ok().filter(|count| (2..=1_000_000).contains(count))?;
            let part = |index: usize| index as f64 / (count - 1) as f64;
            let value = |index: usize| match how {
                "log" if from > 0.0 && to > 0.0 => Some(from * (to / from).powf(part(index))),
                "linear" => Some(from + (to - from) * part(index)),
                _ => None,
            };
            (0..count).map(|index| value(index).map(|value| json!(value))).collect()
        }
        _ => None,
    }
}

/// A number where it is one, else a word.
fn one_value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| json!(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<DictionaryRecipe> {
        DictionaryRecipe::from_value(&serde_json::from_str(text).expect("legal JSON"))
    }

    #[test]
    fn a_sweep_is_every_combination_the_last_axis_first() {
        let recipe = read(
            r#"{"dictionary": {"kind": "relu"},
                "sweep": "alpha=1e-4..1e-2 log 3; width=1x,2x; seed=0..1"}"#,
        );
        let all = recipe.and_then(|recipe| recipe.dictionaries(10)).expect("a legal recipe");
        let found: Vec<(f64, usize, u64)> =
            all.iter().map(|own| (own.sparsity_weight, own.latents, own.seed)).collect();
        let mut expected = Vec::new();
        for weight in [1e-4, 1e-3, 1e-2] {
            for latents in [10, 20] {
                expected.extend([(weight, latents, 0), (weight, latents, 1)]);
            }
        }
        let close = |a: &(f64, usize, u64), b: &(f64, usize, u64)| {
            (a.0 / b.0 - 1.0).abs() < 1e-12 && (a.1, a.2) == (b.1, b.2)
        };
        assert_eq!(found.len(), 12);
        assert!(found.iter().zip(&expected).all(|(a, b)| close(a, b)), "{found:?}");
    }

    #[test]
    fn several_tables_are_several_dictionaries() {
        let recipe =
            read(r#"{"seed": 3, "dictionary": [{"kind": "topk", "k": 5}, {"latents": "4x"}]}"#);
        let all = recipe.and_then(|recipe| recipe.dictionaries(10)).expect("a legal recipe");
        assert_eq!((all[0].k, all[0].latents, all[0].seed), (5.0, 80, 3));
        assert_eq!(all[1].latents, 40);
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (text, told) in [
            (r#"{"dictionary": {"kidn": "topk"}}"#, "did you mean 'kind'"),
            (r#"{"dictionary": {"kind": "topk", "tied": true}}"#, "`tied` is given"),
            (r#"{"dictionary": {"latents": "8y"}}"#, "'8y'"),
            (r#"{"dictionary": {"kind": "topk", "k": 0}}"#, "k: 0 to latents"),
            (r#"{"sweep": "kk=1,2"}"#, "did you mean 'k'"),
            (r#"{"sweep": "k=1,,2"}"#, "'k=1,,2'"),
            (r#"{"sweep": "k=5..1"}"#, "'k=5..1'"),
            (r#"{"sweep": "k"}"#, "write a key"),
            (r#"{"train": {"batch_size": 0}}"#, "train.batch_size"),
            (r#"{"train": {"epochs": 3}}"#, "'epochs'"),
        ] {
            let said = read(text).expect_err(text).to_string();
            assert!(said.contains(told), "{text}: {said}");
        }
    }
}
