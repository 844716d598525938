#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;

use ndarray::Array2;

use super::*;
use crate::compute::Activation;
use crate::compute::Matrix;
use crate::evaluate::Certificate;
use crate::model::Network;
use crate::model::Rule;
use crate::model::linear::LinearOptions;
use crate::model::network::{NetworkOptions, Normalisation};
use crate::model::pca::{Components, Pca, PcaOptions};
use crate::model::{Linear, Pass, Trainable};
use crate::objective::{Corruption, Sparsity};
use crate::objective::{Objective, SquaredError};
use crate::random::Random;

/// Rows with falling variances and a mean far from zero.
fn rows(n: usize, d: usize) -> Matrix {
    let mut random = Random::stream(5, "train");
    let mix = Array2::from_shape_simple_fn((d, d), || random.normal());
    let draws = Array2::from_shape_fn((n, d), |(_, j)| random.normal() / (1.0 + j as f64));
    Matrix::from((draws.dot(&mix) + 3.0).mapv(|value| value as f32))
}

fn linear(rows: &Matrix, latent_dim: usize, tied: bool) -> Linear {
    Linear::new(rows, &LinearOptions { latent_dim, tied }, 1).unwrap()
}

fn go_on(_: &Epoch) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn short() -> TrainOptions {
    TrainOptions { epochs: 4, batch_size: 100, ..TrainOptions::linear() }
}

/// The loss in f64, from the formula alone: the slow twin of the forward pass.
fn slow_loss(rows: &Matrix, mean: &[f32], decoder: &Array2<f64>, encoder: &Array2<f64>) -> f64 {
    let mean = ndarray::Array1::from_iter(mean.iter().map(|&value| f64::from(value)));
    let x = rows.view().mapv(f64::from) - &mean;
    let rest = &x - &x.dot(&encoder.t()).dot(&decoder.t());
    rest.mapv(|value| value * value).sum() / rows.rows() as f64
}

/// Every derivative against the central difference of the slow twin. The twin is f64, so its
/// quotient is right to about 1e-8; what remains are the roundings of the f32 gradient, some 1e-6
/// of the largest derivative.
#[test]
fn gradients_are_quotients_of_differences() {
    let rows = rows(40, 9);
    for tied in [false, true] {
        let mut model = linear(&rows, 4, tied);
        let mut gradients: Vec<Vec<f32>> =
            model.parameters().iter().map(|values| vec![0.0; values.len()]).collect();
        let mut pass = Pass::default();
        model.forward(&rows, &mut pass);
        pass.gradient.reshape(40, 9);
        let value = SquaredError.evaluate(&rows, &pass.output, None, &mut pass.gradient);
        model.backward(&rows, 0.0, 1.0, &mut pass, &mut gradients);

        let decoder = model.decoder().mapv(f64::from);
        let encoder = model.encoder().mapv(f64::from);
        let loss = |u: &Array2<f64>, v: &Array2<f64>| slow_loss(&rows, model.mean(), u, v);
        assert!((value / loss(&decoder, &encoder) - 1.0).abs() < 1e-6);
        let moved = |from: &Array2<f64>, place: usize, step: f64| {
            let mut to = from.clone();
            to.as_slice_mut().unwrap()[place] += step;
            to
        };
        let standard = encoder.as_standard_layout().into_owned();
        let at = |parameter: usize, place: usize, step: f64| match (tied, parameter) {
            (true, _) => {
                let weight = moved(&decoder, place, step);
                loss(&weight, &weight.t().to_owned())
            }
            (false, 0) => loss(&moved(&decoder, place, step), &standard),
            (false, _) => loss(&decoder, &moved(&standard, place, step)),
        };
        for (parameter, gradient) in gradients.iter().enumerate() {
            let largest = gradient.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
            for (place, &got) in gradient.iter().enumerate() {
                let step = 1e-4;
                let quotient =
                    (at(parameter, place, step) - at(parameter, place, -step)) / (2.0 * step);
                let gap = (quotient - f64::from(got)).abs();
                assert!(gap < 1e-5 * f64::from(largest), "tied {tied}, {place}: {gap:e}");
            }
        }
    }
}

/// Two steps by hand: β = 0.5, η = 0.1, g = 1 then 3. v = 1, 3.5; θ = 1 − 0.1 − 0.35.
#[test]
fn momentum_adds_up_as_by_hand() {
    let mut optimizer = Optimizer::new(Method::Sgd, [0.5, 0.0, 0.0], [1]);
    let mut parameter = [1.0_f32];
    optimizer.step(0.1, 1.0, vec![&mut parameter], &[Rule::Free], &[vec![1.0]]);
    assert!((parameter[0] - 0.9).abs() < 1e-7);
    optimizer.step(0.1, 1.0, vec![&mut parameter], &[Rule::Free], &[vec![3.0]]);
    assert!((parameter[0] - 0.55).abs() < 1e-7);
}

/// Two steps by hand: β = 0.5, β₂ = 0.75, η = 0.1, g = 2 then −1.
///
/// v = 1, s = 1: unbiased 2 and 4, step 0.1 · 2/2 = 0.1.
/// v = 0, s = 1: unbiased 0, step 0. A third with g = 4: v = 2, unbiased 2/0.875; s = 4.75,
/// unbiased 4.75/0.578125; step 0.1 · 2.285714/2.866396 = 0.0797417.
#[test]
fn adam_steps_as_by_hand() {
    let mut optimizer = Optimizer::new(Method::Adam, [0.5, 0.75, 0.0], [1]);
    let mut parameter = [0.0_f32];
    for (gradient, expected) in [(2.0, -0.1), (-1.0, -0.1), (4.0, -0.179_741_7)] {
        optimizer.step(0.1, 1.0, vec![&mut parameter], &[Rule::Free], &[vec![gradient]]);
        assert!((parameter[0] - expected).abs() < 1e-6, "{} {expected}", parameter[0]);
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    let rows = rows(3_000, 70);
    for tied in [false, true] {
        let train = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut model = linear(&rows, 5, tied);
                let history =
                    fit(&mut model, &Task::reconstruct(&rows), &short(), None, &mut go_on).unwrap();
                (model, history.iter().map(|epoch| epoch.loss).collect::<Vec<_>>())
            })
        };
        let one = train(1);
        assert_eq!(one, train(2));
        assert_eq!(one, train(7));
    }
}

#[test]
fn training_reaches_the_subspace_of_pca() {
    // Untied, the encoder forgets its start along a direction as fast as the rows vary along it:
    // variances from 1 to 0.02 keep that short.
    let mut random = Random::stream(9, "subspace");
    let rows = Matrix::from(Array2::from_shape_fn((2_000, 20), |(_, j)| {
        (3.0 + random.normal() * 0.9_f64.powi(j as i32)) as f32
    }));
    let options = PcaOptions { components: Components::Count(6), ..Default::default() };
    let pca = Pca::fit_source(&rows, &options).unwrap();
    for tied in [false, true] {
        let mut model = linear(&rows, 6, tied);
        // Whole batches at a fixed rate: nothing but the distance to the minimum sets the step.
        let options = TrainOptions {
            optimizer: Method::Sgd,
            learning_rate: 0.05,
            schedule: Schedule::Constant,
            batch_size: 2_000,
            epochs: 2_000,
            ..TrainOptions::linear()
        };
        fit(&mut model, &Task::reconstruct(&rows), &options, None, &mut go_on).unwrap();
        let certificate = Certificate::new(&model, &pca, &rows).unwrap();
        assert!(certificate.relative_excess_loss.abs() < 1e-6, "tied {tied}: {certificate:?}");
        assert!(certificate.largest_angle < 1e-3, "tied {tied}: {certificate:?}");
    }
}

#[test]
fn batches_grow_until_a_step_sees_every_row() {
    let options = TrainOptions { batch_size: 100, batch_growth: 2.0, ..Default::default() };
    let sizes: Vec<usize> = (0..6).map(|epoch| options.batch_size_at(epoch, 1000)).collect();
    assert_eq!(sizes, [100, 200, 400, 800, 1000, 1000]);
    assert_eq!(options.batch_size_at(100_000, 1000), 1000);
}

#[test]
fn the_observer_stops_the_training() {
    let rows = rows(200, 10);
    let mut model = linear(&rows, 2, false);
    let history = fit(
        &mut model,
        &Task::reconstruct(&rows),
        &short(),
        None,
        &mut |epoch: &Epoch| match epoch.epoch {
            2 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        },
    );
    assert_eq!(history.unwrap().len(), 2);
}

#[test]
fn mistakes_and_explosions_are_told() {
    let rows = rows(200, 10);
    let message = |options: TrainOptions, rows: &Matrix| {
        let mut model = linear(rows, 2, false);
        fit(&mut model, &Task::reconstruct(rows), &options, None, &mut go_on)
            .unwrap_err()
            .to_string()
    };
    let told = message(TrainOptions { batch_size: 0, ..short() }, &rows);
    assert!(told.contains("`batch_size` to be at least 1 but got 0"), "{told}");
    let wild = TrainOptions {
        optimizer: Method::Sgd,
        learning_rate: 10.0,
        schedule: Schedule::Constant,
        ..short()
    };
    let told = message(wild, &rows);
    assert!(told.contains("set train.learning_rate to a tenth"), "{told}");
    let mut holes = rows.clone();
    holes.as_mut_slice()[25] = f32::NAN;
    let told = message(short(), &holes);
    assert!(told.contains("row 3, column 6"), "{told}");
    let mut model = linear(&rows, 2, false);
    let narrow = self::rows(20, 9);
    let error =
        fit(&mut model, &Task::reconstruct(&narrow), &short(), None, &mut go_on).unwrap_err();
    assert!(error.to_string().contains("20 rows of 9 columns"), "{error}");
    assert!(serde_json::from_str::<TrainOptions>(r#"{"epoch": 3}"#).is_err());
}

/// Stops after so many steps, having kept a checkpoint.
struct StopAfter(usize, Option<Checkpoint>);

impl Observer for StopAfter {
    fn step(&mut self, _: &Step) -> Wish {
        self.0 -= 1;
        if self.0 == 0 { Wish::Stop } else { Wish::GoOn }
    }
    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        self.1 = Some(checkpoint.clone());
        Ok(())
    }
}

/// The average of the weights is used with statistics that are averaged with it: nearly those that a
/// few passes with it would give, even where it lags far behind the weights.
#[test]
fn averaged_weights_keep_statistics_of_their_own() {
    let rows = rows(600, 12);
    let shape = NetworkOptions {
        layers: vec![24, 6],
        normalisation: Normalisation::Batch,
        ..Default::default()
    };
    let mut network = Network::new(12, &shape, false, 3).unwrap();
    let options = TrainOptions {
        average: 0.999,
        learning_rate: 1e-2,
        batch_size: 60,
        epochs: 40,
        schedule: Schedule::Constant,
        ..TrainOptions::network()
    };
    let task = Task::reconstruct(&rows);
    fit(&mut network, &task, &options, None, &mut go_on).unwrap();
    let everything: Vec<usize> = (0..600).collect();
    let mut desk = task::Desk::default();
    let kept = desk.judge(&network, &task, &everything);
    // A tenth of the running figures is renewed in each pass.
    let mut pass = Pass::default();
    (0..100).for_each(|_| network.forward(&rows, &mut pass));
    let fresh = desk.judge(&network, &task, &everything);
    assert!(kept < 1.05 * fresh, "{kept} {fresh}");
}

/// Everything that has a state: batch normalisation, dropout, corruption, a running mean of the code,
/// an average of the weights, early stopping; stopped in the middle of an epoch and gone on.
#[test]
fn what_is_resumed_is_as_if_it_had_never_stopped() {
    let rows = rows(500, 12);
    let shape = NetworkOptions {
        layers: vec![16, 4],
        code_activation: Activation::Sigmoid,
        normalisation: Normalisation::Batch,
        dropout: 0.1,
        ..Default::default()
    };
    let task = Task {
        corruption: Corruption::Masking { rate: 0.2 },
        emphasis: Some([1.0, 0.5]),
        sparsity: Sparsity::Kl { weight: 0.1, target: 0.2, memory: 0.9 },
        ..Task::reconstruct(&rows)
    };
    for optimizer in [Method::Sgd, Method::Adam, Method::Adamw, Method::Lbfgs] {
        let options = TrainOptions {
            optimizer,
            learning_rate: 1e-3,
            weight_decay: 0.01,
            gradient_clip: Some(5.0),
            epochs: if optimizer == Method::Lbfgs { 25 } else { 6 },
            batch_size: 64,
            validation: 0.2,
            patience: Some(if optimizer == Method::Lbfgs { 30 } else { 2 }),
            average: if optimizer == Method::Lbfgs { 0.0 } else { 0.9 },
            ..TrainOptions::network()
        };
        let new = || Network::<f32>::new(12, &shape, false, 0).unwrap();
        let losses = |history: Vec<Epoch>| -> Vec<(f64, Option<f64>, Option<f64>)> {
            history.iter().map(|e| (e.loss, e.penalty, e.validation)).collect()
        };
        let mut whole = new();
        let expected = losses(fit(&mut whole, &task, &options, None, &mut go_on).unwrap());
        for steps in [3, 7, 20] {
            let mut observer = StopAfter(steps, None);
            let stopped = fit(&mut new(), &task, &options, None, &mut observer);
            assert!(matches!(stopped, Err(Error::Interrupted { .. })));
            let mut resumed = new();
            let history = fit(&mut resumed, &task, &options, observer.1, &mut go_on).unwrap();
            assert_eq!(losses(history), expected, "{optimizer:?}, {steps}");
            assert_eq!(resumed.tensors(), whole.tensors(), "{optimizer:?}, {steps}");
        }
    }
}

#[test]
fn a_checkpoint_of_another_model_is_refused() {
    let rows = rows(200, 10);
    let mut observer = StopAfter(2, None);
    let task = Task::reconstruct(&rows);
    fit(&mut linear(&rows, 2, false), &task, &short(), None, &mut observer).unwrap_err();
    let other = fit(&mut linear(&rows, 3, false), &task, &short(), observer.1, &mut go_on);
    assert!(other.unwrap_err().to_string().contains("a checkpoint of this model"));
}

#[test]
fn training_stops_when_it_gets_no_better_and_keeps_the_best() {
    let rows = rows(120, 10);
    let options = TrainOptions {
        validation: 0.5,
        patience: Some(3),
        epochs: 400,
        learning_rate: 0.02,
        schedule: Schedule::Constant,
        batch_size: 10,
        ..TrainOptions::network()
    };
    let shape = NetworkOptions { layers: vec![64, 9], ..Default::default() };
    let mut network = Network::<f32>::new(10, &shape, false, 0).unwrap();
    let history = fit(&mut network, &Task::reconstruct(&rows), &options, None, &mut go_on).unwrap();
    assert!(history.len() < 400);
    let losses: Vec<f64> = history.iter().map(|epoch| epoch.validation.unwrap()).collect();
    let best = losses.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(losses.iter().position(|&loss| loss == best), Some(losses.len() - 4));
    // The weights kept are those of the best epoch: the loss over the rows held out is its loss.
    let (_, held_out) = split(120, &options).unwrap();
    let found = Desk::default().judge(&network, &Task::reconstruct(&rows), &held_out);
    assert_eq!(found, best);
}

#[test]
fn threads_do_not_change_a_bit_of_a_network() {
    let rows = rows(700, 40);
    let shape = NetworkOptions {
        layers: vec![300, 20],
        normalisation: Normalisation::Batch,
        dropout: 0.2,
        ..Default::default()
    };
    let task = Task { corruption: Corruption::Gaussian { sigma: 0.3 }, ..Task::reconstruct(&rows) };
    let train = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut network = Network::<f32>::new(40, &shape, false, 0).unwrap();
            let options = TrainOptions { epochs: 2, average: 0.9, ..TrainOptions::network() };
            fit(&mut network, &task, &options, None, &mut go_on).unwrap();
            network.tensors()
        })
    };
    let one = train(1);
    assert_eq!(one, train(2));
    assert_eq!(one, train(7));
}

/// Of a linear autoencoder the least possible loss is known: PCA's.
#[test]
fn lbfgs_reaches_the_optimum_of_a_linear_autoencoder() {
    let rows = rows(400, 12);
    let options = PcaOptions { components: Components::Count(4), ..Default::default() };
    let pca = Pca::fit_source(&rows, &options).unwrap();
    let mut model = linear(&rows, 4, false);
    let options = TrainOptions { optimizer: Method::Lbfgs, epochs: 600, ..TrainOptions::network() };
    let history = fit(&mut model, &Task::reconstruct(&rows), &options, None, &mut go_on).unwrap();
    assert!(history.windows(2).all(|pair| pair[1].loss <= pair[0].loss));
    let certificate = Certificate::new(&model, &pca, &rows).unwrap();
    assert!(certificate.relative_excess_loss < 1e-5, "{} {certificate:?}", history.len());
}

/// Nothing follows the weights from step to step there: what came out would be where it began.
#[test]
fn lbfgs_with_an_average_is_refused() {
    let rows = rows(50, 6);
    let options =
        TrainOptions { optimizer: Method::Lbfgs, average: 0.9, ..TrainOptions::network() };
    let error =
        fit(&mut linear(&rows, 2, false), &Task::reconstruct(&rows), &options, None, &mut go_on);
    assert!(error.unwrap_err().to_string().contains("`average` to be 0 with L-BFGS"));
}
