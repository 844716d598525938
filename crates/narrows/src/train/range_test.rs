//! Finding a learning rate: training while it rises, until the loss does.
//!
//! ```text
//! ηₖ = η₀·(η_K/η₀)^(k/K)                 k = 0 … K = 240, η₀ = 10⁻⁷, η_K = 10
//! Lₖ                                     loss and penalty of mini-batch k, before the step of size ηₖ
//! mₖ = β mₖ₋₁ + (1 − β) Lₖ               m₋₁ = 0, β = 0.9
//! L̄ₖ = mₖ/(1 − βᵏ⁺¹)                     the loss, smoothed, without the bias of m₋₁
//! diverged at the first k with L̄ₖ > 4 · minⱼ L̄ⱼ, or where Lₖ is no number
//! suggestion = ηⱼ/10                     with L̄ⱼ the least
//! ```
//!
//! A tenth, because L̄ goes on falling for some steps at rates that could not be kept up: at the
//! least of L̄ single directions diverge already.
//!
//! Source: L. Smith, Cyclical learning rates for training neural networks (2017), section 3.3; the
//! smoothing and the tenth are those of S. Gugger, How do you find a good learning rate (2018).
//!
//! Differs from the former: there the rate rises linearly, and is read off a curve of accuracies.

use std::time::Instant;

use serde::Serialize;

use super::optimizer::clip_factor;
use super::task::Desk;
use super::{
    Method, Observer, Step, Task, TrainOptions, Wish, beginning, check, interrupted, no_gradients,
    split,
};
use crate::error::{Error, Result};
use crate::model::{Draw, Trainable};
use crate::objective::SparsityState;
use crate::random::Random;

const OPERATION: &str = "find a learning rate";
/// The rates of every test but those of this file.
const RISE: Rise = Rise { from: 1e-7, to: 10.0, steps: 240 };
/// β.
const KEEP: f64 = 0.9;
/// How many times the least smoothed loss is divergence.
const DIVERGED: f64 = 4.0;
/// What the rate of the least smoothed loss is divided by.
const CAUTION: f64 = 10.0;

/// η₀, η_K and K.
#[derive(Clone, Copy)]
struct Rise {
    from: f64,
    to: f64,
    steps: usize,
}

/// A mini-batch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RatePoint {
    /// η of the step after it.
    pub learning_rate: f64,
    /// L.
    pub loss: f64,
    /// L̄.
    pub smoothed_loss: f64,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RangeTest {
    /// In the order of the steps.
    pub points: Vec<RatePoint>,
    /// The rate at the least smoothed loss.
    pub least_at: f64,
    /// The rate at which the loss diverged; `None` if it did not.
    pub diverged_at: Option<f64>,
    /// The rate to use.
    pub suggestion: f64,
}

/// Trains `model` on `task` while the learning rate rises; the parameters that it leaves are of no use.
///
/// The schedule, the number of epochs and what follows the weights are not read; the batch is that of
/// the first epoch. The result does not depend on the number of threads.
///
/// # Errors
/// As [`fit`](super::fit); with L-BFGS, which finds the length of its steps; if no rate lowers the loss.
pub fn range_test(
    model: &mut dyn Trainable,
    task: &Task<'_>,
    options: &TrainOptions,
    observer: &mut dyn Observer,
) -> Result<RangeTest> {
    tested(model, task, options, RISE, observer)
}

fn tested(
    model: &mut dyn Trainable,
    task: &Task<'_>,
    options: &TrainOptions,
    rise: Rise,
    observer: &mut dyn Observer,
) -> Result<RangeTest> {
    options.check()?;
    check(&*model, task)?;
    if options.optimizer == Method::Lbfgs {
        return Err(Error::mistake(
            OPERATION,
            "an optimiser that has one: sgd, adam or adamw",
            "lbfgs, which finds the length of each step",
            "leave --find-lr out",
        ));
    }
    let (rows, held_out) = split(task.rows.rows(), options)?;
    let mut gradients = no_gradients(&*model);
    let rules = model.rules();
    let mut optimizer = options.optimizer(&*model);
    let mut sparsity = SparsityState::default();
    let mut desk = Desk::default();
    observer.begin(&beginning(&*model, &rows, &held_out, 0));
    let batch_size = options.batch_size_at(0, rows.len());
    let batches = rows.len().div_ceil(batch_size);
    let (mut order, mut seen, start) = (Vec::new(), 0, Instant::now());
    let mut sweep = Sweep::default();
    for step in 0..=rise.steps {
        let done = step as f64 / rise.steps as f64;
        let (epoch, batch) = (step / batches, step % batches);
        if batch == 0 {
            order =
                Random::numbered(options.seed, "order", &[epoch as u64]).permutation(rows.len());
        }
        let chosen = order.chunks(batch_size).nth(batch).unwrap_or_default();
        let chosen: Vec<usize> = chosen.iter().map(|&place| rows[place]).collect();
        let draw = Draw { seed: options.seed, step: step as u64, first: 0 };
        let value = desk.learn(model, task, &chosen, (draw, epoch), &mut sparsity, &mut gradients);
        let rate = rise.from * (rise.to / rise.from).powf(done);
        if sweep.add(rate, value.loss + value.penalty) {
            break;
        }
        let clip = clip_factor(&gradients, options.gradient_clip);
        optimizer.step(rate, clip, model.parameters_mut(), &rules, &gradients);
        seen += chosen.len();
        let wish = observer.step(&Step {
            done,
            epoch,
            loss: value.loss,
            rows_per_second: seen as f64 / start.elapsed().as_secs_f64(),
        });
        if wish == Wish::Stop {
            return Err(interrupted());
        }
    }
    sweep.end()
}

/// The losses so far.
#[derive(Default)]
struct Sweep {
    points: Vec<RatePoint>,
    /// m.
    mean: f64,
    /// The place of the least smoothed loss.
    least: usize,
    diverged_at: Option<f64>,
}

impl Sweep {
    /// Takes the loss before a step of size `learning_rate`; whether it has diverged.
    fn add(&mut self, learning_rate: f64, loss: f64) -> bool {
        self.mean = KEEP * self.mean + (1.0 - KEEP) * loss;
        let smoothed_loss = self.mean / (1.0 - KEEP.powi(self.points.len() as i32 + 1));
        let least = self.points.get(self.least).map_or(f64::INFINITY, |least| least.smoothed_loss);
        if !smoothed_loss.is_finite() || smoothed_loss > DIVERGED * least {
            self.diverged_at = Some(learning_rate);
        } else if smoothed_loss < least {
            self.least = self.points.len();
        }
        if smoothed_loss.is_finite() {
            self.points.push(RatePoint { learning_rate, loss, smoothed_loss });
        }
        self.diverged_at.is_some()
    }

    fn end(self) -> Result<RangeTest> {
        let Self { points, least, diverged_at, .. } = self;
        if least == 0 {
            return Err(Error::failure(
                OPERATION,
                "the loss fell at no learning rate",
                "look at the data with `narrows data`; a model at its minimum has nothing to learn",
            ));
        }
        let least_at = points[least].learning_rate;
        Ok(RangeTest { suggestion: least_at / CAUTION, points, least_at, diverged_at })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::ops::ControlFlow;

    use ndarray::{Array2, Axis, concatenate};

    use super::*;
    use crate::compute::{Matrix, symmetric_eigenvalues};
    use crate::model::Network;
    use crate::model::pca::{Pca, PcaOptions};
    use crate::train::Epoch;

    fn rows(n: usize, d: usize) -> Array2<f64> {
        let mut random = Random::stream(5, "range test");
        Array2::from_shape_fn((n, d), |(_, j)| 0.3 + random.normal() / (1.0 + j as f64))
    }

    fn whole_batches(n: usize) -> TrainOptions {
        TrainOptions {
            optimizer: Method::Sgd,
            momentum: 0.0,
            batch_size: n,
            ..TrainOptions::network()
        }
    }

    fn go_on(_: &Epoch) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// The decoder of a linear autoencoder whose codes `z` are what it is to give back: a quadratic
    /// function of its weights and biases.
    fn decoder_of(z: &Array2<f64>, rise: Rise) -> RangeTest {
        let z = Matrix::from(z.mapv(|value| value as f32));
        let mut decoder = Network::only_head(z.cols(), z.cols(), false, 1);
        let options = whole_batches(z.rows());
        tested(&mut decoder, &Task::reconstruct(&z), &options, rise, &mut go_on).unwrap()
    }

    /// H = 2/n·Σ [z 1]ᵀ[z 1], the same for each row of weights: its largest eigenvalue.
    fn curvature(z: &Array2<f64>) -> f64 {
        let ones = Array2::ones((z.nrows(), 1));
        let z = concatenate(Axis(1), &[z.view(), ones.view()]).unwrap();
        symmetric_eigenvalues((z.t().dot(&z) * 2.0 / z.nrows() as f64).view()).unwrap()[0]
    }

    /// A step of size η multiplies what is left along a direction of curvature λ by 1 − ηλ. On white
    /// rows there is one λ: the loss falls until the rate passes 2/λ, and rises from there on. The rates
    /// begin at 0.7·2/λ, since near 1/λ nothing would be left to rise, and rise by 2 % a step.
    #[test]
    fn on_white_rows_the_loss_turns_where_theory_says() {
        let rows = rows(500, 6);
        let pca =
            Pca::fit(rows.view(), &PcaOptions { whiten: true, ..Default::default() }).unwrap();
        let white = pca.transform(rows.view()).unwrap();
        let found = decoder_of(&white, Rise { from: 0.7, to: 1.6, steps: 42 });
        let limit = 2.0 / curvature(&white);
        assert!((limit - 1.0).abs() < 0.01, "{limit}");
        let losses: Vec<f64> = found.points.iter().map(|point| point.loss).collect();
        let turn = (0..losses.len()).min_by(|&a, &b| losses[a].total_cmp(&losses[b])).unwrap();
        let rates = |place: usize| found.points[place].learning_rate;
        assert!(rates(turn - 1) < limit && limit <= rates(turn), "{} {limit}", rates(turn));
        assert!(found.diverged_at.unwrap() > limit);
        assert_eq!(found.suggestion, found.least_at / 10.0);
    }

    /// Against gradient descent written out in f64, on rows of several curvatures, up to the rate from
    /// which on it is the roundings that grow.
    #[test]
    fn losses_are_those_of_gradient_descent() {
        let z = rows(300, 5);
        let found = decoder_of(&z, RISE);
        let limit = 2.0 / curvature(&z);
        let n = z.nrows() as f64;
        let decoder = Network::only_head(5, 5, false, 1);
        let mut weight = decoder.weight(0).mapv(f64::from);
        let mut bias = ndarray::Array1::<f64>::zeros(5);
        let mut mean = 0.0;
        let stable = found.points.iter().take_while(|point| point.learning_rate < limit);
        for (step, point) in stable.enumerate() {
            let rest = z.dot(&weight.t()) + &bias - &z;
            let loss = rest.mapv(|gap| gap * gap).sum() / n;
            // f32 of numbers of size 1 leaves some 1e-12 of a squared error.
            assert!((point.loss - loss).abs() < 1e-4 * loss + 1e-11, "{step}: {point:?} {loss}");
            mean = 0.9 * mean + 0.1 * point.loss;
            let smoothed = mean / (1.0 - 0.9_f64.powi(step as i32 + 1));
            assert!((point.smoothed_loss / smoothed - 1.0).abs() < 1e-12);
            let rate = 1e-7 * 1e8_f64.powf(step as f64 / 240.0);
            assert!((point.learning_rate / rate - 1.0).abs() < 1e-9);
            weight -= &(rest.t().dot(&z) * (2.0 * rate / n));
            bias -= &(rest.sum_axis(Axis(0)) * (2.0 * rate / n));
        }
        let diverged = found.diverged_at.unwrap();
        assert!(diverged > limit && diverged < 5.0 * limit, "{diverged} {limit}");
    }

    #[test]
    fn what_has_no_rate_or_nothing_to_learn_is_refused() {
        let z = Matrix::from(rows(50, 3).mapv(|value| value as f32));
        let task = Task::reconstruct(&z);
        let refused = |options: TrainOptions, task: &Task<'_>| {
            let mut head = Network::only_head(3, 3, false, 1);
            range_test(&mut head, task, &options, &mut go_on).unwrap_err().to_string()
        };
        let lbfgs = TrainOptions { optimizer: Method::Lbfgs, ..whole_batches(50) };
        assert!(refused(lbfgs, &task).contains("lbfgs, which finds"));
        // The head gives zero for rows of zeros, and zero is what is wanted.
        let zeros = Matrix::zeros(50, 3);
        let message = refused(whole_batches(50), &Task::reconstruct(&zeros));
        assert!(message.contains("fell at no learning rate"), "{message}");
    }
}
