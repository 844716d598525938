//! Pairs of prompts that differ in one fact.

use std::path::Path;

use narrows::{Error, Result};
use serde_json::Value;

use crate::model::LanguageModel;

/// Two prompts of as many tokens, the token that begins a text included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The tokens that are run and patched.
    pub base: Vec<u32>,
    /// The tokens whose features are put in.
    pub target: Vec<u32>,
}

impl Pair {
    /// A pair of texts.
    ///
    /// # Errors
    /// If they are not of as many tokens, do not differ, or are too long for the model.
    pub fn new(model: &LanguageModel, base: &str, target: &str) -> Result<Self> {
        let tokens = |text: &str| -> Result<Vec<u32>> {
            let begin = model.begin().into_iter();
            Ok(begin.chain(model.tokenizer.encode(text)?).collect())
        };
        let (base_tokens, target_tokens) = (tokens(base)?, tokens(target)?);
        if base_tokens.len() != target_tokens.len() || base_tokens == target_tokens {
            return Err(Error::mistake(
                "read pairs of prompts",
                "two prompts of as many tokens that differ",
                format!(
                    "'{base}' of {} and '{target}' of {}",
                    base_tokens.len(),
                    target_tokens.len()
                ),
                "change one of them",
            ));
        }
        model.check_length(base_tokens.len())?;
        Ok(Self { base: base_tokens, target: target_tokens })
    }
}

/// Reads pairs from a file with one `{"base": "…", "target": "…"}` a line.
///
/// # Errors
/// If it cannot be read, a line is no such table, or two prompts are no pair.
pub fn read_pairs(model: &LanguageModel, path: &Path) -> Result<Vec<Pair>> {
    let text = std::fs::read_to_string(path).map_err(|error| Error::read(path, error))?;
    let mut pairs = Vec::new();
    for (line, text) in text.lines().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
        let bad = |problem: String| {
            let remedy = "write {\"base\": \"…\", \"target\": \"…\"}";
            Error::bad_file(path, format!("line {}: {problem}", line + 1), remedy)
        };
        let value: Value = serde_json::from_str(text).map_err(|error| bad(error.to_string()))?;
        let word = |key: &str| value[key].as_str().ok_or_else(|| bad(format!("it has no '{key}'")));
        pairs.push(Pair::new(model, word("base")?, word("target")?)?);
    }
    check_pairs(&pairs)?;
    Ok(pairs)
}

/// Refuses fewer pairs than it takes to order features on some and report on others.
///
/// # Errors
/// If there are fewer than four.
pub fn check_pairs(pairs: &[Pair]) -> Result<()> {
    match pairs.len() >= 4 {
        true => Ok(()),
        false => Err(Error::mistake(
            "patch",
            "at least 4 pairs of prompts: features are put in order on one half, and reported on the other",
            pairs.len().to_string(),
            "give more pairs",
        )),
    }
}
