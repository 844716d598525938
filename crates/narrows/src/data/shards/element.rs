//! How the numbers of a store are kept.

use std::fmt;
use std::str::FromStr;

use half::{bf16, f16};
use safetensors::Dtype;
use serde::{Deserialize, Serialize};

use crate::data::Element;
use crate::data::numbers::Kind;

/// How a number of a store is kept.
///
/// | kind | bytes | kept of `x` |
/// |---|---|---|
/// | `f32` | 4 | everything |
/// | `bf16` | 2 | 8 significant bits: relative error ≤ 2⁻⁸ |
/// | `f16` | 2 | 11 significant bits; nothing above 65,504, less below 6.1e-5 |
/// | `int8` | 1, and 4 a row | `round(x / s)` with `s = maxⱼ|xⱼ| / 127` of its row: error ≤ s / 2 |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ShardElement {
    /// Single precision.
    F32,
    /// Half precision.
    F16,
    /// Brain floating point: the first two bytes of single precision, rounded to even.
    Bf16,
    /// Whole numbers of −127 to 127 and one scale a row.
    Int8,
}

impl ShardElement {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::F32, Self::F16, Self::Bf16, Self::Int8];

    /// Bytes of one number.
    pub fn size(self) -> usize {
        self.kind().size()
    }

    pub(super) fn kind(self) -> Kind {
        match self {
            Self::F32 => Kind::F32,
            Self::F16 => Kind::F16,
            Self::Bf16 => Kind::Bf16,
            Self::Int8 => Kind::I8,
        }
    }

    /// What the safetensors format calls it.
    pub(crate) fn dtype(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::F16 => Dtype::F16,
            Self::Bf16 => Dtype::BF16,
            Self::Int8 => Dtype::I8,
        }
    }

    pub(crate) fn in_dataset(self) -> Element {
        match self {
            Self::F32 => Element::F32,
            Self::F16 => Element::F16,
            Self::Bf16 => Element::Bf16,
            Self::Int8 => Element::Int8,
        }
    }

    /// Adds one row to `bytes`; gives its scale, 1 where there is none.
    pub(crate) fn encode(self, row: &[f32], bytes: &mut Vec<u8>) -> f32 {
        match self {
            Self::F32 => bytes.extend(row.iter().flat_map(|x| x.to_le_bytes())),
            Self::F16 => bytes.extend(row.iter().flat_map(|x| f16::from_f32(*x).to_le_bytes())),
            Self::Bf16 => bytes.extend(row.iter().flat_map(|x| bf16::from_f32(*x).to_le_bytes())),
            Self::Int8 => return encode_int8(row, bytes),
        }
        1.0
    }

    /// The largest number that stays finite when it is kept so.
    pub(crate) fn largest(self) -> f32 {
        match self {
            Self::F32 | Self::Int8 => f32::MAX,
            // From half a step above the largest on, numbers are rounded to infinity: 65,520 and …
            Self::F16 => f32::from_bits(0x477f_efff),
            // … 2¹²⁸ − 2¹¹⁹.
            Self::Bf16 => f32::from_bits(0x7f7f_7fff),
        }
    }
}

fn encode_int8(row: &[f32], bytes: &mut Vec<u8>) -> f32 {
    let largest = row.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
    let scale = largest / 127.0;
    // Of numbers so small that their scale is 0 nothing is kept.
    let inverse = |x: f32| if scale > 0.0 { (x / scale).round().clamp(-127.0, 127.0) } else { 0.0 };
    bytes.extend(row.iter().map(|&x| (inverse(x) as i8).cast_unsigned()));
    scale
}

impl fmt::Display for ShardElement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        })
    }
}

impl FromStr for ShardElement {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|element| element.to_string() == text);
        found.ok_or_else(|| "expected bf16, f16, f32 or int8".to_owned())
    }
}
