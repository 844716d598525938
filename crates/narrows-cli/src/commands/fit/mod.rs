//! `narrows fit`: learn a model into a run folder.

mod again;
mod dictionary;
mod keys;
mod language;
mod rates;
mod settings;
mod storeys;
mod watch;

use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;
use clap::Args;
use narrows::Error;
use narrows::data::Dataset;
use narrows::evaluate::Evaluation;
use narrows::model::Model;
use narrows::recipe::{CorruptionKind, Fitted, Kind, Recipe, SparsityKind};
use narrows::store::{Folder, check_replaceable, write_aside, write_folder, write_json};
use narrows::train::{Epoch, Method, TrainOptions};
use serde_json::{Map, Value, json};

use super::data::tell_doubtful;
use super::{Output, Screen, figure, size};

pub(super) use again::{command, dictionary_command, unusual};
pub(super) use settings::{read_recipe, sets, shipped_recipe};
use watch::tell_replaced;
pub(super) use watch::{Asked, Left, Watch, begun, tell_unfinished};

/// Learn a model from rows, into a run folder
///
/// Settings come from the recipe, then from the options here, then from --set; what is not said has
/// a default. Tall data are read once and never held in memory whole: PCA of d columns needs up to
/// 48·d² bytes (0.2 GB for 2,000 columns) and three blocks of 2,048 rows. Data with more columns
/// than rows are held; what is trained holds the rows as f32, and keeps a checkpoint in the run
/// folder until it ends: Ctrl-C writes one, and --resume goes on from it to the same bits.
///
/// --find-lr tells which learning rate to give: `narrows fit RECIPE --find-lr` prints the curve of
/// the loss and, as its last line, the setting.
///
/// Sparse dictionaries (--model dictionary; sparse autoencoders, SAEs) read the rows while they
/// learn, each once unless train.rows says otherwise: data of any size. Memory: three batches; each
/// dictionary three times, its parameters and what Adam remembers; and the largest twice more, with
/// the codes of a batch, for what a step writes on. The kind is `dictionary.kind`: batchtopk (the
/// default), topk, matryoshka, jumprelu, relu or gated. --sweep makes many from one pass, into
/// DIR/dictionaries/0, 1, … (00, 01, … from eleven on). A store is read before, to compare its
/// hashes and to find what is not a number: --unverified leaves that out. `narrows fit --model
/// dictionary --print-recipe` shows every key and what it is.
///
/// Examples:
///
///   narrows fit --model pca --set model.components=30 --data train.npy --out runs/a
///   narrows fit recipes/deep-mnist.toml --out runs/deep
///   narrows fit --model dictionary --set dictionary.latents=16x --set dictionary.k=32 \
///     --data stores/resid3 --out runs/sae
///   narrows fit --model dictionary --sweep "k=16,32,64; seed=0..2" --data stores/resid3 \
///     --out runs/sweep
///   narrows fit --model dictionary --lm pythia-70m --text pile.jsonl.gz \
///     --tap blocks.3.residual_post --out runs/live
///   narrows fit --resume --out runs/sae
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct FitArgs {
    /// A recipe (TOML)
    recipe: Option<PathBuf>,
    /// The kind of model: pca, linear (an autoencoder learned by following gradients), network (an
    /// autoencoder of layers), stack (the same, learned layer upon layer, then as a whole) or dictionary
    /// (sparse dictionaries: one, or many from one pass) [default: pca]
    #[arg(long, value_name = "KIND")]
    model: Option<String>,
    /// Rows: a file (npy, npz, safetensors, arrow, idx, csv, tsv), a folder of pictures, `PATH#name` in
    /// an npz, safetensors or arrow file, a store of `narrows shards`, a data set of Hugging Face `datasets`,
    /// or a built-in set: `demo:digits`, `demo:faces`, `demo:superposition`, `demo:toy`
    #[arg(long, value_name = "PATH")]
    data: Option<String>,
    /// A file with one label per row
    #[arg(long, value_name = "PATH")]
    labels: Option<String>,
    /// The column of a table that holds the labels
    #[arg(long, value_name = "NAME")]
    label_column: Option<String>,
    /// Keep the colours of pictures
    #[arg(long)]
    colour: bool,
    /// Bring pictures to this size
    #[arg(long, value_name = "WIDTHxHEIGHT", value_parser = size)]
    resize: Option<(usize, usize)>,
    /// Dictionaries: rows that those of --data are to be turned into, one for each: makes a transcoder
    #[arg(long, value_name = "PATH")]
    target: Option<String>,
    #[command(flatten)]
    language: language::LanguageArgs,
    /// Dictionaries: train one with each combination of these values of keys of `dictionary`, as in
    /// "kind=relu; alpha=1e-4..1e-2 log 8; width=4x,8x; seed=0..4": a list, whole numbers with both ends, or
    /// so many values between two (log or linear). alpha is sparsity_weight, width is latents. Combinations that come
    /// to be the same are made once
    #[arg(long, value_name = "AXES")]
    sweep: Option<String>,
    /// Dictionaries: begin without comparing the hashes of a store's shards, which reads it once more
    #[arg(long)]
    unverified: bool,
    /// What becomes of missing values: refuse, mean or em; not of dictionaries [default: refuse]
    #[arg(long, value_name = "HOW")]
    missing: Option<String>,
    /// Set any key of the recipe, as in model.components=30; may be given many times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Seed of everything random [default: 0]
    #[arg(long)]
    seed: Option<u64>,
    /// The run folder to write; an earlier run of that name is replaced at the end
    #[arg(long, value_name = "DIR", default_value = "runs/latest")]
    out: PathBuf,
    /// Go on with a training that was interrupted; --out alone tells which
    #[arg(long)]
    resume: bool,
    /// Find a learning rate: train while it rises, until the loss does, and write nothing
    #[arg(long, conflicts_with_all = ["out", "resume", "print_recipe"])]
    find_lr: bool,
    /// Print every key that the kind of model reads, with its default, and stop
    #[arg(long)]
    print_recipe: bool,
    /// Say every setting and the number of threads
    #[arg(short, long, conflicts_with = "quiet")]
    verbose: bool,
    #[command(flatten)]
    output: Output,
}

pub(crate) fn run(args: FitArgs) -> Result<()> {
    let settings = settings::settings(&args)?;
    if let Some(settings) = dictionary::meant(&args, &settings)? {
        return dictionary::run(&args, &settings);
    }
    if args.language.is_given() {
        let (expected, remedy) = ("dictionaries where --lm is given", "add --model dictionary");
        return Err(Error::mistake("fit", expected, "another model", remedy).into());
    }
    if args.unverified {
        let expected = "dictionaries where --unverified is given";
        return Err(Error::mistake("fit", expected, "another model", "leave it out").into());
    }
    if args.print_recipe {
        let recipe = Recipe::from_value(settings)?;
        return Ok(Screen.write_all(keys::printed(recipe.model.kind).as_bytes())?);
    }
    let left =
        if args.resume { Left::in_folder("fit", &args.out, serde_json::from_value)? } else { None };
    let recipe = recipe(&args, settings, left.as_ref())?;
    if !args.find_lr {
        check_replaceable(&args.out, Folder::Run)?;
    }
    if args.verbose {
        let threads = narrows::compute::threads();
        args.output.say(format!("{}\nthreads: {threads}", keys::settings(&recipe)));
    }
    let dataset = recipe.open()?;
    args.output.say(format!(
        "{}: {} rows × {} columns",
        dataset.name,
        dataset.rows.rows(),
        dataset.rows.dim()
    ));
    tell_doubtful(&dataset, &args.output)?;
    if args.find_lr {
        return rates::find(&recipe, &dataset, &args.output);
    }
    let from = left.map(|left| left.of(&dataset.content_hash, &dataset.name)).transpose()?;
    let begin = Instant::now();
    let fitted = match recipe.model.kind {
        Kind::Pca => {
            let fitted = recipe.fit(&dataset, None, &mut |_: &Epoch| ControlFlow::Continue(()))?;
            tell_replaced(&args.out, &args.output);
            fitted
        }
        _ => {
            let watch = Watch::new(asked(&recipe, &dataset)?, &args.out, &args.output)?;
            let mut watch = watch.replacing(!args.resume);
            let fitted = recipe.fit(&dataset, from, &mut watch);
            watch.finish();
            fitted.map_err(|error| watch::with_command(error, "", &args.out))?
        }
    };
    let seconds = begin.elapsed().as_secs_f64();
    let scores = scores(&recipe, &fitted, seconds);
    write_folder(&args.out, Folder::Run, |folder| {
        fitted.run.write_into(folder)?;
        write_history(&folder.join("history.jsonl"), &fitted.history)?;
        storeys::write(folder, &recipe.train, &fitted.storeys)?;
        write_json(&folder.join("scores.json"), &json!({ "fit": scores }))
    })?;
    if args.output.json {
        writeln!(Screen, "{scores:#}")?;
    } else {
        tell(&recipe, &fitted, seconds)?;
    }
    args.output.say(format!("written: {}", args.out.display()));
    Ok(())
}

/// What was asked for; with --resume, what was asked for when it began.
fn recipe(args: &FitArgs, settings: Value, left: Option<&Left<Recipe>>) -> narrows::Result<Recipe> {
    if !args.resume {
        return Recipe::from_value(settings);
    }
    let nothing_said = settings.as_object().is_some_and(Map::is_empty);
    let said = if nothing_said { None } else { Some(Recipe::from_value(settings)) };
    match (said.transpose(), left) {
        // Settings that are none by themselves are surely others than those that it began with.
        (Err(_), Some(_)) => Err(watch::other_settings()),
        (said, left) => begun(left, said?, &args.out),
    }
}

fn asked(recipe: &Recipe, dataset: &Dataset) -> Result<Asked> {
    let settings = serde_json::to_value(recipe)?;
    Ok(Asked {
        command: "fit",
        config: settings.clone(),
        settings,
        content_hash: dataset.content_hash.clone(),
        seconds: recipe.train.checkpoint_seconds,
    })
}

/// An error of PCA below this share of the variance is rounding.
const ROUNDING: f64 = 1e-9;

/// The share of the variance that is lost where a training did not settle: to give back the mean row
/// loses 1, and some steps from random weights a few times that.
const DIVERGED: f64 = 100.0;

/// What was trained beside PCA, on training rows, and whether it is any good.
fn tell_training(recipe: &Recipe, training: &Evaluation, rows: usize) -> Result<()> {
    let (own, pca) = (&training.scores, &training.pca);
    writeln!(Screen, "\non {} training rows", training.rows)?;
    writeln!(Screen, "  squared error per row   {}", figure(own.squared_error_per_row))?;
    writeln!(Screen, "  PCA of the same width   {}", figure(pca.squared_error_per_row))?;
    let times = own.squared_error_per_row / pca.squared_error_per_row;
    if own.fraction_variance_unexplained > DIVERGED {
        writeln!(
            Screen,
            "  far worse than to give back the mean row: the training diverged (find a rate with \
             --find-lr), or the rows are far from zero (prepare.scale)"
        )?;
        return Ok(());
    }
    let narrowed = training.latent_dim < training.input_dim.min(rows);
    if narrowed && pca.fraction_variance_unexplained > ROUNDING && times > 1.01 {
        writeln!(Screen, "  {times:.2} times the error of PCA{}", advice(recipe))?;
    }
    if training.latent_dim >= training.input_dim {
        writeln!(Screen, "  the code is as wide as the rows: nothing was narrowed")?;
    }
    Ok(())
}

/// What to do about an error above that of PCA.
fn advice(recipe: &Recipe) -> &'static str {
    match recipe.train.optimizer {
        _ if minimises_more(recipe) => {
            "; more than this error was minimised (noise, augmentation or a penalty)"
        }
        Method::Lbfgs => ": train longer (train.epochs), or take PCA",
        _ => ": train longer (train.epochs), at another rate (train.learning_rate), or take PCA",
    }
}

/// Whether more is asked for than rows given back as they are.
fn minimises_more(recipe: &Recipe) -> bool {
    let objective = &recipe.objective;
    let noises = recipe.storey.iter().filter_map(|storey| storey.corruption.as_ref());
    let penalties = recipe.storey.iter().filter_map(|storey| storey.sparsity.as_ref());
    recipe.train.augmentation.changes()
        || noises.chain([&objective.corruption]).any(|noise| noise.kind != CorruptionKind::None)
        || penalties.chain([&objective.sparsity]).any(|own| own.kind != SparsityKind::None)
}

/// The epoch whose weights were kept, in numbers: its place, and its losses.
pub(super) fn kept_scores(train: &TrainOptions, history: &[Epoch]) -> Value {
    let kept = train.kept(history);
    json!({
        "epochs": history.len(),
        "kept_epoch": kept.map(|epoch| epoch.epoch),
        "loss": kept.map(|epoch| epoch.loss),
        "penalty": kept.and_then(|epoch| epoch.penalty),
        "validation": kept.and_then(|epoch| epoch.validation),
    })
}

/// Which epoch's weights were kept, where it may not be the last, and their validation loss.
pub(super) fn told_kept(train: &TrainOptions, history: &[Epoch]) -> String {
    let Some(epoch) = train.kept(history) else { return String::new() };
    let kept = match train.patience {
        Some(_) => format!(", the weights of epoch {} kept", epoch.epoch),
        None => String::new(),
    };
    let measured = epoch.validation.map(|loss| format!(", validation loss {}", figure(loss)));
    kept + &measured.unwrap_or_default()
}

pub(super) fn write_history(path: &Path, history: &[Epoch]) -> narrows::Result<()> {
    if history.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = history.iter().map(|epoch| json!(epoch).to_string() + "\n").collect();
    write_aside(path, lines.concat().as_bytes())
}

/// What the fit itself knows, without another pass over the rows.
fn scores(recipe: &Recipe, fitted: &Fitted, seconds: f64) -> Value {
    let run = &fitted.run;
    let mut scores = json!({
        "input_dim": run.model.input_dim(),
        "latent_dim": run.model.latent_dim(),
        "seconds": seconds,
    });
    match &run.model {
        Model::Pca(pca) => {
            let left_out = pca.rows.min(pca.mean.len()) - pca.components.nrows();
            let unbiased = (pca.rows as f64 - 1.0) / pca.rows as f64;
            scores["rows"] = json!(pca.rows);
            scores["solver"] = json!(pca.solver);
            scores["reason"] = json!(pca.selection.reason);
            scores["explained_variance_ratio"] = json!(pca.explained_variance_ratio.sum());
            scores["squared_error_per_row"] =
                json!(pca.noise_variance * left_out as f64 * unbiased);
            scores["noise_variance"] = json!(pca.noise_variance);
        }
        Model::Linear(_) => scores["certificate"] = json!(fitted.certificate),
        Model::Network(_) | Model::Predictor(_) | Model::Dictionary(_) => {
            lay(&mut scores, kept_scores(&recipe.train, &fitted.history));
            scores["training"] = json!(fitted.training);
            if !fitted.storeys.is_empty() {
                let storeys = fitted.storeys.iter();
                scores["storeys"] =
                    storeys.map(|storey| storeys::scores(&recipe.train, storey)).collect();
            }
        }
    }
    scores
}

/// Adds the keys of `more` to `scores`.
pub(super) fn lay(scores: &mut Value, more: Value) {
    if let (Value::Object(scores), Value::Object(more)) = (scores, more) {
        scores.extend(more);
    }
}

fn tell(recipe: &Recipe, fitted: &Fitted, seconds: f64) -> Result<()> {
    let run = &fitted.run;
    let (from, to) = (run.model.input_dim(), run.model.latent_dim());
    let (epochs, kept) = (fitted.history.len(), told_kept(&recipe.train, &fitted.history));
    match &run.model {
        Model::Pca(pca) => {
            let share = 100.0 * pca.explained_variance_ratio.sum();
            let reason = &pca.selection.reason;
            writeln!(
                Screen,
                "PCA: {from} → {to} columns, {share:.2} % of the variance kept ({reason})"
            )?;
            let solver = serde_json::to_value(pca.solver).unwrap_or_default();
            writeln!(
                Screen,
                "fitted in {seconds:.2} s by the {} solver",
                solver.as_str().unwrap_or("?")
            )?;
        }
        Model::Linear(linear) => {
            let form = if linear.is_tied() { "x̂ = CCᵀx" } else { "x̂ = UVx" };
            writeln!(Screen, "linear autoencoder ({form}): {from} → {to} columns")?;
            writeln!(Screen, "{epochs} epochs in {seconds:.1} s{kept}")?;
        }
        Model::Network(network) => {
            let widths: Vec<String> =
                network.layers().iter().map(|layer| layer.output_dim().to_string()).collect();
            storeys::tell(&recipe.train, &fitted.storeys)?;
            writeln!(Screen, "network: {from}-{}, code of {to} columns", widths.join("-"))?;
            writeln!(Screen, "{epochs} epochs in {seconds:.1} s{kept}")?;
        }
        // It is told by `narrows finetune`.
        Model::Predictor(_) | Model::Dictionary(_) => {}
    }
    if let Some(training) = &fitted.training {
        let rows = run.baseline.as_ref().map_or(training.rows, |pca| pca.rows);
        tell_training(recipe, training, rows)?;
    }
    if let Some(certificate) = &fitted.certificate {
        writeln!(Screen, "\ncertificate against the closed form, on the training rows")?;
        writeln!(Screen, "  squared error per row   {}", figure(certificate.loss))?;
        writeln!(Screen, "  least possible (PCA)    {}", figure(certificate.optimum))?;
        writeln!(Screen, "  relative excess         {:.2e}", certificate.relative_excess_loss)?;
        writeln!(Screen, "  largest principal angle {:.2e} rad", certificate.largest_angle)?;
    }
    Ok(())
}
