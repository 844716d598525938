//! The dictionaries of a sweep: what each came to, those that differ in their seed alone together.

use std::io::Write;
use std::path::Path;

use anyhow::Result;
use narrows::evaluate::{Baselines, DictionaryLikeness, FrontierPoint, Probe, Spread};
use narrows::report::count;
use serde::Serialize;
use serde_json::{Value, json};

use super::super::super::Screen;
use super::super::super::dictionaries::{Rows, Shelf, Sweep, alike};
use super::super::super::table::{spread, table};
use super::super::{EvaluateArgs, remember};
use super::baselines::{baselines, print_baselines};
use super::beside::{Beside, FoundBeside, print_probes};

/// What stands beside the scores of dictionaries that differ in their seed alone.
struct Together {
    against: Option<Against>,
    probes: Vec<ProbeSpread>,
}

/// How alike atoms are to those of another dictionary.
#[derive(Clone, Copy, Serialize)]
struct Against {
    mmcs: Spread,
    mmcs_of_other: Spread,
    mcc: Spread,
}

/// How well k latents tell classes.
#[derive(Serialize)]
struct ProbeSpread {
    k: usize,
    accuracy: Spread,
    f1: Spread,
}

impl Together {
    fn of(point: &FrontierPoint, beside: &[FoundBeside]) -> Self {
        let members = || point.members.iter().map(|&member| &beside[member]);
        let over = |value: &dyn Fn(&FoundBeside) -> Option<f64>| {
            let values: Option<Vec<f64>> = members().map(value).collect();
            values.map(|values| Spread::of(&values))
        };
        let against = |value: fn(&DictionaryLikeness) -> f64| {
            over(&|found| found.against.as_ref().map(value))
        };
        let sizes = members().next().and_then(|found| found.probes.as_ref());
        let sizes = sizes.into_iter().flat_map(|probes| probes.latents.iter().enumerate());
        let probes = sizes.filter_map(|(place, probe)| {
            let of = |value: fn(&Probe) -> f64| {
                over(&|found| Some(value(found.probes.as_ref()?.latents.get(place)?)))
            };
            Some(ProbeSpread {
                k: probe.k,
                accuracy: of(|own| own.accuracy)?,
                f1: of(|own| own.f1)?,
            })
        });
        Self {
            probes: probes.collect(),
            against: match (
                against(|own| own.mmcs),
                against(|own| own.mmcs_of_other),
                against(|own| own.mcc),
            ) {
                (Some(mmcs), Some(mmcs_of_other), Some(mcc)) => {
                    Some(Against { mmcs, mmcs_of_other, mcc })
                }
                _ => None,
            },
        }
    }

    /// Adds it to what is told of the point.
    fn tell(&self, told: &mut Value) {
        if let Some(against) = &self.against {
            told["against"] = json!(against);
        }
        if !self.probes.is_empty() {
            told["probes"] = json!({ "latents": self.probes });
        }
    }
}

pub(super) fn evaluate(args: &EvaluateArgs, shelf: &Shelf, rows: &Rows) -> Result<()> {
    let asked = Beside::new(args, rows)?;
    let mut beside = Vec::new();
    let found = shelf.measure(rows, &args.output, &mut |dictionary| {
        beside.push(asked.measure(dictionary)?);
        Ok(())
    })?;
    let l0: Vec<f64> = found.points.iter().map(|point| point.l0.mean).collect();
    let widest = found.scores.iter().map(|scores| scores.latents).max().unwrap_or(1);
    let baselines = args.baselines.then(|| baselines(rows, &l0, widest)).transpose()?;
    let told = sweep_json(shelf, rows, &found, &beside, baselines.as_ref())?;
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
    writeln!(Screen, "{} rows of {name}\n", count(found.scores[0].rows))?;
    print_points(shelf, &found.points, &beside)?;
    print_probes_of(shelf, &found.points, &beside)?;
    baselines.iter().try_for_each(print_baselines)
}

fn sweep_json(
    shelf: &Shelf,
    rows: &Rows,
    found: &Sweep,
    beside: &[FoundBeside],
    baselines: Option<&Baselines>,
) -> Result<Value> {
    let made = shelf.made()?;
    let members = shelf.members.iter().zip(&found.scores).zip(made).zip(beside);
    let dictionaries: Vec<Value> = members
        .map(|(((folder, scores), made), beside)| {
            let mut told = json!(scores);
            told["folder"] = json!(within(&shelf.folder, folder));
            told["input_dim"] = json!(rows.dataset.rows.dim());
            told["latent_dim"] = json!(scores.latents);
            told["made"] = made;
            beside.tell(&mut told);
            told
        })
        .collect();
    let frontier: Vec<Value> = found
        .points
        .iter()
        .map(|point| {
            let mut told = json!(point);
            Together::of(point, beside).tell(&mut told);
            told
        })
        .collect();
    let mut told = json!({
        "rows": found.scores[0].rows,
        "dictionaries": dictionaries,
        "frontier": frontier,
    });
    baselines.into_iter().for_each(|baselines| told["baselines"] = json!(baselines));
    Ok(told)
}

fn within(folder: &Path, member: &Path) -> String {
    member.strip_prefix(folder).unwrap_or(member).to_string_lossy().replace('\\', "/")
}

/// One line for each that differs in more than its seed.
fn print_points(shelf: &Shelf, points: &[FrontierPoint], beside: &[FoundBeside]) -> Result<()> {
    let known = points.iter().any(|point| point.f1.is_some());
    let seeds = points.iter().any(|point| point.stability.is_some());
    let mut headings = vec!["folder", "kind", "#latents", "k or λ", "#L0", "#FVU", "#dead share"];
    headings.extend(known.then_some(["#F1", "#MCC to the truth"]).into_iter().flatten());
    headings.extend(seeds.then_some(["#MMCS of seeds", "#MCC of seeds"]).into_iter().flatten());
    let compared = beside.iter().any(|found| found.against.is_some());
    headings.extend(
        compared.then_some(["#MMCS to the other", "#MCC to the other"]).into_iter().flatten(),
    );
    let maybe = |value: Option<Spread>| value.map_or_else(|| "—".to_owned(), |v| spread(v, 3));
    let lines = points.iter().zip(alike(points, &shelf.members)).map(|(point, name)| {
        let mut line = vec![
            name.folders,
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
        if compared {
            let against = Together::of(point, beside).against;
            line.push(maybe(against.map(|found| found.mmcs)));
            line.push(maybe(against.map(|found| found.mcc)));
        }
        line
    });
    Ok(write!(Screen, "{}", table(&headings, &lines.collect::<Vec<_>>()))?)
}

/// How well latents tell classes, of each that differs in more than its seed, above what the rows do.
fn print_probes_of(shelf: &Shelf, points: &[FrontierPoint], beside: &[FoundBeside]) -> Result<()> {
    let Some(rows) = beside.first().and_then(|found| found.probes.as_ref()) else {
        return Ok(());
    };
    let names = alike(points, &shelf.members);
    let lines = points.iter().zip(&names).flat_map(|(point, name)| {
        let name = format!("{}, {} latents, {}", name.kind, name.latents, name.sparsity);
        Together::of(point, beside).probes.into_iter().map(move |probe| {
            let ProbeSpread { k, accuracy, f1 } = probe;
            vec![format!("{k} of {name}"), spread(accuracy, 4), spread(f1, 4)]
        })
    });
    print_probes(rows, lines.collect())
}
