//! Sparse dictionaries: many at once from one pass over the rows.

mod batch_top_k;
mod class;
mod codes;
mod control;
mod dense;
mod fit;
mod gated;
mod jump_relu;
mod l1;
mod latent_pass;
mod learned;
mod learner;
mod matryoshka;
mod options;
mod progress;
mod resample;
mod revival;
mod row_pass;
mod rule;
mod start;
#[cfg(test)]
mod tests;
mod top_k;

pub use fit::{DictionaryTask, LearnedDictionaries, fit_dictionaries};
pub use options::{DecoderNorm, DictionaryOptions, DictionaryTraining, JumpPenalty, Kind};
pub use progress::{
    DictionaryCheckpoint, DictionaryObserver, DictionaryProgress, DictionaryRecord, DictionaryStep,
};
