//! `narrows study`: the experiment of Cunningham et al. on any language model.

mod watch;

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use narrows::Error;
use narrows::data::Preparation;
use narrows::model::{Autoencoder, Dictionary, Model};
use narrows::report::{count, percent};
use narrows::store::{Folder, Run, check_replaceable, write_aside, write_folder, write_json};
use narrows_lm::study::{Studied, Study, StudyRecipe, StudyReport, lay_over};
use serde_json::{Value, json};

use super::fit::{read_recipe, sets};
use super::language::{TextArgs, open_model};
use super::table::table;
use super::{Output, Screen, quoted};
use watch::Watch;

/// Take a language model apart, layer by layer, and compare with what Cunningham et al. (2023) found
///
/// At each layer: dictionaries of several widths and sparsity weights from one pass over the rows,
/// beside PCA, ICA, random directions and columns; dead features; how well rules of tokens tell
/// what features mean; what is lost when rows are put back; how far sizes agree. At one layer: what
/// replaced features do. One page shows all of it beside what the paper found, and says what
/// agrees.
///
/// Memory: the model, the tokens of the text (4 bytes each), the rows of at most 131,072 tokens of
/// one layer four times, and the dictionaries of all layers once and of one layer three times. The rows
/// to learn from lie on the disk, 4 bytes a number, beside OUT, and are taken away at the end.
///
/// Examples:
///
///   narrows study pythia-70m --text pile.jsonl.gz --out studies/pythia-70m
///   narrows study lm-tiny --text stories.txt --lowercase --quick --out studies/first
///   narrows study lm-tiny recipes/lm-features.toml --text stories.txt --set study.passes=2 \
///     --out studies/two
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct StudyArgs {
    /// The folder of the model
    model: PathBuf,
    /// Settings: a TOML file, such as recipes/lm-features.toml
    recipe: Option<PathBuf>,
    #[command(flatten)]
    text: TextArgs,
    /// The folder to write: report.html, study.json, and the chosen dictionary of each layer as a run
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// A first look in a minute or two: less text, fewer dictionaries
    #[arg(long)]
    quick: bool,
    /// Any setting, such as study.passes=2 or 'sweep="alpha=0.1,0.3; width=2x"'
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    #[command(flatten)]
    output: Output,
}

pub(crate) fn run(args: &StudyArgs) -> Result<()> {
    let mut given = match &args.recipe {
        Some(path) => read_recipe(path)?,
        None => json!({}),
    };
    lay_over(&mut given, &sets(&args.sets)?);
    let usual = if args.quick { StudyRecipe::quick() } else { StudyRecipe::usual() };
    let recipe = StudyRecipe::from_value(usual, &given)?;
    check_replaceable(&args.out, Folder::Study)?;
    let model = open_model(&args.model)?;
    let text = TextArgs {
        context: args.text.context.or(Some(recipe.study.context.min(model.architecture.context))),
        ..args.text.clone()
    };
    let study = Study {
        windows: text.windows(&model)?,
        files: args.text.text.iter().map(|file| file.display().to_string()).collect(),
        model: &model,
        recipe,
    };
    let rows = beside(&args.out);
    if rows.exists() {
        return Err(Error::mistake(
            "study",
            format!("nothing at '{}', where rows are kept for a while", rows.display()),
            "something",
            "take it away; it is left over where a study was stopped",
        )
        .into());
    }
    let mut watch = Watch::new(&args.output)?;
    let found = study.run(&rows, &mut watch);
    watch.finish();
    let found = found.inspect_err(|_| {
        // Of a study that was stopped nothing can be gone on from.
        let _ = std::fs::remove_dir_all(&rows);
    })?;
    write(args, &found)?;
    tell(args, &found.report)
}

/// Where the rows lie while the study runs.
fn beside(out: &Path) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push(".rows");
    out.with_file_name(name)
}

fn write(args: &StudyArgs, found: &Studied) -> Result<()> {
    write_folder(&args.out, Folder::Study, |folder| {
        let mut told = json!(found.report);
        told["version"] = json!(env!("CARGO_PKG_VERSION"));
        write_json(&folder.join("study.json"), &told)?;
        write_aside(&folder.join("report.html"), found.report.page(&command(args)).as_bytes())?;
        for (place, (tap, dictionary)) in found.chosen.iter().enumerate() {
            let own = folder.join("dictionaries").join(tap);
            std::fs::create_dir_all(&own).map_err(|error| Error::write(&own, error))?;
            run_of(args, found, place, dictionary).write_into(&own)?;
        }
        Ok(())
    })?;
    Ok(())
}

/// The chosen dictionary of a layer as a run.
fn run_of(args: &StudyArgs, found: &Studied, place: usize, dictionary: &Dictionary) -> Run {
    let layer = &found.report.layers[place];
    let config = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "model": {"kind": "dictionary"},
        "made": layer.tried[layer.chosen].made,
        "data": {"lm": {
            "model": args.model.display().to_string(),
            "text": found.report.text.files,
            "tap": layer.tap,
            "context": found.report.text.context,
            "field": args.text.field,
            "lowercase": args.text.lowercase,
            "no_begin": args.text.no_begin,
        }},
    });
    Run {
        config,
        preparation: Preparation::none(dictionary.input_dim()),
        model: Model::Dictionary(dictionary.clone()),
        baseline: None,
    }
}

/// The command that makes it again.
fn command(args: &StudyArgs) -> String {
    let mut words =
        vec!["narrows".to_owned(), "study".to_owned(), args.model.display().to_string()];
    words.extend(args.recipe.iter().map(|path| path.display().to_string()));
    words.push("--text".to_owned());
    words.extend(args.text.text.iter().map(|path| path.display().to_string()));
    if args.text.field != "text" {
        words.extend(["--field".to_owned(), args.text.field.clone()]);
    }
    if args.text.lowercase {
        words.push("--lowercase".to_owned());
    }
    if args.text.no_begin {
        words.push("--no-begin".to_owned());
    }
    if let Some(context) = args.text.context {
        words.extend(["--context".to_owned(), context.to_string()]);
    }
    if args.quick {
        words.push("--quick".to_owned());
    }
    for set in &args.sets {
        words.extend(["--set".to_owned(), set.clone()]);
    }
    words.extend(["--out".to_owned(), args.out.display().to_string()]);
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

fn tell(args: &StudyArgs, report: &StudyReport) -> Result<()> {
    if args.output.json {
        let told: Value = json!(report);
        return Ok(writeln!(Screen, "{told:#}")?);
    }
    let lines: Vec<Vec<String>> = report
        .layers
        .iter()
        .map(|layer| {
            let chosen = &layer.tried[layer.chosen];
            let spliced = layer.splice.first();
            let lexical = |basis: usize| {
                layer.lexical.get(basis).map_or(String::new(), |line| {
                    format!("{:.3} ± {:.3}", line.matched[0], line.matched[1])
                })
            };
            let best = (1..layer.lexical.len()).max_by(|&a, &b| {
                layer.lexical[a].matched[0].total_cmp(&layer.lexical[b].matched[0])
            });
            vec![
                layer.tap.clone(),
                count(chosen.made.latents),
                chosen.name(),
                format!("{:.1}", chosen.testing.l0),
                format!("{:.4}", chosen.testing.fraction_variance_unexplained),
                percent(chosen.testing.dead_share),
                spliced.map_or(String::new(), |line| percent(line.recovered)),
                lexical(0),
                best.map_or(String::new(), |best| {
                    format!("{} {}", lexical(best), layer.lexical[best].basis)
                }),
            ]
        })
        .collect();
    let headings = [
        "chosen at",
        "#latents",
        "made",
        "#L0",
        "#FVU",
        "#dead",
        "#recovered",
        "#lexical",
        "best other basis",
    ];
    write!(Screen, "{}", table(&headings, &lines))?;
    writeln!(Screen)?;
    for (subject, here, agrees) in report.verdicts() {
        let agrees = match agrees {
            Some(true) => "as in the paper",
            Some(false) => "not as in the paper",
            None => "cannot be told",
        };
        writeln!(Screen, "{subject}: {agrees}. {here}")?;
    }
    args.output.say(format!(
        "{:.0} s; written: {}",
        report.seconds,
        args.out.join("report.html").display()
    ));
    Ok(())
}
