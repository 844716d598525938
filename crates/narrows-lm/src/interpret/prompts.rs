//! What is asked, in files that can be changed.
//!
//! ```text
//! explain.txt     {fragments}
//! simulate.txt    {explanation} {tokens}
//! detect.txt      {explanation} {fragments}
//! ```
//!
//! Each has a line `[system]` and a line `[user]`; what follows either is that message.

use std::path::Path;

use narrows::store::write_aside;
use narrows::{Error, Result};

/// A prompt as it is built in: its file, its text and what is filled in.
struct BuiltIn {
    file: &'static str,
    text: &'static str,
    holes: &'static [&'static str],
}

const EXPLAIN: BuiltIn = BuiltIn {
    file: "explain.txt",
    text: include_str!("prompts/explain.txt"),
    holes: &["{fragments}"],
};
const SIMULATE: BuiltIn = BuiltIn {
    file: "simulate.txt",
    text: include_str!("prompts/simulate.txt"),
    holes: &["{explanation}", "{tokens}"],
};
const DETECT: BuiltIn = BuiltIn {
    file: "detect.txt",
    text: include_str!("prompts/detect.txt"),
    holes: &["{explanation}", "{fragments}"],
};

/// A message of the system and one of the user, with holes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Prompt {
    pub(super) system: String,
    user: String,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompts {
    pub(super) explain: Prompt,
    pub(super) simulate: Prompt,
    pub(super) detect: Prompt,
}

impl Prompts {
    /// Those that are built in.
    ///
    /// # Errors
    /// None that can happen: they are whole.
    pub fn built_in() -> Result<Self> {
        Self::from_texts(|prompt| Ok(prompt.text.to_owned()))
    }

    /// Those in a folder; a file that is not there is as it is built in.
    ///
    /// # Errors
    /// If there is none of the files, or one lacks a part.
    pub fn read(folder: &Path) -> Result<Self> {
        let files = [EXPLAIN, SIMULATE, DETECT].map(|prompt| prompt.file);
        if !files.iter().any(|file| folder.join(file).is_file()) {
            return Err(Error::mistake(
                "read prompts",
                format!("a folder with one of {}", files.join(", ")),
                format!("'{}'", folder.display()),
                "`narrows interpret --print-prompts DIR` writes them",
            ));
        }
        Self::from_texts(|prompt| {
            let path = folder.join(prompt.file);
            match path.is_file() {
                true => std::fs::read_to_string(&path).map_err(|error| Error::read(&path, error)),
                false => Ok(prompt.text.to_owned()),
            }
        })
    }

    /// Writes those that are built in into a folder; none that is there is written over.
    ///
    /// # Errors
    /// If one is there, or the folder cannot be written.
    pub fn write(folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder).map_err(|error| Error::write(folder, error))?;
        for BuiltIn { file, text, .. } in [EXPLAIN, SIMULATE, DETECT] {
            let path = folder.join(file);
            if path.exists() {
                return Err(Error::mistake(
                    "write prompts",
                    "a folder without prompts",
                    format!("'{}'", path.display()),
                    "give another folder",
                ));
            }
            write_aside(&path, text.as_bytes())?;
        }
        Ok(())
    }

    fn from_texts(mut text: impl FnMut(&BuiltIn) -> Result<String>) -> Result<Self> {
        let mut prompt = |built_in: BuiltIn| Prompt::parse(&built_in, &text(&built_in)?);
        Ok(Self { explain: prompt(EXPLAIN)?, simulate: prompt(SIMULATE)?, detect: prompt(DETECT)? })
    }
}

impl Prompt {
    fn parse(built_in: &BuiltIn, text: &str) -> Result<Self> {
        let lacks = |what: &str| {
            Error::mistake(
                format!("read the prompt {}", built_in.file),
                format!("[system], [user] and, after it, {}", built_in.holes.join(", ")),
                format!("a file without {what}"),
                "`narrows interpret --print-prompts DIR` writes whole ones",
            )
        };
        let text = text.replace("\r\n", "\n");
        let (_, rest) = text.split_once("[system]\n").ok_or_else(|| lacks("[system]"))?;
        let (system, user) = rest.split_once("[user]\n").ok_or_else(|| lacks("[user]"))?;
        for hole in built_in.holes {
            if !user.contains(hole) {
                return Err(lacks(hole));
            }
        }
        Ok(Self { system: system.trim().to_owned(), user: user.trim().to_owned() })
    }

    /// The user's message with its holes filled; what is filled in may look like a hole and stays as it is.
    pub(super) fn user(&self, filled: &[(&str, &str)]) -> String {
        let (mut out, mut rest) = (String::new(), self.user.as_str());
        loop {
            let first = filled
                .iter()
                .filter_map(|(hole, value)| rest.find(hole).map(|place| (place, hole, value)))
                .min_by_key(|(place, ..)| *place);
            let Some((place, hole, value)) = first else { break };
            out.push_str(&rest[..place]);
            out.push_str(value);
            rest = &rest[place + hole.len()..];
        }
        out + rest
    }
}
