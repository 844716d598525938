//! One file from the first address that gives it whole.
//!
//! What has come lies in `NAME.part` until it is proved right; a download that broke off goes on from
//! there by HTTP Range, in the same command or a later one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use narrows::{Error, Result};
use ring::digest::{Context, SHA256};

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

impl<'a> Download<'a> {
    pub(super) fn new(folder: &'a Path, mirror: Option<&'a str>, quiet: bool) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            .build();
        Self { folder, mirror, quiet, agent: config.into() }
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
        let part = part_of(path);
        let mut problem = String::new();
        for _ in 0..TRIES {
            match self.receive(address, &part) {
                Ok(()) => {
                    let proved = prove(&part, remote.proof).map_err(Trouble::Here)?;
                    return match proved {
                        Ok(()) => fs::rename(&part, path)
                            .map_err(|error| Trouble::Here(Error::write(path, error))),
                        Err(wrong) => {
                            let removed = fs::remove_file(&part);
                            removed.map_err(|e| Trouble::Here(Error::write(&part, e)))?;
                            Err(Trouble::Refused(wrong))
                        }
                    };
                }
                Err(Trouble::Broken(told)) => problem = told,
                Err(trouble) => return Err(trouble),
            }
        }
        Err(Trouble::Broken(format!("{problem}, {TRIES} times in a row")))
    }

    /// Receives what is missing of a file.
    fn receive(&self, address: &str, part: &Path) -> std::result::Result<(), Trouble> {
        let have = fs::metadata(part).map_or(0, |about| about.len());
        let mut request = self.agent.get(address);
        if have > 0 {
            request = request.header("range", format!("bytes={have}-"));
        }
        let response = request.call().map_err(|error| Trouble::Broken(error.to_string()))?;
        let here = |error| Trouble::Here(Error::write(part, error));
        let (status, length) = (response.status().as_u16(), response.body().content_length());
        let file = match status {
            200 => File::create(part),
            206 => OpenOptions::new().append(true).open(part),
            416 => {
                // It is whole already, or longer than the file: what proves it decides.
                return Ok(());
            }
            408 | 429 | 500..=599 => return Err(Trouble::Broken(format!("status {status}"))),
            _ => return Err(Trouble::Refused(format!("status {status}"))),
        };
        let begin = if status == 206 { have } else { 0 };
        let mut file = file.map_err(here)?;
        let bar = self.bar(part, length.map(|length| begin + length), begin);
        let mut body = response.into_body().into_reader();
        let got = copy(&mut body, &mut file, &bar);
        bar.finish_and_clear();
        match got {
            Copied::All(bytes) if length.is_none_or(|length| bytes == length) => {
                file.sync_all().map_err(here)
            }
            Copied::All(bytes) => Err(Trouble::Broken(format!("broke off after {bytes} bytes"))),
            Copied::NotReceived(error) => Err(Trouble::Broken(error.to_string())),
            Copied::NotWritten(error) => Err(here(error)),
        }
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

/// Where a file lies until it is whole.
pub(super) fn part_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
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
    use super::*;

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
