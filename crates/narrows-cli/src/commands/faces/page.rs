//! What is drawn and kept.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use narrows::data::{Dataset, ImageShape};
use narrows::faces::{Distance, Evaluation, FaceSpace, Faces, Matcher, Pictures};
use narrows::report::picture::{Tone, png};
use narrows::report::{
    Codes, Curve, FacesReport, Mistake, Rate, Rebuilt, Score, Spectrum, faces_page,
};
use narrows::{Error, store};
use serde_json::json;

/// Mistakes that are drawn.
const MOST_MISTAKES: usize = 24;

/// The name of a distance in a sentence.
pub(super) fn label(distance: Distance) -> &'static str {
    match distance {
        Distance::L2 => "L2",
        Distance::Cosine => "cosine",
        Distance::Mahalanobis => "Mahalanobis",
    }
}

pub(super) fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

/// Writes a trained face space with pictures of its mean face and eigenfaces.
pub(super) fn write_space(space: &FaceSpace, run: &Path) -> Result<()> {
    store::write_folder(run, |folder| {
        space.write_into(folder)?;
        let album = Album::new(folder, space.image)?;
        album.faces(&space.mean_face(), &space.eigenfaces())
    })?;
    Ok(())
}

/// Writes the page, the scores and the pictures of an evaluation.
pub(super) fn write_evaluation(shown: &Shown<'_>, dataset: &Dataset, out: &Path) -> Result<()> {
    let report = shown.report(dataset);
    let scores = json!({
        "data": dataset.name,
        "content_hash": dataset.content_hash,
        "version": env!("CARGO_PKG_VERSION"),
        "evaluation": shown.found,
    });
    store::write_folder(out, |folder| {
        write(&folder.join("scores.json"), format!("{scores:#}\n").as_bytes())?;
        write(&folder.join("report.html"), faces_page(&report).as_bytes())?;
        let album = Album::new(folder, report.image)?;
        album.faces(&report.mean_face, &report.eigenfaces)?;
        album.rebuilt(report.rebuilt.as_ref())?;
        album.mistakes(&report.mistakes)
    })?;
    Ok(())
}

/// An evaluation and what there is to see of the faces.
pub(super) struct Shown<'a> {
    pub(super) faces: &'a Faces,
    pub(super) found: &'a Evaluation,
    pub(super) pictures: &'a Pictures,
}

impl Shown<'_> {
    fn report(&self, dataset: &Dataset) -> FacesReport {
        let found = self.found;
        let arguments: Vec<String> = std::env::args().skip(1).map(quoted).collect();
        FacesReport {
            title: "Recognising faces".to_owned(),
            data: dataset.name.clone(),
            command: format!("narrows {}", arguments.join(" ")),
            people: found.persons,
            images: found.faces,
            image: self.faces.image,
            splits: found.options.splits,
            train_per_person: found.options.train_per_person,
            seed: found.options.seed,
            rates: self.rates(),
            roc: Some(self.curves()),
            mean_face: self.pictures.mean_face.clone(),
            eigenfaces: self.pictures.eigenfaces.clone(),
            spectrum: Some(self.spectrum()),
            rebuilt: Some(self.rebuilt()),
            gallery: self.gallery(),
            mistakes: found.mistakes.iter().map(|m| self.mistake(m)).collect(),
            scores: self.scores(),
            configuration: json!({
                "data": dataset.name,
                "content_hash": dataset.content_hash,
                "evaluate": found.options,
            }),
        }
    }

    fn rates(&self) -> Vec<Rate> {
        let rate = |distance: &str, components, rate: narrows::faces::Rate| Rate {
            distance: distance.to_owned(),
            components,
            mean: rate.mean,
            standard_deviation: rate.sd,
        };
        let mut rates = vec![rate(label(Distance::L2), None, self.found.pixels)];
        for at in &self.found.rates {
            let components = Some(at.components);
            rates.push(rate(label(Distance::L2), components, at.l2));
            rates.push(rate(label(Distance::Cosine), components, at.cosine));
            rates.push(rate(label(Distance::Mahalanobis), components, at.mahalanobis));
        }
        rates
    }

    fn curves(&self) -> Vec<Curve> {
        let curve = |open: &narrows::faces::OpenSet| Curve {
            name: match open.matcher {
                Matcher::Pixels => "raw pixels".to_owned(),
                Matcher::Weights(distance) => label(distance).to_owned(),
            },
            points: open
                .curve
                .iter()
                .map(|point| [point.false_accept_rate, point.correct_accept_rate])
                .collect(),
            equal_error_rate: open.equal_error_rate.mean,
        };
        self.found.open_set.iter().map(curve).collect()
    }

    fn scores(&self) -> Vec<Score> {
        let strangers = "false accepts = 1 − correct accepts, by nearest known face";
        let meaning = "Half of the persons are strangers to gallery and eigenfaces. So often is one \
                       of them let in, and so often a known person not recognised as who they are.";
        let of = |open: &narrows::faces::OpenSet| Score {
            name: format!("equal_error_rate_{}", open.matcher),
            value: 100.0 * open.equal_error_rate.mean,
            unit: "%".to_owned(),
            formula: strangers.to_owned(),
            meaning: meaning.to_owned(),
        };
        self.found.open_set.iter().map(of).collect()
    }

    fn spectrum(&self) -> Spectrum {
        let (pca, chosen) = (&self.pictures.pca, self.found.open_set_components);
        Spectrum {
            explained_variance: pca.explained_variance.to_vec(),
            ratio: pca.explained_variance_ratio.to_vec(),
            total_variance: pca.total_variance,
            chosen,
            reason: format!("Strangers and mistakes are looked at with {chosen} eigenfaces."),
            null_threshold: None,
        }
    }

    fn rebuilt(&self) -> Rebuilt {
        let steps = self.pictures.rebuilt.iter();
        Rebuilt {
            original: self.faces.pixels.row(0).to_vec(),
            steps: steps.map(|s| (s.components, s.pixels.clone(), s.squared_error)).collect(),
        }
    }

    fn gallery(&self) -> Option<Codes> {
        let people = self.faces.people.as_ref()?;
        Some(Codes {
            rows: self.pictures.plane.len(),
            points: self.pictures.plane.clone(),
            classes: people.classes.clone(),
            class_names: people.names.clone(),
            axis_names: ["eigenface 1", "eigenface 2"].map(String::from),
        })
    }

    fn mistake(&self, mistake: &narrows::faces::Mistake) -> Mistake {
        let picture = |face: usize| self.faces.pixels.row(face).to_vec();
        let name = |face: usize| {
            self.faces.people.as_ref().map_or(String::new(), |p| p.names[p.classes[face]].clone())
        };
        Mistake {
            probe: picture(mistake.probe),
            found: picture(mistake.taken_for),
            true_name: name(mistake.probe),
            found_name: name(mistake.taken_for),
            distance: mistake.distance,
            margin: mistake.margin(),
            nearest_true: picture(mistake.own),
            nearest_true_distance: mistake.own_distance,
        }
    }
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

    fn rebuilt(&self, rebuilt: Option<&Rebuilt>) -> narrows::Result<()> {
        let Some(rebuilt) = rebuilt else { return Ok(()) };
        let tone = Tone::of([&rebuilt.original]);
        self.write("rebuilt-original", &rebuilt.original, tone)?;
        for (k, face, _) in &rebuilt.steps {
            self.write(&format!("rebuilt-{k:03}"), face, tone)?;
        }
        Ok(())
    }

    fn mistakes(&self, mistakes: &[Mistake]) -> narrows::Result<()> {
        for (place, mistake) in mistakes.iter().take(MOST_MISTAKES).enumerate() {
            let tone = Tone::of([&mistake.probe]);
            let place = place + 1;
            self.write(&format!("mistake-{place:02}-probe"), &mistake.probe, tone)?;
            self.write(&format!("mistake-{place:02}-taken-for"), &mistake.found, tone)?;
            self.write(&format!("mistake-{place:02}-own"), &mistake.nearest_true, tone)?;
        }
        Ok(())
    }
}

fn write(path: &Path, bytes: &[u8]) -> narrows::Result<()> {
    fs::write(path, bytes).map_err(|error| Error::write(path, error))
}

fn quoted(argument: String) -> String {
    if argument.contains(char::is_whitespace) { format!("'{argument}'") } else { argument }
}
