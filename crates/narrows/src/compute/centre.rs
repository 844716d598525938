//! Means of columns, and rows with their means taken away.

use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut2, Axis};
use rayon::prelude::*;

use super::Real;
use crate::error::Error;

/// Rows that one task handles.
const BLOCK: usize = 512;

/// Column means in f64, summed in fixed chunks of rows that are joined in order.
pub fn column_means<T: Real>(rows: ArrayView2<'_, T>) -> Array1<f64> {
    let partial: Vec<Vec<f64>> = rows
        .axis_chunks_iter(Axis(0), BLOCK)
        .into_par_iter()
        .map(|chunk| {
            let mut sum = vec![0.0_f64; chunk.ncols()];
            for row in chunk.rows() {
                match row.to_slice() {
                    Some(row) => add_to(&mut sum, row),
                    None => add_to(&mut sum, row),
                }
            }
            sum
        })
        .collect();
    let mut sum = Array1::zeros(rows.ncols());
    partial.iter().for_each(|part| sum += &ndarray::aview1(part));
    sum / rows.nrows().max(1) as f64
}

fn add_to<'a, T: Real>(sum: &mut [f64], row: impl IntoIterator<Item = &'a T>) {
    sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += value.to_f64());
}

/// `rows − mean`, subtracted in f64 and rounded to the kind of number wanted.
pub fn centred<T: Real, U: Real>(rows: ArrayView2<'_, T>, mean: &Array1<f64>) -> Array2<U> {
    let mut out = Array2::from_elem(rows.dim(), U::ZERO);
    centre_into(rows, mean, out.view_mut());
    out
}

/// [`centred`] into room that is there; `out` must be row-major.
pub(super) fn centre_into<T: Real, U: Real>(
    rows: ArrayView2<'_, T>,
    mean: &Array1<f64>,
    mut out: ArrayViewMut2<'_, U>,
) {
    let mean = mean.as_slice().expect("owned and contiguous");
    out.axis_chunks_iter_mut(Axis(0), BLOCK)
        .into_par_iter()
        .zip(rows.axis_chunks_iter(Axis(0), BLOCK))
        .for_each(|(mut out, rows)| {
            for (mut out, row) in out.rows_mut().into_iter().zip(rows.rows()) {
                let out = out.as_slice_mut().expect("row-major");
                match row.to_slice() {
                    Some(row) => subtract_mean(out, row, mean),
                    None => subtract_mean(out, row, mean),
                }
            }
        });
}

fn subtract_mean<'a, T: Real, U: Real>(
    out: &mut [U],
    row: impl IntoIterator<Item = &'a T>,
    mean: &[f64],
) {
    for ((out, value), mean) in out.iter_mut().zip(row).zip(mean) {
        *out = U::from_f64(value.to_f64() - mean);
    }
}

/// Names the first value that is missing or infinite.
pub(crate) fn not_finite<T: Real>(rows: ArrayView2<'_, T>, first_row: usize) -> Error {
    let place = rows.indexed_iter().find(|(_, value)| !value.to_f64().is_finite());
    let got = match place {
        Some(((row, column), value)) => {
            format!("{:?} in row {}, column {}", value, first_row + row + 1, column + 1)
        }
        None => "values so large that their sum overflows".to_owned(),
    };
    Error::mistake(
        "fit",
        "finite numbers",
        got,
        "remove such rows, or fill missing values with `--missing mean` or `--missing em`",
    )
}
