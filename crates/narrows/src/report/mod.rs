//! What is shown: one self-contained HTML page from the records of a run.
//!
//! A page needs no network and no script: styles are in it, charts are SVG, pictures are PNG in
//! the text. It follows the reader's light or dark setting and prints. `run_page` shows a fitted
//! run, `dictionary_page` and `sweep_page` sparse dictionaries, `faces_page` the evaluation of a face
//! recogniser; all take what was measured and measure
//! nothing. A part whose record is absent is named at the foot of the page.

pub mod chart;
pub mod page;
pub mod picture;

mod dictionary;
mod faces;
mod record;
mod run;
mod text;

pub use dictionary::{
    DictionaryReport, LatentUse, MeasuredOn, PointName, SweepReport, dictionary_page, sweep_page,
};
pub use faces::{FacesReport, faces_page};
pub use record::{Codes, Score, Spectrum};
pub use run::{
    Beside, CodeViews, ComponentKind, Components, Denoised, Examples, Interpolation, Manifold,
    RunReport, Storey, run_page,
};
pub use text::{Html, count, escape, number, percent};

#[cfg(test)]
mod tests;
