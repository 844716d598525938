//! How the training of a dictionary went.

use crate::report::chart::{Axis, Chart, Series, Style};
use crate::report::page::{Block, Section};
use crate::report::text::{Html, count, number, plural};
use crate::train::dictionary::DictionaryRecord;

pub(super) fn curves(history: &[DictionaryRecord]) -> Section {
    let mut text = Vec::new();
    if let (Some(first), Some(last)) = (history.first(), history.last()) {
        text.push(format!(
            "{} in {} lines; {} s of its own steps. Each point is the mean since the one before it, on \
             rows as they are while it learns.",
            plural(last.rows as usize, "row", "rows"),
            count(history.len()),
            number(history.iter().map(|line| line.seconds).sum()),
        ));
        let dead = history.iter().map(|line| line.dead).max().unwrap_or(0);
        text.push(match dead {
            0 => "No latent was ever without a code for as many rows as make it dead.".to_owned(),
            most => format!(
                "Dead latents, which have had no code for as many rows as make them so: {} at first, {} at \
                 most, {} at last.",
                count(first.dead),
                count(most),
                count(last.dead)
            ),
        });
        if last.sparsity_weight > 0.0 && first.sparsity_weight != last.sparsity_weight {
            text.push(format!(
                "The weight of the penalty ended at {}.",
                number(last.sparsity_weight)
            ));
        }
    }
    let mut blocks = vec![Block::Pair(vec![
        (
            chart(history, Axis::logarithmic("FVU"), |line| line.fraction_variance_unexplained),
            "Fraction of variance unexplained.".to_owned(),
        ),
        (
            chart(history, covering(Axis::linear("L0")), |line| line.l0),
            "Latents that fire per row.".to_owned(),
        ),
    ])];
    if history.iter().any(|line| line.dead > 0) {
        blocks.push(Block::Figure(
            chart(history, covering(Axis::whole("latents")), |line| line.dead as f64),
            "Dead latents.".to_owned(),
        ));
    }
    Section { heading: "Training".into(), text, blocks }
}

/// From zero on.
fn covering(axis: Axis) -> Axis {
    Axis { covers: vec![0.0], ..axis }
}

fn chart(history: &[DictionaryRecord], y: Axis, of: fn(&DictionaryRecord) -> f64) -> Html {
    // Long numbers would run into each other under plots that stand side by side.
    let x = match history.last().map_or(0, |line| line.rows) {
        0..20_000 => (1.0, Axis::whole("rows")),
        20_000..2_000_000 => (1e3, Axis::linear("thousand rows")),
        _ => (1e6, Axis::linear("million rows")),
    };
    let points = history.iter().map(|line| [line.rows as f64 / x.0, of(line)]).collect();
    let series = vec![Series::new("", Style::Line, 0, points)];
    Chart { x: x.1, y, series, guides: Vec::new(), square: false }.render()
}
