//! `narrows fit --find-lr`, as a user meets it.

#![allow(clippy::unwrap_used)]

mod harness;

use harness::Desk;
use serde_json::Value;

const FIND: &str = "fit --model network --data demo:digits --set model.layers=[64,8] --find-lr";

#[test]
fn a_rate_is_found_and_suits() {
    let desk = Desk::new();
    let screen = desk.narrows(&format!("{FIND} -q"));
    let setting = screen.trim_end().lines().last().unwrap().to_owned();
    let rate: f64 = setting.strip_prefix("train.learning_rate=").unwrap().parse().unwrap();
    assert!(screen.contains('•') && screen.contains('|') && screen.contains("1e-3"), "{screen}");
    assert!(desk.everything().is_empty(), "it wrote something");

    let found = desk.json(&format!("{FIND} -q --json"));
    let points = found["points"].as_array().unwrap();
    let number = |point: &Value, key: &str| point[key].as_f64().unwrap();
    let least = points
        .iter()
        .min_by(|a, b| number(a, "smoothed_loss").total_cmp(&number(b, "smoothed_loss")));
    assert_eq!(found["least_at"], least.unwrap()["learning_rate"]);
    assert!((number(&found, "suggestion") / rate - 1.0).abs() < 0.05, "{rate}");

    // The setting can be given as it is, and learns more than rates a hundred times as small or large.
    let loss = |setting: &str| {
        let line = format!(
            "fit --model network --data demo:digits --set model.layers=[64,8] --set train.epochs=5 \
             --set {setting} --json -q --out run"
        );
        let output = desk.command(&line).output().unwrap();
        match output.status.success() {
            true => number(&serde_json::from_slice(&output.stdout).unwrap(), "loss"),
            false => f64::INFINITY,
        }
    };
    let own = loss(&setting);
    for times in [0.01, 100.0] {
        let other = loss(&format!("train.learning_rate={}", rate * times));
        assert!(own < other, "{own} at {rate}, {other} at {times} times that");
    }
}

#[test]
fn stacks_and_linear_models_have_a_rate_and_others_are_refused() {
    let desk = Desk::new();
    for kind in ["linear", "stack"] {
        let found =
            desk.json(&format!("fit --model {kind} --data demo:digits --find-lr --json -q"));
        assert!(found["suggestion"].as_f64().unwrap() > 1e-6, "{kind}");
    }
    let refused = |words: &str| {
        let output = desk.command(&format!("fit --data demo:digits --find-lr {words}")).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(2), "{words}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(refused("--model pca").contains("closed form"));
    let lbfgs = refused("--model network --set train.optimizer=lbfgs");
    assert!(lbfgs.contains("finds the length of each step"), "{lbfgs}");
    assert!(refused("--model network --out run").contains("--out"));
    assert!(desk.everything().is_empty());
}
