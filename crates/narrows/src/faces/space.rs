//! A trained face space: whom it knows and how it recognises them.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, concatenate, s};
use serde::{Deserialize, Serialize};

use super::distance::{Distance, nearest_where, squared_lengths};
use super::input::Faces;
use super::strangers::Strangers;
use super::threshold::{FaceThreshold, Threshold, Thresholds};
use crate::compute::{centred, multiply};
use crate::data::{ImageShape, Labels};
use crate::error::{Error, Result};
use crate::model::pca::{Components, Pca, PcaOptions};

/// Pictures that are projected at a time.
const BLOCK: usize = 1024;

/// How to train.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaceOptions {
    /// How many eigenfaces to keep.
    pub components: Components,
    /// Leading eigenfaces that distances between faces leave out: the first few mostly hold the
    /// light. They still belong to face space.
    pub drop_leading: usize,
    /// The wanted chance that an unknown person is taken for a known one.
    pub false_accept_rate: f64,
    /// The wanted chance that a new face is taken for something else.
    pub face_reject_rate: f64,
}

impl Default for FaceOptions {
    fn default() -> Self {
        Self {
            components: Components::All,
            drop_leading: 0,
            false_accept_rate: 0.05,
            face_reject_rate: 0.01,
        }
    }
}

/// The faces that are known.
#[derive(Debug, Clone, PartialEq)]
pub struct Gallery {
    /// The persons, in the order in which they were added.
    pub persons: Vec<String>,
    /// The faces, in the same order as `weights`.
    pub faces: Vec<Face>,
    /// Weights of every face, `(n, k)`.
    pub weights: Array2<f64>,
    /// Distance of every face from face space, `(n,)`.
    pub from_face_space: Array1<f64>,
    /// Distance of every face to the nearest one of anybody else as it would be were its person not
    /// known, `(n, 3)`: a column for each of [`Distance::ALL`].
    pub as_stranger: Array2<f64>,
}

/// A known face.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Face {
    /// Whose it is: an index into the persons.
    pub person: usize,
    /// The picture it was read from.
    pub file: String,
}

/// Mean face, eigenfaces, known faces and thresholds.
#[derive(Debug, Clone, PartialEq)]
pub struct FaceSpace {
    /// Mean face and eigenfaces.
    pub pca: Pca,
    /// The size of every picture.
    pub image: ImageShape,
    /// How it was trained.
    pub options: FaceOptions,
    /// Whom it knows.
    pub gallery: Gallery,
    /// Where a person becomes unknown, for each distance in the order of [`Distance::ALL`].
    pub thresholds: Vec<Thresholds>,
    /// Where a picture is not a face.
    pub face_threshold: FaceThreshold,
}

/// Pictures as seen from face space.
#[derive(Debug, Clone, PartialEq)]
pub struct Projection {
    /// A weight for every eigenface, `(n, k)`.
    pub weights: Array2<f64>,
    /// Distance from face space, `(n,)`.
    pub from_face_space: Array1<f64>,
}

/// What a probe was found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// A person of the gallery.
    Known,
    /// A face, but nobody's that is known.
    Unknown,
    /// As near to a face of somebody else as to the nearest one: no name can be given.
    Ambiguous,
    /// Too far from face space.
    NotAFace,
}

/// The answer to "who is it?".
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Identification {
    /// Known, unknown, ambiguous or not a face.
    pub verdict: Verdict,
    /// The nearest person whatever the verdict: an index into the persons of the gallery.
    pub person: usize,
    /// The nearest face: an index into the faces of the gallery.
    pub face: usize,
    /// Its distance.
    pub distance: f64,
    /// How much farther the nearest face of another person is.
    pub margin: f64,
    /// Distance of the probe from face space.
    pub from_face_space: f64,
}

/// The answer to "are these two the same person?".
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Verification {
    /// Whether they are: both are faces and near enough.
    pub same: bool,
    /// The distance between them.
    pub distance: f64,
    /// The same person is taken to be anything below this.
    pub accept_below: f64,
    /// Distances of the two from face space.
    pub from_face_space: [f64; 2],
    /// Whether each of the two is a face at all.
    pub is_face: [bool; 2],
}

impl FaceSpace {
    /// Learns the eigenfaces, remembers every face and calibrates the thresholds.
    ///
    /// # Errors
    /// If the pictures have no names, there are fewer than two persons, the options ask for what
    /// cannot be had, or the faces are too few for the wanted false-accept rate.
    pub fn train(faces: &Faces, options: &FaceOptions) -> Result<Self> {
        let people = faces.known_people("train on faces")?;
        check_persons(people)?;
        let pca = fit(faces.pixels.view(), options.components)?;
        check_drop_leading(options.drop_leading, pca.components.nrows())?;
        let k = pca.components.nrows();
        let strangers = Strangers::measure(faces, people, k, options.drop_leading)?;
        let Projection { weights, from_face_space } = project(&pca, faces.pixels.view());
        let of_faces = people.classes.iter().enumerate();
        let gallery = Gallery {
            persons: people.names.clone(),
            faces: of_faces.map(|(i, &person)| Face { person, file: faces.name(i) }).collect(),
            weights,
            from_face_space,
            as_stranger: strangers.nearest,
        };
        let verify = strangers.pairs.map(|pairs| {
            Threshold::calibrate(pairs.impostor, &pairs.genuine, options.false_accept_rate)
        });
        let mut space = Self {
            pca,
            image: faces.image,
            options: options.clone(),
            gallery,
            thresholds: Vec::new(),
            face_threshold: FaceThreshold::calibrate(
                strangers.from_face_space,
                options.face_reject_rate,
            )?,
        };
        for (distance, verify) in Distance::ALL.into_iter().zip(verify) {
            let identify = space.identify_threshold(distance)?;
            space.thresholds.push(Thresholds { distance, identify, verify: verify? });
        }
        Ok(space)
    }

    /// Weights of pictures `(n, d)` and their distances from face space.
    ///
    /// # Errors
    /// If the pictures have another number of pixels than the known faces.
    pub fn project(&self, pixels: ArrayView2<'_, f32>) -> Result<Projection> {
        let d = self.pca.mean.len();
        if pixels.ncols() != d {
            let ImageShape { height, width, channels } = self.image;
            return Err(Error::mistake(
                "recognise a face",
                format!("pictures of {d} numbers ({width} × {height}, {channels} per pixel)"),
                pixels.ncols().to_string(),
                "cut and scale the picture as those it was trained on",
            ));
        }
        Ok(project(&self.pca, pixels))
    }

    /// The face `(d,)` that the first `weights.len()` eigenfaces make.
    ///
    /// # Panics
    /// If there are more weights than eigenfaces: the caller's mistake.
    pub fn rebuild(&self, weights: ArrayView1<'_, f64>) -> Array1<f64> {
        rebuild(&self.pca, weights)
    }

    /// Who is on each of the pictures `(n, d)`?
    ///
    /// # Errors
    /// As [`FaceSpace::project`].
    pub fn identify(
        &self,
        pixels: ArrayView2<'_, f32>,
        distance: Distance,
    ) -> Result<Vec<Identification>> {
        let Projection { weights, from_face_space } = self.project(pixels)?;
        let mut found = Vec::with_capacity(weights.nrows());
        let known = self.compared(&self.gallery.weights);
        distance.visit(self.compared(&weights), known, self.variances(), |row, distances| {
            found.push(self.judge(distance, distances, from_face_space[row]));
        });
        Ok(found)
    }

    /// Do two pictures `(d,)` show the same person? Neither needs to be known.
    ///
    /// # Errors
    /// As [`FaceSpace::project`].
    pub fn verify(
        &self,
        a: ArrayView1<'_, f32>,
        b: ArrayView1<'_, f32>,
        distance: Distance,
    ) -> Result<Verification> {
        let [a, b] = [self.project(a.insert_axis(Axis(0)))?, self.project(b.insert_axis(Axis(0)))?];
        let (of_a, of_b) = (self.compared(&a.weights), self.compared(&b.weights));
        let apart = distance.between(of_a, of_b, self.variances())[[0, 0]];
        let threshold = self.thresholds(distance).verify;
        let from_face_space = [a.from_face_space[0], b.from_face_space[0]];
        let is_face = from_face_space.map(|distance| self.face_threshold.accepts(distance));
        Ok(Verification {
            same: is_face == [true, true] && threshold.accepts(apart),
            distance: apart,
            accept_below: threshold.accept_below,
            from_face_space,
            is_face,
        })
    }

    /// Remembers pictures `(n, d)` of `name`, who may be known already, and calibrates again where
    /// somebody is unknown. The eigenfaces stay as they are, and so do the thresholds of
    /// [`FaceSpace::verify`] and of what is not a face: to calibrate those, eigenfaces have to be
    /// fitted without some of the persons, from pictures that are not kept.
    ///
    /// # Errors
    /// As [`FaceSpace::project`]; if there are not as many files as pictures, the name is empty or
    /// holds `/` or a control character, or a picture is known already.
    pub fn add(&mut self, name: &str, pixels: ArrayView2<'_, f32>, files: &[String]) -> Result<()> {
        if files.len() != pixels.nrows() {
            return Err(Error::mistake(
                "add a face",
                format!("a name for each of {} pictures", pixels.nrows()),
                files.len().to_string(),
                "give one file name per picture",
            ));
        }
        check_name(name)?;
        let new = self.project(pixels)?;
        self.check_new(&new, files)?;
        let persons = &mut self.gallery.persons;
        let person = persons.iter().position(|person| person == name).unwrap_or_else(|| {
            persons.push(name.to_owned());
            persons.len() - 1
        });
        let as_stranger = self.meet(person, &new.weights);
        let gallery = &mut self.gallery;
        gallery.faces.extend(files.iter().map(|file| Face { person, file: file.clone() }));
        gallery.weights = concatenate![Axis(0), gallery.weights, new.weights];
        gallery.from_face_space =
            concatenate![Axis(0), gallery.from_face_space, new.from_face_space];
        gallery.as_stranger = concatenate![Axis(0), gallery.as_stranger, as_stranger];
        for distance in Distance::ALL {
            self.thresholds[distance as usize].identify = self.identify_threshold(distance)?;
        }
        Ok(())
    }

    /// Refuses pictures that are known, or come twice. A picture is known by its weights and its
    /// distance from face space: no other has the same to nine digits.
    fn check_new(&self, new: &Projection, files: &[String]) -> Result<()> {
        let gallery = &self.gallery;
        let weights = concatenate![Axis(0), gallery.weights, new.weights];
        let rests = concatenate![Axis(0), gallery.from_face_space, new.from_face_space];
        let files: Vec<_> = gallery.faces.iter().map(|face| &face.file).chain(files).collect();
        for (place, file) in files.iter().enumerate().skip(gallery.faces.len()) {
            let (own, rest) = (weights.row(place), rests[place]);
            let squared = own.dot(&own) + rest * rest;
            let near = |a: f64, b: f64| (a - b).abs() <= 1e-9 * squared.sqrt();
            let is_same = |other: &usize| {
                (rests[*other] * rests[*other] - rest * rest).abs() <= 1e-9 * squared
                    && weights.row(*other).iter().zip(own).all(|(a, b)| near(*a, *b))
            };
            if let Some(other) = (0..place).find(is_same) {
                return Err(Error::mistake(
                    "add a face",
                    "pictures that are not known yet",
                    format!("'{file}', the same picture as '{}'", files[other]),
                    "leave it out",
                ));
            }
        }
        Ok(())
    }

    /// How far new faces of a person are from everybody else's, `(n, 3)`; those may find the new
    /// ones nearer than whom they found so far. The eigenfaces have not seen the new faces, which
    /// are therefore strangers as they are.
    fn meet(&mut self, person: usize, weights: &Array2<f64>) -> Array2<f64> {
        let mut as_stranger = Array2::zeros((weights.nrows(), Distance::ALL.len()));
        let mut found = self.gallery.as_stranger.clone();
        for distance in Distance::ALL {
            let known = self.compared(&self.gallery.weights);
            distance.visit(self.compared(weights), known, self.variances(), |row, distances| {
                let is_other = |face: usize| self.gallery.faces[face].person != person;
                let (_, nearest) = nearest_where(distances, is_other).expect("two persons");
                as_stranger[[row, distance as usize]] = nearest;
                for (face, &apart) in distances.iter().enumerate().filter(|(f, _)| is_other(*f)) {
                    let nearest = &mut found[[face, distance as usize]];
                    *nearest = nearest.min(apart);
                }
            });
        }
        self.gallery.as_stranger = found;
        as_stranger
    }

    /// The thresholds of one distance.
    pub fn thresholds(&self, distance: Distance) -> &Thresholds {
        &self.thresholds[distance as usize]
    }

    fn identify_threshold(&self, distance: Distance) -> Result<Threshold> {
        let gallery = &self.gallery;
        let weights = self.compared(&gallery.weights);
        let mut genuine = Vec::new();
        distance.visit(weights, weights, self.variances(), |face, distances| {
            let person = gallery.faces[face].person;
            let is_own = |other: usize| other != face && gallery.faces[other].person == person;
            genuine.extend(nearest_where(distances, is_own).map(|(_, distance)| distance));
        });
        let impostor = gallery.as_stranger.column(distance as usize).to_vec();
        Threshold::calibrate(impostor, &genuine, self.options.false_accept_rate)
    }

    fn judge(
        &self,
        by: Distance,
        distances: ArrayView1<'_, f64>,
        from_face_space: f64,
    ) -> Identification {
        let person_of = |face: usize| self.gallery.faces[face].person;
        let (face, distance) = nearest_where(distances, |_| true).expect("a gallery has faces");
        let person = person_of(face);
        let (_, second) = nearest_where(distances, |face| person_of(face) != person)
            .expect("a gallery has two persons");
        let farthest = distances.iter().copied().fold(0.0, f64::max);
        let verdict = if !self.face_threshold.accepts(from_face_space) {
            Verdict::NotAFace
        } else if !self.thresholds(by).identify.accepts(distance) {
            Verdict::Unknown
        } else if by.is_tie(distance, second, farthest) {
            Verdict::Ambiguous
        } else {
            Verdict::Known
        };
        Identification {
            verdict,
            person,
            face,
            distance,
            margin: second - distance,
            from_face_space,
        }
    }

    /// The weights that distances are measured on.
    fn compared<'a>(&self, weights: &'a Array2<f64>) -> ArrayView2<'a, f64> {
        weights.slice(s![.., self.options.drop_leading..])
    }

    fn variances(&self) -> ArrayView1<'_, f64> {
        self.pca.explained_variance.slice(s![self.options.drop_leading..])
    }
}

/// Fits eigenfaces.
pub(super) fn fit(pixels: ArrayView2<'_, f32>, components: Components) -> Result<Pca> {
    Pca::fit(pixels, &PcaOptions { components, ..Default::default() })
}

/// Weights and distances from face space, in f64 so that a small distance keeps its digits.
pub(super) fn project(pca: &Pca, pixels: ArrayView2<'_, f32>) -> Projection {
    let mut weights = Array2::zeros((pixels.nrows(), pca.components.nrows()));
    let mut from_face_space = Array1::zeros(pixels.nrows());
    let blocks = pixels.axis_chunks_iter(Axis(0), BLOCK);
    let outs = weights.axis_chunks_iter_mut(Axis(0), BLOCK);
    let distances = from_face_space.axis_chunks_iter_mut(Axis(0), BLOCK);
    for ((block, mut weights), mut distances) in blocks.zip(outs).zip(distances) {
        let block = centred::<f32, f64>(block, &pca.mean);
        multiply(block.view(), pca.components.t(), weights.view_mut());
        // Pythagoras: the eigenfaces are orthonormal, so nothing needs to be rebuilt.
        distances.assign(&(squared_lengths(block.view()) - squared_lengths(weights.view())));
        distances.mapv_inplace(|squared: f64| squared.max(0.0).sqrt());
    }
    Projection { weights, from_face_space }
}

/// The face that the first eigenfaces make.
pub(super) fn rebuild(pca: &Pca, weights: ArrayView1<'_, f64>) -> Array1<f64> {
    &pca.mean + &weights.dot(&pca.components.slice(s![..weights.len(), ..]))
}

/// A person's name stands in tables and in front of file names.
fn check_name(name: &str) -> Result<()> {
    if !name.trim().is_empty() && !name.contains(|c: char| c == '/' || c.is_control()) {
        return Ok(());
    }
    Err(Error::mistake(
        "add a face",
        "a name without `/` and control characters",
        format!("{name:?}"),
        "give the name of the person",
    ))
}

fn check_persons(people: &Labels) -> Result<()> {
    let mut seen = vec![false; people.names.len()];
    people.classes.iter().for_each(|&person| seen[person] = true);
    match seen.iter().filter(|seen| **seen).count() {
        persons @ 0..2 => Err(Error::mistake(
            "train on faces",
            "at least 2 persons, since a threshold is what tells persons apart",
            persons.to_string(),
            "give a folder with one sub-folder of pictures per person",
        )),
        _ => Ok(()),
    }
}

pub(super) fn check_drop_leading(drop_leading: usize, components: usize) -> Result<()> {
    if drop_leading < components {
        return Ok(());
    }
    Err(Error::mistake(
        "leave out leading eigenfaces",
        format!("fewer than the {components} there are"),
        drop_leading.to_string(),
        "leave out fewer, or keep more components",
    ))
}
