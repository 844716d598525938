//! Noise on some rows, and what the model leaves of it.

use narrows::data::{Chosen, Source, evenly};
use narrows::evaluate::{Likeness, clean, denoise};
use narrows::report::Denoised;
use ndarray::Array2;

use super::Subject;
use super::rows::listed;
use crate::commands::evaluate::noise;

/// Rows that are measured, and those of them that are shown.
const MEASURED: usize = 1000;
const SHOWN: usize = 10;
/// Names the noise.
const SEED: u64 = 0;

pub(super) fn denoised(on: &Subject<'_>) -> narrows::Result<Option<Denoised>> {
    let noise = noise(on.run, on.rows.preparation, SEED);
    let (Some(noise), Some(pca)) = (noise, &on.run.baseline) else { return Ok(None) };
    let (rows, model) = (on.rows, &on.run.model);
    let places = evenly(rows.rows(), MEASURED);
    let found = denoise(&Chosen { source: rows, places: &places }, model, pca, &noise)?;
    let few = Chosen { source: rows, places: &places[..SHOWN.min(places.len())] };
    let shown = clean(&few, model, (pca, found.components), &noise)?;
    let version = |(rows, likeness): (Array2<f64>, Vec<Likeness>)| {
        listed(rows.view()).into_iter().zip(likeness).collect()
    };
    Ok(Some(Denoised {
        found,
        rows: rows.rows(),
        seed: SEED,
        clean: listed(shown.clean.view()),
        versions: [shown.noisy, shown.restored, shown.projected].map(version),
    }))
}
