//! Codes and rows against a slow twin that computes one number at a time in f64.

use super::*;
use crate::compute::SparseRows;
use crate::model::Autoencoder;
use crate::random::Random;

const D: usize = 7;
const N: usize = 40;

fn draw(name: &str, count: usize) -> Vec<f32> {
    let mut random = Random::stream(5, name);
    (0..count).map(|_| random.normal() as f32).collect()
}

fn matrix(name: &str, rows: usize, cols: usize) -> Matrix {
    Matrix::from_rows(rows, cols, draw(name, rows * cols)).expect("fits")
}

fn dictionary(gate: Gate) -> Dictionary {
    Dictionary {
        encoder: matrix("encoder", N, D),
        encoder_bias: draw("encoder bias", N),
        decoder: matrix("decoder", N, D),
        decoder_bias: draw("decoder bias", D),
        skip: None,
        centred: true,
        gate,
        row_scale: RowScale::None,
    }
}

fn gates() -> Vec<Gate> {
    vec![
        Gate::Relu,
        Gate::TopK { k: 5, by_norm: false },
        Gate::TopK { k: 5, by_norm: true },
        Gate::AbsTopK { k: 5, by_norm: false },
        Gate::AbsTopK { k: 5, by_norm: true },
        Gate::Threshold(draw("threshold", N)),
        Gate::Gated { log_magnitude: draw("r", N), magnitude_bias: draw("m", N) },
    ]
}

fn norm(row: &[f32]) -> f64 {
    row.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt()
}

/// Codes of one row and what they rebuild.
fn slowly(dictionary: &Dictionary, x: &[f32]) -> (Vec<f64>, Vec<f64>) {
    let norms: Vec<f64> = (0..N).map(|j| norm(dictionary.decoder.row(j))).collect();
    let product = |j: usize| -> f64 {
        let centred = x.iter().zip(&dictionary.decoder_bias).map(|(x, c)| f64::from(x - c));
        centred.zip(dictionary.encoder.row(j)).map(|(x, e)| x * f64::from(*e)).sum()
    };
    let a: Vec<f64> = (0..N).map(|j| product(j) + f64::from(dictionary.encoder_bias[j])).collect();
    let top = |k: usize, by_norm: bool, rank: fn(f64) -> f64| {
        let weighted: Vec<f64> =
            (0..N).map(|j| if by_norm { a[j] * norms[j] } else { a[j] }).collect();
        let mut order: Vec<usize> = (0..N).collect();
        order.sort_by(|&i, &j| rank(weighted[j]).total_cmp(&rank(weighted[i])));
        let kept = |j: usize| if order[..k].contains(&j) { weighted[j] } else { 0.0 };
        (0..N).map(kept).collect::<Vec<f64>>()
    };
    let positive = |z: Vec<f64>| z.into_iter().map(|z| z.max(0.0)).collect::<Vec<f64>>();
    let (z, by_norm) = match &dictionary.gate {
        Gate::Relu => (positive(a.clone()), false),
        &Gate::TopK { k, by_norm } => (positive(top(k, by_norm, |a| a)), by_norm),
        &Gate::AbsTopK { k, by_norm } => (top(k, by_norm, f64::abs), by_norm),
        Gate::Threshold(t) => {
            let gate = |j: usize| if a[j] > f64::from(t[j]) { a[j].max(0.0) } else { 0.0 };
            ((0..N).map(gate).collect(), false)
        }
        Gate::Gated { log_magnitude: r, magnitude_bias: m } => {
            let value = |j: usize| f64::from(r[j]).exp() * product(j) + f64::from(m[j]);
            let gate = |j: usize| if a[j] > 0.0 { value(j).max(0.0) } else { 0.0 };
            ((0..N).map(gate).collect(), false)
        }
        Gate::Pursuit { .. } => unreachable!("it has a test of its own"),
    };
    let share = |j: usize| if by_norm { z[j] / norms[j] } else { z[j] };
    let y = (0..D).map(|i| {
        let sum: f64 = (0..N).map(|j| share(j) * f64::from(dictionary.decoder.row(j)[i])).sum();
        sum + f64::from(dictionary.decoder_bias[i])
    });
    let y = y.collect();
    (z, y)
}

fn near(got: &[f32], expected: &[f64]) {
    for (got, expected) in got.iter().zip(expected) {
        let tolerance = 1e-5 * expected.abs().max(1.0);
        assert!((f64::from(*got) - expected).abs() < tolerance, "{got} for {expected}");
    }
}

#[test]
fn every_gate_agrees_with_the_slow_twin_beyond_one_tile() {
    let x = matrix("rows", 300, D);
    for gate in gates() {
        let dictionary = dictionary(gate);
        let codes = dictionary.encode(&x).expect("fits");
        let rebuilt = dictionary.reconstruct(&x).expect("fits");
        for row in 0..x.rows() {
            let (z, y) = slowly(&dictionary, x.row(row));
            near(codes.row(row), &z);
            near(rebuilt.row(row), &y);
        }
        assert_eq!(dictionary.decode(&codes).expect("fits"), rebuilt);
    }
}

/// With orthonormal directions pursuit finds the coordinates, largest first.
#[test]
fn pursuit_of_orthonormal_directions_finds_the_coordinates() {
    let mut decoder = Matrix::zeros(4, 4);
    (0..4).for_each(|j| decoder.as_mut_slice()[5 * j] = 1.0);
    let mut pursuit = Dictionary {
        encoder: Matrix::zeros(0, 4),
        encoder_bias: Vec::new(),
        decoder,
        decoder_bias: vec![1.0; 4],
        gate: Gate::Pursuit {
            residual_threshold: 0.0,
            max_iterations: None,
            stop_on_duplicate: true,
        },
        ..dictionary(Gate::Relu)
    };
    let x = Matrix::from_rows(1, 4, vec![3.0, -2.0, 1.5, 6.0]).expect("fits");
    assert_eq!(pursuit.encode(&x).expect("fits").as_slice(), [2.0, 0.0, 0.5, 5.0]);
    pursuit.gate =
        Gate::Pursuit { residual_threshold: 0.0, max_iterations: Some(2), stop_on_duplicate: true };
    assert_eq!(pursuit.encode(&x).expect("fits").as_slice(), [2.0, 0.0, 0.0, 5.0]);
    pursuit.gate =
        Gate::Pursuit { residual_threshold: 4.0, max_iterations: None, stop_on_duplicate: false };
    // ‖(2, −3, 0.5)‖ = 3.6 is small enough after one step.
    assert_eq!(pursuit.encode(&x).expect("fits").as_slice(), [0.0, 0.0, 0.0, 5.0]);
}

/// A row and its multiple (or shift) have the same codes, and are each rebuilt in their own scale.
#[test]
fn scaled_rows_have_the_same_codes() {
    let x = matrix("rows", 3, D);
    for (scale, shift) in [(RowScale::ConstantNorm, 0.0), (RowScale::LayerNorm, 2.0)] {
        let dictionary = Dictionary { row_scale: scale, ..dictionary(Gate::Relu) };
        let moved = x.as_slice().iter().map(|v| 10.0 * v + shift).collect();
        let moved = Matrix::from_rows(3, D, moved).expect("fits");
        let codes = dictionary.encode_sparse(&x).expect("fits");
        let again = dictionary.encode(&moved).expect("fits");
        let wide = |m: &Matrix| m.as_slice().iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
        // The constant beside the standard deviation keeps ten times the row from being the same.
        for (got, expected) in again.as_slice().iter().zip(codes.to_dense().as_slice()) {
            assert!((got - expected).abs() < 2e-4, "{got} for {expected}");
        }
        let y = dictionary.rebuild(&codes, &x).expect("fits");
        let moved_y = dictionary.rebuild(&codes, &moved).expect("fits");
        let expected: Vec<f64> = wide(&y).iter().map(|v| 10.0 * v + f64::from(shift)).collect();
        for (got, expected) in moved_y.as_slice().iter().zip(expected) {
            assert!((f64::from(*got) - expected).abs() < 1e-4 * expected.abs().max(10.0));
        }
        assert!(dictionary.decode(&codes.to_dense()).is_err());
    }
}

#[test]
fn what_skips_the_codes_is_added() {
    let skip = matrix("skip", D, D);
    let with = Dictionary { skip: Some(skip.clone()), centred: false, ..dictionary(Gate::Relu) };
    let without = Dictionary { skip: None, ..with.clone() };
    let x = matrix("rows", 4, D);
    let (with, without) =
        (with.reconstruct(&x).expect("fits"), without.reconstruct(&x).expect("fits"));
    for row in 0..4 {
        let expected: Vec<f64> = (0..D)
            .map(|i| {
                let share = skip.row(i).iter().zip(x.row(row)).map(|(s, x)| f64::from(s * x));
                f64::from(without.row(row)[i]) + share.sum::<f64>()
            })
            .collect();
        near(with.row(row), &expected);
    }
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    assert!(gates().into_iter().all(|gate| dictionary(gate).check().is_ok()));
    let refused = [
        Dictionary { encoder_bias: vec![0.0; N - 1], ..dictionary(Gate::Relu) },
        Dictionary { decoder: matrix("decoder", N, D + 1), ..dictionary(Gate::Relu) },
        Dictionary { skip: Some(matrix("skip", D, D + 1)), ..dictionary(Gate::Relu) },
        dictionary(Gate::Threshold(vec![0.0; 3])),
        dictionary(Gate::TopK { k: 0, by_norm: false }),
        dictionary(Gate::TopK { k: N + 1, by_norm: false }),
    ];
    assert!(refused.iter().all(|dictionary| dictionary.check().is_err()));
    let sound = dictionary(Gate::Relu);
    assert!(sound.encode(&matrix("rows", 2, D + 1)).is_err());
    assert!(sound.decode_sparse(&SparseRows::new(N + 1)).is_err());
}
