//! Columns of a table that are taken as categories and were probably not meant to be.

use super::Dataset;
use crate::error::Result;

/// The share of its cells from which on what they mostly are is probably what a column was meant to hold.
const MOSTLY: f64 = 0.9;
/// Fewer cells than this may all differ although they are categories.
const FEW_CELLS: usize = 20;
/// Numbers that are read at a time.
const BLOCK: usize = 1 << 18;

/// A column of categories, counted.
#[derive(Default)]
struct Counted {
    cells: usize,
    numbers: usize,
    /// The row, counted from 0, of the first cell that is no number, and its category.
    first_text: Option<(usize, usize)>,
}

/// What is strange about columns that are taken as categories, one sentence each: nearly all of their cells are
/// numbers, or nearly every cell is a category of its own. One slip of the pen makes hundreds of columns of either.
///
/// # Errors
/// If the rows cannot be read.
pub fn doubtful_columns(dataset: &Dataset) -> Result<Vec<String>> {
    let columns = dataset.columns.iter().enumerate();
    let categorical: Vec<(usize, Vec<bool>)> = columns
        .filter(|(_, column)| !column.categories.is_empty())
        .map(|(place, column)| {
            let is_number = |category: &String| category.parse::<f64>().is_ok();
            (place, column.categories.iter().map(is_number).collect())
        })
        .collect();
    let counted = count(dataset, &categorical)?;
    let told = categorical.iter().zip(&counted);
    Ok(told.filter_map(|((place, _), counted)| doubt(dataset, *place, counted)).collect())
}

/// Counts the cells of columns, of which each knows which categories are numbers, in one pass.
fn count(dataset: &Dataset, columns: &[(usize, Vec<bool>)]) -> Result<Vec<Counted>> {
    let mut counted: Vec<Counted> = columns.iter().map(|_| Counted::default()).collect();
    if columns.is_empty() {
        return Ok(counted);
    }
    let (rows, dim) = (dataset.rows.rows(), dataset.rows.dim());
    let block_rows = (BLOCK / dim).max(1).min(rows);
    let mut block = vec![0.0; block_rows * dim];
    for start in (0..rows).step_by(block_rows) {
        let block = &mut block[..block_rows.min(rows - start) * dim];
        dataset.rows.read_f64(start, block)?;
        for (row, values) in (start..).zip(block.chunks_exact(dim)) {
            for ((place, is_number), counted) in columns.iter().zip(&mut counted) {
                let value = values[*place];
                if value.is_nan() {
                    continue;
                }
                let category = value as usize;
                counted.cells += 1;
                if is_number[category] {
                    counted.numbers += 1;
                } else {
                    counted.first_text.get_or_insert((row, category));
                }
            }
        }
    }
    Ok(counted)
}

fn doubt(dataset: &Dataset, place: usize, counted: &Counted) -> Option<String> {
    let column = &dataset.columns[place];
    let (name, categories) = (&column.name, column.categories.len());
    let Counted { cells, numbers, first_text } = *counted;
    let most = MOSTLY * cells as f64;
    match first_text {
        Some((row, text)) if numbers as f64 >= most => Some(format!(
            "column '{name}': {numbers} of {cells} cells are numbers, row {} is '{}'; taken as {categories} \
             categories; leave such cells empty to have numbers",
            row + 1,
            column.categories[text]
        )),
        _ if cells >= FEW_CELLS && categories as f64 >= most => Some(format!(
            "column '{name}': {categories} categories in {cells} cells, each a column of its own; leave it out of \
             the table if it only names the rows"
        )),
        _ => None,
    }
}
