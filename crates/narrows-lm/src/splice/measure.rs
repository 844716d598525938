//! The pass over the text.

use narrows::compute::Matrix;
use narrows::{Error, Result};
use rayon::prelude::*;

use super::compare::compare;
use super::scores::{Beside, SpliceReport, Sums};
use crate::basis::Basis;
use crate::model::{LanguageModel, NoHook, Pass, Site, Tap, TextLoss};
use crate::text::Windows;

/// What stands in place of rows.
#[derive(Debug, Clone)]
pub enum Replacement {
    /// The rows themselves.
    Identity,
    /// Zero.
    Zero,
    /// Their mean.
    Mean,
    /// What features make of them.
    Features(Box<Basis>),
}

impl Replacement {
    /// What features make of rows.
    pub fn features(basis: Basis) -> Self {
        Self::Features(Box::new(basis))
    }

    fn name(&self) -> String {
        match self {
            Self::Identity => "identity".to_owned(),
            Self::Zero => "zero ablation".to_owned(),
            Self::Mean => "mean ablation".to_owned(),
            Self::Features(basis) => basis.name.clone(),
        }
    }

    fn count(&self) -> Option<usize> {
        match self {
            Self::Features(basis) => Some(basis.features()),
            _ => None,
        }
    }

    /// What stands in place of `rows`, and how many codes of each are not 0.
    fn of(&self, rows: &Matrix, mean: &[f32]) -> Result<(Matrix, Vec<usize>)> {
        let none = vec![0; rows.rows()];
        Ok(match self {
            Self::Identity => (rows.clone(), none),
            Self::Zero => (Matrix::zeros(rows.rows(), rows.cols()), none),
            Self::Mean => {
                let mut out = Matrix::zeros(rows.rows(), rows.cols());
                out.as_mut_slice().chunks_exact_mut(mean.len()).for_each(|row| {
                    row.copy_from_slice(mean);
                });
                (out, none)
            }
            Self::Features(basis) => {
                let codes = basis.encode(rows)?;
                let fired = |row| codes.row(row).1.iter().filter(|&&code| code != 0.0).count();
                let counts = (0..codes.rows()).map(fired).collect();
                (basis.rebuild(&codes, rows)?, counts)
            }
        })
    }
}

/// Where rows are replaced, and which.
pub struct Splice<'a> {
    /// The model.
    pub model: &'a LanguageModel,
    /// The place.
    pub tap: Tap,
    /// Whether rows of the token that begins a text are replaced too.
    pub begin: bool,
}

/// The mean of the rows that are replaced.
struct Own {
    rows: usize,
    left: usize,
    mean: Vec<f64>,
}

impl Splice<'_> {
    /// Replaces rows of a text in each of these ways.
    ///
    /// The text is read twice, 8 windows at a time: once up to the tap for the mean row, then once through the
    /// whole model; from the residual stream on, each replacement goes on from rows that were read once.
    /// Beside the model, memory holds one residual stream `(8·l, d)` for each replacement and three tiles of
    /// 4 million logits. `advance` is told the part that is done.
    ///
    /// # Errors
    /// If a replacement takes rows of another width, or the windows hold nothing to predict or to replace.
    pub fn measure(
        &self,
        windows: &Windows,
        replacements: &[Replacement],
        advance: &mut dyn FnMut(f64),
    ) -> Result<SpliceReport> {
        for replacement in replacements {
            if let Replacement::Features(basis) = replacement {
                self.check(basis)?;
            }
        }
        let own = self.own(windows)?;
        let mean: Vec<f32> = own.mean.iter().map(|&mean| mean as f32).collect();
        let ablations = [Replacement::Zero, Replacement::Mean];
        let all: Vec<&Replacement> = ablations.iter().chain(replacements).collect();
        let mut sums = vec![Sums::default(); all.len()];
        let (mut clean, mut spread, mut done) = (0.0, 0.0, 0);
        let (mut pass, mut last) = (Pass::default(), Matrix::default());
        let mut streams = vec![Matrix::default(); all.len()];
        for part in windows.parts() {
            let rows = self.read(&part, &mut pass)?;
            let left = self.left(&part);
            spread += squares(&rows, &left, |_, column| own.mean[column]);
            self.go_on(&part, &rows, &mut pass)?;
            std::mem::swap(&mut last, &mut pass.rows);
            for ((replacement, sums), stream) in all.iter().zip(&mut sums).zip(&mut streams) {
                let (mut other, fired) = replacement.of(&rows, &mean)?;
                put_back(&rows, &left, &mut other);
                sums.error +=
                    squares(&rows, &left, |row, column| f64::from(other.row(row)[column]));
                sums.codes += fired
                    .iter()
                    .zip(&left)
                    .filter(|(_, left)| !**left)
                    .map(|(n, _)| n)
                    .sum::<usize>();
                self.go_on(&part, &other, &mut pass)?;
                std::mem::swap(stream, &mut pass.rows);
            }
            clean += compare(self.model, &part, &last, &streams, &mut sums);
            done += part.sequences();
            advance(done as f64 / windows.sequences() as f64);
        }
        let predictions = windows.tokens.len() - windows.sequences();
        let of = |place: usize| sums[place].loss / predictions as f64;
        let beside = Beside {
            predictions,
            rows: own.rows,
            spread,
            clean: clean / predictions as f64,
            zero: of(0),
            mean: of(1),
        };
        let named = all.iter().zip(&sums);
        let mut found: Vec<_> = named
            .map(|(replacement, sums)| beside.scores(replacement.name(), replacement.count(), sums))
            .collect();
        let replacements = found.split_off(ablations.len());
        let [zero, mean] = found.try_into().map_err(|_| {
            Error::failure("splice", "the ablations were not measured", "report it")
        })?;
        Ok(SpliceReport {
            model: self.model.name.clone(),
            tap: self.tap.to_string(),
            rows: own.rows,
            rows_left: own.left,
            clean: TextLoss::of(clean, predictions),
            zero,
            mean,
            replacements,
        })
    }

    /// The first rows `(n, d)` of a text that would be replaced, at most `most`.
    ///
    /// # Errors
    /// None but those of a pass.
    pub fn rows(&self, windows: &Windows, most: usize) -> Result<Matrix> {
        let (mut found, mut pass) = (Vec::new(), Pass::default());
        let d = self.tap.width(&self.model.architecture);
        let numbers = most.saturating_mul(d);
        for part in windows.parts() {
            if found.len() >= numbers {
                break;
            }
            let rows = self.read(&part, &mut pass)?;
            let left = self.left(&part);
            let kept = left.iter().enumerate().filter(|(_, left)| !**left);
            kept.for_each(|(row, _)| found.extend_from_slice(rows.row(row)));
        }
        found.truncate(numbers);
        Matrix::from_rows(found.len() / d, d, found)
    }

    /// Refuses features of rows of another width than those at the tap.
    ///
    /// # Errors
    /// If they are.
    pub fn check(&self, basis: &Basis) -> Result<()> {
        let width = self.tap.width(&self.model.architecture);
        if basis.dim() == width {
            return Ok(());
        }
        Err(Error::mistake(
            "replace rows at a tap",
            format!("rows of {} columns, as '{}' takes them", basis.dim(), basis.name),
            format!("{width} at {} of '{}'", self.tap, self.model.name),
            "give the tap and the model that it was trained on",
        ))
    }

    fn own(&self, windows: &Windows) -> Result<Own> {
        if windows.sequences() == 0 || windows.length < 2 {
            return Err(Error::mistake(
                "replace rows at a tap",
                "at least one window of 2 tokens",
                format!("{} of {}", windows.sequences(), windows.length),
                "give more text, or a larger --context",
            ));
        }
        let width = self.tap.width(&self.model.architecture);
        let mut own = Own { rows: 0, left: 0, mean: vec![0.0; width] };
        let mut pass = Pass::default();
        for part in windows.parts() {
            let rows = self.read(&part, &mut pass)?;
            for (row, left) in self.left(&part).into_iter().enumerate() {
                if left {
                    own.left += 1;
                    continue;
                }
                own.rows += 1;
                own.mean.iter_mut().zip(rows.row(row)).for_each(|(sum, &x)| *sum += f64::from(x));
            }
        }
        if own.rows == 0 {
            return Err(Error::mistake(
                "replace rows at a tap",
                "a token beside those that begin a text",
                "none",
                "give more text",
            ));
        }
        own.mean.iter_mut().for_each(|sum| *sum /= own.rows as f64);
        Ok(own)
    }

    /// Which rows stay as they are.
    fn left(&self, windows: &Windows) -> Vec<bool> {
        let begin = self.model.begin().filter(|_| !self.begin);
        windows.tokens.iter().map(|&token| Some(token) == begin).collect()
    }

    fn read(&self, windows: &Windows, pass: &mut Pass) -> Result<Matrix> {
        let mut found = Matrix::default();
        let keep = |rows: &mut Matrix| {
            found = rows.clone();
            Ok(())
        };
        self.model.run_to(windows, Some(self.tap), pass, &mut (self.tap, keep))?;
        Ok(found)
    }

    /// Leaves in `pass.rows` what the last block gives with `rows` at the tap.
    fn go_on(&self, windows: &Windows, rows: &Matrix, pass: &mut Pass) -> Result<()> {
        let first = match self.tap.site {
            Site::ResidualPre => self.tap.block,
            Site::ResidualPost => self.tap.block + 1,
            _ => {
                let put = |own: &mut Matrix| {
                    own.as_mut_slice().copy_from_slice(rows.as_slice());
                    Ok(())
                };
                return self.model.run(windows, pass, &mut (self.tap, put));
            }
        };
        pass.rows.reshape(rows.rows(), rows.cols());
        pass.rows.as_mut_slice().copy_from_slice(rows.as_slice());
        let layers = self.model.architecture.layers;
        self.model.run_blocks(first..layers, windows.length, pass, &mut NoHook)
    }
}

fn put_back(rows: &Matrix, left: &[bool], out: &mut Matrix) {
    let d = rows.cols();
    let places = left.iter().enumerate().filter(|(_, left)| **left);
    places.for_each(|(row, _)| {
        out.as_mut_slice()[row * d..(row + 1) * d].copy_from_slice(rows.row(row));
    });
}

/// `Σ‖x − y‖²` of the rows that are not left, y by row and column.
fn squares(rows: &Matrix, left: &[bool], other: impl Fn(usize, usize) -> f64 + Sync) -> f64 {
    let of_row = |row: usize| -> f64 {
        if left[row] {
            return 0.0;
        }
        let columns = rows.row(row).iter().enumerate();
        columns.map(|(column, &x)| (f64::from(x) - other(row, column)).powi(2)).sum()
    };
    let sums: Vec<f64> = (0..rows.rows()).into_par_iter().with_min_len(64).map(of_row).collect();
    sums.iter().sum()
}
