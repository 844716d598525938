//! Sparse dictionaries as they lie on the disk, one or a sweep, and the rows that go through them.

mod pca;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;
use narrows::Error;
use narrows::data::superposition::KnownTruth;
use narrows::data::{self, Dataset, ImageShape, OpenOptions, Source, known_truth};
use narrows::evaluate::{
    Baseline, DictionaryScores, FrontierPoint, SeedStability, evaluate_dictionary,
};
use narrows::model::{Autoencoder, Dictionary, Model};
use narrows::report::PointName;
use narrows::store::{Run, exchange, read_json};
use serde_json::Value;

use super::Output;
use super::bar::Bar;

pub(super) use pca::pca;

/// Numbers in a sample of rows that is held, at most.
pub(super) const NUMBERS: usize = 1 << 25;

/// What a library other than narrows leaves beside a dictionary.
const FOREIGN: &[&str] = &[
    "cfg.json",
    "ae.pt",
    "params.npz",
    "params.safetensors",
    "hyperparams.json",
    "sae_weights.safetensors",
];

/// What the names of their files end in.
const WEIGHTS: &[&str] = &["safetensors", "npz", "pt", "pth"];

/// A folder of one dictionary, or of the many of a sweep.
pub(super) struct Shelf {
    pub(super) folder: PathBuf,
    /// What narrows was asked for; null of another library.
    pub(super) config: Value,
    /// The folders of the dictionaries.
    pub(super) members: Vec<PathBuf>,
    /// Whether they are those of a sweep.
    pub(super) sweep: bool,
}

impl Shelf {
    /// `None` where the folder holds another model, or no model.
    pub(super) fn find(folder: &Path) -> Result<Option<Self>> {
        let config: Value = match folder.join("config.json").is_file() {
            true => read_json(&folder.join("config.json"))?,
            false => Value::Null,
        };
        let alone = |config| Self {
            folder: folder.to_owned(),
            config,
            members: vec![folder.to_owned()],
            sweep: false,
        };
        if config["model"]["kind"] != "dictionary" {
            let has = |name: &&str| folder.join(name).is_file();
            let weights = |end: &&str| folder.extension().and_then(OsStr::to_str) == Some(*end);
            let foreign =
                (folder.is_file() && WEIGHTS.iter().any(weights)) || FOREIGN.iter().any(has);
            return Ok(foreign.then(|| alone(Value::Null)));
        }
        let many = folder.join("dictionaries");
        if !many.is_dir() {
            return Ok(Some(alone(config)));
        }
        let entries = std::fs::read_dir(&many).map_err(|error| Error::read(&many, error))?;
        let mut members: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        members.retain(|path| path.is_dir());
        members.sort();
        if members.is_empty() {
            let problem = "it holds no dictionary";
            return Err(Error::bad_file(many, problem, "fit the sweep again").into());
        }
        Ok(Some(Self { folder: folder.to_owned(), config, members, sweep: true }))
    }

    /// Whether narrows wrote it.
    pub(super) fn is_own(&self) -> bool {
        !self.config.is_null()
    }

    /// Refuses a dictionary of another library, where a run is needed.
    pub(super) fn refuse_foreign(&self, operation: &str) -> narrows::Result<()> {
        if self.is_own() {
            return Ok(());
        }
        let folder = self.folder.display();
        Err(Error::mistake(
            operation,
            "a run folder",
            format!("'{folder}', a dictionary of another library"),
            format!("bring it into one first: `narrows convert {folder} RUN --to narrows`"),
        ))
    }

    /// What it was trained on.
    pub(super) fn trained_on(&self) -> Option<&str> {
        self.config["data"]["path"].as_str()
    }

    /// What the dictionaries of a sweep were made like.
    pub(super) fn made(&self) -> Result<Vec<Value>> {
        let made = |folder: &PathBuf| {
            let config: Value = read_json(&folder.join("config.json"))?;
            Ok(config["made"].clone())
        };
        self.members.iter().map(made).collect()
    }

    /// Measures every dictionary of a sweep, one in memory at a time and with `more`, then how alike those
    /// are that differ in their seed alone.
    pub(super) fn measure(
        &self,
        on: &Rows,
        output: &Output,
        more: &mut dyn FnMut(&Dictionary) -> Result<()>,
    ) -> Result<Sweep> {
        let mut bar = Bar::new(output);
        let mut scores = Vec::new();
        for (place, folder) in self.members.iter().enumerate() {
            bar.advance(place as f64 / self.members.len() as f64, || {
                format!("dictionary {} of {}", place + 1, self.members.len())
            });
            let dictionary = open(folder)?;
            on.check(&dictionary)?;
            more(&dictionary)?;
            scores.push(on.measure(&dictionary)?);
        }
        let mut points = FrontierPoint::group(&self.made()?, &scores);
        for point in points.iter_mut().filter(|point| point.members.len() > 1) {
            let members = point.members.iter().map(|&member| open(&self.members[member]));
            let members = members.collect::<Result<Vec<_>>>()?;
            let decoders: Vec<_> = members.iter().map(|member| &member.decoder).collect();
            point.stability = SeedStability::measure(&decoders)?;
        }
        bar.finish();
        Ok(Sweep { points, scores })
    }
}

/// What the dictionaries of a sweep came to.
pub(super) struct Sweep {
    pub(super) points: Vec<FrontierPoint>,
    /// One for each dictionary.
    pub(super) scores: Vec<DictionaryScores>,
}

/// The dictionary in a folder.
pub(super) fn open(folder: &Path) -> Result<Dictionary> {
    if !folder.join("config.json").is_file() {
        return Ok(exchange::open(folder)?.0);
    }
    let config: Value = read_json(&folder.join("config.json"))?;
    if !config["model"].is_object() {
        return Ok(exchange::open(folder)?.0);
    }
    match Run::open(folder)?.model {
        Model::Dictionary(dictionary) => Ok(dictionary),
        _ => Err(Error::mistake(
            "open a dictionary",
            "a run of a sparse dictionary, or a dictionary of another library",
            format!("'{}', a run of another model", folder.display()),
            "give another folder",
        )
        .into()),
    }
}

/// Refuses a store with a damaged shard before anything is learned from it or measured.
pub(super) fn verify(path: &str, output: &Output) -> Result<()> {
    let Some(folder) = data::store_folder(path) else { return Ok(()) };
    let begin = Instant::now();
    let checks = data::verify_shards(&folder)?;
    data::refuse_damaged(&folder, &checks)?;
    let bytes: u64 = data::Manifest::read(&folder)?.shards.iter().map(|shard| shard.bytes).sum();
    let count = checks.len();
    let are = if count == 1 { "1 shard is".to_owned() } else { format!("{count} shards are") };
    output.say(format!(
        "{path}: {are} as written ({:.3} GB read for their hashes and once more for numbers \
         that are not finite, {:.1} s; --unverified leaves this out)",
        bytes as f64 / 1e9,
        begin.elapsed().as_secs_f64()
    ));
    Ok(())
}

/// Rows to measure on.
pub(super) struct Rows {
    pub(super) dataset: Dataset,
    pub(super) targets: Option<Dataset>,
    /// What the rows were made of, where it is known.
    pub(super) truth: Option<KnownTruth>,
    /// Which rows, where it is not all.
    places: Option<Vec<usize>>,
}

impl Rows {
    /// Opens the rows at `path`, and those that should come out of transcoders; `verified` where a store of
    /// them is first compared with its hashes.
    pub(super) fn open(
        path: &str,
        targets: Option<&str>,
        given: &OpenOptions,
        verified: Option<&Output>,
    ) -> Result<Self> {
        if let Some(output) = verified {
            [Some(path), targets]
                .into_iter()
                .flatten()
                .try_for_each(|path| verify(path, output))?;
        }
        let targets = targets.map(|path| data::open(path, &OpenOptions::default())).transpose()?;
        // The features of a truth are directions of the rows, not of what they are turned into.
        let truth = if targets.is_none() { known_truth(path)? } else { None };
        Ok(Self { dataset: data::open(path, given)?, targets, truth, places: None })
    }

    /// At most so many of the rows: the first where the truth is known, since each of them is a draw of
    /// its own, else evenly taken.
    pub(super) fn at_most(mut self, most: usize) -> Self {
        self.truth = self.truth.map(|truth| truth.first_rows(most));
        let rows = self.dataset.rows.rows();
        self.places = match &self.truth {
            _ if rows <= most => None,
            Some(truth) => Some((0..truth.rows()).collect()),
            None => Some(data::evenly(rows, most)),
        };
        self
    }

    /// The picture that each row is.
    pub(super) fn image(&self) -> Option<ImageShape> {
        let values = |image: &ImageShape| image.height * image.width * image.channels;
        self.dataset.image.filter(|image| values(image) == self.dataset.rows.dim())
    }

    /// What a dictionary does to them.
    pub(super) fn measure(&self, dictionary: &Dictionary) -> Result<DictionaryScores> {
        self.check(dictionary)?;
        let targets = self.targets.as_ref().map(|targets| &*targets.rows);
        self.with(|rows| {
            let Some(places) = &self.places else {
                return evaluate_dictionary(dictionary, rows, targets, self.truth.as_ref());
            };
            let targets = targets.map(|source| data::Chosen { source, places });
            let targets = targets.as_ref().map(|targets| targets as &dyn Source);
            evaluate_dictionary(dictionary, rows, targets, self.truth.as_ref())
        })
    }

    /// Calls `use_rows` with the rows that are meant.
    pub(super) fn with<T>(
        &self,
        use_rows: impl FnOnce(&dyn Source) -> narrows::Result<T>,
    ) -> Result<T> {
        Ok(match (&self.truth, &self.places) {
            (Some(truth), _) => use_rows(truth)?,
            (None, Some(places)) => {
                use_rows(&data::Chosen { source: &*self.dataset.rows, places })?
            }
            (None, None) => use_rows(&*self.dataset.rows)?,
        })
    }

    /// Refuses rows that are not of the kind that a dictionary takes.
    pub(super) fn check(&self, dictionary: &Dictionary) -> Result<()> {
        let refuse = |expected: String, got: String, remedy: &str| {
            Err(Error::mistake("evaluate", expected, got, remedy).into())
        };
        let (own, theirs) = (self.dataset.rows.dim(), dictionary.input_dim());
        if own != theirs {
            let got = format!("{} with {own}", self.dataset.name);
            let remedy = "give rows of the kind that it was trained on";
            return refuse(format!("rows of {theirs} columns, as the dictionary has"), got, remedy);
        }
        if self.targets.is_none() && dictionary.output_dim() != own {
            return refuse(
                format!("rows of {} columns that should come out", dictionary.output_dim()),
                "none".to_owned(),
                "give --target: this dictionary turns rows into others",
            );
        }
        Ok(())
    }
}

/// Names of folders, a run of them as its ends: `0–4, 7`.
pub(super) fn ranged(names: &[&str]) -> String {
    let follows = |pair: [&str; 2]| {
        let [before, own] = pair.map(|name| name.parse::<usize>().ok());
        before.is_some_and(|before| own == Some(before + 1))
    };
    let mut runs: Vec<[&str; 2]> = Vec::new();
    for &name in names {
        match runs.last_mut() {
            Some([_, end]) if follows([*end, name]) => *end = name,
            _ => runs.push([name, name]),
        }
    }
    let told = runs.iter().map(|[from, to]| match from == to {
        true => (*from).to_owned(),
        false => format!("{from}–{to}"),
    });
    told.collect::<Vec<_>>().join(", ")
}

/// Names for groups of dictionaries, such that any two can be told apart; `folders` are those of all.
pub(super) fn alike(points: &[FrontierPoint], folders: &[PathBuf]) -> Vec<PointName> {
    const TOLD: &[&str] = &["kind", "latents", "k", "sparsity_weight", "target_l0"];
    let name = |point: &FrontierPoint| {
        let made = &point.made;
        let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let same_kind = || points.iter().filter(|other| other.made["kind"] == made["kind"]);
        let differs = |key: &str| same_kind().any(|other| other.made[key] != made[key]);
        let others = made.as_object().into_iter().flatten();
        let others = others.filter(|(key, _)| !TOLD.contains(&key.as_str()) && differs(key));
        let others = others.map(|(key, value)| format!(", {key} {}", word(value)));
        let kind = word(&made["kind"]);
        let sparsity = match (kind.as_str(), made["target_l0"].as_f64()) {
            ("topk" | "batchtopk" | "matryoshka", _) => {
                format!("k {}", made["k"].as_f64().unwrap_or(f64::NAN))
            }
            (_, Some(wanted)) => format!("L0 {wanted}"),
            _ => format!("λ {:.3e}", made["sparsity_weight"].as_f64().unwrap_or(f64::NAN)),
        };
        let name = |&member: &usize| folders.get(member)?.file_name()?.to_str();
        PointName {
            folders: ranged(&point.members.iter().filter_map(name).collect::<Vec<_>>()),
            kind: kind + &others.collect::<String>(),
            latents: word(&made["latents"]),
            sparsity,
        }
    };
    points.iter().map(name).collect()
}

/// What a baseline is called, and how many directions it has where that is not as many as there are columns.
pub(super) fn baseline_name(baseline: Baseline, directions: usize) -> String {
    match baseline {
        Baseline::Pca => "PCA".to_owned(),
        Baseline::PcaLargest => "PCA, largest codes".to_owned(),
        Baseline::IcaLargest => "ICA, largest codes".to_owned(),
        Baseline::RandomLargest => format!("{directions} random directions, largest codes"),
        Baseline::ColumnsLargest => "columns, largest".to_owned(),
    }
}
