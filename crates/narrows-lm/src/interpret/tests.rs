//! Endpoints on this machine that are ideal, useless, busy, mistaken or closed.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use narrows::Result;
use narrows::random::Random;
use serde_json::{Value, json};

use super::*;

/// Says what is answered to a request, the n-th, with its system's and user's message: a status and a body.
type Play = dyn Fn(u64, &str, &str) -> (u16, String) + Send + Sync;

/// A server that counts requests; its threads end with the test.
struct Server {
    url: String,
    requests: Arc<AtomicU64>,
}

impl Server {
    fn start(play: impl Fn(u64, &str, &str) -> (u16, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicU64::new(0));
        let (count, play): (_, Arc<Play>) = (requests.clone(), Arc::new(play));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (count, play) = (count.clone(), play.clone());
                std::thread::spawn(move || serve(stream, &count, &*play));
            }
        });
        Self { url, requests }
    }

    fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }
}

fn serve(mut stream: TcpStream, count: &AtomicU64, play: &Play) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let (mut line, mut length) = (String::new(), 0);
    reader.read_line(&mut line).ok()?;
    assert!(line.starts_with("POST /v1/chat/completions "), "{line}");
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let request: Value = serde_json::from_slice(&body).ok()?;
    let message = |place: usize| request["messages"][place]["content"].as_str().unwrap_or("");
    let number = count.fetch_add(1, Ordering::SeqCst);
    let (status, text) = play(number, message(0), message(1));
    let head = format!(
        "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        text.len()
    );
    stream.write_all((head + &text).as_bytes()).ok()
}

/// An answer as OpenAI gives it, which cost 10 tokens.
fn said(text: &str) -> (u16, String) {
    let message =
        json!({"choices": [{"message": {"content": text}}], "usage": {"total_tokens": 10}});
    (200, message.to_string())
}

/// What of a user's message is numbered lines: number and token.
fn lines(user: &str) -> Vec<(&str, &str)> {
    user.lines().filter_map(|line| line.strip_suffix("\t?")?.split_once('\t')).collect()
}

/// Knows the feature: it is as strong as the digit in `hot…` says.
fn ideal(system: &str, user: &str) -> (u16, String) {
    if system.contains("Say in one short sentence") {
        assert!(user.contains("hot"), "strong fragments are shown");
        return said("I think…\nExplanation: hot words");
    }
    assert!(user.contains("What the feature is looking for: hot words"));
    if system.contains("you decide for each") {
        let list: Vec<&str> = user
            .lines()
            .filter(|line| line.starts_with("Fragment "))
            .map(|line| if line.contains("hot") { "1" } else { "0" })
            .collect();
        return said(&format!("[{}]", list.join(", ")));
    }
    let strength = |token: &str| token.strip_prefix("hot").map_or("0".to_owned(), str::to_owned);
    let lines =
        lines(user).into_iter().map(|(n, token)| format!("{n}\t{token}\t{}\n", strength(token)));
    said(&lines.collect::<String>())
}

/// Twenty fragments with hot words, whose digit is the activation, and ten without.
fn feature(number: usize) -> FeatureFragments {
    let mut random = Random::numbered(0, "fragments", &[number as u64]);
    let mut fragment = |hot: bool| {
        let (mut tokens, mut activations) = (Vec::new(), Vec::new());
        for place in 0..64 {
            let strength = if hot && place % 16 == 5 { 1 + random.below(9) } else { 0 };
            tokens.push(match strength {
                0 => ["\t", "\n", "word", " \\"][random.below(4)].to_owned(),
                _ => format!("hot{strength}"),
            });
            activations.push(strength as f32);
        }
        Fragment { tokens, activations }
    };
    FeatureFragments {
        feature: number,
        top: (0..20).map(|_| fragment(true)).collect(),
        random: (0..10).map(|_| fragment(false)).collect(),
    }
}

fn options(server: &Server) -> EndpointOptions {
    let mut options = EndpointOptions::new(&server.url, "test");
    options.first_wait = Duration::from_millis(1);
    options
}

fn run(options: EndpointOptions, cache: &Path, features: usize) -> Result<(Interpreted, Spent)> {
    let endpoint = Endpoint::new(options, cache)?;
    let features: Vec<_> = (0..features).map(feature).collect();
    let how = InterpretOptions { method: Method::Both, concurrency: 3, seed: 0 };
    let found = interpret(&endpoint, &Prompts::built_in()?, &features, &how, &mut |_| ())?;
    Ok((found, endpoint.spent()))
}

/// Requests of a feature: one to explain, ten to simulate, two to detect.
const EACH: u64 = 13;

#[test]
fn an_ideal_endpoint_explains_all_and_a_second_run_asks_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_, system, user| ideal(system, user));
    let (found, spent) = run(options(&server), folder.path(), 3).unwrap();
    assert!(found.finished);
    for one in &found.features {
        assert_eq!(one.explanation.as_deref(), Some("hot words"));
        assert!((one.score.unwrap() - 1.0).abs() < 1e-9 && one.failed.is_empty(), "{one:?}");
        let detection = one.detection.unwrap();
        assert_eq!((detection.active, detection.inactive), (5, 5));
        assert_eq!(detection.balanced_accuracy, Some(1.0));
    }
    assert_eq!((server.requests(), spent.requests, spent.tokens), (3 * EACH, 3 * EACH, 30 * EACH));
    let (again, spent) = run(options(&server), folder.path(), 3).unwrap();
    assert_eq!((again, server.requests()), (found, 3 * EACH));
    assert_eq!((spent.requests, spent.from_cache), (0, 3 * EACH));
}

#[test]
fn a_useless_endpoint_scores_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|number, system, user| {
        if system.contains("you decide for each") {
            return said("[1, 1, 1, 1, 1]");
        }
        let mut random = Random::numbered(3, "useless", &[number]);
        let lines = lines(user).into_iter().map(|(n, _)| format!("{n}\t{}\n", random.below(11)));
        match lines.collect::<String>() {
            text if text.is_empty() => said("Explanation: something"),
            text => said(&text),
        }
    });
    let (found, spent) = run(options(&server), folder.path(), 4).unwrap();
    let summary = found.summary(spent);
    assert!(summary.score.unwrap().mean.abs() < 0.1, "{summary:?}");
    assert_eq!(summary.detection.unwrap().mean, 0.5);
}

#[test]
fn a_busy_endpoint_is_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|number, system, user| match number {
        0 => (429, "slow down".to_owned()),
        1 => (503, String::new()),
        _ => ideal(system, user),
    });
    let (found, spent) = run(options(&server), folder.path(), 1).unwrap();
    assert!((found.features[0].score.unwrap() - 1.0).abs() < 1e-9);
    assert_eq!((spent.requests, spent.retries), (EACH + 2, 2));
    let busy = Server::start(|_, _, _| (429, "slow down".to_owned()));
    let error = run(options(&busy), folder.path(), 1).unwrap_err();
    assert_eq!(busy.requests(), 6);
    assert!(error.to_string().contains("status 429: slow down, 6 times in a row"), "{error}");
}

#[test]
fn answers_that_cannot_be_read_count_as_failed() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_, system, user| match system.contains("you predict how active") {
        // A line is missing.
        true if user.contains("hot9") => said("1\ta\t0\n2\tb\t3"),
        _ => ideal(system, user),
    });
    let (found, spent) = run(options(&server), folder.path(), 3).unwrap();
    let summary = found.summary(spent);
    assert!(summary.failed > 0 && found.finished);
    for one in &found.features {
        assert!(one.failed.iter().all(|what| what.contains("the simulation of top fragment")));
    }
}

#[test]
fn who_refuses_or_is_no_endpoint_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let told = |options| run(options, folder.path(), 1).unwrap_err();
    let closed = Server::start(|_, _, _| (401, "{\"error\": \"bad key\"}".to_owned()));
    let error = told(options(&closed));
    assert!(error.to_string().contains("status 401") && error.to_string().contains("--key-env"));
    assert_eq!((error.exit_code(), closed.requests()), (2, 1));
    let page = Server::start(|_, _, _| (200, "<html>hello</html>".to_owned()));
    let error = told(options(&page)).to_string();
    assert!(error.contains("OpenAI-compatible") && error.contains("<html>hello"), "{error}");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nobody = EndpointOptions::new(format!("http://127.0.0.1:{port}/v1"), "test");
    let error = told(nobody).to_string();
    assert!(error.contains("the host does not answer") && error.contains("--endpoint"), "{error}");
    assert!(told(EndpointOptions::new("localhost:8000", "test")).to_string().contains("http://"));
}

#[test]
fn the_budget_ends_a_run_and_a_larger_one_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_, system, user| ideal(system, user));
    let mut little = options(&server);
    little.most_requests = Some(20);
    let (found, spent) = run(little, folder.path(), 3).unwrap();
    assert!(!found.finished && found.features.len() < 3);
    assert_eq!((server.requests(), spent.requests), (20, 20));
    let (rest, spent) = run(options(&server), folder.path(), 3).unwrap();
    assert!(rest.finished);
    assert_eq!((spent.from_cache, server.requests()), (20, 3 * EACH));
    let mut tokens = options(&server);
    tokens.most_tokens = Some(50);
    let other = tempfile::tempdir().unwrap();
    let (found, spent) = run(tokens, other.path(), 1).unwrap();
    assert!(!found.finished && spent.tokens == 50);
}

#[test]
fn a_run_that_broke_goes_on_and_ends_as_one_that_did_not() {
    let (broken, whole) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Server::start(|number, system, user| match number {
        17 => (400, "broken".to_owned()),
        _ => ideal(system, user),
    });
    assert!(run(options(&server), broken.path(), 3).is_err());
    let asked = server.requests();
    let (found, spent) = run(options(&server), broken.path(), 3).unwrap();
    assert_eq!(spent.from_cache, asked - 1);
    assert_eq!(found, run(options(&server), whole.path(), 3).unwrap().0);
}

#[test]
fn prompts_are_written_read_and_refused() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("prompts");
    Prompts::write(&place).unwrap();
    assert_eq!(Prompts::read(&place).unwrap(), Prompts::built_in().unwrap());
    assert!(Prompts::write(&place).is_err());
    std::fs::write(place.join("detect.txt"), "[system]\na\n[user]\n{explanation}").unwrap();
    assert!(Prompts::read(&place).unwrap_err().to_string().contains("{fragments}"));
    assert!(Prompts::read(folder.path()).is_err());
    let prompts = Prompts::built_in().unwrap();
    let filled = [("{explanation}", "a {tokens} b"), ("{tokens}", "c")];
    assert!(prompts.simulate.user(&filled).contains("a {tokens} b\n\nc"));
}

#[test]
fn an_endpoint_that_does_not_count_ends_at_the_budget_too() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_, system, user| {
        let (status, body) = ideal(system, user);
        let mut body: Value = serde_json::from_str(&body).unwrap();
        body.as_object_mut().unwrap().remove("usage");
        (status, body.to_string())
    });
    let endpoint = Endpoint::new(options(&server), &folder.path().join("one")).unwrap();
    let asked = endpoint.ask("Say in one short sentence what", "hot é", 10).unwrap().unwrap();
    let characters = "Say in one short sentence whathot é".chars().count() + asked.chars().count();
    assert_eq!(endpoint.spent().tokens, characters.div_ceil(4) as u64);
    let mut few = options(&server);
    few.most_tokens = Some(200);
    let (found, spent) = run(few, &folder.path().join("two"), 1).unwrap();
    assert!(!found.finished && spent.tokens >= 200 && spent.requests < EACH, "{spent:?}");
}

#[test]
fn an_answer_that_is_empty_or_cut_is_asked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|number, _, _| {
        let (text, reason) = match number {
            0 => (" ", "stop"),
            1 => ("hot wo", "length"),
            _ => ("hot words", "stop"),
        };
        let choice = json!({"message": {"content": text}, "finish_reason": reason});
        (200, json!({"choices": [choice], "usage": {"total_tokens": 10}}).to_string())
    });
    let endpoint = Endpoint::new(options(&server), folder.path()).unwrap();
    let ask = || endpoint.ask("system", "user", 10).unwrap().unwrap();
    assert_eq!([ask(), ask(), ask(), ask()], [" ", "hot wo", "hot words", "hot words"]);
    let spent = endpoint.spent();
    assert_eq!((spent.requests, spent.cut, spent.from_cache, spent.tokens), (3, 2, 1, 30));
}

#[test]
fn an_empty_answer_that_was_kept_before_is_asked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _, _| said("hot words"));
    let ask = || {
        let endpoint = Endpoint::new(options(&server), folder.path()).unwrap();
        endpoint.ask("system", "user", 10).unwrap().unwrap()
    };
    ask();
    let files = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    for file in files.flat_map(|folder| std::fs::read_dir(folder).unwrap()) {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("\"hot words\"", "\"\"")).unwrap();
    }
    assert_eq!((ask(), ask(), server.requests()), ("hot words".into(), "hot words".into(), 2));
}

#[test]
fn endpoints_that_take_other_names_and_no_temperature_are_asked_so() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _, _| said("hot"));
    let ask = |change: &dyn Fn(&mut EndpointOptions)| {
        let mut options = options(&server);
        change(&mut options);
        Endpoint::new(options, folder.path()).unwrap().request("system", "user", 10)
    };
    let plain = ask(&|_| ());
    assert_eq!((&plain["temperature"], &plain["max_tokens"]), (&json!(0), &json!(10)));
    assert!(plain["temperature"].is_u64(), "kept answers are found by it");
    let other = ask(&|options| {
        options.temperature = None;
        options.limit = Limit::MaxCompletionTokens;
        options.most_answer_tokens = Some(4000);
    });
    let keys: Vec<&String> = other.as_object().unwrap().keys().collect();
    assert_eq!(other["max_completion_tokens"], 4000);
    assert!(keys.len() == 3 && other.get("temperature").is_none(), "{keys:?}");
    let refused = Server::start(|_, _, _| {
        (400, "Unsupported parameter: 'max_tokens'; use 'max_completion_tokens'".to_owned())
    });
    let error = run(options(&refused), folder.path(), 1).unwrap_err().to_string();
    assert!(error.contains("--limit-as max_completion_tokens"), "{error}");
}

#[test]
fn the_same_text_is_one_fragment() {
    use narrows::evaluate::Frame;

    use crate::basis::Basis;
    use crate::model::{LanguageModel, Tap};
    use crate::text::Windows;

    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/models/neox-parallel");
    let model = LanguageModel::open(&folder).unwrap();
    let frame = Frame::random(16, vec![0.0; model.architecture.width], 3).unwrap();
    let basis = Basis::frame("random", frame, 8);
    // Every window comes three times.
    let mut random = Random::stream(2, "tokens");
    let window = |_| (0..12).map(|_| 1 + random.below(250) as u32).collect::<Vec<_>>();
    let own: Vec<Vec<u32>> = (0..20).map(window).collect();
    let tokens = own.iter().chain(&own).chain(&own).flatten().copied().collect();
    let windows = Windows::new(tokens, 12);
    let options =
        CollectOptions { length: 12, top: 8, random: 6, ..CollectOptions::new((0..16).collect()) };
    let tap = Tap::after(0);
    let found = collect(&model, tap, &basis, &windows, &options, &mut |_| ()).unwrap();
    let mut shown = 0;
    for feature in found {
        let all: Vec<&Vec<String>> =
            feature.top.iter().chain(&feature.random).map(|fragment| &fragment.tokens).collect();
        shown += all.len();
        for (place, one) in all.iter().enumerate() {
            assert!(!all[place + 1..].contains(one), "{}", feature.feature);
        }
        assert!(feature.top.is_sorted_by(|a, b| a.largest() >= b.largest()));
    }
    assert!(shown > 16 * 8, "{shown}");
}
