//! Section 12: an encoder that saw many pictures without labels, under a head that sees few with labels.

use narrows::Result;
use narrows::compute::{Activation, Matrix};
use narrows::data::Labels;
use narrows::evaluate::Spread;
use narrows::model::network::NetworkOptions;
use narrows::model::pca::{Components, PcaOptions};
use narrows::model::{Model, Network, Pca};
use narrows::objective::Corruption;
use narrows::report::chart::Axis;
use narrows::report::page::{Block, Table};
use narrows::report::percent;
use narrows::train::{
    Augmentation, AugmentationOptions, FewLabels, Outcome, Start, Task, TrainOptions, Unfreezing,
};
use serde_json::json;

use super::draw::{line, lines};
use super::told::Told;
use super::workshop::Workshop;

/// Numbers of the code.
const WIDTH: usize = 32;
/// Steps at least, however few the labels.
const STEPS: usize = 400;

/// What an encoder is worth where few rows have labels.
pub(super) struct Study {
    /// Rows with labels.
    pub(super) counts: Vec<usize>,
    outcomes: Vec<Outcome>,
    /// The same where the encoder never saw the classes.
    transfer_counts: Vec<usize>,
    transferred: Vec<Outcome>,
}

impl Study {
    pub(super) fn run(shop: &Workshop<'_>) -> Result<Self> {
        let digits = shop.digits()?;
        let counts = shop.either(vec![20, 100], vec![20, 100, 1000]);
        let on = (&digits.train, &digits.labels, &digits.test, &digits.test_classes[..]);
        let outcomes = study(shop, "all classes, no labels", &digits.train, on, &counts)?;
        let half = digits.labels.names.len() / 2;
        let classes: Vec<usize> = (0..2 * half).collect();
        let (seen, ..) = digits.of_classes(&classes[..half]);
        let (rows, labels, test, test_classes) = digits.of_classes(&classes[half..]);
        let transfer_counts = vec![10, 50];
        let on = (&rows, &labels, &test, &test_classes[..]);
        let transferred = study(shop, "other classes", &seen, on, &transfer_counts)?;
        Ok(Self { counts, outcomes, transfer_counts, transferred })
    }

    /// The share of the held-out pictures that are told, over the seeds.
    pub(super) fn accuracy(&self, labels: usize, start: Start) -> Spread {
        spread(&self.outcomes, labels, start)
    }
}

fn spread(outcomes: &[Outcome], labels: usize, start: Start) -> Spread {
    let own = outcomes.iter().filter(|one| one.labels == labels && one.start == start);
    Spread::of(&own.map(|one| one.accuracy).collect::<Vec<_>>())
}

/// An encoder learns from `unlabelled`; then heads learn from a few rows of others.
fn study(
    shop: &Workshop<'_>,
    what: &str,
    unlabelled: &Matrix,
    (rows, labels, test_rows, test_classes): (&Matrix, &Labels, &Matrix, &[usize]),
    counts: &[usize],
) -> Result<Vec<Outcome>> {
    let shape = shop.digits()?.image;
    let far = shape.width as f64 / 28.0;
    let options = AugmentationOptions {
        shift: (2.0 * far).max(0.7),
        rotation: 12.0,
        elastic: far,
        undo: true,
        ..Default::default()
    };
    let task = Task {
        corruption: Corruption::Masking { rate: 0.25 },
        augmentation: Some(Augmentation { shape, options }),
        ..Task::reconstruct(unlabelled)
    };
    let mut layers = shop.hidden();
    layers.push(WIDTH);
    let made = NetworkOptions { layers, activation: Activation::Silu, ..Default::default() };
    let (network, _) =
        shop.learn(&format!("pre-training: {what}"), &task, &made, &shop.training(100, 20))?;
    let encoder: Network = network.encoder();
    let options = PcaOptions { components: Components::Count(WIDTH), ..Default::default() };
    let pca = Model::Pca(Pca::fit_source(unlabelled, &options)?).encoder()?;
    let study = FewLabels {
        encoder: &encoder,
        pca: &pca,
        task: &Task::reconstruct(rows),
        labels,
        test_rows,
        test_classes,
        counts,
        seeds: shop.either(3, 5),
        unfreezing: Unfreezing::Frozen,
        train: TrainOptions {
            batch_size: 64,
            epochs: 20,
            seed: shop.seed,
            ..TrainOptions::labels()
        },
        least_steps: STEPS,
    };
    let mut done = 0;
    let all = counts.len() * study.seeds * Start::ALL.len();
    let mut watch = shop.watch(&format!("few labels: {what}"));
    study.run(|outcome| {
        done += 1;
        watch.part(done as f64 / all as f64, &format!("{} labels", outcome.labels));
    })
}

/// What a start is called.
fn name(start: Start) -> &'static str {
    match start {
        Start::Pretrained => "pre-trained encoder",
        Start::Scratch => "same layers from scratch",
        Start::RawRows => "logistic regression on pixels",
        Start::PcaCodes => "logistic regression on PCA codes",
    }
}

pub(super) fn run(shop: &Workshop<'_>) -> Result<Told> {
    let digits = shop.digits()?;
    let study = shop.study()?;
    let curve = |(colour, start): (usize, Start)| {
        let points =
            study.counts.iter().map(|&count| [count as f64, study.accuracy(count, start).mean]);
        let spread =
            study.counts.iter().map(|&count| study.accuracy(count, start).deviation.unwrap_or(0.0));
        narrows::report::chart::Series {
            spread: spread.collect(),
            ..line(name(start), colour, points)
        }
    };
    let chart = lines(
        Axis::logarithmic("labelled pictures"),
        Axis::share("held-out pictures told rightly"),
        Start::ALL.into_iter().enumerate().map(curve).collect(),
    );
    let told = |outcomes: &[Outcome], count: usize, start: Start| {
        let Spread { mean, deviation } = spread(outcomes, count, start);
        match deviation {
            Some(deviation) => format!("{} ± {:.1}", percent(mean), 100.0 * deviation),
            None => percent(mean),
        }
    };
    let rows = |outcomes: &[Outcome], counts: &[usize]| -> Vec<Vec<String>> {
        let line = |start: &Start| {
            let cells = counts.iter().map(|&count| told(outcomes, count, *start));
            std::iter::once(name(*start).to_owned()).chain(cells).collect()
        };
        Start::ALL.iter().map(line).collect()
    };
    let columns = |first: &str, counts: &[usize]| -> Vec<String> {
        let each = counts.iter().map(|count| format!("#{count} labels"));
        std::iter::once(first.to_owned()).chain(each).collect()
    };
    let half = digits.labels.names.len() / 2;
    let names = &digits.labels.names;
    let other =
        format!("classes {} to {}, encoder never saw them", names[half], names[names.len() - 1]);
    let (fewest, fewest_of_other) = (study.counts[0], study.transfer_counts[0]);
    let mean = |start| percent(study.accuracy(fewest, start).mean);
    let moved = |start| percent(spread(&study.transferred, fewest_of_other, start).mean);
    Ok(Told {
        idea: format!(
            "Pieces of networks are Lego bricks. Learn an encoder from all pictures, none of them labelled: \
             pixels are blacked out, pictures shifted and turned, and the picture as it was is asked for. Take \
             the decoder off, put a head of {} outputs on, and teach that with a handful of labels. The brick \
             also fits where it was not made for: other classes.",
            names.len()
        ),
        formula: "1. min ‖x − d(e(x̃))‖² over all rows   2. o = W·e(x) + b, min −ln softmax(o)ₖ over few labelled rows"
            .to_owned(),
        figure: format!(
            "with {fewest} labels {} of held-out pictures right, from scratch {}, pixels {}, PCA {}; transfer to \
             other classes with {fewest_of_other} labels {}, from scratch {}",
            mean(Start::Pretrained),
            mean(Start::Scratch),
            mean(Start::RawRows),
            mean(Start::PcaCodes),
            moved(Start::Pretrained),
            moved(Start::Scratch)
        ),
        measured: json!({"few_labels": study.outcomes, "transfer": study.transferred}),
        blocks: vec![
            Block::Figure(chart, "Mean over seeds, the band is their standard deviation.".to_owned()),
            Block::Table(Table {
                columns: columns("all classes", &study.counts),
                rows: rows(&study.outcomes, &study.counts),
            }),
            Block::Table(Table {
                columns: columns(&other, &study.transfer_counts),
                rows: rows(&study.transferred, &study.transfer_counts),
            }),
        ],
        command: format!(
            "narrows fit recipes/semi-supervised.toml --data {} --out runs/brick && narrows finetune runs/brick \
             --mode frozen --label-count 100 --data {} --test-data {} --out runs/head",
            digits.arguments[0], digits.arguments[0], digits.arguments[1]
        ),
    })
}
