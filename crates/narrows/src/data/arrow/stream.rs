//! The messages of an Arrow stream: a schema, then batches.

use std::collections::BTreeMap;

use super::damaged;
use super::flatbuffer::Table;
use super::lists::Part;
use super::schema::{self, Field};
use crate::data::positioned::Positioned;
use crate::error::Result;

/// What the file format begins with; the stream follows.
const FILE_MAGIC: &[u8] = b"ARROW1\0\0";
/// What a message begins with.
const MESSAGE: [u8; 4] = [0xff; 4];
/// The longest header that is read.
const LONGEST: u64 = 256 << 20;

/// Whether these are the first bytes of an Arrow stream or file.
pub(in crate::data) fn recognises(bytes: &[u8]) -> bool {
    bytes.starts_with(FILE_MAGIC) || bytes.starts_with(&MESSAGE)
}

/// A record batch: where the parts of each column begin.
pub(super) struct Batch {
    pub(super) body: u64,
    pub(super) nodes: Vec<[u64; 2]>,
    pub(super) buffers: Vec<[u64; 2]>,
    pub(super) parts: BTreeMap<String, Part>,
}

/// The messages of a file.
pub(super) struct Stream<'a> {
    file: &'a Positioned,
    at: u64,
    pub(super) fields: Vec<Field>,
}

impl<'a> Stream<'a> {
    pub(super) fn open(file: &'a Positioned) -> Result<Self> {
        let mut magic = [0; FILE_MAGIC.len()];
        file.read_at(0, &mut magic)?;
        let at = if magic == FILE_MAGIC { magic.len() as u64 } else { 0 };
        let mut stream = Self { file, at, fields: Vec::new() };
        let unfit = "it is no Arrow stream, or one with columns that are not known";
        let Some((header, _)) = stream.message()? else { return Err(damaged(file, unfit)) };
        let fields = Table::root(&header).and_then(|message| {
            let schema = message.table(2)?.filter(|_| message.number::<1>(1) == Some(1))?;
            // Little-endian.
            (schema.number::<2>(0)? == 0).then(|| schema::fields(schema))?
        });
        stream.fields = fields.ok_or_else(|| damaged(file, unfit))?;
        Ok(stream)
    }

    /// The header of the next message and where its body begins; `None` at the end.
    fn message(&mut self) -> Result<Option<(Vec<u8>, u64)>> {
        if self.at == self.file.len() {
            return Ok(None);
        }
        let mut word = [0; 4];
        self.file.read_at(self.at, &mut word)?;
        self.at += 4;
        if word == MESSAGE {
            self.file.read_at(self.at, &mut word)?;
            self.at += 4;
        }
        let len = u64::from(u32::from_le_bytes(word));
        if len == 0 {
            return Ok(None);
        }
        if len > LONGEST.min(self.file.len().saturating_sub(self.at)) {
            return Err(damaged(self.file, "a message is cut off"));
        }
        let mut header = vec![0; len as usize];
        self.file.read_at(self.at, &mut header)?;
        let body = self.at + len;
        let body_len = Table::root(&header).and_then(|message| message.number::<8>(3));
        let body_len = body_len.and_then(|len| u64::try_from(len).ok());
        let end = body_len.and_then(|len| body.checked_add(len));
        match end.filter(|&end| end <= self.file.len()) {
            Some(end) => self.at = end,
            None => return Err(damaged(self.file, "a batch is cut off")),
        }
        Ok(Some((header, body)))
    }

    pub(super) fn next_batch(&mut self) -> Result<Option<Batch>> {
        let Some((header, body)) = self.message()? else { return Ok(None) };
        let batch = Table::root(&header)
            .and_then(|message| message.table(2)?.filter(|_| message.number::<1>(1) == Some(3)));
        let batch = batch.ok_or_else(|| damaged(self.file, "a message that is no batch"))?;
        if batch.table(3).is_none_or(|compression| compression.is_some()) {
            return Err(damaged(self.file, "its batches are compressed"));
        }
        let lists = batch.pairs(1).zip(batch.pairs(2));
        let (nodes, buffers) = lists.ok_or_else(|| damaged(self.file, "a batch is damaged"))?;
        let (mut parts, mut node, mut buffer) = (BTreeMap::new(), 0, 0);
        for field in &self.fields {
            parts.insert(field.name.clone(), Part { node, buffer });
            let (nodes, buffers) = field.parts();
            (node, buffer) = (node + nodes, buffer + buffers);
        }
        if (node, buffer) != (nodes.len(), buffers.len()) {
            return Err(damaged(self.file, "a batch does not fit the columns"));
        }
        Ok(Some(Batch { body, nodes, buffers, parts }))
    }
}
