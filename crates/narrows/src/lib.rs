//! Narrow representations of data, learned fast and proved.
//!
//! The rooms, in the one order in which they may use each other:
//! `error → random → compute → data → objective → model → store → evaluate → train → report`.

pub mod error;

pub mod random;

pub mod compute;

pub mod data;

pub mod model;
/// One self-contained HTML page from the records of a run.
pub mod report;

pub mod faces;

pub use error::{Error, Result};
