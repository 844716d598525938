//! From text to tokens and back.

use std::path::Path;

use narrows::{Error, Result};

use super::pieces::{BEGIN, Pieces};

/// What makes tokens of text.
pub enum Tokenizer {
    /// `tokenizer.json` of Hugging Face.
    HuggingFace(Box<tokenizers::Tokenizer>),
    /// `tokenizer.bin` of llama2.c.
    Pieces(Pieces),
}

impl Tokenizer {
    /// Reads `tokenizer.json` for a model with `vocabulary` tokens.
    ///
    /// # Errors
    /// If it cannot be read, or has tokens that the model does not have.
    pub fn open(path: &Path, vocabulary: usize) -> Result<Self> {
        if !path.is_file() {
            return Err(Error::bad_file(
                path,
                "the tokenizer is missing",
                "copy `tokenizer.json` beside the model; `tokenizer.save_pretrained(DIR)` writes it",
            ));
        }
        let tokenizer = tokenizers::Tokenizer::from_file(path).map_err(|error| {
            Error::bad_file(path, format!("it is no tokenizer ({error})"), "fetch it again")
        })?;
        let highest = tokenizer.get_vocab(true).into_values().max().unwrap_or(0);
        if highest as usize >= vocabulary {
            return Err(Error::bad_file(
                path,
                format!("it has the token {highest}, but the model only {vocabulary} tokens"),
                "give the tokenizer that the model was trained with",
            ));
        }
        Ok(Self::HuggingFace(Box::new(tokenizer)))
    }

    /// Reads the vocabulary of llama2.c for a model with `vocabulary` tokens.
    ///
    /// # Errors
    /// If it cannot be read, or has another number of tokens.
    pub fn open_pieces(path: &Path, vocabulary: usize) -> Result<Self> {
        Ok(Self::Pieces(Pieces::read(path, vocabulary)?))
    }

    /// The tokens of a text, without any that is not in it.
    ///
    /// # Errors
    /// If the tokenizer has no token for a part of it.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        match self {
            Self::Pieces(pieces) => Ok(pieces.encode(text)),
            Self::HuggingFace(tokenizer) => match tokenizer.encode_fast(text, false) {
                Ok(encoding) => Ok(encoding.get_ids().to_vec()),
                Err(error) => Err(Error::failure(
                    "make tokens",
                    error.to_string(),
                    "leave that text out, or give the tokenizer that the model was trained with",
                )),
            },
        }
    }

    /// The text of some tokens. Bytes that are no text are shown as `�`.
    pub fn decode(&self, ids: &[u32]) -> String {
        match self {
            Self::HuggingFace(tokenizer) => tokenizer.decode(ids, false).unwrap_or_default(),
            Self::Pieces(pieces) => {
                let mut bytes = Vec::new();
                for (place, &id) in ids.iter().enumerate() {
                    let piece = pieces.bytes(id);
                    // A text begins with a space that was not in it.
                    let first = place == 0 || ids[place - 1] == BEGIN;
                    bytes.extend(piece.strip_prefix(b" ").filter(|_| first).unwrap_or(&piece));
                }
                String::from_utf8_lossy(&bytes).into_owned()
            }
        }
    }

    /// One token as it stands in a text, its spaces kept.
    pub fn token(&self, id: u32) -> String {
        match self {
            Self::HuggingFace(tokenizer) => match tokenizer.decode(&[id], false) {
                Ok(text) if !text.is_empty() => text,
                _ => tokenizer.id_to_token(id).unwrap_or_else(|| format!("<{id}>")),
            },
            Self::Pieces(pieces) => String::from_utf8_lossy(&pieces.bytes(id)).into_owned(),
        }
    }

    /// The id of a token that is written like this.
    pub fn id(&self, token: &str) -> Option<u32> {
        match self {
            Self::HuggingFace(tokenizer) => tokenizer.token_to_id(token),
            Self::Pieces(pieces) => {
                (0..pieces.len() as u32).find(|&id| pieces.bytes(id) == token.as_bytes())
            }
        }
    }
}
