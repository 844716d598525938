//! `narrows finetune`: a head on the encoder of a run.

mod study;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;
use clap::{Args, ValueEnum};
use narrows::Error;
use narrows::data::{Dataset, OpenOptions};
use narrows::model::{Answer, Model};
use narrows::recipe::{CorruptionTable, DataTable, Finetune, Fitted};
use narrows::store::{Folder, Run, check_replaceable, write_folder, write_json};
use narrows::train::Unfreezing;
use serde_json::{Value, json};

use super::fit::{self, Asked, Left, Watch, begun};
use super::{Output, Screen, figure, open_like, quoted};

/// Teach the encoder of a run what rows are called, with few labels or many
///
/// A head on the codes learns the labels: a softmax over classes, or a number. Any run will do, PCA
/// too. The result is a run for `narrows predict`. With --label-count nothing is written: it compares,
/// for each number of labels, this encoder, the same layers from random weights, and logistic
/// regression on the rows and on PCA codes of the same width. Until it ends there is a checkpoint in the
/// run folder: Ctrl-C writes one, and --resume goes on from it to the same bits.
///
/// Example: narrows finetune runs/a --data train.npy --labels train-labels.npy --out runs/b
#[derive(Debug, Args)]
pub(crate) struct FinetuneArgs {
    /// The run folder that `narrows fit` wrote
    #[arg(required_unless_present = "resume", requires = "data")]
    run: Option<PathBuf>,
    /// Rows: a file, a folder of pictures, `PATH#name` in an npz, or `demo:digits`
    #[arg(long, value_name = "PATH", required_unless_present = "resume", requires = "run")]
    data: Option<String>,
    /// The column of a table that holds the labels, and is left out of the rows [default: that of
    /// the training data, where it is there]
    #[arg(long, value_name = "NAME", requires = "run")]
    label_column: Option<String>,
    /// A file with one label per row
    #[arg(long, value_name = "PATH", requires = "run")]
    labels: Option<String>,
    /// What labels are: names of classes, or numbers
    #[arg(long, value_enum, default_value_t = Task::Classification, requires = "run")]
    task: Task,
    /// Which layers learn: the head alone, all, or the head first and then one more from the top in
    /// each stage
    #[arg(long, value_enum, default_value_t = Mode::Full, requires = "run")]
    mode: Mode,
    /// Draw the encoder anew, for comparison
    #[arg(long, conflicts_with = "label_count", requires = "run")]
    scratch: bool,
    /// Set any key of `train` or `objective.corruption` (noise on the rows while they are learned), or
    /// model.dropout, as in train.epochs=50
    #[arg(long = "set", value_name = "KEY=VALUE", requires = "run")]
    sets: Vec<String>,
    /// Seed of everything random
    #[arg(long, default_value_t = 0, requires = "run")]
    seed: u64,
    /// The run folder to write; an earlier run of that name is replaced at the end
    #[arg(long, value_name = "DIR", required_unless_present = "label_count")]
    out: Option<PathBuf>,
    /// Go on with a training that was interrupted; --out alone tells which
    #[arg(long, conflicts_with = "label_count")]
    resume: bool,
    /// Study few labels: how many rows have one, as in 100,1000
    #[arg(
        long,
        value_name = "COUNTS",
        value_delimiter = ',',
        requires = "test_data",
        conflicts_with = "out"
    )]
    label_count: Vec<usize>,
    /// The study's number of seeds, each with its own labelled rows
    #[arg(long, default_value_t = 5, requires = "label_count")]
    seeds: usize,
    /// The study's rows to measure on
    #[arg(long, value_name = "PATH", requires = "label_count")]
    test_data: Option<String>,
    /// Their labels
    #[arg(long, value_name = "PATH", requires = "label_count")]
    test_labels: Option<String>,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Task {
    Classification,
    Regression,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    Frozen,
    Full,
    Gradual,
}

pub(crate) fn run(args: FinetuneArgs) -> Result<()> {
    let settings = fit::sets(&args.sets)?;
    let said = Finetune::from_settings(&settings, args.seed)?;
    let Some(out) = &args.out else {
        if settings["train"].get("checkpoint_seconds").is_some() {
            let remedy = "leave it out";
            let got = "'train.checkpoint_seconds'";
            return Err(
                Error::mistake("study few labels", "keys that it reads", got, remedy).into()
            );
        }
        let (asked, run, dataset) = open(&args, said)?;
        return study::run(&args, &asked, &run, &dataset);
    };
    check_replaceable(out, Folder::Run)?;
    check_other(args.run.as_deref(), out)?;
    let left = match args.resume {
        true => Left::in_folder("finetune", out, serde_json::from_value)?,
        false => None,
    };
    let (asked, run, dataset) = match &args.run {
        Some(_) => {
            let (said, run, dataset) = open(&args, said)?;
            let asked = if args.resume { begun(left.as_ref(), Some(said), out)? } else { said };
            (asked, run, dataset)
        }
        None => open_again(begun(left.as_ref(), None, out)?)?,
    };
    write(&args, &asked, (&run, &dataset), left, out)?;
    args.output.say(format!("written: {}", out.display()));
    Ok(())
}

/// Refuses to replace the run whose encoder is used.
fn check_other(run: Option<&Path>, out: &Path) -> Result<()> {
    let place = |path: &Path| path.canonicalize().ok();
    match run.and_then(place) {
        Some(run) if Some(&run) == place(out).as_ref() => Err(Error::mistake(
            "fine-tune",
            "another folder to write than that of the run",
            format!("'{}' for both", out.display()),
            "give another --out",
        )
        .into()),
        _ => Ok(()),
    }
}

/// Run and data, and everything that is asked for, as the options say.
fn open(args: &FinetuneArgs, said: Finetune) -> Result<(Finetune, Run, Dataset)> {
    let source = args.run.clone().unwrap_or_default();
    let run = Run::open(&source)?;
    let given = OpenOptions {
        label_column: args.label_column.clone(),
        labels: args.labels.clone(),
        ..Default::default()
    };
    let dataset = open_like(&run, args.data.as_deref().unwrap_or_default(), given)?;
    let asked = Finetune {
        source: source.display().to_string(),
        data: data_table(args, &run),
        regression: args.task == Task::Regression,
        unfreezing: match args.mode {
            Mode::Frozen => Unfreezing::Frozen,
            Mode::Full => Unfreezing::Full,
            Mode::Gradual => Unfreezing::Gradual,
        },
        scratch: args.scratch,
        ..said
    };
    Ok((asked, run, dataset))
}

/// Run and data of a training that began before.
fn open_again(asked: Finetune) -> Result<(Finetune, Run, Dataset)> {
    let run = Run::open(Path::new(&asked.source))?;
    let DataTable { path, label_column, labels, .. } = asked.data.clone();
    let given = OpenOptions { label_column, labels, ..Default::default() };
    let dataset = open_like(&run, &path.unwrap_or_default(), given)?;
    Ok((asked, run, dataset))
}

fn write(
    args: &FinetuneArgs,
    asked: &Finetune,
    (run, dataset): (&Run, &Dataset),
    left: Option<Left<Finetune>>,
    out: &Path,
) -> Result<()> {
    let begin = Instant::now();
    let content_hash = Finetune::fingerprint(run, dataset);
    let from = left.map(|left| left.of(&content_hash, &dataset.name)).transpose()?;
    let kind = if asked.regression { "regressor" } else { "classifier" };
    let settings = serde_json::to_value(asked)?;
    let watched = Asked {
        command: "finetune",
        config: json!({ "model": { "kind": kind }, "data": asked.data, "train": asked.train }),
        settings,
        content_hash,
        seconds: asked.train.checkpoint_seconds,
    };
    let mut watch = Watch::new(watched, out, &args.output)?;
    let fitted = asked.fit(run, dataset, from, &mut watch);
    watch.finish();
    let fitted = fitted?;
    let scores = scores(asked, &fitted, begin.elapsed().as_secs_f64());
    write_folder(out, Folder::Run, |folder| {
        fitted.run.write_into(folder)?;
        fit::write_history(&folder.join("history.jsonl"), &fitted.history)?;
        write_json(&folder.join("scores.json"), &json!({ "fit": scores }))
    })?;
    if args.output.json {
        writeln!(Screen, "{scores:#}")?;
    } else {
        tell(asked, &fitted, &scores)?;
    }
    Ok(())
}

/// Where rows and labels come from, and how the data of the run were opened.
fn data_table(args: &FinetuneArgs, run: &Run) -> DataTable {
    let trained = &run.config["data"];
    let column = || trained["label_column"].as_str().map(str::to_owned);
    DataTable {
        path: args.data.clone(),
        labels: args.labels.clone(),
        label_column: match args.labels {
            Some(_) => args.label_column.clone(),
            None => args.label_column.clone().or_else(column),
        },
        colour: trained["colour"].as_bool().unwrap_or(false),
        resize: serde_json::from_value(trained["resize"].clone()).ok().flatten(),
    }
}

fn scores(asked: &Finetune, fitted: &Fitted, seconds: f64) -> Value {
    let mut scores = json!({
        "input_dim": fitted.run.model.input_dim(),
        "latent_dim": fitted.run.model.latent_dim(),
        "seconds": seconds,
    });
    let learned = match parted(asked) {
        false => fit::kept_scores(&asked.train, &fitted.history),
        true => json!({ "epochs": fitted.history.len() }),
    };
    fit::lay(&mut scores, learned);
    if asked.regression {
        scores["loss_unit"] = json!("variance of the label");
    }
    scores
}

/// Whether each of several stages kept its best weights: of which epoch the history does not tell.
fn parted(asked: &Finetune) -> bool {
    asked.unfreezing == Unfreezing::Gradual && asked.train.patience.is_some()
}

fn tell(asked: &Finetune, fitted: &Fitted, scores: &Value) -> Result<()> {
    let Model::Predictor(predictor) = &fitted.run.model else { return Ok(()) };
    let network = predictor.network();
    let widths: Vec<String> =
        network.layers().iter().map(|layer| layer.output_dim().to_string()).collect();
    let kind = match predictor.answer() {
        Answer::Class(names) => format!("classifier of {} classes", names.len()),
        Answer::Number(name) => format!("regressor of {name}"),
    };
    writeln!(Screen, "{kind}: {}-{}", fitted.run.model.input_dim(), widths.join("-"))?;
    let seconds = scores["seconds"].as_f64().unwrap_or_default();
    writeln!(Screen, "{} epochs in {seconds:.1} s", fitted.history.len())?;
    let unit = if asked.regression { " of the variance of the label" } else { "" };
    if let Some(kept) = asked.train.kept(&fitted.history).filter(|_| !parted(asked)) {
        let which = match asked.train.patience {
            Some(_) => format!("epoch {}, whose weights were kept", kept.epoch),
            None => "last epoch".to_owned(),
        };
        let measured = kept.validation.map(|loss| format!(", validation {}{unit}", figure(loss)));
        let measured = measured.unwrap_or_default();
        writeln!(Screen, "{which}: loss {}{unit}{measured}", figure(kept.loss))?;
    }
    Ok(())
}

/// The command that makes such a run again: every key of training is said that is not as usual.
pub(super) fn command(run: &Run) -> Result<String> {
    let (model, data) = (&run.config["model"], &run.config["data"]);
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut words =
        vec!["narrows".to_owned(), "finetune".to_owned(), text(&model["source"]["run"])];
    let mut say = |option: &str, value: &Value| {
        if !value.is_null() {
            words.extend([option.to_owned(), text(value)]);
        }
    };
    say("--data", &data["path"]);
    say("--labels", &data["labels"]);
    say("--label-column", &data["label_column"]);
    if model["kind"] == "regressor" {
        say("--task", &json!("regression"));
    }
    say("--mode", &model["mode"]);
    say("--seed", &run.config["seed"]);
    words.extend((model["scratch"] == true).then(|| "--scratch".to_owned()));
    let optimizer = &run.config["train"]["optimizer"];
    let mut usual = json!({
        "model": { "dropout": null },
        "objective": { "corruption": CorruptionTable::default() },
        "train": Finetune::usual_training(optimizer),
    });
    usual["train"]["optimizer"] = json!("adamw");
    // Said always: left out, it depends on the number of rows.
    usual["train"]["epochs"] = Value::Null;
    words.extend(fit::unusual(&run.config, &usual));
    Ok(words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "))
}

/// The mistake of a model that predicts nothing.
pub(super) fn no_predictor() -> Error {
    Error::mistake(
        "predict",
        "a run of `narrows finetune`",
        "a model that was not taught labels",
        "fine-tune it first: narrows finetune RUN --data PATH --labels PATH --out DIR",
    )
}
