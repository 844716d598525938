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

mod check;
mod rows;
mod summary;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::{Column, Dataset, Element, ImageShape, Precision, ReadRows, Source};
use crate::error::{Error, Result};
use summary::Summaries;

/// The size of a block of training rows, in numbers.
const BLOCK: usize = 1 << 20;

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

    /// Rows of `dim` numbers as they are.
    pub fn none(dim: usize) -> Self {
        Self {
            config: PrepareConfig { scale: Scale::None, ..PrepareConfig::default() },
            input_dim: dim,
            image: None,
            bounds: None,
            columns: Vec::new(),
            shift: vec![0.0; dim],
            scale: vec![1.0; dim],
            fill: Vec::new(),
            renumbered: Vec::new(),
        }
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
            let summaries = fitted.summarise(dataset, block_rows)?;
            fitted.learn(&summaries, bytes, &dataset.name)?;
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
    fn summarise(&self, dataset: &Dataset, block_rows: usize) -> Result<Summaries> {
        let (rows, dim) = (dataset.rows.rows(), self.input_dim);
        let mut summaries = Summaries::new(self.output_dim());
        let mut raw = vec![0.0_f64; block_rows.min(rows) * dim];
        let mut prepared = vec![0.0_f64; block_rows.min(rows) * self.output_dim()];
        for start in (0..rows).step_by(block_rows) {
            let count = block_rows.min(rows - start);
            let (raw, prepared) =
                (&mut raw[..count * dim], &mut prepared[..count * self.output_dim()]);
            dataset.rows.read_f64(start, raw)?;
            // Nothing is learned yet: this makes one-hot, norms rows and refuses bad values.
            self.prepare(raw, start, prepared)?;
            summaries.add(prepared);
        }
        Ok(summaries)
    }

    /// Turns the summaries into `fill` and, unless `fixed`, into `shift` and `scale`.
    fn learn(&mut self, summaries: &Summaries, fixed: bool, name: &str) -> Result<()> {
        let numeric = self.numeric();
        for (output, column) in summaries.columns().enumerate() {
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

    /// What each prepared column is: the column's name, or for categories `name = category`; empty
    /// where columns have no names.
    pub fn column_names(&self) -> Vec<String> {
        let names = self.columns.iter().flat_map(|column| match is_categorical(column) {
            true => {
                let name = |category| format!("{} = {category}", column.name);
                column.categories.iter().map(name).collect()
            }
            false => vec![column.name.clone()],
        });
        names.collect()
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

    /// Whether all prepared columns are shifted and scaled by the same numbers.
    pub fn scales_alike(&self) -> bool {
        let alike = |numbers: &[f64]| numbers.windows(2).all(|pair| pair[0] == pair[1]);
        alike(&self.shift) && alike(&self.scale)
    }

    /// Whether rows pass unchanged.
    pub fn is_identity(&self) -> bool {
        let unscaled = self.shift.iter().all(|&x| x == 0.0) && self.scale.iter().all(|&x| x == 1.0);
        unscaled && !self.config.row_norm && !self.has_categories() && self.fill.is_empty()
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
    fn mark_filled(&self, start: usize, out: &mut [bool]) -> Result<bool> {
        let preparation = self.preparation;
        if preparation.config.missing != Missing::Mean {
            return Ok(false);
        }
        let rows = out.len() / preparation.output_dim();
        let mut raw = vec![0.0_f64; rows * preparation.input_dim()];
        self.source.read_f64(start, &mut raw)?;
        let widths: Vec<usize> = match preparation.columns.is_empty() {
            true => vec![1; preparation.input_dim()],
            false => preparation.columns.iter().map(width).collect(),
        };
        let values = raw.iter().zip(widths.iter().cycle());
        let marks = values.flat_map(|(value, &width)| std::iter::repeat_n(value.is_nan(), width));
        out.iter_mut().zip(marks).for_each(|(out, mark)| *out = mark);
        Ok(out.contains(&true))
    }
}
