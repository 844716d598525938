//! Whether a few latents tell the classes of rows: k-sparse probes.
//!
//! ```text
//! for each class against the rest, on the rows to learn from:
//!   the k columns with the largest |mean over the class − mean over the rest|
//!   brought to mean 0 and standard deviation 1;  logistic regression with ½‖w‖² (C = 1)
//! on the rows kept back:  accuracy, and F1 = 2·TP/(2·TP + FP + FN) of the class, 0 where not defined
//! ```
//!
//! Both are averaged over the classes, each counting the same. Beside k latents stand k columns of the
//! rows themselves, and all of them: what a dictionary should beat, and about the most it can keep.
//!
//! Source: W. Gurnee et al., Finding neurons in a haystack: case studies with sparse probing (2023); A.
//! Karvonen et al., `SAEBench` (2025): k = 1, 2, 5.
//! Differs from: `SAEBench` takes as many rows of the class as of the rest, here all; it does not
//! standardise, so that its penalty depends on the scale of the codes.

use ndarray::{Array2, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::logistic::Logistic;
use crate::compute::{Matrix, SparseRows};
use crate::error::{Error, Result};
use crate::random::Random;

/// How many columns a probe sees.
const SIZES: [usize; 3] = [1, 2, 5];
/// ½‖w‖² beside the sum over rows: C = 1.
const PENALTY: f64 = 1.0;

/// How well probes tell classes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probes {
    /// Rows to learn from.
    pub train_rows: usize,
    /// Rows kept back, on which all figures are measured.
    pub test_rows: usize,
    /// Classes that were told from the rest.
    pub classes: usize,
    /// What always answering what is more frequent would give, averaged over the classes.
    pub majority_accuracy: f64,
    /// On k latents.
    pub latents: Vec<Probe>,
    /// On k columns of the rows.
    pub columns: Vec<Probe>,
    /// On all columns of the rows.
    pub all_columns: Probe,
}

/// How well probes of one size tell classes, averaged over them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// Columns k that a probe sees.
    pub k: usize,
    /// Share of the rows that are told rightly.
    pub accuracy: f64,
    /// F1 of the class.
    pub f1: f64,
}

impl Probes {
    /// Learns on four fifths of the rows, drawn by `seed`, and measures on the rest: rows `(n, d)`, their
    /// codes `(n, m)` and their classes.
    ///
    /// A class that is missing among either, or is all there is, is left out.
    ///
    /// # Errors
    /// If the counts of rows differ or no class can be told from a rest.
    pub fn measure(
        rows: &Matrix,
        codes: &SparseRows,
        classes: &[usize],
        seed: u64,
    ) -> Result<Self> {
        let count = rows.rows();
        if codes.rows() != count || classes.len() != count {
            let got = format!("{count} rows, {} codes, {} classes", codes.rows(), classes.len());
            let expected = "a code and a class for each row";
            return Err(Error::mistake("probe", expected, got, "give labels of these rows"));
        }
        let mut order = Random::stream(seed, "rows of probes").permutation(count);
        let test = order.split_off(count * 4 / 5);
        Self::on_split(rows, codes, classes, [&order, &test])
    }

    fn on_split(
        rows: &Matrix,
        codes: &SparseRows,
        classes: &[usize],
        places: [&[usize]; 2],
    ) -> Result<Self> {
        let class_count = classes.iter().max().map_or(0, |&last| last + 1);
        let of = |class: usize| {
            places.map(|places| places.iter().map(|&place| classes[place] == class).collect())
        };
        let tasks: Vec<Task> = (0..class_count)
            .map(|class| Task { own: of(class) })
            .filter(|task: &Task| {
                task.own.iter().all(|own| own.contains(&true) && own.contains(&false))
            })
            .collect();
        if tasks.is_empty() {
            return Err(Error::mistake(
                "probe",
                "two classes with rows to learn from and to measure on",
                format!("{class_count} classes in {} rows", classes.len()),
                "give more rows",
            ));
        }
        let of_codes = Columns { places, value: &|row, column| code(codes, row, column) };
        let of_rows = Columns { places, value: &|row, column| f64::from(rows.row(row)[column]) };
        let code_gaps = gaps(&tasks, places[0], codes.cols(), &|row, add| {
            let (latents, values) = codes.row(row);
            latents.iter().zip(values).for_each(|(&latent, &z)| add(latent as usize, f64::from(z)));
        });
        let row_gaps = gaps(&tasks, places[0], rows.cols(), &|row, add| {
            rows.row(row).iter().enumerate().for_each(|(column, &x)| add(column, f64::from(x)));
        });
        let of_sizes = |columns: &Columns<'_>, gaps: &[Vec<f64>]| {
            let size = |&k: &usize| columns.probe(&tasks, |task| largest(&gaps[task], k), k);
            SIZES.iter().map(size).collect()
        };
        let all: Vec<usize> = (0..rows.cols()).collect();
        let majority = tasks.iter().map(|task| {
            let own = task.own[1].iter().filter(|own| **own).count();
            own.max(task.own[1].len() - own) as f64 / task.own[1].len() as f64
        });
        Ok(Self {
            train_rows: places[0].len(),
            test_rows: places[1].len(),
            classes: tasks.len(),
            majority_accuracy: majority.sum::<f64>() / tasks.len() as f64,
            latents: of_sizes(&of_codes, &code_gaps),
            columns: of_sizes(&of_rows, &row_gaps),
            all_columns: of_rows.probe(&tasks, |_| all.clone(), rows.cols()),
        })
    }
}

/// One class against the rest: which rows are its own, to learn from and to measure on.
struct Task {
    own: [Vec<bool>; 2],
}

/// Columns of rows or of codes.
struct Columns<'a> {
    places: [&'a [usize]; 2],
    value: &'a (dyn Fn(usize, usize) -> f64 + Sync),
}

impl Columns<'_> {
    /// Fits a probe for each class on its columns; the averages over the classes.
    fn probe(
        &self,
        tasks: &[Task],
        columns: impl Fn(usize) -> Vec<usize> + Sync,
        k: usize,
    ) -> Probe {
        let scores: Vec<[f64; 2]> = tasks
            .par_iter()
            .enumerate()
            .map(|(index, task)| {
                let columns = columns(index);
                let [mut train, mut test] = self.places.map(|places| {
                    Array2::from_shape_fn((places.len(), columns.len()), |(row, column)| {
                        (self.value)(places[row], columns[column])
                    })
                });
                standardise(&mut train, &mut test);
                let probe = Logistic::fit(train.view(), &task.own[0], PENALTY);
                judge(&probe.tells(test.view()), &task.own[1])
            })
            .collect();
        let mean = |which: usize| {
            scores.iter().map(|scores| scores[which]).sum::<f64>() / scores.len() as f64
        };
        Probe { k, accuracy: mean(0), f1: mean(1) }
    }
}

/// Hands the entries of a row, column and value, to what it is given.
type Entries<'a> = dyn Fn(usize, &mut dyn FnMut(usize, f64)) + Sync + 'a;

/// |mean over the class − mean over the rest| of each column, for each class.
fn gaps(tasks: &[Task], train: &[usize], columns: usize, entries: &Entries<'_>) -> Vec<Vec<f64>> {
    let of_task = |task: &Task| {
        let mut sums = [vec![0.0; columns], vec![0.0; columns]];
        for (&row, &own) in train.iter().zip(&task.own[0]) {
            let sums = &mut sums[usize::from(own)];
            entries(row, &mut |column, value| sums[column] += value);
        }
        let own = task.own[0].iter().filter(|own| **own).count() as f64;
        let rest = train.len() as f64 - own;
        let [of_rest, of_own] = sums;
        of_own.iter().zip(&of_rest).map(|(a, b)| (a / own - b / rest).abs()).collect()
    };
    tasks.par_iter().map(of_task).collect()
}

/// The places of the k largest, the first of equal ones.
fn largest(values: &[f64], k: usize) -> Vec<usize> {
    let mut places: Vec<usize> = (0..values.len()).collect();
    places.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    places.truncate(k);
    places
}

/// Brings columns to mean 0 and standard deviation 1, both by the rows to learn from; a constant column
/// becomes 0.
fn standardise(train: &mut Array2<f64>, test: &mut Array2<f64>) {
    let count = train.nrows() as f64;
    for (mut train, mut test) in train.axis_iter_mut(Axis(1)).zip(test.axis_iter_mut(Axis(1))) {
        let mean = train.sum() / count;
        let spread = (train.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count).sqrt();
        let scale = if spread > 0.0 { 1.0 / spread } else { 0.0 };
        train.mapv_inplace(|x| (x - mean) * scale);
        test.mapv_inplace(|x| (x - mean) * scale);
    }
}

/// Accuracy and F1.
fn judge(told: &[bool], own: &[bool]) -> [f64; 2] {
    let count = |wanted: (bool, bool)| {
        told.iter().zip(own).filter(|&(&told, &own)| (told, own) == wanted).count() as f64
    };
    let (both, false_alarm, missed) =
        (count((true, true)), count((true, false)), count((false, true)));
    let accuracy = 1.0 - (false_alarm + missed) / own.len() as f64;
    let f1 = if both > 0.0 { 2.0 * both / (2.0 * both + false_alarm + missed) } else { 0.0 };
    [accuracy, f1]
}

fn code(codes: &SparseRows, row: usize, latent: usize) -> f64 {
    let (latents, values) = codes.row(row);
    latents.binary_search(&(latent as u32)).map_or(0.0, |place| f64::from(values[place]))
}

#[cfg(test)]
mod tests;
