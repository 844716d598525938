//! The set of cells in which a feature is said to fire.

use super::contexts::Level;
use super::rules::{Cell, Means};

/// A set of cells: those that fire on a share of at least `threshold` of their rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct CellSet {
    pub(super) threshold: f64,
    /// Its F1 on rows that are fitted on, each predicted without itself.
    pub(super) fitted_f1: f64,
}

impl CellSet {
    /// The set of largest F1. No threshold below half of the share `base` of all rows is tried: of shares that
    /// are true the best one is half of the F1 that it gives, and to say always that it fires gives at least
    /// `base`.
    pub(super) fn choose(level: &Level, cells: &[Cell], shares: &Means, base: f64) -> Self {
        let least = base / 2.0;
        // Rows of one cell are predicted one way if they fire and another if they do not.
        let mut points: Vec<(f64, u32, u32)> = Vec::new();
        for ((share, &n), cell) in shares.of.iter().zip(&level.fitted).zip(cells) {
            let fires = (share.alpha - share.beta, cell.fires, cell.fires);
            let others = (share.alpha, n - cell.fires, 0);
            points.extend([fires, others].into_iter().filter(|(p, n, _)| *n > 0 && *p >= least));
        }
        points.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        let positives: f64 = cells.iter().map(|cell| f64::from(cell.fires)).sum();
        let mut best = Self { threshold: f64::INFINITY, fitted_f1: 0.0 };
        let (mut said, mut hit) = (0.0, 0.0);
        for (place, &(share, n, fires)) in points.iter().enumerate() {
            said += f64::from(n);
            hit += f64::from(fires);
            let next = points.get(place + 1).map_or(least, |next| next.0);
            let f1 = 2.0 * hit / (said + positives);
            if next < share && f1 > best.fitted_f1 {
                best = Self { threshold: f64::midpoint(share, next), fitted_f1: f1 };
            }
        }
        best
    }

    /// Precision and recall on rows that are held out.
    pub(super) fn held_out(&self, level: &Level, cells: &[Cell], shares: &Means) -> (f64, f64) {
        let (mut said, mut hit, mut positives) = (0.0, 0.0, 0.0);
        for ((share, &n), cell) in shares.of.iter().zip(&level.held_out).zip(cells) {
            let fires = f64::from(cell.held_fires);
            positives += fires;
            if share.mean >= self.threshold {
                said += f64::from(n);
                hit += fires;
            }
        }
        let part = |of: f64| if of > 0.0 { hit / of } else { 0.0 };
        (part(said), part(positives))
    }
}
