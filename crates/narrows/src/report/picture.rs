//! Rows of pixels as pictures: PNG written into the page.

use std::fmt::Write;
use std::io::Cursor;

use base64::{Engine, prelude::BASE64_STANDARD};
use image::{DynamicImage, GrayImage, ImageFormat, RgbImage};

use super::text::{Html, escape};
use crate::data::ImageShape;
use crate::{Error, Result};

/// No picture on a page has a longer side, in pixels: more would not be seen, only weigh.
const LONGEST_SIDE: u32 = 192;
/// Nor has a sheet of many pictures.
const LONGEST_SHEET: u32 = 1120;

/// How a value becomes a shade.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tone {
    /// The first value is black and the second white (in each channel).
    Between(f32, f32),
    /// Zero is white, minus the value is blue, plus the value is red. Pictures of three channels
    /// have no such scale: zero is middle grey in each channel.
    Diverging(f32),
}

impl Tone {
    /// From the least to the greatest value of some rows.
    pub fn of<'a>(rows: impl IntoIterator<Item = &'a Vec<f32>>) -> Self {
        let finite = rows.into_iter().flatten().filter(|value| value.is_finite());
        let (low, high) = finite
            .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)));
        Self::Between(low, high)
    }

    /// As far to both sides of zero as the values of some rows go.
    pub fn around_zero<'a>(rows: impl IntoIterator<Item = &'a Vec<f32>>) -> Self {
        let finite = rows.into_iter().flatten().filter(|value| value.is_finite());
        Self::Diverging(finite.fold(0.0, |limit: f32, value| limit.max(value.abs())))
    }

    /// The byte of one value: 0 at the low bound, 255 at the high one. What is no number is 0.
    fn byte(self, value: f32) -> u8 {
        let (low, high) = match self {
            Self::Between(low, high) => (low, high),
            Self::Diverging(limit) => (-limit, limit),
        };
        let share = if high > low { (value - low) / (high - low) } else { 0.5 };
        (255.0 * share.clamp(0.0, 1.0)).round() as u8
    }

    fn colour(self, value: f32) -> [u8; 3] {
        const BLUE: [f32; 3] = [33.0, 102.0, 172.0];
        const RED: [f32; 3] = [178.0, 24.0, 43.0];
        let Self::Diverging(limit) = self else { return [self.byte(value); 3] };
        let share = if limit > 0.0 { (value / limit).clamp(-1.0, 1.0) } else { 0.0 };
        let end = if share < 0.0 { BLUE } else { RED };
        end.map(|shade| (255.0 + share.abs() * (shade - 255.0)).round() as u8)
    }
}

/// One row of pixels as a PNG file.
///
/// # Errors
/// If the row does not have as many values as the picture has pixels and channels, or the picture
/// has neither one nor three channels.
pub fn png(pixels: &[f32], shape: ImageShape, tone: Tone) -> Result<Vec<u8>> {
    png_within(pixels, shape, tone, LONGEST_SIDE)
}

/// The same, no side longer than `longest` pixels.
fn png_within(pixels: &[f32], shape: ImageShape, tone: Tone, longest: u32) -> Result<Vec<u8>> {
    let ImageShape { height, width, channels } = shape;
    let wrong = || {
        Error::mistake(
            "draw a picture",
            format!("{height} × {width} pixels of 1 or 3 channels"),
            format!("a row of {} values and {channels} channels", pixels.len()),
            "give the image size that belongs to the rows",
        )
    };
    let fits = height.checked_mul(width).and_then(|area| area.checked_mul(channels));
    if fits != Some(pixels.len()) || pixels.is_empty() || ![1, 3].contains(&channels) {
        return Err(wrong());
    }
    let sides = (u32::try_from(width), u32::try_from(height));
    let (Ok(width), Ok(height)) = sides else { return Err(wrong()) };
    let bytes = |values: Vec<u8>| RgbImage::from_raw(width, height, values).map(DynamicImage::from);
    let picture = match (channels, tone) {
        (1, Tone::Diverging(_)) => bytes(pixels.iter().flat_map(|&v| tone.colour(v)).collect()),
        (3, _) => bytes(pixels.iter().map(|&v| tone.byte(v)).collect()),
        _ => GrayImage::from_raw(width, height, pixels.iter().map(|&v| tone.byte(v)).collect())
            .map(DynamicImage::from),
    };
    let mut picture = picture.ok_or_else(wrong)?;
    if width.max(height) > longest {
        picture = picture.thumbnail(longest, longest);
    }
    let mut file = Cursor::new(Vec::new());
    picture.write_to(&mut file, ImageFormat::Png).map_err(|cause| {
        Error::failure("draw a picture", cause.to_string(), "try a smaller picture")
    })?;
    Ok(file.into_inner())
}

/// One row of pixels as an image of the page, `description` for those who cannot see it; a
/// sentence where the row is no such picture.
pub fn image(pixels: &[f32], shape: ImageShape, tone: Tone, description: &str) -> Html {
    let description = escape(description);
    match png(pixels, shape, tone) {
        Ok(file) => Html(format!(
            "<img alt=\"{description}\" title=\"{description}\" width=\"{}\" height=\"{}\"\
             {} src=\"data:image/png;base64,{}\"/>",
            shape.width,
            shape.height,
            if shape.width.max(shape.height) <= 64 { " class=\"pixels\"" } else { "" },
            BASE64_STANDARD.encode(file)
        )),
        Err(error) => Html(format!("<p class=\"missing\">{}</p>", escape(&error.to_string()))),
    }
}

/// Many pictures of one shape as one, `across` in a line, for those that are seen as a whole; a
/// sentence where the rows are no such pictures.
pub fn sheet(
    tiles: &[Vec<f32>],
    across: usize,
    shape: ImageShape,
    tone: Tone,
    description: &str,
) -> Html {
    let description = escape(description);
    let class = if shape.width.max(shape.height) <= 16 { "sheet pixels" } else { "sheet" };
    let (pixels, shape) = laid_out(tiles, across, shape);
    match png_within(&pixels, shape, tone, LONGEST_SHEET) {
        Ok(file) => Html(format!(
            "<img alt=\"{description}\" class=\"{class}\" width=\"{}\" height=\"{}\" \
             src=\"data:image/png;base64,{}\"/>",
            shape.width,
            shape.height,
            BASE64_STANDARD.encode(file)
        )),
        Err(error) => Html(format!("<p class=\"missing\">{}</p>", escape(&error.to_string()))),
    }
}

/// The pixels of tiles side by side and line after line; places without a pixel are no number.
fn laid_out(tiles: &[Vec<f32>], across: usize, tile: ImageShape) -> (Vec<f32>, ImageShape) {
    let across = across.max(1);
    let stride = tile.width * tile.channels;
    let height = tiles.len().div_ceil(across) * tile.height;
    let shape = ImageShape { height, width: across * tile.width, ..tile };
    let mut pixels = vec![f32::NAN; height * across * stride];
    for (place, pixels_of_tile) in tiles.iter().enumerate() {
        let (line, column) = (place / across, place % across);
        let lines = pixels_of_tile.chunks_exact(stride.max(1)).take(tile.height).enumerate();
        for (y, from) in lines {
            let start = ((line * tile.height + y) * across + column) * stride;
            pixels[start..start + stride].copy_from_slice(from);
        }
    }
    (pixels, shape)
}

/// A picture with a caption under it, to stand in a [`Grid`].
pub(super) fn captioned(picture: &Html, caption: &str) -> Html {
    Html(format!("{picture}<small>{}</small>", escape(caption)))
}

/// Pictures in rows and columns with captions.
#[derive(Debug, Clone, Default)]
pub struct Grid {
    /// A caption under each column; empty for none.
    pub columns: Vec<String>,
    /// Each row: its caption, empty for none, and its pictures.
    pub rows: Vec<(String, Vec<Html>)>,
}

impl Grid {
    /// The grid as markup. On a narrow screen each row is broken into lines of at most six, all at the
    /// same places.
    pub fn render(&self) -> Html {
        let across = self.rows.iter().map(|(_, pictures)| pictures.len()).max().unwrap_or(0);
        if across == 0 {
            return Html("<p class=\"missing\">There are no pictures to show.</p>".to_owned());
        }
        let mut html = format!(
            "<div class=\"scroll\" tabindex=\"0\"><div class=\"grid\" style=\"--across:{across};\
             --narrow:{}\">",
            across.min(6)
        );
        for (caption, pictures) in &self.rows {
            if !caption.is_empty() {
                let _ = write!(html, "<p class=\"row\"><span>{}</span></p>", escape(caption));
            }
            for place in 0..across {
                let picture = pictures.get(place).map_or("", |picture| &picture.0);
                let _ = write!(html, "<div>{picture}</div>");
            }
        }
        for caption in &self.columns {
            let _ = write!(html, "<small>{}</small>", escape(caption));
        }
        Html(html + "</div></div>")
    }
}

/// Pictures with a caption under each, flowing over as many lines as they need.
pub fn album(pictures: &[(Html, String)]) -> Html {
    if pictures.is_empty() {
        return Html("<p class=\"missing\">There are no pictures to show.</p>".to_owned());
    }
    let item = |(picture, caption): &(Html, String)| {
        format!("<div>{picture}<small>{}</small></div>", escape(caption))
    };
    let items: String = pictures.iter().map(item).collect();
    Html(format!("<div class=\"album\">{items}</div>"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn shape(height: usize, width: usize, channels: usize) -> ImageShape {
        ImageShape { height, width, channels }
    }

    fn decoded(pixels: &[f32], shape: ImageShape, tone: Tone) -> Vec<u8> {
        image::load_from_memory(&png(pixels, shape, tone).unwrap()).unwrap().into_bytes()
    }

    #[test]
    fn bounds_are_black_and_white_and_what_lies_outside_is_cut_off() {
        let pixels = [-1.0, -2.0, 0.0, 1.0, 9.0, f32::NAN];
        let bytes = decoded(&pixels, shape(2, 3, 1), Tone::Between(-1.0, 1.0));
        assert_eq!(bytes, [0, 0, 128, 255, 255, 0]);
        assert_eq!(decoded(&[3.0, 3.0], shape(1, 2, 1), Tone::Between(3.0, 3.0)), [128, 128]);
    }

    #[test]
    fn colours_keep_their_order_and_places() {
        let pixels = [0.0, 0.5, 1.0, 1.0, 0.0, 0.0];
        let bytes = decoded(&pixels, shape(1, 2, 3), Tone::Between(0.0, 1.0));
        assert_eq!(bytes, [0, 128, 255, 255, 0, 0]);
    }

    #[test]
    fn the_diverging_map_is_white_at_zero_and_as_strong_to_either_side() {
        let tone = Tone::around_zero([&vec![0.5, -2.0, f32::NAN]]);
        assert_eq!(tone, Tone::Diverging(2.0));
        assert_eq!(tone.colour(0.0), [255; 3]);
        assert_eq!(tone.colour(-2.0), [33, 102, 172]);
        assert_eq!(tone.colour(2.0), [178, 24, 43]);
        assert_eq!(Tone::Diverging(0.0).colour(0.0), [255; 3]);
        assert_eq!(decoded(&[2.0], shape(1, 1, 1), tone), [178, 24, 43]);
        assert_eq!(decoded(&[-2.0, 0.0, 2.0], shape(1, 1, 3), tone), [0, 128, 255]);
    }

    #[test]
    fn a_row_that_is_no_such_picture_is_a_message() {
        for (length, shape) in [(5, shape(2, 3, 1)), (6, shape(1, 3, 2)), (0, shape(0, 3, 1))] {
            let error = png(&vec![0.0; length], shape, Tone::Between(0.0, 1.0)).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(
                image(&vec![0.0; length], shape, Tone::Between(0.0, 1.0), "")
                    .0
                    .contains("draw a picture")
            );
        }
    }

    #[test]
    fn tiles_lie_side_by_side_and_line_after_line() {
        let tiles: Vec<Vec<f32>> =
            (0..3).map(|tile| vec![tile as f32, 10.0 + tile as f32]).collect();
        let (pixels, whole) = laid_out(&tiles, 2, shape(2, 1, 1));
        assert_eq!((whole.height, whole.width), (4, 2));
        assert_eq!(pixels[..5], [0.0, 1.0, 10.0, 11.0, 2.0]);
        assert!(pixels[5].is_nan() && pixels[7].is_nan() && pixels[6] == 12.0);
        let (colours, _) = laid_out(&[vec![1.0, 2.0, 3.0], vec![4.0, 5.0, 6.0]], 2, shape(1, 1, 3));
        assert_eq!(colours, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let html = sheet(&tiles, 2, shape(2, 1, 1), Tone::Between(0.0, 12.0), "<all>").0;
        assert!(html.contains("width=\"2\" height=\"4\"") && html.contains("&lt;all&gt;"));
        for nothing in [
            sheet(&[], 2, shape(2, 1, 1), Tone::Between(0.0, 1.0), ""),
            sheet(&tiles, 0, shape(0, 0, 1), Tone::Between(0.0, 1.0), ""),
        ] {
            assert!(nothing.0.contains("draw a picture"));
        }
    }

    #[test]
    fn a_large_picture_is_made_smaller_with_its_proportions() {
        let file = png(&vec![0.5; 400 * 300], shape(400, 300, 1), Tone::Between(0.0, 1.0)).unwrap();
        let picture = image::load_from_memory(&file).unwrap();
        assert_eq!((picture.width(), picture.height()), (144, 192));
    }

    proptest! {
        #[test]
        fn shades_follow_values(a in -1e6..1e6f32, b in -1e6..1e6f32, limit in 1e-3..1e6f32) {
            let grey = Tone::Between(-limit, limit);
            prop_assert!(grey.byte(a.min(b)) <= grey.byte(a.max(b)));
            // How far from white, as a share of the way to the colour of that end.
            let tone = Tone::Diverging(limit);
            let blue = f32::from(255 - tone.colour(-a.abs())[0]) / (255.0 - 33.0);
            let red = f32::from(255 - tone.colour(a.abs())[1]) / (255.0 - 24.0);
            prop_assert!((blue - red).abs() < 1.0 / 222.0, "{} {}", blue, red);
        }
    }
}
