//! The page of a fitted run.

mod activity;
mod cards;
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

use super::page::{Page, Section};
use super::record::{Score, Spectrum, reproduce, scores, shown_and_missing};
use super::text::count;
use crate::data::ImageShape;
use crate::evaluate::{Activity, Certificate, Classification, Pythagoras, Regression};
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
    /// How many numbers the model tells of a row in place of rebuilding it: one for each class, or one
    /// alone; `None` where it rebuilds rows.
    #[serde(default)]
    pub answers: Option<usize>,
    /// Whether the rows are those that the run was fitted on.
    #[serde(default)]
    pub own_rows: bool,
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
    /// How well a number is told; `None` for a model that tells none, or rows without labels.
    #[serde(default)]
    pub regression: Option<Regression>,
}

/// The page of a run.
pub fn run_page(report: &RunReport) -> String {
    let (mut sections, mut missing) = shown_and_missing(parts(report));
    missing.extend(unlabelled(report));
    // First, as it is what such a model is for; most tell no classes, so it is not missed.
    sections.splice(0..0, report.classification.as_ref().map(checks::confusion));
    sections.push(scores_of(report));
    sections.push(reproduce(&report.command, &report.configuration));
    let page = Page {
        title: report.title.clone(),
        subtitle: subtitle(report),
        narrowing: Some(narrowing(report)),
        cards: cards::cards(report),
        sections,
        missing,
    };
    page.render()
}

/// The parts that have a record, and what is said of those that have none.
fn parts(report: &RunReport) -> [(Option<Section>, &'static str); 12] {
    let taught = report.answers.is_some();
    let pca = Pca::of(report);
    let shape = report.image;
    let shown = report.examples.as_ref().map_or(&[][..], |examples| &examples.rows);
    [
        (
            report.examples.as_ref().map(|e| examples(e, report)),
            "rows and reconstructions: only for models that rebuild rows",
        ),
        (
            report.denoised.as_ref().map(|d| cleaned::denoised(d, shape)),
            "noise taken away: only for networks that were trained to",
        ),
        (
            report.spectrum.as_ref().map(|s| spectrum(s, pca)),
            "the spectrum: only for models that rebuild rows",
        ),
        (
            report.codes.as_ref().map(|c| codes::codes(c, taught, matches!(pca, Pca::Complete))),
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
        (
            report.components.as_ref().map(|c| components::components(c, report)),
            "components: the run has none to show",
        ),
        (report.history.as_ref().map(|h| training::learning(h)), no_history(report)),
        (report.storeys.as_ref().map(|s| training::storeys(s)), "storeys: only stacks have them"),
        (
            report.certificate.as_ref().map(checks::certificate),
            "a certificate: only for linear models trained in steps",
        ),
        (report.pythagoras.as_ref().map(checks::pythagoras), "the Pythagoras check: only for PCA"),
    ]
}

/// What PCA of the same width has to say beside the model.
#[derive(Debug, Clone, Copy)]
enum Pca<'a> {
    /// Nothing: it is the model.
    Itself,
    /// Nothing: it loses nothing, which is no feat with so many numbers.
    Complete,
    /// Its scores.
    Beside(&'a [Score]),
}

impl<'a> Pca<'a> {
    fn of(report: &'a RunReport) -> Self {
        /// What is lost by rounding alone.
        const NOTHING: f64 = 1e-9;
        let Some(scores) = &report.baseline else { return Self::Itself };
        let lost = scores.iter().find(|score| score.name == "fraction_variance_unexplained");
        let complete = report.latent_dim >= report.input_dim
            || lost.is_some_and(|lost| lost.value.abs() < NOTHING);
        if complete { Self::Complete } else { Self::Beside(scores) }
    }
}

fn spectrum(spectrum: &Spectrum, pca: Pca<'_>) -> Section {
    match pca {
        Pca::Itself => spectrum.section(),
        Pca::Beside(_) => spectrum.section_beside(),
        Pca::Complete => spectrum.section_complete(),
    }
}

/// The records without PCA's where that loses nothing.
fn examples(examples: &Examples, report: &RunReport) -> Section {
    match Pca::of(report) {
        Pca::Complete => rows::examples(&Examples { pca: None, ..examples.clone() }, report),
        _ => rows::examples(examples, report),
    }
}

fn scores_of(report: &RunReport) -> Section {
    let (baseline, left_out) = match Pca::of(report) {
        Pca::Itself => (None, None),
        Pca::Beside(scores) => (Some(scores), None),
        Pca::Complete => (None, Some(COMPLETE)),
    };
    let mut section = scores(&report.scores, baseline);
    section.text.extend(left_out.map(str::to_owned));
    let has = |name: &str| report.scores.iter().any(|score| score.name == name);
    if has("fraction_variance_unexplained") && has("explained_variance") {
        section.text.push(
            "Explained variance forgives an error that all rows have in common, the fraction of \
             variance unexplained does not: where there is one, the two add up to more than 1. The \
             figure at the top is 1 less the fraction."
                .to_owned(),
        );
    }
    if report.denoised.is_some() {
        section.text.push("All are of clean rows that the model gives back.".to_owned());
    }
    section
}

/// Why PCA is left out.
const COMPLETE: &str = "PCA is left out: with so many numbers it gives every row back as it was.";

/// The widths of the emblem: what goes in, the code, and what comes out.
fn narrowing(report: &RunReport) -> [usize; 3] {
    [report.input_dim, report.latent_dim, report.answers.unwrap_or(report.input_dim)]
}

/// The data and the widths of the layers.
fn subtitle(report: &RunReport) -> String {
    let layers = report.configuration["network"]["layers"].as_array();
    let widths: Option<Vec<usize>> = layers.and_then(|layers| {
        layers.iter().map(|layer| Some(layer["width"].as_u64()? as usize)).collect()
    });
    let [first, code, last] = narrowing(report);
    let widths = widths.unwrap_or_else(|| vec![code, last]);
    let widths: Vec<String> = std::iter::once(first).chain(widths).map(count).collect();
    format!("{}: {}", report.data, widths.join(" → "))
}

/// Why there is no learning curve.
fn no_history(report: &RunReport) -> &'static str {
    let model = &report.configuration["model"];
    match (model["kind"].as_str(), model["fine_tune_epochs"].as_u64()) {
        (Some("pca"), _) | (Some("stack"), Some(0)) => {
            "a learning curve: the whole was not trained in steps"
        }
        _ => "a learning curve: the run keeps no history of its epochs (history.jsonl)",
    }
}

/// What is not shown because rows have no labels.
fn unlabelled(report: &RunReport) -> Vec<String> {
    let bare = |codes: &CodeViews| codes.views.iter().any(|view| view.classes.is_empty());
    let measured = report.classification.is_some() || report.regression.is_some();
    let untold = report.answers.is_some() && !measured;
    [
        (report.codes.as_ref().is_some_and(bare), "colours by class: give --labels"),
        (untold, "how well labels are told: give --labels"),
    ]
    .into_iter()
    .filter(|(missing, _)| *missing)
    .map(|(_, what)| what.to_owned())
    .collect()
}
