//! Pictures in files: png, jpeg, pgm and ppm, alone or in a folder.
//!
//! A pixel is a byte, 0 to 255; 16 bits are rounded to 8 (`v / 257`). Grey is
//! `0.2126 R + 0.7152 G + 0.0722 B` of the stored values, rounded down (the weights of ITU-R
//! BT.709). Transparency is dropped, and a picture is turned upright where its file says how.
//! Resizing weighs the pixels by a triangle as wide as the scale, so that shrinking averages.

use std::cmp::Ordering;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::imageops::FilterType;
use image::{DynamicImage, ImageDecoder, ImageReader, Limits};
use rayon::prelude::*;

use super::mapped::Content;
use super::memory::Held;
use super::{Dataset, Element, ImageShape, Labels, OpenOptions};
use crate::error::{Error, Result};

const EXTENSIONS: [&str; 7] = ["png", "jpg", "jpeg", "pgm", "ppm", "pbm", "pnm"];

/// A header may ask for this many bytes of one picture at most, lest a damaged one exhausts the
/// memory.
const LARGEST: u64 = 1 << 29;

/// Whether these are the first bytes of a picture.
pub(super) fn recognises(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x89PNG\r\n\x1a\n")
        || bytes.starts_with(b"\xff\xd8\xff")
        || matches!(bytes, [b'P', b'1'..=b'6', space, ..] if space.is_ascii_whitespace())
}

/// One picture: a set of one row.
pub(super) fn open_one(path: &Path, content: Content, options: &OpenOptions) -> Result<Dataset> {
    let (pixels, shape) = decode(path, &content.bytes, options)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(dataset(pixels, shape, vec![name], None, content.hash))
}

/// The pictures of a folder in natural order (`s2` before `s10`), or those of its sub-folders,
/// whose names are then the classes.
pub(super) fn open_folder(folder: &Path, options: &OpenOptions) -> Result<Dataset> {
    let (names, classes) = list(folder)?;
    let read = |name: &String| {
        let path = folder.join(name);
        let bytes = fs::read(&path).map_err(|error| Error::read(&path, error))?;
        let (pixels, shape) = decode(&path, &bytes, options)?;
        Ok((pixels, shape, blake3::hash(&bytes)))
    };
    let (first, shape, _) = read(&names[0])?;
    let dim = first.len();
    let mut pixels = reserve(folder, names.len(), shape)?;
    // Results are gathered in order, so that the first bad file is the one named.
    let read_into = |(name, row): (&String, &mut [u8])| {
        let (pixels, found, hash) = read(name)?;
        if found != shape {
            return Err(unequal(folder, &names[0], shape, name, found));
        }
        row.copy_from_slice(&pixels);
        Ok(hash)
    };
    let hashes: Vec<Result<blake3::Hash>> =
        names.par_iter().zip(pixels.par_chunks_exact_mut(dim)).map(read_into).collect();
    let mut hasher = blake3::Hasher::new();
    for (name, hash) in names.iter().zip(hashes) {
        hasher.update(name.as_bytes()).update(&[0]).update(hash?.as_bytes());
    }
    let labels = (!classes.is_empty()).then(|| Labels::of_names(&classes));
    Ok(dataset(pixels, shape, names, labels, hasher.finalize().to_hex().to_string()))
}

fn dataset(
    pixels: Vec<u8>,
    shape: ImageShape,
    row_names: Vec<String>,
    labels: Option<Labels>,
    content_hash: String,
) -> Dataset {
    Dataset {
        name: String::new(),
        rows: Box::new(Held::new(pixels, shape.height * shape.width * shape.channels)),
        element: Element::U8,
        image: Some(shape),
        labels,
        columns: Vec::new(),
        row_names,
        content_hash,
    }
}

/// Paths below `folder` in natural order, and their classes where the pictures lie in sub-folders.
fn list(folder: &Path) -> Result<(Vec<String>, Vec<String>)> {
    let mut flat = pictures(folder)?;
    let mut nested = Vec::new();
    for (class, path) in entries(folder)?.into_iter().filter(|(_, path)| path.is_dir()) {
        nested.extend(pictures(&path)?.into_iter().map(|name| (class.clone(), name)));
    }
    let mistake = |got: String, remedy: &str| {
        let operation = format!("open '{}'", folder.display());
        Error::mistake(
            operation,
            "images (png, jpeg, pgm, ppm), or one sub-folder of images for each class",
            got,
            remedy,
        )
    };
    match (flat.is_empty(), nested.is_empty()) {
        (true, true) => Err(mistake("a folder without images".to_owned(), "give another folder")),
        (false, false) => Err(mistake(
            format!("images beside sub-folders, such as '{}'", flat[0]),
            "move those images into a sub-folder",
        )),
        (false, true) => {
            flat.sort_by(|a, b| natural(a, b));
            Ok((flat, Vec::new()))
        }
        (true, false) => {
            nested.sort_by(|a, b| natural(&a.0, &b.0).then_with(|| natural(&a.1, &b.1)));
            let names = nested.iter().map(|(class, name)| format!("{class}/{name}")).collect();
            Ok((names, nested.into_iter().map(|(class, _)| class).collect()))
        }
    }
}

/// The entries of a folder that are not hidden.
fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| Error::read(folder, error))? {
        let entry = entry.map_err(|error| Error::read(folder, error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            found.push((name, entry.path()));
        }
    }
    Ok(found)
}

/// Whether a path ends as the files of pictures do that can be read: `.png`, `.jpg`, `.pgm` and their like.
pub fn names_picture(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    EXTENSIONS.contains(&extension.as_str())
}

fn pictures(folder: &Path) -> Result<Vec<String>> {
    let is_picture = |(_, path): &(String, PathBuf)| names_picture(path) && path.is_file();
    let pictures = entries(folder)?.into_iter().filter(is_picture);
    Ok(pictures.map(|(name, _)| name).collect())
}

/// Compares runs of digits as numbers and everything between them as text.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    while !left.is_empty() && !right.is_empty() {
        let ((text_a, number_a, rest_a), (text_b, number_b, rest_b)) = (piece(left), piece(right));
        let order = text_a
            .cmp(text_b)
            .then_with(|| number_a.len().cmp(&number_b.len()))
            .then_with(|| number_a.cmp(number_b));
        if order.is_ne() {
            return order;
        }
        (left, right) = (rest_a, rest_b);
    }
    left.cmp(right).then_with(|| a.cmp(b))
}

/// The text before the first number, that number without leading zeros, and the rest.
fn piece(name: &str) -> (&str, &str, &str) {
    let start = name.find(|c: char| c.is_ascii_digit()).unwrap_or(name.len());
    let (text, rest) = name.split_at(start);
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, rest) = rest.split_at(end);
    (text, digits.trim_start_matches('0'), rest)
}

fn decode(path: &Path, bytes: &[u8], options: &OpenOptions) -> Result<(Vec<u8>, ImageShape)> {
    let picture = upright(bytes).map_err(|error| {
        let problem = format!("the image cannot be decoded ({error})");
        Error::bad_file(path, problem, "remove it or write it again")
    })?;
    let mut picture: DynamicImage = match options.colour {
        true => picture.into_rgb8().into(),
        false => picture.into_luma8().into(),
    };
    if let Some((width, height)) = options.resize {
        let (width, height) = checked_size(width, height)?;
        if (picture.width(), picture.height()) != (width, height) {
            picture = picture.resize_exact(width, height, FilterType::Triangle);
        }
    }
    let shape = ImageShape {
        height: picture.height() as usize,
        width: picture.width() as usize,
        channels: if options.colour { 3 } else { 1 },
    };
    if shape.height * shape.width == 0 {
        return Err(Error::bad_file(path, "the image has no pixels", "remove it"));
    }
    Ok((picture.into_bytes(), shape))
}

fn upright(bytes: &[u8]) -> image::ImageResult<DynamicImage> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(LARGEST);
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder()?;
    limits.reserve(decoder.total_bytes())?;
    let orientation = decoder.orientation()?;
    let mut picture = DynamicImage::from_decoder(decoder)?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

pub(super) fn checked_size(width: usize, height: usize) -> Result<(u32, u32)> {
    match (u32::try_from(width), u32::try_from(height)) {
        (Ok(w), Ok(h)) if w > 0 && h > 0 && u64::from(w) * u64::from(h) * 4 <= LARGEST => {
            Ok((w, h))
        }
        _ => Err(Error::mistake(
            "resize images",
            "a width and a height of at least 1, not absurdly large",
            format!("{width}x{height}"),
            "give --resize WxH, such as 64x64",
        )),
    }
}

fn unequal(folder: &Path, first: &str, shape: ImageShape, name: &str, found: ImageShape) -> Error {
    Error::mistake(
        format!("open '{}'", folder.display()),
        format!("images as large as '{first}', {}x{} pixels", shape.width, shape.height),
        format!("'{name}', {}x{} pixels", found.width, found.height),
        format!("bring all to one size: --resize {}x{}", shape.width, shape.height),
    )
}

/// Zeros for all pictures, or the refusal of more than the memory can hold.
#[allow(clippy::slow_vector_initialization, reason = "`vec!` would end the program instead")]
fn reserve(folder: &Path, count: usize, shape: ImageShape) -> Result<Vec<u8>> {
    let mut pixels = Vec::new();
    match count.checked_mul(shape.height * shape.width * shape.channels) {
        Some(len) if pixels.try_reserve_exact(len).is_ok() => {
            pixels.resize(len, 0);
            Ok(pixels)
        }
        _ => Err(Error::failure(
            format!("open '{}'", folder.display()),
            format!("{count} images of {}x{} do not fit in memory", shape.width, shape.height),
            "make them smaller with --resize WxH",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::natural;

    #[test]
    fn numbers_in_names_count_as_numbers() {
        let sorted =
            ["1.pgm", "2.pgm", "02b.pgm", "10.pgm", "s1", "s1/a", "s2", "s010", "s10", "s11"];
        let mut names = sorted;
        names.reverse();
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, sorted);
    }
}
