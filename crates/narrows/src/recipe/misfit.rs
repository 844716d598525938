//! What does not fit a recipe, in the words of recipes: those of serde name types of Rust, and no key.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::error::Error;

/// A step into what was given.
#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Key(&'a str),
    Element,
}

/// A value that is refused, its key, and why in the words of serde.
struct Refused {
    key: String,
    value: Value,
    reason: String,
}

/// The mistake that is in `given`: the first value that cannot be part of a `T`, which is the table called `within`,
/// or the whole recipe where that is empty. `error` is told where it is no single value.
pub(super) fn misfit<T: DeserializeOwned>(
    given: &Value,
    within: &str,
    error: &serde_json::Error,
    remedy: &str,
) -> Error {
    let (expected, got) = match first_refused::<T>(given, &[]) {
        Some(refused) if !refused.key.is_empty() => {
            let key = [within, &refused.key].join(".");
            told(key.trim_start_matches('.'), &refused.value, &refused.reason)
        }
        _ => ("values that fit their keys".to_owned(), error.to_string()),
    };
    Error::mistake("read the recipe", expected, got, remedy)
}

/// The first value that is refused although nothing stands beside it, as deep within `given` as can be.
fn first_refused<T: DeserializeOwned>(given: &Value, path: &[Step<'_>]) -> Option<Refused> {
    let whole = path.iter().rev().fold(given.clone(), |inner, step| match step {
        Step::Key(key) => json!({ *key: inner }),
        Step::Element => json!([inner]),
    });
    let reason = serde_json::from_value::<T>(whole).err()?.to_string();
    let deeper = |step, value: &Value| {
        // What stands beside it is missing because it was left out here.
        let alone = |found: &Refused| !value.is_object() && found.reason.starts_with(MISSING);
        first_refused::<T>(value, &[path, &[step]].concat()).filter(|found| !alone(found))
    };
    let found = match given {
        Value::Object(table) => table.iter().find_map(|(key, value)| deeper(Step::Key(key), value)),
        Value::Array(list) => {
            let mut tables = list.iter().filter(|element| element.is_object());
            tables.find_map(|element| deeper(Step::Element, element))
        }
        _ => None,
    };
    let key = |step: &Step<'_>| match step {
        Step::Key(key) => Some((*key).to_owned()),
        Step::Element => None,
    };
    found.or_else(|| {
        let keys: Vec<String> = path.iter().filter_map(key).collect();
        Some(Refused { key: keys.join("."), value: given.clone(), reason })
    })
}

/// How serde begins to tell that a key was left out.
const MISSING: &str = "missing field ";

/// What was expected, and what was got.
fn told(key: &str, value: &Value, reason: &str) -> (String, String) {
    let got = value.to_string();
    if let Some(missing) = reason.strip_prefix(MISSING) {
        return (format!("`{key}` to have {missing}"), got);
    }
    let Some((found, expected)) = reason.split_once(", expected ") else {
        // Such as "`many`, not a whole number or a word", of values that are read by rules of their own.
        return match reason.split_once("`, not ") {
            Some((_, expected)) => (format!("`{key}` to be {expected}"), got),
            None => (format!("a value that fits `{key}`"), got),
        };
    };
    if found.starts_with("unknown field") {
        let (table, name) = key.rsplit_once('.').unwrap_or(("", key));
        return (format!("a key of [{table}], {}", expected.replace('`', "")), format!("'{name}'"));
    }
    let of_list = value.is_array() && found.starts_with("invalid ") && !found.contains(" sequence");
    let whose = match of_list && !found.starts_with("invalid length") {
        true => format!("each of `{key}`"),
        false => format!("`{key}`"),
    };
    (format!("{whose} to be {}", in_words(key, value, expected)), got)
}

/// What serde expected, as the reader of a recipe calls it.
fn in_words(key: &str, value: &Value, expected: &str) -> String {
    let words = match expected {
        "usize" | "u64" | "u32" | "u8" => "a whole number, 0 or more",
        "f64" | "f32" => "a number",
        "a boolean" => "true or false",
        "a string" => "text",
        "string or map" => "a word",
        "a tuple of size 2" | "an array of length 2" => "a list of two numbers",
        "a sequence" if key == "storey" => "a list of tables",
        "a sequence" if value.is_number() => return format!("a list such as [{value}]"),
        "a sequence" => "a list such as [100]",
        table if table.starts_with("struct ") => "a table",
        other => return other.replace('`', ""),
    };
    words.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::{DictionaryRecipe, Recipe};

    #[test]
    fn values_that_do_not_fit_are_told_without_words_of_rust() {
        let network = |given: Value| {
            let mut whole = given;
            if whole["model"]["kind"].is_null() {
                whole["model"]["kind"] = json!("network");
            }
            Recipe::from_value(whole).expect_err("refused").to_string()
        };
        for (given, told) in [
            (
                json!({"train": {"epochs": "three"}}),
                "`train.epochs` to be a whole number, 0 or more but got \"three\"",
            ),
            (json!({"train": {"epochs": -3}}), "a whole number, 0 or more but got -3"),
            (json!({"train": {"momentum": "big"}}), "`train.momentum` to be a number but got"),
            (
                json!({"model": {"layers": 100}}),
                "`model.layers` to be a list such as [100] but got 100",
            ),
            (
                json!({"model": {"layers": [100, "x"]}}),
                "each of `model.layers` to be a whole number, 0 or more but got [100,\"x\"]",
            ),
            (
                json!({"prepare": {"missing": "drop"}}),
                "`prepare.missing` to be one of refuse, mean, em but got \"drop\"",
            ),
            (json!({"model": {"activation": 3}}), "`model.activation` to be a word but got 3"),
            (json!({"model": {"kind": 3}}), "`model.kind` to be a word but got 3"),
            (json!({"data": {"resize": [92]}}), "`data.resize` to be a list of two numbers"),
            (json!({"train": 3}), "`train` to be a table but got 3"),
            (
                json!({"model": {"kind": "stack"}, "storey": [{}, {"epochs": "x"}]}),
                "`storey.epochs` to be a whole number, 0 or more but got \"x\"",
            ),
        ] {
            let said = network(given.clone());
            assert!(said.contains(told), "{given}: {said}");
        }
    }

    #[test]
    fn values_of_dictionaries_are_told_with_their_keys() {
        for (given, told) in [
            (
                json!({"dictionary": {"kind": "batch_topk"}}),
                "`dictionary.kind` to be one of relu, topk, batchtopk,",
            ),
            (
                json!({"dictionary": {"k": "many"}}),
                "`dictionary.k` to be a number but got \"many\"",
            ),
            (
                json!({"train": {"rows": 2.5}}),
                "`train.rows` to be a whole number, 0 or more but got",
            ),
            (json!({"data": {"lm": {"model": "m", "tap": "t"}}}), "`data.lm` to have `text`"),
            (json!({"data": {"lm": {"model": 3}}}), "`data.lm.model` to be text but got 3"),
            (json!({"data": {"lm": {"modl": "m"}}}), "a key of [data.lm], one of model, text,"),
        ] {
            let said = DictionaryRecipe::from_value(&given).expect_err("refused").to_string();
            assert!(said.contains(told), "{given}: {said}");
        }
    }
}
