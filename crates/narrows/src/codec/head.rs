//! What stands before the codes: of what, by which model, with which quantiser.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::path::{Component, Path, PathBuf};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use half::bf16;
use serde::{Deserialize, Serialize};

use super::MODEL_HASH;
use super::entropy::Spread;
use super::quantiser::Quantiser;
use super::values::Values;
use crate::data::{ImageShape, Sound};
use crate::error::{Error, Result};

const MAGIC: &[u8; 8] = b"NARROWSZ";
/// Of the format; a file of another is refused.
const VERSION: u16 = 1;
/// Where the length of the file stands.
pub(super) const LENGTH_AT: usize = 10;
/// Magic, version, length of the file, hash of the model, length of the packed head.
pub(super) const FIXED: usize = 8 + 2 + 8 + MODEL_HASH + 4;
/// A head that unpacks to more, for each of its bytes and beyond so many, is made to exhaust the memory. Names of files
/// pack to a tenth or so; a quantiser, which packs better, is small.
const PACKED_AT_MOST: u64 = 256;
const SMALL: u64 = 1 << 20;

/// How many bytes a packed head may unpack to.
fn longest(packed: usize) -> u64 {
    PACKED_AT_MOST * packed as u64 + SMALL
}

fn pack(plain: &[u8], level: Compression) -> std::io::Result<Vec<u8>> {
    let mut packer = ZlibEncoder::new(Vec::new(), level);
    packer.write_all(plain)?;
    packer.finish()
}

/// What the rows lay in, and will lie in again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Container {
    /// An array.
    Npy,
    /// An idx file of bytes.
    Idx,
    /// One picture of this file name.
    Picture(PathBuf),
    /// A folder of pictures of these names.
    Pictures(Vec<PathBuf>),
    /// A table; its columns are those of the run.
    Csv,
    /// A WAV file.
    Wav(Sound),
}

/// What stands before the codes.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// The model that decodes, by [`super::model_hash`].
    pub model: [u8; MODEL_HASH],
    /// What is coded.
    pub about: About,
    /// How indices become codes.
    pub quantiser: Quantiser,
}

/// What is coded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// What the rows lie in.
    pub container: Container,
    /// What their numbers are.
    pub values: Values,
    /// How many there are.
    pub rows: usize,
    /// Columns of a row.
    pub dim: usize,
    /// The size of the pictures, where rows are pictures.
    pub image: Option<ImageShape>,
}

impl About {
    /// What does not fit together in it, if it was made to mislead: names that leave the folder, or come twice.
    fn problem(&self) -> Option<&'static str> {
        let size =
            |image: ImageShape| image.height.checked_mul(image.width)?.checked_mul(image.channels);
        if self.image.is_some_and(|image| size(image) != Some(self.dim)) {
            return Some("its pictures have another size than its rows");
        }
        let names = match &self.container {
            Container::Pictures(names) if names.len() != self.rows => {
                return Some("it has another number of names than of rows");
            }
            Container::Pictures(names) => &names[..],
            _ => &[],
        };
        let leaves = |name: &PathBuf| {
            let stays = |part| matches!(part, Component::Normal(_));
            name.as_os_str().is_empty() || !name.components().all(stays)
        };
        if names.iter().any(leaves) {
            return Some("a name in it leads out of the folder to write");
        }
        let mut seen = HashSet::new();
        names.iter().any(|name| !seen.insert(name)).then_some("two of its pictures have one name")
    }
}

impl Head {
    /// Its bytes; the length of the file is 0 until it is known.
    ///
    /// # Errors
    /// If they cannot be packed, which is nobody's mistake.
    pub(super) fn bytes(&self) -> Result<Vec<u8>> {
        let failed = |error: String| Error::failure("write a head", error, "report it");
        let about = serde_json::to_vec(&self.about).map_err(|error| failed(error.to_string()))?;
        let Quantiser { offsets, steps, spreads } = &self.quantiser;
        let mut plain = (about.len() as u32).to_le_bytes().to_vec();
        plain.extend(about);
        // High and low bytes apart: of neighbours the high ones are alike, and pack well.
        for numbers in [offsets, steps] {
            plain.extend(numbers.iter().map(|number| number.to_le_bytes()[1]));
            plain.extend(numbers.iter().map(|number| number.to_le_bytes()[0]));
        }
        plain.extend(spreads.iter().map(|spread| spread.0));
        let unpacks = |packed: &Vec<u8>| plain.len() as u64 <= longest(packed.len());
        let packed = match pack(&plain, Compression::best()) {
            // Long names that are nearly alike pack as well as what is made to exhaust the memory.
            Ok(packed) if !unpacks(&packed) => pack(&plain, Compression::none()),
            packed => packed,
        };
        let packed = packed.map_err(|error| failed(error.to_string()))?;
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend([0; 8]);
        bytes.extend(self.model);
        bytes.extend((packed.len() as u32).to_le_bytes());
        bytes.extend(packed);
        Ok(bytes)
    }

    /// Reads the fixed part: the length of the file, the hash of the model, the length of the rest.
    ///
    /// # Errors
    /// If this is no such file, or one of another version.
    pub(super) fn fixed(path: &Path, bytes: &[u8; FIXED]) -> Result<(u64, [u8; MODEL_HASH], u32)> {
        if &bytes[..8] != MAGIC {
            let got = format!("'{}', which is none", path.display());
            let expected = "a file written by `narrows compress`";
            return Err(Error::mistake("decompress", expected, got, "give another file"));
        }
        let version = u16::from_le_bytes([bytes[8], bytes[9]]);
        if version != VERSION {
            let problem = format!("it is of version {version}, this program reads {VERSION}");
            return Err(Error::bad_file(path, problem, "use the narrows that wrote it"));
        }
        let mut length = [0; 8];
        length.copy_from_slice(&bytes[LENGTH_AT..LENGTH_AT + 8]);
        let mut model = [0; MODEL_HASH];
        model.copy_from_slice(&bytes[LENGTH_AT + 8..][..MODEL_HASH]);
        let mut packed = [0; 4];
        packed.copy_from_slice(&bytes[FIXED - 4..]);
        Ok((u64::from_le_bytes(length), model, u32::from_le_bytes(packed)))
    }

    /// Reads the rest.
    ///
    /// # Errors
    /// If it does not hold what it should.
    pub(super) fn unpack(path: &Path, model: [u8; MODEL_HASH], packed: &[u8]) -> Result<Self> {
        let bad = |problem: &str| Error::bad_file(path, problem, "compress the data again");
        let mut plain = Vec::new();
        let read = ZlibDecoder::new(packed).take(longest(packed.len())).read_to_end(&mut plain);
        read.map_err(|_| bad("its head cannot be unpacked"))?;
        let (length, rest) = plain.split_first_chunk::<4>().ok_or_else(|| bad("it has no head"))?;
        let length = u32::from_le_bytes(*length) as usize;
        let (about, numbers) =
            rest.split_at_checked(length).ok_or_else(|| bad("its head is cut off"))?;
        let about: About = serde_json::from_slice(about)
            .map_err(|error| bad(&format!("its head cannot be read: {error}")))?;
        if let Some(problem) = about.problem() {
            return Err(bad(problem));
        }
        let dim = numbers.len() / 5;
        if !numbers.len().is_multiple_of(5) || dim == 0 {
            return Err(bad("its head holds no quantiser"));
        }
        let planes: Vec<&[u8]> = numbers.chunks_exact(dim).collect();
        let number = |high: &[u8], low: &[u8]| -> Vec<bf16> {
            high.iter().zip(low).map(|(&high, &low)| bf16::from_le_bytes([low, high])).collect()
        };
        let offsets = number(planes[0], planes[1]);
        let steps = number(planes[2], planes[3]);
        let spreads = planes[4].iter().map(|&code| Spread(code)).collect();
        let finite = offsets.iter().chain(&steps).all(|number| number.is_finite());
        if !finite {
            return Err(bad("its quantiser holds a number that is not finite"));
        }
        Ok(Self { model, about, quantiser: Quantiser { offsets, steps, spreads } })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_head_comes_back() {
        let quantiser = Quantiser {
            offsets: [0.0, -3.5, 1e9].map(bf16::from_f64).to_vec(),
            steps: [0.25, 1e-7, 4.0].map(bf16::from_f64).to_vec(),
            spreads: vec![Spread(0), Spread(60), Spread(255)],
        };
        let names = vec!["a/1.png".into(), "b/2.png".into()];
        let about = About {
            container: Container::Pictures(names),
            values: Values::Bytes,
            rows: 2,
            dim: 12,
            image: Some(ImageShape { height: 2, width: 2, channels: 3 }),
        };
        let head = Head { model: [7; MODEL_HASH], about, quantiser };
        let bytes = head.bytes().unwrap();
        let path = Path::new("x.nrw");
        let (fixed, rest) = bytes.split_first_chunk::<FIXED>().unwrap();
        let (length, model, packed) = Head::fixed(path, fixed).unwrap();
        assert_eq!((length, packed as usize), (0, rest.len()));
        assert_eq!(Head::unpack(path, model, rest).unwrap(), head);
        for cut in 0..rest.len() {
            assert!(Head::unpack(path, model, &rest[..cut]).is_err(), "cut at {cut}");
        }
    }

    /// What a head of pictures of these names, rows and columns is refused for.
    fn refused(names: &[&str], rows: usize, dim: usize) -> String {
        let about = About {
            container: Container::Pictures(names.iter().map(PathBuf::from).collect()),
            values: Values::Bytes,
            rows,
            dim,
            image: Some(ImageShape { height: 2, width: 2, channels: 3 }),
        };
        let (offsets, steps) = (vec![bf16::ZERO], vec![bf16::ONE]);
        let quantiser = Quantiser { offsets, steps, spreads: vec![Spread(0)] };
        let bytes = Head { model: [7; MODEL_HASH], about, quantiser }.bytes().unwrap();
        let unpacked = Head::unpack(Path::new("x.nrw"), [7; MODEL_HASH], &bytes[FIXED..]);
        unpacked.err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_head_that_was_made_to_mislead_is_refused() {
        assert_eq!(refused(&["a/1.png", "2.png"], 2, 12), "");
        for name in ["/tmp/1.png", "../1.png", "a/../../1.png", ""] {
            let told = refused(&["a/1.png", name], 2, 12);
            assert!(told.contains("leads out of the folder"), "{name}: {told}");
        }
        assert!(refused(&["1.png", "1.png"], 2, 12).contains("have one name"));
        assert!(refused(&["1.png", "2.png"], 3, 12).contains("another number of names"));
        assert!(refused(&["1.png", "2.png"], 2, 13).contains("another size"));
    }

    #[test]
    fn a_head_does_not_unpack_without_measure() {
        let plain = vec![0; 1 << 24];
        let packed = pack(&plain, Compression::best()).unwrap();
        assert!(longest(packed.len()) < plain.len() as u64 / 2, "{}", packed.len());
        assert!(Head::unpack(Path::new("x.nrw"), [7; MODEL_HASH], &packed).is_err());
    }

    #[test]
    fn names_that_pack_too_well_come_back_too() {
        let folder = vec!["a".repeat(250); 16].join("/");
        let names: Vec<String> = (0..2000).map(|place| format!("{folder}/{place}.png")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(refused(&names, 2000, 12), "");
    }
}
