//! Mean, spread and range of every column, in one pass.
//!
//! Row by row after Welford (1962): with `δ = x − mean`, `mean += δ / n` and
//! `squares += δ · (x − mean)`. As stable as two passes, and the same bits for any block size and
//! any number of threads. Missing values are left out.

use rayon::prelude::*;

/// Columns that are summed up together by one thread.
const GROUP: usize = 64;

/// The running summaries of all columns.
pub(super) struct Summaries {
    dim: usize,
    groups: Vec<Group>,
}

/// The summary of one column: its `count` values without the missing ones.
pub(super) struct Summary {
    pub(super) count: f64,
    pub(super) mean: f64,
    squares: f64,
    pub(super) least: f64,
    pub(super) most: f64,
}

impl Summary {
    /// The standard deviation of the population.
    pub(super) fn deviation(&self) -> f64 {
        (self.squares / self.count).sqrt()
    }
}

impl Summaries {
    /// Of rows of `dim` numbers, none of them seen yet.
    pub(super) fn new(dim: usize) -> Self {
        let columns = |start| GROUP.min(dim - start);
        let groups = (0..dim).step_by(GROUP).map(|start| Group::new(start, columns(start)));
        Self { dim, groups: groups.collect() }
    }

    /// Takes in whole rows.
    pub(super) fn add(&mut self, rows: &[f64]) {
        self.groups.par_iter_mut().for_each(|group| group.add(rows, self.dim));
    }

    /// One summary per column.
    pub(super) fn columns(&self) -> impl Iterator<Item = Summary> + '_ {
        (0..self.dim).map(|column| {
            let (group, at) = (&self.groups[column / GROUP], column % GROUP);
            Summary {
                count: group.count[at],
                mean: group.mean[at],
                squares: group.squares[at],
                least: group.least[at],
                most: group.most[at],
            }
        })
    }
}

/// Up to [`GROUP`] neighbouring columns.
struct Group {
    start: usize,
    count: Vec<f64>,
    mean: Vec<f64>,
    squares: Vec<f64>,
    least: Vec<f64>,
    most: Vec<f64>,
}

impl Group {
    fn new(start: usize, columns: usize) -> Self {
        let all = |value| vec![value; columns];
        Self {
            start,
            count: all(0.0),
            mean: all(0.0),
            squares: all(0.0),
            least: all(f64::INFINITY),
            most: all(f64::NEG_INFINITY),
        }
    }

    fn add(&mut self, rows: &[f64], dim: usize) {
        let columns = self.count.len();
        for row in rows.chunks_exact(dim) {
            let row = &row[self.start..][..columns];
            let moments = self.count.iter_mut().zip(&mut self.mean).zip(&mut self.squares);
            let ranges = self.least.iter_mut().zip(&mut self.most);
            for ((&x, moments), (least, most)) in row.iter().zip(moments).zip(ranges) {
                let ((count, mean), squares) = moments;
                // Without branches, so that columns go side by side through the vector unit.
                let present = !x.is_nan();
                *count += f64::from(u8::from(present));
                let delta = if present { x - *mean } else { 0.0 };
                *mean += delta / if *count == 0.0 { 1.0 } else { *count };
                *squares += if present { delta * (x - *mean) } else { 0.0 };
                *least = if x < *least { x } else { *least };
                *most = if x > *most { x } else { *most };
            }
        }
    }
}
