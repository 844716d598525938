//! How far a known truth was found.

use std::collections::BTreeMap;

use crate::evaluate::Recovery;
use crate::report::chart::{Axis, Chart, Series, Style};
use crate::report::page::{Block, Section, Table};
use crate::report::text::{Html, count, number, percent};

/// A feature is found where an atom has a larger cosine with it.
const FOUND: f64 = 0.9;
/// More points than this hide each other.
const MOST_POINTS: usize = 2000;
/// Width of a group of features, as part of a power of ten.
const STEP: f64 = 0.25;

pub(super) fn section(truth: &Recovery) -> Section {
    let likeness = &truth.likeness;
    let found = likeness.cosines_of_other.iter().filter(|cosine| **cosine > FOUND).count();
    let line =
        |name: &str, value: f64, what: &str| vec![name.to_owned(), number(value), what.to_owned()];
    let rows = vec![
        line(
            "precision",
            truth.precision,
            "of the rows in which a latent fires, in how many its feature does",
        ),
        line("recall", truth.recall, "of the rows in which its feature fires, in how many it does"),
        line("F1", truth.f1, "2·TP/(2·TP + FP + FN), mean over the latents"),
        line("MCC", likeness.mcc, "mean |cosine| of atoms and features paired one to one"),
        line("MMCS", likeness.mmcs, "mean over atoms of the largest cosine with a feature"),
        line(
            "MMCS of the truth",
            likeness.mmcs_of_other,
            "mean over features of the largest cosine with an atom",
        ),
        line(
            "uniqueness",
            likeness.uniqueness,
            "different features that latents stand for, over latents",
        ),
    ];
    let columns = ["score", "#value", "what it tells"].map(String::from).into();
    Section {
        heading: "The known truth".into(),
        text: vec![
            format!(
                "The rows are sums of {} known features, {} of them per row. An atom stands for the feature \
                 with the largest |cosine|.",
                count(likeness.latents_of_other),
                number(truth.true_l0)
            ),
            format!(
                "{} features ({}) have an atom with a cosine above 0.9: they are found.",
                count(found),
                percent(found as f64 / likeness.latents_of_other.max(1) as f64)
            ),
        ],
        blocks: vec![
            Block::Table(Table { columns, rows }),
            Block::Pair(vec![
                (
                    by_rate(truth),
                    "The share of features that are found, by how often they fire.".into(),
                ),
                (scatter(truth), detectors_caption(truth)),
            ]),
        ],
    }
}

/// The share of features that are found among those that fire about as often.
fn by_rate(truth: &Recovery) -> Html {
    let mut groups: BTreeMap<i64, [usize; 2]> = BTreeMap::new();
    let features = truth.feature_rates.iter().zip(&truth.likeness.cosines_of_other);
    for (&rate, &cosine) in features.filter(|(rate, _)| **rate > 0.0) {
        let group = groups.entry((rate.log10() / STEP).floor() as i64).or_default();
        group[0] += usize::from(cosine > FOUND);
        group[1] += 1;
    }
    let point = |(&bin, &[found, all]): (&i64, &[usize; 2])| {
        [10_f64.powf((bin as f64 + 0.5) * STEP), found as f64 / all as f64]
    };
    let series = vec![Series::new("", Style::Line, 2, groups.iter().map(point).collect())];
    let x = Axis::logarithmic("share of rows in which a feature fires");
    Chart { x, y: Axis::share("features found"), series, guides: Vec::new(), square: false }
        .render()
}

/// Each latent as a detector.
fn scatter(truth: &Recovery) -> Html {
    let stride = truth.of_latents.len().div_ceil(MOST_POINTS).max(1);
    let points =
        truth.of_latents.iter().step_by(stride).map(|&[precision, recall]| [recall, precision]);
    let series = vec![Series::new("", Style::Points, 0, points.collect())];
    let (x, y) = (Axis::share("recall"), Axis::share("precision"));
    Chart { x, y, series, guides: Vec::new(), square: false }.render()
}

fn detectors_caption(truth: &Recovery) -> String {
    let all = truth.of_latents.len();
    let drawn = all.div_ceil(all.div_ceil(MOST_POINTS).max(1));
    match drawn == all {
        true => "Each latent as a detector of its feature.".to_owned(),
        false => format!(
            "Latents as detectors of their features: {} of {}, evenly taken.",
            count(drawn),
            count(all)
        ),
    }
}
