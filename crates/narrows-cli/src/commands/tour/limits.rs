//! Section 8: where eigenfaces and planes end, one knob at a time.

use narrows::Result;
use narrows::compute::Activation;
use narrows::evaluate::evaluate;
use narrows::faces::{EvaluateOptions, Faces, evaluate as recognise};
use narrows::model::network::NetworkOptions;
use narrows::model::pca::{Components, PcaOptions};
use narrows::model::{Autoencoder, Model, Pca};
use narrows::report::chart::Axis;
use narrows::report::page::{Block, Table};
use narrows::report::{Html, percent};
use narrows::train::Task;
use ndarray::Axis as Along;
use serde_json::json;

use super::draw::{line, lines, strips};
use super::sets::People;
use super::spot;
use super::told::Told;
use super::workshop::{Workshop, measured};

/// Eigenfaces by which people are told apart.
const EIGENFACES: usize = 20;
/// Pictures that a training set of any number of people has.
const PICTURES: usize = 60;

pub(super) fn run(shop: &Workshop<'_>) -> Result<Told> {
    let still = "size=32&expression=0";
    let lighting = swept(shop, &[0.0, 0.3, 0.6, 0.9, 1.2, 1.5], |value| {
        format!("{still}&pose=0&lighting={value}")
    })?;
    let pose = swept(shop, &[0.0, 0.1, 0.2, 0.4, 0.6, 0.8], |value| {
        format!("{still}&lighting=0&pose={value}")
    })?;
    let diversity = diversity(shop)?;
    let curved = Curved::learn(shop)?;

    let rates =
        |colour, name: &str, points: &[[f64; 2]]| line(name, colour, points.iter().copied());
    let end = |points: &[[f64; 2]]| points.last().map_or(f64::NAN, |point| point[1]);
    let start = |points: &[[f64; 2]]| points.first().map_or(f64::NAN, |point| point[1]);
    let knob = |name: &str, points: &[[f64; 2]]| {
        lines(Axis::linear(name), Axis::share("named rightly"), vec![rates(0, "", points)])
    };
    let pairs = vec![
        (knob("lighting: ± radians of azimuth", &lighting), "Only the light changes.".to_owned()),
        (knob("pose: ± radians of turn", &pose), "Only the turn of the head changes.".to_owned()),
    ];
    let people = lines(
        Axis { covers: vec![1.0], ..Axis::logarithmic("people among the pictures learned from") },
        Axis { covers: vec![0.0], ..Axis::share("variance of strangers lost") },
        vec![rates(1, "", &diversity)],
    );
    let table = Table {
        columns: ["code of two numbers", "#variance of held-out spots lost"]
            .map(String::from)
            .into(),
        rows: vec![
            vec!["PCA".into(), percent(curved.lost_by_pca)],
            vec!["deep autoencoder".into(), percent(curved.lost_by_network)],
        ],
    };
    Ok(Told {
        idea: format!(
            "Eigenfaces compare pixels, so whatever moves pixels hurts: light, turned heads, and people unlike \
             those they were made of. Each knob is turned alone, {EIGENFACES} eigenfaces, five known pictures of \
             each of 20 people. And where the data lie on a curved surface, no plane holds them, though two \
             numbers would tell all: a network finds those."
        ),
        formula: "linear: x̂ ∈ μ + span V, a plane   deep: x̂ ∈ {d(z)}, a curved surface   same m numbers"
            .to_owned(),
        figure: format!(
            "light {} → {}, pose {} → {} named rightly; strangers' variance lost {} → {} as people grow from {} \
             to {}; a moving spot by 2 numbers: PCA loses {}, a deep network {}",
            percent(start(&lighting)),
            percent(end(&lighting)),
            percent(start(&pose)),
            percent(end(&pose)),
            percent(start(&diversity)),
            percent(end(&diversity)),
            diversity[0][0],
            diversity[diversity.len() - 1][0],
            percent(curved.lost_by_pca),
            percent(curved.lost_by_network)
        ),
        measured: json!({
            "identification_over_lighting": lighting,
            "identification_over_pose": pose,
            "unexplained_over_people": diversity,
            "spot_unexplained_by_pca": curved.lost_by_pca,
            "spot_unexplained_by_network": curved.lost_by_network,
        }),
        blocks: vec![
            Block::Pair(pairs),
            Block::Figure(
                people,
                format!(
                    "{PICTURES} pictures in each training set, of few people or of many; measured on ten people \
                     who are in none of them, {} eigenfaces.",
                    EIGENFACES
                ),
            ),
            Block::Figure(
                curved.pictures,
                "A spot anywhere in a picture: the surface is curved, and half-way between two spots there are \
                 two faint ones."
                    .to_owned(),
            ),
            Block::Table(table),
        ],
        command: "narrows faces evaluate 'demo:faces?lighting=1.5&pose=0&expression=0'".to_owned(),
    })
}

/// The identification rate over the values of a knob.
fn swept(
    shop: &Workshop<'_>,
    values: &[f64],
    knobs: impl Fn(f64) -> String,
) -> Result<Vec<[f64; 2]>> {
    let options = EvaluateOptions {
        splits: shop.either(3, 20),
        components: vec![EIGENFACES],
        seed: shop.seed,
        ..Default::default()
    };
    let at = |&value: &f64| {
        let faces = People::with_knobs(&knobs(value))?;
        Ok([value, recognise(&faces, &options)?.rates[0].mahalanobis.mean])
    };
    values.iter().map(at).collect()
}

/// The share of the variance of ten strangers' pictures that eigenfaces of few or many people lose.
fn diversity(shop: &Workshop<'_>) -> Result<Vec<[f64; 2]>> {
    const PEOPLE: usize = 40;
    const OF_EACH: usize = 30;
    const STRANGERS: usize = 10;
    let faces: Faces = People::with_knobs(&format!(
        "size=32&people={PEOPLE}&images={OF_EACH}&seed={}",
        shop.seed
    ))?;
    let strangers: Vec<usize> =
        ((PEOPLE - STRANGERS) * OF_EACH..PEOPLE * OF_EACH).step_by(3).collect();
    let test = faces.pixels.select(Along(0), &strangers);
    let lost = |&people: &usize| {
        let each = PICTURES / people;
        let rows: Vec<usize> =
            (0..people).flat_map(|person| (0..each).map(move |k| person * OF_EACH + k)).collect();
        let options =
            PcaOptions { components: Components::Count(EIGENFACES), ..Default::default() };
        let pca = Pca::fit(faces.pixels.select(Along(0), &rows).view(), &options)?;
        let found = evaluate(&test.view(), &Model::Pca(pca), None, None)?;
        Ok([people as f64, found.scores.fraction_variance_unexplained])
    };
    [2, 4, 6, 12, 30].iter().map(lost).collect()
}

/// What a plane and a network make of a curved surface.
struct Curved {
    lost_by_pca: f64,
    lost_by_network: f64,
    pictures: Html,
}

impl Curved {
    fn learn(shop: &Workshop<'_>) -> Result<Self> {
        let rows = spot::pictures(shop.either(2000, 10_000), shop.seed, "learned from")?;
        let test = spot::pictures(500, shop.seed, "held out")?;
        let options = PcaOptions { components: Components::Count(2), ..Default::default() };
        let pca = Pca::fit_source(&rows, &options)?;
        let shape = NetworkOptions {
            layers: vec![128, 64, 2],
            activation: Activation::Silu,
            ..Default::default()
        };
        let training = narrows::train::TrainOptions {
            batch_size: 64,
            learning_rate: 3e-3,
            epochs: 60,
            ..shop.training(60, 60)
        };
        let (network, _) =
            shop.learn("a moving spot", &Task::reconstruct(&rows), &shape, &training)?;
        let by_pca = (&pca as &dyn Autoencoder).reconstruct(&test)?;
        let by_network = network.reconstruct(&test)?;
        let found = measured(&test, Model::Network(network), &pca)?;
        let lines = [
            ("Held-out spots", &test),
            ("PCA, two numbers", &by_pca),
            ("Deep autoencoder, two numbers", &by_network),
        ];
        let places: Vec<usize> = (0..10).collect();
        Ok(Self {
            lost_by_pca: found.pca.fraction_variance_unexplained,
            lost_by_network: found.scores.fraction_variance_unexplained,
            pictures: strips(&lines, &places, spot::SHAPE),
        })
    }
}
