//! `narrows fit` of sparse dictionaries: one into a run folder, many into a folder of run folders.

mod table;
mod watch;

use std::borrow::Cow;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use narrows::Error;
use narrows::data::{Dataset, Preparation};
use narrows::model::{Autoencoder, Dictionary, Model};
use narrows::recipe::DictionaryRecipe;
use narrows::report::count;
use narrows::store::{Folder, Run, check_replaceable, write_aside, write_folder, write_json};
use narrows::train::dictionary::{
    DictionaryCheckpoint, DictionaryOptions, DictionaryRecord, LearnedDictionaries,
};
use serde_json::{Map, Value, json};

use super::super::data::tell_doubtful;
use super::super::dictionaries::verify;
use super::watch::{Asked, Left, begun, other_settings, tell_replaced, with_command};
use super::{FitArgs, Screen, language};
use watch::Watch;

/// The settings, if they ask for dictionaries: as they are, or of the training that is to go on.
pub(super) fn meant(args: &FitArgs, settings: &Value) -> Result<Option<Value>> {
    if DictionaryRecipe::is_meant(settings) {
        return Ok(Some(settings.clone()));
    }
    if !args.resume {
        return Ok(None);
    }
    let left = Left::in_folder("fit", &args.out, Ok::<Value, _>)?;
    let Some(begun) = left.map(|left| left.asked).filter(DictionaryRecipe::is_meant) else {
        return Ok(None);
    };
    if settings.as_object().is_some_and(Map::is_empty) {
        return Ok(Some(begun));
    }
    if !settings["model"]["kind"].is_null() {
        return Err(other_settings().into());
    }
    let mut settings = settings.clone();
    settings["model"]["kind"] = begun["model"]["kind"].clone();
    Ok(Some(settings))
}

pub(super) fn run(args: &FitArgs, settings: &Value) -> Result<()> {
    refuse_unread(args)?;
    if args.print_recipe {
        return Ok(Screen.write_all(table::printed_recipe().as_bytes())?);
    }
    let said = DictionaryRecipe::from_value(settings)?;
    let left = match args.resume {
        true => Left::in_folder("fit", &args.out, serde_json::from_value::<DictionaryRecipe>)?,
        false => None,
    };
    let recipe = if args.resume { begun(left.as_ref(), Some(said), &args.out)? } else { said };
    check_replaceable(&args.out, Folder::Run)?;
    let (rows, targets) = match &recipe.data.lm {
        Some(lm) => (language::open(lm, &recipe, &args.output)?, None),
        None => recipe.open()?,
    };
    let options = recipe.dictionaries(rows.rows.dim())?;
    if args.verbose {
        let threads = narrows::compute::threads();
        args.output.say(format!("{:#}\nthreads: {threads}", json!(recipe)));
    }
    introduce(args, &recipe, &rows, &options);
    tell_doubtful(&rows, &args.output)?;
    let combinations = recipe.combinations()?;
    if combinations > options.len() {
        args.output.say(format!(
            "note: {combinations} combinations, of which {} differ: a key reaches the kinds that read it",
            options.len()
        ));
    }
    let content_hash = content_hash(&rows, targets.as_ref());
    let asked = Asked {
        command: "fit",
        settings: serde_json::to_value(&recipe)?,
        config: serde_json::to_value(&recipe)?,
        content_hash: content_hash.clone(),
        seconds: recipe.train.checkpoint_seconds,
    };
    let name = match &targets {
        Some(targets) => format!("{} → {}", rows.name, targets.name),
        None => rows.name.clone(),
    };
    let from = left.map(|left| left.kept(&content_hash, &name)).transpose()?;
    let from = from.map(|(progress, vectors)| checkpoint(&progress, vectors)).transpose()?;
    if !args.unverified {
        let paths = [&recipe.data.path, &recipe.data.target];
        paths.into_iter().flatten().try_for_each(|path| verify(path, &args.output))?;
    }
    let resumed_from = from.as_ref().map_or(0, |from| from.progress.position);
    if !args.resume {
        tell_replaced(&args.out, &args.output);
    }
    let begin = Instant::now();
    let mut watch = Watch::new(asked, &args.out, &args.output, resumed_from)?;
    let targets = targets.as_ref().map(|targets| &*targets.rows);
    let learned = recipe.fit(&*rows.rows, targets, from, &mut watch);
    watch.finish();
    let learned = learned.map_err(|error| with_command(error, &watch.kept(), &args.out))?;
    let seconds = begin.elapsed().as_secs_f64();
    let made = Made {
        recipe: &recipe,
        rows: &rows,
        options: &options,
        learned: &learned,
        seconds,
        resumed_from,
    };
    made.write(&args.out)?;
    if args.output.json {
        writeln!(Screen, "{:#}", made.scores())?;
    } else {
        made.tell()?;
    }
    made.missed().iter().for_each(|missed| args.output.say(missed));
    args.output.say(format!("written: {}", args.out.display()));
    Ok(())
}

/// Options of other models that would silently do nothing.
fn refuse_unread(args: &FitArgs) -> Result<()> {
    let given = [
        (args.labels.is_some(), "--labels"),
        (args.label_column.is_some(), "--label-column"),
        (args.colour, "--colour"),
        (args.resize.is_some(), "--resize"),
        (args.missing.is_some(), "--missing"),
        (args.find_lr, "--find-lr"),
    ];
    match given.iter().find(|(given, _)| *given) {
        Some((_, option)) => Err(Error::mistake(
            "fit",
            format!("another model than dictionary where {option} is given"),
            "dictionary, which does not read it",
            "leave it out",
        )
        .into()),
        None => Ok(()),
    }
}

/// A hash of all that is learned from.
fn content_hash(rows: &Dataset, targets: Option<&Dataset>) -> String {
    match targets {
        Some(targets) => format!("{} to {}", rows.content_hash, targets.content_hash),
        None => rows.content_hash.clone(),
    }
}

fn introduce(
    args: &FitArgs,
    recipe: &DictionaryRecipe,
    rows: &Dataset,
    options: &[DictionaryOptions],
) {
    let parameters: usize = options.iter().map(|own| own.latents * rows.rows.dim() * 2).sum();
    let learned_from = recipe.train.rows.unwrap_or(rows.rows.rows() as u64);
    args.output.say(format!(
        "{}: {} rows × {} columns, {} to learn from",
        rows.name,
        count(rows.rows.rows()),
        count(rows.rows.dim()),
        count(learned_from as usize),
    ));
    if let Some(image) = rows.image {
        args.output.say(format!(
            "note: each of the {} entries of {} × {} is one row; an array (rows, columns) has a row for each vector",
            count(rows.rows.rows()),
            image.height,
            image.width,
        ));
    }
    let bytes = parameters as f64 * BYTES;
    let memory = match bytes > TOLD {
        true => format!(", {:.1} GB with what the optimiser keeps", bytes / 1e9),
        false => String::new(),
    };
    let batch_size = recipe.train.batch_size;
    if batch_size as u64 > learned_from {
        args.output.say(format!(
            "note: train.batch_size {} is more than these rows: they are one step",
            count(batch_size)
        ));
    }
    args.output.say(format!(
        "{} {}, {} parameters{memory}",
        options.len(),
        if options.len() == 1 { "dictionary" } else { "dictionaries" },
        count(parameters),
    ));
}

fn checkpoint(
    progress: &Value,
    vectors: Vec<(String, Vec<f32>)>,
) -> narrows::Result<DictionaryCheckpoint<'static>> {
    let progress = serde_json::from_value(progress.clone()).map_err(|error| {
        let expected = "a checkpoint of this version";
        Error::mistake("resume training", expected, error.to_string(), "start anew")
    })?;
    let vectors = vectors.into_iter().map(|(name, values)| (name, Cow::Owned(values)));
    Ok(DictionaryCheckpoint { progress, vectors: vectors.collect() })
}

/// A parameter and the two averages that Adam keeps of its gradient.
const BYTES: f64 = 12.0;
/// Bytes of them from which on a person is told.
const TOLD: f64 = 1e8;

/// An L0 is far from the one that was asked for where it is this part of it away.
const MISSED: f64 = 0.25;

/// Everything that there is to write and to tell.
struct Made<'a> {
    recipe: &'a DictionaryRecipe,
    rows: &'a Dataset,
    options: &'a [DictionaryOptions],
    learned: &'a LearnedDictionaries,
    /// Of this call, which began after so many rows.
    seconds: f64,
    resumed_from: u64,
}

impl Made<'_> {
    /// One run folder, or one for each dictionary within a folder that tells of all.
    fn write(&self, out: &Path) -> Result<()> {
        let dictionaries = &self.learned.dictionaries;
        write_folder(out, Folder::Run, |folder| {
            if let [only] = &dictionaries[..] {
                return self.write_one(folder, 0, only);
            }
            write_json(&folder.join("config.json"), &self.config())?;
            write_json(&folder.join("scores.json"), &json!({ "fit": self.scores() }))?;
            for (index, dictionary) in dictionaries.iter().enumerate() {
                let own = folder.join("dictionaries").join(self.name(index));
                std::fs::create_dir_all(&own).map_err(|error| Error::write(&own, error))?;
                self.write_one(&own, index, dictionary)?;
            }
            Ok(())
        })?;
        Ok(())
    }

    /// What the folder of one of many is called.
    fn name(&self, index: usize) -> String {
        let digits = (self.options.len() - 1).to_string().len();
        format!("{index:0digits$}")
    }

    fn write_one(&self, folder: &Path, index: usize, made: &Dictionary) -> narrows::Result<()> {
        let mut config = self.config();
        // In a run folder, `dictionary` is what its tensors do not tell.
        config["asked"] = config["dictionary"].take();
        config["made"] = json!(self.options[index]);
        let run = Run {
            config,
            preparation: Preparation::none(made.input_dim()),
            model: Model::Dictionary(made.clone()),
            baseline: None,
        };
        run.write_into(folder)?;
        let own = self.history(index).map(|record| json!(record).to_string() + "\n");
        write_aside(&folder.join("history.jsonl"), own.collect::<String>().as_bytes())?;
        write_json(&folder.join("scores.json"), &json!({ "fit": self.score(index) }))
    }

    fn history(&self, index: usize) -> impl Iterator<Item = &DictionaryRecord> {
        self.learned.history.iter().filter(move |record| record.dictionary == index)
    }

    fn config(&self) -> Value {
        let mut config = json!(self.recipe);
        config["version"] = json!(env!("CARGO_PKG_VERSION"));
        config["data"]["rows"] = json!(self.rows.rows.rows());
        config["data"]["dim"] = json!(self.rows.rows.dim());
        config["data"]["element"] = json!(self.rows.element);
        config["data"]["content_hash"] = json!(self.rows.content_hash);
        config
    }

    /// What the last rows of training said of one.
    fn score(&self, index: usize) -> Value {
        let mut score = json!(self.history(index).last());
        let own = &self.options[index];
        score["made"] = json!(own);
        score
    }

    fn scores(&self) -> Value {
        let dictionaries: Vec<Value> =
            (0..self.options.len()).map(|index| self.score(index)).collect();
        json!({
            "rows": self.learned.rows,
            "resumed_from": self.resumed_from,
            "bytes_read": self.learned.bytes_read,
            "seconds": self.seconds,
            "rows_per_second": self.rows_per_second(),
            "dictionaries": dictionaries,
        })
    }

    fn rows_per_second(&self) -> usize {
        (self.rows_now() as f64 / self.seconds).round() as usize
    }

    /// Rows that this call learned from.
    fn rows_now(&self) -> u64 {
        self.learned.rows - self.resumed_from
    }

    /// Names each dictionary whose L0 is far from the one that was asked for.
    fn missed(&self) -> Vec<String> {
        let told = |(index, own): (usize, &DictionaryOptions)| {
            let last = self.history(index).last()?;
            let (wanted, l0, said) = match (own.target_l0, last.l0_at_threshold) {
                (Some(target), _) => {
                    let l0 = last.l0;
                    (target, l0, format!("target_l0 {target} was not reached (L0 {l0:.1})"))
                }
                (None, Some(l0)) => (
                    own.k,
                    l0,
                    format!("k is {}, but L0 is {l0:.1} at the learned threshold", own.k),
                ),
                (None, None) => return None,
            };
            let far = (l0 / wanted - 1.0).abs() > MISSED;
            let name = self.name(index);
            far.then(|| {
                format!("note: dictionary {name}: {said}: give more rows or smaller batches")
            })
        };
        self.options.iter().enumerate().filter_map(told).collect()
    }

    fn tell(&self) -> Result<()> {
        let last: Vec<&DictionaryRecord> =
            (0..self.options.len()).filter_map(|index| self.history(index).last()).collect();
        let names: Vec<String> = (0..last.len()).map(|index| self.name(index)).collect();
        Screen.write_all(table::table(self.options, &last, &names).as_bytes())?;
        let lines: Vec<u64> = self.history(0).map(|line| line.rows).collect();
        let before = lines.iter().rev().nth(1).copied().unwrap_or(0);
        writeln!(
            Screen,
            "\nFVU and L0: means over the last {} rows{}{}",
            count((self.learned.rows - before) as usize),
            match last.iter().any(|line| line.l0_at_threshold.is_some()) {
                true => {
                    "; of batchtopk and matryoshka that is k by construction, at τ what is kept has, on \
                     the last batch"
                }
                false => "",
            },
            match self.options.iter().any(|own| !table::can_be_dead(own, self.learned.rows)) {
                true => "; dead –: fewer rows than make a latent dead (dictionary.dead_after)",
                false => "",
            },
        )?;
        writeln!(
            Screen,
            "{} rows{} in {:.1} s, {} rows per second{}",
            count(self.rows_now() as usize),
            match self.resumed_from {
                0 => String::new(),
                before => format!(" after the {} before", count(before as usize)),
            },
            self.seconds,
            count(self.rows_per_second()),
            match self.learned.bytes_read {
                0 => String::new(),
                bytes => format!(", {:.3} GB read while learning", bytes as f64 / 1e9),
            },
        )?;
        Ok(())
    }
}
