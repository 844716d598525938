//! How far the training of dictionaries is: lines of its history, checkpoints, and whoever watches.

use serde::{Deserialize, Serialize};

use super::class::Since;
use super::learner::Standing;
use crate::error::Result;
use crate::train::Wish;

/// What one dictionary came to over some rows: a line of the history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DictionaryRecord {
    /// Which dictionary, counted from 0.
    pub dictionary: usize,
    /// Rows seen.
    pub rows: u64,
    /// The loss, mean over the rows since the last line: what its kind makes of the squared error.
    pub loss: f64,
    /// The penalty in it.
    pub penalty: f64,
    /// The loss that revives dead latents.
    pub revival: f64,
    /// Σ‖t − y‖²/Σ‖t − t̄‖², t̄ the mean of each batch; 0 where rows do not differ.
    pub fraction_variance_unexplained: f64,
    /// Codes of a row that are not zero, mean.
    pub l0: f64,
    /// Sum of the codes of a row, mean.
    pub l1: f64,
    /// Latents without a code for as many rows as make them dead.
    pub dead: usize,
    /// λ at the end.
    pub sparsity_weight: f64,
    /// τ at the end, of batch top k and matryoshka.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub threshold: Option<f64>,
    /// Codes of a row at τ, mean over at most 1,024 rows of the last batch: of batch top k and matryoshka,
    /// whose `l0` is k by construction, while what is kept encodes by τ.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub l0_at_threshold: Option<f64>,
    /// η of the last step.
    pub learning_rate: f64,
    /// Seconds of its own steps since the last line.
    pub seconds: f64,
}

/// Where the training of several dictionaries stands; with [`DictionaryCheckpoint::vectors`] all there is to
/// know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DictionaryProgress {
    /// Rows seen.
    pub position: u64,
    /// What rows and targets are multiplied by.
    pub(super) scales: [f32; 2],
    pub(super) standings: Vec<Standing>,
    pub(super) since: Vec<Since>,
    /// The lines so far.
    pub history: Vec<DictionaryRecord>,
}

/// A moment of the training of several dictionaries.
#[derive(Debug, Clone, PartialEq)]
pub struct DictionaryCheckpoint<'a> {
    /// Where it stands.
    pub progress: DictionaryProgress,
    /// Parameters and the state of Adam, by name.
    pub vectors: Vec<(String, std::borrow::Cow<'a, [f32]>)>,
}

/// What a step came to, for whoever watches.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DictionaryStep {
    /// Rows seen.
    pub position: u64,
    /// Rows in all.
    pub total: u64,
    /// Mean of the fraction of variance that is not explained, over the dictionaries, of this batch.
    pub fraction_variance_unexplained: f64,
    /// Bytes that were read of files: see `LearnedDictionaries::bytes_read`.
    pub bytes_read: u64,
}

/// Whoever watches the training of dictionaries.
pub trait DictionaryObserver {
    /// After every step.
    fn step(&mut self, _: &DictionaryStep) -> Wish {
        Wish::GoOn
    }

    /// After every line of the history, of which there is one for each dictionary.
    fn record(&mut self, _: &[DictionaryRecord]) {}

    /// Keeps a checkpoint that it wished for.
    ///
    /// # Errors
    /// If it cannot be kept.
    fn checkpoint(&mut self, _: &DictionaryCheckpoint<'_>) -> Result<()> {
        Ok(())
    }
}

/// Whoever only wants to hear of lines of the history.
impl<F: FnMut(&[DictionaryRecord])> DictionaryObserver for F {
    fn record(&mut self, records: &[DictionaryRecord]) {
        self(records);
    }
}
