//! What replacements came to.

use serde::Serialize;

use crate::model::TextLoss;

/// What a model loses with other rows at a tap.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SpliceScores {
    /// What stood in place of the rows.
    pub name: String,
    /// Features that they were told in, where they were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub features: Option<usize>,
    /// Mean number of codes of a row that are not 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub l0: Option<f64>,
    /// Squared error over squared distance from the mean row.
    pub fraction_variance_unexplained: f64,
    /// `CE_spliced`, in nats per token.
    pub loss: f64,
    /// e^loss.
    pub perplexity: f64,
    /// Mean divergence of what is predicted from what was, in nats per token.
    pub kl: f64,
    /// The part of what zero ablation loses that is not lost.
    pub loss_recovered_zero: f64,
    /// The part of what mean ablation loses that is not lost.
    pub loss_recovered_mean: f64,
}

/// What all replacements at a tap came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SpliceReport {
    /// The model.
    pub model: String,
    /// The place.
    pub tap: String,
    /// Rows that were replaced.
    pub rows: usize,
    /// Rows that were left as they are, since a text begins with them.
    pub rows_left: usize,
    /// The undisturbed model.
    pub clean: TextLoss,
    /// Zero in place of each row.
    pub zero: SpliceScores,
    /// The mean row in place of each.
    pub mean: SpliceScores,
    /// One for each replacement.
    pub replacements: Vec<SpliceScores>,
}

/// Sums over the tokens and rows of one replacement, in their order.
#[derive(Debug, Clone, Default)]
pub(super) struct Sums {
    pub(super) loss: f64,
    pub(super) kl: f64,
    pub(super) error: f64,
    pub(super) codes: usize,
}

/// What sums are told beside.
pub(super) struct Beside {
    pub(super) predictions: usize,
    pub(super) rows: usize,
    pub(super) spread: f64,
    pub(super) clean: f64,
    pub(super) zero: f64,
    pub(super) mean: f64,
}

impl Beside {
    pub(super) fn scores(
        &self,
        name: String,
        features: Option<usize>,
        sums: &Sums,
    ) -> SpliceScores {
        let loss = sums.loss / self.predictions as f64;
        let recovered = |ablated: f64| (ablated - loss) / (ablated - self.clean);
        SpliceScores {
            name,
            features,
            l0: features.map(|_| sums.codes as f64 / self.rows as f64),
            fraction_variance_unexplained: sums.error / self.spread,
            loss,
            perplexity: loss.exp(),
            kl: sums.kl / self.predictions as f64,
            loss_recovered_zero: recovered(self.zero),
            loss_recovered_mean: recovered(self.mean),
        }
    }
}
