//! Pictures of faces, as they come.

use ndarray::{Array2, Axis, concatenate};

use crate::compute::not_finite;
use crate::data::{Dataset, Element, ImageShape, Labels};
use crate::error::{Error, Result};

/// Largest grey level of pictures that are stored in bytes.
const WHITE: f32 = 255.0;

/// Pictures of one size, and whose they are where that is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Faces {
    /// One picture per row, `(n, d)`, black 0 and white 1.
    pub pixels: Array2<f32>,
    /// The size of the pictures, `d = height · width · channels`.
    pub image: ImageShape,
    /// Whose pictures they are.
    pub people: Option<Labels>,
    /// A name for each picture, such as its file; may be empty.
    pub files: Vec<String>,
}

impl Faces {
    /// Reads all pictures of a set; grey levels stored in bytes are divided by 255.
    ///
    /// # Errors
    /// If the rows are not pictures, a number is missing or infinite, or the set cannot be read.
    pub fn read(dataset: &Dataset) -> Result<Self> {
        let image = dataset.image.ok_or_else(|| {
            Error::mistake(
                "read faces",
                "pictures",
                format!("`{}`, whose rows are not pictures", dataset.name),
                "give a folder with one sub-folder of pictures per person",
            )
        })?;
        let mut pixels = Array2::zeros((dataset.rows.rows(), dataset.rows.dim()));
        dataset.rows.read_f32(0, pixels.as_slice_mut().expect("owned and row-major"))?;
        if pixels.iter().any(|value| !value.is_finite()) {
            return Err(not_finite(pixels.view(), 0));
        }
        if dataset.element == Element::U8 {
            pixels.mapv_inplace(|value| value / WHITE);
        }
        Ok(Self { pixels, image, people: dataset.labels.clone(), files: dataset.row_names.clone() })
    }

    /// Number of pictures.
    pub fn count(&self) -> usize {
        self.pixels.nrows()
    }

    /// What to call a picture: its file, or its place counted from 1.
    pub fn name(&self, index: usize) -> String {
        self.files.get(index).cloned().unwrap_or_else(|| format!("picture {}", index + 1))
    }

    /// Puts other pictures of the same size behind these; what is known of persons is given up.
    ///
    /// # Errors
    /// If the sizes differ.
    pub fn append(&mut self, other: Faces) -> Result<()> {
        let (mine, theirs) = (self.image, other.image);
        if mine != theirs {
            return Err(Error::mistake(
                "put pictures together",
                format!("{} × {} pixels, {} channels", mine.width, mine.height, mine.channels),
                format!("{} × {}, {}", theirs.width, theirs.height, theirs.channels),
                "bring all to one size",
            ));
        }
        let files = |faces: &Faces| (0..faces.count()).map(|i| faces.name(i)).collect::<Vec<_>>();
        self.files = [files(self), files(&other)].concat();
        self.pixels = concatenate![Axis(0), self.pixels, other.pixels];
        self.people = None;
        Ok(())
    }

    /// Whose pictures they are, or a mistake of the operation that needs to know.
    pub(super) fn known_people(&self, operation: &str) -> Result<&Labels> {
        let people = self.people.as_ref().ok_or_else(|| {
            Error::mistake(
                operation,
                "one sub-folder per person",
                "pictures without names",
                "put the pictures of each person into a folder with the person's name",
            )
        })?;
        if people.classes.len() != self.count() {
            return Err(Error::mistake(
                operation,
                format!("a person for each of {} pictures", self.count()),
                people.classes.len().to_string(),
                "give as many labels as pictures",
            ));
        }
        Ok(people)
    }

    /// The pictures at `places`.
    pub(super) fn select(&self, places: &[usize]) -> Array2<f32> {
        self.pixels.select(Axis(0), places)
    }
}
