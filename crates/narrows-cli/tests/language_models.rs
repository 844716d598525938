//! Language models at the command line: harvest, training while the model reads, steering, patching, tracing, and the
//! study, on small random models; on a trained one where NARROWS_DATA names it.
#![allow(clippy::unwrap_used)]

mod harness;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use harness::{Desk, failed, language_model, sentences};
use serde_json::Value;

fn desk() -> (Desk, String) {
    let desk = Desk::new();
    desk.write("text.txt", sentences(60));
    (desk, language_model("neox-parallel"))
}

fn shards(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    all.sort();
    all.into_iter()
        .map(|path| (path.file_name().unwrap().into(), fs::read(path).unwrap()))
        .collect()
}

#[test]
fn a_model_is_told_and_predicts_text() {
    let (desk, model) = desk();
    let told = desk.json(&format!("lm info {model} --json"));
    assert_eq!((&told["layers"], &told["width"]), (&Value::from(2), &Value::from(32)));
    let loss = desk.json(&format!("lm loss {model} --text text.txt --context 24 --json"));
    assert_eq!(loss["documents"], 60);
    let (nats, perplexity) = (loss["loss"].as_f64().unwrap(), loss["perplexity"].as_f64().unwrap());
    assert!((nats.exp() / perplexity - 1.0).abs() < 1e-9 && nats > 1.0);
    let line = format!("lm generate {model} --prompt river --tokens 5 --temperature 1 --seed 3");
    assert_eq!(desk.narrows(&line), desk.narrows(&line));
}

#[test]
fn a_text_ends_where_the_model_says_so() {
    let (desk, model) = desk();
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        desk.write(&format!("own/{file}"), fs::read(Path::new(&model).join(file)).unwrap());
    }
    let line = "lm generate own --prompt river --tokens 12 --json";
    let written = desk.json(line)["tokens"].as_array().unwrap().clone();
    let prompt = written.len() - 12;
    let end = written[prompt + 3].as_u64().unwrap();
    let place = written[prompt..].iter().position(|token| *token == end).unwrap();
    for (given, ends) in [
        (serde_json::json!(end), true),
        (serde_json::json!([279, end]), true),
        (Value::Null, false),
    ] {
        let told = serde_json::json!({"eos_token_id": given});
        desk.write("own/generation_config.json", told.to_string());
        let expected = if ends { &written[..=prompt + place] } else { &written[..] };
        assert_eq!(desk.json(line)["tokens"].as_array().unwrap(), expected);
    }
}

#[test]
fn several_taps_come_from_one_pass_with_tokens_and_places() {
    let (desk, model) = desk();
    let one = format!("harvest {model} --text text.txt --context 24 --element f32 --tap");
    desk.narrows(&format!("{one} blocks.0.mlp_hidden --tap blocks.1.residual_post --out both -q"));
    desk.narrows(&format!("{one} blocks.1.residual_post --out alone -q"));
    let both = shards(&desk.path("both/blocks.1.residual_post"));
    assert_eq!(both, shards(&desk.path("alone")));
    let told = desk.json("shards info alone --json");
    assert_eq!(told["metadata"]["tap"], "blocks.1.residual_post");
    assert_eq!(told["columns"], serde_json::json!(["token_ids", "positions"]));
    // The token that begins a text has no row, unless it is asked for.
    desk.narrows(&format!("{one} blocks.1.residual_post --keep-begin --out kept -q"));
    let rows =
        |name: &str| desk.json(&format!("shards info {name} --json"))["rows"].as_u64().unwrap();
    assert_eq!(rows("kept") % 24, 0);
    assert!(rows("alone") < rows("kept") && rows("kept") < rows("alone") + 61);
    desk.narrows(&format!("{one} blocks.1.residual_post --rows 100 --out few -q"));
    assert_eq!(rows("few"), 100);
}

#[test]
fn a_harvest_that_was_killed_goes_on_to_the_same_bytes() {
    let (desk, model) = desk();
    desk.write("text.txt", sentences(2500));
    let line =
        format!("harvest {model} --text text.txt --context 24 --tap blocks.1.mlp_out -q --out");
    desk.narrows(&format!("{line} whole"));
    let mut child = desk.command(&format!("{line} killed")).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    child.kill().unwrap();
    child.wait().unwrap();
    if desk.path("killed/shards.json").exists() {
        eprintln!("it was faster than the kill");
    } else {
        desk.narrows(&format!("{line} killed --resume"));
    }
    assert_eq!(shards(&desk.path("whole")), shards(&desk.path("killed")));
}

/// Killed after the first of two stores was finished, it finishes the second and leaves the first alone.
#[test]
fn of_several_stores_those_that_are_finished_are_left() {
    let (desk, model) = desk();
    let line = format!(
        "harvest {model} --text text.txt --context 24 --tap blocks.0.mlp_out --tap blocks.1.mlp_out -q --out"
    );
    desk.narrows(&format!("{line} whole"));
    desk.narrows(&format!("{line} left"));
    let second = desk.path("left/blocks.1.mlp_out");
    let notes = fs::read(second.join("shards.json")).unwrap();
    // As it lies there while the last shard is being written: none is whole, and the notes say so.
    let mut unfinished: Value = serde_json::from_slice(&notes).unwrap();
    (unfinished["rows"], unfinished["shards"]) = (0.into(), Value::Array(Vec::new()));
    fs::write(second.join("unfinished.json"), unfinished.to_string()).unwrap();
    fs::remove_file(second.join("shards.json")).unwrap();
    // And the first just after it was finished.
    fs::write(desk.path("left/blocks.0.mlp_out/unfinished.json"), "{}").unwrap();
    let other = failed(&desk, &format!("{line} left --resume --lowercase"));
    assert!(other.contains("go on with a harvest"), "{other}");
    desk.narrows(&format!("{line} left --resume"));
    for tap in ["blocks.0.mlp_out", "blocks.1.mlp_out"] {
        let of = |name: &str| shards(&desk.path(&format!("{name}/{tap}")));
        assert_eq!(of("whole"), of("left"));
        assert!(!desk.path(&format!("left/{tap}/unfinished.json")).exists());
    }
    desk.narrows(&format!("{line} left --resume"));
}

/// Training while the model reads is training on the store that it would have written.
#[test]
fn rows_that_are_computed_teach_what_a_store_teaches() {
    let (desk, model) = desk();
    let of = format!("{model} --text text.txt --context 24 --tap blocks.0.residual_post");
    desk.narrows(&format!("harvest {of} --element f32 --out store -q"));
    let fit = "fit --model dictionary --set dictionary.latents=64 --set dictionary.k=4 -q \
               --set train.batch_size=100 --set train.rows=3000 --set train.log_every=1000";
    let mut command = desk.command(fit);
    command.args([
        "--set",
        "train.shuffle={ blocks = { rows = 2048 } }",
        "--data",
        "store",
        "--out",
        "a",
    ]);
    assert!(command.status().unwrap().success());
    let live = format!("{fit} --lm {of} --out b");
    let bytes = desk.bytes(&live, "b/weights.safetensors", 1);
    assert_eq!(bytes, fs::read(desk.path("a/weights.safetensors")).unwrap());
    assert_eq!(bytes, desk.bytes(&live, "b/weights.safetensors", 3));
    let config: Value =
        serde_json::from_slice(&fs::read(desk.path("b/config.json")).unwrap()).unwrap();
    assert_eq!(config["data"]["lm"]["tap"], "blocks.0.residual_post");
}

/// The run says how its text was read, or the store that its rows came from.
#[test]
fn text_in_other_letters_than_a_dictionary_learned_from_is_told() {
    let (desk, model) = desk();
    let of =
        format!("{model} --text text.txt --context 24 --lowercase --tap blocks.0.residual_post");
    desk.narrows(&format!("harvest {of} --element f32 --out store -q"));
    let fit = "fit --model dictionary --set dictionary.latents=64 --set dictionary.k=4 -q \
               --set train.batch_size=100 --set train.rows=1000";
    desk.narrows(&format!("{fit} --lm {of} --out live"));
    desk.narrows(&format!("{fit} --data store --out stored"));
    for run in ["live", "stored"] {
        let line = format!("lexical {run} --lm {model} --text text.txt --context 24");
        let said = |line: &str| {
            let output = desk.command(line).output().unwrap();
            assert!(output.status.success());
            String::from_utf8(output.stderr).unwrap()
        };
        let told = said(&line);
        assert!(told.contains("at blocks.0.residual_post, which"), "{told}");
        assert!(told.contains("give --lowercase for the same"), "{told}");
        assert!(!said(&format!("{line} --lowercase")).contains("give --lowercase"), "{run}");
    }
}

#[test]
fn features_are_steered_and_traced() {
    let (desk, model) = desk();
    for block in [0, 1] {
        desk.narrows(&format!(
            "fit --model dictionary --lm {model} --text text.txt --context 24 --tap blocks.{block}.residual_post \
             --set dictionary.latents=64 --set dictionary.k=6 --set train.batch_size=64 --set train.rows=6000 \
             --set train.learning_rate=3e-3 --out d{block} -q"
        ));
    }
    let steer = format!("steer d0 --lm {model} --prompt river --json");
    assert!(failed(&desk, &steer).contains("a feature to change"));
    let beyond = failed(&desk, &format!("{steer} --feature 3=add:4 --positions 50..60"));
    assert!(beyond.contains("rows up to 60"), "{beyond}");
    assert_eq!(desk.json(&format!("{steer} --feature 3=add:0"))["kl"], 0.0);
    let output =
        desk.command(&format!("{steer} --feature 3=add:0").replace(" --json", "")).output();
    let told = String::from_utf8(output.unwrap().stderr).unwrap();
    assert!(told.contains("note: nothing changes"), "{told}");
    let moved = desk.json(&format!("{steer} --feature 3=add:4"));
    assert!(moved["kl"].as_f64().unwrap() > 0.0);
    assert!(failed(&desk, &format!("{steer} --feature 64=ablate")).contains("a feature below 64"));
    // Some feature is active somewhere.
    let tree = |feature: usize| {
        let line = format!(
            "tree --lm {model} --text text.txt --context 24 --feature {feature} --json \
             --at blocks.1.residual_post=d1 --at blocks.0.residual_post=d0"
        );
        desk.command(&line).output().unwrap()
    };
    let found = (0..64).map(tree).find(|output| output.status.success()).unwrap();
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    assert!(!found["causes"].as_array().unwrap().is_empty(), "{found:#}");
    assert_eq!(found["causes"][0]["tap"], "blocks.0.residual_post");
}

#[test]
fn mistakes_are_told() {
    let (desk, model) = desk();
    let of = format!("{model} --text text.txt --context 24");
    for (line, told) in [
        (
            "harvest nowhere --text text.txt --tap embedding --out o".to_owned(),
            "which is no folder",
        ),
        (
            format!("harvest {of} --tap blocks.1.residual_pst --out o"),
            "did you mean 'blocks.1.residual_post'?",
        ),
        (format!("harvest {of} --tap blocks.1.residual_mid --out o"), "read the same rows"),
        (format!("harvest {of} --tap blocks.7.mlp_out --out o"), "blocks.0 to blocks.1"),
        (format!("harvest {model} --text text.txt --context 4000 --tap embedding --out o"), "1 to"),
        (
            format!("lm loss {model} --text text.txt --context 1"),
            "expected windows of at least 2 tokens",
        ),
        (format!("lm loss {model} --text latin.txt"), "not UTF-8 text: line 1, byte 4"),
        (format!("lm loss {model} --text a.jsonl"), "it has no 'text' (there are: body)"),
        (format!("lm loss {model} --text none.txt"), "check the path"),
        ("lm info lacking".to_owned(), "there is no tensor 'embed_out.weight'"),
        ("lm info strange".to_owned(), "a model_type among gpt_neox, gpt2, llama, mistral, qwen2"),
        ("lm info larger".to_owned(), "but the model only 280 tokens"),
        (format!("fit --lm {of} --tap embedding --out o"), "add --model dictionary"),
        (format!("harvest {of} --tap embedding --out taken"), "holds something else"),
        (format!("harvest {model} --text latin.txt --tap embedding --out o"), "not UTF-8 text"),
        (
            format!(
                "harvest {model} --text latin.txt --tap embedding --tap blocks.0.mlp_out --out o"
            ),
            "not UTF-8 text",
        ),
    ] {
        desk.write("latin.txt", b"caf\xe9\n");
        desk.write("a.jsonl", "{\"body\": \"x\"}\n");
        desk.write("taken/mine.txt", "mine");
        for name in ["lacking", "strange", "larger"] {
            for file in ["config.json", "tokenizer.json"] {
                desk.write(
                    &format!("{name}/{file}"),
                    fs::read(Path::new(&model).join(file)).unwrap(),
                );
            }
        }
        let weights = fs::read(Path::new(&model).join("model.safetensors")).unwrap();
        desk.write("larger/model.safetensors", &weights);
        let tokens = fs::read_to_string(Path::new(&model).join("tokenizer.json")).unwrap();
        desk.write(
            "larger/tokenizer.json",
            tokens.replacen("\"!\":1,", "\"!\":900,", 1).replacen("\"!\": 1,", "\"!\": 900,", 1),
        );
        let config = fs::read_to_string(Path::new(&model).join("config.json")).unwrap();
        desk.write("strange/config.json", config.replace("gpt_neox", "gpt_nox"));
        // The name of one tensor, changed within the header.
        let at = weights.windows(16).position(|part| part == b"embed_out.weight").unwrap();
        let mut lacking = weights.clone();
        lacking[at..at + 16].copy_from_slice(b"embed_oot.weight");
        desk.write("lacking/model.safetensors", lacking);
        let said = failed(&desk, &line);
        assert!(said.contains(told), "{line}: {said}");
        assert!(!desk.path("o").exists(), "{line}");
    }
}

#[test]
fn a_study_of_a_random_model_tells_what_it_cannot() {
    let (desk, model) = desk();
    desk.write("text.txt", sentences(300));
    let line = format!("study {model} --text text.txt --quick --context 24 --out s --json -q");
    let mut command = desk.command(&line);
    command.args(["--set", "sweep=\"alpha=0.05,0.2; width=1x,2x\"", "--set", "study.passes=1"]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["layers"].as_array().unwrap().len(), 2);
    for layer in told["layers"].as_array().unwrap() {
        // Of relu two weights by two widths, of batch top k, which reads no weight, two widths.
        assert_eq!(layer["tried"].as_array().unwrap().len(), 6);
        assert!(layer["splice"].as_array().unwrap().len() > 5);
    }
    let page = fs::read_to_string(desk.path("s/report.html")).unwrap();
    assert!(
        page.contains("What agrees") && page.contains("narrows study") && !page.contains("http")
    );
    assert!(!desk.path("s.rows").exists());
    // What is left of it is a dictionary that other commands take.
    desk.narrows(&format!(
        "harvest {model} --text text.txt --context 24 --tap blocks.0.residual_post --element f32 --out rows -q"
    ));
    let scores = desk.json("evaluate s/dictionaries/blocks.0.residual_post --data rows --json -q");
    assert_eq!(scores["input_dim"], 32);
    let fvu = scores["fraction_variance_unexplained"].as_f64().unwrap();
    assert!(fvu > 0.0 && fvu < 1.0, "{scores:#}");
}

fn real(name: &str) -> Option<String> {
    let found = std::env::var_os("NARROWS_DATA").map(|data| Path::new(&data).join(name));
    let found = found.filter(|path| path.exists());
    if found.is_none() {
        eprintln!("SKIPPED: NARROWS_DATA names no folder with {name}");
    }
    found.map(|path| path.display().to_string())
}

#[test]
fn pronouns_are_patched_in_a_trained_model() {
    let (Some(model), Some(text)) = (real("lm-tiny"), real("lm-tiny/valid.txt")) else { return };
    let desk = Desk::new();
    desk.narrows(&format!(
        "fit --model dictionary --lm {model} --text {text} --tap blocks.1.residual_post --set dictionary.latents=512 \
         --set dictionary.k=24 --set train.learning_rate=1e-3 --set train.rows=60000 --set train.batch_size=1024 \
         --out d -q"
    ));
    let told = desk.json(&format!(
        "patch d --lm {model} --tap blocks.1.residual_post --text {text} --count 12 --method effect --out p --json -q"
    ));
    let curves = told["curves"].as_array().unwrap();
    assert_eq!(curves.len(), 3);
    for curve in curves {
        let points = curve["points"].as_array().unwrap();
        let kl = |point: &Value| point["kl"].as_f64().unwrap();
        let (first, last) = (&points[0], &points[points.len() - 1]);
        assert_eq!((&first["features"], &first["edit"]), (&Value::from(0), &Value::from(0.0)));
        assert!(kl(last) < 0.5 * kl(first), "{}: {} {}", curve["basis"], kl(first), kl(last));
        // All principal components put in all that differs.
        if curve["basis"] == "PCA, all" {
            assert!(kl(last) < 1e-6, "{}", kl(last));
        }
    }
    assert!(fs::read_to_string(desk.path("p/report.html")).unwrap().contains("Features and KL"));
}
