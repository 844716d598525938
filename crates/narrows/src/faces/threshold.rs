//! How near is near enough.
//!
//! What is controlled is the false-accept rate: the chance that a face is accepted although it
//! should not be. The distances at which that would happen are measured by leaving persons out:
//!
//! ```text
//! identify   uᵢ = distance of face i to the nearest face of anybody else, while person(i) is left
//!            out of the eigenfaces: what an unknown person looks like
//! verify     uᵢⱼ = distance of faces i and j of different persons, while person(i) is left out
//! threshold  t = the r-th smallest u,  r = ⌊rate·(n + 1)⌋;  accepted where distance < t
//! ```
//!
//! A new u is equally likely to take any of the n + 1 places among the others, so it falls below
//! `t` with probability at most `r/(n + 1) ≤ rate`. Where r is 0 no distance could be accepted: the
//! gallery is too small for such a rate, and the error says which one it supports.
//!
//! The eigenfaces must be fitted again without the persons who play strangers: eigenfaces hold a
//! stranger less well than those they were made of, so a stranger's weights are smaller and all
//! distances shorter. Thresholds from the weights of known faces alone let in several times as many
//! strangers as wanted. Ten fits leave out a tenth of the persons each.
//!
//! The other side, the false-reject rate, is measured too. Identify: the share of known faces that
//! are not accepted at the distance of the nearest other picture of their person; since both belong
//! to the eigenfaces this is pessimistic, the more so the more eigenfaces are kept. Verify: the share of pairs of one person, left
//! out, that are not accepted.
//!
//! Limits: several pictures of one person are not independent draws of an unknown person, so the
//! rate holds on average over galleries, more loosely the fewer persons there are; and eigenfaces
//! of nine tenths of the persons hold faces a little less well than those of all. On the ORL faces,
//! 30 persons known by 7 pictures and the other 10 strangers, 40 random choices of the strangers, a
//! wanted 5 % comes out as 3.8 % by L2, 4.4 % by cosine and 3.0 % by Mahalanobis distance; of ten
//! given strangers it was anything from 0 to 18 %.
//!
//! Not a face: the same fits give distances from face space of faces that the eigenfaces have not
//! seen (the known faces' own distances would be too small: the space was made of them). The
//! threshold is the r-th smallest, r = ⌈(1 − rate)·(n + 1)⌉, or the largest where there are too few;
//! then the rate is `1/(n + 1)` instead of the wanted one.

use serde::{Deserialize, Serialize};

use super::distance::Distance;
use crate::error::{Error, Result};

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
}
