//! Named tensors of a file of parameters, read to f32 whatever they are kept in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use safetensors::tensor::{Dtype, SafeTensors};

use super::mapped::Content;
use super::npz::{NpzArray, arrays as npz_arrays};
use crate::compute::{Matrix, transposed};
use crate::error::{Error, Result};

const REMEDY: &str = "fetch it again, or write it again with the library that made it";

/// How the numbers of a tensor are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Kind {
    F16,
    Bf16,
    F32,
    F64,
    U8,
    I8,
    I16,
    I32,
    I64,
    Bool,
}

impl Kind {
    /// Bytes of one number.
    pub fn size(self) -> usize {
        match self {
            Self::U8 | Self::I8 | Self::Bool => 1,
            Self::F16 | Self::Bf16 | Self::I16 => 2,
            Self::F32 | Self::I32 => 4,
            Self::F64 | Self::I64 => 8,
        }
    }

    /// What PyTorch calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
            Self::F32 => "float32",
            Self::F64 => "float64",
            Self::U8 => "uint8",
            Self::I8 => "int8",
            Self::I16 => "int16",
            Self::I32 => "int32",
            Self::I64 => "int64",
            Self::Bool => "bool",
        }
    }

    fn of(dtype: Dtype) -> Option<Self> {
        Some(match dtype {
            Dtype::F16 => Self::F16,
            Dtype::BF16 => Self::Bf16,
            Dtype::F32 => Self::F32,
            Dtype::F64 => Self::F64,
            Dtype::U8 => Self::U8,
            Dtype::I8 => Self::I8,
            Dtype::I16 => Self::I16,
            Dtype::I32 => Self::I32,
            Dtype::I64 => Self::I64,
            Dtype::BOOL => Self::Bool,
            _ => return None,
        })
    }

    /// Little-endian numbers as f32.
    pub fn decode(self, bytes: &[u8]) -> Vec<f32> {
        fn each<const SIZE: usize>(bytes: &[u8], value: impl Fn([u8; SIZE]) -> f32) -> Vec<f32> {
            bytes.as_chunks::<SIZE>().0.iter().map(|bytes| value(*bytes)).collect()
        }
        match self {
            Self::F16 => each(bytes, |b| f16::from_le_bytes(b).to_f32()),
            Self::Bf16 => each(bytes, |b| bf16::from_le_bytes(b).to_f32()),
            Self::F32 => each(bytes, f32::from_le_bytes),
            Self::F64 => each(bytes, |b| f64::from_le_bytes(b) as f32),
            Self::U8 => each(bytes, |[byte]| f32::from(byte)),
            Self::I8 => each(bytes, |b| f32::from(i8::from_le_bytes(b))),
            Self::I16 => each(bytes, |b| f32::from(i16::from_le_bytes(b))),
            Self::I32 => each(bytes, |b| i32::from_le_bytes(b) as f32),
            Self::I64 => each(bytes, |b| i64::from_le_bytes(b) as f32),
            Self::Bool => each(bytes, |[byte]| f32::from(u8::from(byte != 0))),
        }
    }
}

/// One tensor.
#[derive(Debug)]
pub struct Tensor {
    /// How its numbers are kept in the file.
    pub kind: Kind,
    /// Its axes.
    pub shape: Vec<usize>,
    /// In row-major order.
    pub values: Vec<f32>,
}

/// The tensors of a file; each is taken out once, and what is left at the end was not understood.
#[derive(Debug)]
pub struct Tensors {
    path: PathBuf,
    tensors: BTreeMap<String, Tensor>,
    kinds: BTreeMap<String, Kind>,
}

impl Tensors {
    /// Tensors by name, as they were found in `path`.
    pub fn new(path: &Path, tensors: BTreeMap<String, Tensor>) -> Self {
        let kinds = tensors.iter().map(|(name, tensor)| (name.clone(), tensor.kind)).collect();
        Self { path: path.to_owned(), tensors, kinds }
    }

    /// Reads a safetensors file.
    ///
    /// # Errors
    /// If it cannot be read, is damaged, or holds a tensor that is not plain numbers.
    pub fn of_safetensors(path: &Path) -> Result<Self> {
        Self::of_safetensors_but(path, |_| false)
    }

    /// Reads a safetensors file, but not the tensors whose name `is_left_out`.
    ///
    /// # Errors
    /// As [`Tensors::of_safetensors`].
    pub fn of_safetensors_but(path: &Path, is_left_out: impl Fn(&str) -> bool) -> Result<Self> {
        let content = Content::of(path)?;
        let bad = |problem: String| Error::bad_file(path, problem, REMEDY);
        let file = SafeTensors::deserialize(&content.bytes).map_err(|e| bad(e.to_string()))?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter().filter(|(name, _)| !is_left_out(name)) {
            let kind = Kind::of(view.dtype())
                .ok_or_else(|| bad(format!("'{name}' is {}, not plain numbers", view.dtype())))?;
            let (shape, values) = (view.shape().to_vec(), kind.decode(view.data()));
            tensors.insert(name.to_owned(), Tensor { kind, shape, values });
        }
        Ok(Self::new(path, tensors))
    }

    /// Takes over the tensors of another file.
    pub fn extend(&mut self, other: Self) {
        self.tensors.extend(other.tensors);
        self.kinds.extend(other.kinds);
    }

    /// Reads a npz archive; names in lower case, as there are files with either.
    ///
    /// # Errors
    /// If it cannot be read or is damaged.
    pub fn of_npz(path: &Path) -> Result<Self> {
        let arrays = npz_arrays(path)?.into_iter();
        let tensor = |NpzArray { name, shape, values }| {
            (name.to_lowercase(), Tensor { kind: Kind::F32, shape, values })
        };
        Ok(Self::new(path, arrays.map(tensor).collect()))
    }

    /// How the numbers of each tensor are kept in the file, by name.
    pub fn kinds(&self) -> BTreeMap<String, String> {
        let kinds = self.kinds.iter();
        kinds.map(|(name, kind)| (name.clone(), kind.name().to_owned())).collect()
    }

    /// Whether there is one of this name that was not taken.
    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Gives a tensor another name, where it is there.
    pub fn rename(&mut self, from: &str, to: &str) {
        if let Some(tensor) = self.tensors.remove(from) {
            self.tensors.insert(to.to_owned(), tensor);
        }
    }

    /// The first name that begins with `prefix`.
    pub fn starting(&self, prefix: &str) -> Option<String> {
        self.tensors.keys().find(|name| name.starts_with(prefix)).cloned()
    }

    /// Forgets a tensor that is not needed to encode or decode.
    pub fn drop(&mut self, name: &str) {
        self.tensors.remove(name);
    }

    fn take(&mut self, name: &str) -> Result<Tensor> {
        self.tensors.remove(name).ok_or_else(|| {
            let there: Vec<&str> = self.kinds.keys().take(20).map(String::as_str).collect();
            self.bad(format!("there is no tensor '{name}' (there are: {})", there.join(", ")))
        })
    }

    /// A matrix as it lies.
    ///
    /// # Errors
    /// If there is none of this name, or it has other axes.
    pub fn matrix(&mut self, name: &str) -> Result<Matrix> {
        let Tensor { shape, values, .. } = self.take(name)?;
        match shape[..] {
            [rows, cols] if rows > 0 && cols > 0 => Matrix::from_rows(rows, cols, values),
            _ => Err(self.bad(format!("'{name}' has the shape {shape:?}, not that of a matrix"))),
        }
    }

    /// A matrix with rows and columns exchanged.
    ///
    /// # Errors
    /// If there is none of this name, or it has other axes.
    pub fn transposed(&mut self, name: &str) -> Result<Matrix> {
        Ok(transposed(&self.matrix(name)?))
    }

    /// A vector.
    ///
    /// # Errors
    /// If there is none of this name, or it has other axes.
    pub fn vector(&mut self, name: &str) -> Result<Vec<f32>> {
        let Tensor { shape, values, .. } = self.take(name)?;
        match shape[..] {
            [_] => Ok(values),
            _ => Err(self.bad(format!("'{name}' has the shape {shape:?}, not that of a vector"))),
        }
    }

    /// A vector where it is there.
    ///
    /// # Errors
    /// If there is none of this name, or it has other axes.
    pub fn optional_vector(&mut self, name: &str) -> Result<Option<Vec<f32>>> {
        if self.contains(name) { self.vector(name).map(Some) } else { Ok(None) }
    }

    /// A matrix where it is there.
    ///
    /// # Errors
    /// If there is none of this name, or it has other axes.
    pub fn optional_matrix(&mut self, name: &str) -> Result<Option<Matrix>> {
        if self.contains(name) { self.matrix(name).map(Some) } else { Ok(None) }
    }

    /// The numbers of a tensor of any shape, in row-major order.
    ///
    /// # Errors
    /// If there is none of this name.
    pub fn values(&mut self, name: &str) -> Result<Vec<f32>> {
        Ok(self.take(name)?.values)
    }

    /// A single number.
    ///
    /// # Errors
    /// If there is none of this name, or it has other axes.
    pub fn number(&mut self, name: &str) -> Result<f32> {
        let tensor = self.take(name)?;
        match tensor.values[..] {
            [number] => Ok(number),
            _ => {
                Err(self.bad(format!("'{name}' has the shape {:?}, not one number", tensor.shape)))
            }
        }
    }

    /// A vector of `length`; a single number stands for as many equal ones.
    ///
    /// # Errors
    /// If there is none of this name, or it has other axes.
    pub fn spread(&mut self, name: &str, length: usize) -> Result<Vec<f32>> {
        let tensor = self.take(name)?;
        match (&tensor.shape[..], &tensor.values[..]) {
            ([], [number]) => Ok(vec![*number; length]),
            ([_], _) => Ok(tensor.values),
            _ => Err(self.bad(format!("'{name}' has the shape {:?}", tensor.shape))),
        }
    }

    /// Refuses what was not taken: it may change what a model does.
    ///
    /// # Errors
    /// If there is one.
    pub fn finish(&self) -> Result<()> {
        match self.tensors.keys().next() {
            None => Ok(()),
            Some(name) => Err(self.bad(format!("the tensor '{name}' is not known to this format"))),
        }
    }

    /// An error of the file.
    pub fn bad(&self, problem: String) -> Error {
        Error::bad_file(&self.path, problem, REMEDY)
    }
}
