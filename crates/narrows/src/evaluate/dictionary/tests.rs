#![allow(clippy::unwrap_used)]

use serde_json::Value;

use super::super::matching::compare_dictionaries;
use super::super::recovery::recovery_for_tests;
use super::*;
use crate::compute::multiply;
use crate::data::superposition::SuperpositionKnobs;

fn golden() -> Value {
    serde_json::from_str(include_str!("../../../tests/golden/dictionary_scores.json")).unwrap()
}

fn matrix(golden: &Value, name: &str, cols: usize) -> Matrix {
    let values = golden[name].as_array().unwrap();
    let values: Vec<f32> = values.iter().map(|x| x.as_f64().unwrap() as f32).collect();
    Matrix::from_rows(values.len() / cols, cols, values).unwrap()
}

fn close(ours: f64, theirs: &Value, name: &str) {
    let theirs = theirs.as_f64().unwrap();
    // SAELens computes in f32.
    assert!((ours - theirs).abs() < 2e-6 * theirs.abs().max(1.0), "{name}: {ours} {theirs}");
}

fn measured(golden: &Value) -> DictionaryScores {
    let rows = matrix(golden, "rows", 6);
    let (codes, output) = (matrix(golden, "codes", 10), matrix(golden, "output", 6));
    let decoder = matrix(golden, "decoder", 6);
    let what = Measured { rows: &rows, targets: None, decoder: &decoder, truth: None };
    what.scores(|_, z, y| {
        (*z, *y) = (SparseRows::from(&codes), output.clone());
        Ok(())
    })
    .unwrap()
}

#[test]
fn scores_are_those_of_saelens() {
    let golden = golden();
    let (ours, theirs) = (measured(&golden), &golden["scores"]);
    close(ours.l0, &theirs["l0"], "l0");
    close(ours.l1, &theirs["l1"], "l1");
    close(ours.squared_error_per_row, &theirs["mse"], "mse");
    close(1.0 - ours.fraction_variance_unexplained, &theirs["explained_variance"], "1 − FVU");
    close(ours.explained_variance_legacy, &theirs["explained_variance_legacy"], "legacy");
    close(ours.cosine, &theirs["cossim"], "cosine");
    close(ours.l2_ratio, &theirs["l2_ratio"], "l2 ratio");
    close(ours.l2_ratio, &golden["shrinkage"], "their shrinkage");
    close(1.0 / ours.shrinkage, &theirs["relative_reconstruction_bias"], "bias");
    assert_eq!(ours.dead as u64, golden["dead"].as_u64().unwrap());
    for (ours, theirs) in ours.rates.iter().zip(golden["density"].as_array().unwrap()) {
        close(*ours, theirs, "density");
    }
    // Nine latents fire in more than a tenth of the rows.
    assert_eq!((ours.dead_share, ours.dense_share), (0.1, 0.9));
}

#[test]
fn explained_variance_forgives_a_constant_error() {
    let golden = golden();
    let ours = measured(&golden);
    let (rows, output) = (matrix(&golden, "rows", 6), matrix(&golden, "output", 6));
    let (mut of_error, mut of_rows) = (0.0, 0.0);
    for column in 0..6 {
        let variance = |values: Vec<f64>| {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            values.iter().map(|x| (x - mean).powi(2)).sum::<f64>()
        };
        let x = |row: usize| f64::from(rows.row(row)[column]);
        of_rows += variance((0..60).map(x).collect());
        of_error +=
            variance((0..60).map(|row| x(row) - f64::from(output.row(row)[column])).collect());
    }
    assert!((ours.explained_variance - (1.0 - of_error / of_rows)).abs() < 1e-12);
    assert!(ours.explained_variance > 1.0 - ours.fraction_variance_unexplained + 0.01);
}

#[test]
fn the_truth_is_found_as_saelens_says() {
    let golden = golden();
    let (decoder, truth) = (matrix(&golden, "decoder", 6), matrix(&golden, "truth", 6));
    let codes = SparseRows::from(&matrix(&golden, "codes", 10));
    let true_codes = SparseRows::from(&matrix(&golden, "true_codes", 14));
    let found = recovery_for_tests(&decoder, &truth, &codes, &true_codes).unwrap();
    close(found.precision, &golden["precision"], "precision");
    close(found.recall, &golden["recall"], "recall");
    close(found.f1, &golden["f1"], "f1");
    close(found.accuracy, &golden["accuracy"], "accuracy");
    close(found.likeness.mcc, &golden["mcc"], "mcc");
    close(found.likeness.uniqueness, &golden["uniqueness"], "uniqueness");
    close(found.likeness.mmcs, &golden["mmcs"], "mmcs");
    close(found.likeness.mmcs_of_other, &golden["mmcs_of_other"], "mmcs of other");
    let turned = compare_dictionaries(&truth, &decoder).unwrap();
    assert!((turned.mcc - found.likeness.mcc).abs() < 1e-6);
    assert_eq!(turned.mmcs, found.likeness.mmcs_of_other);
}

#[test]
fn the_truth_itself_is_found_whole() {
    let knobs = SuperpositionKnobs {
        features: 64,
        dim: 48,
        roots: 8,
        depth: 1,
        rows: 3000,
        ..Default::default()
    };
    let truth = knobs.generate().unwrap();
    let mut start = 0;
    let what =
        Measured { rows: &truth, targets: None, decoder: truth.directions(), truth: Some(&truth) };
    let scores = what
        .scores(|rows, codes, output| {
            *codes = truth.codes(start..start + rows.rows());
            start += rows.rows();
            let bias = truth.bias();
            *output = Matrix::zeros(rows.rows(), rows.cols());
            multiply(codes.to_dense().view(), truth.directions().view(), output.view_mut());
            output.as_mut_slice().chunks_exact_mut(48).for_each(|row| {
                row.iter_mut().zip(bias).for_each(|(y, c)| *y += c);
            });
            Ok(())
        })
        .unwrap();
    let found = scores.truth.as_ref().unwrap();
    assert!(scores.fraction_variance_unexplained < 1e-10 && (scores.shrinkage - 1.0).abs() < 1e-6);
    assert!((found.likeness.mcc - 1.0).abs() < 1e-6 && found.likeness.uniqueness == 1.0);
    // A feature that fires in no row is neither found nor missed.
    let alive = 1.0 - scores.dead_share;
    assert!((found.f1 - alive).abs() < 1e-12 && found.accuracy == 1.0);
    assert!((found.true_l0 - scores.l0).abs() < 1e-12);
    assert_eq!(found.feature_rates, scores.rates);
    let told = |(found, rate): (&[f64; 2], &f64)| *found == [f64::from(u8::from(*rate > 0.0)); 2];
    assert!(found.of_latents.iter().zip(&scores.rates).all(told));
    assert!(found.likeness.cosines_of_other.iter().all(|cosine| (cosine - 1.0).abs() < 1e-6));
    let l1: f64 = scores.mean_codes.iter().zip(&scores.rates).map(|(code, rate)| code * rate).sum();
    assert!((l1 / scores.l1 - 1.0).abs() < 1e-12);
    let text = serde_json::to_string(&scores).unwrap();
    let back: DictionaryScores = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&back).unwrap(), text);
}

#[test]
fn a_row_that_is_the_mean_row_has_no_share_of_variance() {
    let rows = Matrix::from_rows(3, 2, vec![1.0, 1.0, 3.0, 3.0, 2.0, 2.0]).unwrap();
    // Errors 2, 0 and 1, of squared distances 2, 2 and 0.
    let output = Matrix::from_rows(3, 2, vec![0.0, 0.0, 3.0, 3.0, 2.0, 1.0]).unwrap();
    let decoder = Matrix::from_rows(1, 2, vec![1.0, 0.0]).unwrap();
    let what = Measured { rows: &rows, targets: None, decoder: &decoder, truth: None };
    let scores = what.scores(|_, z, y| {
        (*z, *y) = (SparseRows::from(&Matrix::zeros(3, 1)), output.clone());
        Ok(())
    });
    assert_eq!(scores.unwrap().explained_variance_legacy, 0.5);
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let (rows, decoder) = (Matrix::zeros(3, 4), Matrix::zeros(5, 2));
    let what = Measured { rows: &rows, targets: None, decoder: &decoder, truth: None };
    let message = what.scores(|_, _, _| Ok(())).unwrap_err().to_string();
    assert!(message.contains("rows of 2 columns but got 4"), "{message}");
    let decoder = Matrix::zeros(5, 4);
    let what = Measured { rows: &rows, targets: None, decoder: &decoder, truth: None };
    assert!(what.scores(|_, _, _| Ok(())).unwrap_err().to_string().contains("3 rows of 4 columns"));
    let few = Matrix::zeros(2, 4);
    let what = Measured { rows: &rows, targets: Some(&few), decoder: &decoder, truth: None };
    assert!(what.scores(|_, _, _| Ok(())).unwrap_err().to_string().contains("should come out"));
}

#[test]
fn rates_are_counted_on_a_logarithmic_scale() {
    let found = DensityHistogram::of(&[0.0, 1.0, 0.9, 0.1, 0.05, 0.0009, 0.001]);
    // −3.05 lies in the bin from −3.25, −3 in that from −3, −1.3 in −1.5, −1 in −1, the rest in −0.25.
    let mut latents = vec![0; 13];
    for (bin, count) in [(0, 1), (1, 1), (7, 1), (9, 1), (12, 2)] {
        latents[bin] = count;
    }
    assert_eq!(found, DensityHistogram { lowest: -3.25, step: 0.25, latents });
    assert_eq!(DensityHistogram::of(&[0.0]).latents, [0]);
}

#[test]
fn near_atoms_are_seen() {
    let rows = vec![1.0, 0.0, 2.0, 0.1, 0.0, 3.0, -1.0, 0.0];
    let found = DecoderStructure::of(&Matrix::from_rows(4, 2, rows).unwrap());
    let near = 2.0 / 4.01_f64.sqrt();
    let expected = [near, near, 0.1 / 4.01_f64.sqrt(), 0.0];
    for (ours, expected) in found.nearest.iter().map(|(_, cosine)| cosine).zip(expected) {
        assert!((ours - expected).abs() < 1e-7, "{ours} {expected}");
    }
    assert_eq!(found.near_share, 0.5);
    assert_eq!(
        DecoderStructure::of(&Matrix::from_rows(1, 2, vec![1.0, 1.0]).unwrap()).largest_cosine,
        0.0
    );
}
