//! Small changes of pictures that keep what they show, drawn anew for every row and epoch.
//!
//! ```text
//! shift     by dx, dy ~ U(−s, s) pixels
//! rotation  about the middle by φ ~ U(−r, r) degrees
//! elastic   by a smooth random field: a coarse grid of N(0, a²) pixels, one knot every 7 pixels,
//!           between which it is bilinear
//! ```
//!
//! Each pixel of the new picture is the bilinear value of the old one at the place it comes from;
//! outside of the old picture the nearest edge pixel counts.
//!
//! A model that is to undo them gets the new picture and has the old one as its target: its code comes
//! to say what the picture shows, not where and how it stands.
//!
//! Source: P. Simard, D. Steinkraus and J. Platt, Best practices for convolutional neural networks
//! (2003).
//!
//! Differs from the source, which smooths white noise with a Gaussian: the grid of knots is as smooth
//! and costs a tenth.

use serde::{Deserialize, Serialize};

use crate::data::{ImageShape, Preparation};
use crate::error::{Error, Result};
use crate::random::Random;

/// Pixels between knots of the elastic field.
const KNOT: usize = 7;

/// How far pictures are changed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AugmentationOptions {
    /// The share of the rows that are changed, anew in each epoch.
    pub share: f64,
    /// Largest shift in each direction, in pixels.
    pub shift: f64,
    /// Largest rotation, in degrees.
    pub rotation: f64,
    /// Standard deviation of the elastic field, in pixels.
    pub elastic: f64,
    /// Whether the picture as it was is to come out: the changes are noise, which is to be undone.
    pub undo: bool,
}

impl Default for AugmentationOptions {
    fn default() -> Self {
        Self { share: 1.0, shift: 0.0, rotation: 0.0, elastic: 0.0, undo: false }
    }
}

impl AugmentationOptions {
    /// Whether anything is changed at all.
    pub fn changes(&self) -> bool {
        self.share > 0.0 && (self.shift > 0.0 || self.rotation > 0.0 || self.elastic > 0.0)
    }

    /// The changes of rows that were so prepared, if any are asked for.
    ///
    /// # Errors
    /// If they are asked for and rows are no pictures, or each pixel has a scale of its own: one that
    /// moves would keep that of the place it left.
    pub fn of(self, preparation: &Preparation) -> Result<Option<Augmentation>> {
        if !self.changes() {
            return Ok(None);
        }
        let refuse = |expected, got, remedy| Error::mistake("augment rows", expected, got, remedy);
        let shape = preparation.image().ok_or_else(|| {
            refuse("pictures", "rows that are no pictures", "leave train.augmentation out")
        })?;
        if !preparation.scales_alike() {
            return Err(refuse(
                "pixels that are all scaled alike, as they change places",
                "a preparation that shifts or scales each by itself",
                "leave prepare.scale out, or train.augmentation",
            ));
        }
        Ok(Some(Augmentation { shape, options: self }))
    }
}

/// How far pictures of one shape are changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Augmentation {
    /// The shape of a row.
    pub shape: ImageShape,
    /// How far.
    pub options: AugmentationOptions,
}

/// Where a pixel of the new picture comes from in the old one.
struct Field {
    shift: [f64; 2],
    turn: [f64; 2],
    knots: Vec<[f64; 2]>,
    across: usize,
}

impl Augmentation {
    /// Changes one row in place; `room` is kept from row to row.
    pub(super) fn apply(&self, row: &mut [f32], room: &mut Vec<f32>, random: &mut Random) {
        if random.uniform() >= self.options.share {
            return;
        }
        let ImageShape { height, width, channels } = self.shape;
        room.clear();
        room.extend_from_slice(row);
        let field = self.draw(random);
        let (bottom, right) = (height as f64 - 1.0, width as f64 - 1.0);
        for y in 0..height {
            for x in 0..width {
                let [from_x, from_y] = field.source(x, y, [0.5 * right, 0.5 * bottom]);
                let (from_x, from_y) = (from_x.clamp(0.0, right), from_y.clamp(0.0, bottom));
                let (left, top) = (from_x as usize, from_y as usize);
                let (next, below) = ((left + 1).min(width - 1), (top + 1).min(height - 1));
                let (u, v) = ((from_x - left as f64) as f32, (from_y - top as f64) as f32);
                for channel in 0..channels {
                    let old = |y: usize, x: usize| room[(y * width + x) * channels + channel];
                    let between = |from: f32, to: f32, part: f32| from + (to - from) * part;
                    let upper = between(old(top, left), old(top, next), u);
                    let lower = between(old(below, left), old(below, next), u);
                    row[(y * width + x) * channels + channel] = between(upper, lower, v);
                }
            }
        }
    }

    fn draw(&self, random: &mut Random) -> Field {
        let AugmentationOptions { shift, rotation, elastic, .. } = self.options;
        let mut within = |limit: f64| if limit > 0.0 { random.between(-limit, limit) } else { 0.0 };
        let shift = [within(shift), within(shift)];
        let angle = within(rotation).to_radians();
        let across = self.shape.width.div_ceil(KNOT) + 1;
        let count = across * (self.shape.height.div_ceil(KNOT) + 1);
        let mut knot = || [elastic * random.normal(), elastic * random.normal()];
        let knots = if elastic > 0.0 { (0..count).map(|_| knot()).collect() } else { Vec::new() };
        Field { shift, turn: [angle.cos(), angle.sin()], knots, across }
    }
}

impl Field {
    fn source(&self, x: usize, y: usize, middle: [f64; 2]) -> [f64; 2] {
        let (dx, dy) = (x as f64 - middle[0], y as f64 - middle[1]);
        let [cos, sin] = self.turn;
        let [bend_x, bend_y] = self.bend(x, y);
        [
            middle[0] + cos * dx - sin * dy + self.shift[0] + bend_x,
            middle[1] + sin * dx + cos * dy + self.shift[1] + bend_y,
        ]
    }

    fn bend(&self, x: usize, y: usize) -> [f64; 2] {
        if self.knots.is_empty() {
            return [0.0, 0.0];
        }
        let (left, top) = (x / KNOT, y / KNOT);
        let (u, v) = ((x % KNOT) as f64 / KNOT as f64, (y % KNOT) as f64 / KNOT as f64);
        let knot = |row: usize, column: usize| self.knots[row * self.across + column];
        [0, 1].map(|axis| {
            let upper = knot(top, left)[axis] * (1.0 - u) + knot(top, left + 1)[axis] * u;
            let lower = knot(top + 1, left)[axis] * (1.0 - u) + knot(top + 1, left + 1)[axis] * u;
            upper * (1.0 - v) + lower * v
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: ImageShape = ImageShape { height: 12, width: 10, channels: 1 };

    fn changed(options: AugmentationOptions, seed: u64) -> (Vec<f32>, Vec<f32>) {
        let row: Vec<f32> = (0..120).map(|place| (place % 10) as f32).collect();
        let mut new = row.clone();
        let augmentation = Augmentation { shape: SHAPE, options };
        augmentation.apply(&mut new, &mut Vec::new(), &mut Random::stream(seed, "a"));
        (row, new)
    }

    #[test]
    fn nothing_asked_changes_nothing() {
        let (old, new) = changed(AugmentationOptions::default(), 0);
        assert_eq!(old, new);
    }

    /// On a slope of one grey level per pixel, a shift by dx adds dx wherever it stays inside.
    #[test]
    fn a_shift_moves_by_less_than_its_limit() {
        let options = AugmentationOptions { shift: 2.0, ..Default::default() };
        for seed in 0..20 {
            let (old, new) = changed(options, seed);
            let moved = new[34] - old[34];
            assert!(moved.abs() <= 2.0);
            assert!((new[75] - old[75] - moved).abs() < 1e-5);
        }
    }

    #[test]
    fn values_stay_in_the_range_of_the_picture() {
        let options =
            AugmentationOptions { shift: 3.0, rotation: 40.0, elastic: 2.0, ..Default::default() };
        for seed in 0..20 {
            let (old, new) = changed(options, seed);
            assert_ne!(old, new);
            assert!(new.iter().all(|value| (0.0..=9.0).contains(value)));
        }
    }
}
