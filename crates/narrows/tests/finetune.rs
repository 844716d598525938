//! Heads on encoders: what learns, what stays, and what is kept.

#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;

use narrows::Error;
use narrows::compute::{Activation, Matrix};
use narrows::data::{Dataset, Labels, Preparation, PrepareConfig};
use narrows::model::linear::{Linear, LinearOptions};
use narrows::model::network::{NetworkOptions, Normalisation};
use narrows::model::pca::{Pca, PcaOptions};
use narrows::model::{Answer, Autoencoder, Model, Network, Predictor};
use narrows::objective::Loss;
use narrows::random::Random;
use narrows::recipe::Finetune;
use narrows::store::Run;
use narrows::train::{
    Checkpoint, Epoch, Observer, Step, Task, TrainOptions, Unfreezing, Wish, finetune, one_hot,
};
use ndarray::Array2;
use serde_json::json;

/// Rows of three classes around three far corners.
fn corners(rows: usize) -> (Array2<f64>, Vec<usize>) {
    let mut random = Random::stream(1, "corners");
    let classes: Vec<usize> = (0..rows).map(|row| row % 3).collect();
    let x = Array2::from_shape_fn((rows, 6), |(i, j)| {
        f64::from(u8::from(j % 3 == classes[i])) * 4.0 + random.between(-1.0, 1.0)
    });
    (x, classes)
}

fn narrow(x: &Array2<f64>) -> Matrix {
    Matrix::from(x.mapv(|value| value as f32))
}

fn encoder() -> Network {
    let options = NetworkOptions {
        layers: vec![8, 5],
        activation: Activation::Tanh,
        normalisation: Normalisation::Batch,
        dropout: 0.2,
        ..Default::default()
    };
    Network::new(6, &options, false, 4).unwrap()
}

fn options(epochs: usize) -> TrainOptions {
    TrainOptions { epochs, batch_size: 50, learning_rate: 1e-2, ..TrainOptions::labels() }
}

fn go_on(_: &Epoch) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn teach(network: &mut Network, unfreezing: Unfreezing, epochs: usize) -> Vec<Epoch> {
    let (x, classes) = corners(150);
    let (rows, targets) = (narrow(&x), one_hot(&classes, 3));
    let loss = Loss::SoftmaxCrossEntropy;
    let task = Task { targets: Some(&targets), loss, ..Task::reconstruct(&rows) };
    finetune(network, &task, unfreezing, &options(epochs), None, &mut go_on).unwrap()
}

fn encoder_tensors(network: &Network) -> Vec<(String, Vec<usize>, Vec<f32>)> {
    network.tensors().into_iter().filter(|(name, ..)| name.starts_with("encoder")).collect()
}

#[test]
fn a_frozen_encoder_keeps_every_bit_and_the_head_learns() {
    let start = encoder().with_head(3, true, 0);
    let mut network = start.clone();
    let history = teach(&mut network, Unfreezing::Frozen, 20);
    assert_eq!(encoder_tensors(&network), encoder_tensors(&start));
    assert_ne!(network, start);
    assert!(history[19].loss < 0.5 * history[0].loss, "{history:?}");
}

#[test]
fn all_layers_learn_at_once_or_one_after_the_other() {
    for (unfreezing, stages) in [(Unfreezing::Full, 1), (Unfreezing::Gradual, 3)] {
        let start = encoder().with_head(3, true, 0);
        let mut network = start.clone();
        let history = teach(&mut network, unfreezing, 20);
        let numbers: Vec<usize> = history.iter().map(|epoch| epoch.epoch).collect();
        assert_eq!(numbers, (1..=20).collect::<Vec<_>>());
        for ((name, _, before), (_, _, after)) in start.tensors().iter().zip(network.tensors()) {
            assert_ne!(before, &after, "{unfreezing:?}: {name} has not learned");
        }
        // The learning rate starts again in every stage.
        let rises = history.windows(2).filter(|pair| pair[1].learning_rate > pair[0].learning_rate);
        assert_eq!(rises.count() + 1, stages);
    }
}

/// Stops after so many steps, with a checkpoint that went through JSON as in a file.
struct StopAfter(usize, Option<Checkpoint>);

impl Observer for StopAfter {
    fn step(&mut self, _: &Step) -> Wish {
        self.0 -= 1;
        if self.0 == 0 { Wish::Stop } else { Wish::GoOn }
    }
    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> narrows::Result<()> {
        let progress = json!(checkpoint.progress);
        self.1 = Some(Checkpoint::from_kept(&progress, checkpoint.vectors.clone())?);
        Ok(())
    }
}

/// Three steps an epoch, and twelve a stage of the gradual one: within stages and at their ends.
#[test]
fn it_goes_on_from_any_step_of_any_stage() {
    let (x, classes) = corners(150);
    let (rows, targets) = (narrow(&x), one_hot(&classes, 3));
    let loss = Loss::SoftmaxCrossEntropy;
    let task = Task { targets: Some(&targets), loss, ..Task::reconstruct(&rows) };
    let options = TrainOptions { average: 0.9, ..options(12) };
    let start = || encoder().with_head(3, true, 0);
    let losses = |history: Vec<Epoch>| -> Vec<_> {
        history.iter().map(|epoch| (epoch.epoch, epoch.loss)).collect()
    };
    for unfreezing in [Unfreezing::Frozen, Unfreezing::Full, Unfreezing::Gradual] {
        let mut whole = start();
        let history = finetune(&mut whole, &task, unfreezing, &options, None, &mut go_on).unwrap();
        let expected = losses(history);
        let mut stages = Vec::new();
        for steps in [2, 12, 13, 19, 24, 25, 35] {
            let mut observer = StopAfter(steps, None);
            let stopped = finetune(&mut start(), &task, unfreezing, &options, None, &mut observer);
            assert!(matches!(stopped, Err(Error::Interrupted { .. })));
            stages.push(observer.1.as_ref().unwrap().progress.stages);
            let mut resumed = start();
            let from = observer.1;
            let history =
                finetune(&mut resumed, &task, unfreezing, &options, from, &mut go_on).unwrap();
            assert_eq!(losses(history), expected, "{unfreezing:?}, {steps}");
            assert_eq!(resumed.tensors(), whole.tensors(), "{unfreezing:?}, {steps}");
        }
        let gradual = unfreezing == Unfreezing::Gradual;
        assert_eq!(stages, if gradual { [0, 0, 1, 1, 1, 2, 2] } else { [0; 7] });
    }
    // One of another mode is refused, in words.
    let mut observer = StopAfter(30, None);
    finetune(&mut start(), &task, Unfreezing::Gradual, &options, None, &mut observer).unwrap_err();
    let other = finetune(&mut start(), &task, Unfreezing::Full, &options, observer.1, &mut go_on);
    assert!(other.unwrap_err().to_string().contains("2 finished stages of 1"));
}

#[test]
fn gradual_unfreezing_begins_with_the_head_alone() {
    let start = encoder().with_head(3, true, 0);
    let (x, classes) = corners(150);
    let (rows, targets) = (narrow(&x), one_hot(&classes, 3));
    let loss = Loss::SoftmaxCrossEntropy;
    let task = Task { targets: Some(&targets), loss, ..Task::reconstruct(&rows) };
    let mut network = start.clone();
    let mut first_of_three = |epoch: &Epoch| match epoch.epoch {
        4 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let gradual = Unfreezing::Gradual;
    let history =
        finetune(&mut network, &task, gradual, &options(12), None, &mut first_of_three).unwrap();
    assert_eq!(history.len(), 4);
    assert_eq!(encoder_tensors(&network), encoder_tensors(&start));
    let few = finetune(&mut network, &task, gradual, &options(2), None, &mut go_on);
    assert!(few.unwrap_err().to_string().contains("at least 3 epochs"));
}

#[test]
fn a_head_alone_separates_what_a_plane_separates() {
    let (x, classes) = corners(300);
    let identity = Network::projection(Array2::eye(6).view(), ndarray::Array1::zeros(6).view());
    let mut network = identity.with_head(3, true, 0);
    teach(&mut network, Unfreezing::Frozen, 40);
    let names = ["a", "b", "c"].map(String::from).to_vec();
    let predictor = Predictor::new(network, Answer::Class(names)).unwrap();
    let shares = predictor.predict(x.view()).unwrap();
    for (row, class) in shares.outer_iter().zip(classes) {
        assert!((row.sum() - 1.0).abs() < 1e-6, "{row}");
        assert!(row.iter().all(|&share| share <= row[class]), "{row}, not {class}");
    }
}

#[test]
fn any_model_is_an_encoder() {
    let (x, _) = corners(40);
    let pca = PcaOptions { components: "3".parse().unwrap(), whiten: true, ..Default::default() };
    let linear = LinearOptions { latent_dim: 3, tied: true };
    let tied =
        NetworkOptions { layers: vec![5, 4], tied: true, top_k: Some(2), ..Default::default() };
    let network = Network::new(6, &tied, false, 0).unwrap();
    for model in [
        Model::Pca(Pca::fit(x.view(), &pca).unwrap()),
        Model::Linear(Linear::new(&narrow(&x), &linear, 0).unwrap()),
        Model::Network(network),
    ] {
        let codes = model.encode(x.view()).unwrap();
        let encoder = model.encoder().unwrap();
        let same = encoder.encode(&narrow(&x)).unwrap().view().mapv(f64::from);
        assert!((&codes - &same).iter().all(|gap| gap.abs() < 1e-5), "{codes} {same}");
        let headed = encoder.with_head(7, true, 0);
        assert_eq!(headed.encode(&narrow(&x)).unwrap(), encoder.encode(&narrow(&x)).unwrap());
        let scratch = encoder.from_scratch(1);
        assert_eq!(scratch.shape(), encoder.shape());
        assert_ne!(scratch, encoder);
    }
}

fn dataset(x: &Array2<f64>, names: &[String]) -> Dataset {
    Dataset {
        name: "corners".into(),
        rows: Box::new(narrow(x)),
        element: narrows::data::Element::F64,
        image: None,
        labels: Some(Labels::of_names(names)),
        columns: Vec::new(),
        row_names: Vec::new(),
        content_hash: "none".into(),
    }
}

fn source(dataset: &Dataset) -> Run {
    let preparation = Preparation::fit(dataset, &PrepareConfig::default()).unwrap();
    let options = NetworkOptions { layers: vec![8, 4], ..Default::default() };
    let model = Model::Network(Network::new(6, &options, false, 0).unwrap());
    let config = json!({ "version": "0", "model": { "kind": "network" } });
    Run { config, preparation, model, baseline: None }
}

fn bits(predictor: &Run, x: &Array2<f64>) -> Array2<f64> {
    let Model::Predictor(predictor) = &predictor.model else { panic!("no predictor") };
    predictor.predict(x.view()).unwrap()
}

#[test]
fn what_is_kept_predicts_the_same_bits() {
    let (x, classes) = corners(90);
    for regression in [false, true] {
        let names: Vec<String> = classes.iter().map(|class| (10 * class).to_string()).collect();
        let dataset = dataset(&x, &names);
        let settings = json!({ "train": { "epochs": 5 } });
        let asked = Finetune { regression, ..Finetune::from_settings(&settings, 3).unwrap() };
        let fitted = asked.fit(&source(&dataset), &dataset, None, &mut go_on).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fitted.run.write_into(folder.path()).unwrap();
        let opened = Run::open(folder.path()).unwrap();
        assert_eq!(bits(&opened, &x), bits(&fitted.run, &x));
        let codes = opened.model.encode(x.view()).unwrap();
        assert_eq!(codes, fitted.run.model.encode(x.view()).unwrap());
        assert_eq!(codes.ncols(), 4);
        let refused = opened.model.decode(codes.view()).unwrap_err();
        assert!(matches!(refused, Error::Mistake { .. }), "{refused}");
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    let (x, classes) = corners(90);
    let names: Vec<String> = classes.iter().map(usize::to_string).collect();
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let dataset = dataset(&x, &names);
            let settings = json!({ "train": { "epochs": 6 } });
            let asked = Finetune {
                unfreezing: Unfreezing::Gradual,
                ..Finetune::from_settings(&settings, 3).unwrap()
            };
            bits(&asked.fit(&source(&dataset), &dataset, None, &mut go_on).unwrap().run, &x)
        })
    };
    let one = run(1);
    assert_eq!(one, run(2));
    assert_eq!(one, run(7));
}

/// y = 1000 + 300·(x₀ − x₁): far from zero and wide, as prices are.
#[test]
fn a_number_is_told_in_its_own_units() {
    let (x, _) = corners(200);
    let truth: Vec<f64> = x.outer_iter().map(|row| 1000.0 + 300.0 * (row[0] - row[1])).collect();
    let names: Vec<String> = truth.iter().map(f64::to_string).collect();
    let dataset = dataset(&x, &names);
    let pca = PcaOptions { components: "all".parse().unwrap(), ..Default::default() };
    let model = Model::Pca(Pca::fit(x.view(), &pca).unwrap());
    let source = Run { model, ..source(&dataset) };
    let asked = Finetune {
        regression: true,
        unfreezing: Unfreezing::Frozen,
        ..Finetune::from_settings(&json!({ "train": { "learning_rate": 1e-2 } }), 0).unwrap()
    };
    let fitted = asked.fit(&source, &dataset, None, &mut go_on).unwrap();
    for (told, truth) in bits(&fitted.run, &x).iter().zip(truth) {
        assert!((told - truth).abs() < 15.0, "{told}, not {truth}");
    }
}
