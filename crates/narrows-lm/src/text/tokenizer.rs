//! From text to tokens and back.

use std::path::Path;

use narrows::{Error, Result};

use super::pieces::{BEGIN, Pieces};

/// What makes tokens of text.
pub enum Tokenizer {
    /// `tokenizer.json` of Hugging Face.
    HuggingFace(Box<HuggingFace>),
    /// `tokenizer.bin` of llama2.c.
    Pieces(Pieces),
}

/// A tokenizer of Hugging Face, and what tells a token's text within a text.
pub struct HuggingFace {
    tokenizer: tokenizers::Tokenizer,
    /// A token that is plain letters, with its text.
    before: Option<(u32, String)>,
    /// Whether a text begins with a space that is not in it.
    puts_space: bool,
}

impl HuggingFace {
    fn new(tokenizer: tokenizers::Tokenizer) -> Self {
        let first = tokenizer.encode_fast("a", false).ok();
        let first = first.and_then(|found| tokenizer.id_to_token(*found.get_ids().first()?));
        // How SentencePiece and byte-level vocabularies write a space.
        let puts_space = first.is_some_and(|token| token.starts_with(['▁', 'Ġ']));
        let mut own = Self { tokenizer, before: None, puts_space };
        let letters = |id: u32| {
            let alone = own.decode(&[id]);
            let plain = !alone.is_empty() && alone.bytes().all(|byte| byte.is_ascii_alphanumeric());
            plain.then_some((id, alone))
        };
        own.before = (0..own.tokenizer.get_vocab_size(true) as u32).find_map(letters);
        own
    }

    fn decode(&self, ids: &[u32]) -> String {
        self.tokenizer.decode(ids, false).unwrap_or_default()
    }

    /// Some decoders take the space off what a text begins with, so the token is decoded behind another.
    fn token(&self, id: u32) -> Option<String> {
        let (before, text) =
            self.before.as_ref().filter(|_| self.tokenizer.get_decoder().is_some())?;
        let behind = self.decode(&[*before, id]);
        behind.strip_prefix(text.as_str()).filter(|own| !own.is_empty()).map(str::to_owned)
    }
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
        let no_tokenizer = |error: tokenizers::Error| {
            Error::bad_file(path, format!("it is no tokenizer ({error})"), "fetch it again")
        };
        let mut tokenizer = tokenizers::Tokenizer::from_file(path).map_err(no_tokenizer)?;
        // Either may be left in the file by who trained on sentences; documents are taken whole here.
        tokenizer.with_padding(None).with_truncation(None).map_err(no_tokenizer)?;
        let highest = tokenizer.get_vocab(true).into_values().max().unwrap_or(0);
        if highest as usize >= vocabulary {
            return Err(Error::bad_file(
                path,
                format!("it has the token {highest}, but the model only {vocabulary} tokens"),
                "give the tokenizer that the model was trained with",
            ));
        }
        Ok(Self::HuggingFace(Box::new(HuggingFace::new(tokenizer))))
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
            Self::Pieces(pieces) => pieces.encode(text),
            Self::HuggingFace(own) => match own.tokenizer.encode_fast(text, false) {
                Ok(encoding) => Ok(encoding.get_ids().to_vec()),
                Err(error) => Err(Error::failure(
                    "make tokens",
                    error.to_string(),
                    "leave that text out, or give the tokenizer that the model was trained with",
                )),
            },
        }
    }

    /// The tokens of a text that goes on after a line break, as those of a document that comes in parts do. Whatever
    /// puts a space before a text does it before a document, and not within it.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_on(&self, text: &str) -> Result<Vec<u32>> {
        match self {
            Self::Pieces(pieces) => pieces.encode_on(text),
            Self::HuggingFace(own) if own.puts_space => {
                let broken = self.encode("\n")?;
                let joint = self.encode(&format!("\n{text}"))?;
                // Where the break became one token with what follows, there is no telling them apart.
                joint
                    .strip_prefix(&broken[..])
                    .map_or_else(|| self.encode(text), |own| Ok(own.to_vec()))
            }
            Self::HuggingFace(_) => self.encode(text),
        }
    }

    /// The text of some tokens. Bytes that are no text are shown as `�`.
    pub fn decode(&self, ids: &[u32]) -> String {
        match self {
            Self::HuggingFace(own) => own.decode(ids),
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
            Self::HuggingFace(own) => own
                .token(id)
                .or_else(|| own.tokenizer.id_to_token(id))
                .unwrap_or_else(|| format!("<{id}>")),
            Self::Pieces(pieces) => String::from_utf8_lossy(&pieces.bytes(id)).into_owned(),
        }
    }

    /// The id of a token that is written like this.
    pub fn id(&self, token: &str) -> Option<u32> {
        match self {
            Self::HuggingFace(own) => own.tokenizer.token_to_id(token),
            Self::Pieces(pieces) => {
                (0..pieces.len() as u32).find(|&id| pieces.bytes(id) == token.as_bytes())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::{Value, json};

    /// A vocabulary with `▁` for a space, as SentencePiece makes it.
    fn with(change: impl Fn(&mut Value)) -> Tokenizer {
        let tokens =
            ["<s>", "▁", "o", "n", "ce", "on", "▁on", "▁once", "▁u", "p", "▁up", "<0x0A>", "once"];
        let vocabulary: serde_json::Map<String, Value> =
            tokens.iter().zip(0..).map(|(token, id)| ((*token).to_owned(), json!(id))).collect();
        let mut table = json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": [],
            "normalizer": null,
            "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true},
            "post_processor": null,
            "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true},
            "model": {"type": "WordPiece", "unk_token": "<s>", "continuing_subword_prefix": "", "max_input_chars_per_word": 100, "vocab": vocabulary},
        });
        change(&mut table);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokenizer.json");
        std::fs::write(&path, table.to_string()).unwrap();
        Tokenizer::open(&path, 13).unwrap()
    }

    /// The decoder of Llama 2, TinyLlama and Mistral.
    fn stripping(table: &mut Value) {
        table["decoder"] = json!({"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"},
            {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0},
        ]});
    }

    #[test]
    fn a_token_keeps_the_space_that_a_text_loses() {
        for tokenizer in [with(|_| ()), with(stripping)] {
            let ids = tokenizer.encode("once up on").unwrap();
            assert_eq!(ids, [7, 10, 6]);
            assert_eq!(tokenizer.decode(&ids), "once up on");
            let told: Vec<String> = ids.iter().map(|&id| tokenizer.token(id)).collect();
            assert_eq!(told, [" once", " up", " on"]);
            assert_eq!((tokenizer.token(1), tokenizer.token(4)), (" ".to_owned(), "ce".to_owned()));
        }
        assert_eq!(with(stripping).token(11), "\n");
        assert_eq!(with(|table| table["decoder"] = Value::Null).token(7), "▁once");
    }

    #[test]
    fn a_text_that_goes_on_begins_with_no_space() {
        let tokens =
            json!({"<s>": 0, "▁": 1, "o": 2, "n": 3, "a": 4, "▁o": 5, "▁a": 6, "<0x0A>": 7});
        let pieces = |table: &mut Value| {
            table["normalizer"] = json!({"type": "Sequence", "normalizers": [
                {"type": "Prepend", "prepend": "▁"},
                {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
            ]});
            table["pre_tokenizer"] = Value::Null;
            table["model"] = json!({"type": "BPE", "vocab": tokens, "unk_token": "<s>", "byte_fallback": true,
                "merges": ["▁ o", "▁ a"]});
        };
        let tokenizer = with(pieces);
        assert_eq!(tokenizer.encode("on").unwrap(), [5, 3]);
        assert_eq!(tokenizer.encode_on("on").unwrap(), [2, 3]);
        assert_eq!(tokenizer.encode_on(" on").unwrap(), [5, 3]);
        // One that puts nothing before a text is asked as ever.
        let plain = with(|table| table["pre_tokenizer"]["prepend_scheme"] = json!("never"));
        assert_eq!(plain.encode_on("once up").unwrap(), plain.encode("once up").unwrap());
        assert_eq!(plain.encode_on("once up").unwrap()[0], 12);
    }

    #[test]
    fn documents_are_neither_cut_nor_filled() {
        let text = "once up on ".repeat(20);
        let whole = with(|_| ()).encode(&text).unwrap();
        let cut = with(|table| {
            table["truncation"] = json!({"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0});
        });
        let filled = with(|table| {
            table["padding"] = json!({"strategy": {"Fixed": 512}, "direction": "Right", "pad_to_multiple_of": null,
                "pad_id": 0, "pad_type_id": 0, "pad_token": "<s>"});
        });
        assert_eq!(whole.len(), 61);
        assert_eq!(cut.encode(&text).unwrap(), whole);
        assert_eq!(filled.encode(&text).unwrap(), whole);
    }
}
