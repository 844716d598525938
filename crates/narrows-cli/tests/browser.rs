//! The page of features in a browser: found, opened, read, and fast. Skipped, aloud, where there is no Chromium.
#![allow(clippy::unwrap_used)]

mod harness;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::{Desk, chromium};
use narrows::random::Random;
use narrows_lm::LanguageModel;
use narrows_lm::features::{Context, FeatureRecord, Features, TokenWeight, write_browser};
use narrows_lm::shipped;

/// Milliseconds until the list of 4,096 features stands there, at most.
const READY: u64 = 2000;

/// What the page is once its scripts have run.
fn page(chromium: &str, folder: &Path, hash: &str) -> String {
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new(chromium)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .arg("--virtual-time-budget=4000")
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg("--dump-dom")
        .arg(format!("file://{}{hash}", folder.join("index.html").display()))
        .output()
        .unwrap();
    let page = String::from_utf8(output.stdout).unwrap();
    assert!(page.contains("</html>"), "{}", String::from_utf8_lossy(&output.stderr));
    let body = between(&page, "<body", ">");
    assert!(!body.contains("data-error"), "{hash}: {body}");
    page
}

/// What stands between two texts, the first time.
fn between<'a>(page: &'a str, before: &str, after: &str) -> &'a str {
    let rest = page.split_once(before).unwrap_or_else(|| panic!("no {before} in the page")).1;
    rest.split_once(after).unwrap().0
}

fn ready(page: &str) -> u64 {
    between(page, "data-ready=\"", "\"").parse().unwrap()
}

fn found(page: &str) -> &str {
    between(page, "id=\"found\">", "<")
}

/// The numbers in the list.
fn listed(page: &str) -> Vec<usize> {
    page.split("data-feature=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap().parse().unwrap())
        .collect()
}

/// The number that is marked as open in the list.
fn open(page: &str) -> Option<usize> {
    let links = page.split("<a href=").skip(1).map(|rest| rest.split('>').next().unwrap());
    let link = links.into_iter().find(|link| link.contains("aria-current=\"true\""))?;
    Some(between(link, "data-feature=\"", "\"").parse().unwrap())
}

/// Tokens that are highlighted, with their codes.
fn highlighted(page: &str) -> Vec<(String, f64)> {
    page.split("data-code=\"")
        .skip(1)
        .map(|rest| {
            let (code, rest) = rest.split_once('"').unwrap();
            let text = rest.split_once('>').unwrap().1.split("</span>").next().unwrap();
            (text.to_owned(), code.parse().unwrap())
        })
        .collect()
}

/// The model that comes with narrows, in a folder.
fn shipped_model(desk: &Desk) -> PathBuf {
    let folder = desk.path("model");
    fs::create_dir(&folder).unwrap();
    shipped::unpack(&folder).unwrap();
    folder
}

/// A context with a token at which a feature fires, among random ones.
fn context(random: &mut Random, token: u32, largest: f32) -> Context {
    let mut tokens: Vec<u32> = (0..49).map(|_| 1 + random.below(1000) as u32).collect();
    let mut codes = vec![0.0; 49];
    (0..4).for_each(|_| codes[random.below(49)] = largest * random.uniform() as f32);
    (tokens[32], codes[32]) = (token, largest);
    Context { window: random.below(9000), first: 3, tokens, codes, peak: 32 }
}

/// The token at which a feature that is made up fires, and the one that it promotes.
fn fires(feature: usize) -> u32 {
    1 + (feature % 900) as u32
}

fn promotes(feature: usize) -> u32 {
    fires(feature) + 60
}

fn record(random: &mut Random, feature: usize, count: usize) -> FeatureRecord {
    let largest = 1.0 + (feature % 13) as f32;
    let token = fires(feature);
    let weights = |sign: f32| -> Vec<TokenWeight> {
        let weight = |place: u32| sign * (10 - place) as f32;
        (0..10).map(|at| TokenWeight { token: promotes(feature), weight: weight(at) }).collect()
    };
    FeatureRecord {
        feature,
        density: 0.01 / (1 + feature % 50) as f64,
        mean: f64::from(largest) / 3.0,
        largest,
        histogram: (1..21).map(|bin| 1000 / bin).collect(),
        promoted: weights(1.0),
        suppressed: weights(-1.0),
        logits: None,
        near: (1..9).map(|step| ((feature + step) % count, 0.9 - 0.1 * step as f32)).collect(),
        together: vec![((feature + 1) % count, 0.25)],
        top: (0..20).map(|at| context(random, token, largest * (1.0 - 0.02 * at as f32))).collect(),
        bands: (0..5).map(|_| (0..4).map(|_| context(random, token, largest)).collect()).collect(),
    }
}

fn synthetic(count: usize) -> Features {
    let mut random = Random::stream(1, "features");
    Features {
        model: "synthetic".to_owned(),
        tap: "blocks.1.residual_post".to_owned(),
        basis: "made up".to_owned(),
        count,
        tokens: 1_000_000,
        together_one_in: 4,
        features: (0..count).map(|feature| record(&mut random, feature, count)).collect(),
    }
}

#[test]
fn thousands_of_features_are_searched_and_opened_at_once() {
    let Some(chromium) = chromium() else { return };
    let desk = Desk::new();
    let model = LanguageModel::open(&shipped_model(&desk)).unwrap();
    let folder = desk.path("features");
    fs::create_dir(&folder).unwrap();
    write_browser(&synthetic(4096), &model.tokenizer, &folder).unwrap();
    let shown = page(&chromium, &folder, "");
    // The faster of two: the first reads the files from the disk.
    let again = page(&chromium, &folder, "");
    let fastest = ready(&shown).min(ready(&again));
    eprintln!("ready after {fastest} ms");
    assert!(fastest < READY, "{fastest} ms");
    assert_eq!((found(&shown), open(&shown)), ("4,096 found", Some(0)));
    assert!(shown.contains("counted at one token in 4"));
    // What is open stands in the list, however far down.
    let far = page(&chromium, &folder, "#f=3000");
    assert_eq!(open(&far), Some(3000));
    assert!(far.contains("<h2>Feature 3000</h2>"));
    let peak = model.tokenizer.token(fires(3000)).replace('\n', "↵");
    let (token, code) =
        &highlighted(&far)[..].iter().find(|(_, code)| *code >= 10.99).unwrap().clone();
    assert_eq!((token, *code as u32), (&peak, 11));
    // Numbers are features, and tokens too.
    let text = |token: u32| model.tokenizer.token(token);
    let digit = (1..900).find(|&token| text(token).trim() == "7").unwrap();
    let with = |of: fn(usize) -> u32, sought: &str| -> Vec<usize> {
        (0..4096).filter(|&feature| text(of(feature)).to_lowercase().contains(sought)).collect()
    };
    let digits = page(&chromium, &folder, "#q=7");
    let mut expected: Vec<usize> =
        (0..4096).filter(|feature| feature.to_string().starts_with('7')).collect();
    expected.extend(with(fires, "7"));
    expected.extend(with(promotes, "7"));
    expected.sort_unstable();
    expected.dedup();
    assert_eq!(
        found(&digits).split(' ').next().unwrap().replace(',', ""),
        expected.len().to_string()
    );
    assert!(expected.contains(&(digit as usize - 1)));
    // A word: those that fire at it, and those that promote it, which say so.
    let word = (1..900).map(text).find(|word| word.len() > 5 && word.starts_with(' ')).unwrap();
    let word = word.trim();
    let searched = page(&chromium, &folder, &format!("#q={word}"));
    let (firing, promoting) = (with(fires, word), with(promotes, word));
    let only = promoting.iter().filter(|feature| !firing.contains(feature)).count();
    assert_eq!(listed(&searched).len(), firing.len() + only);
    assert_eq!(searched.matches("class=\"tokens promotes\"").count(), only);
    assert!(only > 0 && searched.contains(&format!("·{word}")));
}

#[test]
fn features_of_the_model_that_comes_along_are_browsed() {
    let Some(chromium) = chromium() else { return };
    let desk = Desk::new();
    shipped_model(&desk);
    desk.narrows(
        "fit --model dictionary --lm model --text model/valid.txt.gz --tap blocks.1.residual_post --context 128 \
         --set dictionary.latents=256 --set dictionary.k=8 --set train.rows=30000 --set train.batch_size=512 \
         --set train.learning_rate=2e-3 --out run -q",
    );
    desk.narrows(
        "features run --lm model --text model/valid.txt.gz --context 128 --top 5 --out f -q",
    );
    let text = fs::read_to_string(desk.path("f/features.jsonl")).unwrap();
    let records: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let record =
        records.iter().rfind(|record| !record["top"].as_array().unwrap().is_empty()).unwrap();
    let shown = page(&chromium, &desk.path("f"), &format!("#f={}", record["feature"]));
    assert_eq!(found(&shown), "256 found");
    assert_eq!(open(&shown), record["feature"].as_u64().map(|feature| feature as usize));
    let first = &record["top"][0];
    let place = first["peak"].as_u64().unwrap() as usize;
    let token = first["text"][place].as_str().unwrap().replace('\n', "↵");
    let highest = highlighted(&shown).into_iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    assert_eq!(highest.0.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"), token);
    assert!((highest.1 / record["largest"].as_f64().unwrap() - 1.0).abs() < 2e-3);
    let near = page(&chromium, &desk.path("f"), "#o=dense&q=the");
    assert!(!listed(&near).is_empty());
}
