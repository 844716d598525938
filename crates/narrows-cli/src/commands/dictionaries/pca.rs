//! What PCA loses of the rows that a dictionary is measured on.

use anyhow::Result;
use narrows::data::{self, Chosen, OpenOptions};
use narrows::evaluate::Evaluation;
use narrows::model::pca::{Components, PcaOptions};
use narrows::model::{Model, Pca};

use super::{NUMBERS, Rows, Shelf};

/// Rows of the training data that PCA is fitted on, at most.
const PCA_ROWS: usize = 50_000;

/// What PCA with as many components keeps of the rows, fitted on an even sample of those that the dictionary
/// was trained on: how many components, and what it came to. `None` where there are no such rows, or a row is
/// turned into another.
pub(in super::super) fn pca(
    shelf: &Shelf,
    rows: &Rows,
    l0: f64,
) -> Result<Option<(usize, Evaluation)>> {
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
    let pca = Model::Pca(Pca::fit_source(&Chosen { source, places: &places }, &options)?);
    let found = rows.with(|rows| narrows::evaluate::evaluate(rows, &pca, None, None))?;
    Ok(Some((components, found)))
}
