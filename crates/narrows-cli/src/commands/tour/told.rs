//! What a section tells.

use narrows::report::page::{Block, Section};
use serde_json::{Value, json};

/// A section that has been run.
pub(super) struct Told {
    /// The idea, in two or three sentences.
    pub(super) idea: String,
    /// The mathematics of it.
    pub(super) formula: String,
    /// What was measured, in a line.
    pub(super) figure: String,
    /// The same for machines.
    pub(super) measured: Value,
    /// What there is to see.
    pub(super) blocks: Vec<Block>,
    /// What to type for data of one's own.
    pub(super) command: String,
}

impl Told {
    pub(super) fn section(self, number: usize, title: &str) -> Section {
        let mut blocks = vec![Block::Formula(self.formula)];
        blocks.extend(self.blocks);
        blocks.push(Block::Code(self.command));
        Section {
            heading: heading(number, title),
            text: vec![self.idea, format!("Measured: {}.", self.figure)],
            blocks,
        }
    }

    pub(super) fn for_machines(&self, number: usize, title: &str, seconds: f64) -> Value {
        json!({
            "section": number,
            "title": title,
            "figure": self.figure,
            "measured": self.measured,
            "seconds": (10.0 * seconds).round() / 10.0,
        })
    }
}

pub(super) fn heading(number: usize, title: &str) -> String {
    format!("{number} · {title}")
}
