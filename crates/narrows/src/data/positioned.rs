//! Files that are read at a place, by any number of threads at once, without being mapped.
//!
//! Pages of a mapped file count as memory of the process that reads them; what is read at a place
//! stays with the operating system.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// A file that is open for reading.
pub(super) struct Positioned {
    path: PathBuf,
    len: u64,
    #[cfg(unix)]
    file: File,
    #[cfg(not(unix))]
    file: std::sync::Mutex<File>,
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
        let file = File::open(path).map_err(failed)?;
        #[cfg(not(unix))]
        let file = std::sync::Mutex::new(file);
        Ok(Self { path: path.to_owned(), len: about.len(), file })
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
            _ => Error::read(&self.path, error),
        })
    }

    #[cfg(unix)]
    fn read_exact(&self, start: u64, bytes: &mut [u8]) -> std::io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.file, bytes, start)
    }

    #[cfg(not(unix))]
    fn read_exact(&self, start: u64, bytes: &mut [u8]) -> std::io::Result<()> {
        use std::io::{Read, Seek, SeekFrom};
        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(bytes)
    }
}
