//! `narrows fit`: learn a model into a run folder.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use narrows::Error;
use narrows::model::Model;
use narrows::recipe::{Fitted, Kind, Recipe};
use narrows::store::{Run, check_replaceable, write_folder, write_json};
use narrows::train::Epoch;
use serde_json::{Map, Value, json};

use super::{Output, figure, size};

/// Every key with its default and what it does; a test keeps it true.
const RECIPE: &str = include_str!("recipe.toml");

/// Learn a model from rows, into a run folder
///
/// Settings come from the recipe, then from the options here, then from --set; what is not said has
/// a default. Tall data are read once and never held in memory whole: PCA of d columns needs up to
/// 48·d² bytes (0.2 GB for 2,000 columns) and three blocks of 2,048 rows. Data with more columns than
/// rows are held, and a linear autoencoder holds the rows as f32.
///
/// Example: narrows fit --model pca --set model.components=30 --data train.npy --out runs/a
#[derive(Debug, Args)]
pub(crate) struct FitArgs {
    /// A recipe (TOML)
    recipe: Option<PathBuf>,
    /// The kind of model: pca, or linear (an autoencoder learned by following gradients)
    #[arg(long, value_name = "KIND")]
    model: Option<String>,
    /// Rows: a file (npy, npz, idx, csv, tsv; gzipped too), a folder of pictures, `PATH#name` in an
    /// npz, or `demo:digits`
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
    /// What becomes of missing values: refuse, mean or em
    #[arg(long, value_name = "HOW")]
    missing: Option<String>,
    /// Set any key of the recipe, as in model.components=30
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Seed of everything random
    #[arg(long)]
    seed: Option<u64>,
    /// The run folder to write; an earlier run of that name is replaced at the end
    #[arg(long, value_name = "DIR", default_value = "runs/latest")]
    out: PathBuf,
    /// Print every key of a recipe with its default, and stop
    #[arg(long)]
    print_recipe: bool,
    #[command(flatten)]
    output: Output,
}

pub(crate) fn run(args: FitArgs) -> Result<()> {
    if args.print_recipe {
        print!("{RECIPE}");
        return Ok(());
    }
    let recipe = Recipe::from_value(settings(&args)?)?;
    check_replaceable(&args.out)?;
    let dataset = recipe.open()?;
    args.output.say(format!(
        "{}: {} rows × {} columns",
        dataset.name,
        dataset.rows.rows(),
        dataset.rows.dim()
    ));
    let begin = Instant::now();
    let progress = progress(&recipe, &args.output);
    let fitted = recipe.fit(&dataset, &mut |epoch| {
        progress.set_position(epoch.epoch as u64);
        progress.set_message(format!("loss {}", figure(epoch.loss)));
        ControlFlow::Continue(())
    })?;
    progress.finish_and_clear();
    let seconds = begin.elapsed().as_secs_f64();
    let scores = scores(&fitted, seconds);
    write_folder(&args.out, |folder| {
        fitted.run.write_into(folder)?;
        write_history(&folder.join("history.jsonl"), &fitted.history)?;
        write_json(&folder.join("scores.json"), &json!({ "fit": scores }))
    })?;
    if args.output.json {
        println!("{}", serde_json::to_string_pretty(&scores)?);
    } else {
        tell(&fitted, seconds);
    }
    args.output.say(format!("written: {}", args.out.display()));
    Ok(())
}

/// A bar on a terminal, for what takes epochs.
fn progress(recipe: &Recipe, output: &Output) -> ProgressBar {
    if output.quiet || recipe.model.kind == Kind::Pca {
        return ProgressBar::hidden();
    }
    let style = "{bar:30} epoch {pos}/{len}  {msg}  {eta} left";
    ProgressBar::new(recipe.train.epochs as u64)
        .with_style(ProgressStyle::with_template(style).unwrap_or(ProgressStyle::default_bar()))
}

fn write_history(path: &Path, history: &[Epoch]) -> narrows::Result<()> {
    if history.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = history.iter().map(|epoch| json!(epoch).to_string() + "\n").collect();
    std::fs::write(path, lines.concat()).map_err(|error| Error::write(path, error))
}

/// What the fit itself knows, without another pass over the rows.
fn scores(fitted: &Fitted, seconds: f64) -> Value {
    let run = &fitted.run;
    let mut scores = json!({
        "input_dim": run.model.input_dim(),
        "latent_dim": run.model.latent_dim(),
        "seconds": seconds,
    });
    match &run.model {
        Model::Pca(pca) => {
            let kept = pca.explained_variance.sum();
            let unbiased = (pca.rows as f64 - 1.0) / pca.rows as f64;
            scores["rows"] = json!(pca.rows);
            scores["solver"] = json!(pca.solver);
            scores["reason"] = json!(pca.selection.reason);
            scores["explained_variance_ratio"] = json!(kept / pca.total_variance);
            scores["squared_error_per_row"] = json!((pca.total_variance - kept) * unbiased);
            scores["noise_variance"] = json!(pca.noise_variance);
        }
        Model::Linear(_) => scores["certificate"] = json!(fitted.certificate),
    }
    scores
}

fn tell(fitted: &Fitted, seconds: f64) {
    let run = &fitted.run;
    let (from, to) = (run.model.input_dim(), run.model.latent_dim());
    match &run.model {
        Model::Pca(pca) => {
            let share = 100.0 * pca.explained_variance_ratio.sum();
            let reason = &pca.selection.reason;
            println!("PCA: {from} → {to} columns, {share:.2} % of the variance kept ({reason})");
            let solver = serde_json::to_value(pca.solver).unwrap_or_default();
            println!("fitted in {seconds:.2} s by the {} solver", solver.as_str().unwrap_or("?"));
        }
        Model::Linear(linear) => {
            let form = if linear.is_tied() { "x̂ = CCᵀx" } else { "x̂ = UVx" };
            println!("linear autoencoder ({form}): {from} → {to} columns");
            println!("{} epochs in {seconds:.1} s", fitted.history.len());
        }
    }
    if let Some(certificate) = &fitted.certificate {
        println!("\ncertificate against the closed form, on the training rows");
        println!("  squared error per row   {}", figure(certificate.loss));
        println!("  least possible (PCA)    {}", figure(certificate.optimum));
        println!("  relative excess         {:.2e}", certificate.relative_excess_loss);
        println!("  largest principal angle {:.2e} rad", certificate.largest_angle);
    }
}

/// The recipe file, then the options, then --set.
fn settings(args: &FitArgs) -> Result<Value> {
    let mut settings = match &args.recipe {
        Some(path) => read_recipe(path)?,
        None => Value::Object(Map::new()),
    };
    let mut give = |key: &str, value: Value| {
        if !value.is_null() && value != Value::Bool(false) {
            set(&mut settings, key, value);
        }
    };
    give("model.kind", json!(args.model));
    give("data.path", json!(args.data));
    give("data.labels", json!(args.labels));
    give("data.label_column", json!(args.label_column));
    give("data.colour", json!(args.colour));
    give("data.resize", json!(args.resize));
    give("prepare.missing", json!(args.missing));
    give("seed", json!(args.seed));
    for text in &args.sets {
        let (key, value) = text.split_once('=').ok_or_else(|| {
            let expected = "KEY=VALUE such as model.components=30";
            Error::mistake("--set", expected, format!("'{text}'"), "write a key, '=' and a value")
        })?;
        give(key.trim(), value_of(value.trim()));
    }
    Ok(settings)
}

fn read_recipe(path: &PathBuf) -> Result<Value> {
    let text = std::fs::read_to_string(path).map_err(|error| Error::read(path, error))?;
    let recipe = toml::from_str::<Value>(&text).map_err(|error| {
        Error::bad_file(
            path,
            error.to_string().trim_end(),
            "correct it; `--print-recipe` shows a whole one",
        )
    })?;
    Ok(recipe)
}

/// A TOML value where it is one, else a word.
fn value_of(text: &str) -> Value {
    let parsed = toml::from_str::<Map<String, Value>>(&format!("value = {text}"));
    match parsed.ok().and_then(|mut table| table.remove("value")) {
        Some(value) => value,
        None => Value::String(text.to_owned()),
    }
}

/// Puts `value` at `a.b.c`, making tables on the way.
fn set(settings: &mut Value, key: &str, value: Value) {
    let mut at = settings;
    for part in key.split('.') {
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        at = &mut at[part];
    }
    *at = value;
}

/// The command that makes a run again.
pub(super) fn command(run: &Run) -> Result<String> {
    let data = run.config["data"]["path"].as_str().context("the run names no data")?;
    let model = &run.config["model"];
    let width = run.model.latent_dim();
    Ok(match &run.model {
        Model::Pca(_) => {
            format!("narrows fit --model pca --data {data} --set model.components={width}")
        }
        Model::Linear(_) => format!(
            "narrows fit --model linear --data {data} --set model.latent_dim={width} \
             --set model.tied={}",
            model["tied"]
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_recipe_holds_every_key_with_its_default() {
        let printed: Value = toml::from_str(RECIPE).expect("legal TOML");
        let recipe = Recipe::from_value(printed.clone()).expect("legal recipe");
        assert_eq!(recipe, Recipe::default());
        let default = serde_json::to_value(Recipe::default()).expect("plain data");
        for (table, keys) in default.as_object().expect("a table") {
            for (key, value) in keys.as_object().into_iter().flatten() {
                let shown = !printed[table][key].is_null();
                let mentioned = RECIPE.contains(&format!("# {key} = "));
                assert!(if value.is_null() { mentioned } else { shown }, "{table}.{key}");
            }
        }
    }

    #[test]
    fn settings_are_read_as_toml_or_as_words() {
        assert_eq!(value_of("30"), json!(30));
        assert_eq!(value_of("0.9"), json!(0.9));
        assert_eq!(value_of("true"), json!(true));
        assert_eq!(value_of("mle"), json!("mle"));
        assert_eq!(value_of("[28, 28]"), json!([28, 28]));
    }
}
