//! Rows in: readers, blocks of rows, preparation, sets whose right answer is known.
//!
//! Everything that can be learned from is a [`Source`]: rows of numbers, read by blocks, from
//! memory or straight from a file. A [`Dataset`] is a source together with what is known about it:
//! labels, the names of columns, the size of the pictures.

mod activations;
mod arrow;
mod batches;
mod chosen;
mod demo;
mod describe;
mod doubtful;
mod extents;
mod idx;
mod images;
mod labels;
mod mapped;
mod memory;
mod nearest;
mod npy;
mod npz;
mod numbers;
mod open;
mod order;
mod positioned;
mod prepare;
mod resized;
mod safetensors;
pub(crate) mod shards;
mod source;
pub mod superposition;
pub mod synthetic_faces;
mod table;
pub mod tensors;
mod wav;

pub use activations::row_integers;
pub use batches::{Batch, Batches, Reading, refuse_not_finite, with_batches};
pub use chosen::{Chosen, evenly};
pub use demo::known_truth;
pub use describe::{ClassCount, ColumnSummary, Description, Place, describe};
pub use doubtful::doubtful_columns;
pub use extents::RowIntegers;
pub use images::names_picture;
pub(crate) use mapped::Content;
pub use nearest::did_you_mean;
pub(crate) use nearest::did_you_mean_or_list;
pub(crate) use npy::MAGIC as NPY_MAGIC;
pub use open::{OpenOptions, Origin, open, origin, store_folder};
pub use order::{Order, Shuffle};
pub use prepare::{Missing, Preparation, PrepareConfig, Prepared, Scale};
pub use shards::{
    Manifest, Shard, ShardCheck, ShardElement, Shards, refuse_damaged, verify_shards,
};
pub use source::{Precision, ReadRows, Source};
pub(crate) use wav::FULL_SCALE;
pub use wav::Sound;

/// A source of rows and what is known about it.
pub struct Dataset {
    /// What the user asked for: a path, `path#name`, or `demo:digits`.
    pub name: String,
    /// The numbers.
    pub rows: Box<dyn Source>,
    /// How a number is stored.
    pub element: Element,
    /// Height, width and channels where each row is a picture.
    pub image: Option<ImageShape>,
    /// The classes of the rows, where they are known.
    pub labels: Option<Labels>,
    /// What each column of `rows` means; empty where columns have no names.
    pub columns: Vec<Column>,
    /// A name for each row (the file of a picture); empty where rows have no names.
    pub row_names: Vec<String>,
    /// A hash of the content (blake3, hexadecimal).
    pub content_hash: String,
}

/// How the numbers of a set are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Element {
    /// Whole numbers 0 to 255: pictures, unless proved otherwise.
    U8,
    /// Other whole numbers, signed or not.
    Integer,
    /// Whole numbers of one byte with a scale for every row.
    Int8,
    /// Half precision: 5 bits of exponent, 10 of fraction.
    F16,
    /// Brain floating point: 8 bits of exponent, 7 of fraction.
    Bf16,
    /// Single precision.
    F32,
    /// Double precision.
    F64,
    /// Text that was parsed.
    Text,
}

/// The size of the pictures whose pixels are the rows (row-major, channels last).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ImageShape {
    /// Pixels from top to bottom.
    pub height: usize,
    /// Pixels from left to right.
    pub width: usize,
    /// 1 for grey, 3 for red, green, blue.
    pub channels: usize,
}

/// A class for every row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// The class of each row, an index into `names`.
    pub classes: Vec<usize>,
    /// The names of the classes: numbers in numeric order, everything else in alphabetic order.
    pub names: Vec<String>,
}

/// What a column of a table holds.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Column {
    /// Its name in the header, or `column 1`, `column 2`, … where there is none.
    pub name: String,
    /// For a categorical column: its categories in alphabetic order. The source gives the index of
    /// the category as a number. Empty for a numeric column.
    pub categories: Vec<String>,
}
