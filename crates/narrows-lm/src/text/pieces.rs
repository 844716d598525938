//! The vocabulary of llama2.c (`tokenizer.bin`): pieces with scores, merged by score.
//!
//! ```text
//! int32 longest    then for each piece: float32 score, int32 length, bytes     (little-endian)
//! text → one space and its characters; a character that is no piece becomes its bytes (ids 3 to 258)
//!      → again and again the two neighbours whose joint piece scores highest, the leftmost first, become one
//! ```
//!
//! Source: llama2.c by A. Karpathy, `run.c`, after SentencePiece's byte-pair encoding.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};
use std::path::Path;

use narrows::{Error, Result};

/// The token that begins a text, and the first of the bytes.
pub(super) const BEGIN: u32 = 1;
const FIRST_BYTE: u32 = 3;
/// Pieces of a vocabulary with all bytes, at least.
const WITH_BYTES: usize = 259;
const REMEDY: &str = "fetch it again; it has to be of the same vocabulary as the model";

/// The pieces of a vocabulary.
#[derive(Debug, Clone)]
pub struct Pieces {
    pieces: Vec<Vec<u8>>,
    scores: Vec<f32>,
    ids: HashMap<Vec<u8>, u32>,
}

impl Pieces {
    /// Reads a vocabulary of `count` pieces.
    ///
    /// # Errors
    /// If the file cannot be read or holds another number of pieces.
    pub fn read(path: &Path, count: usize) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|error| Error::read(path, error))?;
        let bad = |problem: String| Error::bad_file(path, problem, REMEDY);
        let mut rest = bytes.get(4..).ok_or_else(|| bad("it is cut off".to_owned()))?;
        let (mut pieces, mut scores) = (Vec::new(), Vec::new());
        while pieces.len() < count {
            let cut = || bad(format!("it ends after {} of {count} pieces", pieces.len()));
            let (score, after) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
            let (length, after) = after.split_first_chunk::<4>().ok_or_else(cut)?;
            let length = usize::try_from(i32::from_le_bytes(*length)).map_err(|_| cut())?;
            let piece = after.get(..length).ok_or_else(cut)?.to_vec();
            rest = &after[length..];
            scores.push(f32::from_le_bytes(*score));
            pieces.push(piece);
        }
        if !rest.is_empty() {
            return Err(bad(format!("it holds more than the model's {count} pieces")));
        }
        let mut ids = HashMap::new();
        for (id, piece) in (0..).zip(&pieces) {
            ids.entry(piece.clone()).or_insert(id);
        }
        Ok(Self { pieces, scores, ids })
    }

    /// Number of pieces.
    pub fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// The ids of a text, without the token that begins one.
    ///
    /// # Errors
    /// If the vocabulary has neither a character of it nor bytes.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        match text.is_empty() {
            true => Ok(Vec::new()),
            false => self.encode_on(&format!(" {text}")),
        }
    }

    /// The ids of a text that goes on, before which no space is put.
    ///
    /// # Errors
    /// As [`Pieces::encode`].
    pub fn encode_on(&self, text: &str) -> Result<Vec<u32>> {
        let mut ids = Vec::new();
        let mut buffer = [0; 4];
        for character in text.chars() {
            let bytes = character.encode_utf8(&mut buffer).as_bytes();
            match self.ids.get(bytes) {
                Some(&id) => ids.push(id),
                None if self.pieces.len() < WITH_BYTES => return Err(unknown(character)),
                None => ids.extend(bytes.iter().map(|&byte| u32::from(byte) + FIRST_BYTE)),
            }
        }
        Ok(self.merge(ids))
    }

    fn merge(&self, mut ids: Vec<u32>) -> Vec<u32> {
        const GONE: usize = usize::MAX;
        let mut next: Vec<usize> = (1..=ids.len()).collect();
        let mut before: Vec<usize> = (0..ids.len()).map(|place| place.wrapping_sub(1)).collect();
        let mut heap = BinaryHeap::new();
        let joint = |ids: &[u32], left: usize, right: usize| -> Option<Join> {
            let (a, b) = (*ids.get(left)?, *ids.get(right)?);
            let bytes = [&self.pieces[a as usize][..], &self.pieces[b as usize][..]].concat();
            let id = *self.ids.get(&bytes)?;
            Some(Join { score: self.scores[id as usize], left, right, pair: (a, b), id })
        };
        heap.extend((1..ids.len()).filter_map(|right| joint(&ids, right - 1, right)));
        while let Some(Join { left, right, pair, id, .. }) = heap.pop() {
            let stands = next[left] == right && before[right] == left;
            if !stands || (ids[left], ids[right]) != pair {
                continue;
            }
            ids[left] = id;
            let after = next[right];
            next[left] = after;
            next[right] = GONE;
            if after < ids.len() {
                before[after] = left;
                heap.extend(joint(&ids, left, after));
            }
            if before[left] < ids.len() {
                heap.extend(joint(&ids, before[left], left));
            }
        }
        (0..ids.len()).filter(|&place| next[place] != GONE).map(|place| ids[place]).collect()
    }

    /// The bytes of a token; of a byte token that byte.
    pub fn bytes(&self, id: u32) -> Vec<u8> {
        match id {
            FIRST_BYTE..259 if self.pieces.len() >= WITH_BYTES => vec![(id - FIRST_BYTE) as u8],
            _ => self.pieces.get(id as usize).cloned().unwrap_or_default(),
        }
    }
}

fn unknown(character: char) -> Error {
    Error::mistake(
        "make tokens",
        "characters that the vocabulary of the model has, for it is too small to hold all bytes",
        format!("{character:?}"),
        "leave out text with it; where the model knows small letters alone, --lowercase helps",
    )
}

/// Two neighbours that could become one.
#[derive(PartialEq)]
struct Join {
    score: f32,
    left: usize,
    right: usize,
    pair: (u32, u32),
    id: u32,
}

impl Eq for Join {}

impl Ord for Join {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(other.left.cmp(&self.left))
    }
}

impl PartialOrd for Join {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_vocabulary_without_bytes_refuses_what_it_does_not_have() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut bytes = 8_i32.to_le_bytes().to_vec();
        for piece in ["<unk>", "<s>", "</s>", " ", "a", " a"] {
            bytes.extend(1_f32.to_le_bytes());
            bytes.extend((piece.len() as i32).to_le_bytes());
            bytes.extend(piece.as_bytes());
        }
        std::fs::write(file.path(), bytes).unwrap();
        let pieces = Pieces::read(file.path(), 6).unwrap();
        assert_eq!(pieces.encode("aa").unwrap(), [5, 4]);
        assert_eq!(pieces.encode_on("aa").unwrap(), [4, 4]);
        let error = pieces.encode("aB").unwrap_err().to_string();
        assert!(error.contains("'B'") && error.contains("--lowercase"), "{error}");
    }
}
