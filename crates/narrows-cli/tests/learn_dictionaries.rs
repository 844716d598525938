//! Sparse dictionaries at the command line: learned, killed and resumed, many from one pass.

#![allow(clippy::unwrap_used)]

mod harness;

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use harness::Desk;
use serde_json::json;

const DATA: &str = "demo:superposition?features=96&dim=32&rows=60000";

const CHECKPOINT: &str = "run/checkpoint/state.safetensors";

fn fit(more: &str) -> String {
    format!(
        "fit -q --model dictionary --data {DATA} --set train.batch_size=512 \
         --set train.log_every=10000 {more}"
    )
}

const KINDS: [&str; 7] = [
    "--set dictionary.kind=topk --set dictionary.k=4 --set dictionary.dead_after=2000",
    "--set dictionary.kind=batchtopk --set dictionary.k=4 --set dictionary.decoder_norm=unit",
    "--set dictionary.kind=matryoshka --set dictionary.k=4",
    "--set dictionary.kind=relu --set dictionary.target_l0=6",
    "--set dictionary.kind=relu --set dictionary.tied=true --set dictionary.sparsity_weight=0.1",
    "--set dictionary.kind=jumprelu --set dictionary.penalty=tanh",
    "--set dictionary.kind=gated",
];

#[test]
fn every_kind_learns_and_rebuilds_rows_that_it_has_not_seen() {
    let desk = Desk::new();
    for kind in KINDS {
        // What starts dense needs more steps than one pass has.
        let made = desk.json(&fit(&format!("{kind} --set train.rows=180000 --json --out run")));
        let last = &made["dictionaries"][0];
        let [unexplained, l0] =
            ["fraction_variance_unexplained", "l0"].map(|key| last[key].as_f64().unwrap());
        assert!(unexplained < 0.9, "{kind}: {unexplained}");
        assert!(l0 > 1.0 && l0 < 200.0, "{kind}: {l0}");
        let unseen = format!("{DATA}&first=60000").replace("rows=60000", "rows=2000");
        desk.narrows(&format!("reconstruct run -q --data {unseen} --out again.npy"));
        let (rows, again) = (harness::rows(&unseen), harness::rows(desk.path("again.npy")));
        let mean = rows.mean_axis(ndarray::Axis(0)).unwrap();
        let lost = (&again - &rows).mapv(|x| x * x).sum() / (&rows - &mean).mapv(|x| x * x).sum();
        assert!((lost - unexplained).abs() < 0.1, "{kind}: {lost} unseen, {unexplained} at last");
    }
}

#[test]
#[cfg(unix)]
fn a_killed_training_goes_on_to_the_same_bits() {
    let desk = Desk::new();
    let sweep = "--sweep kind=topk,matryoshka;seed=0..1 --set dictionary.k=4";
    for (kind, wait) in [(KINDS[0], 0), (KINDS[3], 60), (KINDS[6], 20), (sweep, 40)] {
        let line = fit(&format!("{kind} --set train.checkpoint_seconds=0"));
        desk.narrows(&format!("{line} --out whole"));
        let mut child = desk
            .command(&format!("{line} --out run"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let start = Instant::now();
        while !desk.path(CHECKPOINT).exists() {
            assert!(start.elapsed() < Duration::from_secs(60), "no checkpoint after a minute");
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_millis(wait));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!desk.path("run/scores.json").exists(), "it ended before it was killed");
        desk.narrows("fit -q --resume --out run");
        let folders = match kind == sweep {
            true => (0..4).map(|index| format!("dictionaries/{index}/")).collect(),
            false => vec![String::new()],
        };
        for folder in folders {
            let file = format!("{folder}weights.safetensors");
            let [whole, resumed] =
                ["whole", "run"].map(|run| fs::read(desk.path(&format!("{run}/{file}"))).unwrap());
            assert!(whole == resumed, "{kind}: {file} differs after {wait} ms");
        }
        assert!(!desk.path("run/checkpoint").exists());
        for run in ["whole", "run"] {
            fs::remove_dir_all(desk.path(run)).unwrap();
        }
    }
}

#[test]
fn each_of_a_sweep_is_what_it_would_be_alone() {
    let desk = Desk::new();
    let made = desk.json(&fit("--sweep kind=topk,batchtopk;k=3,5 --json --out many"));
    assert_eq!(made["dictionaries"].as_array().unwrap().len(), 4);
    for (index, (kind, k)) in
        [("topk", 3), ("topk", 5), ("batchtopk", 3), ("batchtopk", 5)].iter().enumerate()
    {
        let own = format!("--set dictionary.kind={kind} --set dictionary.k={k} --out alone");
        desk.narrows(&fit(&own));
        let many = format!("many/dictionaries/{index}/weights.safetensors");
        let [of_many, alone] = [many.as_str(), "alone/weights.safetensors"]
            .map(|file| fs::read(desk.path(file)).unwrap());
        assert!(of_many == alone, "{kind} {k}");
    }
}

#[test]
fn no_bit_depends_on_the_number_of_threads() {
    let desk = Desk::new();
    for kind in KINDS {
        let bytes = |threads| {
            let line = fit(&format!("{kind} --set train.rows=6000 --out run"));
            desk.bytes(&line, "run/weights.safetensors", threads)
        };
        let one = bytes(1);
        assert!(one == bytes(2) && one == bytes(5), "{kind}");
    }
}

/// Whoever shares a folder with others by the umask shares runs and exported dictionaries too.
#[test]
#[cfg(unix)]
fn everything_that_is_written_has_the_permissions_that_the_umask_gives() {
    use std::os::unix::fs::PermissionsExt;

    let desk = Desk::new();
    let lines = [
        "shards pack demo:toy?rows=600 --out store -q".to_owned(),
        fit("--sweep k=3,5 --out run").replace(DATA, "store"),
        "convert run/dictionaries/0 sae --to saelens".to_owned(),
    ];
    for line in lines {
        let masked = format!("umask 027; exec {} {line}", harness::NARROWS);
        let mut shell = std::process::Command::new("sh");
        let output = shell.args(["-c", &masked]).current_dir(desk.path("")).output().unwrap();
        assert!(output.status.success(), "{line}: {}", desk.without_path(&output.stderr));
    }
    let mut weights = 0;
    for path in desk.everything().into_keys() {
        let found = fs::metadata(desk.path("").join(&path)).unwrap();
        let expected = if found.is_dir() { 0o750 } else { 0o640 };
        let mode = found.permissions().mode() & 0o777;
        assert_eq!(mode, expected, "{} has {mode:o}", path.display());
        weights += usize::from(path.extension().is_some_and(|own| own == "safetensors"));
    }
    assert_eq!(weights, 4, "a shard, two dictionaries, and one as SAELens has it");
}

#[test]
fn rows_are_read_once_for_all_dictionaries() {
    let desk = Desk::new();
    desk.narrows(&format!("shards pack {DATA} --out store"));
    // In another order rows this short are read together with what lies between them.
    let line = "fit -q --model dictionary --data store --json --set train.batch_size=512 \
                --set train.shuffle=none";
    let bytes = |more: &str| desk.json(&format!("{line} {more}"))["bytes_read"].clone();
    let one = bytes("--out one");
    assert_eq!(one, bytes("--sweep seed=0..5 --out six"));
    assert_eq!(one, json!(60_000 * 32 * 4));
}

#[test]
fn a_sweep_is_replaced_and_what_was_asked_for_is_kept_beside_what_was_made() {
    let desk = Desk::new();
    let short = "--set train.rows=6000";
    let sweep = fit(&format!("--sweep k=3,5 --set dictionary.latents=2x {short} --out run"));
    desk.narrows(&sweep);
    let config = |file: &str| harness::json(desk.path(file));
    let all = config("run/config.json");
    let asked = json!([{"latents": "2x"}]);
    assert_eq!((&all["dictionary"], &all["sweep"]), (&asked, &json!("k=3,5")));
    let second = config("run/dictionaries/1/config.json");
    assert_eq!((&second["asked"], &second["sweep"]), (&asked, &json!("k=3,5")));
    assert_eq!((&second["made"]["k"], &second["made"]["latents"]), (&json!(5.0), &json!(64)));
    assert_eq!(second["dictionary"]["gate"]["kind"], "jumprelu");
    let first = desk.everything();
    // To the same bits, but for the time that it took.
    desk.narrows(&sweep);
    let again = desk.everything();
    assert!(first.keys().eq(again.keys()));
    let mut weights = first.clone();
    weights.retain(|path, _| path.ends_with("weights.safetensors"));
    assert_eq!(weights.len(), 2);
    assert!(weights.iter().all(|(path, bytes)| again[path] == *bytes));

    // A finished sweep keeps its own configuration until another takes its place.
    let output = desk.command(&format!("{sweep} --resume")).output().unwrap();
    let message = desk.without_path(&output.stderr);
    assert!(message.contains("'run', which is finished"), "{message}");
    let output = desk.command(&format!("encode run --data {DATA} --out z.npy")).output().unwrap();
    let message = desk.without_path(&output.stderr);
    assert!(
        message.contains("several dictionaries; give one of those in run/dictionaries"),
        "{message}"
    );
    desk.write("run/dictionaries/1/codes.npy", "mine");
    let output = desk.command(&sweep).output().unwrap();
    let message = desk.without_path(&output.stderr);
    assert!(message.contains("also holds 'dictionaries/1/codes.npy'"), "{message}");
    fs::remove_file(desk.path("run/dictionaries/1/codes.npy")).unwrap();
    desk.narrows(&fit(&format!("{short} --out run")));
    assert!(desk.path("run/weights.safetensors").exists());
    assert!(!desk.path("run/dictionaries").exists());
}

#[test]
fn speed_is_told_in_whole_rows() {
    let desk = Desk::new();
    let line = fit("--set train.rows=6000 --out run");
    assert!(desk.json(&format!("{line} --json"))["rows_per_second"].is_u64());
    let screen = desk.narrows(&line);
    let told = screen.lines().find(|line| line.ends_with("rows per second")).expect(&screen);
    let speed = told.rsplit(", ").next().unwrap();
    let number = speed.strip_suffix(" rows per second").unwrap();
    assert!(told.starts_with("6,000 rows in "), "{told}");
    assert!(number.chars().all(|c| c.is_ascii_digit() || c == ','), "{told}");
}
