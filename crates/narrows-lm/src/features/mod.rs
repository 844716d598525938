//! What features mean: where they fire, what they promote, what lies near them.
//!
//! ```text
//! a_t ≥ 0    the code of a feature at token t, |z| where codes have a sign; rows of the token that begins a text have none
//! density    share of tokens with a code        histogram of the codes that are not 0, 20 equal bins up to the largest
//! top        the contexts of the largest codes, one of each window
//! bands      the range 0 … largest code in 5 equal parts; of each, some contexts drawn evenly
//! promoted   U·(γ ∘ D̃ⱼ), D̃ⱼ the direction, less its mean where the last norm takes the mean away: the tokens whose
//!            logits it raises and lowers most, before the division of that norm
//! near       the features with the largest cosine of directions
//! together   the features with the largest |A ∩ B| / |A ∪ B|, A and B the tokens at which each fires, of long texts one
//!            token in 2, 4, 8, … being counted
//! ```
//!
//! Source: nostalgebraist, Interpreting GPT: the logit lens (2020); T. Bricken et al., Towards monosemanticity (2023).

mod browser;
mod collect;
mod contexts;
mod delphi;
mod export;
mod lens;
mod neuronpedia;
mod peaks;
mod together;

pub use browser::write_browser;
pub use collect::{
    Context, FeatureRecord, Features, FeaturesOptions, Firing, Listener, Silent, TokenWeight,
    collect,
};
pub use delphi::{DelphiOptions, DelphiWriter};
pub use export::write_jsonl;
pub use lens::LogitHistogram;
pub use neuronpedia::{CREATOR, NeuronpediaOptions, check_set, write_neuronpedia};
