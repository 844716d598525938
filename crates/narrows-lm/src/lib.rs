//! Language models: read, run with taps, taken apart.
//!
//! A model is read from a folder and run forward; a [`Hook`] reads or changes the rows at any [`Tap`] on
//! the way. Everything else is built on that:
//! `text → model → basis → harvest → …`.

pub mod basis;
pub mod features;
pub mod harvest;
pub mod interpret;
pub mod lexical;
pub mod model;
pub mod patching;
pub mod shipped;
pub mod source;
pub mod splice;
pub mod steer;
pub mod study;
pub mod text;
pub mod tree;

pub use basis::Basis;
pub use model::{Hook, LanguageModel, Pass, Site, Tap};
pub use narrows::{Error, Result};
