//! Section 11: storey upon storey, against all at once.

use narrows::Result;
use narrows::compute::Activation;
use narrows::model::network::NetworkOptions;
use narrows::model::{Model, Network};
use narrows::report::chart::Axis;
use narrows::report::number;
use narrows::report::page::{Block, Table};
use narrows::train::{Epoch, Stack, Storey, Task, TrainOptions};
use serde_json::json;

use super::draw::{line, lines};
use super::told::Told;
use super::workshop::{Workshop, measured};

/// Numbers of the code.
const WIDTH: usize = 8;
/// Steps of the stack: a storey each, then the whole.
const STAGES: usize = 4;

pub(super) fn run(shop: &Workshop<'_>) -> Result<Told> {
    let digits = shop.digits()?;
    let task = Task::reconstruct(&digits.train);
    let stage = shop.training(40, 4);
    let mut widths = shop.either(vec![128, 64], shop.hidden());
    widths.truncate(STAGES - 2);
    widths.push(WIDTH);
    let storeys = widths.iter().enumerate().map(|(place, &width)| {
        let is_last = place + 1 == widths.len();
        let bend =
            |is_plain: bool| if is_plain { Activation::Identity } else { Activation::Sigmoid };
        let shape = NetworkOptions {
            layers: vec![width],
            code_activation: bend(is_last),
            output_activation: bend(place == 0),
            ..Default::default()
        };
        Storey { shape, training: Some((task.clone(), stage.clone())) }
    });
    let stack = Stack {
        rows: &digits.train,
        storeys: storeys.collect(),
        fine_tuning: None,
        seed: shop.seed,
    };
    let alone = stack.fit(None, &mut shop.watch("stack of storeys"))?;
    let mut tuned = alone.network.clone();
    let history = shop.teach("the whole stack", &mut tuned, &task, &stage)?;

    let shape = NetworkOptions {
        layers: widths.clone(),
        activation: Activation::Sigmoid,
        ..Default::default()
    };
    let longer = TrainOptions { epochs: STAGES * stage.epochs, ..stage.clone() };
    let (at_once, once) = shop.learn("the same layers at once", &task, &shape, &longer)?;

    let pca = shop.pca(WIDTH)?;
    let error = |network: &Network| -> Result<f64> {
        let found = measured(&digits.test, Model::Network(network.clone()), &pca)?;
        Ok(found.scores.squared_error_per_row)
    };
    let [built, tuned, at_once] = [&alone.network, &tuned, &at_once].map(error);
    let (built, tuned, at_once) = (built?, tuned?, at_once?);
    let of_pca =
        measured(&digits.test, Model::Pca(pca.clone()), &pca)?.scores.squared_error_per_row;
    let before = (STAGES - 1) * stage.epochs;
    let points = |history: &[Epoch], first: usize| -> Vec<[f64; 2]> {
        history.iter().map(|epoch| [(first + epoch.epoch) as f64, epoch.loss]).collect()
    };
    let chart = lines(
        Axis { covers: vec![0.0], ..Axis::whole("passes over the rows") },
        Axis::logarithmic("squared error of a row learned from"),
        vec![
            line("storeys first, then the whole", 0, points(&history, before)),
            line("all at once", 1, points(&once, 0)),
        ],
    );
    let row = |name: &str, passes: String, error: f64| {
        vec![name.to_owned(), passes, format!("{error:.3}")]
    };
    let storeys: Vec<Vec<String>> = alone
        .storeys
        .iter()
        .enumerate()
        .map(|(place, storey)| {
            let lost = storey.fraction_variance_unexplained.unwrap_or(f64::NAN);
            vec![
                format!("storey {}", place + 1),
                format!(
                    "{} → {}",
                    if place == 0 { digits.train.cols() } else { widths[place - 1] },
                    widths[place]
                ),
                number(lost),
            ]
        })
        .collect();
    let passes = |count: usize| count.to_string();
    Ok(Told {
        idea: format!(
            "By plain descent, deep networks of sigmoid units learn badly from random weights. Train the first \
             storey to bring back the picture, the second to bring back the code of the first, and so on; then \
             unroll them into one network and train the whole from there. Each storey is a small problem, and \
             the whole starts from a good place. With a rate for each weight, as here, {}.",
            if at_once < tuned {
                "that is history: all at once does better"
            } else {
                "it still does better than all at once"
            }
        ),
        formula: "zᵢ = eᵢ(zᵢ₋₁), min ‖zᵢ₋₁ − dᵢ(zᵢ)‖²  for i = 1, 2, …;   then min ‖x − d₁(d₂(…e₂(e₁(x))))‖²"
            .to_owned(),
        figure: format!(
            "squared error per held-out picture {built:.2} storey by storey, {tuned:.2} after the whole was \
             trained, {at_once:.2} trained at once for as many passes (PCA {of_pca:.2})"
        ),
        measured: json!({
            "stacked": built, "stacked_and_tuned": tuned, "at_once": at_once, "pca": of_pca,
            "widths": widths, "passes": longer.epochs,
        }),
        blocks: vec![
            Block::Figure(
                chart,
                format!("The first {before} passes of the stack go to its storeys, whose losses are of their own kind."),
            ),
            Block::Table(Table {
                columns: ["", "#passes", "#held-out error"].map(String::from).into(),
                rows: vec![
                    row("storeys alone", passes(before), built),
                    row("storeys, then the whole", passes(longer.epochs), tuned),
                    row("all at once", passes(longer.epochs), at_once),
                    row("PCA", "–".to_owned(), of_pca),
                ],
            }),
            Block::Table(Table {
                columns: ["", "from and to", "#variance of its input lost, rows learned from"].map(String::from).into(),
                rows: storeys,
            }),
        ],
        command: format!(
            "narrows fit --model stack --data {} --set model.layers={} --out runs/stack",
            digits.arguments[0],
            json!(widths)
        ),
    })
}
