//! What a model is to learn: rows, targets, loss, corruption and penalty, and one pass over some of
//! them.

use rayon::prelude::*;

use super::Augmentation;
use crate::compute::{Matrix, gather};
use crate::model::{Draw, Pass, Trainable};
use crate::objective::{Corruption, Loss, Objective, Sparsity, SparsityState};
use crate::random::Random;

/// Rows that pass through the model at a time where rows are independent: a larger batch is summed
/// from several such pieces, so that what a pass keeps stays small.
const PIECE: usize = 1024;

/// What a model is to learn.
#[derive(Debug, Clone)]
pub struct Task<'a> {
    /// The rows `(n, d)`.
    pub rows: &'a Matrix,
    /// What is to come out `(n, outputs)`; the rows themselves if `None`.
    pub targets: Option<&'a Matrix>,
    /// How far the output is from the target.
    pub loss: Loss,
    /// Noise on the input.
    pub corruption: Corruption,
    /// The weights α and β of corrupted and of clean components in the loss; `None`: all 1.
    pub emphasis: Option<[f64; 2]>,
    /// The range of the rows, for noise.
    pub range: (f64, f64),
    /// The penalty on the code.
    pub sparsity: Sparsity,
    /// Small changes of pictures that keep what they show.
    pub augmentation: Option<Augmentation>,
}

impl<'a> Task<'a> {
    /// To give back the rows, in squared error.
    pub fn reconstruct(rows: &'a Matrix) -> Self {
        Self {
            rows,
            targets: None,
            loss: Loss::SquaredError,
            corruption: Corruption::None,
            emphasis: None,
            range: (0.0, 1.0),
            sparsity: Sparsity::None,
            augmentation: None,
        }
    }

    /// Columns of a target.
    pub(super) fn target_dim(&self) -> usize {
        self.targets.unwrap_or(self.rows).cols()
    }
}

/// The matrices of a pass over a batch, kept from batch to batch.
#[derive(Debug, Default)]
pub(super) struct Desk {
    clean: Matrix,
    input: Matrix,
    target: Matrix,
    weights: Matrix,
    pass: Pass,
}

/// Value of loss and penalty, each the mean over the rows of a batch.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Value {
    pub(super) loss: f64,
    pub(super) penalty: f64,
}

impl Desk {
    /// One step's worth: the value over the rows `chosen`, and its derivatives in `gradients`.
    /// `epoch` names the noise.
    pub(super) fn learn(
        &mut self,
        model: &mut dyn Trainable,
        task: &Task<'_>,
        chosen: &[usize],
        (draw, epoch): (Draw, usize),
        state: &mut SparsityState,
        gradients: &mut [Vec<f32>],
    ) -> Value {
        let whole = task.sparsity.joins_rows() || !model.rows_are_independent();
        let size = if whole { chosen.len() } else { PIECE };
        let mut value = Value::default();
        let mut keep = 0.0;
        for (number, piece) in chosen.chunks(size.max(1)).enumerate() {
            self.fetch(task, piece, Some((draw.seed, epoch as u64)));
            self.pass.draw = Draw { first: (number * size) as u64, ..draw };
            let Self { clean, input, pass, .. } = &mut *self;
            let input = if input.rows() > 0 { &*input } else { &*clean };
            model.forward(input, pass);
            let mut by_code = std::mem::take(&mut pass.code_gradient);
            let penalty = penalise(task.sparsity, &*model, pass, state, &mut by_code);
            pass.code_gradient = by_code;
            let loss = self.compare(task, true);
            let Self { clean, input, pass, .. } = &mut *self;
            let input = if input.rows() > 0 { &*input } else { &*clean };
            let share = piece.len() as f64 / chosen.len() as f64;
            value.loss += loss * share;
            value.penalty += penalty * share;
            model.backward(input, keep, share as f32, pass, gradients);
            keep = 1.0;
        }
        value
    }

    /// The loss over the rows `chosen` as the model is used: clean input, no dropout.
    pub(super) fn judge(
        &mut self,
        model: &dyn Trainable,
        task: &Task<'_>,
        chosen: &[usize],
    ) -> f64 {
        let mut sum = 0.0;
        for piece in chosen.chunks(PIECE) {
            self.fetch(task, piece, None);
            self.pass.output = model.judge(&self.clean);
            sum += self.compare(task, false) * piece.len() as f64;
        }
        sum / chosen.len().max(1) as f64
    }

    /// Brings rows, corrupted input, targets and weights of the loss; clean where `noise` is `None`.
    fn fetch(&mut self, task: &Task<'_>, chosen: &[usize], noise: Option<(u64, u64)>) {
        let dim = task.rows.cols();
        self.clean.reshape(chosen.len(), dim);
        gather(task.rows.view(), chosen, &mut self.clean);
        if let Some(targets) = task.targets {
            self.target.reshape(chosen.len(), targets.cols());
            gather(targets.view(), chosen, &mut self.target);
        }
        self.input.reshape(0, dim);
        self.weights.reshape(0, dim);
        let Some((seed, epoch)) = noise else { return };
        if let Some(augmentation) = &task.augmentation {
            self.augment(augmentation, chosen, seed, epoch);
        }
        if task.corruption != Corruption::None {
            self.corrupt(task, chosen, seed, epoch);
        }
    }

    /// Changes pictures a little: those that are to come out, or copies of them.
    fn augment(&mut self, augmentation: &Augmentation, chosen: &[usize], seed: u64, epoch: u64) {
        let changed = match augmentation.options.undo {
            true => self.copied(),
            false => &mut self.clean,
        };
        let dim = changed.cols();
        let rows = changed.as_mut_slice().par_chunks_mut(dim.max(1)).zip(chosen);
        rows.for_each_with(Vec::new(), |room, (row, &place)| {
            let mut random = Random::numbered(seed, "augmentation", &[epoch, place as u64]);
            augmentation.apply(row, room, &mut random);
        });
    }

    /// The input, which is a copy of the clean rows where it was none.
    fn copied(&mut self) -> &mut Matrix {
        if self.input.rows() == 0 {
            self.input.reshape(self.clean.rows(), self.clean.cols());
            self.input.as_mut_slice().copy_from_slice(self.clean.as_slice());
        }
        &mut self.input
    }

    /// Puts noise on a copy of the clean rows, and weights on what it touched where that counts.
    fn corrupt(&mut self, task: &Task<'_>, chosen: &[usize], seed: u64, epoch: u64) {
        let dim = self.copied().cols();
        let rows = self.input.as_mut_slice().par_chunks_mut(dim.max(1)).zip(chosen);
        let noise = |row: &mut [f32], place: usize, touched: &mut dyn FnMut(usize)| {
            let mut random = Random::numbered(seed, "corruption", &[epoch, place as u64]);
            task.corruption.apply(row, task.range, &mut random, touched);
        };
        let Some(emphasis) = task.emphasis else {
            return rows.for_each(|(row, &place)| noise(row, place, &mut |_| {}));
        };
        let [corrupted, clean] = emphasis.map(|weight| weight as f32);
        self.weights.reshape(chosen.len(), dim);
        self.weights.as_mut_slice().fill(clean);
        let weights = self.weights.as_mut_slice().par_chunks_mut(dim.max(1));
        rows.zip(weights).for_each(|((row, &place), weights)| {
            noise(row, place, &mut |column| weights[column] = corrupted);
        });
    }

    fn compare(&mut self, task: &Task<'_>, weighted: bool) -> f64 {
        let target = if task.targets.is_some() { &self.target } else { &self.clean };
        let Pass { output, gradient, .. } = &mut self.pass;
        gradient.reshape(output.rows(), output.cols());
        let weights = Some(&self.weights).filter(|weights| weighted && weights.rows() > 0);
        task.loss.evaluate(target, output, weights, gradient)
    }
}

/// The penalty on the code of a pass; its derivative has no rows where there is none.
fn penalise(
    sparsity: Sparsity,
    model: &dyn Trainable,
    pass: &Pass,
    state: &mut SparsityState,
    by_code: &mut Matrix,
) -> f64 {
    if sparsity == Sparsity::None {
        by_code.reshape(0, 0);
        return 0.0;
    }
    let (activation, code) = model.code(pass);
    sparsity.evaluate(activation, code, state, by_code)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::data::ImageShape;
    use crate::train::AugmentationOptions;

    const SHAPE: ImageShape = ImageShape { height: 8, width: 8, channels: 1 };

    fn desk(rows: &Matrix, undo: bool, corruption: Corruption) -> Desk {
        let options =
            AugmentationOptions { shift: 2.0, rotation: 20.0, undo, ..Default::default() };
        let augmentation = Some(Augmentation { shape: SHAPE, options });
        let task = Task { augmentation, corruption, ..Task::reconstruct(rows) };
        let mut desk = Desk::default();
        desk.fetch(&task, &[3, 0, 4], Some((7, 1)));
        desk
    }

    #[test]
    fn what_is_to_be_undone_is_done_to_the_input_alone() {
        let mut random = Random::stream(2, "pictures");
        let values = (0..5 * 64).map(|_| random.uniform() as f32).collect();
        let rows = Matrix::from_rows(5, 64, values).unwrap();
        let mut old = Matrix::zeros(3, 64);
        gather(rows.view(), &[3, 0, 4], &mut old);
        let changed = desk(&rows, false, Corruption::None);
        assert!(changed.clean != old && changed.input.rows() == 0);
        let undone = desk(&rows, true, Corruption::None);
        assert!(undone.clean == old && undone.input == changed.clean);

        let masking = Corruption::Masking { rate: 0.5 };
        let [changed, undone] = [false, true].map(|undo| desk(&rows, undo, masking));
        assert!(undone.clean == old && undone.input == changed.input);
        let masked = |place: usize| undone.input.as_slice()[place] == 0.0;
        assert!((0..3 * 64).filter(|&place| masked(place)).count() > 64);
    }
}
