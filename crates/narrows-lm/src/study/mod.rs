//! The experiment of Cunningham et al. on any language model.
//!
//! ```text
//! text ──► windows ──► learning │ choosing │ testing, which follow each other
//! at each layer    learning   dictionaries of several widths and sparsity weights, from one pass
//!                  choosing   one of them; PCA and ICA for the splice
//!                  testing    variance, codes, dead latents; lexical scores of it and of other bases, whose
//!                             rules are fitted on every other stretch of windows and told of the rest;
//!                             what the model loses with rows put back
//! at one layer     pairs of prompts: what replaced features do, ordered on half of the pairs
//! ```
//!
//! Source: H. Cunningham et al., Sparse autoencoders find highly interpretable features in language models (2023).
//! Differs from: there features are explained and guessed by language models; here rules of tokens predict them
//! (see [`crate::lexical`]), so that no other model is needed. The task that features are patched in is one that
//! small story models do, not that of indirect objects.

mod layer;
mod page;
mod recipe;
mod report;
mod verdict;

use std::path::Path;
use std::time::Instant;

use narrows::compute::Matrix;
use narrows::data::{OpenOptions, ShardElement, open};
use narrows::model::Dictionary;
use narrows::recipe::DictionaryRecipe;
use narrows::store::{ShardOptions, ShardWriter};
use narrows::train::dictionary::DictionaryObserver;
use narrows::{Error, Result};

pub use layer::{Figures, Sizes, Tried};
pub use recipe::{StudyRecipe, StudyTable, lay_over};
pub use report::{
    LayerReport, LexicalLine, ModelFacts, PatchingCurve, PatchingReport, SpliceLine, StudyReport,
    TextFacts,
};

use crate::basis::Basis;
use crate::harvest::Harvester;
use crate::lexical::{self, Contexts, LexicalOptions, LexicalScores, Rows};
use crate::model::{LanguageModel, NoHook, Pass, Tap, TextLoss, losses};
use crate::patching::{Experiment, pronoun_pairs};
use crate::splice::{BaselineFrames, Replacement, Splice};
use crate::text::Windows;
use layer::{LayerDictionaries, LayerRows, learn};

/// Tokens of the windows on which dictionaries are chosen, and on which they are reported, at most.
const MOST_TOKENS: usize = 1 << 17;
/// Rows that PCA is fitted on for patching, at most.
const PATCH_ROWS: usize = 20_000;

/// Whoever watches a study.
pub trait StudyWatch {
    /// What begins now.
    fn stage(&mut self, name: &str);
    /// The part of it that is done; says whether to go on.
    fn advance(&mut self, done: f64) -> bool;
    /// Whoever watches dictionaries learn.
    fn observer(&mut self) -> &mut dyn DictionaryObserver;
}

/// A model, text, and what to do with them.
pub struct Study<'a> {
    /// The model.
    pub model: &'a LanguageModel,
    /// All windows of the text.
    pub windows: Windows,
    /// The files of the text, to be told.
    pub files: Vec<String>,
    /// What to do.
    pub recipe: StudyRecipe,
}

/// What came of a study.
pub struct Studied {
    /// Everything that was found.
    pub report: StudyReport,
    /// The chosen dictionary of each layer, with the place that it is of.
    pub chosen: Vec<(String, Dictionary)>,
}

/// Windows to learn from, to choose on, to report on.
struct Parts {
    learning: Windows,
    choosing: Windows,
    testing: Windows,
}

impl StudyReport {
    /// The page, and on it the command that makes it again.
    pub fn page(&self, command: &str) -> String {
        page::page(self, command)
    }

    /// What can be compared with the paper: the subject, what was found here, and whether it is the same.
    pub fn verdicts(&self) -> Vec<(&'static str, String, Option<bool>)> {
        let told = verdict::verdicts(self).into_iter();
        told.map(|verdict| (verdict.subject, verdict.here, verdict.agrees)).collect()
    }
}

impl Study<'_> {
    /// Runs the study; `rows` is a folder for the rows to learn from, which is made and taken away.
    ///
    /// # Errors
    /// If the text is too short, a layer is not there, rows cannot be written, or it is interrupted.
    pub fn run(&self, rows: &Path, watch: &mut dyn StudyWatch) -> Result<Studied> {
        let begin = Instant::now();
        let layers = self.layers()?;
        let parts = self.parts()?;
        let taps: Vec<Tap> = layers.iter().map(|&layer| Tap::after(layer)).collect();
        watch.stage("rows of all layers");
        let learned_from = self.write_rows(&parts.learning, &taps, rows, watch)?;
        let loss = self.loss(&parts.testing)?;
        let (mut reports, mut chosen, mut kept) = (Vec::new(), Vec::new(), Vec::new());
        let mut counts = [learned_from, 0, 0];
        for &tap in &taps {
            let store = rows.join(tap.to_string());
            let (report, found) = self.layer(tap, &store, &parts, &mut counts, watch)?;
            chosen.push((tap.to_string(), found.dictionaries[found.chosen].clone()));
            kept.push(found);
            reports.push(report);
        }
        let (patching, no_patching) = self.patching(&layers, &kept, &parts, watch)?;
        std::fs::remove_dir_all(rows).map_err(|error| Error::write(rows, error))?;
        let report = StudyReport {
            model: self.facts(),
            text: TextFacts {
                files: self.files.clone(),
                context: self.windows.length,
                windows: [&parts.learning, &parts.choosing, &parts.testing].map(Windows::sequences),
                rows: counts,
                loss,
            },
            recipe: self.recipe.to_value(),
            layers: reports,
            patching,
            no_patching,
            seconds: begin.elapsed().as_secs_f64(),
        };
        Ok(Studied { report, chosen })
    }

    fn facts(&self) -> ModelFacts {
        let made = &self.model.architecture;
        ModelFacts {
            name: self.model.name.clone(),
            family: made.family.name().to_owned(),
            parameters: self.model.parameters(),
            layers: made.layers,
            width: made.width,
        }
    }

    fn layers(&self) -> Result<Vec<usize>> {
        let count = self.model.architecture.layers;
        let asked = &self.recipe.study.layers;
        let patched = self.recipe.study.patch_layer.iter();
        if let Some(layer) = asked.iter().chain(patched).find(|&&layer| layer >= count) {
            let expected = format!("layers 0 to {}, as '{}' has them", count - 1, self.model.name);
            let remedy = "change study.layers or study.patch_layer";
            return Err(Error::mistake("study", expected, layer.to_string(), remedy));
        }
        let mut layers = if asked.is_empty() { (0..count).collect() } else { asked.clone() };
        layers.sort_unstable();
        layers.dedup();
        Ok(layers)
    }

    fn parts(&self) -> Result<Parts> {
        let table = &self.recipe.study;
        let length = self.windows.length;
        let most = table.tokens.map_or(usize::MAX, |tokens| tokens / length);
        let count = self.windows.sequences().min(most);
        let share = |share: f64| ((count as f64 * share) as usize).min(MOST_TOKENS / length);
        let [choosing, testing] = [share(table.choosing), share(table.testing)];
        if choosing == 0 || testing < 2 {
            return Err(Error::mistake(
                "study",
                "text of at least 20 windows",
                format!("{count} windows of {length} tokens"),
                "give more text or a smaller --context",
            ));
        }
        let needed = 2 * self.model.architecture.width;
        if choosing * length < needed {
            return Err(Error::mistake(
                "study",
                format!("at least {needed} tokens to choose on, two for each column of a row"),
                format!("{}, {choosing} windows of {length}", choosing * length),
                "give more text, or raise study.choosing or study.tokens",
            ));
        }
        let (from, until) = (count - testing - choosing, count - testing);
        Ok(Parts {
            learning: self.windows.part(0..from),
            choosing: self.windows.part(from..until),
            testing: self.windows.part(until..count),
        })
    }

    /// Writes the rows of all taps from one pass; says how many each has.
    fn write_rows(
        &self,
        windows: &Windows,
        taps: &[Tap],
        folder: &Path,
        watch: &mut dyn StudyWatch,
    ) -> Result<usize> {
        let options = ShardOptions::new(self.model.architecture.width, ShardElement::F32);
        let writer =
            |tap: &Tap| ShardWriter::create(&folder.join(tap.to_string()), options.clone());
        let mut writers = taps.iter().map(writer).collect::<Result<Vec<_>>>()?;
        let mut harvester = Harvester::new(self.model, taps, false);
        let mut done = 0;
        for part in windows.parts() {
            let found = harvester.run(&part)?;
            for (writer, rows) in writers.iter_mut().zip(&found.rows) {
                writer.push(rows.as_slice())?;
            }
            done += part.sequences();
            go_on(watch.advance(done as f64 / windows.sequences() as f64))?;
        }
        let mut rows = 0;
        for writer in writers {
            rows = writer.finish()?.rows;
        }
        Ok(rows)
    }

    /// All rows of windows at a tap.
    fn rows(&self, windows: &Windows, tap: Tap) -> Result<Matrix> {
        let mut harvester = Harvester::new(self.model, &[tap], false);
        let mut values = Vec::new();
        for part in windows.parts() {
            values.extend_from_slice(harvester.run(&part)?.rows[0].as_slice());
        }
        let d = tap.width(&self.model.architecture);
        Matrix::from_rows(values.len() / d, d, values)
    }

    fn loss(&self, windows: &Windows) -> Result<f64> {
        let (mut sum, mut count, mut pass) = (0.0, 0, Pass::default());
        for part in windows.parts() {
            let found = losses(self.model, &part, &mut pass, &mut NoHook)?;
            sum += found.iter().map(|&loss| f64::from(loss)).sum::<f64>();
            count += found.len();
        }
        Ok(TextLoss::of(sum, count).loss)
    }

    /// How the dictionaries of a layer of so many rows are trained.
    fn dictionaries(&self, rows: usize) -> DictionaryRecipe {
        let mut recipe = self.recipe.dictionaries.clone();
        recipe.train.rows = recipe.train.rows.or(Some(self.recipe.study.passes * rows as u64));
        recipe
    }

    fn layer(
        &self,
        tap: Tap,
        store: &Path,
        parts: &Parts,
        counts: &mut [usize; 3],
        watch: &mut dyn StudyWatch,
    ) -> Result<(LayerReport, LayerDictionaries)> {
        let table = &self.recipe.study;
        watch.stage(&format!("{tap}: dictionaries"));
        let learning = open(&store.display().to_string(), &OpenOptions::default())?.rows;
        let choosing = self.rows(&parts.choosing, tap)?;
        let testing = self.rows(&parts.testing, tap)?;
        (counts[1], counts[2]) = (choosing.rows(), testing.rows());
        let rows = LayerRows { learning: &*learning, choosing: &choosing, testing: &testing };
        let recipe = self.dictionaries(learning.rows());
        let wanted = table.fraction_variance_unexplained;
        let found = learn(&recipe, &rows, wanted, watch.observer())?;
        let chosen = &found.tried[found.chosen];
        let most = (chosen.choosing.l0.round() as usize).max(1);
        let basis = Basis::dictionary("dictionary", found.dictionaries[found.chosen].clone())?;
        watch.stage(&format!("{tap}: what tokens tell of features"));
        let lexical = self.lexical(&basis, most, &testing, &parts.testing, watch)?;
        watch.stage(&format!("{tap}: rows put back"));
        let splice = self.splice(tap, basis, most, &choosing, &parts.testing, watch)?;
        let report = LayerReport {
            tap: tap.to_string(),
            layer: tap.block,
            tried: found.tried.clone(),
            chosen: found.chosen,
            sizes: found.sizes.clone(),
            baselines: found.baselines.clone(),
            lexical,
            splice,
        };
        Ok((report, found))
    }

    fn lexical(
        &self,
        basis: &Basis,
        most: usize,
        rows: &Matrix,
        windows: &Windows,
        watch: &mut dyn StudyWatch,
    ) -> Result<Vec<LexicalLine>> {
        let contexts = Contexts::new(windows, self.model.begin())?;
        let seed = self.recipe.dictionaries.seed;
        let rows = Rows::Matrix(rows);
        let options =
            LexicalOptions { features: self.recipe.study.features, seed, densities: Vec::new() };
        let own = lexical::measure(basis, rows, &contexts, &options, &mut |_| ())?;
        let options = LexicalOptions { densities: own.densities(), ..options };
        let others = lexical::baseline_bases(rows, &contexts, basis.features(), most, seed)?;
        let others: Vec<Basis> =
            others.into_iter().filter(|other| !other.name.contains(", top ")).collect();
        let mut lines = vec![line(&own)];
        for (place, other) in others.iter().enumerate() {
            go_on(watch.advance((place + 1) as f64 / (others.len() + 1) as f64))?;
            if !options.densities.is_empty() {
                let found = lexical::measure(other, rows, &contexts, &options, &mut |_| ())?;
                lines.push(line(&found));
            }
        }
        Ok(lines)
    }

    fn splice(
        &self,
        tap: Tap,
        basis: Basis,
        most: usize,
        choosing: &Matrix,
        windows: &Windows,
        watch: &mut dyn StudyWatch,
    ) -> Result<Vec<SpliceLine>> {
        let latents = basis.features();
        let frames = BaselineFrames::fit(choosing, self.recipe.dictionaries.seed)?;
        let mut replacements = vec![Replacement::features(basis)];
        let others = frames.at_l0(most, latents)?.into_iter().chain(frames.at_width(latents)?);
        replacements.extend(others.map(Replacement::features));
        replacements.push(Replacement::Identity);
        let splice = Splice { model: self.model, tap, begin: false };
        let mut wanted = true;
        let found = splice.measure(windows, &replacements, &mut |done| {
            wanted &= watch.advance(done);
        })?;
        go_on(wanted)?;
        let all = found.replacements.iter().chain([&found.mean, &found.zero]);
        let lines = all.map(|scores| SpliceLine {
            replacement: scores.name.clone(),
            l0: scores.l0,
            fraction_variance_unexplained: scores.fraction_variance_unexplained,
            loss: scores.loss,
            recovered: scores.loss_recovered_zero,
            divergence: scores.kl,
        });
        Ok(lines.collect())
    }

    /// What replaced features do at one layer, or why it cannot be told.
    fn patching(
        &self,
        layers: &[usize],
        found: &[LayerDictionaries],
        parts: &Parts,
        watch: &mut dyn StudyWatch,
    ) -> Result<(Option<PatchingReport>, Option<String>)> {
        let table = &self.recipe.study;
        let last = self.model.architecture.layers - 1;
        let wanted =
            table.patch_layer.unwrap_or(layers[layers.len() / 2].min(last.saturating_sub(1)));
        let Some(place) = layers.iter().position(|&layer| layer == wanted) else {
            return Ok((None, Some(format!("layer {wanted} was not taken apart"))));
        };
        watch.stage("prompts");
        let seed = self.recipe.dictionaries.seed;
        let (pairs, ability) = pronoun_pairs(self.model, table.pairs, seed)?;
        let told = format!(
            "Prompts of a story about a girl or a boy with a name; which pronoun follows? Of {} prompts the model \
             finds the right one more likely in {:.0} %.",
            ability.prompts,
            100.0 * ability.right
        );
        if pairs.len() < 4 {
            return Ok((None, Some(format!("{told} That is too little to patch."))));
        }
        let tap = Tap::after(wanted);
        let experiment = Experiment::new(self.model, tap, &pairs)?;
        let bases = self.patched(tap, &found[place], parts)?;
        let mut curves = Vec::new();
        for (basis, dictionary) in &bases {
            watch.stage(&format!("{tap}: replaced features of {}", basis.name));
            let curve = experiment.curve(basis, table.patching, &mut |done| watch.advance(done))?;
            let point =
                |p: &crate::patching::Point| [p.features as f64, p.edit, p.kl, p.standard_error];
            curves.push(PatchingCurve {
                basis: basis.name.clone(),
                dictionary: *dictionary,
                points: curve.points.iter().map(point).collect(),
            });
        }
        let report =
            PatchingReport { tap: tap.to_string(), task: told, pairs: experiment.split(), curves };
        Ok((Some(report), None))
    }

    /// The chosen dictionary, others that differ in how few codes they keep, PCA and ICA.
    fn patched(
        &self,
        tap: Tap,
        found: &LayerDictionaries,
        parts: &Parts,
    ) -> Result<Vec<(Basis, bool)>> {
        let chosen = &found.tried[found.chosen];
        let mut places: Vec<usize> = (0..found.tried.len())
            .filter(|&place| place != found.chosen && found.tried[place].is_like(chosen))
            .collect();
        let apart =
            |place: &usize| (found.tried[*place].choosing.l0 / chosen.choosing.l0).ln().abs();
        places.sort_by(|a, b| apart(a).total_cmp(&apart(b)));
        places.truncate(self.recipe.study.patched_weights);
        places.insert(0, found.chosen);
        let mut bases = Vec::new();
        for place in places {
            let name = format!("dictionary, {}", found.tried[place].setting());
            bases.push((Basis::dictionary(name, found.dictionaries[place].clone())?, true));
        }
        let d = self.model.architecture.width;
        let rows = self.rows(&parts.choosing, tap)?;
        let rows = Matrix::from_rows(
            rows.rows().min(PATCH_ROWS),
            d,
            rows.as_slice()[..rows.rows().min(PATCH_ROWS) * d].to_vec(),
        )?;
        let seed = self.recipe.dictionaries.seed;
        let frames = BaselineFrames::fit(&rows, seed)?;
        for mut basis in frames.at_width(d)? {
            if let Some((name, _)) = basis.name.split_once(", all") {
                let kind = ["PCA", "ICA"].into_iter().find(|kind| *kind == name);
                if let Some(kind) = kind {
                    basis.name = kind.to_owned();
                    bases.push((basis, false));
                }
            }
        }
        Ok(bases)
    }
}

fn line(scores: &LexicalScores) -> LexicalLine {
    let with = lexical::Mean::with_error;
    LexicalLine {
        basis: scores.basis.clone(),
        features: scores.features.len(),
        correlation: with(&scores.correlation),
        matched: with(&scores.matched_correlation),
        f1: with(&scores.f1),
        precision_recall: [scores.precision.mean, scores.recall.mean],
    }
}

/// Fails once whoever watches wants it to stop.
fn go_on(wanted: bool) -> Result<()> {
    match wanted {
        true => Ok(()),
        false => Err(Error::Interrupted {
            operation: "study".to_owned(),
            remedy: "nothing is kept; begin again".to_owned(),
        }),
    }
}
