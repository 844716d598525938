//! Language models: read, run with taps, taken apart.
//!
//! A model is read from a folder and run forward; a [`Hook`] reads or changes the rows at any [`Tap`] on
//! the way. Everything else is built on that:
//! `text → model → basis → harvest → …`.

pub mod basis;
pub mod model;
pub mod shipped;
pub mod text;

pub use basis::Basis;
pub use model::{Hook, LanguageModel, Pass, Site, Tap};
pub use narrows::{Error, Result};
