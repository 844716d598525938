//! From what was given to a recipe, with a word on what cannot be.

use serde_json::{Map, Value, json};

use super::Recipe;
use super::misfit::misfit;
use super::tables::{Kind, READ_WHERE, StoreyKind, StoreyTable};
use crate::data;
use crate::error::{Error, Result};

/// Reads a recipe: what is not given has the default of its kind of model.
pub(super) fn read(given: &Value) -> Result<Recipe> {
    let kind = given["model"].get("kind").cloned().unwrap_or(json!(Kind::default()));
    let misfits = |error: serde_json::Error| {
        let remedy = "`narrows fit --print-recipe` shows every key with its default";
        misfit::<Recipe>(given, "", &error, remedy)
    };
    if let Some(word) = kind.as_str().filter(|word| !words().any(|own| own == *word)) {
        let known: Vec<String> = words().chain(["dictionary".to_owned()]).collect();
        return Err(Error::mistake(
            "read the recipe",
            format!("`model.kind` to be one of {}", known.join(", ")),
            format!("'{word}'"),
            data::did_you_mean(word, known.iter().map(String::as_str)),
        ));
    }
    refuse_keys_of_dictionaries(given, &kind)?;
    let kind: Kind = serde_json::from_value(kind).map_err(misfits)?;
    let mut whole = plain(&Recipe::of(kind));
    check_keys(given, &whole, "")?;
    for (storey, objective) in storeys(given) {
        check_keys(storey, &json!(StoreyTable::default()), "storey")?;
        check_keys(&objective, &whole, "")?;
    }
    lay_over(&mut whole, given);
    let recipe = serde_json::from_value(whole).map_err(misfits)?;
    check_read("read the recipe", given, &plain(&recipe))?;
    for (place, (_, own)) in storeys(given).enumerate() {
        let mut whole = plain(&Recipe::of(Kind::Stack));
        whole["train"]["optimizer"] = json!(recipe.train.optimizer);
        lay_over(&mut whole, &own);
        check_read(&format!("read [[storey]] {} of the recipe", place + 1), &own, &whole)?;
    }
    if recipe.model.kind == Kind::Stack {
        check_stages(given, &recipe)?;
    }
    check_idle(given, &recipe)?;
    Ok(recipe)
}

/// Refuses what only dictionaries read, and says what makes them.
fn refuse_keys_of_dictionaries(given: &Value, kind: &Value) -> Result<()> {
    let keys = ["dictionary", "sweep", "data.target"];
    let Some(key) = keys.into_iter().find(|key| at(given, key).is_some()) else { return Ok(()) };
    Err(Error::mistake(
        "read the recipe",
        format!("`model.kind` to be dictionary where `{key}` is given"),
        format!("`{}`, which does not read it", kind.as_str().unwrap_or_default()),
        "add --model dictionary, or leave it out",
    ))
}

/// The kinds of model that this recipe makes, in words.
fn words() -> impl Iterator<Item = String> {
    Kind::ALL.iter().filter_map(|kind| json!(kind).as_str().map(str::to_owned))
}

/// What storeys have of their own; its tables stand for those of [objective], its numbers for those of
/// [train], and are checked so.
fn storeys(given: &Value) -> impl Iterator<Item = (&Value, Value)> {
    given["storey"].as_array().into_iter().flatten().map(|storey| {
        let keys = storey
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(key, own)| *key != "kind" && !own.is_null());
        let keys = keys.map(|(key, own)| (key.clone(), own.clone()));
        let (tables, numbers): (Map<_, _>, Map<_, _>) = keys.partition(|(_, own)| own.is_object());
        (storey, json!({ "objective": tables, "train": numbers }))
    })
}

/// Replaces what `given` has in `whole`.
pub(super) fn lay_over(whole: &mut Value, given: &Value) {
    match (whole, given) {
        (Value::Object(whole), Value::Object(given)) => {
            for (key, value) in given {
                lay_over(&mut whole[key], value);
            }
        }
        (whole, given) => *whole = given.clone(),
    }
}

pub(super) fn plain(recipe: &Recipe) -> Value {
    serde_json::to_value(recipe).expect("a recipe is plain data")
}

/// What stands at `a.b.c`.
pub(super) fn at<'a>(recipe: &'a Value, key: &str) -> Option<&'a Value> {
    key.split('.').try_fold(recipe, |table, part| table.get(part))
}

/// Names the first key that no recipe has, and the nearest that one has.
pub(super) fn check_keys(given: &Value, known: &Value, table: &str) -> Result<()> {
    let (Value::Object(given), Value::Object(known)) = (given, known) else {
        return Ok(());
    };
    for (key, value) in given {
        let Some(known_value) = known.get(key) else {
            return Err(Error::mistake(
                "read the recipe",
                match table {
                    "" => "a key of a recipe".to_owned(),
                    _ => format!("a key of [{table}]"),
                },
                format!("'{key}'"),
                meant(key, known, table),
            ));
        };
        let inner = if table.is_empty() { key.clone() } else { format!("{table}.{key}") };
        check_keys(value, known_value, &inner)?;
    }
    Ok(())
}

/// The keys that are probably meant by one that `known`, the table of that name, does not have.
fn meant(key: &str, known: &Map<String, Value>, table: &str) -> String {
    // A whole recipe knows the tables in which there is one.
    let mut within = Vec::new();
    if table.is_empty() {
        places(key, known, "", &mut within);
    }
    match within.is_empty() {
        true => data::did_you_mean_or_list(key, known.keys().map(String::as_str)),
        false => format!("did you mean {}?", within.join(" or ")),
    }
}

/// Adds to `found` where in tables there are keys of that name.
fn places(key: &str, known: &Map<String, Value>, table: &str, found: &mut Vec<String>) {
    for (name, value) in known {
        let path = if table.is_empty() { name.clone() } else { format!("{table}.{name}") };
        if name == key {
            found.push(format!("'{path}'"));
        }
        if let Value::Object(inner) = value {
            places(key, inner, &path, found);
        }
    }
}

/// The values that `key` needs of other keys, those of the tables around it included.
fn conditions(
    key: &str,
) -> impl Iterator<Item = &'static (&'static str, &'static str, &'static [&'static str])> {
    READ_WHERE.iter().filter(move |(read, ..)| {
        key.strip_prefix(read).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

/// Whether `recipe` reads `key`; with `only` of the conditions on that key.
pub(super) fn reads(recipe: &Recipe, key: &str, only: Option<&str>) -> bool {
    if only.is_none() && idle(recipe).iter().any(|idle| idle.keys.contains(&key)) {
        return false;
    }
    let recipe = plain(recipe);
    let chosen = |key| at(&recipe, key).and_then(Value::as_str).unwrap_or_default();
    let mut conditions = conditions(key).filter(|(_, by, _)| only.is_none_or(|only| only == *by));
    conditions.all(|(_, by, values)| values.contains(&chosen(by)))
}

/// Takes out the keys that a kind of model never reads.
pub(super) fn drop_unread(config: &mut Value, kind: Kind) {
    let kind = json!(kind);
    for (key, by, values) in READ_WHERE {
        if *by == "model.kind" && !values.iter().any(|value| kind == *value) {
            let (tables, last) = key.rsplit_once('.').unwrap_or(("", key));
            let pointer = match tables {
                "" => String::new(),
                tables => format!("/{}", tables.replace('.', "/")),
            };
            if let Some(Value::Object(table)) = config.pointer_mut(&pointer) {
                table.remove(last);
            }
        }
    }
}

/// Refuses a key that no stage of a stack would read: all its storeys have one of their own or are PCA,
/// or there is no fine-tuning.
fn check_stages(given: &Value, recipe: &Recipe) -> Result<()> {
    let usual = vec![StoreyTable::default(); recipe.model.layers.len()];
    let storeys = if recipe.storey.is_empty() { &usual } else { &recipe.storey };
    let trained = || storeys.iter().filter(|storey| storey.kind != StoreyKind::Pca);
    let (any, tuned) = (trained().next().is_some(), recipe.model.fine_tune_epochs != Some(0));
    let noisy = tuned && recipe.model.fine_tune_corruption;
    let is_pca =
        |place: usize| storeys.get(place).is_some_and(|storey| storey.kind == StoreyKind::Pca);
    let last = recipe.model.layers.len().saturating_sub(1);
    let stages = [
        ("train", any || tuned),
        ("objective", any || tuned),
        ("model.initialisation", any),
        ("model.activation", (0..last).any(|place| !is_pca(place))),
        ("model.code_activation", !is_pca(last)),
        ("model.fine_tune_corruption", tuned),
        (
            "train.epochs",
            trained().any(|storey| storey.epochs.is_none())
                || recipe.model.fine_tune_epochs.is_none(),
        ),
        ("train.learning_rate", trained().any(|storey| storey.learning_rate.is_none()) || tuned),
        ("objective.sparsity", trained().any(|storey| storey.sparsity.is_none())),
        (
            "objective.corruption",
            trained().any(|storey| storey.corruption.is_none())
                || noisy && storeys.first().is_some_and(|storey| storey.corruption.is_none()),
        ),
    ];
    match stages.iter().find(|(key, read)| !read && at(given, key).is_some()) {
        None => Ok(()),
        Some((key, _)) => Err(Error::mistake(
            "read the recipe",
            format!("a storey, or a fine-tuning of the whole, that reads `{key}`"),
            "storeys that are PCA or have their own, and a whole that does not read it",
            "leave it out",
        )),
    }
}

/// Keys without effect, not for a word elsewhere but for the numbers.
struct Idle {
    keys: &'static [&'static str],
    needed: &'static str,
    found: String,
    remedy: &'static str,
}

fn idle(recipe: &Recipe) -> Vec<Idle> {
    let (model, augmentation) = (&recipe.model, &recipe.train.augmentation);
    let mut idle = Vec::new();
    let narrow = model.decoder_layers.as_ref().is_none_or(Vec::is_empty);
    if model.kind == Kind::Network && model.layers.len() == 1 && narrow {
        idle.push(Idle {
            keys: &["model.activation", "model.normalisation", "model.dropout"],
            needed: "a layer between the rows and the code",
            found: format!("model.layers={:?}, the code alone", model.layers),
            remedy: "leave it out, or give more layers, as model.layers=[128, 32]",
        });
    }
    if [augmentation.shift, augmentation.rotation, augmentation.elastic] == [0.0; 3] {
        idle.push(Idle {
            keys: &["train.augmentation.share", "train.augmentation.undo"],
            needed: "pictures that are changed",
            found: "neither a shift nor a rotation nor an elastic distortion".to_owned(),
            remedy: "leave it out, or set train.augmentation.shift, rotation or elastic",
        });
    }
    idle
}

/// Refuses a key that was given and that the numbers of the recipe leave without effect.
fn check_idle(given: &Value, recipe: &Recipe) -> Result<()> {
    for Idle { keys, needed, found, remedy } in idle(recipe) {
        if let Some(key) = keys.iter().find(|key| at(given, key).is_some()) {
            let expected = format!("{needed} where `{key}` is given");
            return Err(Error::mistake("read the recipe", expected, found, remedy));
        }
    }
    Ok(())
}

/// Refuses a key that was given and would silently do nothing.
fn check_read(operation: &str, given: &Value, recipe: &Value) -> Result<()> {
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
        operation,
        format!("`{by}` to be {} where `{key}` is given", values.join(" or ")),
        format!("`{value}`, which does not read it"),
        match read[..] {
            [] => "leave it out".to_owned(),
            _ => format!("leave it out; `{value}` reads {}", read.join(", ")),
        },
    ))
}
