//! A folder of its own for every test, the binary run in it, and files made by hand.

#![allow(clippy::unwrap_used, dead_code)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ndarray::Array2;
use serde_json::Value;

pub(crate) const NARROWS: &str = env!("CARGO_BIN_EXE_narrows");

/// An empty folder in which `narrows` is run; gone afterwards.
pub(crate) struct Desk(tempfile::TempDir);

impl Desk {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// The binary with the words of `line` as its arguments.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(NARROWS);
        command.args(line.split_whitespace()).current_dir(self.0.path());
        command
    }

    /// What a command that succeeds prints.
    pub(crate) fn narrows(&self, line: &str) -> String {
        succeeded(self.command(line).output().unwrap(), line)
    }

    pub(crate) fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.narrows(line)).unwrap()
    }

    /// The bytes that `narrows LINE` leaves in `file` when it may use so many threads.
    pub(crate) fn bytes(&self, line: &str, file: &str, threads: usize) -> Vec<u8> {
        let mut command = self.command(line);
        let output = command.env("RAYON_NUM_THREADS", threads.to_string()).output().unwrap();
        succeeded(output, line);
        fs::read(self.path(file)).unwrap()
    }

    /// Every file with its bytes and every folder.
    pub(crate) fn everything(&self) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.0.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let bytes = path.is_file().then(|| fs::read(&path).unwrap());
                if bytes.is_none() {
                    folders.push(path.clone());
                }
                found.insert(path, bytes);
            }
        }
        found
    }

    /// Text of the command in which the folder is called `DIR`.
    pub(crate) fn without_path(&self, text: &[u8]) -> String {
        String::from_utf8_lossy(text).replace(&*self.0.path().to_string_lossy(), "DIR")
    }
}

fn succeeded(output: Output, line: &str) -> String {
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "narrows {line}: {message}");
    String::from_utf8(output.stdout).unwrap()
}

/// A JSON file.
pub(crate) fn json(path: impl AsRef<Path>) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The rows of a data set or file, as the library reads them.
pub(crate) fn rows(spec: impl AsRef<Path>) -> Array2<f64> {
    let spec = spec.as_ref().to_str().unwrap();
    let dataset = narrows::data::open(spec, &Default::default()).unwrap();
    let mut rows = Array2::zeros((dataset.rows.rows(), dataset.rows.dim()));
    dataset.rows.read_f64(0, rows.as_slice_mut().unwrap()).unwrap();
    rows
}

/// A npy file of f64.
pub(crate) fn npy(rows: usize, columns: usize, values: &[f64]) -> Vec<u8> {
    let header =
        format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    let header = format!("{header:<117}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.bytes());
    values.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
    bytes
}

/// A zip archive of files that are not compressed.
pub(crate) fn zip(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in files {
        let size = (content.len() as u32).to_le_bytes();
        let mut entry = vec![20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0];
        entry.extend(crc32(content).to_le_bytes());
        entry.extend([size, size].concat());
        entry.extend((name.len() as u16).to_le_bytes());
        entry.extend([0, 0]);
        let offset = (bytes.len() as u32).to_le_bytes();
        directory.extend([&b"PK\x01\x02\x14\x00"[..], &entry, &[0; 10], &offset].concat());
        directory.extend(name.bytes());
        bytes.extend([b"PK\x03\x04", &*entry, name.as_bytes(), content].concat());
    }
    let count = (files.len() as u16).to_le_bytes();
    let (size, start) = (directory.len() as u32, bytes.len() as u32);
    bytes.extend(directory);
    bytes.extend([&b"PK\x05\x06\0\0\0\0"[..], &count, &count].concat());
    bytes.extend([size.to_le_bytes(), start.to_le_bytes()].concat());
    bytes.extend([0, 0]);
    bytes
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), step))
}

/// A grey picture in which every pixel differs from its neighbours.
pub(crate) fn pgm(width: usize, height: usize, seed: usize) -> Vec<u8> {
    let mut bytes = format!("P5\n{width} {height}\n255\n").into_bytes();
    bytes.extend((0..width * height).map(|place| (place * (37 + 6 * seed) + 11 * seed) as u8));
    bytes
}

/// The folder of a small random language model.
pub(crate) fn language_model(name: &str) -> String {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../narrows-lm/tests/golden/models");
    models.join(name).canonicalize().unwrap().display().to_string()
}

/// Some sentences, as documents.
pub(crate) fn sentences(documents: usize) -> String {
    let words = ["river", "sea", "valley", "narrows", "runs", "the", "a", "to", "where", "then"];
    let mut state = 7_u32;
    let mut all = String::new();
    for _ in 0..documents {
        for _ in 0..40 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            all += words[(state >> 16) as usize % words.len()];
            all += if state >> 28 == 0 { ". " } else { " " };
        }
        all += "<|endoftext|>";
    }
    all
}

/// What is said of a command that ends with a mistake, paths and all.
pub(crate) fn failed(desk: &Desk, line: &str) -> String {
    let output = desk.command(line).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{line}: {said}");
    said
}

/// What is said of a command that ends with a mistake, without the path of the desk.
pub(crate) fn refused(desk: &Desk, line: &str) -> String {
    let output = desk.command(line).output().unwrap();
    let message = desk.without_path(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{line}: {message}");
    assert!(message.contains("error: ") && !message.contains("panicked"), "{message}");
    message
}

/// The name under which a Chromium is called.
pub(crate) fn chromium() -> Option<String> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = names.into_iter().find(|name| {
        let version = Command::new(name).arg("--version").output();
        version.is_ok_and(|output| output.status.success())
    });
    if found.is_none() {
        eprintln!("SKIPPED: no Chromium is installed (looked for {})", names.join(", "));
    }
    found.map(str::to_owned)
}
