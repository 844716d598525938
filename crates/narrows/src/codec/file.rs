//! The compressed file: written block by block, checked whole before anything is decoded.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::entropy::Tables;
use super::head::{FIXED, Head, LENGTH_AT};
use super::pass::Codec;
use super::values::Fidelity;
use crate::data::Source;
use crate::error::{Error, Result};
use crate::store::Aside;

/// Bytes of the checksum, the first of the blake3 of all bytes before it.
pub(super) const CHECKSUM: usize = 8;
const REMEDY: &str = "copy or fetch the file again, or compress the data again";

/// What compressing came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Compressed {
    /// Rows that were coded.
    pub rows: usize,
    /// Bytes of the file, all told.
    pub bytes: u64,
    /// Those of them that are not codes: head, lengths of blocks and checksum.
    pub overhead: u64,
    /// How far the rebuilt rows are from the rows.
    pub fidelity: Fidelity,
    /// The hash (blake3, hexadecimal) of the rebuilt values as f64, which decompressing has to give.
    pub reconstruction: String,
}

impl Compressed {
    /// Bits that a row takes in the file, its share of the head included.
    pub fn bits_per_row(&self) -> f64 {
        8.0 * self.bytes as f64 / self.rows as f64
    }

    /// Bits that the codes of a row take, as [`super::Target::BitsPerRow`] counts them: without the head.
    pub fn bits_per_row_of_codes(&self) -> f64 {
        8.0 * (self.bytes - self.overhead) as f64 / self.rows as f64
    }
}

/// Codes rows into `out`; the length of the file is left 0 and there is no checksum yet, but both count.
///
/// Memory: a block of rows (16 MiB as f64) with its codes, twice over, and what the model needs for it.
///
/// # Errors
/// If rows cannot be read, prepared or coded, or `out` cannot be written.
pub(super) fn encode(
    codec: &Codec<'_>,
    head: &Head,
    source: &dyn Source,
    out: &mut dyn Write,
    failed: &dyn Fn(std::io::Error) -> Error,
) -> Result<Compressed> {
    let (rules, mut tables) = (head.quantiser.rules(), Tables::new(&head.quantiser.spreads)?);
    let mut hash = blake3::Hasher::new();
    let mut fidelity = Fidelity::default();
    let bytes = head.bytes()?;
    out.write_all(&bytes).map_err(failed)?;
    let (mut coded, mut overhead) = (0, bytes.len() + CHECKSUM);
    for (start, rows) in codec.blocks(source.rows()) {
        let prepared = codec.prepared(source, (start, rows))?;
        let indices = rules.quantise(&codec.codes(prepared.view())?)?;
        let words = tables.encode(&indices)?;
        out.write_all(&(words.len() as u32).to_le_bytes()).map_err(failed)?;
        for word in &words {
            out.write_all(&word.to_le_bytes()).map_err(failed)?;
        }
        let rebuilt = codec.rebuild(head.quantiser.dequantise(&indices))?;
        codec.compare(source, start, &prepared, &rebuilt, &mut fidelity)?;
        add(&mut hash, &rebuilt.kept);
        coded += 4 * words.len();
        overhead += 4;
    }
    let reconstruction = hash.finalize().to_hex().to_string();
    let bytes = (coded + overhead) as u64;
    let (rows, overhead) = (source.rows(), overhead as u64);
    Ok(Compressed { rows, bytes, overhead, fidelity, reconstruction })
}

fn add(hash: &mut blake3::Hasher, values: &[f64]) {
    values.iter().for_each(|value| {
        hash.update(&value.to_le_bytes());
    });
}

/// Compresses rows into a file, whole or not at all; memory is that of a few blocks of rows.
///
/// # Errors
/// If rows cannot be read, prepared or coded, or the file cannot be written.
pub fn compress(
    path: &Path,
    codec: &Codec<'_>,
    head: &Head,
    source: &dyn Source,
) -> Result<Compressed> {
    let mut file = BufWriter::with_capacity(1 << 20, Aside::create(path)?);
    let failed = |error| Error::write(path, error);
    let done = encode(codec, head, source, &mut file, &failed)?;
    let mut aside = file.into_inner().map_err(|error| failed(error.into_error()))?;
    let mut begin = head.bytes()?[..LENGTH_AT].to_vec();
    begin.extend(done.bytes.to_le_bytes());
    aside.overwrite_start(&begin)?;
    let checksum = checksum(&aside.hash()?);
    aside.write_all(&checksum).map_err(failed)?;
    aside.finish()?;
    Ok(done)
}

/// The first bytes of a hash in hexadecimal.
fn checksum(hash: &str) -> [u8; CHECKSUM] {
    u64::from_str_radix(&hash[..2 * CHECKSUM], 16).unwrap_or_default().to_be_bytes()
}

/// A compressed file that was found whole.
pub struct CompressedFile {
    path: PathBuf,
    file: BufReader<File>,
    head: Head,
    /// Bytes before the checksum that were not read yet.
    left: u64,
}

impl CompressedFile {
    /// Opens a file and reads it once to compare its checksum.
    ///
    /// # Errors
    /// If it is no such file, is cut off or damaged.
    pub fn open(path: &Path) -> Result<Self> {
        let mut file = File::open(path).map_err(|error| Error::read(path, error))?;
        let found = file.metadata().map_err(|error| Error::read(path, error))?.len();
        let fixed = begin(path, &mut file)?;
        let (length, model, packed) = Head::fixed(path, &fixed)?;
        if found != length || found < (FIXED + CHECKSUM) as u64 {
            let how = if found < length { "cut off" } else { "damaged" };
            let problem = format!("it is {how}: it should have {length} bytes and has {found}");
            return Err(Error::bad_file(path, problem, REMEDY));
        }
        verify(path, &mut file, length - CHECKSUM as u64)?;
        let mut file = BufReader::with_capacity(1 << 20, file);
        let left = length - (FIXED + CHECKSUM) as u64;
        file.seek(SeekFrom::Start(FIXED as u64)).map_err(|error| Error::read(path, error))?;
        let packed = read(path, &mut file, u64::from(packed), left)?;
        let left = left - packed.len() as u64;
        let head = Head::unpack(path, model, &packed)?;
        Ok(Self { path: path.to_owned(), file, head, left })
    }

    /// What stands before the codes.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Refuses a file whose rows this codec cannot have made, before anything is done for them.
    ///
    /// # Errors
    /// If its rows or codes have another width than the model's.
    pub fn check(&self, codec: &Codec<'_>) -> Result<()> {
        codec.check(&self.head.about, self.head.quantiser.dim())
    }

    /// Gives `with` the indices of each block of rows, and the rows before it.
    ///
    /// # Errors
    /// If the file cannot be read or does not hold so many rows, or `with` fails.
    pub fn indices(
        &mut self,
        codec: &Codec<'_>,
        mut with: impl FnMut(usize, &[i32]) -> Result<()>,
    ) -> Result<()> {
        self.check(codec)?;
        let bad = |path: &Path, problem: &str| Error::bad_file(path, problem, REMEDY);
        let mut tables = Tables::new(&self.head.quantiser.spreads)?;
        for (start, rows) in codec.blocks(self.head.about.rows) {
            let words = self.words()?;
            let indices = tables.decode(&words, rows)?;
            let indices = indices.ok_or_else(|| bad(&self.path, "its codes cannot be read"))?;
            with(start, &indices)?;
        }
        match self.left {
            0 => Ok(()),
            left => Err(bad(&self.path, &format!("{left} bytes follow the last row"))),
        }
    }

    /// Gives `with` the rebuilt rows of each block in the units of the data, and the rows before it;
    /// returns the hash of all, as compressing told it. Memory is that of a few blocks of rows.
    ///
    /// # Errors
    /// As [`CompressedFile::indices`], or if the file was made by another model.
    pub fn rows(
        &mut self,
        codec: &Codec<'_>,
        mut with: impl FnMut(usize, &[f64]) -> Result<()>,
    ) -> Result<String> {
        let mut hash = blake3::Hasher::new();
        let quantiser = self.head.quantiser.clone();
        self.indices(codec, |start, indices| {
            let rebuilt = codec.rebuild(quantiser.dequantise(indices))?;
            add(&mut hash, &rebuilt.kept);
            with(start, &rebuilt.kept)
        })?;
        Ok(hash.finalize().to_hex().to_string())
    }

    /// The code words of the next block.
    fn words(&mut self) -> Result<Vec<u32>> {
        let count = read(&self.path, &mut self.file, 4, self.left)?;
        let count = u32::from_le_bytes([count[0], count[1], count[2], count[3]]);
        self.left -= 4;
        let bytes = read(&self.path, &mut self.file, 4 * u64::from(count), self.left)?;
        self.left -= bytes.len() as u64;
        Ok(bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect())
    }
}

/// The part of a head whose length is fixed.
fn begin(path: &Path, file: &mut File) -> Result<[u8; FIXED]> {
    let mut bytes = Vec::new();
    let read = Read::take(&mut *file, FIXED as u64).read_to_end(&mut bytes);
    read.map_err(|error| Error::read(path, error))?;
    let whole = <[u8; FIXED]>::try_from(&bytes[..]);
    whole.or_else(|_| {
        bytes.resize(FIXED, 0);
        // Where it does not even begin as such a file, that is what is told.
        Head::fixed(path, &<[u8; FIXED]>::try_from(&bytes[..]).unwrap_or([0; FIXED]))?;
        Err(Error::bad_file(path, "it is cut off in its head", REMEDY))
    })
}

/// So many bytes, of those that are left.
fn read(path: &Path, file: &mut impl Read, count: u64, left: u64) -> Result<Vec<u8>> {
    if count > left {
        let problem = format!("it tells of {count} bytes where {left} are left");
        return Err(Error::bad_file(path, problem, REMEDY));
    }
    let mut bytes = vec![0; count as usize];
    file.read_exact(&mut bytes).map_err(|error| Error::read(path, error))?;
    Ok(bytes)
}

/// Compares the checksum behind the first `length` bytes.
fn verify(path: &Path, file: &mut File, length: u64) -> Result<()> {
    let mut hasher = blake3::Hasher::new();
    let mut told = [0; CHECKSUM];
    let mut compare = || {
        file.seek(SeekFrom::Start(0))?;
        hasher.update_reader(Read::take(&mut *file, length))?;
        file.read_exact(&mut told)
    };
    compare().map_err(|error| Error::read(path, error))?;
    if told == checksum(&hasher.finalize().to_hex()) {
        return Ok(());
    }
    let problem = "it is damaged: its bytes do not give its checksum";
    Err(Error::bad_file(path, problem, REMEDY))
}
