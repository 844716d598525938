//! Where the numbers of a column lie in a batch: its lists are followed down to them.

use super::schema::{Field, Values};
use super::stream::Batch;
use super::{damaged, ragged};
use crate::data::positioned::Positioned;
use crate::error::Result;

/// Places of lists that are read at a time.
const PIECE: usize = 1 << 16;

/// Numbers that lie one after the other.
pub(super) struct Stretch {
    pub(super) start: u64,
    pub(super) count: usize,
    pub(super) dim: usize,
}

/// The first node and the first buffer of a column.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub(super) node: usize,
    pub(super) buffer: usize,
}

impl Part {
    /// Follows the lists of a column down to its numbers.
    pub(super) fn numbers(
        self,
        file: &Positioned,
        batch: &Batch,
        field: &Field,
        as_rows: bool,
    ) -> Result<Stretch> {
        let broken = || damaged(file, "a batch is damaged");
        let (mut field, mut at, mut dim) = (field, self, 1);
        let mut range = [0, batch.nodes.get(at.node).ok_or_else(broken)?[0]];
        loop {
            let &[length, missing] = batch.nodes.get(at.node).ok_or_else(broken)?;
            if missing > 0 {
                let problem = format!("values of '{}' are missing", field.name);
                return Err(damaged(file, &problem));
            }
            if range[1] > length {
                return Err(broken());
            }
            let own = at.buffer + 1;
            match field.values {
                Values::Numbers(kind) => {
                    let [offset, len] = *batch.buffers.get(own).ok_or_else(broken)?;
                    let size = kind.size() as u64;
                    if range[1].checked_mul(size).is_none_or(|end| end > len) {
                        return Err(broken());
                    }
                    let start = offset.checked_add(batch.body).ok_or_else(broken)?;
                    let count = usize::try_from(range[1] - range[0]).map_err(|_| broken())?;
                    return Ok(Stretch { start: start + range[0] * size, count, dim });
                }
                Values::FixedLists(len) => {
                    range = range.map(|place| place.saturating_mul(len as u64));
                    dim = if as_rows { len } else { 1 };
                }
                Values::Lists { offset_size } => {
                    let buffer = *batch.buffers.get(own).ok_or_else(broken)?;
                    let innermost = as_rows && field.numbers().is_some_and(|(_, depth)| depth == 1);
                    let lists = Lists { file, body: batch.body, buffer, offset_size };
                    (range, dim) = lists.follow(field, range, innermost)?;
                }
                Values::Other { .. } => return Err(broken()),
            }
            at = Self { node: at.node + 1, buffer: at.buffer + field.values.buffers() };
            field = field.children.first().ok_or_else(broken)?;
        }
    }
}

/// The places at which lists begin, one more than there are lists.
struct Lists<'a> {
    file: &'a Positioned,
    body: u64,
    buffer: [u64; 2],
    offset_size: usize,
}

impl Lists<'_> {
    /// The values of the lists in a range, and the length of each where all must have the same.
    fn follow(&self, field: &Field, range: [u64; 2], same: bool) -> Result<([u64; 2], usize)> {
        let [first, last] = range;
        if first == last {
            return Ok(([0, 0], 1));
        }
        if !same {
            let [start, end] = [self.places(first, 1)?[0], self.places(last, 1)?[0]];
            return self.checked([start, end]).map(|range| (range, 1));
        }
        let start = self.places(first, 2)?;
        let len = start[1].saturating_sub(start[0]);
        let (mut place, mut end) = (first, start[0]);
        while place < last {
            let count = (last - place).min(PIECE as u64) as usize;
            for pair in self.places(place, count + 1)?.windows(2) {
                if pair[1] != pair[0].saturating_add(len) || len == 0 {
                    let other = pair[1].saturating_sub(pair[0]);
                    return Err(ragged(self.file, field, len as usize, other as usize));
                }
                end = pair[1];
            }
            place += count as u64;
        }
        Ok((self.checked([start[0], end])?, len as usize))
    }

    fn checked(&self, range: [u64; 2]) -> Result<[u64; 2]> {
        match range[0] <= range[1] {
            true => Ok(range),
            false => Err(damaged(self.file, "a list ends before it begins")),
        }
    }

    fn places(&self, first: u64, count: usize) -> Result<Vec<u64>> {
        let size = self.offset_size as u64;
        let end = first.checked_add(count as u64).and_then(|end| end.checked_mul(size));
        if end.is_none_or(|end| end > self.buffer[1]) {
            return Err(damaged(self.file, "a batch is damaged"));
        }
        let mut bytes = vec![0; count * self.offset_size];
        let start = self.body.saturating_add(self.buffer[0]).saturating_add(first * size);
        self.file.read_at(start, &mut bytes)?;
        let place = |bytes: &[u8]| {
            let mut wide = [0; 8];
            wide[..bytes.len()].copy_from_slice(bytes);
            u64::from_le_bytes(wide)
        };
        Ok(bytes.chunks_exact(self.offset_size).map(place).collect())
    }
}
