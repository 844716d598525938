//! From rows to a run and back, as a user meets it.

#![allow(clippy::unwrap_used)]

mod harness;

use std::fmt::Write;

use harness::{Desk, pgm, rows};
use ndarray::{Array2, Axis};
use serde_json::Value;

const THREADS: [usize; 3] = [1, 2, 7];

#[test]
fn pca_from_rows_to_a_report() {
    let desk = Desk::new();
    desk.narrows("fit -q --data demo:digits --set model.components=12 --out run");
    let found = round_trip(&desk, 12);
    for key in SCORES {
        assert_eq!(found[key], found["pca"][key], "{key}");
    }
    assert!(found["pythagoras"]["relative_error"].as_f64().unwrap() < 1e-12, "{found}");

    // On the training rows the error is what the spectrum leaves out: Σ_{i>k} λᵢ · (n − 1) / n.
    let fitted: Value = read_json(&desk, "run/scores.json");
    let promised = fitted["fit"]["squared_error_per_row"].as_f64().unwrap();
    close(found["squared_error_per_row"].as_f64().unwrap(), promised, 1e-10);
}

#[test]
fn linear_from_rows_to_a_report() {
    let desk = Desk::new();
    let fit = "fit -q --model linear --data demo:digits --set model.latent_dim=5 --out run";
    desk.narrows(&format!("{fit} --set train.epochs=3"));
    let found = round_trip(&desk, 5);
    for key in ["squared_error_per_row", "fraction_variance_unexplained"] {
        let [own, pca] = [&found[key], &found["pca"][key]].map(|value| value.as_f64().unwrap());
        assert!(own > pca, "nothing linear is better than PCA: {own} against {pca}");
    }
    let history = std::fs::read_to_string(desk.path("run/history.jsonl")).unwrap();
    assert_eq!(history.lines().count(), 3);
}

const SCORES: [&str; 3] =
    ["squared_error_per_row", "fraction_variance_unexplained", "explained_variance"];

/// Evaluates, encodes, decodes, reconstructs and reports, and checks each against the others.
fn round_trip(desk: &Desk, latents: usize) -> Value {
    let found = desk.json("evaluate run --data demo:digits --json");
    assert_eq!(found["rows"], 1797);
    assert_eq!(found["input_dim"], 64);
    assert_eq!(found["latent_dim"], latents);

    desk.narrows("encode run --data demo:digits --out codes.npy -q");
    desk.narrows("decode run --codes codes.npy --out decoded.npy -q");
    desk.narrows("reconstruct run --data demo:digits --out rebuilt.npy -q");
    let [codes, decoded, rebuilt] =
        ["codes.npy", "decoded.npy", "rebuilt.npy"].map(|file| rows(desk.path(file)));
    assert_eq!(codes.dim(), (1797, latents));
    // Files hold f32: codes in between are rounded once more.
    let gap = (&decoded - &rebuilt).iter().fold(0.0_f64, |most, gap| most.max(gap.abs()));
    assert!(gap < 2e-5, "decoded codes differ from reconstructed rows by {gap}");

    let expected = scores(&rows("demo:digits"), &rebuilt);
    for (key, expected) in SCORES.iter().zip(expected) {
        close(found[key].as_f64().unwrap(), expected, 1e-6);
        assert!(found["pca"][key].is_f64(), "{key}");
    }
    desk.narrows("report run -q");
    let page = std::fs::read_to_string(desk.path("run/report.html")).unwrap();
    let loads =
        ["<link", "<script src", "src=\"http", "src='http", "@import", "url(http", "fetch("];
    loads.iter().for_each(|load| assert!(!page.contains(load), "the report loads by {load}"));
    assert!(page.contains("<svg") && page.contains("data:image/png;base64,"));
    found
}

/// The definitions of [`SCORES`], written down directly.
fn scores(x: &Array2<f64>, rebuilt: &Array2<f64>) -> [f64; 3] {
    let squares = |x: &Array2<f64>| x.iter().map(|value| value * value).sum::<f64>();
    let centred = |x: &Array2<f64>| x - &x.mean_axis(Axis(0)).unwrap();
    let error = x - rebuilt;
    let total = squares(&centred(x));
    let (lost, varying) = (squares(&error), squares(&centred(&error)));
    [lost / x.nrows() as f64, lost / total, 1.0 - varying / total]
}

fn close(value: f64, expected: f64, relative: f64) {
    assert!((value - expected).abs() <= relative * expected.abs(), "{value}, not {expected}");
}

fn read_json(desk: &Desk, file: &str) -> Value {
    serde_json::from_slice(&std::fs::read(desk.path(file)).unwrap()).unwrap()
}

#[test]
fn the_same_bits_on_any_number_of_threads() {
    let desk = Desk::new();
    for (fit, solver) in [
        ("--data demo:digits", "covariance|streaming"),
        ("--data demo:faces?people=4&images=5 --set model.components=10", "gram"),
        ("--data demo:digits --set model.solver=streaming", "streaming"),
        ("--data demo:digits --set model.solver=randomized --set model.components=9", "randomized"),
        ("--model linear --data demo:digits --set train.epochs=3 --set model.latent_dim=5", ""),
    ] {
        let line = format!("fit -q {fit} --out run");
        let bits = THREADS.map(|threads| desk.bytes(&line, "run/weights.safetensors", threads));
        assert!(bits[0] == bits[1] && bits[0] == bits[2], "narrows {line}");
        let used = read_json(&desk, "run/scores.json")["fit"]["solver"].clone();
        assert!(solver.split('|').any(|name| used.as_str().unwrap_or("") == name), "{fit}: {used}");
    }
}

#[test]
fn whitened_codes_vary_by_one() {
    let desk = Desk::new();
    let fit = "fit -q --data demo:digits --set model.components=7 --set model.whiten=true";
    desk.narrows(&format!("{fit} --out run"));
    desk.narrows("encode run --data demo:digits --out codes.npy -q");
    let codes = rows(desk.path("codes.npy"));
    let mean = codes.mean_axis(Axis(0)).unwrap();
    let centred = &codes - &mean;
    let covariance = centred.t().dot(&centred) / (codes.nrows() as f64 - 1.0);
    for ((i, j), value) in covariance.indexed_iter() {
        let expected = f64::from(u8::from(i == j));
        assert!((value - expected).abs() < 1e-5, "covariance of codes {i} and {j} is {value}");
    }
    desk.narrows("reconstruct run --data demo:digits --out rebuilt.npy -q");
    let whitened = rows(desk.path("rebuilt.npy"));
    desk.narrows("fit -q --data demo:digits --set model.components=7 --out run");
    desk.narrows("reconstruct run --data demo:digits --out rebuilt.npy -q");
    let gap = (&whitened - &rows(desk.path("rebuilt.npy"))).mapv(f64::abs);
    assert!(gap.iter().all(|&gap| gap < 1e-4), "whitening changes what is rebuilt");
}

const HOLE: (usize, f64) = (17, 2.0 * (17.0 - 20.0) + 1.0);

/// `y = 2 x + 1` beside a category, with the `y` of one row left out.
fn table() -> String {
    let mut table = "x,y,side\n".to_owned();
    for row in 0..40 {
        let x = f64::from(row) - 20.0;
        let y = if row as usize == HOLE.0 { String::new() } else { (2.0 * x + 1.0).to_string() };
        writeln!(table, "{x},{y},{}", ["left", "right"][row as usize % 2]).unwrap();
    }
    table
}

#[test]
fn missing_values_become_the_mean() {
    let desk = Desk::new();
    desk.write("table.csv", table());
    desk.narrows("fit -q --data table.csv --missing mean --set model.components=all --out run");
    desk.narrows("reconstruct run --data table.csv --out rebuilt.npy -q");
    let (given, rebuilt) = (rows(desk.path("table.csv")), rows(desk.path("rebuilt.npy")));
    assert_eq!(rebuilt.dim(), (40, 3));
    let observed = given.column(1).iter().filter(|y| !y.is_nan()).sum::<f64>() / 39.0;
    for ((place, &value), &rebuilt) in given.indexed_iter().zip(&rebuilt) {
        let expected = if place == (HOLE.0, 1) { observed } else { value };
        assert!((rebuilt - expected).abs() < 1e-4, "{place:?}: {rebuilt}, not {expected}");
    }
}

#[test]
fn missing_values_are_found_from_the_others() {
    let desk = Desk::new();
    desk.write("table.csv", table());
    desk.narrows("fit -q --data table.csv --missing em --set model.components=2 --out run");
    desk.narrows("reconstruct run --data table.csv --out rebuilt.npy -q");
    let filled = rows(desk.path("rebuilt.npy"))[(HOLE.0, 1)];
    assert!((filled - HOLE.1).abs() < 1e-3, "{filled}, not {}", HOLE.1);
    let found = desk.json("evaluate run --data table.csv --json");
    assert!(found["squared_error_per_row"].as_f64().unwrap() < 1e-6, "{found}");
}

#[test]
fn a_folder_of_pictures_gives_a_folder_of_pictures() {
    let desk = Desk::new();
    for place in 0..6 {
        let person = ["ada", "bob"][place % 2];
        desk.write(&format!("album/{person}/{place}.pgm"), pgm(7, 5, place));
    }
    desk.narrows("fit -q --data album --set model.components=all --out run");
    desk.narrows("reconstruct run --data album --out rebuilt -q");
    for place in 0..6 {
        let person = ["ada", "bob"][place % 2];
        assert!(desk.path(&format!("rebuilt/{person}/{place}.png")).is_file());
    }
    let (given, rebuilt) = (rows(desk.path("album")), rows(desk.path("rebuilt")));
    assert_eq!(given, rebuilt, "every component brings back every pixel");
}
