//! What features do: replaced by what they are with another prompt.
//!
//! ```text
//! two prompts of l tokens that differ in one fact: base and target
//! x (l, d), z (l, n)  rows at the tap and their codes with base; x̄, z̄ with target
//! x'(F) = x + Σ_{j ∈ F} (z̄ⱼ − zⱼ)·Dⱼ        at every position; what features do not tell of x stays
//! KL(F) = Σ p̄·ln(p̄ / p(F))  of the next token after the last position, p̄ with target, p(F) with x'(F)
//! edit(F) = ‖x'(F) − x‖ over all positions and columns
//! ```
//!
//! Which F? *By effect*: the features in falling order of how far each alone lowers the mean KL, the first k of them.
//! *By removal*, as the paper does (algorithm 4.1 of ACDC on a flat graph): all features at first; from the least
//! to the most effect, each is left out if that raises the mean KL by less than τ; every τ gives one F, and the next
//! larger τ goes on from it. Orders are found on some pairs and KL is told of others.
//!
//! Source: H. Cunningham et al., Sparse autoencoders find highly interpretable features in language models (2023),
//! section 4; A. Conmy et al., Towards automated circuit discovery (2023).
//! Differs from: the paper's KL is of the pairs that the order was found on; there every τ begins from all features,
//! which takes three times as long for the larger ones.

mod experiment;
mod pairs;
mod pronouns;

pub use experiment::{Curve, Experiment, Method, Point};
pub use pairs::{Pair, check_pairs, read_pairs};
pub use pronouns::{Ability, pronoun_pairs};
