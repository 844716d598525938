//! `narrows compress` and `decompress`, as they are typed.

#![allow(clippy::unwrap_used)]

mod harness;

use std::f64::consts::TAU;
use std::fs;
use std::path::Path;

use harness::{Desk, npy, refused, rows};
use narrows::codec::{Codec, CompressedFile};
use narrows::data::{OpenOptions, open};
use narrows::store::Run;
use ndarray::Array2;

const TRAIN: &str = "demo:digits?levels=256&part=train";
const TEST: &str = "demo:digits?levels=256&part=test";

/// PCA of digits, and the test digits compressed with it.
fn compressed(options: &str) -> (Desk, serde_json::Value) {
    let desk = Desk::new();
    desk.narrows(&format!("fit -q --data {TRAIN} --set model.components=16 --out run"));
    let line = format!("compress run --data {TEST} --out x.nrw --json -q {options}");
    let told = desk.json(&line);
    (desk, told)
}

/// The rows of a compressed file by a path of its own: each index times its step, through the model of
/// the run by itself, and back to bytes.
fn slowly(run: &Path, file: &Path) -> Array2<f64> {
    let run = Run::open(run).unwrap();
    let mut file = CompressedFile::open(file).unwrap();
    let head = file.head().clone();
    let codec = Codec::new(&run.model, &run.preparation, head.about.values).unwrap();
    let mut rebuilt = Vec::new();
    file.indices(&codec, |_, indices| {
        let latents = run.model.latent_dim();
        let value = |(place, &index): (usize, &i32)| {
            let dim = place % latents;
            let (offset, step) = (head.quantiser.offsets[dim], head.quantiser.steps[dim]);
            f64::from(offset) + f64::from(step) * f64::from(index)
        };
        let codes: Vec<f64> = indices.iter().enumerate().map(value).collect();
        let codes = Array2::from_shape_vec((indices.len() / latents, latents), codes).unwrap();
        let rows = run.model.decode(codes.view()).unwrap();
        rebuilt.extend(rows.iter().map(|x| (x * 255.0).round().clamp(0.0, 255.0)));
        Ok(())
    })
    .unwrap();
    Array2::from_shape_vec((head.about.rows, head.about.dim), rebuilt).unwrap()
}

#[test]
fn rows_come_back_as_they_were_told_and_as_the_slow_path_has_them() {
    let (desk, told) = compressed("--bits-per-row 60");
    let bytes = fs::metadata(desk.path("x.nrw")).unwrap().len();
    assert_eq!(told["bytes"], bytes);
    let back = desk.json("decompress x.nrw --run run --out y.npy --json -q");
    assert_eq!(back["reconstruction"], told["reconstruction"]);
    let (rebuilt, truth) = (rows(desk.path("y.npy")), rows(TEST));
    assert_eq!(rebuilt, slowly(&desk.path("run"), &desk.path("x.nrw")));
    let error: f64 = (&truth - &rebuilt).iter().map(|x| x * x).sum();
    let psnr = 10.0 * (255_f64.powi(2) * truth.len() as f64 / error).log10();
    assert!((psnr - told["fidelity"]["psnr"].as_f64().unwrap()).abs() < 1e-9);
    // The bits that were asked for, and the head; JPEG needs more for a worse picture.
    let codes = 8.0 * (bytes - told["overhead"].as_u64().unwrap()) as f64 / 500.0;
    assert!((54.0..63.0).contains(&codes), "{codes} bits per row");
    assert!((told["bits_per_row_of_codes"].as_f64().unwrap() - codes).abs() < 1e-9, "{told}");
    let screen =
        desk.narrows(&format!("compress run --data {TEST} --out x.nrw --bits-per-row 60 -q"));
    assert!(
        screen.contains(&format!("the codes are {codes:.1} bits per row; the head")),
        "{screen}"
    );
    let jpeg = &told["jpeg"];
    assert!(jpeg["fidelity"]["psnr"].as_f64().unwrap() < psnr, "{told}");
    // Pictures stay pictures.
    let set = open(desk.path("y.npy").to_str().unwrap(), &OpenOptions::default()).unwrap();
    assert_eq!(set.image.map(|image| (image.height, image.width)), Some((8, 8)));
}

#[test]
fn the_file_is_the_entropy_of_its_indices_within_two_percent() {
    let (desk, told) = compressed("--psnr 18 --alone");
    let run = Run::open(&desk.path("run")).unwrap();
    let mut file = CompressedFile::open(&desk.path("x.nrw")).unwrap();
    let values = file.head().about.values;
    let codec = Codec::new(&run.model, &run.preparation, values).unwrap();
    let mut indices = Vec::new();
    file.indices(&codec, |_, block| {
        indices.extend(block);
        Ok(())
    })
    .unwrap();
    let (latents, n) = (run.model.latent_dim(), 500.0);
    let mut bound = 0.0;
    let mut learned = 0.0;
    for dim in 0..latents {
        let mut counts = std::collections::BTreeMap::new();
        let column = indices.iter().skip(dim).step_by(latents);
        column.for_each(|index: &i32| *counts.entry(*index).or_insert(0.0) += 1.0);
        bound += counts.values().map(|c: &f64| -c * (c / n).log2()).sum::<f64>();
        learned += (counts.len() - 1) as f64 / 2.0 * n.log2();
    }
    let codes = 8.0 * (told["bytes"].as_f64().unwrap() - told["overhead"].as_f64().unwrap());
    // Of so few rows, what has to be learned of the distributions counts: the bound of Rissanen.
    assert!(
        codes > 0.98 * bound && codes < 1.02 * (bound + learned),
        "{codes}, {bound} + {learned}"
    );
    assert!(told["fidelity"]["psnr"].as_f64().unwrap() > 17.5, "{told}");
}

#[test]
fn a_network_and_sound_go_there_and_back_on_any_number_of_threads() {
    let desk = Desk::new();
    let mut sound =
        b"RIFF\x00\x00\x00\x00WAVEfmt \x10\0\0\0\x01\0\x02\0\x40\x1f\0\0\0\x7d\0\0\x04\0\x10\0data"
            .to_vec();
    let samples = 3000_u32;
    sound.extend((samples * 4).to_le_bytes());
    for place in 0..samples {
        let t = f64::from(place) / 8000.0;
        for pitch in [220.0, 331.0] {
            let value = 9000.0 * (TAU * pitch * t).sin() + 2000.0 * (TAU * 3.0 * pitch * t).sin();
            sound.extend((value as i16).to_le_bytes());
        }
    }
    let length = (sound.len() as u32 - 8).to_le_bytes();
    sound[4..8].copy_from_slice(&length);
    desk.write("x.wav", &sound);
    desk.narrows(
        "fit -q --data x.wav?frame=64 --model network --set model.layers=[32,8] --set train.epochs=40 \
         --out run",
    );
    let line = "compress run --data x.wav --out x.nrw --json -q";
    let told = desk.json(line);
    assert_eq!(told["rows"], 94, "47 frames of two channels");
    let [one, three] = [1, 3].map(|threads| desk.bytes(line, "x.nrw", threads));
    assert!(one == three, "another number of threads, other bytes");
    let line = "decompress x.nrw --run run --out y.wav -q";
    let [one, three] = [1, 3].map(|threads| desk.bytes(line, "y.wav", threads));
    assert!(one == three && one.len() == sound.len() && one[..44] == sound[..44]);
    let samples = |bytes: &[u8]| -> Vec<f64> {
        let pairs = bytes[44..].chunks_exact(2);
        pairs.map(|pair| f64::from(i16::from_le_bytes([pair[0], pair[1]]))).collect()
    };
    let (x, y) = (samples(&sound), samples(&one));
    let error: f64 = x.iter().zip(&y).map(|(x, y)| (x - y).powi(2)).sum();
    let snr = 10.0 * (x.iter().map(|x| x * x).sum::<f64>() / error).log10();
    // Silence behind the end of the last frame is counted there too.
    assert!((snr - told["fidelity"]["snr"].as_f64().unwrap()).abs() < 0.05, "{snr}, {told}");
    let components = told["pca"]["components"].as_u64().unwrap();
    assert!((8..=64).contains(&components), "a rival of more than the codes of the model: {told}");
}

#[test]
fn pca_beside_a_file_takes_a_hundredth_more_bytes_at_most() {
    let desk = Desk::new();
    desk.narrows(&format!(
        "fit -q --data {TRAIN} --model network --set model.layers=[8] --set train.epochs=3 --out run"
    ));
    for person in 0..12 {
        desk.write(&format!("few/{person}.pgm"), harness::pgm(8, 8, person + 1));
    }
    for (data, bits) in [(TEST, 4), (TEST, 8), (TEST, 40), ("few", 8), ("few", 16), ("few", 32)] {
        let told = desk.json(&format!(
            "compress run --data {data} --bits-per-row {bits} --out x.nrw --json -q"
        ));
        // Few pictures may be fewer bytes than PCA needs for its head alone.
        if let Some(bytes) = told["pca"]["bytes"].as_f64() {
            assert!(bytes <= 1.01 * told["bytes"].as_f64().unwrap(), "{data}, {bits}: {told}");
        }
        assert!(data == "few" || !told["pca"].is_null(), "{data}, {bits}: {told}");
    }
    // Where codes get no bits at all nothing is as small, which is no reason to fail.
    desk.narrows(&format!("compress run --data {TEST} --psnr 5 --out x.nrw -q"));
    desk.narrows(&format!("compress run --data {TEST} --fit few/1.pgm --out x.nrw -q"));
}

#[test]
fn every_kind_comes_back_as_its_kind() {
    let desk = Desk::new();
    for person in 0..3 {
        for picture in 0..4 {
            let bytes = harness::pgm(8, 6, 3 * person + picture + 1);
            desk.write(&format!("people/p{person}/{picture}.pgm"), bytes);
        }
    }
    desk.narrows("fit -q --data people --set model.components=5 --out run");
    desk.narrows("compress run --data people --out x.nrw -q");
    let message = refused(&desk, "decompress x.nrw --run run --out again.npy");
    assert!(message.contains("a folder for 12 pictures but got 'again.npy'"), "{message}");
    desk.narrows("decompress x.nrw --run run --out again -q");
    let (was, is) = (rows(desk.path("people")), rows(desk.path("again")));
    assert_eq!(was.dim(), is.dim());
    assert!(desk.path("again/p2/3.png").is_file());

    let mut idx = vec![0, 0, 8, 3, 0, 0, 0, 40, 0, 0, 0, 2, 0, 0, 0, 3];
    idx.extend((0..240_usize).map(|place| (place * 31 % 97 + place / 40) as u8));
    desk.write("x.idx", &idx);
    desk.narrows("fit -q --data x.idx --set model.components=4 --out run2");
    desk.narrows("compress run2 --data x.idx --out x.nrw -q");
    desk.narrows("decompress x.nrw --run run2 --out y.idx -q");
    let again = fs::read(desk.path("y.idx")).unwrap();
    assert_eq!((again.len(), &again[..16]), (idx.len(), &idx[..16]));

    let lines = (0..60).map(|i| format!("{},{},{}\n", i, i * i % 37, ["red", "blue"][i % 2]));
    desk.write(
        "x.csv",
        ["size,weight,colour\n".to_owned()].into_iter().chain(lines).collect::<String>(),
    );
    desk.narrows("fit -q --data x.csv --set model.components=all --out run3");
    desk.narrows("compress run3 --data x.csv --out x.nrw -q --snr 40");
    desk.narrows("decompress x.nrw --run run3 --out y.csv -q");
    let text = fs::read_to_string(desk.path("y.csv")).unwrap();
    assert!(text.starts_with("size,weight,colour\n"), "{text}");
    assert!(text.lines().nth(1).unwrap().ends_with(",red"), "{text}");
    assert_eq!(text.lines().count(), 61);
}

#[test]
fn another_model_is_refused() {
    let (desk, _) = compressed("--alone");
    desk.narrows(&format!("fit -q --data {TEST} --set model.components=16 --out other"));
    let message = refused(&desk, "decompress x.nrw --run other --out y.npy");
    assert!(message.contains("decodes with another model"), "{message}");
    assert!(!desk.path("y.npy").exists());
    // Elsewhere and with other scores it is the same.
    fs::rename(desk.path("run"), desk.path("moved")).unwrap();
    desk.narrows(&format!("evaluate moved --data {TEST}"));
    desk.narrows("decompress x.nrw --run moved --out y.npy -q");
}

#[test]
fn damage_is_told_wherever_it_is() {
    let (desk, _) = compressed("--alone --bits-per-row 20");
    let whole = fs::read(desk.path("x.nrw")).unwrap();
    let last = whole.len() - 1;
    let places = (0..48).chain((48..last).step_by(97)).chain(last - 9..=last);
    for place in places {
        let mut bytes = whole.clone();
        bytes[place] ^= 0x10;
        desk.write("bad.nrw", bytes);
        let told = CompressedFile::open(&desk.path("bad.nrw")).err();
        let told = told.unwrap_or_else(|| panic!("byte {place} may be anything")).to_string();
        let known = ["damaged", "cut off", "which is none", "of version"];
        assert!(known.iter().any(|known| told.contains(known)), "{told}");
    }
    for length in (0..64).chain((64..last).step_by(131)).chain([last]) {
        desk.write("bad.nrw", &whole[..length]);
        assert!(CompressedFile::open(&desk.path("bad.nrw")).is_err(), "cut at {length}");
    }
    desk.write("bad.nrw", &whole[..last]);
    let message = refused(&desk, "decompress bad.nrw --run run --out y.npy");
    assert!(message.contains("it is cut off: it should have"), "{message}");
    desk.write("bad.nrw", b"something else that is no such file at all, and longer than a head");
    let message = refused(&desk, "decompress bad.nrw --run run --out y.npy");
    assert!(message.contains("a file written by `narrows compress`"), "{message}");
    assert!(!desk.path("y.npy").exists());
}

#[test]
fn mistakes_are_told_and_nothing_is_touched() {
    let (desk, _) = compressed("--alone");
    desk.write("empty.npy", npy(0, 64, &[]));
    desk.write("text.txt", "keep me");
    let told = |line: &str, words: &str| {
        let message = refused(&desk, line);
        assert!(message.contains(words), "{line}: {message}");
    };
    let compress = |rest: &str| format!("compress run --data {TEST} --out z.nrw {rest}");
    told("compress run --data empty.npy --out z.nrw", "at least one row");
    told(&compress("--psnr 90"), "at most");
    told(&compress("--bits-per-row 0"), "above 0");
    told(&compress("--fit nowhere.npy"), "nowhere.npy");
    told(&format!("compress run --data {TEST} --out text.txt"), "something else");
    let line = format!("compress run --data {TEST} --out run");
    told(&line, "a file name such as rows.nrw but got 'run', which is a folder");
    told("decompress x.nrw --run run --out run", "'run', which is a folder; give --out a name");
    told("decompress x.nrw --run run --out y.csv", "a name that ends in .npy");
    told("decompress x.nrw --run run --out text.txt", "a name that ends in .npy");
    assert_eq!(fs::read(desk.path("text.txt")).unwrap(), b"keep me");
    assert!(!desk.path("z.nrw").exists());
}
