//! What PCA makes of the same rows in as many bytes.

use std::io;

use super::choose::{Target, choose};
use super::file::{Compressed, encode};
use super::head::Head;
use super::pass::Codec;
use crate::data::Source;
use crate::error::{Error, Result};
use crate::model::Model;

/// How often the target is brought nearer to the bytes.
const TRIES: usize = 3;

/// The codes of PCA, quantised and coded the same way into about as many bytes as `done` took; nothing
/// is kept. The rows are read three times at most.
///
/// # Errors
/// If the rows cannot be read or coded.
pub fn pca_of_equal_bytes(
    codec: &Codec<'_>,
    pca: &Model,
    head: &Head,
    training: &dyn Source,
    source: &dyn Source,
    done: &Compressed,
) -> Result<Compressed> {
    let codec = codec.with_model(pca)?;
    let failed = |error: io::Error| Error::failure("compare", error.to_string(), "report it");
    let mut bits = done.bits_per_row();
    let mut nearest: Option<Compressed> = None;
    for _ in 0..TRIES {
        let quantiser = choose(&codec, training, Target::BitsPerRow(bits))?;
        let head = Head { quantiser, ..head.clone() };
        let found = encode(&codec, &head, source, &mut io::sink(), &failed)?;
        let (got, wanted) = (found.bytes as f64, done.bytes as f64);
        // Never more bytes than are compared with by over a hundredth.
        let better = nearest.as_ref().is_none_or(|n| {
            let gap = |bytes: f64| (bytes / wanted - 1.0).abs();
            gap(got) < gap(n.bytes as f64)
        });
        if better {
            nearest = Some(found);
        }
        if (got / wanted - 1.0).abs() < 0.005 {
            break;
        }
        bits += 8.0 * (wanted - got) / source.rows() as f64;
        if bits <= 0.0 {
            break;
        }
    }
    nearest.ok_or_else(|| Error::failure("compare", "nothing was coded", "report it"))
}
