//! Pictures as files: png, pgm, ppm.

use std::io::Cursor;
use std::path::Path;

use image::{ExtendedColorType, ImageFormat};

use super::write_aside;
use crate::data::ImageShape;
use crate::error::{Error, Result};

/// Writes a picture as png, pgm or ppm, by the extension of `path`.
///
/// # Errors
/// If the extension is another one or does not fit the channels (pgm is grey, ppm is coloured), if
/// `pixels` does not hold the picture, or if the file cannot be written; a file that was there
/// before then stays as it was.
pub fn write_image(path: impl AsRef<Path>, pixels: &[u8], shape: ImageShape) -> Result<()> {
    let path = path.as_ref();
    check_pixels(pixels, shape)?;
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let file = match (extension.as_str(), shape.channels) {
        ("png", 1) => png(pixels, shape, ExtendedColorType::L8)?,
        ("png", 3) => png(pixels, shape, ExtendedColorType::Rgb8)?,
        ("pgm", 1) => portable("P5", pixels, shape),
        ("ppm", 3) => portable("P6", pixels, shape),
        _ => {
            return Err(Error::mistake(
                "write image",
                "a file .png, .pgm (grey) or .ppm (coloured)",
                format!("'{}' for {} channels", path.display(), shape.channels),
                "change the extension",
            ));
        }
    };
    write_aside(path, &file)
}

/// `P5` (grey) or `P6` (coloured): a line of text each for the size and the largest value.
fn portable(magic: &str, pixels: &[u8], shape: ImageShape) -> Vec<u8> {
    let header = format!("{magic}\n{} {}\n255\n", shape.width, shape.height);
    [header.as_bytes(), pixels].concat()
}

fn png(pixels: &[u8], shape: ImageShape, colour: ExtendedColorType) -> Result<Vec<u8>> {
    let mut file = Cursor::new(Vec::new());
    // A side too long for the format becomes one that the encoder refuses.
    let [width, height] = [shape.width, shape.height].map(|n| u32::try_from(n).unwrap_or(u32::MAX));
    image::write_buffer_with_format(&mut file, pixels, width, height, colour, ImageFormat::Png)
        .map_err(|error| Error::failure("write image", error.to_string(), "write a pgm or ppm"))?;
    Ok(file.into_inner())
}

/// Refuses pixels that are not as many as the picture has, or none.
fn check_pixels(pixels: &[u8], shape: ImageShape) -> Result<()> {
    let ImageShape { height, width, channels } = shape;
    let len = height.checked_mul(width).and_then(|len| len.checked_mul(channels));
    if pixels.is_empty() || len != Some(pixels.len()) {
        return Err(Error::mistake(
            "write image",
            format!("{height} × {width} × {channels} bytes, at least one"),
            pixels.len().to_string(),
            "give one byte for each channel of each pixel",
        ));
    }
    Ok(())
}
