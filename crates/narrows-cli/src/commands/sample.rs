//! Some rows of many, evenly taken, with their codes.

use narrows::data::{Chosen, Labels, Source, evenly};
use narrows::evaluate::Neighbours;
use narrows::store::Run;
use ndarray::Array2;

/// Rows that are looked at where all would be too many: the work of neighbours grows with their square.
pub(super) const SAMPLED: usize = 2400;
/// Numbers that are held at most: fewer rows where a row is wide.
const MOST_NUMBERS: usize = 1 << 25;
/// Neighbours that are looked at.
const NEAREST: usize = 5;

/// Prepared rows, missing values filled, and their codes.
pub(super) struct Sample {
    /// Where they stand in the data.
    pub(super) places: Vec<usize>,
    pub(super) rows: Array2<f64>,
    pub(super) codes: Array2<f64>,
    /// By PCA of the same width; `None` where the model is PCA.
    pub(super) pca_codes: Option<Array2<f64>>,
}

impl Sample {
    /// At most `most` prepared rows.
    pub(super) fn take(run: &Run, rows: &dyn Source, most: usize) -> narrows::Result<Self> {
        let most = most.min(MOST_NUMBERS / rows.dim().max(1)).max(1);
        Self::at(run, rows, evenly(rows.rows(), most))
    }

    fn at(run: &Run, rows: &dyn Source, places: Vec<usize>) -> narrows::Result<Self> {
        let mut sampled = Array2::zeros((places.len(), rows.dim()));
        let chosen = Chosen { source: rows, places: &places };
        chosen.read_f64(0, sampled.as_slice_mut().expect("owned and row-major"))?;
        run.model.fill_missing(&mut sampled)?;
        let codes = run.model.encode(sampled.view())?;
        let pca = run.baseline.as_ref();
        let pca_codes = pca.map(|pca| pca.transform(sampled.view())).transpose()?;
        Ok(Self { places, rows: sampled, codes, pca_codes })
    }

    /// The class of each row, by its number among the names.
    pub(super) fn classes(&self, labels: &Labels) -> Vec<usize> {
        self.places.iter().map(|&place| labels.classes[place]).collect()
    }

    /// Whether codes keep neighbours together; `None` of fewer than three rows.
    pub(super) fn neighbours(&self, labels: Option<&Labels>) -> Option<Neighbours> {
        let classes = labels.map(|labels| self.classes(labels));
        let pca = self.pca_codes.as_ref().map(|codes| codes.view());
        let (rows, codes) = (self.rows.view(), self.codes.view());
        Neighbours::measure(rows, codes, pca, classes.as_deref(), NEAREST)
    }
}
