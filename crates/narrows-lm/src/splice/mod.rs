//! What a model loses when rows at a tap are replaced by what features make of them.
//!
//! ```text
//! x (d) a row at the tap    x̂ (d) what stands in its place    x̄ (d) the mean of the rows of the text
//! p, q (tokens) what the model predicts next, undisturbed and with x̂ in the place of x
//!
//! CE_clean      mean of −ln p(next)             CE_spliced    mean of −ln q(next), in nats per token
//! CE_zero       CE_spliced with x̂ = 0           CE_mean       CE_spliced with x̂ = x̄
//! loss recovered  (CE_ablated − CE_spliced) / (CE_ablated − CE_clean), ablated: zero or mean
//! KL            mean of Σ p·ln(p/q) in nats      perplexity    e^CE
//! FVU           Σ‖x − x̂‖² / Σ‖x − x̄‖²           L0            mean number of codes of a row that are not 0
//! ```
//!
//! Means of CE and KL are over all tokens but the first of each window. Rows of the token that begins a text
//! stay as they are unless one says otherwise, in the ablations too: dictionaries are not trained on them.
//! FVU and L0 are of the rows that are replaced. x̄ is that of the measured rows themselves.
//!
//! Source: A. Karvonen et al., `SAEBench` (2025), whose loss recovered is that of zero ablation;
//! H. Cunningham et al., Sparse autoencoders find highly interpretable features in language models (2023).
//! Differs from: `SAELens` leaves such rows out of reconstructions too, but its zero ablation takes every row,
//! and its means leave out what is predicted from them.

mod baselines;
mod compare;
mod measure;
mod scores;

pub use baselines::BaselineFrames;
pub use measure::{Replacement, Splice};
pub use scores::{SpliceReport, SpliceScores};
