//! What JPEG makes of the same pictures in as many bytes.
//!
//! Small pictures are laid on one sheet, so that there is one header for all and not one for each, which
//! would cost JPEG more than the pictures. Two sheets are tried, and the better counts: pictures side by
//! side, and pictures continued to a multiple of 8 pixels by their last ones, so that no block of
//! JPEG's lies across two. The quality is the highest whose file takes no more bytes; baseline JPEG with
//! its usual tables, by the crate `image`.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder, ImageFormat};

use super::values::Fidelity;
use crate::data::{Chosen, ImageShape, Source, evenly};
use crate::error::{Error, Result};

/// Pixels of a sheet, channels counted: 64 MiB as f64 of some of them at a time.
const MOST: usize = 1 << 25;
/// Pixels of a side that JPEG can tell.
const LONGEST_SIDE: usize = 65_535;
const BLOCK: usize = 8;

/// Pictures as JPEG.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Jpeg {
    /// Pictures that were taken, evenly from all.
    pub rows: usize,
    /// Bytes of the file.
    pub bytes: usize,
    /// 1 to 100.
    pub quality: u8,
    /// Whether pictures were continued to a multiple of 8.
    pub continued: bool,
    /// How far the pictures are from what they were.
    pub fidelity: Fidelity,
}

/// The best JPEG of pictures with at most `bytes_per_row` each; where even quality 1 takes more, that.
///
/// # Errors
/// If the rows cannot be read or a sheet cannot be coded.
pub fn jpeg_of_equal_bytes(
    source: &dyn Source,
    shape: ImageShape,
    bytes_per_row: f64,
) -> Result<Jpeg> {
    let places = evenly(source.rows(), (MOST / source.dim().max(1)).max(1));
    let mut pixels = vec![0.0; places.len() * source.dim()];
    Chosen { source, places: &places }.read_f64(0, &mut pixels)?;
    let most = bytes_per_row * places.len() as f64;
    let best = |continued| Sheet::new(&pixels, shape, continued).best(most);
    let (plain, continued) = (best(false)?, best(true)?);
    let fits = |jpeg: &Jpeg| jpeg.bytes as f64 <= most;
    let better = match (fits(&plain), fits(&continued)) {
        (true, false) => plain,
        (false, true) => continued,
        (false, false) if plain.bytes <= continued.bytes => plain,
        (false, false) => continued,
        _ if plain.fidelity.squared_error <= continued.fidelity.squared_error => plain,
        _ => continued,
    };
    Ok(better)
}

/// Pictures on one sheet.
struct Sheet<'a> {
    pictures: &'a [f64],
    shape: ImageShape,
    continued: bool,
    /// Height and width of a picture's place.
    place: (usize, usize),
    across: usize,
    down: usize,
}

impl<'a> Sheet<'a> {
    fn new(pictures: &'a [f64], shape: ImageShape, continued: bool) -> Self {
        let count = pictures.len() / (shape.height * shape.width * shape.channels);
        let side = |length: usize| match continued {
            true => length.next_multiple_of(BLOCK),
            false => length,
        };
        let place = (side(shape.height), side(shape.width));
        let square = (count as f64 * place.0 as f64 / place.1 as f64).sqrt().ceil() as usize;
        let across = square.clamp(1, (LONGEST_SIDE / place.1).max(1)).min(count.max(1));
        Self { pictures, shape, continued, place, across, down: count.div_ceil(across) }
    }

    fn count(&self) -> usize {
        self.pictures.len() / self.size()
    }

    fn size(&self) -> usize {
        self.shape.height * self.shape.width * self.shape.channels
    }

    /// Where a value of a picture lies on the sheet.
    fn at(&self, picture: usize, y: usize, x: usize, channel: usize) -> usize {
        let row = picture / self.across * self.place.0 + y;
        let column = picture % self.across * self.place.1 + x;
        (row * self.across * self.place.1 + column) * self.shape.channels + channel
    }

    fn paint(&self) -> Vec<u8> {
        let ImageShape { height, width, channels } = self.shape;
        let values = self.across * self.place.1 * self.down * self.place.0 * channels;
        let mut sheet = vec![0; values];
        for (index, picture) in self.pictures.chunks_exact(self.size()).enumerate() {
            for y in 0..self.place.0 {
                for x in 0..self.place.1 {
                    for channel in 0..channels {
                        let from = (y.min(height - 1) * width + x.min(width - 1)) * channels;
                        sheet[self.at(index, y, x, channel)] = picture[from + channel] as u8;
                    }
                }
            }
        }
        sheet
    }

    /// The highest quality that takes at most so many bytes.
    fn best(&self, most: f64) -> Result<Jpeg> {
        let sheet = self.paint();
        let (mut low, mut high) = (1_u8, 100_u8);
        let mut best = self.encode(&sheet, low)?;
        while low < high && (best.len() as f64) <= most {
            let middle = low + (high - low).div_ceil(2);
            let file = self.encode(&sheet, middle)?;
            if file.len() as f64 <= most {
                (low, best) = (middle, file);
            } else {
                high = middle - 1;
            }
        }
        Ok(Jpeg {
            rows: self.count(),
            bytes: best.len(),
            quality: low,
            continued: self.continued,
            fidelity: self.compare(&best)?,
        })
    }

    fn encode(&self, sheet: &[u8], quality: u8) -> Result<Vec<u8>> {
        let colour = match self.shape.channels {
            3 => ExtendedColorType::Rgb8,
            _ => ExtendedColorType::L8,
        };
        let (width, height) = (self.across * self.place.1, self.down * self.place.0);
        let mut file = Vec::new();
        JpegEncoder::new_with_quality(&mut file, quality)
            .write_image(sheet, width as u32, height as u32, colour)
            .map_err(|error| failed(error.to_string()))?;
        Ok(file)
    }

    fn compare(&self, file: &[u8]) -> Result<Fidelity> {
        let decoded = image::load(Cursor::new(file), ImageFormat::Jpeg);
        let decoded = decoded.map_err(|error| failed(error.to_string()))?;
        let sheet = match self.shape.channels {
            3 => decoded.into_rgb8().into_raw(),
            _ => decoded.into_luma8().into_raw(),
        };
        let ImageShape { height, width, channels } = self.shape;
        let mut fidelity = Fidelity::default();
        let mut rebuilt = vec![0.0; self.size()];
        for (index, picture) in self.pictures.chunks_exact(self.size()).enumerate() {
            for y in 0..height {
                for x in 0..width {
                    for channel in 0..channels {
                        let value = sheet[self.at(index, y, x, channel)];
                        rebuilt[(y * width + x) * channels + channel] = f64::from(value);
                    }
                }
            }
            fidelity.add(picture, &rebuilt);
        }
        Ok(fidelity)
    }
}

fn failed(problem: String) -> Error {
    Error::failure("code as JPEG", problem, "compress without comparing")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::data::{OpenOptions, open};

    #[test]
    fn more_bytes_give_better_pictures_within_the_bytes() {
        let faces = open("demo:faces?people=3&images=3&size=36", &OpenOptions::default()).unwrap();
        let shape = faces.image.unwrap();
        let jpeg = |bytes: f64| jpeg_of_equal_bytes(&*faces.rows, shape, bytes).unwrap();
        let [few, more, most] = [200.0, 400.0, 1e6].map(jpeg);
        assert!(few.bytes as f64 <= 200.0 * 9.0 && more.bytes as f64 <= 400.0 * 9.0);
        assert!(few.fidelity.psnr() + 2.0 < more.fidelity.psnr());
        assert_eq!((most.quality, most.rows), (100, 9));
        assert!(most.fidelity.psnr() > 45.0, "{}", most.fidelity.psnr());
        // Nothing is that small.
        assert_eq!(jpeg(1.0).quality, 1);
    }
}
