//! The few parts of the FlatBuffers format that the headers of Arrow are made of.
//!
//! A table points back to a list of where its fields lie; strings and vectors begin with their length;
//! whatever is not of fixed size is pointed to from where it belongs, always forward. Every place is
//! compared with the end of the bytes: `None` says that they are damaged.
//! Source: <https://flatbuffers.dev/internals/>.

/// A table within the bytes of a message.
#[derive(Clone, Copy)]
pub(super) struct Table<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Table<'a> {
    /// The table that a message is.
    pub(super) fn root(bytes: &'a [u8]) -> Option<Self> {
        Some(Self { bytes, at: pointed_to(bytes, 0)? })
    }

    /// Where a field lies; `Some(None)` where the table leaves it out.
    fn field(&self, index: usize) -> Option<Option<usize>> {
        let back = i32::from_le_bytes(array(self.bytes, self.at)?);
        let list = usize::try_from(i64::try_from(self.at).ok()? - i64::from(back)).ok()?;
        let len = usize::from(u16::from_le_bytes(array(self.bytes, list)?));
        if 4 + 2 * index + 2 > len {
            return Some(None);
        }
        let offset = usize::from(u16::from_le_bytes(array(self.bytes, list + 4 + 2 * index)?));
        Some((offset > 0).then_some(self.at + offset))
    }

    /// A number of one, two, four or eight bytes; what is left out is 0.
    pub(super) fn number<const SIZE: usize>(&self, index: usize) -> Option<i64> {
        let Some(at) = self.field(index)? else { return Some(0) };
        let bytes: [u8; SIZE] = array(self.bytes, at)?;
        let mut wide = [if bytes[SIZE - 1] >= 0x80 { 0xff } else { 0 }; 8];
        wide[..SIZE].copy_from_slice(&bytes);
        Some(i64::from_le_bytes(wide))
    }

    /// A table that is pointed to; `Some(None)` where it is left out.
    pub(super) fn table(&self, index: usize) -> Option<Option<Self>> {
        let Some(at) = self.field(index)? else { return Some(None) };
        Some(Some(Self { bytes: self.bytes, at: pointed_to(self.bytes, at)? }))
    }

    pub(super) fn text(&self, index: usize) -> Option<&'a str> {
        let (at, len) = self.vector(index)?;
        std::str::from_utf8(self.bytes.get(at..at.checked_add(len)?)?).ok()
    }

    /// The tables of a vector.
    pub(super) fn tables(&self, index: usize) -> Option<impl Iterator<Item = Option<Self>>> {
        let (at, len) = self.vector(index)?;
        let bytes = self.bytes;
        Some((0..len).map(move |i| Some(Self { bytes, at: pointed_to(bytes, at + 4 * i)? })))
    }

    /// The pairs of numbers of a vector of structures of two `i64`.
    pub(super) fn pairs(&self, index: usize) -> Option<Vec<[u64; 2]>> {
        let (at, len) = self.vector(index)?;
        let bytes = self.bytes.get(at..at.checked_add(len.checked_mul(16)?)?)?;
        let number = |bytes: &[u8; 8]| u64::try_from(i64::from_le_bytes(*bytes)).ok();
        let pair = |pair: &[u8; 16]| {
            let [first, second] = pair.as_chunks::<8>().0 else { return None };
            Some([number(first)?, number(second)?])
        };
        bytes.as_chunks::<16>().0.iter().map(pair).collect()
    }

    /// Where the items of a vector begin, and how many there are: none where it is left out.
    fn vector(&self, index: usize) -> Option<(usize, usize)> {
        let Some(at) = self.field(index)? else { return Some((0, 0)) };
        let at = pointed_to(self.bytes, at)?;
        Some((at + 4, u32::from_le_bytes(array(self.bytes, at)?) as usize))
    }
}

fn pointed_to(bytes: &[u8], at: usize) -> Option<usize> {
    at.checked_add(u32::from_le_bytes(array(bytes, at)?) as usize)
}

fn array<const SIZE: usize>(bytes: &[u8], at: usize) -> Option<[u8; SIZE]> {
    bytes.get(at..)?.first_chunk().copied()
}
