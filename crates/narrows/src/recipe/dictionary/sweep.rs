//! A sweep: every table with every combination of values.
//!
//! ```text
//! kind=relu,batchtopk; alpha=0.1,1; k=16,32; seed=0..1
//! ```
//!
//! Axes are parted by semicolons. Each is a key of a dictionary, `alpha` and `width` standing for
//! `sparsity_weight` and `latents`, and its values: a list `1x,2x,4x`, whole numbers `0..4` with both ends, or
//! `1e-4..1e-2 log 8`, eight numbers with equal ratios, or `0.1..0.9 linear 5`.
//!
//! Where kinds are mixed, a key reaches the kinds that read it alone: above, relu has each α and batchtopk
//! each k. A key that none of the kinds reads is refused.

use serde_json::{Map, Value, json};

use super::{DictionaryRecipe, check_keys, plain, read_by, read_options};
use crate::data::did_you_mean;
use crate::error::{Error, Result};
use crate::train::dictionary::{DictionaryOptions, Kind};

/// Words that stand for keys.
const ALSO: &[(&str, &str)] = &[("alpha", "sparsity_weight"), ("width", "latents")];

/// A key and what it is in turn.
struct Axis {
    key: String,
    values: Vec<Value>,
}

/// One table for each dictionary, with the keys alone that its kind reads; those that come to be the same
/// stand there more than once.
///
/// # Errors
/// If a key is unknown, no kind that is made reads it, or the sweep cannot be read.
pub(super) fn tables(tables: &[Value], sweep: Option<&str>) -> Result<Vec<Value>> {
    let axes = sweep.map(axes_of).transpose()?.unwrap_or_default();
    let known = plain(&DictionaryOptions::default());
    let (mut made, mut all_kinds) = (Vec::new(), Vec::new());
    for table in tables {
        check_keys(table, &known, "dictionary")?;
        let mut combined = combinations(table, &axes);
        let kinds = combined.iter().map(kind_of).collect::<Result<Vec<_>>>()?;
        let own = table.as_object().into_iter().flatten();
        refuse_unread("read the recipe", own.map(|(key, _)| key.as_str()), &kinds)?;
        for (table, kind) in combined.iter_mut().zip(&kinds) {
            let keys = table.as_object_mut();
            keys.into_iter().for_each(|keys| keys.retain(|k, _| DictionaryRecipe::reads(kind, k)));
        }
        made.append(&mut combined);
        all_kinds.extend(kinds);
    }
    refuse_unread("read the sweep", axes.iter().map(|axis| axis.key.as_str()), &all_kinds)?;
    Ok(made)
}

/// A table with every combination of the axes, of which the last changes first.
fn combinations(table: &Value, axes: &[Axis]) -> Vec<Value> {
    let with = |table: &Value, axis: &Axis, value: &Value| {
        let mut table = table.clone();
        table[&axis.key] = value.clone();
        table
    };
    axes.iter().fold(vec![table.clone()], |tables, axis| {
        let each = tables.iter().flat_map(|table| axis.values.iter().map(move |v| (table, v)));
        each.map(|(table, value)| with(table, axis, value)).collect()
    })
}

/// The word for the kind of dictionary that a table asks for.
///
/// # Errors
/// If it is none.
pub(super) fn kind_of(table: &Value) -> Result<String> {
    let kind = match table.get("kind") {
        Some(kind) => read_options(&json!({ "kind": kind }))?.kind,
        None => Kind::default(),
    };
    Ok(plain(&kind).as_str().unwrap_or_default().to_owned())
}

/// Refuses the first key that none of the kinds reads.
fn refuse_unread<'a>(
    operation: &str,
    mut keys: impl Iterator<Item = &'a str>,
    kinds: &[String],
) -> Result<()> {
    let unread = |key: &str| !kinds.iter().any(|kind| DictionaryRecipe::reads(kind, key));
    let Some(key) = keys.find(|key| !kinds.is_empty() && unread(key)) else { return Ok(()) };
    let mut named: Vec<String> = Vec::new();
    for kind in kinds {
        let word = format!("`{kind}`");
        if !named.contains(&word) {
            named.push(word);
        }
    }
    let verb = if named.len() == 1 { "does" } else { "do" };
    let readers = read_by(key).unwrap_or_default();
    Err(Error::mistake(
        operation,
        format!("`dictionary.kind` to be {} where `{key}` is given", readers.join(" or ")),
        format!("{}, which {verb} not read it", named.join(", ")),
        format!("leave it out, or add kind={}", readers.join(" or kind=")),
    ))
}

/// The axes, in the order in which they are written.
fn axes_of(text: &str) -> Result<Vec<Axis>> {
    let known = plain(&DictionaryOptions::default());
    let axes = text.split(';').map(str::trim).filter(|axis| !axis.is_empty());
    let axes = axes.map(|axis| {
        let refuse = |got: String, remedy: String| {
            let expected = "axes such as `kind=relu; alpha=1e-4..1e-2 log 8; width=1x,2x`";
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
            Some(values) => Ok(Axis { key: key.to_owned(), values }),
            None => refuse(format!("'{axis}'"), remedy(values)),
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

/// What would make values of an axis that cannot be read.
fn remedy(text: &str) -> String {
    let number = |text: Option<&str>| text.and_then(|text| text.trim().parse::<f64>().ok());
    let (from, rest) = text.split_once("..").unwrap_or((text, ""));
    let words: Vec<&str> = rest.split_whitespace().collect();
    let ends = (number(Some(from)), number(words.first().copied()));
    match (ends, &words[..]) {
        _ if text.contains('=') => "part axes by ';'".to_owned(),
        ((Some(_), Some(_)), [_, how @ ("log" | "linear")]) => {
            format!("say how many values: `{from}..{} {how} 8`", words[0])
        }
        ((Some(from), Some(to)), [_]) if from > to => {
            format!("write the smaller end first: `{to}..{from}`")
        }
        ((Some(_), Some(_)), [_]) => {
            format!("say how many values there are between: `{text} linear 8`")
        }
        ((Some(from), Some(to)), [_, "log", _]) if from <= 0.0 || to <= 0.0 => {
            "give log ends above 0".to_owned()
        }
        _ => {
            "write a list `4,8`, whole numbers `0..4`, or so many between two: `1e-4..1e-2 log 8`, \
              `0.1..0.9 linear 5`"
                .to_owned()
        }
    }
}

/// A number where it is one, else a word.
fn one_value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| json!(text))
}
