//! Sets that need no file: `demo:digits`, `demo:faces`, `demo:superposition` and `demo:toy`.
//!
//! All take knobs after a question mark: digits `levels=256`, their values 0 to 255 as in most
//! pictures, `margin=2`, so many empty pixels on each side, and `part=train` or `part=test`, the first
//! 1,297 or the last 500; faces as in `demo:faces?people=40&lighting=1.2`, see [`FaceKnobs`]; superposed features whose truth is known
//! as in `demo:superposition?features=4096&rows=1000000`, see [`SuperpositionKnobs`] and [`ToyKnobs`].

use std::io::Read;
use std::ops::Range;

use super::memory::Held;
use super::superposition::{KnownTruth, SuperpositionKnobs, ToyKnobs};
use super::synthetic_faces::{FaceKnobs, generate};
use super::{Dataset, Element, ImageShape, Labels, Source};
use crate::error::{Error, Result};
use flate2::read::GzDecoder;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What every name of a demonstration set starts with.
pub(super) const PREFIX: &str = "demo:";
/// All digits, and those of the part to learn from.
const DIGITS: usize = 1797;
const LEARNED_DIGITS: usize = 1297;

/// Opens `demo:digits` (1,797 pictures of 8 × 8 with values 0 to 16, after Alpaydin and Kaynak) or
/// `demo:faces` (synthetic people; the same knobs give the same bytes).
///
/// # Errors
/// If there is no such set, or a knob is unknown or out of range.
pub(super) fn open(name: &str) -> Result<Dataset> {
    let set = name.strip_prefix(PREFIX).unwrap_or_default();
    let (set, knobs) = set.split_once('?').unwrap_or((set, ""));
    match set {
        "digits" => digits(name, &digit_knobs(name, knobs)?),
        "faces" => faces(name, &read_knobs(name, knobs)?),
        _ => match known_truth(name)? {
            Some(truth) => Ok(superposed(name, truth)?),
            None => Err(Error::mistake(
                format!("open {name}"),
                "demo:digits, demo:faces, demo:superposition or demo:toy",
                format!("`{name}`"),
                "choose one of them",
            )),
        },
    }
}

/// The truth behind a set of superposed features, `demo:superposition` or `demo:toy` with their knobs;
/// `None` for every other name. It is made again: the same name gives the same truth.
///
/// # Errors
/// If a knob is unknown or out of range.
pub fn known_truth(name: &str) -> Result<Option<KnownTruth>> {
    let set = name.strip_prefix(PREFIX).unwrap_or_default();
    let (set, knobs) = set.split_once('?').unwrap_or((set, ""));
    match set {
        "superposition" => {
            let knobs: SuperpositionKnobs = numbers(name, knobs, "features=4096&dim=256")?;
            Ok(Some(knobs.generate()?))
        }
        "toy" => Ok(Some(numbers::<ToyKnobs>(name, knobs, "features=512&active=5")?.generate()?)),
        _ => Ok(None),
    }
}

/// Knobs that are all numbers, by the names of the fields of `T`.
fn numbers<T: Default + Serialize + DeserializeOwned>(
    name: &str,
    text: &str,
    example: &str,
) -> Result<T> {
    let set = name.split('?').next().unwrap_or(name);
    let refuse = |expected: String, got: &str| {
        let remedy = format!("write knobs as in {set}?{example}");
        Error::mistake(format!("open {name}"), expected, format!("`{got}`"), remedy)
    };
    let broken = |error: serde_json::Error| refuse(error.to_string(), text);
    let mut knobs = serde_json::to_value(T::default()).map_err(broken)?;
    for setting in text.split('&').filter(|setting| !setting.is_empty()) {
        let (knob, value) =
            setting.split_once('=').ok_or_else(|| refuse("knob=value".to_owned(), setting))?;
        let Some(kept) = knobs.get_mut(knob) else {
            let names = knobs.as_object().map(|knobs| knobs.keys().cloned().collect::<Vec<_>>());
            let expected = format!("one of the knobs {}", names.unwrap_or_default().join(", "));
            return Err(refuse(expected, knob));
        };
        let (whole, number) = (value.parse::<u64>().ok(), value.parse::<f64>().ok());
        *kept = match (kept.is_u64(), whole, number.filter(|number| number.is_finite())) {
            (true, Some(whole), _) => whole.into(),
            (true, None, _) => return Err(refuse("a whole number".to_owned(), setting)),
            (false, _, Some(number)) => number.into(),
            (false, _, None) => return Err(refuse("a number".to_owned(), setting)),
        };
    }
    serde_json::from_value(knobs).map_err(broken)
}

fn superposed(name: &str, truth: KnownTruth) -> Result<Dataset> {
    let mut first = vec![0.0; truth.dim()];
    truth.read_f32(0, &mut first)?;
    let mut hash = blake3::Hasher::new();
    hash.update(bytemuck::cast_slice(truth.directions().as_slice()));
    hash.update(bytemuck::cast_slice(&first));
    hash.update(&(truth.rows() as u64).to_le_bytes());
    Ok(Dataset {
        name: name.to_owned(),
        rows: Box::new(truth),
        element: Element::F32,
        image: None,
        labels: None,
        columns: Vec::new(),
        row_names: Vec::new(),
        content_hash: hash.finalize().to_hex().to_string(),
    })
}

/// What can be said of the digits.
#[derive(Default)]
struct DigitKnobs {
    /// Values of 0 to 255 in place of 0 to 16.
    bytes: bool,
    /// Empty pixels on each side.
    margin: usize,
    /// The rows, if not all.
    part: Option<Range<usize>>,
}

/// Digits with 9 empty pixels on each side are a third of their picture; more is a slip.
const WIDEST_MARGIN: usize = 9;

fn digits(name: &str, knobs: &DigitKnobs) -> Result<Dataset> {
    let images = unpack(include_bytes!("digits/images.idx3-ubyte.gz"), 16)?;
    let classes = unpack(include_bytes!("digits/labels.idx1-ubyte.gz"), 8)?;
    let rows = knobs.part.clone().unwrap_or(0..classes.len());
    let labels = Labels {
        classes: classes[rows.clone()].iter().copied().map(usize::from).collect(),
        names: (0..10).map(|digit| digit.to_string()).collect(),
    };
    let spread = |value: u8| ((u32::from(value) * 255 + 8) / 16) as u8;
    let side = 8 + 2 * knobs.margin;
    let mut pixels = vec![0; rows.len() * side * side];
    let framed = pixels.chunks_exact_mut(side * side);
    for (picture, digit) in framed.zip(images[64 * rows.start..].chunks_exact(64)) {
        let lines = picture.chunks_exact_mut(side).skip(knobs.margin);
        for (to, from) in lines.zip(digit.chunks_exact(8)) {
            let to = to[knobs.margin..].iter_mut().zip(from);
            to.for_each(|(to, &from)| *to = if knobs.bytes { spread(from) } else { from });
        }
    }
    // 0 to 16 and not to 255: to divide by 255 would leave hardly any contrast.
    let element = if knobs.bytes { Element::U8 } else { Element::Integer };
    Ok(pictures(name, pixels, side, element, labels))
}

fn faces(name: &str, knobs: &FaceKnobs) -> Result<Dataset> {
    let faces = generate(knobs)?;
    let digits = knobs.people.to_string().len().max(2);
    let labels = Labels {
        classes: faces.truth.iter().map(|truth| truth.person).collect(),
        names: (1..=knobs.people).map(|person| format!("person {person:0digits$}")).collect(),
    };
    Ok(pictures(name, faces.pixels, knobs.size, Element::U8, labels))
}

/// The values of an idx file behind its header.
fn unpack(packed: &[u8], header: u64) -> Result<Vec<u8>> {
    let mut values = Vec::new();
    let mut file = GzDecoder::new(packed);
    std::io::copy(&mut file.by_ref().take(header), &mut std::io::sink())
        .and_then(|_| file.read_to_end(&mut values))
        .map_err(|source| Error::read("demo:digits", source))?;
    Ok(values)
}

fn pictures(name: &str, pixels: Vec<u8>, side: usize, element: Element, labels: Labels) -> Dataset {
    let content_hash = blake3::hash(&pixels).to_hex().to_string();
    Dataset {
        name: name.to_owned(),
        rows: Box::new(Held::new(pixels, side * side)),
        element,
        image: Some(ImageShape { height: side, width: side, channels: 1 }),
        labels: Some(labels),
        columns: Vec::new(),
        row_names: Vec::new(),
        content_hash,
    }
}

fn digit_knobs(name: &str, text: &str) -> Result<DigitKnobs> {
    let mut knobs = DigitKnobs::default();
    for setting in text.split('&').filter(|setting| !setting.is_empty()) {
        let margin = setting.strip_prefix("margin=").and_then(|width| width.parse().ok());
        match (setting, margin) {
            ("levels=256", _) => knobs.bytes = true,
            ("part=train", _) => knobs.part = Some(0..LEARNED_DIGITS),
            ("part=test", _) => knobs.part = Some(LEARNED_DIGITS..DIGITS),
            (_, Some(width @ 0..=WIDEST_MARGIN)) => knobs.margin = width,
            _ => {
                return Err(Error::mistake(
                    format!("open {name}"),
                    format!("levels=256, margin=0 to {WIDEST_MARGIN}, part=train or part=test"),
                    format!("`{setting}`"),
                    "leave it out",
                ));
            }
        }
    }
    Ok(knobs)
}

fn read_knobs(name: &str, text: &str) -> Result<FaceKnobs> {
    const NAMES: &str = "people, images, size, lighting, pose, expression, identity, seed";
    let refuse = |expected: &str, got: &str| {
        let remedy = "write knobs as in demo:faces?people=20&lighting=0.5";
        Error::mistake(format!("open {name}"), expected, format!("`{got}`"), remedy)
    };
    let mut knobs = FaceKnobs::default();
    for setting in text.split('&').filter(|setting| !setting.is_empty()) {
        let (knob, value) = setting.split_once('=').ok_or_else(|| refuse("knob=value", setting))?;
        let whole = || value.parse().map_err(|_| refuse("a whole number", setting));
        let number = || value.parse().map_err(|_| refuse("a number", setting));
        match knob {
            "people" => knobs.people = whole()?,
            "images" => knobs.images_per_person = whole()?,
            "size" => knobs.size = whole()?,
            "seed" => knobs.seed = value.parse().map_err(|_| refuse("a whole number", setting))?,
            "lighting" => knobs.lighting = number()?,
            "pose" => knobs.pose = number()?,
            "expression" => knobs.expression = number()?,
            "identity" => knobs.identity = number()?,
            _ => return Err(refuse(&format!("one of the knobs {NAMES}"), knob)),
        }
    }
    Ok(knobs)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn rows(set: &Dataset) -> Vec<f32> {
        let mut values = vec![0.0; set.rows.rows() * set.rows.dim()];
        set.rows.read_f32(0, &mut values).unwrap();
        values
    }

    #[test]
    fn digits_are_those_of_scikit_learn() {
        // `load_digits()` of scikit-learn 1.9.1: counts per class, sum of all values, first row.
        let set = open("demo:digits").unwrap();
        let labels = set.labels.as_ref().unwrap();
        let mut counts = [0; 10];
        labels.classes.iter().for_each(|&class| counts[class] += 1);
        assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
        let values = rows(&set);
        assert_eq!(values.len(), 1797 * 64);
        assert_eq!(values.iter().map(|&x| f64::from(x)).sum::<f64>(), 561_718.0);
        assert_eq!(values[..12], [0., 0., 5., 13., 9., 1., 0., 0., 0., 0., 13., 15.]);
        let mut last = [0.0; 64];
        set.rows.read_f64(1796, &mut last).unwrap();
        assert_eq!(last[..12], [0., 0., 10., 14., 8., 1., 0., 0., 0., 2., 16., 14.]);
        assert_eq!(set.element, Element::Integer);
        assert_eq!(set.image, Some(ImageShape { height: 8, width: 8, channels: 1 }));
    }

    #[test]
    fn digits_come_in_parts_and_as_bytes() {
        let [all, train, test, bytes] = ["", "?part=train", "?part=test", "?levels=256&part=test"]
            .map(|knobs| open(&format!("demo:digits{knobs}")).unwrap());
        let parts = [rows(&train), rows(&test)];
        assert_eq!(parts.concat(), rows(&all));
        assert_eq!((parts[0].len(), parts[1].len()), (1297 * 64, 500 * 64));
        let classes = |set: &Dataset| set.labels.as_ref().unwrap().classes.clone();
        assert_eq!([classes(&train), classes(&test)].concat(), classes(&all));
        assert_eq!(bytes.element, Element::U8);
        let bytes = rows(&bytes);
        let gap = bytes.iter().zip(&parts[1]).map(|(b, v)| (b - v * 255.0 / 16.0).abs());
        assert!(gap.fold(0.0, f32::max) <= 0.5);
        let framed = open("demo:digits?margin=2&part=test").unwrap();
        assert_eq!(framed.image, Some(ImageShape { height: 12, width: 12, channels: 1 }));
        let framed = rows(&framed);
        let inside =
            |place: &usize| [place / 12 % 12, place % 12].iter().all(|v| (2..10).contains(v));
        let (digit, frame): (Vec<usize>, Vec<usize>) = (0..framed.len()).partition(inside);
        assert!(frame.iter().all(|&place| framed[place] == 0.0));
        assert!(digit.iter().map(|&place| framed[place]).eq(parts[1].iter().copied()));
    }

    #[test]
    fn faces_take_knobs() {
        let set = open("demo:faces?people=3&images=2&size=32&lighting=0&seed=5").unwrap();
        assert_eq!((set.rows.rows(), set.rows.dim()), (6, 1024));
        let labels = set.labels.as_ref().unwrap();
        assert_eq!(labels.classes, [0, 0, 1, 1, 2, 2]);
        assert_eq!(labels.names, ["person 01", "person 02", "person 03"]);
        let other = open("demo:faces?people=3&images=2&size=32&lighting=0&seed=6").unwrap();
        assert_ne!(set.content_hash, other.content_hash);
        assert_ne!(rows(&set), rows(&other));
    }

    #[test]
    fn wrong_names_are_refused() {
        let message = |name: &str| open(name).err().unwrap().to_string();
        assert_eq!(
            message("demo:cats"),
            "open demo:cats: expected demo:digits, demo:faces, demo:superposition or demo:toy but got \
             `demo:cats`; choose one of them"
        );
        assert_eq!(
            message("demo:faces?light=1"),
            "open demo:faces?light=1: expected one of the knobs people, images, size, lighting, \
             pose, expression, identity, seed but got `light`; write knobs as in \
             demo:faces?people=20&lighting=0.5"
        );
        assert!(message("demo:faces?people=many").contains("a whole number but got `people=many`"));
        assert!(message("demo:faces?people").contains("knob=value"));
        assert!(message("demo:faces?size=1000").contains("size between 16 and 256"));
        assert!(message("demo:digits?size=9").contains("levels=256, margin=0 to 9, part"));
        assert!(message("demo:digits?margin=10").contains("`margin=10`"));
        let knob = message("demo:superposition?feature=10");
        assert!(
            knob.contains("one of the knobs bias, children") && knob.contains("`feature`"),
            "{knob}"
        );
        assert!(message("demo:superposition?features=many").contains("a whole number"));
        assert!(message("demo:superposition?bias=nan").contains("a number but got `bias=nan`"));
        assert!(message("demo:superposition?min_rate=0").contains("0 < min_rate"));
        assert!(message("demo:toy?active=0").contains("active above 0"));
        assert!(message("demo:toy?rows=0").contains("rows of at least 1"));
    }

    /// `NARROWS_SHEET=faces.png NARROWS_FACES=demo:faces?pose=0.5 cargo test -- --ignored sheet`
    #[test]
    #[ignore = "writes a sheet to look at, not a check"]
    fn contact_sheet() {
        let set = std::env::var("NARROWS_FACES").unwrap_or("demo:faces".into());
        let set = open(&set).unwrap();
        let (values, size) = (rows(&set), set.image.unwrap().width);
        let columns = values.len() / (size * size) / set.labels.unwrap().names.len();
        let sheet_size = ((columns * size) as u32, (values.len() / size / columns) as u32);
        let sheet = image::GrayImage::from_fn(sheet_size.0, sheet_size.1, |x, y| {
            let (x, y) = (x as usize, y as usize);
            let picture = y / size * columns + x / size;
            image::Luma([values[(picture * size + y % size) * size + x % size] as u8])
        });
        sheet.save(std::env::var("NARROWS_SHEET").unwrap()).unwrap();
    }
}
