//! Codes: where rows lie, what lies between them, and how often units are on.

use narrows::data::{Labels, Source};
use narrows::evaluate::Activity;
use narrows::model::pca::{Components, PcaOptions};
use narrows::model::{Answer, Model, Pca};
use narrows::recipe::{SparsityKind, SparsityTable};
use narrows::report::{CodeViews, Codes, Manifold};
use narrows::store::Run;
use ndarray::{Array2, ArrayView1};

use super::Subject;
use super::rows::listed;
use crate::commands::of_storey;
use crate::commands::sample::Sample;

/// Points along either side of the decoded plane.
const TILES: usize = 20;
/// The share of the codes beyond either end of it.
const BEYOND: f64 = 0.02;

/// The scatter of codes, beside PCA's where it shows all of either, and their neighbours.
pub(super) fn views(on: &Subject<'_>, sample: &Sample) -> Option<CodeViews> {
    let width = on.run.model.latent_dim();
    let pairs: &[[usize; 2]] = match width {
        0 | 1 => &[],
        3 => &[[0, 1], [0, 2], [1, 2]],
        _ => &[[0, 1]],
    };
    let axes = match &on.run.model {
        Model::Pca(_) => None,
        _ if width <= 3 => None,
        // Any two of many numbers would say little of the others.
        _ => principal_axes(&sample.codes),
    };
    let view = |points: &Array2<f64>, name: &dyn Fn(usize) -> String| -> Vec<Codes> {
        let scatter =
            |&[x, y]: &[usize; 2]| scatter(on, sample, points, [(x, name(x)), (y, name(y))]);
        pairs.iter().map(scatter).collect()
    };
    let own = |k| match (&on.run.model, &axes) {
        (Model::Pca(pca), _) => component(pca, k),
        (_, Some((axes, _))) => format!("{} of the codes", component(axes, k)),
        _ => format!("latent {}", k + 1),
    };
    let points = axes.as_ref().map_or(&sample.codes, |(_, points)| points);
    let pca = on.run.baseline.as_ref().zip(sample.pca_codes.as_ref());
    let comparable = pca.filter(|(_, codes)| width <= 3 && codes.ncols() == width);
    let beside = comparable.map(|(pca, codes)| view(codes, &|k| component(pca, k)));
    let views = CodeViews {
        views: view(points, &own),
        projected: axes.is_some(),
        pca: beside.unwrap_or_default(),
        neighbours: sample.neighbours(classes_of(on)),
        rows: on.rows.rows(),
    };
    (!views.views.is_empty() || views.neighbours.is_some()).then_some(views)
}

/// The two directions in which codes differ most, and the codes along them; `None` where they do not
/// differ.
fn principal_axes(codes: &Array2<f64>) -> Option<(Pca, Array2<f64>)> {
    let options = PcaOptions { components: Components::Count(2), ..Default::default() };
    let pca = Pca::fit(codes.view(), &options).ok()?;
    let points = pca.transform(codes.view()).ok()?;
    (points.ncols() == 2 && pca.total_variance > 0.0).then_some((pca, points))
}

/// The labels, where they are classes.
fn classes_of<'a>(on: &Subject<'a>) -> Option<&'a Labels> {
    let numbers = match &on.run.model {
        Model::Predictor(predictor) => matches!(predictor.answer(), Answer::Number(_)),
        _ => false,
    };
    on.dataset.labels.as_ref().filter(|_| !numbers)
}

fn scatter(
    on: &Subject<'_>,
    sample: &Sample,
    points: &Array2<f64>,
    axes: [(usize, String); 2],
) -> Codes {
    let labels = on.dataset.labels.as_ref();
    Codes {
        points: points.outer_iter().map(|code| axes.each_ref().map(|(k, _)| code[*k])).collect(),
        rows: on.rows.rows(),
        classes: labels.map_or_else(Vec::new, |labels| sample.classes(labels)),
        class_names: labels.map_or_else(Vec::new, |labels| labels.names.clone()),
        axis_names: axes.map(|(_, name)| name),
    }
}

fn component(pca: &Pca, k: usize) -> String {
    format!("component {} ({:.1} %)", k + 1, 100.0 * pca.explained_variance_ratio[k])
}

/// Pictures decoded from a grid over the plane of codes.
pub(super) fn manifold(on: &Subject<'_>, sample: &Sample) -> narrows::Result<Option<Manifold>> {
    if on.image.is_none() || on.run.model.latent_dim() != 2 {
        return Ok(None);
    }
    let ranges = [0, 1].map(|k| range(sample.codes.column(k)));
    let at =
        |[from, to]: [f64; 2], step: usize| from + (to - from) * step as f64 / (TILES - 1) as f64;
    // The first line is the highest, as in the scatter.
    let grid = Array2::from_shape_fn((TILES * TILES, 2), |(tile, k)| match k {
        0 => at(ranges[0], tile % TILES),
        _ => at(ranges[1], TILES - 1 - tile / TILES),
    });
    let decoded = on.run.model.decode(grid.view())?;
    Ok(Some(Manifold { tiles: listed(decoded.view()), across: TILES, ranges }))
}

/// Where the codes lie, without the outermost.
fn range(column: ArrayView1<'_, f64>) -> [f64; 2] {
    let mut values = column.to_vec();
    values.sort_unstable_by(f64::total_cmp);
    let place = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
    [place(BEYOND), place(1.0 - BEYOND)]
}

/// How often each unit is on.
pub(super) fn activity(on: &Subject<'_>) -> narrows::Result<Option<Activity>> {
    Activity::measure(on.rows, &on.run.model, target(on.run))
}

/// The mean that a KL penalty asks of the code; that of a stack is the code of its last storey.
fn target(run: &Run) -> Option<f64> {
    let storeys = run.config["storey"].as_array().map_or(0, Vec::len);
    let penalty: SparsityTable = of_storey(run, storeys.saturating_sub(1), "sparsity")?;
    (penalty.kind == SparsityKind::Kl).then_some(penalty.target)
}
