//! Whole pages: of full records, of empty ones, of broken numbers.

#![allow(clippy::unwrap_used)]

use serde::de::DeserializeOwned;

use super::page::tests::assert_balanced;
use super::*;
use crate::data::ImageShape;
use crate::evaluate::{Certificate, Pythagoras};
use crate::train::Epoch;

const SHAPE: ImageShape = ImageShape { height: 4, width: 3, channels: 1 };

fn row(seed: usize) -> Vec<f32> {
    (0..12).map(|place| ((seed + 3 * place) as f32).sin()).collect()
}

fn spectrum() -> Spectrum {
    let explained_variance: Vec<f64> = (1..=12).map(|k| 8.0 / f64::from(k * k)).collect();
    let total_variance: f64 = explained_variance.iter().sum();
    Spectrum {
        ratio: explained_variance.iter().map(|v| v / total_variance).collect(),
        null_threshold: Some(vec![0.4; 12]),
        explained_variance,
        total_variance,
        chosen: 4,
        reason: "the <least> number with 90 % of the variance".into(),
    }
}

fn codes() -> Codes {
    Codes {
        points: (0..60).map(|p| [f64::from(p).sin(), f64::from(p * p).cos()]).collect(),
        rows: 60,
        classes: (0..60).map(|place| place % 3).collect(),
        class_names: ["<zero>", "one", "two"].map(String::from).into(),
        axis_names: ["first".into(), "second".into()],
    }
}

fn score(name: &str, value: f64) -> Score {
    let [unit, formula, meaning] = ["", "a < b", "less & less"].map(String::from);
    Score { name: name.into(), value, unit, formula, meaning }
}

fn run() -> RunReport {
    let epochs = 1..=5_u32;
    RunReport {
        title: "<digits>".into(),
        data: "a & b.npy".into(),
        rows: 60,
        input_dim: 12,
        latent_dim: 4,
        model: "linear autoencoder".into(),
        command: "narrows fit --data 'a & b.npy'".into(),
        configuration: serde_json::json!({ "seed": 7, "name": "</pre>" }),
        scores: vec![score("explained_variance", 0.912), score("squared_error_per_row", 0.5)],
        baseline: Some(vec![score("explained_variance", 0.934)]),
        spectrum: Some(spectrum()),
        codes: Some(codes()),
        image: Some(SHAPE),
        examples: Some(Examples {
            rows: (0..3).map(row).collect(),
            reconstructions: (1..4).map(row).collect(),
            errors: vec![0.25, 0.5, 0.75],
            names: ["<a>", "b", "c"].map(String::from).into(),
        }),
        components: Some((0..4).map(row).collect()),
        mean: Some(row(9)),
        column_names: vec!["<height>".into(); 12],
        history: Some(
            epochs
                .map(|epoch| Epoch {
                    epoch: epoch as usize,
                    loss: 1.0 / f64::from(epoch),
                    penalty: None,
                    validation: Some(1.5 / f64::from(epoch)),
                    learning_rate: 0.01,
                    batch_size: 256,
                    seconds: 0.5,
                    rows_per_second: 1e4,
                })
                .collect(),
        ),
        certificate: Some(Certificate {
            principal_angles: vec![1e-6, 2e-5, 4e-4, 5e-4],
            relative_excess_loss: 1e-9,
            loss: 1.0,
            optimum: 1.0,
            rows: 60,
            largest_angle: 5e-4,
        }),
        pythagoras: Some(Pythagoras {
            projected: 9.0,
            residual: 1.0,
            total: 10.0,
            relative_error: 0.0,
        }),
    }
}

fn faces() -> FacesReport {
    let rate = |distance: &str, components, mean| Rate {
        distance: distance.into(),
        components,
        mean,
        standard_deviation: 0.02,
    };
    FacesReport {
        title: "<faces>".into(),
        data: "orl".into(),
        command: "narrows faces evaluate".into(),
        people: 3,
        images: 60,
        image: SHAPE,
        splits: 10,
        train_per_person: 5,
        seed: 1,
        rates: vec![
            rate("<euclidean>", Some(10), 0.9),
            rate("<euclidean>", Some(40), 0.95),
            rate("cosine", Some(10), 0.92),
            rate("<euclidean>", None, 0.94),
        ],
        roc: Some(vec![Curve {
            name: "<cosine>".into(),
            points: vec![[0.0, 0.0], [0.05, 0.95], [1.0, 1.0]],
            equal_error_rate: 0.05,
        }]),
        mean_face: row(0),
        eigenfaces: (1..6).map(row).collect(),
        spectrum: Some(spectrum()),
        rebuilt: Some(Rebuilt {
            original: row(1),
            steps: vec![(1, row(2), 3.0), (4, row(1), 0.0)],
        }),
        gallery: Some(codes()),
        mistakes: vec![Mistake {
            probe: row(1),
            found: row(2),
            true_name: "<ann>".into(),
            found_name: "bob".into(),
            distance: 1.0,
            margin: 0.5,
            nearest_true: row(3),
            nearest_true_distance: 1.5,
        }],
        scores: vec![score("rank_1", 0.95)],
        configuration: serde_json::json!({ "seed": 1 }),
    }
}

/// What must hold of any page whatever its record.
fn assert_sound(html: &str) {
    assert_balanced(html);
    // Pictures are random letters: what stands in them means nothing.
    let text = html.split("base64,").map(|part| part.split_once("\"/>").map_or(part, |cut| cut.1));
    let text: String = text.collect();
    for word in ["NaN", "inf\"", "inf%", "<script", "http:", "https:"] {
        assert!(!text.contains(word), "{word} in the page");
    }
}

#[test]
fn the_page_of_a_run_shows_everything_that_is_known() {
    let html = run_page(&run());
    assert_sound(&html);
    for heading in
        ["Rows and", "Spectrum", "Codes", "Components", "Learning", "Certificate", "Pythagoras"]
    {
        assert!(html.contains(&format!("<h2>{heading}")), "{heading}");
    }
    for text in [
        "91.2\u{a0}%",
        "PCA of the same width: 93.4\u{a0}%",
        "&lt;a&gt;",
        "training found the space",
    ] {
        assert!(html.contains(text), "{text}");
    }
    for raw in ["<digits>", "<least>", "<zero>", "<a>", "<height>", "a & b"] {
        assert!(!html.contains(raw), "{raw}");
    }
    assert!(!html.contains("Not on this page"));
    // Three rows of three examples, four components, the mean.
    assert_eq!(html.matches("data:image/png").count(), 14);
}

#[test]
fn a_table_shows_names_of_columns_in_place_of_pictures() {
    let html = run_page(&RunReport { image: None, ..run() });
    assert_sound(&html);
    assert!(!html.contains("data:image/png"));
    assert_eq!(html.matches("class=\"loadings\"").count(), 4);
    assert!(html.contains("&lt;height&gt;: "));
}

#[test]
fn the_page_of_faces_shows_everything_that_is_known() {
    let html = faces_page(&faces());
    assert_sound(&html);
    for text in [
        "95.0\u{a0}% ± 2.0\u{a0}%",
        "raw pixels",
        "equal error rate 5.0\u{a0}%",
        "bob at distance 1",
    ] {
        assert!(html.contains(text), "{text}");
    }
    for raw in ["<faces>", "<euclidean>", "<cosine>", "<ann>"] {
        assert!(!html.contains(raw), "{raw}");
    }
    // The mean, five eigenfaces, three pictures of the rebuilt face, three of the mistake.
    assert_eq!(html.matches("data:image/png").count(), 12);
}

#[test]
fn an_empty_record_gives_a_page_that_says_what_is_missing() {
    let html = run_page(&RunReport {
        scores: vec![],
        baseline: None,
        spectrum: None,
        codes: None,
        examples: None,
        components: None,
        mean: None,
        history: None,
        certificate: None,
        pythagoras: None,
        rows: 0,
        latent_dim: 0,
        ..run()
    });
    assert_sound(&html);
    let (_, foot) = html.split_once("Not on this page").unwrap();
    assert_eq!(foot.matches("<li>").count(), 7);
    assert!(html.contains("The table has no rows."));

    let html = faces_page(&FacesReport {
        rates: vec![],
        roc: None,
        mean_face: vec![],
        eigenfaces: vec![],
        spectrum: None,
        rebuilt: None,
        gallery: None,
        mistakes: vec![],
        scores: vec![],
        ..faces()
    });
    assert_sound(&html);
    let (_, foot) = html.split_once("Not on this page").unwrap();
    assert_eq!(foot.matches("<li>").count(), 6);
    assert!(html.contains("There are no pictures to show."));
    assert!(html.contains("No probe was taken for somebody else."));
}

#[test]
fn empty_lists_and_numbers_that_are_none_never_break_a_page() {
    let nothing = f64::NAN;
    let html = run_page(&RunReport {
        scores: vec![score("explained_variance", nothing)],
        spectrum: Some(Spectrum {
            explained_variance: vec![nothing; 3],
            ratio: vec![],
            chosen: 9,
            null_threshold: Some(vec![]),
            ..spectrum()
        }),
        codes: Some(Codes { points: vec![[nothing, 1.0]], classes: vec![7], ..codes() }),
        examples: Some(Examples {
            rows: vec![vec![f32::NAN; 12], row(1)],
            reconstructions: vec![vec![0.0; 5]],
            errors: vec![nothing],
            names: vec![],
        }),
        components: Some(vec![vec![], vec![f32::INFINITY; 12]]),
        history: Some(vec![]),
        certificate: Some(Certificate {
            principal_angles: vec![0.0, nothing],
            relative_excess_loss: nothing,
            loss: nothing,
            optimum: 0.0,
            rows: 60,
            largest_angle: nothing,
        }),
        pythagoras: Some(Pythagoras {
            projected: nothing,
            residual: 1.0,
            total: 0.0,
            relative_error: nothing,
        }),
        ..run()
    });
    assert_sound(&html);
    for text in [
        "3 values are left out",
        "1 value is left out",
        "There are no values of loss",
        "not a number",
        "draw a picture",
        "no positive finite numbers",
    ] {
        assert!(html.contains(text), "{text}");
    }
    let rates = vec![Rate { mean: nothing, components: Some(0), ..faces().rates[0].clone() }];
    let roc = Some(vec![Curve { name: "x".into(), points: vec![], equal_error_rate: nothing }]);
    assert_sound(&faces_page(&FacesReport { rates, roc, ..faces() }));
}

#[test]
fn a_short_reconstruction_of_a_table_is_not_a_panic() {
    let examples = Some(Examples {
        rows: vec![row(1), row(2)],
        reconstructions: vec![vec![0.0; 2]],
        errors: vec![],
        names: vec![],
    });
    let report = RunReport { image: None, column_names: vec![], examples, ..run() };
    let html = run_page(&report);
    assert_sound(&html);
    assert!(html.contains("column 1"));
}

#[test]
fn a_record_read_back_gives_the_same_page() {
    let text = serde_json::to_string(&run()).unwrap();
    assert_eq!(run_page(&serde_json::from_str(&text).unwrap()), run_page(&run()));
    let text = serde_json::to_string(&faces()).unwrap();
    assert_eq!(faces_page(&serde_json::from_str(&text).unwrap()), faces_page(&faces()));
}

/// For the eye: `NARROWS_RECORDS=folder cargo test -p narrows look -- --ignored` makes a page
/// beside every `run*.json` and `faces*.json` of the folder.
#[test]
#[ignore = "needs a folder of records; the pages are for looking at"]
fn look_at_pages_of_recorded_runs() {
    fn read<T: DeserializeOwned>(path: &Path) -> T {
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }
    let folder = std::env::var("NARROWS_RECORDS").unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let html = match name {
            _ if !name.ends_with(".json") => continue,
            _ if name.starts_with("faces") => faces_page(&read(&path)),
            _ => run_page(&read(&path)),
        };
        assert_sound(&html);
        assert!(html.len() < 1_500_000, "{name}: a page of {} bytes", html.len());
        write(path.with_extension("html"), &html).unwrap();
    }
}

#[test]
fn writing_replaces_a_page_and_leaves_nothing_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.html");
    write(&path, "old").unwrap();
    write(&path, "new").unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let error = write(folder.path().join("none/report.html"), "x").unwrap_err();
    assert_eq!(error.exit_code(), 2);
}
