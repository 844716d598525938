//! Times the training of the deep autoencoder 784-1000-500-250-30-…-784 on random rows: the side of
//! `narrows` in `bench/network/compare.py`.
//!
//! ```text
//! network_steps BATCH      stdin  run SECONDS  → stdout  rows per second
//! ```

#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;
use std::time::Instant;

use narrows::compute::{Activation, Matrix};
use narrows::model::Network;
use narrows::model::network::NetworkOptions;
use narrows::random::Random;
use narrows::train::{Epoch, Observer, Schedule, Step, Task, TrainOptions, Wish, fit};

/// Stops after so many seconds.
struct Until(Instant, f64);

impl Observer for Until {
    fn step(&mut self, _: &Step) -> Wish {
        if self.0.elapsed().as_secs_f64() > self.1 { Wish::Stop } else { Wish::GoOn }
    }
}

fn main() {
    let batch_size: usize = std::env::args().nth(1).unwrap().parse().unwrap();
    let mut random = Random::stream(0, "rows");
    let rows = (0..16 * 1024 * 784).map(|_| random.uniform() as f32).collect();
    let rows = Matrix::from_rows(16 * 1024, 784, rows).unwrap();
    let shape = NetworkOptions {
        layers: vec![1000, 500, 250, 30],
        activation: Activation::Relu,
        ..Default::default()
    };
    let mut network = Network::<f32>::new(784, &shape, false, 0).unwrap();
    let options = TrainOptions {
        batch_size,
        epochs: 1_000_000,
        schedule: Schedule::Constant,
        ..TrainOptions::network()
    };
    println!("ready");
    for line in std::io::stdin().lines() {
        let seconds: f64 = line.unwrap().trim_start_matches("run ").parse().unwrap();
        let mut steps = Count { until: Until(Instant::now(), seconds), steps: 0 };
        let start = Instant::now();
        fit(&mut network, &Task::reconstruct(&rows), &options, None, &mut steps).unwrap_err();
        println!("{}", (steps.steps * batch_size) as f64 / start.elapsed().as_secs_f64());
    }
}

struct Count {
    until: Until,
    steps: usize,
}

impl Observer for Count {
    fn step(&mut self, step: &Step) -> Wish {
        self.steps += 1;
        self.until.step(step)
    }
    fn epoch(&mut self, _: &Epoch) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}
