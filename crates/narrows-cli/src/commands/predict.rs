//! `narrows predict`: labels and probabilities of rows.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use narrows::data::{Dataset, Labels};
use narrows::evaluate::{Classification, Regression};
use narrows::model::{Answer, Model, Predictor};
use narrows::store::{Run, write_aside};
use ndarray::{Array2, ArrayView1};
use serde_json::{Value, json};

use super::evaluate::remember;
use super::finetune::no_predictor;
use super::table::table;
use super::transform::{check_target, for_prepared_blocks};
use super::{Output, RunOnData, Screen, figure};

/// Tell the labels of rows, and how well that goes where labels are known
///
/// Prints a table (csv) with the label of each row and the probability of each class; where labels
/// are known, how many are right, the error of each class and the confusion matrix, which are kept in
/// the scores.json of the run.
///
/// Example: narrows predict runs/b --data test.npy --labels test-labels.npy
#[derive(Debug, Args)]
pub(crate) struct PredictArgs {
    #[command(flatten)]
    on: RunOnData,
    /// A file with one label per row: measure the predictions
    #[arg(long, value_name = "PATH")]
    labels: Option<String>,
    /// Write the table to this file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

/// How well it went.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Measured {
    Classes(Classification),
    Numbers(Regression),
}

pub(crate) fn run(args: PredictArgs) -> Result<()> {
    let (run, dataset) = args.on.open(args.labels.clone())?;
    let Model::Predictor(predictor) = &run.model else { return Err(no_predictor().into()) };
    if let Some(out) = &args.out {
        let head = header(predictor);
        // A table of predictions may be replaced by another, and nothing else.
        check_target(
            out,
            &args.on.data,
            "a table of predictions",
            &[&head.as_bytes()[..head.len().min(8)]],
        )?;
        if let Some(labels) = &args.labels {
            check_target(out, labels, "a table of predictions", &[b""])?;
        }
    }
    let told = predictions(&run, predictor, &dataset)?;
    let asked = args.labels.is_some() || args.on.label_column.is_some();
    let measured = match dataset.labels.as_ref().map(|l| measure(predictor, &told, l)) {
        // Folders of pictures may be called anything.
        Some(Err(_)) if !asked => None,
        measured => measured.transpose()?,
    };
    let text = || csv(predictor, &told);
    if let Some(path) = &args.out {
        write_aside(path, text().as_bytes())?;
        args.output.say(format!("written: {} rows in {}", told.nrows(), path.display()));
    }
    if let Some(measured) = &measured {
        remember(&args.on.run, "predict", &dataset.name, &measured.as_json())?;
    }
    match (&measured, args.output.json) {
        (Some(measured), true) => writeln!(Screen, "{:#}", measured.as_json())?,
        (Some(measured), false) => measured.print()?,
        (None, true) => writeln!(Screen, "{:#}", as_json(predictor, &told, args.out.is_none()))?,
        (None, false) if args.out.is_none() => write!(Screen, "{}", text())?,
        (None, false) => {}
    }
    Ok(())
}

/// What the model tells of each row.
pub(super) fn predictions(
    run: &Run,
    predictor: &Predictor,
    dataset: &Dataset,
) -> narrows::Result<Array2<f64>> {
    let preparation = run.preparation.check(dataset)?;
    let outputs = predictor.network().layers().last().map_or(0, |layer| layer.output_dim());
    let mut told = Array2::zeros((dataset.rows.rows(), outputs));
    for_prepared_blocks(run, dataset, &preparation, |start, block| {
        let found = predictor.predict(block.view())?;
        told.slice_mut(ndarray::s![start..start + found.nrows(), ..]).assign(&found);
        Ok(())
    })?;
    Ok(told)
}

pub(super) fn measure(
    predictor: &Predictor,
    told: &Array2<f64>,
    labels: &Labels,
) -> narrows::Result<Measured> {
    match predictor.answer() {
        Answer::Class(names) => {
            let truth = Classification::truth(names, labels)?;
            Ok(Measured::Classes(Classification::new(told.view(), names, &truth)))
        }
        Answer::Number(_) => {
            let truth =
                labels.numbers("measure predictions", "numbers as labels", "give numbers")?;
            let told: Vec<f64> = told.iter().copied().collect();
            Ok(Measured::Numbers(Regression::new(&told, &truth)))
        }
    }
}

/// The label of a row, as text.
fn label(predictor: &Predictor, row: ArrayView1<'_, f64>) -> String {
    match predictor.answer() {
        Answer::Class(names) => names[Classification::most_probable(row)].clone(),
        Answer::Number(_) => (row[0] as f32).to_string(),
    }
}

/// The first line of the table.
fn header(predictor: &Predictor) -> String {
    let mut text = match predictor.answer() {
        Answer::Class(names) => {
            let names = names.iter().map(|name| cell(name));
            std::iter::once("label".to_owned()).chain(names).collect::<Vec<_>>().join(",")
        }
        Answer::Number(name) => cell(name),
    };
    text.push('\n');
    text
}

fn csv(predictor: &Predictor, told: &Array2<f64>) -> String {
    let mut text = header(predictor);
    for row in told.outer_iter() {
        text += &cell(&label(predictor, row));
        if let Answer::Class(_) = predictor.answer() {
            row.iter().for_each(|&share| text += &format!(",{}", share as f32));
        }
        text.push('\n');
    }
    text
}

/// A cell of a csv file.
fn cell(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

fn as_json(predictor: &Predictor, told: &Array2<f64>, whole: bool) -> Value {
    let mut found = json!({ "rows": told.nrows() });
    if whole {
        let row = |row: ArrayView1<'_, f64>| match predictor.answer() {
            Answer::Class(names) => {
                let shares =
                    names.iter().zip(row).map(|(name, &share)| (name.clone(), share.into()));
                let shares: serde_json::Map<String, Value> = shares.collect();
                json!({ "label": label(predictor, row), "probabilities": shares })
            }
            Answer::Number(name) => json!({ name.as_str(): row[0] }),
        };
        found["predictions"] = told.outer_iter().map(row).collect();
    }
    found
}

impl Measured {
    fn as_json(&self) -> Value {
        match self {
            Self::Classes(found) => json!(found),
            Self::Numbers(found) => json!(found),
        }
    }

    fn print(&self) -> Result<()> {
        match self {
            Self::Classes(found) => print_classes(found),
            Self::Numbers(found) => {
                let rows = [
                    ("squared_error", figure(found.squared_error)),
                    ("absolute_error", figure(found.absolute_error)),
                    ("r_squared", found.r_squared.map_or("—".to_owned(), figure)),
                ];
                let rows = rows.map(|(name, value)| vec![name.to_owned(), value]);
                writeln!(Screen, "{} rows\n", found.rows)?;
                Ok(write!(Screen, "{}", table(&["score", "#value"], &rows))?)
            }
        }
    }
}

fn print_classes(found: &Classification) -> Result<()> {
    writeln!(
        Screen,
        "{} rows, accuracy {:.2} %, error {:.2} %, cross-entropy {} nats per row\n",
        found.rows,
        100.0 * found.accuracy,
        100.0 * (1.0 - found.accuracy),
        figure(found.cross_entropy)
    )?;
    let percent =
        |error: Option<f64>| error.map_or("—".to_owned(), |e| format!("{:.2}", 100.0 * e));
    let rows: Vec<Vec<String>> = found
        .classes
        .iter()
        .map(|class| vec![class.name.clone(), class.rows.to_string(), percent(class.error)])
        .collect();
    writeln!(Screen, "{}", table(&["class", "#rows", "#error, %"], &rows))?;
    let headings = found.classes.iter().map(|class| format!("#{}", class.name));
    let headings: Vec<String> = std::iter::once("is \\ told".to_owned()).chain(headings).collect();
    let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
    let row = |(class, counts): (&narrows::evaluate::ClassScore, &Vec<usize>)| {
        std::iter::once(class.name.clone()).chain(counts.iter().map(usize::to_string)).collect()
    };
    let rows: Vec<Vec<String>> = found.classes.iter().zip(&found.confusion).map(row).collect();
    write!(Screen, "{}", table(&headings, &rows))?;
    Ok(())
}
