//! What stands beside the scores of a dictionary where it is asked for: how alike its atoms are to those of
//! another, and whether a few of its latents tell classes.

use std::io::Write;

use anyhow::Result;
use narrows::compute::Matrix;
use narrows::data;
use narrows::evaluate::{DictionaryLikeness, Probe, Probes, compare_dictionaries};
use narrows::model::Dictionary;
use narrows::report::count;
use serde_json::{Value, json};

use super::super::super::dictionaries::{NUMBERS, Rows, open};
use super::super::super::table::table;
use super::super::super::{Screen, figure};
use super::super::EvaluateArgs;
use super::SEED;

/// Rows that probes learn from and are measured on, at most.
const PROBED: usize = 10_000;

/// What every dictionary is held against.
pub(super) struct Beside {
    other: Option<Dictionary>,
    labelled: Option<Labelled>,
}

/// An even sample of the rows, and the class of each.
struct Labelled {
    rows: Matrix,
    classes: Vec<usize>,
}

/// What that came to for one dictionary.
pub(super) struct FoundBeside {
    pub(super) against: Option<DictionaryLikeness>,
    pub(super) probes: Option<Probes>,
}

impl Beside {
    /// Reads what the options ask for.
    pub(super) fn new(args: &EvaluateArgs, rows: &Rows) -> Result<Self> {
        let asked = args.labels.is_some() || args.on.label_column.is_some();
        Ok(Self {
            other: args.against.as_deref().map(open).transpose()?,
            labelled: if asked { Labelled::sample(rows)? } else { None },
        })
    }

    pub(super) fn measure(&self, dictionary: &Dictionary) -> Result<FoundBeside> {
        let compare =
            |other: &Dictionary| compare_dictionaries(&dictionary.decoder, &other.decoder);
        let probe = |labelled: &Labelled| {
            let codes = dictionary.encode_sparse(&labelled.rows)?;
            Probes::measure(&labelled.rows, &codes, &labelled.classes, SEED)
        };
        Ok(FoundBeside {
            against: self.other.as_ref().map(compare).transpose()?,
            probes: self.labelled.as_ref().map(probe).transpose()?,
        })
    }
}

impl Labelled {
    /// `None` where the rows have no labels.
    fn sample(rows: &Rows) -> Result<Option<Self>> {
        let Some(labels) = &rows.dataset.labels else { return Ok(None) };
        let source = &*rows.dataset.rows;
        let most = PROBED.min(NUMBERS / source.dim().max(1)).max(1);
        let places = data::evenly(source.rows(), most);
        let mut sample = Matrix::zeros(places.len(), source.dim());
        source.gather_f32(&places, sample.as_mut_slice())?;
        data::refuse_not_finite(source, |row| places[row], &sample)?;
        let classes = places.iter().map(|&place| labels.classes[place]).collect();
        Ok(Some(Self { rows: sample, classes }))
    }
}

impl FoundBeside {
    /// Adds it to what is told of the dictionary.
    pub(super) fn tell(&self, told: &mut Value) {
        if let Some(against) = &self.against {
            told["against"] = json!(against);
        }
        if let Some(probes) = &self.probes {
            told["probes"] = json!(probes);
        }
    }

    pub(super) fn print(&self) -> Result<()> {
        if let Some(against) = &self.against {
            writeln!(Screen, "\nagainst a dictionary of {} latents\n", against.latents_of_other)?;
            print_lines("atoms against atoms", &likeness(against, "other"))?;
        }
        let Some(found) = &self.probes else { return Ok(()) };
        let latents = found.latents.iter().map(|probe| line("latents", probe));
        print_probes(found, latents.collect())
    }
}

pub(super) fn likeness(found: &DictionaryLikeness, other: &str) -> Vec<(&'static str, f64)> {
    let back = if other == "truth" { "mmcs of the truth in it" } else { "mmcs of the other in it" };
    vec![
        ("mmcs", found.mmcs),
        (back, found.mmcs_of_other),
        ("mcc", found.mcc),
        ("matched above 0.9", found.matched),
        ("uniqueness", found.uniqueness),
    ]
}

pub(super) fn print_lines(heading: &str, lines: &[(&str, f64)]) -> Result<()> {
    let lines: Vec<_> =
        lines.iter().map(|(name, value)| vec![(*name).to_owned(), figure(*value)]).collect();
    Ok(write!(Screen, "{}", table(&[heading, "#value"], &lines))?)
}

/// What probes say of the rows themselves, under `lines` that they say of latents.
pub(super) fn print_probes(found: &Probes, mut lines: Vec<Vec<String>>) -> Result<()> {
    writeln!(
        Screen,
        "\nprobes of {} classes, learned on {} rows, measured on {}; always answering what is more \
         frequent: accuracy {}\n",
        found.classes,
        count(found.train_rows),
        count(found.test_rows),
        figure(found.majority_accuracy),
    )?;
    lines.extend(found.columns.iter().map(|probe| line("columns of the rows", probe)));
    lines.push(line("columns, all", &found.all_columns));
    Ok(write!(Screen, "{}", table(&["on", "#accuracy", "#f1"], &lines))?)
}

fn line(what: &str, probe: &Probe) -> Vec<String> {
    vec![format!("{} {what}", probe.k), figure(probe.accuracy), figure(probe.f1)]
}
