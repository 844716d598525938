//! `narrows report`: a page that shows a run.

mod codes;
mod denoised;
mod dictionary;
mod made_of;
mod rows;
mod scores;
mod training;

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use narrows::Error;
use narrows::data::{Dataset, ImageShape, OpenOptions, Prepared};
use narrows::model::{Answer, Model, Pca, Predictor};
use narrows::recipe::{CorruptionKind, CorruptionTable, SparsityKind, SparsityTable};
use narrows::report::{self, RunReport, Spectrum};
use narrows::store::{Run, write_aside};

use super::dictionaries::Shelf;
use super::evaluate::measure;
use super::predict::{self, Measured};
use super::sample::{SAMPLED, Sample};
use super::{Output, Screen, finetune, fit, of_storey, open_like};
pub(super) use scores::dictionary_scores;

/// Rows that are shown whole, evenly taken.
const SHOWN: usize = 12;

/// Show a run on one page: scores, reconstructions, codes, the decoder, training
///
/// Rows beside their reconstructions, codes and their neighbours, rows decoded between and around codes, noise
/// taken away, spectrum, components, training.
///
/// Of a sparse dictionary: training, how often latents fire, the most and the least used, atoms, and how far
/// a known truth was found; of a sweep what each loses at how many latents per row, beside PCA, ICA, random
/// directions and columns, and how alike seeds are. These measure at most 50,000 rows, 20,000 of a sweep.
///
/// The rows are those that the run was fitted on unless others are given. They are read by blocks; what
/// needs many at once holds an even sample of at most 2,400 (fewer where rows are wide: 256 MB), and
/// a copy of it while it tells neighbours. The page names what does not apply, needs no network and is
/// written into the run folder.
///
/// Examples:
///
/// narrows report runs/a --labels train-labels-idx1-ubyte.gz
///
/// narrows report runs/sweep --data stores/held-out --open
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// The run folder that `narrows fit` wrote, of one model or of a sweep of dictionaries. One of another
    /// library is brought into one by `narrows convert … --to narrows`
    run: PathBuf,
    /// Other rows than those it was fitted on
    #[arg(long, value_name = "PATH")]
    data: Option<String>,
    /// A file with one label per row, to colour the codes and to tell their neighbours; not of dictionaries
    #[arg(long, value_name = "PATH")]
    labels: Option<String>,
    /// The column of a table that holds the labels
    #[arg(long, value_name = "NAME")]
    label_column: Option<String>,
    /// Of dictionaries: do not compare the hashes of a store's shards first, which reads it once more
    #[arg(long)]
    unverified: bool,
    /// Show the page in the browser
    #[arg(long)]
    open: bool,
    #[command(flatten)]
    output: Output,
}

pub(crate) fn run(args: ReportArgs) -> Result<()> {
    if let Some(shelf) = Shelf::find(&args.run)? {
        return write(&args, &dictionary::page(&args, &shelf)?);
    }
    if args.unverified {
        let expected = "a sparse dictionary where --unverified is given";
        return Err(Error::mistake("report", expected, "another model", "leave it out").into());
    }
    let run = Run::open(&args.run)?;
    let dataset = rows_of(&args, &run)?;
    let preparation = run.preparation.check(&dataset)?;
    let rows = Prepared { source: &*dataset.rows, preparation: &preparation };
    let subject = Subject::new(&args.run, &run, &dataset, &rows);
    let page = match &run.model {
        Model::Predictor(predictor) => predictor_page(&subject, predictor)?,
        _ => page(&subject)?,
    };
    if dataset.labels.is_none() && args.run.join("report.html").exists() {
        args.output.say("note: there was a page; the new one has no classes without --labels");
    }
    write(&args, &report::run_page(&page))
}

/// Puts a page into the run folder and says where it is.
fn write(args: &ReportArgs, page: &str) -> Result<()> {
    let path = args.run.join("report.html");
    write_aside(&path, page.as_bytes())?;
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

/// What is shown: a run, and rows as it sees them.
struct Subject<'a> {
    folder: &'a Path,
    run: &'a Run,
    dataset: &'a Dataset,
    rows: &'a Prepared<'a>,
    /// The shape of a prepared row, where it is a picture.
    image: Option<ImageShape>,
}

impl<'a> Subject<'a> {
    fn new(folder: &'a Path, run: &'a Run, dataset: &'a Dataset, rows: &'a Prepared<'a>) -> Self {
        let values = |image: &ImageShape| image.height * image.width * image.channels;
        let image = dataset.image.filter(|image| values(image) == run.model.input_dim());
        Self { folder, run, dataset, rows, image }
    }
}

/// What every model has to show.
fn common(on: &Subject<'_>, sample: &Sample, command: String) -> Result<RunReport> {
    let Subject { folder, run, dataset, .. } = *on;
    let answers = match &run.model {
        Model::Predictor(predictor) => Some(match predictor.answer() {
            Answer::Class(names) => names.len(),
            Answer::Number(_) => 1,
        }),
        _ => None,
    };
    Ok(RunReport {
        title: format!("{} of {}", model_name(run), last_part(&dataset.name)),
        data: dataset.name.clone(),
        rows: dataset.rows.rows(),
        input_dim: run.model.input_dim(),
        latent_dim: run.model.latent_dim(),
        answers,
        own_rows: run.config["data"]["content_hash"].as_str() == Some(&dataset.content_hash),
        command,
        configuration: run.config.clone(),
        scores: Vec::new(),
        baseline: None,
        spectrum: None,
        codes: codes::views(on, sample),
        manifold: None,
        interpolation: None,
        denoised: None,
        activity: codes::activity(on)?,
        image: on.image,
        examples: None,
        components: Some(made_of::components(&run.model)),
        mean: None,
        column_names: run.preparation.column_names(),
        history: training::history(folder)?,
        storeys: training::storeys(folder)?,
        certificate: None,
        pythagoras: None,
        classification: None,
        regression: None,
    })
}

fn page(on: &Subject<'_>) -> Result<RunReport> {
    let Subject { folder, run, dataset, rows, .. } = *on;
    let found = measure(run, dataset)?;
    let pca = match (&run.model, &run.baseline) {
        (Model::Pca(pca), _) => Some(pca),
        (_, baseline) => baseline.as_ref(),
    };
    let sample = Sample::take(run, rows, SAMPLED)?;
    let shown = Sample::take(run, rows, SHOWN)?;
    Ok(RunReport {
        scores: scores::scores(&found, &found.scores),
        baseline: run.baseline.as_ref().map(|_| scores::scores(&found, &found.pca)),
        spectrum: pca.map(spectrum),
        manifold: codes::manifold(on, &sample)?,
        interpolation: rows::interpolation(on, &shown)?,
        denoised: denoised::denoised(on)?,
        examples: Some(rows::examples(on, &shown)?),
        mean: pca.map(|pca| rows::narrow(pca.mean.view())),
        certificate: training::certificate(folder)?,
        pythagoras: found.pythagoras,
        ..common(on, &sample, fit::command(run)?)?
    })
}

/// A model that rebuilds nothing: codes, filters, the learning curve, and how well labels are told.
fn predictor_page(on: &Subject<'_>, predictor: &Predictor) -> Result<RunReport> {
    let measure = |labels| {
        let told = predict::predictions(on.run, predictor, on.dataset)?;
        predict::measure(predictor, &told, labels)
    };
    let measured = on.dataset.labels.as_ref().map(measure).transpose()?;
    let (scores, classification, regression) = match measured {
        Some(Measured::Classes(found)) => (scores::class_scores(&found), Some(found), None),
        Some(Measured::Numbers(found)) => (scores::number_scores(&found), None, Some(found)),
        None => (Vec::new(), None, None),
    };
    let sample = Sample::take(on.run, on.rows, SAMPLED)?;
    let common = common(on, &sample, finetune::command(on.run)?)?;
    Ok(RunReport { scores, classification, regression, ..common })
}

/// The file, without the folders that lead to it.
fn last_part(name: &str) -> &str {
    name.trim_end_matches('/').rsplit('/').next().unwrap_or(name)
}

fn model_name(run: &Run) -> &'static str {
    match &run.model {
        Model::Pca(_) => "PCA",
        Model::Linear(_) => "Linear autoencoder",
        Model::Network(_) => autoencoder(run),
        Model::Dictionary(_) => "Sparse dictionary",
        Model::Predictor(predictor) => match predictor.answer() {
            Answer::Class(_) => "Classifier",
            Answer::Number(_) => "Regressor",
        },
    }
}

/// What a network was trained to be: that of a stack says how its first storey was.
fn autoencoder(run: &Run) -> &'static str {
    let noise = of_storey(run, 0, "corruption").map(|table: CorruptionTable| table.kind);
    let penalty = of_storey(run, 0, "sparsity").map(|table: SparsityTable| table.kind);
    let noisy = noise.is_some_and(|kind| kind != CorruptionKind::None);
    let sparse = penalty.is_some_and(|kind| kind != SparsityKind::None)
        || run.config["model"]["top_k"].is_number();
    let stacked = run.config["model"]["kind"] == "stack";
    match (stacked, noisy, sparse) {
        (true, true, _) => "Stacked denoising autoencoder",
        (true, false, true) => "Stacked sparse autoencoder",
        (true, false, false) => "Stacked autoencoder",
        (false, true, _) => "Denoising autoencoder",
        (false, false, true) => "Sparse autoencoder",
        (false, false, false) => "Deep autoencoder",
    }
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
