//! From rows to a run and back, as a user meets it.

#![allow(clippy::unwrap_used)]

mod harness;

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use harness::{Desk, NARROWS, npy, pgm, rows};
use ndarray::{Array2, Axis};
use serde_json::Value;

const THREADS: [usize; 3] = [1, 2, 7];

#[test]
fn pca_from_rows_to_a_report() {
    let desk = Desk::new();
    desk.narrows("fit -q --data demo:digits --set model.components=12 --out run");
    let found = round_trip(&desk, 12);
    for key in SCORES {
        assert_eq!(found[key], found["pca"][key], "{key}");
    }
    assert!(found["pythagoras"]["relative_error"].as_f64().unwrap() < 1e-12, "{found}");

    // On the training rows the error is what the spectrum leaves out: Σ_{i>k} λᵢ · (n − 1) / n.
    let fitted: Value = read_json(&desk, "run/scores.json");
    let promised = fitted["fit"]["squared_error_per_row"].as_f64().unwrap();
    close(found["squared_error_per_row"].as_f64().unwrap(), promised, 1e-10);
}

#[test]
fn linear_from_rows_to_a_report() {
    let desk = Desk::new();
    let fit = "fit -q --model linear --data demo:digits --set model.latent_dim=5 --out run";
    desk.narrows(&format!("{fit} --set train.epochs=3"));
    let found = round_trip(&desk, 5);
    for key in ["squared_error_per_row", "fraction_variance_unexplained"] {
        let [own, pca] = [&found[key], &found["pca"][key]].map(|value| value.as_f64().unwrap());
        assert!(own > pca, "nothing linear is better than PCA: {own} against {pca}");
    }
    let history = std::fs::read_to_string(desk.path("run/history.jsonl")).unwrap();
    assert_eq!(history.lines().count(), 3);
}

/// What is told is what the kept weights reached, not what came after them.
#[test]
fn with_patience_the_epoch_that_was_kept_is_told() {
    let desk = Desk::new();
    let line = "fit -q --model stack --data demo:digits --set model.layers=[24,9] \
                --set train.validation=0.3 --set train.patience=1 --set train.epochs=200 \
                --set train.learning_rate=0.02 --out run";
    let screen = desk.narrows(line);
    let found = &read_json(&desk, "run/scores.json")["fit"];
    let mut stopped = 0;
    for (folder, scores) in [
        ("run", found),
        ("run/storeys/1", &found["storeys"][0]),
        ("run/storeys/2", &found["storeys"][1]),
    ] {
        let history = std::fs::read_to_string(desk.path(folder).join("history.jsonl")).unwrap();
        let epochs: Vec<Value> =
            history.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let loss = |epoch: &Value| epoch["validation"].as_f64().unwrap();
        let best = epochs.iter().min_by(|a, b| loss(a).total_cmp(&loss(b))).unwrap();
        assert_eq!(scores["kept_epoch"], best["epoch"]);
        assert_eq!(scores["validation"], best["validation"]);
        assert_eq!(scores["loss"], best["loss"]);
        assert_eq!(scores["epochs"], epochs.len());
        stopped += usize::from(best["epoch"] != epochs.len());
        let told = format!("the weights of epoch {} kept", best["epoch"]);
        assert!(screen.contains(&format!("{} epochs", epochs.len())), "{screen}");
        assert!(screen.contains(&told), "{told} in {screen}");
    }
    assert!(stopped > 0, "a test of a training that ended with its best: {screen}");
}

#[test]
fn pca_is_advised_where_it_can_be_taken_instead() {
    let desk = Desk::new();
    // Rank 2, beside which every error is many times that of PCA.
    let flat: Vec<f64> = (0..72).map(|at| ((at / 6 + 1) * (at % 6 + 2)) as f64).collect();
    desk.write("flat.npy", npy(12, 6, &flat));
    let fit = |rest: &str| {
        desk.narrows(&format!("fit -q --model network --set train.epochs=2 --out run {rest}"))
    };
    let digits = "--data demo:digits --set model.layers=[9]";
    let told = fit(digits);
    assert!(told.contains("times the error of PCA: train longer"), "{told}");
    assert!(told.contains("(train.learning_rate), or take PCA"), "{told}");
    let told = fit(&format!("{digits} --set train.optimizer=lbfgs"));
    assert!(told.contains("(train.epochs), or take PCA") && !told.contains("rate"), "{told}");
    for more in ["objective.corruption.kind=masking", "objective.sparsity.kind=l1"] {
        let told = fit(&format!("{digits} --set {more}"));
        assert!(told.contains("more than this error was minimised"), "{told}");
        assert!(!told.contains("take PCA"), "{told}");
    }
    for rest in [
        "--data flat.npy --set model.layers=[3]",
        "--data demo:digits --set model.layers=[64]",
        "--data demo:digits --set model.layers=[70]",
    ] {
        let told = fit(rest);
        assert!(told.contains("PCA of the same width") && !told.contains("times"), "{told}");
    }
}

#[test]
fn noise_is_taken_away_and_measured() {
    let desk = Desk::new();
    desk.narrows(
        "fit -q --model network --data demo:digits --set model.layers=[128,64] \
         --set objective.corruption.kind=gaussian --set objective.corruption.sigma=4 \
         --set train.epochs=20 --out run",
    );
    let found = desk.json("evaluate run --data demo:digits --corrupt --json");
    let error = |what: &str| found[what]["squared_error_per_row"].as_f64().unwrap();
    // 64 columns with a deviation of 4 each.
    close(error("noisy"), 64.0 * 16.0, 0.02);
    assert!(error("restored") < error("noisy"), "{found}");
    assert!(found["restored"]["ssim"].is_null(), "8 × 8 is less than a window: {found}");
    let scores = read_json(&desk, "run/scores.json");
    assert_eq!(scores["denoise"]["demo:digits"], found);
}

/// The noise of a stack is that on its first storey, whatever the others have.
#[test]
fn the_noise_of_a_storey_is_measured() {
    let desk = Desk::new();
    desk.narrows(
        "fit -q --model stack --data demo:digits --set model.layers=[16,8] --set train.epochs=2 \
         --set storey=[{corruption={kind=\"masking\",rate=0.5}},{}] --out run",
    );
    let found = desk.json("evaluate run --data demo:digits --corrupt --json");
    assert_eq!(found["corruption"], serde_json::json!({ "kind": "masking", "rate": 0.5 }));
}

#[test]
fn a_training_that_diverged_is_called_so() {
    let desk = Desk::new();
    let wild = desk.narrows(
        "fit -q --model network --data demo:digits --set train.learning_rate=1000 \
         --set train.epochs=3 --out run",
    );
    assert!(wild.contains("diverged") && wild.contains("--find-lr"), "{wild}");
    let tame = desk.narrows(
        "fit -q --model network --data demo:digits --set train.epochs=3 \
         --set train.validation=0.2 --out run",
    );
    assert!(!tame.contains("diverged") && tame.contains("validation loss"), "{tame}");
}

const SCORES: [&str; 3] =
    ["squared_error_per_row", "fraction_variance_unexplained", "explained_variance"];

/// Evaluates, encodes, decodes, reconstructs and reports, and checks each against the others.
fn round_trip(desk: &Desk, latents: usize) -> Value {
    let found = desk.json("evaluate run --data demo:digits --json");
    assert_eq!(found["rows"], 1797);
    assert_eq!(found["input_dim"], 64);
    assert_eq!(found["latent_dim"], latents);

    desk.narrows("encode run --data demo:digits --out codes.npy -q");
    desk.narrows("decode run --codes codes.npy --out decoded.npy -q");
    desk.narrows("reconstruct run --data demo:digits --out rebuilt.npy -q");
    let [codes, decoded, rebuilt] =
        ["codes.npy", "decoded.npy", "rebuilt.npy"].map(|file| rows(desk.path(file)));
    assert_eq!(codes.dim(), (1797, latents));
    // Files hold f32: codes in between are rounded once more.
    let gap = (&decoded - &rebuilt).iter().fold(0.0_f64, |most, gap| most.max(gap.abs()));
    assert!(gap < 2e-5, "decoded codes differ from reconstructed rows by {gap}");

    let expected = scores(&rows("demo:digits"), &rebuilt);
    for (key, expected) in SCORES.iter().zip(expected) {
        close(found[key].as_f64().unwrap(), expected, 1e-6);
        assert!(found["pca"][key].is_f64(), "{key}");
    }
    desk.narrows("report run -q");
    let page = std::fs::read_to_string(desk.path("run/report.html")).unwrap();
    let loads =
        ["<link", "<script src", "src=\"http", "src='http", "@import", "url(http", "fetch("];
    loads.iter().for_each(|load| assert!(!page.contains(load), "the report loads by {load}"));
    assert!(page.contains("<svg") && page.contains("data:image/png;base64,"));
    found
}

/// The definitions of [`SCORES`], written down directly.
fn scores(x: &Array2<f64>, rebuilt: &Array2<f64>) -> [f64; 3] {
    let squares = |x: &Array2<f64>| x.iter().map(|value| value * value).sum::<f64>();
    let centred = |x: &Array2<f64>| x - &x.mean_axis(Axis(0)).unwrap();
    let error = x - rebuilt;
    let total = squares(&centred(x));
    let (lost, varying) = (squares(&error), squares(&centred(&error)));
    [lost / x.nrows() as f64, lost / total, 1.0 - varying / total]
}

fn close(value: f64, expected: f64, relative: f64) {
    assert!((value - expected).abs() <= relative * expected.abs(), "{value}, not {expected}");
}

fn read_json(desk: &Desk, file: &str) -> Value {
    serde_json::from_slice(&std::fs::read(desk.path(file)).unwrap()).unwrap()
}

#[test]
fn the_same_bits_on_any_number_of_threads() {
    let desk = Desk::new();
    for (fit, solver) in [
        ("--data demo:digits", "covariance|streaming"),
        ("--data demo:faces?people=4&images=5 --set model.components=10", "gram"),
        ("--data demo:digits --set model.solver=streaming", "streaming"),
        ("--data demo:digits --set model.solver=randomized --set model.components=9", "randomized"),
        ("--model linear --data demo:digits --set train.epochs=3 --set model.latent_dim=5", ""),
    ] {
        let line = format!("fit -q {fit} --out run");
        let bits = THREADS.map(|threads| desk.bytes(&line, "run/weights.safetensors", threads));
        assert!(bits[0] == bits[1] && bits[0] == bits[2], "narrows {line}");
        let used = read_json(&desk, "run/scores.json")["fit"]["solver"].clone();
        assert!(solver.split('|').any(|name| used.as_str().unwrap_or("") == name), "{fit}: {used}");
    }
}

#[test]
fn whitened_codes_vary_by_one() {
    let desk = Desk::new();
    let fit = "fit -q --data demo:digits --set model.components=7 --set model.whiten=true";
    desk.narrows(&format!("{fit} --out run"));
    desk.narrows("encode run --data demo:digits --out codes.npy -q");
    let codes = rows(desk.path("codes.npy"));
    let mean = codes.mean_axis(Axis(0)).unwrap();
    let centred = &codes - &mean;
    let covariance = centred.t().dot(&centred) / (codes.nrows() as f64 - 1.0);
    for ((i, j), value) in covariance.indexed_iter() {
        let expected = f64::from(u8::from(i == j));
        assert!((value - expected).abs() < 1e-5, "covariance of codes {i} and {j} is {value}");
    }
    desk.narrows("reconstruct run --data demo:digits --out rebuilt.npy -q");
    let whitened = rows(desk.path("rebuilt.npy"));
    desk.narrows("fit -q --data demo:digits --set model.components=7 --out run");
    desk.narrows("reconstruct run --data demo:digits --out rebuilt.npy -q");
    let gap = (&whitened - &rows(desk.path("rebuilt.npy"))).mapv(f64::abs);
    assert!(gap.iter().all(|&gap| gap < 1e-4), "whitening changes what is rebuilt");
}

const HOLE: (usize, f64) = (17, 2.0 * (17.0 - 20.0) + 1.0);

/// `y = 2 x + 1` beside a category, with the `y` of one row left out.
fn table() -> String {
    let mut table = "x,y,side\n".to_owned();
    for row in 0..40 {
        let x = f64::from(row) - 20.0;
        let y = if row as usize == HOLE.0 { String::new() } else { (2.0 * x + 1.0).to_string() };
        writeln!(table, "{x},{y},{}", ["left", "right"][row as usize % 2]).unwrap();
    }
    table
}

#[test]
fn missing_values_become_the_mean() {
    let desk = Desk::new();
    desk.write("table.csv", table());
    desk.narrows("fit -q --data table.csv --missing mean --set model.components=all --out run");
    desk.narrows("reconstruct run --data table.csv --out rebuilt.npy -q");
    let (given, rebuilt) = (rows(desk.path("table.csv")), rows(desk.path("rebuilt.npy")));
    assert_eq!(rebuilt.dim(), (40, 3));
    let observed = given.column(1).iter().filter(|y| !y.is_nan()).sum::<f64>() / 39.0;
    for ((place, &value), &rebuilt) in given.indexed_iter().zip(&rebuilt) {
        let expected = if place == (HOLE.0, 1) { observed } else { value };
        assert!((rebuilt - expected).abs() < 1e-4, "{place:?}: {rebuilt}, not {expected}");
    }
}

#[test]
fn missing_values_are_found_from_the_others() {
    let desk = Desk::new();
    desk.write("table.csv", table());
    desk.narrows("fit -q --data table.csv --missing em --set model.components=2 --out run");
    desk.narrows("reconstruct run --data table.csv --out rebuilt.npy -q");
    let filled = rows(desk.path("rebuilt.npy"))[(HOLE.0, 1)];
    assert!((filled - HOLE.1).abs() < 1e-3, "{filled}, not {}", HOLE.1);
    let found = desk.json("evaluate run --data table.csv --json");
    assert!(found["squared_error_per_row"].as_f64().unwrap() < 1e-6, "{found}");
}

#[test]
fn a_folder_of_pictures_gives_a_folder_of_pictures() {
    let desk = Desk::new();
    for place in 0..6 {
        let person = ["ada", "bob"][place % 2];
        desk.write(&format!("album/{person}/{place}.pgm"), pgm(7, 5, place));
    }
    desk.narrows("fit -q --data album --set model.components=all --out run");
    desk.narrows("reconstruct run --data album --out rebuilt -q");
    for place in 0..6 {
        let person = ["ada", "bob"][place % 2];
        assert!(desk.path(&format!("rebuilt/{person}/{place}.png")).is_file());
    }
    let (given, rebuilt) = (rows(desk.path("album")), rows(desk.path("rebuilt")));
    assert_eq!(given, rebuilt, "every component brings back every pixel");
}

#[test]
fn pictures_written_twice_replace_each_other() {
    let desk = Desk::new();
    for place in 0..4 {
        desk.write(&format!("album/{place}.pgm"), pgm(7, 5, place));
    }
    desk.narrows("fit -q --data album --set model.components=all --out run");
    desk.narrows("reconstruct run --data album --out rebuilt -q");
    let first = std::fs::read(desk.path("rebuilt/2.png")).unwrap();
    desk.narrows("reconstruct run --data album --out rebuilt -q");
    assert_eq!(std::fs::read(desk.path("rebuilt/2.png")).unwrap(), first);
    // The list of what was written is no picture.
    assert_eq!(rows(desk.path("rebuilt")).nrows(), 4);
}

#[test]
fn set_switches_off_what_the_recipe_switches_on() {
    let desk = Desk::new();
    desk.write("recipe.toml", "[data]\npath = \"demo:digits\"\n[model]\nwhiten = true\n");
    desk.narrows("fit recipe.toml -q --out on");
    desk.narrows("fit recipe.toml -q --set model.whiten=false --out off");
    assert_eq!(read_json(&desk, "on/config.json")["model"]["whiten"], true);
    assert_eq!(read_json(&desk, "off/config.json")["model"]["whiten"], false);
}

/// The command that a report shows, with what HTML writes in its own way put back.
fn shown_command(page: &str) -> String {
    let start = page.find("narrows fit ").unwrap();
    let end = start + page[start..].find('<').unwrap();
    let escaped = [("&#39;", "'"), ("&quot;", "\""), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")];
    escaped.iter().fold(page[start..end].to_owned(), |text, (from, to)| text.replace(from, to))
}

#[test]
fn the_command_of_a_report_makes_the_same_run() {
    let desk = Desk::new();
    desk.write("it's mine.csv", table());
    for place in 0..6 {
        desk.write(&format!("album/{place}.pgm"), pgm(9, 6, place));
    }
    let path = ["it's mine.csv"];
    let cases: [(&str, &[&str]); 7] = [
        ("--missing em --label-column side --set model.components=1 --data", &path),
        ("--missing mean --set prepare.scale=centre --set prepare.row_norm=true --data", &path),
        ("--set model.solver=randomized --set model.components=9 --seed 7 --data demo:digits", &[]),
        ("--set model.components=parallel --set model.whiten=true --data demo:digits", &[]),
        ("--data album --resize 4x5 --colour --set model.components=3", &[]),
        (
            "--model linear --data demo:digits --seed 3 --set model.latent_dim=4 \
             --set model.tied=true --set train.epochs=2 --set train.learning_rate=1e-3 \
             --set train.optimizer=sgd --set train.batch_growth=1 --set train.warm_up=0.25",
            &[],
        ),
        (
            "--model stack --data demo:digits --set prepare.scale=none --set model.layers=[9,5,4,3] \
             --set objective.corruption.kind=gaussian --set train.epochs=2 \
             --set storey=[{corruption={kind=\"masking\",rate=0.5},epochs=1},{kind=\"pca\"},\
             {corruption={kind=\"none\"}},{}] --set model.fine_tune_epochs=1",
            &[],
        ),
    ];
    for (line, more) in cases {
        let fit = desk.command(&format!("fit -q --out run {line}")).args(more).output().unwrap();
        assert!(fit.status.success(), "{line}: {}", String::from_utf8_lossy(&fit.stderr));
        desk.narrows("report run -q");
        let page = std::fs::read_to_string(desk.path("run/report.html")).unwrap();
        let command = format!("{} -q --out again", shown_command(&page));
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &command]).current_dir(desk.path(""));
        let output = shell.env("PATH", Path::new(NARROWS).parent().unwrap()).output().unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        for file in ["weights.safetensors", "preparation.json", "config.json"] {
            let [run, again] =
                ["run", "again"].map(|run| std::fs::read(desk.path(run).join(file)).unwrap());
            assert!(run == again, "{command}: another {file}");
        }
    }
}

#[test]
fn a_report_calls_the_columns_of_a_table_by_their_names() {
    let desk = Desk::new();
    let mut people = "height,city,weight\n".to_owned();
    for row in 0..30_u32 {
        let city = ["Bonn", "Cologne", "Aachen"][row as usize % 3];
        let height = 1.6 + f64::from(row * 7 % 11) / 50.0;
        writeln!(people, "{height},{city},{}", 55 + row * 13 % 31).unwrap();
    }
    desk.write("people.csv", people);
    desk.narrows("fit -q --data people.csv --set model.components=all --out run");
    desk.narrows("report run -q");
    let page = std::fs::read_to_string(desk.path("run/report.html")).unwrap();
    for name in ["height", "city = Aachen", "city = Bonn", "city = Cologne", "weight"] {
        assert!(page.contains(&format!("<span>{name}</span>")), "{name}");
    }
    assert!(!page.contains("column 4"), "a column without a name");
    // The values as they stand in the table, not as the model sees them: heights below 2 m.
    assert!(page.contains("both in the units of the data"));
    let (_, rows) = page.split_once("<tbody>").expect("a table");
    let (_, height) = rows.split_once("height: 1.").expect("a height in metres");
    assert!(height.split_once(" → 1.").is_some_and(|(digits, _)| digits.len() < 4), "{height:.20}");
}

#[test]
fn one_picture_in_gives_one_picture_out() {
    let desk = Desk::new();
    for place in 0..6 {
        desk.write(&format!("album/{place}.pgm"), pgm(9, 6, place));
    }
    desk.narrows("fit -q --data album --set model.components=all --out run");
    let told = |line: &str| {
        let output = desk.command(line).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stderr).unwrap()
    };
    let one = "reconstruct run --data album/3.pgm --out";
    for out in ["one.png", "one.pgm"] {
        assert_eq!(
            told(&format!("{one} {out}")),
            format!("written: 1 picture of 9 × 6 in {out}\n")
        );
        assert_eq!(rows(desk.path(out)), rows(desk.path("album/3.pgm")));
        // A picture may be written again.
        told(&format!("{one} {out}"));
    }
    assert_eq!(told(&format!("{one} folder")), "written: 1 picture of 9 × 6 in folder\n");
    assert_eq!(rows(desk.path("folder")), rows(desk.path("album/3.pgm")));
    let all = "reconstruct run --data album --out rebuilt";
    assert_eq!(told(all), "written: 6 pictures of 9 × 6 in rebuilt\n");
}

#[test]
fn rows_are_named_by_their_place_and_class() {
    let desk = Desk::new();
    desk.write("table.csv", table().replace(",\n", ",0\n").replace(",,", ",0,"));
    let fit = "fit -q --data table.csv --set model.components=1 --out run --label-column side";
    desk.narrows(fit);
    desk.narrows("report run -q");
    let page = std::fs::read_to_string(desk.path("run/report.html")).unwrap();
    assert!(page.contains("<th scope=\"row\">row 1 · class "), "no name of the first row");
}

#[test]
fn a_single_picture_is_brought_to_the_size_and_colours_of_the_others() {
    let desk = Desk::new();
    for place in 0..6 {
        desk.write(&format!("album/{place}.pgm"), pgm(9, 6, place));
    }
    desk.write("door.pgm", pgm(20, 15, 9));
    desk.narrows("fit -q --data album --resize 4x5 --colour --set model.components=3 --out run");
    desk.narrows("encode run --data door.pgm --out codes.npy -q");
    assert_eq!(rows(desk.path("codes.npy")).dim(), (1, 3));
    // Numbers that are as wide as the pictures need no size.
    desk.write("numbers.npy", npy(2, 60, &[0.5; 120]));
    desk.narrows("encode run --data numbers.npy --out codes.npy -q");
    assert_eq!(rows(desk.path("codes.npy")).dim(), (2, 3));
}

#[test]
fn the_column_of_labels_is_known_from_the_training() {
    let desk = Desk::new();
    let whole = table().replace(",\n", ",0\n").replace(",,", ",0,");
    let cut = |line: &str| line.rsplit_once(',').unwrap().0.to_owned() + "\n";
    desk.write("unlabelled.csv", whole.lines().map(cut).collect::<String>());
    desk.write("table.csv", whole);
    for column in ["side", "3"] {
        let fit = "fit -q --data table.csv --set model.components=1 --out run --label-column";
        desk.narrows(&format!("{fit} {column}"));
        let codes = ["table.csv", "unlabelled.csv"].map(|data| {
            desk.narrows(&format!("encode run --data {data} --out codes.npy -q"));
            rows(desk.path("codes.npy"))
        });
        assert_eq!(codes[0].dim(), (40, 1));
        assert_eq!(codes[0], codes[1]);
    }
}

#[test]
fn classes_are_measured_where_labels_are_given() {
    let desk = Desk::new();
    let labels: String = (0..1797).map(|row| ["even\n", "odd\n"][row % 2]).collect();
    desk.write("labels.txt", labels);
    desk.narrows("fit -q --data demo:digits --set model.components=8 --out run");
    let evaluate = "evaluate run --data demo:digits";
    assert!(desk.json(&format!("{evaluate} --json"))["classes"].is_null());
    let found = desk.json(&format!("{evaluate} --labels labels.txt --json"));
    let classes = found["classes"].as_array().unwrap();
    assert_eq!((&classes[0]["name"], &classes[0]["rows"]), (&"even".into(), &899.into()));
    assert_eq!((&classes[1]["name"], &classes[1]["rows"]), (&"odd".into(), &898.into()));

    desk.narrows("reconstruct run --data demo:digits --out rebuilt.npy -q");
    let (x, rebuilt) = (rows("demo:digits"), rows(desk.path("rebuilt.npy")));
    for (class, found) in classes.iter().enumerate() {
        let of = |x: &Array2<f64>| x.slice(ndarray::s![class..; 2, ..]).to_owned();
        let expected = scores(&of(&x), &of(&rebuilt));
        for (key, expected) in SCORES.iter().zip(expected) {
            close(found[key].as_f64().unwrap(), expected, 1e-6);
            assert_eq!(found[key], found["pca"][key]);
        }
    }
    let screen = desk.narrows(&format!("{evaluate} --labels labels.txt -q"));
    assert!(screen.contains("class  rows  squared_error_per_row"), "{screen}");
}

#[test]
fn a_row_alone_has_no_variance_and_that_is_said() {
    let desk = Desk::new();
    let digits = rows("demo:digits");
    desk.write("one.npy", npy(1, 64, &digits.row(0).to_vec()));
    desk.narrows("fit -q --data demo:digits --set model.components=8 --out run");
    let output = desk.command("evaluate run --data one.npy").output().unwrap();
    let [screen, note] =
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(note.contains("are not defined"), "{note}");
    assert!(screen.contains("fraction_variance_unexplained") && screen.contains('—'), "{screen}");
    let found = desk.json("evaluate run --data one.npy --json -q");
    assert!(found["squared_error_per_row"].as_f64().unwrap() > 0.0);
    assert!(found["fraction_variance_unexplained"].is_null());
}

/// Whoever reads may leave before the end.
#[test]
fn a_closed_pipe_is_the_end_and_no_failure() {
    let desk = Desk::new();
    desk.narrows("fit -q --data demo:digits --set model.components=8 --out run");
    for line in [
        "data demo:digits",
        "fit --print-recipe",
        "fit --data demo:digits --out again",
        "evaluate run --data demo:digits",
        "evaluate run --data demo:digits --json",
        "report run",
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = desk.command(line).stdout(writer).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "narrows {line}: {message}");
        assert!(!message.contains("panicked"), "narrows {line}: {message}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn paths_need_not_be_text() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let desk = Desk::new();
    let odd = OsStr::from_bytes(b"r\xffn");
    let narrows = |line: &str, then: &OsStr| {
        let output = desk.command(line).arg(then).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    narrows("fit -q --data demo:digits --set model.components=3 --out", odd);
    assert!(narrows("report --json", odd).contains("report.html"));
    let codes = OsStr::from_bytes(b"c\xffdes.npy");
    desk.narrows("fit -q --data demo:digits --set model.components=3 --out run");
    assert!(narrows("encode run --data demo:digits --json -q --out", codes).contains("path"));
    let faces = OsStr::from_bytes(b"f\xffces");
    let evaluate = "faces evaluate demo:faces?people=4&images=3&size=16 --splits 1 -q \
                    --train-per-person 2 --components 2 --out";
    narrows(evaluate, faces);
    let page = std::fs::read_to_string(desk.path("").join(faces).join("report.html")).unwrap();
    assert!(page.contains("narrows faces evaluate &#39;demo:faces?people=4&amp;images"), "quoted");
}

const STACK: &str = "fit -q --model stack --data demo:digits --set model.layers=[20,16,6] \
                     --set storey=[{corruption={kind=\"masking\",rate=0.2}},{kind=\"pca\"},{}]";

#[test]
fn a_stack_from_rows_to_a_report() {
    let desk = Desk::new();
    let line = format!("{STACK} --set train.epochs=2 --out run");
    let bits = THREADS.map(|threads| desk.bytes(&line, "run/weights.safetensors", threads));
    assert!(bits[0] == bits[1] && bits[0] == bits[2], "narrows {line}");
    round_trip(&desk, 6);
    let lines = |file: &str| {
        std::fs::read_to_string(desk.path(file)).ok().map(|history| history.lines().count())
    };
    assert_eq!(lines("run/history.jsonl"), Some(2));
    let histories = [1, 2, 3].map(|storey| lines(&format!("run/storeys/{storey}/history.jsonl")));
    assert_eq!(histories, [Some(2), None, Some(2)]);
    let storeys = read_json(&desk, "run/scores.json")["fit"]["storeys"].clone();
    for (place, widths) in [(64, 20), (20, 16), (16, 6)].into_iter().enumerate() {
        let scores = read_json(&desk, &format!("run/storeys/{}/scores.json", place + 1));
        assert_eq!(scores["fit"], storeys[place]);
        let [from, to] = ["input_dim", "latent_dim"].map(|key| scores["fit"][key].as_u64());
        assert_eq!((from, to), (Some(widths.0), Some(widths.1)));
    }
    let screen = desk.narrows(&line);
    assert!(screen.contains("storey 1: 64 → 20 columns, 2 epochs, loss"), "{screen}");
    assert!(screen.contains("storey 2: 20 → 16 columns, PCA,"), "{screen}");
    assert!(screen.contains("network: 64-20-16-6-16-20-64, code of 6 columns"), "{screen}");
}

/// Killed in the third storey, with no time for a last word.
#[test]
fn a_stack_that_was_killed_goes_on_to_the_same_bits() {
    let desk = Desk::new();
    let fit = format!("{STACK} --set train.epochs=20 --set train.checkpoint_seconds=0.02");
    desk.narrows(&format!("{fit} --out whole"));
    let mut child = desk.command(&format!("{fit} --out run")).spawn().unwrap();
    let state = desk.path("run/checkpoint/state.safetensors");
    let in_the_third = |state: &[u8]| String::from_utf8_lossy(state).contains("storey.1.encoder");
    while !std::fs::read(&state).is_ok_and(|state| in_the_third(&state)) {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it could be killed");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!desk.path("run/weights.safetensors").exists());
    desk.narrows("fit -q --resume --out run");
    let [whole, run] = ["whole", "run"]
        .map(|run| std::fs::read(desk.path(run).join("weights.safetensors")).unwrap());
    assert!(whole == run, "other weights");
    assert!(!state.exists() && desk.path("run/storeys/1/history.jsonl").exists());
}
