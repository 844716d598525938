//! `narrows shards`, as it is typed.

#![allow(clippy::unwrap_used)]

mod harness;

use std::time::Duration;

use harness::{Desk, NARROWS, npy};

fn numbers(count: usize) -> Vec<f64> {
    (0..count).map(|i| f64::from((i * 37 % 1000) as u32) - 500.0).collect()
}

/// What is said of a command that ends with `code`.
fn refused(desk: &Desk, line: &str, code: i32) -> String {
    let output = desk.command(line).output().unwrap();
    let message = desk.without_path(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{line}: {message}");
    assert!(message.contains("error: ") && !message.contains("panicked"), "{message}");
    message
}

/// More shards than files that may be open.
#[test]
#[cfg(unix)]
fn a_store_of_many_shards_needs_few_open_files() {
    let desk = Desk::new();
    desk.write("a.npy", npy(300, 2, &numbers(600)));
    desk.narrows("shards pack a.npy --out store --rows-per-shard 1 -q");
    let with_files = |most: usize| {
        let line = "fit -q --data store --set model.components=1 --out run";
        let limited = format!("ulimit -n {most}; exec {NARROWS} {line}");
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &limited]).current_dir(desk.path("")).output().unwrap()
    };
    let output = with_files(290);
    assert!(output.status.success(), "{}", desk.without_path(&output.stderr));
    let of_shards = std::fs::read(desk.path("run/weights.safetensors")).unwrap();
    desk.narrows("fit -q --data a.npy --set model.components=1 --out run");
    assert!(of_shards == std::fs::read(desk.path("run/weights.safetensors")).unwrap());
    let output = with_files(100);
    let message = desk.without_path(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("ulimit -n"), "{message}");
    assert!(message.contains("--rows-per-shard"), "{message}");
}

#[test]
fn inputs_are_packed_told_of_and_used_by_other_commands() {
    let desk = Desk::new();
    desk.write("a.npy", npy(40, 6, &numbers(240)));
    desk.write("b.npy", npy(25, 6, &numbers(150)));
    let packed = desk.json(
        "shards pack a.npy b.npy --out store --rows-per-shard 20 --meta model=pythia --meta layer=3 \
         -q --json",
    );
    assert_eq!(
        (&packed["rows"], &packed["dim"], &packed["element"]),
        (&65.into(), &6.into(), &"f32".into())
    );
    let info = desk.json("shards info store --json");
    assert_eq!(info, packed);
    assert_eq!(
        (&info["metadata"]["model"], &info["metadata"]["layer"]),
        (&"pythia".into(), &3.into())
    );
    assert_eq!(info["metadata"]["packed_from"][1]["name"], "b.npy");
    let shown = desk.narrows("shards info store");
    assert!(shown.starts_with("65 rows of 6 numbers as f32 in 4 shards, 0.00"), "{shown}");
    assert!(shown.contains("shard-00003.safetensors     5"), "{shown}");
    assert!(desk.narrows("shards verify store").contains("shard-00003.safetensors  whole"));

    let set = desk.json("data store --json");
    assert_eq!(
        (&set["rows"], &set["dim"], &set["element"]),
        (&65.into(), &6.into(), &"f32".into())
    );
    // Whole numbers of up to 500 are exact in half precision, and the store of a store is the same.
    desk.narrows("shards pack store --out half --element f16");
    desk.narrows("shards pack half --out again --element f32");
    let fit = |data: &str| {
        desk.narrows(&format!("fit -q --data {data} --set model.components=2 --out runs/{data}"));
        std::fs::read(desk.path(&format!("runs/{data}/weights.safetensors"))).unwrap()
    };
    assert_eq!(fit("store"), fit("again"));
    assert_eq!(desk.json("shards info half --json")["element"], "f16");
    assert!(
        desk.narrows("shards info half").starts_with("65 rows of 6 numbers as f16 in 1 shard, ")
    );
}

#[test]
fn mistakes_are_told() {
    let desk = Desk::new();
    desk.write("a.npy", npy(40, 6, &numbers(240)));
    desk.write("narrow.npy", npy(40, 5, &numbers(200)));
    desk.write("large.npy", npy(2, 6, &[1e6; 12]));
    let mut nan = numbers(240);
    nan[100] = f64::NAN;
    desk.write("nan.npy", npy(40, 6, &nan));
    desk.write("home/diary.txt", "years");
    desk.narrows("shards pack a.npy --out store --rows-per-shard 16");
    let cases = [
        (
            "shards pack a.npy narrow.npy --out x",
            "rows of 6 numbers, as in 'a.npy' but got 5 in 'narrow.npy'",
        ),
        ("shards pack a.npy nan.npy --out x", "NaN in row 17 of 'nan.npy', column 5 (both counted"),
        (
            "shards pack large.npy --out y --element f16",
            "1000000 in row 1, column 1; keep them as f32 or bf16",
        ),
        ("shards pack a.npy --out store", "which is a store; give another --out"),
        ("shards pack a.npy --out home", "which holds something else"),
        ("shards pack a.npy --out new --resume", "which is none; leave --resume out"),
        ("shards pack gone.npy --out new", "no 'gone.npy'"),
        ("shards pack a.npy --out new --element f8", "expected bf16, f16, f32 or int8"),
        ("shards pack a.npy --out new --meta model", "expected a key, = and a value"),
        ("shards pack a.npy --out new --rows-per-shard 0", "0 is not in 1.."),
        ("shards info home", "shards.json"),
        ("shards verify a.npy", "shards.json"),
        ("data store#x", "before '#'"),
        ("data store --colour", "expected images for --colour"),
    ];
    for (line, told) in cases {
        let message = refused(&desk, line, 2);
        assert!(message.contains(told), "{line}: {message}");
    }
    assert!(!desk.path("x").exists() && !desk.path("y").exists(), "nothing in them was whole");
    let second = desk.path("store/shard-00001.safetensors");
    let mut bytes = std::fs::read(&second).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&second, bytes).unwrap();
    let message = refused(&desk, "shards verify store", 2);
    let told = "1 of 3 shards are damaged: shard-00001.safetensors: its bytes are not those";
    assert!(message.contains(told), "{message}");
    std::fs::remove_file(&second).unwrap();
    assert!(
        refused(&desk, "data store", 2).contains("shard-00001.safetensors: the shard is missing")
    );
    let message = refused(&desk, "shards verify store", 2);
    let told = "1 of 3 shards are damaged: shard-00001.safetensors: the shard is missing; restore them, or \
                pack the rows again";
    assert!(message.trim_end().ends_with(told), "{message}");
}

/// A limit on the size of files stands in for a disk that is full: both fail within a write.
#[test]
#[cfg(unix)]
fn a_full_disk_loses_no_whole_shard() {
    let desk = Desk::new();
    desk.write("a.npy", npy(400, 64, &numbers(25_600)));
    desk.narrows("shards pack a.npy --out whole --rows-per-shard 150");
    // 51,200 bytes: of shards of 38,400, 38,400 and 25,600 every one would fit; of one of 102,400 none.
    let line = "shards pack a.npy --out full --rows-per-shard 400";
    let limited = format!("trap '' XFSZ; ulimit -f 100; exec {NARROWS} {line}");
    let mut shell = std::process::Command::new("sh");
    let output = shell.args(["-c", &limited]).current_dir(desk.path("")).output().unwrap();
    let message = desk.without_path(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("write full/shard-00000.safetensors: File too large"), "{message}");
    assert!(refused(&desk, "data full", 2).contains("--resume"));
    let left: Vec<_> = std::fs::read_dir(desk.path("full")).unwrap().collect();
    assert_eq!(left.len(), 1, "only what says that it is unfinished: {left:?}");
    desk.narrows("shards pack a.npy --out full --rows-per-shard 400 --resume");
    assert!(desk.narrows("shards verify full").contains("whole"));
}

#[test]
fn packing_that_was_killed_goes_on_to_the_same_store() {
    let desk = Desk::new();
    desk.write("a.npy", npy(6000, 64, &numbers(384_000)));
    let pack = "shards pack a.npy --element bf16 --rows-per-shard 250";
    desk.narrows(&format!("{pack} --out whole"));
    let files = |folder: &str| -> Vec<_> {
        let all = desk.everything();
        let within = desk.path(folder);
        all.into_iter()
            .filter_map(|(p, b)| Some((p.strip_prefix(&within).ok()?.to_owned(), b)))
            .collect()
    };
    let mut unfinished = 0;
    for wait in 0..8 {
        let mut child = desk.command(&format!("{pack} --out part -q")).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(wait * 15));
        // SIGKILL: nothing is tidied up.
        child.kill().unwrap();
        child.wait().unwrap();
        if desk.path("part/unfinished.json").exists() && !desk.path("part/shards.json").exists() {
            unfinished += 1;
            assert!(refused(&desk, "data part", 2).contains("rows were written so far"));
            desk.narrows(&format!("{pack} --out part --resume -q"));
        }
        if !desk.path("part/shards.json").exists() {
            // Killed before it began.
            let _ = std::fs::remove_dir_all(desk.path("part"));
            continue;
        }
        assert_eq!(files("part"), files("whole"), "killed after {} ms", wait * 15);
        std::fs::remove_dir_all(desk.path("part")).unwrap();
    }
    assert!(unfinished > 0, "no kill came in between");
}
