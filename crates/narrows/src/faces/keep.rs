//! A face space as files of a run folder.
//!
//! ```text
//! config.json           how it was trained: options, size of the pictures, why so many eigenfaces
//! gallery.json          persons, faces, thresholds
//! weights.safetensors   f64: those of PCA, gallery.weights (n, k),
//!                       gallery.from_face_space (n), gallery.as_stranger (n, 3),
//!                       thresholds (3, 2), face_threshold ()
//! ```
//!
//! Thresholds stand in both: in JSON to be read, with their last bit among the weights.

use std::path::Path;

use ndarray::{Array2, arr0};
use serde::{Deserialize, Serialize};

use super::distance::Distance;
use super::space::{Face, FaceOptions, FaceSpace, Gallery};
use super::threshold::{FaceThreshold, Thresholds};
use crate::data::ImageShape;
use crate::error::{Error, Result};
use crate::model::pca::Algorithm;
use crate::store::pca::Told;
use crate::store::{Weights, read_json, write_json};

const CONFIG: &str = "config.json";
const GALLERY: &str = "gallery.json";
const WEIGHTS: &str = "weights.safetensors";
const REMEDY: &str = "train again, or restore the folder";
/// What a run folder of faces calls itself.
const KIND: &str = "faces";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    kind: String,
    version: String,
    image: ImageShape,
    options: FaceOptions,
    /// Pictures that the eigenfaces were learned from.
    rows: usize,
    solver: Algorithm,
    /// Why there are as many eigenfaces as there are.
    components: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    persons: Vec<String>,
    faces: Vec<Face>,
    thresholds: Vec<Thresholds>,
    face_threshold: FaceThreshold,
}

impl FaceSpace {
    /// Writes the files into a folder that exists.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write_into(&self, folder: &Path) -> Result<()> {
        let Self { pca, gallery, .. } = self;
        let config = Config {
            kind: KIND.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            image: self.image,
            options: self.options.clone(),
            rows: pca.rows,
            solver: pca.solver,
            components: pca.selection.reason.clone(),
        };
        let known = Known {
            persons: gallery.persons.clone(),
            faces: gallery.faces.clone(),
            thresholds: self.thresholds.clone(),
            face_threshold: self.face_threshold,
        };
        write_json(&folder.join(CONFIG), &config)?;
        write_json(&folder.join(GALLERY), &known)?;
        let mut weights = Weights::default();
        weights.insert_pca("", pca);
        weights.insert("gallery.weights", gallery.weights.view());
        weights.insert("gallery.from_face_space", gallery.from_face_space.view());
        weights.insert("gallery.as_stranger", gallery.as_stranger.view());
        weights.insert("thresholds", self.limits().view());
        weights.insert("face_threshold", arr0(self.face_threshold.accept_up_to).view());
        weights.write(&folder.join(WEIGHTS))
    }

    /// Reads a run folder that [`FaceSpace::write_into`] filled.
    ///
    /// # Errors
    /// If a file is missing, damaged, or of another kind of run.
    pub fn open(folder: &Path) -> Result<Self> {
        let config: Config = read_config(folder)?;
        let known: Known = read_json(&folder.join(GALLERY))?;
        let weights = Weights::read(&folder.join(WEIGHTS))?;
        let ImageShape { height, width, channels } = config.image;
        let (d, n) = (height * width * channels, known.faces.len());
        let told = Told {
            rows: config.rows,
            whiten: false,
            solver: config.solver,
            reason: config.components.clone(),
        };
        let pca = weights.pca("", told)?;
        let k = pca.components.nrows();
        if pca.mean.len() != d {
            let problem = format!("eigenfaces of {} numbers, not {d}", pca.mean.len());
            return Err(Error::bad_file(folder.join(WEIGHTS), problem, REMEDY));
        }
        check_gallery(&known, &config, k)
            .map_err(|problem| Error::bad_file(folder.join(GALLERY), problem, REMEDY))?;
        let mut space = Self {
            pca,
            image: config.image,
            options: config.options,
            gallery: Gallery {
                persons: known.persons,
                faces: known.faces,
                weights: weights.matrix("gallery.weights", (n, k))?,
                from_face_space: weights.vector("gallery.from_face_space", Some(n))?,
                as_stranger: weights.matrix("gallery.as_stranger", (n, Distance::ALL.len()))?,
            },
            thresholds: known.thresholds,
            face_threshold: known.face_threshold,
        };
        space.face_threshold.accept_up_to = weights.number("face_threshold")?;
        let limits = weights.matrix("thresholds", (Distance::ALL.len(), 2))?;
        for (thresholds, limits) in space.thresholds.iter_mut().zip(limits.rows()) {
            thresholds.identify.accept_below = limits[0];
            thresholds.verify.accept_below = limits[1];
        }
        Ok(space)
    }

    /// For each distance, where identifying and verifying stop accepting, `(3, 2)`.
    fn limits(&self) -> Array2<f64> {
        let of = |t: &Thresholds| [t.identify.accept_below, t.verify.accept_below];
        let limits: Vec<[f64; 2]> = self.thresholds.iter().map(of).collect();
        Array2::from(limits)
    }
}

/// What would otherwise be found out by a panic later.
fn check_gallery(
    known: &Known,
    config: &Config,
    components: usize,
) -> std::result::Result<(), String> {
    let persons = known.persons.len();
    let stranger = known.faces.iter().find(|face| face.person >= persons);
    if let Some(face) = stranger {
        return Err(format!("'{}' is of person {} of {persons}", face.file, face.person));
    }
    let first = known.faces.first().map(|face| face.person);
    if known.faces.iter().all(|face| Some(face.person) == first) {
        return Err("it holds the faces of fewer than two persons".to_owned());
    }
    if !known.thresholds.iter().map(|thresholds| thresholds.distance).eq(Distance::ALL) {
        return Err("it does not hold the thresholds of every distance".to_owned());
    }
    if config.options.drop_leading >= components {
        return Err(format!("{components} eigenfaces do not go with its configuration"));
    }
    Ok(())
}

fn read_config(folder: &Path) -> Result<Config> {
    let other = |what: &str| {
        Error::mistake(
            "open known faces",
            "a run folder written by `narrows faces train`",
            format!("'{}', {what}", folder.display()),
            "train one, or give its folder",
        )
    };
    let path = folder.join(CONFIG);
    if !path.exists() {
        let what =
            if folder.exists() { "which holds no config.json" } else { "which does not exist" };
        return Err(other(what));
    }
    let value: serde_json::Value = read_json(&path)?;
    if value.get("kind").and_then(|kind| kind.as_str()) != Some(KIND) {
        return Err(other("another kind of run"));
    }
    serde_json::from_value(value).map_err(|error| Error::bad_file(&path, error.to_string(), REMEDY))
}
