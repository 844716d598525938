//! How well labels are predicted.
//!
//! ```text
//! accuracy          share of the rows whose most probable class is their own
//! cross-entropy     −1/n · Σᵢ ln p_i,own, in nats
//! confusion C_kl    rows of class k that are taken for class l; error of class k: 1 − C_kk / Σ_l C_kl
//!
//! squared error     1/n · Σᵢ (yᵢ − ŷᵢ)²      absolute error   1/n · Σᵢ |yᵢ − ŷᵢ|
//! R²                1 − Σᵢ (yᵢ − ŷᵢ)² / Σᵢ (yᵢ − ȳ)²
//! ```

use ndarray::{ArrayView1, ArrayView2};
use serde::{Deserialize, Serialize};

use crate::data::Labels;
use crate::error::{Error, Result};

/// How well classes are told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Classification {
    /// Rows that were measured.
    pub rows: usize,
    /// The share of them whose most probable class is their own.
    pub accuracy: f64,
    /// In nats per row.
    pub cross_entropy: f64,
    /// Each class by itself.
    pub classes: Vec<ClassScore>,
    /// `confusion[k][l]`: rows of class k that are taken for class l.
    pub confusion: Vec<Vec<usize>>,
}

/// How well one class is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassScore {
    /// Its name.
    pub name: String,
    /// Rows of it.
    pub rows: usize,
    /// The share of them that is taken for another class; `None` where there are none.
    pub error: Option<f64>,
}

/// How well a number is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Regression {
    /// Rows that were measured.
    pub rows: usize,
    /// Mean squared error, in squared units of the number.
    pub squared_error: f64,
    /// Mean absolute error.
    pub absolute_error: f64,
    /// R²; `None` where the number does not vary.
    pub r_squared: Option<f64>,
}

impl Classification {
    /// Measures probabilities `(n, classes)` against the classes that the rows have.
    pub fn new(probabilities: ArrayView2<'_, f64>, names: &[String], truth: &[usize]) -> Self {
        let count = names.len();
        let mut confusion = vec![vec![0; count]; count];
        let mut nats = 0.0;
        for (row, &own) in probabilities.outer_iter().zip(truth) {
            confusion[own][Self::most_probable(row)] += 1;
            nats -= row[own].max(f64::MIN_POSITIVE).ln();
        }
        let rows = truth.len();
        let right: usize = (0..count).map(|class| confusion[class][class]).sum();
        let classes = names.iter().zip(&confusion).enumerate().map(|(class, (name, taken))| {
            let rows: usize = taken.iter().sum();
            let error = (rows > 0).then(|| 1.0 - taken[class] as f64 / rows as f64);
            ClassScore { name: name.clone(), rows, error }
        });
        Self {
            rows,
            accuracy: right as f64 / rows as f64,
            cross_entropy: nats / rows as f64,
            classes: classes.collect(),
            confusion,
        }
    }

    /// The first of the most probable classes of a row, of probabilities or of their logits.
    pub fn most_probable<T: PartialOrd>(row: ArrayView1<'_, T>) -> usize {
        (1..row.len()).fold(0, |best, class| if row[class] > row[best] { class } else { best })
    }

    /// The class of each row as a place in `names`, where the labels were numbered by themselves.
    ///
    /// # Errors
    /// If a row has a class that is not among `names`.
    pub fn truth(names: &[String], labels: &Labels) -> Result<Vec<usize>> {
        let place = |name: &String| names.iter().position(|known| known == name);
        let places: Vec<Option<usize>> = labels.names.iter().map(place).collect();
        let of = |(row, &class): (usize, &usize)| {
            places[class].ok_or_else(|| {
                Error::mistake(
                    "measure predictions",
                    format!("the classes that the model knows ({})", listed(names)),
                    format!("'{}' in row {}", labels.names[class], row + 1),
                    "give labels of these classes, or leave those rows out",
                )
            })
        };
        labels.classes.iter().enumerate().map(of).collect()
    }
}

impl Regression {
    /// Measures numbers against those that the rows have.
    pub fn new(told: &[f64], truth: &[f64]) -> Self {
        let n = truth.len() as f64;
        let mean = truth.iter().sum::<f64>() / n;
        let total: f64 = truth.iter().map(|y| (y - mean) * (y - mean)).sum();
        let errors = || truth.iter().zip(told).map(|(y, told)| y - told);
        let squares: f64 = errors().map(|error| error * error).sum();
        Self {
            rows: truth.len(),
            squared_error: squares / n,
            absolute_error: errors().map(f64::abs).sum::<f64>() / n,
            r_squared: (total > 0.0).then(|| 1.0 - squares / total),
        }
    }
}

/// The names, but not more than a line of them.
fn listed(names: &[String]) -> String {
    const MOST: usize = 12;
    let shown = names.iter().take(MOST).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > MOST { format!("{shown}, … {} in all", names.len()) } else { shown }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn a_confusion_by_hand() {
        let probabilities =
            array![[0.7, 0.3, 0.0], [0.4, 0.6, 0.0], [0.1, 0.9, 0.0], [0.5, 0.5, 0.0]];
        let names = ["a", "b", "c"].map(String::from);
        let found = Classification::new(probabilities.view(), &names, &[0, 0, 1, 1]);
        assert_eq!(found.confusion, [vec![1, 1, 0], vec![1, 1, 0], vec![0, 0, 0]]);
        assert_eq!((found.rows, found.accuracy), (4, 0.5));
        let errors: Vec<_> = found.classes.iter().map(|class| class.error).collect();
        assert_eq!(errors, [Some(0.5), Some(0.5), None]);
        let nats = -(0.7_f64.ln() + 0.4_f64.ln() + 0.9_f64.ln() + 0.5_f64.ln()) / 4.0;
        assert!((found.cross_entropy - nats).abs() < 1e-15);
    }

    #[test]
    fn classes_are_found_by_name() {
        let names = ["ant", "bee", "cat"].map(String::from);
        let labels = Labels::of_names(&["cat", "bee", "cat"]);
        assert_eq!(Classification::truth(&names, &labels).expect("known"), [2, 1, 2]);
        let error = Classification::truth(&names, &Labels::of_names(&["bee", "dog"]));
        assert!(error.expect_err("unknown").to_string().contains("'dog' in row 2"));
    }

    #[test]
    fn a_regression_by_hand() {
        let found = Regression::new(&[1.0, 2.0, 5.0], &[1.0, 3.0, 5.0]);
        assert_eq!(found.squared_error, 1.0 / 3.0);
        assert_eq!(found.absolute_error, 1.0 / 3.0);
        assert_eq!(found.r_squared, Some(1.0 - 1.0 / 8.0));
        assert_eq!(Regression::new(&[1.0], &[1.0]).r_squared, None);
    }
}
