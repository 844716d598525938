//! Files that are written aside and renamed: what was there before stays whole until the end.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::{Error, Result};

/// A temporary file beside `path` that takes its name when it is finished and vanishes otherwise.
pub(super) struct Aside {
    file: NamedTempFile,
    path: PathBuf,
}

impl Aside {
    pub(super) fn create(path: &Path) -> Result<Self> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let file = builder().tempfile_in(folder).map_err(|error| Error::write(path, error))?;
        Ok(Self { file, path: path.to_owned() })
    }

    pub(super) fn finish(self) -> Result<()> {
        let Self { file, path } = self;
        file.as_file().sync_all().map_err(|error| Error::write(&path, error))?;
        file.persist(&path).map_err(|error| Error::write(&path, error.error))?;
        Ok(())
    }

    /// Names the file that could not be written.
    pub(super) fn failed(&self, error: io::Error) -> Error {
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
    builder.prefix(".narrows-");
    // Temporary files are private by default; what is kept should be as readable as any new file.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder
}
