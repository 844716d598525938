//! Known faces, seen as strangers: the measurements that thresholds are calibrated on.

use ndarray::{Array2, ArrayView1, ArrayView2, Axis, s};

use super::distance::{Distance, nearest_where};
use super::input::Faces;
use super::space::{check_drop_leading, fit, project};
use crate::data::Labels;
use crate::error::Result;
use crate::model::pca::Components;

/// Fits that each leave some persons out.
const FOLDS: usize = 10;
/// Faces whose pairs calibrate verification: enough for sixteen million pairs.
const PAIRED_FACES: usize = 4096;

/// What faces look like to eigenfaces and a gallery that do not know their persons.
pub(super) struct Strangers {
    /// Distance from face space, `(n,)`.
    pub(super) from_face_space: Vec<f64>,
    /// Distance to the nearest face of anybody else, `(n, 3)`: a column for each of [`Distance::ALL`].
    pub(super) nearest: Array2<f64>,
    /// For each distance, pairs of a stranger and anybody.
    pub(super) pairs: [Pairs; 3],
}

/// Distances between two faces.
#[derive(Default)]
pub(super) struct Pairs {
    /// Of different persons.
    pub(super) impostor: Vec<f64>,
    /// Of one person.
    pub(super) genuine: Vec<f64>,
}

impl Strangers {
    /// Fits `k` eigenfaces again and again, each time without some of the persons.
    pub(super) fn measure(
        faces: &Faces,
        people: &Labels,
        k: usize,
        drop_leading: usize,
    ) -> Result<Self> {
        let n = faces.count();
        let mut strangers = Self {
            from_face_space: vec![0.0; n],
            nearest: Array2::zeros((n, Distance::ALL.len())),
            pairs: Default::default(),
        };
        let folds = FOLDS.min(people.names.len());
        for fold in 0..folds {
            let (out, kept): (Vec<usize>, Vec<usize>) =
                (0..n).partition(|&face| people.classes[face] % folds == fold);
            let kept = faces.select(&kept);
            let pca = fit(kept.view(), Components::Count(k.min(kept.nrows()).min(kept.ncols())))?;
            check_drop_leading(drop_leading, pca.components.nrows())?;
            let seen = project(&pca, faces.pixels.view());
            let variances = pca.explained_variance.slice(s![drop_leading..]);
            out.iter().for_each(|&f| strangers.from_face_space[f] = seen.from_face_space[f]);
            let weights = seen.weights.slice(s![.., drop_leading..]);
            strangers.compare(&out, &people.classes, weights, variances);
        }
        Ok(strangers)
    }

    /// Compares the faces that are `out` with all.
    fn compare(
        &mut self,
        out: &[usize],
        person_of: &[usize],
        weights: ArrayView2<'_, f64>,
        variances: ArrayView1<'_, f64>,
    ) {
        let every = weights.nrows().div_ceil(PAIRED_FACES);
        let of_out = weights.select(Axis(0), out);
        for distance in Distance::ALL {
            let column = distance as usize;
            distance.visit(of_out.view(), weights, variances, |row, distances| {
                let face = out[row];
                let same = |other: usize| person_of[other] == person_of[face];
                let (_, nearest) =
                    nearest_where(distances, |other| !same(other)).expect("two persons");
                self.nearest[[face, column]] = nearest;
                if row % every == 0 {
                    self.pairs[column].sort_in(face, every, distances, same);
                }
            });
        }
    }
}

impl Pairs {
    /// Takes every `every`-th face, and each pair of one person once.
    fn sort_in(
        &mut self,
        face: usize,
        every: usize,
        distances: ArrayView1<'_, f64>,
        same: impl Fn(usize) -> bool,
    ) {
        for other in (0..distances.len()).step_by(every) {
            match same(other) {
                false => self.impostor.push(distances[other]),
                true if other < face => self.genuine.push(distances[other]),
                true => {}
            }
        }
    }
}
