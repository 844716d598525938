//! What goes wrong while dictionaries are learned, and what is left of earlier work.

#![allow(clippy::unwrap_used)]

mod harness;

use std::fs;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use harness::{Desk, NARROWS, npy};

const ROWS: &str = "demo:superposition?features=96&dim=32&rows=8000";
/// Rows that take longer than it does to stop the training.
const MANY: &str = "--set train.rows=4000000 --set train.checkpoint_seconds=0";

fn fit(more: &str) -> String {
    format!(
        "fit -q --model dictionary --set dictionary.k=4 --set dictionary.latents=64 \
         --set train.batch_size=256 {more}"
    )
}

/// A store of 8,000 rows in four shards, and a finished run of it.
fn desk() -> Desk {
    let desk = Desk::new();
    desk.narrows(&format!("shards pack {ROWS} --out store --rows-per-shard 2000 -q"));
    desk.narrows(&fit("--data store --out run"));
    desk
}

/// Another folder with the files of a store.
fn copied(desk: &Desk, to: &str) {
    for entry in fs::read_dir(desk.path("store")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        desk.write(&format!("{to}/{name}"), fs::read(entry.path()).unwrap());
    }
}

/// Such a folder whose second shard is another.
fn changed(desk: &Desk, to: &str, change: impl FnOnce(&mut Vec<u8>)) {
    copied(desk, to);
    let name = format!("{to}/shard-00001.safetensors");
    let mut bytes = fs::read(desk.path(&name)).unwrap();
    change(&mut bytes);
    desk.write(&name, bytes);
}

fn told(desk: &Desk, output: &Output, code: i32) -> String {
    let message = desk.without_path(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{message}");
    assert!(message.contains("error: ") && !message.contains("panicked"), "{message}");
    message
}

/// A limit on the size of files stands in for a disk that is full: both fail within a write.
#[cfg(unix)]
fn on_a_full_disk(desk: &Desk, line: &str) -> Output {
    let limited = format!("trap '' XFSZ; ulimit -f 40; exec {NARROWS} {line}");
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &limited]).current_dir(desk.path("")).output().unwrap()
}

/// The training in `part` that was killed once it had a checkpoint.
#[cfg(unix)]
fn killed(desk: &Desk, line: &str) {
    killed_in(desk, "part", line);
    assert!(!desk.path("part/weights.safetensors").exists(), "it ended before it was killed");
}

#[cfg(unix)]
fn killed_in(desk: &Desk, run: &str, line: &str) {
    let mut child = desk.command(line).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    while !desk.path(&format!("{run}/checkpoint/state.safetensors")).exists() {
        assert!(start.elapsed() < Duration::from_secs(60), "no checkpoint after a minute");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn what_is_wrong_with_the_rows_is_told_and_the_earlier_run_stays() {
    let desk = desk();
    changed(&desk, "flipped", |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    });
    changed(&desk, "nan", |bytes| {
        // The last number of the 1,990th row of the shard.
        let place = bytes.len() - 10 * 32 * 4;
        bytes[place - 4..place].copy_from_slice(&f32::NAN.to_le_bytes());
    });
    changed(&desk, "cut", |bytes| bytes.truncate(1000));
    copied(&desk, "missing");
    fs::remove_file(desk.path("missing/shard-00003.safetensors")).unwrap();
    copied(&desk, "lost");
    fs::remove_file(desk.path("lost/shards.json")).unwrap();
    desk.narrows(
        &format!("shards pack {ROWS}&first=8000 --out fewer -q").replace("=8000&", "=5000&"),
    );
    let mut numbers: Vec<f64> = (0..400).map(f64::from).collect();
    numbers[52] = f64::NAN;
    desk.write("nan.npy", npy(50, 8, &numbers));
    let before = desk.everything();
    let not_written = "its bytes are not those that were written (blake3); restore them";
    let cases = [
        (
            "--data flipped",
            format!(
                "read flipped: 1 of 4 shards are damaged: shard-00001.safetensors: {not_written}"
            ),
        ),
        (
            "--data store --target flipped",
            format!(
                "read flipped: 1 of 4 shards are damaged: shard-00001.safetensors: {not_written}"
            ),
        ),
        ("--data nan", format!("shard-00001.safetensors: {not_written}")),
        (
            "--data nan --unverified",
            "expected numbers that are finite but got NaN in row 1990 of \
             'nan/shard-00001.safetensors', column 32; leave such rows out"
                .to_owned(),
        ),
        ("--data nan.npy", "got NaN in row 7, column 5; leave such rows out".to_owned()),
        (
            "--data cut",
            "read cut/shard-00001.safetensors: 1000 bytes where the manifest says".to_owned(),
        ),
        (
            "--data missing",
            "read missing/shard-00003.safetensors: the shard is missing; restore it".to_owned(),
        ),
        ("--data lost", "a finished store, a folder with shards.json but got 'lost'".to_owned()),
        (
            "--data store --target fewer",
            "expected a target for each of the 8000 rows but got 5000 targets; give rows and \
             targets of the same inputs"
                .to_owned(),
        ),
    ];
    for (more, expected) in cases {
        let output = desk.command(&fit(&format!("{more} --out run"))).output().unwrap();
        let message = told(&desk, &output, 2);
        assert!(message.contains(&expected), "{more}: {message}");
        assert_eq!(desk.everything(), before, "{more}");
    }
    let not_a_number =
        "NaN in row 1990 of 'nan/shard-00001.safetensors', column 32; leave such rows out";
    let lines = [
        ("evaluate run --data flipped", not_written),
        ("report run --data flipped", not_written),
        ("evaluate run --data nan --unverified", not_a_number),
        ("report run --data nan --unverified", not_a_number),
        ("encode run --data nan --out codes.npy", "for a dictionary leave such rows out"),
    ];
    for (line, expected) in lines {
        let message = told(&desk, &desk.command(line).output().unwrap(), 2);
        assert!(message.contains(expected), "{line}: {message}");
        assert_eq!(desk.everything(), before, "{line}");
    }
    desk.narrows("evaluate run --data flipped --unverified");
    let line = "fit -q --data nan.npy --unverified --out run";
    let message = told(&desk, &desk.command(line).output().unwrap(), 2);
    assert!(message.contains("where --unverified is given"), "{message}");
}

#[test]
#[cfg(unix)]
fn a_training_goes_on_only_with_the_rows_and_targets_that_it_began_with() {
    let desk = desk();
    copied(&desk, "targets");
    desk.narrows(&format!("shards pack {ROWS} --out narrow -q").replace("dim=32", "dim=16"));
    killed(&desk, &fit(&format!("--data store --target targets {MANY} --out part")));
    let before = desk.everything();
    let resume = || desk.command("fit -q --resume --out part").output().unwrap();
    for set in ["store", "targets"] {
        fs::rename(desk.path(set), desk.path("kept")).unwrap();
        fs::rename(desk.path("narrow"), desk.path(set)).unwrap();
        let message = told(&desk, &resume(), 2);
        assert!(message.contains("which has changed since; restore"), "{message}");
        fs::rename(desk.path(set), desk.path("narrow")).unwrap();
        fs::rename(desk.path("kept"), desk.path(set)).unwrap();
    }
    let message = told(&desk, &desk.command("report part").output().unwrap(), 2);
    assert!(message.contains("where training has not finished"), "{message}");
    assert!(!message.contains("has changed"), "{message}");
    let shard = "store/shard-00002.safetensors";
    fs::rename(desk.path(shard), desk.path("kept")).unwrap();
    let message = told(&desk, &resume(), 2);
    assert!(message.contains(&format!("read {shard}: the shard is missing")), "{message}");
    fs::rename(desk.path("kept"), desk.path(shard)).unwrap();
    assert_eq!(desk.everything(), before);
}

#[test]
#[cfg(unix)]
fn a_full_disk_takes_neither_a_finished_run_nor_a_checkpoint() {
    let desk = desk();
    let before = desk.everything();
    let output = on_a_full_disk(&desk, &fit("--data store --set dictionary.latents=512 --out run"));
    let message = told(&desk, &output, 1);
    assert!(message.contains("write run/weights.safetensors: File too large"), "{message}");
    assert_eq!(desk.everything(), before);

    killed(&desk, &fit(&format!("--data store {MANY} --out part")));
    let before = desk.everything();
    let output = on_a_full_disk(&desk, "fit -q --resume --out part");
    let message = told(&desk, &output, 1);
    assert!(
        message.contains("write part/checkpoint/state.safetensors: File too large"),
        "{message}"
    );
    assert_eq!(desk.everything(), before);
}

#[test]
#[cfg(unix)]
fn an_interrupted_training_tells_how_far_it_came_and_what_goes_on() {
    let desk = desk();
    let line = fit(&format!("--data store {MANY} --out part"));
    let child = desk.command(&line).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while !desk.path("part/checkpoint/state.safetensors").exists() {
        assert!(start.elapsed() < Duration::from_secs(60), "no checkpoint after a minute");
        std::thread::sleep(Duration::from_millis(2));
    }
    let id = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    let message = told(&desk, &child.wait_with_output().unwrap(), 130);
    let (rows, rest) = message.split_once(" of 4,000,000 rows kept; ").expect(&message);
    let rows = rows.rsplit(' ').next().unwrap().replace(',', "");
    assert!(rows.parse::<u64>().unwrap() >= 256, "{message}");
    assert!(rest.contains("go on with `narrows fit --resume --out part`"), "{message}");

    // Its kind need not be said again to be told that the rest differs.
    for other in ["--set train.learning_rate=1e-3", "--set dictionary.k=9", "--model network"] {
        let line = format!("fit -q --resume --out part {other}");
        let message = told(&desk, &desk.command(&line).output().unwrap(), 2);
        assert!(message.contains("expected the settings that it began with"), "{other}: {message}");
    }

    // Nothing is replaced by what is refused.
    let line = "fit --model dictionary --data store --set dictionary.k=5000 --out part";
    let message = told(&desk, &desk.command(line).output().unwrap(), 2);
    assert!(message.contains("but got 5000") && !message.contains("is replaced"), "{message}");

    let made = fit("--data store --set train.rows=2000 --json --out part").replace("-q ", "");
    let output = desk.command(&made).output().unwrap();
    let message = desk.without_path(&output.stderr);
    assert!(message.contains("interrupted in part is replaced; --resume would"), "{message}");

    // A finished run stays what is measured while another training has not taken its place.
    killed_in(&desk, "run", &fit(&format!("--data store {MANY} --out run")));
    let output = desk.command("evaluate run --data store").output().unwrap();
    let message = desk.without_path(&output.stderr);
    assert!(output.status.success() && message.contains("model from before"), "{message}");
}

/// The rows of the table and of the speed are those of this call.
#[test]
#[cfg(unix)]
fn a_resumed_training_counts_the_rows_since_it_was_resumed() {
    let desk = desk();
    let more = MANY.replace("4000000", "400000");
    killed(&desk, &fit(&format!("--data store {more} --out part")));
    let made = desk.json("fit -q --resume --json --out part");
    let [rows, before, speed] =
        ["rows", "resumed_from", "rows_per_second"].map(|key| made[key].as_u64().unwrap());
    assert!(rows == 400_000 && before >= 256, "{made:#}");
    let found = (rows - before) as f64 / made["seconds"].as_f64().unwrap();
    assert!((speed as f64 - found).abs() <= 0.5 + 1e-9 * found, "{speed}, not {found}");
}

#[test]
fn what_did_not_come_as_it_was_asked_for_is_told() {
    let desk = desk();
    let line = "fit --model dictionary --data store --set dictionary.kind=relu \
                --set dictionary.latents=64 --set train.batch_size=1000";
    let line = format!("{line} --set dictionary.target_l0=1.5 --sweep seed=0,0 --out run");
    let output = desk.command(&line).output().unwrap();
    let message = desk.without_path(&output.stderr);
    assert!(
        message.contains("note: dictionary 0: target_l0 1.5 was not reached (L0 "),
        "{message}"
    );
    assert!(message.contains("note: 2 combinations, of which 1 differ"), "{message}");
    let history = fs::read_to_string(desk.path("run/history.jsonl")).unwrap();
    assert_eq!(history.lines().count(), 2, "four batches are more than a fiftieth");
    let screen = String::from_utf8(output.stdout).unwrap();
    // Of 8,000 rows none can make a latent dead that needs ten million.
    assert!(screen.lines().nth(1).unwrap().ends_with('–'), "{screen}");
    assert!(screen.contains("dead –: fewer rows than"), "{screen}");
    let sweep =
        fit("--data store --set dictionary.dead_after=100 --sweep k=3,5;seed=0..1 --out run");
    let screen = desk.narrows(&sweep);
    let first: Vec<&str> =
        screen.lines().take(3).map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(first, ["folder", "0–1", "2–3"], "{screen}");
    assert!(!screen.contains("dead –"), "{screen}");
    // The threshold follows k, which falls until the end, and comes too late.
    let line = "--data store --set train.k_warm_up=1 --set train.batch_size=500 --out run";
    let line = fit(line).replace("fit -q", "fit");
    let output = desk.command(&line).output().unwrap();
    let message = desk.without_path(&output.stderr);
    assert!(message.contains("note: dictionary 0: k is 4, but L0 is "), "{message}");
    let screen = String::from_utf8(output.stdout).unwrap();
    assert!(screen.lines().next().unwrap().contains("L0  L0 at τ"), "{screen}");
    let kept = &desk.json("evaluate run --data store --json -q")["l0"];
    let told = &harness::json(desk.path("run/scores.json"))["fit"]["l0_at_threshold"];
    let (kept, told) = (kept.as_f64().unwrap(), told.as_f64().unwrap());
    assert!(
        kept > 5.0 && (told / kept - 1.0).abs() < 0.1,
        "{told} of the last rows, {kept} of all"
    );
}
