//! `narrows evaluate`: measure a run on rows.

mod dictionary;
mod splice;

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use narrows::Error;
use narrows::data::{Chosen, Dataset, Labels, Preparation, Prepared};
use narrows::evaluate::{
    Denoising, Evaluation, Likeness, NeighbourScores, Neighbours, Noise, Scores,
};
use narrows::objective::Corruption;
use narrows::recipe::CorruptionTable;
use narrows::report::count;
use narrows::store::{Run, read_json, write_aside};
use serde_json::{Value, json};

use super::dictionaries::Shelf;
use super::sample::{SAMPLED, Sample};
use super::table::table;
use super::{Output, RunOnData, Screen, figure, fit, of_storey};
use splice::SpliceArgs;

/// Measure what a model loses of rows, beside PCA of the same width
///
/// Squared errors are in the units of the prepared rows (pixels / 255 for 8-bit pictures; of a
/// dictionary, which takes rows as they are, their own), summed over the columns of a row. The
/// figures are kept in the scores.json of the run.
///
/// Of a sparse dictionary, a run or the folder of another library, it tells how many latents fire
/// and how often, what is lost beside PCA with as many components as latents fire per row, and, of
/// a set whose truth is known, how far that was found. Of a sweep it tells each kind with mean and
/// deviation over the seeds, and how alike the seeds are.
///
/// Scores of a dictionary: fraction_variance_unexplained is squared error over squared distance
/// from the mean row, explained_variance one minus the variance of the error over that of the rows,
/// explained_variance_legacy the mean over rows of one minus the ratio of both squares; cosine that
/// of a row and what comes out; l2_ratio the mean of their lengths' ratio; shrinkage the factor
/// that best rescales what comes out, above 1 where it is too short; dense_share the share of
/// latents that fire in more than a tenth of the rows; uniqueness how many different atoms of the
/// other are nearest to some atom, over the atoms.
///
/// With --lm, --text and --tap it tells what a language model loses when its rows at that place are
/// replaced by what the dictionary makes of them: cross-entropy in nats per token, perplexity, KL
/// from what it predicts undisturbed, and loss recovered, the part that is not lost of what zero in
/// their place, or their mean, would lose. Rows of the token that begins a text stay as they are.
/// Each replacement takes one more pass through the blocks above the tap, and in memory beside the
/// model the rows of 8 windows.
///
/// Examples:
///
///   narrows evaluate runs/a --data test.npy --labels test-labels.npy --json
///   narrows evaluate runs/sae --data stores/held-out --baselines
///   narrows evaluate runs/sweep --data stores/held-out --against downloaded-sae
///   narrows evaluate runs/sae --lm pythia-70m --text held-out.txt --tap blocks.3.residual_post \
///     --baselines
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct EvaluateArgs {
    #[command(flatten)]
    on: Given,
    /// A file with one label per row: measure each class too, and whether the nearest codes of an even
    /// sample of at most 2,400 rows tell it; of a dictionary, or each of a sweep, whether 1,
    /// 2 or 5 latents tell it beside as many columns of the rows (of at most 10,000 rows)
    #[arg(long, value_name = "PATH")]
    labels: Option<String>,
    /// Put the noise of the recipe on the rows and measure how well it is taken away
    #[arg(long, conflicts_with = "labels")]
    corrupt: bool,
    /// Names the noise of --corrupt
    #[arg(long, default_value_t = 0, requires = "corrupt")]
    seed: u64,
    /// Another dictionary, of narrows or of another library, that the dictionary or each of a sweep is held
    /// against: how alike the atoms are (MMCS, MCC)
    #[arg(long, value_name = "FOLDER")]
    against: Option<PathBuf>,
    /// Of dictionaries: also what PCA, ICA, random directions and the columns themselves lose with as many
    /// codes per row
    #[arg(long)]
    baselines: bool,
    /// Of a transcoder: the rows that should come out [default: those of its training, for the rows that it
    /// was trained on]
    #[arg(long, value_name = "PATH")]
    target: Option<String>,
    /// Of dictionaries: do not compare the hashes of a store's shards first, which reads it once more
    #[arg(long)]
    unverified: bool,
    #[command(flatten)]
    splice: SpliceArgs,
    #[command(flatten)]
    output: Output,
}

/// A run, and the rows that go through it where it is not text.
#[derive(Debug, Args)]
struct Given {
    /// The run folder that `narrows fit` wrote
    run: PathBuf,
    /// Rows: a file, a folder of pictures, `PATH#name` in an npz, safetensors or arrow file, a store of
    /// `narrows shards`, or a built-in set such as `demo:digits`
    #[arg(long, value_name = "PATH", required_unless_present = "lm")]
    data: Option<String>,
    /// The column of a table that holds the labels, and is left out of the rows [default: that of
    /// the training data, where it is there]
    #[arg(long, value_name = "NAME")]
    label_column: Option<String>,
}

impl Given {
    fn data(&self) -> &str {
        self.data.as_deref().unwrap_or_default()
    }

    fn open(&self, labels: Option<String>) -> Result<(Run, Dataset)> {
        let Self { run, label_column, .. } = self;
        let (run, data) = (run.clone(), self.data().to_owned());
        RunOnData { run, data, label_column: label_column.clone() }.open(labels)
    }
}

pub(crate) fn run(args: EvaluateArgs) -> Result<()> {
    fit::tell_unfinished(&args.on.run, &args.output);
    if let Some(model) = &args.splice.lm {
        return splice::run(&args, model);
    }
    if let Some(shelf) = Shelf::find(&args.on.run)? {
        return dictionary::run(&args, &shelf);
    }
    // Of a folder that is not there one could say that it is no dictionary, which helps nobody.
    if args.on.run.exists() {
        refuse_unread(&args)?;
    }
    let (run, dataset) = args.on.open(args.labels.clone())?;
    if args.corrupt {
        return clean(&args, &run, &dataset);
    }
    let found = measure(&run, &dataset)?;
    let asked = args.labels.is_some() || args.on.label_column.is_some();
    let labels = dataset.labels.as_ref().filter(|_| asked);
    let classes = labels.map(|labels| measure_classes(&run, &dataset, labels)).transpose()?;
    let neighbours = labels.map(|labels| measure_neighbours(&run, &dataset, labels)).transpose()?;
    let neighbours = neighbours.flatten();
    let mut scores = as_json(&found, classes.as_deref());
    if let Some(neighbours) = &neighbours {
        scores["neighbours"] = json!(neighbours);
    }
    remember(&args.on.run, "evaluate", &dataset.name, &scores)?;
    if args.output.json {
        writeln!(Screen, "{scores:#}")?;
    } else {
        print_found(&found, run.baseline.is_some())?;
        print_classes(classes.as_deref().unwrap_or_default(), run.baseline.is_some())?;
        neighbours.iter().try_for_each(print_neighbours)?;
    }
    if !found.scores.fraction_variance_unexplained.is_finite() {
        args.output.say(
            "note: these rows do not vary, so there is no variance to explain: \
             fraction_variance_unexplained and explained_variance are not defined",
        );
    }
    Ok(())
}

/// Options of dictionaries that would silently do nothing.
fn refuse_unread(args: &EvaluateArgs) -> Result<()> {
    let given = [
        (args.against.is_some(), "--against"),
        (args.baselines, "--baselines"),
        (args.target.is_some(), "--target"),
        (args.unverified, "--unverified"),
    ];
    match given.iter().find(|(given, _)| *given) {
        Some((_, option)) => Err(Error::mistake(
            "evaluate",
            format!("a sparse dictionary where {option} is given"),
            format!("'{}', which is none", args.on.run.display()),
            "leave it out, or give another folder",
        )
        .into()),
        None => Ok(()),
    }
}

/// How well noise is taken away, beside the noise itself and the best projection.
fn clean(args: &EvaluateArgs, run: &Run, dataset: &Dataset) -> Result<()> {
    let preparation = run.preparation.check(dataset)?;
    let (Some(pca), Some(noise)) = (&run.baseline, noise(run, &preparation, args.seed)) else {
        return Err(Error::mistake(
            "evaluate --corrupt",
            "a network that was trained to take noise away",
            format!("'{}', which was not", args.on.run.display()),
            "fit one with objective.corruption.kind",
        ))?;
    };
    let rows = Prepared { source: &*dataset.rows, preparation: &preparation };
    let found = narrows::evaluate::denoise(&rows, &run.model, pca, &noise)?;
    remember(&args.on.run, "denoise", &dataset.name, &json!(found))?;
    if args.output.json {
        writeln!(Screen, "{:#}", json!(found))?;
        return Ok(());
    }
    let line = |name: String, likeness: Likeness| {
        let ssim = likeness.ssim.map_or_else(|| "—".to_owned(), |value| format!("{value:.4}"));
        let error = figure(likeness.squared_error_per_row);
        vec![name, error, format!("{:.2}", likeness.psnr), ssim]
    };
    let lines = [
        line("noisy".to_owned(), found.noisy),
        line("restored".to_owned(), found.restored),
        line(best_projection(&found), found.projected),
    ];
    writeln!(Screen, "{} rows\n", found.rows)?;
    let headings = ["against the clean rows", "#squared error per row", "#PSNR, dB", "#SSIM"];
    Ok(write!(Screen, "{}", table(&headings, &lines))?)
}

/// What the projection is, and whether there may be a better one.
fn best_projection(found: &Denoising) -> String {
    match found.components {
        most if most == found.most_components => {
            format!("projection on all {most} components that the run keeps")
        }
        components => format!("best projection, {components} components"),
    }
}

/// The noise that a run was trained to take away, on rows that are prepared so.
pub(super) fn noise(run: &Run, preparation: &Preparation, seed: u64) -> Option<Noise> {
    let corruption = of_storey::<CorruptionTable>(run, 0, "corruption")?.corruption();
    let bounds = preparation.bounds();
    let (range, bounded) = (bounds.unwrap_or((0.0, 1.0)), bounds.is_some());
    let noise = Noise { corruption, range, bounded, image: preparation.image(), seed };
    (corruption != Corruption::None).then_some(noise)
}

pub(super) fn measure(run: &Run, dataset: &Dataset) -> Result<Evaluation> {
    let preparation = run.preparation.check(dataset)?;
    let rows = Prepared { source: &*dataset.rows, preparation: &preparation };
    let bounds = preparation.bounds();
    Ok(narrows::evaluate::evaluate(&rows, &run.model, run.baseline.as_ref(), bounds)?)
}

/// Every class that has rows, by itself.
fn measure_classes(
    run: &Run,
    dataset: &Dataset,
    labels: &Labels,
) -> Result<Vec<(String, Evaluation)>> {
    let preparation = run.preparation.check(dataset)?;
    let rows = Prepared { source: &*dataset.rows, preparation: &preparation };
    let mut places = vec![Vec::new(); labels.names.len()];
    labels.classes.iter().enumerate().for_each(|(row, &class)| places[class].push(row));
    let classes = labels.names.iter().zip(&places).filter(|(_, places)| !places.is_empty());
    let measure = |(name, places): (&String, &Vec<usize>)| {
        let rows = Chosen { source: &rows, places };
        let (pca, bounds) = (run.baseline.as_ref(), preparation.bounds());
        Ok((name.clone(), narrows::evaluate::evaluate(&rows, &run.model, pca, bounds)?))
    };
    classes.map(measure).collect()
}

/// Whether codes keep neighbours together, of an even sample of the rows.
fn measure_neighbours(
    run: &Run,
    dataset: &Dataset,
    labels: &Labels,
) -> narrows::Result<Option<Neighbours>> {
    let preparation = run.preparation.check(dataset)?;
    let rows = Prepared { source: &*dataset.rows, preparation: &preparation };
    Ok(Sample::take(run, &rows, SAMPLED)?.neighbours(Some(labels)))
}

fn as_json(found: &Evaluation, classes: Option<&[(String, Evaluation)]>) -> Value {
    let mut scores = json!(found);
    if let Some(classes) = classes {
        let class = |(name, found): &(String, Evaluation)| {
            let mut scores = json!(found.scores);
            scores["name"] = json!(name);
            scores["rows"] = json!(found.rows);
            scores["pca"] = json!(found.pca);
            scores
        };
        scores["classes"] = classes.iter().map(class).collect();
    }
    scores
}

/// Adds the figures that a command found to the scores of the run.
pub(super) fn remember(run: &Path, command: &str, data: &str, found: &Value) -> Result<()> {
    let path = run.join("scores.json");
    let mut scores: Value = if path.exists() { read_json(&path)? } else { json!({}) };
    let earlier = scores.as_object_mut().map(|scores| scores.entry(command).or_insert(json!({})));
    let Some(Value::Object(earlier)) = earlier else {
        let problem = "it does not hold scores by name";
        return Err(Error::bad_file(path, problem, "move it away, or fit again").into());
    };
    earlier.insert(data.to_owned(), found.clone());
    write_aside(&path, format!("{scores:#}\n").as_bytes())?;
    Ok(())
}

fn print_found(found: &Evaluation, beside: bool) -> Result<()> {
    writeln!(
        Screen,
        "{} rows, {} columns through {}\n",
        count(found.rows),
        found.input_dim,
        found.latent_dim
    )?;
    let rows: Vec<Vec<String>> = lines(&found.scores)
        .into_iter()
        .zip(lines(&found.pca))
        .map(|((name, value), (_, pca))| {
            let mut row = vec![name.to_owned(), figure(value)];
            row.extend(beside.then(|| figure(pca)));
            row
        })
        .collect();
    let headings = ["score", "#model", "#PCA, same width"];
    write!(Screen, "{}", table(&headings[..if beside { 3 } else { 2 }], &rows))?;
    if let Some(pythagoras) = &found.pythagoras {
        writeln!(
            Screen,
            "\nprojected {} + residual {} = total {}  (relative residual {:.1e})",
            figure(pythagoras.projected),
            figure(pythagoras.residual),
            figure(pythagoras.total),
            pythagoras.relative_error
        )?;
    }
    if let Some(log_likelihood) = found.log_likelihood {
        writeln!(Screen, "mean log-likelihood {} nats per row", figure(log_likelihood))?;
    }
    Ok(())
}

fn print_classes(classes: &[(String, Evaluation)], beside: bool) -> Result<()> {
    if classes.is_empty() {
        return Ok(());
    }
    let rows: Vec<Vec<String>> = classes
        .iter()
        .map(|(name, found)| {
            let errors = [&found.scores, &found.pca].map(|s| figure(s.squared_error_per_row));
            let shown = errors.into_iter().take(if beside { 2 } else { 1 });
            [name.clone(), found.rows.to_string()].into_iter().chain(shown).collect()
        })
        .collect();
    let headings = ["class", "#rows", "#squared_error_per_row", "#PCA, same width"];
    write!(Screen, "\n{}", table(&headings[..if beside { 4 } else { 3 }], &rows))?;
    Ok(())
}

fn print_neighbours(found: &Neighbours) -> Result<()> {
    let line = |name: &str, scores: NeighbourScores| {
        let accuracy = scores.accuracy.map_or_else(|| "—".to_owned(), figure);
        vec![name.to_owned(), figure(scores.trustworthiness), accuracy]
    };
    let rows = NeighbourScores { accuracy: found.accuracy_of_rows, trustworthiness: 1.0 };
    let mut lines = vec![line("codes", found.scores)];
    lines.extend(found.pca.map(|pca| line("PCA, same width", pca)));
    lines.push(line("the rows themselves", rows));
    writeln!(Screen, "\n{} nearest neighbours of {} rows\n", found.nearest, found.rows)?;
    Ok(write!(Screen, "{}", table(&["by", "#trustworthiness", "#accuracy"], &lines))?)
}

fn lines(scores: &Scores) -> Vec<(&'static str, f64)> {
    let mut lines = vec![("squared_error_per_row", scores.squared_error_per_row)];
    let clipped = scores.squared_error_per_row_clipped;
    lines.extend(clipped.map(|value| ("squared_error_per_row_clipped", value)));
    lines.extend(scores.binary_cross_entropy.map(|value| ("binary_cross_entropy", value)));
    lines.push(("fraction_variance_unexplained", scores.fraction_variance_unexplained));
    lines.push(("explained_variance", scores.explained_variance));
    lines
}
