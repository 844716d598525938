//! Named arrays as one safetensors file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ndarray::{Array1, Array2, ArrayD, ArrayView, Dimension, IxDyn};
use safetensors::SafeTensorError;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::tensors::write_tensors_aside;
use crate::compute::Matrix;
use crate::data::{Content, Precision};
use crate::error::{Error, Result};

const REMEDY: &str = "fit again, or restore the folder";

/// Arrays with names, as one safetensors file with sorted keys.
///
/// In memory all are f64, which holds f32 exactly; in the file each has the kind it was given in.
#[derive(Debug, Default)]
pub struct Weights {
    path: PathBuf,
    arrays: BTreeMap<String, (Precision, ArrayD<f64>)>,
}

impl Weights {
    /// Adds an array of f64.
    pub fn insert<D: Dimension>(&mut self, name: &str, array: ArrayView<'_, f64, D>) {
        let array = array.into_dyn().as_standard_layout().into_owned();
        self.arrays.insert(name.to_owned(), (Precision::F64, array));
    }

    /// Adds an array of f32.
    pub fn insert_f32<D: Dimension>(&mut self, name: &str, array: ArrayView<'_, f32, D>) {
        let array = array.into_dyn().mapv(f64::from).as_standard_layout().into_owned();
        self.arrays.insert(name.to_owned(), (Precision::F32, array));
    }

    /// Whether there is an array of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.arrays.contains_key(name)
    }

    /// Writes the file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        write_beside(path, Vec::new(), self)
    }

    fn encoded(&self) -> Vec<(&String, Dtype, &[usize], Vec<u8>)> {
        let arrays = self.arrays.iter();
        arrays
            .map(|(name, (precision, array))| {
                let (kind, bytes) = encode(*precision, array);
                (name, kind, array.shape(), bytes)
            })
            .collect()
    }

    /// Reads a file whose arrays are all f32 or f64.
    ///
    /// # Errors
    /// If it cannot be read, is damaged, or holds a number that is not finite.
    pub fn read(path: &Path) -> Result<Self> {
        Self::read_named(path, |_| true)
    }

    /// Reads the arrays whose names are wanted.
    pub(super) fn read_named(path: &Path, wanted: impl Fn(&str) -> bool) -> Result<Self> {
        let content = Content::of(path)?;
        let bad = |problem: String| Error::bad_file(path, problem, REMEDY);
        let tensors =
            SafeTensors::deserialize(&content.bytes).map_err(|error| bad(error.to_string()))?;
        let mut arrays = BTreeMap::new();
        for (name, view) in tensors.iter().filter(|(name, _)| wanted(name)) {
            let (precision, values): (_, Vec<f64>) = match view.dtype() {
                Dtype::F64 => (Precision::F64, bytemuck::pod_collect_to_vec(view.data())),
                Dtype::F32 => {
                    let narrow: Vec<f32> = bytemuck::pod_collect_to_vec(view.data());
                    (Precision::F32, narrow.into_iter().map(f64::from).collect())
                }
                other => return Err(bad(format!("'{name}' is {other}, not f32 or f64"))),
            };
            let array = ArrayD::from_shape_vec(IxDyn(view.shape()), values)
                .map_err(|error| bad(format!("'{name}': {error}")))?;
            if array.iter().any(|value| !value.is_finite()) {
                return Err(bad(format!("'{name}' holds a number that is not finite")));
            }
            arrays.insert(name.to_owned(), (precision, array));
        }
        Ok(Self { path: path.to_owned(), arrays })
    }

    fn array(&self, name: &str) -> Result<ArrayView<'_, f64, IxDyn>> {
        let found = self.arrays.get(name);
        let (_, array) = found.ok_or_else(|| self.bad(format!("'{name}' is missing")))?;
        Ok(array.view())
    }

    /// A single number.
    ///
    /// # Errors
    /// If there is none of this name.
    pub fn number(&self, name: &str) -> Result<f64> {
        let array = self.array(name)?;
        array.first().copied().ok_or_else(|| self.bad(format!("'{name}' is empty")))
    }

    /// A vector, of the given length if there is one.
    ///
    /// # Errors
    /// If there is none of this name and length.
    pub fn vector(&self, name: &str, length: Option<usize>) -> Result<Array1<f64>> {
        let array = self.array(name)?;
        match (array.shape(), length) {
            ([found], wanted) if wanted.is_none_or(|wanted| wanted == *found) => {
                Ok(array.iter().copied().collect())
            }
            (found, wanted) => Err(self.bad(format!("'{name}' is {found:?}, not {wanted:?}"))),
        }
    }

    /// A matrix of the given shape.
    ///
    /// # Errors
    /// If there is none of this name and shape.
    pub fn matrix(&self, name: &str, shape: (usize, usize)) -> Result<Array2<f64>> {
        let array = self.array(name)?;
        let found = array.shape().to_vec();
        array
            .into_shape_with_order(shape)
            .ok()
            .filter(|_| found == [shape.0, shape.1])
            .map(|array| array.to_owned())
            .ok_or_else(|| self.bad(format!("'{name}' is {found:?}, not {shape:?}")))
    }

    /// Name, shape and values of an array that was given as f32.
    ///
    /// # Errors
    /// If there is none of this name.
    pub fn tensor_f32(&self, name: &str) -> Result<(String, Vec<usize>, Vec<f32>)> {
        let array = self.array(name)?;
        let values = array.iter().map(|&value| value as f32).collect();
        Ok((name.to_owned(), array.shape().to_vec(), values))
    }

    pub(super) fn bad(&self, problem: String) -> Error {
        Error::bad_file(&self.path, problem, REMEDY)
    }
}

/// A tensor of f32 on its way to a file, where it lies.
pub(crate) struct Stored<'a> {
    name: &'static str,
    shape: Vec<usize>,
    values: &'a [f32],
}

impl<'a> Stored<'a> {
    pub(crate) fn matrix(name: &'static str, matrix: &'a Matrix) -> Self {
        Self { name, shape: vec![matrix.rows(), matrix.cols()], values: matrix.as_slice() }
    }

    pub(crate) fn vector(name: &'static str, values: &'a [f32]) -> Self {
        Self { name, shape: vec![values.len()], values }
    }
}

/// Writes tensors without copying them.
///
/// # Errors
/// If the file cannot be written.
pub(crate) fn write_tensors(path: &Path, tensors: Vec<Stored<'_>>) -> Result<()> {
    write_beside(path, tensors, &Weights::default())
}

/// Writes tensors without copying them, and arrays beside them.
pub(super) fn write_beside(path: &Path, tensors: Vec<Stored<'_>>, beside: &Weights) -> Result<()> {
    let failed =
        |error: SafeTensorError| Error::failure("write weights", error.to_string(), "report it");
    let encoded = beside.encoded();
    let mut views = Vec::with_capacity(tensors.len() + encoded.len());
    for (name, kind, shape, bytes) in &encoded {
        views.push((name.as_str(), TensorView::new(*kind, shape.to_vec(), bytes).map_err(failed)?));
    }
    for Stored { name, shape, values } in tensors {
        let view = TensorView::new(Dtype::F32, shape, bytemuck::cast_slice(values));
        views.push((name, view.map_err(failed)?));
    }
    write_tensors_aside(path, views, None)
}

fn encode(precision: Precision, array: &ArrayD<f64>) -> (Dtype, Vec<u8>) {
    let values = array.as_slice().expect("row-major");
    match precision {
        Precision::F64 => (Dtype::F64, bytemuck::cast_slice(values).to_vec()),
        Precision::F32 => {
            let narrow: Vec<f32> = values.iter().map(|&value| value as f32).collect();
            (Dtype::F32, bytemuck::cast_slice(&narrow).to_vec())
        }
    }
}
