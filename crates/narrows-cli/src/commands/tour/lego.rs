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
use super::sets::Pictures;
use super::told::Told;
use super::workshop::Workshop;

/// Numbers of the code.
const WIDTH: usize = 32;
/// Steps at least, however few the labels.
const STEPS: usize = 1500;
/// Draws of the rows with labels.
const SEEDS: usize = 3;
/// What the running average of weights keeps at each step of pre-training.
const AVERAGE: f64 = 0.998;

/// What an encoder is worth where few rows have labels.
pub(super) struct Study {
    /// Rows with labels.
    pub(super) counts: Vec<usize>,
    outcomes: Vec<Outcome>,
    /// The same where the encoder was learned elsewhere.
    transfer: Transfer,
}

/// An encoder in a place that it was not made for.
struct Transfer {
    /// What place that is, and how the encoder is used there.
    place: String,
    counts: Vec<usize>,
    outcomes: Vec<Outcome>,
}

/// What was learned from rows without labels.
struct Brick {
    encoder: Network,
    pca: Network,
}

/// Rows to learn labels from, and rows to measure on.
struct Labelled<'a> {
    rows: &'a Matrix,
    labels: &'a Labels,
    test_rows: &'a Matrix,
    test_classes: &'a [usize],
}

impl Study {
    pub(super) fn run(shop: &Workshop<'_>) -> Result<Self> {
        let digits = shop.movable_digits()?;
        let counts = shop.either(vec![20, 100], vec![20, 100, 1000]);
        let brick = Brick::learn(shop, "all classes, no labels", &digits.train)?;
        let on = Labelled::all(digits);
        let outcomes = brick.few_labels(shop, &on, &counts, Unfreezing::Frozen)?;
        let transfer = match digits.image.width {
            28 => Transfer::to_other_people(shop, &brick)?,
            _ => Transfer::to_other_classes(shop, digits)?,
        };
        Ok(Self { counts, outcomes, transfer })
    }

    /// The share of the held-out pictures that are told, over the seeds.
    pub(super) fn accuracy(&self, labels: usize, start: Start) -> Spread {
        spread(&self.outcomes, labels, start)
    }
}

impl Transfer {
    /// From MNIST to the built-in digits, which other people wrote in another country.
    fn to_other_people(shop: &Workshop<'_>, brick: &Brick) -> Result<Self> {
        let digits = Pictures::digits_like_mnist()?;
        let (place, counts) = ("digits from another country, encoder frozen", vec![20, 100]);
        let outcomes =
            brick.few_labels(shop, &Labelled::all(&digits), &counts, Unfreezing::Frozen)?;
        Ok(Self { place: place.to_owned(), counts, outcomes })
    }

    /// From one half of the classes to the other.
    fn to_other_classes(shop: &Workshop<'_>, digits: &Pictures) -> Result<Self> {
        let half = digits.labels.names.len() / 2;
        let classes: Vec<usize> = (0..2 * half).collect();
        let (seen, ..) = digits.of_classes(&classes[..half]);
        let (rows, labels, test_rows, test_classes) = digits.of_classes(&classes[half..]);
        let brick = Brick::learn(shop, "other classes", &seen)?;
        let counts = vec![10, 50];
        let on = Labelled {
            rows: &rows,
            labels: &labels,
            test_rows: &test_rows,
            test_classes: &test_classes,
        };
        let outcomes = brick.few_labels(shop, &on, &counts, Unfreezing::Full)?;
        let names = &digits.labels.names;
        let place = format!(
            "classes {} to {}, encoder of the others, trained on",
            names[half],
            names[2 * half - 1]
        );
        Ok(Self { place, counts, outcomes })
    }
}

fn spread(outcomes: &[Outcome], labels: usize, start: Start) -> Spread {
    let own = outcomes.iter().filter(|one| one.labels == labels && one.start == start);
    Spread::of(&own.map(|one| one.accuracy).collect::<Vec<_>>())
}

impl<'a> Labelled<'a> {
    fn all(digits: &'a Pictures) -> Self {
        Self {
            rows: &digits.train,
            labels: &digits.labels,
            test_rows: &digits.test,
            test_classes: &digits.test_classes,
        }
    }
}

impl Brick {
    /// Learns to give pictures back as they were before they were changed.
    fn learn(shop: &Workshop<'_>, what: &str, unlabelled: &Matrix) -> Result<Self> {
        let shape = shop.movable_digits()?.image;
        let options = AugmentationOptions {
            shift: if shape.width < 28 { 1.5 } else { 2.0 },
            rotation: 15.0,
            elastic: 1.0,
            undo: true,
            ..Default::default()
        };
        let task = Task {
            corruption: Corruption::Masking { rate: 0.25 },
            augmentation: Some(Augmentation { shape, options }),
            ..Task::reconstruct(unlabelled)
        };
        let mut layers = shop.wide_hidden();
        layers.push(WIDTH);
        let made = NetworkOptions {
            layers,
            activation: Activation::Silu,
            output_activation: Activation::Sigmoid,
            ..Default::default()
        };
        let training = TrainOptions { average: AVERAGE, ..shop.training(300, 10) };
        let (network, _) = shop.learn(&format!("pre-training: {what}"), &task, &made, &training)?;
        let options = PcaOptions { components: Components::Count(WIDTH), ..Default::default() };
        let pca = Model::Pca(Pca::fit_source(unlabelled, &options)?).encoder()?;
        Ok(Self { encoder: network.encoder(), pca })
    }

    /// What it is worth under heads that learn from a few rows.
    fn few_labels(
        &self,
        shop: &Workshop<'_>,
        on: &Labelled<'_>,
        counts: &[usize],
        unfreezing: Unfreezing,
    ) -> Result<Vec<Outcome>> {
        let study = FewLabels {
            encoder: &self.encoder,
            pca: &self.pca,
            task: &Task::reconstruct(on.rows),
            labels: on.labels,
            test_rows: on.test_rows,
            test_classes: on.test_classes,
            counts,
            seeds: SEEDS,
            unfreezing,
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
        let mut watch = shop.watch("few labels");
        study.run(|outcome| {
            done += 1;
            watch.part(done as f64 / all as f64, &format!("{} labels", outcome.labels));
        })
    }
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
    let digits = shop.movable_digits()?;
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
    let names = &digits.labels.names;
    let transfer = &study.transfer;
    let (fewest, fewest_of_other) = (study.counts[0], transfer.counts[0]);
    let mean = |start| percent(study.accuracy(fewest, start).mean);
    let moved = |start| percent(spread(&transfer.outcomes, fewest_of_other, start).mean);
    Ok(Told {
        idea: format!(
            "Pieces of networks are Lego bricks. Learn an encoder from all pictures, none of them labelled: \
             pixels are blacked out, pictures shifted and turned, and the picture as it was is asked for. Take \
             the decoder off, put a head of {} outputs on, and teach that with a handful of labels. Whether the \
             brick also fits where it was not made for, the second table tells.",
            names.len()
        ),
        formula: "1. min ‖x − d(e(x̃))‖² over all rows   2. o = W·e(x) + b, min −ln softmax(o)ₖ over few labelled rows"
            .to_owned(),
        figure: format!(
            "with {fewest} labels {} of held-out pictures right, from scratch {}, pixels {}, PCA {}; {} with \
             {fewest_of_other} labels {}, from scratch {}",
            mean(Start::Pretrained),
            mean(Start::Scratch),
            mean(Start::RawRows),
            mean(Start::PcaCodes),
            transfer.place,
            moved(Start::Pretrained),
            moved(Start::Scratch)
        ),
        measured: json!({"few_labels": study.outcomes, "transfer": transfer.outcomes}),
        blocks: vec![
            Block::Figure(chart, "Mean over seeds, the band is their standard deviation.".to_owned()),
            Block::Table(Table {
                columns: columns("all classes", &study.counts),
                rows: rows(&study.outcomes, &study.counts),
            }),
            Block::Table(Table {
                columns: columns(&transfer.place, &transfer.counts),
                rows: rows(&transfer.outcomes, &transfer.counts),
            }),
        ],
        command: format!(
            "narrows fit recipes/semi-supervised.toml --data {} --out runs/brick && narrows finetune runs/brick \
             --mode frozen --label-count 100 --data {} --test-data {} --out runs/head",
            digits.arguments[0], digits.arguments[0], digits.arguments[1]
        ),
    })
}
