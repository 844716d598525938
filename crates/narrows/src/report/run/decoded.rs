//! What the decoder makes of codes that no row has.

use serde::{Deserialize, Serialize};

use crate::data::ImageShape;
use crate::report::page::{Block, Section};
use crate::report::picture::{Grid, Tone, image, sheet};
use crate::report::text::number;

/// Decoded points of the plane, for codes of two numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifold {
    /// Rows of pixels: line after line from the top, each from left to right.
    pub tiles: Vec<Vec<f32>>,
    /// How many stand in a line.
    pub across: usize,
    /// The first and the last value of either number of the code.
    pub ranges: [[f64; 2]; 2],
}

/// The way from one row to another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Interpolation {
    /// The names of both rows.
    pub names: [String; 2],
    /// The ways: what each goes through, and the rows of pixels at its equal steps. The last goes through
    /// the rows themselves.
    pub ways: Vec<(String, Vec<Vec<f32>>)>,
}

/// `rows` are as bright as the pictures are to be; where there are none, they are as they come.
pub(super) fn manifold(manifold: &Manifold, rows: &[Vec<f32>], shape: ImageShape) -> Section {
    let Manifold { tiles, across, ranges } = manifold;
    let tone = Tone::of(if rows.is_empty() { tiles } else { rows });
    let drawing = sheet(tiles, *across, shape, tone, "decoded points of the plane of codes");
    let [x, y] = ranges.map(|[from, to]| format!("from {} to {}", number(from), number(to)));
    Section {
        heading: "Decoded plane".into(),
        text: vec![
            "Pictures decoded from a grid of codes, as they lie in the scatter of codes: neighbours \
             on this map are neighbours for the model. Where no row has its code, the decoder makes \
             something up."
                .into(),
        ],
        blocks: vec![Block::Figure(
            drawing,
            format!(
                "From left to right the first number of the code {x}, from bottom to top the second \
                 {y}: all but the outer 2 % of the codes at either end."
            ),
        )],
    }
}

pub(super) fn interpolation(way: &Interpolation, shape: ImageShape) -> Section {
    // As bright as the rows themselves: what lies outside their range is cut off.
    let tone = way.ways.last().map_or(Tone::Between(0.0, 1.0), |(_, rows)| Tone::of(rows));
    let steps = way.ways.iter().map(|(_, steps)| steps.len()).max().unwrap_or(0);
    let share = |step: usize| format!("{}\u{a0}%", 100 * step / steps.saturating_sub(1).max(1));
    let strip = |(name, steps): &(String, Vec<Vec<f32>>)| {
        let pictures = steps.iter().enumerate().map(|(step, row)| {
            image(row, shape, tone, &format!("{name}, {} of the way", share(step)))
        });
        (name.clone(), pictures.collect())
    };
    let [from, to] = &way.names;
    Section {
        heading: "Between two rows".into(),
        text: vec![
            format!("The straight way from {from} to {to}, in equal steps."),
            "Mixed pixels fade one picture out and the other in. A code that has learned what \
             pictures have in common goes through pictures."
                .into(),
        ],
        blocks: vec![Block::Figure(
            Grid {
                columns: (0..steps).map(share).collect(),
                rows: way.ways.iter().map(strip).collect(),
            }
            .render(),
            String::new(),
        )],
    }
}
