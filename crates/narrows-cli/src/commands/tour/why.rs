//! Section 1: what narrow codes are good for.

use narrows::Result;
use narrows::compute::Matrix;
use narrows::evaluate::{Neighbours, psnr};
use narrows::model::Autoencoder;
use narrows::report::page::{Block, Table};
use narrows::report::{count, percent};
use narrows::train::Start;
use serde_json::json;

use super::draw::{scatter, wide};
use super::told::Told;
use super::workshop::Workshop;

/// Rows whose neighbours are looked at, and drawn.
const LOOKED_AT: usize = 2000;
/// Neighbours that vote.
const NEAREST: usize = 5;
/// Numbers of a code that pictures are kept as.
const KEPT: usize = 8;

pub(super) fn run(shop: &Workshop<'_>) -> Result<Told> {
    let digits = shop.digits()?;
    let seen = look(shop, 2)?;
    let space = look(shop, 3)?;
    let [by_pca, by_network] =
        [kept_small(shop, &shop.pca(KEPT)?)?, kept_small(shop, &*shop.deep(KEPT)?)?];
    let study = shop.study()?;
    let fewest = study.counts[0];
    let taught = |start| study.accuracy(fewest, start).mean;
    let accuracy = |scores: Option<f64>| percent(scores.unwrap_or(f64::NAN));
    let rows = digits.test.rows();
    let (before, after) = (rows * digits.test.cols(), rows * KEPT);

    let line = |use_of: &str, with: String, without: String| vec![use_of.to_owned(), with, without];
    let table = Table {
        columns: ["use", "with a narrow code", "beside it"].map(String::from).into(),
        rows: vec![
            line(
                "see: 2 numbers",
                format!("{} of nearest codes tell the class", accuracy(seen.scores.accuracy)),
                format!("{} by PCA", accuracy(seen.pca.and_then(|pca| pca.accuracy))),
            ),
            line(
                "see: 3 numbers",
                format!("{} of nearest codes tell the class", accuracy(space.scores.accuracy)),
                format!("{} by PCA", accuracy(space.pca.and_then(|pca| pca.accuracy))),
            ),
            line(
                &format!("compress: {KEPT} bytes"),
                format!("{} pictures in {} bytes at {by_network:.1} dB", count(rows), count(after)),
                format!("{by_pca:.1} dB by PCA, {} bytes as they are", count(before)),
            ),
            line(
                &format!("learn from {fewest} labels"),
                format!(
                    "{} right on codes learned without labels",
                    percent(taught(Start::Pretrained))
                ),
                format!("{} right from the pixels", percent(taught(Start::RawRows))),
            ),
        ],
    };
    let (some, classes) = digits.some(LOOKED_AT);
    let names = &digits.labels.names;
    let network = wide(&shop.deep(2)?.encode(&some)?);
    let pca = wide(&shop.pca(2)?.encode(&some)?);
    let views = vec![
        (
            scatter(network.view(), &classes, names, ["latent 1", "latent 2"]),
            "Deep autoencoder: held-out pictures by the two numbers of their code. It saw no classes."
                .to_owned(),
        ),
        (
            scatter(pca.view(), &classes, names, ["component 1", "component 2"]),
            "PCA with two numbers: the same pictures.".to_owned(),
        ),
    ];
    Ok(Told {
        idea: format!(
            "A picture of {} pixels is not {} independent numbers. A code of a few numbers can be looked at, \
             takes little room, and is a better start for a task with few labels, since it is learned from \
             all the rows that nobody labelled.",
            count(digits.test.cols()),
            count(digits.test.cols())
        ),
        formula: "z = e(x), x̂ = d(z)   x: d numbers, z: m numbers, m ≪ d;   minimise ‖x − x̂‖²"
            .to_owned(),
        figure: format!(
            "2 numbers tell {} of the classes (PCA {}); {} pictures in {} bytes instead of {} at {by_network:.1} dB \
             (PCA {by_pca:.1}); {fewest} labels: {} right (pixels {})",
            accuracy(seen.scores.accuracy),
            accuracy(seen.pca.and_then(|pca| pca.accuracy)),
            count(rows),
            count(after),
            count(before),
            percent(taught(Start::Pretrained)),
            percent(taught(Start::RawRows)),
        ),
        measured: json!({
            "neighbour_accuracy_2": seen,
            "neighbour_accuracy_3": space,
            "bytes_before": before,
            "bytes_after": after,
            "psnr_deep": by_network,
            "psnr_pca": by_pca,
            "labels": fewest,
            "accuracy_pretrained": taught(Start::Pretrained),
            "accuracy_raw_rows": taught(Start::RawRows),
        }),
        blocks: vec![Block::Pair(views), Block::Table(table)],
        command: format!(
            "narrows fit recipes/visualise-2d.toml --data {} --out runs/plane && narrows report runs/plane",
            digits.arguments[0]
        ),
    })
}

/// How well codes of so many numbers keep neighbours together, beside PCA's.
fn look(shop: &Workshop<'_>, width: usize) -> Result<Neighbours> {
    let (some, classes) = shop.digits()?.some(LOOKED_AT);
    let codes = wide(&shop.deep(width)?.encode(&some)?);
    let pca = wide(&shop.pca(width)?.encode(&some)?);
    let rows = wide(&some);
    let found =
        Neighbours::measure(rows.view(), codes.view(), Some(pca.view()), Some(&classes), NEAREST);
    found.ok_or_else(|| {
        narrows::Error::mistake(
            "look at codes",
            "three pictures or more",
            "fewer",
            "give more data",
        )
    })
}

/// The PSNR of the held-out pictures when each number of a code is kept in one byte.
fn kept_small(shop: &Workshop<'_>, model: &dyn Autoencoder) -> Result<f64> {
    let digits = shop.digits()?;
    let ranges = ranges(&model.encode(&digits.train)?);
    let mut codes = model.encode(&digits.test)?;
    for row in codes.as_mut_slice().chunks_exact_mut(ranges.len()) {
        row.iter_mut()
            .zip(&ranges)
            .for_each(|(value, &range)| *value = through_a_byte(*value, range));
    }
    let rebuilt = model.decode(&codes)?;
    let range = |value: &f32| f64::from(value.clamp(0.0, 1.0));
    let rebuilt: Vec<f64> = rebuilt.as_slice().iter().map(range).collect();
    let clean: Vec<f64> = digits.test.as_slice().iter().map(range).collect();
    Ok(psnr(&clean, &rebuilt, 1.0))
}

/// The lowest and the highest value of each column.
fn ranges(codes: &Matrix) -> Vec<(f32, f32)> {
    let mut ranges = vec![(f32::INFINITY, f32::NEG_INFINITY); codes.cols()];
    for row in codes.as_slice().chunks_exact(codes.cols()) {
        let each = ranges.iter_mut().zip(row);
        each.for_each(|(range, &value)| *range = (range.0.min(value), range.1.max(value)));
    }
    ranges
}

/// The nearest of 256 equal steps of a range.
fn through_a_byte(value: f32, (low, high): (f32, f32)) -> f32 {
    let step = ((high - low) / 255.0).max(f32::MIN_POSITIVE);
    low + step * ((value - low) / step).round().clamp(0.0, 255.0)
}
