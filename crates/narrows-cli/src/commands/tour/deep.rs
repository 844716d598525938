//! Section 9: the deep autoencoder, whose manifold is the image of its decoder.

use narrows::Result;
use narrows::compute::{Activation, Matrix};
use narrows::evaluate::Evaluation;
use narrows::model::{Autoencoder, Model, Network};
use narrows::recipe::Recipe;
use narrows::report::chart::Axis;
use narrows::report::page::Block;
use narrows::report::picture::sheet;
use narrows::train::{Augmentation, Task, TrainOptions};
use ndarray::Array2;
use serde_json::json;

use super::draw::{BRIGHTNESS, line, lines, strips, wide};
use super::told::Told;
use super::workshop::{Workshop, measured};
use crate::commands::fit::shipped_recipe;

/// Widths of the code.
const WIDTHS: [usize; 4] = [2, 3, 4, 8];
/// The code of a full tour that is wide enough to see little amiss, and how its recipe is called.
const WIDEST: usize = 30;
const RECIPE: &str = "recipes/deep-mnist.toml";
/// Passes over the rows for it, about a quarter of those of the recipe.
const EPOCHS: usize = 16;
/// Points along either side of the decoded plane.
const TILES: usize = 18;
/// The share of the codes beyond either end of it.
const BEYOND: f64 = 0.02;

pub(super) fn run(shop: &Workshop<'_>) -> Result<Told> {
    let digits = shop.digits()?;
    let mut found: Vec<Evaluation> = Vec::new();
    for width in WIDTHS {
        let network = shop.deep(width)?.as_ref().clone();
        found.push(measured(&digits.test, Model::Network(network), &shop.pca(width)?)?);
    }
    let mut of_widest = String::new();
    if shop.full {
        let (network, told) = widest(shop)?;
        let pca = shop.pca(network.latent_dim())?;
        found.push(measured(&digits.test, Model::Network(network), &pca)?);
        of_widest = told;
    }
    let plane = shop.deep(2)?;
    let tiles = decoded(&plane.encode(&digits.train)?, |codes| plane.decode(codes))?;
    let by_pca = (&shop.pca(2)? as &dyn Autoencoder).reconstruct(&digits.test)?;
    let by_network = plane.reconstruct(&digits.test)?;
    let places: Vec<usize> = (0..10).collect();
    let curve = |name: &str, colour: usize, of: fn(&Evaluation) -> f64| {
        line(name, colour, found.iter().map(|one| [one.latent_dim as f64, of(one)]))
    };
    let own = |one: &Evaluation| one.scores.squared_error_per_row;
    let pca = |one: &Evaluation| one.pca.squared_error_per_row;
    let chart = lines(
        Axis::whole("numbers of the code"),
        Axis { covers: vec![0.0], ..Axis::linear("squared error per held-out picture") },
        vec![curve("deep autoencoder", 0, own), curve("PCA", 1, pca)],
    );
    let told: Vec<String> = found
        .iter()
        .map(|one| format!("{} numbers {:.2} (PCA {:.2})", one.latent_dim, own(one), pca(one)))
        .collect();
    Ok(Told {
        idea: format!(
            "Put layers with a bend between picture and code ({} – {} – m and back). The pictures that the \
             decoder can make are then a curved surface, its manifold, not a plane; so the same two numbers \
             say more. Decoding a grid of codes shows the surface whole.",
            digits.test.cols(),
            listed(&shop.hidden())
        ),
        formula: "z = W₃ f(W₂ f(W₁x + b₁) + b₂) + b₃, and mirrored back   manifold = { d(z) : z ∈ ℝᵐ }".to_owned(),
        figure: format!("squared error per held-out picture with a code of {}", told.join(", ")),
        measured: json!({"over_width": found}),
        blocks: vec![
            Block::Figure(
                sheet(&tiles, TILES, digits.image, BRIGHTNESS, "decoded grid of codes"),
                "The manifold of a code of two numbers: pictures decoded from a grid of codes that no picture \
                 has, with as many pictures between two of its lines as between any other two. Where they change \
                 fast the surface is bent."
                    .to_owned(),
            ),
            Block::Figure(
                strips(
                    &[
                        ("Held-out pictures", &digits.test),
                        ("Deep autoencoder, two numbers", &by_network),
                        ("PCA, two numbers", &by_pca),
                    ],
                    &places,
                    digits.image,
                ),
                String::new(),
            ),
            Block::Figure(chart, of_widest),
        ],
        command: format!(
            "narrows fit recipes/deep-mnist.toml --data {} --out runs/deep",
            digits.arguments[0]
        ),
    })
}

/// The network with the widest code, of MNIST as its recipe has it but for the passes; and what sets it apart.
fn widest(shop: &Workshop<'_>) -> Result<(Network, String)> {
    if !shop.large {
        return Ok((shop.deep(WIDEST)?.as_ref().clone(), String::new()));
    }
    let digits = shop.digits()?;
    let recipe = Recipe::from_value(shipped_recipe(RECIPE)?)?;
    let options = recipe.train.augmentation;
    let task = Task {
        augmentation: Some(Augmentation { shape: digits.image, options }),
        ..Task::reconstruct(&digits.train)
    };
    let output = recipe.model.output_activation.unwrap_or(Activation::Sigmoid);
    let shape = recipe.model.network(output);
    let told = format!(
        "The widest code is that of {RECIPE}, whose layers are wider ({} – {}), after {EPOCHS} passes \
         over the rows where the recipe makes {}.",
        digits.train.cols(),
        listed(&shape.layers),
        recipe.train.epochs
    );
    let training = TrainOptions { epochs: EPOCHS, seed: shop.seed, ..recipe.train };
    let (network, _) = shop.learn(RECIPE, &task, &shape, &training)?;
    Ok((network, told))
}

/// Widths of layers, in their order.
fn listed(layers: &[usize]) -> String {
    layers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" – ")
}

/// Pictures of a grid over the plane of codes, the highest line first; as many codes lie between two lines as between any
/// other two, for equal steps would mostly show what no picture is near.
fn decoded(codes: &Matrix, decode: impl Fn(&Matrix) -> Result<Matrix>) -> Result<Vec<Vec<f32>>> {
    let codes = wide(codes);
    let lines = [0, 1].map(|column| {
        let mut values = codes.column(column).to_vec();
        values.sort_unstable_by(f64::total_cmp);
        let at = |line: usize| {
            let share = BEYOND + (1.0 - 2.0 * BEYOND) * line as f64 / (TILES - 1) as f64;
            values[((values.len() - 1) as f64 * share).round() as usize] as f32
        };
        std::array::from_fn::<f32, TILES, _>(at)
    });
    let grid = Array2::from_shape_fn((TILES * TILES, 2), |(tile, column)| match column {
        0 => lines[0][tile % TILES],
        _ => lines[1][TILES - 1 - tile / TILES],
    });
    let tiles = decode(&Matrix::from(grid))?;
    Ok((0..tiles.rows()).map(|row| tiles.row(row).to_vec()).collect())
}
