//! NumPy archives (`.npz`): a zip file whose members are npy files.
//!
//! A member that is stored plain (`numpy.savez`) is read from the disk where it lies, without a
//! check of its sum; a deflated one (`numpy.savez_compressed`) is decompressed into memory.

use std::io::{Cursor, Read};
use std::ops::Range;
use std::path::Path;

use zip::{CompressionMethod, ZipArchive, result::ZipError};

use super::mapped::{Bytes, Content, expand};
use super::nearest::did_you_mean;
use super::npy;
use super::numbers::{Layout, Numbers, shown};
use super::source::Source;
use crate::error::{Error, Result};

/// Enough of a member to hold any npy header that `numpy.save` writes for numbers.
const HEADER: u64 = 1 << 16;

/// Whether these are the first bytes of a zip archive.
pub(super) fn recognises(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06")
}

/// The array called `name`, or the only one that has rows and columns.
pub(super) fn open(path: &Path, bytes: Bytes, name: Option<&str>) -> Result<Numbers> {
    let member = choose(path, members(path, &bytes)?, name)?;
    let (bytes, array) = match stored_range(path, &bytes, member.index)? {
        Some(range) => (bytes, range),
        None => {
            let array = unpack(path, &bytes, member.index)?;
            let all = 0..array.len();
            (Bytes::Held(array), all)
        }
    };
    let (layout, first) = npy::header(path, &bytes[array.clone()])?;
    Numbers::new(path, bytes, array.start + first..array.end, layout)
}

/// An array of an archive, read whole.
pub(crate) struct NpzArray {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    /// In row-major order.
    pub(crate) values: Vec<f32>,
}

/// Every array of numbers that has an axis.
pub(crate) fn arrays(path: &Path) -> Result<Vec<NpzArray>> {
    let members = members(path, &Content::of(path)?.bytes)?;
    let shapes = members.into_iter().filter_map(|member| Some((member.name, member.layout?.shape)));
    let read = |(name, shape): (String, Vec<usize>)| {
        let numbers = open(path, Content::of(path)?.bytes, Some(&name))?;
        let mut values = vec![0.0; numbers.rows() * numbers.dim()];
        numbers.read_f32(0, &mut values)?;
        Ok(NpzArray { name, shape, values })
    };
    shapes.filter(|(_, shape)| !shape.is_empty()).map(read).collect()
}

struct Member {
    index: usize,
    name: String,
    /// `None` where the array does not hold numbers.
    layout: Option<Layout>,
}

impl Member {
    fn has_columns(&self) -> bool {
        self.layout.as_ref().is_some_and(|layout| layout.shape.len() > 1)
    }
}

fn members(path: &Path, bytes: &[u8]) -> Result<Vec<Member>> {
    let mut archive = archive(path, bytes)?;
    let mut members = Vec::new();
    for index in 0..archive.len() {
        let file = archive.by_index(index).map_err(|error| damaged(path, &error))?;
        let name = file.name().map_err(|error| damaged(path, &error))?.into_owned();
        let Some(name) = name.strip_suffix(".npy").map(str::to_owned) else { continue };
        let mut start = Vec::new();
        let read = file.take(HEADER).read_to_end(&mut start);
        let layout =
            read.ok().and_then(|_| npy::header(path, &start).ok()).map(|(layout, _)| layout);
        members.push(Member { index, name, layout });
    }
    Ok(members)
}

fn choose(path: &Path, members: Vec<Member>, name: Option<&str>) -> Result<Member> {
    let operation = format!("open '{}'", path.display());
    let listed = listed(&members);
    let Some(name) = name else {
        let alone = members.len() == 1;
        let mut fitting = members.into_iter().filter(|member| alone || member.has_columns());
        return match (fitting.next(), fitting.next()) {
            (Some(member), None) => Ok(member),
            _ => Err(Error::mistake(
                operation,
                "one array with rows and columns",
                format!("the arrays {listed}"),
                format!("name one: {}#NAME", path.display()),
            )),
        };
    };
    let hint = did_you_mean(name, members.iter().map(|member| member.name.as_str()));
    members.into_iter().find(|member| member.name == name).ok_or_else(|| {
        Error::mistake(operation, format!("one of the arrays {listed}"), format!("'{name}'"), hint)
    })
}

fn listed(members: &[Member]) -> String {
    if members.is_empty() {
        return "(none)".to_owned();
    }
    let array = |member: &Member| match &member.layout {
        Some(layout) => format!("{} {}", member.name, shown(&layout.shape)),
        None => format!("{} (not numbers)", member.name),
    };
    members.iter().map(array).collect::<Vec<_>>().join(", ")
}

/// Where a member lies if it is neither compressed nor encrypted.
fn stored_range(path: &Path, bytes: &[u8], index: usize) -> Result<Option<Range<usize>>> {
    let mut archive = archive(path, bytes)?;
    let file = archive.by_index(index).map_err(|error| damaged(path, &error))?;
    if file.compression() != CompressionMethod::Stored {
        return Ok(None);
    }
    let range = file.data_start().and_then(|start| {
        let start = usize::try_from(start).ok()?;
        Some(start..start.checked_add(usize::try_from(file.size()).ok()?)?)
    });
    match range {
        Some(range) if range.end <= bytes.len() => Ok(Some(range)),
        _ => Err(Error::bad_file(path, "an array reaches beyond the end of the file", REMEDY)),
    }
}

fn unpack(path: &Path, bytes: &[u8], index: usize) -> Result<Vec<u8>> {
    let mut archive = archive(path, bytes)?;
    let file = archive.by_index(index).map_err(|error| damaged(path, &error))?;
    let packed = usize::try_from(file.compressed_size()).unwrap_or(usize::MAX).min(bytes.len());
    expand(path, file, packed)
}

fn archive<'a>(path: &Path, bytes: &'a [u8]) -> Result<ZipArchive<Cursor<&'a [u8]>>> {
    ZipArchive::new(Cursor::new(bytes)).map_err(|error| damaged(path, &error))
}

fn damaged(path: &Path, error: &ZipError) -> Error {
    Error::bad_file(path, format!("the archive cannot be read ({error})"), REMEDY)
}

const REMEDY: &str = "write it again with `numpy.savez` or fetch it again";
