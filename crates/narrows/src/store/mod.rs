//! What is kept: run folders, written aside and renamed.
//!
//! ```text
//! config.json           what was asked for, complete; data with its hash; version
//! preparation.json      how rows are prepared, and how to go back
//! weights.safetensors   parameters, sorted keys, f32 or f64
//! history.jsonl         one line per epoch, where there was training
//! scores.json           what was measured
//! report.html           one page
//! ```

mod folder;
mod run;
mod weights;

pub use folder::{check_replaceable, read_json, write_folder, write_json};
pub use run::Run;
pub use weights::Weights;
