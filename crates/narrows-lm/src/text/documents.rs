//! Documents of text files.
//!
//! ```text
//! .txt and others   one document, or more with <|endoftext|> between them
//! .jsonl            one document a line: the text under a key, by default `text`
//! .gz               either, packed
//! ```
//!
//! Line breaks at both ends of a document are left out. Files are read by the line, so they may be larger
//! than memory. A document longer than 64 KiB is given in parts that end with a line; the
//! first part alone begins a text. Tokens are made of each part, so that none lies in two: of a tokenizer that joins
//! line breaks, those at a joint stay apart.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use narrows::{Error, Result};

/// What stands between documents of a plain file.
const SEPARATOR: &str = "<|endoftext|>";
/// Bytes of a part of a document.
const PART: usize = 64 << 10;
/// Bytes of a line, at most: beyond that it is no text.
const LONGEST_LINE: u64 = 1 << 30;

/// Which text, and how it is taken.
#[derive(Debug, Clone, PartialEq)]
pub struct TextOptions {
    /// The files, in this order.
    pub files: Vec<PathBuf>,
    /// The key of the text in a line of jsonl.
    pub field: String,
    /// Whether letters are made small, for models that know only those.
    pub lowercase: bool,
}

impl TextOptions {
    /// The text of some files as it is.
    pub fn new(files: Vec<PathBuf>) -> Self {
        Self { files, field: "text".to_owned(), lowercase: false }
    }
}

/// A document or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Whether a document begins with it.
    pub begins: bool,
    /// The text.
    pub text: String,
}

/// The documents of some files, one after the other.
pub struct Documents {
    options: TextOptions,
    next_file: usize,
    lines: Option<Lines>,
    ready: VecDeque<Part>,
    /// What was read of a plain document that has not ended.
    open: String,
    begins: bool,
}

impl Documents {
    /// Begins to read.
    ///
    /// # Errors
    /// If there are no files, or one of them is not there.
    pub fn open(options: &TextOptions) -> Result<Self> {
        if options.files.is_empty() {
            return Err(Error::mistake("read text", "at least one file", "none", "name a file"));
        }
        for file in &options.files {
            let about = std::fs::metadata(file).map_err(|error| Error::read(file, error))?;
            if about.is_dir() {
                let got = format!("'{}', a folder", file.display());
                let remedy = "name the files in it, such as FOLDER/*.txt";
                return Err(Error::mistake("read text", "a text file", got, remedy));
            }
        }
        Ok(Self {
            options: options.clone(),
            next_file: 0,
            lines: None,
            ready: VecDeque::new(),
            open: String::new(),
            begins: true,
        })
    }

    /// The next document, or part of one; `None` after the last.
    ///
    /// # Errors
    /// If a file cannot be read, is not UTF-8, or a line of jsonl holds no text.
    pub fn advance(&mut self) -> Result<Option<Part>> {
        loop {
            if let Some(part) = self.ready.pop_front() {
                return Ok(Some(part));
            }
            let Some(lines) = &mut self.lines else {
                let Some(file) = self.options.files.get(self.next_file) else { return Ok(None) };
                self.lines = Some(Lines::open(file)?);
                self.next_file += 1;
                continue;
            };
            match lines.next_line()? {
                Some(line) if lines.json => {
                    let text = lines.text(&line, &self.options.field)?;
                    self.push_document(text);
                }
                Some(line) => self.push_line(&line),
                None => {
                    self.lines = None;
                    self.end_document();
                }
            }
        }
    }

    fn push_document(&mut self, text: Option<String>) {
        let Some(text) = text else { return };
        for line in text.split_inclusive('\n') {
            self.add(line);
        }
        self.end_document();
    }

    fn push_line(&mut self, line: &str) {
        for (place, piece) in line.split(SEPARATOR).enumerate() {
            if place > 0 {
                self.end_document();
            }
            self.add(piece);
        }
    }

    fn add(&mut self, piece: &str) {
        let first = self.begins && self.open.is_empty();
        self.open.push_str(if first { piece.trim_start_matches(['\n', '\r']) } else { piece });
        if self.open.len() >= PART {
            self.close_part();
        }
    }

    fn close_part(&mut self) {
        let mut text = std::mem::take(&mut self.open);
        if self.options.lowercase {
            text = text.to_lowercase();
        }
        self.ready.push_back(Part { begins: self.begins, text });
        self.begins = false;
    }

    fn end_document(&mut self) {
        if self.open.trim().is_empty() {
            self.open.clear();
        } else {
            self.open.truncate(self.open.trim_end_matches(['\n', '\r']).len());
            self.close_part();
        }
        self.begins = true;
    }
}

/// The lines of one file.
struct Lines {
    path: PathBuf,
    reader: Box<dyn BufRead + Send>,
    json: bool,
    /// Lines and bytes before the next line.
    line: usize,
    byte: u64,
}

impl Lines {
    fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|error| Error::read(path, error))?;
        let mut plain = BufReader::with_capacity(1 << 16, file);
        let begin = plain.fill_buf().map_err(|error| Error::read(path, error))?;
        let packed = begin.starts_with(&[0x1f, 0x8b]);
        let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase());
        let name = name.unwrap_or_default();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        let json = [".jsonl", ".ndjson"].iter().any(|end| name.ends_with(end));
        let reader: Box<dyn BufRead + Send> = match packed {
            true => Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(plain))),
            false => Box::new(plain),
        };
        Ok(Self { path: path.to_owned(), reader, json, line: 0, byte: 0 })
    }

    fn next_line(&mut self) -> Result<Option<String>> {
        let mut bytes = Vec::new();
        let mut limited = (&mut self.reader).take(LONGEST_LINE);
        let read = limited.read_until(b'\n', &mut bytes);
        let read = read.map_err(|error| Error::read(&self.path, error))?;
        if read == 0 {
            return Ok(None);
        }
        self.line += 1;
        let text = String::from_utf8(bytes).map_err(|error| self.not_text(error.utf8_error()))?;
        self.byte += read as u64;
        Ok(Some(text))
    }

    fn not_text(&self, error: std::str::Utf8Error) -> Error {
        Error::bad_file(
            &self.path,
            format!(
                "it is not UTF-8 text: line {}, byte {} of the file",
                self.line,
                self.byte + error.valid_up_to() as u64 + 1
            ),
            "bring it to UTF-8 first, as `iconv -f latin1 -t utf-8` does",
        )
    }

    /// The text of a line of jsonl; `None` of an empty line.
    fn text(&self, line: &str, field: &str) -> Result<Option<String>> {
        if line.trim().is_empty() {
            return Ok(None);
        }
        let bad = |problem: String, remedy: &str| {
            Error::bad_file(&self.path, format!("line {}: {problem}", self.line), remedy)
        };
        let value: serde_json::Value = serde_json::from_str(line).map_err(|error| {
            bad(format!("it is no JSON ({error})"), "mend or leave out the line")
        })?;
        match &value[field] {
            serde_json::Value::String(text) => Ok(Some(text.clone())),
            serde_json::Value::Null => {
                let keys = value.as_object().into_iter().flat_map(|table| table.keys());
                let keys: Vec<&str> = keys.map(String::as_str).collect();
                let problem = format!("it has no '{field}' (there are: {})", keys.join(", "));
                Err(bad(problem, "name the key of the text with --field"))
            }
            _ => Err(bad(format!("'{field}' is no text"), "name the key of the text with --field")),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Write;

    fn documents(name: &str, bytes: &[u8], change: impl Fn(&mut TextOptions)) -> Result<Vec<Part>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let mut options = TextOptions::new(vec![path]);
        change(&mut options);
        let mut documents = Documents::open(&options)?;
        let mut found = Vec::new();
        while let Some(part) = documents.advance()? {
            found.push(part);
        }
        Ok(found)
    }

    fn texts(parts: &[Part]) -> Vec<(bool, &str)> {
        parts.iter().map(|part| (part.begins, part.text.as_str())).collect()
    }

    #[test]
    fn plain_text_is_cut_at_the_separator() {
        let text = b"<|endoftext|>one\ntwo<|endoftext|>\n<|endoftext|>Three<|endoftext|>";
        let found = documents("a.txt", text, |options| options.lowercase = true).unwrap();
        assert_eq!(texts(&found), [(true, "one\ntwo"), (true, "three")]);
    }

    #[test]
    fn packed_jsonl_has_a_document_a_line() {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(b"{\"body\": \"a\\nb\"}\n\n{\"body\": \"c\"}\n").unwrap();
        let packed = packed.finish().unwrap();
        let found = documents("a.jsonl.gz", &packed, |o| o.field = "body".to_owned()).unwrap();
        assert_eq!(texts(&found), [(true, "a\nb"), (true, "c")]);
        let error = documents("a.jsonl.gz", &packed, |_| ()).unwrap_err().to_string();
        assert!(error.contains("line 1: it has no 'text' (there are: body)"), "{error}");
    }

    #[test]
    fn long_documents_come_in_parts() {
        let text = "0123456789\n".repeat(20_000);
        let found = documents("a.txt", text.as_bytes(), |_| ()).unwrap();
        assert!(found.len() > 2 && found[0].begins && !found[1].begins);
        assert_eq!(
            found.iter().map(|part| part.text.as_str()).collect::<String>(),
            text.trim_end()
        );
    }

    #[test]
    fn another_encoding_is_named_with_its_place() {
        let error = documents("a.txt", b"ab\ncaf\xe9\n", |_| ()).unwrap_err().to_string();
        assert!(error.contains("not UTF-8 text: line 2, byte 7 of the file"), "{error}");
    }
}
