//! From a run to a page that shows it, as a user meets it.

#![allow(clippy::unwrap_used)]

mod harness;

use std::fmt::Write;

use harness::{Desk, npy, rows};
use ndarray::Array2;
use serde_json::Value;

const NETWORK: &str = "fit -q --model network --data demo:digits --set prepare.scale=unit_range \
                       --set train.epochs=3";

/// The page of `run`.
fn page(desk: &Desk) -> String {
    desk.narrows("report run -q");
    std::fs::read_to_string(desk.path("run/report.html")).unwrap()
}

/// The part of a page under a heading.
fn section<'a>(html: &'a str, heading: &str) -> &'a str {
    let (_, after) = html.split_once(&format!("<h2>{heading}</h2>")).expect(heading);
    after.split_once("</section>").unwrap().0
}

/// What the foot of a page names as absent.
fn absent(html: &str) -> Vec<&str> {
    let (_, foot) = html.split_once("Not on this page").unwrap();
    foot.split("<li>").skip(1).map(|item| item.split_once("</li>").unwrap().0).collect()
}

fn labels() -> Vec<usize> {
    let labels = narrows::data::open("demo:digits", &Default::default()).unwrap().labels.unwrap();
    labels.classes
}

/// The share of the rows whose class most of the 5 nearest other points have, of as many the least.
fn accuracy(points: &Array2<f64>, classes: &[usize]) -> f64 {
    let right = (0..points.nrows()).filter(|&i| {
        let distance = |j: usize| (&points.row(i) - &points.row(j)).mapv(|v| v * v).sum();
        let mut others: Vec<(f64, usize)> =
            (0..points.nrows()).filter(|&j| j != i).map(|j| (distance(j), j)).collect();
        others.sort_by(|a, b| a.partial_cmp(b).unwrap());
        let mut votes = [0_i32; 10];
        others[..5].iter().for_each(|&(_, j)| votes[classes[j]] += 1);
        let most = (0..10).max_by_key(|&class| (votes[class], 10 - class)).unwrap();
        most == classes[i]
    });
    right.count() as f64 / points.nrows() as f64
}

#[test]
fn a_code_of_two_numbers_is_shown_as_a_plane() {
    let desk = Desk::new();
    desk.narrows(&format!("{NETWORK} --set model.layers=[32,2] --out run"));
    let html = page(&desk);
    let codes = section(&html, "Codes");
    assert_eq!(codes.matches("class=\"plot square\"").count(), 2, "its own and PCA's");
    assert!(html.contains("<h1>Deep autoencoder of demo:digits</h1>"));
    assert!(html.contains("<p class=\"subtitle\">demo:digits: 64 → 32 → 2 → 32 → 64</p>"));
    let plane = section(&html, "Decoded plane");
    assert!(plane.contains("width=\"160\" height=\"160\""), "20 × 20 of 8 × 8");
    // Codes, PCA, and pixels.
    let way = section(&html, "Between two rows");
    assert_eq!(way.matches("<img").count(), 3 * 11);
    // The first row is a zero; the other is none.
    assert!(way.contains("row 1 · class 0 to row") && way.matches("class 0").count() == 1);
    let pictures = section(&html, "Rows and reconstructions").matches("<img").count();
    assert_eq!(pictures, 4 * 12);
    let absent = absent(&html);
    for part in ["noise taken away", "how often units are on", "storeys", "a certificate"] {
        assert!(absent.iter().any(|item| item.starts_with(part)), "{part} in {absent:?}");
    }
}

/// Every line is the k-nearest-neighbour accuracy of what `encode` writes.
#[test]
fn neighbours_are_those_of_the_codes() {
    let desk = Desk::new();
    desk.narrows(&format!("{NETWORK} --set model.layers=[32,3] --out run"));
    let (digits, classes) = (rows("demo:digits"), labels());
    desk.write("digits.npy", npy(1797, 64, digits.as_slice().unwrap()));
    let mut text = String::new();
    classes.iter().for_each(|class| writeln!(text, "{class}").unwrap());
    desk.write("labels.txt", text);
    let found: Value = desk.json("evaluate run --data digits.npy --labels labels.txt --json");
    let neighbours = &found["neighbours"];
    desk.narrows("encode run --data digits.npy --out codes.npy -q");
    let codes = rows(desk.path("codes.npy"));
    assert_eq!(codes.ncols(), 3);
    assert_eq!(neighbours["accuracy"], accuracy(&codes, &classes), "{neighbours}");
    assert_eq!((&neighbours["rows"], &neighbours["nearest"]), (&1797.into(), &5.into()));
    for scores in [neighbours, &neighbours["pca"]] {
        let trust = scores["trustworthiness"].as_f64().unwrap();
        assert!((0.5..1.0).contains(&trust), "{neighbours}");
    }
    let plain = desk.json("evaluate run --data digits.npy --json");
    assert!(plain.get("neighbours").is_none(), "without labels nobody asked");

    let codes = page(&desk);
    let codes = section(&codes, "Codes");
    assert_eq!(codes.matches("class=\"plot square\"").count(), 6, "three views of either");
    let percent = 100.0 * neighbours["accuracy"].as_f64().unwrap();
    assert!(codes.contains(&format!("{percent:.1}\u{a0}%")), "{percent}");
    let screen = desk.narrows("evaluate run --data digits.npy --labels labels.txt");
    assert!(screen.contains("5 nearest neighbours of 1797 rows"), "{screen}");
}

#[test]
fn noise_and_units_are_shown_where_a_network_was_trained_for_them() {
    let desk = Desk::new();
    let fit = "--set model.layers=[40] --set model.code_activation=sigmoid \
               --set objective.sparsity.kind=kl --set objective.sparsity.target=0.2 \
               --set objective.corruption.kind=masking --set objective.corruption.rate=0.3";
    desk.narrows(&format!("{NETWORK} {fit} --out run"));
    let html = page(&desk);
    let noise = section(&html, "Noise taken away");
    assert_eq!(noise.matches("<img").count(), 4 * 10);
    assert!(noise.contains("30.0\u{a0}% of the columns"), "{noise}");
    assert!(html.contains("<h1>Denoising autoencoder of"));
    assert!(html.contains("PSNR, noise taken away") && !html.contains("<p>variance explained"));
    assert!(noise.contains("Means over 899 of 1,797 rows, evenly taken, noise of seed 0."));
    let units = section(&html, "Units of the code");
    assert!(units.contains("Measured on 1,797 rows.") && units.contains("Of 40 units: dead"));
    assert!(units.contains("a mean of 0.2 each"), "{units}");
    let codes = section(&html, "Codes");
    assert!(codes.contains("the two directions in which their codes differ most"));
}

#[test]
fn the_storeys_of_a_stack_are_shown_and_their_penalty() {
    let desk = Desk::new();
    let fit = "fit -q --model stack --data demo:digits --set train.epochs=2 \
               --set prepare.scale=unit_range --set model.fine_tune_epochs=0 \
               --set model.layers=[20,16,6] --set model.code_activation=sigmoid \
               --set storey=[{},{kind=\"pca\"},{sparsity={kind=\"kl\",target=0.3}}] --out run";
    desk.narrows(fit);
    let html = page(&desk);
    let storeys = section(&html, "Storeys");
    assert_eq!(storeys.matches("class=\"line ").count(), 2, "one of the three is PCA");
    assert!(html.contains("<h1>Stacked autoencoder of"), "only its last storey is sparse");
    for widths in ["64 → 20", "20 → 16", "16 → 6"] {
        assert!(storeys.contains(widths), "{widths} in {storeys}");
    }
    assert!(section(&html, "Units of the code").contains("a mean of 0.3 each"));
    let absent = absent(&html);
    assert!(absent.iter().any(|item| item.contains("the whole was not trained in steps")));

    let scores = desk.path("run/storeys/2/scores.json");
    std::fs::write(&scores, "{}").unwrap();
    let output = desk.command("report run").output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("fit.input_dim is no whole number"), "{message}");
}

#[test]
fn a_table_and_a_code_of_one_number_have_a_page() {
    let desk = Desk::new();
    let values: Vec<f64> = (0..60).map(|i| f64::from(i * i % 17) + f64::from(i % 3)).collect();
    desk.write("few.npy", npy(20, 3, &values));
    let fit = "fit -q --model network --data few.npy --set model.layers=[1] --set train.epochs=2 \
               --set objective.corruption.kind=gaussian --set objective.corruption.sigma=0.1";
    desk.narrows(&format!("{fit} --out run"));
    let html = page(&desk);
    let codes = section(&html, "Codes");
    assert!(!codes.contains("<svg") && codes.contains("trustworthiness"), "{codes}");
    assert!(codes.contains("Measured on 20 rows."), "{codes}");
    assert!(!section(&html, "Noise taken away").contains("<img"));
    let rows = section(&html, "Rows and reconstructions");
    assert!(rows.contains("value → reconstruction (PCA&#39;s)"), "{rows}");
    assert!(absent(&html).iter().any(|item| item.starts_with("the way between two rows")));
}

#[test]
fn labels_are_asked_for_and_what_was_learned_is_told_from_what_is_new() {
    let desk = Desk::new();
    let values: Vec<f64> = (0..120).map(|i| f64::from(i * i % 17) + f64::from(i % 5)).collect();
    desk.write("few.npy", npy(40, 3, &values));
    desk.write("more.npy", npy(20, 3, &values[60..]));
    let names = |rows: usize| (0..rows).map(|row| format!("{}\n", row % 2)).collect::<String>();
    desk.write("few.txt", names(40));
    desk.write("more.txt", names(20));
    desk.narrows(
        "fit -q --model network --data few.npy --set model.layers=[4] --set train.epochs=1 \
         --set objective.sparsity.kind=l1 --out wide",
    );
    desk.narrows("report wide -q");
    let html = std::fs::read_to_string(desk.path("wide/report.html")).unwrap();
    assert!(html.contains("<h1>Sparse autoencoder of few.npy</h1>"));
    assert!(absent(&html).contains(&"colours by class: give --labels"));
    // Four numbers for three columns.
    assert_eq!(html.matches("PCA of this width loses nothing").count(), 2);
    assert!(!section(&html, "Scores").contains("PCA, same width"));
    let output = desk.command("report wide").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("the new one has no classes without --labels"), "{said}");

    desk.narrows("finetune wide -q --data few.npy --labels few.txt --set train.epochs=2 --out run");
    let html = page(&desk);
    assert!(html.contains("2 classes, on the rows it was trained with"));
    assert!(html.contains("aria-label=\"3 numbers in, narrowed to 4, 2 out\""));
    desk.narrows("report run -q --data more.npy --labels more.txt");
    let html = std::fs::read_to_string(desk.path("run/report.html")).unwrap();
    assert!(html.contains("2 classes, on rows other than those of the training"));
}
