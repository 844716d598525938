//! Noise that is put on rows and taken away again.

use serde::{Deserialize, Serialize};

use crate::data::ImageShape;
use crate::evaluate::{Denoising, Likeness};
use crate::objective::Corruption;
use crate::report::page::{Block, Section, Table};
use crate::report::picture::{Grid, Tone, captioned, image};
use crate::report::text::{Html, count, decimal, number, percent};

/// How well noise is taken away, with some rows to see.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Denoised {
    /// What was measured.
    pub found: Denoising,
    /// The rows of which those measured are an even sample.
    pub rows: usize,
    /// The seed of the noise.
    pub seed: u64,
    /// Some clean rows.
    pub clean: Vec<Vec<f32>>,
    /// The same rows with noise, restored, and projected, each with its likeness to the clean row.
    pub versions: [Vec<(Vec<f32>, Likeness)>; 3],
}

pub(super) fn denoised(denoised: &Denoised, shape: Option<ImageShape>) -> Section {
    let found = &denoised.found;
    let mut blocks = Vec::new();
    if let Some(shape) = shape {
        let caption = match found.noisy.ssim {
            Some(_) => "Under each its PSNR in dB and its SSIM against the clean picture.",
            None => "Under each its PSNR in dB against the clean picture.",
        };
        blocks.push(Block::Figure(strips(denoised, shape), caption.into()));
    }
    blocks.push(Block::Table(table(found)));
    let measured = match found.rows < denoised.rows {
        true => format!("{} of {} rows, evenly taken", count(found.rows), count(denoised.rows)),
        false => format!("{} rows", count(found.rows)),
    };
    Section {
        heading: "Noise taken away".into(),
        text: vec![
            format!(
                "{} Restored is what the model gives back. {}",
                noise(found.corruption),
                projection(found)
            ),
            format!("Means over {measured}, noise of seed {}.", denoised.seed),
        ],
        blocks,
    }
}

fn noise(corruption: Corruption) -> String {
    let some = |rate| format!("In each row {} of the columns, drawn at random,", percent(rate));
    match corruption {
        Corruption::None => "No noise is put on the rows.".into(),
        Corruption::Gaussian { sigma } => {
            format!("Normal noise of standard deviation {} is added to each value.", number(sigma))
        }
        Corruption::SaltAndPepper { rate } => {
            format!("{} are set to the lowest or the highest value.", some(rate))
        }
        Corruption::Masking { rate } => format!("{} are set to the lowest value.", some(rate)),
    }
}

/// With what the model is compared.
fn projection(found: &Denoising) -> String {
    let components = count(found.components);
    if found.components < found.most_components {
        format!(
            "Best projection is on the {components} principal components that are best for these rows."
        )
    } else {
        format!(
            "Best projection is on all {components} principal components that the run keeps: more \
             might be better, but are not known."
        )
    }
}

const NAMES: [&str; 3] = ["Noisy", "Restored", "Best projection"];

fn strips(denoised: &Denoised, shape: ImageShape) -> Html {
    // What noise adds beyond the range of the clean pictures is cut off, as a screen would.
    let tone = Tone::of(&denoised.clean);
    let clean = denoised.clean.iter().enumerate();
    let clean = clean.map(|(place, row)| image(row, shape, tone, &format!("clean {}", place + 1)));
    let mut rows = vec![("Clean".to_owned(), clean.collect())];
    for (name, version) in NAMES.iter().zip(&denoised.versions) {
        let pictures = version.iter().enumerate().map(|(place, (row, likeness))| {
            let picture = image(row, shape, tone, &format!("{name} {}", place + 1));
            let ssim = likeness.ssim.map(|value| format!(" · {}", fixed(value, 2)));
            let caption = format!("{}{}", fixed(likeness.psnr, 1), ssim.unwrap_or_default());
            captioned(&picture, &caption)
        });
        rows.push(((*name).to_owned(), pictures.collect()));
    }
    Grid { columns: Vec::new(), rows }.render()
}

/// So many decimals, where it is a number.
fn fixed(value: f64, decimals: usize) -> String {
    if value.is_finite() { decimal(value, decimals) } else { number(value) }
}

fn table(found: &Denoising) -> Table {
    let mut columns: Vec<String> =
        ["against the clean rows", "#squared error per row", "#PSNR, dB"].map(String::from).into();
    if found.noisy.ssim.is_some() {
        columns.push("#SSIM".into());
    }
    let versions = [found.noisy, found.restored, found.projected];
    let rows = NAMES.iter().zip(versions).map(|(name, likeness)| {
        let error = number(likeness.squared_error_per_row);
        let cells = [(*name).to_owned(), error, fixed(likeness.psnr, 2)].into_iter();
        cells.chain(likeness.ssim.map(|value| fixed(value, 3))).collect()
    });
    Table { columns, rows: rows.collect() }
}
