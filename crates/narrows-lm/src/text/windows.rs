//! Windows of tokens: documents one after the other, cut at equal lengths.

use narrows::{Error, Result};

use super::documents::{Documents, Part, TextOptions};
use crate::model::LanguageModel;

/// Sequences that go through a model at once.
pub const AT_ONCE: usize = 8;

/// Sequences of equal length, one after the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Windows {
    /// The tokens, `sequences · length`.
    pub tokens: Vec<u32>,
    /// Tokens of a sequence.
    pub length: usize,
}

impl Windows {
    /// Sequences of `length` tokens.
    ///
    /// # Panics
    /// If they are not whole: the caller's mistake.
    pub fn new(tokens: Vec<u32>, length: usize) -> Self {
        assert!(length > 0 && tokens.len().is_multiple_of(length), "windows: whole sequences");
        Self { tokens, length }
    }

    /// Number of sequences.
    pub fn sequences(&self) -> usize {
        self.tokens.len() / self.length.max(1)
    }

    /// The tokens of one sequence.
    pub fn sequence(&self, index: usize) -> &[u32] {
        &self.tokens[index * self.length..(index + 1) * self.length]
    }

    /// All sequences, so many at a time as go through a model at once.
    pub fn parts(&self) -> impl Iterator<Item = Self> + '_ {
        let count = self.sequences();
        (0..count).step_by(AT_ONCE).map(move |first| self.part(first..count.min(first + AT_ONCE)))
    }

    /// Some sequences that follow each other.
    pub fn part(&self, sequences: std::ops::Range<usize>) -> Self {
        let tokens = &self.tokens[sequences.start * self.length..sequences.end * self.length];
        Self::new(tokens.to_vec(), self.length)
    }
}

/// The tokens of a text, read as they are asked for.
pub struct Corpus<'a> {
    model: &'a LanguageModel,
    documents: Documents,
    /// Whether the token that begins a text is put before each document.
    begin: bool,
    length: usize,
    waiting: Vec<u32>,
    ended: bool,
    documents_read: usize,
    bytes_read: u64,
}

impl<'a> Corpus<'a> {
    /// Begins to read windows of `length` tokens. Where the model has a token that begins a text and `begin`
    /// is true, it stands before each document.
    ///
    /// # Errors
    /// If a file is not there, or the model takes no such windows.
    pub fn open(
        model: &'a LanguageModel,
        text: &TextOptions,
        length: usize,
        begin: bool,
    ) -> Result<Self> {
        model.check_length(length)?;
        Ok(Self {
            model,
            documents: Documents::open(text)?,
            begin,
            length,
            waiting: Vec::new(),
            ended: false,
            documents_read: 0,
            bytes_read: 0,
        })
    }

    /// The next windows, at most `most` of them; `None` where the text is at its end. Tokens that do not fill
    /// a last window are left out.
    ///
    /// # Errors
    /// If the text cannot be read, or holds a token that the model does not have.
    pub fn advance(&mut self, most: usize) -> Result<Option<Windows>> {
        while !self.ended && self.waiting.len() < most * self.length {
            match self.documents.advance()? {
                Some(part) => self.push(&part)?,
                None => self.ended = true,
            }
        }
        let sequences = (self.waiting.len() / self.length).min(most);
        if sequences == 0 {
            return Ok(None);
        }
        let rest = self.waiting.split_off(sequences * self.length);
        Ok(Some(Windows::new(std::mem::replace(&mut self.waiting, rest), self.length)))
    }

    fn push(&mut self, part: &Part) -> Result<()> {
        if part.begins {
            self.documents_read += 1;
            self.waiting.extend(self.model.begin().filter(|_| self.begin));
        }
        self.bytes_read += part.text.len() as u64;
        let tokenizer = &self.model.tokenizer;
        let ids = if part.begins {
            tokenizer.encode(&part.text)
        } else {
            tokenizer.encode_on(&part.text)
        }?;
        self.model.check_tokens(&ids)?;
        self.waiting.extend(ids);
        Ok(())
    }

    /// All windows that are left: four bytes for each token.
    ///
    /// # Errors
    /// As [`Corpus::advance`], and if there is not one window.
    pub fn collect(mut self) -> Result<Windows> {
        let mut tokens = Vec::new();
        while let Some(windows) = self.advance(1024)? {
            tokens.extend(windows.tokens);
        }
        if tokens.is_empty() {
            let expected = format!("text of at least {} tokens, one window", self.length);
            let got = format!("{} tokens", self.waiting.len());
            return Err(Error::mistake(
                "read text",
                expected,
                got,
                "give more text or a smaller --context",
            ));
        }
        Ok(Windows::new(tokens, self.length))
    }

    /// Documents that were begun so far.
    pub fn documents(&self) -> usize {
        self.documents_read
    }

    /// Bytes of text that were made into tokens so far.
    pub fn bytes(&self) -> u64 {
        self.bytes_read
    }
}
