//! `narrows evaluate --lm`: what a language model loses with a dictionary's rows, and what can be wrong.

#![allow(clippy::unwrap_used)]

mod harness;

use std::fs;
use std::path::Path;

use harness::{Desk, json};
use narrows::data::ShardElement;
use narrows::random::Random;
use narrows::store::{ShardOptions, ShardWriter};

fn model(name: &str) -> String {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../narrows-lm/tests/golden/models");
    models.join(name).display().to_string()
}

/// A store of 2,000 random rows that says what it is told.
fn store(desk: &Desk, name: &str, dim: usize, tap: Option<&str>) {
    let mut options = ShardOptions::new(dim, ShardElement::F32);
    options.metadata.extend(tap.map(|tap| ("tap".to_owned(), tap.into())));
    let mut writer = ShardWriter::create(&desk.path(name), options).unwrap();
    let mut random = Random::stream(2, "rows");
    let rows: Vec<f32> = (0..2000 * dim).map(|_| random.normal() as f32).collect();
    writer.push(&rows).unwrap();
    writer.finish().unwrap();
}

fn fit(desk: &Desk, data: &str, out: &str) {
    desk.narrows(&format!(
        "fit -q --model dictionary --set dictionary.k=4 --set dictionary.latents=64 \
         --set train.batch_size=256 --data {data} --out {out}"
    ));
}

/// Text of some 1,500 tokens, a run of rows of 32 columns, and one of 8.
fn desk() -> Desk {
    let desk = Desk::new();
    let story = |n: usize| format!("<|endoftext|>the {n} cats sat on mat {}.", n * n);
    desk.write("text.txt", (0..60).map(story).collect::<String>());
    desk.write("other.txt", (60..140).map(story).collect::<String>());
    store(&desk, "store", 32, Some("blocks.0.residual_post"));
    fit(&desk, "store", "run");
    desk
}

/// The message of a command that ends with a mistake.
fn mistake(desk: &Desk, line: &str) -> String {
    let output = desk.command(line).output().unwrap();
    let message = desk.without_path(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{line}: {message}");
    assert!(output.stdout.is_empty() && !message.contains("panicked"), "{line}: {message}");
    message
}

#[test]
fn a_dictionary_is_measured_beside_baselines_and_the_figures_are_kept() {
    let desk = desk();
    let lm = model("neox-parallel");
    let before = fs::read(desk.path("run/weights.safetensors")).unwrap();
    // The place is that of the store.
    let line = format!("evaluate run --lm {lm} --text text.txt --context 16 --baselines --json");
    let told = desk.json(&line);
    assert_eq!(told["tap"], "blocks.0.residual_post");
    assert!(told["rows_left"].as_u64().unwrap() > 20);
    let found = told["replacements"].as_array().unwrap();
    let names: Vec<&str> = found.iter().map(|own| own["name"].as_str().unwrap()).collect();
    assert_eq!((names[0], names[1], names.len()), ("dictionary", "identity", 11), "{names:?}");
    let clean = told["clean"]["loss"].as_f64().unwrap();
    assert_eq!((found[1]["loss"].as_f64(), found[1]["kl"].as_f64()), (Some(clean), Some(0.0)));
    // Baselines were fitted on other windows, and have as many codes as the dictionary there.
    let sizes = told["fitted"]["l0"].as_array().unwrap();
    let first = format!("PCA, first {}", sizes[0]);
    assert!(names.contains(&first.as_str()), "{names:?}");
    let kept = json(desk.path("run/scores.json"));
    assert_eq!(kept["splice"]["text.txt at blocks.0.residual_post"], told);
    assert_eq!(fs::read(desk.path("run/weights.safetensors")).unwrap(), before);

    let whole = desk.json(&format!("evaluate run --lm {lm} --text text.txt --context 16 --json"));
    let sum = |told: &serde_json::Value, key: &str| told[key].as_u64().unwrap();
    let (all, part) = (sum(&whole, "rows"), sum(&told, "rows"));
    assert!(part < all && whole["replacements"].as_array().unwrap().len() == 1, "{part} {all}");
    let apart = desk.json(&format!("{line} --fit-text other.txt --splice-begin"));
    assert_eq!(
        (sum(&apart, "rows_left"), sum(&apart, "rows")),
        (0, all + sum(&whole, "rows_left"))
    );
    let few =
        desk.json(&format!("evaluate run --lm {lm} --text text.txt --context 16 --rows 40 --json"));
    assert_eq!(few["clean"]["predictions"], 2 * 15);

    let screen = desk.narrows(&format!("evaluate run --lm {lm} --text text.txt -q"));
    for word in ["undisturbed", "dictionary", "zero ablation", "mean ablation", "perplexity", "KL"]
    {
        assert!(screen.contains(word), "{word}: {screen}");
    }
}

#[test]
fn mistakes_are_told() {
    let desk = desk();
    let lm = model("neox-parallel");
    let at = format!("--lm {lm} --text text.txt");
    store(&desk, "narrow-store", 8, None);
    fit(&desk, "narrow-store", "narrow");
    let message = mistake(&desk, &format!("evaluate narrow {at} --tap blocks.1.residual_post"));
    let expected =
        "rows of 8 columns, as 'dictionary' takes them but got 32 at blocks.1.residual_post";
    assert!(message.contains(expected), "{message}");
    let message = mistake(&desk, &format!("evaluate narrow {at}"));
    assert!(message.contains("give --tap"), "{message}");
    let message = mistake(&desk, &format!("evaluate run {at} --tap blocks.1.residual_pst"));
    assert!(message.contains("blocks.1.residual_post"), "{message}");
    let message = mistake(&desk, &format!("evaluate nowhere {at}"));
    assert!(message.contains("'nowhere', which is not there"), "{message}");
    let message = mistake(&desk, "evaluate run --lm store --text text.txt");
    assert!(message.contains("a folder with config.json"), "{message}");
    let message = mistake(&desk, &format!("evaluate run --lm {lm}"));
    assert!(message.contains("--text"), "{message}");
    let message = mistake(&desk, &format!("evaluate run {at} --data store"));
    assert!(message.contains("--data"), "{message}");
    let message = mistake(&desk, "evaluate run");
    assert!(message.contains("--data"), "{message}");
    let message = mistake(&desk, "evaluate run --data store --tap blocks.0.residual_post");
    assert!(message.contains("--lm"), "{message}");
    let message = mistake(&desk, &format!("evaluate run {at} --fit-text text.txt --baselines"));
    assert!(message.contains("other text than is measured"), "{message}");
    desk.write("short.txt", "a cat");
    let message = mistake(&desk, &format!("evaluate run --lm {lm} --text short.txt"));
    assert!(message.contains("text of at least 64 tokens"), "{message}");
    desk.write("two.txt", "the cat sat on the mat. ".repeat(5));
    let message = mistake(&desk, &format!("evaluate run --lm {lm} --text two.txt --baselines"));
    assert!(message.contains("at least 3 windows"), "{message}");

    desk.narrows("fit -q --data store --set model.components=4 --out pca");
    let message = mistake(&desk, &format!("evaluate pca {at} --tap blocks.0.residual_post"));
    assert!(message.contains("a sparse dictionary") && message.contains("'pca'"), "{message}");
    let message = mistake(&desk, &format!("evaluate {} {at} --tap blocks.0.mlp_out", transcoder()));
    assert!(message.contains("a transcoder"), "{message}");
}

fn transcoder() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../narrows/tests/golden/dictionaries");
    folder.join("sparsify_transcoder").display().to_string()
}
