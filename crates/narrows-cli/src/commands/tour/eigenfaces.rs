//! Sections 5 and 6: eigenfaces step by step, and a face as a sum of them.

use narrows::Result;
use narrows::compute::{Moments, ProductPrecision, symmetric_eigen};
use narrows::data::ImageShape;
use narrows::evaluate::psnr;
use narrows::model::Pca;
use narrows::model::pca::{Components, PcaOptions};
use narrows::report::chart::{Axis, Guide, Series, Style};
use narrows::report::page::Block;
use narrows::report::picture::{Grid, Tone, album, image};
use narrows::report::{Html, count, number, percent};
use ndarray::{Array2, ArrayView1, ArrayView2, Axis as Along, s};
use serde_json::json;

use super::draw::{filter, lines, marked, picture};
use super::told::Told;
use super::workshop::Workshop;

/// Pictures of each person that are learned from.
const KNOWN: usize = 7;
/// Pictures that are shown of each kind.
const SHOWN: usize = 8;
/// The share of the variance that is kept.
const KEPT: f64 = 0.9;

/// The steps one by one, by the operations that they are made of.
struct Steps {
    mean: Vec<f32>,
    centred: Array2<f32>,
    covariance: Array2<f64>,
    values: Vec<f64>,
    /// Row by row.
    vectors: Array2<f64>,
}

fn steps(rows: ArrayView2<'_, f32>) -> Result<Steps> {
    let mut moments = Moments::new(rows.ncols());
    moments.add(rows, 0, ProductPrecision::F64)?;
    let covariance = moments.scatter() / (rows.nrows() as f64 - 1.0);
    let eigen = symmetric_eigen(covariance.view())?;
    let mean: Vec<f32> = moments.mean().iter().map(|&value| value as f32).collect();
    let centred = &rows - &ArrayView1::from(&mean);
    Ok(Steps { mean, centred, covariance, values: eigen.values.to_vec(), vectors: eigen.vectors })
}

/// Section 5.
pub(super) fn step_by_step(shop: &Workshop<'_>) -> Result<Told> {
    let people = shop.people(true)?;
    let image_shape = people.faces.image;
    let [known, _] = people.split(KNOWN);
    let rows = people.faces.pixels.select(Along(0), &known);
    let Steps { mean, centred, covariance, values, vectors } = steps(rows.view())?;
    let total: f64 = values.iter().sum();
    let mut sum = 0.0;
    let shares: Vec<f64> = values
        .iter()
        .map(|value| {
            sum += value;
            sum / total
        })
        .collect();
    let k = shares.iter().position(|share| *share >= KEPT).map_or(values.len(), |at| at + 1);
    let pca = fitted(rows.view(), Components::Count(k))?;
    let apart = (0..k)
        .map(|place| (values[place] - pca.explained_variance[place]).abs() / values[0])
        .fold(0.0, f64::max);

    let places: Vec<usize> = (0..SHOWN).map(|step| step * known.len() / SHOWN).collect();
    let grid = Grid {
        columns: Vec::new(),
        rows: vec![
            (
                "1. Pictures, a row of numbers each".to_owned(),
                shown(rows.view(), &places, image_shape, false),
            ),
            ("2. Less the mean".to_owned(), shown(centred.view(), &places, image_shape, true)),
        ],
    };
    let side = covariance.nrows();
    let flat: Vec<f32> = covariance.iter().map(|&value| value as f32).collect();
    let limit = flat.iter().fold(0.0_f32, |limit, value| limit.max(value.abs()));
    let square = ImageShape { height: side, width: side, channels: 1 };
    let faces = (0..2 * SHOWN).map(|place| {
        let vector: Vec<f32> = vectors.row(place).iter().map(|&value| value as f32).collect();
        let share = percent(values[place] / total);
        let name = format!("eigenface {}", place + 1);
        (filter(&vector, image_shape, &name), format!("{} · {share}", place + 1))
    });
    let faces: Vec<_> = faces.collect();
    let many = values.len().min(known.len());
    let chart = marked(
        Axis { covers: vec![1.0], ..Axis::logarithmic("eigenfaces k") },
        Axis::share("variance kept"),
        vec![Series::new(
            "",
            Style::Line,
            0,
            (1..=many).map(|k| [k as f64, shares[k - 1]]).collect(),
        )],
        vec![Guide::Vertical(k as f64, format!("k = {k}"))],
    );
    Ok(Told {
        idea: format!(
            "Write every face as a row of numbers, take the mean face away, and ask which pixels are bright \
             together: that is the covariance. Its eigenvectors, put back into the shape of a picture, are \
             eigenfaces; the eigenvalue is the variance along each, and the first k are kept. Here {} \
             pictures of {} people.",
            count(known.len()),
            people.faces.people.as_ref().map_or(0, |people| people.names.len()),
        ),
        formula: "μ = mean x   Σ = 1/(n−1) Σᵢ (xᵢ − μ)(xᵢ − μ)ᵀ   Σ vⱼ = λⱼ vⱼ   λ₁ ≥ λ₂ ≥ … ≥ λ_k"
            .to_owned(),
        figure: format!(
            "{k} eigenfaces of {} hold {} of the variance of the pictures learned from; the steps by hand and PCA \
             agree to {}",
            count(side),
            percent(shares[k - 1]),
            number(apart)
        ),
        measured: json!({
            "pictures": known.len(), "pixels": side, "kept": k, "variance_kept": shares[k - 1],
            "largest_relative_difference": apart,
        }),
        blocks: vec![
            Block::Figure(grid.render(), String::new()),
            Block::Pair(vec![
                (
                    album(&[(
                        picture(&mean, image_shape, "mean face"),
                        "the mean face μ".to_owned(),
                    )]),
                    String::new(),
                ),
                (
                    image(&flat, square, Tone::Diverging(limit), "covariance of all pixels"),
                    format!(
                        "3. Covariance of {side} × {side} pixels: red where two are bright together, blue \
                         where one is dark when the other is bright."
                    ),
                ),
            ]),
            Block::Figure(
                album(&faces),
                "4. and 5. Eigenvectors, sorted by variance: eigenfaces.".to_owned(),
            ),
            Block::Figure(
                chart,
                "6. The variance that the first k keep of the pictures learned from.".to_owned(),
            ),
        ],
        command: format!(
            "narrows fit --data {} --set model.components=0.9 --out runs/eigenfaces && narrows report runs/eigenfaces",
            people.argument
        ),
    })
}

fn fitted(rows: ArrayView2<'_, f32>, components: Components) -> Result<Pca> {
    Pca::fit(rows, &PcaOptions { components, ..Default::default() })
}

fn shown(
    rows: ArrayView2<'_, f32>,
    places: &[usize],
    shape: ImageShape,
    signed: bool,
) -> Vec<Html> {
    let one = |&place: &usize| {
        let row = rows.row(place).to_vec();
        let name = format!("face {}", place + 1);
        if signed { filter(&row, shape, &name) } else { picture(&row, shape, &name) }
    };
    places.iter().map(one).collect()
}

/// Section 6.
pub(super) fn growing(shop: &Workshop<'_>) -> Result<Told> {
    let people = shop.people(false)?;
    let shape = people.faces.image;
    let [known, later] = people.split(KNOWN);
    let rows = people.faces.pixels.select(Along(0), &known);
    let held_out = people.faces.pixels.select(Along(0), &later);
    let pca = fitted(rows.view(), Components::All)?;
    let most = pca.components.nrows();
    let mut counts: Vec<usize> =
        [0, 1, 2, 4, 8, 16, 32, 64].into_iter().filter(|k| *k < most).collect();
    counts.push(most);

    let place = |step: usize| (step * later.len() / 3 + 1).min(later.len() - 1);
    let places: Vec<usize> = (0..3).map(place).collect();
    let mut strips: Vec<(String, Vec<Html>)> =
        places.iter().map(|_| (String::new(), Vec::new())).collect();
    let mut curve = Vec::new();
    for &k in &counts {
        let own = pca.first(k);
        let rebuilt = match k {
            0 => Array2::from_shape_fn(held_out.dim(), |(_, column)| pca.mean[column] as f32),
            _ => own.inverse_transform(own.transform(held_out.view())?.view())?,
        };
        let clamp = |value: &f32| f64::from(value.clamp(0.0, 1.0));
        let of = |rows: &Array2<f32>| rows.iter().map(clamp).collect::<Vec<f64>>();
        curve.push((k, psnr(&of(&held_out), &of(&rebuilt), 1.0)));
        for (&place, (_, strip)) in places.iter().zip(&mut strips) {
            let name = format!("face {} of {k} eigenfaces", place + 1);
            strip.push(picture(&rebuilt.row(place).to_vec(), shape, &name));
        }
    }
    for (&place, (_, strip)) in places.iter().zip(&mut strips) {
        strip.push(picture(&held_out.row(place).to_vec(), shape, "the face itself"));
    }
    let mut columns: Vec<String> = counts.iter().map(|k| format!("k = {k}")).collect();
    columns.push("itself".to_owned());
    let terms = sum_of_terms(&pca, held_out.row(places[0]), shape)?;
    let at = |wanted: usize| {
        curve.iter().rev().find(|(k, _)| *k <= wanted).map_or(f64::NAN, |found| found.1)
    };
    let chart = lines(
        Axis { covers: vec![1.0], ..Axis::logarithmic("eigenfaces k") },
        Axis::linear("PSNR of held-out pictures, dB"),
        vec![Series::new(
            "",
            Style::Line,
            0,
            curve[1..].iter().map(|(k, psnr)| [*k as f64, *psnr]).collect(),
        )],
    );
    Ok(Told {
        idea: "A face is the mean face plus a weight for every eigenface. Each further term adds what the ones \
               before could not say: light first, then who it is, then expression. The pictures are not among \
               those that the eigenfaces were made of."
            .to_owned(),
        formula: "x ≈ μ + Σᵢ wᵢ·vᵢ,   wᵢ = vᵢᵀ(x − μ),   i = 1 … k".to_owned(),
        figure: format!(
            "held-out faces at {:.1} dB with the mean alone, {:.1} dB with 8 eigenfaces, {:.1} dB with {most}",
            at(0),
            at(8),
            at(most)
        ),
        measured: json!({"psnr_over_k": curve}),
        blocks: vec![
            Block::Figure(Grid { columns, rows: strips }.render(), String::new()),
            Block::Figure(
                album(&terms),
                "The first face as a sum: the mean, then each eigenface times its weight.".to_owned(),
            ),
            Block::Figure(chart, String::new()),
        ],
        command: format!("narrows faces train {} --out runs/faces", people.argument),
    })
}

/// The mean and the first terms of a face.
fn sum_of_terms(
    pca: &Pca,
    face: ArrayView1<'_, f32>,
    shape: ImageShape,
) -> Result<Vec<(Html, String)>> {
    let weights = pca.transform(face.insert_axis(Along(0)))?;
    let mean: Vec<f32> = pca.mean.iter().map(|&value| value as f32).collect();
    let mut terms = vec![(picture(&mean, shape, "mean face"), "μ".to_owned())];
    let most = pca.components.nrows().min(SHOWN + 3);
    let parts: Vec<Vec<f32>> = (0..most)
        .map(|place| {
            let vector = pca.components.slice(s![place, ..]);
            vector.iter().map(|&value| weights[[0, place]] * value as f32).collect()
        })
        .collect();
    let limit = parts.iter().flatten().fold(0.0_f32, |limit, value| limit.max(value.abs()));
    for (place, part) in parts.iter().enumerate() {
        let name = format!("weight times eigenface {}", place + 1);
        let caption = format!("{:+.1} · v{}", weights[[0, place]], place + 1).replace('-', "−");
        terms.push((image(part, shape, Tone::Diverging(limit), &name), caption));
    }
    Ok(terms)
}
