//! A face space as files of a run folder.
//!
//! ```text
//! config.json           how it was trained: options, size of the pictures, why so many eigenfaces
//! gallery.json          persons, faces, thresholds
//! weights.safetensors   f64: mean (d), components (k, d), explained_variance (k), spectrum (n),
//!                       total_variance (), noise_variance (), gallery.weights (n, k),
//!                       gallery.from_face_space (n), gallery.as_stranger (n, 3),
//!                       thresholds (3, 2), face_threshold ()
//! ```
//!
//! Thresholds stand in both: in JSON to be read, with their last bit among the weights.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ndarray::{Array1, Array2, ArrayD, ArrayView, ArrayView1, Dimension, IxDyn, arr0};
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::distance::Distance;
use super::space::{Face, FaceOptions, FaceSpace, Gallery};
use super::threshold::{FaceThreshold, Thresholds};
use crate::data::ImageShape;
use crate::error::{Error, Result};
use crate::model::pca::{Pca, Selection, Solver};

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
    solver: Solver,
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
        weights.insert("mean", pca.mean.view());
        weights.insert("components", pca.components.view());
        weights.insert("explained_variance", pca.explained_variance.view());
        weights.insert("spectrum", ArrayView1::from(&pca.selection.spectrum));
        weights.insert("total_variance", arr0(pca.total_variance).view());
        weights.insert("noise_variance", arr0(pca.noise_variance).view());
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
        let explained_variance = weights.vector("explained_variance", None)?;
        let k = explained_variance.len();
        let total_variance = weights.number("total_variance")?;
        let scale = config.rows as f64 - 1.0;
        check_gallery(&known, &config, k)
            .map_err(|problem| Error::bad_file(folder.join(GALLERY), problem, REMEDY))?;
        let mut space = Self {
            pca: Pca {
                mean: weights.vector("mean", Some(d))?,
                components: weights.matrix("components", (k, d))?,
                explained_variance_ratio: &explained_variance / total_variance,
                singular_values: explained_variance.mapv(|v| (v * scale).sqrt()),
                explained_variance,
                noise_variance: weights.number("noise_variance")?,
                total_variance,
                rows: config.rows,
                whiten: false,
                solver: config.solver,
                selection: Selection {
                    components: k,
                    reason: config.components,
                    spectrum: weights.vector("spectrum", None)?.to_vec(),
                    threshold: None,
                },
            },
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
        return Err(other("which holds no config.json"));
    }
    let value: serde_json::Value = read_json(&path)?;
    if value.get("kind").and_then(|kind| kind.as_str()) != Some(KIND) {
        return Err(other("another kind of run"));
    }
    serde_json::from_value(value).map_err(|error| Error::bad_file(&path, error.to_string(), REMEDY))
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read(path).map_err(|error| Error::read(path, error))?;
    serde_json::from_slice(&text).map_err(|error| Error::bad_file(path, error.to_string(), REMEDY))
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_string_pretty(value)
        .map_err(|error| Error::failure("write JSON", error.to_string(), "report it"))?;
    text.push('\n');
    fs::write(path, text).map_err(|error| Error::write(path, error))
}

/// Arrays of f64 with names.
#[derive(Default)]
struct Weights {
    path: PathBuf,
    arrays: BTreeMap<String, ArrayD<f64>>,
}

impl Weights {
    fn insert<D: Dimension>(&mut self, name: &str, array: ArrayView<'_, f64, D>) {
        self.arrays.insert(name.to_owned(), array.into_dyn().as_standard_layout().into_owned());
    }

    fn write(&self, path: &Path) -> Result<()> {
        let failed = |error: safetensors::SafeTensorError| {
            Error::failure("write weights", error.to_string(), "report it")
        };
        let mut views = Vec::with_capacity(self.arrays.len());
        for (name, array) in &self.arrays {
            let bytes = bytemuck::cast_slice(array.as_slice().expect("row-major"));
            let view = TensorView::new(Dtype::F64, array.shape().to_vec(), bytes);
            views.push((name, view.map_err(failed)?));
        }
        let bytes = serialize(views, None).map_err(failed)?;
        fs::write(path, bytes).map_err(|error| Error::write(path, error))
    }

    fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).map_err(|error| Error::read(path, error))?;
        let bad = |problem: String| Error::bad_file(path, problem, REMEDY);
        let tensors = SafeTensors::deserialize(&bytes).map_err(|error| bad(error.to_string()))?;
        let mut arrays = BTreeMap::new();
        for (name, view) in tensors.iter() {
            if view.dtype() != Dtype::F64 {
                return Err(bad(format!("'{name}' is {}, not f64", view.dtype())));
            }
            let values: Vec<f64> = bytemuck::pod_collect_to_vec(view.data());
            let array = ArrayD::from_shape_vec(IxDyn(view.shape()), values)
                .map_err(|error| bad(format!("'{name}': {error}")))?;
            if array.iter().any(|value| !value.is_finite()) {
                return Err(bad(format!("'{name}' holds a number that is not finite")));
            }
            arrays.insert(name.to_owned(), array);
        }
        Ok(Self { path: path.to_owned(), arrays })
    }

    fn array(&self, name: &str) -> Result<ArrayView<'_, f64, IxDyn>> {
        let array =
            self.arrays.get(name).ok_or_else(|| self.bad(format!("'{name}' is missing")))?;
        Ok(array.view())
    }

    fn number(&self, name: &str) -> Result<f64> {
        let array = self.array(name)?;
        array.first().copied().ok_or_else(|| self.bad(format!("'{name}' is empty")))
    }

    /// A vector, of the given length if there is one.
    fn vector(&self, name: &str, length: Option<usize>) -> Result<Array1<f64>> {
        let array = self.array(name)?;
        match (array.shape(), length) {
            ([found], wanted) if wanted.is_none_or(|wanted| wanted == *found) => {
                Ok(array.iter().copied().collect())
            }
            (found, wanted) => Err(self.bad(format!("'{name}' is {found:?}, not {wanted:?}"))),
        }
    }

    fn matrix(&self, name: &str, shape: (usize, usize)) -> Result<Array2<f64>> {
        let array = self.array(name)?;
        let found = array.shape().to_vec();
        array
            .into_shape_with_order(shape)
            .ok()
            .filter(|_| found == [shape.0, shape.1])
            .map(|array| array.to_owned())
            .ok_or_else(|| self.bad(format!("'{name}' is {found:?}, not {shape:?}")))
    }

    fn bad(&self, problem: String) -> Error {
        Error::bad_file(&self.path, problem, REMEDY)
    }
}
