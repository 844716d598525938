//! `narrows evaluate`: measure a run on rows.

use std::path::Path;

use anyhow::Result;
use clap::Args;
use narrows::data::{Dataset, Prepared};
use narrows::evaluate::{Evaluation, Scores};
use narrows::store::{Run, read_json, write_json};
use serde_json::{Value, json};

use super::table::table;
use super::{Output, RunOnData, figure};

/// Measure what a model loses of rows, beside PCA of the same width
///
/// Squared errors are in the units of the prepared rows (pixels / 255 for 8-bit pictures), summed
/// over the columns of a row. The figures are kept in the scores.json of the run.
///
/// Example: narrows evaluate runs/a --data test.npy --json
#[derive(Debug, Args)]
pub(crate) struct EvaluateArgs {
    #[command(flatten)]
    on: RunOnData,
    #[command(flatten)]
    output: Output,
}

pub(crate) fn run(args: EvaluateArgs) -> Result<()> {
    let (run, dataset) = args.on.open()?;
    let found = measure(&run, &dataset)?;
    remember(&args.on.run, &dataset.name, &found)?;
    if args.output.json {
        println!("{}", serde_json::to_string_pretty(&found)?);
    } else {
        print_found(&found, run.baseline.is_some());
    }
    Ok(())
}

pub(super) fn measure(run: &Run, dataset: &Dataset) -> Result<Evaluation> {
    let preparation = run.preparation.check(dataset)?;
    let rows = Prepared { source: &*dataset.rows, preparation: &preparation };
    let bounds = preparation.bounds();
    Ok(narrows::evaluate::evaluate(&rows, &run.model, run.baseline.as_ref(), bounds)?)
}

/// Adds the figures to the scores of the run.
fn remember(run: &Path, data: &str, found: &Evaluation) -> Result<()> {
    let path = run.join("scores.json");
    let mut scores: Value = if path.exists() { read_json(&path)? } else { json!({}) };
    scores["evaluate"][data] = json!(found);
    let aside = run.join(".scores.json.new");
    write_json(&aside, &scores)?;
    std::fs::rename(&aside, &path).map_err(|error| narrows::Error::write(&path, error))?;
    Ok(())
}

fn print_found(found: &Evaluation, beside: bool) {
    println!("{} rows, {} columns through {}\n", found.rows, found.input_dim, found.latent_dim);
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
    print!("{}", table(&headings[..if beside { 3 } else { 2 }], &rows));
    if let Some(pythagoras) = &found.pythagoras {
        println!(
            "\nprojected {} + residual {} = total {}  (relative residual {:.1e})",
            figure(pythagoras.projected),
            figure(pythagoras.residual),
            figure(pythagoras.total),
            pythagoras.relative_error
        );
    }
    if let Some(log_likelihood) = found.log_likelihood {
        println!("mean log-likelihood {} nats per row", figure(log_likelihood));
    }
}

fn lines(scores: &Scores) -> Vec<(&'static str, f64)> {
    let mut lines = vec![("squared_error_per_row", scores.squared_error_per_row)];
    let clipped = scores.squared_error_per_row_clipped;
    lines.extend(clipped.map(|value| ("squared_error_per_row_clipped", value)));
    lines.push(("fraction_variance_unexplained", scores.fraction_variance_unexplained));
    lines.push(("explained_variance", scores.explained_variance));
    lines
}
