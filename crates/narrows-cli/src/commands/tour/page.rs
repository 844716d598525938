//! The page of a tour, and where it goes.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use narrows::report::page::{Block, Card, Page, Section, Table};
use narrows::store::write_aside;
use narrows::{Error, Result};
use serde_json::Value;

use super::told::{Told, heading};

/// What the page is called, and known by.
const TITLE: &str = "Narrow representations: a tour";

/// Where the page goes: made ready, and refused where something else lies there.
pub(super) fn place(folder: Option<&Path>) -> Result<PathBuf> {
    let path = match folder {
        None => PathBuf::from("narrows-tour.html"),
        Some(folder) => {
            fs::create_dir_all(folder).map_err(|error| Error::write(folder, error))?;
            folder.join("tour.html")
        }
    };
    if !path.exists() || is_ours(&path) {
        return Ok(path);
    }
    Err(Error::mistake(
        "tour",
        "nothing, or the page of an earlier tour, where the page goes",
        format!("'{}', which is something else", path.display()),
        "move it away, or give another --out",
    ))
}

fn is_ours(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(1024).read_to_end(&mut start));
    let title = format!("<title>{TITLE}</title>");
    read.is_ok() && String::from_utf8_lossy(&start).contains(&title)
}

/// Writes the page of the sections that were run.
pub(super) fn write(
    path: &Path,
    told: Vec<(usize, &str, Told)>,
    measured: &[Value],
    seconds: f64,
) -> Result<()> {
    let rows =
        told.iter().map(|(number, title, told)| vec![heading(*number, title), told.figure.clone()]);
    let overview = Section {
        heading: "At a glance".into(),
        text: vec![
            "Everything here was trained when the page was made, and measured on held-out rows, unless it is said \
             otherwise. Each section ends with what to type for data of your own."
                .into(),
        ],
        blocks: vec![Block::Table(Table {
            columns: ["section", "measured"].map(String::from).into(),
            rows: rows.collect(),
        })],
    };
    let cards = cards(measured, seconds);
    let mut sections = vec![overview];
    sections.extend(told.into_iter().map(|(number, title, told)| told.section(number, title)));
    let page = Page {
        title: TITLE.into(),
        subtitle: "From PCA and eigenfaces through deep, denoising and sparse autoencoders to the features of a \
                   language model, each idea at work on data."
            .into(),
        narrowing: Some([64, 2, 64]),
        cards,
        sections,
        missing: Vec::new(),
    };
    write_aside(path, page.render().as_bytes())
}

/// The figures to know first, of the sections that were run.
fn cards(measured: &[Value], seconds: f64) -> Vec<Card> {
    let of = |number: u64, key: &str| {
        let section = measured.iter().find(|own| own["section"] == number)?;
        section.pointer(&format!("/measured/{key}"))?.as_f64()
    };
    let mut cards = vec![Card {
        value: format!("{seconds:.0} s"),
        label: "to learn and measure all of this".into(),
        note: format!("{} sections, on {} threads", measured.len(), narrows::compute::threads()),
    }];
    let mut card = |value: Option<String>, label: &str, note: Option<String>| {
        let (label, note) = (label.to_owned(), note.unwrap_or_default());
        cards.extend(value.map(|value| Card { value, label, note }));
    };
    let percent = |share: f64| narrows::report::percent(share);
    card(
        of(1, "neighbour_accuracy_2/accuracy").map(percent),
        "of digits told by 2 numbers, without labels",
        of(1, "neighbour_accuracy_2/pca/accuracy").map(|pca| format!("{} by PCA", percent(pca))),
    );
    card(
        of(7, "identification_rate").map(percent),
        "of faces named rightly",
        of(7, "strangers_rejected")
            .map(|share| format!("{} of strangers turned away", percent(share))),
    );
    card(
        of(8, "spot_unexplained_by_network").map(percent),
        "of a curved surface lost by a network",
        of(8, "spot_unexplained_by_pca").map(|pca| format!("{} by PCA", percent(pca))),
    );
    card(
        of(16, "dictionary/loss_recovered").map(percent),
        "of a language model's loss recovered",
        of(16, "pca/loss_recovered").map(|pca| format!("{} by PCA", percent(pca))),
    );
    cards
}
