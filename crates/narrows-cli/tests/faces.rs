//! `narrows faces` as a user meets it, on generated faces.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const DATA: &str = "demo:faces?people=12&images=6";

fn narrows(folder: &Path, arguments: &[&str]) -> Output {
    let command = Command::new(env!("CARGO_BIN_EXE_narrows"))
        .arg("faces")
        .args(arguments)
        .current_dir(folder)
        .output();
    command.unwrap()
}

fn printed(folder: &Path, arguments: &[&str]) -> String {
    let output = narrows(folder, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn json(folder: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&printed(folder, arguments)).unwrap()
}

#[test]
fn train_identify_add_verify() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| json(folder.path(), arguments);
    let trained = run(&["train", DATA, "--components", "20", "--json"]);
    assert_eq!((&trained["faces"], &trained["components"]), (&72.into(), &20.into()));

    let found = run(&["identify", DATA, "--json"]);
    for (place, face) in found["faces"].as_array().unwrap().iter().enumerate() {
        assert_eq!(face["verdict"], "known", "{face}");
        assert_eq!(face["person"], format!("person {:02}", place / 6 + 1), "{face}");
        assert!(face["distance"].as_f64().unwrap() < 1e-5, "{face}");
    }
    let table = printed(folder.path(), &["identify", DATA]);
    assert_eq!(table.lines().count(), 73);
    assert!(table.starts_with("picture"), "{table}");

    // The mean face is no picture of the gallery; added, it is found.
    let mean = "runs/faces/pictures/mean-face.png";
    std::fs::copy(folder.path().join(mean), folder.path().join("mean.png")).unwrap();
    let added = run(&["add", "Nobody in particular", "mean.png", "--json", "-q"]);
    assert_eq!(added["faces"], 73);
    let found = run(&["identify", "mean.png", "--json"]);
    assert_eq!(found["faces"][0]["nearest_person"], "Nobody in particular");
    let again = narrows(folder.path(), &["add", "Somebody else", "mean.png"]);
    let message = String::from_utf8(again.stderr).unwrap();
    assert_eq!(again.status.code(), Some(2), "{message}");
    assert!(message.contains("the same picture as 'mean.png'"), "{message}");
    let verified = run(&["verify", "mean.png", "mean.png", "--json"]);
    assert_eq!(verified["verification"]["same"], true);
}

#[test]
fn evaluate_prints_and_writes_the_same_on_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["evaluate", DATA, "--splits", "3", "--train-per-person", "3", "--json"];
    let with = |threads: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_narrows"))
            .arg("faces")
            .args(arguments)
            .env("RAYON_NUM_THREADS", threads)
            .current_dir(folder.path())
            .output()
            .unwrap();
        let written = std::fs::read(folder.path().join("runs/faces-evaluate/scores.json"));
        (output.stdout, written.unwrap())
    };
    let one = with("1");
    assert_eq!(one, with("2"));
    let found: Value = serde_json::from_slice(&one.0).unwrap();
    let scores: Value = serde_json::from_slice(&one.1).unwrap();
    assert_eq!(scores["evaluation"], found);
    assert_eq!(found["rates"].as_array().unwrap().len(), 3);
    let out = folder.path().join("runs/faces-evaluate");
    assert!(
        std::fs::read_to_string(out.join("report.html")).unwrap().contains("Recognising faces")
    );
    assert!(out.join("pictures/mean-face.png").exists());
}

#[test]
fn mistakes_are_told_with_exit_code_two() {
    let folder = tempfile::tempdir().unwrap();
    let mistake = |arguments: &[&str], expected: &str| {
        let output = narrows(folder.path(), arguments);
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains(expected), "{message}");
    };
    mistake(&["identify", DATA], "'runs/faces', which does not exist");
    mistake(&["evaluate", DATA, "--train-per-person", "6"], "person 01 has 6");
    mistake(&["evaluate", DATA, "--components", "ten"], "expected a number or `all`");
    mistake(&["train", DATA, "--false-accept-rate", "2"], "between 0 and 1");
    mistake(&["train", DATA, "--drop-leading", "40"], "fewer than the 40");
}
