#![allow(clippy::unwrap_used)]

use ndarray::Array2;

use super::*;
use crate::compute::Activation;
use crate::objective::{Corruption, Sparsity};

/// Rows between 0 and 1 whose columns hang together.
fn rows(n: usize, d: usize) -> Matrix {
    let mut random = Random::stream(6, "stack");
    let mix = Array2::from_shape_simple_fn((4, d), || random.normal());
    let draws = Array2::from_shape_simple_fn((n, 4), || random.normal());
    Matrix::from(draws.dot(&mix).mapv(|value| (1.0 / (1.0 + (-value).exp())) as f32))
}

fn options() -> TrainOptions {
    TrainOptions { epochs: 2, batch_size: 50, learning_rate: 0.01, ..TrainOptions::network() }
}

fn shape(width: usize, code: Activation, output: Activation) -> NetworkOptions {
    NetworkOptions {
        layers: vec![width],
        code_activation: code,
        output_activation: output,
        ..Default::default()
    }
}

fn pca<'a>(width: usize) -> Storey<'a> {
    Storey { shape: shape(width, Activation::Identity, Activation::Identity), training: None }
}

/// One of each: denoising and sparse, plain, PCA, tanh upon PCA; 8 steps in every stage but PCA.
fn motley(rows: &Matrix) -> Stack<'_> {
    let loss = Loss::BinaryCrossEntropy;
    let noisy = Task {
        loss,
        corruption: Corruption::Masking { rate: 0.25 },
        sparsity: Sparsity::Kl { weight: 0.1, target: 0.2, memory: 0.5 },
        ..Task::reconstruct(rows)
    };
    let plain = Task { loss, ..Task::reconstruct(rows) };
    let average = TrainOptions { average: 0.9, ..options() };
    let sigmoid = Activation::Sigmoid;
    let learned = |shape, task, options| Storey { shape, training: Some((task, options)) };
    let upon_pca = shape(3, Activation::Tanh, Activation::Identity);
    Stack {
        rows,
        storeys: vec![
            learned(shape(12, sigmoid, sigmoid), noisy, options()),
            learned(shape(12, sigmoid, sigmoid), plain.clone(), average),
            pca(6),
            learned(upon_pca, Task::reconstruct(rows), options()),
        ],
        fine_tuning: Some((plain, options())),
        seed: 3,
    }
}

fn go_on(_: &Epoch) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// What was learned, without the time that it took.
fn learned(mut stacked: Stacked) -> Stacked {
    let histories = stacked.storeys.iter_mut().map(|storey| &mut storey.history);
    for epoch in histories.chain([&mut stacked.history]).flatten() {
        (epoch.seconds, epoch.rows_per_second) = (0.0, 0.0);
    }
    stacked
}

/// Stops after so many steps, having kept a checkpoint as a file would.
struct StopAfter(usize, Option<Checkpoint>);

impl Observer for StopAfter {
    fn step(&mut self, _: &Step) -> Wish {
        self.0 -= 1;
        if self.0 == 0 { Wish::Stop } else { Wish::GoOn }
    }
    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let progress = serde_json::to_string(&checkpoint.progress).unwrap();
        let progress = serde_json::from_str(&progress).unwrap();
        self.1 = Some(Checkpoint::from_kept(&progress, checkpoint.vectors.clone())?);
        Ok(())
    }
}

/// The greedy loop written out: each storey trained by hand on the codes of the one below.
#[test]
fn storeys_learn_the_codes_of_the_storey_below() {
    let rows = rows(200, 10);
    let stack = Stack { fine_tuning: None, ..motley(&rows) };
    let whole = stack.fit(None, &mut go_on).unwrap();
    let mut built: Vec<Network> = Vec::new();
    let mut input = rows.clone();
    for (place, storey) in stack.storeys.iter().enumerate() {
        let network = match &storey.training {
            None => {
                let components = Components::Count(6);
                let options = PcaOptions { components, seed: 3, ..Default::default() };
                Network::of_pca(&Pca::fit_source(&input, &options).unwrap(), false)
            }
            Some((task, options)) => {
                let mut random = Random::numbered(3, "storey", &[place as u64]);
                let seed = random.below(u32::MAX as usize) as u64;
                let logits = task.loss.takes_logits();
                let mut network = Network::new(input.cols(), &storey.shape, logits, seed).unwrap();
                let task = Task { rows: &input, ..task.clone() };
                let history = fit(&mut network, &task, options, None, &mut go_on).unwrap();
                assert_eq!(history.len(), whole.storeys[place].history.len());
                network
            }
        };
        let rebuilt = network.reconstruct(&input).unwrap();
        let error = (&input.view() - &rebuilt.view()).mapv(|e| f64::from(e).powi(2)).sum();
        let found = whole.storeys[place].squared_error_per_row;
        assert!((found / (error / 200.0) - 1.0).abs() < 1e-5, "{found}");
        input = network.encode(&input).unwrap();
        built.push(network);
    }
    assert_eq!(whole.network.encode(&rows).unwrap(), input);
    let back = built.iter().rev().fold(input, |z, storey| storey.decode(&z).unwrap());
    assert_eq!(whole.network.reconstruct(&rows).unwrap(), back);
    assert!(whole.history.is_empty());
    assert_ne!(built[0].weight(0), built[1].weight(0));
}

#[test]
fn a_stack_goes_on_from_any_step_of_any_storey() {
    let rows = rows(200, 10);
    let stack = motley(&rows);
    let expected = learned(stack.fit(None, &mut go_on).unwrap());
    let mut finished = Vec::new();
    for steps in [3, 8, 9, 14, 17, 24, 27, 32] {
        let mut observer = StopAfter(steps, None);
        let stopped = stack.fit(None, &mut observer);
        assert!(matches!(stopped, Err(Error::Interrupted { .. })), "{steps}");
        finished.push(observer.1.as_ref().unwrap().progress.storeys.len());
        let resumed = stack.fit(observer.1, &mut go_on).unwrap();
        assert!(learned(resumed) == expected, "another stack after {steps} steps");
    }
    assert_eq!(finished, [0, 0, 1, 1, 3, 3, 4, 4]);
    // Stopped again and again, five steps at a time.
    let (mut from, mut stops) = (None, 0);
    let last = loop {
        let mut observer = StopAfter(5, None);
        match stack.fit(from, &mut observer) {
            Ok(stacked) => break stacked,
            Err(_) => (from, stops) = (observer.1, stops + 1),
        }
    };
    assert!(learned(last) == expected, "another stack after {stops} stops");
    assert_eq!(stops, 6);
}

#[test]
fn a_checkpoint_of_another_stack_is_refused() {
    let rows = rows(200, 10);
    let mut observer = StopAfter(9, None);
    motley(&rows).fit(None, &mut observer).unwrap_err();
    let mut other = motley(&rows);
    other.storeys[0].shape.layers = vec![11];
    let message = other.fit(observer.1, &mut go_on).unwrap_err().to_string();
    assert!(message.contains("storey 1 of 10 → 12 columns"), "{message}");
}

#[test]
fn threads_do_not_change_a_bit_of_a_stack() {
    let rows = rows(1_500, 60);
    let train = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| learned(motley(&rows).fit(None, &mut go_on).unwrap()))
    };
    let one = train(1);
    assert!(one == train(2) && one == train(7), "another stack");
}

/// The best 4 of the best 7 directions are the best 4: f32 against f64 of numbers below 1.
#[test]
fn a_stack_of_pca_is_pca() {
    let mut rows = rows(150, 10);
    let mut random = Random::stream(1, "noise");
    rows.as_mut_slice().iter_mut().for_each(|value| *value += 0.1 * random.normal() as f32);
    let stack = Stack { rows: &rows, storeys: vec![pca(7), pca(4)], fine_tuning: None, seed: 0 };
    let stacked = stack.fit(None, &mut go_on).unwrap();
    let components = Components::Count(4);
    let pca = Pca::fit_source(&rows, &PcaOptions { components, ..Default::default() }).unwrap();
    let x = rows.view().mapv(f64::from);
    let expected = pca.inverse_transform(pca.transform(x.view()).unwrap().view()).unwrap();
    let found = stacked.network.reconstruct(&rows).unwrap().into_array().mapv(f64::from);
    let gap = (&found - &expected).fold(0.0_f64, |most, gap| most.max(gap.abs()));
    assert!(gap < 3e-6, "{gap:e}");
    let lost = stacked.storeys[0].fraction_variance_unexplained.unwrap();
    let kept: f64 = Pca::fit_source(
        &rows,
        &PcaOptions { components: Components::Count(7), ..Default::default() },
    )
    .unwrap()
    .explained_variance_ratio
    .sum();
    assert!((lost + kept - 1.0).abs() < 1e-6, "{lost} {kept}");
}

/// What the observer hears.
#[derive(Default)]
struct Heard(Vec<Stage>, Vec<f64>);

impl Observer for Heard {
    fn begin(&mut self, beginning: &Beginning) {
        self.0.push(beginning.stage);
    }
    fn step(&mut self, step: &Step) -> Wish {
        self.1.push(step.done);
        Wish::GoOn
    }
}

#[test]
fn the_observer_hears_which_storey_it_is_and_how_far_the_whole_is() {
    let rows = rows(200, 10);
    let mut heard = Heard::default();
    motley(&rows).fit(None, &mut heard).unwrap();
    let storey = |number| Stage::Storey { number, of: 4 };
    assert_eq!(heard.0, [storey(1), storey(2), storey(4), Stage::FineTuning]);
    assert!(heard.1.is_sorted_by(|a, b| a < b), "{:?}", heard.1);
    assert!((heard.1.last().unwrap() - 1.0).abs() < 1e-12);
}

/// Nothing is learned before the mistake in the last storey is told.
#[test]
fn mistakes_in_the_last_storey_are_told_before_the_first_is_learned() {
    let rows = rows(200, 10);
    let refused = |spoil: &dyn Fn(&mut Stack<'_>)| {
        let mut stack = motley(&rows);
        spoil(&mut stack);
        let mut heard = Heard::default();
        let message = stack.fit(None, &mut heard).unwrap_err().to_string();
        assert!(heard.0.is_empty(), "{message}");
        message
    };
    assert!(refused(&|stack| stack.storeys.clear()).contains("one storey or more"));
    let message = refused(&|stack| stack.storeys[2].shape.layers = vec![13]);
    assert!(message.contains("storey 3 of PCA to have 1 to 12 columns"), "{message}");
    let message = refused(&|stack| stack.storeys[3].shape.layers = vec![0]);
    assert!(message.contains("widths of at least 1"), "{message}");
    let message = refused(&|stack| {
        let (task, _) = stack.storeys[3].training.as_mut().unwrap();
        task.corruption = Corruption::Masking { rate: 1.5 };
    });
    assert!(message.contains("`rate`"), "{message}");
    let message = refused(&|stack| stack.fine_tuning.as_mut().unwrap().1.batch_size = 0);
    assert!(message.contains("`batch_size`"), "{message}");
}
