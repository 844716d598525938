//! The page of a fitted run.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::chart::{Axis, Chart, Guide, Series, Style, colour_class};
use super::page::{Block, Card, Page, Section, Table};
use super::picture::{Grid, Tone, album, image};
use super::record::{Codes, Score, Spectrum, reproduce, scores, shown_and_missing};
use super::text::{Html, count, escape, number, percent};
use crate::data::ImageShape;
use crate::evaluate::{Certificate, Classification, Pythagoras};
use crate::train::Epoch;

/// Angles below this, in radians, count as none: the learned space is that of PCA.
const NO_ANGLE: f64 = 1e-3;
/// How many components and examples are shown.
const MOST_COMPONENTS: usize = 24;
const MOST_EXAMPLES: usize = 12;
/// How many columns stand for a component of a table.
const TOP_LOADINGS: usize = 8;

/// What is known about a fitted run. What is `None` is named as missing on the page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// The title of the page.
    pub title: String,
    /// The data, as the user named it.
    pub data: String,
    /// Rows that were measured.
    pub rows: usize,
    /// Numbers per prepared row.
    pub input_dim: usize,
    /// Numbers per code.
    pub latent_dim: usize,
    /// The kind of model, in words.
    pub model: String,
    /// The command that makes this run.
    pub command: String,
    /// The complete resolved configuration.
    pub configuration: serde_json::Value,
    /// What was measured.
    pub scores: Vec<Score>,
    /// The same scores of PCA with the same `latent_dim`; `None` where the model is PCA.
    pub baseline: Option<Vec<Score>>,
    /// The spectrum of the data.
    pub spectrum: Option<Spectrum>,
    /// Codes in two dimensions.
    pub codes: Option<Codes>,
    /// The size of the pictures, where rows are pictures.
    pub image: Option<ImageShape>,
    /// Some rows and what the model makes of them.
    pub examples: Option<Examples>,
    /// The components (or decoder columns), each of `input_dim` numbers.
    pub components: Option<Vec<Vec<f32>>>,
    /// The mean row.
    pub mean: Option<Vec<f32>>,
    /// The names of the `input_dim` prepared columns; empty where they have none.
    pub column_names: Vec<String>,
    /// How training went; `None` for a closed form.
    pub history: Option<Vec<Epoch>>,
    /// The comparison of a learned linear model with the optimum.
    pub certificate: Option<Certificate>,
    /// The check that projection and residual are at right angles.
    pub pythagoras: Option<Pythagoras>,
    /// How well classes are told; `None` for a model that tells none, or rows without labels.
    #[serde(default)]
    pub classification: Option<Classification>,
}

/// Some rows, their reconstructions, and how far apart they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Examples {
    /// The rows.
    pub rows: Vec<Vec<f32>>,
    /// Their reconstructions.
    pub reconstructions: Vec<Vec<f32>>,
    /// The squared error of each row.
    pub errors: Vec<f64>,
    /// A name for each row; may be empty.
    pub names: Vec<String>,
}

/// The page of a run.
pub fn run_page(report: &RunReport) -> String {
    let parts = [
        (report.examples.as_ref().map(|e| examples(e, report)), "rows and reconstructions"),
        (report.spectrum.as_ref().map(Spectrum::section), "the spectrum"),
        (report.codes.as_ref().map(codes), "codes in two dimensions"),
        (report.components.as_ref().map(|c| components(c, report)), "components"),
        (
            report.history.as_ref().map(|h| learning(h)),
            "a learning curve: nothing was trained in steps",
        ),
        (
            report.certificate.as_ref().map(certificate),
            "a certificate: only for linear models trained in steps",
        ),
        (report.pythagoras.as_ref().map(pythagoras), "the Pythagoras check"),
    ];
    let (mut sections, missing) = shown_and_missing(parts);
    // Most models tell no classes, so it is not missed.
    sections.extend(report.classification.as_ref().map(confusion));
    sections.push(scores(&report.scores, report.baseline.as_deref()));
    sections.push(reproduce(&report.command, &report.configuration));
    let page = Page {
        title: report.title.clone(),
        subtitle: format!("{} on {}", report.model, report.data),
        narrowing: Some([report.input_dim, report.latent_dim]),
        cards: cards(report),
        sections,
        missing,
    };
    page.render()
}

fn cards(report: &RunReport) -> Vec<Card> {
    let find = |scores: &[Score], name: &str| {
        scores.iter().find(|score| score.name == name).map(|score| score.value)
    };
    let baseline = |name: &str, show: fn(f64) -> String| {
        let value = report.baseline.as_deref().and_then(|scores| find(scores, name));
        value.map_or_else(String::new, |value| format!("PCA of the same width: {}", show(value)))
    };
    let mut cards = Vec::new();
    let kept = find(&report.scores, "explained_variance");
    if let Some(share) = kept.or(report.spectrum.as_ref().map(Spectrum::share_kept)) {
        cards.push(Card {
            value: percent(share),
            label: "variance explained".into(),
            note: baseline("explained_variance", percent),
        });
    }
    if let Some(error) = find(&report.scores, "squared_error_per_row") {
        cards.push(Card {
            value: number(error),
            label: "squared error per row".into(),
            note: baseline("squared_error_per_row", number),
        });
    }
    if let Some(found) = &report.classification {
        cards.push(Card {
            value: percent(found.accuracy),
            label: "accuracy".into(),
            note: format!("{} classes", count(found.classes.len())),
        });
    }
    let times = report.input_dim as f64 / report.latent_dim as f64;
    cards.push(Card {
        value: format!("{} → {}", count(report.input_dim), count(report.latent_dim)),
        label: "numbers per row".into(),
        note: if times.is_finite() {
            format!("{} times fewer", number(times))
        } else {
            String::new()
        },
    });
    cards.push(Card { value: count(report.rows), label: "rows".into(), note: report.data.clone() });
    cards
}

fn examples(examples: &Examples, report: &RunReport) -> Section {
    let (text, block) = match report.image {
        Some(shape) => (
            "The row, what comes back from its code, and the difference: blue where the \
             reconstruction is too bright, red where it is too dark.",
            Block::Figure(
                example_pictures(examples, shape),
                "Under each its squared error.".into(),
            ),
        ),
        None => (
            "Each row with the columns that come back worst: the value, and what the model makes \
             of it, both as the model sees them, prepared.",
            Block::Table(example_table(examples, &report.column_names)),
        ),
    };
    Section {
        heading: "Rows and reconstructions".into(),
        text: vec![text.into()],
        blocks: vec![block],
    }
}

fn residuals(examples: &Examples) -> impl Iterator<Item = Vec<f32>> {
    let pairs = examples.rows.iter().zip(&examples.reconstructions);
    pairs.map(|(row, back)| row.iter().zip(back).map(|(x, y)| x - y).collect())
}

fn example_pictures(examples: &Examples, shape: ImageShape) -> Html {
    let residuals: Vec<_> = residuals(examples).take(MOST_EXAMPLES).collect();
    let tone = Tone::of(&examples.rows);
    let row = |caption: &str, rows: &[Vec<f32>], tone| {
        let rows = rows.iter().take(MOST_EXAMPLES).enumerate();
        let name = |place| examples.names.get(place).map_or("", String::as_str);
        let picture = |(place, row): (usize, &Vec<f32>)| {
            image(row, shape, tone, format!("{caption} {}", name(place)).trim_end())
        };
        (caption.to_owned(), rows.map(picture).collect())
    };
    let rows = vec![
        row("Row", &examples.rows, tone),
        row("Reconstruction", &examples.reconstructions, tone),
        row("Residual", &residuals, Tone::around_zero(&residuals)),
    ];
    let columns = examples.errors.iter().take(MOST_EXAMPLES).map(|&error| number(error));
    Grid { columns: columns.collect(), rows }.render()
}

fn example_table(examples: &Examples, names: &[String]) -> Table {
    let rows = residuals(examples).take(MOST_EXAMPLES).enumerate().map(|(place, residual)| {
        let name =
            examples.names.get(place).cloned().unwrap_or_else(|| format!("row\u{a0}{}", place + 1));
        let error = examples.errors.get(place).copied().unwrap_or(f64::NAN);
        let worst = strongest(&residual, 3).into_iter().map(|column| {
            let pair = [&examples.rows, &examples.reconstructions].map(|rows| rows[place][column]);
            let [value, back] = pair.map(|value| number(f64::from(value)));
            format!("{}: {value} → {back}", column_name(names, column))
        });
        vec![name, number(error), worst.collect::<Vec<_>>().join("; ")]
    });
    let columns = ["row", "#squared error", "value → reconstruction"].map(String::from).into();
    Table { columns, rows: rows.collect() }
}

/// The places of the values furthest from zero, the furthest first.
fn strongest(values: &[f32], most: usize) -> Vec<usize> {
    let mut places: Vec<usize> = (0..values.len()).filter(|&p| values[p].is_finite()).collect();
    places.sort_by(|&a, &b| values[b].abs().total_cmp(&values[a].abs()));
    places.truncate(most);
    places
}

fn column_name(names: &[String], column: usize) -> String {
    names.get(column).cloned().unwrap_or_else(|| format!("column {}", column + 1))
}

fn codes(codes: &Codes) -> Section {
    let (drawing, caption) = codes.figure();
    Section {
        heading: "Codes".into(),
        text: vec![
            "Rows by two numbers of their codes. The model saw no classes: where colours keep \
             together, it found them."
                .into(),
        ],
        blocks: vec![Block::Figure(drawing, caption)],
    }
}

fn components(components: &[Vec<f32>], report: &RunReport) -> Section {
    let share = |place: usize| {
        let ratio = report.spectrum.as_ref().and_then(|spectrum| spectrum.ratio.get(place));
        ratio.map_or_else(
            || format!("{}", place + 1),
            |r| format!("{} · {}", place + 1, percent(*r)),
        )
    };
    let shown = components.iter().take(MOST_COMPONENTS).enumerate();
    let (text, drawing) = match report.image {
        Some(shape) => {
            let mut pictures: Vec<(Html, String)> = report
                .mean
                .iter()
                .map(|mean| (image(mean, shape, Tone::of([mean]), "mean"), "mean".into()))
                .collect();
            pictures.extend(shown.map(|(place, component)| {
                let tone = Tone::around_zero([component]);
                let name = format!("component {}", place + 1);
                (image(component, shape, tone, &name), share(place))
            }));
            (
                "A reconstruction is the mean plus these, each times one number of the code. Red adds, \
              blue takes away; white leaves as it is.",
                album(&pictures),
            )
        }
        None => {
            let tables = shown.take(MOST_COMPONENTS / 2).map(|(place, component)| {
                (loadings(component, &report.column_names), share(place))
            });
            (
                "The columns with the largest loadings in each component: to the right they grow with \
              the code, to the left they shrink.",
                album(&tables.collect::<Vec<_>>()),
            )
        }
    };
    let hidden = components.len().saturating_sub(MOST_COMPONENTS);
    let caption = match hidden {
        0 => String::new(),
        _ => format!("The first {MOST_COMPONENTS} of {}.", count(components.len())),
    };
    Section {
        heading: "Components".into(),
        text: vec![text.into()],
        blocks: vec![Block::Figure(drawing, caption)],
    }
}

/// The strongest loadings of one component as bars to both sides of a middle line.
fn loadings(component: &[f32], names: &[String]) -> Html {
    let strongest = strongest(component, TOP_LOADINGS);
    let limit =
        strongest.first().map_or(0.0, |&column| component[column].abs()).max(f32::MIN_POSITIVE);
    let mut html = String::from("<div class=\"loadings\">");
    for column in strongest {
        let (value, name) = (component[column], escape(&column_name(names, column)));
        let width = 50.0 * value.abs() / limit;
        let (left, colour) = if value < 0.0 { (50.0 - width, 0) } else { (50.0, 1) };
        let _ = write!(
            html,
            "<span>{name}</span><svg class=\"{}\" role=\"img\"><title>{name}: {}</title>\
             <rect x=\"{left:.1}%\" width=\"{width:.1}%\" y=\"3\" height=\"10\"/>\
             <line x1=\"50%\" x2=\"50%\" y1=\"0\" y2=\"16\"/></svg>",
            colour_class(colour),
            number(f64::from(value)),
        );
    }
    Html(html + "</div>")
}

fn learning(history: &[Epoch]) -> Section {
    let training = history.iter().map(|epoch| [epoch.epoch as f64, epoch.loss]).collect();
    let mut series = vec![Series::new("training", Style::Line, 0, training)];
    let validation: Vec<[f64; 2]> =
        history.iter().filter_map(|e| Some([e.epoch as f64, e.validation?])).collect();
    let best = validation.iter().filter(|p| p[1].is_finite()).min_by(|a, b| a[1].total_cmp(&b[1]));
    let mut text = Vec::new();
    let mut guides = Vec::new();
    if let Some([epoch, loss]) = best {
        text.push(format!(
            "The validation loss is least, {}, after epoch {}.",
            number(*loss),
            number(*epoch)
        ));
        guides.push(Guide::Vertical(*epoch, "least".into()));
    }
    if let (Some(first), Some(last)) = (history.first(), history.last()) {
        text.push(format!(
            "{} s in all; learning rate from {} to {}.",
            number(history.iter().map(|epoch| epoch.seconds).sum()),
            number(first.learning_rate),
            number(last.learning_rate)
        ));
    }
    if !validation.is_empty() {
        series.push(Series::new("validation", Style::Line, 1, validation));
    }
    let (x, y) = (Axis::whole("epoch"), Axis::logarithmic("loss"));
    let drawing = Chart { x, y, series, guides, square: false }.render();
    Section {
        heading: "Learning curve".into(),
        text,
        blocks: vec![Block::Figure(drawing, String::new())],
    }
}

fn certificate(certificate: &Certificate) -> Section {
    let largest = certificate.principal_angles.iter().copied().fold(f64::NAN, f64::max);
    let verdict = if largest < NO_ANGLE {
        "Every angle is below 10⁻³ rad: training found the space of PCA."
    } else {
        "At least one angle is above 10⁻³ rad: training has not (yet) found the space of PCA."
    };
    let angles = Series::numbered("angle", Style::Bars, 0, &certificate.principal_angles);
    let chart = Chart {
        x: Axis::whole("principal angle"),
        y: Axis::logarithmic("radians"),
        series: vec![angles],
        guides: vec![Guide::Horizontal(NO_ANGLE, "10⁻³ rad".into())],
        square: false,
    };
    Section {
        heading: "Certificate".into(),
        text: vec![
            "The least squared error of any linear model of this width is known: it is PCA's. \
             The bars are the angles between the learned space and PCA's."
                .into(),
            verdict.into(),
        ],
        blocks: vec![
            Block::Figure(chart.render(), String::new()),
            Block::Formula(format!(
                "(loss − optimum) / optimum = {}   (optimum {}, loss {})",
                number(certificate.relative_excess_loss),
                number(certificate.optimum),
                number(certificate.loss)
            )),
        ],
    }
}

/// The confusion matrix, with the error of each class at its end.
fn confusion(found: &Classification) -> Section {
    let names = found.classes.iter().map(|class| format!("#{}", class.name));
    let columns = std::iter::once("is \\ told".to_owned()).chain(names);
    let rows = found.classes.iter().zip(&found.confusion).map(|(class, counts)| {
        let error = class.error.map_or_else(|| "—".to_owned(), percent);
        let counts = counts.iter().map(|&rows| count(rows));
        std::iter::once(class.name.clone()).chain(counts).chain([error]).collect()
    });
    let table =
        Table { columns: columns.chain(["#error".to_owned()]).collect(), rows: rows.collect() };
    Section {
        heading: "Confusion".into(),
        text: vec![
            "Rows of each class by the class they are taken for; on the diagonal they are told \
             right. At the end the share of the class that is not."
                .into(),
        ],
        blocks: vec![Block::Table(table)],
    }
}

fn pythagoras(parts: &Pythagoras) -> Section {
    let Pythagoras { projected, residual, total, relative_error } = *parts;
    let drawing = if projected >= 0.0 && residual >= 0.0 && (projected + residual).is_normal() {
        let share = projected / (projected + residual);
        let part = |name, x: f64, width: f64, value, class| {
            format!(
                "<g class=\"{class}\"><title>{name}: {value}</title>\
                 <rect x=\"{:.2}%\" width=\"{:.2}%\" height=\"36\"/></g>",
                100.0 * x,
                100.0 * width
            )
        };
        Html(format!(
            "<svg class=\"stack\" role=\"img\" aria-label=\"projected and residual\">{}{}</svg>\
             <div class=\"stack\"><p class=\"c0\">projected {} <small>{}</small></p>\
             <p class=\"c1\">residual {} <small>{}</small></p></div>",
            part("projected", 0.0, share, number(projected), "c0"),
            part("residual", share, 1.0 - share, number(residual), "c1"),
            number(projected),
            percent(share),
            number(residual),
            percent(1.0 - share)
        ))
    } else {
        Html("<p class=\"missing\">The squared lengths are no positive finite numbers.</p>".into())
    };
    Section {
        heading: "Pythagoras".into(),
        text: vec![
            "What is kept and what is lost are at right angles, so their squared lengths add up \
             to that of the centred data."
                .into(),
        ],
        blocks: vec![
            Block::Figure(drawing, String::new()),
            Block::Formula(format!(
                "{} + {} = {}   (relative error {})",
                number(projected),
                number(residual),
                number(total),
                number(relative_error)
            )),
        ],
    }
}
