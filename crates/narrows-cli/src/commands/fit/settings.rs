//! What was asked for: the recipe file, then the options, then --set.

use std::borrow::Cow;
use std::io::ErrorKind;
use std::path::Path;

use narrows::Error;
use narrows::Result;
use serde_json::{Map, Value, json};

use super::{FitArgs, language};

/// The recipe file, then the options, then --set.
pub(super) fn settings(args: &FitArgs) -> Result<Value> {
    let mut settings = match &args.recipe {
        Some(path) => read_recipe(path)?,
        None => Value::Object(Map::new()),
    };
    let mut give = |key: &str, value: Value| {
        // An option that was left out says nothing; `--set KEY=false` does.
        if !value.is_null() && value != Value::Bool(false) {
            set(&mut settings, key, value);
        }
    };
    give("model.kind", json!(args.model));
    give("data.path", json!(args.data));
    give("data.labels", json!(args.labels));
    give("data.label_column", json!(args.label_column));
    give("data.colour", json!(args.colour));
    give("data.resize", json!(args.resize));
    give("data.target", json!(args.target));
    give("data.lm", args.language.settings());
    if args.language.is_given() {
        give("train.shuffle", language::shuffle());
    }
    give("sweep", json!(args.sweep));
    give("prepare.missing", json!(args.missing));
    give("seed", json!(args.seed));
    lay_over(&mut settings, &args.sets)?;
    Ok(settings)
}

/// What --set says, alone.
pub(in super::super) fn sets(texts: &[String]) -> Result<Value> {
    let mut settings = Value::Object(Map::new());
    lay_over(&mut settings, texts)?;
    Ok(settings)
}

fn lay_over(settings: &mut Value, texts: &[String]) -> Result<()> {
    for text in texts {
        let (key, value) = text.split_once('=').ok_or_else(|| {
            let expected = "KEY=VALUE such as model.components=30";
            Error::mistake("--set", expected, format!("'{text}'"), "write a key, '=' and a value")
        })?;
        set(settings, key.trim(), value_of(value.trim()));
    }
    Ok(())
}

pub(in super::super) fn read_recipe(path: &Path) -> Result<Value> {
    let text: Cow<'_, str> = match std::fs::read_to_string(path) {
        Ok(text) => text.into(),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            shipped(path).ok_or_else(|| Error::read(path, error))?.into()
        }
        Err(error) => return Err(Error::read(path, error)),
    };
    parsed(path, &text)
}

/// The settings of a recipe that comes with the program, whatever lies in a folder of its name.
pub(in super::super) fn shipped_recipe(name: &str) -> Result<Value> {
    let path = Path::new(name);
    let text = shipped(path).ok_or_else(|| {
        Error::failure("read a recipe", format!("none is called '{name}'"), "report it")
    })?;
    parsed(path, text)
}

fn parsed(path: &Path, text: &str) -> Result<Value> {
    toml::from_str::<Value>(text).map_err(|error| {
        Error::bad_file(
            path,
            error.to_string().trim_end(),
            "correct it; `--print-recipe` shows a whole one",
        )
    })
}

macro_rules! recipes {
    ($($name:literal,)*) => {
        [$(($name, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../recipes/", $name)))),*]
    };
}

/// The recipes that come with the program.
const SHIPPED: &[(&str, &str)] = &recipes![
    "deep-mnist.toml",
    "denoise-gaussian.toml",
    "denoise-masking.toml",
    "denoise-salt-and-pepper.toml",
    "dictionary-batchtopk.toml",
    "dictionary-sweep.toml",
    "dictionary-toy.toml",
    "keras-basic.toml",
    "lm-dictionary.toml",
    "lm-features.toml",
    "sdae.toml",
    "semi-supervised.toml",
    "sparse-kl.toml",
    "sparse-l1.toml",
    "stacked-kl.toml",
    "transfer.toml",
    "visualise-2d.toml",
];

/// A recipe that comes with the program, where a path that is not there names one: `recipes/deep-mnist.toml`.
fn shipped(path: &Path) -> Option<&'static str> {
    let name = path.strip_prefix("recipes").ok()?.to_str()?;
    SHIPPED.iter().find(|(own, _)| *own == name).map(|(_, text)| *text)
}

/// A TOML value where it is one, else a word.
pub(super) fn value_of(text: &str) -> Value {
    let parsed = toml::from_str::<Map<String, Value>>(&format!("value = {text}"));
    match parsed.ok().and_then(|mut table| table.remove("value")) {
        Some(value) => value,
        None => Value::String(text.to_owned()),
    }
}

/// Puts `value` at `a.b.c`, making tables on the way.
fn set(settings: &mut Value, key: &str, value: Value) {
    let mut at = settings;
    for part in key.split('.') {
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        at = &mut at[part];
    }
    *at = value;
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_as_toml_or_as_words() {
        assert_eq!(value_of("30"), json!(30));
        assert_eq!(value_of("[2, 3]"), json!([2, 3]));
        assert_eq!(value_of("gram"), json!("gram"));
    }

    #[test]
    fn every_recipe_comes_with_the_program() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes");
        let mut found = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let name = Path::new("recipes").join(path.file_name().unwrap());
            assert_eq!(shipped(&name), Some(&*text), "{}", name.display());
            found += 1;
        }
        assert_eq!(found, SHIPPED.len());
        assert_eq!(shipped(Path::new("other/keras-basic.toml")), None);
        assert!(read_recipe(Path::new("recipes/keras-basic.toml")).is_ok());
    }
}
