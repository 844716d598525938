//! Section 10: a narrow code cannot copy; a wide one can, unless it is kept from it.

use narrows::Result;
use narrows::compute::{Activation, Matrix};
use narrows::evaluate::evaluate;
use narrows::model::network::NetworkOptions;
use narrows::model::{Autoencoder, Model, Network};
use narrows::objective::{Corruption, Sparsity};
use narrows::random::Random;
use narrows::report::page::{Block, Table};
use narrows::report::percent;
use narrows::train::Task;
use serde_json::json;

use super::draw::strips;
use super::told::Told;
use super::workshop::Workshop;

/// Numbers of the narrow code.
const NARROW: usize = 8;

/// One of the networks that are compared.
struct Tried {
    name: String,
    network: Network,
    /// The share of the variance that is lost of held-out pictures and of scrambled ones.
    lost: [f64; 2],
}

pub(super) fn run(shop: &Workshop<'_>) -> Result<Told> {
    let digits = shop.digits()?;
    let scrambled = scrambled(&digits.test, shop.seed);
    let wide = shop.overcomplete();
    let clean = Task::reconstruct(&digits.train);
    let noisy = Task { corruption: Corruption::Masking { rate: 0.5 }, ..clean.clone() };
    let penalised = Task { sparsity: Sparsity::L1 { weight: 0.3 }, ..clean.clone() };
    let linear = [Activation::Identity; 2];
    // Pixels that are no longer blacked out would come out too bright, were the output free to.
    let bounded = [Activation::Relu, Activation::Sigmoid];
    let free = [Activation::Relu, Activation::Identity];
    let plans = [
        (format!("narrow: {NARROW} numbers"), NARROW, linear, &clean),
        (format!("wide: {wide} numbers"), wide, linear, &clean),
        ("wide, half of the pixels blacked out as it learns".to_owned(), wide, bounded, &noisy),
        ("wide, L1 on the code".to_owned(), wide, free, &penalised),
    ];
    let mut tried = Vec::new();
    for (name, width, [code_activation, output_activation], task) in plans {
        let shape = NetworkOptions {
            layers: vec![width],
            code_activation,
            output_activation,
            ..Default::default()
        };
        let training = shop.training(120, 4);
        let (network, _) = shop.learn(&name, task, &shape, &training)?;
        let model = Model::Network(network.clone());
        let lost = |rows: &Matrix| -> Result<f64> {
            Ok(evaluate(rows, &model, None, None)?.scores.fraction_variance_unexplained)
        };
        let lost = [lost(&digits.test)?, lost(&scrambled)?];
        tried.push(Tried { name, network, lost });
    }
    let rebuilt = tried.iter().map(|tried| tried.network.reconstruct(&scrambled));
    let rebuilt = rebuilt.collect::<Result<Vec<_>>>()?;
    let mut shown: Vec<(&str, &Matrix)> = vec![("Scrambled pictures", &scrambled)];
    shown.extend(tried.iter().zip(&rebuilt).map(|(tried, rows)| (tried.name.as_str(), rows)));
    let places: Vec<usize> = (0..10).collect();
    let table = Table {
        columns: ["code", "#of held-out pictures", "#of scrambled ones"].map(String::from).into(),
        rows: tried
            .iter()
            .map(|tried| vec![tried.name.clone(), percent(tried.lost[0]), percent(tried.lost[1])])
            .collect(),
    };
    let [of_pictures, of_scrambled] =
        [0, 1].map(|of| tried.iter().map(|tried| percent(tried.lost[of])).collect::<Vec<_>>());
    Ok(Told {
        idea: "A code with fewer numbers than the picture must find out what pictures have in common. One with \
               more may simply copy: it brings back even scrambled pictures, in which every pixel comes from \
               another one and which it never saw. Noise on its input, or a price on its code, takes that way \
               out away: then it rebuilds pictures and not noise."
            .to_owned(),
        formula: "m ≥ d: U V = I has no error and knows nothing   noise: min ‖x − d(e(x̃))‖²   price: + α·Σⱼ|zⱼ|"
            .to_owned(),
        figure: format!(
            "of scrambled pictures the narrow code loses {}, the wide one {} (it copies), with noise {}, with \
             L1 {}; of held-out pictures {}",
            of_scrambled[0],
            of_scrambled[1],
            of_scrambled[2],
            of_scrambled[3],
            of_pictures.join(", "),
        ),
        measured: json!(
            tried
                .iter()
                .map(|tried| json!({"code": tried.name, "unexplained": tried.lost[0], "unexplained_scrambled": tried.lost[1]}))
                .collect::<Vec<_>>()
        ),
        blocks: vec![
            Block::Figure(
                strips(&shown, &places, digits.image),
                "Scrambled pictures in, and what each network gives back. Whoever copies shows them again; whoever loses \
                 more than all of their variance makes something else of them."
                    .to_owned(),
            ),
            Block::Table(table),
        ],
        command: format!(
            "narrows fit recipes/denoise-masking.toml --data {} --out runs/not-a-copy",
            digits.arguments[0]
        ),
    })
}

/// Pictures in which each pixel is that of another picture: as bright as ever, and of nothing.
fn scrambled(rows: &Matrix, seed: u64) -> Matrix {
    let mut out = rows.clone();
    let columns = rows.cols();
    for column in 0..columns {
        let order =
            Random::numbered(seed, "tour scrambled", &[column as u64]).permutation(rows.rows());
        for (row, &from) in order.iter().enumerate() {
            out.as_mut_slice()[row * columns + column] = rows.row(from)[column];
        }
    }
    out
}
