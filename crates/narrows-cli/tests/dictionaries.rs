//! Sparse dictionaries measured and shown, as they are typed.

#![allow(clippy::unwrap_used)]

mod harness;

use harness::{Desk, npy, refused, rows};
use ndarray::{Array2, Axis};
use serde_json::Value;

const SET: &str = "demo:toy?features=40&dim=24&active=3&rows=4000";
/// Later rows of the same truth.
const HELD_OUT: &str = "demo:toy?features=40&dim=24&active=3&rows=3000&first=4000";
const TRAINING: &str = "--set train.batch_size=128 --set train.learning_rate=3e-3 \
                        --set train.rows=40000 --set train.log_every=4000";

/// A dictionary of the set in the folder `run`.
fn fitted(more: &str) -> Desk {
    let desk = Desk::new();
    fit(&desk, "run", more);
    desk
}

fn fit(desk: &Desk, out: &str, more: &str) {
    desk.narrows(&format!(
        "fit -q --model dictionary --data {SET} --set dictionary.latents=40 {TRAINING} {more} --out {out}"
    ));
}

/// Three settings of one kind, each with two seeds, in the folder `sweep`.
fn swept() -> Desk {
    let desk = Desk::new();
    fit(&desk, "sweep", "--set dictionary.kind=topk --set sweep=\"k=2,3,5;seed=0..1\"");
    desk
}

fn near(ours: &Value, expected: f64, tolerance: f64) {
    let ours = ours.as_f64().unwrap();
    assert!((ours - expected).abs() < tolerance * expected.abs().max(1e-3), "{ours} {expected}");
}

fn page(desk: &Desk, run: &str) -> String {
    desk.narrows(&format!("report {run} -q"));
    std::fs::read_to_string(desk.path(&format!("{run}/report.html"))).unwrap()
}

/// The part of a page under a heading.
fn section<'a>(html: &'a str, heading: &str) -> &'a str {
    let (_, after) = html.split_once(&format!("<h2>{heading}</h2>")).expect(heading);
    after.split_once("</section>").unwrap().0
}

#[test]
fn scores_are_those_of_what_other_commands_write() {
    let desk = fitted("--set dictionary.k=3");
    let found = desk.json(&format!("evaluate run --data {HELD_OUT} --json -q"));
    desk.narrows(&format!("encode run --data {HELD_OUT} --out codes.npy -q"));
    desk.narrows(&format!("reconstruct run --data {HELD_OUT} --out again.npy -q"));
    let (x, z, y) = (rows(HELD_OUT), rows(desk.path("codes.npy")), rows(desk.path("again.npy")));
    let sum = |a: Array2<f64>| a.mapv(|v| v * v).sum();
    let mean = x.mean_axis(Axis(0)).unwrap();
    let (error, spread) = (sum(&x - &y), sum(&x - &mean));
    let fired = z.iter().filter(|z| **z != 0.0).count() as f64;
    near(&found["l0"], fired / 3000.0, 1e-12);
    near(&found["squared_error_per_row"], error / 3000.0, 1e-5);
    near(&found["fraction_variance_unexplained"], error / spread, 1e-5);
    for (key, value) in [("rows", 3000), ("input_dim", 24), ("latent_dim", 40), ("latents", 40)] {
        assert_eq!(found[key], value, "{key}");
    }
    // Better than chance at the truth, with figures of every kind.
    let truth = &found["truth"];
    for key in ["precision", "recall", "f1", "accuracy", "mmcs", "mmcs_of_other", "mcc"] {
        assert!((0.2..1.0).contains(&truth[key].as_f64().unwrap()), "{key}: {truth}");
    }
    assert_eq!(truth["latents_of_other"], 40);
    let kept: Value =
        serde_json::from_slice(&std::fs::read(desk.path("run/scores.json")).unwrap()).unwrap();
    assert_eq!(kept["evaluate"][HELD_OUT], found);
    assert!(kept["fit"].is_object());
}

#[test]
fn pca_beside_has_as_many_components_as_latents_fire() {
    let desk = fitted("--set dictionary.k=3");
    let found = desk.json(&format!("evaluate run --data {HELD_OUT} --json -q"));
    let components = found["l0"].as_f64().unwrap().round();
    assert_eq!(found["pca"]["components"], components as u64);
    desk.narrows(&format!(
        "fit -q --data {SET} --set prepare.scale=none --set model.components={components} --out pca"
    ));
    let pca = desk.json(&format!("evaluate pca --data {HELD_OUT} --json -q"));
    for key in ["squared_error_per_row", "fraction_variance_unexplained", "explained_variance"] {
        near(&found["pca"][key], pca[key].as_f64().unwrap(), 1e-6);
    }
}

#[test]
fn a_dictionary_of_another_library_is_measured_and_compared() {
    let desk = fitted("--set dictionary.k=3");
    desk.narrows("convert run release --to saelens -q");
    let own = desk.json(&format!("evaluate run --data {HELD_OUT} --json -q"));
    let other = desk.json(&format!("evaluate release --data {HELD_OUT} --against run --json -q"));
    for key in ["l0", "fraction_variance_unexplained", "cosine", "dead", "density", "truth"] {
        assert_eq!(own[key], other[key], "{key}");
    }
    for key in ["mmcs", "mmcs_of_other", "mcc", "matched", "uniqueness"] {
        near(&other["against"][key], 1.0, 1e-6);
    }
    assert!(!desk.path("release/scores.json").exists());
}

/// A file of the labels of the digits.
fn labelled() -> Desk {
    let desk = Desk::new();
    let digits = narrows::data::open("demo:digits", &Default::default()).unwrap().labels.unwrap();
    let names: String =
        digits.classes.iter().map(|&class| digits.names[class].clone() + "\n").collect();
    desk.write("labels.txt", names);
    desk
}

#[test]
fn labels_are_probed_beside_the_rows_themselves() {
    let desk = labelled();
    desk.narrows(&format!(
        "fit -q --model dictionary --data demo:digits --set dictionary.latents=96 {TRAINING} --out run"
    ));
    let found = desk.json("evaluate run --data demo:digits --labels labels.txt --json -q");
    let probes = &found["probes"];
    assert_eq!((&probes["classes"], &probes["test_rows"]), (&10.into(), &360.into()));
    let accuracy = |what: &str, place: usize| probes[what][place]["accuracy"].as_f64().unwrap();
    let majority = probes["majority_accuracy"].as_f64().unwrap();
    for what in ["latents", "columns"] {
        assert_eq!(probes[what][2]["k"], 5);
        assert!(accuracy(what, 2) >= accuracy(what, 0) && accuracy(what, 2) > majority, "{probes}");
    }
    let screen = desk.narrows("evaluate run --data demo:digits --labels labels.txt -q");
    assert!(screen.contains("probes of 10 classes, learned on 1,437 rows, measured on 360"));
    assert!(screen.contains("\n5 latents") && screen.contains("\n5 columns of the rows"));
}

#[test]
fn a_sweep_is_told_with_means_deviations_and_how_alike_its_seeds_are() {
    let desk = swept();
    let found = desk.json(&format!("evaluate sweep --data {HELD_OUT} --json -q"));
    let (all, points) = (found["dictionaries"].as_array().unwrap(), &found["frontier"]);
    assert_eq!((all.len(), points.as_array().unwrap().len()), (6, 3));
    assert_eq!((&all[5]["folder"], &all[5]["made"]["k"]), (&"dictionaries/5".into(), &5.0.into()));
    let second = &points[1];
    assert_eq!(second["members"], serde_json::json!([2, 3]));
    for (key, of) in [("l0", "/l0"), ("f1", "/truth/f1"), ("mcc", "/truth/mcc")] {
        let [a, b] = [2, 3].map(|place: usize| all[place].pointer(of).unwrap().as_f64().unwrap());
        near(&second[key]["mean"], (a + b) / 2.0, 1e-12);
        near(&second[key]["deviation"], (a - b).abs() / 2.0_f64.sqrt(), 1e-9);
    }
    // One alone says the same of itself and of the other seed.
    let alone = desk.json(&format!(
        "evaluate sweep/dictionaries/2 --data {HELD_OUT} --against sweep/dictionaries/3 --json -q"
    ));
    assert_eq!(alone["truth"], all[2]["truth"]);
    let mmcs = ["mmcs", "mmcs_of_other"].map(|key| alone["against"][key].as_f64().unwrap());
    near(&second["stability"]["mmcs"]["mean"], (mmcs[0] + mmcs[1]) / 2.0, 1e-12);
    assert_eq!(second["stability"]["mcc"]["mean"], alone["against"]["mcc"]);

    let screen = desk.narrows(&format!("evaluate sweep --data {HELD_OUT} --baselines -q"));
    let headings = "folder  kind  latents  k or λ         L0              FVU     dead share             F1  \
                    MCC to the truth  MMCS of seeds  MCC of seeds";
    assert!(screen.contains(headings), "{screen}");
    assert!(screen.contains("\n2–3     topk       40  k 3 "), "{screen}");
    for name in ["PCA ", "PCA, largest codes", "ICA, largest codes", "columns, largest"] {
        assert!(screen.contains(&format!("\n{name}")), "{name}: {screen}");
    }
    let kept = desk.path("sweep/dictionaries/2/scores.json");
    let kept: Value = serde_json::from_slice(&std::fs::read(kept).unwrap()).unwrap();
    assert_eq!(kept["evaluate"][HELD_OUT]["truth"], all[2]["truth"]);
}

#[test]
fn each_of_a_sweep_is_probed_and_compared_as_it_is_alone() {
    let desk = labelled();
    let fit = format!("fit -q --model dictionary --data demo:digits {TRAINING}");
    let topk = "--set dictionary.kind=topk --set dictionary.latents=48";
    desk.narrows(&format!("{fit} {topk} --set train.rows=10000 --out other"));
    desk.narrows(&format!(
        "{fit} {topk} --set train.rows=10000 --sweep k=4,8;seed=0..1 --out sweep"
    ));
    let on = "--data demo:digits --labels labels.txt --against other";
    let found = desk.json(&format!("evaluate sweep {on} --json -q"));
    let all = &found["dictionaries"];
    for place in 0..4 {
        let alone = desk.json(&format!("evaluate sweep/dictionaries/{place} {on} --json -q"));
        for key in ["probes", "against"] {
            assert!(alone[key].is_object(), "{key}");
            assert_eq!(all[place][key], alone[key], "{place}: {key}");
        }
    }
    assert_ne!(all[0]["probes"]["latents"], all[2]["probes"]["latents"]);
    let second = &found["frontier"][1];
    let mean = |of: &str| {
        let [a, b] = [2, 3].map(|place: usize| all[place].pointer(of).unwrap().as_f64().unwrap());
        (a + b) / 2.0
    };
    near(&second["against"]["mcc"]["mean"], mean("/against/mcc"), 1e-12);
    assert_eq!(second["probes"]["latents"][2]["k"], 5);
    near(
        &second["probes"]["latents"][2]["accuracy"]["mean"],
        mean("/probes/latents/2/accuracy"),
        1e-12,
    );
    let screen = desk.narrows(&format!("evaluate sweep {on} -q"));
    assert!(screen.contains("MMCS to the other  MCC to the other"), "{screen}");
    for line in ["\n5 of topk, 48 latents, k 8 ", "\n5 columns of the rows ", "\n64 columns, all "]
    {
        assert!(screen.contains(line), "{line}: {screen}");
    }
}

#[test]
fn mistakes_are_told_as_such() {
    let desk = fitted("--set dictionary.k=3");
    desk.write("narrow.npy", npy(20, 5, &[1.5; 100]));
    desk.write("labels.txt", "a\nb\n");
    desk.narrows("fit -q --data demo:digits --set model.components=3 --out pca");
    desk.narrows(&format!(
        "fit -q --model dictionary --data demo:digits --set dictionary.latents=9 \
         --set dictionary.k=2 {TRAINING} --out other"
    ));
    let cases = [
        ("evaluate run --data narrow.npy", "rows of 24 columns, as the dictionary has"),
        ("report run --data narrow.npy", "rows of 24 columns, as the dictionary has"),
        (&format!("evaluate run --data {SET} --against other"), "but got 40 × 24 and 9 × 64"),
        (&format!("evaluate run --data {SET} --against pca"), "a run of another model"),
        (
            &format!("evaluate run --data {SET} --against nothing"),
            "'nothing', which does not exist",
        ),
        (&format!("evaluate run --data {SET} --labels labels.txt"), "4000"),
        (&format!("evaluate run --data {SET} --corrupt"), "a sparse dictionary; leave it out"),
        ("evaluate pca --data demo:digits --against run", "where --against is given"),
        ("evaluate pca --data demo:digits --baselines", "where --baselines is given"),
        (&format!("evaluate run --data {SET} --target {SET} --baselines"), "a transcoder"),
    ];
    let before = desk.everything();
    for (line, told) in cases {
        let message = refused(&desk, line);
        assert!(message.contains(told), "{line}: {message}");
    }
    assert_eq!(desk.everything(), before);
}

#[test]
fn the_page_of_a_dictionary_shows_what_it_does() {
    let desk = fitted("--set dictionary.k=3");
    let html = page(&desk, "run");
    assert!(html.contains("<h1>Sparse dictionary (batchtopk) of demo:toy</h1>"));
    let found = desk.json(&format!("evaluate run --data {SET} --json -q"));
    let training = section(&html, "Training");
    assert!(training.contains("40,000 rows in 10 lines"), "{training}");
    assert_eq!(training.matches("class=\"plot\"").count(), 2, "FVU and L0; none is dead");
    let bars: usize = found["density"]["latents"].as_array().unwrap().len();
    assert_eq!(section(&html, "How often latents fire").matches("<rect").count(), bars);
    let latents = section(&html, "Latents");
    assert_eq!(latents.matches("<th scope=\"row\">latent ").count(), 24);
    let truth = section(&html, "The known truth");
    let f1 = narrows::report::number(found["truth"]["f1"].as_f64().unwrap());
    assert!(truth.contains(&format!(
        "<th scope=\"row\">F1</th><td class=\"number\" data-name=\"value\">{f1}</td>"
    )));
    assert!(section(&html, "Scores").contains("PCA, 3 components"));
    assert!(html.contains("atoms as pictures: only for rows that are pictures"));
    assert!(html.contains("<h2>Make it again</h2>"));

    // Nobody knows how to make again what was not trained here.
    desk.narrows("convert run sae --to saelens");
    desk.narrows("convert sae back --to narrows");
    desk.narrows(&format!("report back --data {SET} -q"));
    let html = std::fs::read_to_string(desk.path("back/report.html")).unwrap();
    assert!(!html.contains("Make it again") && html.contains("<h2>Configuration</h2>"));
    assert!(html.contains("), measured on demo:toy</h1>"));
}

#[test]
fn the_atoms_of_pictures_are_pictures() {
    let desk = Desk::new();
    desk.narrows(&format!(
        "fit -q --model dictionary --data demo:digits --set dictionary.latents=48 {TRAINING} --out run \
         --set train.log_every=50000"
    ));
    let html = page(&desk, "run");
    assert!(!html.contains("<h2>Training</h2>") && html.contains("has a single line"));
    let found = desk.json("evaluate run --data demo:digits --json -q");
    let alive = 48 - found["dead"].as_u64().unwrap() as usize;
    assert_eq!(section(&html, "Atoms").matches("<img").count(), alive);
    assert!(html.contains("only for sets whose truth is known"));
}

/// On the page as in `evaluate`, PCA is fitted on the rows of the training, not on those that are measured.
#[test]
fn the_page_and_the_scores_compare_with_the_same_pca() {
    let desk = fitted("--set dictionary.k=3");
    let found = desk.json(&format!("evaluate run --data {HELD_OUT} --json -q"));
    let pca = found["pca"]["squared_error_per_row"].as_f64().unwrap();
    desk.narrows(&format!("report run --data {HELD_OUT} -q"));
    let html = std::fs::read_to_string(desk.path("run/report.html")).unwrap();
    let title = "<h1>Sparse dictionary (batchtopk) of demo:toy, measured on other rows</h1>";
    assert!(html.contains(title));
    let told = narrows::report::number(pca);
    assert!(section(&html, "Scores").contains(&format!(">{told}</td>")), "{told}: {html}");
}

#[test]
fn the_page_of_a_sweep_shows_the_frontier_beside_its_baselines() {
    let desk = swept();
    let html = page(&desk, "sweep");
    let frontier = section(&html, "Frontier");
    for name in ["topk, 40", "PCA", "ICA, largest codes", "columns, largest"] {
        assert!(frontier.contains(&format!("</svg>{name}</li>")), "{name}");
    }
    // As with any other number of dictionaries.
    assert!(frontier.contains(
        "<svg class=\"c5\" width=\"22\" height=\"12\"><path d=\"M0 6H22\" stroke-dasharray=\"5 4\"/></svg>PCA</li>"
    ));
    assert!(section(&html, "Dictionaries").contains("<th scope=\"row\">0–1</th>"));
    assert_eq!(frontier.matches("class=\"band").count(), 1);
    assert_eq!(section(&html, "Dictionaries").matches("<tr>").count(), 1 + 3);
    assert_eq!(section(&html, "Seed stability").matches("<tr>").count(), 1 + 3);
    assert_eq!(section(&html, "Baselines").matches("<tr>").count(), 1 + 5);
    assert_eq!(section(&html, "The known truth").matches("class=\"plot\"").count(), 2);
}

/// The page says how the run was made: what that makes is the same.
#[test]
fn a_dictionary_of_a_sweep_is_made_again_alone() {
    let desk = swept();
    let html = page(&desk, "sweep/dictionaries/3");
    let (_, command) = html.split_once("<code>narrows ").unwrap();
    let (command, _) = command.split_once("</code>").unwrap();
    let command = command.replace("&#39;", "").replace("&amp;", "&");
    desk.narrows(&format!("{command} --out again -q"));
    let weights = |run: &str| std::fs::read(desk.path(run).join("weights.safetensors")).unwrap();
    assert!(weights("again") == weights("sweep/dictionaries/3"));
}
