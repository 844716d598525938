//! The language model that comes with narrows, and the text that it reads.
//!
//! `stories-tiny` is a GPT-NeoX of 1.06 million parameters that was trained for this project on stories of
//! TinyStories; its README says how, and under which licence the text stands. It takes up 2.2 MB of a program
//! that calls [`unpack`], and nothing of one that does not.

use std::path::Path;

use narrows::Result;
use narrows::store::write_aside;

/// The files of the model and of its text.
const FILES: [(&str, &[u8]); 5] = [
    ("config.json", include_bytes!("../models/stories-tiny/config.json")),
    ("model.safetensors", include_bytes!("../models/stories-tiny/model.safetensors")),
    ("tokenizer.json", include_bytes!("../models/stories-tiny/tokenizer.json")),
    (TEXT, include_bytes!("../models/stories-tiny/valid.txt.gz")),
    ("README.md", include_bytes!("../models/stories-tiny/README.md")),
];

/// What its text is called there: stories that it was not trained on, in small letters, gzipped.
pub const TEXT: &str = "valid.txt.gz";

/// Writes the model and its text into a folder that is there, whence
/// [`LanguageModel::open`](crate::LanguageModel::open) reads it.
///
/// # Errors
/// If a file cannot be written.
pub fn unpack(folder: &Path) -> Result<()> {
    FILES.iter().try_for_each(|(name, bytes)| write_aside(&folder.join(name), bytes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::LanguageModel;
    use crate::model::{NoHook, Pass, losses};
    use crate::text::{Corpus, TextOptions};

    /// The loss by transformers 5.23 in float32 over the whole text in windows of 256 tokens is 2.2325058577.
    #[test]
    fn the_model_reads_its_text_as_it_was_measured() {
        let folder = tempfile::tempdir().unwrap();
        unpack(folder.path()).unwrap();
        let model = LanguageModel::open(folder.path()).unwrap();
        assert_eq!(model.parameters(), 1_055_488);
        let text = TextOptions::new(vec![folder.path().join(TEXT)]);
        let mut corpus = Corpus::open(&model, &text, 256, true).unwrap();
        let (mut sum, mut predictions, mut pass) = (0.0, 0, Pass::default());
        while let Some(windows) = corpus.advance(8).unwrap() {
            let found = losses(&model, &windows, &mut pass, &mut NoHook).unwrap();
            sum += found.iter().map(|&loss| f64::from(loss)).sum::<f64>();
            predictions += found.len();
        }
        assert_eq!(predictions, 65_025);
        let mean = sum / predictions as f64;
        assert!((mean - 2.232_505_857_7).abs() < 1e-5, "{mean}");
    }
}
