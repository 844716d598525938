//! `narrows evaluate --lm`: what a language model loses with a dictionary's rows at a tap.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use narrows::report::count;
use narrows::{Error, Result as Narrows};
use narrows_lm::splice::{BaselineFrames, Replacement, Splice, SpliceReport, SpliceScores};
use narrows_lm::text::Windows;
use narrows_lm::{Basis, LanguageModel};
use serde_json::{Value, json};

use super::super::Screen;
use super::super::bar::Bar;
use super::super::dictionaries::{Shelf, open};
use super::super::language::{TextArgs, note_letters, open_model, tap_of};
use super::super::table::table;
use super::{EvaluateArgs, remember};

/// The part of the text that they are fitted on, where it is no other: one in so many.
const PART: usize = 3;
/// Names random directions.
const SEED: u64 = 0;

/// A language model and text, in place of --data.
#[derive(Debug, Args)]
pub(super) struct SpliceArgs {
    /// The folder of a language model: measure what it loses when its rows at --tap are replaced
    #[arg(long, value_name = "MODEL_DIR", requires = "text", help_heading = "In a language model")]
    #[arg(conflicts_with_all = ["data", "labels", "label_column", "corrupt", "against", "target", "unverified"])]
    pub(super) lm: Option<PathBuf>,
    /// Text files: plain (`<|endoftext|>` between documents), .jsonl, either gzipped
    #[arg(long, num_args = 1.., value_name = "FILE", requires = "lm", help_heading = "In a language model")]
    text: Vec<PathBuf>,
    /// The place of the rows, such as blocks.3.residual_post; `narrows lm info` lists them [default: that
    /// which the run, or the store that it was trained on, names]
    #[arg(long, value_name = "TAP", requires = "lm", help_heading = "In a language model")]
    tap: Option<String>,
    /// Other text to fit the baselines on [default: the first third of the text, which is then not measured]
    #[arg(long, num_args = 1.., value_name = "FILE", requires_all = ["lm", "baselines"])]
    #[arg(help_heading = "In a language model")]
    fit_text: Vec<PathBuf>,
    /// Measure so many rows (tokens) of the text at most, in whole windows
    #[arg(long, value_name = "N", requires = "lm", help_heading = "In a language model")]
    rows: Option<usize>,
    /// Replace the rows of the token that begins a text too
    #[arg(long, requires = "lm", help_heading = "In a language model")]
    splice_begin: bool,
    /// The key of the text in a line of .jsonl [default: text]
    #[arg(long, value_name = "KEY", requires = "lm", help_heading = "In a language model")]
    field: Option<String>,
    /// Make letters small, for models that know only those
    #[arg(long, requires = "lm", help_heading = "In a language model")]
    lowercase: bool,
    /// Tokens of a window [default: 256, or as many as the model takes where that is less]
    #[arg(long, value_name = "N", requires = "lm", help_heading = "In a language model")]
    context: Option<usize>,
    /// Do not put the token that begins a text before each document
    #[arg(long, requires = "lm", help_heading = "In a language model")]
    no_begin: bool,
}

impl SpliceArgs {
    fn read(&self, files: &[PathBuf], model: &LanguageModel) -> Narrows<Windows> {
        let text = TextArgs {
            text: files.to_vec(),
            field: self.field.clone().unwrap_or_else(|| "text".to_owned()),
            lowercase: self.lowercase,
            context: self.context,
            no_begin: self.no_begin,
        };
        text.windows(model)
    }

    fn refuse_same_text(&self) -> Narrows<()> {
        let real = |path: &PathBuf| path.canonicalize().unwrap_or_else(|_| path.clone());
        let measured: Vec<PathBuf> = self.text.iter().map(real).collect();
        match self.fit_text.iter().find(|path| measured.contains(&real(path))) {
            None => Ok(()),
            Some(same) => Err(Error::mistake(
                "fit baselines",
                "other text than is measured",
                format!("'{}' for both", same.display()),
                "leave --fit-text out, which fits them on the first third of the text, or give other text",
            )),
        }
    }
}

/// Windows to measure on, and to fit baselines on.
struct Text {
    measured: Windows,
    fitted: Option<Windows>,
    /// Which those are, in words.
    told: String,
}

impl Text {
    fn read(args: &EvaluateArgs, model: &LanguageModel) -> Narrows<Self> {
        let own = &args.splice;
        own.refuse_same_text()?;
        let all = own.read(&own.text, model)?;
        let (measured, fitted, told) = match (args.baselines, own.fit_text.is_empty()) {
            (false, _) => (all, None, String::new()),
            (true, false) => (all, Some(own.read(&own.fit_text, model)?), "--fit-text".to_owned()),
            (true, true) => {
                let windows = all.sequences();
                let first = (windows / PART)
                    .min(BaselineFrames::most_rows(model.architecture.width).div_ceil(all.length));
                if first == 0 {
                    return Err(Error::mistake(
                        "fit baselines on the first third of the text",
                        format!("at least {PART} windows of {} tokens", all.length),
                        windows.to_string(),
                        "give more text, a smaller --context, or other text with --fit-text",
                    ));
                }
                let told =
                    format!("the first {first} of {windows} windows, which are not measured");
                (all.part(first..windows), Some(all.part(0..first)), told)
            }
        };
        let most = own.rows.map_or(usize::MAX, |rows| (rows / measured.length).max(1));
        let measured = match most < measured.sequences() {
            true => measured.part(0..most),
            false => measured,
        };
        Ok(Self { measured, fitted, told })
    }
}

pub(super) fn run(args: &EvaluateArgs, folder: &Path) -> Result<()> {
    let shelf = find(&args.on.run)?;
    let model = open_model(folder)?;
    let named = args.splice.tap.as_deref();
    let place = tap_of("evaluate --lm", named, Some(&shelf), &model, &args.output)?;
    note_letters(Some(&shelf), args.splice.lowercase, &args.output)?;
    let splice = Splice { model: &model, tap: place, begin: args.splice.splice_begin };
    let dictionaries = read(&shelf)?;
    dictionaries.iter().try_for_each(|basis| splice.check(basis))?;
    let text = Text::read(args, &model)?;
    let (baselines, fitted) = match &text.fitted {
        Some(windows) => {
            let (found, told) = baselines(&splice, windows, &dictionaries)?;
            (found, Some(told))
        }
        None => (Vec::new(), None),
    };
    let own = dictionaries.len();
    let mut all: Vec<Replacement> = dictionaries.into_iter().map(Replacement::features).collect();
    if args.baselines {
        all.push(Replacement::Identity);
    }
    all.extend(baselines.into_iter().map(Replacement::features));
    let mut bar = Bar::new(&args.output);
    let tokens = text.measured.tokens.len();
    let report = splice.measure(&text.measured, &all, &mut |done| {
        bar.advance(done, || {
            format!("{} of {} tokens", count((done * tokens as f64) as usize), count(tokens))
        });
    })?;
    bar.finish();
    let mut told = json!(report);
    told["text"] = json!(args.splice.text);
    if let Some(mut fitted) = fitted {
        fitted["on"] = json!(text.told);
        told["fitted"] = fitted;
    }
    keep(args, &shelf, own, &told)?;
    match args.output.json {
        true => Ok(writeln!(Screen, "{told:#}")?),
        false => print(&report, &told["fitted"]),
    }
}

fn find(run: &Path) -> Result<Shelf> {
    let found = Shelf::find(run)?;
    found.ok_or_else(|| {
        let got = match run.exists() {
            true => format!("'{}', which is none", run.display()),
            false => format!("'{}', which is not there", run.display()),
        };
        Error::mistake(
            "evaluate --lm",
            "a sparse dictionary: a run of one or of a sweep, or the folder of another library",
            got,
            "give another folder",
        )
        .into()
    })
}

/// The dictionaries of a shelf, all in memory.
fn read(shelf: &Shelf) -> Result<Vec<Basis>> {
    let named = |folder: &PathBuf| {
        let own = folder.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = own
            .filter(|_| shelf.sweep)
            .map_or_else(|| "dictionary".to_owned(), |own| format!("dictionary {own}"));
        Ok(Basis::dictionary(name, open(folder)?)?)
    };
    shelf.members.iter().map(named).collect()
}

/// Baselines at the L0 of each dictionary on the fitted rows, and at the width of the widest.
fn baselines(
    splice: &Splice<'_>,
    windows: &Windows,
    own: &[Basis],
) -> Narrows<(Vec<Basis>, Value)> {
    let width = splice.tap.width(&splice.model.architecture);
    let rows = splice.rows(windows, BaselineFrames::most_rows(width))?;
    let frames = BaselineFrames::fit(&rows, SEED)?;
    let mut sizes = Vec::new();
    for basis in own {
        let codes = basis.encode(&rows)?.entries() as f64;
        sizes.push(((codes / rows.rows() as f64).round() as usize).max(1));
    }
    sizes.sort_unstable();
    sizes.dedup();
    let latents = own.iter().map(Basis::features).max().unwrap_or(width);
    let mut found = Vec::new();
    for &size in &sizes {
        found.extend(frames.at_l0(size, latents)?);
    }
    found.extend(frames.at_width(latents)?);
    let told = json!({ "rows": frames.rows, "l0": sizes, "ica_converged": frames.ica_converged });
    Ok((found, told))
}

/// Adds what was found to the scores of the runs, of each dictionary its own.
fn keep(args: &EvaluateArgs, shelf: &Shelf, own: usize, told: &Value) -> Result<()> {
    if !shelf.is_own() {
        return Ok(());
    }
    let text: Vec<String> =
        args.splice.text.iter().map(|path| path.display().to_string()).collect();
    let name = format!("{} at {}", text.join(" "), told["tap"].as_str().unwrap_or_default());
    remember(&shelf.folder, "splice", &name, told)?;
    if !shelf.sweep {
        return Ok(());
    }
    let all = told["replacements"].as_array();
    for (folder, scores) in shelf.members.iter().zip(all.into_iter().flatten().take(own)) {
        let mut of_one = told.clone();
        of_one["replacements"] = json!([scores]);
        remember(folder, "splice", &name, &of_one)?;
    }
    Ok(())
}

fn print(report: &SpliceReport, fitted: &Value) -> Result<()> {
    let left = match report.rows_left {
        0 => String::new(),
        left => format!("; {} that begin a text left as they are", count(left)),
    };
    writeln!(
        Screen,
        "{} of {}: {} rows replaced{left}; {} predictions\n",
        report.tap,
        report.model,
        count(report.rows),
        count(report.clean.predictions),
    )?;
    let clean = [
        "undisturbed".to_owned(),
        String::new(),
        String::new(),
        format!("{:.4}", report.clean.loss),
        String::new(),
        String::new(),
        String::new(),
        format!("{:.3}", report.clean.perplexity),
    ];
    let mut lines = vec![clean.to_vec()];
    lines.extend(report.replacements.iter().chain([&report.mean, &report.zero]).map(line));
    let headings = [
        "in place of the rows",
        "#L0",
        "#FVU",
        "#CE",
        "#recovered, zero",
        "#recovered, mean",
        "#KL",
        "#perplexity",
    ];
    write!(Screen, "{}", table(&headings, &lines))?;
    if let (Some(rows), Some(on)) = (fitted["rows"].as_u64(), fitted["on"].as_str()) {
        let rest = match fitted["ica_converged"].as_bool() {
            Some(false) => "; ICA had not come to rest",
            _ => "",
        };
        writeln!(Screen, "\nPCA and ICA fitted on {} rows of {on}{rest}", count(rows as usize))?;
    }
    Ok(())
}

fn line(scores: &SpliceScores) -> Vec<String> {
    vec![
        scores.name.clone(),
        scores.l0.map_or_else(String::new, |l0| format!("{l0:.2}")),
        format!("{:.4}", scores.fraction_variance_unexplained),
        format!("{:.4}", scores.loss),
        format!("{:.4}", scores.loss_recovered_zero),
        format!("{:.4}", scores.loss_recovered_mean),
        format!("{:.4}", scores.kl),
        format!("{:.3}", scores.perplexity),
    ]
}
