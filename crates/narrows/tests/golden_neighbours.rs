//! Neighbours of codes against scikit-learn (golden/neighbours.py).

#![allow(clippy::unwrap_used)]

use narrows::evaluate::Neighbours;
use ndarray::Array2;
use serde_json::Value;

fn matrix(value: &Value) -> Array2<f64> {
    let rows: Vec<Vec<f64>> = serde_json::from_value(value.clone()).unwrap();
    let shape = (rows.len(), rows[0].len());
    Array2::from_shape_vec(shape, rows.into_iter().flatten().collect()).unwrap()
}

#[test]
fn figures_are_those_of_scikit_learn() {
    let golden: Value = serde_json::from_str(include_str!("golden/neighbours.json")).unwrap();
    let rows = matrix(&golden["rows"]);
    let classes: Vec<usize> = serde_json::from_value(golden["classes"].clone()).unwrap();
    let mut compared = 0;
    for codes in golden["codes"].as_array().unwrap() {
        let values = matrix(&codes["values"]);
        for figures in codes["figures"].as_array().unwrap() {
            let k = figures["k"].as_u64().unwrap() as usize;
            let found =
                Neighbours::measure(rows.view(), values.view(), None, Some(&classes), k).unwrap();
            let expected = |name: &str| figures[name].as_f64().unwrap();
            assert_eq!(found.nearest, k);
            let accuracy = found.scores.accuracy.unwrap();
            assert!((accuracy - expected("accuracy")).abs() < 1e-12, "{figures}: {accuracy}");
            let trust = found.scores.trustworthiness;
            assert!((trust - expected("trustworthiness")).abs() < 1e-12, "{figures}: {trust}");
            compared += 1;
        }
    }
    assert_eq!(compared, 8);
}
