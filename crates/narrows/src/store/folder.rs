//! Folders and JSON files that are written whole or not at all.

use std::fs;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// What makes a folder a run.
pub(super) const CONFIG: &str = "config.json";
const SCORES: &str = "scores.json";

/// Lets `fill` write the files of a folder aside, then gives it the name `path`.
///
/// An earlier run of that name is replaced at the last moment; a folder that holds anything else
/// is left alone. If anything fails, what was there is still there.
///
/// # Errors
/// If `path` is taken by something that is not a run, or a file cannot be written.
pub fn write_folder(path: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    check_replaceable(path)?;
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(|error| Error::write(parent, error))?;
    let aside = tempfile::Builder::new()
        .prefix(".narrows-")
        .tempdir_in(parent)
        .map_err(|error| Error::write(parent, error))?;
    let fresh = aside.path().join("run");
    fs::create_dir(&fresh).map_err(|error| Error::write(&fresh, error))?;
    fill(&fresh).map_err(|error| renamed(error, &fresh, path))?;
    if path.exists() {
        let old = aside.path().join("replaced");
        fs::rename(path, old).map_err(|error| Error::write(path, error))?;
    }
    fs::rename(&fresh, path).map_err(|error| Error::write(path, error))
}

/// Errors name files as they would have been called in the end.
fn renamed(mut error: Error, aside: &Path, name: &Path) -> Error {
    if let Error::Io { path, .. } = &mut error
        && let Ok(file) = path.strip_prefix(aside)
    {
        *path = name.join(file);
    }
    error
}

/// Refuses a name that [`write_folder`] would refuse, before any work is done.
///
/// # Errors
/// If `path` is taken by something that is not a run.
pub fn check_replaceable(path: &Path) -> Result<()> {
    let is_run = || [CONFIG, SCORES].iter().any(|name| path.join(name).is_file());
    let is_empty = || fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
    if !path.exists() || (path.is_dir() && (is_run() || is_empty())) {
        return Ok(());
    }
    Err(Error::mistake(
        "write a run folder",
        "a new name, an empty folder or an earlier run",
        format!("'{}', which holds something else", path.display()),
        "give another --out",
    ))
}

/// Writes `value` as readable JSON.
///
/// # Errors
/// If the file cannot be written.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_string_pretty(value)
        .map_err(|error| Error::failure("write JSON", error.to_string(), "report it"))?;
    text.push('\n');
    fs::write(path, text).map_err(|error| Error::write(path, error))
}

/// Reads what [`write_json`] wrote.
///
/// # Errors
/// If the file cannot be read or holds something else.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read(path).map_err(|error| Error::read(path, error))?;
    let remedy = "fit again, or restore the folder";
    serde_json::from_slice(&text).map_err(|error| Error::bad_file(path, error.to_string(), remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_earlier_run_whole() {
        let home = tempfile::tempdir().expect("a folder");
        let run = home.path().join("run");
        write_folder(&run, |folder| write_json(&folder.join(CONFIG), &1)).expect("writes");
        let failed = write_folder(&run, |folder| {
            write_json(&folder.join(CONFIG), &2)?;
            Err(Error::failure("fit", "no", "none"))
        });
        assert!(failed.is_err());
        assert_eq!(read_json::<i32>(&run.join(CONFIG)).expect("whole"), 1);
        assert_eq!(fs::read_dir(home.path()).expect("lists").count(), 1, "nothing is left aside");
    }

    #[test]
    fn a_foreign_folder_is_left_alone() {
        let home = tempfile::tempdir().expect("a folder");
        fs::write(home.path().join("thesis.txt"), "years").expect("writes");
        let error = write_folder(home.path(), |_| Ok(())).expect_err("refused");
        assert!(error.to_string().contains("holds something else"), "{error}");
        assert!(home.path().join("thesis.txt").exists());
    }
}
