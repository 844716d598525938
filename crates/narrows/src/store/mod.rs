//! What is kept: run folders, arrays and pictures, each written aside and renamed.
//!
//! A run folder holds
//!
//! ```text
//! config.json           what was asked for, complete; data with its hash; version
//! preparation.json      how rows are prepared, and how to go back
//! weights.safetensors   parameters, sorted keys, f32 or f64
//! history.jsonl         one line per epoch, where there was training
//! scores.json           what was measured
//! report.html           one page
//! storeys/1/…           history and scores of each storey, where it is a stack
//! checkpoint/           where training stands, until it ends
//! ```

mod aside;
mod dictionary;
pub mod exchange;
mod folder;
mod image;
mod json;
mod npy;
pub(crate) mod pca;
mod run;
mod shards;
mod state;
mod tensors;
mod truth;
mod weights;

pub(crate) use aside::Aside;
pub use aside::write_aside;
pub use folder::{Folder, check_replaceable, is_finished, write_folder, write_pictures};
pub use image::write_image;
pub use json::{read_json, write_json};
pub use npy::{NpyWriter, write_npy};
pub use run::Run;
pub use shards::{ShardOptions, ShardWriter};
pub use state::{read_state, write_state};
pub use truth::write_truth;
pub use weights::Weights;
