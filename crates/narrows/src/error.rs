//! What can go wrong, told to the person who can mend it.
//!
//! Every message reads `operation: expected … but got …; remedy`. The kind of an error decides the
//! exit code of the command line: a user's mistake is 2, a failure is 1, an interruption 130.

use std::path::{Path, PathBuf};

/// The result of everything in this library that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// The one error type of the library.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Something the user gave does not fit: a shape, a value, a name, an option.
    #[error("{operation}: expected {expected} but got {got}; {remedy}")]
    Mistake {
        /// What was being done, in the user's words.
        operation: String,
        /// What would have been accepted.
        expected: String,
        /// What was found instead, with its place.
        got: String,
        /// What to do about it.
        remedy: String,
    },
    /// A file that is damaged, cut off or not what its name says.
    #[error("read {}: {problem}; {remedy}", path.display())]
    BadFile {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where in the file.
        problem: String,
        /// What to do about it.
        remedy: String,
    },
    /// The operating system refused to read or write.
    #[error("{operation} {}: {source}{}", path.display(), io_remedy(source))]
    Io {
        /// `read`, `write`, `create`, …
        operation: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A computation that could not be finished although the input was legal.
    #[error("{operation}: {problem}; {remedy}")]
    Failure {
        /// What was being computed.
        operation: String,
        /// What went wrong.
        problem: String,
        /// What to do about it.
        remedy: String,
    },
    /// Stopped by the user before the end.
    #[error("{operation}: interrupted; {remedy}")]
    Interrupted {
        /// What was being done.
        operation: String,
        /// How to go on from here.
        remedy: String,
    },
}

impl Error {
    /// A user's mistake, from its four parts.
    pub fn mistake(
        operation: impl Into<String>,
        expected: impl Into<String>,
        got: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Mistake {
            operation: operation.into(),
            expected: expected.into(),
            got: got.into(),
            remedy: remedy.into(),
        }
    }

    /// A damaged or foreign file.
    pub fn bad_file(
        path: impl AsRef<Path>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::BadFile {
            path: path.as_ref().to_owned(),
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }

    /// A refusal of the operating system while reading `path`.
    pub fn read(path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Self::Io { operation: "read", path: path.as_ref().to_owned(), source }
    }

    /// A refusal of the operating system while writing `path`.
    pub fn write(path: impl AsRef<Path>, source: std::io::Error) -> Self {
        let source = without_place(source);
        Self::Io { operation: "write", path: path.as_ref().to_owned(), source }
    }

    /// A computation that broke down.
    pub fn failure(
        operation: impl Into<String>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Failure {
            operation: operation.into(),
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }

    /// The exit code a program should end with: 2 for what the user can mend in the input,
    /// 1 for a failure, 130 for an interruption.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Mistake { .. } | Self::BadFile { .. } => 2,
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => 2,
            Self::Io { .. } | Self::Failure { .. } => 1,
            Self::Interrupted { .. } => 130,
        }
    }
}

/// The name of a temporary file, which some errors add, means nothing to the person.
fn without_place(error: std::io::Error) -> std::io::Error {
    match error.to_string().split_once(" at path ") {
        Some((problem, _)) => std::io::Error::new(error.kind(), problem),
        None => error,
    }
}

fn io_remedy(source: &std::io::Error) -> &'static str {
    use std::io::ErrorKind;
    match source.kind() {
        ErrorKind::NotFound => "; check the path",
        ErrorKind::PermissionDenied => "; check who may read and write there",
        ErrorKind::StorageFull => "; free some space, nothing that was there has been changed",
        ErrorKind::IsADirectory => "; give a file, not a folder",
        ErrorKind::NotADirectory => "; give a folder, not a file",
        _ => "",
    }
}
