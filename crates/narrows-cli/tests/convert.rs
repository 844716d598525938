//! Dictionaries of other libraries come in, are used, and go out.

#![allow(clippy::unwrap_used)]

mod harness;

use std::path::{Path, PathBuf};

use harness::{Desk, npy, rows};
use narrows::compute::Matrix;
use narrows::model::Autoencoder;
use narrows::store::exchange;

fn foreign(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../narrows/tests/golden/dictionaries").join(name)
}

/// 20 rows of 8 columns.
fn some_rows() -> Vec<f64> {
    (0..160).map(|i| f64::from((i * 37) % 23) / 8.0 - 1.0).collect()
}

#[test]
fn a_foreign_dictionary_becomes_a_run_that_every_command_takes() {
    let desk = Desk::new();
    desk.write("rows.npy", npy(20, 8, &some_rows()));
    let x = some_rows().iter().map(|&v| v as f32).collect();
    let x = Matrix::from_rows(20, 8, x).unwrap();
    for name in ["dictionary_learning_BatchTopKSAE", "openai_topk/autoencoder.pt", "sparsify_sae"] {
        let source = foreign(name);
        let told = desk.json(&format!("convert {} run --to narrows --json", source.display()));
        assert_eq!(told["latent_dim"], 24);
        assert_eq!(told["agreement"]["largest_code_difference"], 0.0);
        let (dictionary, _) = exchange::open(&source).unwrap();
        desk.narrows("encode run --data rows.npy --out codes.npy");
        let codes = dictionary.encode(&x).unwrap();
        let wide = |m: &Matrix| m.as_slice().iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
        assert_eq!(rows(desk.path("codes.npy")).as_slice().unwrap(), wide(&codes));
        desk.narrows("reconstruct run --data rows.npy --out rebuilt.npy");
        let rebuilt = dictionary.reconstruct(&x).unwrap();
        assert_eq!(rows(desk.path("rebuilt.npy")).as_slice().unwrap(), wide(&rebuilt));
        let scores = desk.json("evaluate run --data rows.npy --json");
        let squares: f64 =
            wide(&rebuilt).iter().zip(some_rows()).map(|(y, x)| (y - x).powi(2)).sum();
        let found = scores["squared_error_per_row"].as_f64().unwrap();
        assert!((found - squares / 20.0).abs() < 1e-6 * found, "{found}");
        if name != "openai_topk/autoencoder.pt" {
            desk.narrows("decode run --codes codes.npy --out decoded.npy");
            assert_eq!(rows(desk.path("decoded.npy")), rows(desk.path("rebuilt.npy")));
        }
    }
}

#[test]
fn a_dictionary_goes_out_and_replaces_its_like_only() {
    let desk = Desk::new();
    let source = foreign("dictionary_learning_AutoEncoderTopK");
    for _ in 0..2 {
        desk.narrows(&format!("convert {} release --to saelens", source.display()));
    }
    desk.narrows(&format!("convert {} release --to sparsify", source.display()));
    desk.narrows("convert release again --to saelens");
    let ends = [source, desk.path("again")].map(|path| exchange::open(&path).unwrap());
    assert_eq!(ends[0].0, ends[1].0);
    desk.write("thesis/text.tex", "years");
    let output = desk.command("convert again thesis --to saelens").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(desk.path("thesis/text.tex").exists());
}

#[test]
fn what_the_target_cannot_express_is_refused_and_leaves_nothing() {
    let desk = Desk::new();
    let source = foreign("gemma_scope");
    let line = format!("convert {} out --to sparsify", source.display());
    let output = desk.command(&line).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("for sparsify") && message.contains("'jumprelu'"), "{message}");
    assert!(desk.everything().is_empty());
}

#[test]
fn findings_are_told_to_people_and_programs() {
    let desk = Desk::new();
    let line = format!("convert {} --check", foreign("gemma_scope").display());
    let shown = desk.narrows(&line);
    assert!(shown.starts_with("Gemma Scope, jumprelu: 8 → 24 latents → 8 columns"), "{shown}");
    assert!(shown.contains("unfolded_decoder_norms") && shown.contains("what to do:"), "{shown}");
    let told = desk.json(&format!("{line} --json"));
    assert_eq!(told["findings"][0]["check"], "unfolded_decoder_norms");
}

/// What comes out of a transcoder is what `evaluate` compares with its target.
#[test]
fn rows_go_through_a_transcoder() {
    let desk = Desk::new();
    let [data, target] = [12, 7].map(|dim| format!("demo:toy?features=20&dim={dim}&rows=500"));
    for (skip, decodes) in [("false", true), ("true", false)] {
        desk.narrows(&format!(
            "fit -q --model dictionary --data {data} --target {target} --set dictionary.latents=24 \
             --set dictionary.k=3 --set dictionary.skip={skip} --set train.batch_size=64 --out run"
        ));
        desk.narrows(&format!("reconstruct run --data {data} --out out.npy"));
        let squares = (rows(desk.path("out.npy")) - rows(&target)).mapv(|x| x * x).sum();
        let scores = desk.json(&format!("evaluate run --data {data} --target {target} --json -q"));
        let found = scores["squared_error_per_row"].as_f64().unwrap();
        assert!((found - squares / 500.0).abs() < 1e-6 * found, "{found}");
        desk.narrows(&format!("encode run --data {data} --out codes.npy"));
        let line = "decode run --codes codes.npy --out decoded.npy";
        if decodes {
            desk.narrows(line);
            assert_eq!(rows(desk.path("decoded.npy")), rows(desk.path("out.npy")));
        } else {
            let message = refused(&desk, line);
            assert!(message.contains("use `reconstruct` on the rows"), "{message}");
        }
    }
}

/// What is said of a command that ends with a mistake and writes nothing.
fn refused(desk: &Desk, line: &str) -> String {
    let before = desk.everything();
    let output = desk.command(line).output().unwrap();
    let message = desk.without_path(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{line}: {message}");
    assert_eq!(desk.everything(), before, "{line}");
    message
}

#[test]
fn mistakes_name_the_way_on_and_touch_nothing() {
    let desk = Desk::new();
    let fit = "fit -q --model dictionary --data demo:toy?rows=200&dim=8 --set dictionary.k=2 \
               --set dictionary.latents=16 --set train.batch_size=64";
    desk.narrows(&format!("{fit} --out trained"));
    desk.narrows(&format!("{fit} --sweep k=1,2 --out sweep"));
    let source = foreign("sparsify_sae");
    let source = source.display();
    desk.narrows(&format!("convert {source} converted --to narrows"));
    desk.narrows(&format!("convert {source} converted --to narrows"));
    let release = foreign("dictionary_learning_AutoEncoder");
    desk.narrows(&format!("convert {} release --to saelens", release.display()));
    let weights = desk.path("release/sae_weights.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    let last = bytes.len() - 4;
    bytes[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&weights, bytes).unwrap();
    desk.write("rows.npy", npy(20, 8, &some_rows()));
    let cases = [
        (
            format!("convert {source} trained --to narrows"),
            "'trained', a run that was trained there",
        ),
        (format!("convert {source} sweep --to narrows"), "'sweep', a run that was trained there"),
        ("convert sweep x --to narrows".to_owned(), "give one of those in sweep/dictionaries"),
        ("convert trained converted --to saelens".to_owned(), "give another folder to write"),
        ("convert release x --to narrows".to_owned(), "a source in which 1 of 24 numbers of"),
        ("convert trained x".to_owned(), "--to <saelens|sparsify|narrows>"),
        (
            "encode release --data rows.npy --out codes.npy".to_owned(),
            "`narrows convert release RUN --to narrows`",
        ),
    ];
    for (line, told) in cases {
        let message = refused(&desk, &line);
        assert!(message.contains(told), "{line}: {message}");
    }
}
