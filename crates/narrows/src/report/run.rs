//! The page of a fitted run.

mod activity;
mod checks;
mod cleaned;
mod codes;
mod components;
mod decoded;
mod rows;
mod training;

pub use cleaned::Denoised;
pub use codes::CodeViews;
pub use components::{ComponentKind, Components};
pub use decoded::{Interpolation, Manifold};
pub use rows::{Beside, Examples};
pub use training::Storey;

use serde::{Deserialize, Serialize};

use super::page::{Card, Page, Section};
use super::record::{Score, Spectrum, reproduce, scores, shown_and_missing};
use super::text::{count, number, percent};
use crate::data::ImageShape;
use crate::evaluate::{Activity, Certificate, Classification, Pythagoras};
use crate::train::Epoch;

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
    /// Codes of some rows, and whether neighbours stay together.
    pub codes: Option<CodeViews>,
    /// Decoded points of the plane, where codes lie in one.
    #[serde(default)]
    pub manifold: Option<Manifold>,
    /// The way between two rows.
    #[serde(default)]
    pub interpolation: Option<Interpolation>,
    /// How well noise is taken away, where the model was trained to.
    #[serde(default)]
    pub denoised: Option<Denoised>,
    /// How often the units of the code are on.
    #[serde(default)]
    pub activity: Option<Activity>,
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
    /// The storeys of a stack.
    #[serde(default)]
    pub storeys: Option<Vec<Storey>>,
    /// The comparison of a learned linear model with the optimum.
    pub certificate: Option<Certificate>,
    /// The check that projection and residual are at right angles.
    pub pythagoras: Option<Pythagoras>,
    /// How well classes are told; `None` for a model that tells none, or rows without labels.
    #[serde(default)]
    pub classification: Option<Classification>,
}

/// The page of a run.
pub fn run_page(report: &RunReport) -> String {
    let (mut sections, missing) = shown_and_missing(parts(report));
    // Most models tell no classes, so it is not missed.
    sections.extend(report.classification.as_ref().map(checks::confusion));
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

/// The parts that have a record, and what is said of those that have none.
fn parts(report: &RunReport) -> [(Option<Section>, &'static str); 12] {
    let taught = report.classification.is_some();
    let shape = report.image;
    let shown = report.examples.as_ref().map_or(&[][..], |examples| &examples.rows);
    [
        (report.examples.as_ref().map(|e| rows::examples(e, report)), "rows and reconstructions"),
        (
            report.denoised.as_ref().map(|d| cleaned::denoised(d, shape)),
            "noise taken away: only for networks that were trained to",
        ),
        (report.spectrum.as_ref().map(|s| spectrum(s, report)), "the spectrum"),
        (
            report.codes.as_ref().map(|c| codes::codes(c, taught)),
            "codes and their neighbours: there are too few rows",
        ),
        (
            report.manifold.as_ref().zip(shape).map(|(m, s)| decoded::manifold(m, shown, s)),
            "the decoded plane: only for pictures whose codes are two numbers",
        ),
        (
            report.interpolation.as_ref().zip(shape).map(|(i, s)| decoded::interpolation(i, s)),
            "the way between two rows: only for models that rebuild pictures",
        ),
        (
            report.activity.as_ref().map(activity::activity),
            "how often units are on: only for codes that can be off (relu and its kin, sigmoid, top-k)",
        ),
        (report.components.as_ref().map(|c| components::components(c, report)), "components"),
        (
            report.history.as_ref().map(|h| training::learning(h)),
            "a learning curve: the whole was not trained in steps",
        ),
        (report.storeys.as_ref().map(|s| training::storeys(s)), "storeys: only stacks have them"),
        (
            report.certificate.as_ref().map(checks::certificate),
            "a certificate: only for linear models trained in steps",
        ),
        (report.pythagoras.as_ref().map(checks::pythagoras), "the Pythagoras check: only for PCA"),
    ]
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
        note: match times {
            _ if !times.is_finite() || times == 1.0 => String::new(),
            _ if times < 1.0 => format!("{} times more", number(1.0 / times)),
            _ => format!("{} times fewer", number(times)),
        },
    });
    cards.push(Card { value: count(report.rows), label: "rows".into(), note: report.data.clone() });
    cards
}
