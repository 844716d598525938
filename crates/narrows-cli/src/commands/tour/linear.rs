//! Sections 2 and 3: the linear autoencoder by gradient, its optimum in closed form, and the certificate
//! that the one reaches the other.

use narrows::Result;
use narrows::evaluate::Certificate;
use narrows::model::linear::LinearOptions;
use narrows::model::{Linear, Model};
use narrows::report::chart::Axis;
use narrows::report::page::{Block, Table};
use narrows::report::picture::album;
use narrows::report::{count, number, percent};
use narrows::train::{Epoch, Task, TrainOptions};
use serde_json::json;

use super::draw::{filter, line, lines, strips};
use super::told::Told;
use super::workshop::{Workshop, measured};

/// Numbers of a code.
const WIDTH: usize = 16;
/// Steps at least, however few the rows.
const STEPS: usize = 15_000;
/// Columns of a decoder, or components, that are shown.
const SHOWN: usize = 12;

/// A linear autoencoder that was learned, and how far it is from the best.
pub(super) struct Learned {
    model: Linear,
    history: Vec<Epoch>,
    certificate: Certificate,
}

impl Learned {
    /// Trains it on the digits.
    pub(super) fn by_gradient(shop: &Workshop<'_>, tied: bool) -> Result<Self> {
        let rows = &shop.digits()?.train;
        let mut model = Linear::new(rows, &LinearOptions { latent_dim: WIDTH, tied }, shop.seed)?;
        let options = TrainOptions { seed: shop.seed, ..TrainOptions::linear() };
        let options = options.with_least_steps(STEPS, rows.rows());
        let what = if tied { "tied linear autoencoder" } else { "linear autoencoder" };
        let history = shop.teach(what, &mut model, &Task::reconstruct(rows), &options)?;
        let certificate = Certificate::new(&model, &shop.pca(WIDTH)?, rows)?;
        Ok(Self { model, history, certificate })
    }
}

/// How far each epoch was above the least possible loss, as a share of it.
fn excess(learned: &Learned) -> Vec<[f64; 2]> {
    let optimum = learned.certificate.optimum;
    let above = |epoch: &Epoch| [epoch.epoch as f64, (epoch.loss - optimum) / optimum];
    learned.history.iter().map(above).filter(|[_, above]| *above > 0.0).collect()
}

/// Section 2.
pub(super) fn by_gradient(shop: &Workshop<'_>) -> Result<Told> {
    let digits = shop.digits()?;
    let learned = shop.untied()?;
    let found = measured(&digits.test, Model::Linear(learned.model.clone()), &shop.pca(WIDTH)?)?;
    let Learned { certificate, model, history } = learned;
    let columns = model.decoder().t().to_owned();
    let pictures = columns.outer_iter().take(SHOWN).enumerate().map(|(place, column)| {
        let name = format!("column {} of the decoder", place + 1);
        (filter(&column.to_vec(), digits.image, &name), (place + 1).to_string())
    });
    let pictures: Vec<_> = pictures.collect();
    let chart = lines(
        Axis::whole("epoch"),
        Axis::logarithmic("loss above the least possible, share of it"),
        vec![line("UVx", 0, excess(learned))],
    );
    let own = found.scores.squared_error_per_row;
    Ok(Told {
        idea: format!(
            "The plainest autoencoder: multiply by V to {WIDTH} numbers, multiply by U back to {}. All that is \
             asked is that the picture comes back; the gradient of the squared error does the rest. The loss \
             has no local minima, so it goes down to the best there is.",
            count(digits.test.cols())
        ),
        formula: "x̂ = U V (x − μ) + μ   V: (m, d), U: (d, m);   ∂L/∂U = Gᵀz, ∂L/∂V = (G U)ᵀ(x − μ), G = ∂L/∂x̂"
            .to_owned(),
        figure: format!(
            "squared error per held-out picture {own:.4} by gradient, {:.4} by PCA; on the rows it learned from \
             {} above the least possible",
            found.pca.squared_error_per_row,
            number(certificate.relative_excess_loss)
        ),
        measured: json!({
            "squared_error_per_row": own,
            "squared_error_per_row_pca": found.pca.squared_error_per_row,
            "certificate": certificate,
            "epochs": history.len(),
        }),
        blocks: vec![
            Block::Figure(
                chart,
                format!(
                    "The loss of each epoch, on the rows learned from, above that of PCA with {WIDTH} components, \
                     which nothing linear can beat."
                ),
            ),
            Block::Figure(
                album(&pictures),
                format!(
                    "The first columns of U: red adds, blue takes away. They span the right space, but each \
                     alone means nothing: any invertible {WIDTH} × {WIDTH} matrix between U and V leaves x̂ as \
                     it is."
                ),
            ),
        ],
        command: format!(
            "narrows fit --model linear --data {} --set model.latent_dim={WIDTH} --out runs/linear",
            digits.arguments[0]
        ),
    })
}

/// Section 3.
pub(super) fn in_closed_form(shop: &Workshop<'_>) -> Result<Told> {
    let digits = shop.digits()?;
    let pca = shop.pca(WIDTH)?;
    let (free, tied) = (shop.untied()?, Learned::by_gradient(shop, true)?);
    let pictures = pca.components.outer_iter().take(SHOWN).enumerate().map(|(place, component)| {
        let values: Vec<f32> = component.iter().map(|&value| value as f32).collect();
        let share = percent(pca.explained_variance_ratio[place]);
        let name = format!("component {}", place + 1);
        (filter(&values, digits.image, &name), format!("{} · {share}", place + 1))
    });
    let pictures: Vec<_> = pictures.collect();
    let held_out = |model: &Linear| measured(&digits.test, Model::Linear(model.clone()), &pca);
    let line_of = |name: &str, error: f64, certificate: Option<&Certificate>| {
        let of = |value: fn(&Certificate) -> f64| {
            certificate.map_or("0".to_owned(), |c| number(value(c)))
        };
        vec![
            name.to_owned(),
            format!("{error:.4}"),
            of(|certificate| certificate.relative_excess_loss),
            of(|certificate| certificate.largest_angle.to_degrees()),
        ]
    };
    let (of_free, of_tied) = (held_out(&free.model)?, held_out(&tied.model)?);
    let table = Table {
        columns: [
            "",
            "#held-out error",
            "#above the least possible, rows learned from",
            "#largest angle, degrees",
        ]
        .map(String::from)
        .into(),
        rows: vec![
            line_of("PCA, closed form", of_free.pca.squared_error_per_row, None),
            line_of(
                "UVx by gradient",
                of_free.scores.squared_error_per_row,
                Some(&free.certificate),
            ),
            line_of(
                "CCᵀx by gradient",
                of_tied.scores.squared_error_per_row,
                Some(&tied.certificate),
            ),
        ],
    };
    let linear: &dyn narrows::model::Autoencoder = &pca;
    let rebuilt = linear.reconstruct(&digits.test)?;
    let again = format!("Rebuilt from {WIDTH} numbers");
    let places: Vec<usize> = (0..10).collect();
    let (excess, angle) = (
        free.certificate.relative_excess_loss.max(tied.certificate.relative_excess_loss),
        free.certificate.largest_angle.max(tied.certificate.largest_angle).to_degrees(),
    );
    Ok(Told {
        idea: "Tie the two matrices, V = Cᵀ and U = C, and the best C is known in closed form: the eigenvectors \
               of the covariance with the largest eigenvalues. That is PCA. The certificate says how far a \
               training stayed from it: in loss, and in the angle between the two spaces."
            .to_owned(),
        formula: "x̂ = C Cᵀ (x − μ) + μ, CᵀC = I;   Σ cⱼ = λⱼ cⱼ, λ₁ ≥ λ₂ ≥ …;   least loss = Σ_(j>m) λⱼ".to_owned(),
        figure: format!(
            "on the rows that they learned from both trainings are within {} of the least possible loss, their spaces \
             within {} degrees of PCA's",
            number(excess),
            number(angle)
        ),
        measured: json!({
            "untied": free.certificate,
            "tied": tied.certificate,
            "squared_error_per_row_untied": of_free.scores.squared_error_per_row,
            "squared_error_per_row_tied": of_tied.scores.squared_error_per_row,
            "squared_error_per_row_pca": of_free.pca.squared_error_per_row,
        }),
        blocks: vec![
            Block::Figure(
                album(&pictures),
                "Principal components, the largest variance first, with its share on the rows learned from. Here \
                 each has a meaning of its own: they are at right angles and in order."
                    .to_owned(),
            ),
            Block::Table(table),
            Block::Figure(
                strips(&[("Held-out pictures", &digits.test), (&again, &rebuilt)], &places, digits.image),
                String::new(),
            ),
        ],
        command: format!(
            "narrows fit --data {} --set model.components={WIDTH} --out runs/pca",
            digits.arguments[0]
        ),
    })
}
