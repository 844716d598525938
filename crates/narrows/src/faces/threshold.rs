//! How near is near enough.
//!
//! What is controlled is the false-accept rate: the chance that a face is accepted although it
//! should not be. The distances at which that would happen are measured on the known faces:
//!
//! ```text
//! identify   uᵢ = distance of known face i to the nearest face of any OTHER person: what an
//!            unknown person looks like to the gallery (leave one person out)
//! verify     uᵢⱼ = distance between two faces of two different persons
//! threshold  t = the r-th smallest u,  r = ⌊rate·(n + 1)⌋;  accepted where distance < t
//! ```
//!
//! A new u is equally likely to take any of the n + 1 places among the others, so it falls below
//! `t` with probability at most `r/(n + 1) ≤ rate`. Where r is 0 no distance could be accepted: the
//! gallery is too small for such a rate, and the error says which one it supports.
//!
//! The other side, the false-reject rate, is measured too: the share of known faces whose nearest
//! other picture of the same person (verify: of pairs of one person) is not accepted.
//!
//! Limits: several pictures of one person are not independent draws of an unknown person, so the
//! rate holds on average over galleries, more loosely the fewer persons there are; and the
//! eigenfaces have seen the person who is left out, which makes the distances a little larger than
//! those of strangers. `evaluate` measures both rates on persons that nothing has seen.
//!
//! Not a face: distances from face space of faces that the eigenfaces have not seen, from fits that
//! leave out a fifth of the persons at a time (the known faces' own distances would be too small:
//! the space was made of them). The threshold is the r-th smallest, r = ⌈(1 − rate)·(n + 1)⌉, or
//! the largest where there are too few; then the rate is `1/(n + 1)` instead of the wanted one.

use ndarray::{ArrayView1, ArrayView2};
use serde::{Deserialize, Serialize};

use super::distance::{Distance, nearest_where};
use crate::error::{Error, Result};

/// Faces whose pairs calibrate verification: enough for eight million pairs.
const PAIRED_FACES: usize = 4096;

/// 0.29 · 100 is 28.999… in f64 and means 29.
const ROUNDING: f64 = 1e-9;

/// Where a distance stops being accepted, and what that costs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// Accepted are distances strictly below this.
    pub accept_below: f64,
    /// The wanted chance that an impostor is accepted.
    pub false_accept_rate: f64,
    /// The measured share of genuine distances that are not accepted; `None` where no person has
    /// two faces.
    pub false_reject_rate: Option<f64>,
    /// Impostor distances it was calibrated on.
    pub impostors: usize,
    /// Genuine distances that the false-reject rate was measured on.
    pub genuine: usize,
}

impl Threshold {
    /// The largest threshold that accepts impostors no more often than `false_accept_rate`.
    ///
    /// # Errors
    /// If the rate is not between 0 and 1, or too small for so few impostor distances.
    pub fn calibrate(
        mut impostor: Vec<f64>,
        genuine: &[f64],
        false_accept_rate: f64,
    ) -> Result<Self> {
        check_rate("false-accept rate", false_accept_rate)?;
        let impostors = impostor.len();
        let rank = (false_accept_rate * (impostors + 1) as f64 + ROUNDING).floor() as usize;
        if rank == 0 {
            return Err(too_few(impostors, false_accept_rate));
        }
        let accept_below = rank_value(&mut impostor, rank.min(impostors));
        let rejected = genuine.iter().filter(|distance| **distance >= accept_below).count();
        Ok(Self {
            accept_below,
            false_accept_rate,
            false_reject_rate: (!genuine.is_empty())
                .then(|| rejected as f64 / genuine.len() as f64),
            impostors,
            genuine: genuine.len(),
        })
    }

    /// Whether something at this distance is accepted.
    pub fn accepts(&self, distance: f64) -> bool {
        distance < self.accept_below
    }
}

/// Where a picture is too far from face space to be a face.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FaceThreshold {
    /// Faces are distances up to this.
    pub accept_up_to: f64,
    /// The chance that a new face is taken for something else.
    pub face_reject_rate: f64,
    /// Held-out faces it was calibrated on.
    pub faces: usize,
}

impl FaceThreshold {
    /// The smallest threshold that rejects faces no more often than `face_reject_rate`.
    ///
    /// # Errors
    /// If the rate is not between 0 and 1, or there is no distance.
    pub fn calibrate(mut held_out: Vec<f64>, face_reject_rate: f64) -> Result<Self> {
        check_rate("face-reject rate", face_reject_rate)?;
        let faces = held_out.len();
        if faces == 0 {
            return Err(Error::mistake(
                "calibrate what is not a face",
                "held-out faces",
                "none",
                "give more faces",
            ));
        }
        let places = (faces + 1) as f64;
        let rank = ((1.0 - face_reject_rate) * places - ROUNDING).ceil() as usize;
        Ok(Self {
            accept_up_to: rank_value(&mut held_out, rank.clamp(1, faces)),
            face_reject_rate: face_reject_rate.max(1.0 / places),
            faces,
        })
    }

    /// Whether a picture at this distance from face space is a face.
    pub fn accepts(&self, from_face_space: f64) -> bool {
        from_face_space <= self.accept_up_to
    }
}

/// The thresholds of one distance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Thresholds {
    /// The distance that they are for.
    pub distance: Distance,
    /// Nearest known face: known or unknown?
    pub identify: Threshold,
    /// Two pictures: the same person?
    pub verify: Threshold,
}

impl Thresholds {
    /// Calibrates on the weights `(n, k)` of known faces, face `i` being of person `person_of[i]`.
    ///
    /// # Errors
    /// As [`Threshold::calibrate`].
    pub(super) fn calibrate(
        distance: Distance,
        weights: ArrayView2<'_, f64>,
        variances: ArrayView1<'_, f64>,
        person_of: &[usize],
        false_accept_rate: f64,
    ) -> Result<Self> {
        let every = weights.nrows().div_ceil(PAIRED_FACES);
        let (mut nearest, mut pairs) = (Distances::default(), Distances::default());
        distance.visit(weights, weights, variances, |face, distances| {
            let same = |other: usize| person_of[other] == person_of[face];
            nearest.impostor.extend(distance_where(distances, |other| !same(other)));
            nearest.genuine.extend(distance_where(distances, |other| same(other) && other != face));
            if face % every == 0 {
                for other in (0..face).step_by(every) {
                    let kind = if same(other) { &mut pairs.genuine } else { &mut pairs.impostor };
                    kind.push(distances[other]);
                }
            }
        });
        Ok(Self {
            distance,
            identify: nearest.threshold(false_accept_rate)?,
            verify: pairs.threshold(false_accept_rate)?,
        })
    }
}

#[derive(Default)]
struct Distances {
    impostor: Vec<f64>,
    genuine: Vec<f64>,
}

impl Distances {
    fn threshold(self, false_accept_rate: f64) -> Result<Threshold> {
        Threshold::calibrate(self.impostor, &self.genuine, false_accept_rate)
    }
}

fn distance_where(distances: ArrayView1<'_, f64>, counts: impl Fn(usize) -> bool) -> Option<f64> {
    nearest_where(distances, counts).map(|(_, distance)| distance)
}

/// The `rank`-th smallest value, counted from 1.
fn rank_value(values: &mut [f64], rank: usize) -> f64 {
    *values.select_nth_unstable_by(rank - 1, f64::total_cmp).1
}

fn check_rate(name: &str, rate: f64) -> Result<()> {
    if rate > 0.0 && rate < 1.0 {
        return Ok(());
    }
    Err(Error::mistake(
        "calibrate a threshold",
        format!("a {name} between 0 and 1, both excluded"),
        rate.to_string(),
        "give a rate such as 0.05",
    ))
}

fn too_few(impostors: usize, rate: f64) -> Error {
    let supported = 1.0 / (impostors + 1) as f64;
    // Rounded up: the rate that is printed must itself be accepted.
    let supported = (supported * 1e4).ceil() / 1e4;
    Error::mistake(
        "calibrate a threshold",
        format!(
            "a false-accept rate of at least {supported}, the smallest that {impostors} distances \
             between different persons support"
        ),
        rate.to_string(),
        "ask for a larger rate, or give more faces",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use ndarray::{Array1, Array2};

    #[test]
    fn the_rank_is_the_conservative_one() {
        let impostor: Vec<f64> = (1..=19).rev().map(f64::from).collect();
        let at = |rate| Threshold::calibrate(impostor.clone(), &[0.5, 1.5], rate).expect("legal");
        assert_eq!(at(0.05).accept_below, 1.0);
        assert_eq!(at(0.099).accept_below, 1.0);
        assert_eq!(at(0.1).accept_below, 2.0);
        assert_eq!(at(0.999).accept_below, 19.0);
        assert_eq!(at(0.05).false_reject_rate, Some(0.5));
        assert!(at(0.1).accepts(1.99) && !at(0.1).accepts(2.0));
    }

    #[test]
    fn too_small_a_rate_is_told_with_the_smallest_possible() {
        let error = Threshold::calibrate(vec![1.0; 9], &[], 0.05).expect_err("needs 19");
        assert!(error.to_string().contains("at least 0.1,"), "{error}");
        assert!(Threshold::calibrate(vec![1.0; 9], &[], 0.1).is_ok());
        let error = Threshold::calibrate(vec![1.0; 12], &[], 0.05).expect_err("needs 19");
        assert!(error.to_string().contains("at least 0.077,"), "{error}");
        assert!(Threshold::calibrate(vec![1.0; 12], &[], 0.077).is_ok());
        assert!(Threshold::calibrate(vec![1.0; 9], &[], 0.0).is_err());
        assert!(Threshold::calibrate(vec![1.0; 9], &[], f64::NAN).is_err());
    }

    #[test]
    fn what_is_not_a_face_is_judged_by_held_out_faces() {
        let held_out: Vec<f64> = (1..=99).map(f64::from).collect();
        let at = |rate| FaceThreshold::calibrate(held_out.clone(), rate).expect("legal");
        assert_eq!(at(0.1).accept_up_to, 90.0);
        assert_eq!(at(0.01).accept_up_to, 99.0);
        assert_eq!((at(0.001).accept_up_to, at(0.001).face_reject_rate), (99.0, 0.01));
        assert!(FaceThreshold::calibrate(Vec::new(), 0.1).is_err());
    }

    /// Persons are points, their faces are scattered about them. Over many galleries, strangers
    /// drawn in the same way are accepted no more often than wanted, and not much less often.
    #[test]
    fn strangers_are_accepted_as_often_as_wanted() {
        const DIM: usize = 6;
        let mut random = Random::stream(0, "strangers");
        let mut person = || {
            let centre: Vec<f64> = (0..DIM).map(|_| random.normal()).collect();
            let mut faces = Array2::zeros((3, DIM));
            faces.indexed_iter_mut().for_each(|((_, j), value)| {
                *value = centre[j] + 0.3 * random.normal();
            });
            faces
        };
        let person_of: Vec<usize> = (0..120).map(|face| face / 3).collect();
        let variances = Array1::ones(DIM);
        let (galleries, strangers, wanted) = (40, 50, 0.1);
        for distance in Distance::ALL {
            let mut accepted = 0;
            for _ in 0..galleries {
                let mut gallery = Array2::zeros((0, DIM));
                for _ in 0..40 {
                    gallery.append(ndarray::Axis(0), person().view()).expect("same columns");
                }
                let thresholds = Thresholds::calibrate(
                    distance,
                    gallery.view(),
                    variances.view(),
                    &person_of,
                    wanted,
                )
                .expect("enough faces");
                for _ in 0..strangers {
                    let probe = person();
                    let to_known = distance.between(probe.view(), gallery.view(), variances.view());
                    let nearest = distance_where(to_known.row(0), |_| true).expect("some");
                    accepted += usize::from(thresholds.identify.accepts(nearest));
                }
            }
            let rate = f64::from(accepted as u32) / f64::from(galleries * strangers);
            // 2,000 strangers who share galleries: the standard error is about 0.011.
            assert!((rate - wanted).abs() < 0.03, "{distance}: {rate}");
        }
    }
}
