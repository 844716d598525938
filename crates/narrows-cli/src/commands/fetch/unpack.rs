//! What `fit` cannot read as it is fetched: an archive of pictures, and a MATLAB file.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use flate2::read::ZlibDecoder;
use narrows::store::write_aside;
use narrows::{Error, Result};
use zip::ZipArchive;

use super::download::sha256;
use super::sets::ORL_PICTURES;

/// People and pictures of each.
const PEOPLE: usize = 40;
const EACH: usize = 10;
/// The side of an Olivetti face, and the numbers of one.
const SIDE: usize = 64;
const PIXELS: usize = SIDE * SIDE;
/// A picture of the ORL faces has 10,318 bytes; an archive that says more is another.
const LARGEST: u64 = 1 << 20;
/// A MATLAB file may expand to so much.
const EXPANDED: u64 = 1 << 28;
/// Types of elements of a MATLAB file.
const BYTES: u32 = 2;
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;
/// What to do about an archive of ORL faces that is not theirs, and was fetched just now.
const REMOVED: &str =
    "it is removed: run the command again, or give an address that has it with --mirror";
/// The same of one that lay there.
const LEFT: &str = "remove it, and run the command again";

/// Whether the pictures lie in `folder` already, all of them and right.
pub(super) fn has_orl(folder: &Path) -> Result<bool> {
    let mut all = Vec::new();
    for name in orl_names() {
        let path = folder.join(&name);
        if !path.is_file() {
            return Ok(false);
        }
        all.extend(fs::read(&path).map_err(|error| Error::read(&path, error))?);
    }
    Ok(sha256(&all[..]).map_err(|error| Error::read(folder, error))? == ORL_PICTURES)
}

/// `s1/1.pgm`, `s1/2.pgm`, …
fn orl_names() -> impl Iterator<Item = String> {
    (1..=PEOPLE)
        .flat_map(|person| (1..=EACH).map(move |picture| format!("s{person}/{picture}.pgm")))
}

/// Writes the 400 pictures of the archive into `folder`, one sub-folder for each person. Nothing else
/// in the archive is written, and nothing before all pictures are proved right. An archive of others
/// is removed if it was fetched just now, for it would be taken for the right one.
pub(super) fn orl(archive: &Path, folder: &Path, fetched: bool) -> Result<()> {
    let pictures = orl_pictures(archive, if fetched { REMOVED } else { LEFT });
    if fetched && matches!(pictures, Err(Error::BadFile { .. })) {
        fs::remove_file(archive).map_err(|error| Error::write(archive, error))?;
    }
    for (name, bytes) in pictures? {
        let path = folder.join(name);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(|error| Error::write(parent, error))?;
        write_aside(&path, &bytes)?;
    }
    Ok(())
}

/// The names and bytes of the 400 pictures, proved right.
fn orl_pictures(archive: &Path, remedy: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let bad = |problem: String| Error::bad_file(archive, problem, remedy);
    let file = File::open(archive).map_err(|error| Error::read(archive, error))?;
    let mut zip = ZipArchive::new(file).map_err(|error| bad(error.to_string()))?;
    let mut listed = Vec::with_capacity(zip.len());
    for place in 0..zip.len() {
        let entry = zip.by_index(place).map_err(|error| bad(error.to_string()))?;
        listed.push(entry.name().map_err(|error| bad(error.to_string()))?.into_owned());
    }
    let mut pictures = Vec::new();
    for name in orl_names() {
        let within = |listed: &&String| {
            **listed == name || listed.strip_suffix(&name).is_some_and(|rest| rest.ends_with('/'))
        };
        let entry =
            listed.iter().find(within).ok_or_else(|| bad(format!("'{name}' is missing")))?;
        let mut bytes = Vec::new();
        let picture = zip.by_name(entry).map_err(|error| bad(error.to_string()))?;
        let read = picture.take(LARGEST).read_to_end(&mut bytes);
        read.map_err(|error| bad(format!("'{name}': {error}")))?;
        pictures.push((name, bytes));
    }
    let all: Vec<u8> = pictures.iter().flat_map(|(_, bytes)| bytes).copied().collect();
    let found = sha256(&all[..]).map_err(|error| Error::read(archive, error))?;
    if found != ORL_PICTURES {
        return Err(bad(format!(
            "its pictures are others: expected sha256 {ORL_PICTURES} but got {found}"
        )));
    }
    Ok(pictures)
}

/// Writes the faces of the MATLAB file as pictures and labels in idx files.
pub(super) fn olivetti(mat: &Path, images: &Path, labels: &Path) -> Result<()> {
    let bytes = fs::read(mat).map_err(|error| Error::read(mat, error))?;
    let bad = || {
        let problem = "it holds no matrix of 4,096 × 400 bytes";
        Error::bad_file(mat, problem, "remove it and fetch again")
    };
    let faces = matrix(&bytes).ok_or_else(bad)?;
    let mut pictures = vec![0, 0, 8, 3];
    for length in [PEOPLE * EACH, SIDE, SIDE] {
        pictures.extend((length as u32).to_be_bytes());
    }
    for face in faces.chunks_exact(PIXELS) {
        // MATLAB counts down the columns.
        pictures.extend((0..PIXELS).map(|place| face[place % SIDE * SIDE + place / SIDE]));
    }
    let mut people = vec![0, 0, 8, 1];
    people.extend(((PEOPLE * EACH) as u32).to_be_bytes());
    people.extend((0..PEOPLE * EACH).map(|picture| (picture / EACH) as u8));
    write_aside(images, &pictures)?;
    write_aside(labels, &people)
}

/// The faces in a MATLAB file of level 5: a header of 128 bytes, then elements.
fn matrix(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut rest = bytes.get(128..)?;
    while !rest.is_empty() {
        let (kind, content, after) = element(rest)?;
        rest = after;
        let mut expanded = Vec::new();
        let (kind, content) = match kind {
            COMPRESSED => {
                ZlibDecoder::new(content).take(EXPANDED).read_to_end(&mut expanded).ok()?;
                let (kind, content, _) = element(&expanded)?;
                (kind, content)
            }
            _ => (kind, content),
        };
        if kind != MATRIX {
            continue;
        }
        // Flags, dimensions, name, numbers.
        let (_, _, content) = element(content)?;
        let (_, dimensions, content) = element(content)?;
        let (_, _, content) = element(content)?;
        let (kind, numbers, _) = element(content)?;
        let shape =
            [(PIXELS as u32).to_le_bytes(), ((PEOPLE * EACH) as u32).to_le_bytes()].concat();
        if kind == BYTES && dimensions == shape && numbers.len() == PIXELS * PEOPLE * EACH {
            return Some(numbers.to_vec());
        }
    }
    None
}

/// Type, content and what follows; small elements have their length beside the type.
fn element(bytes: &[u8]) -> Option<(u32, &[u8], &[u8])> {
    let tag = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?);
    if tag >> 16 != 0 {
        let length = (tag >> 16) as usize;
        return Some((tag & 0xffff, bytes.get(4..4 + length)?, bytes.get(8..)?));
    }
    let length = u32::from_le_bytes(bytes.get(4..8)?.try_into().ok()?) as usize;
    let content = bytes.get(8..)?.get(..length)?;
    // Elements begin at multiples of 8 bytes, but what is compressed follows at once.
    let end = if tag == COMPRESSED { 8 + length } else { (8 + length).next_multiple_of(8) };
    Some((tag, content, bytes.get(end..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::print_stderr)]
    use super::*;

    fn tagged(kind: u32, content: &[u8]) -> Vec<u8> {
        let mut bytes = [kind.to_le_bytes(), (content.len() as u32).to_le_bytes()].concat();
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    #[test]
    fn faces_of_matlab_stand_upright() {
        let faces: Vec<u8> = (0..PIXELS * 400).map(|place| (place * 7 % 251) as u8).collect();
        let shape = [4096_u32.to_le_bytes(), 400_u32.to_le_bytes()].concat();
        let small = [(4_u32 << 16 | 1).to_le_bytes().as_slice(), b"face"].concat();
        let matrix = [tagged(6, &[9; 8]), tagged(5, &shape), small, tagged(2, &faces)].concat();
        let file = [vec![0; 128], tagged(MATRIX, &matrix)].concat();
        let folder = tempfile::tempdir().unwrap();
        let [mat, images, labels] = ["a.mat", "images", "labels"].map(|n| folder.path().join(n));
        fs::write(&mat, &file).unwrap();
        olivetti(&mat, &images, &labels).unwrap();
        let written = fs::read(&images).unwrap();
        assert_eq!(written.len(), 16 + faces.len());
        assert_eq!(written[16 + 64 * 3 + 5], faces[64 * 5 + 3]);
        assert_eq!(fs::read(&labels).unwrap()[8 + 399], 39);
        for cut in [0, 100, 130, 200, 5000] {
            fs::write(&mat, &file[..cut]).unwrap();
            assert!(olivetti(&mat, &images, &labels).is_err());
        }
    }

    #[test]
    fn the_faces_of_the_public_file_are_found() {
        let Some(data) = std::env::var_os("NARROWS_DATA") else {
            eprintln!(
                "skipped: NARROWS_DATA does not name a folder with olivetti/olivettifaces.mat"
            );
            return;
        };
        let folder = tempfile::tempdir().unwrap();
        let [images, labels] = ["images", "labels"].map(|name| folder.path().join(name));
        olivetti(&Path::new(&data).join("olivetti/olivettifaces.mat"), &images, &labels).unwrap();
        let faces = &fs::read(images).unwrap()[16..];
        assert_eq!((faces.len(), faces.iter().max()), (400 * PIXELS, Some(&242)));
        // The first pixels that scikit-learn's documentation prints, times 242.
        let first =
            [0.309_917_36, 0.367_768_6, 0.417_355_36].map(|x: f64| (x * 242.0).round() as u8);
        assert_eq!(faces[..3], first);
    }
}
