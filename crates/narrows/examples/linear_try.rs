//! try
#![allow(clippy::unwrap_used)]
use narrows::data::{self, Preparation, Prepared, Source};
use narrows::evaluate::Certificate;
use narrows::model::linear::{Linear, LinearOptions};
use narrows::model::pca::{Components, Pca, PcaOptions};
use narrows::objective::SquaredError;
use narrows::train::{TrainOptions, fit};
fn main() {
    let folder = std::env::var("NARROWS_DATA").unwrap();
    let set =
        data::open(&format!("{folder}/mnist/train-images-idx3-ubyte.gz"), &Default::default())
            .unwrap();
    let preparation = Preparation::fit(&set, &Default::default()).unwrap();
    let source = Prepared { source: &*set.rows, preparation: &preparation };
    let options = PcaOptions { components: Components::Count(30), ..Default::default() };
    let pca = Pca::fit_source(&source, &options).unwrap();
    let all = Pca::fit_source(
        &source,
        &PcaOptions { components: Components::Count(33), ..Default::default() },
    )
    .unwrap();
    println!(
        "{:?} {:?} {}",
        &all.explained_variance.as_slice().unwrap()[..2],
        &all.explained_variance.as_slice().unwrap()[28..],
        source.rows()
    );
    for line in std::env::args().skip(1) {
        let mut value: serde_json::Value = serde_json::from_str(&line).unwrap();
        let tied =
            value.as_object_mut().unwrap().remove("tied").map_or(false, |v| v.as_bool().unwrap());
        let seed = value["seed"].as_u64().unwrap_or(0);
        let options: TrainOptions = serde_json::from_value(value).unwrap();
        let mut model =
            Linear::new(&source, &LinearOptions { latent_dim: 30, tied }, seed).unwrap();
        let start = std::time::Instant::now();
        let history = fit(&mut model, &SquaredError, &source, &options, &mut |_| {
            std::ops::ControlFlow::Continue(())
        });
        let Ok(history) = history else {
            println!("{line} {history:?}");
            continue;
        };
        let seconds = start.elapsed().as_secs_f64();
        let c = Certificate::new(&model, &pca, &source).unwrap();
        println!(
            "{line}\n  {seconds:.1} s excess {:.2e} angle {:.2e} next {:.2e} loss {:.4} epoch {:.3} s",
            c.relative_excess_loss,
            c.largest_angle,
            c.principal_angles[28],
            history.last().unwrap().loss,
            history.last().unwrap().seconds
        );
    }
}
