//! Where rows lie by their codes, and whether neighbours stay together.

use serde::{Deserialize, Serialize};

use crate::evaluate::Neighbours;
use crate::report::page::{Block, Section, Table};
use crate::report::record::Codes;
use crate::report::text::{count, number, percent};

/// Codes of some rows, two of their numbers at a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CodeViews {
    /// The views; several where a code has three numbers, none where it has one.
    pub views: Vec<Codes>,
    /// Whether they show the principal axes of the codes in place of numbers of them.
    pub projected: bool,
    /// The same views of PCA's codes, where they are to be compared.
    pub pca: Vec<Codes>,
    /// Whether neighbours stay together.
    pub neighbours: Option<Neighbours>,
    /// The rows of which those above are an even sample.
    pub rows: usize,
}

/// `taught` is whether the model was told the classes, `alone` whether PCA is left out because it loses
/// nothing.
pub(super) fn codes(codes: &CodeViews, taught: bool, alone: bool) -> Section {
    let mut text = Vec::new();
    if let Some(view) = codes.views.first() {
        let by = match codes.projected {
            true => "the two directions in which their codes differ most",
            false => "two numbers of their codes",
        };
        text.push(format!("Rows by {by}{}", said(!view.classes.is_empty(), taught)));
    }
    let mut blocks = Vec::new();
    let mut pca = codes.pca.iter().filter(|_| !alone);
    for view in &codes.views {
        let (drawing, caption) = view.figure();
        let Some(beside) = pca.next() else {
            blocks.push(Block::Figure(drawing, caption));
            continue;
        };
        let caption = format!("This model: {caption}");
        let (other, _) = beside.figure();
        let of_pca = "PCA with as many numbers: the same rows.".to_owned();
        // A single map is what the page is for; of several, each stands beside its like.
        if codes.views.len() == 1 {
            blocks.extend([Block::Figure(drawing, caption), Block::Small(other, of_pca)]);
        } else {
            blocks.push(Block::Pair(vec![(drawing, caption), (other, of_pca)]));
        }
    }
    if let Some(found) = &codes.neighbours {
        text.push(meaning(found, codes.rows));
        blocks.push(Block::Table(table(found, alone)));
    }
    Section { heading: "Codes".into(), text, blocks }
}

fn said(classes: bool, taught: bool) -> &'static str {
    match (classes, taught) {
        (false, _) => ".",
        (true, true) => ", from which the labels are told.",
        (true, false) => ". The model saw no classes: where colours keep together, it found them.",
    }
}

fn meaning(found: &Neighbours, rows: usize) -> String {
    let k = found.nearest;
    let accuracy = match found.scores.accuracy {
        Some(_) => format!(
            "Neighbour accuracy: how often most of the {k} nearest other rows have the row's class. "
        ),
        None => String::new(),
    };
    let sample = match found.rows < rows {
        true => format!("{} of {} rows, evenly taken", count(found.rows), count(rows)),
        false => format!("{} rows", count(rows)),
    };
    let measured = if accuracy.is_empty() { "Measured" } else { "Both" };
    format!(
        "{accuracy}Trustworthiness: 1 where the {k} nearest codes of every row are its nearest rows, \
         about ½ by chance. {measured} on {sample}."
    )
}

fn table(found: &Neighbours, alone: bool) -> Table {
    let mut columns: Vec<String> = ["by", "#trustworthiness"].map(String::from).into();
    if found.scores.accuracy.is_some() {
        columns.push("#neighbour accuracy".to_owned());
    }
    let line = |name: &str, trustworthiness: f64, accuracy: Option<f64>| {
        let cells = [name.to_owned(), number(trustworthiness)].into_iter();
        cells.chain(accuracy.map(percent)).collect::<Vec<_>>()
    };
    let mut rows = vec![line("codes", found.scores.trustworthiness, found.scores.accuracy)];
    let pca = found
        .pca
        .filter(|_| !alone)
        .map(|pca| line("PCA, same width", pca.trustworthiness, pca.accuracy));
    rows.extend(pca);
    rows.push(line("the rows themselves", 1.0, found.accuracy_of_rows));
    Table { columns, rows }
}
