//! Some rows, what comes back of them, and the way from one to another.

use narrows::data::{Chosen, Dataset, Labels, Source};
use narrows::model::Pca;
use narrows::report::{Beside, Examples, Interpolation};
use narrows::store::Run;
use ndarray::{Array2, ArrayView1, ArrayView2};

use super::Subject;
use crate::commands::sample::Sample;

/// Steps from one row to another, both ends included.
const STEPS: usize = 11;

pub(super) fn examples(on: &Subject<'_>, shown: &Sample) -> narrows::Result<Examples> {
    let Subject { run, dataset, .. } = *on;
    let norms = match on.image {
        None => Some(norms(run, dataset, &shown.places)?),
        Some(_) => None,
    };
    let as_data = |prepared: &Array2<f64>| {
        norms.as_ref().map(|norms| listed(in_units(run, prepared, norms).view()))
    };
    let rebuilt = run.model.decode(shown.codes.view())?;
    let beside = |(pca, codes): (&Pca, &Array2<f64>)| {
        let rebuilt = pca.inverse_transform(codes.view())?;
        narrows::Result::Ok(Beside {
            reconstructions: listed(rebuilt.view()),
            in_units: as_data(&rebuilt),
            errors: errors(&shown.rows, &rebuilt),
        })
    };
    Ok(Examples {
        rows: listed(shown.rows.view()),
        reconstructions: listed(rebuilt.view()),
        in_units: as_data(&shown.rows).zip(as_data(&rebuilt)).map(|(rows, back)| [rows, back]),
        errors: errors(&shown.rows, &rebuilt),
        names: shown.places.iter().map(|&place| row_name(dataset, place)).collect(),
        pca: run.baseline.as_ref().zip(shown.pca_codes.as_ref()).map(beside).transpose()?,
    })
}

fn errors(rows: &Array2<f64>, rebuilt: &Array2<f64>) -> Vec<f64> {
    (rows - rebuilt).outer_iter().map(|error| error.dot(&error)).collect()
}

/// From the first row to the first of another class, or to the last where there are no classes.
pub(super) fn interpolation(
    on: &Subject<'_>,
    shown: &Sample,
) -> narrows::Result<Option<Interpolation>> {
    let last = shown.places.len() - 1;
    if on.image.is_none() || last == 0 {
        return Ok(None);
    }
    let to = on.dataset.labels.as_ref().and_then(|labels| other_class(shown, labels));
    let to = to.unwrap_or(last);
    let way = |points: &Array2<f64>| {
        let (from, to) = (points.row(0), points.row(to));
        Array2::from_shape_fn((STEPS, points.ncols()), |(step, column)| {
            from[column] + (to[column] - from[column]) * step as f64 / (STEPS - 1) as f64
        })
    };
    let decoded = on.run.model.decode(way(&shown.codes).view())?;
    let mut ways = vec![("Codes".to_owned(), listed(decoded.view()))];
    // With as many numbers as there are pixels PCA's way is that of the pixels.
    let narrower = on.run.model.latent_dim() < on.run.model.input_dim();
    let pca = on.run.baseline.as_ref().filter(|_| narrower);
    if let (Some(pca), Some(codes)) = (pca, &shown.pca_codes) {
        let decoded = pca.inverse_transform(way(codes).view())?;
        ways.push(("Codes of PCA, same width".to_owned(), listed(decoded.view())));
    }
    ways.push(("Pixels".to_owned(), listed(way(&shown.rows).view())));
    let names = [0, to].map(|row| row_name(on.dataset, shown.places[row]));
    Ok(Some(Interpolation { names, ways }))
}

fn other_class(shown: &Sample, labels: &Labels) -> Option<usize> {
    let classes = shown.classes(labels);
    classes.iter().position(|class| *class != classes[0])
}

/// What each of some rows was divided by.
fn norms(run: &Run, dataset: &Dataset, places: &[usize]) -> narrows::Result<Vec<f64>> {
    let mut raw = vec![0.0; places.len() * dataset.rows.dim()];
    Chosen { source: &*dataset.rows, places }.read_f64(0, &mut raw)?;
    let mut norms = vec![1.0; places.len()];
    run.preparation.row_norms(&raw, &mut norms);
    Ok(norms)
}

/// Prepared rows with their numbers in the units of the data, in the columns that they have as
/// prepared: a category stays one column for each of its values.
fn in_units(run: &Run, prepared: &Array2<f64>, norms: &[f64]) -> Array2<f64> {
    let preparation = &run.preparation;
    let mut original = Array2::zeros((prepared.nrows(), preparation.input_dim()));
    let raw = original.as_slice_mut().expect("owned and row-major");
    preparation.invert_with_norms(prepared.as_slice().expect("row-major"), norms, raw);
    if preparation.columns().is_empty() {
        return original;
    }
    let mut shown = prepared.clone();
    let mut start = 0;
    for (place, column) in preparation.columns().iter().enumerate() {
        if column.categories.is_empty() {
            shown.column_mut(start).assign(&original.column(place));
        }
        start += column.categories.len().max(1);
    }
    shown
}

fn row_name(dataset: &Dataset, place: usize) -> String {
    let label = dataset.labels.as_ref().map(|labels| &labels.names[labels.classes[place]]);
    match (dataset.row_names.get(place), label) {
        (Some(name), _) => name.clone(),
        (None, Some(label)) => format!("row {} · class {label}", place + 1),
        (None, None) => format!("row {}", place + 1),
    }
}

pub(super) fn listed(rows: ArrayView2<'_, f64>) -> Vec<Vec<f32>> {
    rows.outer_iter().map(narrow).collect()
}

pub(super) fn narrow(row: ArrayView1<'_, f64>) -> Vec<f32> {
    row.iter().map(|&value| value as f32).collect()
}
