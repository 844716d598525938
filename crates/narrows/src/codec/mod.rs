//! Rows compressed: the code of a model, quantised and entropy-coded.
//!
//! ```text
//! row ─ prepare ─ encode ─► z ─ quantise ─► k ─ range coder ─► bits
//!                                           │
//! row ◄ invert ◄ decode ◄── ẑ ◄ dequantise ─┘
//! ```
//!
//! [`choose`] finds on training rows how coarse the codes may be, [`compress`] writes a file,
//! [`CompressedFile`] gives the rows back: exactly those whose fidelity was told. What they share is the
//! model, by its run folder; a file that another model wrote is refused. The methods stand in the files
//! that compute them: `quantiser`, `entropy`, `choose`.
//!
//! The file, numbers little-endian:
//!
//! ```text
//! NARROWSZ            8 bytes
//! version             u16
//! length of the file  u64
//! hash of the model   16 bytes, see `model_hash`
//! length of the head  u32
//! head                zlib: length u32 and JSON of what is coded; offsets and steps (bf16, high bytes,
//!                     then low) and spreads (u8) of all dimensions
//! blocks              each: words u32, then so many u32 of the range coder
//! checksum            the first 8 bytes of the blake3 of all before
//! ```
//!
//! Rows pass in blocks of 16 MiB as f64 at most, on both sides the same, so memory does not grow with
//! the data. Indices are the same on every machine. Rows are bit for
//! bit those that compressing told where the decoder's sums are rounded alike: on one machine whatever
//! the number of threads, not necessarily under another instruction set.

mod choose;
mod entropy;
mod file;
mod head;
mod jpeg;
mod model_hash;
mod pass;
mod quantiser;
mod rivals;
mod values;
mod written;

pub use choose::{Target, choose};
pub use entropy::Spread;
pub use file::{Compressed, CompressedFile, compress};
pub use head::{About, Container, Head};
pub use jpeg::{Jpeg, jpeg_of_equal_bytes};
pub use model_hash::model_hash;
pub use pass::Codec;
pub use quantiser::{Quantiser, Rules};
pub use rivals::pca_of_equal_bytes;
pub use values::{Fidelity, Values};
pub use written::write_rows;

/// Bytes of the hash of a model.
pub const MODEL_HASH: usize = 16;
