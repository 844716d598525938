//! `narrows fit --find-lr`: which learning rate to give, and the curve that says so.

use std::io::Write;

use anyhow::Result;
use narrows::data::Dataset;
use narrows::recipe::Recipe;
use narrows::train::{RangeTest, RatePoint};

use super::super::bar::Bar;
use super::super::{Output, Screen, figure};

/// Lines and columns of the chart.
const SIZE: (usize, usize) = (12, 64);
/// A loss is drawn up to so many times the first.
const TALLEST: f64 = 1.25;

/// Tries the rates, and prints them; nothing is written.
pub(super) fn find(recipe: &Recipe, dataset: &Dataset, output: &Output) -> Result<()> {
    let mut bar = Bar::new(output);
    let found = recipe.find_learning_rate(dataset, &mut bar);
    bar.finish();
    let found = found?;
    if output.json {
        writeln!(Screen, "{:#}", serde_json::to_value(&found)?)?;
        return Ok(());
    }
    writeln!(Screen, "loss of mini-batches, smoothed, as the learning rate rises\n")?;
    chart(&found).iter().try_for_each(|line| writeln!(Screen, "{line}"))?;
    let least = found.points.iter().map(|point| point.smoothed_loss).fold(f64::INFINITY, f64::min);
    writeln!(Screen, "\nleast   {} at {}", figure(least), rate(found.least_at))?;
    match found.diverged_at {
        Some(at) => writeln!(Screen, "rises to 4 times that at {}", rate(at))?,
        None => writeln!(Screen, "does not rise to 4 times that at any rate tried")?,
    }
    writeln!(
        Screen,
        "to use: a tenth of the rate of the least loss (|); at that rate itself it is about to rise\n"
    )?;
    writeln!(Screen, "train.learning_rate={}", rate(found.suggestion))?;
    Ok(())
}

/// Two digits, as TOML reads them.
fn rate(value: f64) -> String {
    format!("{value:.1e}")
}

/// The smoothed loss over the logarithm of the rate, and the suggestion as a line.
fn chart(found: &RangeTest) -> Vec<String> {
    let (height, width) = SIZE;
    let (first, last) = (found.points[0], found.points[found.points.len() - 1]);
    let (from, to) = (first.learning_rate.log10(), last.learning_rate.log10());
    let column = |rate: f64| {
        let share = (rate.log10() - from) / (to - from).max(f64::MIN_POSITIVE);
        ((share * (width - 1) as f64).round() as usize).min(width - 1)
    };
    let losses = || found.points.iter().map(|point| point.smoothed_loss);
    let low = losses().fold(f64::INFINITY, f64::min);
    let high = losses().fold(low, f64::max).min(TALLEST * first.smoothed_loss);
    let line = |loss: f64| {
        let share = (loss.min(high) - low) / (high - low).max(f64::MIN_POSITIVE);
        height - 1 - (share * (height - 1) as f64).round() as usize
    };
    let mut cells = vec![vec![' '; width]; height];
    cells.iter_mut().for_each(|line| line[column(found.suggestion)] = '|');
    for RatePoint { learning_rate, smoothed_loss, .. } in &found.points {
        cells[line(*smoothed_loss)][column(*learning_rate)] = '•';
    }
    let mut lines = Vec::with_capacity(height + 2);
    for (place, cells) in cells.into_iter().enumerate() {
        let label = match place {
            0 => figure(high),
            last if last + 1 == height => figure(low),
            _ => String::new(),
        };
        lines.push(format!("{label:>12} ┤{}", cells.into_iter().collect::<String>().trim_end()));
    }
    let (mut axis, mut names) = (vec!['─'; width], vec![' '; width + 6]);
    for decade in from.ceil() as i32..=to.floor() as i32 {
        let at = column(10_f64.powi(decade));
        axis[at] = '┴';
        let name = format!("1e{decade}");
        names.splice(at..at + name.len(), name.chars());
    }
    lines.push(format!("{:>12} └{}", "", axis.into_iter().collect::<String>()));
    let names: String = names.into_iter().collect();
    lines.push(format!("{:>12}  {}", "", names.trim_end()));
    lines
}
