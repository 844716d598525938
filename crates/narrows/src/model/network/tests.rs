//! Derivatives against differences in f64, and the way out and back as tensors.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::model::{Draw, Pass, Trainable};
use crate::objective::{Loss, Objective, Sparsity, SparsityState};

fn draw(rows: usize, cols: usize, name: &str) -> Matrix<f64> {
    let mut random = Random::stream(2, name);
    let numbers = (0..rows * cols).map(|_| random.between(0.05, 0.95)).collect();
    Matrix::from_rows(rows, cols, numbers).unwrap()
}

/// Everything that is minimised, and its derivative by every parameter.
struct Case {
    network: Network<f64>,
    loss: Loss,
    sparsity: Sparsity,
    weights: Option<Matrix<f64>>,
}

impl Case {
    fn value(&mut self, x: &Matrix<f64>, pass: &mut Pass<f64>) -> f64 {
        pass.draw = Draw { seed: 1, step: 7, ..pass.draw };
        self.network.forward(x, pass);
        pass.gradient.reshape(x.rows(), x.cols());
        let value = self.loss.evaluate(x, &pass.output, self.weights.as_ref(), &mut pass.gradient);
        let (activation, code) = self.network.code(pass);
        let mut by_code = Matrix::default();
        let mut state = SparsityState::default();
        let penalty = self.sparsity.evaluate(activation, code, &mut state, &mut by_code);
        pass.code_gradient = by_code;
        value + penalty
    }

    /// Each derivative within 1e-6 of the central difference, relative to the larger of its own size
    /// and a thousandth of the largest.
    fn check(mut self, what: &str) {
        let x = draw(9, 7, "rows");
        let mut pass = Pass::default();
        self.value(&x, &mut pass);
        let mut gradients: Vec<Vec<f64>> =
            self.network.parameters().iter().map(|p| vec![f64::NAN; p.len()]).collect();
        gradients.iter_mut().for_each(|gradient| gradient.fill(0.0));
        self.network.backward(&x, 0.0, 1.0, &mut pass, &mut gradients);
        let largest = gradients.iter().flatten().fold(0.0_f64, |most, g| most.max(g.abs()));
        assert!(largest > 0.0, "{what}: no derivative at all");
        for (parameter, gradient) in gradients.iter().enumerate() {
            for (place, got) in gradient.iter().enumerate() {
                let mut at = |step: f64| {
                    self.network.parameters_mut()[parameter][place] += step;
                    let value = self.value(&x, &mut pass);
                    self.network.parameters_mut()[parameter][place] -= step;
                    value
                };
                let step = 1e-5;
                // Of fourth order: with the kinks out of reach nothing but rounding is left.
                let near = (at(step) - at(-step)) / (2.0 * step);
                let far = (at(2.0 * step) - at(-2.0 * step)) / (4.0 * step);
                let quotient = (4.0 * near - far) / 3.0;
                let size = got.abs().max(1e-3 * largest);
                let error = (quotient - got).abs() / size;
                assert!(error < 1e-6, "{what}: {parameter}, {place}: {got} {quotient} {error:e}");
            }
        }
    }
}

fn case(options: &NetworkOptions, loss: Loss) -> Case {
    let network = Network::new(7, options, loss.takes_logits(), 3).unwrap();
    Case { network, loss, sparsity: Sparsity::None, weights: None }
}

fn deep() -> NetworkOptions {
    NetworkOptions {
        layers: vec![6, 5, 3],
        activation: Activation::Tanh,
        code_activation: Activation::Sigmoid,
        ..Default::default()
    }
}

#[test]
fn every_activation() {
    for activation in Activation::ALL {
        let all = NetworkOptions {
            activation,
            code_activation: activation,
            output_activation: activation,
            ..deep()
        };
        case(&all, Loss::SquaredError).check(&format!("{activation:?}"));
    }
}

#[test]
fn every_loss_also_weighted() {
    for loss in [Loss::SquaredError, Loss::BinaryCrossEntropy] {
        case(&deep(), loss).check(&format!("{loss:?}"));
        let weights = Some(draw(9, 7, "weights"));
        Case { weights, ..case(&deep(), loss) }.check(&format!("{loss:?}, weighted"));
    }
    case(&deep(), Loss::SoftmaxCrossEntropy).check("softmax");
}

#[test]
fn every_normalisation_with_dropout() {
    for normalisation in [Normalisation::None, Normalisation::Batch, Normalisation::Layer] {
        for dropout in [0.0, 0.3] {
            let options = NetworkOptions { normalisation, dropout, ..deep() };
            case(&options, Loss::SquaredError).check(&format!("{normalisation:?}, {dropout}"));
        }
    }
}

#[test]
fn tied_overcomplete_and_top_k() {
    case(&NetworkOptions { tied: true, ..deep() }, Loss::SquaredError).check("tied");
    let wide = NetworkOptions { layers: vec![11], ..deep() };
    case(&wide, Loss::SquaredError).check("overcomplete");
    let sparse = NetworkOptions { top_k: Some(4), ..wide };
    case(&sparse, Loss::SquaredError).check("top-k");
    let own = NetworkOptions { decoder_layers: Some(vec![4]), ..deep() };
    case(&own, Loss::SquaredError).check("a decoder of its own");
}

#[test]
fn every_penalty() {
    for sparsity in
        [Sparsity::L1 { weight: 0.3 }, Sparsity::Kl { weight: 0.5, target: 0.1, memory: 0.0 }]
    {
        Case { sparsity, ..case(&deep(), Loss::SquaredError) }.check(&format!("{sparsity:?}"));
    }
}

#[test]
fn a_cut_batch_gives_the_derivative_of_the_whole() {
    let mut case = case(&NetworkOptions { dropout: 0.3, ..deep() }, Loss::SquaredError);
    let x = draw(9, 7, "rows");
    let mut pass = Pass::default();
    let fresh = |network: &Network<f64>| -> Vec<Vec<f64>> {
        network.parameters().iter().map(|p| vec![5.0; p.len()]).collect()
    };
    let (mut whole, mut cut) = (fresh(&case.network), fresh(&case.network));
    case.value(&x, &mut pass);
    case.network.backward(&x, 0.0, 1.0, &mut pass, &mut whole);
    for (keep, rows) in [(0.0, 0..4), (1.0, 4..9)] {
        let share = rows.len() as f64 / 9.0;
        let part = x.as_slice()[rows.start * 7..rows.end * 7].to_vec();
        let part = Matrix::from_rows(rows.len(), 7, part).unwrap();
        pass.draw.first = rows.start as u64;
        case.value(&part, &mut pass);
        case.network.backward(&part, keep, share, &mut pass, &mut cut);
    }
    for (a, b) in whole.iter().flatten().zip(cut.iter().flatten()) {
        assert!((a - b).abs() < 1e-14, "{a} {b}");
    }
}

#[test]
fn weights_are_as_large_as_their_rule_says() {
    for (initialisation, variance) in
        [(Initialisation::He, 2.0 / 400.0), (Initialisation::Glorot, 2.0 / 700.0)]
    {
        let options =
            NetworkOptions { layers: vec![300, 10], initialisation, ..Default::default() };
        let network = Network::<f64>::new(400, &options, false, 0).unwrap();
        let weight = network.weight(0);
        let found = weight.iter().map(|w| w * w).sum::<f64>() / weight.len() as f64;
        assert!((found / variance - 1.0).abs() < 0.02, "{initialisation:?} {found}");
    }
    let options = NetworkOptions {
        layers: vec![30],
        initialisation: Initialisation::Orthogonal,
        ..Default::default()
    };
    let network = Network::<f64>::new(40, &options, false, 0).unwrap();
    let product = network.weight(0).dot(&network.weight(0).t());
    let gap = (product - ndarray::Array2::<f64>::eye(30)).mapv(f64::abs).sum();
    assert!(gap < 1e-11, "{gap:e}");
}

#[test]
fn tensors_come_back() {
    for (tied, normalisation) in [(false, Normalisation::Batch), (true, Normalisation::Layer)] {
        let options = NetworkOptions { tied, normalisation, dropout: 0.1, ..deep() };
        let network = Network::<f32>::new(7, &options, true, 0).unwrap();
        let mut again = Network::of_shape(&network.shape()).unwrap();
        assert_ne!(again, network);
        let mut tensors = network.tensors();
        tensors.reverse();
        again.set_tensors(tensors).unwrap();
        assert_eq!(again, network);
        let mut tensors = network.tensors();
        tensors[0].0 = "encoder.9.weight".into();
        assert!(again.set_tensors(tensors).is_err());
    }
}

#[test]
fn used_as_it_was_trained() {
    let options = NetworkOptions { normalisation: Normalisation::Layer, ..deep() };
    let mut network = Network::<f32>::new(7, &options, false, 0).unwrap();
    let x = Matrix::from(draw(9, 7, "rows").view().mapv(|value| value as f32));
    let mut pass = Pass::default();
    network.forward(&x, &mut pass);
    assert_eq!(network.reconstruct(&x).unwrap(), pass.output);
    assert_eq!(&network.encode(&x).unwrap(), network.code(&pass).1);
}

#[test]
fn impossible_shapes_are_refused() {
    for options in [
        NetworkOptions { layers: vec![], ..deep() },
        NetworkOptions { layers: vec![4, 0], ..deep() },
        NetworkOptions { top_k: Some(4), ..deep() },
        NetworkOptions { dropout: 1.0, ..deep() },
        NetworkOptions { tied: true, decoder_layers: Some(vec![3]), ..deep() },
    ] {
        assert!(Network::<f32>::new(7, &options, false, 0).is_err(), "{options:?}");
    }
}
