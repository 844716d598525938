//! From a run to one that tells labels, as a user meets it.

#![allow(clippy::unwrap_used)]

mod harness;

use std::fmt::Write;

use harness::{Desk, failed, npy, rows};
use ndarray::{Array2, Axis};
use serde_json::Value;

/// The digits in two parts, `train` and `test`: every fourth is for the test.
fn desk() -> Desk {
    let desk = Desk::new();
    let digits = rows("demo:digits");
    let labels = narrows::data::open("demo:digits", &Default::default()).unwrap().labels.unwrap();
    for (name, test) in [("train", false), ("test", true)] {
        let places: Vec<usize> = (0..1797).filter(|row| (row % 4 == 0) == test).collect();
        let part: Array2<f64> = digits.select(Axis(0), &places);
        desk.write(&format!("{name}.npy"), npy(places.len(), 64, part.as_slice().unwrap()));
        let mut text = String::new();
        places.iter().for_each(|&row| {
            writeln!(text, "{}", labels.names[labels.classes[row]]).unwrap();
        });
        desk.write(&format!("{name}.txt"), text);
    }
    desk.narrows(
        "fit -q --model network --data train.npy --set model.layers=[64,24] --set prepare.scale=unit_range \
         --set train.epochs=20 --out run",
    );
    desk
}

const TEACH: &str = "finetune run -q --data train.npy --labels train.txt";
const MEASURE: &str = "predict named --data test.npy --labels test.txt -q";

fn json(desk: &Desk, file: &str) -> Value {
    serde_json::from_slice(&std::fs::read(desk.path(file)).unwrap()).unwrap()
}

#[test]
fn digits_are_told_apart() {
    let desk = desk();
    desk.narrows(&format!("{TEACH} --out named"));
    let found = desk.json(&format!("{MEASURE} --json"));
    assert!(found["accuracy"].as_f64().unwrap() > 0.95, "{found:#}");
    assert_eq!(json(&desk, "named/scores.json")["predict"]["test.npy"], found);

    // The same figures from the table that is written.
    desk.narrows("predict named --data test.npy -q --out told.csv");
    // Neither what was read nor what is something else is written over.
    let labels = std::fs::read(desk.path("test.txt")).unwrap();
    for own in ["--out test.npy", "--labels test.txt --out test.txt", "--out test.txt"] {
        let refused = failed(&desk, &format!("predict named --data test.npy -q {own}"));
        assert!(refused.contains("write a table of predictions"), "{refused}");
    }
    assert_eq!(std::fs::read(desk.path("test.txt")).unwrap(), labels);
    let told = std::fs::read_to_string(desk.path("told.csv")).unwrap();
    let truth = std::fs::read_to_string(desk.path("test.txt")).unwrap();
    assert!(told.starts_with("label,0,1,2,3,4,5,6,7,8,9\n"));
    let mut confusion = vec![vec![0_u64; 10]; 10];
    for (line, own) in told.lines().skip(1).zip(truth.lines()) {
        let cells: Vec<&str> = line.split(',').collect();
        let shares: Vec<f64> = cells[1..].iter().map(|share| share.parse().unwrap()).collect();
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-5, "{line}");
        let place: usize = cells[0].parse().unwrap();
        assert!(shares.iter().all(|&share| share <= shares[place]), "{line}");
        confusion[own.parse::<usize>().unwrap()][place] += 1;
    }
    assert_eq!(found["confusion"], serde_json::json!(confusion));
    let right: u64 = (0..10).map(|class| confusion[class][class]).sum();
    assert_eq!(found["accuracy"].as_f64().unwrap(), right as f64 / truth.lines().count() as f64);
    for (class, counts) in confusion.iter().enumerate() {
        let rows: u64 = counts.iter().sum();
        assert_eq!(found["classes"][class]["rows"], rows);
        let error = 1.0 - counts[class] as f64 / rows as f64;
        assert_eq!(found["classes"][class]["error"].as_f64().unwrap(), error);
    }
    let screen = desk.narrows(MEASURE);
    assert!(screen.contains("is \\ told") && screen.contains("accuracy 9"), "{screen}");
    assert_eq!(desk.narrows("predict named --data test.npy -q"), told);

    desk.narrows("encode named --data test.npy --out codes.npy -q");
    assert_eq!(rows(desk.path("codes.npy")).dim(), (450, 24));
    desk.narrows("report named -q --labels train.txt");
    let page = std::fs::read_to_string(desk.path("named/report.html")).unwrap();
    assert!(page.contains("Confusion") && page.contains("narrows finetune run"), "the page");
}

#[test]
fn a_frozen_encoder_is_that_of_the_run() {
    let desk = desk();
    desk.narrows(&format!("{TEACH} --mode frozen --set train.epochs=3 --out named"));
    for run in ["run", "named"] {
        desk.narrows(&format!("encode {run} --data test.npy --out {run}.npy -q"));
    }
    assert_eq!(rows(desk.path("run.npy")), rows(desk.path("named.npy")));
    desk.narrows(&format!("{TEACH} --mode gradual --set train.epochs=6 --out named"));
    desk.narrows("encode named --data test.npy --out named.npy -q");
    assert_ne!(rows(desk.path("run.npy")), rows(desk.path("named.npy")));
    let history = std::fs::read_to_string(desk.path("named/history.jsonl")).unwrap();
    assert_eq!(history.lines().count(), 6);
    let [run, named] = ["run", "named"].map(|run| json(&desk, &format!("{run}/preparation.json")));
    assert_eq!(run, named);
}

#[test]
fn the_same_bits_on_any_number_of_threads() {
    let desk = desk();
    let line = format!("{TEACH} --mode gradual --set train.epochs=6 --out named");
    let bits = [1, 2, 7].map(|threads| desk.bytes(&line, "named/weights.safetensors", threads));
    assert!(bits[0] == bits[1] && bits[0] == bits[2]);
}

#[test]
fn the_command_of_a_report_makes_the_same_run() {
    let desk = desk();
    for teach in [
        "--scratch --seed 4 --set train.epochs=30 --set train.learning_rate=2e-3",
        "--mode frozen --set train.optimizer=lbfgs --set train.epochs=9",
        "--set model.dropout=0.2 --set objective.corruption.kind=masking --set train.epochs=5",
        "--set train.optimizer=adam --set train.validation=0.2 --set train.patience=3",
    ] {
        made_again(&desk, teach);
    }
}

fn made_again(desk: &Desk, teach: &str) {
    desk.narrows(&format!("{TEACH} {teach} --out named"));
    desk.narrows("report named -q");
    let page = std::fs::read_to_string(desk.path("named/report.html")).unwrap();
    let start = page.find("narrows finetune ").unwrap();
    let command = &page[start..start + page[start..].find('<').unwrap()];
    desk.narrows(&format!("{} -q --out again", command.strip_prefix("narrows ").unwrap()));
    for file in ["weights.safetensors", "config.json", "preparation.json"] {
        let [named, again] =
            ["named", "again"].map(|run| std::fs::read(desk.path(run).join(file)).unwrap());
        assert!(named == again, "{command}: another {file}");
    }
}

#[test]
fn any_run_will_do_and_so_will_a_number() {
    let desk = Desk::new();
    let mut table = "x,y,side,price\n".to_owned();
    for row in 0..200_u32 {
        let (x, y) = (f64::from(row % 17), f64::from(row * row % 23));
        let side = ["left", "right, far"][row as usize % 2];
        writeln!(table, "{x},{y},\"{side}\",{}", 5000.0 + 100.0 * x - 40.0 * y).unwrap();
    }
    desk.write("table.csv", table);
    let on = "--data table.csv -q --label-column";
    desk.narrows(&format!("fit {on} price --set model.components=all --out run"));
    desk.narrows(&format!(
        "finetune run {on} price --task regression --mode frozen --set train.learning_rate=1e-2 --out named"
    ));
    let found = desk.json(&format!("predict named {on} price --json"));
    assert!(found["r_squared"].as_f64().unwrap() > 0.999, "{found}");
    desk.narrows("predict named --data table.csv -q --out told.csv");
    let told = std::fs::read_to_string(desk.path("told.csv")).unwrap();
    assert!(told.starts_with("price\n") && told.lines().count() == 201, "{told}");
    desk.narrows("report named -q");

    desk.narrows(&format!("fit {on} side --set model.components=all --out run"));
    desk.narrows(&format!("finetune run {on} side --set train.epochs=2 --out named"));
    desk.narrows("predict named --data table.csv -q --out sides.csv");
    let told = std::fs::read_to_string(desk.path("sides.csv")).unwrap();
    assert!(told.starts_with("label,left,\"right, far\"\n"), "{told}");
}

#[test]
fn few_labels_are_studied_over_seeds() {
    let desk = desk();
    let line = format!(
        "{TEACH} --label-count 20,200 --seeds 2 --test-data test.npy --test-labels test.txt"
    );
    let found = desk.json(&format!("{line} --json"));
    assert_eq!(found["test_rows"], 450);
    for (place, labels) in [20, 200].into_iter().enumerate() {
        let of = &found["counts"][place];
        assert_eq!(of["labels"], labels);
        for start in ["pretrained", "scratch", "raw_rows", "pca_codes"] {
            let each: Vec<f64> =
                of[start]["each"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
            let mean = of[start]["mean"].as_f64().unwrap();
            assert!((mean - (each[0] + each[1]) / 2.0).abs() < 1e-12);
            // A tenth would be told right by chance.
            assert!(mean > 0.5, "{start}: {of:#}");
        }
        let [own, scratch] =
            ["pretrained", "scratch"].map(|start| of[start]["mean"].as_f64().unwrap());
        let margin = of["margin_over_scratch"]["mean"].as_f64().unwrap();
        assert!((margin - (own - scratch)).abs() < 1e-12);
    }
    let raw = |place: usize| found["counts"][place]["raw_rows"]["mean"].as_f64().unwrap();
    assert!(raw(1) > raw(0) && raw(1) > 0.85, "more labels teach more: {found:#}");
    let screen = desk.narrows(&line);
    assert!(screen.contains("logistic, PCA codes") && screen.contains("over scratch"), "{screen}");
}

#[test]
fn of_one_seed_no_error_is_told() {
    let desk = desk();
    let line = format!(
        "{TEACH} --label-count 20 --seeds 1 --mode frozen --set train.epochs=2 --test-data test.npy \
         --test-labels test.txt"
    );
    let screen = desk.narrows(&line);
    assert!(screen.starts_with("test accuracy in %, of 1 seed\n"), "{screen}");
    assert!(!screen.contains("NaN") && !screen.contains("error"), "{screen}");
    let found = desk.json(&format!("{line} --json"));
    let margin = &found["counts"][0]["margin_over_scratch"];
    assert!(margin["mean"].is_f64() && margin["standard_error"].is_null(), "{margin}");
    assert!(margin["standard_deviation"].is_null(), "{margin}");
}

#[test]
fn the_loss_of_the_kept_epoch_is_told_with_its_unit() {
    let desk = desk();
    let patient = "--set train.validation=0.3 --set train.patience=1 --set train.epochs=60 \
                   --set train.learning_rate=0.01";
    let screen = desk.narrows(&format!("{TEACH} {patient} --task regression --out told"));
    let found = &json(&desk, "told/scores.json")["fit"];
    let history = std::fs::read_to_string(desk.path("told/history.jsonl")).unwrap();
    let epochs: Vec<Value> =
        history.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let loss = |epoch: &Value| epoch["validation"].as_f64().unwrap();
    let best = epochs.iter().min_by(|a, b| loss(a).total_cmp(&loss(b))).unwrap();
    assert_eq!(found["kept_epoch"], best["epoch"]);
    assert_eq!((&found["loss"], &found["validation"]), (&best["loss"], &best["validation"]));
    assert_eq!(found["loss_unit"], "variance of the label");
    let told = format!("epoch {}, whose weights were kept: loss", best["epoch"]);
    assert!(screen.contains(&told) && screen.contains("of the variance of the label"), "{screen}");
    // Each stage keeps its own best, and the history does not part them.
    desk.narrows(&format!("{TEACH} {patient} --mode gradual --out staged"));
    let found = &json(&desk, "staged/scores.json")["fit"];
    assert!(found["kept_epoch"].is_null() && found["epochs"].as_u64() > Some(2), "{found:#}");
}
