//! Every file in `recipes/` is what it says: it can be read and run.

#![allow(clippy::unwrap_used)]

mod harness;

use std::fs;
use std::path::{Path, PathBuf};

use harness::Desk;

/// The files, with their text.
fn recipes() -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes");
    let mut found: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    assert!(found.iter().all(|path| path.extension().is_some_and(|end| end == "toml")));
    assert!(found.len() >= 9, "{found:?}");
    let read = |path: PathBuf| (path.clone(), fs::read_to_string(path).unwrap());
    // What `narrows study` reads is no recipe of a fit.
    found.into_iter().map(read).filter(|(_, text)| !text.contains("[study]")).collect()
}

#[test]
fn the_recipe_of_a_study_says_what_is_usual() {
    use narrows_lm::study::StudyRecipe;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes/lm-features.toml");
    let given: serde_json::Value = toml::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let read = |given| StudyRecipe::from_value(StudyRecipe::usual(), &given).unwrap();
    assert_eq!(read(given), read(serde_json::json!({})));
}

/// Those of sparse dictionaries, or all others.
fn of_dictionaries(wanted: bool) -> impl Iterator<Item = (PathBuf, toml::Table)> {
    let read = |(path, text): (PathBuf, String)| (path, toml::from_str(&text).unwrap());
    recipes().into_iter().map(read).filter(move |(_, recipe): &(PathBuf, toml::Table)| {
        wanted == (recipe["model"]["kind"].as_str() == Some("dictionary"))
    })
}

/// One epoch of each, of each of its storeys too, on pictures of 8 × 8.
#[test]
fn each_can_be_fitted() {
    let desk = Desk::new();
    for (path, mut recipe) in of_dictionaries(false) {
        let storeys = recipe.get_mut("storey").and_then(|storeys| storeys.as_array_mut());
        for storey in storeys.into_iter().flatten() {
            if let Some(epochs) = storey.get_mut("epochs") {
                *epochs = 1.into();
            }
        }
        desk.write("recipe.toml", toml::to_string(&recipe).unwrap());
        let line = "fit recipe.toml --data demo:digits?levels=256 \
                    --set train.epochs=1 --json -q --out run";
        let scores = desk.json(line);
        let error = scores["training"]["squared_error_per_row"].as_f64();
        let name = path.display();
        assert!(error.is_some_and(|error| error.is_finite() && error > 0.0), "{name}: {scores:#}");
        assert_eq!(
            scores["latent_dim"],
            recipe["model"]["layers"]
                .as_array()
                .unwrap()
                .last()
                .map(|width| width.as_integer().unwrap())
                .unwrap(),
            "{name}"
        );
    }
}

/// A few thousand rows for each dictionary, of its own set where that is built in, else of a store; with the
/// width of a sweep cut down.
#[test]
fn each_of_dictionaries_can_be_fitted() {
    let desk = Desk::new();
    desk.narrows("shards pack demo:superposition?features=96&dim=32&rows=4096 --out store -q");
    let mut count = 0;
    for (path, recipe) in of_dictionaries(true) {
        let name = path.display();
        let own = recipe["data"]["path"].as_str().unwrap();
        let data = if own.starts_with("demo:") { own } else { "store" };
        let sweep = recipe.contains_key("sweep");
        let narrow = if sweep { "--set dictionary.latents=64" } else { "" };
        desk.write("recipe.toml", toml::to_string(&recipe).unwrap());
        let scores = desk.json(&format!(
            "fit recipe.toml --data {data} {narrow} --set train.rows=4096 --json -q --out run"
        ));
        let made = scores["dictionaries"].as_array().unwrap();
        assert_eq!(made.len(), if sweep { 18 } else { 1 }, "{name}");
        for own in made {
            let lost = own["fraction_variance_unexplained"].as_f64().unwrap();
            assert!(lost.is_finite() && lost > 0.0, "{name}: {own}");
            let kinds = ["sweep", "dictionary"].map(|key| recipe.get(key).map(ToString::to_string));
            let kind = own["made"]["kind"].as_str().unwrap();
            assert!(kinds.iter().flatten().any(|text| text.contains(kind)), "{name}: {kind}");
        }
        count += 1;
    }
    assert_eq!(count, 4);
}

/// The words of the recipe that name files, its comments included.
#[test]
fn the_files_that_they_name_are_there() {
    for (path, text) in recipes() {
        let own = format!("narrows fit recipes/{}", path.file_name().unwrap().to_str().unwrap());
        assert!(text.contains(&own), "{}: no line `{own}`", path.display());
        let Ok(data) = std::env::var("NARROWS_DATA") else {
            println!("skipped: NARROWS_DATA is not set");
            continue;
        };
        let read: toml::Table = toml::from_str(&text).unwrap();
        let own = read["data"]["path"].as_str().unwrap();
        if own.starts_with("demo:") || own.starts_with("stores/") {
            continue;
        }
        let words = text.split(|c: char| c.is_whitespace() || c == '"' || c == '#');
        let mut named = 0;
        for word in words.filter(|word| word.contains('/') && word.contains("-ubyte")) {
            assert!(Path::new(&data).join(word).exists(), "{}: no {word}", path.display());
            named += 1;
        }
        assert!(named > 0, "{} names no data", path.display());
    }
}
