//! What the documents say can be typed: every command in README.md, in the book under docs/src and in the comments
//! of recipes is run, from the first to the last of a document, in a folder in which the files that documents name
//! are there but small.
//!
//! A command is a line in an indented block of README.md, in a block marked `console` of the book, or in an indented
//! comment of a recipe, that begins with `narrows`. A shell reads it, as it would for the reader.

#![allow(clippy::unwrap_used)]
#![cfg(unix)]

mod harness;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Instant;

use flate2::Compression;
use flate2::write::GzEncoder;
use harness::{Desk, NARROWS, npy, rows};

/// What is made smaller in commands before they are run, for all of them are to take a minute: what a document says,
/// what is run, and why that is the same command.
const SMALLER: [(&str, &str); 24] = [
    // Nobody listens there.
    ("fetch mnist", "fetch mnist --mirror http://127.0.0.1:9"),
    // Few rows bear few latents.
    (
        "--data activations.npy --set dictionary.latents=16x",
        "--data activations.npy --set train.rows=2000 --set dictionary.latents=2x --set dictionary.k=4",
    ),
    // Rows of sets that are made as they are read.
    ("demo:toy?rows=1000000", "demo:toy?features=32&dim=16&rows=4000"),
    ("demo:toy?rows=50000&first", "demo:toy?features=32&dim=16&rows=1000&first"),
    ("demo:superposition?rows=20000&", "demo:superposition?features=96&dim=32&rows=2000&"),
    ("--set train.rows=4000000", "--set train.rows=4000"),
    ("--set train.rows=200000", "--set train.rows=2000"),
    // Latents of a dictionary for each of 128 columns.
    ("dictionary.latents=16x", "dictionary.latents=2x"),
    ("dictionary.latents=8x", "dictionary.latents=2x"),
    (
        "--lm pythia-70m --text pile.jsonl.gz",
        "--set dictionary.latents=2x --lm pythia-70m --text pile.jsonl.gz",
    ),
    (
        "--data stores/resid3 --out runs/sweep",
        "--set dictionary.latents=2x --data stores/resid3 --out runs/sweep",
    ),
    ("k=16,32,64; seed=0..2'", "k=16,32; seed=0..1'"),
    ("narrows features runs/sae", "narrows features runs/sae --features 0..49"),
    // Epochs, seeds and labels.
    ("--set train.epochs=100", "--set train.epochs=2"),
    ("--label-count 20,100,1000 --seeds 10", "--label-count 20 --seeds 2 --set train.epochs=2"),
    ("--label-count 100,1000 --seeds 10", "--label-count 20 --seeds 2 --set train.epochs=2"),
    ("--label-count 100,1000 --out", "--label-count 20 --seeds 2 --set train.epochs=2 --out"),
    ("--out runs/stack", "--set train.epochs=2 --out runs/stack"),
    // A study of four blocks, by fewer dictionaries.
    (" --quick --out studies", " --out studies"),
    (
        "narrows study pythia-70m",
        "narrows study pythia-70m --quick --context 128 --set study.features=5 --set study.pairs=4 --set study.layers=[1] --set 'sweep=\"alpha=0.5,2; width=2x\"'",
    ),
    // A tree of fewer branches, in shorter windows.
    ("narrows tree --lm", "narrows tree --causes 1 --context 64 --lm"),
    // Splits of faces.
    ("faces evaluate demo:faces", "faces evaluate demo:faces --splits 2"),
    ("faces evaluate 'demo:faces?", "faces evaluate --splits 2 'demo:faces?"),
    // A browser.
    (" --open", ""),
];

/// Sections of the tour that take a few seconds at most. Those that train networks take a quarter of a minute and more,
/// so a tour of them, or of all, is one of section 4 here.
const SHORT_SECTIONS: [&str; 6] = ["2", "3", "4", "5", "6", "7"];

/// Commands that cannot end well here, why, and what they must say instead; that they say it shows that all before
/// it was understood.
const CANNOT: [(&str, &str, &str); 4] = [
    ("narrows fetch", "a test downloads nothing", "127.0.0.1:9/train-images-idx3-ubyte.gz"),
    (
        "narrows interpret",
        "it asks a model behind an address of the reader's, and none listens here",
        "does not answer",
    ),
    ("narrows fit --resume", "the training before it was not interrupted", "holds no checkpoint"),
    ("narrows finetune --resume", "nor was this one", "holds no checkpoint"),
];

/// A text that people read, and its commands in order.
struct Document {
    name: String,
    text: String,
    commands: Vec<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The files in a folder whose name ends so, in order.
fn files(folder: &str, end: &str) -> Vec<PathBuf> {
    let folder = root().join(folder);
    let mut found: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|own| own == end));
    found.sort();
    found
}

fn documents() -> Vec<Document> {
    let mut paths = vec![root().join("README.md")];
    paths.extend(files("docs/src", "md"));
    paths.extend(files("recipes", "toml"));
    let read = |path: PathBuf| {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        let text = fs::read_to_string(&path).unwrap();
        let lines = if name.ends_with(".toml") {
            text.lines().filter_map(|line| line.strip_prefix("#   ")).map(str::to_owned).collect()
        } else if name == "README.md" {
            text.lines().filter_map(|line| line.strip_prefix("    ")).map(str::to_owned).collect()
        } else {
            in_console_blocks(&text)
        };
        let mut commands = commands(&lines);
        if name == "README.md" {
            commands.extend(in_tables(&text));
        }
        Document { name, text, commands }
    };
    paths.into_iter().map(read).collect()
}

fn in_console_blocks(text: &str) -> Vec<String> {
    let (mut lines, mut inside) = (Vec::new(), false);
    for line in text.lines() {
        if let Some(mark) = line.trim_start().strip_prefix("```") {
            inside = mark == "console";
        } else if inside {
            lines.push(line.to_owned());
        }
    }
    lines
}

/// Whole commands within the rows of tables. What is in capitals stands for something, and a command without arguments is
/// only named.
fn in_tables(text: &str) -> Vec<String> {
    let spans = text.lines().filter(|line| line.starts_with('|')).flat_map(|line| line.split('`'));
    let is_whole = |span: &&str| {
        let stands_for =
            |word: &str| word.len() > 2 && word.chars().all(|c| c.is_ascii_uppercase());
        span.starts_with("narrows ")
            && span.split(' ').count() > 2
            && !span.split(' ').any(stands_for)
    };
    spans.filter(is_whole).map(str::to_owned).collect()
}

/// Lines that begin with the command, each joined with those that it goes on in.
fn commands(lines: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = lines.iter();
    while let Some(line) = lines.next() {
        let line = line.replacen("cargo run --release -- ", "narrows ", 1);
        if !line.starts_with("narrows ") {
            continue;
        }
        let mut command = line.trim_end().to_owned();
        while command.ends_with('\\') {
            command.pop();
            command += lines.next().unwrap().trim();
        }
        found.push(command);
    }
    found
}

/// The folder that commands are run in: made once, copied for each document.
fn files_of_readers() -> Desk {
    let desk = Desk::new();
    pictures(&desk);
    tables_and_arrays(&desk);
    people(&desk);
    recipes(&desk);
    language_model(&desk);
    desk
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The four files of MNIST, of the built-in digits: each pixel three times as high and wide, with a margin of two.
fn pictures(desk: &Desk) {
    const COUNTS: [(&str, usize, usize); 2] = [("train", 0, 400), ("t10k", 400, 100)];
    let spec = "demo:digits?levels=256";
    let small = rows(spec);
    let labels = narrows::data::open(spec, &Default::default()).unwrap().labels.unwrap().classes;
    for (part, first, count) in COUNTS {
        let mut pixels = [0, 0, 8, 3].to_vec();
        [count, 28, 28].iter().for_each(|&size| pixels.extend((size as u32).to_be_bytes()));
        let mut classes = [0, 0, 8, 1].to_vec();
        classes.extend((count as u32).to_be_bytes());
        for row in first..first + count {
            let at = |place: usize| (place.wrapping_sub(2) / 3 < 8).then(|| (place - 2) / 3);
            let pixel = |place: usize| match (at(place / 28), at(place % 28)) {
                (Some(y), Some(x)) => small[[row, 8 * y + x]] as u8,
                _ => 0,
            };
            pixels.extend((0..28 * 28).map(pixel));
            classes.push(labels[row] as u8);
        }
        for folder in ["", "mnist/"] {
            desk.write(&format!("{folder}{part}-images-idx3-ubyte.gz"), gzipped(&pixels));
            desk.write(&format!("{folder}{part}-labels-idx1-ubyte.gz"), gzipped(&classes));
        }
    }
}

/// Numbers that look drawn, between −1 and 1.
fn numbers(count: usize) -> Vec<f64> {
    let mut state = 7_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state >> 8) / f64::from(1 << 23) - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn tables_and_arrays(desk: &Desk) {
    let drawn = numbers(2000);
    let mut wine = "kind,alcohol,acid,sugar,colour\n".to_owned();
    for (row, values) in drawn.chunks(3).take(60).enumerate() {
        let kind = ["red", "white"][row % 2];
        let (alcohol, acid, sugar) = (12.0 + values[0], 3.0 - values[1], 5.0 + 3.0 * values[2]);
        let colour = ["dark", "light", "pale"][row % 3];
        writeln!(wine, "{kind},{alcohol:.2},{acid:.2},{sugar:.1},{colour}").unwrap();
    }
    desk.write("wine.csv", wine);
    let mut gaps = (0..8).map(|column| format!("c{column}")).collect::<Vec<_>>().join(",") + "\n";
    for (row, values) in drawn.chunks(8).take(80).enumerate() {
        let cell = |(column, value): (usize, &f64)| match (row + 3 * column) % 11 {
            0 => String::new(),
            _ => format!("{:.3}", value + drawn[row] * column as f64),
        };
        gaps += &(values.iter().enumerate().map(cell).collect::<Vec<_>>().join(",") + "\n");
    }
    desk.write("gaps.csv", gaps);
    desk.write("20gb.npy", npy(200, 60, &numbers(200 * 60)));
    desk.write("train.npy", npy(200, 40, &numbers(200 * 40)));
    desk.write("test.npy", npy(50, 40, &numbers(50 * 40)));
    desk.write("activations.npy", npy(300, 16, &numbers(300 * 16)));
    // Three hundred frames at 8,000 samples a second.
    let samples: Vec<u8> = numbers(300 * 256)
        .iter()
        .flat_map(|value| ((value * 9000.0) as i16).to_le_bytes())
        .collect();
    let length = samples.len() as u32;
    let mut sound = b"RIFF".to_vec();
    sound.extend((36 + length).to_le_bytes());
    sound.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data");
    sound.extend(length.to_le_bytes());
    sound.extend(samples);
    desk.write("talk.wav", sound);
    let bytes: Vec<f64> = numbers(20 * 784).iter().map(|value| 128.0 + 127.0 * value).collect();
    desk.write("new.npy", npy(20, 784, &bytes));
}

/// Six people by six pictures each, and others of two of them at the door.
fn people(desk: &Desk) {
    let spec = "demo:faces?people=8&images=8&size=40";
    let (pixels, set) = (rows(spec), narrows::data::open(spec, &Default::default()).unwrap());
    let (image, labels) = (set.image.unwrap(), set.labels.unwrap());
    let mut seen = [0; 8];
    for (row, &person) in labels.classes.iter().enumerate() {
        let place = seen[person];
        seen[person] += 1;
        let name = match (person, place) {
            (0..6, 0..6) => format!("friends/{}/{place}.png", labels.names[person]),
            (0, 6) => "door.png".to_owned(),
            (6, 0) => "ada-1.png".to_owned(),
            (6, 1) => "ada-2.png".to_owned(),
            _ => continue,
        };
        let path = desk.path(&name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let bytes: Vec<u8> = pixels.row(row).iter().map(|&value| value as u8).collect();
        let (width, height) = (image.width as u32, image.height as u32);
        image::save_buffer(&path, &bytes, width, height, image::ColorType::L8).unwrap();
    }
    // Rows to restore, as pictures.
    for (place, bytes) in numbers(3 * 784).chunks(784).enumerate() {
        let path = desk.path(&format!("noisy/{place}.png"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let bytes: Vec<u8> = bytes.iter().map(|value| (128.0 + 127.0 * value) as u8).collect();
        image::save_buffer(&path, &bytes, 28, 28, image::ColorType::L8).unwrap();
    }
}

/// The recipes, with one epoch or a few thousand rows, and without layers that take long for so few pictures.
fn recipes(desk: &Desk) {
    for path in files("recipes", "toml") {
        let mut recipe: toml::Table = toml::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let is_dictionary = recipe["model"]["kind"].as_str() == Some("dictionary");
        let is_study = recipe.contains_key("study");
        let train = recipe["train"].as_table_mut().unwrap();
        if is_study {
            recipe["sweep"] = "alpha=0.25..8 log 2; width=2x".into();
            let study = recipe["study"].as_table_mut().unwrap();
            study.insert("passes".into(), 1.into());
            study.insert("patching".into(), "effect".into());
        } else if is_dictionary {
            train.insert("rows".into(), 4096.into());
            train.insert("batch_size".into(), 256.into());
            let small = if recipe.contains_key("sweep") { 64.into() } else { "2x".into() };
            if let Some(sweep) = recipe.get_mut("sweep") {
                *sweep = sweep.as_str().unwrap().replace("k=15,25,35", "k=25").into();
            }
            recipe["dictionary"].as_table_mut().unwrap().insert("latents".into(), small);
            let data = recipe["data"]["path"].as_str().unwrap();
            let data = data.replace("superposition?", "superposition?features=96&dim=32&");
            let data = data.replace("toy?", "toy?features=32&dim=16&");
            recipe["data"]["path"] = data.into();
        } else {
            train.insert("epochs".into(), 1.into());
            for width in recipe["model"]["layers"].as_array_mut().unwrap() {
                *width = width.as_integer().unwrap().min(64).into();
            }
        }
        let name = format!("recipes/{}", path.file_name().unwrap().to_str().unwrap());
        desk.write(&name, toml::to_string(&recipe).unwrap());
    }
}

/// A language model with its text in the forms that documents name, rows of it, and a dictionary of another library.
fn language_model(desk: &Desk) {
    for model in ["pythia-70m", "lm-tiny"] {
        fs::create_dir(desk.path(model)).unwrap();
        narrows_lm::shipped::unpack(&desk.path(model)).unwrap();
    }
    let mut text = String::new();
    let packed = fs::read(desk.path("lm-tiny").join(narrows_lm::shipped::TEXT)).unwrap();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&*packed), &mut text).unwrap();
    let stories: Vec<&str> =
        text.split("<|endoftext|>").map(str::trim).filter(|story| !story.is_empty()).collect();
    let of = |part: &[&str]| part.join("<|endoftext|>");
    desk.write("held-out.txt", of(&stories[..12]));
    desk.write("stories.txt", of(&stories[12..50]));
    let line = |story: &&str| serde_json::json!({"text": story}).to_string() + "\n";
    let lines: String = stories[12..50].iter().map(line).collect();
    desk.write("pile.jsonl.gz", gzipped(lines.as_bytes()));
    let mut pairs = String::new();
    for place in ["park", "house", "garden", "school", "tree", "lake"] {
        let prompt = |who: &str| format!("once there was a little {who}. at the {place}");
        let pair = serde_json::json!({"base": prompt("girl"), "target": prompt("boy")});
        writeln!(pairs, "{pair}").unwrap();
    }
    desk.write("pairs.jsonl", pairs);

    let tap = "harvest lm-tiny -q --element f32 --context 128 --tap blocks.3.residual_post --text";
    for (text, store) in [
        ("held-out.txt", "stores/held-out"),
        ("held-out.txt", "stores/resid3-held-out"),
        ("stories.txt", "stores/resid3"),
        ("stories.txt", "stores/blocks.3.residual_post"),
    ] {
        desk.narrows(&format!("{tap} {text} --out {store}"));
    }
    let activations = rows(desk.path("stores/resid3"));
    desk.write("cache", safetensors("blocks.3.hook_resid_post", &activations));
    desk.narrows(
        "fit --model dictionary --data stores/resid3 --set dictionary.latents=2x --set dictionary.k=16 \
         --set train.rows=2000 --set train.batch_size=256 --out learned -q",
    );
    desk.narrows("convert learned downloaded --to saelens -q");
}

/// One tensor of f32.
fn safetensors(name: &str, rows: &ndarray::Array2<f64>) -> Vec<u8> {
    let (count, columns) = rows.dim();
    let end = 4 * count * columns;
    let header = serde_json::json!({
        name: {"dtype": "F32", "shape": [count, columns], "data_offsets": [0, end]}
    });
    let header = header.to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.bytes());
    rows.iter().for_each(|&value| bytes.extend((value as f32).to_le_bytes()));
    bytes
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), &to).unwrap()),
        }
    }
}

/// Runs the commands of a document, and says which failed and what they said.
fn run(document: &Document, files: &Desk) -> String {
    let desk = Desk::new();
    copy(&files.path(""), &desk.path(""));
    let (mut failed, mut made) = (String::new(), BTreeSet::new());
    for written in &document.commands {
        let mut command = written.clone();
        for (said, smaller) in SMALLER {
            command = command.replace(said, smaller);
        }
        if let Some(options) = command.strip_prefix("narrows tour") {
            let mut short = SHORT_SECTIONS.iter();
            if !short.any(|number| options == format!(" --only {number}")) {
                command = "narrows tour --only 4".to_owned();
            }
        }
        // A document may use a store before it tells how one is made: then ours makes room for the reader's.
        let out = command.split(" --out ").nth(1).and_then(|rest| rest.split(' ').next());
        if let Some(store) = out.filter(|out| out.starts_with("stores/"))
            && made.insert(store.to_owned())
            && desk.path(store).exists()
        {
            fs::remove_dir_all(desk.path(store)).unwrap();
        }
        let begin = Instant::now();
        let binary = Path::new(NARROWS).parent().unwrap().display();
        let path = format!("{binary}:{}", std::env::var("PATH").unwrap_or_default());
        let mut shell = Command::new("sh");
        shell.args(["-c", &command]).current_dir(desk.path("")).env("PATH", path);
        let output = shell.env_remove("NARROWS_DATA").output().unwrap();
        println!("{:5.1} s  {}: {command}", begin.elapsed().as_secs_f64(), document.name);
        let told = desk.without_path(&output.stderr);
        let cannot = CANNOT.iter().find(|(begins, _, _)| command.starts_with(begins));
        let as_wanted = match cannot {
            Some((_, _, said)) => !output.status.success() && told.contains(said),
            None => output.status.success(),
        };
        if !as_wanted {
            let code = output.status;
            write!(failed, "\n{}: {written}\n  ({code}) {told}", document.name).unwrap();
            if command != *written {
                writeln!(failed, "  run as: {command}").unwrap();
            }
        }
    }
    failed
}

#[test]
fn every_command_in_a_document_can_be_typed() {
    let files = files_of_readers();
    let documents = documents();
    let left = Mutex::new(documents.iter());
    let failed = Mutex::new(String::new());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let Some(document) = left.lock().unwrap().next() else { break };
                    let own = run(document, &files);
                    *failed.lock().unwrap() += &own;
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{failed}");
    let count: usize = documents.iter().map(|document| document.commands.len()).sum();
    assert!(count > 100, "only {count} commands were found");
}

/// The commands that the help of `narrows` names, or of one of its commands that has commands of its own.
fn commands_in_help(of: &[&str]) -> BTreeSet<String> {
    let output = Command::new(NARROWS).args(of).arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let list = help.split("\nUsage: ").nth(1).unwrap_or_default();
    let list = list.split("\nOptions:").next().unwrap_or_default();
    // What goes on with the line before, and examples, are set further in; arguments stand in brackets.
    let names = list.lines().filter_map(|line| line.strip_prefix("  "));
    let names = names.filter(|line| line.starts_with(|c: char| c.is_ascii_alphabetic()));
    names.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn documents_tell_of_every_command_and_recipe() {
    let documents = documents();
    let typed: Vec<&String> = documents.iter().flat_map(|document| &document.commands).collect();
    let names = commands_in_help(&[]);
    assert!(names.len() > 15, "{names:?}");
    for name in names.iter().filter(|name| *name != "help") {
        let mut below = commands_in_help(&[name]);
        below.remove("help");
        let own = format!("narrows {name}");
        let wanted: Vec<String> = match below.is_empty() {
            true => vec![own],
            false => below.iter().map(|below| format!("{own} {below}")).collect(),
        };
        for wanted in wanted {
            let is_told = |line: &&&String| line.contains(&format!("{wanted} "));
            assert!(typed.iter().find(is_told).is_some(), "no document shows `{wanted}`");
        }
    }
    for path in files("recipes", "toml") {
        let name = format!("recipes/{}", path.file_name().unwrap().to_str().unwrap());
        let pages = documents.iter().filter(|document| !document.name.starts_with("recipes/"));
        let is_told = pages.clone().any(|page| page.text.contains(&name));
        assert!(is_told, "no document tells of {name}");
    }
    // Commands named in passing are commands too.
    for document in &documents {
        for part in document.text.split("`narrows ").skip(1) {
            let name: String = part.chars().take_while(|c| c.is_ascii_alphanumeric()).collect();
            let is_one = name.is_empty() || name == "COMMAND" || names.contains(&name);
            assert!(is_one, "{}: `narrows {name}` is no command", document.name);
        }
    }
}

/// Markdown without what stands between `<!--` and `-->`.
fn without_comments(text: &str) -> String {
    let mut parts = text.split("<!--");
    let first = parts.next().unwrap_or_default();
    let after = parts.map(|part| part.split_once("-->").map_or("", |(_, after)| after));
    std::iter::once(first).chain(after).collect()
}

#[test]
fn links_in_documents_lead_somewhere() {
    let summary = fs::read_to_string(root().join("docs/src/SUMMARY.md")).unwrap();
    let summary = without_comments(&summary);
    for document in documents().iter().filter(|document| document.name.ends_with(".md")) {
        let path = root().join(&document.name);
        for part in without_comments(&document.text).split("](").skip(1) {
            let link = part.split([')', '#']).next().unwrap();
            if link.is_empty() || link.starts_with("http") {
                continue;
            }
            let target = path.parent().unwrap().join(link);
            assert!(target.exists(), "{}: there is no {link}", document.name);
        }
        if let Some(page) = document.name.strip_prefix("docs/src/") {
            let is_listed = page == "SUMMARY.md" || summary.contains(&format!("({page})"));
            assert!(is_listed, "SUMMARY.md does not list {page}");
        }
    }
}
