//! Trainings that end too early and go on: killed, interrupted, told the wrong thing.

#![allow(clippy::unwrap_used)]

mod harness;

use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use harness::Desk;

const FIT: &str = "fit -q --model network --data demo:digits --set model.layers=[200,20] \
                   --set model.dropout=0.1 --set model.normalisation=batch --set train.epochs=12 \
                   --set objective.corruption.kind=masking --set train.average=0.9 \
                   --set train.validation=0.1 --set train.patience=20 \
                   --set train.checkpoint_seconds=0";

const FIT_FROM_PCA: &str = "fit -q --model network --data demo:digits --set model.layers=[200,20] \
                            --set model.initialisation=pca --set train.epochs=20 \
                            --set train.checkpoint_seconds=0";

const TEACH: &str = "finetune base -q --data demo:digits --set train.epochs=30 \
                     --set train.average=0.9 --set train.checkpoint_seconds=0";

/// A desk with a run that can be fine-tuned.
fn taught() -> Desk {
    let desk = Desk::new();
    let small = "--set model.layers=[64,24] --set train.epochs=2 --out base";
    desk.narrows(&format!("fit -q --model network --data demo:digits {small}"));
    desk
}

const FROZEN: &str = "finetune base -q --data demo:digits --mode frozen \
                      --set train.checkpoint_seconds=0";

const CHECKPOINT: &str = "run/checkpoint/state.safetensors";

/// Starts a training and waits until it has written a checkpoint.
fn begun(desk: &Desk) -> Child {
    begun_by(desk, FIT)
}

fn begun_by(desk: &Desk, line: &str) -> Child {
    let mut command = desk.command(&format!("{line} --out run"));
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while !desk.path(CHECKPOINT).exists() {
        assert!(start.elapsed() < Duration::from_secs(60), "no checkpoint after a minute");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

fn signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    assert!(std::process::Command::new("kill").args([name, &id]).status().unwrap().success());
}

#[test]
#[cfg(unix)]
fn a_killed_training_goes_on_to_the_same_bits() {
    goes_on(&Desk::new(), FIT, &[0, 40, 150]);
    goes_on(&Desk::new(), FIT_FROM_PCA, &[40]);
}

#[test]
#[cfg(unix)]
fn killed_fine_tuning_goes_on_to_the_same_bits() {
    let desk = taught();
    for mode in ["frozen", "full", "gradual"] {
        goes_on(&desk, &format!("{TEACH} --mode {mode}"), &[0, 100]);
        fs::remove_dir_all(desk.path("whole")).unwrap();
    }
}

/// Kills the training of `line` after so many milliseconds, and compares it with one that ran through.
fn goes_on(desk: &Desk, line: &str, waits: &[u64]) {
    desk.narrows(&format!("{line} --out whole"));
    let verb = line.split_whitespace().next().unwrap();
    for &wait in waits {
        let mut child = begun_by(desk, line);
        std::thread::sleep(Duration::from_millis(wait));
        signal(&child, "-9");
        child.wait().unwrap();
        assert!(!desk.path("run/weights.safetensors").exists(), "it ended before it was killed");
        desk.narrows(&format!("{verb} -q --resume --out run"));
        for file in ["weights.safetensors", "config.json", "preparation.json"] {
            let [whole, resumed] =
                ["whole", "run"].map(|run| fs::read(desk.path(&format!("{run}/{file}"))).unwrap());
            assert!(whole == resumed, "{line}: {file} differs after {wait} ms");
        }
        assert!(!desk.path("run/checkpoint").exists());
        fs::remove_dir_all(desk.path("run")).unwrap();
    }
}

/// What a training left is not taken for what a later one in the same folder left.
#[test]
#[cfg(unix)]
fn a_training_over_an_interrupted_one_replaces_its_checkpoint() {
    let desk = Desk::new();
    let mut first = begun(&desk);
    signal(&first, "-9");
    first.wait().unwrap();
    let state = || fs::read(desk.path(CHECKPOINT)).unwrap();
    let before = state();
    let other = "fit -q --model network --data demo:digits --set model.layers=[150,20] \
                 --set train.epochs=200 --set train.checkpoint_seconds=1000";
    let mut second = desk.command(&format!("{other} --out run")).spawn().unwrap();
    let start = Instant::now();
    while state() == before {
        assert!(start.elapsed() < Duration::from_secs(60), "the checkpoint stays");
        std::thread::sleep(Duration::from_millis(5));
    }
    signal(&second, "-9");
    second.wait().unwrap();
    let config = fs::read_to_string(desk.path("run/config.json")).unwrap();
    assert!(config.contains("150"), "{config}");
    desk.narrows("fit -q --resume --out run");
    desk.narrows(&format!("{other} --out whole"));
    let [whole, resumed] =
        ["whole", "run"].map(|run| fs::read(desk.path(run).join("weights.safetensors")).unwrap());
    assert!(whole == resumed);
}

#[test]
#[cfg(unix)]
fn ctrl_c_keeps_a_checkpoint_and_says_how_to_go_on() {
    let desk = Desk::new();
    let child = begun(&desk);
    signal(&child, "-INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("--resume"), "{said}");
    desk.narrows("fit -q --resume --out run");
    assert!(desk.path("run/weights.safetensors").exists());
}

#[test]
#[cfg(unix)]
fn ctrl_c_keeps_a_checkpoint_of_fine_tuning_too() {
    let desk = taught();
    let child = begun_by(&desk, TEACH);
    signal(&child, "-INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("--resume"), "{said}");
    let told = |line: &str| {
        let output = desk.command(line).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{line}");
        String::from_utf8(output.stderr).unwrap()
    };
    let other = told("finetune base --data demo:digits --resume --out run");
    assert!(other.contains("the settings that it began with"), "{other}");
    let other = told("fit --resume --out run");
    assert!(other.contains("use `narrows finetune --resume --out run`"), "{other}");
    let unfinished = told("predict run --data demo:digits");
    assert!(unfinished.contains("`narrows finetune --resume --out run`"), "{unfinished}");
    // The same words again are as good as none.
    desk.narrows(&format!("{TEACH} --resume --out run"));
    assert!(desk.path("run/weights.safetensors").exists());
    let none = told("finetune --resume --out nothing");
    assert!(none.contains("holds no checkpoint"), "{none}");
    assert!(told("finetune --resume --mode full --out run").contains("required"));
}

/// What the encoder is made of is not in a checkpoint of a frozen one.
#[test]
#[cfg(unix)]
fn fine_tuning_does_not_go_on_with_another_encoder() {
    let desk = taught();
    let mut child = begun_by(&desk, &format!("{FROZEN} --set train.epochs=30"));
    child.kill().unwrap();
    child.wait().unwrap();
    desk.narrows(
        "fit -q --model network --data demo:digits --set model.layers=[64,24] --seed 1 \
         --set train.epochs=2 --out base",
    );
    let output = desk.command("finetune --resume --out run").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("which has changed since"), "{said}");
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let desk = Desk::new();
    let mut child = begun(&desk);
    child.kill().unwrap();
    child.wait().unwrap();
    let told = |line: &str| {
        let output = desk.command(line).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{line}");
        String::from_utf8(output.stderr).unwrap()
    };
    let other = told("fit --resume --out run --model network --data demo:digits");
    assert!(other.contains("the settings that it began with"), "{other}");
    let none = told("fit --resume --out nothing");
    assert!(none.contains("holds no checkpoint"), "{none}");
    let bytes = fs::read(desk.path(CHECKPOINT)).unwrap();
    fs::write(desk.path(CHECKPOINT), &bytes[..bytes.len() / 2]).unwrap();
    let damaged = told("fit --resume --out run");
    assert!(damaged.contains("start anew without --resume"), "{damaged}");
}
