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

/// Where the files of `golden/dictionaries.py` lie.
fn made() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/dictionaries");
    folders(&folder)
}

/// OpenAI keeps everything in one file, which has to be named.
fn named(folder: &Path) -> PathBuf {
    let file = folder.join("autoencoder.pt");
    if file.is_file() { file } else { folder.to_owned() }
}

#[test]
fn other_libraries_make_the_same_codes() {
    let folders = made();
    assert_eq!(folders.len(), 20);
    for folder in folders {
        assert_golden(&named(&folder), &folder.join("golden.safetensors"));
    }
}

#[test]
fn the_library_and_its_kind_are_told() {
    let libraries: Vec<String> = made()
        .iter()
        .map(|folder| {
            let (_, about) = exchange::open(&named(folder)).unwrap();
            format!(
                "{}: {} {}",
                folder.file_name().unwrap().display(),
                about.library,
                about.architecture
            )
        })
        .collect();
    for expected in [
        "dictionary_learning_BatchTopKSAE: dictionary_learning BatchTopKSAE",
        "dictionary_learning_backup: dictionary_learning BatchTopKSAE",
        "gemma_scope: Gemma Scope jumprelu",
        "llamascopium_old: Llamascopium jumprelu",
        "openai_topk: OpenAI TopK",
        "sparsify_transcoder: sparsify topk",
    ] {
        assert!(libraries.iter().any(|told| told == expected), "{libraries:#?}");
    }
    let backup = made().into_iter().find(|folder| folder.ends_with("dictionary_learning_backup"));
    let (_, about) = exchange::open(&backup.unwrap()).unwrap();
    assert!(about.notes[0].contains("backup") && about.notes[1].contains("1.7"), "{about:?}");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy(&path, &target),
            false => assert!(fs::copy(&path, target).is_ok()),
        }
    }
}

/// The threshold of a checkpoint begins at 0, which is no threshold that was learned.
#[test]
fn a_threshold_that_was_not_learned_is_said_to_be_unset() {
    let home = tempfile::tempdir().unwrap();
    let name = "tests/golden/dictionaries/saelens_batchtopk_scaled";
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join(name), home.path());
    let told = || {
        let (dictionary, about) = exchange::open(home.path()).unwrap();
        let findings = exchange::check(&dictionary, &about);
        let unset = findings.iter().find(|finding| finding.check == "unset_threshold");
        (about.notes[0].clone(), unset.map(|finding| finding.found.clone()))
    };
    let (note, unset) = told();
    assert!(note.contains("learned threshold stands for the k") && unset.is_none(), "{note}");
    let file = home.path().join("sae_weights.safetensors");
    let mut bytes = fs::read(&file).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    // `topk_threshold`, a number of 8 bytes, is the first tensor.
    bytes[8 + header..16 + header].fill(0);
    fs::remove_file(&file).unwrap();
    fs::write(&file, &bytes).unwrap();
    let (note, unset) = told();
    assert!(note.contains("not learned yet") && !note.contains("stands for"), "{note}");
    assert_eq!(unset.unwrap(), "all 24 thresholds are 0");
}

/// Files of the library in a folder, below it too.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let each = entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] });
    each.filter(|path| !path.ends_with("golden.safetensors")).collect()
}

/// Every file cut at many places and with bytes changed: an error or a dictionary, never a panic.
#[test]
fn damaged_files_are_refused_or_read() {
    let home = tempfile::tempdir().unwrap();
    let mut random = narrows::random::Random::stream(0, "damage");
    let (mut refused, mut read) = (0, 0);
    for source in made() {
        let folder = home.path().join(source.file_name().unwrap());
        copy(&source, &folder);
        for file in files(&folder) {
            let whole = fs::read(&file).unwrap();
            for round in 0..60 {
                let mut bytes = whole.clone();
                if round < 12 {
                    bytes.truncate(random.below(whole.len()));
                } else {
                    for _ in 0..1 + round % 4 {
                        // Headers are where damage hurts most.
                        let reach = if round % 2 == 0 { whole.len().min(400) } else { whole.len() };
                        bytes[random.below(reach)] = random.below(256) as u8;
                    }
                }
                // Another file, so that a mapping of the one before is left alone.
                fs::remove_file(&file).unwrap();
                fs::write(&file, &bytes).unwrap();
                match exchange::open(&named(&folder)) {
                    Ok((dictionary, _)) => {
                        dictionary
                            .encode_sparse(&Matrix::zeros(2, dictionary.input_dim()))
                            .unwrap();
                        read += 1;
                    }
                    Err(error) => {
                        assert_eq!(error.exit_code(), 2, "{error}");
                        refused += 1;
                    }
                }
            }
            fs::write(&file, &whole).unwrap();
        }
    }
    assert!(refused > 500 && read > 100, "{refused} refused, {read} read");
}

fn safetensors(header: &str, data: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &vec![0; data]].concat()
}

#[test]
fn shapes_larger_than_the_file_are_refused() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("cfg.json"), r#"{"architecture": "standard", "dtype": "float32"}"#)
        .unwrap();
    for shape in ["[4611686018427387904,4]", "[18446744073709551615]", "[1000000,1000000]"] {
        let header =
            format!(r#"{{"W_dec":{{"dtype":"F32","shape":{shape},"data_offsets":[0,16]}}}}"#);
        fs::write(home.path().join("sae_weights.safetensors"), safetensors(&header, 16)).unwrap();
        let error = exchange::open(home.path()).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{error}");
    }
}

fn torch_file(path: &Path, pickle: &[u8]) {
    let mut archive = zip::ZipWriter::new(fs::File::create(path).unwrap());
    let stored =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in [("ae/data.pkl", pickle), ("ae/data/0", &[0; 16][..])] {
        archive.start_file(name, stored).unwrap();
        std::io::Write::write_all(&mut archive, bytes).unwrap();
    }
    archive.finish().unwrap();
}

#[test]
fn a_pickle_that_would_run_something_is_refused_by_name() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("ae.pt");
    torch_file(&path, b"\x80\x02}X\x01\x00\x00\x00acposix\nsystem\nX\x04\x00\x00\x00true\x85Rs.");
    let message = exchange::open(home.path()).unwrap_err().to_string();
    assert!(message.contains("'posix.system'") && message.contains("not run"), "{message}");
}

#[test]
fn tensors_that_reach_beyond_their_storage_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("ae.pt");
    // {"bias": a tensor of 4 numbers at 0, with the shape and stride given}
    for (shape, stride) in [(5, 1), (2, 9), (4, 2), (u32::MAX >> 1, 0)] {
        let mut pickle =
            b"\x80\x02}X\x04\x00\x00\x00biasctorch._utils\n_rebuild_tensor_v2\n((".to_vec();
        pickle.extend(b"X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQK\x00J");
        pickle.extend(u32::to_le_bytes(shape));
        pickle.extend(b"\x85J");
        pickle.extend(u32::to_le_bytes(stride));
        pickle.extend(b"\x85\x89}tRs.");
        torch_file(&path, &pickle);
        let message = exchange::open(home.path()).unwrap_err().to_string();
        assert!(message.contains("storage of 4 numbers"), "{message}");
    }
}
