//! What a study is told.

use narrows::data::did_you_mean;
use narrows::recipe::DictionaryRecipe;
use narrows::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::patching::Method;

/// The dictionaries of a study, and what is done with them.
///
/// ```toml
/// sweep = "alpha=0.25..2 log 4; k=16,32; width=2x,4x,8x"     # as in a recipe of dictionaries
/// [[dictionary]]
/// kind = "relu"
/// [[dictionary]]
/// kind = "batchtopk"
/// [study]
/// layers = [1, 2]
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct StudyRecipe {
    /// What is learned at every layer.
    pub dictionaries: DictionaryRecipe,
    /// What is done with it.
    pub study: StudyTable,
}

/// The table `[study]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StudyTable {
    /// Blocks after which the residual stream is taken apart; none: every one.
    pub layers: Vec<usize>,
    /// Tokens of a window, at most as many as the model takes.
    pub context: usize,
    /// Tokens of the text that are read, at most; none: all.
    pub tokens: Option<usize>,
    /// How often the rows are learned from.
    pub passes: u64,
    /// The share of the windows on which dictionaries are chosen, rules and baselines fitted.
    pub choosing: f64,
    /// The share of the windows on which everything is reported, once.
    pub testing: f64,
    /// The fraction of variance that the chosen dictionary may lose.
    pub fraction_variance_unexplained: f64,
    /// Features of each basis whose lexical score is measured.
    pub features: usize,
    /// Pairs of prompts of the patching experiment.
    pub pairs: usize,
    /// The block after which features are patched; by default the one in the middle.
    pub patch_layer: Option<usize>,
    /// How many sparsity weights are patched, beside the chosen one.
    pub patched_weights: usize,
    /// How sets of features are found: by removal, as in the paper, or by effect, which is quicker.
    pub patching: Method,
}

impl Default for StudyTable {
    fn default() -> Self {
        Self {
            layers: Vec::new(),
            context: 256,
            tokens: None,
            passes: 3,
            choosing: 0.1,
            testing: 0.2,
            fraction_variance_unexplained: 0.1,
            features: 200,
            pairs: 60,
            patch_layer: None,
            patched_weights: 3,
            patching: Method::Removal,
        }
    }
}

impl StudyRecipe {
    /// What a study is unless one says otherwise: the dictionaries of Cunningham et al., tied, with L1, and batch
    /// top k, which shrinks no code.
    pub fn usual() -> Value {
        json!({
            "model": {"kind": "dictionary"},
            "sweep": "alpha=0.25..2 log 4; k=16,32; width=2x,4x,8x",
            "dictionary": [
                {"kind": "relu", "tied": true, "dead_after": 50_000},
                {"kind": "batchtopk", "dead_after": 50_000},
            ],
            "train": {"batch_size": 1024, "learning_rate": 1e-3, "scale": true},
            "study": StudyTable::default(),
        })
    }

    /// The same in about a minute, for a first look.
    pub fn quick() -> Value {
        let mut usual = Self::usual();
        usual["sweep"] = json!("alpha=0.5,2; k=32; width=2x,8x");
        usual["study"]["tokens"] = json!(40_000);
        usual["study"]["passes"] = json!(3);
        usual["study"]["features"] = json!(40);
        usual["study"]["pairs"] = json!(12);
        usual["study"]["patched_weights"] = json!(1);
        usual["study"]["patching"] = json!(Method::Effect);
        usual
    }

    /// Lays what was given over what is usual.
    ///
    /// # Errors
    /// If a key is unknown, named with the nearest one, or a value does not fit.
    pub fn from_value(usual: Value, given: &Value) -> Result<Self> {
        let mut whole = usual;
        if given["dictionary"].is_array() || !given["dictionary"]["kind"].is_null() {
            // What is usual of one kind another may not read.
            whole["dictionary"] = json!({});
        }
        lay_over(&mut whole, given);
        let table = whole["study"].take();
        if let Some(whole) = whole.as_object_mut() {
            whole.remove("study");
        }
        let study = read_table(&table)?;
        let dictionaries = DictionaryRecipe::from_value(&whole)?;
        if dictionaries.data.path.is_some() || dictionaries.data.target.is_some() {
            return Err(Error::mistake(
                "read the recipe",
                "no [data]: a study harvests its rows",
                "data.path or data.target",
                "leave them out",
            ));
        }
        let recipe = Self { dictionaries, study };
        recipe.check()?;
        Ok(recipe)
    }

    /// Everything that it says, as it can be read again.
    pub fn to_value(&self) -> Value {
        let mut whole = json!(self.dictionaries);
        if let Some(whole) = whole.as_object_mut() {
            whole.remove("data");
        }
        whole["study"] = json!(self.study);
        whole
    }

    fn check(&self) -> Result<()> {
        let StudyTable { choosing, testing, passes, features, pairs, .. } = self.study;
        let share = |value: f64| value > 0.0 && value < 1.0;
        let checks = [
            (share(choosing) && share(testing), "choosing and testing", "parts of 1"),
            (choosing + testing < 0.9, "choosing and testing", "less than 0.9 together"),
            (passes > 0, "passes", "at least 1"),
            (features > 1, "features", "at least 2"),
            (pairs > 3, "pairs", "at least 4"),
            (self.study.context > 7, "context", "at least 8"),
            (
                self.study.fraction_variance_unexplained > 0.0,
                "fraction_variance_unexplained",
                "above 0",
            ),
        ];
        match checks.iter().find(|(holds, ..)| !holds) {
            None => Ok(()),
            Some((_, key, expected)) => Err(Error::mistake(
                "read the recipe",
                format!("`study`: {key} of {expected}"),
                "another value",
                "change it",
            )),
        }
    }
}

fn read_table(table: &Value) -> Result<StudyTable> {
    let known = json!(StudyTable::default());
    let names = || known.as_object().into_iter().flatten().map(|(key, _)| key.as_str());
    let unknown = table.as_object().into_iter().flatten().find(|(key, _)| known.get(key).is_none());
    if let Some((key, _)) = unknown {
        return Err(Error::mistake(
            "read the recipe",
            "a key of [study]",
            format!("'{key}'"),
            did_you_mean(key, names()),
        ));
    }
    serde_json::from_value(table.clone()).map_err(|error| {
        Error::mistake(
            "read the recipe",
            "values that fit the keys of [study]",
            error.to_string(),
            "`narrows study --print-recipe` shows every key with its default",
        )
    })
}

/// Puts what `given` has into `whole`, table by table, in place of what is there.
pub fn lay_over(whole: &mut Value, given: &Value) {
    match (whole, given) {
        (Value::Object(whole), Value::Object(given)) => {
            for (key, value) in given {
                lay_over(whole.entry(key).or_insert(Value::Null), value);
            }
        }
        (whole, given) => *whole = given.clone(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_usual_can_be_read_and_read_again() {
        for usual in [StudyRecipe::usual(), StudyRecipe::quick()] {
            let recipe = StudyRecipe::from_value(usual, &json!({})).unwrap();
            let again = StudyRecipe::from_value(recipe.to_value(), &json!({})).unwrap();
            assert_eq!(recipe, again);
        }
    }

    #[test]
    fn keys_that_are_not_usual_are_laid_over_too() {
        let given = json!({"dictionary": {"kind": "topk", "k": 4}, "sweep": null});
        let recipe = StudyRecipe::from_value(StudyRecipe::usual(), &given);
        assert_eq!(recipe.unwrap().dictionaries.dictionary[0]["k"], 4);
    }

    #[test]
    fn unknown_keys_are_named_with_the_nearest() {
        let error = StudyRecipe::from_value(StudyRecipe::usual(), &json!({"study": {"layer": 1}}));
        let error = error.unwrap_err().to_string();
        assert!(error.contains("'layer'; did you mean 'layers'?"), "{error}");
        let error = StudyRecipe::from_value(StudyRecipe::usual(), &json!({"data": {"path": "a"}}));
        assert!(error.unwrap_err().to_string().contains("a study harvests its rows"));
    }
}
