//! Replaced rows, beside runs of the whole model with a hook, and beside sums by plain loops in f64.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use narrows::compute::Matrix;
use narrows::evaluate::Frame;
use narrows::random::Random;
use narrows_lm::model::{NoHook, Pass, TextLoss, losses};
use narrows_lm::splice::{BaselineFrames, Replacement, Splice, SpliceReport};
use narrows_lm::text::Windows;
use narrows_lm::{Basis, LanguageModel, Tap};

const LENGTH: usize = 20;

fn model(name: &str) -> LanguageModel {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/models");
    LanguageModel::open(&models.join(name)).unwrap()
}

/// Eleven windows, more than go through the model at once; the first token of every third begins a text.
fn windows() -> Windows {
    let mut random = Random::stream(1, "tokens");
    let mut token = |place: usize| match place % (3 * LENGTH) {
        0 => 0,
        _ => 1 + (random.uniform() * 250.0) as u32,
    };
    Windows::new((0..11 * LENGTH).map(&mut token).collect(), LENGTH)
}

/// Directions that keep 5 codes of each row of a tap, and those rows.
fn basis(splice: &Splice<'_>) -> (Basis, Matrix) {
    let rows = splice.rows(&windows(), usize::MAX).unwrap();
    (Basis::frame("PCA", Frame::pca(&rows, 0).unwrap(), 5), rows)
}

fn measure(splice: &Splice<'_>, replacements: &[Replacement]) -> SpliceReport {
    splice.measure(&windows(), replacements, &mut |_| ()).unwrap()
}

/// Changes the rows of tokens that do not begin a text.
fn change(rows: &mut Matrix, begin: bool, with: impl Fn(&Matrix) -> Matrix) {
    let (other, d) = (with(rows), rows.cols());
    for (place, &token) in windows().tokens.iter().enumerate() {
        if token != 0 || begin {
            rows.as_mut_slice()[place * d..(place + 1) * d].copy_from_slice(other.row(place));
        }
    }
}

/// The loss of a whole run with changed rows, and its mean divergence from the undisturbed one, in f64.
fn slowly(
    model: &LanguageModel,
    tap: Tap,
    begin: bool,
    with: impl Fn(&Matrix) -> Matrix + Sync,
) -> (f64, f64) {
    let windows = windows();
    let (mut pass, mut normed, mut logits) =
        (Pass::default(), Matrix::default(), Matrix::default());
    let mut logs = |rows: &Matrix| -> Vec<Vec<f64>> {
        model.last_norm(rows, &mut normed);
        model.logits(&normed, &mut logits);
        let of_row = |row: usize| {
            let wide: Vec<f64> = logits.row(row).iter().map(|&x| f64::from(x)).collect();
            let most = wide.iter().copied().fold(f64::MIN, f64::max);
            let total: f64 = wide.iter().map(|x| (x - most).exp()).sum();
            wide.iter().map(|x| x - most - total.ln()).collect()
        };
        (0..logits.rows()).map(of_row).collect()
    };
    model.run(&windows, &mut pass, &mut NoHook).unwrap();
    let clean = logs(&pass.rows);
    let mut hook = (tap, |rows: &mut Matrix| {
        change(rows, begin, &with);
        Ok(())
    });
    model.run(&windows, &mut pass, &mut hook).unwrap();
    let spliced = logs(&pass.rows);
    let (mut loss, mut kl, mut count) = (0.0, 0.0, 0.0);
    for place in (0..windows.tokens.len()).filter(|place| (place + 1) % LENGTH != 0) {
        loss -= spliced[place][windows.tokens[place + 1] as usize];
        let pairs = clean[place].iter().zip(&spliced[place]);
        kl += pairs.map(|(p, q)| p.exp() * (p - q)).sum::<f64>();
        count += 1.0;
    }
    (loss / count, kl / count)
}

fn near(ours: f64, expected: f64, relative: f64, what: &str) {
    assert!((ours - expected).abs() <= relative * expected.abs(), "{what}: {ours}, not {expected}");
}

#[test]
fn identity_changes_no_bit_and_zero_recovers_nothing() {
    let model = model("neox-parallel");
    for tap in Tap::all(&model.architecture) {
        let splice = Splice { model: &model, tap, begin: false };
        let found =
            measure(&splice, &[Replacement::Identity, Replacement::Zero, Replacement::Mean]);
        let (mut sum, windows, mut pass) = (0.0, windows(), Pass::default());
        for part in [windows.part(0..8), windows.part(8..11)] {
            let losses = losses(&model, &part, &mut pass, &mut NoHook).unwrap();
            sum += losses.iter().map(|&loss| f64::from(loss)).sum::<f64>();
        }
        assert_eq!(found.clean, TextLoss::of(sum, 11 * (LENGTH - 1)), "{tap}");
        let [identity, zero, mean] = &found.replacements[..] else { panic!() };
        assert_eq!((identity.loss, identity.kl), (found.clean.loss, 0.0), "{tap}");
        assert_eq!((identity.loss_recovered_zero, identity.loss_recovered_mean), (1.0, 1.0));
        assert_eq!(identity.fraction_variance_unexplained, 0.0);
        assert_eq!((zero.loss_recovered_zero, mean.loss_recovered_mean), (0.0, 0.0), "{tap}");
        near(mean.fraction_variance_unexplained, 1.0, 1e-6, "FVU of the mean");
        assert_eq!((found.rows, found.rows_left), (11 * LENGTH - 4, 4));
        assert_eq!((&found.zero, &found.mean), (zero, mean));
    }
}

/// At every place, whether the pass goes on from rows that were read once or runs anew.
#[test]
fn each_replacement_is_a_whole_run_with_other_rows_at_the_tap() {
    for name in ["neox-parallel", "gpt2", "llama-gqa"] {
        let model = model(name);
        for tap in Tap::all(&model.architecture) {
            for begin in [false, true] {
                let splice = Splice { model: &model, tap, begin };
                let (basis, rows) = basis(&splice);
                assert_eq!(rows.rows(), 11 * LENGTH - if begin { 0 } else { 4 });
                let found = measure(&splice, &[Replacement::features(basis.clone())]);
                let rebuilt =
                    |rows: &Matrix| basis.rebuild(&basis.encode(rows).unwrap(), rows).unwrap();
                let what = format!("{name} {tap} {begin}");
                let (loss, kl) = slowly(&model, tap, begin, rebuilt);
                near(found.replacements[0].loss, loss, 1e-5, &what);
                assert!(
                    (found.replacements[0].kl - kl).abs() < 1e-6 + 1e-4 * kl,
                    "{what}: {found:?}"
                );
                let zeros = |rows: &Matrix| Matrix::zeros(rows.rows(), rows.cols());
                let (loss, kl) = slowly(&model, tap, begin, zeros);
                near(found.zero.loss, loss, 1e-5, &what);
                assert!((found.zero.kl - kl).abs() < 1e-6 + 1e-4 * kl, "{what}: {found:?}");
            }
        }
    }
}

#[test]
fn sums_over_rows_are_those_by_plain_loops() {
    let model = model("neox-parallel");
    let splice = Splice { model: &model, tap: Tap::after(0), begin: false };
    let (basis, rows) = basis(&splice);
    let found = measure(&splice, &[Replacement::features(basis.clone())]);
    let codes = basis.encode(&rows).unwrap();
    let rebuilt = basis.rebuild(&codes, &rows).unwrap();
    let d = rows.cols();
    let column = |column: usize| (0..rows.rows()).map(move |row| (row, column));
    let (mut error, mut spread) = (0.0, 0.0);
    for own in 0..d {
        let at = |(row, column): (usize, usize)| f64::from(rows.row(row)[column]);
        let mean = column(own).map(at).sum::<f64>() / rows.rows() as f64;
        spread += column(own).map(|place| (at(place) - mean).powi(2)).sum::<f64>();
        let left = |(row, own): (usize, usize)| at((row, own)) - f64::from(rebuilt.row(row)[own]);
        error += column(own).map(|place| left(place).powi(2)).sum::<f64>();
    }
    let scores = &found.replacements[0];
    near(scores.fraction_variance_unexplained, error / spread, 1e-6, "FVU");
    assert_eq!((scores.l0, scores.features), (Some(5.0), Some(d)));
    near(scores.perplexity, scores.loss.exp(), 1e-12, "perplexity");
    let recovered = |ablated: f64| (ablated - scores.loss) / (ablated - found.clean.loss);
    near(scores.loss_recovered_zero, recovered(found.zero.loss), 1e-12, "zero");
    near(scores.loss_recovered_mean, recovered(found.mean.loss), 1e-12, "mean");
}

#[test]
fn the_same_bits_with_one_thread_and_three() {
    let model = model("neox-parallel");
    let splice = Splice { model: &model, tap: Tap::after(0), begin: false };
    let run = || {
        let (basis, rows) = basis(&splice);
        let frames = BaselineFrames::fit(&rows, 0).unwrap();
        let all = [vec![basis], frames.at_l0(3, 80).unwrap(), frames.at_width(80).unwrap()];
        let all: Vec<_> = all.into_iter().flatten().map(Replacement::features).collect();
        measure(&splice, &all)
    };
    let with = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    assert_eq!(with(1).install(run), with(3).install(run));
}

#[test]
fn all_orthogonal_directions_give_rows_back_and_all_random_ones_nearly() {
    let model = model("neox-parallel");
    let splice = Splice { model: &model, tap: Tap::after(0), begin: false };
    let (_, rows) = basis(&splice);
    let d = rows.cols();
    let frames = BaselineFrames::fit(&rows, 0).unwrap();
    let bases = [frames.at_l0(4, 40 * d).unwrap(), frames.at_width(40 * d).unwrap()].concat();
    let all: Vec<_> = bases.into_iter().map(Replacement::features).collect();
    let found = measure(&splice, &all).replacements;
    for scores in &found[..5] {
        assert!(scores.l0.unwrap() <= 4.0 && scores.kl > 1e-3, "{scores:?}");
        assert_eq!(scores.features, Some(if scores.name.contains("random") { 40 * d } else { d }));
    }
    // Of all sets of 4 fixed axes the principal ones leave least.
    assert!(found[1].fraction_variance_unexplained <= found[0].fraction_variance_unexplained);
    for scores in [&found[5], &found[6], &found[8]] {
        assert!(scores.fraction_variance_unexplained < 1e-8 && scores.kl < 1e-6, "{scores:?}");
    }
    // ‖x − (d/n)·DᵀD·x‖² is (d − 1)/n of ‖x‖² on average: here about 1/40.
    let random = found[7].fraction_variance_unexplained;
    assert!((0.015..0.04).contains(&random), "{random}");
}

#[test]
fn mistakes_are_told() {
    let model = model("neox-parallel");
    let splice = Splice { model: &model, tap: Tap::after(1), begin: false };
    let narrow = Basis::frame("PCA", Frame::columns(vec![0.0; 7]).unwrap(), 3);
    let told = |splice: &Splice<'_>, windows: Windows, basis: &[Replacement]| {
        splice.measure(&windows, basis, &mut |_| ()).unwrap_err().to_string()
    };
    let message = told(&splice, windows(), &[Replacement::features(narrow)]);
    let expected = "expected rows of 7 columns, as 'PCA' takes them but got 32 at blocks.1.residual_post \
                    of 'neox-parallel'";
    assert!(message.contains(expected), "{message}");
    let message = told(&splice, Windows::new(vec![4, 5], 1), &[]);
    assert!(message.contains("at least one window of 2 tokens"), "{message}");
    let message = told(&splice, Windows::new(vec![0; 6], 3), &[]);
    assert!(message.contains("a token beside those that begin a text"), "{message}");
    let few = splice.rows(&windows(), 40).unwrap();
    let message = BaselineFrames::fit(&few, 0).err().unwrap().to_string();
    assert!(message.contains("at least 64 rows"), "{message}");
}
