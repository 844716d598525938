//! What PCA makes of the same rows in as many bytes.

use std::io;

use super::choose::{Target, choose};
use super::file::{Compressed, encode};
use super::head::Head;
use super::pass::Codec;
use crate::data::Source;
use crate::error::{Error, Result};
use crate::model::{Model, Pca};

/// How often the target is brought nearer to the bytes.
const TRIES: usize = 6;
/// By what share of the bytes that are compared with it may take more, and how near is near enough.
const MORE: f64 = 0.01;
const NEAR: f64 = 0.005;

/// Bits that a row is given at least: those of `done` may be none at all.
const LEAST: f64 = 0.01;

/// The codes of PCA, quantised and coded the same way into about as many bytes as `done` took, the head with
/// them, and how many components got bits: of those that are given the others are left out. Nothing is kept.
/// None where it cannot be had in so few bytes. The rows are read six times at most.
///
/// # Errors
/// If the rows cannot be read or coded.
pub fn pca_of_equal_bytes(
    codec: &Codec<'_>,
    pca: &Pca,
    head: &Head,
    training: &dyn Source,
    source: &dyn Source,
    done: &Compressed,
) -> Result<Option<(usize, Compressed)>> {
    let whole = Model::Pca(pca.clone());
    let chooser = codec.with_model(&whole)?;
    let failed = |error: io::Error| Error::failure("compare", error.to_string(), "report it");
    let over = |found: &Compressed| found.bytes as f64 / done.bytes as f64 - 1.0;
    let mut bits = done.bits_per_row_of_codes().max(LEAST);
    let mut nearest: Option<(usize, Compressed)> = None;
    for _ in 0..TRIES {
        let quantiser = choose(&chooser, training, Target::BitsPerRow(bits))?;
        let used = quantiser.used();
        let (model, quantiser) = (Model::Pca(pca.first(used)), quantiser.first(used));
        let head = Head { quantiser, ..head.clone() };
        let found = encode(&codec.with_model(&model)?, &head, source, &mut io::sink(), &failed)?;
        let excess = over(&found);
        let fewer = bits - 8.0 * excess * done.bytes as f64 / source.rows() as f64;
        bits = if fewer > 0.0 { fewer } else { bits / 2.0 };
        let is_nearer = nearest.as_ref().is_none_or(|known| excess.abs() < over(&known.1).abs());
        if excess <= MORE && is_nearer {
            nearest = Some((used, found));
        }
        if excess.abs() < NEAR {
            break;
        }
    }
    Ok(nearest)
}
