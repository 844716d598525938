//! The pages of sparse dictionaries: of one, and of those of a sweep.

use std::path::Path;

use anyhow::Result;
use narrows::Error;
use narrows::compute::row_norms;
use narrows::data::OpenOptions;
use narrows::evaluate::{Baselines, DictionaryScores};
use narrows::model::{Autoencoder, Dictionary};
use narrows::report::{
    DictionaryReport, LatentUse, MeasuredOn, SweepReport, dictionary_page, sweep_page,
};
use narrows::train::dictionary::DictionaryRecord;

use super::super::dictionaries::{Rows, Shelf, alike, baseline_name, open, pca};
use super::super::{Output, fit};
use super::ReportArgs;
use super::last_part;
use super::scores::{self, dictionary_scores};

/// Rows that one dictionary, and each of a sweep, is measured on at most.
const MEASURED: usize = 50_000;
const MEASURED_OF_SWEEP: usize = 20_000;
/// Latents in each table, and atoms that are shown.
const LISTED: usize = 12;
const ATOMS: usize = 96;
/// Sizes of codes at which baselines are measured, and how far beyond those of the dictionaries.
const SIZES: usize = 7;
const BEYOND: f64 = 1.5;
/// Names random directions.
const SEED: u64 = 0;

/// The page of what lies in a folder.
pub(super) fn page(args: &ReportArgs, shelf: &Shelf) -> Result<String> {
    shelf.refuse_foreign("report")?;
    if shelf.sweep {
        return many(shelf, &rows(args, shelf)?.at_most(MEASURED_OF_SWEEP), &args.output);
    }
    // Before its rows: of a training that was interrupted there is nothing to show.
    let dictionary = open(&shelf.folder)?;
    one(shelf, &dictionary, &rows(args, shelf)?.at_most(MEASURED))
}

fn rows(args: &ReportArgs, shelf: &Shelf) -> Result<Rows> {
    let own = shelf.trained_on();
    let Some(path) = args.data.as_deref().or(own) else {
        return Err(Error::mistake("report", "rows", "none", "give --data PATH").into());
    };
    let is_own = own == Some(path);
    let target = shelf.config["data"]["target"].as_str().filter(|_| is_own);
    let verified = (!args.unverified).then_some(&args.output);
    let rows = Rows::open(path, target, &OpenOptions::default(), verified)?;
    let hash = shelf.config["data"]["content_hash"].as_str();
    if is_own && hash != Some(&rows.dataset.content_hash) {
        args.output.say(format!("note: {path} has changed since the run was fitted"));
    }
    if args.labels.is_some() || args.label_column.is_some() {
        args.output
            .say("note: labels are not on this page; `narrows evaluate --labels` reads them");
    }
    Ok(rows)
}

/// The file, or the built-in set without its knobs.
fn short(name: &str) -> &str {
    let file = last_part(name);
    file.split_once('?').map_or(file, |(set, _)| set)
}

/// Names the rows that were learned from, and those that are measured where they are others.
fn title(what: &str, shelf: &Shelf, rows: &Rows) -> String {
    let own = shelf.trained_on().map_or_else(String::new, |own| format!(" of {}", short(own)));
    match measured_on(shelf, rows, 0).own {
        true => format!("{what}{own}"),
        false if own.ends_with(short(&rows.dataset.name)) => {
            format!("{what}{own}, measured on other rows")
        }
        false => format!("{what}{own}, measured on {}", short(&rows.dataset.name)),
    }
}

fn measured_on(shelf: &Shelf, rows: &Rows, measured: usize) -> MeasuredOn {
    let hash = shelf.config["data"]["content_hash"].as_str();
    MeasuredOn {
        data: rows.dataset.name.clone(),
        rows: measured,
        of_rows: rows.dataset.rows.rows(),
        own: hash == Some(&rows.dataset.content_hash),
    }
}

fn one(shelf: &Shelf, dictionary: &Dictionary, rows: &Rows) -> Result<String> {
    let found = rows.measure(dictionary)?;
    let (most_used, least_used) = used(dictionary, &found);
    let pca = pca(shelf, rows, found.l0)?
        .map(|(components, found)| (components, scores::scores(&found, &found.scores)));
    let image = rows.image().filter(|_| dictionary.output_dim() == dictionary.input_dim());
    let atoms = match image {
        Some(_) => by_rate(&found).into_iter().take(ATOMS).collect(),
        None => Vec::new(),
    };
    let kind = shelf.config["made"]["kind"].as_str().unwrap_or(dictionary.gate.name());
    Ok(dictionary_page(&DictionaryReport {
        title: title(&format!("Sparse dictionary ({kind})"), shelf, rows),
        on: measured_on(shelf, rows, found.rows),
        gate: dictionary.gate.name().to_owned(),
        dims: [dictionary.input_dim(), dictionary.output_dim()],
        command: fit::dictionary_command(&shelf.config)?,
        configuration: shelf.config.clone(),
        scores: dictionary_scores(&found),
        pca,
        history: history(&shelf.folder)?,
        most_used,
        least_used,
        image,
        atoms: atoms.into_iter().map(|j| (j, dictionary.decoder.row(j).to_vec())).collect(),
        found,
    }))
}

/// Latents that fire at all, the most used first.
fn by_rate(found: &DictionaryScores) -> Vec<usize> {
    let mut latents: Vec<usize> = (0..found.latents).filter(|&j| found.rates[j] > 0.0).collect();
    latents.sort_by(|&a, &b| found.rates[b].total_cmp(&found.rates[a]));
    latents
}

/// The most used, and of the others the least used.
fn used(dictionary: &Dictionary, found: &DictionaryScores) -> (Vec<LatentUse>, Vec<LatentUse>) {
    let lengths = row_norms(&dictionary.decoder);
    let told = |latent: usize| LatentUse {
        latent,
        rate: found.rates[latent],
        size: found.mean_codes[latent] * f64::from(lengths[latent]),
        nearest: found.decoder.nearest[latent],
    };
    let by_rate = by_rate(found);
    let (most, others) = by_rate.split_at(LISTED.min(by_rate.len()));
    let listed = |latents: &mut dyn Iterator<Item = &usize>| latents.map(|&j| told(j)).collect();
    (listed(&mut most.iter()), listed(&mut others.iter().rev().take(LISTED)))
}

fn history(folder: &Path) -> Result<Vec<DictionaryRecord>> {
    let path = folder.join("history.jsonl");
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(&path).map_err(|error| Error::read(&path, error))?;
    let lines: Result<_, _> = text.lines().map(serde_json::from_str).collect();
    Ok(lines.map_err(|error: serde_json::Error| {
        Error::bad_file(&path, error.to_string(), "fit again, or remove the file")
    })?)
}

fn many(shelf: &Shelf, rows: &Rows, output: &Output) -> Result<String> {
    let found = shelf.measure(rows, output, &mut |_| Ok(()))?;
    let l0 = found.points.iter().map(|point| point.l0.mean);
    let widest = found.scores.iter().map(|scores| scores.latents).max().unwrap_or(1);
    let baselines = match rows.targets {
        Some(_) => None,
        None => {
            Some(rows.with(|rows| Baselines::measure(rows, &sizes(l0, rows.dim()), widest, SEED))?)
        }
    };
    let curves = baselines.iter().flat_map(|found| &found.curves);
    Ok(sweep_page(&SweepReport {
        title: title("Sparse dictionaries", shelf, rows),
        on: measured_on(shelf, rows, found.scores[0].rows),
        dim: rows.dataset.rows.dim(),
        command: fit::dictionary_command(&shelf.config)?,
        configuration: shelf.config.clone(),
        names: alike(&found.points, &shelf.members),
        points: found.points,
        baseline_names: curves
            .map(|curve| baseline_name(curve.baseline, curve.directions))
            .collect(),
        baselines,
    }))
}

/// Whole numbers at about equal ratios around some L0, fewer than there are columns: all of those lose
/// nothing.
fn sizes(l0: impl Iterator<Item = f64> + Clone, dim: usize) -> Vec<usize> {
    let low = l0.clone().fold(f64::INFINITY, f64::min).max(1.0) / BEYOND;
    let high = l0.fold(1.0, f64::max) * BEYOND;
    let at = |step: usize| low * (high / low).powf(step as f64 / (SIZES - 1) as f64);
    let most = dim.saturating_sub(1).max(1);
    let size = |step: usize| (at(step).round() as usize).clamp(1, most);
    let mut sizes: Vec<usize> = (0..SIZES).map(size).collect();
    sizes.dedup();
    sizes
}
