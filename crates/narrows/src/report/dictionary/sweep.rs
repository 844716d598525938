//! The page of several dictionaries: what each loses at how many latents per row.

use super::MeasuredOn;
use crate::evaluate::{Baselines, FrontierPoint, Spread};
use crate::report::chart::{Axis, Chart, Series, Style};
use crate::report::page::{Block, Card, Page, Section, Table};
use crate::report::record::{reproduce, shown_and_missing};
use crate::report::text::{Html, count, decimal, number, percent, plural};

/// The colour of the first baseline: the last of the style sheet are theirs.
const BASELINE_COLOUR: usize = 5;

/// What is known about several dictionaries.
#[derive(Debug, Clone)]
pub struct SweepReport {
    /// The title of the page.
    pub title: String,
    /// What was measured, on which data.
    pub on: MeasuredOn,
    /// Columns of a row.
    pub dim: usize,
    /// The command that makes this sweep; empty where there is none.
    pub command: String,
    /// The complete configuration.
    pub configuration: serde_json::Value,
    /// Dictionaries that differ in more than their seed.
    pub points: Vec<FrontierPoint>,
    /// What each is called.
    pub names: Vec<PointName>,
    /// What there is without a dictionary.
    pub baselines: Option<Baselines>,
    /// What each curve of the baselines is called.
    pub baseline_names: Vec<String>,
}

/// What dictionaries that differ in their seed alone are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PointName {
    /// The names of their folders.
    pub folders: String,
    /// The kind, with what else tells it from others of its kind.
    pub kind: String,
    /// Latents.
    pub latents: String,
    /// What makes the codes sparse: k, the wanted L0, or λ.
    pub sparsity: String,
}

/// The page of several dictionaries.
pub fn sweep_page(report: &SweepReport) -> String {
    let dictionaries: usize = report.points.iter().map(|point| point.members.len()).sum();
    let parts = [
        (Some(frontier(report)), ""),
        (
            truth(report),
            "F1 and MCC: only for sets whose truth is known, such as demo:superposition",
        ),
        (Some(table(report)), ""),
        (stability(report), "how alike seeds are: give a sweep several, as in \"seed=0..4\""),
        (
            report.baselines.as_ref().map(|found| without(found, &report.baseline_names)),
            "baselines",
        ),
    ];
    let (mut sections, missing) = shown_and_missing(parts);
    sections.push(reproduce(&report.command, &report.configuration));
    let page = Page {
        title: report.title.clone(),
        subtitle: format!(
            "{}: {} of rows of {} columns",
            report.on.data,
            plural(dictionaries, "sparse dictionary", "sparse dictionaries"),
            count(report.dim)
        ),
        narrowing: None,
        cards: cards(report, dictionaries),
        sections,
        missing,
    };
    page.render()
}

fn cards(report: &SweepReport, dictionaries: usize) -> Vec<Card> {
    let named = || report.points.iter().zip(&report.names);
    let title = |name: &PointName| format!("{}, {}, {}", name.kind, name.latents, name.sparsity);
    let mut cards = vec![Card {
        value: count(dictionaries),
        label: "dictionaries".into(),
        note: plural(report.points.len(), "setting", "settings"),
    }];
    let f1 = named().filter_map(|(point, name)| Some((point.f1?.mean, name)));
    cards.extend(f1.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(f1, name)| Card {
        value: number(f1),
        label: "largest F1 against the truth".into(),
        note: title(name),
    }));
    let stable =
        named().filter_map(|(point, name)| Some((point.stability.as_ref()?.mcc.mean, name)));
    cards.extend(stable.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(mcc, name)| Card {
        value: number(mcc),
        label: "largest MCC between seeds".into(),
        note: title(name),
    }));
    cards.push(report.on.card());
    cards
}

/// The points of one kind and width, in rising order of L0.
struct Line {
    name: String,
    points: Vec<usize>,
}

fn lines(report: &SweepReport) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for (place, name) in report.names.iter().enumerate() {
        let name = format!("{}, {}", name.kind, name.latents);
        match lines.iter_mut().find(|line| line.name == name) {
            Some(line) => line.points.push(place),
            None => lines.push(Line { name, points: vec![place] }),
        }
    }
    let l0 = |place: &usize| report.points[*place].l0.mean;
    lines.iter_mut().for_each(|line| line.points.sort_by(|a, b| l0(a).total_cmp(&l0(b))));
    lines
}

/// One series for each line, `of` each point of it over its L0.
fn series(report: &SweepReport, of: impl Fn(&FrontierPoint) -> Option<Spread>) -> Vec<Series> {
    let line = |(colour, line): (usize, Line)| {
        let points = || line.points.iter().map(|&place| &report.points[place]);
        let found: Vec<(f64, Spread)> =
            points().filter_map(|point| Some((point.l0.mean, of(point)?))).collect();
        let spread = match found.iter().any(|(_, value)| value.deviation.is_some()) {
            true => found.iter().map(|(_, value)| value.deviation.unwrap_or(0.0)).collect(),
            false => Vec::new(),
        };
        let places = found.iter().map(|(l0, value)| [*l0, value.mean]).collect();
        Series { spread, ..Series::new(line.name.clone(), Style::Line, colour, places) }
    };
    lines(report).into_iter().enumerate().map(line).collect()
}

fn frontier(report: &SweepReport) -> Section {
    let mut all = series(report, |point| Some(point.fraction_variance_unexplained));
    let lost = report.points.iter().map(|point| point.fraction_variance_unexplained.mean);
    // With nearly as many codes as columns nothing is lost, which would stretch the axis beyond use.
    let least = lost.fold(f64::INFINITY, f64::min) / 3.0;
    if let Some(baselines) = &report.baselines {
        for (curve, name) in baselines.curves.iter().zip(&report.baseline_names) {
            let values = baselines.l0.iter().zip(&curve.fraction_variance_unexplained);
            let few = |l0: usize| 2 * l0 <= report.dim;
            let shown = values.filter(|&(&l0, &lost)| few(l0) || lost >= least);
            // Each has its own on every page, however many dictionaries there are.
            let colour = BASELINE_COLOUR + curve.baseline as usize;
            let points = shown.map(|(&l0, &lost)| [l0 as f64, lost]).collect();
            all.push(Series::new(name.clone(), Style::Dashed, colour, points));
        }
    }
    let seeds = report.points.iter().map(|point| point.members.len()).max().unwrap_or(1);
    let mut text = vec![
        "Lower and further to the left is better: less is lost with fewer latents per row. One line for \
         each kind and width."
            .to_owned(),
        report.on.sentence().replace("it learned", "they learned"),
    ];
    if seeds > 1 {
        text.push("The band is one standard deviation over the seeds to either side.".to_owned());
    }
    if report.baselines.is_some() {
        text.push(
            "Dashed: what as many codes of a row keep without a dictionary that was learned; the table \
             below says how."
                .to_owned(),
        );
    }
    let x = Axis::logarithmic("L0: latents per row");
    let y = Axis::logarithmic("fraction of variance unexplained");
    let chart = Chart { x, y, series: all, guides: Vec::new(), square: false };
    Section {
        heading: "Frontier".into(),
        text,
        blocks: vec![Block::Figure(chart.render(), String::new())],
    }
}

/// F1 and MCC to the truth over L0.
fn truth(report: &SweepReport) -> Option<Section> {
    report.points.iter().find(|point| point.f1.is_some())?;
    let chart = |name: &str, of: fn(&FrontierPoint) -> Option<Spread>| -> Html {
        let y = Axis { covers: vec![0.0], ..Axis::linear(name) };
        let x = Axis::logarithmic("L0: latents per row");
        Chart { x, y, series: series(report, of), guides: Vec::new(), square: false }.render()
    };
    Some(Section {
        heading: "The known truth".into(),
        text: vec![
            "F1 of latents as detectors of the features that they stand for, mean over the latents; MCC, the \
             mean |cosine| of atoms and true directions paired one to one."
                .into(),
        ],
        blocks: vec![Block::Pair(vec![
            (chart("F1", |point| point.f1), "F1 of latents.".into()),
            (chart("MCC", |point| point.mcc), "MCC to the true directions.".into()),
        ])],
    })
}

/// A mean with its deviation, where there is one.
fn spread(value: Spread, digits: usize) -> String {
    match value.deviation {
        Some(deviation) => {
            format!("{} ± {}", decimal(value.mean, digits), decimal(deviation, digits))
        }
        None => decimal(value.mean, digits),
    }
}

fn table(report: &SweepReport) -> Section {
    let known = report.points.iter().any(|point| point.f1.is_some());
    let mut columns = ["folder", "kind", "#latents", "sparsity", "#L0", "#FVU", "#dead"]
        .map(String::from)
        .to_vec();
    columns.extend(known.then_some(["#F1", "#MCC"]).into_iter().flatten().map(String::from));
    let row = |(point, name): (&FrontierPoint, &PointName)| {
        let mut cells = vec![
            name.folders.clone(),
            name.kind.clone(),
            name.latents.clone(),
            name.sparsity.clone(),
            spread(point.l0, 2),
            spread(point.fraction_variance_unexplained, 4),
            percent(point.dead_share.mean),
        ];
        if known {
            let cell =
                |value: Option<Spread>| value.map_or_else(|| "—".to_owned(), |v| spread(v, 3));
            cells.extend([cell(point.f1), cell(point.mcc)]);
        }
        cells
    };
    let seeds = report.points.iter().map(|point| point.members.len()).max().unwrap_or(1);
    let deviation = match seeds {
        1 => String::new(),
        seeds => {
            format!(" Mean ± standard deviation over up to {}.", plural(seeds, "seed", "seeds"))
        }
    };
    Section {
        heading: "Dictionaries".into(),
        text: vec![format!(
            "L0 is the mean number of latents per row, FVU the fraction of variance unexplained.{deviation}"
        )],
        blocks: vec![Block::Table(Table {
            columns,
            rows: report.points.iter().zip(&report.names).map(row).collect(),
        })],
    }
}

fn stability(report: &SweepReport) -> Option<Section> {
    let rows: Vec<Vec<String>> = report
        .points
        .iter()
        .zip(&report.names)
        .filter_map(|(point, name)| {
            let found = point.stability.as_ref()?;
            Some(vec![
                format!("{}, {}, {}", name.kind, name.latents, name.sparsity),
                count(found.seeds),
                spread(found.mmcs, 3),
                spread(found.mcc, 3),
                percent(found.matched),
            ])
        })
        .collect();
    let columns = ["made alike", "#seeds", "#MMCS", "#MCC", "#paired above 0.9"].map(String::from);
    let table = Table { columns: columns.into(), rows };
    (!table.rows.is_empty()).then(|| Section {
        heading: "Seed stability".into(),
        text: vec![
            "Whether dictionaries that differ in their seed alone find the same atoms, over all pairs: MMCS, \
             the mean largest cosine, forgives several atoms that found the same; MCC pairs atoms one to one. \
             At 1 they are the same."
                .into(),
        ],
        blocks: vec![Block::Table(table)],
    })
}

fn without(found: &Baselines, names: &[String]) -> Section {
    let mut columns = vec!["FVU without a dictionary".to_owned()];
    columns.extend(found.l0.iter().map(|l0| format!("#L0 {l0}")));
    let rows = found.curves.iter().zip(names).map(|(curve, name)| {
        let values = curve.fraction_variance_unexplained.iter();
        std::iter::once(name.clone()).chain(values.map(|&value| decimal(value, 3))).collect()
    });
    let rows = rows.collect();
    let mut text = vec![
        format!(
            "Fitted on {}, measured on {} others, all rows less their mean.",
            plural(found.fitted_rows, "row", "rows"),
            count(found.rows)
        ),
        "PCA keeps its first components. The others keep of each row the codes that are largest, with their \
         sign: on principal axes, on independent components (FastICA), on random directions of length 1, and \
         the columns themselves. Projections on random directions overlap, so with many the sum overshoots."
            .to_owned(),
    ];
    if !found.ica_converged {
        text.push("ICA was stopped before it came to rest.".to_owned());
    }
    Section {
        heading: "Baselines".into(),
        text,
        blocks: vec![Block::Table(Table { columns, rows })],
    }
}
