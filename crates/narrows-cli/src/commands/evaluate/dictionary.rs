//! `narrows evaluate` of sparse dictionaries: one, or those of a sweep beside each other.

use std::io::Write;
use std::path::Path;

use anyhow::Result;
use narrows::Error;
use narrows::compute::Matrix;
use narrows::data::{self, Chosen, OpenOptions};
use narrows::evaluate::{
    Baselines, DictionaryLikeness, DictionaryScores, FrontierPoint, Probe, Probes, Scores, Spread,
    compare_dictionaries,
};
use narrows::model::pca::{Components, PcaOptions};
use narrows::model::{Autoencoder, Dictionary, Model, Pca};
use serde_json::{Value, json};

use super::super::dictionaries::{Rows, Shelf, Sweep, alike, baseline_name, open};
use super::super::report::dictionary_scores;
use super::super::table::{spread, table};
use super::super::{Screen, figure};
use super::{EvaluateArgs, remember};

/// Rows of the training data that PCA is fitted on, at most, and numbers in them.
const PCA_ROWS: usize = 50_000;
const PCA_NUMBERS: usize = 1 << 25;
/// Rows that probes learn from and are measured on, at most.
const PROBED: usize = 10_000;
/// Names the split of the rows of probes, and random directions.
const SEED: u64 = 0;

pub(super) fn run(args: &EvaluateArgs, shelf: &Shelf) -> Result<()> {
    refuse_unread(args, shelf)?;
    let label_column = args.on.label_column.clone();
    let given = OpenOptions { labels: args.labels.clone(), label_column, ..Default::default() };
    let own = shelf.trained_on() == Some(args.on.data.as_str());
    let known = shelf.config["data"]["target"].as_str().filter(|_| own);
    let target = args.target.as_deref().or(known);
    if target.is_none() && shelf.config["data"]["target"].is_string() {
        return Err(Error::mistake(
            "evaluate",
            "the rows that should come out of a transcoder",
            "none",
            "give --target PATH",
        )
        .into());
    }
    let rows = Rows::open(&args.on.data, target, &given)?;
    match shelf.sweep {
        true => many(args, shelf, &rows),
        false => one(args, shelf, &rows),
    }
}

fn refuse_unread(args: &EvaluateArgs, shelf: &Shelf) -> Result<()> {
    let refuse = |expected: &str, got: &str| {
        let expected = format!("{expected} where {got} is given");
        let got = if shelf.sweep { "a sweep of dictionaries" } else { "a sparse dictionary" };
        Err(Error::mistake("evaluate", expected, got, "leave it out").into())
    };
    if args.corrupt {
        return refuse("a network that was trained to take noise away", "--corrupt");
    }
    if shelf.sweep && args.labels.is_some() {
        return refuse("one dictionary of the sweep", "--labels");
    }
    if shelf.sweep && args.against.is_some() {
        return refuse("one dictionary of the sweep", "--against");
    }
    Ok(())
}

/// What one dictionary came to.
struct Found {
    scores: DictionaryScores,
    /// PCA with as many components as latents fire in a row.
    pca: Option<(usize, Scores)>,
    against: Option<DictionaryLikeness>,
    probes: Option<Probes>,
    baselines: Option<Baselines>,
}

fn one(args: &EvaluateArgs, shelf: &Shelf, rows: &Rows) -> Result<()> {
    let dictionary = open(&shelf.folder)?;
    // Before the rows are measured, which takes longer.
    let other = args.against.as_deref().map(open).transpose()?;
    let compare = |other: &Dictionary| compare_dictionaries(&dictionary.decoder, &other.decoder);
    let against = other.as_ref().map(compare).transpose()?;
    let scores = rows.measure(&dictionary)?;
    let asked = args.labels.is_some() || args.on.label_column.is_some();
    let found = Found {
        pca: pca(shelf, rows, scores.l0)?,
        against,
        probes: asked.then(|| probes(&dictionary, rows)).transpose()?.flatten(),
        baselines: args
            .baselines
            .then(|| baselines(rows, &[scores.l0], dictionary.latent_dim()))
            .transpose()?,
        scores,
    };
    let told = found.as_json(&dictionary);
    if shelf.is_own() {
        remember(&shelf.folder, "evaluate", &rows.dataset.name, &told)?;
    }
    if args.output.json {
        writeln!(Screen, "{told:#}")?;
    } else {
        found.print(&dictionary)?;
    }
    if found.scores.truth.is_some() && shelf.trained_on() == Some(args.on.data.as_str()) {
        args.output.say(
            "note: these are rows that it was trained on; `first=…` gives later ones of the same truth",
        );
    }
    Ok(())
}

/// What PCA with as many components keeps, fitted on an even sample of the training rows; `None` where
/// there are none, or a row is turned into another.
fn pca(shelf: &Shelf, rows: &Rows, l0: f64) -> Result<Option<(usize, Scores)>> {
    let (Some(path), None) = (shelf.trained_on(), &rows.targets) else { return Ok(None) };
    let Ok(trained) = data::open(path, &OpenOptions::default()) else { return Ok(None) };
    let source = &*trained.rows;
    if source.dim() != rows.dataset.rows.dim() {
        return Ok(None);
    }
    let most = PCA_ROWS.min(PCA_NUMBERS / source.dim().max(1)).max(1);
    let places = data::evenly(source.rows(), most);
    let components = (l0.round() as usize).min(source.dim()).min(places.len());
    if components == 0 {
        return Ok(None);
    }
    let options = PcaOptions { components: Components::Count(components), ..Default::default() };
    let pca = Pca::fit_source(&Chosen { source, places: &places }, &options)?;
    let found =
        rows.with(|rows| narrows::evaluate::evaluate(rows, &Model::Pca(pca), None, None))?;
    Ok(Some((components, found.scores)))
}

/// Whether a few latents tell the classes of an even sample of the rows.
fn probes(dictionary: &Dictionary, rows: &Rows) -> Result<Option<Probes>> {
    let Some(labels) = &rows.dataset.labels else { return Ok(None) };
    let source = &*rows.dataset.rows;
    let most = PROBED.min(PCA_NUMBERS / source.dim().max(1)).max(1);
    let places = data::evenly(source.rows(), most);
    let mut sample = Matrix::zeros(places.len(), source.dim());
    source.gather_f32(&places, sample.as_mut_slice())?;
    let codes = dictionary.encode_sparse(&sample)?;
    let classes: Vec<usize> = places.iter().map(|&place| labels.classes[place]).collect();
    Ok(Some(Probes::measure(&sample, &codes, &classes, SEED)?))
}

/// The baselines at some L0.
fn baselines(rows: &Rows, l0: &[f64], latents: usize) -> Result<Baselines> {
    let l0: Vec<usize> = l0.iter().map(|l0| l0.round() as usize).collect();
    rows.with(|rows| Baselines::measure(rows, &l0, latents, SEED))
}

impl Found {
    fn as_json(&self, dictionary: &Dictionary) -> Value {
        let mut told = json!(self.scores);
        told["input_dim"] = json!(dictionary.input_dim());
        told["latent_dim"] = json!(dictionary.latent_dim());
        if let Some((components, scores)) = &self.pca {
            told["pca"] = json!(scores);
            told["pca"]["components"] = json!(components);
        }
        let parts = [
            ("against", self.against.as_ref().map(|found| json!(found))),
            ("probes", self.probes.as_ref().map(|found| json!(found))),
            ("baselines", self.baselines.as_ref().map(|found| json!(found))),
        ];
        for (name, part) in parts {
            part.into_iter().for_each(|part| told[name] = part);
        }
        told
    }

    fn print(&self, dictionary: &Dictionary) -> Result<()> {
        writeln!(
            Screen,
            "{} rows, {} columns through {} latents ({})\n",
            self.scores.rows,
            dictionary.input_dim(),
            dictionary.latent_dim(),
            dictionary.gate.name(),
        )?;
        let beside = |name: &str| {
            let (_, pca) = self.pca.as_ref()?;
            match name {
                "squared_error_per_row" => Some(pca.squared_error_per_row),
                "fraction_variance_unexplained" => Some(pca.fraction_variance_unexplained),
                "explained_variance" => Some(pca.explained_variance),
                _ => None,
            }
        };
        let lines = dictionary_scores(&self.scores).into_iter().map(|score| {
            let mut line = vec![score.name.clone(), figure(score.value)];
            if self.pca.is_some() {
                line.push(beside(&score.name).map_or_else(String::new, figure));
            }
            line
        });
        let lines: Vec<_> = lines.collect();
        let pca = self.pca.as_ref().map(|(components, _)| components);
        let pca = pca.map(|components| format!("#PCA, {components} components"));
        let headings: Vec<&str> =
            ["score", "#dictionary"].into_iter().chain(pca.as_deref()).collect();
        write!(Screen, "{}", table(&headings, &lines))?;
        if let Some(truth) = &self.scores.truth {
            let features = truth.likeness.latents_of_other;
            let l0 = figure(truth.true_l0);
            writeln!(Screen, "\nthe truth is known: {features} features, {l0} of them in a row\n")?;
            let mut lines = vec![
                ("precision", truth.precision),
                ("recall", truth.recall),
                ("f1", truth.f1),
                ("accuracy", truth.accuracy),
            ];
            lines.extend(likeness(&truth.likeness, "truth"));
            print_lines("latents against features", &lines)?;
        }
        if let Some(against) = &self.against {
            writeln!(Screen, "\nagainst a dictionary of {} latents\n", against.latents_of_other)?;
            print_lines("atoms against atoms", &likeness(against, "other"))?;
        }
        self.probes.iter().try_for_each(print_probes)?;
        self.baselines.iter().try_for_each(print_baselines)
    }
}

fn likeness(found: &DictionaryLikeness, other: &str) -> Vec<(&'static str, f64)> {
    let back = if other == "truth" { "mmcs of the truth in it" } else { "mmcs of the other in it" };
    vec![
        ("mmcs", found.mmcs),
        (back, found.mmcs_of_other),
        ("mcc", found.mcc),
        ("matched above 0.9", found.matched),
        ("uniqueness", found.uniqueness),
    ]
}

fn print_lines(heading: &str, lines: &[(&str, f64)]) -> Result<()> {
    let lines: Vec<_> =
        lines.iter().map(|(name, value)| vec![(*name).to_owned(), figure(*value)]).collect();
    Ok(write!(Screen, "{}", table(&[heading, "#value"], &lines))?)
}

fn print_probes(found: &Probes) -> Result<()> {
    writeln!(
        Screen,
        "\nprobes of {} classes, learned on {} rows, measured on {}; always answering what is more \
         frequent: accuracy {}\n",
        found.classes,
        found.train_rows,
        found.test_rows,
        figure(found.majority_accuracy),
    )?;
    let line = |what: &str, probe: &Probe| {
        vec![format!("{} {what}", probe.k), figure(probe.accuracy), figure(probe.f1)]
    };
    let mut lines: Vec<_> = found.latents.iter().map(|probe| line("latents", probe)).collect();
    lines.extend(found.columns.iter().map(|probe| line("columns of the rows", probe)));
    lines.push(line("columns, all", &found.all_columns));
    Ok(write!(Screen, "{}", table(&["on", "#accuracy", "#f1"], &lines))?)
}

fn print_baselines(found: &Baselines) -> Result<()> {
    writeln!(
        Screen,
        "\nfraction of variance unexplained without a dictionary, fitted on {} rows, measured on {}\n",
        found.fitted_rows, found.rows
    )?;
    let names = found.l0.iter().map(|l0| format!("#L0 {l0}"));
    let headings: Vec<String> = std::iter::once("baseline".to_owned()).chain(names).collect();
    let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
    let lines = found.curves.iter().map(|curve| {
        let values = curve.fraction_variance_unexplained.iter().map(|&value| figure(value));
        let name = baseline_name(curve.baseline, curve.directions);
        std::iter::once(name).chain(values).collect()
    });
    Ok(write!(Screen, "{}", table(&headings, &lines.collect::<Vec<_>>()))?)
}

fn many(args: &EvaluateArgs, shelf: &Shelf, rows: &Rows) -> Result<()> {
    let found = shelf.measure(rows, &args.output)?;
    let l0: Vec<f64> = found.points.iter().map(|point| point.l0.mean).collect();
    let widest = found.scores.iter().map(|scores| scores.latents).max().unwrap_or(1);
    let baselines = args.baselines.then(|| baselines(rows, &l0, widest)).transpose()?;
    let told = sweep_json(shelf, rows, &found, baselines.as_ref())?;
    let name = &rows.dataset.name;
    for (folder, told) in
        shelf.members.iter().zip(told["dictionaries"].as_array().into_iter().flatten())
    {
        remember(folder, "evaluate", name, told)?;
    }
    remember(&shelf.folder, "evaluate", name, &told)?;
    if args.output.json {
        writeln!(Screen, "{told:#}")?;
        return Ok(());
    }
    writeln!(Screen, "{} rows of {name}\n", found.scores[0].rows)?;
    print_points(&found.points)?;
    baselines.iter().try_for_each(print_baselines)
}

fn sweep_json(
    shelf: &Shelf,
    rows: &Rows,
    found: &Sweep,
    baselines: Option<&Baselines>,
) -> Result<Value> {
    let made = shelf.made()?;
    let members = shelf.members.iter().zip(&found.scores).zip(made);
    let dictionaries: Vec<Value> = members
        .map(|((folder, scores), made)| {
            let mut told = json!(scores);
            told["folder"] = json!(within(&shelf.folder, folder));
            told["input_dim"] = json!(rows.dataset.rows.dim());
            told["latent_dim"] = json!(scores.latents);
            told["made"] = made;
            told
        })
        .collect();
    let mut told = json!({
        "rows": found.scores[0].rows,
        "dictionaries": dictionaries,
        "frontier": found.points,
    });
    baselines.into_iter().for_each(|baselines| told["baselines"] = json!(baselines));
    Ok(told)
}

fn within(folder: &Path, member: &Path) -> String {
    member.strip_prefix(folder).unwrap_or(member).to_string_lossy().replace('\\', "/")
}

/// One line for each that differs in more than its seed.
fn print_points(points: &[FrontierPoint]) -> Result<()> {
    let known = points.iter().any(|point| point.f1.is_some());
    let seeds = points.iter().any(|point| point.stability.is_some());
    let mut headings = vec!["kind", "#latents", "k or λ", "#L0", "#FVU", "#dead share"];
    headings.extend(known.then_some(["#F1", "#MCC to the truth"]).into_iter().flatten());
    headings.extend(seeds.then_some(["#MMCS of seeds", "#MCC of seeds"]).into_iter().flatten());
    let maybe = |value: Option<Spread>| value.map_or_else(|| "—".to_owned(), |v| spread(v, 3));
    let lines = points.iter().zip(alike(points)).map(|(point, name)| {
        let mut line = vec![
            name.kind,
            name.latents,
            name.sparsity,
            spread(point.l0, 1),
            spread(point.fraction_variance_unexplained, 4),
            spread(point.dead_share, 3),
        ];
        if known {
            line.extend([maybe(point.f1), maybe(point.mcc)]);
        }
        if seeds {
            let stability = point.stability.as_ref();
            line.push(maybe(stability.map(|found| found.mmcs)));
            line.push(maybe(stability.map(|found| found.mcc)));
        }
        line
    });
    Ok(write!(Screen, "{}", table(&headings, &lines.collect::<Vec<_>>()))?)
}
