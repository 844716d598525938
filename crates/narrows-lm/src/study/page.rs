//! The page of a study.

use narrows::evaluate::Baseline;
use narrows::report::chart::{Axis, Chart, Series, Style};
use narrows::report::page::{Block, Card, Page, Section, Table};
use narrows::report::{Html, count, number, percent};

use super::report::{LayerReport, PatchingReport, StudyReport};
use super::verdict::{LEVELS, features_for, verdicts};

/// The colour of the first baseline.
const BASELINE_COLOUR: usize = 5;

/// The page, and on it the command that makes it again.
pub(super) fn page(report: &StudyReport, command: &str) -> String {
    let model = &report.model;
    let parts = [
        Some(agreement(report)),
        Some(frontier(report)),
        Some(dead(report)),
        lexical(report),
        splice(report),
        report.patching.as_ref().map(patching),
        sizes(report),
        Some(again(report, command)),
    ];
    let mut missing = Vec::new();
    missing.extend(report.no_patching.clone().map(|why| format!("patching: {why}")));
    let page = Page {
        title: format!("Features of {}", model.name),
        subtitle: format!(
            "{}, {} parameters, {} blocks of {} columns; the experiment of Cunningham et al. (2023)",
            model.family,
            count(model.parameters),
            model.layers,
            model.width
        ),
        narrowing: None,
        cards: cards(report),
        sections: parts.into_iter().flatten().collect(),
        missing,
    };
    page.render()
}

fn cards(report: &StudyReport) -> Vec<Card> {
    let told = verdicts(report);
    let agree = told.iter().filter(|verdict| verdict.agrees == Some(true)).count();
    let known = told.iter().filter(|verdict| verdict.agrees.is_some()).count();
    let spliced = report.layers.iter().filter_map(|layer| layer.splice.first());
    let recovered = spliced.map(|line| line.recovered).fold(f64::INFINITY, f64::min);
    let mut cards = vec![
        Card {
            value: format!("{agree} of {known}"),
            label: "statements of the paper that hold here".into(),
            note: "see below".into(),
        },
        Card {
            value: count(report.layers.iter().map(|layer| layer.tried.len()).sum()),
            label: "dictionaries".into(),
            note: format!("{} layers", report.layers.len()),
        },
        Card {
            value: count(report.text.rows[0]),
            label: "rows of a layer to learn from".into(),
            note: format!("reported on {} others", count(report.text.rows[2])),
        },
    ];
    if recovered.is_finite() {
        cards.push(Card {
            value: percent(recovered),
            label: "of the loss recovered, at the worst layer".into(),
            note: format!("the model loses {:.3} nats per token", report.text.loss),
        });
    }
    cards
}

fn agreement(report: &StudyReport) -> Section {
    let row = |verdict: super::verdict::Verdict| {
        let agrees = match verdict.agrees {
            Some(true) => "agrees",
            Some(false) => "does not agree",
            None => "cannot be told",
        };
        vec![verdict.subject.into(), verdict.paper.into(), verdict.here, agrees.into()]
    };
    let columns = ["", "the paper, on Pythia", "here", ""].map(str::to_owned).into();
    let rows = verdicts(report).into_iter().map(row).collect();
    Section {
        heading: "What agrees".into(),
        text: vec![
            "Each figure of the paper that is made again here, with what the paper found on Pythia-70M and \
             Pythia-410M. Dictionaries were chosen, and rules and baselines fitted, on other windows of the text \
             than those that are reported."
                .into(),
        ],
        blocks: vec![Block::Table(Table { columns, rows })],
    }
}

/// Dictionaries of one kind and width, in rising order of their codes in a row.
fn families(layer: &LayerReport) -> Vec<(String, Vec<usize>)> {
    let mut families: Vec<(String, Vec<usize>)> = Vec::new();
    for (place, own) in layer.tried.iter().enumerate() {
        let name = own.family();
        match families.iter_mut().find(|(known, _)| *known == name) {
            Some((_, places)) => places.push(place),
            None => families.push((name, vec![place])),
        }
    }
    let l0 = |place: usize| layer.tried[place].testing.l0;
    families.iter_mut().for_each(|(_, own)| own.sort_by(|&a, &b| l0(a).total_cmp(&l0(b))));
    families
}

fn frontier_chart(layer: &LayerReport) -> Html {
    let mut series = Vec::new();
    for (colour, (name, own)) in families(layer).into_iter().enumerate() {
        let point = |&place: &usize| {
            let own = layer.tried[place].testing;
            [own.l0, own.fraction_variance_unexplained]
        };
        series.push(Series::new(name, Style::Line, colour, own.iter().map(point).collect()));
    }
    let chosen = layer.tried[layer.chosen].testing;
    for (place, curve) in layer.baselines.curves.iter().enumerate() {
        let Some(name) = baseline_name(curve.baseline) else { continue };
        let sizes = layer.baselines.l0.iter().map(|&size| size as f64);
        let points = sizes.zip(&curve.fraction_variance_unexplained);
        let points = points.map(|(l0, &lost)| [l0, lost.min(1.0)]).collect();
        series.push(Series::new(name, Style::Dashed, BASELINE_COLOUR + place, points));
    }
    series.push(Series::new(
        "chosen",
        Style::Points,
        4,
        vec![[chosen.l0, chosen.fraction_variance_unexplained]],
    ));
    Chart {
        x: Axis::logarithmic("codes of a row (L0)"),
        y: Axis::share("variance lost"),
        series,
        guides: Vec::new(),
        square: false,
    }
    .render()
}

fn baseline_name(baseline: Baseline) -> Option<&'static str> {
    match baseline {
        Baseline::Pca => None,
        Baseline::PcaLargest => Some("PCA"),
        Baseline::IcaLargest => Some("ICA"),
        Baseline::RandomLargest => Some("random"),
        Baseline::ColumnsLargest => Some("columns"),
    }
}

/// One chart for each layer, two beside each other.
fn by_layer(report: &StudyReport, chart: impl Fn(&LayerReport) -> Html) -> Vec<Block> {
    let figures: Vec<(Html, String)> =
        report.layers.iter().map(|layer| (chart(layer), layer.tap.clone())).collect();
    figures.chunks(2).map(|pair| Block::Pair(pair.to_vec())).collect()
}

fn frontier(report: &StudyReport) -> Section {
    Section {
        heading: "Variance and codes".into(),
        text: vec![
            "Down and to the left is better. A line joins dictionaries of one kind and width, each point another \
             number of codes or sparsity weight; broken lines keep that many of the largest codes of other bases."
                .into(),
            "The chosen dictionary is the one with the fewest codes among those that lose no more variance than \
             wanted, on windows that are not reported."
                .into(),
        ],
        blocks: by_layer(report, frontier_chart),
    }
}

fn dead(report: &StudyReport) -> Section {
    let chart = |layer: &LayerReport| {
        let line = |(colour, (name, own)): (usize, (String, Vec<usize>))| {
            let points = own.iter().map(|&place| {
                let own = layer.tried[place].testing;
                [own.l0, own.dead_share]
            });
            Series::new(name, Style::Line, colour, points.collect())
        };
        Chart {
            x: Axis::logarithmic("codes of a row (L0)"),
            y: Axis::share("latents that never fired"),
            series: families(layer).into_iter().enumerate().map(line).collect(),
            guides: Vec::new(),
            square: false,
        }
        .render()
    };
    Section {
        heading: "Dead features".into(),
        text: vec![
            "The share of latents without a code in the reported rows; each point is another sparsity weight. \
             α is that of the printed loss, ‖x − x̂‖² + α·‖c‖₁ summed over columns; the paper's code takes a mean \
             over columns, so that its 8.6e-4 is 0.44 in such a sum over 512. Where rows are scaled before they are \
             learned, as they are unless train.scale says otherwise, that α counts times the scale."
                .into(),
        ],
        blocks: by_layer(report, chart),
    }
}

fn lexical(report: &StudyReport) -> Option<Section> {
    let names: Vec<String> =
        report.layers.first()?.lexical.iter().map(|line| line.basis.clone()).collect();
    if names.is_empty() {
        return None;
    }
    let line = |(colour, name): (usize, &String)| {
        let found = report.layers.iter().filter_map(|layer| {
            let own = layer.lexical.iter().find(|line| line.basis == *name)?;
            Some((layer.layer as f64, own.matched))
        });
        let found: Vec<(f64, [f64; 2])> = found.collect();
        let points = found.iter().map(|(layer, value)| [*layer, value[0]]).collect();
        let spread = found.iter().map(|(_, value)| value[1]).collect();
        let colour = if colour == 0 { 0 } else { BASELINE_COLOUR + colour - 1 };
        Series { spread, ..Series::new(name.clone(), Style::Line, colour, points) }
    };
    let chart = Chart {
        x: Axis::whole("block"),
        y: Axis::linear("correlation of the best rule and the feature"),
        series: names.iter().enumerate().map(line).collect(),
        guides: Vec::new(),
        square: false,
    };
    let with = |value: [f64; 2]| format!("{:.3} ± {:.3}", value[0], value[1]);
    let row = |layer: &LayerReport| {
        let lines = layer.lexical.iter().map(|line| {
            vec![
                format!("{} {}", layer.layer, line.basis),
                count(line.features),
                with(line.matched),
                with(line.f1),
                with(line.correlation),
                format!("{:.2}, {:.2}", line.precision_recall[0], line.precision_recall[1]),
            ]
        });
        lines.collect::<Vec<_>>()
    };
    let columns = [
        "block, basis",
        "#features",
        "#correlation",
        "#F1 of a set",
        "#all activations",
        "#precision, recall",
    ];
    Some(Section {
        heading: "Interpretable features".into(),
        text: vec![
            "How well the best rule of tokens, such as “after these two tokens it is so high”, predicts a feature \
             on text that the rule was not fitted on. The paper has a language model explain features and guess \
             them from the explanation; this asks less and needs no other model."
                .into(),
            "A feature of a dictionary is 0 nearly everywhere, a direction of another basis nowhere. For a fair \
             comparison each direction is cut so that it fires as often as a feature of the dictionary: its larger \
             activations count, on the side on which it has the longer tail, and the rest is 0. Without the cut, \
             see “all activations”, a direction is told by what moves it a little everywhere."
                .into(),
            "Mean over features ± standard error.".into(),
        ],
        blocks: vec![
            Block::Figure(chart.render(), "Mean over features; the band is a standard error.".into()),
            Block::Table(Table {
                columns: columns.map(str::to_owned).into(),
                rows: report.layers.iter().flat_map(row).collect(),
            }),
        ],
    })
}

fn splice(report: &StudyReport) -> Option<Section> {
    report.layers.iter().find(|layer| !layer.splice.is_empty())?;
    let rows = report.layers.iter().flat_map(|layer| {
        layer.splice.iter().map(|line| {
            vec![
                format!("{} {}", layer.layer, line.replacement),
                line.l0.map_or("–".to_owned(), number),
                percent(line.fraction_variance_unexplained),
                format!("{:.4}", line.loss),
                format!("{:.2}", line.loss.exp()),
                percent(line.recovered),
                number(line.divergence),
            ]
        })
    });
    let columns = [
        "block, in place of the rows",
        "#codes",
        "#variance lost",
        "#nats",
        "#perplexity",
        "#recovered",
        "#KL",
    ];
    Some(Section {
        heading: "What is lost".into(),
        text: vec![
            format!(
                "The model goes on with what takes the place of the rows. As it is it loses {:.4} nats per token, a \
                 perplexity of {:.2}.",
                report.text.loss,
                report.text.loss.exp()
            ),
            "Recovered is the part of what zeroing the rows loses that is not lost.".into(),
        ],
        blocks: vec![Block::Table(Table {
            columns: columns.map(str::to_owned).into(),
            rows: rows.collect(),
        })],
    })
}

fn patching(found: &PatchingReport) -> Section {
    let chart = |label: &str, column: usize| {
        let series = found.curves.iter().enumerate().map(|(place, curve)| {
            let shown = curve.points.iter().filter(|point| point[column] > 0.0);
            let points = shown.clone().map(|point| [point[column], point[2]]).collect();
            let spread = shown.map(|point| point[3]).collect();
            let style = if curve.dictionary { Style::Line } else { Style::Dashed };
            let colour = if curve.dictionary { place } else { BASELINE_COLOUR + place };
            let spread = if curve.dictionary { spread } else { Vec::new() };
            Series { spread, ..Series::new(curve.basis.clone(), style, colour, points) }
        });
        Chart {
            x: Axis::logarithmic(label),
            y: Axis::linear("KL to the target, nats"),
            series: series.collect(),
            guides: Vec::new(),
            square: false,
        }
        .render()
    };
    let row = |curve: &super::report::PatchingCurve| {
        let needed = LEVELS.map(|level| features_for(&curve.points, level * found.before()));
        let needed =
            needed.map(|count| count.map_or("never".into(), |count| format!("{count:.0}")));
        let all = curve.points.last().map_or(f64::NAN, |point| point[2]);
        let mut cells = vec![curve.basis.clone()];
        cells.extend(needed);
        cells.push(number(all));
        cells
    };
    let columns = [
        "features that bring the KL to",
        "#a half",
        "#a quarter",
        "#an eighth",
        "#KL with all replaced",
    ];
    Section {
        heading: "What features do".into(),
        text: vec![
            found.task.clone(),
            format!(
                "Features at {} take the value that they have with the other prompt. They were put in order on {} \
                 pairs; the curves are of {} others.",
                found.tap, found.pairs[0], found.pairs[1]
            ),
        ],
        blocks: vec![
            Block::Pair(vec![
                (chart("replaced features", 0), "KL against how many are replaced.".into()),
                (chart("size of the edit", 1), "KL against the length of what is changed.".into()),
            ]),
            Block::Table(Table {
                columns: columns.map(str::to_owned).into(),
                rows: found.curves.iter().map(row).collect(),
            }),
        ],
    }
}

fn sizes(report: &StudyReport) -> Option<Section> {
    let rows: Vec<Vec<String>> = report
        .layers
        .iter()
        .flat_map(|layer| {
            layer.sizes.iter().map(|sizes| {
                vec![
                    layer.layer.to_string(),
                    format!("{} in {}", sizes.latents[0], sizes.latents[1]),
                    sizes.made.clone(),
                    format!("{:.3}", sizes.mmcs),
                ]
            })
        })
        .collect();
    let columns = ["block", "latents", "made", "#mean max cosine"].map(str::to_owned).into();
    (!rows.is_empty()).then(|| Section {
        heading: "Sizes".into(),
        text: vec![
            "Whether a larger dictionary finds again what a smaller one found: the mean over the smaller one's \
             atoms of the largest cosine with an atom of the larger."
                .into(),
        ],
        blocks: vec![Block::Table(Table { columns, rows })],
    })
}

fn again(report: &StudyReport, command: &str) -> Section {
    let recipe = serde_json::to_string_pretty(&report.recipe).unwrap_or_default();
    Section {
        heading: "Again".into(),
        text: vec![format!("It took {:.0} seconds.", report.seconds)],
        blocks: vec![
            Block::Code(command.to_owned()),
            Block::Details("The recipe, complete".into(), recipe),
        ],
    }
}
