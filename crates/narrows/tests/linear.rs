//! The linear autoencoder: on real data, learned by gradient alone, against PCA's optimum; and
//! stopped early.

#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;

use narrows::compute::Matrix;
use narrows::data::{self, OpenOptions, Preparation, PrepareConfig, Prepared};
use narrows::evaluate::Certificate;
use narrows::model::linear::LinearOptions;
use narrows::model::pca::{Components, PcaOptions};
use narrows::model::{Linear, Pca};
use narrows::train::{self, Epoch, Task, TrainOptions, fit};
use ndarray::Array2;

#[test]
fn the_defaults_reach_the_optimum_on_mnist() {
    let Ok(folder) = std::env::var("NARROWS_DATA") else {
        println!("skipped: NARROWS_DATA is not set");
        return;
    };
    let path = format!("{folder}/mnist/train-images-idx3-ubyte.gz");
    let set = data::open(&path, &OpenOptions::default()).unwrap();
    let preparation = Preparation::fit(&set, &PrepareConfig::default()).unwrap();
    let source = Prepared { source: &*set.rows, preparation: &preparation };
    let components = Components::Count(30);
    let pca = Pca::fit_source(&source, &PcaOptions { components, ..Default::default() }).unwrap();
    let rows = train::read(&source).unwrap();
    for tied in [false, true] {
        let options = LinearOptions { latent_dim: 30, tied };
        let mut model = Linear::new(&source, &options, 0).unwrap();
        let options = TrainOptions::linear();
        let task = Task::reconstruct(&rows);
        let history =
            fit(&mut model, &task, &options, None, &mut |_: &Epoch| ControlFlow::Continue(()));
        let seconds: f64 = history.unwrap().iter().map(|epoch| epoch.seconds).sum();
        let certificate = Certificate::new(&model, &pca, &source).unwrap();
        println!("tied {tied}: {seconds:.1} s, {certificate:?}");
        assert!(certificate.relative_excess_loss < 1e-6, "tied {tied}: {certificate:?}");
        assert!(certificate.largest_angle < 1e-2, "tied {tied}: {certificate:?}");
    }
}

/// As many epochs as one likes may be asked for: nothing is set aside for them.
#[test]
fn endless_training_can_be_stopped() {
    let rows = Matrix::from(Array2::from_shape_fn((50, 4), |(i, j)| ((i * (j + 3)) % 11) as f32));
    let options = LinearOptions { latent_dim: 2, tied: true };
    let mut model = Linear::new(&rows, &options, 0).unwrap();
    let options = TrainOptions { epochs: 1_000_000_000_000, ..TrainOptions::linear() };
    let task = Task::reconstruct(&rows);
    let history = fit(&mut model, &task, &options, None, &mut |epoch: &Epoch| {
        if epoch.epoch == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(history.unwrap().len(), 3);
}
