//! What a warm start from PCA is worth: the deep autoencoder of `recipes/deep-mnist.toml` on some of
//! MNIST, from drawn weights and from PCA.
//!
//! ```text
//! warm_start ROWS EPOCHS ACTIVATION INITIALISATION…   squared error per row before training, and of
//!                                                     10,000 other rows after each epoch; the data are
//!                                                     found by NARROWS_DATA
//! ```

#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;

use narrows::data::{Chosen, Preparation, PrepareConfig, Prepared, evenly};
use narrows::model::{Autoencoder, Network};
use narrows::recipe::Recipe;
use narrows::train::{self, Epoch, Schedule, Task, TrainOptions};
use serde_json::json;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [count, epochs] = [0, 1].map(|place: usize| words[place].parse::<usize>().unwrap());
    let path = "mnist/train-images-idx3-ubyte.gz";
    let dataset = narrows::data::open(path, &Default::default()).unwrap();
    let places = evenly(dataset.rows.rows(), count + 10_000);
    let preparation = Preparation::fit(&dataset, &PrepareConfig::default()).unwrap();
    let prepared = Prepared { source: &*dataset.rows, preparation: &preparation };
    let rows = train::read(&Chosen { source: &prepared, places: &places }).unwrap();
    let options = TrainOptions {
        optimizer: train::Method::Adamw,
        batch_size: 256,
        epochs,
        schedule: Schedule::OneCycle,
        validation: 10_000.0 / rows.rows() as f64,
        ..TrainOptions::network()
    };
    for initialisation in &words[3..] {
        let recipe = Recipe::from_value(json!({
            "model": {
                "kind": "network",
                "layers": [1000, 500, 250, 30],
                "activation": words[2],
                "initialisation": initialisation,
            }
        }));
        let shape = recipe.unwrap().model.network(narrows::compute::Activation::Sigmoid);
        let mut network = Network::new(784, &shape, false, 0).unwrap();
        if initialisation == "pca" {
            network.start_from_pca(&rows, 0).unwrap();
        }
        let rebuilt = network.reconstruct(&rows).unwrap();
        let gaps = (&rebuilt.view() - &rows.view()).mapv(|gap| f64::from(gap).powi(2));
        println!("{initialisation}: before {:.3}", gaps.sum() / rows.rows() as f64);
        let task = Task::reconstruct(&rows);
        let mut tell = |epoch: &Epoch| {
            println!(
                "{initialisation}: epoch {:2} training {:.3} held out {:.3}",
                epoch.epoch,
                epoch.loss,
                epoch.validation.unwrap()
            );
            ControlFlow::Continue(())
        };
        train::fit(&mut network, &task, &options, None, &mut tell).unwrap();
    }
}
