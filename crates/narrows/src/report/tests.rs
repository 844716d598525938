//! Whole pages: of full records, of empty ones, of broken numbers.

#![allow(clippy::unwrap_used)]

use ndarray::Array2;

use super::page::tests::assert_balanced;
use super::*;
use crate::data::{ImageShape, Labels};
use crate::evaluate::{
    Activity, Certificate, Classification, Denoising, Likeness, NeighbourScores, Neighbours,
    Pythagoras, Rate as UnitRate, Regression,
};
use crate::faces::{
    Distance, EvaluateOptions, Evaluation, Faces, Matcher, Mistake, OpenSet, Pictures, Rate, Rates,
    RocPoint,
};
use crate::objective::Corruption;
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

/// The codes in the plane, beside PCA's.
fn views() -> CodeViews {
    let of = |trustworthiness, accuracy| NeighbourScores { accuracy, trustworthiness };
    CodeViews {
        views: vec![codes()],
        projected: false,
        pca: vec![Codes { axis_names: ["<pc 1>".into(), "pc 2".into()], ..codes() }],
        neighbours: Some(Neighbours {
            rows: 60,
            nearest: 5,
            scores: of(0.875, Some(0.75)),
            pca: Some(of(0.625, Some(0.55))),
            accuracy_of_rows: Some(0.95),
        }),
        rows: 60,
    }
}

fn denoised() -> Denoised {
    let likeness = |psnr| Likeness { squared_error_per_row: 3.5, psnr, ssim: Some(0.64) };
    let version = |first: usize, psnr: f64| {
        (first..first + 2).map(|seed| (row(seed), likeness(psnr))).collect()
    };
    Denoised {
        found: Denoising {
            rows: 40,
            corruption: Corruption::Masking { rate: 0.5 },
            noisy: likeness(9.25),
            restored: likeness(21.5),
            projected: likeness(14.75),
            components: 7,
            most_components: 30,
        },
        rows: 60,
        seed: 0,
        clean: vec![row(0), row(1)],
        versions: [version(2, 9.5), version(4, 22.5), version(6, 15.5)],
    }
}

fn activity() -> Activity {
    Activity {
        rows: 60,
        rate: UnitRate::Mean,
        rates: vec![0.0, 0.1, 0.11, 0.6],
        dead: 1,
        dense: 1,
        target: Some(0.1),
    }
}

fn epochs() -> Vec<Epoch> {
    let epoch = |epoch: u32| Epoch {
        epoch: epoch as usize,
        loss: 1.0 / f64::from(epoch),
        penalty: None,
        validation: Some(1.5 / f64::from(epoch)),
        learning_rate: 0.01,
        batch_size: 256,
        seconds: 0.5,
        rows_per_second: 1e4,
    };
    (1..=5).map(epoch).collect()
}

fn storeys() -> Vec<Storey> {
    let storey = |input_dim, latent_dim, history| Storey {
        input_dim,
        latent_dim,
        history,
        squared_error_per_row: Some(2.5),
        fraction_variance_unexplained: None,
    };
    vec![storey(12, 8, epochs()), storey(8, 4, vec![])]
}

fn score(name: &str, value: f64) -> Score {
    let [unit, formula, meaning] = ["", "a < b", "less & less"].map(String::from);
    Score { name: name.into(), value, unit, formula, meaning }
}

fn components(rows: Vec<Vec<f32>>, kind: ComponentKind) -> Components {
    Components { kind, count: rows.len(), rows }
}

fn run() -> RunReport {
    RunReport {
        title: "<digits>".into(),
        data: "a & b.npy".into(),
        rows: 60,
        input_dim: 12,
        latent_dim: 4,
        answers: None,
        own_rows: true,
        command: "narrows fit --data 'a & b.npy'".into(),
        configuration: serde_json::json!({ "seed": 7, "name": "</pre>" }),
        scores: vec![
            score("fraction_variance_unexplained", 0.088),
            score("explained_variance", 0.95),
            score("squared_error_per_row", 0.5),
        ],
        baseline: Some(vec![score("fraction_variance_unexplained", 0.066)]),
        spectrum: Some(spectrum()),
        codes: Some(views()),
        manifold: Some(Manifold {
            tiles: (0..9).map(row).collect(),
            across: 3,
            ranges: [[-1.5, 2.5], [0.0, 4.0]],
        }),
        interpolation: Some(Interpolation {
            names: ["<a>", "c"].map(String::from),
            ways: vec![
                ("Codes".into(), (0..3).map(row).collect()),
                ("Pixels".into(), (3..6).map(row).collect()),
            ],
        }),
        denoised: Some(denoised()),
        activity: Some(activity()),
        image: Some(SHAPE),
        examples: Some(Examples {
            rows: (0..3).map(row).collect(),
            reconstructions: (1..4).map(row).collect(),
            in_units: None,
            errors: vec![0.25, 0.5, 0.75],
            names: ["<a>", "b", "c"].map(String::from).into(),
            pca: Some(Beside {
                reconstructions: (4..7).map(row).collect(),
                in_units: None,
                errors: vec![1.25, 1.5, 1.75],
            }),
        }),
        components: Some(components((0..4).map(row).collect(), ComponentKind::Decoder)),
        mean: Some(row(9)),
        column_names: vec!["<height>".into(); 12],
        history: Some(epochs()),
        storeys: Some(storeys()),
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
        classification: None,
        regression: None,
    }
}

/// What the page of faces is made from.
struct Recognised {
    faces: Faces,
    found: Evaluation,
    pictures: Pictures,
}

impl Recognised {
    fn page(&self) -> String {
        faces_page(&FacesReport {
            data: "<orl>",
            command: "narrows faces evaluate",
            configuration: &serde_json::json!({ "seed": 1 }),
            faces: &self.faces,
            found: &self.found,
            pictures: &self.pictures,
        })
    }
}

/// Six pictures of three people, and rates that are made up.
fn recognised() -> Recognised {
    let rate = |mean| Rate { mean, sd: 0.02 };
    let rates = |components, best| Rates {
        components,
        explained_variance: 0.8,
        l2: rate(0.9),
        cosine: rate(best),
        mahalanobis: rate(0.8),
    };
    let point = |[false_accept_rate, correct_accept_rate]: [f64; 2]| RocPoint {
        false_accept_rate,
        correct_accept_rate,
    };
    let people = Labels {
        classes: vec![0, 0, 1, 1, 2, 2],
        names: ["<ann>", "bob", "cyd"].map(String::from).into(),
    };
    let faces = Faces {
        pixels: Array2::from_shape_vec((6, 12), (0..6).flat_map(row).collect()).unwrap(),
        image: SHAPE,
        people: Some(people),
        files: Vec::new(),
    };
    let found = Evaluation {
        faces: 6,
        persons: 3,
        options: EvaluateOptions { splits: 10, ..Default::default() },
        pixels: rate(0.94),
        rates: vec![rates(1, 0.92), rates(4, 0.95)],
        open_set_components: 4,
        open_set: vec![OpenSet {
            matcher: Matcher::Weights(Distance::Cosine),
            equal_error_rate: rate(0.05),
            curve: [[0.0, 0.0], [0.05, 0.95], [1.0, 1.0]].map(point).into(),
        }],
        mistakes: vec![Mistake {
            probe: 1,
            taken_for: 2,
            own: 0,
            distance: 1.0,
            own_distance: 1.5,
            times: 1,
            tries: 5,
        }],
    };
    Recognised { pictures: Pictures::of(&faces, 5).unwrap(), faces, found }
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
    for heading in [
        "Rows and",
        "Noise taken away",
        "Spectrum",
        "Codes",
        "Decoded plane",
        "Between two rows",
        "Units of the code",
        "Components",
        "Learning",
        "Storeys",
        "Certificate",
        "Pythagoras",
    ] {
        assert!(html.contains(&format!("<h2>{heading}")), "{heading}");
    }
    for text in [
        "&lt;a&gt;",
        "training found the space",
        "<p class=\"subtitle\">a &amp; b.npy: 12 → 4 → 12</p>",
    ] {
        assert!(html.contains(text), "{text}");
    }
    for raw in ["<digits>", "<least>", "<zero>", "<a>", "<height>", "a & b"] {
        assert!(!html.contains(raw), "{raw}");
    }
    assert!(!html.contains("Not on this page"));
    // Four rows of three examples, four of two with and without noise, one sheet, two ways of three
    // steps, four components, the mean.
    assert_eq!(html.matches("data:image/png").count(), 12 + 8 + 1 + 6 + 5);
}

/// The cards of a page: label, value, note.
fn cards<'a>(html: &'a str) -> Vec<[&'a str; 3]> {
    let (_, after) = html.split_once("<div class=\"cards\">").unwrap();
    let (cards, _) = after.split_once("<nav").unwrap();
    let part = |card: &'a str, tag: &str| {
        let (_, after) = card.split_once(&format!("<{tag}>")).unwrap();
        after.split_once(&format!("</{tag}>")).unwrap().0
    };
    let split = |card| ["p", "strong", "small"].map(|tag| part(card, tag));
    cards.split("<div class=\"card\">").skip(1).map(split).collect()
}

/// The part of a page under a heading.
fn section<'a>(html: &'a str, heading: &str) -> &'a str {
    let (_, after) = html.split_once(&format!("<h2>{heading}</h2>")).unwrap();
    after.split_once("</section>").unwrap().0
}

#[test]
fn neighbours_stand_beside_those_of_pca() {
    let html = run_page(&run());
    let codes = section(&html, "Codes");
    let (own, pca) = codes.split_once("<div class=\"small\">").unwrap();
    assert!(own.contains("This model: 60 rows.") && pca.contains("PCA with as many numbers"));
    assert_eq!(codes.matches("class=\"plot square\"").count(), 2);
    for text in [
        "two numbers of their codes. The model saw no classes",
        "most of the 5 nearest other rows have the row&#39;s class",
        "Both on 60 rows.",
        "&lt;pc 1&gt;",
        "0.875</td>",
        "75.0\u{a0}%",
        "PCA, same width",
        "0.625</td>",
        "55.0\u{a0}%",
        "the rows themselves",
        "95.0\u{a0}%",
    ] {
        assert!(codes.contains(text), "{text} in {codes}");
    }
    let wide = CodeViews { projected: true, pca: vec![], rows: 90, ..views() };
    let html = run_page(&RunReport { codes: Some(wide), ..run() });
    let codes = section(&html, "Codes");
    assert_eq!(codes.matches("class=\"plot square\"").count(), 1);
    assert!(codes.contains("the two directions in which their codes differ most"));
    assert!(codes.contains("Both on 60 of 90 rows, evenly taken."));

    // A code of one number lies in no plane, but has neighbours.
    let mut line = CodeViews { views: vec![], pca: vec![], ..views() };
    let neighbours = line.neighbours.as_mut().unwrap();
    neighbours.scores.accuracy = None;
    neighbours.pca = None;
    let html = run_page(&RunReport { codes: Some(line), ..run() });
    let codes = section(&html, "Codes");
    assert!(codes.contains("0.875</td>") && !codes.contains("plot"));
    assert!(!codes.contains("accuracy") && !codes.contains("PCA"));
    assert!(codes.contains("Measured on 60 rows.") && !codes.contains("Both"));
}

#[test]
fn reconstructions_stand_beside_those_of_pca() {
    let html = run_page(&run());
    let rows = section(&html, "Rows and reconstructions");
    let places = ["<small>0.25<", "<small>0.75<", "PCA of the same width", "<small>1.25<"]
        .map(|text| rows.find(text).unwrap());
    assert!(places.is_sorted(), "{places:?}");

    let table = run_page(&RunReport { image: None, ..run() });
    let rows = section(&table, "Rows and reconstructions");
    assert!(rows.contains("PCA&#39;s</th>") && rows.contains("1.25</td>"));
    let alone = RunReport { image: None, ..run() };
    let examples = alone.examples.map(|examples| Examples { pca: None, ..examples });
    let html = run_page(&RunReport { image: None, examples, ..run() });
    assert!(!section(&html, "Rows and reconstructions").contains("PCA"));
}

#[test]
fn the_way_between_two_rows_is_told_in_steps() {
    let html = run_page(&run());
    let way = section(&html, "Between two rows");
    assert!(way.contains("from &lt;a&gt; to c, in equal steps"), "{way}");
    let shares: Vec<&str> =
        way.split("<small>").skip(1).map(|text| text.split_once('<').unwrap().0).collect();
    assert_eq!(shares, ["0\u{a0}%", "50\u{a0}%", "100\u{a0}%"]);
}

#[test]
fn noise_is_named_and_every_version_measured() {
    let html = run_page(&run());
    let noise = section(&html, "Noise taken away");
    for text in [
        "In each row 50.0\u{a0}% of the columns, drawn at random, are set to the lowest value.",
        "the 7 principal components that are best",
        "Means over 40 of 60 rows, evenly taken, noise of seed 0.",
        "<small>22.5 · 0.64</small>",
        "21.50</td>",
        "0.640</td>",
    ] {
        assert!(noise.contains(text), "{text} in {noise}");
    }
    assert!(!noise.contains("more might be better"));
    let mut all = denoised();
    all.found.components = all.found.most_components;
    let html = run_page(&RunReport { denoised: Some(all), ..run() });
    let noise = section(&html, "Noise taken away");
    assert!(noise.contains("all 30 principal components that the run keeps: more might be better"));
    // What is no picture has figures alone.
    let html = run_page(&RunReport { image: None, ..run() });
    let noise = section(&html, "Noise taken away");
    assert!(noise.contains("21.50</td>") && !noise.contains("<img"));
}

#[test]
fn units_are_counted_by_what_being_on_means_for_them() {
    let html = run_page(&run());
    let units = section(&html, "Units of the code");
    for text in [
        "The mean of all units is 0.2025.",
        "Of 4 units: dead (its activation moves by less than 0.01) 1, dense (a mean above 0.5) 1.",
        "The KL penalty asks for a mean of 0.1 each.",
        "wanted: 10.0\u{a0}%",
    ] {
        assert!(units.contains(text), "{text} in {units}");
    }
    // One unit at 0, two near a tenth, one at 0.6: 25 bars of 2.4 % each.
    let tips: Vec<&str> = units.split("units 0.").skip(1).map(|tip| &tip[..7]).collect();
    assert_eq!(tips.len(), 25, "{tips:?}");
    assert!(units.contains("units 0.012: 1<") && units.contains("units 0.108: 2<"), "{units}");
    assert!(units.contains("units 0.588: 1<"), "{units}");

    let relu = Activity { rate: UnitRate::Positive, target: None, ..activity() };
    let html = run_page(&RunReport { activity: Some(relu), ..run() });
    let units = section(&html, "Units of the code");
    assert!(units.contains("A row turns 0.81 of 4 units on, on average."), "{units}");
    assert!(units.contains("dead (never on) 1") && !units.contains("KL"));
    let none = Activity { rates: vec![], ..activity() };
    assert!(run_page(&RunReport { activity: Some(none), ..run() }).contains("Nothing to draw"));
}

#[test]
fn every_storey_has_its_line() {
    let html = run_page(&run());
    let storeys = section(&html, "Storeys");
    assert_eq!(storeys.matches("class=\"line ").count(), 1);
    for cell in ["12 → 8", "5 epochs", "8 → 4", "PCA", "2.5"] {
        assert!(storeys.contains(&format!(">{cell}</td>")), "{cell} in {storeys}");
    }
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
fn a_table_shows_values_in_the_units_of_the_data_where_they_are_known() {
    let mut report = RunReport { image: None, ..run() };
    let examples = report.examples.as_mut().unwrap();
    examples.in_units = Some([vec![vec![71.5; 12]; 3], vec![vec![68.25; 12]; 3]]);
    let html = run_page(&report);
    assert!(html.contains("&lt;height&gt;: 71.5 → 68.25"));
    assert!(html.contains("both in the units of the data") && !html.contains("as the model sees"));
}

/// Shares of the variance and an order belong to PCA alone.
#[test]
fn every_model_is_told_by_what_it_is_made_of() {
    let rows = || (0..30).map(row).collect();
    let page = |kind, count, baseline| {
        let components = Components { count, ..components(rows(), kind) };
        run_page(&RunReport { components: Some(components), baseline, ..run() })
    };
    let share = "<small>1 · ";
    let axes = page(ComponentKind::Axes, 30, None);
    assert!(axes.contains(share) && axes.contains("The first 24 of 30."));
    assert!(axes.contains("4 axes kept of 12") && axes.contains("4 kept"));
    let decoder = page(ComponentKind::Decoder, 24, run().baseline);
    assert!(!decoder.contains(share) && !decoder.contains("The first 24"));
    assert!(decoder.contains("no share of the variance"));
    let filters = page(ComponentKind::Filters, 128, run().baseline);
    assert!(filters.contains("<h2>Filters of the first layer") && filters.contains("24 of 128"));
    assert!(!filters.contains(share) && !filters.contains("mean plus these"));
    for html in [decoder, filters] {
        assert!(html.contains("<h2>Spectrum of the data"));
        assert!(html.contains("PCA with as many numbers, 4, would keep "));
        assert!(!html.contains("kept of") && !html.contains("4 kept"));
    }
}

#[test]
fn colours_are_spoken_of_where_there_are_classes() {
    let said = |view| {
        let codes = CodeViews { views: vec![view], ..views() };
        run_page(&RunReport { codes: Some(codes), ..run() }).contains("where colours")
    };
    assert!(said(codes()));
    assert!(!said(Codes { classes: vec![], class_names: vec![], ..codes() }));
}

#[test]
fn the_page_of_faces_shows_everything_that_is_known() {
    let recognised = recognised();
    let html = recognised.page();
    assert_sound(&html);
    for text in [
        "Best: 95.0\u{a0}% ± 2.0\u{a0}% with 4 eigenfaces and the cosine distance.",
        "raw pixels",
        "cosine (equal error rate 5.0\u{a0}%)",
        "bob at distance 1",
        "taken for bob, nearer by 0.5",
    ] {
        assert!(html.contains(text), "{text}");
    }
    for raw in ["<orl>", "<ann>"] {
        assert!(!html.contains(raw), "{raw}");
    }
    // The mean, the eigenfaces, the rebuilt face beside itself, three of the mistake.
    let Pictures { eigenfaces, rebuilt, .. } = &recognised.pictures;
    let pictures = 1 + eigenfaces.len() + rebuilt.len() + 1 + 3;
    assert!(!eigenfaces.is_empty() && !rebuilt.is_empty());
    assert_eq!(html.matches("data:image/png").count(), pictures);
}

#[test]
fn a_classifier_shows_whom_it_confuses() {
    let probabilities = ndarray::array![[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]];
    let names = ["<ant>", "bee"].map(String::from);
    let found = Classification::new(probabilities.view(), &names, &[0, 1, 1]);
    let html =
        run_page(&RunReport { classification: Some(found), own_rows: false, ..predictor(2) });
    assert_sound(&html);
    let note = "2 classes, on rows other than those of the training";
    assert_eq!(cards(&html)[0], ["accuracy", "66.7\u{a0}%", note]);
    assert!(!html.contains("The model saw no classes"), "it was taught them");
    let (_, section) = html.split_once("is \\ told").unwrap();
    let (section, _) = section.split_once("</table>").unwrap();
    let cells: Vec<&str> = section.split("</td>").filter_map(|c| c.rsplit('>').next()).collect();
    assert!(cells.windows(3).any(|row| row == ["1", "0", "0.0\u{a0}%"]), "{cells:?}");
    // All of the first class is told right; half of the second is, half is not.
    let own = |shade: f64| format!("<td class=\"c0\" style=\"--shade:{shade:.1}%\">1</td>");
    let half = 50.0 * 0.5_f64.sqrt();
    assert!(section.contains(&own(50.0)) && section.contains(&own(half)), "{section}");
    assert!(section.contains(&own(half).replace("c0", "c1")) && section.contains("<td>0</td>"));
    assert!(cells.windows(3).any(|row| row == ["1", "1", "50.0\u{a0}%"]), "{cells:?}");
}

#[test]
fn the_headline_forgives_nothing_and_the_scores_say_so() {
    let html = run_page(&RunReport { denoised: None, ..run() });
    let cards = cards(&html);
    assert_eq!(
        cards[..2],
        [
            ["variance explained", "91.2\u{a0}%", "PCA of the same width: 93.4\u{a0}%"],
            ["squared error per row", "0.5", ""],
        ]
    );
    assert!(section(&html, "Scores").contains("1 less the fraction"));
    let one = vec![score("explained_variance", 0.9)];
    let html = run_page(&RunReport { scores: one, ..run() });
    assert!(!section(&html, "Scores").contains("1 less the fraction"));
}

#[test]
fn a_denoiser_is_known_by_what_it_leaves_of_noise() {
    let html = run_page(&run());
    let note = "noisy: 9.25\u{a0}dB, best PCA projection: 14.75\u{a0}dB";
    let cards = cards(&html);
    assert_eq!(cards[0], ["PSNR, noise taken away", "21.5\u{a0}dB", note]);
    assert!(cards.iter().all(|card| card[0] != "variance explained"), "{cards:?}");
    assert!(section(&html, "Scores").contains("All are of clean rows"));
}

/// As many numbers as the rows have or vary in keep everything: PCA's figures are rounding.
#[test]
fn pca_that_loses_nothing_is_left_out_and_it_is_said_why() {
    let exact = Some(vec![score("fraction_variance_unexplained", 1e-27)]);
    let wide = RunReport { latent_dim: 16, denoised: None, ..run() };
    let exact = RunReport { baseline: exact, denoised: None, ..run() };
    for html in [wide, exact].map(|report| run_page(&report)) {
        assert_sound(&html);
        assert!(cards(&html)[..2].iter().all(|card| card[2] == "PCA of this width loses nothing"));
        assert!(html.contains("The rows vary along 12 axes"));
        let scores = section(&html, "Scores");
        assert!(scores.contains("PCA is left out") && !scores.contains("same width"));
        let codes = section(&html, "Codes");
        assert!(!codes.contains("PCA") && codes.contains("0.875</td>"));
        assert!(!section(&html, "Rows and reconstructions").contains("PCA"));
        for absent in ["PCA of the same width", "would keep 8", "10⁻"] {
            assert!(!section(&html, "Spectrum of the data").contains(absent), "{absent}");
        }
    }
}

/// A model that tells `answers` numbers of a row.
fn predictor(answers: usize) -> RunReport {
    RunReport {
        answers: Some(answers),
        scores: vec![],
        baseline: None,
        spectrum: None,
        manifold: None,
        interpolation: None,
        denoised: None,
        examples: None,
        ..run()
    }
}

#[test]
fn a_regressor_shows_how_well_it_tells_its_number() {
    let found = Regression::new(&[1.0, 2.0, 4.0], &[1.0, 2.0, 3.0]);
    let html = run_page(&RunReport { regression: Some(found), ..predictor(1) });
    assert_sound(&html);
    // 1 − 1 / 2, and a third.
    let on = "on the rows it was trained with";
    let cards = cards(&html);
    assert_eq!(cards[0], ["R² (1 is perfect, 0 the mean)", "0.5", on]);
    assert_eq!(cards[1], ["absolute error", "0.3333", on]);
    let codes = section(&html, "Codes");
    assert!(codes.contains("from which the labels are told") && !codes.contains("saw no classes"));
    assert!(html.contains("aria-label=\"12 numbers in, narrowed to 4, 1 out\""));
    let (_, foot) = html.split_once("Not on this page").unwrap();
    assert!(foot.contains("<li>rows and reconstructions: only for models that rebuild rows</li>"));
}

#[test]
fn what_labels_would_show_is_named_where_there_are_none() {
    let foot = |report: &RunReport| -> Vec<String> {
        let html = run_page(report);
        let foot = html.split_once("Not on this page").map_or("", |(_, foot)| foot);
        let asks = foot.split("<li>").filter(|item| item.contains("give --labels"));
        asks.map(|item| item.split(':').next().unwrap().to_owned()).collect()
    };
    assert!(foot(&run()).is_empty());
    let bare = || {
        let view = Codes { classes: vec![], class_names: vec![], ..codes() };
        Some(CodeViews { views: vec![view], pca: vec![], ..views() })
    };
    assert_eq!(foot(&RunReport { codes: bare(), ..run() }), ["colours by class"]);
    let untold = RunReport { codes: bare(), ..predictor(3) };
    assert_eq!(foot(&untold), ["colours by class", "how well labels are told"]);
}

#[test]
fn learning_rates_are_those_that_are_known() {
    let with = |rates: &[f64]| {
        let mut history = epochs();
        history.truncate(rates.len());
        history.iter_mut().zip(rates).for_each(|(epoch, &rate)| epoch.learning_rate = rate);
        let html = run_page(&RunReport { history: Some(history), ..run() });
        section(&html, "Learning curve").to_owned()
    };
    let falling = with(&[0.25, 0.5, 0.125]);
    let text = "1.5 s in all; learning rate at the ends of the epochs: 0.5 at most, 0.125 at last.";
    assert!(falling.contains(text), "{falling}");
    assert!(with(&[0.25, 0.25]).contains("1 s in all; learning rate 0.25 at the end."));
    let single = with(&[0.25]);
    assert!(single.contains("After its single epoch") && single.contains("the loss was 1."));
    assert!(!single.contains("<svg") && !single.contains("rate"), "{single}");

    let mut one = storeys();
    one[0].history.truncate(1);
    let html = run_page(&RunReport { storeys: Some(one), ..run() });
    let storeys = section(&html, "Storeys");
    assert!(storeys.contains(">1 epoch</td>") && !storeys.contains("<svg"), "{storeys}");
}

#[test]
fn a_missing_history_is_told_from_training_without_steps() {
    let foot = |model| {
        let configuration = serde_json::json!({ "model": model });
        let html = run_page(&RunReport { history: None, configuration, ..run() });
        html.split_once("Not on this page").unwrap().1.to_owned()
    };
    for stepless in [
        serde_json::json!({ "kind": "pca" }),
        serde_json::json!({ "kind": "stack", "fine_tune_epochs": 0 }),
    ] {
        assert!(foot(stepless).contains("the whole was not trained in steps"));
    }
    assert!(foot(serde_json::json!({ "kind": "network" })).contains("history.jsonl"));
}

#[test]
fn an_empty_record_gives_a_page_that_says_what_is_missing() {
    let html = run_page(&RunReport {
        scores: vec![],
        baseline: None,
        spectrum: None,
        codes: None,
        manifold: None,
        interpolation: None,
        denoised: None,
        activity: None,
        storeys: None,
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
    assert_eq!(foot.matches("<li>").count(), 12);
    assert!(html.contains("The table has no rows."));

    let Recognised { mut faces, mut found, mut pictures } = recognised();
    faces.people = None;
    found.rates.clear();
    found.open_set.clear();
    found.mistakes.clear();
    pictures.mean_face.clear();
    pictures.eigenfaces.clear();
    pictures.rebuilt.clear();
    pictures.pca.explained_variance = Default::default();
    let html = Recognised { faces, found, pictures }.page();
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
        codes: Some(CodeViews {
            views: vec![Codes { points: vec![[nothing, 1.0]], classes: vec![7], ..codes() }],
            neighbours: views().neighbours.map(|found| Neighbours {
                scores: NeighbourScores { accuracy: Some(nothing), trustworthiness: nothing },
                ..found
            }),
            ..views()
        }),
        manifold: Some(Manifold { tiles: vec![vec![]], across: 0, ranges: [[nothing; 2]; 2] }),
        interpolation: Some(Interpolation {
            names: Default::default(),
            ways: vec![(String::new(), vec![vec![], row(1)])],
        }),
        denoised: Some(Denoised {
            clean: vec![],
            versions: [
                vec![(vec![], Likeness { psnr: nothing, ..Default::default() })],
                vec![],
                vec![],
            ],
            ..denoised()
        }),
        activity: Some(Activity { rates: vec![nothing, 0.5], ..activity() }),
        storeys: Some(vec![]),
        examples: Some(Examples {
            rows: vec![vec![f32::NAN; 12], row(1)],
            reconstructions: vec![vec![0.0; 5]],
            in_units: None,
            errors: vec![nothing],
            names: vec![],
            pca: Some(Beside { reconstructions: vec![vec![]], in_units: None, errors: vec![] }),
        }),
        components: Some(components(vec![vec![], vec![f32::INFINITY; 12]], ComponentKind::Axes)),
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
    let mut broken = recognised();
    broken.found.rates[0].components = 0;
    broken.found.rates[0].l2.mean = nothing;
    broken.found.pixels.mean = nothing;
    broken.found.open_set[0].equal_error_rate.mean = nothing;
    broken.found.open_set[0].curve.clear();
    broken.pictures.rebuilt[0].squared_error = nothing;
    broken.pictures.eigenfaces[0].clear();
    assert_sound(&broken.page());
}

#[test]
fn a_short_reconstruction_of_a_table_is_not_a_panic() {
    let examples = Some(Examples {
        rows: vec![row(1), row(2)],
        reconstructions: vec![vec![0.0; 2]],
        in_units: Some([vec![], vec![vec![1.5]]]),
        errors: vec![],
        names: vec![],
        pca: Some(Beside { reconstructions: vec![], in_units: Some(vec![]), errors: vec![] }),
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
}

/// For the eye: `NARROWS_RECORDS=folder cargo test -p narrows look -- --ignored` makes a page
/// beside every `run*.json` of the folder.
#[test]
#[ignore = "needs a folder of records; the pages are for looking at"]
fn look_at_pages_of_recorded_runs() {
    let folder = std::env::var("NARROWS_RECORDS").unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if !(name.starts_with("run") && name.ends_with(".json")) {
            continue;
        }
        let html = run_page(&serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap());
        assert_sound(&html);
        assert!(html.len() < 1_500_000, "{name}: a page of {} bytes", html.len());
        std::fs::write(path.with_extension("html"), &html).unwrap();
    }
}
