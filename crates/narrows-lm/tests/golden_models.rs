//! Forward passes beside Hugging Face transformers (`golden/make_models.py`): every tap, the logits and the tokens
//! that follow, of small models of every family.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use narrows::compute::Matrix;
use narrows::data::tensors::Tensors;
use narrows_lm::model::{NoHook, Pass, Sampling, losses};
use narrows_lm::text::{Corpus, TextOptions, Windows};
use narrows_lm::{Hook, LanguageModel, Result, Tap};

/// What f32 sums in another order may differ by, of the root mean square of an array.
const TOLERANCE: f64 = 5e-5;

/// Keeps the rows at every tap.
struct Keep(Vec<(Tap, Matrix)>);

impl Hook for Keep {
    fn wants(&self, _: Tap) -> bool {
        true
    }
    fn at(&mut self, tap: Tap, rows: &mut Matrix) -> Result<()> {
        self.0.push((tap, rows.clone()));
        Ok(())
    }
}

fn folders() -> Vec<PathBuf> {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/models");
    let mut all: Vec<PathBuf> =
        std::fs::read_dir(models).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

/// The largest difference, of the root mean square.
fn apart(ours: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(ours.len(), expected.len());
    let square: f64 = expected.iter().map(|x| f64::from(*x).powi(2)).sum();
    let worst = ours.iter().zip(expected).map(|(a, b)| f64::from((a - b).abs()));
    worst.fold(0.0, f64::max) / (square / expected.len() as f64).sqrt()
}

fn logits(model: &LanguageModel, rows: &Matrix) -> Matrix {
    let (mut normed, mut logits) = (Matrix::default(), Matrix::default());
    model.last_norm(rows, &mut normed);
    model.logits(&normed, &mut logits);
    logits
}

#[test]
fn every_tap_and_the_logits_are_those_of_transformers() {
    let folders = folders();
    assert_eq!(folders.len(), 11);
    for folder in folders {
        let model = LanguageModel::open(&folder).unwrap();
        let mut golden = Tensors::of_safetensors(&folder.join("golden.safetensors")).unwrap();
        let mut integers = |name: &str| -> Vec<u32> {
            golden.values(name).unwrap().iter().map(|&token| token as u32).collect()
        };
        let (tokens, greedy) = (integers("tokens"), integers("greedy"));
        let (mut pass, mut keep) = (Pass::default(), Keep(Vec::new()));
        model.run(&Windows::new(tokens.clone(), 24), &mut pass, &mut keep).unwrap();
        assert_eq!(keep.0.len(), Tap::all(&model.architecture).len(), "{}", model.name);
        for (tap, rows) in &keep.0 {
            let name = match tap.to_string() {
                first if first == "blocks.0.residual_pre" => "embedding".to_owned(),
                name if name.ends_with("residual_pre") => {
                    format!("blocks.{}.residual_post", tap.block - 1)
                }
                name => name,
            };
            // Read anew: what is before a block was after the one before it.
            let mut golden = Tensors::of_safetensors(&folder.join("golden.safetensors")).unwrap();
            let error = apart(rows.as_slice(), &golden.values(&name).unwrap());
            assert!(error < TOLERANCE, "{} at {name}: {error:.1e}", model.name);
        }
        let error = apart(logits(&model, &pass.rows).as_slice(), &golden.values("logits").unwrap());
        assert!(error < TOLERANCE, "{}: logits {error:.1e}", model.name);
        let sampling = Sampling { temperature: 0.0, seed: 0 };
        let written = model.generate(&tokens[..6], 12, sampling, &mut NoHook, |_| true).unwrap();
        assert_eq!(written[6..], greedy[..], "{}", model.name);
        let sampling = Sampling { temperature: -1.0, ..sampling };
        let error = model.generate(&tokens[..6], 12, sampling, &mut NoHook, |_| true).unwrap_err();
        assert!(error.to_string().contains("a temperature of 0 or more but got -1"), "{error}");
    }
}

/// A model of the golden ones whose configuration was changed.
fn changed(name: &str, change: impl Fn(&mut serde_json::Value)) -> LanguageModel {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/models").join(name);
    let to = tempfile::tempdir().unwrap();
    for file in ["model.safetensors", "tokenizer.json"] {
        std::fs::copy(from.join(file), to.path().join(file)).unwrap();
    }
    let mut table: serde_json::Value =
        serde_json::from_slice(&std::fs::read(from.join("config.json")).unwrap()).unwrap();
    change(&mut table);
    std::fs::write(to.path().join("config.json"), table.to_string()).unwrap();
    LanguageModel::open(to.path()).unwrap()
}

#[test]
fn the_share_that_turns_is_read_in_both_spellings() {
    let classic = changed("neox-sequential", |_| ());
    let new = changed("neox-sequential", |table| {
        let table = table.as_object_mut().unwrap();
        let (part, base) = (table.remove("rotary_pct"), table.remove("rotary_emb_base"));
        assert_eq!(part, Some(1.0.into()));
        let rope = serde_json::json!({"rope_type": "default", "rope_theta": base, "partial_rotary_factor": part});
        table.insert("rope_parameters".to_owned(), rope);
    });
    assert_eq!(new.architecture, classic.architecture);
}

#[test]
fn a_token_that_the_model_does_not_have_begins_no_text() {
    let begin = |tokens: [Option<u32>; 2]| {
        let model = changed("gpt2", |table| {
            table["bos_token_id"] = serde_json::json!(tokens[0]);
            table["eos_token_id"] = serde_json::json!(tokens[1]);
        });
        let text = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(text.path(), "the river runs ".repeat(20)).unwrap();
        let text = TextOptions::new(vec![text.path().to_owned()]);
        let windows = Corpus::open(&model, &text, 12, true).unwrap().collect().unwrap();
        losses(&model, &windows, &mut Pass::default(), &mut NoHook).unwrap();
        model.begin()
    };
    assert_eq!(begin([Some(50_256); 2]), None);
    assert_eq!(begin([Some(272), Some(3)]), Some(3));
    assert_eq!(begin([Some(5), Some(3)]), Some(5));
    assert_eq!(begin([None; 2]), None);
}

#[test]
fn a_model_may_turn_nothing_and_take_millions_of_positions() {
    let model = changed("neox-sequential", |table| {
        table["rotary_pct"] = serde_json::json!(0.0);
        table["max_position_embeddings"] = serde_json::json!(50_000_000);
    });
    let windows = Windows::new(vec![1, 2, 2, 3], 4);
    let found = losses(&model, &windows, &mut Pass::default(), &mut NoHook).unwrap();
    assert!(found.iter().all(|loss| loss.is_finite()));
    let long = changed("neox-sequential", |table| {
        table["max_position_embeddings"] = serde_json::json!(50_000_000);
    });
    let plain = changed("neox-sequential", |_| ());
    let losses = |model| losses(model, &windows, &mut Pass::default(), &mut NoHook).unwrap();
    assert_eq!(losses(&long), losses(&plain));
}

/// The folder of a model in NARROWS_DATA, or a word that it is not there.
fn real(name: &str) -> Option<PathBuf> {
    let found = std::env::var_os("NARROWS_DATA").map(|data| Path::new(&data).join(name));
    let found = found.filter(|folder| folder.is_dir());
    if found.is_none() {
        eprintln!("SKIPPED: NARROWS_DATA names no folder with {name}");
    }
    found
}

#[test]
fn a_trained_model_agrees_with_its_golden_values() {
    let Some(folder) = real("lm-tiny") else { return };
    let model = LanguageModel::open(&folder).unwrap();
    let mut golden = Tensors::of_npz(&folder.join("golden.npz")).unwrap();
    let tokens: Vec<u32> =
        golden.values("token_ids").unwrap().iter().map(|&token| token as u32).collect();
    let (mut pass, mut keep) = (Pass::default(), Keep(Vec::new()));
    model.run(&Windows::new(tokens, 64), &mut pass, &mut keep).unwrap();
    // Of the first two sequences: after the embedding and after each block.
    let expected = golden.values("resid").unwrap();
    let streams = keep.0.iter().filter(|(tap, _)| {
        tap.is_residual() && !(tap.block > 0 && tap.to_string().ends_with("pre"))
    });
    let part = 64 * 128;
    let mut seen = 0;
    for (place, (tap, rows)) in streams.enumerate() {
        for sequence in 0..2 {
            let ours = &rows.as_slice()[sequence * part..(sequence + 1) * part];
            let place = (sequence * 5 + place) * part;
            let error = apart(ours, &expected[place..place + part]);
            assert!(error < TOLERANCE, "{tap}: {error:.1e}");
            seen += 1;
        }
    }
    assert_eq!(seen, 10);
    let mut normed = Matrix::default();
    model.last_norm(&pass.rows, &mut normed);
    let error = apart(&normed.as_slice()[..2 * part], &golden.values("final_norm").unwrap());
    assert!(error < TOLERANCE, "final norm {error:.1e}");
    let all = logits(&model, &pass.rows);
    let last: Vec<f32> = (0..8).flat_map(|sequence| all.row(64 * sequence + 63)).copied().collect();
    let error = apart(&last, &golden.values("last_logits").unwrap());
    assert!(error < TOLERANCE, "logits {error:.1e}");
    let text = TextOptions::new(vec![folder.join("valid.txt")]);
    let windows = Corpus::open(&model, &text, 256, true).unwrap().collect().unwrap();
    assert_eq!(windows.sequences(), 255);
    let found = losses(&model, &windows.part(0..16), &mut pass, &mut NoHook).unwrap();
    assert_eq!(found.len(), 16 * 255);
    let greedy: Vec<u32> =
        golden.values("greedy_ids").unwrap().iter().map(|&token| token as u32).collect();
    let sampling = Sampling { temperature: 0.0, seed: 0 };
    let written = model.generate(&greedy[..5], 60, sampling, &mut NoHook, |_| true).unwrap();
    assert_eq!(written[..], greedy[..65]);
}

#[test]
fn stories260k_begins_as_it_is_documented() {
    let Some(folder) = real("lm-stories260k") else { return };
    let model = LanguageModel::open(&folder).unwrap();
    let sampling = Sampling { temperature: 0.0, seed: 0 };
    let begin = model.begin().unwrap();
    let written = model.generate(&[begin], 50, sampling, &mut NoHook, |_| true).unwrap();
    let text = model.tokenizer.decode(&written[1..]);
    let expected = "Once upon a time, there was a little girl named Lily. She loved to play outside in the park";
    assert!(text.starts_with(expected), "{text}");
    // What is decoded comes back.
    assert_eq!(
        model.tokenizer.encode(expected).unwrap(),
        written[1..].to_vec()[..model.tokenizer.encode(expected).unwrap().len()]
    );
}
