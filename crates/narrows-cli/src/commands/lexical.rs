//! `narrows lexical`: how much of a dictionary's features tokens and positions alone say.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use clap::Args;
use narrows::compute::Matrix;
use narrows::data::{self, OpenOptions, Precision, ShardElement, Source};
use narrows::report::count;
use narrows::store::{ShardOptions, ShardWriter};
use narrows::{Error, Result as Narrows};
use narrows_lm::harvest::Harvester;
use narrows_lm::lexical::{
    Context, Contexts, Difference, FeatureScore, LexicalOptions, LexicalScores, Mean, Rows, Rule,
    SetScore, baseline_bases, measure,
};
use narrows_lm::text::Windows;
use narrows_lm::{Basis, LanguageModel, Tap};
use serde_json::json;

use super::bar::Bar;
use super::dictionaries::Shelf;
use super::harvest::stop_signal;
use super::language::{TextArgs, note_letters, open_model, tap_of};
use super::table::table;
use super::{Output, Screen, dictionaries};

/// Say how well tokens and positions alone predict the features of a dictionary, on held-out text
///
/// Of each feature the best of five rules is fitted on stretches of the text and measured on the
/// others: mean activation given the token, the token before, both, both and the one before, or the
/// position (rare ones backed off to the coarser rule). Told are the correlation of what is
/// predicted with the activation, and precision, recall and F1 of the best set of tokens, of
/// n-grams or of positions. No other model is asked.
///
/// --baselines measures principal and independent components, random directions and the columns
/// beside it: with all codes of a row (each feature then fires as often as one of the dictionary)
/// and with as many of them as the dictionary keeps.
///
/// Memory: the model, 24 bytes for each token, 16 for each n-gram (about half as many as there are
/// tokens), 8 windows' rows; while bases are measured 90 bytes for each n-gram and thread, and of
/// dense bases 128 for each token. The rows lie in a temporary folder meanwhile, 4 bytes for each
/// number; it goes when the command ends, by Ctrl-C too.
///
/// Examples:
///
///   narrows lexical runs/a --lm pythia-70m --text held-out.txt
///   narrows lexical sae.safetensors --lm pythia-70m --text held-out.txt \
///     --tap blocks.2.residual_post --baselines --json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct LexicalArgs {
    /// The run of a dictionary, or one of another library
    run: PathBuf,
    /// The folder of the language model
    #[arg(long, value_name = "DIR")]
    lm: PathBuf,
    #[command(flatten)]
    text: TextArgs,
    /// The place that the dictionary was trained at; its run says so where it knows
    #[arg(long, value_name = "TAP")]
    tap: Option<String>,
    /// Measure bases that were not learned as a dictionary, too
    #[arg(long)]
    baselines: bool,
    /// Features of each basis that are drawn, at most
    #[arg(long, default_value_t = 256, value_name = "N")]
    features: usize,
    /// The most and the least predictable features that are shown
    #[arg(long, default_value_t = 5, value_name = "N")]
    show: usize,
    /// The seed of the draw, and of random directions
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    output: Output,
}

pub(crate) fn run(args: &LexicalArgs) -> Result<()> {
    if args.features == 0 {
        return Err(Error::mistake(
            "measure lexical interpretability",
            "at least 1 feature",
            "0",
            "give another --features",
        )
        .into());
    }
    let model = open_model(&args.lm)?;
    let shelf = Shelf::find(&args.run)?;
    let tap = tap_of("lexical", args.tap.as_deref(), shelf.as_ref(), &model, &args.output)?;
    note_letters(shelf.as_ref(), args.text.lowercase, &args.output)?;
    let basis = Basis::dictionary("dictionary", dictionaries::open(&args.run)?)?;
    basis.check(tap.width(&model.architecture))?;
    let windows = args.text.windows(&model)?;
    let contexts = Contexts::new(&windows, model.begin())?;
    let stopped = stop_signal()?;
    let named = tempfile::Builder::new().prefix("narrows-lexical-").tempdir();
    let folder = named.map_err(|error| Error::write(std::env::temp_dir(), error))?;
    let rows = harvest(&model, tap, &windows, folder.path(), &stopped, &args.output)?;
    let rows = Stoppable { rows, stopped };
    let found = measured(args, &basis, &rows, &contexts)?;
    if args.output.json {
        let told = json!({
            "tap": tap.to_string(),
            "tokens": contexts.rows(),
            "fitted_tokens": contexts.fitted(),
            "bases": found,
            "differences": found.iter().skip(1).map(|other| json!({
                "basis": other.basis,
                "correlation": Difference::between(&found[0].correlation, &other.correlation),
                "matched_correlation":
                    Difference::between(&found[0].matched_correlation, &other.matched_correlation),
                "f1": Difference::between(&found[0].f1, &other.f1),
            })).collect::<Vec<_>>(),
        });
        return Ok(writeln!(Screen, "{told:#}")?);
    }
    writeln!(
        Screen,
        "{tap}: {} tokens, rules fitted on {} and measured on the others\n",
        count(contexts.rows()),
        count(contexts.fitted()),
    )?;
    print_bases(&found)?;
    print_features(&found[0], &model, args.show)
}

/// The scores of the dictionary, then of the others.
fn measured(
    args: &LexicalArgs,
    basis: &Basis,
    rows: &dyn Source,
    contexts: &Contexts,
) -> Result<Vec<LexicalScores>> {
    let mut bar = Bar::new(&args.output);
    let rows = Rows::Source(rows);
    let options =
        LexicalOptions { features: args.features, seed: args.seed, densities: Vec::new() };
    let own = measure(basis, rows, contexts, &options, &mut |part| {
        bar.advance(part, || "the dictionary".to_owned());
    })?;
    let mut found = vec![own];
    if args.baselines {
        let densities = found[0].densities();
        if densities.is_empty() {
            return Err(Error::mistake(
                "compare bases",
                "a dictionary of which a feature fires on this text",
                "none that does",
                "give more text, or another --tap",
            )
            .into());
        }
        let options = LexicalOptions { densities, ..options };
        let most = l0(basis, rows, contexts)?;
        let bases = baseline_bases(rows, contexts, basis.features(), most, args.seed)?;
        for (place, other) in bases.iter().enumerate() {
            found.push(measure(other, rows, contexts, &options, &mut |part| {
                bar.advance((place as f64 + part) / bases.len() as f64, || other.name.clone());
            })?);
        }
    }
    bar.finish();
    Ok(found)
}

/// Codes that the dictionary keeps of a row, on some of the rows.
fn l0(basis: &Basis, rows: Rows<'_>, contexts: &Contexts) -> Result<usize> {
    let Rows::Source(source) = rows else { return Ok(1) };
    let places = data::evenly(contexts.rows(), 4096);
    let mut some = Matrix::zeros(places.len(), source.dim());
    source.gather_f32(&places, some.as_mut_slice())?;
    let codes = basis.encode(&some)?;
    Ok((codes.entries() as f64 / codes.rows() as f64).round().max(1.0) as usize)
}

/// Fails once the person wants it to stop, so that what is temporary is taken away as after any other failure.
fn go_on(stopped: &AtomicBool) -> Narrows<()> {
    match stopped.load(Ordering::SeqCst) {
        false => Ok(()),
        true => Err(Error::Interrupted {
            operation: "measure lexical interpretability".to_owned(),
            remedy: "nothing is kept; begin again".to_owned(),
        }),
    }
}

/// Rows that are no longer read once the person wants it to stop: all that takes long reads them.
struct Stoppable {
    rows: Box<dyn Source>,
    stopped: Arc<AtomicBool>,
}

impl Source for Stoppable {
    fn rows(&self) -> usize {
        self.rows.rows()
    }

    fn dim(&self) -> usize {
        self.rows.dim()
    }

    fn precision(&self) -> Precision {
        self.rows.precision()
    }

    fn read_f32(&self, start: usize, out: &mut [f32]) -> Narrows<()> {
        go_on(&self.stopped)?;
        self.rows.read_f32(start, out)
    }

    fn read_f64(&self, start: usize, out: &mut [f64]) -> Narrows<()> {
        go_on(&self.stopped)?;
        self.rows.read_f64(start, out)
    }

    fn gather_f32(&self, places: &[usize], out: &mut [f32]) -> Narrows<()> {
        go_on(&self.stopped)?;
        self.rows.gather_f32(places, out)
    }
}

/// Runs the model over the text; its rows at the tap are written into `folder` and opened there.
fn harvest(
    model: &LanguageModel,
    tap: Tap,
    windows: &Windows,
    folder: &Path,
    stopped: &AtomicBool,
    output: &Output,
) -> Result<Box<dyn Source>> {
    let store = folder.join("rows");
    let options = ShardOptions::new(tap.width(&model.architecture), ShardElement::F32);
    let mut writer = ShardWriter::create(&store, options)?;
    let (mut harvester, mut bar) = (Harvester::new(model, &[tap], false), Bar::new(output));
    let mut done = 0;
    for part in windows.parts() {
        go_on(stopped)?;
        writer.push(harvester.run(&part)?.rows[0].as_slice())?;
        done += part.tokens.len();
        bar.advance(done as f64 / windows.tokens.len() as f64, || {
            format!("{} tokens", count(done))
        });
    }
    bar.finish();
    writer.finish()?;
    Ok(data::open(&store.to_string_lossy(), &OpenOptions::default())?.rows)
}

fn told(mean: &Mean) -> String {
    match mean.standard_error {
        Some(error) => format!("{:.3} ± {error:.3}", mean.mean),
        None => format!("{:.3}", mean.mean),
    }
}

fn print_bases(found: &[LexicalScores]) -> Result<()> {
    let headings = [
        "basis",
        "#features",
        "#dead",
        "#rare",
        "#density",
        "#correlation",
        "#matched",
        "#F1",
        "#precision",
        "#recall",
        "#F1 of tokens",
        "wins",
    ];
    let lines = found.iter().map(|basis| {
        let wins = |rule: &Rule| {
            (basis.wins[rule] > 0).then(|| format!("{} {}", rule.name(), basis.wins[rule]))
        };
        vec![
            basis.basis.clone(),
            basis.features.len().to_string(),
            basis.dead.to_string(),
            basis.rare.to_string(),
            format!("{:.4}", basis.density.mean),
            told(&basis.correlation),
            told(&basis.matched_correlation),
            told(&basis.f1),
            format!("{:.3}", basis.precision.mean),
            format!("{:.3}", basis.recall.mean),
            told(&basis.token_f1),
            Rule::ALL.iter().filter_map(wins).collect::<Vec<_>>().join(", "),
        ]
    });
    write!(Screen, "{}", table(&headings, &lines.collect::<Vec<_>>()))?;
    if found.len() > 1 {
        writeln!(Screen, "\nmean ± standard error; the dictionary less each other basis:\n")?;
        let difference = |one: &Mean, other: &Mean| {
            let Difference { difference, standard_error } = Difference::between(one, other);
            told(&Mean { mean: difference, standard_error })
        };
        let lines = found[1..].iter().map(|other| {
            vec![
                other.basis.clone(),
                difference(&found[0].correlation, &other.correlation),
                difference(&found[0].matched_correlation, &other.matched_correlation),
                difference(&found[0].f1, &other.f1),
            ]
        });
        let headings = ["basis", "#correlation", "#matched", "#F1"];
        write!(Screen, "{}", table(&headings, &lines.collect::<Vec<_>>()))?;
    }
    Ok(())
}

fn print_features(scores: &LexicalScores, model: &LanguageModel, show: usize) -> Result<()> {
    let mut order: Vec<&FeatureScore> = scores.features.iter().collect();
    order.sort_by(|a, b| b.correlation.total_cmp(&a.correlation));
    let headings = ["#feature", "rule", "#correlation", "#F1", "best set", "contexts"];
    let lines = |features: &[&FeatureScore]| {
        let line = |feature: &&FeatureScore| {
            vec![
                feature.feature.to_string(),
                feature.rule.name().to_owned(),
                format!("{:.3}", feature.correlation),
                format!("{:.3}", feature.set.f1),
                feature.set.rule.name().to_owned(),
                shown(&feature.set, model),
            ]
        };
        features.iter().map(line).collect::<Vec<_>>()
    };
    let show = show.min(order.len() / 2);
    if show > 0 {
        writeln!(Screen, "\npredicted best\n")?;
        write!(Screen, "{}", table(&headings, &lines(&order[..show])))?;
        writeln!(Screen, "\npredicted least\n")?;
        write!(Screen, "{}", table(&headings, &lines(&order[order.len() - show..])))?;
    }
    Ok(())
}

/// The contexts of a set that a feature fires in most, at most 6.
fn shown(set: &SetScore, model: &LanguageModel) -> String {
    let one = |context: &Context| match context.position {
        Some(place) => {
            let document = place.document.map(|(first, last)| format!(", document {first}–{last}"));
            format!("window {}–{}{}", place.window.0, place.window.1, document.unwrap_or_default())
        }
        None => {
            let token =
                |token: &Option<u32>| token.map_or("^".to_owned(), |t| model.tokenizer.token(t));
            format!("{:?}", context.tokens.iter().map(token).collect::<String>())
        }
    };
    let most: Vec<String> = set.contexts.iter().take(6).map(one).collect();
    let rest = set.size.saturating_sub(most.len());
    let rest = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    most.join(" ") + &rest
}
