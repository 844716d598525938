//! What an encoder that saw all rows is worth where few rows have labels.
//!
//! For each number of labels and each seed, a stratified subset of the labelled rows teaches
//!
//! ```text
//! pre-trained   the encoder with a head, fine-tuned
//! scratch       the same layers from random weights, all of which learn
//! raw rows      logistic regression on the rows
//! PCA codes     logistic regression on PCA codes, whose components were fitted on all rows
//! ```
//!
//! and each is measured once on test rows. Logistic regression minimises cross-entropy + λ/2·‖W‖² with
//! the λ of least cross-entropy on a fifth of the labelled rows, then learns from all of them.
//!
//! The subset: of a class with n_k rows in random order the i-th (from 0) has the rank i/n_k; those of
//! least rank are taken. Every class has at least one, and else its share.

use std::ops::ControlFlow;

use ndarray::ArrayView1;
use serde::Serialize;

use super::{Epoch, Method, Schedule, Task, TrainOptions, Unfreezing, finetune, fit, one_hot};
use crate::compute::{Matrix, gather};
use crate::data::Labels;
use crate::error::{Error, Result};
use crate::evaluate::Classification;
use crate::model::Network;
use crate::objective::Loss;
use crate::random::Random;

/// The weights of L2 that logistic regression chooses from.
const PENALTIES: [f64; 5] = [0.0, 1e-4, 1e-3, 1e-2, 1e-1];
/// Labelled rows below which a fifth of them is no row.
const FEWEST: usize = 5;

/// What the labels are given to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// The encoder with a head.
    Pretrained,
    /// The same layers with random weights.
    Scratch,
    /// Logistic regression on the rows.
    RawRows,
    /// Logistic regression on PCA codes.
    PcaCodes,
}

impl Start {
    /// Every one of them.
    pub const ALL: [Self; 4] = [Self::Pretrained, Self::Scratch, Self::RawRows, Self::PcaCodes];
}

/// The study: encoders, rows, and how many of them have labels.
#[derive(Debug, Clone)]
pub struct FewLabels<'a> {
    /// The encoder that saw all rows.
    pub encoder: &'a Network,
    /// PCA of the same width, fitted on all rows, as one layer.
    pub pca: &'a Network,
    /// The rows `(n, d)`, with what is done to them while networks learn them.
    pub task: &'a Task<'a>,
    /// The class of each of them.
    pub labels: &'a Labels,
    /// Rows to measure on.
    pub test_rows: &'a Matrix,
    /// The class of each of them, as `labels` numbers classes.
    pub test_classes: &'a [usize],
    /// How many rows have labels, one study for each number.
    pub counts: &'a [usize],
    /// Seeds: 0, 1, … below this, added to that of `train`.
    pub seeds: usize,
    /// Which layers of the networks learn.
    pub unfreezing: Unfreezing,
    /// How the networks are trained; there are as many epochs more as it takes to make `least_steps`.
    pub train: TrainOptions,
    /// Fewer steps are not enough, however few the rows.
    pub least_steps: usize,
}

/// What came of one number of labels, one seed and one start.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// Rows with labels.
    pub labels: usize,
    /// The seed of the subset and of the training.
    pub seed: u64,
    /// What learned from them.
    pub start: Start,
    /// The share of the test rows whose class was told.
    pub accuracy: f64,
}

impl FewLabels<'_> {
    /// Runs the study; `tell` hears of each outcome as it comes.
    ///
    /// # Errors
    /// If there are fewer labels than classes or than 5, more than rows, a number of them twice, no
    /// seeds, or a training fails.
    pub fn run(&self, mut tell: impl FnMut(&Outcome)) -> Result<Vec<Outcome>> {
        self.check()?;
        let mut outcomes = Vec::new();
        let pca = self.pca.through(self.task.rows, 0..1);
        let pca_test = self.pca.through(self.test_rows, 0..1);
        for &labels in self.counts {
            for seed in 0..self.seeds as u64 {
                let seed = self.train.seed.wrapping_add(seed);
                let chosen = stratified(self.labels, labels, seed);
                let classes: Vec<usize> =
                    chosen.iter().map(|&row| self.labels.classes[row]).collect();
                let targets = one_hot(&classes, self.labels.names.len());
                for start in Start::ALL {
                    let (rows, test) = match start {
                        Start::PcaCodes => (&pca, &pca_test),
                        _ => (self.task.rows, self.test_rows),
                    };
                    let mut labelled = Matrix::zeros(labels, rows.cols());
                    gather(rows.view(), &chosen, &mut labelled);
                    let network = self.taught(start, &labelled, &targets, seed)?;
                    let accuracy = accuracy(&network, test, self.test_classes);
                    let outcome = Outcome { labels, seed, start, accuracy };
                    tell(&outcome);
                    outcomes.push(outcome);
                }
            }
        }
        Ok(outcomes)
    }

    fn taught(&self, start: Start, rows: &Matrix, targets: &Matrix, seed: u64) -> Result<Network> {
        let encoder = match start {
            Start::Pretrained => self.encoder.clone(),
            Start::Scratch => self.encoder.from_scratch(seed),
            Start::RawRows | Start::PcaCodes => return logistic(rows, targets, seed),
        };
        let unfreezing = match start {
            // Random layers that stay random would be no comparison.
            Start::Scratch => Unfreezing::Full,
            _ => self.unfreezing,
        };
        let mut network = encoder.with_head(targets.cols(), true, seed);
        let options = TrainOptions { seed, ..self.train.clone() };
        let options = options.with_least_steps(self.least_steps, rows.rows());
        let (targets, loss) = (Some(targets), Loss::SoftmaxCrossEntropy);
        let task = Task { rows, targets, loss, ..self.task.clone() };
        finetune(&mut network, &task, unfreezing, &options, None, &mut go_on)?;
        Ok(network)
    }

    fn check(&self) -> Result<()> {
        let (classes, rows) = (self.labels.names.len(), self.task.rows.rows());
        let least = classes.max(FEWEST);
        let bad = self.counts.iter().find(|&&count| count < least || count > rows);
        if let Some(count) = bad {
            return Err(Error::mistake(
                "study few labels",
                format!("from {least} labels ({classes} classes) to {rows}, the rows"),
                count.to_string(),
                "set --label-count",
            ));
        }
        let mut places = self.counts.iter().enumerate();
        if let Some((_, count)) = places.find(|(place, c)| self.counts[..*place].contains(c)) {
            return Err(Error::mistake(
                "study few labels",
                "each number of labels once",
                format!("{count} twice"),
                "set --label-count",
            ));
        }
        if self.seeds == 0 {
            return Err(Error::mistake("study few labels", "seeds", "none", "set --seeds"));
        }
        Ok(())
    }
}

fn go_on(_: &Epoch) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn classify<'a>(rows: &'a Matrix, targets: &'a Matrix) -> Task<'a> {
    Task { targets: Some(targets), loss: Loss::SoftmaxCrossEntropy, ..Task::reconstruct(rows) }
}

/// `count` rows in which every class has its share, in rising order.
fn stratified(labels: &Labels, count: usize, seed: u64) -> Vec<usize> {
    let mut of_class = vec![Vec::new(); labels.names.len()];
    labels.classes.iter().enumerate().for_each(|(row, &class)| of_class[class].push(row));
    let mut ranked: Vec<(f64, usize)> = Vec::with_capacity(labels.classes.len());
    for (class, mut rows) in of_class.into_iter().enumerate() {
        Random::numbered(seed, "labels", &[class as u64]).shuffle(&mut rows);
        let size = rows.len() as f64;
        ranked.extend(rows.into_iter().enumerate().map(|(i, row)| (i as f64 / size, row)));
    }
    ranked.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut chosen: Vec<usize> = ranked.into_iter().take(count).map(|(_, row)| row).collect();
    chosen.sort_unstable();
    chosen
}

/// Logistic regression with the L2 that suits.
fn logistic(rows: &Matrix, targets: &Matrix, seed: u64) -> Result<Network> {
    let learn = |penalty: f64, validation: f64| {
        let options = TrainOptions {
            optimizer: Method::Adam,
            learning_rate: 1e-2,
            // The step adds λW to the gradient: the derivative of λ/2·‖W‖².
            weight_decay: penalty,
            batch_size: 1000,
            epochs: 30,
            schedule: Schedule::Cosine,
            validation,
            seed,
            ..TrainOptions::network()
        };
        let options = options.with_least_steps(2000, rows.rows());
        let mut head = Network::only_head(rows.cols(), targets.cols(), true, seed);
        let history = fit(&mut head, &classify(rows, targets), &options, None, &mut go_on)?;
        Ok((head, history.last().and_then(|last| last.validation).unwrap_or(f64::INFINITY)))
    };
    let mut best = (f64::INFINITY, 0.0);
    for penalty in PENALTIES {
        let (_, loss) = learn(penalty, 0.2)?;
        if loss < best.0 {
            best = (loss, penalty);
        }
    }
    Ok(learn(best.1, 0.0)?.0)
}

fn accuracy(network: &Network, rows: &Matrix, classes: &[usize]) -> f64 {
    let outputs = network.through(rows, 0..network.layers().len());
    let rows = outputs.as_slice().chunks_exact(outputs.cols());
    let told = rows.map(|row| Classification::most_probable(ArrayView1::from(row)));
    told.zip(classes).filter(|(told, class)| told == *class).count() as f64 / classes.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_its_share_and_none_is_left_out() {
        let names: Vec<String> = (0..200)
            .map(|row| ["a", "b", "b", "b"][row % 4].to_owned())
            .chain(["c".to_owned()])
            .collect();
        let labels = Labels::of_names(&names);
        let chosen = stratified(&labels, 40, 3);
        let mut counts = [0; 3];
        chosen.iter().for_each(|&row| counts[labels.classes[row]] += 1);
        assert_eq!((counts.iter().sum::<usize>(), counts[2]), (40, 1));
        assert!(counts[0].abs_diff(10) <= 1 && counts[1].abs_diff(29) <= 1, "{counts:?}");
        assert!(chosen.windows(2).all(|pair| pair[0] < pair[1]));
        assert_ne!(chosen, stratified(&labels, 40, 4));
    }
}
