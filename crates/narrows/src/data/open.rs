//! One door to every format: what a file holds is recognised by its first bytes.

use std::path::{Path, PathBuf};

use super::mapped::Content;
use super::nearest::did_you_mean;
use super::numbers::Numbers;
use super::shards::MANIFEST;
use super::source::Source;
use super::wav::Sound;
use super::{
    Dataset, Element, activations, arrow, demo, idx, images, labels, npy, npz, resized,
    safetensors, table, wav,
};
use crate::error::{Error, Result};

/// The formats that are read, as a message lists them.
const FORMATS: &str = "npy, npz, idx (each also gzipped), safetensors, arrow, csv, tsv, txt, png, jpeg, \
                       pgm, ppm, wav, a folder of images or of activations";

/// How a set is to be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenOptions {
    /// Keeps the colours of images (red, green, blue); otherwise they become grey.
    pub colour: bool,
    /// The width and height that every image is brought to.
    pub resize: Option<(usize, usize)>,
    /// The column of a table that holds the classes: its name, or its number counted from 1.
    pub label_column: Option<String>,
    /// A separate file of labels: npy, npz (`PATH#name`), idx, a csv of one column, or a text file
    /// with one label a line.
    pub labels: Option<String>,
    /// Samples of a frame of sound, where the name of the file does not say (`PATH?frame=512`);
    /// everything else leaves it unread.
    pub frame: Option<usize>,
}

/// What the rows of a set lay in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// An array of numbers, or a built-in set.
    Array,
    /// An idx file, as those of MNIST.
    Idx,
    /// One picture.
    Picture,
    /// A folder of pictures.
    Pictures,
    /// A csv or tsv table.
    Table,
    /// A WAV file.
    Sound(Sound),
}

/// What the rows of the set called `spec` lie in.
///
/// # Errors
/// If there is no such file, or it cannot be read.
pub fn origin(spec: &str) -> Result<Origin> {
    if spec.starts_with(demo::PREFIX) {
        return Ok(Origin::Array);
    }
    let (path, member, _) = split_frame(spec)?;
    if path.is_dir() {
        let activations = activations::is_folder(&path) || member.is_some();
        return Ok(if activations { Origin::Array } else { Origin::Pictures });
    }
    let content = Content::of(&path)?;
    Ok(match Format::of(&path, &content.bytes) {
        Some(Format::Idx) => Origin::Idx,
        Some(Format::Image) => Origin::Picture,
        Some(Format::Table) => Origin::Table,
        Some(Format::Wav) => Origin::Sound(wav::header(&path, &content.bytes)?.0),
        _ => Origin::Array,
    })
}

/// Opens the set called `spec`: a file, a folder of images or a store of activations, an array in a
/// npz file or a tensor in a safetensors file (`PATH#name`), sound in frames of so many samples
/// (`PATH?frame=512`), or a built-in set (`demo:NAME`).
///
/// Files of npy, idx and uncompressed npz are mapped, so that only the blocks that are read take
/// memory; safetensors and stores are read by the piece; compressed files, tables and images are held
/// in memory.
///
/// A relative path that does not exist here is looked for in the folder that the environment variable
/// NARROWS_DATA names.
///
/// [`Dataset::content_hash`] is the hash of the file; above 64 MiB it is a fingerprint, the hash of
/// the length and of the first, middle and last 16 MiB. Of a folder the names and bytes of all
/// images are hashed, of a store its manifest.
///
/// # Errors
/// If there is no such file, its format is not known, it is damaged or it holds no rows; if
/// labels are missing or their count differs from the rows; if an option does not apply.
pub fn open(spec: &str, options: &OpenOptions) -> Result<Dataset> {
    if options.labels.is_some() && options.label_column.is_some() {
        return Err(Error::mistake(
            "open",
            "labels from one place",
            "a label file and a label column",
            "give --labels or --label-column, not both",
        ));
    }
    let mut dataset = if spec.starts_with(demo::PREFIX) {
        refuse_unused(spec, options, false, false)?;
        demo::open(spec)?
    } else {
        open_path(spec, options)?
    };
    spec.clone_into(&mut dataset.name);
    if let Some(size) = options.resize {
        dataset = resized::bring_to(dataset, size)?;
    }
    if let Some(file) = &options.labels {
        dataset.labels = Some(labels::read(file, dataset.rows.rows())?);
    }
    Ok(dataset)
}

/// Opens a path without its label file.
pub(super) fn open_path(spec: &str, options: &OpenOptions) -> Result<Dataset> {
    let (path, member, frame) = split_frame(spec)?;
    if path.is_dir() {
        return open_folder(spec, &path, member.as_deref(), options);
    }
    let content = Content::of(&path)?;
    let format = Format::of(&path, &content.bytes).ok_or_else(|| {
        Error::mistake("open", FORMATS, format!("'{spec}', which is none of them"), "convert it")
    })?;
    refuse_unused(spec, options, format == Format::Image, format == Format::Table)?;
    let with_members = matches!(format, Format::Npz | Format::Safetensors | Format::Arrow);
    if member.is_some() && !with_members {
        return Err(no_members(&path));
    }
    if frame.is_some() && format != Format::Wav {
        let got = format!("'{}'", path.display());
        return Err(Error::mistake("open", "a WAV file before '?frame='", got, "leave it out"));
    }
    match format {
        Format::Wav => {
            let (hash, frame) = (content.hash.clone(), frame.or(options.frame));
            let rows = wav::Frames::new(&path, content, frame.unwrap_or(wav::FRAME))?;
            Ok(from_source(rows, Element::F32, hash))
        }
        Format::Npy => array(&path, content, npy::header),
        Format::Idx => array(&path, content, idx::header),
        Format::Npz => {
            Ok(dataset(npz::open(&path, content.bytes, member.as_deref())?, content.hash))
        }
        Format::Safetensors => {
            let rows = safetensors::open(&path, member.as_deref())?;
            let element = rows.kind().element();
            Ok(from_source(rows, element, content.hash))
        }
        Format::Arrow => {
            let rows = arrow::open(std::slice::from_ref(&path), member.as_deref())?.rows;
            let element = rows.kind().element();
            Ok(from_source(rows, element, content.hash))
        }
        Format::Image => images::open_one(&path, content, options),
        Format::Table => table::open(&path, &content, options),
    }
}

/// Opens a folder: of activations or of images.
fn open_folder(
    spec: &str,
    path: &Path,
    member: Option<&str>,
    options: &OpenOptions,
) -> Result<Dataset> {
    let activations = activations::is_folder(path);
    refuse_unused(spec, options, !activations, false)?;
    match member {
        _ if activations => activations::open_folder(path, member),
        Some(_) => Err(no_members(path)),
        None => images::open_folder(path, options),
    }
}

fn no_members(path: &Path) -> Error {
    let expected = "npz, safetensors or a data set of Arrow before '#'";
    Error::mistake("open", expected, format!("'{}'", path.display()), "give the path alone")
}

type Header = fn(&Path, &[u8]) -> Result<(super::numbers::Layout, usize)>;

fn array(path: &Path, content: Content, header: Header) -> Result<Dataset> {
    let (layout, start) = header(path, &content.bytes)?;
    let data = start..content.bytes.len();
    Ok(dataset(Numbers::new(path, content.bytes, data, layout)?, content.hash))
}

fn dataset(numbers: Numbers, content_hash: String) -> Dataset {
    let (element, image) = (numbers.element(), numbers.image());
    Dataset { image, ..from_source(numbers, element, content_hash) }
}

pub(super) fn from_source(
    rows: impl Source + 'static,
    element: Element,
    content_hash: String,
) -> Dataset {
    Dataset {
        name: String::new(),
        element,
        image: None,
        rows: Box::new(rows),
        labels: None,
        columns: Vec::new(),
        row_names: Vec::new(),
        content_hash,
    }
}

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Npy,
    Npz,
    Idx,
    Safetensors,
    Arrow,
    Image,
    Table,
    Wav,
}

impl Format {
    /// Recognised by the first bytes, and only for text by the extension.
    pub(super) fn of(path: &Path, bytes: &[u8]) -> Option<Self> {
        let text = table::extension(path).is_some();
        match bytes {
            _ if npy::recognises(bytes) => Some(Self::Npy),
            _ if safetensors::recognises(bytes) => Some(Self::Safetensors),
            _ if arrow::recognises(bytes) => Some(Self::Arrow),
            _ if npz::recognises(bytes) => Some(Self::Npz),
            _ if wav::recognises(bytes) => Some(Self::Wav),
            _ if idx::recognises(bytes) => Some(Self::Idx),
            // `P5` may also begin a table.
            _ if images::recognises(bytes) && !text => Some(Self::Image),
            _ if text => Some(Self::Table),
            _ => None,
        }
    }
}

/// As [`split`], with the length of frames that `?frame=` tells.
fn split_frame(spec: &str) -> Result<(PathBuf, Option<String>, Option<usize>)> {
    match wav::split(spec).filter(|_| located(spec).is_none()) {
        Some((file, length)) => Ok((split(file)?.0, None, Some(wav::frame(spec, length)?))),
        None => split(spec).map(|(path, member)| (path, member, None)),
    }
}

/// The path of `spec` and the name behind `#`, which may also be part of a file's own name.
pub(super) fn split(spec: &str) -> Result<(PathBuf, Option<String>)> {
    if let Some(path) = located(spec) {
        return Ok((path, None));
    }
    match spec.rsplit_once('#') {
        Some((path, name)) => match located(path) {
            Some(path) => Ok((path, Some(name.to_owned()))),
            None => Err(not_found(Path::new(path))),
        },
        None => Err(not_found(Path::new(spec))),
    }
}

/// The folder of the store of activations that `spec` names; `None` where it names another set.
pub fn store_folder(spec: &str) -> Option<PathBuf> {
    located(spec).filter(|path| path.join(MANIFEST).is_file())
}

/// A path that exists: as it is given, else within the folder that NARROWS_DATA names.
pub(super) fn located(path: &str) -> Option<PathBuf> {
    let within = || Some(PathBuf::from(std::env::var_os("NARROWS_DATA")?).join(path));
    Some(PathBuf::from(path)).filter(|p| p.exists()).or_else(|| within().filter(|p| p.exists()))
}

fn not_found(path: &Path) -> Error {
    let exists = |folder: &&Path| !folder.as_os_str().is_empty() && folder.exists();
    let parent = path.ancestors().skip(1).find(exists).unwrap_or(Path::new("."));
    let names: Vec<String> = std::fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    let missing = path.strip_prefix(parent).unwrap_or(path).iter().next().unwrap_or_default();
    let hint = did_you_mean(&missing.to_string_lossy(), names.iter().map(String::as_str));
    let known = names.iter().any(|name| hint.contains(name.as_str()));
    let hint = match std::env::var_os("NARROWS_DATA") {
        None if path.is_relative() && !known => {
            format!("{hint}, or set NARROWS_DATA to the folder that holds it")
        }
        _ => hint,
    };
    Error::mistake(
        "open",
        format!("a file or folder '{}'", path.display()),
        format!("no '{}' in '{}'", missing.display(), parent.display()),
        hint,
    )
}

/// An option that would silently do nothing is a mistake.
fn refuse_unused(spec: &str, options: &OpenOptions, images: bool, table: bool) -> Result<()> {
    let unused = [
        (options.colour && !images, "--colour", "images"),
        (options.label_column.is_some() && !table, "--label-column", "a csv or tsv table"),
    ];
    match unused.into_iter().find(|(unused, ..)| *unused) {
        Some((_, option, expected)) => Err(Error::mistake(
            "open",
            format!("{expected} for {option}"),
            format!("'{spec}'"),
            format!("leave {option} out"),
        )),
        None => Ok(()),
    }
}
