//! What is shown: one self-contained HTML page from the records of a run.
//!
//! A page needs no network and no script: styles are in it, charts are SVG, pictures are PNG in
//! the text. It follows the reader's light or dark setting and prints. `run_page` shows a fitted
//! run, `faces_page` the evaluation of a face recogniser; both take plain records and decide
//! nothing about numbers. A part whose record is absent is named at the foot of the page.

pub mod chart;
pub mod page;
pub mod picture;

mod faces;
mod record;
mod run;
mod text;

pub use faces::{Curve, FacesReport, Mistake, Rate, Rebuilt, faces_page};
pub use record::{Codes, Score, Spectrum};
pub use run::{Examples, RunReport, run_page};
pub use text::{Html, count, escape, number, percent};

use std::io::Write;
use std::path::Path;

use crate::{Error, Result};

/// Writes a page to `path`: aside first and then renamed, so that a page that was there stays
/// whole whatever happens.
///
/// # Errors
/// If the folder of `path` does not exist or cannot be written to.
pub fn write(path: impl AsRef<Path>, html: &str) -> Result<()> {
    let path = path.as_ref();
    let refused = |source| Error::write(path, source);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut builder = tempfile::Builder::new();
    // A page is there to be shown: readable as any other file, not only by its owner.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut aside = builder.tempfile_in(folder.unwrap_or(Path::new("."))).map_err(refused)?;
    aside.write_all(html.as_bytes()).map_err(refused)?;
    aside.persist(path).map_err(|failed| refused(failed.error))?;
    Ok(())
}

#[cfg(test)]
mod tests;
