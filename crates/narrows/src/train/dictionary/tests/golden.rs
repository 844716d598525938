//! Losses, gradients and steps of Adam against PyTorch's (tests/golden/dictionary_losses.py).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::learner::{Desk, Learner, Moment};
use super::{densities, gradients, put};
use crate::compute::Matrix;
use crate::train::dictionary::DictionaryOptions;

#[derive(Deserialize)]
struct Golden {
    input: usize,
    rows: usize,
    learning_rate: f64,
    gradient_clip: f64,
    cases: BTreeMap<String, Case>,
}

#[derive(Deserialize)]
struct Case {
    options: DictionaryOptions,
    dead: Vec<usize>,
    parameters: BTreeMap<String, Vec<f32>>,
    rows: Vec<f32>,
    targets: Option<Vec<f32>>,
    loss: f64,
    penalty: f64,
    revival: f64,
    active: u64,
    gradients: BTreeMap<String, Vec<f64>>,
    #[serde(default)]
    gradient_lengths: Vec<f64>,
    #[serde(default)]
    stepped: BTreeMap<String, Vec<f64>>,
}

fn golden() -> Golden {
    let text = include_str!("../../../../tests/golden/dictionary_losses.json");
    serde_json::from_str(text).expect("the file that the script writes")
}

impl Case {
    fn batch(&self, golden: &Golden) -> (Matrix, Matrix) {
        let matrix = |values: &[f32]| {
            let columns = values.len() / golden.rows;
            Matrix::from_rows(golden.rows, columns, values.to_vec()).expect("fits")
        };
        (matrix(&self.rows), matrix(self.targets.as_ref().unwrap_or(&self.rows)))
    }

    fn learner(&self, golden: &Golden) -> Learner {
        let output = self.targets.as_ref().unwrap_or(&self.rows).len() / golden.rows;
        let mut learner = Learner::new(
            self.options.clone(),
            (golden.input, golden.input == output),
            vec![0.0; output],
        );
        put(&mut learner, self.parameters.iter().map(|(name, own)| (&name[..], &own[..])));
        learner
    }

    fn bring_about(&self, learner: &mut Learner, density: f64) {
        learner.standing.density = density;
        learner.standing.silent_for.fill(0);
        for &latent in &self.dead {
            learner.standing.silent_for[latent] = self.options.dead_after;
        }
    }
}

/// Whether numbers agree to 10⁻⁵ of the largest.
fn compare(what: &str, got: &[f32], expected: &[f64]) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
    for (place, (&got, &expected)) in got.iter().zip(expected).enumerate() {
        let gap = (f64::from(got) - expected).abs();
        assert!(gap <= 1e-5 * largest, "{what}[{place}]: {got}, not {expected}");
    }
}

fn compare_one(what: &str, got: f64, expected: f64) {
    assert!((got - expected).abs() <= 1e-5 * expected.abs(), "{what}: {got}, not {expected}");
}

#[test]
fn losses_and_gradients_are_those_of_pytorch() {
    let golden = golden();
    assert!(golden.cases.len() > 40);
    for (name, case) in &golden.cases {
        let (x, target) = case.batch(&golden);
        for &density in densities(&case.options) {
            let mut learner = case.learner(&golden);
            case.bring_about(&mut learner, density);
            let (came, told) = gradients(&mut learner, &x, &target);
            let what = format!("{name}, density {density}");
            compare_one(&format!("{what}: loss"), came.sums.loss, case.loss);
            compare_one(&format!("{what}: penalty"), came.sums.penalty, case.penalty);
            compare_one(&format!("{what}: revival"), came.revival, case.revival);
            assert_eq!(came.sums.active, case.active, "{what}");
            for (parameter, expected) in &case.gradients {
                compare(&format!("{what}: {parameter}"), &told[&parameter[..]], expected);
            }
            let squares = case.gradients.values().flatten().map(|g| g * g).sum::<f64>();
            compare_one(&format!("{what}: length"), came.gradient, squares.sqrt());
        }
    }
}

#[test]
fn three_clipped_steps_of_adam_are_those_of_pytorch() {
    let golden = golden();
    let moment = Moment {
        rate: golden.learning_rate,
        momenta: [0.9, 0.999],
        clip: Some(golden.gradient_clip),
        sparsity: 1.0,
        k: 1.0,
    };
    let stepped = golden.cases.iter().filter(|(_, case)| !case.stepped.is_empty());
    assert!(stepped.clone().count() > 7);
    for (name, case) in stepped {
        let (x, target) = case.batch(&golden);
        for &density in densities(&case.options) {
            let mut learner = case.learner(&golden);
            for &length in &case.gradient_lengths {
                case.bring_about(&mut learner, density);
                let came = learner.step(&mut Desk::default(), &x, &target, &moment);
                assert!(length > golden.gradient_clip, "nothing would be clipped");
                compare_one(&format!("{name}: length"), came.gradient, length);
            }
            let vectors: BTreeMap<_, _> = learner.vectors().into_iter().collect();
            for (parameter, expected) in &case.stepped {
                let what = format!("{name}, density {density}: {parameter}");
                compare(&what, vectors[&parameter[..]], expected);
            }
        }
    }
}
