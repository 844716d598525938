//! `narrows report`: a page that shows a run.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use narrows::Error;
use narrows::data::{Chosen, Dataset, OpenOptions, Prepared, Source, evenly};
use narrows::evaluate::{Certificate, Classification, Evaluation, Regression, Scores};
use narrows::model::{Answer, Model, Network, Pca, Predictor};
use narrows::report::{
    self, Codes, ComponentKind, Components, Examples, RunReport, Score, Spectrum,
};
use narrows::store::{Run, read_json, write_aside};
use narrows::train::Epoch;
use ndarray::{Array2, ArrayView2};

use super::evaluate::measure;
use super::predict::{self, Measured};
use super::{Output, Screen, finetune, fit, open_like};

/// Rows whose codes are drawn, and rows that are shown whole, evenly taken.
const DRAWN: usize = 2400;
const SHOWN: usize = 12;
/// Components that are shown.
const COMPONENTS: usize = 24;

/// Show a run on one page: scores, spectrum, codes, rows and their reconstructions, components
///
/// The rows are those that the run was fitted on unless others are given. The page needs no network
/// and is written into the run folder.
///
/// Example: narrows report runs/a --labels train-labels-idx1-ubyte.gz
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// The run folder that `narrows fit` wrote
    run: PathBuf,
    /// Other rows than those it was fitted on
    #[arg(long, value_name = "PATH")]
    data: Option<String>,
    /// A file with one label per row, to colour the codes
    #[arg(long, value_name = "PATH")]
    labels: Option<String>,
    /// The column of a table that holds the labels
    #[arg(long, value_name = "NAME")]
    label_column: Option<String>,
    /// Show the page in the browser
    #[arg(long)]
    open: bool,
    #[command(flatten)]
    output: Output,
}

pub(crate) fn run(args: ReportArgs) -> Result<()> {
    let run = Run::open(&args.run)?;
    let dataset = rows_of(&args, &run)?;
    let page = match &run.model {
        Model::Predictor(predictor) => predictor_page(&args.run, &run, predictor, &dataset)?,
        _ => page(&args.run, &run, &dataset, &measure(&run, &dataset)?)?,
    };
    let path = args.run.join("report.html");
    write_aside(&path, report::run_page(&page).as_bytes())?;
    if args.output.json {
        writeln!(Screen, "{}", serde_json::json!({ "path": path.display().to_string() }))?;
    } else {
        writeln!(Screen, "{}", path.display())?;
    }
    if args.open {
        let browser = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
        let shown = std::process::Command::new(browser).arg(&path).status();
        if !shown.is_ok_and(|status| status.success()) {
            args.output
                .say(format!("no browser could be started; open {} yourself", path.display()));
        }
    }
    Ok(())
}

fn rows_of(args: &ReportArgs, run: &Run) -> Result<Dataset> {
    let table = &run.config["data"];
    let word = |key: &str| table[key].as_str().map(str::to_owned);
    let own = args.data.is_none();
    let path = args.data.clone().or_else(|| word("path")).unwrap_or_default();
    let label_column = args.label_column.clone();
    let labels = args.labels.clone().or_else(|| word("labels").filter(|_| own));
    let given = OpenOptions { label_column, labels, ..Default::default() };
    let dataset = open_like(run, &path, given)?;
    if own && table["content_hash"].as_str() != Some(dataset.content_hash.as_str()) {
        args.output.say(format!("note: {path} has changed since the run was fitted"));
    }
    Ok(dataset)
}

fn page(folder: &Path, run: &Run, dataset: &Dataset, found: &Evaluation) -> Result<RunReport> {
    let preparation = run.preparation.check(dataset)?;
    let rows = Prepared { source: &*dataset.rows, preparation: &preparation };
    let pca = match (&run.model, &run.baseline) {
        (Model::Pca(pca), _) => Some(pca),
        (_, baseline) => baseline.as_ref(),
    };
    let image = dataset
        .image
        .filter(|image| image.height * image.width * image.channels == run.model.input_dim());
    Ok(RunReport {
        title: format!("{} of {}", model_name(&run.model), last_part(&dataset.name)),
        data: dataset.name.clone(),
        rows: found.rows,
        input_dim: run.model.input_dim(),
        latent_dim: run.model.latent_dim(),
        model: model_name(&run.model).to_owned(),
        command: fit::command(run)?,
        configuration: run.config.clone(),
        scores: scores(found, &found.scores),
        baseline: run.baseline.as_ref().map(|_| scores(found, &found.pca)),
        spectrum: pca.map(spectrum),
        codes: codes(run, dataset, &rows)?,
        image,
        examples: Some(examples(run, dataset, &rows)?),
        components: Some(components(&run.model)),
        mean: pca.map(|pca| narrow(pca.mean.view())),
        column_names: run.preparation.column_names(),
        history: history(folder)?,
        certificate: certificate(folder)?,
        pythagoras: found.pythagoras.clone(),
        classification: None,
    })
}

/// A model that rebuilds nothing: codes, filters, the learning curve, and how well labels are told.
fn predictor_page(
    folder: &Path,
    run: &Run,
    predictor: &Predictor,
    dataset: &Dataset,
) -> Result<RunReport> {
    let preparation = run.preparation.check(dataset)?;
    let rows = Prepared { source: &*dataset.rows, preparation: &preparation };
    let told = predict::predictions(run, predictor, dataset)?;
    let labels = dataset.labels.as_ref();
    let measured = labels.map(|labels| predict::measure(predictor, &told, labels)).transpose()?;
    let (scores, classification) = match measured {
        Some(Measured::Classes(found)) => (class_scores(&found), Some(found)),
        Some(Measured::Numbers(found)) => (number_scores(&found), None),
        None => (Vec::new(), None),
    };
    let image = dataset
        .image
        .filter(|image| image.height * image.width * image.channels == run.model.input_dim());
    Ok(RunReport {
        title: format!("{} of {}", model_name(&run.model), last_part(&dataset.name)),
        data: dataset.name.clone(),
        rows: dataset.rows.rows(),
        input_dim: run.model.input_dim(),
        latent_dim: run.model.latent_dim(),
        model: model_name(&run.model).to_owned(),
        command: finetune::command(run)?,
        configuration: run.config.clone(),
        scores,
        baseline: None,
        spectrum: None,
        codes: codes(run, dataset, &rows)?,
        image,
        examples: None,
        components: Some(components(&run.model)),
        mean: None,
        column_names: run.preparation.column_names(),
        history: history(folder)?,
        certificate: None,
        pythagoras: None,
        classification,
    })
}

fn class_scores(found: &Classification) -> Vec<Score> {
    vec![
        score("accuracy", found.accuracy, "share", "rows told right / n", "how often it is right"),
        score(
            "cross_entropy",
            found.cross_entropy,
            "nats per row",
            "−1/n · Σ ln p(own class)",
            "how little it is surprised by the labels",
        ),
    ]
}

fn number_scores(found: &Regression) -> Vec<Score> {
    let mut all = vec![
        score(
            "squared_error",
            found.squared_error,
            "units of the label²",
            "1/n · Σ (y − ŷ)²",
            "what is missed on average, large misses more",
        ),
        score(
            "absolute_error",
            found.absolute_error,
            "units of the label",
            "1/n · Σ |y − ŷ|",
            "what is missed on average",
        ),
    ];
    all.extend(found.r_squared.map(|value| {
        score(
            "r_squared",
            value,
            "share",
            "1 − Σ (y − ŷ)² / Σ (y − ȳ)²",
            "1 is perfect, 0 is no better than the mean",
        )
    }));
    all
}

/// The file, without the folders that lead to it.
fn last_part(name: &str) -> &str {
    name.trim_end_matches('/').rsplit('/').next().unwrap_or(name)
}

fn model_name(model: &Model) -> &'static str {
    match model {
        Model::Pca(_) => "PCA",
        Model::Linear(_) => "Linear autoencoder",
        Model::Network(_) => "Deep autoencoder",
        Model::Predictor(predictor) => match predictor.answer() {
            Answer::Class(_) => "Classifier",
            Answer::Number(_) => "Regressor",
        },
    }
}

/// What the model is made of.
fn components(model: &Model) -> Components {
    let first = |rows: ArrayView2<'_, f32>| {
        rows.outer_iter().take(COMPONENTS).map(|row| row.to_vec()).collect()
    };
    let (kind, rows, count) = match model {
        Model::Pca(pca) => {
            let rows = pca.components.outer_iter().take(COMPONENTS).map(narrow).collect();
            (ComponentKind::Axes, rows, pca.components.nrows())
        }
        Model::Linear(linear) => {
            let columns = linear.decoder().reversed_axes();
            (ComponentKind::Decoder, first(columns), columns.nrows())
        }
        Model::Network(network) => filters(network),
        Model::Predictor(predictor) => filters(predictor.network()),
    };
    Components { kind, rows, count }
}

/// What the first layer looks for.
fn filters(network: &Network) -> (ComponentKind, Vec<Vec<f32>>, usize) {
    let filters = network.weight(0);
    let rows = filters.outer_iter().take(COMPONENTS).map(|row| row.to_vec()).collect();
    (ComponentKind::Filters, rows, filters.nrows())
}

/// How training went, if there was any.
fn history(folder: &Path) -> Result<Option<Vec<Epoch>>> {
    let path = folder.join("history.jsonl");
    if !path.exists() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&path).map_err(|error| Error::read(&path, error))?;
    let epochs: Result<Vec<Epoch>, _> = text.lines().map(serde_json::from_str).collect();
    let epochs = epochs.map_err(|error| {
        Error::bad_file(&path, error.to_string(), "fit again, or remove the file")
    })?;
    Ok(Some(epochs))
}

fn certificate(folder: &Path) -> Result<Option<Certificate>> {
    let path = folder.join("scores.json");
    if !path.exists() {
        return Ok(None);
    }
    let scores: serde_json::Value = read_json(&path)?;
    Ok(serde_json::from_value(scores["fit"]["certificate"].clone()).unwrap_or_default())
}

fn narrow(row: ndarray::ArrayView1<'_, f64>) -> Vec<f32> {
    row.iter().map(|&value| value as f32).collect()
}

fn spectrum(pca: &Pca) -> Spectrum {
    // Centred rows span one dimension less than there are rows, and may span even fewer.
    let most = pca.rows.saturating_sub(1).max(1);
    let spanned = pca.selection.spectrum.iter().take(most).take_while(|variance| **variance > 0.0);
    let variances: Vec<f64> = spanned.copied().collect();
    Spectrum {
        ratio: variances.iter().map(|variance| variance / pca.total_variance).collect(),
        explained_variance: variances,
        total_variance: pca.total_variance,
        chosen: pca.components.nrows(),
        reason: pca.selection.reason.clone(),
        null_threshold: pca.selection.threshold.clone(),
    }
}

/// Every so-many-th row, at most `most` of them, with its place.
fn sample(rows: &dyn Source, most: usize) -> narrows::Result<(Vec<usize>, Array2<f64>)> {
    let places = evenly(rows.rows(), most);
    let mut sampled = Array2::zeros((places.len(), rows.dim()));
    let chosen = Chosen { source: rows, places: &places };
    chosen.read_f64(0, sampled.as_slice_mut().expect("owned and row-major"))?;
    Ok((places, sampled))
}

/// Codes of sampled rows, missing values filled.
fn encode(run: &Run, rows: &mut Array2<f64>) -> narrows::Result<Array2<f64>> {
    run.model.fill_missing(rows)?;
    run.model.encode(rows.view())
}

fn codes(run: &Run, dataset: &Dataset, rows: &dyn Source) -> Result<Option<Codes>> {
    if run.model.latent_dim() < 2 {
        return Ok(None);
    }
    let (places, mut sampled) = sample(rows, DRAWN)?;
    let codes = encode(run, &mut sampled)?;
    let axis = |k: usize| match &run.model {
        Model::Pca(pca) => {
            format!("component {} ({:.1} %)", k + 1, 100.0 * pca.explained_variance_ratio[k])
        }
        _ => format!("latent {}", k + 1),
    };
    let labels = dataset.labels.as_ref();
    Ok(Some(Codes {
        points: codes.outer_iter().map(|code| [code[0], code[1]]).collect(),
        rows: rows.rows(),
        classes: labels.map_or_else(Vec::new, |l| places.iter().map(|&p| l.classes[p]).collect()),
        class_names: labels.map_or_else(Vec::new, |labels| labels.names.clone()),
        axis_names: [axis(0), axis(1)],
    }))
}

fn examples(run: &Run, dataset: &Dataset, rows: &dyn Source) -> Result<Examples> {
    let (places, mut sampled) = sample(rows, SHOWN)?;
    let codes = encode(run, &mut sampled)?;
    let rebuilt = run.model.decode(codes.view())?;
    let errors = (&sampled - &rebuilt).outer_iter().map(|error| error.dot(&error)).collect();
    let in_units = dataset.image.is_none().then(|| {
        let norms = norms(run, dataset, &places)?;
        narrows::Result::Ok([&sampled, &rebuilt].map(|x| listed(in_units(run, x, &norms).view())))
    });
    Ok(Examples {
        rows: listed(sampled.view()),
        reconstructions: listed(rebuilt.view()),
        in_units: in_units.transpose()?,
        errors,
        names: places.iter().map(|&place| row_name(dataset, place)).collect(),
    })
}

fn listed(rows: ArrayView2<'_, f64>) -> Vec<Vec<f32>> {
    rows.outer_iter().map(narrow).collect()
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

fn score(name: &str, value: f64, unit: &str, formula: &str, meaning: &str) -> Score {
    let [name, unit, formula, meaning] = [name, unit, formula, meaning].map(str::to_owned);
    Score { name, value, unit, formula, meaning }
}

fn scores(found: &Evaluation, scores: &Scores) -> Vec<Score> {
    let mut all = vec![score(
        "squared_error_per_row",
        scores.squared_error_per_row,
        "prepared units²",
        "1/n · Σ ‖x − x̂‖²",
        "what a row loses on average",
    )];
    all.extend(scores.squared_error_per_row_clipped.map(|value| {
        score(
            "squared_error_per_row_clipped",
            value,
            "prepared units²",
            "1/n · Σ ‖x − clip(x̂)‖²",
            "the same with x̂ kept in the range of the data",
        )
    }));
    all.extend(scores.binary_cross_entropy.map(|value| {
        score(
            "binary_cross_entropy",
            value,
            "nats per value",
            "1/(n·d) · Σ −x ln x̂ − (1 − x) ln(1 − x̂)",
            "how surprised one who believes x̂ is by x",
        )
    }));
    all.push(score(
        "fraction_variance_unexplained",
        scores.fraction_variance_unexplained,
        "share",
        "Σ ‖x − x̂‖² / Σ ‖x − x̄‖²",
        "0 is perfect, 1 is no better than the mean",
    ));
    all.push(score(
        "explained_variance",
        scores.explained_variance,
        "share",
        "1 − Σ ‖e − ē‖² / Σ ‖x − x̄‖², e = x − x̂",
        "the share of the variance that survives",
    ));
    all.extend(found.log_likelihood.filter(|_| scores == &found.scores).map(|value| {
        score(
            "log_likelihood",
            value,
            "nats per row",
            "mean ln N(x; μ, V(Λ − σ²)Vᵀ + σ²I)",
            "how likely rows are under probabilistic PCA",
        )
    }));
    all
}
