//! What there is to see: the mean face, the eigenfaces, a face growing out of them, everybody on a
//! plane.

use ndarray::{ArrayView1, Axis, s};

use super::input::Faces;
use super::space::{FaceSpace, fit, project, rebuild};
use crate::error::Result;
use crate::model::pca::{Components, Pca};

/// Numbers of eigenfaces from which a face is rebuilt, as far as there are so many.
const STEPS: [usize; 8] = [1, 5, 10, 20, 40, 80, 160, 320];

/// Pictures of all faces of a set; every picture is a row of pixels.
#[derive(Debug, Clone, PartialEq)]
pub struct Pictures {
    /// Mean face and all eigenfaces of the set.
    pub pca: Pca,
    /// The mean face, `(d,)`.
    pub mean_face: Vec<f32>,
    /// The leading eigenfaces, each `(d,)`: around zero, not between black and white.
    pub eigenfaces: Vec<Vec<f32>>,
    /// The first face from a growing number of eigenfaces that were fitted on all others; empty
    /// where those are fewer than two, or all the same.
    pub rebuilt: Vec<Rebuilt>,
    /// The weights of the first two eigenfaces for every face.
    pub plane: Vec<[f64; 2]>,
}

/// A face from some eigenfaces.
#[derive(Debug, Clone, PartialEq)]
pub struct Rebuilt {
    /// How many.
    pub components: usize,
    /// The picture, `(d,)`.
    pub pixels: Vec<f32>,
    /// `‖x − x̂‖²`.
    pub squared_error: f64,
}

impl Pictures {
    /// Pictures of a set, with its first `eigenfaces` eigenfaces.
    ///
    /// # Errors
    /// If there are fewer than two faces or all are the same.
    pub fn of(faces: &Faces, eigenfaces: usize) -> Result<Self> {
        let pca = fit(faces.pixels.view(), Components::All)?;
        let weights = project(&pca, faces.pixels.view()).weights;
        let second = |row: ArrayView1<'_, f64>| row.get(1).copied().unwrap_or(0.0);
        Ok(Self {
            mean_face: in_f32(pca.mean.view()),
            eigenfaces: first_eigenfaces(&pca, eigenfaces),
            rebuilt: rebuilt_unseen(faces),
            plane: weights.rows().into_iter().map(|row| [row[0], second(row)]).collect(),
            pca,
        })
    }
}

impl FaceSpace {
    /// The mean face, `(d,)`.
    pub fn mean_face(&self) -> Vec<f32> {
        in_f32(self.pca.mean.view())
    }

    /// The eigenfaces, each `(d,)`.
    pub fn eigenfaces(&self) -> Vec<Vec<f32>> {
        first_eigenfaces(&self.pca, usize::MAX)
    }
}

/// The first face as eigenfaces show it that have not seen it.
fn rebuilt_unseen(faces: &Faces) -> Vec<Rebuilt> {
    let (face, others) = faces.pixels.view().split_at(Axis(0), 1);
    match fit(others, Components::All) {
        Ok(pca) => rebuilt(&pca, face.row(0), project(&pca, face).weights.row(0)),
        Err(_) => Vec::new(),
    }
}

fn rebuilt(pca: &Pca, face: ArrayView1<'_, f32>, weights: ArrayView1<'_, f64>) -> Vec<Rebuilt> {
    let all = weights.len();
    let numbers = STEPS.into_iter().filter(|k| *k < all).chain([all]);
    numbers
        .map(|components| {
            let shown = rebuild(pca, weights.slice(s![..components]));
            let rest = &shown - &face.mapv(f64::from);
            Rebuilt { components, pixels: in_f32(shown.view()), squared_error: rest.dot(&rest) }
        })
        .collect()
}

fn first_eigenfaces(pca: &Pca, most: usize) -> Vec<Vec<f32>> {
    pca.components.rows().into_iter().take(most).map(in_f32).collect()
}

fn in_f32(row: ArrayView1<'_, f64>) -> Vec<f32> {
    row.iter().map(|&value| value as f32).collect()
}
