//! How often latents are used, which they are, and how their atoms lie to each other.

use super::MeasuredOn;
use crate::evaluate::{DecoderStructure, DictionaryScores};
use crate::report::chart::{Axis, Chart, Kind, Series, Style};
use crate::report::page::{Block, Section, Table};
use crate::report::text::{Html, count, number, percent, plural};

/// Width of a bar of the cosines.
const STEP: f64 = 0.02;

/// What one latent does.
#[derive(Debug, Clone, PartialEq)]
pub struct LatentUse {
    /// Which, counted from 0.
    pub latent: usize,
    /// The share of rows in which it fires.
    pub rate: f64,
    /// What it adds to a row where it fires: the mean absolute code times the length of its atom.
    pub size: f64,
    /// The latent whose atom is nearest, and their cosine.
    pub nearest: (usize, f64),
}

/// Bars of counts.
fn bars(x: Axis, y: &str, points: Vec<[f64; 2]>) -> Html {
    let y = Axis { kind: Kind::Whole, covers: vec![0.0], ..Axis::linear(y) };
    let series = vec![Series::new("", Style::Bars, 0, points)];
    Chart { x, y, series, guides: Vec::new(), square: false }.render()
}

/// How many latents fire how often.
pub(super) fn density(found: &DictionaryScores, on: &MeasuredOn) -> Section {
    let histogram = &found.density;
    let middle = |(bin, &latents): (usize, &usize)| {
        [histogram.lowest + (bin as f64 + 0.5) * histogram.step, latents as f64]
    };
    let points: Vec<[f64; 2]> = histogram.latents.iter().enumerate().map(middle).collect();
    let alive = found.latents - found.dead;
    let mut text = vec![
        format!(
            "How many of the {} that fire at all fire in which share of the rows: at −3, in one of a \
             thousand. {}",
            plural(alive, "latent", "latents"),
            on.sentence()
        ),
        format!(
            "Not in the picture: {} dead ({}), which fired in none of these rows. {} of all are dense: \
             they fire in more than a tenth.",
            count(found.dead),
            percent(found.dead_share),
            percent(found.dense_share)
        ),
    ];
    if found.dead > 0 {
        let rows = count(on.rows);
        text.push(format!("A latent that fires in fewer than one of {rows} rows looks dead here."));
    }
    let x = Axis { covers: vec![0.0], ..Axis::linear("log₁₀ of the share of rows") };
    let drawn = bars(x, "latents", points);
    Section {
        heading: "How often latents fire".into(),
        text,
        blocks: vec![Block::Figure(drawn, String::new())],
    }
}

pub(super) fn used(most: &[LatentUse], least: &[LatentUse]) -> Section {
    let mut blocks = vec![table("most used", most)];
    if !least.is_empty() {
        blocks.push(table("least used", least));
    }
    Section {
        heading: "Latents".into(),
        text: vec![
            "Numbers are those of the file, from 0. The size is what a latent adds to a row where it fires: \
             the mean of its codes times the length of its atom. The nearest is the latent whose atom has \
             the largest cosine with it."
                .into(),
        ],
        blocks,
    }
}

fn table(name: &str, latents: &[LatentUse]) -> Block {
    let columns = [name, "#fires in", "#size", "#nearest", "#cosine"].map(String::from);
    let row = |latent: &LatentUse| {
        let rate = match latent.rate < 0.001 {
            true => format!("{}\u{a0}%", number(100.0 * latent.rate)),
            false => percent(latent.rate),
        };
        let (nearest, cosine) = latent.nearest;
        let name = format!("latent {}", latent.latent);
        vec![name, rate, number(latent.size), nearest.to_string(), number(cosine)]
    };
    Block::Table(Table { columns: columns.into(), rows: latents.iter().map(row).collect() })
}

/// How atoms lie to each other.
pub(super) fn decoder(found: &DecoderStructure) -> Section {
    let mut counts = std::collections::BTreeMap::new();
    for (_, cosine) in &found.nearest {
        *counts.entry((cosine / STEP).floor().min(1.0 / STEP - 1.0) as i64).or_insert(0_usize) += 1;
    }
    let first = counts.keys().next().copied().unwrap_or(0);
    let last = counts.keys().last().copied().unwrap_or(0);
    let bar = |bin: i64| [(bin as f64 + 0.5) * STEP, counts.get(&bin).copied().unwrap_or(0) as f64];
    let x = Axis { covers: vec![0.0, 1.0], ..Axis::linear("cosine with the nearest other atom") };
    let drawn = bars(x, "latents", (first..=last).map(bar).collect());
    Section {
        heading: "Atoms among themselves".into(),
        text: vec![
            format!(
                "The cosine of each atom with the one most like it: {} on average, {} at most.",
                number(found.mean_nearest_cosine),
                number(found.largest_cosine)
            ),
            format!(
                "{} have one nearer than 0.9: they say nearly the same as another.",
                percent(found.near_share)
            ),
        ],
        blocks: vec![Block::Figure(drawn, String::new())],
    }
}
