//! Decoder-only language models, run forward.
//!
//! ```text
//! x = embedding(tokens)                                        (n·l, d)
//! of each block, with a, b its norms:
//!   one after the other    x ← x + attention(a(x));  x ← x + mlp(b(x))        GPT-2, Llama, Mistral, Qwen2
//!   at once                x ← x + attention(a(x)) + mlp(b(x))                GPT-NeoX where it says so
//! logits = norm(x)·Uᵀ                                          (n·l, tokens)
//! mlp(x) = act(x·W₁ᵀ)·W₂ᵀ, or (act(x·W₁ᵀ) ∘ x·W₃ᵀ)·W₂ᵀ where it is gated
//! ```
//!
//! Rows of all sequences lie one below the other. Weights are f32 in memory, 4 bytes for each parameter,
//! whatever the file keeps.

mod angles;
mod architecture;
mod block;
mod forward;
mod generate;
mod gpt2;
mod gpt_neox;
mod llama;
mod llama2c;
mod loss;
mod open;
mod tap;

use narrows::compute::Matrix;
use narrows::{Error, Result};

pub use architecture::{Architecture, Family, Positions};
pub use forward::Pass;
pub use generate::Sampling;
pub(crate) use loss::rows_of_tile;
pub use loss::{TextLoss, losses};
pub use tap::{Hook, NoHook, Site, Tap};

use crate::text::Tokenizer;
use angles::Angles;
use block::{Block, NormWeights};

/// A language model with its tokenizer.
pub struct LanguageModel {
    /// What its folder is called.
    pub name: String,
    /// What it is made like.
    pub architecture: Architecture,
    /// What makes tokens of text.
    pub tokenizer: Tokenizer,
    /// Tokens that end a text, beside the one that begins it: `eos_token_id` of `generation_config.json` or
    /// `config.json`. No row depends on them.
    pub ends: Vec<u32>,
    parameters: Parameters,
    angles: Option<Angles>,
}

/// What was learned.
pub(crate) struct Parameters {
    /// `(tokens, d)`.
    pub(crate) embedding: Matrix,
    /// `(context, d)`, where positions are learned.
    pub(crate) positions: Option<Matrix>,
    pub(crate) blocks: Vec<Block>,
    pub(crate) norm: NormWeights,
    /// U `(tokens, d)`; `None` where it is the embedding.
    pub(crate) unembedding: Option<Matrix>,
}

impl LanguageModel {
    /// The token that begins a text, if the model has one.
    pub fn begin(&self) -> Option<u32> {
        self.architecture.begin
    }

    /// Whether a text is over with a token: one that ends it, or that begins the next.
    pub fn is_end(&self, token: u32) -> bool {
        self.ends.contains(&token) || self.begin() == Some(token)
    }

    /// U `(tokens, d)`: what logits are made with.
    pub fn unembedding(&self) -> &Matrix {
        self.parameters.unembedding.as_ref().unwrap_or(&self.parameters.embedding)
    }

    /// The factors γ of the last norm `(d)`, which logits are made after.
    pub fn last_norm_factors(&self) -> &[f32] {
        &self.parameters.norm.gamma
    }

    /// Numbers that were learned.
    pub fn parameters(&self) -> usize {
        let Parameters { embedding, positions, blocks, norm, unembedding } = &self.parameters;
        let of = |matrix: &Matrix| matrix.as_slice().len();
        let ends = of(embedding) + positions.as_ref().map_or(0, of);
        let ends = ends + unembedding.as_ref().map_or(0, of);
        let others = norm.numbers().into_iter().chain(blocks.iter().flat_map(Block::numbers));
        ends + others.map(<[f32]>::len).sum::<usize>()
    }

    /// A hash of what the model is made like and of every parameter (blake3, hexadecimal).
    pub fn content_hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        self.hash_into(&mut hasher);
        hasher.finalize().to_hex().to_string()
    }

    /// Adds what the model is made like and every parameter to a hash.
    pub(crate) fn hash_into(&self, hasher: &mut blake3::Hasher) {
        let Parameters { embedding, positions, blocks, norm, unembedding } = &self.parameters;
        hasher.update(format!("{:?}", self.architecture).as_bytes());
        let mut add = |values: &[f32]| {
            hasher.update(bytemuck::cast_slice(values));
        };
        let ends = [Some(embedding), positions.as_ref(), unembedding.as_ref()];
        ends.into_iter().flatten().for_each(|matrix| add(matrix.as_slice()));
        norm.numbers().into_iter().chain(blocks.iter().flat_map(Block::numbers)).for_each(add);
    }

    /// Refuses windows that the model cannot take.
    ///
    /// # Errors
    /// If there are no tokens, or more than it has positions.
    pub fn check_length(&self, length: usize) -> Result<()> {
        let most = self.architecture.context;
        if (1..=most).contains(&length) {
            return Ok(());
        }
        Err(Error::mistake(
            "make windows of tokens",
            format!("1 to {most} tokens, as '{}' takes them", self.name),
            length.to_string(),
            "give another --context",
        ))
    }

    /// Refuses tokens that the model does not have.
    ///
    /// # Errors
    /// If there is one.
    pub fn check_tokens(&self, tokens: &[u32]) -> Result<()> {
        let most = self.architecture.vocabulary;
        match tokens.iter().find(|&&token| token as usize >= most) {
            None => Ok(()),
            Some(token) => Err(Error::mistake(
                "make tokens",
                format!("tokens below {most}, as '{}' has them", self.name),
                token.to_string(),
                "give the tokenizer that the model was trained with",
            )),
        }
    }
}
