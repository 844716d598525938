//! Sets that need no file.

use super::Dataset;
use crate::error::{Error, Result};

/// The set called `demo:NAME`.
pub(super) fn open(name: &str) -> Result<Dataset> {
    Err(Error::mistake("open", "demo:digits, demo:faces", format!("demo:{name}"), "check the name"))
}
