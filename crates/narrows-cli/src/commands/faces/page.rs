//! What is drawn and kept.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use narrows::data::{Dataset, ImageShape};
use narrows::faces::{Evaluation, FaceSpace, Faces, Pictures};
use narrows::report::picture::{Tone, png};
use narrows::report::{FacesReport, faces_page};
use narrows::store::{Folder, write_folder, write_json};
use narrows::{Error, faces};
use serde_json::json;

use crate::commands::quoted;

/// Mistakes that are drawn.
const MOST_MISTAKES: usize = 24;

pub(super) fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

/// Writes a trained face space with pictures of its mean face and eigenfaces.
pub(super) fn write_space(space: &FaceSpace, run: &Path) -> Result<()> {
    write_folder(run, Folder::Faces, |folder| {
        space.write_into(folder)?;
        let album = Album::new(folder, space.image)?;
        album.faces(&space.mean_face(), &space.eigenfaces())
    })?;
    Ok(())
}

/// Writes the page, the scores and the pictures of an evaluation.
pub(super) fn write_evaluation(
    dataset: &Dataset,
    faces: &Faces,
    found: &Evaluation,
    pictures: &Pictures,
    out: &Path,
) -> Result<()> {
    let (data, content_hash) = (&dataset.name, &dataset.content_hash);
    let configuration =
        json!({ "data": data, "content_hash": content_hash, "evaluate": found.options });
    let version = env!("CARGO_PKG_VERSION");
    let scores = json!({
        "data": data,
        "content_hash": content_hash,
        "version": version,
        "evaluation": found,
    });
    let report = FacesReport {
        data,
        command: &command(),
        configuration: &configuration,
        faces,
        found,
        pictures,
    };
    write_folder(out, Folder::FacesEvaluation, |folder| {
        write_json(&folder.join("scores.json"), &scores)?;
        write(&folder.join("report.html"), faces_page(&report).as_bytes())?;
        let album = Album::new(folder, faces.image)?;
        album.faces(&pictures.mean_face, &pictures.eigenfaces)?;
        album.rebuilt(&faces.pixels.row(0).to_vec(), &pictures.rebuilt)?;
        album.mistakes(faces, &found.mistakes)
    })?;
    Ok(())
}

/// The command that was given.
fn command() -> String {
    let arguments = std::env::args_os().skip(1);
    let words = arguments.map(|argument| quoted(&argument.to_string_lossy()));
    std::iter::once("narrows".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

/// A folder of PNG files.
struct Album {
    folder: PathBuf,
    image: ImageShape,
}

impl Album {
    fn new(run: &Path, image: ImageShape) -> narrows::Result<Self> {
        let folder = run.join("pictures");
        fs::create_dir(&folder).map_err(|error| Error::write(&folder, error))?;
        Ok(Self { folder, image })
    }

    fn write(&self, name: &str, pixels: &[f32], tone: Tone) -> narrows::Result<()> {
        write(&self.folder.join(format!("{name}.png")), &png(pixels, self.image, tone)?)
    }

    fn faces(&self, mean: &Vec<f32>, eigenfaces: &[Vec<f32>]) -> narrows::Result<()> {
        self.write("mean-face", mean, Tone::of([mean]))?;
        for (place, face) in eigenfaces.iter().enumerate() {
            self.write(&format!("eigenface-{:03}", place + 1), face, Tone::around_zero([face]))?;
        }
        Ok(())
    }

    fn rebuilt(&self, original: &Vec<f32>, steps: &[faces::Rebuilt]) -> narrows::Result<()> {
        let tone = Tone::of([original]);
        self.write("rebuilt-original", original, tone)?;
        for step in steps {
            self.write(&format!("rebuilt-{:03}", step.components), &step.pixels, tone)?;
        }
        Ok(())
    }

    fn mistakes(&self, faces: &Faces, mistakes: &[faces::Mistake]) -> narrows::Result<()> {
        let pixels = |face: usize| faces.pixels.row(face).to_vec();
        for (place, mistake) in mistakes.iter().take(MOST_MISTAKES).enumerate() {
            let name = |what: &str| format!("mistake-{:02}-{what}", place + 1);
            let probe = pixels(mistake.probe);
            let tone = Tone::of([&probe]);
            self.write(&name("probe"), &probe, tone)?;
            self.write(&name("taken-for"), &pixels(mistake.taken_for), tone)?;
            self.write(&name("own"), &pixels(mistake.own), tone)?;
        }
        Ok(())
    }
}

fn write(path: &Path, bytes: &[u8]) -> narrows::Result<()> {
    fs::write(path, bytes).map_err(|error| Error::write(path, error))
}
