//! `narrows fetch` from a server of its own on this machine.

#![allow(clippy::unwrap_used)]

mod harness;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use harness::{Desk, zip};

/// How the server answers.
#[derive(Clone, Default)]
struct Manners {
    /// Bytes after which a body breaks off, so many times.
    break_after: Option<usize>,
    breaks: usize,
    /// No Range: every answer begins at the beginning.
    whole_only: bool,
    /// Nothing names the state of a file.
    no_etag: bool,
    /// Ranges are sent of whatever state the file is in.
    no_if_range: bool,
}

/// What is asked of the server: path, and where the range begins.
type Asked = Arc<Mutex<Vec<(String, Option<usize>)>>>;

type Files = Vec<(&'static str, Vec<u8>)>;

struct Server {
    url: String,
    asked: Asked,
    files: Arc<Mutex<Files>>,
}

impl Server {
    fn new(files: Files, manners: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Asked::default();
        let noted = asked.clone();
        let files = Arc::new(Mutex::new(files));
        let held = files.clone();
        thread::spawn(move || {
            let mut manners = manners;
            for stream in listener.incoming().flatten() {
                let _ = answer(stream, &held.lock().unwrap(), &mut manners, &noted);
            }
        });
        Self { url, asked, files }
    }

    /// Other files from now on.
    fn replace(&self, files: Files) {
        *self.files.lock().unwrap() = files;
    }

    fn asked(&self) -> Vec<(String, Option<usize>)> {
        self.asked.lock().unwrap().clone()
    }

    /// Where the ranges began that were asked for since this was last called.
    fn starts(&self) -> Vec<Option<usize>> {
        self.asked.lock().unwrap().drain(..).map(|(_, from)| from).collect()
    }
}

fn answer(
    mut stream: TcpStream,
    files: &[(&str, Vec<u8>)],
    manners: &mut Manners,
    noted: &Asked,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let path = lines.next().unwrap()?.split(' ').nth(1).unwrap().to_owned();
    let (mut from, mut state) = (None, None);
    for line in lines {
        let line = line?.to_lowercase();
        if line.is_empty() {
            break;
        }
        let range = line.strip_prefix("range: bytes=").and_then(|range| range.strip_suffix('-'));
        from = range.map_or(from, |start| start.parse().ok());
        state = line.strip_prefix("if-range: ").map(str::to_owned).or(state);
    }
    noted.lock().unwrap().push((path.clone(), from));
    let Some((_, bytes)) = files.iter().find(|(name, _)| path == format!("/{name}")) else {
        return stream.write_all(
            b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        );
    };
    let etag = etag(bytes);
    let same = manners.no_if_range || state.is_none_or(|state| state == etag);
    let start = from.filter(|_| same && !manners.whole_only).unwrap_or(0);
    let whole = bytes.len();
    let body = bytes.get(start..).unwrap_or_default();
    let (status, range) = match start {
        0 => ("200 OK", String::new()),
        _ if body.is_empty() => ("416 Range Not Satisfiable", format!("bytes */{whole}")),
        _ => ("206 Partial Content", format!("bytes {start}-{}/{whole}", whole - 1)),
    };
    write!(stream, "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n", body.len())?;
    if !range.is_empty() {
        write!(stream, "content-range: {range}\r\n")?;
    }
    if !manners.no_etag {
        write!(stream, "etag: {etag}\r\n")?;
    }
    write!(stream, "\r\n")?;
    let end = match manners.break_after.filter(|_| manners.breaks > 0) {
        Some(after) => {
            manners.breaks -= 1;
            after.min(body.len())
        }
        None => body.len(),
    };
    stream.write_all(&body[..end])
}

fn etag(bytes: &[u8]) -> String {
    let step = |sum: u64, &byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte));
    format!("\"{:x}\"", bytes.iter().fold(0, step))
}

fn stories() -> Files {
    stories_of("cat")
}

fn stories_of(whom: &str) -> Files {
    let text = format!("Once there was a {whom}.\n<|endoftext|>\n").repeat(5000).into_bytes();
    vec![("TinyStoriesV2-GPT4-valid.txt", text.clone()), ("TinyStoriesV2-GPT4-train.txt", text)]
}

fn fetch(desk: &Desk, set: &str, url: &str) -> (i32, String) {
    let output = desk.command(&format!("fetch {set} --out got --mirror {url}")).output().unwrap();
    let message = desk.without_path(&output.stderr);
    assert!(!message.contains("panicked"), "{message}");
    (output.status.code().unwrap(), message)
}

#[test]
fn what_breaks_off_goes_on_and_what_is_there_is_not_fetched_again() {
    let desk = Desk::new();
    let manners = Manners { break_after: Some(70_000), breaks: 2, ..Manners::default() };
    let server = Server::new(stories(), manners);
    let (code, message) = fetch(&desk, "tinystories", &server.url);
    assert_eq!(code, 0, "{message}");
    for (name, bytes) in stories() {
        assert!(fs::read(desk.path("got").join(name)).unwrap() == bytes, "{name}");
    }
    let starts: Vec<_> = server.asked().iter().map(|(_, from)| *from).collect();
    assert_eq!(starts, [None, Some(70_000), Some(140_000), None]);
    let (code, message) = fetch(&desk, "tinystories", &server.url);
    assert_eq!((code, message.matches("there already").count()), (0, 2), "{message}");
    assert_eq!(server.asked().len(), 4, "asked again");
    assert!(!desk.path("got/TinyStoriesV2-GPT4-valid.txt.part").exists());
}

/// A server of stories that breaks off until a command gives up with 4,000 bytes of the first file.
fn broken_off(desk: &Desk, manners: Manners) -> Server {
    let server = Server::new(stories(), Manners { break_after: Some(1000), breaks: 4, ..manners });
    assert_eq!(fetch(desk, "tinystories", &server.url).0, 1);
    assert_eq!(server.starts().len(), 4);
    server
}

/// Fetches again: the stories are then these, and nothing else is left. Says where the ranges began that were asked
/// for of the first file.
fn fetched_again(desk: &Desk, server: &Server, files: Files) -> Vec<Option<usize>> {
    let (code, message) = fetch(desk, "tinystories", &server.url);
    assert_eq!(code, 0, "{message}");
    for (name, bytes) in &files {
        assert!(fs::read(desk.path("got").join(name)).unwrap() == *bytes, "{name}");
    }
    assert_eq!(fs::read_dir(desk.path("got")).unwrap().count(), files.len());
    let mut starts = server.starts();
    assert_eq!(starts.pop(), Some(None));
    starts
}

#[test]
fn a_later_command_goes_on_where_an_earlier_one_ended() {
    let desk = Desk::new();
    let server = broken_off(&desk, Manners::default());
    assert_eq!(fetched_again(&desk, &server, stories()), [Some(4000)]);
}

#[test]
fn bytes_of_two_servers_or_of_two_states_are_not_mixed() {
    for no_if_range in [false, true] {
        let desk = Desk::new();
        let server = broken_off(&desk, Manners { no_if_range, ..Manners::default() });
        server.replace(stories_of("dog"));
        let starts = fetched_again(&desk, &server, stories_of("dog"));
        let again = no_if_range.then_some(None);
        assert_eq!(starts, [Some(Some(4000)), again].into_iter().flatten().collect::<Vec<_>>());
    }
    let desk = Desk::new();
    broken_off(&desk, Manners::default());
    let other = Server::new(stories_of("dog"), Manners::default());
    assert_eq!(fetched_again(&desk, &other, stories_of("dog")), [None]);
}

#[test]
fn what_is_of_no_known_state_is_begun_again() {
    let desk = Desk::new();
    let server = broken_off(&desk, Manners { no_etag: true, ..Manners::default() });
    assert_eq!(fetched_again(&desk, &server, stories()), [None]);
    let desk = Desk::new();
    desk.write("got/TinyStoriesV2-GPT4-valid.txt.part", "Once");
    assert_eq!(fetched_again(&desk, &server, stories()), [None]);
}

#[test]
fn a_part_with_no_byte_after_it_is_whole_only_if_it_is_as_long_as_the_file() {
    let (name, mut bytes) = stories().swap_remove(0);
    let part = format!("got/{name}.part");
    let desk = Desk::new();
    let server = broken_off(&desk, Manners::default());
    desk.write(&part, &bytes);
    assert_eq!(fetched_again(&desk, &server, stories()), [Some(bytes.len())]);
    let desk = Desk::new();
    let server = broken_off(&desk, Manners::default());
    bytes.push(b'.');
    desk.write(&part, &bytes);
    assert_eq!(fetched_again(&desk, &server, stories()), [Some(bytes.len()), None]);
}

#[test]
fn a_sum_that_is_compared_with_none_is_told() {
    let desk = Desk::new();
    let server = Server::new(stories(), Manners::default());
    let (_, message) = fetch(&desk, "tinystories", &server.url);
    assert_eq!(message.matches("not compared, its sha256 is ").count(), 2, "{message}");
}

#[test]
fn a_server_without_ranges_begins_again() {
    let desk = Desk::new();
    let manners =
        Manners { break_after: Some(70_000), breaks: 1, whole_only: true, ..Manners::default() };
    let server = Server::new(stories(), manners);
    assert_eq!(fetch(&desk, "tinystories", &server.url).0, 0);
    for (name, bytes) in stories() {
        assert!(fs::read(desk.path("got").join(name)).unwrap() == bytes, "{name}");
    }
}

#[test]
fn wrong_bytes_are_not_kept() {
    let desk = Desk::new();
    let wrong = vec![("train-images-idx3-ubyte.gz", b"not digits".to_vec())];
    let server = Server::new(wrong, Manners::default());
    let (code, message) = fetch(&desk, "mnist", &server.url);
    assert_eq!(code, 1, "{message}");
    assert!(
        message.contains("expected sha256 440fcabf") && message.contains("--mirror"),
        "{message}"
    );
    assert_eq!(fs::read_dir(desk.path("got")).unwrap().count(), 0);
    // What is there and wrong is fetched again, not trusted.
    desk.write("got/train-images-idx3-ubyte.gz", "cut off");
    assert_eq!(fetch(&desk, "mnist", &server.url).0, 1);
    assert_eq!(server.asked().len(), 2);
}

#[test]
fn what_is_not_there_and_who_does_not_answer_are_told() {
    let desk = Desk::new();
    let server = Server::new(Vec::new(), Manners::default());
    let (code, message) = fetch(&desk, "fashion-mnist", &server.url);
    assert_eq!(code, 1);
    assert!(message.contains("status 404"), "{message}");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (code, message) = fetch(&desk, "mnist", &format!("http://{closed}"));
    assert_eq!(code, 1);
    assert!(
        message.contains("4 times in a row") && message.contains("check the network"),
        "{message}"
    );
}

#[test]
fn an_archive_of_other_pictures_is_refused_and_nothing_is_unpacked() {
    let desk = Desk::new();
    let names: Vec<String> =
        (1..=40).flat_map(|s| (1..=10).map(move |i| format!("att/s{s}/{i}.pgm"))).collect();
    let files: Vec<(&str, Vec<u8>)> =
        names.iter().map(|name| (name.as_str(), harness::pgm(4, 4, 1))).collect();
    let server = Server::new(vec![("att_faces.zip", zip(&files))], Manners::default());
    let (code, message) = fetch(&desk, "orl", &server.url);
    assert_eq!(code, 2, "{message}");
    assert!(message.contains("its pictures are others"), "{message}");
    assert!(message.contains("it is removed: run the command again"), "{message}");
    assert_eq!(fs::read_dir(desk.path("got")).unwrap().count(), 0);
    // The next command fetches again, whether or not the archive can be read.
    server.replace(vec![("att_faces.zip", b"PK\x03\x04cut off".to_vec())]);
    let (code, message) = fetch(&desk, "orl", &server.url);
    assert_eq!((code, message.contains("there already")), (2, false), "{message}");
    assert_eq!(fs::read_dir(desk.path("got")).unwrap().count(), 0);
    assert_eq!(server.asked().len(), 2);
    // What a person put there is theirs.
    desk.write("got/att_faces.zip", b"PK\x03\x04mine");
    let (code, message) = fetch(&desk, "orl", &server.url);
    assert_eq!((code, message.contains("remove it, and run")), (2, true), "{message}");
    assert_eq!(fs::read(desk.path("got/att_faces.zip")).unwrap(), b"PK\x03\x04mine");
}
