//! The page of a face recogniser's evaluation.

use serde::{Deserialize, Serialize};

use super::chart::{Axis, Chart, Scale, Series, Style};
use super::page::{Block, Card, Page, Section, Table};
use super::picture::{Grid, Tone, album, image};
use super::record::{Codes, Score, Spectrum, reproduce, scores, shown_and_missing};
use super::text::{Html, count, number, percent};
use crate::data::ImageShape;

const MOST_EIGENFACES: usize = 23;
const MOST_MISTAKES: usize = 8;

/// What is known about an evaluation of face recognition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FacesReport {
    /// The title of the page.
    pub title: String,
    /// The data, as the user named it.
    pub data: String,
    /// The command that makes this page.
    pub command: String,
    /// How many people.
    pub people: usize,
    /// How many pictures.
    pub images: usize,
    /// Their size.
    pub image: ImageShape,
    /// How many random splits the rates are averaged over.
    pub splits: usize,
    /// Pictures of each person in the gallery; all others are probes.
    pub train_per_person: usize,
    /// The seed of the splits.
    pub seed: u64,
    /// The share of probes whose nearest picture in the gallery is of the same person.
    pub rates: Vec<Rate>,
    /// Strangers accepted and known people accepted as themselves, as the threshold moves.
    pub roc: Option<Vec<Curve>>,
    /// The mean face.
    pub mean_face: Vec<f32>,
    /// The principal axes as pictures.
    pub eigenfaces: Vec<Vec<f32>>,
    /// The spectrum of the gallery.
    pub spectrum: Option<Spectrum>,
    /// One face from more and more eigenfaces.
    pub rebuilt: Option<Rebuilt>,
    /// The gallery in two dimensions.
    pub gallery: Option<Codes>,
    /// The probes that were taken for somebody else, the worst first.
    pub mistakes: Vec<Mistake>,
    /// What else was measured.
    pub scores: Vec<Score>,
    /// The complete resolved configuration.
    pub configuration: serde_json::Value,
}

/// An identification rate over the splits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// How distance is measured.
    pub distance: String,
    /// How many eigenfaces; `None` for the raw pixels.
    pub components: Option<usize>,
    /// The mean rate, from 0 to 1.
    pub mean: f64,
    /// The standard deviation over the splits.
    pub standard_deviation: f64,
}

/// One curve of verification.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Its name.
    pub name: String,
    /// False accept rate and true accept rate, both from 0 to 1.
    pub points: Vec<[f64; 2]>,
    /// The rate at which false accepts and false rejects are as many.
    pub equal_error_rate: f64,
}

/// A face from a growing number of eigenfaces.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rebuilt {
    /// The face itself.
    pub original: Vec<f32>,
    /// The number of eigenfaces, the picture they give, and its squared error.
    pub steps: Vec<(usize, Vec<f32>, f64)>,
}

/// A probe that was taken for somebody else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mistake {
    /// The picture to be identified.
    pub probe: Vec<f32>,
    /// The nearest picture in the gallery.
    pub found: Vec<f32>,
    /// Who the probe shows.
    pub true_name: String,
    /// Who was found.
    pub found_name: String,
    /// The distance from the probe to the picture found.
    pub distance: f64,
    /// How much nearer it is than the nearest picture of the right person.
    pub margin: f64,
    /// The nearest picture of the right person.
    pub nearest_true: Vec<f32>,
    /// The distance to it.
    pub nearest_true_distance: f64,
}

/// The page of an evaluation.
pub fn faces_page(report: &FacesReport) -> String {
    let parts = [
        ((!report.rates.is_empty()).then(|| rates(report)), "identification rates"),
        (Some(eigenfaces(report)), ""),
        (report.rebuilt.as_ref().map(|r| rebuilt(r, report.image)), "a face rebuilt"),
        (report.gallery.as_ref().map(gallery), "the gallery in two dimensions"),
        (report.spectrum.as_ref().map(Spectrum::section), "the spectrum"),
        (report.roc.as_ref().map(|curves| verification(curves)), "verification"),
        (Some(mistakes(report)), ""),
        ((!report.scores.is_empty()).then(|| scores(&report.scores, None)), "scores"),
        (Some(reproduce(&report.command, &report.configuration)), ""),
    ];
    let (sections, missing) = shown_and_missing(parts);
    let page = Page {
        title: report.title.clone(),
        subtitle: format!("Eigenfaces on {}", report.data),
        narrowing: Some([
            report.image.height * report.image.width * report.image.channels,
            report.eigenfaces.len(),
        ]),
        cards: cards(report),
        sections,
        missing,
    };
    page.render()
}

fn best(rates: &[Rate], raw: bool) -> Option<&Rate> {
    let same_kind = rates.iter().filter(|r| r.components.is_none() == raw && r.mean.is_finite());
    same_kind.max_by(|a, b| a.mean.total_cmp(&b.mean))
}

fn with_spread(rate: &Rate) -> String {
    format!("{} ± {}", percent(rate.mean), percent(rate.standard_deviation))
}

fn cards(report: &FacesReport) -> Vec<Card> {
    let mut cards = Vec::new();
    if let Some(rate) = best(&report.rates, false) {
        cards.push(Card {
            value: percent(rate.mean),
            label: "probes identified".into(),
            note: format!("{} eigenfaces, {}", rate.components.unwrap_or(0), rate.distance),
        });
    }
    if let Some(rate) = best(&report.rates, true) {
        cards.push(Card {
            value: percent(rate.mean),
            label: "with the raw pixels".into(),
            note: rate.distance.clone(),
        });
    }
    let curves = report.roc.iter().flatten().filter(|curve| curve.equal_error_rate.is_finite());
    if let Some(curve) = curves.min_by(|a, b| a.equal_error_rate.total_cmp(&b.equal_error_rate)) {
        cards.push(Card {
            value: percent(curve.equal_error_rate),
            label: "equal error rate".into(),
            note: curve.name.clone(),
        });
    }
    cards.push(Card {
        value: count(report.people),
        label: "people".into(),
        note: format!(
            "{} pictures of {} × {} pixels",
            count(report.images),
            report.image.width,
            report.image.height
        ),
    });
    cards
}

fn rates(report: &FacesReport) -> Section {
    let mut distances: Vec<&str> = Vec::new();
    for rate in &report.rates {
        if !distances.contains(&rate.distance.as_str()) {
            distances.push(&rate.distance);
        }
    }
    let mut text = vec![format!(
        "Each of {} splits puts {} pictures of every person in the gallery and asks who is on the \
         others. The band is one standard deviation over the splits; dashed: the raw pixels.",
        count(report.splits),
        count(report.train_per_person)
    )];
    if let Some(rate) = best(&report.rates, false) {
        let components = rate.components.unwrap_or(0);
        text.push(format!(
            "Best: {} with {components} eigenfaces and the {} distance.",
            with_spread(rate),
            rate.distance
        ));
    }
    Section {
        heading: "Identification".into(),
        text,
        blocks: vec![
            Block::Figure(rate_chart(&report.rates, &distances), String::new()),
            Block::Table(rate_table(&report.rates, &distances)),
        ],
    }
}

fn rate_chart(rates: &[Rate], distances: &[&str]) -> Html {
    let numbers: Vec<f64> = rates.iter().filter_map(|r| r.components).map(|k| k as f64).collect();
    let mut series = Vec::new();
    for (colour, distance) in distances.iter().enumerate() {
        let of_distance = || rates.iter().filter(|rate| rate.distance == *distance);
        if let Some(raw) = of_distance().find(|rate| rate.components.is_none()) {
            let points = numbers.iter().map(|&k| [k, raw.mean]).collect();
            series.push(Series::new("", Style::Dashed, colour, points));
        }
        let mut projected: Vec<_> =
            of_distance().filter_map(|rate| Some((rate.components?, rate))).collect();
        projected.sort_by_key(|(components, _)| *components);
        let points = projected.iter().map(|(k, rate)| [*k as f64, rate.mean]).collect();
        let spread = projected.iter().map(|(_, rate)| rate.standard_deviation).collect();
        series.push(Series { spread, ..Series::new(*distance, Style::Line, colour, points) });
    }
    let x = Axis { scale: Scale::Logarithmic, ..Axis::whole("eigenfaces") };
    let y = Axis { covers: vec![1.0], ..Axis::share("probes identified") };
    Chart { x, y, series, guides: Vec::new(), square: false }.render()
}

fn rate_table(rates: &[Rate], distances: &[&str]) -> Table {
    let mut numbers: Vec<Option<usize>> = rates.iter().map(|rate| rate.components).collect();
    numbers.sort_unstable_by_key(|components| components.unwrap_or(usize::MAX));
    numbers.dedup();
    let cell = |distance: &str, components: Option<usize>| {
        let rate = rates.iter().find(|r| r.distance == distance && r.components == components);
        rate.map_or_else(|| "—".to_owned(), with_spread)
    };
    let columns = distances.iter().map(|distance| format!("#{distance}"));
    let rows = numbers.iter().map(|&components| {
        let name = components.map_or_else(|| "raw\u{a0}pixels".to_owned(), count);
        std::iter::once(name).chain(distances.iter().map(|d| cell(d, components))).collect()
    });
    Table {
        columns: std::iter::once("eigenfaces".to_owned()).chain(columns).collect(),
        rows: rows.collect(),
    }
}

fn eigenfaces(report: &FacesReport) -> Section {
    let mean = &report.mean_face;
    let mut pictures = Vec::new();
    if !mean.is_empty() {
        pictures.push((image(mean, report.image, Tone::of([mean]), "mean face"), "mean".into()));
    }
    for (place, face) in report.eigenfaces.iter().take(MOST_EIGENFACES).enumerate() {
        let name = (place + 1).to_string();
        let tone = Tone::around_zero([face]);
        pictures.push((image(face, report.image, tone, &format!("eigenface {name}")), name));
    }
    Section {
        heading: "Eigenfaces".into(),
        text: vec![
            "The mean face and the directions in which faces differ most. Every face is the mean \
             plus these, each times its own number; those numbers are what is compared."
                .into(),
        ],
        blocks: vec![Block::Figure(album(&pictures), String::new())],
    }
}

fn rebuilt(rebuilt: &Rebuilt, shape: ImageShape) -> Section {
    let tone = Tone::of([&rebuilt.original]);
    let mut pictures: Vec<(Html, String)> = rebuilt
        .steps
        .iter()
        .map(|(k, face, error)| {
            let picture = image(face, shape, tone, &format!("from {k} eigenfaces"));
            (picture, format!("{} · {}", count(*k), number(*error)))
        })
        .collect();
    pictures.push((image(&rebuilt.original, shape, tone, "the face itself"), "itself".into()));
    Section {
        heading: "A face rebuilt".into(),
        text: vec!["The same face from more and more eigenfaces.".into()],
        blocks: vec![Block::Figure(
            album(&pictures),
            "Under each the number of eigenfaces and the squared error.".into(),
        )],
    }
}

fn gallery(codes: &Codes) -> Section {
    let (drawing, caption) = codes.figure();
    Section {
        heading: "Gallery".into(),
        text: vec![
            "The pictures of the gallery by two numbers; a person is a colour and a shape.".into(),
        ],
        blocks: vec![Block::Figure(drawing, caption)],
    }
}

fn verification(curves: &[Curve]) -> Section {
    let mut series = Vec::new();
    let mut lowest: f64 = 1.0;
    for (colour, curve) in curves.iter().enumerate() {
        let error = curve.equal_error_rate;
        let name = format!("{} (equal error rate {})", curve.name, percent(error));
        // Before the first false accept there is no place on a logarithmic axis.
        let points = curve.points.iter().copied().filter(|point| point[0] > 0.0).collect();
        lowest = curve.points.iter().filter(|p| p[0] > 0.0).fold(lowest, |low, p| low.min(p[1]));
        series.push(Series::new(&name, Style::Line, colour, points));
        series.push(Series::new("", Style::Points, colour, vec![[error, 1.0 - error]]));
    }
    let equal = (1..=100).map(|part| f64::from(part) * (1.0 - lowest) / 100.0);
    let equal = equal.filter(|rate| *rate > 0.0).map(|rate| [rate, 1.0 - rate]).collect();
    if !series.is_empty() {
        series.push(Series::new("as many of both errors", Style::Dashed, 7, equal));
    }
    let x = Axis { scale: Scale::Logarithmic, ..Axis::share("false accepts") };
    let y = Axis { covers: vec![1.0], ..Axis::share("true accepts") };
    let drawing = Chart { x, y, series, guides: Vec::new(), square: true }.render();
    Section {
        heading: "Known or unknown".into(),
        text: vec![
            "Faces of strangers are mixed with those of the people known. As the threshold is \
             loosened, more known people are accepted as themselves, and more strangers as somebody. \
             The marker is where both errors are as frequent."
                .into(),
        ],
        blocks: vec![Block::Figure(drawing, String::new())],
    }
}

fn mistakes(report: &FacesReport) -> Section {
    let shown: Vec<&Mistake> = report.mistakes.iter().take(MOST_MISTAKES).collect();
    let heading = "Worst mistakes".into();
    if shown.is_empty() {
        let text = vec!["No probe was taken for somebody else.".into()];
        return Section { heading, text, blocks: Vec::new() };
    }
    let tone = Tone::of(shown.iter().map(|mistake| &mistake.probe));
    let row = |caption: &str, face: fn(&Mistake) -> (&Vec<f32>, String)| {
        let pictures = shown.iter().map(|mistake| {
            let (pixels, name) = face(mistake);
            image(pixels, report.image, tone, &name)
        });
        (caption.to_owned(), pictures.collect())
    };
    let grid = Grid {
        columns: shown
            .iter()
            .map(|m| {
                format!(
                    "{} taken for {}, nearer by {}",
                    m.true_name,
                    m.found_name,
                    number(m.margin)
                )
            })
            .collect(),
        rows: vec![
            row("Probe", |m| (&m.probe, m.true_name.clone())),
            row("Taken for", |m| {
                (&m.found, format!("{} at distance {}", m.found_name, number(m.distance)))
            }),
            row("Nearest of the right person", |m| {
                let distance = number(m.nearest_true_distance);
                (&m.nearest_true, format!("{} at distance {distance}", m.true_name))
            }),
        ],
    };
    Section {
        heading,
        text: vec![format!(
            "The probes that were furthest nearer to somebody else, {} of {}.",
            shown.len(),
            count(report.mistakes.len())
        )],
        blocks: vec![Block::Figure(grid.render(), String::new())],
    }
}
