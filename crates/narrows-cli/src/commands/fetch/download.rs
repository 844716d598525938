//! One file from the first address that gives it whole.
//!
//! What has come lies in `NAME.part` until it is proved right; a download that broke off goes on from
//! there by HTTP Range, in the same command or a later one, if the address is the same and the file
//! there has not changed.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use narrows::{Error, Result};
use ring::digest::{Context, SHA256};
use ureq::Body;
use ureq::http::{HeaderMap, Response};

use super::part::{Had, Part};
use super::sets::{Proof, Remote};

/// How often one address is asked before the next.
const TRIES: usize = 4;
/// A server that says nothing for so long is given up.
const PATIENCE: Duration = Duration::from_secs(60);
const PIECE: usize = 1 << 16;
/// What ends a story.
const STORY_END: &[u8] = b"<|endoftext|>";

/// Where files are fetched from and to.
pub(super) struct Download<'a> {
    folder: &'a Path,
    mirror: Option<&'a str>,
    quiet: bool,
    agent: ureq::Agent,
    patience: Duration,
}

/// Why an address did not give the file.
enum Trouble {
    /// It may be asked again.
    Broken(String),
    /// It does not have it.
    Refused(String),
    /// No address helps.
    Here(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Here(error)
    }
}

/// What a server is about to send of a file.
struct Coming {
    /// The byte it begins at.
    begin: u64,
    /// The length of the whole file, if it is told.
    whole: Option<u64>,
}

impl<'a> Download<'a> {
    pub(super) fn new(folder: &'a Path, mirror: Option<&'a str>, quiet: bool) -> Self {
        Self::patient(folder, mirror, quiet, PATIENCE)
    }

    fn patient(folder: &'a Path, mirror: Option<&'a str>, quiet: bool, patience: Duration) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(patience))
            .timeout_recv_response(Some(patience))
            .timeout_per_read(Some(patience))
            .build();
        Self { folder, mirror, quiet, agent: config.into(), patience }
    }

    /// Fetches a file that is not there yet; says whether it had to.
    ///
    /// # Errors
    /// If no address gives it, it is not what it should be, or it cannot be written.
    pub(super) fn fetch(&self, remote: &Remote) -> Result<bool> {
        let path = self.folder.join(remote.name);
        if path.is_file() && prove(&path, remote.proof)?.is_ok() {
            return Ok(false);
        }
        let mut told = Vec::new();
        for address in self.addresses(remote) {
            match self.fetch_from(&address, remote, &path) {
                Ok(()) => return Ok(true),
                Err(Trouble::Here(error)) => return Err(error),
                Err(Trouble::Broken(problem) | Trouble::Refused(problem)) => {
                    told.push(format!("{address}: {problem}"));
                }
            }
        }
        Err(Error::failure(
            format!("fetch {}", remote.name),
            told.join("; "),
            "check the network, or give an address that has it with --mirror",
        ))
    }

    /// Those of the set, or that of the mirror alone.
    fn addresses(&self, remote: &Remote) -> Vec<String> {
        match self.mirror {
            Some(mirror) => vec![format!("{}/{}", mirror.trim_end_matches('/'), remote.name)],
            None => remote.addresses.iter().map(|&address| address.to_owned()).collect(),
        }
    }

    fn fetch_from(
        &self,
        address: &str,
        remote: &Remote,
        path: &Path,
    ) -> std::result::Result<(), Trouble> {
        let part = Part::of(path);
        let mut again = false;
        loop {
            let begin = self.receive_all(address, &part)?;
            let Err(wrong) = prove(part.path(), remote.proof)? else {
                return Ok(part.finish(path)?);
            };
            part.remove()?;
            // What was here before may be what is wrong: the address is not to blame yet.
            if again || begin == 0 {
                return Err(Trouble::Refused(wrong));
            }
            again = true;
        }
    }

    /// Receives a file whole; says at which byte the last of its answers began.
    fn receive_all(&self, address: &str, part: &Part) -> std::result::Result<u64, Trouble> {
        let mut problem = String::new();
        for _ in 0..TRIES {
            match self.receive(address, part) {
                Err(Trouble::Broken(told)) => problem = told,
                done => return done,
            }
        }
        Err(Trouble::Broken(format!("{problem}, {TRIES} times in a row")))
    }

    /// Receives what is missing of a file; says at which byte it began.
    fn receive(&self, address: &str, part: &Part) -> std::result::Result<u64, Trouble> {
        let had = part.had(address);
        let response = self.ask(address, had.as_ref())?;
        let Some(Coming { begin, whole }) = coming(&response, had.as_ref())? else {
            part.remove()?;
            return Err(Trouble::Broken("it does not go on from what is here".to_owned()));
        };
        if begin > 0 && whole == Some(begin) {
            return Ok(begin);
        }
        let mut file = match begin {
            0 => part.begin(address, state(response.headers()))?,
            _ => part.go_on()?,
        };
        let bar = self.bar(part.path(), whole, begin);
        let copied = copy(&mut response.into_body().into_reader(), &mut file, &bar);
        bar.finish_and_clear();
        let here = |error| Trouble::Here(Error::write(part.path(), error));
        match copied {
            Copied::All(bytes) if whole.is_none_or(|whole| begin + bytes == whole) => {
                file.sync_all().map_err(here)?;
                Ok(begin)
            }
            Copied::All(bytes) => Err(Trouble::Broken(format!("broke off after {bytes} bytes"))),
            Copied::NotReceived(error) => Err(self.broken(error.into())),
            Copied::NotWritten(error) => Err(here(error)),
        }
    }

    /// Asks for a file, or for what follows the bytes that are had of it.
    fn ask(
        &self,
        address: &str,
        had: Option<&Had>,
    ) -> std::result::Result<Response<Body>, Trouble> {
        let mut request = self.agent.get(address);
        if let Some(Had { bytes, state }) = had {
            request = request.header("range", format!("bytes={bytes}-")).header("if-range", state);
        }
        request.call().map_err(|error| self.broken(error))
    }

    fn broken(&self, error: ureq::Error) -> Trouble {
        Trouble::Broken(match error {
            ureq::Error::Timeout(_) => format!("nothing came for {:?}", self.patience),
            error => error.to_string(),
        })
    }

    fn bar(&self, part: &Path, length: Option<u64>, begin: u64) -> ProgressBar {
        if self.quiet {
            return ProgressBar::hidden();
        }
        let bar = length.map_or_else(ProgressBar::no_length, ProgressBar::new);
        let style = "{bar:24} {bytes} of {total_bytes}  {bytes_per_sec}  {msg}";
        let style = ProgressStyle::with_template(style);
        bar.set_message(part.file_stem().unwrap_or_default().to_string_lossy().into_owned());
        bar.set_position(begin);
        bar.with_style(style.unwrap_or(ProgressStyle::default_bar()))
    }
}

/// What an answer brings; none if it does not go on from what is had.
fn coming(
    response: &Response<Body>,
    had: Option<&Had>,
) -> std::result::Result<Option<Coming>, Trouble> {
    match (response.status().as_u16(), had) {
        (200, _) => Ok(Some(Coming { begin: 0, whole: response.body().content_length() })),
        (206, Some(had)) => Ok(rest(response.headers(), had, Some(had.bytes))),
        // There is no byte after those that are had: they are all, or too many.
        (416, Some(had)) => {
            let coming = rest(response.headers(), had, None);
            Ok(coming.filter(|coming| coming.whole == Some(had.bytes)))
        }
        (status @ (408 | 429 | 500..=599), _) => Err(Trouble::Broken(format!("status {status}"))),
        (status, _) => Err(Trouble::Refused(format!("status {status}"))),
    }
}

/// What goes on from what is had, if the file is in the state that it was in and its Content-Range begins
/// at `first`.
fn rest(headers: &HeaderMap, had: &Had, first: Option<u64>) -> Option<Coming> {
    let (begin, whole) = content_range(headers)?;
    let same = state(headers).is_none_or(|state| state == had.state);
    let fits = begin == first && whole >= had.bytes;
    (same && fits).then_some(Coming { begin: had.bytes, whole: Some(whole) })
}

/// The first byte, and the length of the whole, of `bytes 10-19/20`; of `bytes */20` only the length.
fn content_range(headers: &HeaderMap) -> Option<(Option<u64>, u64)> {
    let (sent, whole) =
        header(headers, "content-range")?.strip_prefix("bytes ")?.split_once('/')?;
    let first = sent.split_once('-').and_then(|(first, _)| first.parse().ok());
    Some((first, whole.parse().ok()?))
}

/// What names the bytes that a server has: a strong ETag, else Last-Modified, unless the file was changed
/// in the second in which it was sent and so may have changed again in it.
fn state(headers: &HeaderMap) -> Option<&str> {
    let strong = header(headers, "etag").filter(|tag| tag.starts_with('"'));
    let date = header(headers, "date");
    strong.or_else(|| header(headers, "last-modified").filter(|&changed| Some(changed) != date))
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// How copying ended: who failed decides what is to be done.
enum Copied {
    All(u64),
    NotReceived(io::Error),
    NotWritten(io::Error),
}

fn copy(from: &mut impl Read, to: &mut impl Write, bar: &ProgressBar) -> Copied {
    let (mut piece, mut bytes) = (vec![0; PIECE], 0);
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Copied::All(bytes),
            Ok(read) => {
                if let Err(error) = to.write_all(&piece[..read]) {
                    return Copied::NotWritten(error);
                }
                bytes += read as u64;
                bar.inc(read as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Copied::NotReceived(error),
        }
    }
}

/// Whether a file is what it should be, or what is wrong with it.
fn prove(path: &Path, proof: Proof) -> Result<std::result::Result<(), String>> {
    let failed = |error| Error::read(path, error);
    match proof {
        Proof::Sha256(wanted) => {
            let found = sha256(File::open(path).map_err(failed)?).map_err(failed)?;
            let wrong = format!("wrong bytes: expected sha256 {wanted} but got {found}");
            Ok(if found == wanted { Ok(()) } else { Err(wrong) })
        }
        Proof::Zip => {
            let begin = first(path, 4).map_err(failed)?;
            let wrong = "what came is no zip archive".to_owned();
            Ok(if begin == b"PK\x03\x04" { Ok(()) } else { Err(wrong) })
        }
        Proof::Stories => {
            let begin = first(path, PIECE as u64).map_err(failed)?;
            let told = begin.windows(STORY_END.len()).any(|piece| piece == STORY_END);
            let wrong = "what came are no stories with <|endoftext|> between them".to_owned();
            Ok(if told { Ok(()) } else { Err(wrong) })
        }
    }
}

fn first(path: &Path, bytes: u64) -> io::Result<Vec<u8>> {
    let mut begin = Vec::new();
    File::open(path)?.take(bytes).read_to_end(&mut begin)?;
    Ok(begin)
}

/// The SHA-256 of what can be read, in hexadecimal.
pub(super) fn sha256(mut from: impl Read) -> io::Result<String> {
    let (mut context, mut piece) = (Context::new(&SHA256), vec![0; PIECE]);
    loop {
        match from.read(&mut piece)? {
            0 => break,
            read => context.update(&piece[..read]),
        }
    }
    Ok(context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;
    use std::io::{BufRead, BufReader};
    use std::net::{TcpListener, TcpStream};
    use std::thread::{self, JoinHandle};

    use super::*;

    const LETTERS: Remote = Remote {
        name: "letters",
        addresses: &[],
        proof: Proof::Sha256("bef57ec7f53a6d40beb640a780a639c83bc29ac8a9816f1fc6c5c6dcd93c4721"),
    };

    /// The ranges that a server is asked for, and its connections.
    type Asked = JoinHandle<(Vec<String>, Vec<TcpStream>)>;

    /// A server that gives these answers, one for each connection, and closes none before it is joined.
    fn serve(answers: &'static [&'static str]) -> (String, Asked) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = thread::spawn(move || {
            let (mut open, mut ranges) = (Vec::new(), Vec::new());
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let head: Vec<_> =
                    lines.map(|line| line.unwrap()).take_while(|line| !line.is_empty()).collect();
                let range = head.iter().find_map(|line| line.strip_prefix("range: bytes="));
                ranges.push(range.unwrap_or_default().to_owned());
                let (head, body) = answer.split_once('|').unwrap();
                let answer = format!("HTTP/1.1 {head}\r\netag: \"1\"\r\nconnection: close\r\n\r\n");
                stream.write_all((answer + body).as_bytes()).unwrap();
                open.push(stream);
            }
            (ranges, open)
        });
        (url, asked)
    }

    fn fetched(folder: &Path, url: &str) -> Result<bool> {
        Download::patient(folder, Some(url), true, Duration::from_millis(500)).fetch(&LETTERS)
    }

    #[test]
    fn a_server_that_stops_in_a_body_is_asked_again() {
        let folder = tempfile::tempdir().unwrap();
        let (url, asked) = serve(&[
            "200 OK\r\ncontent-length: 6|abc",
            "206 Partial Content\r\ncontent-range: bytes 3-5/6\r\ncontent-length: 3|def",
        ]);
        assert!(fetched(folder.path(), &url).unwrap());
        assert_eq!(asked.join().unwrap().0, ["", "3-"]);
        assert_eq!(fs::read(folder.path().join("letters")).unwrap(), b"abcdef");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let folder = tempfile::tempdir().unwrap();
        let (url, asked) = serve(&["200 OK\r\ncontent-length: 6|"; TRIES]);
        let told = fetched(folder.path(), &url).unwrap_err().to_string();
        assert!(told.contains("nothing came for 500ms, 4 times in a row"), "{told}");
        asked.join().unwrap();
    }

    #[test]
    fn a_wrong_sum_of_what_was_gone_on_with_is_not_the_last_word() {
        let cases: [(&'static [&'static str], bool); 2] = [
            (
                &[
                    "206 Partial Content\r\ncontent-range: bytes 3-5/6\r\ncontent-length: 3|def",
                    "200 OK\r\ncontent-length: 6|abcdef",
                ],
                true,
            ),
            (
                &[
                    "206 Partial Content\r\ncontent-range: bytes 3-5/6\r\ncontent-length: 3|def",
                    "200 OK\r\ncontent-length: 6|ABCDEF",
                ],
                false,
            ),
        ];
        for (answers, good) in cases {
            let folder = tempfile::tempdir().unwrap();
            let (url, asked) = serve(answers);
            let part = Part::of(&folder.path().join("letters"));
            let mut file = part.begin(&format!("{url}/letters"), Some("\"1\"")).unwrap();
            file.write_all(b"xyz").unwrap();
            let result = fetched(folder.path(), &url);
            assert_eq!(asked.join().unwrap().0, ["3-", ""]);
            assert_eq!(result.is_ok(), good, "{result:?}");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), usize::from(good));
        }
    }

    #[test]
    fn a_state_names_bytes() {
        let state_of = |headers: &[(&'static str, &'static str)]| {
            let headers =
                headers.iter().map(|&(name, told)| (name.parse().unwrap(), told.parse().unwrap()));
            state(&headers.collect()).map(str::to_owned)
        };
        let (one, two) = ("Mon, 01 Jan 2024 00:00:00 GMT", "Mon, 01 Jan 2024 00:00:01 GMT");
        assert_eq!(state_of(&[("etag", "\"a\""), ("last-modified", one)]).unwrap(), "\"a\"");
        let weak = ("etag", "W/\"a\"");
        assert_eq!(state_of(&[weak]), None);
        assert_eq!(state_of(&[weak, ("last-modified", one), ("date", two)]).unwrap(), one);
        assert_eq!(state_of(&[weak, ("last-modified", one), ("date", one)]), None);
    }

    #[test]
    fn a_sum_is_that_of_the_standard() {
        // FIPS 180-4, example of one block.
        let sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(&b"abc"[..]).unwrap(), sum);
    }

    #[test]
    fn a_full_disk_is_told_from_a_broken_line() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let bar = ProgressBar::hidden();
        let copied = copy(&mut &b"abc"[..], &mut Full, &bar);
        assert!(matches!(copied, Copied::NotWritten(e) if e.kind() == io::ErrorKind::StorageFull));
    }
}
