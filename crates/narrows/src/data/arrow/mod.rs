//! Activations in Arrow streams: what Hugging Face `datasets` keeps, read where it lies.
//!
//! A data set that was saved is a folder:
//!
//! ```text
//! state.json                    the names of its files, in order
//! dataset_info.json             what is known about it
//! data-00000-of-00002.arrow     an Arrow stream: a schema, then batches, each with its buffers
//! ```
//!
//! A column of type `Array2D((context, d))` is kept as a list of lists of numbers: of each batch the
//! numbers lie one after the other, which are the rows `(sequences · context, d)`. Columns of whole
//! numbers that have one for each of these rows (`token_ids`) are read with them.
//!
//! Source: <https://arrow.apache.org/docs/format/Columnar.html>, the section on the stream format.
//! Differs from: the crate `arrow-ipc`, which brings batches into memory; here only the places of the
//! buffers are wanted. Compressed buffers, dictionaries and missing values are refused.

mod flatbuffer;
mod lists;
mod schema;
mod stream;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::extents::{Extent, Extents, RowIntegers};
use super::nearest::did_you_mean;
use super::numbers::Kind;
use super::positioned::Positioned;
use crate::error::{Error, Result};
use schema::Field;
pub(super) use stream::recognises;
use stream::{Batch, Stream};

/// The file that names the files of a data set.
const STATE: &str = "state.json";
const INFO: &str = "dataset_info.json";
const SPLITS: &str = "dataset_dict.json";
const REMEDY: &str = "save the data set again with `save_to_disk`, or fetch it again";

/// Whether a folder is a data set of Hugging Face `datasets`, or several.
pub(super) fn is_folder(folder: &Path) -> bool {
    folder.join(STATE).is_file() && folder.join(INFO).is_file() || folder.join(SPLITS).is_file()
}

/// The files of a data set, in order.
pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    if folder.join(SPLITS).is_file() {
        return Err(Error::mistake(
            "open",
            "a data set",
            format!("'{}', which holds several", folder.display()),
            format!("give the folder of one, such as {}", folder.join("train").display()),
        ));
    }
    let path = folder.join(STATE);
    let text = std::fs::read(&path).map_err(|error| Error::read(&path, error))?;
    let damaged = |problem: String| Error::bad_file(&path, problem, REMEDY);
    let state: serde_json::Value =
        serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
    let names = state["_data_files"].as_array().into_iter().flatten();
    let file = |entry: &serde_json::Value| {
        let name = entry["filename"].as_str().map(Path::new);
        let name = name.filter(|name| name.file_name() == Some(name.as_os_str()));
        name.map(|name| folder.join(name)).ok_or_else(|| damaged("a file has no name".to_owned()))
    };
    names.map(file).collect()
}

/// Rows of numbers and the whole numbers that belong to them.
pub(super) struct Columns {
    pub(super) rows: Extents,
    pub(super) integers: BTreeMap<String, RowIntegers>,
}

/// The column called `name` of all files, or the only one that holds rows of numbers.
pub(super) fn open(paths: &[PathBuf], name: Option<&str>) -> Result<Columns> {
    let (mut files, mut parts) = (Vec::new(), BTreeMap::<String, Column>::new());
    let mut rows: Option<Column> = None;
    for path in paths {
        let file = Positioned::open(path)?;
        let mut stream = Stream::open(&file)?;
        let fields = stream.fields.clone();
        let chosen = choose(path, &fields, name)?;
        let mut found = fields.iter().filter_map(Column::of).collect::<Vec<_>>();
        while let Some(batch) = stream.next_batch()? {
            for (field, column) in &mut found {
                column.add(&file, files.len(), &batch, field, field.name == chosen)?;
            }
        }
        for (field, column) in found {
            if field.name == chosen {
                rows.get_or_insert_with(|| column.without_extents()).append(path, column)?;
            } else if column.kind.is_whole() {
                let all = parts.entry(field.name.clone());
                all.or_insert_with(|| column.without_extents()).append(path, column)?;
            }
        }
        files.push(file);
    }
    let Some(rows) = rows else {
        let expected = "a data set with files";
        return Err(Error::mistake("open", expected, "one without", REMEDY));
    };
    let files: Arc<[Positioned]> = files.into();
    let count = rows.count();
    // Columns that have one number for each sequence belong to no row.
    let fitting = parts.into_iter().filter(|(_, column)| column.count() == count);
    let integers = fitting.map(|(name, column)| {
        Ok((name, RowIntegers::new(Extents::new(files.clone(), column.extents, column.kind, 1)?)))
    });
    let integers = integers.collect::<Result<_>>()?;
    let rows = Extents::new(files, rows.extents, rows.kind, rows.dim)?;
    Ok(Columns { rows, integers })
}

fn choose(path: &Path, fields: &[Field], name: Option<&str>) -> Result<String> {
    let has_rows =
        |field: &&Field| field.numbers().is_some_and(|(kind, depth)| depth > 0 && !kind.is_whole());
    let names = || fields.iter().map(|field| &*field.name);
    let listed = names().collect::<Vec<_>>().join(", ");
    let mut fitting = fields.iter().filter(has_rows).filter(|f| name.is_none_or(|n| n == f.name));
    match (fitting.next(), fitting.next()) {
        (Some(field), None) => Ok(field.name.clone()),
        (fitting, _) => Err(Error::mistake(
            format!("open '{}'", path.display()),
            "one column of lists of numbers of f16, f32 or f64",
            format!("the columns {listed}"),
            match (fitting, name) {
                (Some(field), _) => format!("name one: PATH#{}", field.name),
                (None, Some(name)) => did_you_mean(name, names()),
                _ => "give a data set of activations".to_owned(),
            },
        )),
    }
}

/// Where the numbers of a column lie.
struct Column {
    kind: Kind,
    dim: usize,
    extents: Vec<Extent>,
}

impl Column {
    fn of(field: &Field) -> Option<(&Field, Self)> {
        let (kind, _) = field.numbers()?;
        Some((field, Self { kind, dim: 0, extents: Vec::new() }))
    }

    fn without_extents(&self) -> Self {
        Self { extents: Vec::new(), ..*self }
    }

    fn count(&self) -> usize {
        self.extents.iter().map(|extent| extent.rows).sum()
    }

    /// Adds the numbers of a batch: rows, or single numbers.
    fn add(
        &mut self,
        file: &Positioned,
        index: usize,
        batch: &Batch,
        field: &Field,
        as_rows: bool,
    ) -> Result<()> {
        let damaged = || damaged(file, "a batch is damaged");
        let part = batch.parts.get(&field.name).ok_or_else(damaged)?;
        let numbers = match part.numbers(file, batch, field, as_rows) {
            // A column that is not asked for may be as it likes.
            Err(_) if !as_rows => return Ok(()),
            numbers => numbers?,
        };
        if numbers.count == 0 {
            return Ok(());
        }
        if self.dim != 0 && self.dim != numbers.dim {
            return Err(ragged(file, field, self.dim, numbers.dim));
        }
        self.dim = numbers.dim;
        let rows = numbers.count / numbers.dim;
        self.extents.push(Extent { file: index, start: numbers.start, rows, scales: None });
        Ok(())
    }

    fn append(&mut self, path: &Path, other: Self) -> Result<()> {
        if (self.kind, self.dim) != (other.kind, other.dim) {
            let problem = "its rows are of another kind or length than those of the first file";
            return Err(Error::bad_file(path, problem, REMEDY));
        }
        self.extents.extend(other.extents);
        Ok(())
    }
}

fn damaged(file: &Positioned, problem: &str) -> Error {
    Error::bad_file(file.path(), problem, REMEDY)
}

fn ragged(file: &Positioned, field: &Field, one: usize, other: usize) -> Error {
    let problem = format!("rows of '{}' differ in length: {one} and {other} numbers", field.name);
    Error::bad_file(file.path(), problem, "give activations, all of one width")
}
