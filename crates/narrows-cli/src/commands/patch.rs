//! `narrows patch`: what replaced features do.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use narrows::report::chart::{Axis, Chart, Series, Style};
use narrows::report::page::{Block, Card, Page, Section, Table};
use narrows::report::{Html, count, number};
use narrows::store::{Folder, check_replaceable, write_aside, write_folder, write_json};
use narrows::{Error, Result as Narrows};
use narrows_lm::patching::{Curve, Experiment, Method, Pair, Point, pronoun_pairs, read_pairs};
use narrows_lm::splice::{BaselineFrames, Splice};
use narrows_lm::{Basis, LanguageModel, Tap};
use serde_json::json;

use super::bar::Bar;
use super::dictionaries::open;
use super::language::{TextArgs, open_model, tap};
use super::table::table;
use super::{Output, Screen, quoted};

/// Replace features in a prompt by those of another prompt, and see how far the model follows
///
/// Between pairs of prompts that differ in one fact, features at a tap take the value that they
/// have with the other prompt, at every position; what the dictionary does not tell of the rows
/// stays. Told is the KL of the next token to that of the other prompt, against the number of
/// replaced features and the size of the edit. Features are put in order on one half of the pairs
/// and told of the other half. With --text PCA and ICA are fitted and stand beside.
///
/// --task pronoun makes pairs of short stories about a girl or a boy with a name, and takes those
/// whose pronoun the model gets right. Memory: the model, 4,096 rows of a pass, and with --text 12
/// bytes for each number of at most 50,000 rows.
///
/// Examples:
///
///   narrows patch runs/sae --lm lm-tiny --tap blocks.1.residual_post --text stories.txt \
///     --lowercase --out patched
///   narrows patch runs/a runs/b --lm pythia-70m --tap blocks.3.residual_post \
///     --pairs pairs.jsonl --out patched
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct PatchArgs {
    /// Folders of dictionaries, as of several sparsity weights
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// The folder of the model
    #[arg(long, value_name = "MODEL_DIR")]
    lm: PathBuf,
    /// A place after a block, such as blocks.1.residual_post
    #[arg(long)]
    tap: String,
    /// Pairs of prompts of as many tokens: a file with {"base": "…", "target": "…"} on each line
    #[arg(long, value_name = "FILE", conflicts_with = "task")]
    pairs: Option<PathBuf>,
    /// A built-in task
    #[arg(long, default_value = "pronoun")]
    task: Task,
    /// Pairs of a built-in task
    #[arg(long, default_value_t = 60, value_name = "N")]
    count: usize,
    /// How sets of features are found: by removal of those that do little, as the paper, or the first by effect
    #[arg(long, default_value = "removal")]
    method: Way,
    /// Text to fit PCA and ICA on
    #[arg(long, num_args = 1.., value_name = "FILE")]
    text: Vec<PathBuf>,
    /// Make letters of the text small, for models that know only those
    #[arg(long, requires = "text")]
    lowercase: bool,
    /// The seed of the pairs
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The folder to write: report.html and curves.json
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Task {
    /// The pronoun that goes with a name
    Pronoun,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Way {
    Removal,
    Effect,
}

impl From<Way> for Method {
    fn from(way: Way) -> Self {
        match way {
            Way::Removal => Self::Removal,
            Way::Effect => Self::Effect,
        }
    }
}

pub(crate) fn run(args: &PatchArgs) -> Result<()> {
    check_replaceable(&args.out, Folder::Patching)?;
    let model = open_model(&args.lm)?;
    let place = tap(&args.tap, &model)?;
    let bases = bases(args, &model, place)?;
    bases.iter().try_for_each(|basis| basis.check(place.width(&model.architecture)))?;
    let (pairs, told) = pairs(args, &model)?;
    let experiment = Experiment::new(&model, place, &pairs)?;
    let mut bar = Bar::new(&args.output);
    let mut curves = Vec::new();
    for (done, basis) in bases.iter().enumerate() {
        curves.push(experiment.curve(basis, args.method.into(), &mut |part| {
            bar.advance((done as f64 + part) / bases.len() as f64, || basis.name.clone());
            true
        })?);
    }
    bar.finish();
    let found = Found { args, model: &model, place, told, split: experiment.split(), curves };
    found.write()?;
    found.tell()
}

fn bases(args: &PatchArgs, model: &LanguageModel, place: Tap) -> Result<Vec<Basis>> {
    let mut bases = Vec::new();
    for run in &args.runs {
        let name = run.file_name().map_or_else(|| run.clone(), PathBuf::from);
        bases.push(Basis::dictionary(name.display().to_string(), open(run)?)?);
    }
    if args.text.is_empty() {
        return Ok(bases);
    }
    let text = TextArgs {
        text: args.text.clone(),
        field: "text".to_owned(),
        lowercase: args.lowercase,
        context: None,
        no_begin: false,
    };
    let splice = Splice { model, tap: place, begin: false };
    let width = place.width(&model.architecture);
    let rows = splice.rows(&text.windows(model)?, BaselineFrames::most_rows(width))?;
    let frames = BaselineFrames::fit(&rows, args.seed)?;
    let named = |basis: &Basis| basis.name.starts_with("PCA") || basis.name.starts_with("ICA");
    bases.extend(frames.at_width(rows.cols())?.into_iter().filter(named));
    Ok(bases)
}

fn pairs(args: &PatchArgs, model: &LanguageModel) -> Narrows<(Vec<Pair>, String)> {
    if let Some(path) = &args.pairs {
        let pairs = read_pairs(model, path)?;
        let told = format!("{} pairs of {}.", count(pairs.len()), path.display());
        return Ok((pairs, told));
    }
    let Task::Pronoun = args.task;
    let (pairs, ability) = pronoun_pairs(model, args.count, args.seed)?;
    let told = format!(
        "Stories about a girl or a boy with a name; which pronoun follows? Of {} prompts the model finds the right \
         one more likely in {:.0} %, with a mean share of {:.2}; {} pairs that it can do are taken.",
        ability.prompts,
        100.0 * ability.right,
        ability.share,
        pairs.len()
    );
    if pairs.len() < 4 {
        return Err(Error::mistake(
            "patch",
            "a model that can do the task",
            told,
            "give pairs of a task that it can do with --pairs",
        ));
    }
    Ok((pairs, told))
}

struct Found<'a> {
    args: &'a PatchArgs,
    model: &'a LanguageModel,
    place: Tap,
    /// The task in words.
    told: String,
    split: [usize; 2],
    curves: Vec<Curve>,
}

/// The first point at which KL has fallen by `part` of what it is when nothing is replaced.
fn fallen(curve: &Curve, part: f64) -> Option<&Point> {
    let nothing = curve.points.first()?.kl;
    curve.points.iter().find(|point| point.kl <= (1.0 - part) * nothing)
}

impl Found<'_> {
    fn lines(&self) -> Vec<Vec<String>> {
        let point = |found: Option<&Point>| match found {
            Some(point) => [count(point.features), number(point.edit)],
            None => ["never".to_owned(), String::new()],
        };
        let line = |curve: &Curve| {
            let ends = [curve.points.first(), curve.points.last()];
            let [first, last] =
                ends.map(|end| end.map_or(String::new(), |p| format!("{:.4}", p.kl)));
            let mut line = vec![curve.basis.clone(), first];
            line.extend(point(fallen(curve, 0.5)));
            line.extend(point(fallen(curve, 0.9)));
            line.push(last);
            line
        };
        self.curves.iter().map(line).collect()
    }

    fn headings() -> [&'static str; 7] {
        [
            "basis",
            "#KL, none",
            "#features for -50 %",
            "#edit",
            "#features for -90 %",
            "#edit",
            "#KL, all",
        ]
    }

    fn tell(&self) -> Result<()> {
        if self.args.output.json {
            return Ok(writeln!(Screen, "{:#}", self.json())?);
        }
        writeln!(Screen, "{}\n", self.told)?;
        write!(Screen, "{}", table(&Self::headings(), &self.lines()))?;
        let [ordered, reported] = self.split;
        writeln!(Screen, "\nordered on {ordered} pairs, told of {reported} others")?;
        self.args.output.say(format!("written: {}", self.args.out.join("report.html").display()));
        Ok(())
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "model": self.model.name,
            "tap": self.place.to_string(),
            "task": self.told,
            "pairs": {"ordered": self.split[0], "reported": self.split[1]},
            "curves": self.curves,
        })
    }

    fn write(&self) -> Result<()> {
        write_folder(&self.args.out, Folder::Patching, |folder| {
            write_json(&folder.join("curves.json"), &self.json())?;
            write_aside(&folder.join("report.html"), self.page().render().as_bytes())
        })?;
        Ok(())
    }

    fn chart(&self, label: &str, of: fn(&Point) -> f64) -> Html {
        let series = self.curves.iter().enumerate().map(|(place, curve)| {
            let shown = curve.points.iter().filter(|point| of(point) > 0.0);
            let points = shown.clone().map(|point| [of(point), point.kl]).collect();
            let spread = shown.map(|point| point.standard_error).collect();
            let own = place < self.args.runs.len();
            let style = if own { Style::Line } else { Style::Dashed };
            Series { spread, ..Series::new(curve.basis.clone(), style, place, points) }
        });
        Chart {
            x: Axis::logarithmic(label),
            y: Axis::linear("KL to the other prompt, nats"),
            series: series.collect(),
            guides: Vec::new(),
            square: false,
        }
        .render()
    }

    fn page(&self) -> Page {
        let [ordered, reported] = self.split;
        let cards = self.curves.iter().take(4).map(|curve| Card {
            value: fallen(curve, 0.5).map_or("never".into(), |point| count(point.features)),
            label: format!("features of {} that halve the KL", curve.basis),
            note: String::new(),
        });
        Page {
            title: "What replaced features do".into(),
            subtitle: format!("{} at {}", self.model.name, self.place),
            narrowing: None,
            cards: cards.collect(),
            sections: vec![
                Section {
                    heading: "Features and KL".into(),
                    text: vec![
                        self.told.clone(),
                        format!(
                            "Features take the value that they have with the other prompt. They were put in order on \
                             {ordered} pairs; the curves are the mean over {reported} others, with a band of one \
                             standard error."
                        ),
                    ],
                    blocks: vec![Block::Pair(vec![
                        (
                            self.chart("replaced features", |point| point.features as f64),
                            "KL against how many features are replaced.".into(),
                        ),
                        (
                            self.chart("size of the edit", |point| point.edit),
                            "KL against the length of what is changed, over all positions.".into(),
                        ),
                    ])],
                },
                Section {
                    heading: "Figures".into(),
                    text: Vec::new(),
                    blocks: vec![
                        Block::Table(Table {
                            columns: Self::headings().map(str::to_owned).into(),
                            rows: self.lines(),
                        }),
                        Block::Code(self.command()),
                    ],
                },
            ],
            missing: Vec::new(),
        }
    }

    fn command(&self) -> String {
        let words: Vec<String> = std::env::args().skip(1).map(|word| quoted(&word)).collect();
        format!("narrows {}", words.join(" "))
    }
}
