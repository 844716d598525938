//! A step against its slow twin, code by code and by products of whole matrices.

use std::collections::BTreeMap;

use ndarray::Array2;

use super::super::learner::Learner;
use super::twin::Given;
use super::{densities, drawn, gradients, one_of_each, put};
use crate::compute::Matrix;
use crate::train::dictionary::{DictionaryOptions, Kind};

fn wide(matrix: &Matrix) -> Array2<f64> {
    matrix.view().mapv(f64::from)
}

/// The length of the difference, in parts of the length of what is expected.
fn apart(got: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(got.len(), expected.len());
    let gaps: f64 =
        got.iter().zip(expected).map(|(got, want)| (f64::from(*got) - want).powi(2)).sum();
    let length: f64 = expected.iter().map(|want| want * want).sum();
    if gaps == 0.0 { 0.0 } else { (gaps / length).sqrt() }
}

fn compare(name: &str, options: &DictionaryOptions, output: usize, dead: &[usize]) {
    let (rows, input, latents) = (300, 37, options.latents);
    let x = drawn("x", rows, input, 1.0);
    let target = if output == input { x.clone() } else { drawn("t", rows, output, 1.0) };
    for &density in densities(options) {
        let mut learner =
            Learner::new(options.clone(), (input, input == output), vec![0.0; output]);
        let bias = drawn("b", latents, 1, 0.2);
        put(&mut learner, [("bias", bias.as_slice())]);
        if !options.tied {
            put(&mut learner, [("centre", drawn("c", 1, output, 0.3).as_slice())]);
        }
        if options.skip {
            put(&mut learner, [("skip", drawn("s", output, input, 0.2).as_slice())]);
        }
        if options.kind == Kind::Gated {
            put(&mut learner, [("first", drawn("r", latents, 1, 0.3).as_slice())]);
            put(&mut learner, [("second", drawn("m", latents, 1, 0.3).as_slice())]);
        }
        learner.standing.density = density;
        dead.iter().for_each(|&j| learner.standing.silent_for[j] = options.dead_after);
        let own = &learner.parameters;
        let mut parameters = BTreeMap::from([
            ("encoder", wide(&own.encoder.value)),
            ("decoder", wide(&own.decoder.value)),
            ("bias", wide(&own.bias.value)),
            ("first", wide(&own.first.value)),
            ("second", wide(&own.second.value)),
            ("centre", wide(&learner.centre.value)),
        ]);
        if let Some(skip) = &learner.skip {
            parameters.insert("skip", wide(&skip.value));
        }
        let (x_wide, target_wide) = (wide(&x), wide(&target));
        let centred = output == input && !options.tied;
        let given = Given { options, parameters, x: x_wide, target: target_wide, dead, centred };
        let twin = given.twin();
        let (came, told) = gradients(&mut learner, &x, &target);
        let what = format!("{name}, {output} columns, density {density}, {} dead", dead.len());
        for (part, got, expected) in [
            ("loss", came.sums.loss, twin.loss),
            ("penalty", came.sums.penalty, twin.penalty),
            ("revival", came.revival, twin.revival),
        ] {
            assert!((got - expected).abs() <= 1e-6 * expected, "{what}: {part} {got}, {expected}");
        }
        for (parameter, expected) in &twin.gradients {
            let apart = apart(&told[parameter], expected);
            assert!(apart <= 1e-6, "{what}: {parameter} is off by {apart:.1e}");
        }
    }
}

#[test]
fn a_step_is_that_of_the_slow_twin() {
    for (name, options) in one_of_each(150) {
        compare(name, &options, 37, &[]);
        let revival_k = Some(5);
        compare(name, &DictionaryOptions { revival_k, ..options }, 37, &[0, 3, 64, 70, 149]);
    }
}

#[test]
fn a_step_of_a_transcoder_is_that_of_the_slow_twin() {
    for (name, options) in one_of_each(150) {
        if options.tied {
            continue;
        }
        compare(name, &options, 29, &[]);
        let dead: Vec<usize> = (0..40).collect();
        compare(name, &DictionaryOptions { skip: true, ..options }, 29, &dead);
    }
}
