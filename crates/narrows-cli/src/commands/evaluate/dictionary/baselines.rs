//! What is lost without a dictionary: PCA with as many components, and baselines of as many codes in a row.

use std::io::Write;

use anyhow::Result;
use narrows::data::{self, Chosen, OpenOptions};
use narrows::evaluate::{Baselines, Scores};
use narrows::model::pca::{Components, PcaOptions};
use narrows::model::{Model, Pca};

use super::super::super::dictionaries::{Rows, Shelf, baseline_name};
use super::super::super::table::table;
use super::super::super::{Screen, figure};
use super::{NUMBERS, SEED};

/// Rows of the training data that PCA is fitted on, at most.
const PCA_ROWS: usize = 50_000;

/// What PCA with as many components keeps, fitted on an even sample of the training rows; `None` where
/// there are none, or a row is turned into another.
pub(super) fn pca(shelf: &Shelf, rows: &Rows, l0: f64) -> Result<Option<(usize, Scores)>> {
    let (Some(path), None) = (shelf.trained_on(), &rows.targets) else { return Ok(None) };
    let Ok(trained) = data::open(path, &OpenOptions::default()) else { return Ok(None) };
    let source = &*trained.rows;
    if source.dim() != rows.dataset.rows.dim() {
        return Ok(None);
    }
    let most = PCA_ROWS.min(NUMBERS / source.dim().max(1)).max(1);
    let places = data::evenly(source.rows(), most);
    let components = (l0.round() as usize).min(source.dim()).min(places.len());
    if components == 0 {
        return Ok(None);
    }
    let options = PcaOptions { components: Components::Count(components), ..Default::default() };
    let pca = Pca::fit_source(&Chosen { source, places: &places }, &options)?;
    let found =
        rows.with(|rows| narrows::evaluate::evaluate(rows, &Model::Pca(pca), None, None))?;
    Ok(Some((components, found.scores)))
}

/// The baselines at some L0.
pub(super) fn baselines(rows: &Rows, l0: &[f64], latents: usize) -> Result<Baselines> {
    let l0: Vec<usize> = l0.iter().map(|l0| l0.round() as usize).collect();
    rows.with(|rows| Baselines::measure(rows, &l0, latents, SEED))
}

pub(super) fn print_baselines(found: &Baselines) -> Result<()> {
    writeln!(
        Screen,
        "\nfraction of variance unexplained without a dictionary, fitted on {} rows, measured on {}\n",
        found.fitted_rows, found.rows
    )?;
    let names = found.l0.iter().map(|l0| format!("#L0 {l0}"));
    let headings: Vec<String> = std::iter::once("baseline".to_owned()).chain(names).collect();
    let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
    let lines = found.curves.iter().map(|curve| {
        let values = curve.fraction_variance_unexplained.iter().map(|&value| figure(value));
        let name = baseline_name(curve.baseline, curve.directions);
        std::iter::once(name).chain(values).collect()
    });
    Ok(write!(Screen, "{}", table(&headings, &lines.collect::<Vec<_>>()))?)
}
