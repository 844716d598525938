//! How training went.

use serde::{Deserialize, Serialize};

use crate::report::chart::{Axis, Chart, Guide, Series, Style};
use crate::report::page::{Block, Section, Table};
use crate::report::text::{count, number, percent, plural};
use crate::train::Epoch;

/// One storey of a stack, learned on the codes of the one below.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Storey {
    /// Numbers that go in.
    pub input_dim: usize,
    /// Numbers that come out.
    pub latent_dim: usize,
    /// Its epochs; none where it is PCA.
    pub history: Vec<Epoch>,
    /// Squared error per row of its own input.
    pub squared_error_per_row: Option<f64>,
    /// The share of the variance of its own input that is lost.
    pub fraction_variance_unexplained: Option<f64>,
}

/// The loss by epoch.
fn curve(history: &[Epoch]) -> Vec<[f64; 2]> {
    history.iter().map(|epoch| [epoch.epoch as f64, epoch.loss]).collect()
}

pub(super) fn learning(history: &[Epoch]) -> Section {
    let mut series = vec![Series::new("training", Style::Line, 0, curve(history))];
    let validation: Vec<[f64; 2]> =
        history.iter().filter_map(|e| Some([e.epoch as f64, e.validation?])).collect();
    let best = validation.iter().filter(|p| p[1].is_finite()).min_by(|a, b| a[1].total_cmp(&b[1]));
    let mut text = Vec::new();
    let mut guides = Vec::new();
    if let Some([epoch, loss]) = best {
        text.push(format!(
            "The validation loss is least, {}, after epoch {}.",
            number(*loss),
            number(*epoch)
        ));
        guides.push(Guide::Vertical(*epoch, "least".into()));
    }
    if let Some(last) = history.last() {
        let seconds = number(history.iter().map(|epoch| epoch.seconds).sum());
        text.push(format!("{seconds} s in all{}.", rates(history)));
        if history.len() == 1 {
            let loss = number(last.loss);
            text.push(format!("After its single epoch, too few for a curve, the loss was {loss}."));
        }
    }
    if !validation.is_empty() {
        series.push(Series::new("validation", Style::Line, 1, validation));
    }
    let (x, y) = (Axis::whole("epoch"), Axis::logarithmic("loss"));
    let chart = Chart { x, y, series, guides, square: false };
    let blocks = match history.len() {
        1 => Vec::new(),
        _ => vec![Block::Figure(chart.render(), String::new())],
    };
    Section { heading: "Learning curve".into(), text, blocks }
}

/// The learning rates that are known, those at the ends of the epochs; of a single epoch that says
/// nothing.
fn rates(history: &[Epoch]) -> String {
    let largest = history.iter().map(|epoch| epoch.learning_rate).fold(f64::NAN, f64::max);
    match history {
        [] | [_] => String::new(),
        [.., last] if last.learning_rate == largest => {
            format!("; learning rate {} at the end", number(largest))
        }
        [.., last] => format!(
            "; learning rate at the ends of the epochs: {} at most, {} at last",
            number(largest),
            number(last.learning_rate)
        ),
    }
}

pub(super) fn storeys(storeys: &[Storey]) -> Section {
    let name = |place: usize| format!("storey {}", place + 1);
    let lines = storeys.iter().enumerate().filter(|(_, storey)| !storey.history.is_empty());
    let series: Vec<Series> = lines
        .map(|(place, storey)| Series::new(name(place), Style::Line, place, curve(&storey.history)))
        .collect();
    let (x, y) = (Axis::whole("epoch"), Axis::logarithmic("loss"));
    let chart = Chart { x, y, series, guides: Vec::new(), square: false };
    let cell = |value: Option<f64>, show: fn(f64) -> String| value.map_or("—".to_owned(), show);
    let rows = storeys.iter().enumerate().map(|(place, storey)| {
        let widths = format!("{} → {}", count(storey.input_dim), count(storey.latent_dim));
        let how = match storey.history.len() {
            0 => "PCA".to_owned(),
            epochs => plural(epochs, "epoch", "epochs"),
        };
        let loss = storey.history.last().map(|epoch| epoch.loss);
        let error = cell(storey.squared_error_per_row, number);
        let lost = cell(storey.fraction_variance_unexplained, percent);
        vec![name(place), widths, how, cell(loss, number), error, lost]
    });
    let rows = rows.collect();
    let columns =
        ["storey", "#numbers", "learned", "#last loss", "#squared error", "#variance lost"];
    let mut blocks = Vec::new();
    // A single epoch is a dot.
    if storeys.iter().any(|storey| storey.history.len() > 1) {
        blocks.push(Block::Figure(chart.render(), String::new()));
    }
    blocks.push(Block::Table(Table { columns: columns.map(String::from).into(), rows }));
    Section {
        heading: "Storeys".into(),
        text: vec![
            "Each storey was learned by itself, on the codes of the one below. Its loss and errors \
             are of its own input: those of two storeys cannot be compared."
                .into(),
        ],
        blocks,
    }
}
