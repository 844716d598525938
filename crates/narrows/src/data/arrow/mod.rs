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
mod schema;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::extents::{Extent, Extents, RowIntegers};
use super::nearest::did_you_mean;
use super::numbers::Kind;
use super::positioned::Positioned;
use crate::error::{Error, Result};
use flatbuffer::Table;
use schema::{Field, Values};

/// The file that names the files of a data set.
pub(super) const STATE: &str = "state.json";
const INFO: &str = "dataset_info.json";
const SPLITS: &str = "dataset_dict.json";
/// What the file format begins with; the stream follows.
const FILE_MAGIC: &[u8] = b"ARROW1\0\0";
/// What a message begins with.
const MESSAGE: [u8; 4] = [0xff; 4];
/// The longest header that is read.
const LONGEST: u64 = 256 << 20;
/// Places of lists that are read at a time.
const PIECE: usize = 1 << 16;
const REMEDY: &str = "save the data set again with `save_to_disk`, or fetch it again";

/// Whether these are the first bytes of an Arrow stream or file.
pub(super) fn recognises(bytes: &[u8]) -> bool {
    bytes.starts_with(FILE_MAGIC) || bytes.starts_with(&MESSAGE)
}

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

/// Numbers that lie one after the other.
struct Stretch {
    start: u64,
    count: usize,
    dim: usize,
}

/// A record batch: where the parts of each column begin.
struct Batch {
    body: u64,
    nodes: Vec<[u64; 2]>,
    buffers: Vec<[u64; 2]>,
    parts: BTreeMap<String, Part>,
}

/// The first node and the first buffer of a column.
#[derive(Clone, Copy)]
struct Part {
    node: usize,
    buffer: usize,
}

impl Part {
    /// Follows the lists of a column down to its numbers.
    fn numbers(
        self,
        file: &Positioned,
        batch: &Batch,
        field: &Field,
        as_rows: bool,
    ) -> Result<Stretch> {
        let broken = || damaged(file, "a batch is damaged");
        let (mut field, mut at, mut dim) = (field, self, 1);
        let mut range = [0, batch.nodes.get(at.node).ok_or_else(broken)?[0]];
        loop {
            let &[length, missing] = batch.nodes.get(at.node).ok_or_else(broken)?;
            if missing > 0 {
                let problem = format!("values of '{}' are missing", field.name);
                return Err(damaged(file, &problem));
            }
            if range[1] > length {
                return Err(broken());
            }
            let own = at.buffer + 1;
            match field.values {
                Values::Numbers(kind) => {
                    let [offset, len] = *batch.buffers.get(own).ok_or_else(broken)?;
                    let size = kind.size() as u64;
                    if range[1].checked_mul(size).is_none_or(|end| end > len) {
                        return Err(broken());
                    }
                    let start = offset.checked_add(batch.body).ok_or_else(broken)?;
                    let count = usize::try_from(range[1] - range[0]).map_err(|_| broken())?;
                    return Ok(Stretch { start: start + range[0] * size, count, dim });
                }
                Values::FixedLists(len) => {
                    range = range.map(|place| place.saturating_mul(len as u64));
                    dim = if as_rows { len } else { 1 };
                }
                Values::Lists { offset_size } => {
                    let buffer = *batch.buffers.get(own).ok_or_else(broken)?;
                    let innermost = as_rows && field.numbers().is_some_and(|(_, depth)| depth == 1);
                    let lists = Lists { file, body: batch.body, buffer, offset_size };
                    (range, dim) = lists.follow(field, range, innermost)?;
                }
                Values::Other { .. } => return Err(broken()),
            }
            at = Self { node: at.node + 1, buffer: at.buffer + field.values.buffers() };
            field = field.children.first().ok_or_else(broken)?;
        }
    }
}

/// The places at which lists begin, one more than there are lists.
struct Lists<'a> {
    file: &'a Positioned,
    body: u64,
    buffer: [u64; 2],
    offset_size: usize,
}

impl Lists<'_> {
    /// The values of the lists in a range, and the length of each where all must have the same.
    fn follow(&self, field: &Field, range: [u64; 2], same: bool) -> Result<([u64; 2], usize)> {
        let [first, last] = range;
        if first == last {
            return Ok(([0, 0], 1));
        }
        if !same {
            let [start, end] = [self.places(first, 1)?[0], self.places(last, 1)?[0]];
            return self.checked([start, end]).map(|range| (range, 1));
        }
        let start = self.places(first, 2)?;
        let len = start[1].saturating_sub(start[0]);
        let (mut place, mut end) = (first, start[0]);
        while place < last {
            let count = (last - place).min(PIECE as u64) as usize;
            for pair in self.places(place, count + 1)?.windows(2) {
                if pair[1] != pair[0].saturating_add(len) || len == 0 {
                    let other = pair[1].saturating_sub(pair[0]);
                    return Err(ragged(self.file, field, len as usize, other as usize));
                }
                end = pair[1];
            }
            place += count as u64;
        }
        Ok((self.checked([start[0], end])?, len as usize))
    }

    fn checked(&self, range: [u64; 2]) -> Result<[u64; 2]> {
        match range[0] <= range[1] {
            true => Ok(range),
            false => Err(damaged(self.file, "a list ends before it begins")),
        }
    }

    fn places(&self, first: u64, count: usize) -> Result<Vec<u64>> {
        let size = self.offset_size as u64;
        let end = first.checked_add(count as u64).and_then(|end| end.checked_mul(size));
        if end.is_none_or(|end| end > self.buffer[1]) {
            return Err(damaged(self.file, "a batch is damaged"));
        }
        let mut bytes = vec![0; count * self.offset_size];
        let start = self.body.saturating_add(self.buffer[0]).saturating_add(first * size);
        self.file.read_at(start, &mut bytes)?;
        let place = |bytes: &[u8]| {
            let mut wide = [0; 8];
            wide[..bytes.len()].copy_from_slice(bytes);
            u64::from_le_bytes(wide)
        };
        Ok(bytes.chunks_exact(self.offset_size).map(place).collect())
    }
}

/// The messages of a file.
struct Stream<'a> {
    file: &'a Positioned,
    at: u64,
    fields: Vec<Field>,
}

impl<'a> Stream<'a> {
    fn open(file: &'a Positioned) -> Result<Self> {
        let mut magic = [0; FILE_MAGIC.len()];
        file.read_at(0, &mut magic)?;
        let at = if magic == FILE_MAGIC { magic.len() as u64 } else { 0 };
        let mut stream = Self { file, at, fields: Vec::new() };
        let unfit = "it is no Arrow stream, or one with columns that are not known";
        let Some((header, _)) = stream.message()? else { return Err(damaged(file, unfit)) };
        let fields = Table::root(&header).and_then(|message| {
            let schema = message.table(2)?.filter(|_| message.number::<1>(1) == Some(1))?;
            // Little-endian.
            (schema.number::<2>(0)? == 0).then(|| schema::fields(schema))?
        });
        stream.fields = fields.ok_or_else(|| damaged(file, unfit))?;
        Ok(stream)
    }

    /// The header of the next message and where its body begins; `None` at the end.
    fn message(&mut self) -> Result<Option<(Vec<u8>, u64)>> {
        if self.at == self.file.len() {
            return Ok(None);
        }
        let mut word = [0; 4];
        self.file.read_at(self.at, &mut word)?;
        self.at += 4;
        if word == MESSAGE {
            self.file.read_at(self.at, &mut word)?;
            self.at += 4;
        }
        let len = u64::from(u32::from_le_bytes(word));
        if len == 0 {
            return Ok(None);
        }
        if len > LONGEST.min(self.file.len().saturating_sub(self.at)) {
            return Err(damaged(self.file, "a message is cut off"));
        }
        let mut header = vec![0; len as usize];
        self.file.read_at(self.at, &mut header)?;
        let body = self.at + len;
        let body_len = Table::root(&header).and_then(|message| message.number::<8>(3));
        let body_len = body_len.and_then(|len| u64::try_from(len).ok());
        let end = body_len.and_then(|len| body.checked_add(len));
        match end.filter(|&end| end <= self.file.len()) {
            Some(end) => self.at = end,
            None => return Err(damaged(self.file, "a batch is cut off")),
        }
        Ok(Some((header, body)))
    }

    fn next_batch(&mut self) -> Result<Option<Batch>> {
        let Some((header, body)) = self.message()? else { return Ok(None) };
        let batch = Table::root(&header)
            .and_then(|message| message.table(2)?.filter(|_| message.number::<1>(1) == Some(3)));
        let batch = batch.ok_or_else(|| damaged(self.file, "a message that is no batch"))?;
        if batch.table(3).is_none_or(|compression| compression.is_some()) {
            return Err(damaged(self.file, "its batches are compressed"));
        }
        let lists = batch.pairs(1).zip(batch.pairs(2));
        let (nodes, buffers) = lists.ok_or_else(|| damaged(self.file, "a batch is damaged"))?;
        let (mut parts, mut node, mut buffer) = (BTreeMap::new(), 0, 0);
        for field in &self.fields {
            parts.insert(field.name.clone(), Part { node, buffer });
            let (nodes, buffers) = field.parts();
            (node, buffer) = (node + nodes, buffer + buffers);
        }
        if (node, buffer) != (nodes.len(), buffers.len()) {
            return Err(damaged(self.file, "a batch does not fit the columns"));
        }
        Ok(Some(Batch { body, nodes, buffers, parts }))
    }
}

fn damaged(file: &Positioned, problem: &str) -> Error {
    Error::bad_file(file.path(), problem, REMEDY)
}

fn ragged(file: &Positioned, field: &Field, one: usize, other: usize) -> Error {
    let problem = format!("rows of '{}' differ in length: {one} and {other} numbers", field.name);
    Error::bad_file(file.path(), problem, "give activations, all of one width")
}
