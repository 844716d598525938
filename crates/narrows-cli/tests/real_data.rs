//! The binary on real data, against figures computed elsewhere.

#![allow(clippy::unwrap_used)]

mod harness;

use harness::Desk;

/// Squared error per test image of exact PCA (axes and mean of the training images, pixels / 255)
/// without and with clipping to 0 … 1, by NumPy.
const MNIST: [(usize, f64, f64); 7] = [
    (2, 43.645, 43.491),
    (3, 40.461, 40.193),
    (10, 26.714, 25.787),
    (30, 13.866, 12.590),
    (50, 9.004, 7.867),
    (100, 4.403, 3.635),
    (154, 2.589, 2.063),
];

#[test]
fn pca_of_mnist_loses_what_it_must() {
    let Ok(data) = std::env::var("NARROWS_DATA") else {
        println!("skipped: NARROWS_DATA is not set");
        return;
    };
    let desk = Desk::new();
    for (k, squared_error, clipped) in MNIST {
        let train = format!("{data}/mnist/train-images-idx3-ubyte.gz");
        let test = format!("{data}/mnist/t10k-images-idx3-ubyte.gz");
        desk.narrows(&format!("fit -q --data {train} --set model.components={k} --out run"));
        let found = desk.json(&format!("evaluate run --data {test} --json"));
        let near = |key: &str, expected: f64| {
            let value = found[key].as_f64().unwrap();
            println!("k = {k}: {key} {value} against {expected}");
            assert!((value - expected).abs() <= 0.003, "k = {k}: {key} {value}, not {expected}");
        };
        assert_eq!((&found["rows"], &found["latent_dim"]), (&10_000.into(), &k.into()));
        near("squared_error_per_row", squared_error);
        near("squared_error_per_row_clipped", clipped);
        assert!(found["pythagoras"]["relative_error"].as_f64().unwrap() <= 1e-10, "{found}");
    }
}
