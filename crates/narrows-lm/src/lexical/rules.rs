//! Sums of a feature in cells, and what rules predict from them.

use super::contexts::{Chain, Contexts, Level};

/// κ: how many rows the parent of a cell counts as.
pub(super) const SHRINKAGE: f64 = 4.0;

/// What a feature adds up to in a cell.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cell {
    /// Σ a, Σ a² and the number of activations over rows that are fitted on.
    pub(super) sum: f64,
    pub(super) squares: f64,
    pub(super) fires: u32,
    /// Of rows that are held out.
    pub(super) held_fires: u32,
    pub(super) held_sum: f64,
}

impl Cell {
    fn add(&mut self, other: &Self) {
        self.sum += other.sum;
        self.squares += other.squares;
        self.fires += other.fires;
        self.held_fires += other.held_fires;
        self.held_sum += other.held_sum;
    }
}

/// The sums of each cell of each level of each chain, and of all rows.
pub(super) struct Sums {
    pub(super) all: Cell,
    /// Σ a² over rows that are held out.
    held_squares: f64,
    pub(super) cells: Vec<Vec<Vec<Cell>>>,
}

impl Sums {
    /// Of activations `(row, a > 0)`.
    pub(super) fn new(contexts: &Contexts, activations: &[(u32, f32)]) -> Self {
        let empty = |chain: &Chain| -> Vec<Vec<Cell>> {
            let cells = |level: &Level| vec![Cell::default(); level.parents.len()];
            chain.levels.iter().map(cells).collect()
        };
        let mut cells: Vec<Vec<Vec<Cell>>> = contexts.chains.iter().map(empty).collect();
        let (mut all, mut held_squares) = (Cell::default(), 0.0);
        for &(row, activation) in activations {
            let a = f64::from(activation);
            let own = match contexts.is_held_out(row as usize) {
                true => Cell { held_sum: a, held_fires: 1, ..Cell::default() },
                false => Cell { sum: a, squares: a * a, fires: 1, ..Cell::default() },
            };
            held_squares += f64::from(own.held_fires) * a * a;
            all.add(&own);
            for (chain, cells) in contexts.chains.iter().zip(&mut cells) {
                let finest = chain.finest[row as usize] as usize;
                if let Some(level) = cells.last_mut() {
                    level[finest].add(&own);
                }
            }
        }
        for (chain, cells) in contexts.chains.iter().zip(&mut cells) {
            for place in (1..cells.len()).rev() {
                let (coarser, finer) = cells.split_at_mut(place);
                for (cell, &parent) in finer[0].iter().zip(&chain.levels[place].parents) {
                    coarser[place - 1][parent as usize].add(cell);
                }
            }
        }
        Self { all, held_squares, cells }
    }

    /// Σ (a − ā)² over the `fitted` rows.
    pub(super) fn spread(&self, fitted: usize) -> f64 {
        self.all.squares - self.all.sum * self.all.sum / fitted as f64
    }

    /// corr(a, â) over rows that are held out; 0 where one of them is the same everywhere.
    pub(super) fn held_out_correlation(&self, level: &Level, cells: &[Cell], means: &Means) -> f64 {
        let count: f64 = level.held_out.iter().map(|&count| f64::from(count)).sum();
        let predicted = |cell: usize| means.of[cell].mean;
        let each = || level.held_out.iter().enumerate();
        let mean = each().map(|(cell, &n)| f64::from(n) * predicted(cell)).sum::<f64>() / count;
        let (mut common, mut spread) = (0.0, 0.0);
        for (cell, &n) in each() {
            let apart = predicted(cell) - mean;
            common += apart * cells[cell].held_sum;
            spread += f64::from(n) * apart * apart;
        }
        let own = self.held_squares - self.all.held_sum * self.all.held_sum / count;
        let lengths = (spread * own).sqrt();
        // Rounding alone makes a spread of what does not vary.
        if spread <= 1e-24 * count * mean * mean || own <= 1e-12 * self.held_squares {
            return 0.0;
        }
        (common / lengths).clamp(-1.0, 1.0)
    }
}

/// What is predicted in a cell: `mean`, and without a row of it that has a: `alpha − beta·a`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Prediction {
    pub(super) mean: f64,
    pub(super) alpha: f64,
    pub(super) beta: f64,
}

/// What is predicted in each cell of a level.
pub(super) struct Means {
    pub(super) of: Vec<Prediction>,
}

impl Means {
    /// Those of every level of a chain; `sum` is what is averaged, `all` its sum over all `fitted` rows.
    pub(super) fn of_chain(
        chain: &Chain,
        cells: &[Vec<Cell>],
        fitted: usize,
        all: f64,
        sum: impl Fn(&Cell) -> f64,
    ) -> Vec<Self> {
        let (count, rest) = (fitted as f64, (fitted as f64 - 1.0).max(1.0));
        let root = Prediction { mean: all / count, alpha: all / rest, beta: 1.0 / rest };
        let mut levels: Vec<Self> = Vec::new();
        for (level, cells) in chain.levels.iter().zip(cells) {
            let coarser = levels.last();
            let own = level.parents.iter().zip(&level.fitted).zip(cells);
            let of = own.map(|((&parent, &n), cell)| {
                let parent = coarser.map_or(&root, |coarser| &coarser.of[parent as usize]);
                let (n, sum) = (f64::from(n), sum(cell));
                let (with, without) = (n + SHRINKAGE, n - 1.0 + SHRINKAGE);
                Prediction {
                    mean: (sum + SHRINKAGE * parent.mean) / with,
                    alpha: (sum + SHRINKAGE * parent.alpha) / without,
                    beta: (1.0 + SHRINKAGE * parent.beta) / without,
                }
            });
            let of = of.collect();
            levels.push(Self { of });
        }
        levels
    }

    /// Σ (a − â⁻)² over rows that are fitted on.
    pub(super) fn error_without_itself(&self, level: &Level, cells: &[Cell]) -> f64 {
        let each = self.of.iter().zip(&level.fitted).zip(cells);
        let errors = each.filter(|((_, n), _)| **n > 0).map(|((own, &n), cell)| {
            let scale = 1.0 + own.beta;
            scale * scale * cell.squares - 2.0 * scale * own.alpha * cell.sum
                + f64::from(n) * own.alpha * own.alpha
        });
        errors.sum()
    }
}
