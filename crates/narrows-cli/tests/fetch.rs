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
}

/// What is asked of the server: path, and where the range begins.
type Asked = Arc<Mutex<Vec<(String, Option<usize>)>>>;

struct Server {
    url: String,
    asked: Asked,
}

impl Server {
    fn new(files: Vec<(&'static str, Vec<u8>)>, manners: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Asked::default();
        let noted = asked.clone();
        thread::spawn(move || {
            let mut manners = manners;
            for stream in listener.incoming().flatten() {
                let _ = answer(stream, &files, &mut manners, &noted);
            }
        });
        Self { url, asked }
    }

    fn asked(&self) -> Vec<(String, Option<usize>)> {
        self.asked.lock().unwrap().clone()
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
    let mut from = None;
    for line in lines {
        let line = line?.to_lowercase();
        if line.is_empty() {
            break;
        }
        let range = line.strip_prefix("range: bytes=").and_then(|range| range.strip_suffix('-'));
        from = range.map_or(from, |start| start.parse().ok());
    }
    noted.lock().unwrap().push((path.clone(), from));
    let Some((_, bytes)) = files.iter().find(|(name, _)| path == format!("/{name}")) else {
        return stream.write_all(
            b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        );
    };
    let start = from.filter(|_| !manners.whole_only).unwrap_or(0);
    if start >= bytes.len() {
        return stream.write_all(
            b"HTTP/1.1 416 Range Not Satisfiable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        );
    }
    let body = &bytes[start..];
    let status = if start > 0 { "206 Partial Content" } else { "200 OK" };
    let length = body.len();
    write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n")?;
    let end = match manners.break_after.filter(|_| manners.breaks > 0) {
        Some(after) => {
            manners.breaks -= 1;
            after.min(body.len())
        }
        None => body.len(),
    };
    stream.write_all(&body[..end])
}

fn stories() -> Vec<(&'static str, Vec<u8>)> {
    let text = "Once there was a cat.\n<|endoftext|>\n".repeat(5000).into_bytes();
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

#[test]
fn a_later_command_goes_on_where_an_earlier_one_ended() {
    let desk = Desk::new();
    let (name, bytes) = stories().swap_remove(0);
    desk.write(&format!("got/{name}.part"), &bytes[..1000]);
    let server = Server::new(stories(), Manners::default());
    assert_eq!(fetch(&desk, "tinystories", &server.url).0, 0);
    assert_eq!(server.asked()[0].1, Some(1000));
    assert!(fs::read(desk.path("got").join(name)).unwrap() == bytes);
}

#[test]
fn a_server_without_ranges_begins_again() {
    let desk = Desk::new();
    let manners = Manners { break_after: Some(70_000), breaks: 1, whole_only: true };
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
    assert!(!desk.path("got/orl-faces").exists());
}
