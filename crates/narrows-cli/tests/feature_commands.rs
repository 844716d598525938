//! `features`, `lexical`, `interpret` and `patch` at the command line, on a small random model: what they write, what they
//! say of mistakes, and what is left when they are stopped.
#![allow(clippy::unwrap_used)]

mod harness;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use harness::{Desk, failed, language_model, sentences};
use serde_json::{Value, json};

/// A desk with a text and a dictionary of 64 latents, which knows where it was trained.
fn desk() -> (Desk, String) {
    let desk = Desk::new();
    desk.write("text.txt", sentences(60));
    let model = language_model("neox-parallel");
    desk.narrows(&format!(
        "fit --model dictionary --lm {model} --text text.txt --context 24 --tap blocks.0.residual_post \
         --set dictionary.latents=64 --set dictionary.k=6 --set train.batch_size=64 --set train.rows=4000 \
         --set train.learning_rate=3e-3 --out d -q"
    ));
    (desk, model)
}

/// Sends Ctrl-C, and says how the command ended.
fn interrupted(mut child: Child) -> Option<i32> {
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    child.wait().unwrap().code()
}

/// Waits until something lies in a folder.
fn wait_for(folder: &Path) {
    let begin = Instant::now();
    while fs::read_dir(folder).unwrap().next().is_none() {
        assert!(begin.elapsed() < Duration::from_secs(60), "nothing is written");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn features_are_written_in_every_form() {
    let (desk, model) = desk();
    let line = format!("features d --lm {model} --text text.txt --context 24 -q");
    // The run knows its place; a folder of features is replaced.
    for _ in 0..2 {
        desk.narrows(&format!(
            "{line} --format html,jsonl,delphi,neuronpedia --set-name tiny --out f"
        ));
    }
    let written =
        ["data", "delphi", "features.json", "features.jsonl", "index.html", "neuronpedia"];
    assert_eq!(names(&desk.path("f")), written);
    let records = fs::read_to_string(desk.path("f/features.jsonl")).unwrap();
    assert_eq!(records.lines().count(), 64);
    let record: Value = serde_json::from_str(records.lines().next().unwrap()).unwrap();
    assert_eq!(record["tap"], "blocks.0.residual_post");
    // All that lies there is one module, as delphi reads the folder.
    assert_eq!(names(&desk.path("f/delphi")), ["blocks.0.residual_post"]);
    assert_eq!(names(&desk.path("f/delphi/blocks.0.residual_post")).len(), 6);
    let source = [
        "activations",
        "features",
        "model.jsonl",
        "release.jsonl",
        "source.jsonl",
        "sourceset.jsonl",
    ];
    assert_eq!(names(&desk.path("f/neuronpedia/neox-parallel/0-tiny")), source);
    desk.narrows(&format!("{line} --features 3,7..9 --format jsonl --out some"));
    let some = fs::read_to_string(desk.path("some/features.jsonl")).unwrap();
    let expected: Vec<&str> = [3, 7, 8, 9].map(|at| records.lines().nth(at).unwrap()).into();
    assert_eq!(some.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn mistakes_of_features_are_told() {
    let (desk, model) = desk();
    desk.narrows("convert d sae --to saelens -q");
    desk.write("taken/mine.txt", "mine");
    let before = desk.everything();
    let of = format!("--lm {model} --text text.txt --context 24");
    for (line, told) in [
        (format!("features sae {of} --out o"), "give --tap"),
        (format!("features d {of} --features 60..64 --out o"), "features 0 to 63"),
        (format!("features d {of} --features 9..3 --out o"), "numbers and ranges"),
        (format!("features d {of} --format delphy --out o"), "delphi"),
        (format!("features d {of} --splits 0 --out o"), "1..=1000"),
        (
            // Before anything is read.
            "features d --lm nowhere --text none.txt --format neuronpedia --set-name a/b --out o"
                .to_owned(),
            "another --set-name",
        ),
        (format!("features d {of} --tap blocks.0.mlp_hidden --out o"), "rows of 32 columns"),
        (format!("features d {of} --out taken"), "holds something else"),
        (
            format!("lexical d {of} --tap blocks.0.residual_pst"),
            "did you mean 'blocks.0.residual_post'?",
        ),
        (format!("lexical d {of} --tap blocks.0.residual_post --features 0"), "another --features"),
        (format!("patch d {of} --out o --tap blocks.0.residual_post"), "unexpected argument"),
        (
            format!("patch d --lm {model} --out o --tap blocks.3.mlp_out"),
            "embedding, or blocks.0 to blocks.1",
        ),
        (format!("patch d --lm {model} --out o --tap blocks.0.mlp_hidden"), "rows of 32 columns"),
        (
            format!("patch d --lm {model} --out taken --tap blocks.0.residual_post"),
            "holds something else",
        ),
        (format!("patch nowhere --lm {model} --out o --tap blocks.0.residual_post"), "nowhere"),
        (
            format!("patch d --lm {model} --out o --tap blocks.0.residual_post --pairs none.jsonl"),
            "none.jsonl",
        ),
    ] {
        let said = failed(&desk, &line);
        assert!(said.contains(told), "{line}: {said}");
        assert!(desk.everything() == before, "{line}");
    }
}

#[test]
fn ctrl_c_leaves_nothing() {
    let (desk, model) = desk();
    desk.write("long.txt", sentences(6000));
    fs::create_dir(desk.path("home")).unwrap();
    fs::create_dir(desk.path("temporary")).unwrap();
    let of = format!("d --lm {model} --text long.txt --context 24 -q --tap blocks.0.residual_post");
    let start = |line: &str| -> Child {
        let mut command = desk.command(line);
        command.env("TMPDIR", desk.path("temporary")).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    };
    let child = start(&format!("features {of} --format delphi --out home/f"));
    wait_for(&desk.path("home"));
    assert_eq!(interrupted(child), Some(130));
    assert!(names(&desk.path("home")).is_empty());
    let child = start(&format!("lexical {of}"));
    wait_for(&desk.path("temporary"));
    assert_eq!(interrupted(child), Some(130));
    assert!(names(&desk.path("temporary")).is_empty());
}

#[test]
fn rules_of_tokens_are_measured() {
    let (desk, model) = desk();
    fs::create_dir(desk.path("temporary")).unwrap();
    let line = format!(
        "lexical d --lm {model} --text text.txt --context 24 --tap blocks.0.residual_post --baselines"
    );
    let mut command = desk.command(&format!("{line} --json -q"));
    let output = command.env("TMPDIR", desk.path("temporary")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let bases = told["bases"].as_array().unwrap();
    assert_eq!(bases[0]["basis"], "dictionary");
    assert!(bases.len() > 4);
    assert_eq!(told["differences"].as_array().unwrap().len(), bases.len() - 1);
    for basis in bases {
        let correlation = basis["correlation"]["mean"].as_f64().unwrap();
        assert!((-1.0..=1.0).contains(&correlation), "{correlation}");
    }
    assert!(told["fitted_tokens"].as_u64().unwrap() < told["tokens"].as_u64().unwrap());
    assert!(desk.narrows(&format!("{line} -q")).contains("predicted best"));
    assert!(names(&desk.path("temporary")).is_empty());
}

/// Answers as an OpenAI-compatible endpoint that says every fragment is active, and counts requests.
fn endpoint() -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&requests);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            counted.fetch_add(1, Ordering::SeqCst);
            std::thread::spawn(move || serve(stream));
        }
    });
    (url, requests)
}

fn serve(mut stream: TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let (mut line, mut length) = (String::new(), 0);
    while reader.read_line(&mut line).ok()? > 2 {
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let request: Value = serde_json::from_slice(&body).ok()?;
    let [system, user] =
        [0, 1].map(|at| request["messages"][at]["content"].as_str().unwrap_or("").to_owned());
    let answer = if system.contains("you decide for each") {
        let fragments = user.lines().filter(|line| line.starts_with("Fragment ")).count();
        format!("{:?}", vec![1; fragments])
    } else if system.contains("Say in one short sentence") {
        "Explanation: rivers".to_owned()
    } else {
        let asked = user.lines().filter_map(|line| line.strip_suffix("\t?")?.split_once('\t'));
        asked.map(|(number, token)| format!("{number}\t{token}\t{}\n", token.len() % 11)).collect()
    };
    // No usage, as some servers leave it out.
    let text = json!({"choices": [{"message": {"content": answer}}]}).to_string();
    let head =
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", text.len());
    stream.write_all((head + &text).as_bytes()).ok()
}

#[test]
fn features_are_interpreted_by_an_endpoint() {
    let (desk, model) = desk();
    desk.write("text.txt", sentences(300));
    let (url, requests) = endpoint();
    let of = format!(
        "interpret d --lm {model} --text text.txt --context 24 --tap blocks.0.residual_post --model m"
    );
    let line = format!("{of} --endpoint {url} --features 2 -q --json --out e");
    let told = desk.json(&line);
    let (features, summary) = (told["features"].as_array().unwrap(), &told["summary"]);
    assert_eq!(
        (features.len(), &summary["finished"], &summary["failed"]),
        (2, &true.into(), &0.into())
    );
    for feature in features {
        assert_eq!(feature["explanation"], "rivers");
        assert!(feature["score"].is_number(), "{feature}");
    }
    assert_eq!(names(&desk.path("e")), ["cache", "interpretations.jsonl", "summary.json"]);
    // Tokens are estimated where none are told.
    assert!(summary["spent"]["tokens"].as_u64().unwrap() > 100);
    let sent = requests.load(Ordering::SeqCst);
    assert_eq!(summary["spent"]["requests"], sent);
    let again = desk.json(&line);
    assert_eq!(requests.load(Ordering::SeqCst), sent, "all was answered");
    assert_eq!(again["features"], told["features"]);
    let few = desk
        .json(&format!("{of} --endpoint {url} --features 2 --token-budget 50 -q --json --out few"));
    assert_eq!(few["summary"]["finished"], false);
    for (line, told) in [
        (format!("{of} --endpoint localhost:80 --out n"), "begins with http://"),
        (format!("{of} --endpoint {url} --key-env NO_SUCH_KEY --out n"), "NO_SUCH_KEY"),
        (format!("{of} --endpoint {url} --out d"), "give another folder"),
    ] {
        let said = failed(&desk, &line);
        assert!(said.contains(told), "{line}: {said}");
        assert!(!desk.path("n").exists(), "{line}");
    }
}
