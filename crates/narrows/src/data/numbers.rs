//! Arrays of numbers that lie as plain bytes in a file: what npy, npz and idx have in common.

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use super::mapped::Bytes;
use super::source::{Precision, Source};
use super::{Element, ImageShape};
use crate::compute::{Real, wide};
use crate::error::{Error, Result};

/// The type of a stored number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F16,
    Bf16,
    F32,
    F64,
}

impl Kind {
    /// Bytes of one number.
    pub(super) fn size(self) -> usize {
        match self {
            Self::Bool | Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 | Self::F16 | Self::Bf16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }

    pub(super) fn is_whole(self) -> bool {
        !matches!(self, Self::Bool | Self::F16 | Self::Bf16 | Self::F32 | Self::F64)
    }

    pub(super) fn element(self) -> Element {
        match self {
            Self::U8 => Element::U8,
            Self::F16 => Element::F16,
            Self::Bf16 => Element::Bf16,
            Self::F32 => Element::F32,
            Self::F64 => Element::F64,
            _ => Element::Integer,
        }
    }

    pub(super) fn precision(self) -> Precision {
        match self {
            Self::U32 | Self::I32 | Self::U64 | Self::I64 | Self::F64 => Precision::F64,
            _ => Precision::F32,
        }
    }
}

/// How an array lies in its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) kind: Kind,
    pub(super) big_endian: bool,
    /// The first axis runs fastest (Fortran order), not the last (C order).
    pub(super) fortran: bool,
    pub(super) shape: Vec<usize>,
}

impl Layout {
    /// Bytes of the whole array; `None` where no memory could hold them.
    fn byte_len(&self) -> Option<usize> {
        self.shape.iter().try_fold(self.kind.size(), |len, &axis| len.checked_mul(axis))
    }

    /// Pictures are known by their bytes: `(n, height, width)` or `(n, height, width, channels)`.
    fn image(&self) -> Option<ImageShape> {
        match (self.kind, &self.shape[..]) {
            (Kind::U8, &[_, height, width]) => Some(ImageShape { height, width, channels: 1 }),
            (Kind::U8, &[_, height, width, channels @ (1 | 3)]) => {
                Some(ImageShape { height, width, channels })
            }
            _ => None,
        }
    }

    /// Where the first row's number of each column lies in Fortran order, counted in numbers.
    ///
    /// Columns count the trailing axes in C order: `(i, j, k)` of `(n, h, w)` is column `j·w + k`
    /// and lies at `i + n·(j + h·k)`.
    fn fortran_columns(&self) -> Vec<usize> {
        let mut places = vec![0];
        let mut stride = self.shape[0];
        for &axis in &self.shape[1..] {
            places = places
                .iter()
                .flat_map(|place| (0..axis).map(move |index| place + index * stride))
                .collect();
            stride *= axis;
        }
        places
    }
}

/// Bytes that are read of a mapped file before their pages are given back: otherwise one pass would
/// leave the whole file counted as memory of this process.
const RESIDENT: usize = 128 << 20;
/// Bytes around each end of a contiguous piece that the system may bring along.
const BROUGHT_ALONG: usize = 128 << 10;

/// An array as rows: the first axis counts the rows, all others together the columns.
pub(super) struct Numbers {
    bytes: Bytes,
    start: usize,
    layout: Layout,
    dim: usize,
    /// See [`Layout::fortran_columns`]; `None` in C order.
    columns: Option<Vec<usize>>,
    /// Bytes read since pages were last given back.
    resident: AtomicUsize,
    /// Bytes read since the file was opened.
    bytes_read: AtomicU64,
}

impl Numbers {
    /// The array of `layout` whose numbers fill `data` of `bytes`.
    pub(super) fn new(
        path: &Path,
        bytes: Bytes,
        data: Range<usize>,
        layout: Layout,
    ) -> Result<Self> {
        let shape = &layout.shape;
        if shape.is_empty() || shape.contains(&0) {
            return Err(Error::mistake(
                "open",
                "at least one row and one column",
                format!("an array of shape {} in '{}'", shown(shape), path.display()),
                "give a set that holds rows",
            ));
        }
        let expected = layout.byte_len();
        if expected != Some(data.len()) {
            let expected = match expected {
                Some(len) => format!("{len} bytes"),
                None => "more bytes than any memory holds".to_owned(),
            };
            return Err(Error::bad_file(
                path,
                format!(
                    "an array of shape {} needs {expected}, found {}",
                    shown(shape),
                    data.len()
                ),
                "the file is cut off or damaged: write or fetch it again",
            ));
        }
        let columns = layout.fortran.then(|| layout.fortran_columns());
        let dim = shape[1..].iter().product();
        let (resident, bytes_read) = (AtomicUsize::new(0), AtomicU64::new(0));
        Ok(Self { bytes, start: data.start, layout, dim, columns, resident, bytes_read })
    }

    pub(super) fn element(&self) -> Element {
        self.layout.kind.element()
    }

    pub(super) fn image(&self) -> Option<ImageShape> {
        self.layout.image()
    }

    fn bytes_of(&self, first: usize, count: usize) -> &[u8] {
        let size = self.layout.kind.size();
        &self.bytes[self.start + first * size..][..count * size]
    }

    fn read<T: Decode>(&self, start: usize, out: &mut [T]) {
        let rows = out.len() / self.dim;
        assert!(rows * self.dim == out.len(), "{} values in rows of {}", out.len(), self.dim);
        assert!(start + rows <= self.rows(), "rows {start}..{} of {}", start + rows, self.rows());
        match &self.columns {
            None => self.read_rows(start, out),
            Some(columns) => self.read_columns(columns, start, out),
        }
        self.count_read(out.len());
    }

    fn count_read(&self, values: usize) {
        let pieces = self.columns.as_ref().map_or(1, Vec::len);
        let asked = values * self.layout.kind.size();
        self.bytes_read.fetch_add(asked as u64, Ordering::Relaxed);
        let read = asked + pieces * BROUGHT_ALONG;
        if self.resident.fetch_add(read, Ordering::Relaxed) + read > RESIDENT {
            self.resident.store(0, Ordering::Relaxed);
            self.bytes.release();
        }
    }

    fn read_rows<T: Decode>(&self, start: usize, out: &mut [T]) {
        let Layout { kind, big_endian, .. } = self.layout;
        let bytes = self.bytes_of(start * self.dim, out.len());
        if kind == T::KIND && big_endian == cfg!(target_endian = "big") {
            bytemuck::cast_slice_mut(out).copy_from_slice(bytes);
        } else {
            T::decode(kind, big_endian, bytes, out.iter_mut());
        }
    }

    fn read_columns<T: Decode>(&self, columns: &[usize], start: usize, out: &mut [T]) {
        // As many rows as fill a cache line of a column. With more, the places of one column in
        // `out` fall on the same few cache sets where `dim` is a power of two: three times slower.
        const TILE: usize = 16;
        let Layout { kind, big_endian, .. } = self.layout;
        for (tile, out) in out.chunks_mut(TILE * self.dim).enumerate() {
            let first = start + tile * TILE;
            let rows = out.len() / self.dim;
            for (column, place) in columns.iter().enumerate() {
                let bytes = self.bytes_of(place + first, rows);
                T::decode(kind, big_endian, bytes, out[column..].iter_mut().step_by(self.dim));
            }
        }
    }
}

impl Source for Numbers {
    fn rows(&self) -> usize {
        self.layout.shape[0]
    }
    fn dim(&self) -> usize {
        self.dim
    }
    fn precision(&self) -> Precision {
        self.layout.kind.precision()
    }
    fn read_f32(&self, start: usize, out: &mut [f32]) -> Result<()> {
        self.read(start, out);
        Ok(())
    }
    fn read_f64(&self, start: usize, out: &mut [f64]) -> Result<()> {
        self.read(start, out);
        Ok(())
    }
    fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }
}

/// A shape as Python writes it.
pub(super) fn shown(shape: &[usize]) -> String {
    match shape {
        [only] => format!("({only},)"),
        _ => format!("({})", shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")),
    }
}

/// What stored numbers are decoded into.
pub(super) trait Decode: Real {
    /// The stored type that needs no decoding.
    const KIND: Kind;
    /// Decodes the numbers of `kind` in `bytes`, big-endian or not, one for each of `out`.
    fn decode<'a>(kind: Kind, big: bool, bytes: &[u8], out: impl Iterator<Item = &'a mut Self>);
    /// As [`Decode::decode`], of little-endian numbers that lie one after the other.
    fn decode_all(kind: Kind, bytes: &[u8], out: &mut [Self]);
}

/// Half-precision numbers that are widened together, for which processors have an instruction.
const TOGETHER: usize = 64;

macro_rules! decodes_into {
    ($real:ty, $kind:expr, $widen_halves:ident) => {
        impl Decode for $real {
            const KIND: Kind = $kind;
            #[inline(always)]
            fn decode<'a>(
                kind: Kind,
                big: bool,
                bytes: &[u8],
                out: impl Iterator<Item = &'a mut Self>,
            ) {
                macro_rules! each {
                    (f16) => {
                        each!(f16, |value: f16| <$real>::from(value))
                    };
                    (bf16) => {
                        each!(bf16, |value: bf16| <$real>::from(value))
                    };
                    ($stored:ty) => {
                        each!($stored, |value| value as $real)
                    };
                    ($stored:ty, $widen:expr) => {
                        if big {
                            fill(bytes, out, |bytes| $widen(<$stored>::from_be_bytes(bytes)))
                        } else {
                            fill(bytes, out, |bytes| $widen(<$stored>::from_le_bytes(bytes)))
                        }
                    };
                }
                match kind {
                    Kind::Bool => fill(bytes, out, |[byte]| <$real>::from(byte != 0)),
                    Kind::U8 => each!(u8),
                    Kind::I8 => each!(i8),
                    Kind::U16 => each!(u16),
                    Kind::I16 => each!(i16),
                    Kind::U32 => each!(u32),
                    Kind::I32 => each!(i32),
                    Kind::U64 => each!(u64),
                    Kind::I64 => each!(i64),
                    Kind::F16 => each!(f16),
                    Kind::Bf16 => each!(bf16),
                    Kind::F32 => each!(f32),
                    Kind::F64 => each!(f64),
                }
            }
            fn decode_all(kind: Kind, bytes: &[u8], out: &mut [Self]) {
                if kind != Kind::F16 {
                    return wide(
                        #[inline(always)]
                        || Self::decode(kind, false, bytes, out.iter_mut()),
                    );
                }
                for (bytes, out) in bytes.chunks(2 * TOGETHER).zip(out.chunks_mut(TOGETHER)) {
                    let mut halves = [f16::ZERO; TOGETHER];
                    let halves = &mut halves[..out.len()];
                    fill(bytes, halves.iter_mut(), f16::from_le_bytes);
                    halves.$widen_halves(out);
                }
            }
        }
    };
}
decodes_into!(f32, Kind::F32, convert_to_f32_slice);
decodes_into!(f64, Kind::F64, convert_to_f64_slice);

#[inline(always)]
fn fill<'a, T: 'a, const SIZE: usize>(
    bytes: &[u8],
    out: impl Iterator<Item = &'a mut T>,
    value: impl Fn([u8; SIZE]) -> T,
) {
    for (out, bytes) in out.zip(bytes.as_chunks::<SIZE>().0) {
        *out = value(*bytes);
    }
}
