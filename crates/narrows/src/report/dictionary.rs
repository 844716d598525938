//! The page of a sparse dictionary, and that of several beside each other.

mod latents;
mod sweep;
mod training;
mod truth;

pub use latents::LatentUse;
pub use sweep::{PointName, SweepReport, sweep_page};

use super::page::{Block, Card, Page, Section};
use super::picture::{Tone, album, image};
use super::record::{Score, reproduce, scores, shown_and_missing};
use super::text::{count, number, percent, plural};
use crate::data::ImageShape;
use crate::evaluate::DictionaryScores;
use crate::train::dictionary::DictionaryRecord;

/// What is known about a sparse dictionary. What is `None` or empty is named as missing on the page.
#[derive(Debug, Clone)]
pub struct DictionaryReport {
    /// The title of the page.
    pub title: String,
    /// What was measured, on which data.
    pub on: MeasuredOn,
    /// What makes codes of pre-activations.
    pub gate: String,
    /// Columns of a row, and of what comes out.
    pub dims: [usize; 2],
    /// The command that makes this run; empty where there is none.
    pub command: String,
    /// The complete resolved configuration.
    pub configuration: serde_json::Value,
    /// What was measured.
    pub found: DictionaryScores,
    /// The same as figures with their formulas.
    pub scores: Vec<Score>,
    /// PCA with as many components as latents fire per row: how many, and their scores.
    pub pca: Option<(usize, Vec<Score>)>,
    /// How training went; empty where it was not here.
    pub history: Vec<DictionaryRecord>,
    /// Some latents, the most used first.
    pub most_used: Vec<LatentUse>,
    /// Some latents that fire at all, the least used first.
    pub least_used: Vec<LatentUse>,
    /// The size of the pictures, where rows are pictures.
    pub image: Option<ImageShape>,
    /// The atoms of the most used latents where rows are pictures: the latent, and its row of the decoder.
    pub atoms: Vec<(usize, Vec<f32>)>,
}

/// Rows that were measured.
#[derive(Debug, Clone)]
pub struct MeasuredOn {
    /// The data, as the user named it.
    pub data: String,
    /// Rows that were measured.
    pub rows: usize,
    /// Rows that there are.
    pub of_rows: usize,
    /// Whether they are those that the run was fitted on.
    pub own: bool,
}

impl MeasuredOn {
    fn sentence(&self) -> String {
        let rows = match self.rows == self.of_rows {
            true => plural(self.rows, "row", "rows"),
            false => format!("{} of {} rows", count(self.rows), count(self.of_rows)),
        };
        match self.own {
            true => format!("Measured on {rows} of the data that it learned from."),
            false => format!("Measured on {rows}, other data than it learned from."),
        }
    }

    fn card(&self) -> Card {
        Card { value: count(self.rows), label: "rows measured".into(), note: self.data.clone() }
    }
}

/// The page of a sparse dictionary.
pub fn dictionary_page(report: &DictionaryReport) -> String {
    let (mut sections, missing) = shown_and_missing(parts(report));
    sections.push(scores_of(report));
    sections.push(reproduce(&report.command, &report.configuration));
    let [input, output] = report.dims;
    let found = &report.found;
    let page = Page {
        title: report.title.clone(),
        subtitle: format!(
            "{}: {} → {} latents, {} of them per row → {}",
            report.on.data,
            count(input),
            count(found.latents),
            number(found.l0),
            count(output),
        ),
        narrowing: Some([input, (found.l0.round() as usize).max(1), output]),
        cards: cards(report),
        sections,
        missing,
    };
    page.render()
}

fn parts(report: &DictionaryReport) -> [(Option<Section>, &'static str); 6] {
    let found = &report.found;
    [
        (
            (report.history.len() > 1).then(|| training::curves(&report.history)),
            match report.history.is_empty() {
                true => {
                    "training curves: the folder keeps no history of its training (history.jsonl)"
                }
                false => {
                    "training curves: the history of its training has a single line (train.log_every)"
                }
            },
        ),
        (Some(latents::density(found, &report.on)), ""),
        (
            (!report.most_used.is_empty())
                .then(|| latents::used(&report.most_used, &report.least_used)),
            "the most and the least used latents: none fired",
        ),
        (
            report
                .image
                .zip(Some(&report.atoms))
                .filter(|(_, atoms)| !atoms.is_empty())
                .map(|(shape, atoms)| pictures(atoms, shape, found)),
            "atoms as pictures: only for rows that are pictures",
        ),
        (Some(latents::decoder(&found.decoder)), ""),
        (
            found.truth.as_ref().map(truth::section),
            "how far the truth was found: only for sets whose truth is known, such as demo:superposition",
        ),
    ]
}

fn cards(report: &DictionaryReport) -> Vec<Card> {
    let found = &report.found;
    let lost = |scores: &[Score]| {
        scores.iter().find(|s| s.name == "fraction_variance_unexplained").map(|s| s.value)
    };
    let pca = report.pca.as_ref().and_then(|(k, scores)| Some((*k, lost(scores)?)));
    let note = pca.map_or_else(String::new, |(k, lost)| {
        format!("PCA with {}: {}", plural(k, "component", "components"), percent(1.0 - lost))
    });
    let mut cards = vec![
        Card {
            value: percent(1.0 - found.fraction_variance_unexplained),
            label: "variance explained".into(),
            note,
        },
        Card {
            value: number(found.l0),
            label: "latents per row (L0)".into(),
            note: format!("of {}", count(found.latents)),
        },
        Card {
            value: percent(found.dead_share),
            label: "dead latents".into(),
            note: format!("{} fired in no row", count(found.dead)),
        },
    ];
    cards.extend(found.truth.as_ref().map(|truth| Card {
        value: number(truth.f1),
        label: "F1 against the truth".into(),
        note: format!("MCC {}", number(truth.likeness.mcc)),
    }));
    cards.push(report.on.card());
    cards
}

/// Atoms as pictures, by how often they are used.
fn pictures(atoms: &[(usize, Vec<f32>)], shape: ImageShape, found: &DictionaryScores) -> Section {
    let picture = |(latent, atom): &(usize, Vec<f32>)| {
        let name = format!("atom of latent {latent}");
        let rate = found.rates.get(*latent).copied().unwrap_or(0.0);
        let caption = format!("{latent} · {}", percent(rate));
        (image(atom, shape, Tone::around_zero([atom]), &name), caption)
    };
    let drawn: Vec<_> = atoms.iter().map(picture).collect();
    let note = format!(
        "Under each the number of its latent, from 0, and the share of rows in which it fires: {} of {}, \
         the most used first.",
        count(drawn.len()),
        count(found.latents)
    );
    Section {
        heading: "Atoms".into(),
        text: vec![
            "The rows of the decoder that are used most: a reconstruction is the bias plus a few of \
             these, each times its code. Red adds, blue takes away."
                .into(),
        ],
        blocks: vec![Block::Figure(album(&drawn), note)],
    }
}

fn scores_of(report: &DictionaryReport) -> Section {
    let mut section = scores(&report.scores, None);
    section.text.push(report.on.sentence());
    if let (Some((k, pca)), Some(Block::Table(table))) = (&report.pca, section.blocks.first_mut()) {
        table.columns.insert(2, format!("#PCA, {k} components"));
        for (row, score) in table.rows.iter_mut().zip(&report.scores) {
            let same = pca.iter().find(|other| other.name == score.name);
            row.insert(2, same.map_or_else(|| "—".to_owned(), |other| number(other.value)));
        }
        section.text.push(
            "PCA has as many components as latents fire per row on average, fitted on rows that the dictionary \
             was trained on."
                .to_owned(),
        );
    }
    section
}
