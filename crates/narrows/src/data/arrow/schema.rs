//! The columns of an Arrow stream, and which of its buffers are whose.
//!
//! Source: <https://arrow.apache.org/docs/format/Columnar.html>, `format/Schema.fbs` and
//! `format/Message.fbs`: the numbers of fields and types.

use super::flatbuffer::Table;
use crate::data::numbers::Kind;

/// Columns and their parts, beyond which a schema is taken for damaged.
const MOST_PARTS: usize = 10_000;
/// Lists in lists.
const DEEPEST: usize = 16;

/// A column or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) values: Values,
    pub(super) children: Vec<Field>,
}

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Values {
    /// Numbers that can be read.
    Numbers(Kind),
    /// Lists; a place where each begins of so many bytes.
    Lists { offset_size: usize },
    /// Lists of this length.
    FixedLists(usize),
    /// Something else, in so many buffers.
    Other { buffers: usize },
}

impl Values {
    pub(super) fn buffers(self) -> usize {
        match self {
            Self::Numbers(_) | Self::Lists { .. } => 2,
            Self::FixedLists(_) => 1,
            Self::Other { buffers } => buffers,
        }
    }
}

/// The fields of a schema; `None` if it is damaged or holds what cannot be stepped over.
pub(super) fn fields(schema: Table<'_>) -> Option<Vec<Field>> {
    let mut left = MOST_PARTS;
    schema.tables(1)?.map(|table| field(table?, DEEPEST, &mut left)).collect()
}

fn field(table: Table<'_>, depth: usize, left: &mut usize) -> Option<Field> {
    *left = left.checked_sub(1)?;
    let depth = depth.checked_sub(1)?;
    let about = table.table(3)?;
    let number = |index| about.map_or(Some(0), |about| about.number::<4>(index));
    // Indices of a dictionary are kept in place of the values.
    if table.table(4)?.is_some() {
        return None;
    }
    let values = match table.number::<1>(2)? {
        1 => Values::Other { buffers: 0 },
        2 => {
            let signed = about.map_or(Some(0), |about| about.number::<1>(1))? != 0;
            Values::Numbers(whole(number(0)?, signed)?)
        }
        3 => Values::Numbers(match about.map_or(Some(0), |about| about.number::<2>(0))? {
            0 => Kind::F16,
            1 => Kind::F32,
            2 => Kind::F64,
            _ => return None,
        }),
        // Bits, or numbers of fixed size: one buffer beside that of what is missing.
        6..=11 | 15 | 18 => Values::Other { buffers: 2 },
        4 | 5 | 19 | 20 => Values::Other { buffers: 3 },
        12 | 17 => Values::Lists { offset_size: 4 },
        13 => Values::Other { buffers: 1 },
        16 => Values::FixedLists(usize::try_from(number(0)?).ok()?),
        21 => Values::Lists { offset_size: 8 },
        _ => return None,
    };
    let children: Option<Vec<Field>> =
        table.tables(5)?.map(|child| field(child?, depth, left)).collect();
    Some(Field { name: table.text(0)?.to_owned(), values, children: children? })
}

fn whole(bits: i64, signed: bool) -> Option<Kind> {
    Some(match (bits, signed) {
        (8, false) => Kind::U8,
        (8, true) => Kind::I8,
        (16, false) => Kind::U16,
        (16, true) => Kind::I16,
        (32, false) => Kind::U32,
        (32, true) => Kind::I32,
        (64, false) => Kind::U64,
        (64, true) => Kind::I64,
        _ => return None,
    })
}

impl Field {
    /// The kind of the numbers of a column of numbers or lists of them, and how deep the lists are.
    pub(super) fn numbers(&self) -> Option<(Kind, usize)> {
        match (self.values, &self.children[..]) {
            (Values::Numbers(kind), _) => Some((kind, 0)),
            (Values::Lists { .. } | Values::FixedLists(_), [child]) => {
                child.numbers().map(|(kind, depth)| (kind, depth + 1))
            }
            _ => None,
        }
    }

    /// How many nodes and buffers the column has in a batch.
    pub(super) fn parts(&self) -> (usize, usize) {
        self.children
            .iter()
            .map(Self::parts)
            .fold((1, self.values.buffers()), |(nodes, buffers), (more, others)| {
                (nodes + more, buffers + others)
            })
    }
}
