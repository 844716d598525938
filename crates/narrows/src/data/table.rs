//! Tables in text (`.csv`, `.tsv`, `.txt`): numbers, categories and missing cells.
//!
//! The delimiter (comma, semicolon or tab) and a header line are recognised. A column is numeric
//! if every cell that is present is a number; every other column is categorical. A cell is missing
//! if it is empty or reads `NA`, `N/A`, `NaN`, `nan`, `null`, `?` or `-`. Empty lines are skipped.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use csv::{ByteRecord, Reader, ReaderBuilder};

use super::mapped::Content;
use super::memory::Held;
use super::nearest::did_you_mean_or_list;
use super::{Column, Dataset, Element, Labels, OpenOptions, labels};
use crate::error::{Error, Result};

/// The mark that some programs put before UTF-8 text.
pub(super) const BOM: &[u8] = b"\xef\xbb\xbf";

/// Records that are looked at to recognise the delimiter.
const SNIFFED: usize = 20;

pub(super) fn is_missing(cell: &[u8]) -> bool {
    let missing: [&[u8]; 8] = [b"", b"NA", b"N/A", b"NaN", b"nan", b"null", b"?", b"-"];
    missing.contains(&cell)
}

/// Reads a table; `options.label_column` becomes the labels.
pub(super) fn open(path: &Path, content: &Content, options: &OpenOptions) -> Result<Dataset> {
    let text = Text::new(path, &content.bytes)?;
    let mut table = text.scan()?;
    let label = match &options.label_column {
        Some(name) => Some(table.find(path, name)?),
        None => None,
    };
    if let Some(label) = label {
        table.columns[label].numeric = false;
    }
    text.number_categories(&mut table)?;
    let labels = match label {
        Some(label) => Some(table.take_labels(path, label)?),
        None => None,
    };
    if table.values.is_empty() {
        return Err(Error::mistake(
            "open",
            "at least one row and one column of data",
            format!("none in '{}'", path.display()),
            "give a table that holds rows",
        ));
    }
    let dim = table.columns.len();
    let columns = table
        .columns
        .into_iter()
        .map(|column| Column { name: column.name, categories: column.categories });
    Ok(Dataset {
        name: path.display().to_string(),
        columns: columns.collect(),
        rows: Box::new(Held::new(table.values, dim)),
        element: Element::Text,
        image: None,
        labels,
        row_names: Vec::new(),
        content_hash: content.hash.clone(),
    })
}

/// The cells of a table that has one column.
pub(super) fn one_column(path: &Path, bytes: &[u8]) -> Result<Vec<String>> {
    let text = Text::new(path, bytes)?;
    let mut cells = Vec::new();
    let mut columns = 1;
    text.each_record(|record| {
        cells.extend(record.iter().map(|cell| shown(cell.trim_ascii())));
        columns = record.len();
        columns == 1
    })?;
    match columns {
        1 => Ok(cells),
        columns => Err(Error::mistake(
            format!("read labels '{}'", path.display()),
            "one column",
            format!("{columns} columns"),
            "keep the column of the classes only, or open the table with --label-column",
        )),
    }
}

struct Text<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    delimiter: u8,
}

/// A table whose categorical cells are not yet numbered.
struct Table {
    values: Vec<f64>,
    columns: Vec<Parsed>,
    has_header: bool,
}

struct Parsed {
    name: String,
    numeric: bool,
    categories: Vec<String>,
}

/// What has been seen of a column.
#[derive(Default, Clone)]
struct Seen {
    first_is_text: bool,
    number_below: bool,
    text_below: bool,
}

impl<'a> Text<'a> {
    fn new(path: &'a Path, bytes: &'a [u8]) -> Result<Self> {
        let bytes = bytes.strip_prefix(BOM).unwrap_or(bytes);
        if bytes[..bytes.len().min(4096)].contains(&0) {
            return Err(Error::bad_file(
                path,
                "it holds zero bytes, so it is not UTF-8 text",
                "save it as UTF-8 (not UTF-16), or give it the extension of its format",
            ));
        }
        Ok(Self { path, bytes, delimiter: delimiter(path, bytes) })
    }

    /// Shows every record to `take`, until that says `false`.
    fn each_record(&self, mut take: impl FnMut(&ByteRecord) -> bool) -> Result<()> {
        let mut reader = reader(self.bytes, self.delimiter);
        let mut record = ByteRecord::new();
        while reader.read_byte_record(&mut record).map_err(|error| self.damaged(&error))? {
            if !take(&record) {
                break;
            }
        }
        Ok(())
    }

    fn damaged(&self, error: &csv::Error) -> Error {
        match error.kind() {
            csv::ErrorKind::UnequalLengths { pos, expected_len, len } => Error::bad_file(
                self.path,
                format!(
                    "line {}: expected {expected_len} cells but got {len}",
                    pos.as_ref().map_or(0, csv::Position::line)
                ),
                "give every line as many cells as the first, and quote cells that hold delimiters",
            ),
            _ => Error::bad_file(self.path, error.to_string(), "save the table again as csv"),
        }
    }

    /// Reads all numbers, and finds out which columns are numeric and whether there is a header.
    fn scan(&self) -> Result<Table> {
        let mut first = Vec::new();
        let mut seen: Vec<Seen> = Vec::new();
        let mut values = Vec::new();
        self.each_record(|record| {
            let below = !first.is_empty();
            if !below {
                first = record.iter().map(|cell| shown(cell.trim_ascii())).collect();
                seen = vec![Seen::default(); record.len()];
            }
            for (cell, seen) in record.iter().zip(&mut seen) {
                let value = number(cell.trim_ascii());
                seen.first_is_text |= !below && value.is_none();
                seen.text_below |= below && value.is_none();
                seen.number_below |= below && value.is_some_and(|value| !value.is_nan());
                values.push(value.unwrap_or(f64::NAN));
            }
            true
        })?;
        let has_header = is_header(&first, &seen, values.len() == first.len());
        if has_header {
            values.drain(..first.len());
        }
        let named = first.into_iter().enumerate().map(|(column, cell)| match has_header {
            true if !cell.is_empty() => cell,
            _ => format!("column {}", column + 1),
        });
        let columns = named.zip(seen).map(|(name, seen)| Parsed {
            name,
            numeric: !seen.text_below && (has_header || !seen.first_is_text),
            categories: Vec::new(),
        });
        Ok(Table { values, columns: columns.collect(), has_header })
    }

    /// Numbers the categories of every column that is not numeric, in alphabetic order.
    fn number_categories(&self, table: &mut Table) -> Result<()> {
        let categorical: Vec<usize> =
            (0..table.columns.len()).filter(|column| !table.columns[*column].numeric).collect();
        if categorical.is_empty() {
            return Ok(());
        }
        let dim = table.columns.len();
        let mut found: Vec<BTreeMap<Vec<u8>, usize>> = vec![BTreeMap::new(); categorical.len()];
        let mut skipped = !table.has_header;
        let mut rows = table.values.chunks_exact_mut(dim);
        self.each_record(|record| {
            if !std::mem::replace(&mut skipped, true) {
                return true;
            }
            let Some(row) = rows.next() else { return false };
            for (found, &column) in found.iter_mut().zip(&categorical) {
                let cell = record.get(column).unwrap_or_default().trim_ascii();
                row[column] = match found.get(cell) {
                    _ if is_missing(cell) => f64::NAN,
                    Some(order) => *order as f64,
                    None => {
                        found.insert(cell.to_vec(), found.len());
                        (found.len() - 1) as f64
                    }
                };
            }
            true
        })?;
        for (found, column) in found.into_iter().zip(categorical) {
            let mut rank = vec![0.0; found.len()];
            for (alphabetic, seen) in found.values().enumerate() {
                rank[*seen] = alphabetic as f64;
            }
            for value in table.values[column..].iter_mut().step_by(dim) {
                if !value.is_nan() {
                    *value = rank[*value as usize];
                }
            }
            table.columns[column].categories = found.keys().map(|cell| shown(cell)).collect();
        }
        Ok(())
    }
}

impl Table {
    /// The place of the column called `name`, or numbered so from 1.
    fn find(&self, path: &Path, name: &str) -> Result<usize> {
        let names = || self.columns.iter().map(|column| column.name.as_str());
        let numbered = || match name.parse::<usize>() {
            Ok(number) if (1..=self.columns.len()).contains(&number) => Some(number - 1),
            _ => None,
        };
        names().position(|column| column == name).or_else(numbered).ok_or_else(|| {
            Error::mistake(
                format!("take the labels from '{}'", path.display()),
                format!("a column's name or its number, 1 to {}", self.columns.len()),
                format!("'{name}'"),
                did_you_mean_or_list(name, names()),
            )
        })
    }

    fn take_labels(&mut self, path: &Path, label: usize) -> Result<Labels> {
        let dim = self.columns.len();
        let taken = self.columns.remove(label);
        let classes = self.values[label.min(self.values.len())..].iter().step_by(dim);
        if let Some(row) = classes.clone().position(|class| class.is_nan()) {
            return Err(labels::missing(
                &format!("{}, column {}", path.display(), taken.name),
                row,
            ));
        }
        let names: Vec<&str> =
            classes.map(|class| taken.categories[*class as usize].as_str()).collect();
        let labels = Labels::of_names(&names);
        let mut place = 0;
        self.values.retain(|_| {
            place += 1;
            (place - 1) % dim != label
        });
        Ok(labels)
    }
}

/// The extension that says what text a file holds, below a `.gz` and in small letters.
pub(super) fn extension(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_string_lossy().to_lowercase();
    let (_, extension) = name.strip_suffix(".gz").unwrap_or(&name).rsplit_once('.')?;
    ["csv", "tsv", "txt"].contains(&extension).then(|| extension.to_owned())
}

/// The delimiter that cuts the first lines into equally many cells; comma comes last because it
/// also occurs inside numbers.
fn delimiter(path: &Path, text: &[u8]) -> u8 {
    const KNOWN: [u8; 3] = [b'\t', b';', b','];
    if extension(path).as_deref() == Some("tsv") {
        return b'\t';
    }
    let cells = |delimiter: &u8, even: bool| {
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .delimiter(*delimiter)
            .flexible(!even)
            .from_reader(text);
        let mut records = reader.byte_records().take(if even { SNIFFED } else { 1 });
        let Some(Ok(first)) = records.next() else { return 0 };
        if records.all(|record| record.is_ok()) { first.len() } else { 0 }
    };
    let even = KNOWN.into_iter().find(|delimiter| cells(delimiter, true) > 1);
    even.or_else(|| KNOWN.into_iter().max_by_key(|delimiter| cells(delimiter, false)))
        .unwrap_or(b',')
}

fn reader(text: &[u8], delimiter: u8) -> Reader<&[u8]> {
    ReaderBuilder::new().has_headers(false).delimiter(delimiter).from_reader(text)
}

/// The first line is a header if it names a column of numbers, or if its cells are all different
/// names although numbers occur below.
fn is_header(first: &[String], seen: &[Seen], alone: bool) -> bool {
    let names_numbers = |seen: &Seen| seen.first_is_text && seen.number_below && !seen.text_below;
    let all_names = || seen.iter().all(|seen| seen.first_is_text);
    let all_different = || first.iter().collect::<HashSet<_>>().len() == first.len();
    seen.iter().any(names_numbers)
        || all_names() && all_different() && (alone || seen.iter().any(|seen| seen.number_below))
}

/// The number in a cell: `NaN` where it is missing, `None` where it is text.
fn number(cell: &[u8]) -> Option<f64> {
    if is_missing(cell) {
        return Some(f64::NAN);
    }
    std::str::from_utf8(cell).ok()?.parse().ok()
}

fn shown(cell: &[u8]) -> String {
    String::from_utf8_lossy(cell).into_owned()
}
