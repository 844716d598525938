//! Files that are read at a place, by any number of threads at once, without being mapped.
//!
//! Pages of a mapped file count as memory of the process that reads them; what is read at a place
//! stays with the operating system.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

#[cfg(unix)]
type Handle = File;
#[cfg(not(unix))]
type Handle = std::sync::Mutex<File>;

/// What a process is told that has as many files open as it may: of Linux, macOS and the BSDs.
const TOO_MANY_OPEN: i32 = 24;

/// A file for reading.
pub(super) struct Positioned {
    path: PathBuf,
    len: u64,
    /// `None`: it is opened for each read.
    file: Option<Handle>,
}

impl Positioned {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let failed = |error| Error::read(path, error);
        // Asked before it is opened: opening a pipe waits for whoever writes to it.
        let about = std::fs::metadata(path).map_err(failed)?;
        if !about.is_file() {
            let problem = "it is not a plain file";
            return Err(Error::bad_file(path, problem, "write the data to a file first"));
        }
        let file = handle(path).map_err(|error| refused(path, error))?;
        Ok(Self { path: path.to_owned(), len: about.len(), file: Some(file) })
    }

    /// The same file, opened for each read from now on: of thousands not all can be open at once.
    pub(super) fn closed(self) -> Self {
        Self { file: None, ..self }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of the file when it was opened.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Fills `bytes` from the place `start` on.
    pub(super) fn read_at(&self, start: u64, bytes: &mut [u8]) -> Result<()> {
        self.read_exact(start, bytes).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => Error::bad_file(
                &self.path,
                format!("it ends before byte {}", start + bytes.len() as u64),
                "the file is cut off: write or fetch it again",
            ),
            _ => refused(&self.path, error),
        })
    }

    fn read_exact(&self, start: u64, bytes: &mut [u8]) -> std::io::Result<()> {
        match &self.file {
            Some(file) => read_from(file, start, bytes),
            None => read_from(&handle(&self.path)?, start, bytes),
        }
    }
}

fn handle(path: &Path) -> std::io::Result<Handle> {
    let file = File::open(path)?;
    #[cfg(not(unix))]
    let file = std::sync::Mutex::new(file);
    Ok(file)
}

fn refused(path: &Path, error: std::io::Error) -> Error {
    match error.raw_os_error() {
        Some(TOO_MANY_OPEN) if cfg!(unix) => Error::failure(
            format!("open '{}'", path.display()),
            "as many files are open as a process may have",
            "raise the limit (`ulimit -n 4096`), or pack the rows into fewer files (--rows-per-shard)",
        ),
        _ => Error::read(path, error),
    }
}

#[cfg(unix)]
fn read_from(file: &Handle, start: u64, bytes: &mut [u8]) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, start)
}

#[cfg(not(unix))]
fn read_from(file: &Handle, start: u64, bytes: &mut [u8]) -> std::io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    file.seek(SeekFrom::Start(start))?;
    file.read_exact(bytes)
}
