//! Classes of rows, from a file of their own.

use std::collections::HashMap;
use std::path::Path;

use super::mapped::Content;
use super::open::{Format, open_path, split};
use super::{Labels, OpenOptions, table};
use crate::error::{Error, Result};

/// Whole numbers up to here are exact in `f64`: beyond, two classes could become one.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl Labels {
    /// A class for every row from the name of its class: equal names are one class.
    ///
    /// ```
    /// let labels = narrows::data::Labels::of_names(&["10", "cat", "9", "10"]);
    /// assert_eq!(labels.names, ["9", "10", "cat"]);
    /// assert_eq!(labels.classes, [1, 2, 0, 1]);
    /// ```
    pub fn of_names<S: AsRef<str>>(rows: &[S]) -> Self {
        let mut names: Vec<&str> = rows.iter().map(AsRef::as_ref).collect();
        names.sort_unstable();
        names.dedup();
        // The sort is stable: names of equal numbers and all other names stay in alphabetic order.
        names.sort_by(|a, b| match (a.parse::<f64>(), b.parse::<f64>()) {
            (Ok(a), Ok(b)) => a.total_cmp(&b),
            (a, b) => b.is_ok().cmp(&a.is_ok()),
        });
        let class: HashMap<&str, usize> =
            names.iter().enumerate().map(|(class, name)| (*name, class)).collect();
        Self {
            classes: rows.iter().map(|name| class[name.as_ref()]).collect(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    /// The labels as numbers.
    ///
    /// # Errors
    /// If one is no finite number; `remedy` says what to do then.
    pub fn numbers(&self, operation: &str, expected: &str, remedy: &str) -> Result<Vec<f64>> {
        let number = |(row, &class): (usize, &usize)| {
            let name = &self.names[class];
            name.parse().ok().filter(|value: &f64| value.is_finite()).ok_or_else(|| {
                Error::mistake(operation, expected, format!("'{name}' in row {}", row + 1), remedy)
            })
        };
        self.classes.iter().enumerate().map(number).collect()
    }
}

/// Reads the classes of `rows` rows: an array of one column (npy, npz, idx), a csv of one column,
/// or a text file with one class a line.
///
/// The first line of a text is taken for a header where it makes one line too many.
pub(super) fn read(spec: &str, rows: usize) -> Result<Labels> {
    let (path, member) = split(spec)?;
    let text = match path.is_file() && member.is_none() {
        true => Some(Content::of(&path)?)
            .filter(|content| Format::of(&path, &content.bytes) == Some(Format::Table)),
        false => None,
    };
    let mut names = match text {
        Some(content) => lines(&path, &content.bytes)?,
        None => numbers(spec)?,
    };
    if names.len() == rows + 1 && names[0].parse::<f64>().is_err() {
        names.remove(0);
    }
    if names.len() != rows {
        return Err(Error::mistake(
            format!("read labels '{spec}'"),
            format!("{rows} labels, one for each row"),
            names.len().to_string(),
            "give the labels that belong to this data, in the order of its rows",
        ));
    }
    match names.iter().position(|name| table::is_missing(name.as_bytes())) {
        Some(row) => Err(missing(spec, row)),
        None => Ok(Labels::of_names(&names)),
    }
}

/// The refusal of a row without a class; `row` counts from 0.
pub(super) fn missing(of: &str, row: usize) -> Error {
    Error::mistake(
        format!("read labels '{of}'"),
        "a class for every row",
        format!("none for row {}", row + 1),
        "name its class, or remove the row from the data and the labels",
    )
}

fn lines(path: &Path, text: &[u8]) -> Result<Vec<String>> {
    if table::extension(path).as_deref() == Some("txt") {
        let lines = String::from_utf8_lossy(text.strip_prefix(table::BOM).unwrap_or(text));
        return Ok(lines.trim_end().lines().map(|line| line.trim().to_owned()).collect());
    }
    table::one_column(path, text)
}

fn numbers(spec: &str) -> Result<Vec<String>> {
    let set = open_path(spec, &OpenOptions::default())?.rows;
    let refuse = |got: String| {
        let operation = format!("read labels '{spec}'");
        Error::mistake(operation, "one column of finite numbers or names", got, "give such a file")
    };
    if set.dim() != 1 {
        return Err(refuse(format!("{} columns", set.dim())));
    }
    let mut values = vec![0.0; set.rows()];
    set.read_f64(0, &mut values)?;
    match values.iter().find(|value| value.is_infinite() || value.abs() >= EXACT) {
        Some(value) => Err(refuse(value.to_string())),
        None => Ok(values.iter().map(f64::to_string).collect()),
    }
}
