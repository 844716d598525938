#![allow(clippy::unwrap_used)]

use serde_json::Value;

use super::*;

fn golden() -> Value {
    serde_json::from_str(include_str!("../../../tests/golden/probes.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn places(value: &Value) -> Vec<usize> {
    numbers(value).into_iter().map(|place| place as usize).collect()
}

fn matrix(value: &Value, cols: usize) -> Matrix {
    let values: Vec<f32> = numbers(value).into_iter().map(|x| x as f32).collect();
    Matrix::from_rows(values.len() / cols, cols, values).unwrap()
}

#[test]
fn regressions_are_those_of_scikit_learn() {
    for case in golden()["regressions"].as_array().unwrap() {
        let columns = case["columns"].as_u64().unwrap() as usize;
        let x = numbers(&case["x"]);
        let x = Array2::from_shape_vec((x.len() / columns, columns), x).unwrap();
        let y: Vec<bool> =
            case["y"].as_array().unwrap().iter().map(|y| y.as_bool().unwrap()).collect();
        let fit = Logistic::fit(x.view(), &y, case["penalty"].as_f64().unwrap());
        for (ours, theirs) in fit.parameters().iter().zip(numbers(&case["parameters"])) {
            assert!((ours - theirs).abs() < 1e-6 * theirs.abs().max(1.0), "{ours} {theirs}");
        }
    }
}

#[test]
fn probes_are_those_of_scikit_learn() {
    let golden = golden();
    let codes = SparseRows::from(&matrix(&golden["codes"], 12));
    let rows = matrix(&golden["rows"], 6);
    let (train, test) = (places(&golden["train"]), places(&golden["test"]));
    let classes = places(&golden["classes"]);
    let found = Probes::on_split(&rows, &codes, &classes, [&train, &test]).unwrap();
    let same = |ours: Probe, theirs: &Value| {
        let theirs = numbers(theirs);
        assert!((ours.accuracy - theirs[0]).abs() < 1e-12, "{ours:?} {theirs:?}");
        assert!((ours.f1 - theirs[1]).abs() < 1e-12, "{ours:?} {theirs:?}");
    };
    for (kind, ours) in [("latents", &found.latents), ("columns", &found.columns)] {
        assert_eq!(ours.iter().map(|probe| probe.k).collect::<Vec<_>>(), SIZES);
        ours.iter()
            .zip(golden[kind].as_array().unwrap())
            .for_each(|(ours, theirs)| same(*ours, theirs));
    }
    same(found.all_columns, &golden["all_columns"]);
    assert_eq!((found.train_rows, found.test_rows, found.classes), (110, 40, 3));
}

#[test]
fn a_latent_that_is_the_class_tells_it_whole() {
    let classes: Vec<usize> = (0..100).map(|row| row % 4).collect();
    let mut codes = SparseRows::new(6);
    classes.iter().for_each(|&class| codes.push_row([(class as u32, 2.0)]));
    let rows = Matrix::zeros(100, 3);
    let found = Probes::measure(&rows, &codes, &classes, 1).unwrap();
    assert_eq!((found.train_rows, found.test_rows, found.classes), (80, 20, 4));
    assert!(found.latents.iter().all(|probe| (probe.accuracy, probe.f1) == (1.0, 1.0)));
    // Nothing is in the rows: the probe answers what is more frequent.
    assert_eq!(found.all_columns.accuracy, found.majority_accuracy);
    assert_eq!(found.all_columns.f1, 0.0);
    let again = Probes::measure(&rows, &codes, &classes, 1).unwrap();
    assert_eq!(found, again);
}

#[test]
fn classes_that_cannot_be_told_are_refused() {
    let codes = SparseRows::from(&Matrix::<f32>::zeros(10, 2));
    let rows = Matrix::zeros(10, 2);
    let message = Probes::measure(&rows, &codes, &[0; 10], 0).unwrap_err().to_string();
    assert!(message.contains("two classes"), "{message}");
    let message = Probes::measure(&rows, &codes, &[0; 9], 0).unwrap_err().to_string();
    assert!(message.contains("10 rows, 10 codes, 9 classes"), "{message}");
}
