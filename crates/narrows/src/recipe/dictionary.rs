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
//! How a sweep is written, and which dictionaries it makes: see `sweep`.

mod sweep;

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Recipe;
use super::misfit::misfit;
use super::reading::{check_keys, lay_over};
use super::tables::READ_WHERE;
use crate::data::{self, Dataset, OpenOptions, Shuffle, Source};
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
    /// In place of a path: a language model, of which rows are computed while they are learned from.
    pub lm: Option<LanguageModelRows>,
}

/// Rows at one place of a language model that reads text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LanguageModelRows {
    /// The folder of the model.
    pub model: String,
    /// The files that it reads.
    pub text: Vec<String>,
    /// The place, such as `blocks.2.residual_post`.
    pub tap: String,
    /// Tokens of a window; none: 256, or as many as the model takes.
    #[serde(default)]
    pub context: Option<usize>,
    /// The key of the text in a line of jsonl.
    #[serde(default = "LanguageModelRows::usual_field")]
    pub field: String,
    /// Whether letters are made small.
    #[serde(default)]
    pub lowercase: bool,
    /// Whether the token that begins a text is left out before documents.
    #[serde(default)]
    pub no_begin: bool,
    /// Whether rows of that token are learned from too.
    #[serde(default)]
    pub keep_begin: bool,
}

impl LanguageModelRows {
    fn usual_field() -> String {
        "text".to_owned()
    }
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
    ("tied", &["relu"]),
    ("penalty", &["jumprelu"]),
    ("threshold", &["jumprelu"]),
    ("bandwidth", &["jumprelu"]),
    ("tanh_scale", &["jumprelu"]),
    ("slope_to_encoder", &["jumprelu"]),
    ("widths", &["matryoshka"]),
    ("revival_weight", &["topk", "batchtopk", "matryoshka", "jumprelu", "gated"]),
    ("revival_k", &["topk", "batchtopk", "matryoshka", "jumprelu", "gated"]),
];

impl DictionaryRecipe {
    /// Whether what was given asks for dictionaries.
    pub fn is_meant(given: &Value) -> bool {
        given["model"]["kind"] == "dictionary"
    }

    /// Reads a recipe.
    ///
    /// # Errors
    /// If a key is unknown, named with the nearest one, a value does not fit, or a key is given that would
    /// not be read. What depends on the columns of a row is refused by [`DictionaryRecipe::dictionaries`].
    pub fn from_value(given: &Value) -> Result<Self> {
        let mut given = given.clone();
        given["dictionary"] = match given.get("dictionary") {
            None => json!([{}]),
            Some(table @ Value::Object(_)) => json!([table]),
            Some(Value::Array(tables)) if tables.iter().all(Value::is_object) => json!(tables),
            Some(other) => {
                return Err(Error::mistake(
                    "read the recipe",
                    "`dictionary` to be a table, or a list of tables",
                    other.to_string(),
                    "write [dictionary], or [[dictionary]] for each of several",
                ));
            }
        };
        refuse_keys_of_others(&given)?;
        let mut whole = plain(&Self::default());
        let mut known = whole.clone();
        known["dictionary"] = plain(&DictionaryOptions::default());
        let bare = given.as_object().into_iter().flatten().filter(|(key, _)| *key != "dictionary");
        check_keys(&bare.map(|(k, v)| (k.clone(), v.clone())).collect(), &known, "")?;
        lay_over(&mut whole, &given);
        check_shuffle(&whole["train"]["shuffle"])?;
        let recipe: Self = serde_json::from_value(whole)
            .map_err(|error| misfit::<Self>(&given, "", &error, REMEDY))?;
        recipe.train.check()?;
        for table in sweep::tables(&recipe.dictionary, recipe.sweep.as_deref())? {
            recipe.dictionary(&table, None)?;
        }
        Ok(recipe)
    }

    /// The dictionaries that it asks for, of rows of so many columns, in the order of the tables and of the
    /// sweep, whose last axis changes first; none of them twice: an axis reaches only the kinds that read it.
    ///
    /// # Errors
    /// If a key is unknown or would not be read, a value does not fit, or two tables are equal.
    pub fn dictionaries(&self, columns: usize) -> Result<Vec<DictionaryOptions>> {
        let tables = sweep::tables(&self.dictionary, self.sweep.as_deref())?;
        let made = tables.iter().map(|table| self.dictionary(table, Some(columns)));
        let mut made = made.collect::<Result<Vec<_>>>()?;
        let mut met = HashSet::new();
        made.retain(|own| met.insert(plain(own).to_string()));
        if self.sweep.is_none() && made.len() < tables.len() {
            return Err(Error::mistake(
                "read the recipe",
                "dictionaries that differ",
                format!("{} [[dictionary]] tables, of which {} differ", tables.len(), made.len()),
                "leave out what comes twice, or give each another seed",
            ));
        }
        Ok(made)
    }

    /// How many dictionaries tables and sweep name, those that come to be the same counted each time.
    ///
    /// # Errors
    /// As [`DictionaryRecipe::dictionaries`].
    pub fn combinations(&self) -> Result<usize> {
        Ok(sweep::tables(&self.dictionary, self.sweep.as_deref())?.len())
    }

    /// What a table asks for. Where the columns are not known, latents that are a multiple of them stand
    /// for any number, and nothing is refused that depends on it.
    fn dictionary(&self, table: &Value, columns: Option<usize>) -> Result<DictionaryOptions> {
        let mut whole = plain(&DictionaryOptions::default());
        whole["seed"] = json!(self.seed);
        let usual = json!(USUAL_LATENTS);
        let given = table.get("latents").unwrap_or(&usual);
        let relative = given.is_string();
        lay_over(&mut whole, table);
        whole["latents"] = latents(given, columns)?;
        let kind = sweep::kind_of(table)?;
        let target = whole["target_l0"].clone();
        if Self::reads(&kind, "k") && !target.is_null() {
            if table.get("k").is_some() {
                return Err(Error::mistake(
                    "read the recipe",
                    format!("k or target_l0, which is k where kind = \"{kind}\""),
                    "both",
                    "leave one of them out",
                ));
            }
            whole["k"] = target;
            whole["target_l0"] = Value::Null;
        }
        let options = read_options(&whole)?;
        if columns.is_some() || !relative {
            options.check()?;
        }
        Ok(options)
    }

    /// Whether dictionaries of a kind read a key.
    pub fn reads(kind: &str, key: &str) -> bool {
        read_by(key).is_none_or(|kinds| kinds.contains(&kind))
    }

    /// Opens the rows, and the targets where it names them; not those of a language model.
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

/// What to do about a value that does not fit.
const REMEDY: &str =
    "`narrows fit --model dictionary --print-recipe` shows every key with its default";

/// Reads a table of a dictionary; what is left out has its default.
fn read_options(table: &Value) -> Result<DictionaryOptions> {
    serde_json::from_value(table.clone())
        .map_err(|error| misfit::<DictionaryOptions>(table, "dictionary", &error, REMEDY))
}

/// Refuses the first key that other models read and dictionaries do not, and says what these read in its table.
fn refuse_keys_of_others(given: &Value) -> Result<()> {
    let (own, others) = (plain(&DictionaryRecipe::default()), plain(&Recipe::default()));
    let Some(key) = key_of_others(given, &own, &others, "") else { return Ok(()) };
    let table = key.split_once('.').map_or("", |(table, _)| table);
    let (table, keys) = match table {
        // What a dictionary is made like stands in a table of its own.
        "model" => ("dictionary", plain(&DictionaryOptions::default())),
        _ => (table, own[table].clone()),
    };
    let keys = keys.as_object().into_iter().flatten();
    let read: Vec<String> = keys.map(|(key, _)| format!("{table}.{key}")).collect();
    let mut by_kind = READ_WHERE.iter().filter(|(_, by, _)| *by == "model.kind");
    let readers = by_kind.find(|(read, ..)| {
        key.strip_prefix(read).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    });
    let kinds = readers.map_or("another".to_owned(), |(.., kinds)| kinds.join(" or "));
    Err(Error::mistake(
        "read the recipe",
        format!("`model.kind` to be {kinds} where `{key}` is given"),
        "`dictionary`, which does not read it",
        match read[..] {
            [] => "leave it out".to_owned(),
            _ => format!("leave it out; `dictionary` reads {}", read.join(", ")),
        },
    ))
}

/// The first key of `given` that `others` have and `own` does not.
fn key_of_others(given: &Value, own: &Value, others: &Value, table: &str) -> Option<String> {
    given.as_object()?.iter().find_map(|(key, value)| {
        let path = if table.is_empty() { key.clone() } else { format!("{table}.{key}") };
        match (own.get(key), others.get(key)) {
            (None, Some(_)) => Some(path),
            (Some(own), Some(others)) => key_of_others(value, own, others, &path),
            _ => None,
        }
    })
}

/// Refuses an order of the rows that is none.
fn check_shuffle(given: &Value) -> Result<()> {
    if serde_json::from_value::<Shuffle>(given.clone()).is_ok() {
        return Ok(());
    }
    let remedy = match given.as_str() {
        Some(word) if word != "blocks" => data::did_you_mean(word, ["global", "none"]),
        _ => "write shuffle = { blocks = { rows = 4096 } }".to_owned(),
    };
    Err(Error::mistake(
        "read the recipe",
        "`train.shuffle` to be `global`, `none` or `{ blocks = { rows = 4096 } }`",
        given.to_string(),
        remedy,
    ))
}

/// A number of latents, or `8x`: so many times the columns, 1 where those are not known.
fn latents(given: &Value, columns: Option<usize>) -> Result<Value> {
    let Some(text) = given.as_str() else { return Ok(given.clone()) };
    let times = text.strip_suffix('x').and_then(|times| times.parse::<f64>().ok());
    let latents = times.filter(|times| times.is_finite() && *times > 0.0).map(|times| {
        let latents = columns.map(|columns| (times * columns as f64).round());
        latents.unwrap_or(1.0)
    });
    match latents {
        Some(latents) if (1.0..1e9).contains(&latents) => Ok(json!(latents as usize)),
        _ => Err(Error::mistake(
            "read the recipe",
            "latents as a number, or as a multiple of the columns such as \"8x\"",
            format!("'{text}'"),
            "change latents",
        )),
    }
}

#[cfg(test)]
mod tests;
