//! Pictures of bytes brought to another size as they are read.

use image::imageops::{FilterType, resize};
use image::{ImageBuffer, Luma, Pixel, Rgb};

use super::source::{Precision, Source};
use super::{Dataset, Element, ImageShape};
use crate::error::{Error, Result};

/// Rows that are pictures of bytes, each resized as it is read.
///
/// Every picture passes a triangle filter that is as wide as the pixels of the smaller of both sizes,
/// and its values are rounded, as when pictures are read from files.
struct Resized {
    source: Box<dyn Source>,
    from: ImageShape,
    to: ImageShape,
}

/// The set with its pictures at a width and height; as it is if they have it.
///
/// # Errors
/// If its rows are no pictures of bytes.
pub(super) fn bring_to(dataset: Dataset, (width, height): (usize, usize)) -> Result<Dataset> {
    let bytes = dataset.image.filter(|_| dataset.element == Element::U8);
    let Some(from) = bytes else {
        return Err(Error::mistake(
            "open",
            "pictures with values of 0 to 255 for --resize",
            format!("'{}'", dataset.name),
            match dataset.name.starts_with("demo:digits") {
                true => "say demo:digits?levels=256",
                false => "leave --resize out",
            },
        ));
    };
    if (from.width, from.height) == (width, height) {
        return Ok(dataset);
    }
    super::images::checked_size(width, height)?;
    let to = ImageShape { height, width, ..from };
    let rows = Box::new(Resized { source: dataset.rows, from, to });
    Ok(Dataset { rows, image: Some(to), ..dataset })
}

impl Resized {
    /// One picture with pixels of type `P`.
    fn picture<P: Pixel<Subpixel = u8> + 'static>(&self, values: Vec<u8>) -> Vec<u8> {
        let (width, height) = (self.from.width as u32, self.from.height as u32);
        let old = ImageBuffer::<P, _>::from_raw(width, height, values).expect("a whole picture");
        resize(&old, self.to.width as u32, self.to.height as u32, FilterType::Triangle).into_raw()
    }

    /// Calls `put` with each row from `start` on.
    fn each(&self, start: usize, rows: usize, mut put: impl FnMut(usize, &[u8])) -> Result<()> {
        let mut values = vec![0.0; self.source.dim()];
        for row in 0..rows {
            self.source.read_f32(start + row, &mut values)?;
            let old = values.iter().map(|&value| value as u8).collect();
            let new = match self.to.channels {
                3 => self.picture::<Rgb<u8>>(old),
                _ => self.picture::<Luma<u8>>(old),
            };
            put(row, &new);
        }
        Ok(())
    }
}

impl Source for Resized {
    fn rows(&self) -> usize {
        self.source.rows()
    }
    fn dim(&self) -> usize {
        self.to.height * self.to.width * self.to.channels
    }
    fn precision(&self) -> Precision {
        Precision::F32
    }
    fn read_f32(&self, start: usize, out: &mut [f32]) -> Result<()> {
        let dim = self.dim();
        self.each(start, out.len() / dim, |row, new| {
            let out = &mut out[row * dim..][..dim];
            out.iter_mut().zip(new).for_each(|(out, &value)| *out = f32::from(value));
        })
    }
    fn read_f64(&self, start: usize, out: &mut [f64]) -> Result<()> {
        let dim = self.dim();
        self.each(start, out.len() / dim, |row, new| {
            let out = &mut out[row * dim..][..dim];
            out.iter_mut().zip(new).for_each(|(out, &value)| *out = f64::from(value));
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::data::{OpenOptions, open};

    fn opened(name: &str, resize: Option<(usize, usize)>) -> Result<Dataset> {
        open(name, &OpenOptions { resize, ..Default::default() })
    }

    /// A triangle filter for twice the size puts each new pixel a quarter of an old one off an old
    /// middle: three parts of the near neighbour and one of the far, in each direction.
    #[test]
    fn twice_the_size_is_between_neighbours() {
        let name = "demo:digits?levels=256&part=test";
        let [small, large] = [None, Some((16, 16))].map(|size| opened(name, size).unwrap());
        assert_eq!(large.image, Some(ImageShape { height: 16, width: 16, channels: 1 }));
        let (mut old, mut new) = (vec![0.0_f64; 64], vec![0.0_f64; 256]);
        for row in [0, 7, 499] {
            small.rows.read_f64(row, &mut old).unwrap();
            large.rows.read_f64(row, &mut new).unwrap();
            let at = |y: i32, x: i32| old[(8 * y.clamp(0, 7) + x.clamp(0, 7)) as usize];
            for place in 0..256_i32 {
                let (y, x) = (place / 16, place % 16);
                let near = |v: i32| (v / 2, v / 2 + 2 * (v % 2) - 1);
                let ((y, far_y), (x, far_x)) = (near(y), near(x));
                let column = |x: i32| 0.75 * at(y, x) + 0.25 * at(far_y, x);
                let expected = 0.75 * column(x) + 0.25 * column(far_x);
                let gap = (new[place as usize] - expected).abs();
                // Rounded once in each direction.
                assert!(gap <= 1.0, "row {row}, {place}: {} for {expected}", new[place as usize]);
            }
        }
        let mut single = vec![0.0_f32; 256];
        large.rows.read_f32(499, &mut single).unwrap();
        assert!(single.iter().zip(&new).all(|(a, b)| f64::from(*a) == *b));
    }

    #[test]
    fn what_has_the_size_stays_and_what_is_no_picture_is_refused() {
        let same = opened("demo:digits?levels=256", Some((8, 8))).unwrap();
        assert_eq!(same.rows.dim(), 64);
        let message = opened("demo:digits", Some((16, 16))).err().unwrap().to_string();
        assert!(message.contains("values of 0 to 255"), "{message}");
    }
}
