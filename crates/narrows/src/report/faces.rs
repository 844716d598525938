//! The page of a face recogniser's evaluation.

use super::chart::{Axis, Chart, Scale, Series, Style};
use super::page::{Block, Card, Page, Section, Table};
use super::picture::{Grid, Tone, album, image};
use super::record::{Codes, Score, Spectrum, reproduce, scores, shown_and_missing};
use super::text::{Html, count, number, percent, plural};
use crate::data::ImageShape;
use crate::faces::{
    Distance, Evaluation, Faces, Matcher, Mistake, OpenSet, Pictures, Rate, Rebuilt,
};

const MOST_EIGENFACES: usize = 23;
const MOST_MISTAKES: usize = 8;

/// An evaluation of face recognition, and what there is to see of it.
#[derive(Debug, Clone, Copy)]
pub struct FacesReport<'a> {
    /// The data, as the user named it.
    pub data: &'a str,
    /// The command that makes this page.
    pub command: &'a str,
    /// The complete resolved configuration.
    pub configuration: &'a serde_json::Value,
    /// The pictures that were recognised.
    pub faces: &'a Faces,
    /// How well.
    pub found: &'a Evaluation,
    /// The pictures that explain it.
    pub pictures: &'a Pictures,
}

/// The page of an evaluation.
///
/// # Panics
/// If a mistake of the evaluation is of a picture that there is not: the caller's mistake.
pub fn faces_page(report: &FacesReport<'_>) -> String {
    let &FacesReport { faces, found, pictures, .. } = report;
    let rebuilt_face = (!pictures.rebuilt.is_empty()).then(|| rebuilt(&pictures.rebuilt, faces));
    let spectrum = (!pictures.pca.explained_variance.is_empty()).then(|| spectrum(report));
    let known = !found.open_set.is_empty();
    let parts = [
        ((!found.rates.is_empty()).then(|| rates(found)), "identification rates"),
        (Some(eigenfaces(report)), ""),
        (rebuilt_face, "a face rebuilt"),
        (gallery(report), "the gallery in two dimensions"),
        (spectrum, "the spectrum"),
        (known.then(|| verification(&found.open_set)), "verification"),
        (Some(mistakes(report)), ""),
        (known.then(|| scores(&equal_error_rates(&found.open_set), None)), "scores"),
        (Some(reproduce(report.command, report.configuration)), ""),
    ];
    let (sections, missing) = shown_and_missing(parts);
    let ImageShape { height, width, channels } = faces.image;
    let pixels = height * width * channels;
    let page = Page {
        title: "Recognising faces".to_owned(),
        subtitle: format!("Eigenfaces on {}", report.data),
        narrowing: Some([pixels, pictures.eigenfaces.len(), pixels]),
        cards: cards(report),
        sections,
        missing,
    };
    page.render()
}

/// The number of eigenfaces and the distance with the highest rate.
fn best(found: &Evaluation) -> Option<(usize, Distance, Rate)> {
    let all = found.rates.iter().flat_map(|rates| {
        Distance::ALL.map(|distance| (rates.components, distance, rates.by(distance)))
    });
    all.filter(|(.., rate)| rate.mean.is_finite()).max_by(|a, b| a.2.mean.total_cmp(&b.2.mean))
}

fn with_spread(rate: Rate) -> String {
    format!("{} ± {}", percent(rate.mean), percent(rate.sd))
}

fn cards(report: &FacesReport<'_>) -> Vec<Card> {
    let (found, image) = (report.found, report.faces.image);
    let mut cards = Vec::new();
    // Beside the raw pixels stands what compares with them; the best of all is named as that.
    let usual = found.rates.iter().find(|rates| rates.components == found.open_set_components);
    if let Some(rates) = usual.filter(|rates| rates.l2.mean.is_finite()) {
        let best = best(found).map(|(components, distance, rate)| {
            let all = Distance::ALL.len() * found.rates.len();
            let (rate, distance) = (percent(rate.mean), distance.label());
            format!("; best of {all}: {rate} ({components}, {distance})")
        });
        cards.push(Card {
            value: percent(rates.l2.mean),
            label: "probes identified".into(),
            note: format!("{} eigenfaces, L2{}", rates.components, best.unwrap_or_default()),
        });
    }
    if found.pixels.mean.is_finite() {
        cards.push(Card {
            value: percent(found.pixels.mean),
            label: "with the raw pixels".into(),
            note: Distance::L2.label().into(),
        });
    }
    let rates = found.open_set.iter().map(|open| (open.equal_error_rate.mean, open.matcher));
    let least = rates.filter(|(rate, _)| rate.is_finite()).min_by(|a, b| a.0.total_cmp(&b.0));
    let best_of = format!("best of {}", found.open_set.len());
    if let Some((rate, matcher)) = least {
        cards.push(Card {
            value: percent(rate),
            label: "equal error rate".into(),
            note: match matcher {
                Matcher::Pixels => format!("raw pixels, {best_of}"),
                Matcher::Weights(distance) => format!(
                    "{} eigenfaces, {}, {best_of}",
                    found.open_set_components,
                    distance.label()
                ),
            },
        });
    }
    cards.push(Card {
        value: count(found.persons),
        label: "people".into(),
        note: format!(
            "{} pictures of {} × {} pixels",
            count(found.faces),
            image.width,
            image.height
        ),
    });
    cards
}

fn rates(found: &Evaluation) -> Section {
    let mut text = vec![format!(
        "Each of {} splits puts {} pictures of every person in the gallery and asks who is on the \
         others. The band is one standard deviation over the splits; dashed: the raw pixels.",
        count(found.options.splits),
        count(found.options.train_per_person)
    )];
    if let Some((components, distance, rate)) = best(found) {
        text.push(format!(
            "Best: {} with {components} eigenfaces and the {} distance.",
            with_spread(rate),
            distance.label()
        ));
    }
    Section {
        heading: "Identification".into(),
        text,
        blocks: vec![
            Block::Figure(rate_chart(found), String::new()),
            Block::Table(rate_table(found)),
        ],
    }
}

fn rate_chart(found: &Evaluation) -> Html {
    let pixels = found.rates.iter().map(|at| [at.components as f64, found.pixels.mean]).collect();
    let mut series = vec![Series::new("", Style::Dashed, 0, pixels)];
    for (colour, distance) in Distance::ALL.into_iter().enumerate() {
        let of = |place: usize| found.rates[place].by(distance);
        let places = 0..found.rates.len();
        let points = places.clone().map(|k| [found.rates[k].components as f64, of(k).mean]);
        let line = Series::new(distance.label(), Style::Line, colour, points.collect());
        series.push(Series { spread: places.map(|k| of(k).sd).collect(), ..line });
    }
    let x = Axis { scale: Scale::Logarithmic, ..Axis::whole("eigenfaces") };
    let y = Axis { covers: vec![1.0], ..Axis::share("probes identified") };
    Chart { x, y, series, guides: Vec::new(), square: false }.render()
}

fn rate_table(found: &Evaluation) -> Table {
    let columns = Distance::ALL.map(|distance| format!("#{}", distance.label()));
    let mut rows: Vec<Vec<String>> = found
        .rates
        .iter()
        .map(|rates| {
            let cells = Distance::ALL.map(|distance| with_spread(rates.by(distance)));
            std::iter::once(plural(rates.components, "eigenface", "eigenfaces"))
                .chain(cells)
                .collect()
        })
        .collect();
    let pixels = ["raw\u{a0}pixels".to_owned(), with_spread(found.pixels), "—".into(), "—".into()];
    rows.push(pixels.into());
    Table { columns: std::iter::once("compared".to_owned()).chain(columns).collect(), rows }
}

/// What a section was made from that does not follow the splits.
fn together(report: &FacesReport<'_>) -> String {
    format!("Of all {} together.", plural(report.faces.count(), "picture", "pictures"))
}

fn eigenfaces(report: &FacesReport<'_>) -> Section {
    let (of, shape) = (report.pictures, report.faces.image);
    let all = of.pca.components.nrows();
    let shown = of.eigenfaces.len().min(MOST_EIGENFACES);
    let note = match all > shown {
        true => format!("The first {shown} of {}.", count(all)),
        false => String::new(),
    };
    let mean = &of.mean_face;
    let mut pictures = Vec::new();
    if !mean.is_empty() {
        pictures.push((image(mean, shape, Tone::of([mean]), "mean face"), "mean".into()));
    }
    for (place, face) in of.eigenfaces.iter().take(MOST_EIGENFACES).enumerate() {
        let name = (place + 1).to_string();
        let tone = Tone::around_zero([face]);
        pictures.push((image(face, shape, tone, &format!("eigenface {name}")), name));
    }
    Section {
        heading: "Eigenfaces".into(),
        text: vec![
            "The mean face and the directions in which faces differ most. Every face is the mean \
             plus these, each times its own number; those numbers are what is compared."
                .into(),
            together(report),
        ],
        blocks: vec![Block::Figure(album(&pictures), note)],
    }
}

fn rebuilt(steps: &[Rebuilt], faces: &Faces) -> Section {
    let original = faces.pixels.row(0).to_vec();
    let tone = Tone::of([&original]);
    let mut pictures: Vec<(Html, String)> = steps
        .iter()
        .map(|step| {
            let name = format!("from {} eigenfaces", step.components);
            let caption = format!("{} · {}", count(step.components), number(step.squared_error));
            (image(&step.pixels, faces.image, tone, &name), caption)
        })
        .collect();
    pictures.push((image(&original, faces.image, tone, "the face itself"), "itself".into()));
    Section {
        heading: "A face rebuilt".into(),
        text: vec![format!(
            "A face from more and more eigenfaces that have not seen it: they were fitted on the \
             other {}.",
            plural(faces.count() - 1, "picture", "pictures")
        )],
        blocks: vec![Block::Figure(
            album(&pictures),
            "Under each the number of eigenfaces and the squared error.".into(),
        )],
    }
}

fn gallery(report: &FacesReport<'_>) -> Option<Section> {
    let people = report.faces.people.as_ref()?;
    let codes = Codes {
        rows: report.pictures.plane.len(),
        points: report.pictures.plane.clone(),
        classes: people.classes.clone(),
        class_names: people.names.clone(),
        axis_names: ["eigenface 1", "eigenface 2"].map(String::from),
    };
    let (drawing, caption) = codes.figure();
    Some(Section {
        heading: "Gallery".into(),
        text: vec![
            "The pictures by two numbers; a person is a colour and a shape.".into(),
            together(report),
        ],
        blocks: vec![Block::Figure(drawing, caption)],
    })
}

fn spectrum(report: &FacesReport<'_>) -> Section {
    let (pca, chosen) = (&report.pictures.pca, report.found.open_set_components);
    let spectrum = Spectrum {
        explained_variance: pca
            .explained_variance
            .iter()
            .take(report.faces.count() - 1)
            .copied()
            .collect(),
        ratio: pca.explained_variance_ratio.to_vec(),
        total_variance: pca.total_variance,
        chosen,
        reason: String::new(),
        null_threshold: None,
    };
    let text = vec![
        together(report),
        format!(
            "The first {} hold {} of the variance; with as many, strangers and mistakes are looked \
             at.",
            plural(chosen, "eigenface", "eigenfaces"),
            percent(spectrum.share_kept())
        ),
    ];
    spectrum.section_with("Spectrum", text, &count(chosen))
}

fn equal_error_rates(open_set: &[OpenSet]) -> Vec<Score> {
    let score = |open: &OpenSet| Score {
        name: format!("equal_error_rate_{}", open.matcher),
        value: 100.0 * open.equal_error_rate.mean,
        unit: "%".to_owned(),
        formula: "false accepts = 1 − correct accepts, by nearest known face".to_owned(),
        meaning: "Half of the persons are strangers to gallery and eigenfaces. So often is one of \
                  them let in, and so often a known person not recognised as who they are."
            .to_owned(),
    };
    open_set.iter().map(score).collect()
}

fn verification(open_set: &[OpenSet]) -> Section {
    let mut series = Vec::new();
    let mut lowest: f64 = 1.0;
    for (colour, open) in open_set.iter().enumerate() {
        let error = open.equal_error_rate.mean;
        let name = format!("{} (equal error rate {})", open.matcher.label(), percent(error));
        // Before the first false accept there is no place on a logarithmic axis.
        let drawn = open.curve.iter().filter(|point| point.false_accept_rate > 0.0);
        let points: Vec<[f64; 2]> =
            drawn.map(|point| [point.false_accept_rate, point.correct_accept_rate]).collect();
        lowest = points.iter().fold(lowest, |low, point| low.min(point[1]));
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

fn mistakes(report: &FacesReport<'_>) -> Section {
    let &FacesReport { faces, found, .. } = report;
    let shown: Vec<&Mistake> = found.mistakes.iter().take(MOST_MISTAKES).collect();
    let heading = "Worst mistakes".into();
    if shown.is_empty() {
        let text = vec!["No probe was taken for somebody else.".into()];
        return Section { heading, text, blocks: Vec::new() };
    }
    let pixels = |face: usize| faces.pixels.row(face).to_vec();
    let person = |face: usize| {
        faces.people.as_ref().map_or("", |people| people.names[people.classes[face]].as_str())
    };
    let probes: Vec<Vec<f32>> = shown.iter().map(|mistake| pixels(mistake.probe)).collect();
    let tone = Tone::of(&probes);
    let row = |caption: &str, face: fn(&Mistake) -> (usize, Option<f64>)| {
        let pictures = shown.iter().map(|mistake| {
            let (face, distance) = face(mistake);
            let distance =
                distance.map_or_else(String::new, |d| format!(" at distance {}", number(d)));
            image(&pixels(face), faces.image, tone, &format!("{}{distance}", person(face)))
        });
        (caption.to_owned(), pictures.collect())
    };
    let grid = Grid {
        columns: shown
            .iter()
            .map(|m| {
                let (own, other) = (person(m.probe), person(m.taken_for));
                format!("{own} taken for {other}, nearer by {}", number(m.margin()))
            })
            .collect(),
        rows: vec![
            row("Probe", |m| (m.probe, None)),
            row("Taken for", |m| (m.taken_for, Some(m.distance))),
            row("Nearest of the right person", |m| (m.own, Some(m.own_distance))),
        ],
    };
    Section {
        heading,
        text: vec![format!(
            "The probes that were furthest nearer to somebody else, {} of {}.",
            shown.len(),
            count(found.mistakes.len())
        )],
        blocks: vec![Block::Figure(grid.render(), String::new())],
    }
}
