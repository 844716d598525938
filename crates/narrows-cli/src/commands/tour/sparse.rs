//! Sections 14 and 15: codes of which most is silent, by a price on their sum or by a wanted mean.

use narrows::Result;
use narrows::compute::{Activation, Matrix};
use narrows::evaluate::{Activity, evaluate};
use narrows::model::network::NetworkOptions;
use narrows::model::{Autoencoder, Model, Network};
use narrows::objective::Sparsity;
use narrows::report::chart::{Axis, Series, Style};
use narrows::report::page::Block;
use narrows::report::picture::album;
use narrows::report::{Html, percent};
use narrows::train::Task;
use serde_json::json;

use super::draw::{filter, histogram, lines, shares};
use super::sets::Pictures;
use super::told::Told;
use super::workshop::Workshop;

/// Filters that are shown.
const SHOWN: usize = 24;
/// α of the L1 penalty.
const PRICE: f64 = 0.1;
/// α of the KL penalty, and p.
const KL: (f64, f64) = (0.3, 0.05);

/// A network with a wide code, and how it is used on held-out pictures.
struct Used {
    network: Network,
    activity: Activity,
    codes: Matrix,
    error: f64,
    lost: f64,
}

fn learn(
    shop: &Workshop<'_>,
    what: &str,
    code_activation: Activation,
    sparsity: Sparsity,
) -> Result<Used> {
    let digits = shop.digits()?;
    let shape =
        NetworkOptions { layers: vec![shop.overcomplete()], code_activation, ..Default::default() };
    let task = Task { sparsity, ..Task::reconstruct(&digits.train) };
    let (network, _) = shop.learn(what, &task, &shape, &shop.training(120, 4))?;
    let model = Model::Network(network.clone());
    let target = match sparsity {
        Sparsity::Kl { target, .. } => Some(target),
        _ => None,
    };
    let activity = Activity::measure(&digits.test, &model, target)?.ok_or_else(|| {
        narrows::Error::failure("measure a code", "it has no off", "choose another activation")
    })?;
    let scores = evaluate(&digits.test, &model, None, None)?.scores;
    Ok(Used {
        codes: network.encode(&digits.test)?,
        network,
        activity,
        error: scores.squared_error_per_row,
        lost: scores.fraction_variance_unexplained,
    })
}

/// Units that are on in a picture, on average.
fn on(used: &Used) -> f64 {
    used.activity.rates.iter().sum()
}

/// Columns of the decoder of the units that are used most, as pictures.
fn strokes(used: &Used, digits: &Pictures) -> Html {
    let mut units: Vec<usize> = (0..used.activity.rates.len()).collect();
    units.sort_by(|&a, &b| used.activity.rates[b].total_cmp(&used.activity.rates[a]));
    let alive = units.len() - used.activity.dead;
    let stride = (alive / SHOWN).max(1);
    let weights = used.network.weight(1);
    let one = |&unit: &usize| {
        let stroke: Vec<f32> = weights.column(unit).to_vec();
        let name = format!("what unit {} adds", unit + 1);
        (filter(&stroke, digits.image, &name), percent(used.activity.rates[unit]))
    };
    album(&units[..alive].iter().step_by(stride).take(SHOWN).map(one).collect::<Vec<_>>())
}

/// Section 14.
pub(super) fn by_l1(shop: &Workshop<'_>) -> Result<Told> {
    let digits = shop.digits()?;
    let free = learn(shop, "wide code, no price", Activation::Relu, Sparsity::None)?;
    let sparse = learn(shop, "wide code, L1", Activation::Relu, Sparsity::L1 { weight: PRICE })?;
    let units = free.activity.rates.len();
    let most = free.codes.as_slice().iter().fold(0.0_f32, |most, &value| most.max(value));
    let most = f64::from(most.max(1e-3));
    let bars = |name: &str, colour: usize, codes: &Matrix| {
        let values: Vec<f64> = codes.as_slice().iter().map(|&value| f64::from(value)).collect();
        let all = values.len() as f64;
        let points = histogram(&values, [0.0, most], 25).into_iter();
        Series::new(name, Style::Line, colour, points.map(|[x, count]| [x, count / all]).collect())
    };
    let chart = lines(
        Axis { covers: vec![0.0], ..Axis::linear("activation of a unit") },
        Axis::logarithmic("share of all activations"),
        vec![bars("no price", 1, &free.codes), bars("L1", 0, &sparse.codes)],
    );
    let widest = 1.0;
    Ok(Told {
        idea: format!(
            "Charge the code for the sum of its activations. Then a picture is told by few of {units} units, and \
             each comes to stand for a part that pictures share: a stroke. The price also makes activations \
             smaller than they should be, which costs a little error."
        ),
        formula: "min ‖x − x̂‖² + α·Σⱼ |zⱼ|,   z = max(0, Wx + b)".to_owned(),
        figure: format!(
            "{:.1} of {units} units are on in a held-out picture (without the price {:.1}); it loses {} of the \
             variance (without {})",
            on(&sparse),
            on(&free),
            percent(sparse.lost),
            percent(free.lost)
        ),
        measured: json!({
            "units": units, "weight": PRICE,
            "on": on(&sparse), "on_without": on(&free),
            "dead": sparse.activity.dead, "dead_without": free.activity.dead,
            "squared_error_per_row": sparse.error, "squared_error_per_row_without": free.error,
            "unexplained": sparse.lost, "unexplained_without": free.lost,
        }),
        blocks: vec![
            Block::Pair(vec![
                (
                    shares(&free.activity.rates, widest, "pictures in which a unit is on", None),
                    "Without the price.".to_owned(),
                ),
                (
                    shares(&sparse.activity.rates, widest, "pictures in which a unit is on", None),
                    format!("With L1, α = {PRICE}."),
                ),
            ]),
            Block::Figure(chart, "How large activations are: with the price nearly all are nothing.".to_owned()),
            Block::Figure(
                strokes(&sparse, digits),
                "What single units add to a picture, from the busiest on, with the share of pictures in which \
                 each is on."
                    .to_owned(),
            ),
        ],
        command: format!(
            "narrows fit recipes/sparse-l1.toml --data {} --out runs/sparse",
            digits.arguments[0]
        ),
    })
}

/// Section 15.
pub(super) fn by_kl(shop: &Workshop<'_>) -> Result<Told> {
    let digits = shop.digits()?;
    let (weight, target) = KL;
    let free = learn(shop, "sigmoid code, free", Activation::Sigmoid, Sparsity::None)?;
    let sparsity = Sparsity::Kl { weight, target, memory: 0.0 };
    let sparse = learn(shop, "sigmoid code, KL", Activation::Sigmoid, sparsity)?;
    let units = sparse.activity.rates.len();
    let mean = |used: &Used| on(used) / units as f64;
    let label = "mean activation of a unit";
    Ok(Told {
        idea: format!(
            "Or say how busy a unit is to be: the mean of its activation over pictures shall be p. The \
             divergence KL(p ‖ q) is nothing where the mean q is p, and grows to either side, so no unit is \
             always on and none is dead. Here p = {target} for {units} units."
        ),
        formula: "min ‖x − x̂‖² + α·Σⱼ [p ln(p/qⱼ) + (1 − p) ln((1 − p)/(1 − qⱼ))],   qⱼ = mean of σ(Wx + b)ⱼ"
            .to_owned(),
        figure: format!(
            "mean activation {:.3} where {target} was asked for (free: {:.3}), {} of {units} units dead on held-out \
             pictures; {} of the variance lost (free: {})",
            mean(&sparse),
            mean(&free),
            sparse.activity.dead,
            percent(sparse.lost),
            percent(free.lost)
        ),
        measured: json!({
            "units": units, "weight": weight, "target": target,
            "mean_activation": mean(&sparse), "mean_activation_free": mean(&free),
            "dead": sparse.activity.dead, "dense": sparse.activity.dense,
            "squared_error_per_row": sparse.error, "squared_error_per_row_free": free.error,
        }),
        blocks: vec![
            Block::Pair(vec![
                (shares(&free.activity.rates, 1.0, label, None), "Free.".to_owned()),
                (
                    shares(&sparse.activity.rates, 1.0, label, Some(target)),
                    format!("With KL to {target}."),
                ),
            ]),
            Block::Figure(
                strokes(&sparse, digits),
                "What single units add to a picture, with their mean activation.".to_owned(),
            ),
        ],
        command: format!(
            "narrows fit recipes/sparse-kl.toml --data {} --out runs/sparse-kl",
            digits.arguments[0]
        ),
    })
}
