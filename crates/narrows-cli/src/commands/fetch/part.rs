//! What has come of a file and is not yet proved right.
//!
//! It lies in `NAME.part`. Beside it `NAME.part.from` says of which address and of which state of the file there
//! it is, for bytes of two servers, or of a file before and after it was changed, make no file.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use narrows::{Error, Result};

/// A file that is not whole.
pub(super) struct Part {
    path: PathBuf,
    /// Address and state, each ended by a line feed.
    from: PathBuf,
}

/// What is had of one state of a file.
pub(super) struct Had {
    pub(super) bytes: u64,
    /// ETag or Last-Modified.
    pub(super) state: String,
}

impl Part {
    /// That of the file `path`.
    pub(super) fn of(path: &Path) -> Self {
        let part = beside(path, ".part");
        Self { from: beside(&part, ".from"), path: part }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What is here of the file at `address`, if it is known to be of that address and of which state.
    pub(super) fn had(&self, address: &str) -> Option<Had> {
        let bytes = fs::metadata(&self.path).ok()?.len();
        let told = fs::read_to_string(&self.from).ok()?;
        let (from, state) = told.strip_suffix('\n')?.split_once('\n')?;
        (bytes > 0 && from == address).then(|| Had { bytes, state: state.to_owned() })
    }

    /// Empty, to be written from the beginning. Without a state it cannot be continued later.
    pub(super) fn begin(&self, address: &str, state: Option<&str>) -> Result<File> {
        // The old origin goes first: nothing that stops this leaves bytes under another's name.
        remove(&self.from)?;
        let file = File::create(&self.path).map_err(|error| Error::write(&self.path, error))?;
        if let Some(state) = state {
            let told = fs::write(&self.from, format!("{address}\n{state}\n"));
            told.map_err(|error| Error::write(&self.from, error))?;
        }
        Ok(file)
    }

    /// To be written on at its end.
    pub(super) fn go_on(&self) -> Result<File> {
        let file = OpenOptions::new().append(true).open(&self.path);
        file.map_err(|error| Error::write(&self.path, error))
    }

    /// Gives it the name of the whole file.
    pub(super) fn finish(&self, path: &Path) -> Result<()> {
        fs::rename(&self.path, path).map_err(|error| Error::write(path, error))?;
        remove(&self.from)
    }

    pub(super) fn remove(&self) -> Result<()> {
        remove(&self.from)?;
        remove(&self.path)
    }
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

/// Removes a file that need not be there.
fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::write(path, error)),
        _ => Ok(()),
    }
}
