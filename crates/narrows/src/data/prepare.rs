//! Rows made ready for a model, and back again.
//!
//! A row of the source goes through four steps, in this order:
//!
//! 1. **one-hot**: the index of a category becomes as many columns as there are categories, one of
//!    them 1 and the others 0;
//! 2. **row norm** (if asked for): the numeric columns are divided by their Euclidean length, taken
//!    over the values that are present; a row of zeros stays as it is;
//! 3. **missing** values are refused, replaced by the training mean, or left to the model as `NaN`;
//! 4. **scale**: `prepared = (value − shift) / scale`, column by column.
//!
//! What was learned from the training rows (`shift`, `scale`, means, categories) is the
//! [`Preparation`]. It is kept with the model, applied to every later row and inverted on decode.
//! Places in messages count rows and columns from 1.

use std::borrow::Cow;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Column, Dataset, Element, ImageShape, Precision, ReadRows, Source};
use crate::compute::Real;
use crate::error::{Error, Result};

/// The size of a block of training rows, in numbers.
const BLOCK: usize = 1 << 20;
/// The size of a piece of work for one thread, in numbers.
const PIECE: usize = 1 << 15;
/// Columns that are summed up together by one thread.
const GROUP: usize = 64;

/// How rows are to be prepared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PrepareConfig {
    /// How columns are scaled.
    pub scale: Scale,
    /// Whether each row is divided by its Euclidean length before its columns are scaled.
    pub row_norm: bool,
    /// What becomes of missing values.
    pub missing: Missing,
}

/// How columns are scaled. The one-hot columns of categories stay 0 and 1, except that `centre`
/// subtracts their mean.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// 8-bit numbers divided by 255 (unless the rows are normed), tables standardised, arrays left
    /// as they are.
    #[default]
    Auto,
    /// Values as they are.
    None,
    /// The training mean subtracted.
    Centre,
    /// The training mean subtracted, then divided by the training standard deviation (of the
    /// population: the sum of squares over n). A constant column becomes 0.
    Standardise,
    /// The training range moved to 0 … 1; for 8-bit numbers a division by 255. A constant column
    /// becomes 0.
    UnitRange,
}

/// What becomes of missing values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// They are a mistake.
    #[default]
    Refuse,
    /// The training mean takes their place; for categories, their training frequencies.
    Mean,
    /// They stay `NaN` for the model to fill in by expectation-maximisation, which only PCA can.
    Em,
}

/// How rows were prepared for a model: everything needed to prepare others, and to go back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preparation {
    /// What was asked for, with `auto` replaced by what it stood for.
    config: PrepareConfig,
    input_dim: usize,
    image: Option<ImageShape>,
    bounds: Option<(f64, f64)>,
    /// The columns of the source; empty where they have no names.
    columns: Vec<Column>,
    /// One number per prepared column.
    shift: Vec<f64>,
    /// One number per prepared column.
    scale: Vec<f64>,
    /// What replaces a missing value, before it is scaled: one number per prepared column, or
    /// nothing where missing values are not replaced.
    fill: Vec<f64>,
    /// For each column, the training index of each category of another table; see `check`.
    #[serde(skip)]
    renumbered: Vec<Vec<usize>>,
}

impl Preparation {
    /// Learns from the training rows what `config` asks for: in one pass, or in none where nothing
    /// has to be learned. The result does not depend on the number of threads.
    ///
    /// # Errors
    /// If there are no rows, a value is infinite or not allowed to be missing, a column that has to
    /// be scaled has no values or too large ones, or the source cannot be read.
    pub fn fit(dataset: &Dataset, config: &PrepareConfig) -> Result<Self> {
        let block_rows = BLOCK / dataset.rows.dim().max(1);
        Self::fit_by_blocks(dataset, config, block_rows.clamp(1, 1024))
    }

    fn fit_by_blocks(dataset: &Dataset, config: &PrepareConfig, block_rows: usize) -> Result<Self> {
        if dataset.rows.rows() == 0 || dataset.rows.dim() == 0 {
            return Err(Error::mistake(
                format!("prepare {}", dataset.name),
                "at least one row and one column",
                format!("{} rows of {} columns", dataset.rows.rows(), dataset.rows.dim()),
                "give data that is not empty",
            ));
        }
        let mut fitted = Self::unfitted(dataset, config);
        let scale = fitted.config.scale;
        let bytes = scale == Scale::UnitRange && fitted.bounds.is_some();
        if config.missing == Missing::Mean || (scale != Scale::None && !bytes) {
            let summary = fitted.summarise(dataset, block_rows)?;
            fitted.learn(&summary, bytes, &dataset.name)?;
        }
        if bytes {
            fitted.scale.fill(255.0);
        }
        Ok(fitted)
    }

    /// A preparation that only makes categories one-hot and, if asked for, norms rows.
    fn unfitted(dataset: &Dataset, config: &PrepareConfig) -> Self {
        let eight_bit = dataset.element == Element::U8;
        let scale = match (config.scale, dataset.element) {
            (Scale::Auto, Element::U8) if !config.row_norm => Scale::UnitRange,
            (Scale::Auto, Element::Text) => Scale::Standardise,
            (Scale::Auto, _) => Scale::None,
            (asked, _) => asked,
        };
        let bounds = match (scale, config.row_norm) {
            (Scale::None, true) | (Scale::UnitRange, false) if eight_bit => Some((0.0, 1.0)),
            (Scale::None, false) if eight_bit => Some((0.0, 255.0)),
            _ => None,
        };
        let input_dim = dataset.rows.dim();
        let output_dim = output_dim(input_dim, &dataset.columns);
        Self {
            config: PrepareConfig { scale, ..config.clone() },
            input_dim,
            image: dataset.image,
            bounds,
            columns: dataset.columns.clone(),
            shift: vec![0.0; output_dim],
            scale: vec![1.0; output_dim],
            fill: Vec::new(),
            renumbered: Vec::new(),
        }
    }

    /// Mean, spread and range of every prepared column before it is scaled.
    fn summarise(&self, dataset: &Dataset, block_rows: usize) -> Result<Vec<Group>> {
        let (rows, dim) = (dataset.rows.rows(), self.input_dim);
        let mut groups = Group::cover(self.output_dim());
        let mut raw = vec![0.0_f64; block_rows.min(rows) * dim];
        let mut prepared = vec![0.0_f64; block_rows.min(rows) * self.output_dim()];
        for start in (0..rows).step_by(block_rows) {
            let count = block_rows.min(rows - start);
            let (raw, prepared) =
                (&mut raw[..count * dim], &mut prepared[..count * self.output_dim()]);
            dataset.rows.read_f64(start, raw)?;
            // Nothing is learned yet: this makes one-hot, norms rows and refuses bad values.
            self.prepare(raw, start, prepared)?;
            groups.par_iter_mut().for_each(|group| group.add(prepared, self.shift.len()));
        }
        Ok(groups)
    }

    /// Turns the summary into `fill` and, unless `fixed`, into `shift` and `scale`.
    fn learn(&mut self, summary: &[Group], fixed: bool, name: &str) -> Result<()> {
        let numeric = self.numeric();
        for (output, column) in summary.iter().flat_map(Group::columns).enumerate() {
            if column.count == 0.0 {
                return Err(Error::mistake(
                    format!("prepare {name}"),
                    "at least one value in every column",
                    format!("only missing values in {}", self.place(self.input_of(output))),
                    "leave the column out",
                ));
            }
            if self.config.missing == Missing::Mean {
                self.fill.push(column.mean);
            }
            let (shift, scale) = match self.config.scale {
                _ if fixed => continue,
                Scale::Centre => (column.mean, 1.0),
                Scale::Standardise if numeric[output] => (column.mean, column.deviation()),
                Scale::UnitRange if numeric[output] => (column.least, column.most - column.least),
                _ => (0.0, 1.0),
            };
            if !(shift.is_finite() && scale.is_finite()) {
                return Err(Error::mistake(
                    format!("prepare {name}"),
                    "values whose squares and differences are finite",
                    format!("larger ones in {}", self.place(self.input_of(output))),
                    "divide the column by a large number first",
                ));
            }
            let constant = column.least == column.most || scale == 0.0;
            self.shift[output] = shift;
            self.scale[output] = if constant { 1.0 } else { scale };
        }
        Ok(())
    }

    /// Whether the rows of `dataset` can go through this preparation, and with which one: itself
    /// or, where the categories of a table are numbered differently, a copy that finds them by
    /// name.
    ///
    /// # Errors
    /// If the number of columns, the size of the pictures, the names of the columns or their order
    /// differ from the training data, or there is a category that the training data did not have.
    pub fn check(&self, dataset: &Dataset) -> Result<Cow<'_, Self>> {
        self.check_itself()?;
        let differs = |(expected, got): (String, String)| {
            let remedy = "give data laid out like the data the model was fitted on";
            Error::mistake(format!("prepare {}", dataset.name), expected, got, remedy)
        };
        if dataset.rows.dim() != self.input_dim {
            let expected = format!("{} columns, which the model was fitted on,", self.input_dim);
            return Err(differs((expected, format!("{} columns", dataset.rows.dim()))));
        }
        if let (Some(mine), Some(theirs)) = (self.image, dataset.image)
            && mine != theirs
        {
            let show = |i: ImageShape| format!("{} × {} × {}", i.height, i.width, i.channels);
            return Err(differs((format!("pictures of {}", show(mine)), show(theirs))));
        }
        let indices = (0..dataset.columns.len()).map(|at| self.match_column(at, &dataset.columns));
        let renumbered: Vec<Vec<usize>> =
            indices.collect::<std::result::Result<_, _>>().map_err(differs)?;
        if renumbered.iter().all(|indices| indices.iter().copied().eq(0..indices.len())) {
            return Ok(Cow::Borrowed(self));
        }
        Ok(Cow::Owned(Self { renumbered, ..self.clone() }))
    }

    /// The training index of every category of column `at` of another table, or what was expected
    /// of the column and what it is instead.
    fn match_column(
        &self,
        at: usize,
        theirs: &[Column],
    ) -> std::result::Result<Vec<usize>, (String, String)> {
        let (mine, column) = (self.columns.get(at), &theirs[at]);
        if let Some(mine) = mine
            && mine.name != column.name
        {
            let moved = theirs.iter().position(|other| other.name == mine.name);
            let moved = moved.map_or(String::new(), |to| {
                format!(" (`{}` is column {} here)", mine.name, to + 1)
            });
            let expected = format!("column {} to be `{}`", at + 1, mine.name);
            return Err((expected, format!("`{}`{moved}", column.name)));
        }
        let known = mine.map_or(&[][..], |mine| &mine.categories);
        if known.is_empty() != column.categories.is_empty() {
            let kind = |none: bool| if none { "numbers" } else { "categories" };
            let expected = format!("{} in {}", kind(known.is_empty()), self.place(at));
            return Err((expected, kind(column.categories.is_empty()).into()));
        }
        let find = |name: &String| {
            known.iter().position(|known| known == name).ok_or_else(|| {
                let place = self.place(at);
                let expected = format!("the categories {} in {place}", known.join(", "));
                (expected, format!("`{name}` as well"))
            })
        };
        column.categories.iter().map(find).collect()
    }

    /// Refuses a plan whose parts do not fit together, which only a damaged file can hold.
    fn check_itself(&self) -> Result<()> {
        let output_dim = output_dim(self.input_dim, &self.columns);
        let lengths = [self.shift.len(), self.scale.len()];
        if lengths == [output_dim; 2] && [0, output_dim].contains(&self.fill.len()) {
            return Ok(());
        }
        Err(Error::mistake(
            "read the preparation of the model",
            format!("{output_dim} numbers each in `shift` and `scale`"),
            format!("{} and {}", lengths[0], lengths[1]),
            "restore the file that the model was saved with",
        ))
    }

    /// Columns of the source.
    pub fn input_dim(&self) -> usize {
        self.input_dim
    }

    /// Columns of a prepared row.
    pub fn output_dim(&self) -> usize {
        self.shift.len()
    }

    /// What was asked for, with `auto` replaced by what it stood for.
    pub fn config(&self) -> &PrepareConfig {
        &self.config
    }

    /// The columns of the training table; empty where they have no names.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The lowest and the highest value that a prepared number can have, where the source bounds
    /// it: 8-bit numbers whose columns are all scaled alike.
    pub fn bounds(&self) -> Option<(f64, f64)> {
        self.bounds
    }

    /// The size of the pictures, where rows are pictures.
    pub fn image(&self) -> Option<ImageShape> {
        self.image
    }

    /// Whether rows pass unchanged.
    pub fn is_identity(&self) -> bool {
        !self.config.row_norm
            && !self.has_categories()
            && self.fill.is_empty()
            && matches!(self.scaling::<f64>(), Scaling::Uniform(1.0))
    }

    /// Prepares whole rows: `raw` is `(n, input_dim)` in the units of the source, `out` is
    /// `(n, output_dim)`. `row0` is the index of the first row, for messages.
    ///
    /// # Errors
    /// If a value is infinite, missing and refused, or no category; the first place is named.
    ///
    /// # Panics
    /// If `raw` and `out` do not hold the same number of whole rows: the caller's mistake.
    pub fn prepare<T: Real>(&self, raw: &[T], row0: usize, out: &mut [T]) -> Result<()> {
        same_rows(raw, self.input_dim, out, self.output_dim());
        if !self.has_categories() {
            out.copy_from_slice(raw);
            return self.prepare_in_place(out, row0);
        }
        let scaling = self.scaling();
        each_row(out, self.output_dim(), |index, out| {
            let raw = &raw[index * self.input_dim..][..self.input_dim];
            let whole = self.admit(raw, row0 + index)?;
            self.expand(raw, row0 + index, out)?;
            self.settle(out, whole, scaling);
            Ok(())
        })
    }

    /// As [`Preparation::prepare`] where there are no categories: rows keep their width.
    fn prepare_in_place<T: Real>(&self, values: &mut [T], row0: usize) -> Result<()> {
        let scaling = self.scaling();
        each_row(values, self.input_dim, |index, row| {
            let whole = self.admit(row, row0 + index)?;
            if self.config.row_norm {
                let length = self.length(row);
                row.iter_mut().for_each(|x| *x = T::from_f64(x.to_f64() / length));
            }
            self.settle(row, whole, scaling);
            Ok(())
        })
    }

    /// Goes back to the units of the source: `prepared` is `(n, output_dim)`, `out` is
    /// `(n, input_dim)`. One-hot columns become the index of the largest. Where rows were divided
    /// by their length, they keep length 1: see [`Preparation::invert_with_norms`].
    ///
    /// # Panics
    /// If `prepared` and `out` do not hold the same number of whole rows: the caller's mistake.
    pub fn invert<T: Real>(&self, prepared: &[T], out: &mut [T]) {
        self.invert_scaled(prepared, |_| 1.0, out);
    }

    /// As [`Preparation::invert`], with the length that each row had: `norms` is `(n)`.
    ///
    /// # Panics
    /// If the three do not hold the same number of rows: the caller's mistake.
    pub fn invert_with_norms<T: Real>(&self, prepared: &[T], norms: &[T], out: &mut [T]) {
        same_rows(norms, 1, out, self.input_dim);
        self.invert_scaled(prepared, |row| norms[row].to_f64(), out);
    }

    /// The number that each row is divided by, 1 where rows are not normed: `raw` is
    /// `(n, input_dim)` in the units of the source, `out` is `(n)`.
    ///
    /// # Panics
    /// If the two do not hold the same number of rows: the caller's mistake.
    pub fn row_norms<T: Real>(&self, raw: &[T], out: &mut [T]) {
        same_rows(raw, self.input_dim, out, 1);
        for (raw, out) in raw.chunks_exact(self.input_dim).zip(out) {
            *out = if self.config.row_norm { T::from_f64(self.length(raw)) } else { T::ONE };
        }
    }

    /// The Euclidean length of the numeric values that are present; 1 where it is 0.
    fn length<T: Real>(&self, raw: &[T]) -> f64 {
        let square = |x: f64| if x.is_nan() { 0.0 } else { x * x };
        let categorical = |index| self.columns.get(index).is_some_and(is_categorical);
        let squares = raw.iter().enumerate().filter(|&(index, _)| !categorical(index));
        let length = squares.map(|(_, x)| square(x.to_f64())).sum::<f64>().sqrt();
        if length == 0.0 { 1.0 } else { length }
    }

    /// Refuses infinite and, if they are not allowed, missing values. Says whether none is missing.
    fn admit<T: Real>(&self, raw: &[T], row: usize) -> Result<bool> {
        // x · 0 is 0 for numbers and NaN for everything else; no early exit, to run at full width.
        if !raw.iter().fold(false, |odd, &x| odd | (x * T::ZERO != T::ZERO)) {
            return Ok(true);
        }
        for (column, x) in raw.iter().enumerate() {
            let place = || format!("row {}, {}", row + 1, self.place(column));
            if x.to_f64().is_infinite() {
                let got = format!("{:?} in {}", x, place());
                let remedy = "correct the value, or leave the row out";
                return Err(Error::mistake("prepare rows", "finite numbers", got, remedy));
            }
            if x.to_f64().is_nan() && self.config.missing == Missing::Refuse {
                let got = format!("a missing value (NaN) in {}", place());
                let remedy = "give `--missing mean` or, for PCA, `--missing em`";
                return Err(Error::mistake("prepare rows", "a number", got, remedy));
            }
        }
        Ok(false)
    }

    /// Makes categories one-hot and norms the numbers beside them.
    fn expand<T: Real>(&self, raw: &[T], row: usize, out: &mut [T]) -> Result<()> {
        let length = if self.config.row_norm { self.length(raw) } else { 1.0 };
        let mut rest = out;
        for (index, (column, &value)) in self.columns.iter().zip(raw).enumerate() {
            let (out, after) = rest.split_at_mut(width(column));
            rest = after;
            if !is_categorical(column) {
                out[0] = T::from_f64(value.to_f64() / length);
            } else if value.to_f64().is_nan() {
                out.fill(value);
            } else {
                out.fill(T::ZERO);
                out[self.category(index, value.to_f64(), row)?] = T::ONE;
            }
        }
        Ok(())
    }

    /// The training index of a category that the source gives as `value`.
    fn category(&self, column: usize, value: f64, row: usize) -> Result<usize> {
        let training = self.columns[column].categories.len();
        let theirs = self.renumbered.get(column);
        let known = theirs.map_or(training, Vec::len);
        if value < 0.0 || value.fract() != 0.0 || value >= known as f64 {
            return Err(Error::mistake(
                "prepare rows",
                format!("the index of one of {known} categories"),
                format!("{value} in row {}, {}", row + 1, self.place(column)),
                "give the table with the same columns as in training",
            ));
        }
        Ok(theirs.map_or(value as usize, |theirs| theirs[value as usize]))
    }

    /// Fills in what is missing, then scales.
    fn settle<T: Real>(&self, row: &mut [T], whole: bool, scaling: Scaling<T>) {
        if !whole {
            for (x, &fill) in row.iter_mut().zip(&self.fill) {
                if x.to_f64().is_nan() {
                    *x = T::from_f64(fill);
                }
            }
        }
        match scaling {
            Scaling::Uniform(one) if one == T::ONE => {}
            Scaling::Uniform(scale) => row.iter_mut().for_each(|x| *x = *x / scale),
            Scaling::ByColumn => {
                for ((x, shift), scale) in row.iter_mut().zip(&self.shift).zip(&self.scale) {
                    *x = T::from_f64((x.to_f64() - shift) / scale);
                }
            }
        }
    }

    fn invert_scaled<T: Real>(
        &self,
        prepared: &[T],
        norm: impl Fn(usize) -> f64 + Sync,
        out: &mut [T],
    ) {
        same_rows(prepared, self.output_dim(), out, self.input_dim);
        let categorical = self.has_categories();
        let scaling = self.scaling();
        let inverted = each_row(out, self.input_dim, |index, out| {
            let row = &prepared[index * self.output_dim()..][..self.output_dim()];
            match scaling {
                _ if categorical => self.gather(row, norm(index), out),
                Scaling::Uniform(scale) if !self.config.row_norm => {
                    out.iter_mut().zip(row).for_each(|(out, &y)| *out = y * scale);
                }
                _ => {
                    let norm = norm(index);
                    let plan = self.shift.iter().zip(&self.scale);
                    for ((out, y), (shift, scale)) in out.iter_mut().zip(row).zip(plan) {
                        *out = T::from_f64((y.to_f64() * scale + shift) * norm);
                    }
                }
            }
            Ok(())
        });
        debug_assert!(inverted.is_ok(), "no row can fail");
    }

    /// Undoes the scaling and the one-hot columns of a row.
    fn gather<T: Real>(&self, row: &[T], norm: f64, out: &mut [T]) {
        let value = |at: usize| row[at].to_f64() * self.scale[at] + self.shift[at];
        let mut start = 0;
        for (column, out) in self.columns.iter().zip(out) {
            let end = start + width(column);
            let largest = |a, b| if value(b) > value(a) { b } else { a };
            *out = T::from_f64(match is_categorical(column) {
                true => ((start..end).reduce(largest).unwrap_or(start) - start) as f64,
                false => value(start) * norm,
            });
            start = end;
        }
    }

    fn has_categories(&self) -> bool {
        self.columns.iter().any(is_categorical)
    }

    /// For each prepared column, whether it is a number and not one of a category's one-hot.
    fn numeric(&self) -> Vec<bool> {
        match self.columns.len() {
            0 => vec![true; self.input_dim],
            _ => (self.columns.iter())
                .flat_map(|column| std::iter::repeat_n(!is_categorical(column), width(column)))
                .collect(),
        }
    }

    /// The column of the source that a prepared column comes from.
    fn input_of(&self, output: usize) -> usize {
        let ends = self.columns.iter().scan(0, |end, column| {
            *end += width(column);
            Some(*end)
        });
        if self.columns.is_empty() { output } else { ends.take_while(|&end| end <= output).count() }
    }

    /// A column of the source as a message calls it.
    fn place(&self, column: usize) -> String {
        match self.columns.get(column) {
            Some(named) if named.name != format!("column {}", column + 1) => {
                format!("column {} (`{}`)", column + 1, named.name)
            }
            _ => format!("column {}", column + 1),
        }
    }

    /// The cheapest arithmetic that scales exactly as `shift` and `scale` say.
    fn scaling<T: Real>(&self) -> Scaling<T> {
        let first = self.scale[0];
        let uniform =
            self.shift.iter().all(|&x| x == 0.0) && self.scale.iter().all(|&x| x == first);
        let exact = T::from_f64(first);
        if uniform && exact.to_f64() == first { Scaling::Uniform(exact) } else { Scaling::ByColumn }
    }
}

#[derive(Clone, Copy)]
enum Scaling<T> {
    /// Every column divided by the same number.
    Uniform(T),
    /// In f64, so that a large shift does not cost digits.
    ByColumn,
}

fn is_categorical(column: &Column) -> bool {
    !column.categories.is_empty()
}

/// Prepared columns of one column of the source.
fn width(column: &Column) -> usize {
    column.categories.len().max(1)
}

/// Prepared columns of a row of `input_dim` numbers, whose columns may have no names.
fn output_dim(input_dim: usize, columns: &[Column]) -> usize {
    if columns.is_empty() { input_dim } else { columns.iter().map(width).sum() }
}

fn same_rows<A, B>(a: &[A], a_width: usize, b: &[B], b_width: usize) {
    let whole = a.len().is_multiple_of(a_width) && b.len().is_multiple_of(b_width);
    assert!(
        whole && a.len() / a_width == b.len() / b_width,
        "{} numbers in rows of {a_width} and {} in rows of {b_width}",
        a.len(),
        b.len(),
    );
}

/// Calls `work` with every row and its index, on all threads if there is enough to do. The error
/// is that of the first row that fails, whichever thread comes to one first.
fn each_row<T: Real>(
    rows: &mut [T],
    width: usize,
    work: impl Fn(usize, &mut [T]) -> Result<()> + Sync,
) -> Result<()> {
    let piece = (PIECE / width).max(1);
    let one_piece = |(index, rows): (usize, &mut [T])| {
        let mut rows = rows.chunks_exact_mut(width).enumerate();
        rows.find_map(|(row, values)| work(index * piece + row, values).err())
    };
    let pieces = rows.len().div_ceil(piece * width);
    let failure = if pieces <= 2 {
        rows.chunks_mut(piece * width).enumerate().find_map(one_piece)
    } else {
        rows.par_chunks_mut(piece * width).enumerate().find_map_first(one_piece)
    };
    failure.map_or(Ok(()), Err)
}

/// Running mean, squared deviation and range of up to [`GROUP`] neighbouring columns.
///
/// Row by row after Welford (1962): with `δ = x − mean`, `mean += δ / n` and
/// `squares += δ · (x − mean)`. As stable as two passes, and the same bits for any block size.
/// Missing values are left out.
struct Group {
    start: usize,
    count: Vec<f64>,
    mean: Vec<f64>,
    squares: Vec<f64>,
    least: Vec<f64>,
    most: Vec<f64>,
}

/// The summary of one column.
struct Summary {
    count: f64,
    mean: f64,
    squares: f64,
    least: f64,
    most: f64,
}

impl Summary {
    fn deviation(&self) -> f64 {
        (self.squares / self.count).sqrt()
    }
}

impl Group {
    /// Empty groups for all columns of rows of `dim` numbers.
    fn cover(dim: usize) -> Vec<Self> {
        let group = |start: usize| {
            let all = |value| vec![value; GROUP.min(dim - start)];
            Self {
                start,
                count: all(0.0),
                mean: all(0.0),
                squares: all(0.0),
                least: all(f64::INFINITY),
                most: all(f64::NEG_INFINITY),
            }
        };
        (0..dim).step_by(GROUP).map(group).collect()
    }

    fn add(&mut self, rows: &[f64], dim: usize) {
        let columns = self.count.len();
        for row in rows.chunks_exact(dim) {
            let row = &row[self.start..][..columns];
            let moments = self.count.iter_mut().zip(&mut self.mean).zip(&mut self.squares);
            let ranges = self.least.iter_mut().zip(&mut self.most);
            for ((&x, ((count, mean), squares)), (least, most)) in
                row.iter().zip(moments).zip(ranges)
            {
                // Without branches, so that columns go side by side through the vector unit.
                let present = !x.is_nan();
                *count += f64::from(u8::from(present));
                let delta = if present { x - *mean } else { 0.0 };
                *mean += delta / if *count == 0.0 { 1.0 } else { *count };
                *squares += if present { delta * (x - *mean) } else { 0.0 };
                *least = if x < *least { x } else { *least };
                *most = if x > *most { x } else { *most };
            }
        }
    }

    fn columns(&self) -> impl Iterator<Item = Summary> + '_ {
        (0..self.count.len()).map(|column| Summary {
            count: self.count[column],
            mean: self.mean[column],
            squares: self.squares[column],
            least: self.least[column],
            most: self.most[column],
        })
    }
}

/// A source whose rows are prepared as they are read.
pub struct Prepared<'a> {
    /// Rows in the units of the data.
    pub source: &'a dyn Source,
    /// What is done to them; for a set other than the training set, what
    /// [`Preparation::check`] returned.
    pub preparation: &'a Preparation,
}

impl Prepared<'_> {
    fn read<T: ReadRows>(&self, start: usize, out: &mut [T]) -> Result<()> {
        let preparation = self.preparation;
        if !preparation.has_categories() {
            T::read_rows(self.source, start, out)?;
            return preparation.prepare_in_place(out, start);
        }
        let rows = out.len() / preparation.output_dim();
        let mut raw = vec![T::ZERO; rows * preparation.input_dim()];
        T::read_rows(self.source, start, &mut raw)?;
        preparation.prepare(&raw, start, out)
    }
}

impl Source for Prepared<'_> {
    fn rows(&self) -> usize {
        self.source.rows()
    }
    fn dim(&self) -> usize {
        self.preparation.output_dim()
    }
    fn precision(&self) -> Precision {
        self.source.precision()
    }
    fn read_f32(&self, start: usize, out: &mut [f32]) -> Result<()> {
        self.read(start, out)
    }
    fn read_f64(&self, start: usize, out: &mut [f64]) -> Result<()> {
        self.read(start, out)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use ndarray::{Array2, array};
    use proptest::prelude::*;

    /// Rows in memory; `read` counts as a pass over the data.
    struct Held(Array2<f64>);

    impl Source for Held {
        fn rows(&self) -> usize {
            self.0.nrows()
        }
        fn dim(&self) -> usize {
            self.0.ncols()
        }
        fn precision(&self) -> Precision {
            Precision::F64
        }
        fn read_f32(&self, start: usize, out: &mut [f32]) -> Result<()> {
            self.0.view().read_f32(start, out)
        }
        fn read_f64(&self, start: usize, out: &mut [f64]) -> Result<()> {
            self.0.view().read_f64(start, out)
        }
    }

    /// A source that must not be read.
    struct Untouchable;

    impl Source for Untouchable {
        fn rows(&self) -> usize {
            5
        }
        fn dim(&self) -> usize {
            3
        }
        fn precision(&self) -> Precision {
            Precision::F32
        }
        fn read_f32(&self, _: usize, _: &mut [f32]) -> Result<()> {
            panic!("there is nothing to learn from the rows")
        }
        fn read_f64(&self, _: usize, _: &mut [f64]) -> Result<()> {
            panic!("there is nothing to learn from the rows")
        }
    }

    fn dataset(rows: impl Source + 'static, element: Element, columns: Vec<Column>) -> Dataset {
        Dataset {
            name: "set".into(),
            rows: Box::new(rows),
            element,
            image: None,
            labels: None,
            columns,
            row_names: vec![],
            content_hash: String::new(),
        }
    }

    fn numbers(rows: &Array2<f64>) -> Dataset {
        dataset(Held(rows.clone()), Element::F64, vec![])
    }

    fn column(name: &str, categories: &[&str]) -> Column {
        let categories = categories.iter().map(|&name| name.into()).collect();
        Column { name: name.into(), categories }
    }

    /// Columns: age (a number), colour (3 categories), weight (a number).
    fn table(rows: &Array2<f64>) -> Dataset {
        let colour = column("colour", &["blue", "green", "red"]);
        let columns = vec![column("age", &[]), colour, column("weight", &[])];
        dataset(Held(rows.clone()), Element::Text, columns)
    }

    fn config(scale: Scale) -> PrepareConfig {
        PrepareConfig { scale, ..PrepareConfig::default() }
    }

    fn filled(scale: Scale) -> PrepareConfig {
        PrepareConfig { missing: Missing::Mean, ..config(scale) }
    }

    fn prepared(preparation: &Preparation, source: &dyn Source) -> Array2<f64> {
        let rows = Prepared { source, preparation };
        let mut out = Array2::zeros((rows.rows(), rows.dim()));
        rows.read_f64(0, out.as_slice_mut().unwrap()).unwrap();
        out
    }

    fn fit_and_prepare(dataset: &Dataset, config: &PrepareConfig) -> Array2<f64> {
        prepared(&Preparation::fit(dataset, config).unwrap(), &*dataset.rows)
    }

    fn message(result: Result<impl Sized>) -> String {
        result.err().expect("a mistake").to_string()
    }

    #[test]
    fn standardise_divides_by_the_population_deviation() {
        // Mean 5 and deviation 2 (a textbook set); mean 1 and deviation sqrt(1/2).
        let x = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0];
        let y = [0.0, 2.0, 1.0, 1.0, 0.0, 2.0, 1.0, 1.0];
        let rows = Array2::from_shape_fn((8, 2), |(i, j)| [x, y][j][i]);
        let out = fit_and_prepare(&numbers(&rows), &config(Scale::Standardise));
        for i in 0..8 {
            assert_eq!(out[[i, 0]], (x[i] - 5.0) / 2.0);
            assert!((out[[i, 1]] - (y[i] - 1.0) / 0.5_f64.sqrt()).abs() < 1e-15);
        }
    }

    #[test]
    fn a_large_mean_costs_no_digits() {
        let rows = Array2::from_shape_fn((10_000, 1), |(i, _)| 1e9 + (i % 2) as f64);
        let fitted = Preparation::fit(&numbers(&rows), &config(Scale::Standardise)).unwrap();
        assert!((fitted.shift[0] - (1e9 + 0.5)).abs() < 1e-6);
        assert!((fitted.scale[0] - 0.5).abs() < 1e-9, "{}", fitted.scale[0]);
        // In f32 too: the shift is not rounded to f32 before it is subtracted.
        let fitted = Preparation { shift: vec![16_777_216.5], ..fitted };
        let mut out = [0.0_f32];
        fitted.prepare(&[16_777_216.0_f32], 0, &mut out).unwrap();
        assert!((out[0] + 1.0).abs() < 1e-6, "{}", out[0]);
    }

    #[test]
    fn centre_and_unit_range() {
        let rows = array![[1.0, 10.0], [2.0, 30.0], [6.0, 20.0]];
        let centred = fit_and_prepare(&numbers(&rows), &config(Scale::Centre));
        assert_eq!(centred, array![[-2.0, -10.0], [-1.0, 10.0], [3.0, 0.0]]);
        let ranged = fit_and_prepare(&numbers(&rows), &config(Scale::UnitRange));
        assert_eq!(ranged, array![[0.0, 0.0], [0.2, 1.0], [1.0, 0.5]]);
    }

    #[test]
    fn a_constant_column_becomes_zero_and_comes_back() {
        let rows = Array2::from_shape_fn((7, 2), |(i, j)| if j == 0 { 0.1 } else { i as f64 });
        for scale in [Scale::Centre, Scale::Standardise, Scale::UnitRange] {
            let fitted = Preparation::fit(&numbers(&rows), &config(scale)).unwrap();
            let out = prepared(&fitted, &rows.view());
            assert!(out.column(0).iter().all(|&x| x == 0.0), "{scale:?}");
            let mut back = rows.clone();
            back.fill(f64::NAN);
            fitted.invert(out.as_slice().unwrap(), back.as_slice_mut().unwrap());
            assert!(back.column(0).iter().all(|&x| x == 0.1), "{scale:?}");
        }
    }

    #[test]
    fn bytes_are_divided_by_255_without_a_pass_and_come_back_exactly() {
        let set = dataset(Untouchable, Element::U8, vec![]);
        for scale in [Scale::Auto, Scale::UnitRange] {
            let fitted = Preparation::fit(&set, &config(scale)).unwrap();
            assert_eq!(fitted.bounds(), Some((0.0, 1.0)));
            let raw: Vec<f32> = (0..258).map(|x| x.min(255) as f32).collect();
            let mut out = vec![0.0; raw.len()];
            fitted.prepare(&raw, 0, &mut out).unwrap();
            assert!(raw.iter().zip(&out).all(|(x, y)| *y == x / 255.0));
            let mut back = vec![0.0; raw.len()];
            fitted.invert(&out, &mut back);
            assert_eq!(back, raw);
        }
    }

    #[test]
    fn what_has_no_need_of_the_rows_does_not_read_them() {
        for element in [Element::F32, Element::F64, Element::Integer] {
            let set = dataset(Untouchable, element, vec![]);
            let fitted = Preparation::fit(&set, &PrepareConfig::default()).unwrap();
            assert!(fitted.is_identity());
            assert_eq!(fitted.bounds(), None);
        }
        let set = dataset(Untouchable, Element::U8, vec![]);
        let none = Preparation::fit(&set, &config(Scale::None)).unwrap();
        assert_eq!(none.bounds(), Some((0.0, 255.0)));
    }

    #[test]
    fn auto_standardises_tables() {
        let rows = array![[1.0, 0.0, 5.0], [3.0, 2.0, 9.0]];
        let set = table(&rows);
        let auto = Preparation::fit(&set, &PrepareConfig::default()).unwrap();
        assert_eq!(auto, Preparation::fit(&set, &config(Scale::Standardise)).unwrap());
        assert_eq!(auto.config().scale, Scale::Standardise);
    }

    #[test]
    fn categories_become_one_hot_and_come_back() {
        let rows = array![[1.0, 0.0, 5.0], [3.0, 2.0, 9.0], [5.0, 2.0, 7.0], [3.0, 2.0, 7.0]];
        let set = table(&rows);
        let one_hot = array![
            [1.0, 1.0, 0.0, 0.0, 5.0],
            [3.0, 0.0, 0.0, 1.0, 9.0],
            [5.0, 0.0, 0.0, 1.0, 7.0],
            [3.0, 0.0, 0.0, 1.0, 7.0]
        ];
        assert_eq!(fit_and_prepare(&set, &config(Scale::None)), one_hot);
        let standard = fit_and_prepare(&set, &config(Scale::Standardise));
        assert_eq!(standard.row(0).to_vec()[1..4], [1.0, 0.0, 0.0]);
        assert!((standard[[0, 0]] + 2.0_f64.sqrt()).abs() < 1e-15);
        let centred = fit_and_prepare(&set, &config(Scale::Centre));
        assert_eq!(centred.row(0).to_vec(), [-2.0, 0.75, 0.0, -0.75, -2.0]);
        for scale in [Scale::None, Scale::Centre, Scale::Standardise, Scale::UnitRange] {
            let fitted = Preparation::fit(&set, &config(scale)).unwrap();
            let mut back = Array2::zeros(rows.dim());
            let out = prepared(&fitted, &rows.view());
            fitted.invert(out.as_slice().unwrap(), back.as_slice_mut().unwrap());
            assert!((&back - &rows).iter().all(|d| d.abs() < 1e-14), "{scale:?}: {back}");
        }
    }

    #[test]
    fn missing_values_take_the_training_mean() {
        let nan = f64::NAN;
        let rows = array![[1.0, 0.0, 5.0], [nan, 2.0, 9.0], [5.0, nan, nan], [3.0, 2.0, 7.0]];
        let out = fit_and_prepare(&table(&rows), &filled(Scale::None));
        assert_eq!(out.row(1).to_vec(), [3.0, 0.0, 0.0, 1.0, 9.0]);
        let third = 1.0 / 3.0;
        for (got, want) in out.row(2).iter().zip([5.0, third, 0.0, 2.0 * third, 7.0]) {
            assert!((got - want).abs() < 1e-15, "{got} {want}");
        }
        let standard = fit_and_prepare(&table(&rows), &filled(Scale::Standardise));
        assert_eq!((standard[[1, 0]], standard[[2, 4]]), (0.0, 0.0));
    }

    #[test]
    fn em_leaves_missing_values_to_the_model() {
        let rows = array![[1.0, f64::NAN], [3.0, 4.0], [5.0, 8.0]];
        let em = PrepareConfig { missing: Missing::Em, ..config(Scale::Centre) };
        let out = fit_and_prepare(&numbers(&rows), &em);
        assert!(out[[0, 1]].is_nan());
        assert_eq!((out[[0, 0]], out[[1, 1]], out[[2, 1]]), (-2.0, -2.0, 2.0));
    }

    #[test]
    fn rows_are_divided_by_their_length_and_come_back() {
        let rows = array![[3.0, 4.0], [0.0, 0.0], [-6.0, 8.0]];
        let normed = PrepareConfig { row_norm: true, ..config(Scale::None) };
        let fitted = Preparation::fit(&numbers(&rows), &normed).unwrap();
        let out = prepared(&fitted, &rows.view());
        assert_eq!(out, array![[0.6, 0.8], [0.0, 0.0], [-0.6, 0.8]]);
        let mut norms = [0.0; 3];
        fitted.row_norms(rows.as_slice().unwrap(), &mut norms);
        assert_eq!(norms, [5.0, 1.0, 10.0]);
        let mut back = Array2::zeros((3, 2));
        let (flat, back_flat) = (out.as_slice().unwrap(), back.as_slice_mut().unwrap());
        fitted.invert_with_norms(flat, &norms, back_flat);
        assert!((&back - &rows).iter().all(|d| d.abs() < 1e-14), "{back}");
    }

    #[test]
    fn row_norm_leaves_categories_alone() {
        let rows = array![[3.0, 2.0, 4.0], [6.0, 0.0, 8.0]];
        let normed = PrepareConfig { row_norm: true, ..config(Scale::None) };
        let out = fit_and_prepare(&table(&rows), &normed);
        assert_eq!(out, array![[0.6, 0.0, 0.0, 1.0, 0.8], [0.6, 1.0, 0.0, 0.0, 0.8]]);
    }

    #[test]
    fn the_first_bad_value_is_named() {
        // Large enough to be worked on by several threads.
        let mut rows = Array2::<f64>::zeros((3000, 100));
        rows[[2900, 7]] = f64::NAN;
        rows[[1234, 56]] = f64::NAN;
        rows[[1234, 57]] = f64::INFINITY;
        let set = numbers(&rows);
        let standardise = config(Scale::Standardise);
        assert_eq!(
            message(Preparation::fit(&set, &standardise)),
            "prepare rows: expected a number but got a missing value (NaN) in row 1235, column 57; \
             give `--missing mean` or, for PCA, `--missing em`"
        );
        assert_eq!(
            message(Preparation::fit(&set, &filled(Scale::Standardise))),
            "prepare rows: expected finite numbers but got inf in row 1235, column 58; \
             correct the value, or leave the row out"
        );
        let identity = Preparation::fit(&set, &config(Scale::None)).unwrap();
        let mut out = vec![0.0; rows.len()];
        let refused = identity.prepare(rows.as_slice().unwrap(), 10_000, &mut out);
        assert!(message(refused).contains("row 11235, column 57"));
        let named = table(&array![[1.0, 1.0, f64::NAN]]);
        let refused = Preparation::fit(&named, &config(Scale::Auto));
        assert!(message(refused).contains("row 1, column 3 (`weight`)"));
    }

    #[test]
    fn sets_without_values_are_refused() {
        let empty = numbers(&Array2::zeros((0, 4)));
        assert!(message(Preparation::fit(&empty, &config(Scale::None))).contains("0 rows of 4"));
        let rows = array![[1.0, 1.0, f64::NAN], [1.0, 0.0, f64::NAN]];
        let refused = message(Preparation::fit(&table(&rows), &filled(Scale::None)));
        assert!(refused.contains("only missing values in column 3 (`weight`)"), "{refused}");
        let huge = array![[1e200], [-1e200]];
        let refused = message(Preparation::fit(&numbers(&huge), &config(Scale::Standardise)));
        assert!(refused.contains("larger ones in column 1"), "{refused}");
    }

    #[test]
    fn other_tables_are_compared_with_the_training_table() {
        let rows = array![[1.0, 0.0, 5.0], [3.0, 2.0, 9.0]];
        let fitted = Preparation::fit(&table(&rows), &config(Scale::Standardise)).unwrap();
        assert!(matches!(fitted.check(&table(&rows)).unwrap(), Cow::Borrowed(_)));
        let with = |columns: Vec<Column>| {
            let set = dataset(Held(rows.clone()), Element::Text, columns);
            message(fitted.check(&set))
        };
        let (age, weight) = (column("age", &[]), column("weight", &[]));
        let colour = column("colour", &["blue", "red"]);
        assert!(
            with(vec![weight.clone(), colour.clone(), age.clone()]).contains(
                "expected column 1 to be `age` but got `weight` (`age` is column 3 here)"
            )
        );
        let pink = column("colour", &["blue", "pink"]);
        assert!(with(vec![age.clone(), pink, weight.clone()]).contains(
            "expected the categories blue, green, red in column 2 (`colour`) but got `pink` as well"
        ));
        let number = column("colour", &[]);
        assert!(
            with(vec![age.clone(), number, weight])
                .contains("expected categories in column 2 (`colour`) but got numbers")
        );
        assert!(
            message(fitted.check(&numbers(&array![[1.0]])))
                .contains("expected 3 columns, which the model was fitted on, but got 1 columns")
        );
    }

    #[test]
    fn categories_are_found_by_name() {
        let rows = array![[1.0, 0.0, 5.0], [3.0, 2.0, 9.0]];
        let fitted = Preparation::fit(&table(&rows), &config(Scale::None)).unwrap();
        let colour = column("colour", &["green", "red"]);
        let columns = vec![column("age", &[]), colour, column("weight", &[])];
        let other = array![[7.0, 1.0, 8.0], [7.0, 0.0, 8.0]];
        let other = dataset(Held(other), Element::Text, columns);
        let out = prepared(&fitted.check(&other).unwrap(), &*other.rows);
        assert_eq!(out, array![[7.0, 0.0, 0.0, 1.0, 8.0], [7.0, 0.0, 1.0, 0.0, 8.0]]);
        let unknown = array![[7.0, 3.0, 8.0]];
        let mut out = vec![0.0; 5];
        let refused = fitted.prepare(unknown.as_slice().unwrap(), 0, &mut out);
        assert!(message(refused).contains("the index of one of 3 categories but got 3 in row 1"));
    }

    #[test]
    fn a_damaged_plan_is_refused() {
        let rows = array![[1.0, 2.0], [3.0, 4.0]];
        let fitted = Preparation::fit(&numbers(&rows), &config(Scale::Centre)).unwrap();
        let mut json = serde_json::to_value(&fitted).unwrap();
        json["shift"] = serde_json::json!([1.0]);
        let damaged: Preparation = serde_json::from_value(json).unwrap();
        assert!(message(damaged.check(&numbers(&rows))).contains("2 numbers each"));
    }

    #[test]
    fn the_plan_is_kept_as_text() {
        let rows = array![[1.0, 0.0, 5.0], [3.0, 2.0, 9.25]];
        let fitted = Preparation::fit(&table(&rows), &filled(Scale::Standardise)).unwrap();
        let text = serde_json::to_string(&fitted).unwrap();
        assert!(text.contains(r#""scale":"standardise""#), "{text}");
        assert_eq!(serde_json::from_str::<Preparation>(&text).unwrap(), fitted);
        let config: PrepareConfig = serde_json::from_str(r#"{"scale":"unit_range"}"#).unwrap();
        assert_eq!(config, super::tests::config(Scale::UnitRange));
        assert!(serde_json::from_str::<PrepareConfig>(r#"{"scall":"none"}"#).is_err());
    }

    #[test]
    #[ignore = "needs the feature `float_roundtrip` of serde_json"]
    fn kept_numbers_keep_their_last_bit() {
        let rows = Array2::from_shape_fn((3, 500), |(i, j)| ((i * 500 + j) as f64).sqrt());
        let fitted = Preparation::fit(&numbers(&rows), &config(Scale::Standardise)).unwrap();
        let text = serde_json::to_string(&fitted).unwrap();
        assert_eq!(serde_json::from_str::<Preparation>(&text).unwrap(), fitted);
    }

    #[test]
    fn neither_blocks_nor_threads_change_a_bit() {
        let mut rows = Array2::from_shape_fn((997, 130), |(i, j)| {
            ((i * 7919 + j * 104_729) % 1013) as f64 / 7.0 + 1e6 * j as f64
        });
        rows[[13, 2]] = f64::NAN;
        let set = numbers(&rows);
        let fit =
            |block| Preparation::fit_by_blocks(&set, &filled(Scale::Standardise), block).unwrap();
        let reference = fit(1024);
        for block in [1, 2, 63, 500, 997] {
            assert_eq!(fit(block), reference, "blocks of {block}");
        }
        let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(one_thread.install(|| fit(100)), reference);
    }

    proptest! {
        #[test]
        fn invert_undoes_prepare(
            values in prop::collection::vec(-1e4..1e4_f64, 12),
            offset in -1e5..1e5_f64,
            scale in prop::sample::select(vec![
                Scale::Auto, Scale::None, Scale::Centre, Scale::Standardise, Scale::UnitRange,
            ]),
            row_norm: bool,
        ) {
            let mut rows = Array2::from_shape_vec((4, 3), values).unwrap() + offset;
            rows.column_mut(1).mapv_inplace(|x| x.abs() % 3.0);
            rows.column_mut(1).mapv_inplace(f64::floor);
            let set = table(&rows);
            let fitted = Preparation::fit(&set, &PrepareConfig { row_norm, ..config(scale) })?;
            let out = prepared(&fitted, &*set.rows);
            let (mut norms, mut back) = (vec![0.0; 4], Array2::zeros((4, 3)));
            fitted.row_norms(rows.as_slice().unwrap(), &mut norms);
            let flat = back.as_slice_mut().unwrap();
            fitted.invert_with_norms(out.as_slice().unwrap(), &norms, flat);
            for (got, want) in back.iter().zip(&rows) {
                // Rounding is relative to the largest number in play.
                prop_assert!((got - want).abs() <= 1e-10 * (1.0 + offset.abs() / 1e4), "{got} {want}");
            }
        }
    }
}
