//! Narrow representations of data, learned fast and proved.
//!
//! The rooms, in the one order in which they may use each other:
//! `error → random → compute → data → objective → model → store → evaluate → faces → codec → train → recipe →
//! report`.

pub mod error;

pub mod random;

pub mod compute;

pub mod data;

pub mod objective;

pub mod model;

pub mod store;

pub mod evaluate;

pub mod faces;

pub mod codec;

pub mod train;

pub mod recipe;

pub mod report;

pub use error::{Error, Result};
