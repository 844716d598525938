//! Files that are written aside and renamed: what was there before stays whole until the end.

use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::{Error, Result};

/// What files and folders are called until they are whole begins with this.
pub(super) const PREFIX: &str = ".narrows-";

/// Writes a file whole or not at all.
///
/// # Errors
/// If it cannot be written; a file that was there before then stays as it was.
pub fn write_aside(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut aside = Aside::create(path)?;
    aside.write_all(bytes).map_err(|error| aside.failed(error))?;
    aside.finish()
}

/// A temporary file beside `path` that takes its name when it is finished and vanishes otherwise.
pub(crate) struct Aside {
    file: NamedTempFile,
    path: PathBuf,
}

impl Aside {
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let file = builder().tempfile_in(folder).map_err(|error| Error::write(path, error))?;
        Ok(Self { file, path: path.to_owned() })
    }

    pub(crate) fn finish(self) -> Result<()> {
        let Self { file, path } = self;
        file.as_file().sync_all().map_err(|error| Error::write(&path, error))?;
        file.persist(&path).map_err(|error| Error::write(&path, error.error))?;
        Ok(())
    }

    /// Writes over the first bytes of the file.
    pub(crate) fn overwrite_start(&mut self, bytes: &[u8]) -> Result<()> {
        let file = self.file.as_file_mut();
        let done = file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(bytes));
        done.map_err(|error| Error::write(&self.path, error))
    }

    /// The hash of all that was written (blake3, hexadecimal).
    pub(crate) fn hash(&mut self) -> Result<String> {
        let mut hasher = blake3::Hasher::new();
        let file = self.file.as_file_mut();
        let done =
            file.seek(SeekFrom::Start(0)).and_then(|_| hasher.update_reader(file).map(|_| ()));
        done.map_err(|error| Error::read(&self.path, error))?;
        Ok(hasher.finalize().to_hex().to_string())
    }

    /// Names the file that could not be written.
    pub(crate) fn failed(&self, error: io::Error) -> Error {
        Error::write(&self.path, error)
    }
}

impl Write for Aside {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn builder() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX);
    // Temporary files are private by default; what is kept should be as readable as any new file.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writing_replaces_a_file_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("report.html");
        write_aside(&path, b"old").expect("writes");
        write_aside(&path, b"new").expect("writes");
        assert_eq!(std::fs::read(&path).expect("reads"), b"new");
        assert_eq!(std::fs::read_dir(folder.path()).expect("lists").count(), 1);
        let error = write_aside(&folder.path().join("none/x"), b"").expect_err("no folder");
        assert_eq!(error.exit_code(), 2);
    }
}
