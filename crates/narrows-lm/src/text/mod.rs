//! From files to windows of tokens.
//!
//! ```text
//! file ──► documents ──► tokens of each, with the token that begins a text before them ──► windows
//! ```
//!
//! Documents follow each other without a gap and are cut into windows of equal length: nothing is padded.

mod documents;
mod pieces;
mod tokenizer;
mod windows;

pub use documents::{Documents, TextOptions};
pub use tokenizer::Tokenizer;
pub use windows::{AT_ONCE, Corpus, Windows};
