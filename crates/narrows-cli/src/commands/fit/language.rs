//! `narrows fit --lm`: rows of a language model, computed while dictionaries learn from them.

use std::path::{Path, PathBuf};

use clap::Args;
use narrows::data::{Dataset, Element, Shuffle};
use narrows::recipe::{DictionaryRecipe, LanguageModelRows};
use narrows::{Error, Result};
use narrows_lm::source::{ActivationSource, SHUFFLED_ROWS};
use serde_json::{Value, json};

use super::super::Output;
use super::super::language::{TextArgs, open_model, tap};

/// A language model and text, in place of --data.
#[derive(Debug, Args)]
#[command(next_help_heading = "Rows of a language model")]
pub(super) struct LanguageArgs {
    /// Dictionaries: the folder of a language model; its rows are computed while they are learned from. Beside
    /// what training holds, that is 4 bytes for each parameter and each token, and 131,072 rows
    #[arg(long, value_name = "MODEL_DIR", requires = "text", requires = "tap")]
    #[arg(conflicts_with_all = ["data", "target", "unverified"])]
    lm: Option<PathBuf>,
    /// Text files: plain (`<|endoftext|>` between documents), .jsonl, either gzipped
    #[arg(long, num_args = 1.., value_name = "FILE", requires = "lm")]
    text: Vec<PathBuf>,
    /// The place of the rows, such as blocks.3.residual_post; `narrows lm info` lists them
    #[arg(long, value_name = "TAP", requires = "lm")]
    tap: Option<String>,
    /// The key of the text in a line of .jsonl [default: text]
    #[arg(long, value_name = "KEY", requires = "lm")]
    field: Option<String>,
    /// Make letters small, for models that know only those
    #[arg(long, requires = "lm")]
    lowercase: bool,
    /// Tokens of a window [default: 256, or as many as the model takes where that is less]
    #[arg(long, value_name = "N", requires = "lm")]
    context: Option<usize>,
    /// Do not put the token that begins a text before each document
    #[arg(long, requires = "lm")]
    no_begin: bool,
    /// Learn from the rows of that token too
    #[arg(long, requires = "lm")]
    keep_begin: bool,
}

impl LanguageArgs {
    pub(super) fn is_given(&self) -> bool {
        self.lm.is_some()
    }

    /// What a recipe says of it; null where nothing is.
    pub(super) fn settings(&self) -> Value {
        let (Some(lm), Some(tap)) = (&self.lm, &self.tap) else { return Value::Null };
        json!(LanguageModelRows {
            model: lm.display().to_string(),
            text: self.text.iter().map(|file| file.display().to_string()).collect(),
            tap: tap.clone(),
            context: self.context,
            field: self.field.clone().unwrap_or_else(|| "text".to_owned()),
            lowercase: self.lowercase,
            no_begin: self.no_begin,
            keep_begin: self.keep_begin,
        })
    }
}

/// The order that goes well with rows that are computed.
pub(super) fn shuffle() -> Value {
    json!(Shuffle::Blocks { rows: SHUFFLED_ROWS })
}

/// The rows that a recipe asks for.
pub(super) fn open(
    asked: &LanguageModelRows,
    recipe: &DictionaryRecipe,
    output: &Output,
) -> Result<Dataset> {
    if recipe.data.path.is_some() || recipe.data.target.is_some() {
        return Err(Error::mistake(
            "fit",
            "data.lm, or data.path with or without data.target",
            "both",
            "leave one of them out",
        ));
    }
    let model = open_model(Path::new(&asked.model))?;
    let place = tap(&asked.tap, &model)?;
    let text = TextArgs {
        text: asked.text.iter().map(PathBuf::from).collect(),
        field: asked.field.clone(),
        lowercase: asked.lowercase,
        context: asked.context,
        no_begin: asked.no_begin,
    };
    let windows = text.windows(&model)?;
    if recipe.train.shuffle == Shuffle::Global {
        output.say(
            "note: train.shuffle = \"global\" runs the model anew for almost every row; blocks of at most 2048 \
             rows, the default of --lm, run it about twice",
        );
    }
    let name = format!("{place} of {} on {}", model.name, asked.text.join(" "));
    let source = ActivationSource::new(model, windows, place, asked.keep_begin);
    Ok(Dataset {
        name,
        content_hash: source.content_hash(),
        rows: Box::new(source),
        element: Element::F32,
        image: None,
        labels: None,
        columns: Vec::new(),
        row_names: Vec::new(),
    })
}
