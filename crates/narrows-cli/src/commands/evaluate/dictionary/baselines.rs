//! What is lost without a dictionary: baselines of as many codes in a row.

use std::io::Write;

use anyhow::Result;
use narrows::evaluate::Baselines;

use super::super::super::dictionaries::{Rows, baseline_name};
use super::super::super::table::table;
use super::super::super::{Screen, figure};
use super::SEED;

/// The baselines at some L0.
pub(super) fn baselines(rows: &Rows, l0: &[f64], latents: usize) -> Result<Baselines> {
    let l0: Vec<usize> = l0.iter().map(|l0| l0.round() as usize).collect();
    rows.with(|rows| Baselines::measure(rows, &l0, latents, SEED))
}

pub(super) fn print_baselines(found: &Baselines) -> Result<()> {
    writeln!(
        Screen,
        "\nfraction of variance unexplained without a dictionary, fitted on {} rows, measured on {}\n",
        found.fitted_rows, found.rows
    )?;
    let names = found.l0.iter().map(|l0| format!("#L0 {l0}"));
    let headings: Vec<String> = std::iter::once("baseline".to_owned()).chain(names).collect();
    let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
    let lines = found.curves.iter().map(|curve| {
        let values = curve.fraction_variance_unexplained.iter().map(|&value| figure(value));
        let name = baseline_name(curve.baseline, curve.directions);
        std::iter::once(name).chain(values).collect()
    });
    Ok(write!(Screen, "{}", table(&headings, &lines.collect::<Vec<_>>()))?)
}
