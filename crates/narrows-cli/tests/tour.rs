//! The tour: every section measures something, and its page is whole.

#![allow(clippy::unwrap_used)]

mod harness;

use std::fs;
use std::process::Command;

use harness::{Desk, chromium};
use serde_json::Value;

/// Figures that a section promises, and between what they have to lie if what it says is so. They hold on the rows that
/// nothing was learned from, but for the certificate.
const PROMISES: [(u64, &str, f64, f64); 11] = [
    (1, "/neighbour_accuracy_2/accuracy", 0.7, 1.0),
    (2, "/certificate/relative_excess_loss", -1e-9, 1e-6),
    (3, "/tied/largest_angle", 0.0, 1e-3),
    (7, "/identification_rate", 0.8, 1.0),
    (7, "/strangers_rejected", 0.8, 1.0),
    (8, "/spot_unexplained_by_network", 0.0, 0.2),
    (8, "/spot_unexplained_by_pca", 0.4, 1.0),
    (15, "/mean_activation", 0.02, 0.1),
    (16, "/dictionary/loss_recovered", 0.9, 1.0),
    (16, "/dictionary/fraction_variance_unexplained", 0.0, 0.25),
    (16, "/pca/fraction_variance_unexplained", 0.25, 1.0),
];

#[test]
fn every_section_measures_what_it_promises_and_the_page_shows_all() {
    let desk = Desk::new();
    let told = desk.json("tour --json --out page");
    let sections = told["sections"].as_array().unwrap();
    assert_eq!(sections.len(), 16);
    for section in sections {
        let figure = section["figure"].as_str().unwrap();
        assert!(figure.chars().any(|c| c.is_ascii_digit()), "{section:#}");
    }
    for (number, path, low, high) in PROMISES {
        let section = sections.iter().find(|own| own["section"] == number).unwrap();
        let value = section["measured"].pointer(path).and_then(Value::as_f64);
        let value = value.unwrap_or_else(|| panic!("{number}{path}: {:#}", section["measured"]));
        assert!((low..=high).contains(&value), "{number}{path} is {value}");
    }
    let page = fs::read_to_string(desk.path("page/tour.html")).unwrap();
    for section in sections {
        let heading = format!("{} · {}", section["section"], section["title"].as_str().unwrap());
        assert!(page.contains(&heading), "no {heading}");
    }
    for outside in ["http://", "https://", "src=\"/"] {
        assert!(!page.replace("http://www.w3.org/", "").contains(outside), "asks for {outside}");
    }
    if let Some(chromium) = chromium() {
        for width in [1280, 390] {
            shown(&chromium, &desk, width);
        }
    }
}

/// Opens the page in a frame of this width: every picture is drawn, nothing stands out at the side, no script or style
/// complains.
fn shown(chromium: &str, desk: &Desk, width: u32) {
    let frame = format!(
        "<!doctype html><title>frame</title><iframe id=page src=tour.html width={width} height=900></iframe>
         <script>
         addEventListener('load', () => {{
           const inside = document.getElementById('page').contentDocument;
           const pictures = [...inside.images];
           const root = inside.documentElement;
           document.title = [pictures.length, pictures.filter(own => own.naturalWidth === 0).length,
             root.scrollWidth - root.clientWidth].join(' ');
         }});
         </script>"
    );
    desk.write("page/frame.html", frame);
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new(chromium)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"])
        .args(["--allow-file-access-from-files", "--enable-logging=stderr", "--v=0"])
        .args(["--virtual-time-budget=8000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("file://{}", desk.path("page/frame.html").display()))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!told.contains("CONSOLE"), "{width}: {told}");
    let page = String::from_utf8(output.stdout).unwrap();
    let title = page.split("<title>").nth(1).unwrap().split("</title>").next().unwrap();
    let figures: Vec<i64> = title.split(' ').map(|part| part.parse().unwrap_or(-1)).collect();
    let [pictures, missing, beyond] = figures[..] else { panic!("{width}: {title}: {told}") };
    assert!(pictures > 10, "{width}: {pictures} pictures");
    assert_eq!((missing, beyond), (0, 0), "{width}: pictures missing, pixels beyond the side");
}

#[test]
fn some_sections_alone_have_the_same_figures_again() {
    let figures = |threads: usize| {
        let desk = Desk::new();
        let mut command = desk.command("tour --only 2,4 --json --out page");
        let output = command.env("RAYON_NUM_THREADS", threads.to_string()).output().unwrap();
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        let measured = |own: &Value| own["measured"].clone();
        told["sections"].as_array().unwrap().iter().map(measured).collect::<Vec<_>>()
    };
    let once = figures(1);
    assert_eq!(once.len(), 2);
    assert_eq!(once, figures(3));
}

#[test]
fn mistakes_are_told_before_anything_is_learned() {
    let desk = Desk::new();
    desk.write("page/tour.html", "mine");
    for (line, told) in [
        ("tour --out page", "'page/tour.html', which is something else"),
        ("tour --only 17", "17"),
        ("tour --data nowhere", "'nowhere'"),
    ] {
        let output = desk.command(line).output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{line}: {message}");
        assert!(message.contains(told), "{line}: {message}");
    }
    assert_eq!(fs::read_to_string(desk.path("page/tour.html")).unwrap(), "mine");
}

/// A folder with pictures of people, as the tour looks for it.
fn people(desk: &Desk, folder: &str, people: usize, pictures: usize) {
    for person in 0..people {
        for picture in 0..pictures {
            let bytes = harness::pgm(12, 10, pictures * person + picture + 1);
            desk.write(&format!("{folder}/orl-faces/s{person}/{picture}.pgm"), bytes);
        }
    }
}

#[test]
fn faces_of_a_folder_are_enough_or_refused() {
    let desk = Desk::new();
    people(&desk, "few", 8, 5);
    people(&desk, "small", 4, 8);
    desk.write("loose/orl-faces/1.pgm", harness::pgm(12, 10, 1));
    for (folder, told) in
        [("few", "5 in that of 's0'"), ("small", "4 people"), ("loose", "in no folder of a person")]
    {
        let output = desk.command(&format!("tour --only 6 --data {folder}")).output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{folder}: {message}");
        assert!(message.contains(told) && message.contains("orl-faces"), "{folder}: {message}");
    }
    people(&desk, "a&b", 5, 8);
    desk.narrows("tour -q --only 5,6,7 --data a&b --out page");
    let page = fs::read_to_string(desk.path("page/tour.html")).unwrap();
    let quoted = "&#39;a&amp;b/orl-faces&#39;";
    assert_eq!(page.matches(quoted).count(), 3, "a shell would not take the commands");
}
