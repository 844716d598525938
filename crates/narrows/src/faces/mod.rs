//! Faces, recognised by a few numbers each.
//!
//! ```text
//! w = V(x − μ)                 x: (d,) pixels   μ: (d,) mean face   V: (k, d), rows eigenfaces vᵢ
//! x ≈ x̂ = μ + Σᵢ wᵢ·vᵢ         a face is the mean face and a weight for every eigenface
//! ε = ‖x − x̂‖                  distance from face space: large for what is not a face
//! ```
//!
//! A known face is kept as its weights. A probe is projected in the same way and belongs to the
//! person of the nearest known face; it is *unknown* where even that is too far, and *not a face*
//! where `ε` is. Both limits are calibrated, see [`Threshold`] and [`FaceThreshold`].
//!
//! The eigenfaces are the components of [`Pca`](crate::model::Pca) on the pixels of the known
//! faces. Pixels count from 0 to 1.
//!
//! Source: L. Sirovich and M. Kirby, Journal of the Optical Society of America A 4 (1987); M. Turk
//! and A. Pentland, Eigenfaces for recognition, Journal of Cognitive Neuroscience 3 (1991).
//!
//! ```
//! use narrows::data::{ImageShape, Labels};
//! use narrows::faces::{Distance, Faces, FaceOptions, FaceSpace, Verdict};
//! use ndarray::array;
//!
//! let faces = Faces {
//!     pixels: array![[0.0, 0.1], [0.0, 0.2], [0.9, 0.8], [1.0, 0.8]],
//!     image: ImageShape { height: 1, width: 2, channels: 1 },
//!     people: Some(Labels {
//!         classes: vec![0, 0, 1, 1],
//!         names: vec!["Ada".into(), "Emmy".into()],
//!     }),
//!     files: Vec::new(),
//! };
//! let options = FaceOptions { false_accept_rate: 0.2, ..Default::default() };
//! let space = FaceSpace::train(&faces, &options)?;
//! let found = &space.identify(array![[0.9, 0.9]].view(), Distance::L2)?[0];
//! assert_eq!(space.gallery.persons[found.person], "Emmy");
//! # Ok::<(), narrows::Error>(())
//! ```

mod distance;
mod evaluate;
mod input;
mod keep;
mod pictures;
mod space;
mod strangers;
mod threshold;

pub use distance::Distance;
pub use evaluate::{
    EvaluateOptions, Evaluation, Matcher, Mistake, OpenSet, Rate, Rates, RocPoint, evaluate,
};
pub use input::Faces;
pub use pictures::{Pictures, Rebuilt};
pub use space::{
    Face, FaceOptions, FaceSpace, Gallery, Identification, Projection, Verdict, Verification,
};
pub use threshold::{FaceThreshold, Threshold, Thresholds};
