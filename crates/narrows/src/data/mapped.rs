//! The bytes of a file: mapped where they lie plain on the disk, in memory where they were packed.

use std::fs::{self, File};
use std::io::Read;
use std::ops::Deref;
use std::path::Path;

use flate2::read::MultiGzDecoder;
use memmap2::Mmap;
#[cfg(unix)]
use memmap2::UncheckedAdvice;

use crate::error::{Error, Result};

/// A packed file may always expand to this much …
const FREE_EXPANSION: usize = 1 << 30;
/// … and beyond it to this many times its own size: real data rarely shrinks more than tenfold,
/// a file made to exhaust the memory shrinks a thousandfold.
const LARGEST_RATIO: usize = 64;

/// Files up to this size are hashed whole.
const HASHED_WHOLE: usize = 64 << 20;
/// Of larger files three windows of this size are hashed.
const WINDOW: usize = 16 << 20;

/// Bytes that stay where they are until they are read.
pub(crate) enum Bytes {
    /// A file on the disk, paged in by the operating system as it is read.
    Mapped(Mmap),
    /// Decompressed into memory.
    Held(Vec<u8>),
}

impl Deref for Bytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(bytes) => bytes,
            Self::Held(bytes) => bytes,
        }
    }
}

impl Bytes {
    /// Gives back the memory of the pages that were read. They come back when they are asked for;
    /// should the system refuse, only memory is lost.
    #[allow(unsafe_code)]
    pub(super) fn release(&self) {
        #[cfg(unix)]
        if let Self::Mapped(bytes) = self {
            // SAFETY: nobody writes through the mapping, so a page that is dropped returns from the
            // file as it was; to a reader this is what the system may do at any time anyway.
            let _ =
                unsafe { bytes.unchecked_advise_range(UncheckedAdvice::DontNeed, 0, bytes.len()) };
        }
    }
}

/// What a file holds, with gzip undone, and the hash of what lies on the disk.
pub(crate) struct Content {
    pub(crate) bytes: Bytes,
    pub(super) hash: String,
}

impl Content {
    /// Maps `path`; a gzip file is decompressed into memory.
    pub(crate) fn of(path: &Path) -> Result<Self> {
        // Asked before it is opened: opening a pipe waits for whoever writes to it.
        let about = fs::metadata(path).map_err(|error| Error::read(path, error))?;
        if !about.is_file() {
            return Err(Error::mistake(
                "open",
                "a file or a folder",
                format!("'{}', which is a pipe or a device", path.display()),
                "write the data to a file first",
            ));
        }
        let file = File::open(path).map_err(|error| Error::read(path, error))?;
        let mapped = map(&file).map_err(|error| Error::read(path, error))?;
        let hash = content_hash(&mapped);
        let bytes = if mapped.starts_with(&[0x1f, 0x8b, 8]) {
            Bytes::Held(expand(path, MultiGzDecoder::new(&mapped[..]), mapped.len())?)
        } else {
            Bytes::Mapped(mapped)
        };
        Ok(Self { bytes, hash })
    }
}

/// Reads a packed stream to its end, refusing one that expands beyond all measure.
pub(super) fn expand(path: &Path, packed: impl Read, packed_len: usize) -> Result<Vec<u8>> {
    let limit = FREE_EXPANSION.max(packed_len.saturating_mul(LARGEST_RATIO));
    let mut bytes = Vec::new();
    packed.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(|error| {
        Error::bad_file(
            path,
            format!("the compressed data is damaged or cut off ({error})"),
            "fetch the file again",
        )
    })?;
    if bytes.len() > limit {
        return Err(Error::bad_file(
            path,
            format!("{packed_len} compressed bytes expand to more than {limit}"),
            "decompress the file first and give the plain one, which is read from the disk",
        ));
    }
    Ok(bytes)
}

/// The hash of a file's bytes (blake3, hexadecimal).
///
/// Above 64 MiB it is a fingerprint: the length and the first, middle and last 16 MiB are hashed,
/// so that naming a large file does not cost a pass over it.
fn content_hash(bytes: &[u8]) -> String {
    let mut hasher = blake3::Hasher::new();
    if bytes.len() <= HASHED_WHOLE {
        hasher.update(bytes);
    } else {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        for start in [0, (bytes.len() - WINDOW) / 2, bytes.len() - WINDOW] {
            hasher.update(&bytes[start..start + WINDOW]);
        }
    }
    hasher.finalize().to_hex().to_string()
}

#[allow(unsafe_code)]
fn map(file: &File) -> std::io::Result<Mmap> {
    // SAFETY: the mapping is private and read-only, and its length is fixed here. Should another
    // program change the file meanwhile, other bytes appear, which is harmless: they are only ever
    // decoded as numbers or text, of which every bit pattern is either legal or checked where it
    // is read, and no bound or length is read from the mapping twice. Should another program cut
    // the file off, the operating system ends this process; nothing is read beyond the mapping.
    unsafe { Mmap::map(file) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Write;

    #[test]
    fn a_mapping_shows_the_bytes_of_the_file_after_it_was_closed_and_deleted() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let written: Vec<u8> = (0..100_000_u32).map(|i| (i % 251) as u8).collect();
        file.write_all(&written).unwrap();
        let content = Content::of(file.path()).unwrap();
        drop(file);
        assert!(matches!(content.bytes, Bytes::Mapped(_)));
        assert_eq!(&content.bytes[..], written);
        assert_eq!(content.hash, blake3::hash(&written).to_hex().to_string());
    }

    #[test]
    fn an_empty_file_maps_to_no_bytes() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(Content::of(file.path()).unwrap().bytes.is_empty());
    }

    #[test]
    fn the_fingerprint_of_a_large_file_sees_both_ends_the_middle_and_the_length() {
        let mut bytes = vec![0_u8; HASHED_WHOLE + 1];
        let plain = content_hash(&bytes);
        for place in [0, bytes.len() / 2, bytes.len() - 1] {
            bytes[place] = 1;
            assert_ne!(content_hash(&bytes), plain, "place {place}");
            bytes[place] = 0;
        }
        bytes.push(0);
        assert_ne!(content_hash(&bytes), plain);
    }

    #[test]
    fn a_stream_that_expands_beyond_all_measure_is_refused() {
        let error = expand(Path::new("bomb.gz"), std::io::repeat(0), 10).unwrap_err();
        assert!(error.to_string().contains("10 compressed bytes expand to more than 1073741824"));
    }
}
