//! A hundred steps of each optimiser against those of PyTorch (golden/optimizers.py). L-BFGS searches along
//! its directions in another way than PyTorch's, so the minimum is compared that both come to.

#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;

use narrows::compute::{Activation, Matrix};
use narrows::model::Network;
use narrows::model::network::NetworkOptions;
use narrows::train::{Epoch, Method, Schedule, Task, TrainOptions, fit};
use serde_json::Value;

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn narrow(value: &Value) -> Vec<f32> {
    numbers(value).into_iter().map(|number| number as f32).collect()
}

/// The network that the script starts from.
fn start(golden: &Value) -> Network {
    let shape = NetworkOptions {
        layers: vec![6, 3],
        activation: Activation::Tanh,
        code_activation: Activation::Tanh,
        ..Default::default()
    };
    let mut network = Network::new(7, &shape, false, 0).unwrap();
    let mut tensors = network.tensors();
    for (place, (name, _, values)) in tensors.iter_mut().enumerate() {
        let kind = if name.ends_with("weight") { "weights" } else { "biases" };
        *values = narrow(&golden[kind][place / 2]);
    }
    network.set_tensors(tensors).unwrap();
    network
}

#[test]
fn a_hundred_steps_are_those_of_pytorch() {
    let golden: Value = serde_json::from_str(include_str!("golden/optimizers.json")).unwrap();
    let rows = Matrix::from_rows(24, 7, narrow(&golden["rows"])).unwrap();
    let options =
        |optimizer, learning_rate, second_momentum, weight_decay, gradient_clip| TrainOptions {
            optimizer,
            learning_rate,
            second_momentum,
            weight_decay,
            gradient_clip,
            batch_size: 24,
            epochs: 100,
            schedule: Schedule::Constant,
            ..TrainOptions::network()
        };
    for (case, options) in [
        ("sgd", options(Method::Sgd, 0.05, 0.0, 0.01, None)),
        ("sgd_clipped", options(Method::Sgd, 0.05, 0.0, 0.01, Some(0.5))),
        ("adam", options(Method::Adam, 0.01, 0.999, 0.01, None)),
        ("adamw", options(Method::Adamw, 0.01, 0.99, 0.1, None)),
    ] {
        let mut network = start(&golden);
        let task = Task::reconstruct(&rows);
        let go_on = &mut |_: &Epoch| ControlFlow::Continue(());
        let history = fit(&mut network, &task, &options, None, go_on).unwrap();
        let expected = &golden["cases"][case];
        for (epoch, loss) in history.iter().zip(numbers(&expected["losses"])) {
            assert!((epoch.loss / loss - 1.0).abs() < 1e-4, "{case}: {epoch:?}, not {loss}");
        }
        let weight = numbers(&expected["weight"]);
        let largest = weight.iter().fold(0.0_f64, |most, w| most.max(w.abs()));
        for (got, expected) in network.weight(0).iter().zip(weight) {
            assert!((f64::from(*got) - expected).abs() < 1e-4 * largest, "{case}");
        }
    }
}

#[test]
fn lbfgs_comes_to_the_minimum_of_pytorch() {
    let golden: Value = serde_json::from_str(include_str!("golden/optimizers.json")).unwrap();
    let rows = Matrix::from_rows(24, 7, narrow(&golden["rows"])).unwrap();
    let options = TrainOptions {
        optimizer: Method::Lbfgs,
        weight_decay: 0.05,
        epochs: 1000,
        ..TrainOptions::network()
    };
    let shape = NetworkOptions { layers: vec![3], ..Default::default() };
    let mut network = Network::new(7, &shape, false, 0).unwrap();
    let go_on = &mut |_: &Epoch| ControlFlow::Continue(());
    fit(&mut network, &Task::reconstruct(&rows), &options, None, go_on).unwrap();
    let rebuilt = narrows::model::Autoencoder::reconstruct(&network, &rows).unwrap();
    let gaps = rows.as_slice().iter().zip(rebuilt.as_slice());
    let loss = gaps.map(|(x, y)| f64::from(x - y).powi(2)).sum::<f64>() / 24.0;
    let square = |w: &f32| f64::from(*w).powi(2);
    let squares = |place: usize| network.weight(place).iter().map(square).sum::<f64>();
    let decay: f64 = (0..network.layers().len()).map(squares).sum::<f64>() * 0.5 * 0.05;
    // Where the slope is 0, what f32 leaves of it counts twice over: the value is nearer than its parts.
    let (value, wanted) = (loss + decay, golden["minimum"].as_f64().unwrap());
    assert!((value / wanted - 1.0).abs() < 1e-6, "{value}, not {wanted}");
}
