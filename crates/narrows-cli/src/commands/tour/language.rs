//! Section 16: a sparse dictionary of what a language model thinks.

use std::path::Path;

use narrows::compute::SparseRows;
use narrows::evaluate::Frame;
use narrows::report::page::{Block, Cell, Matrix as Shaded, Table};
use narrows::report::{count, percent};
use narrows::train::dictionary::{
    DictionaryOptions, DictionaryTask, DictionaryTraining, fit_dictionaries,
};
use narrows::{Error, Result};
use narrows_lm::splice::{Replacement, Splice, SpliceScores};
use narrows_lm::text::{Corpus, TextOptions, Windows};
use narrows_lm::{Basis, LanguageModel, Tap, shipped};
use serde_json::json;

use super::sets::Story;
use super::told::Told;
use super::workshop::Workshop;

/// Tokens of a window, where the model reads as many.
const CONTEXT: usize = 128;
/// The share of the windows that the dictionary learns from.
const LEARNED_FROM: f64 = 0.8;
/// Codes of a row, on average; of PCA of each.
const CODES: usize = 16;
/// Latents of the dictionary, for each column of a row.
const TIMES: usize = 8;
/// Features that are shown, and contexts of each.
const FEATURES: usize = 8;
const CONTEXTS: usize = 4;
/// Tokens before and after the one where a feature is strongest.
const AROUND: [usize; 2] = [7, 3];

pub(super) fn run(shop: &Workshop<'_>) -> Result<Told> {
    let aside = tempfile::tempdir().map_err(|error| Error::write(std::env::temp_dir(), error))?;
    let story = match shop.folder.as_deref().and_then(Story::find) {
        Some(story) => story,
        None => shipped_story(aside.path())?,
    };
    let model = LanguageModel::open(&story.model)?;
    let tap =
        Tap::after(model.architecture.layers / 2 - usize::from(model.architecture.layers > 1));
    let (learned_from, held_out) = windows(shop, &model, &story)?;
    let splice = Splice { model: &model, tap, begin: true };
    let rows = splice.rows(&learned_from, usize::MAX)?;
    let rows_held_out = splice.rows(&held_out, usize::MAX)?;

    let width = rows.cols();
    let options = DictionaryOptions {
        latents: TIMES * width,
        k: CODES as f64,
        dead_after: 50_000,
        seed: shop.seed,
        ..Default::default()
    };
    let training = DictionaryTraining {
        rows: Some(shop.either(400_000, 2_000_000)),
        batch_size: 1024,
        learning_rate: Some(2e-3),
        seed: shop.seed,
        ..Default::default()
    };
    let task = DictionaryTask { rows: &rows, targets: None };
    let mut watch = shop.watch("sparse dictionary of a language model");
    let learned = fit_dictionaries(&task, &[options], &training, None, &mut watch)?;
    drop(watch);
    let Some(dictionary) = learned.dictionaries.into_iter().next() else {
        return Err(Error::failure("learn a dictionary", "there is none", "try again"));
    };
    let dictionary = Basis::dictionary("dictionary", dictionary)?;
    let pca = Basis::frame("PCA", Frame::pca(&rows, shop.seed)?, CODES);

    let codes = dictionary.encode(&rows_held_out)?;
    let replacements = [dictionary, pca].map(Replacement::features);
    let mut watch = shop.watch("rows put back");
    let found = splice.measure(&held_out, &replacements, &mut |done| watch.part(done, "text"))?;
    drop(watch);
    let [own, beside] = &found.replacements[..] else {
        return Err(Error::failure("put rows back", "a replacement is missing", "report it"));
    };
    let features = features(&codes, held_out.length);
    let shown = contexts(&model, &held_out, &codes, &features);
    let codes_of = |kept: &SpliceScores| kept.l0.unwrap_or(f64::NAN);
    let line = |name: &str, kept: &SpliceScores| {
        vec![
            name.to_owned(),
            format!("{:.1}", codes_of(kept)),
            percent(kept.fraction_variance_unexplained),
            format!("{:.3}", kept.loss),
            percent(kept.loss_recovered_zero),
        ]
    };
    let none = "–".to_owned();
    let table = Table {
        columns: [
            "rows in their place",
            "#codes of a row",
            "#variance lost",
            "#loss, nats per token",
            "#loss recovered",
        ]
        .map(String::from)
        .into(),
        rows: vec![
            vec![
                "the model's own".into(),
                none.clone(),
                none.clone(),
                format!("{:.3}", found.clean.loss),
                percent(1.0),
            ],
            line("rebuilt by the dictionary", own),
            line("rebuilt by PCA", beside),
            vec![
                "zeros".into(),
                none.clone(),
                none,
                format!("{:.3}", found.zero.loss),
                percent(0.0),
            ],
        ],
    };
    Ok(Told {
        idea: format!(
            "Inside a language model every token is a row of {width} numbers, and single numbers mean little: \
             the model has more features than columns and lays them on top of each other. A dictionary with {} \
             directions, of which about {CODES} are used for a token, takes them apart. Whether it kept what \
             the model needs is measured by letting the model run on with the rebuilt rows.",
            count(TIMES * width)
        ),
        formula: "x ≈ c + Σⱼ zⱼ Dⱼ, few zⱼ ≠ 0   loss recovered = (L_zero − L_rebuilt)/(L_zero − L_clean)".to_owned(),
        figure: format!(
            "{:.1} features of {} per token recover {} of the loss on held-out text (PCA with {CODES} codes {}), \
             and lose {} of the variance (PCA {})",
            codes_of(own),
            count(TIMES * width),
            percent(own.loss_recovered_zero),
            percent(beside.loss_recovered_zero),
            percent(own.fraction_variance_unexplained),
            percent(beside.fraction_variance_unexplained)
        ),
        measured: json!({
            "model": model.name, "tap": tap.to_string(), "tokens": rows.rows(),
            "tokens_held_out": rows_held_out.rows(), "latents": TIMES * width,
            "loss": found.clean.loss, "loss_zeroed": found.zero.loss,
            "dictionary": for_machines(own), "pca": for_machines(beside),
        }),
        blocks: vec![
            Block::Matrix(shown),
            Block::Table(table),
        ],
        command: "narrows fit recipes/dictionary-batchtopk.toml --data activations/ --out runs/features".to_owned(),
    })
}

fn for_machines(kept: &SpliceScores) -> serde_json::Value {
    json!({
        "l0": kept.l0, "fraction_variance_unexplained": kept.fraction_variance_unexplained,
        "loss": kept.loss, "loss_recovered": kept.loss_recovered_zero,
    })
}

/// The model that comes with narrows, and its text.
fn shipped_story(folder: &Path) -> Result<Story> {
    let model = folder.join("stories-tiny");
    std::fs::create_dir(&model).map_err(|error| Error::write(&model, error))?;
    shipped::unpack(&model)?;
    let text = model.join(shipped::TEXT);
    Ok(Story { model, text, lowercase: false })
}

/// Windows to learn from and windows to measure on, which come after them in the text.
fn windows(
    shop: &Workshop<'_>,
    model: &LanguageModel,
    story: &Story,
) -> Result<(Windows, Windows)> {
    let options =
        TextOptions { lowercase: story.lowercase, ..TextOptions::new(vec![story.text.clone()]) };
    let length = CONTEXT.min(model.architecture.context);
    let mut corpus = Corpus::open(model, &options, length, true)?;
    let all = corpus.advance(shop.either(500, 4000))?.unwrap_or_default();
    let (count, first) = (all.sequences(), (LEARNED_FROM * all.sequences() as f64) as usize);
    if first == 0 || first == count {
        let expected = format!("text of at least five windows of {length} tokens");
        return Err(Error::mistake("read text", expected, format!("{count}"), "give more text"));
    }
    Ok((all.part(0..first), all.part(first..count)))
}

/// A feature, and where it is strongest: rows and codes, the strongest first, each in another window.
struct Feature {
    latent: u32,
    share: f64,
    strongest: Vec<(usize, f32)>,
}

/// Features to look at: of those that fire in some and not in many rows the ones that fire strongest; windows have
/// `length` rows each.
fn features(codes: &SparseRows, length: usize) -> Vec<Feature> {
    let mut fired: Vec<Vec<(usize, f32)>> = vec![Vec::new(); codes.cols()];
    for row in 0..codes.rows() {
        let (latents, values) = codes.row(row);
        latents.iter().zip(values).for_each(|(&latent, &z)| fired[latent as usize].push((row, z)));
    }
    let rows = codes.rows() as f64;
    let mut features: Vec<Feature> = (0..)
        .zip(fired)
        .filter(|(_, fired)| (1e-3..2e-2).contains(&(fired.len() as f64 / rows)))
        .map(|(latent, mut fired)| {
            let share = fired.len() as f64 / rows;
            fired.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            let mut windows = Vec::new();
            fired.retain(|(row, _)| {
                let is_new = !windows.contains(&(row / length));
                windows.push(row / length);
                is_new
            });
            Feature { latent, share, strongest: fired.into_iter().take(CONTEXTS).collect() }
        })
        .filter(|feature| feature.strongest.len() == CONTEXTS)
        .collect();
    let least = |feature: &Feature| feature.strongest[CONTEXTS - 1].1;
    features.sort_by(|a, b| least(b).total_cmp(&least(a)));
    features.truncate(FEATURES);
    features
}

/// The contexts of features, each token shaded by the code that it has there.
fn contexts(
    model: &LanguageModel,
    windows: &Windows,
    codes: &SparseRows,
    features: &[Feature],
) -> Shaded {
    let [before, after] = AROUND;
    let mut rows = Vec::new();
    for (number, feature) in features.iter().enumerate() {
        let most = feature.strongest[0].1;
        for (place, &(row, _)) in feature.strongest.iter().enumerate() {
            let start = row / windows.length * windows.length;
            let cells = (0..=before + after).map(|step| {
                let at = (row + step)
                    .checked_sub(before)
                    .filter(|at| (start..start + windows.length).contains(at));
                at.map_or_else(Cell::default, |at| {
                    let (latents, values) = codes.row(at);
                    let code = latents.iter().position(|latent| *latent == feature.latent);
                    Cell {
                        text: model.tokenizer.token(windows.tokens[at]).replace('\n', "↵"),
                        colour: number,
                        shade: f64::from(code.map_or(0.0, |code| values[code]) / most),
                    }
                })
            });
            let name = match place {
                0 => format!("{} · {}", feature.latent, percent(feature.share)),
                _ => String::new(),
            };
            rows.push((name, cells.collect()));
        }
    }
    let mut columns = vec!["feature, how often".to_owned()];
    columns.extend((0..=before + after).map(|_| String::new()));
    Shaded { columns, rows }
}
