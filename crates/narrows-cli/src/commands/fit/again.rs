//! The command that makes a run again.

use anyhow::Result;
use narrows::recipe::{DictionaryRecipe, Recipe};
use narrows::store::Run;
use narrows::train::dictionary::DictionaryOptions;
use serde_json::{Value, json};

use super::super::quoted;
use super::settings::value_of;

/// The command that makes a run again: model and data, and every key that is not as usual.
pub(in super::super) fn command(run: &Run) -> Result<String> {
    let kind = serde_json::from_value(run.config["model"]["kind"].clone())?;
    let mut usual = serde_json::to_value(Recipe::of(kind))?;
    usual["model"]["kind"] = Value::Null;
    let mut config = run.config.clone();
    let storeys = config.get_mut("storey").and_then(Value::as_array_mut);
    for storey in storeys.into_iter().flatten() {
        *storey = without_usual(storey, &usual["objective"]);
    }
    let mut words = vec!["narrows".to_owned(), "fit".to_owned()];
    add_unusual(&config, &usual, "", &mut words);
    Ok(words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "))
}

/// The command that makes a dictionary again, alone even if it came of a sweep, or a whole sweep; nothing
/// where it was not trained here.
pub(in super::super) fn dictionary_command(config: &Value) -> Result<String> {
    let mut usual = serde_json::to_value(DictionaryRecipe::default())?;
    if config["train"].is_null() {
        return Ok(String::new());
    }
    let mut config = config.clone();
    let mut words = ["narrows", "fit", "--model", "dictionary"].map(str::to_owned).to_vec();
    usual.as_object_mut().map(|usual| usual.remove("model"));
    if config["made"].is_object() {
        let mut plain = serde_json::to_value(DictionaryOptions::default())?;
        // What a dictionary says nothing of are eight times the columns, and the seed of all.
        plain["latents"] = Value::Null;
        plain["seed"] = config["seed"].clone();
        config["sweep"] = Value::Null;
        usual["dictionary"] = plain;
        config["dictionary"] = config["made"].take();
    }
    add_unusual(&config, &usual, "", &mut words);
    Ok(words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "))
}

/// What says each key of `config` whose value is not that of `usual`.
pub(in super::super) fn unusual(config: &Value, usual: &Value) -> Vec<String> {
    let mut words = Vec::new();
    add_unusual(config, usual, "", &mut words);
    words
}

/// Adds what says each key of a recipe whose value is not the usual one.
fn add_unusual(config: &Value, usual: &Value, table: &str, words: &mut Vec<String>) {
    for (name, usual) in usual.as_object().into_iter().flatten() {
        let (key, value) = (format!("{table}{name}"), &config[name]);
        if usual.is_object() {
            add_unusual(value, usual, &format!("{key}."), words);
        } else if value != usual && !value.is_null() {
            words.extend(option(&key, value));
        }
    }
}

/// The keys of a table whose value is not the usual one, and the tables within it so.
fn without_usual(table: &Value, usual: &Value) -> Value {
    let keys = table.as_object().into_iter().flatten();
    let own = keys.filter_map(|(key, value)| match value.is_object() {
        true => Some((key.clone(), without_usual(value, &usual[key]))),
        false => (!value.is_null() && *value != usual[key]).then(|| (key.clone(), value.clone())),
    });
    own.collect()
}

/// The option that gives `value` to a key; a test runs it.
fn option(key: &str, value: &Value) -> Vec<String> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let name = match key {
        "data.colour" if value == &json!(true) => return vec!["--colour".to_owned()],
        "data.resize" => {
            return vec!["--resize".to_owned(), format!("{}x{}", value[0], value[1])];
        }
        "model.kind" => "--model",
        "data.path" => "--data",
        "data.labels" => "--labels",
        "data.label_column" => "--label-column",
        "prepare.missing" => "--missing",
        "seed" => "--seed",
        // A word that would be read as a number has to stand in quotes.
        _ if value_of(&text) == *value => return vec!["--set".to_owned(), format!("{key}={text}")],
        _ => return vec!["--set".to_owned(), format!("{key}={}", toml_of(value))],
    };
    vec![name.to_owned(), text]
}

/// A value as TOML on one line; what is null is left out.
fn toml_of(value: &Value) -> String {
    let list = |items: Vec<String>| items.join(", ");
    match value {
        Value::Array(items) => format!("[{}]", list(items.iter().map(toml_of).collect())),
        Value::Object(table) => {
            let said = table.iter().filter(|(_, value)| !value.is_null());
            let said = said.map(|(key, value)| format!("{key} = {}", toml_of(value)));
            format!("{{ {} }}", list(said.collect()))
        }
        plain => plain.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_said_so_that_it_is_read_back() {
        let tables = json!([{"kind": "pca"}, {"corruption": {"kind": "masking", "rate": 0.5}}]);
        let values = [
            json!(30),
            json!(1e-7),
            json!(true),
            json!("gram"),
            json!("30"),
            json!([2, 3]),
            tables,
        ];
        for value in values {
            let [_, said] = &option("model.x", &value)[..] else { panic!("{value}") };
            let (_, text) = said.split_once('=').expect("KEY=VALUE");
            assert_eq!(value_of(text), value);
        }
        assert_eq!(quoted("runs/a=1"), "runs/a=1");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
