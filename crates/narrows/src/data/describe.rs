//! What is in a set: one pass over its rows.

use super::{Dataset, Element, ImageShape};
use crate::error::Result;

/// Numbers that are read at a time.
const BLOCK: usize = 1 << 18;
/// Tables with more columns are not described column by column.
const COLUMNS_SHOWN: usize = 200;
/// Constant columns that are named.
const CONSTANT_NAMED: usize = 10;
/// Classes and categories that are shown on the screen.
const NAMES_SHOWN: usize = 10;

/// What a set holds. Missing values are `NaN`; the range and the mean are those of the finite
/// ones, in which a category counts as its index.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Description {
    /// What the user asked for.
    pub name: String,
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub dim: usize,
    /// How a number is stored.
    pub element: Element,
    /// The size of the pictures, where rows are pictures.
    pub image: Option<ImageShape>,
    /// The smallest finite value, categories not counted; `None` where there is none.
    pub minimum: Option<f64>,
    /// The largest of them.
    pub maximum: Option<f64>,
    /// Their mean.
    pub mean: Option<f64>,
    /// The share of all values that are 0, categories not counted.
    pub zeros: f64,
    /// Number of missing values.
    pub missing: usize,
    /// The first missing value.
    pub first_missing: Option<Place>,
    /// Number of infinite values.
    pub infinite: usize,
    /// The first infinite value.
    pub first_infinite: Option<Place>,
    /// Number of columns that hold one value only (missing ones aside).
    pub constant_columns: usize,
    /// The first of them.
    pub constant_names: Vec<String>,
    /// The classes and their rows; empty where labels are not known.
    pub classes: Vec<ClassCount>,
    /// The columns of a table that has at most 200.
    pub columns: Vec<ColumnSummary>,
    /// Bytes of all rows as `f32`.
    pub bytes_as_f32: usize,
    /// A hash of the content (blake3, hexadecimal).
    pub content_hash: String,
}

/// The place of a value, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Place {
    /// Its row.
    pub row: usize,
    /// Its column.
    pub column: usize,
}

/// A class and how many rows belong to it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ClassCount {
    /// The name of the class.
    pub name: String,
    /// Its rows.
    pub rows: usize,
}

/// What a column of a table holds.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ColumnSummary {
    /// Its name.
    pub name: String,
    /// Its categories; empty for a numeric column.
    pub categories: Vec<String>,
    /// The smallest finite value; `None` where there is none, or for categories.
    pub minimum: Option<f64>,
    /// The largest finite value.
    pub maximum: Option<f64>,
    /// The mean of the finite values.
    pub mean: Option<f64>,
    /// Number of missing values.
    pub missing: usize,
}

/// Reads `dataset` once and says what it holds.
///
/// # Errors
/// If the rows cannot be read.
pub fn describe(dataset: &Dataset) -> Result<Description> {
    let dim = dataset.rows.dim();
    let rows = dataset.rows.rows();
    let mut tally = Tally::new(dim);
    let block_rows = (BLOCK / dim).max(1);
    let mut block = vec![0.0; block_rows.min(rows) * dim];
    for start in (0..rows).step_by(block_rows) {
        let block = &mut block[..block_rows.min(rows - start) * dim];
        dataset.rows.read_f64(start, block)?;
        tally.add(start, block);
    }
    Ok(tally.describe(dataset))
}

/// Running figures of every column, one list for each so that a row updates all of them at once.
struct Tally {
    low: Vec<f64>,
    high: Vec<f64>,
    sum: Vec<f64>,
    zeros: Vec<u64>,
    missing: Vec<u64>,
    infinite: Vec<u64>,
    first_missing: Option<Place>,
    first_infinite: Option<Place>,
}

impl Tally {
    fn new(dim: usize) -> Self {
        Self {
            low: vec![f64::INFINITY; dim],
            high: vec![f64::NEG_INFINITY; dim],
            sum: vec![0.0; dim],
            zeros: vec![0; dim],
            missing: vec![0; dim],
            infinite: vec![0; dim],
            first_missing: None,
            first_infinite: None,
        }
    }

    fn add(&mut self, start: usize, block: &[f64]) {
        let dim = self.sum.len();
        for (row, values) in block.chunks_exact(dim).enumerate() {
            let mut finite = true;
            for (column, &value) in values.iter().enumerate() {
                let is_finite = value.is_finite();
                finite &= is_finite;
                self.low[column] =
                    if is_finite { self.low[column].min(value) } else { self.low[column] };
                self.high[column] =
                    if is_finite { self.high[column].max(value) } else { self.high[column] };
                self.sum[column] += if is_finite { value } else { 0.0 };
                self.zeros[column] += u64::from(value == 0.0);
            }
            if !finite {
                self.add_not_finite(start + row, values);
            }
        }
    }

    fn add_not_finite(&mut self, row: usize, values: &[f64]) {
        for (column, value) in values.iter().enumerate().filter(|(_, value)| !value.is_finite()) {
            let place = Place { row: row + 1, column: column + 1 };
            if value.is_nan() {
                self.missing[column] += 1;
                self.first_missing.get_or_insert(place);
            } else {
                self.infinite[column] += 1;
                self.first_infinite.get_or_insert(place);
            }
        }
    }

    fn describe(self, dataset: &Dataset) -> Description {
        let (rows, dim) = (dataset.rows.rows(), dataset.rows.dim());
        let total = |counts: &[u64]| counts.iter().sum::<u64>() as usize;
        // The places of categories in their list are no quantities.
        let is_number = |column: &usize| {
            dataset.columns.get(*column).is_none_or(|column| column.categories.is_empty())
        };
        let numbers: Vec<usize> = (0..dim).filter(is_number).collect();
        let of_numbers = |counts: &[u64]| numbers.iter().map(|&c| counts[c]).sum::<u64>() as f64;
        let values = rows as f64 * numbers.len() as f64;
        let finite = values - of_numbers(&self.missing) - of_numbers(&self.infinite);
        let known = |value: f64| (finite > 0.0).then_some(value);
        let each = |figures: &[f64]| numbers.iter().map(|&c| figures[c]).collect::<Vec<f64>>();
        let zeros = of_numbers(&self.zeros) / values;
        let is_constant =
            |column: &usize| self.infinite[*column] == 0 && self.low[*column] >= self.high[*column];
        let constant: Vec<usize> = (0..dim).filter(is_constant).collect();
        let named = constant.iter().take(CONSTANT_NAMED).map(|column| name(dataset, *column));
        Description {
            name: dataset.name.clone(),
            rows,
            dim,
            element: dataset.element,
            image: dataset.image,
            minimum: known(each(&self.low).into_iter().fold(f64::INFINITY, f64::min)),
            maximum: known(each(&self.high).into_iter().fold(f64::NEG_INFINITY, f64::max)),
            mean: known(each(&self.sum).into_iter().sum::<f64>() / finite),
            zeros: if values > 0.0 { zeros } else { 0.0 },
            missing: total(&self.missing),
            first_missing: self.first_missing,
            infinite: total(&self.infinite),
            first_infinite: self.first_infinite,
            constant_columns: constant.len(),
            constant_names: named.collect(),
            classes: classes(dataset),
            columns: self.columns(dataset),
            bytes_as_f32: rows.saturating_mul(dim).saturating_mul(4),
            content_hash: dataset.content_hash.clone(),
        }
    }

    fn columns(&self, dataset: &Dataset) -> Vec<ColumnSummary> {
        if dataset.columns.len() > COLUMNS_SHOWN {
            return Vec::new();
        }
        let summary = |(index, column): (usize, &super::Column)| {
            let finite = dataset.rows.rows() as u64 - self.missing[index] - self.infinite[index];
            let numeric = column.categories.is_empty() && finite > 0;
            ColumnSummary {
                name: column.name.clone(),
                categories: column.categories.clone(),
                minimum: numeric.then_some(self.low[index]),
                maximum: numeric.then_some(self.high[index]),
                mean: numeric.then_some(self.sum[index] / finite as f64),
                missing: self.missing[index] as usize,
            }
        };
        dataset.columns.iter().enumerate().map(summary).collect()
    }
}

fn name(dataset: &Dataset, column: usize) -> String {
    match dataset.columns.get(column) {
        Some(column) => column.name.clone(),
        None => format!("column {}", column + 1),
    }
}

fn classes(dataset: &Dataset) -> Vec<ClassCount> {
    let Some(labels) = &dataset.labels else { return Vec::new() };
    let mut counts = vec![0; labels.names.len()];
    for class in &labels.classes {
        counts[*class] += 1;
    }
    let named = labels.names.iter().zip(counts);
    named.map(|(name, rows)| ClassCount { name: name.clone(), rows }).collect()
}

impl Description {
    /// The description as text for a terminal, one fact a line, ending with a new line.
    pub fn screen(&self) -> String {
        let mut lines = vec![self.name.clone(), String::new()];
        let facts = self.facts();
        lines.extend(facts.into_iter().map(|(name, value)| format!("  {name:<9}  {value}")));
        if !self.columns.is_empty() {
            lines.push(String::new());
            lines.extend(aligned(&self.column_table()));
        }
        lines.push(String::new());
        lines.join("\n")
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let categorical =
            self.columns.iter().filter(|column| !column.categories.is_empty()).count();
        let mut facts = vec![("rows", grouped(self.rows)), ("columns", grouped(self.dim))];
        if let Some(ImageShape { height, width, channels }) = self.image {
            let colour = if channels == 1 { "grey" } else { "coloured" };
            facts.push(("images", format!("{height} high, {width} wide, {colour}")));
        }
        facts.push(("numbers", numbers(self.element).to_owned()));
        if let (Some(low), Some(high), Some(mean)) = (self.minimum, self.maximum, self.mean) {
            let range = format!("{} to {}, mean {}", figure(low), figure(high), figure(mean));
            facts.push(("range", range));
            facts.push(("zeros", format!("{:.1} %", 100.0 * self.zeros)));
        }
        if categorical > 0 {
            facts.push(("names", format!("in {} of the columns", grouped(categorical))));
        }
        facts.push(("missing", with_place(self.missing, self.first_missing)));
        facts.push(("infinite", with_place(self.infinite, self.first_infinite)));
        facts.push(("constant", self.constant_fact()));
        if !self.classes.is_empty() {
            let classes = self.classes.iter().map(|c| format!("{} ({})", c.name, grouped(c.rows)));
            let first = some_of(classes, self.classes.len());
            facts.push(("classes", format!("{}: {first}", grouped(self.classes.len()))));
        }
        facts.push(("memory", format!("{} as f32", byte_size(self.bytes_as_f32))));
        facts.push(("content", self.content_hash.chars().take(16).collect()));
        facts
    }

    fn constant_fact(&self) -> String {
        match self.constant_columns {
            0 => "none".to_owned(),
            count => {
                let names = some_of(self.constant_names.iter().cloned(), count);
                format!("{} of the columns: {names}", grouped(count))
            }
        }
    }

    fn column_table(&self) -> Vec<Vec<String>> {
        let header = ["column", "minimum", "maximum", "mean", "missing", "categories"];
        let mut table = vec![header.map(str::to_owned).to_vec()];
        let shown = |value: Option<f64>| value.map_or_else(String::new, figure);
        table.extend(self.columns.iter().map(|column| {
            vec![
                column.name.clone(),
                shown(column.minimum),
                shown(column.maximum),
                shown(column.mean),
                if column.missing == 0 { String::new() } else { grouped(column.missing) },
                some_of(column.categories.iter().cloned(), column.categories.len()),
            ]
        }));
        table
    }
}

fn numbers(element: Element) -> &'static str {
    match element {
        Element::U8 => "whole, 0 to 255 (one byte each)",
        Element::Integer => "whole",
        Element::Int8 => "whole, one byte each, with a scale for every row (int8)",
        Element::F16 => "half precision (f16)",
        Element::Bf16 => "brain floating point (bf16)",
        Element::F32 => "single precision (f32)",
        Element::F64 => "double precision (f64)",
        Element::Text => "read from text",
    }
}

fn with_place(count: usize, first: Option<Place>) -> String {
    match first {
        Some(Place { row, column }) => {
            format!("{}, the first in row {row}, column {column}", grouped(count))
        }
        None => "none".to_owned(),
    }
}

/// The first of `count` names, and how many more there are.
fn some_of(names: impl Iterator<Item = String>, count: usize) -> String {
    let shown: Vec<String> = names.take(NAMES_SHOWN).collect();
    let more = count - shown.len();
    let shown = shown.join(", ");
    if more == 0 { shown } else { format!("{shown}, and {} more", grouped(more)) }
}

/// Lines of a table: the first and last column to the left, figures to the right.
fn aligned(table: &[Vec<String>]) -> Vec<String> {
    let columns = table.first().map_or(0, Vec::len);
    let widest = |column: usize| table.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| widest(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
            if column == 0 || column + 1 == columns {
                format!("{cell:<width$}")
            } else {
                format!("{cell:>width$}")
            }
        });
        format!("  {}", cells.collect::<Vec<_>>().join("  ")).trim_end().to_owned()
    };
    table.iter().map(line).collect()
}

/// A number with six significant digits, in powers of ten only where it is very small or large.
fn figure(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let magnitude = value.abs().log10().floor() as i32;
    if !(-4..15).contains(&magnitude) {
        return format!("{value:.5e}");
    }
    let decimals = (5 - magnitude).max(0) as usize;
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// A count with a comma between each three digits.
fn grouped(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn byte_size(bytes: usize) -> String {
    let unit = [("GB", 1e9), ("MB", 1e6), ("kB", 1e3)].into_iter().find(|u| bytes as f64 >= u.1);
    match unit {
        Some((name, size)) => format!("{:.1} {name}", bytes as f64 / size),
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_keep_six_digits() {
        let cases = [
            (0.0, "0"),
            (255.0, "255"),
            (-33.318_421_4, "-33.3184"),
            (0.000_123_456_78, "0.000123457"),
            (1e-9, "1.00000e-9"),
            (123_456_789.0, "123456789"),
        ];
        for (value, text) in cases {
            assert_eq!(figure(value), text);
        }
    }

    #[test]
    fn counts_are_grouped_by_three() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
