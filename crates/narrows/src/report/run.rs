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
    /// What the model is made of, each of `input_dim` numbers.
    pub components: Option<Components>,
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

/// What a model is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Components {
    /// What the rows are.
    pub kind: ComponentKind,
    /// The first of them.
    pub rows: Vec<Vec<f32>>,
    /// How many there are.
    pub count: usize,
}

/// What the components of a model are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ComponentKind {
    /// Principal axes.
    Axes,
    /// Columns of a linear decoder: a reconstruction is their sum too, but in no order.
    Decoder,
    /// Rows of the first layer's weights: what its units respond to.
    Filters,
}

/// Some rows, their reconstructions, and how far apart they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Examples {
    /// The rows.
    pub rows: Vec<Vec<f32>>,
    /// Their reconstructions.
    pub reconstructions: Vec<Vec<f32>>,
    /// The same rows and reconstructions as they are shown in a table, in the units of the data;
    /// `None` where they are shown as they are prepared.
    pub in_units: Option<[Vec<Vec<f32>>; 2]>,
    /// The squared error of each row.
    pub errors: Vec<f64>,
    /// A name for each row; may be empty.
    pub names: Vec<String>,
}

/// The page of a run.
pub fn run_page(report: &RunReport) -> String {
    let parts = [
        (report.examples.as_ref().map(|e| examples(e, report)), "rows and reconstructions"),
        (report.spectrum.as_ref().map(|s| spectrum(s, report)), "the spectrum"),
        (
            report.codes.as_ref().map(|c| codes(c, report.classification.is_some())),
            "codes in two dimensions",
        ),
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

fn spectrum(spectrum: &Spectrum, report: &RunReport) -> Section {
    if report.baseline.is_none() { spectrum.section() } else { spectrum.section_beside() }
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
            match examples.in_units {
                Some(_) => {
                    "Each row with the columns that come back worst: the value, and what the model \
                     makes of it, both in the units of the data. The squared error is of what the \
                     model sees, prepared."
                }
                None => {
                    "Each row with the columns that come back worst: the value, and what the model \
                     makes of it, both as the model sees them, prepared."
                }
            },
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
            let of = |rows: &[Vec<f32>]| rows.get(place).and_then(|row| row.get(column)).copied();
            let pair = match &examples.in_units {
                Some([rows, back]) => [of(rows), of(back)],
                None => [of(&examples.rows), of(&examples.reconstructions)],
            };
            let [value, back] = pair.map(|value| number(value.map_or(f64::NAN, f64::from)));
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

/// `taught` is whether the model was told the classes.
fn codes(codes: &Codes, taught: bool) -> Section {
    let (drawing, caption) = codes.figure();
    let text = match (codes.classes.is_empty(), taught) {
        (true, _) => "Rows by two numbers of their codes.",
        (false, true) => "Rows by two numbers of their codes, from which the classes are told.",
        (false, false) => {
            "Rows by two numbers of their codes. The model saw no classes: where colours keep \
             together, it found them."
        }
    };
    Section {
        heading: "Codes".into(),
        text: vec![text.into()],
        blocks: vec![Block::Figure(drawing, caption)],
    }
}

impl ComponentKind {
    fn name(self) -> &'static str {
        match self {
            Self::Axes => "component",
            Self::Decoder => "column of the decoder",
            Self::Filters => "filter",
        }
    }

    fn heading(self) -> &'static str {
        match self {
            Self::Axes | Self::Decoder => "Components",
            Self::Filters => "Filters of the first layer",
        }
    }

    /// How to read them as pictures.
    fn of_pictures(self) -> &'static str {
        match self {
            Self::Axes => {
                "A reconstruction is the mean plus these, each times one number of the code. Red \
                 adds, blue takes away; white leaves as it is."
            }
            Self::Decoder => {
                "The columns of the decoder: a reconstruction is the mean plus these, each times \
                 one number of the code. Red adds, blue takes away. They span a space together; \
                 each alone has no place in an order and no share of the variance."
            }
            Self::Filters => {
                "What each unit of the first layer responds to: the weights that the pixels of a \
                 row are multiplied by before they are summed. Bright pixels under red raise the \
                 sum, under blue they lower it."
            }
        }
    }

    /// How to read them as the strongest columns of each.
    fn of_columns(self) -> &'static str {
        match self {
            Self::Axes => {
                "The columns with the largest loadings in each component: to the right they grow \
                 with the code, to the left they shrink."
            }
            Self::Decoder => {
                "The columns that each number of the code moves most: to the right they grow with \
                 it, to the left they shrink. The numbers are in no order and have no share of \
                 the variance."
            }
            Self::Filters => {
                "The columns with the largest weights into each unit of the first layer: to the \
                 right they raise its sum, to the left they lower it."
            }
        }
    }
}

fn components(components: &Components, report: &RunReport) -> Section {
    let Components { kind, ref rows, count: all } = *components;
    let spectrum = report.spectrum.as_ref().filter(|_| kind == ComponentKind::Axes);
    let caption = |place: usize| match spectrum.and_then(|spectrum| spectrum.ratio.get(place)) {
        Some(ratio) => format!("{} · {}", place + 1, percent(*ratio)),
        None => (place + 1).to_string(),
    };
    let most = if report.image.is_some() { MOST_COMPONENTS } else { MOST_COMPONENTS / 2 };
    let shown = rows.iter().take(most).enumerate();
    let (text, mut drawn) = match report.image {
        Some(shape) => {
            let picture = |(place, row): (usize, &Vec<f32>)| {
                let name = format!("{} {}", kind.name(), place + 1);
                (image(row, shape, Tone::around_zero([row]), &name), caption(place))
            };
            (kind.of_pictures(), shown.map(picture).collect::<Vec<_>>())
        }
        None => {
            let table = |(place, row): (usize, &Vec<f32>)| {
                (loadings(row, &report.column_names), caption(place))
            };
            (kind.of_columns(), shown.map(table).collect())
        }
    };
    let note = match all > drawn.len() {
        true => format!("The first {} of {}.", drawn.len(), count(all)),
        false => String::new(),
    };
    if let (Some(shape), Some(mean), true) =
        (report.image, &report.mean, kind != ComponentKind::Filters)
    {
        drawn.insert(0, (image(mean, shape, Tone::of([mean]), "mean"), "mean".into()));
    }
    Section {
        heading: kind.heading().into(),
        text: vec![text.into()],
        blocks: vec![Block::Figure(album(&drawn), note)],
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
             to that of the centred data. All three are means over the rows: the spectrum divides \
             by one row less."
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
