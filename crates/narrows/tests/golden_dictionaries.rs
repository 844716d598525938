//! Dictionaries of other libraries, with the codes and rebuilt rows that those libraries make.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use narrows::compute::{Matrix, SparseRows};
use narrows::model::Autoencoder;
use narrows::store::exchange::{self, Target};
use safetensors::SafeTensors;

const TOLERANCE: f32 = 1e-5;

/// The data that are not kept with the code; `None`, said aloud, where there are none.
fn data(name: &str) -> Option<PathBuf> {
    let found = std::env::var_os("NARROWS_DATA").map(|data| Path::new(&data).join(name));
    let found = found.filter(|path| path.is_dir());
    if found.is_none() {
        eprintln!("skipped: NARROWS_DATA holds no {name}");
    }
    found
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

fn tensors(path: &Path) -> Vec<(String, Matrix)> {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let matrix = |(name, view): (&str, safetensors::tensor::TensorView<'_>)| {
        let values =
            view.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        (name.to_owned(), Matrix::from_rows(view.shape()[0], view.shape()[1], values).unwrap())
    };
    file.iter().map(matrix).collect()
}

fn of<'a>(golden: &'a [(String, Matrix)], name: &str) -> Option<&'a Matrix> {
    golden.iter().find(|(found, _)| found == name).map(|(_, matrix)| matrix)
}

fn assert_near(got: &Matrix, expected: &Matrix, what: &str) {
    assert_eq!((got.rows(), got.cols()), (expected.rows(), expected.cols()), "{what}");
    for (place, (got, expected)) in got.as_slice().iter().zip(expected.as_slice()).enumerate() {
        let near = (got - expected).abs() <= TOLERANCE * expected.abs().max(1.0);
        assert!(near, "{what}: {got} for {expected} at {place}");
    }
}

/// Codes `z`, rows `y` of those codes alone, and what the whole dictionary makes of the rows, `f`.
fn assert_golden(folder: &Path, golden: &Path) {
    let name = folder.display().to_string();
    let (dictionary, _) = exchange::open(folder).unwrap();
    let golden = tensors(golden);
    let x = of(&golden, "x").unwrap();
    let codes = dictionary.encode_sparse(x).unwrap();
    assert!(codes.entries() > 0, "{name}: no codes");
    assert_near(&codes.to_dense(), of(&golden, "z").unwrap(), &format!("{name}: z"));
    let rebuilt = dictionary.reconstruct(x).unwrap();
    assert_near(&rebuilt, of(&golden, "f").unwrap(), &format!("{name}: f"));
    if let Some(y) = of(&golden, "y") {
        // The library remembers the scale of the rows between its two halves, but adds no skip.
        let without = narrows::model::Dictionary { skip: None, ..dictionary };
        let got = without.rebuild(&SparseRows::from(&codes.to_dense()), x).unwrap();
        assert_near(&got, y, &format!("{name}: y"));
    }
}

#[test]
fn every_fixture_of_saelens_loads() {
    let Some(fixtures) = data("sae-fixtures") else { return };
    let mut seen = 0;
    for folder in folders(&fixtures) {
        let opened = exchange::open(&folder);
        if folder.ends_with("inf_temporal") {
            assert!(opened.unwrap_err().to_string().contains("temporal"));
            continue;
        }
        let (dictionary, about) = opened.unwrap();
        assert_eq!(
            (dictionary.input_dim(), dictionary.latent_dim()),
            (4, 8),
            "{}",
            folder.display()
        );
        assert_eq!(about.metadata["sae_lens_version"], "6.54.12");
        seen += 1;
    }
    assert_eq!(seen, 20);
}

/// A checkpoint of training is folded to what SAELens itself saves for inference.
#[test]
fn checkpoints_are_folded_as_saelens_folds_them() {
    let Some(fixtures) = data("sae-fixtures") else { return };
    for name in ["batchtopk", "matryoshka_batchtopk"] {
        let [training, inference] = ["train", "inf"]
            .map(|form| exchange::open(&fixtures.join(format!("{form}_{name}"))).unwrap().0);
        assert_near(&training.encoder, &inference.encoder, name);
        assert_near(&training.decoder, &inference.decoder, name);
        assert_eq!(training.gate, inference.gate);
    }
}

#[test]
fn saelens_makes_the_same_codes() {
    let Some(goldens) = data("sae-goldens") else { return };
    let folders = folders(&goldens);
    assert_eq!(folders.len(), 14);
    for folder in folders {
        assert_golden(&folder, &folder.join("golden.safetensors"));
    }
}

/// What is read is written again for every target that has the kind, and read back the same.
#[test]
fn every_golden_goes_out_and_comes_back() {
    let Some(goldens) = data("sae-goldens") else { return };
    let home = tempfile::tempdir().unwrap();
    for folder in folders(&goldens) {
        let (dictionary, about) = exchange::open(&folder).unwrap();
        let name = folder.file_name().unwrap().to_str().unwrap();
        for (target, suffix) in [(Target::SaeLens, "saelens"), (Target::Narrows, "run")] {
            let out = home.path().join(format!("{name}-{suffix}"));
            let agreement = exchange::write(&out, target, &dictionary, &about).unwrap();
            assert!(agreement.codes > 0 && agreement.largest_code_difference == 0.0, "{name}");
            assert_golden(&out, &folder.join("golden.safetensors"));
            assert_eq!(exchange::open(&out).unwrap().1.metadata["sae_lens_version"], "6.54.12");
        }
        let out = home.path().join(format!("{name}-sparsify"));
        let written = exchange::write(&out, Target::Sparsify, &dictionary, &about);
        match name {
            "topk" | "topk_rescaled" => {
                written.unwrap();
                let golden = tensors(&folder.join("golden.safetensors"));
                let (again, _) = exchange::open(&out).unwrap();
                let z = again.encode(of(&golden, "x").unwrap()).unwrap();
                assert_near(&z, of(&golden, "z").unwrap(), name);
            }
            _ => {
                let message = written.unwrap_err().to_string();
                assert!(message.contains("for sparsify"), "{message}");
                assert!(!out.exists());
            }
        }
    }
}
