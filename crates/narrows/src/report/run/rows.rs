//! Some rows, and what comes back of them.

use serde::{Deserialize, Serialize};

use super::RunReport;
use super::components::{column_name, strongest};
use crate::data::ImageShape;
use crate::report::page::{Block, Section, Table};
use crate::report::picture::{Grid, Tone, captioned, image};
use crate::report::text::{Html, number};

const MOST_EXAMPLES: usize = 12;

/// Some rows, their reconstructions, and how far apart they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Examples {
    /// The rows.
    pub rows: Vec<Vec<f32>>,
    /// Their reconstructions.
    pub reconstructions: Vec<Vec<f32>>,
    /// The same rows and reconstructions as they are shown in a table, in the units of the data;
    /// `None` where they are shown as they are prepared.
    pub in_units: Option<[Vec<Vec<f32>>; 2]>,
    /// The squared error of each row.
    pub errors: Vec<f64>,
    /// A name for each row; may be empty.
    pub names: Vec<String>,
    /// What PCA of the same width makes of the rows; `None` where the model is PCA.
    #[serde(default)]
    pub pca: Option<Beside>,
}

/// Reconstructions by another model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Beside {
    /// The reconstructions.
    pub reconstructions: Vec<Vec<f32>>,
    /// The same in the units of the data, where the rows are shown in those.
    pub in_units: Option<Vec<Vec<f32>>>,
    /// The squared error of each row.
    pub errors: Vec<f64>,
}

pub(super) fn examples(examples: &Examples, report: &RunReport) -> Section {
    let beside = match (&examples.pca, report.image) {
        (Some(_), Some(_)) => " Below, what PCA with as many numbers gives back.",
        (Some(_), None) => " In brackets what PCA with as many numbers makes of it.",
        (None, _) => "",
    };
    let (text, block) = match report.image {
        Some(shape) => (
            "The row, what comes back from its code, and the difference: blue where the \
             reconstruction is too bright, red where it is too dark.",
            Block::Figure(
                example_pictures(examples, shape),
                "Under each reconstruction its squared error.".into(),
            ),
        ),
        None => (
            match examples.in_units {
                Some(_) => {
                    "Each row with the columns that come back worst: the value, and what the model \
                     makes of it, both in the units of the data. The squared error is of what the \
                     model sees, prepared."
                }
                None => {
                    "Each row with the columns that come back worst: the value, and what the model \
                     makes of it, both as the model sees them, prepared."
                }
            },
            Block::Table(example_table(examples, &report.column_names)),
        ),
    };
    Section {
        heading: "Rows and reconstructions".into(),
        text: vec![format!("{text}{beside}")],
        blocks: vec![block],
    }
}

fn residuals(examples: &Examples) -> impl Iterator<Item = Vec<f32>> {
    let pairs = examples.rows.iter().zip(&examples.reconstructions);
    pairs.map(|(row, back)| row.iter().zip(back).map(|(x, y)| x - y).collect())
}

fn example_pictures(examples: &Examples, shape: ImageShape) -> Html {
    let residuals: Vec<_> = residuals(examples).take(MOST_EXAMPLES).collect();
    let tone = Tone::of(&examples.rows);
    let row = |caption: &str, rows: &[Vec<f32>], tone, errors: &[f64]| {
        let rows = rows.iter().take(MOST_EXAMPLES).enumerate();
        let name = |place| examples.names.get(place).map_or("", String::as_str);
        let picture = |(place, row): (usize, &Vec<f32>)| {
            let picture = image(row, shape, tone, format!("{caption} {}", name(place)).trim_end());
            match errors.get(place) {
                Some(error) => captioned(&picture, &short(*error)),
                None => picture,
            }
        };
        (caption.to_owned(), rows.map(picture).collect())
    };
    let mut rows = vec![
        row("Row", &examples.rows, tone, &[]),
        row("Reconstruction", &examples.reconstructions, tone, &examples.errors),
        row("Residual", &residuals, Tone::around_zero(&residuals), &[]),
    ];
    rows.extend(
        examples
            .pca
            .as_ref()
            .map(|pca| row("PCA of the same width", &pca.reconstructions, tone, &pca.errors)),
    );
    Grid { columns: Vec::new(), rows }.render()
}

/// An error that fits under a small picture.
fn short(error: f64) -> String {
    if error > 0.0 && error < 0.01 { "< 0.01".to_owned() } else { number(error) }
}

fn example_table(examples: &Examples, names: &[String]) -> Table {
    let error_at =
        |errors: &[f64], place: usize| number(errors.get(place).copied().unwrap_or(f64::NAN));
    let rows = residuals(examples).take(MOST_EXAMPLES).enumerate().map(|(place, residual)| {
        let name =
            examples.names.get(place).cloned().unwrap_or_else(|| format!("row\u{a0}{}", place + 1));
        let of = |rows: &[Vec<f32>], column: usize| {
            let value = rows.get(place).and_then(|row| row.get(column)).copied();
            number(value.map_or(f64::NAN, f64::from))
        };
        let worst = strongest(&residual, 3).into_iter().map(|column| {
            let (value, back) = match &examples.in_units {
                Some([rows, back]) => (of(rows, column), of(back, column)),
                None => (of(&examples.rows, column), of(&examples.reconstructions, column)),
            };
            let beside = examples.pca.as_ref().map(|pca| match &pca.in_units {
                Some(rows) => format!(" ({})", of(rows, column)),
                None => format!(" ({})", of(&pca.reconstructions, column)),
            });
            let name = column_name(names, column);
            format!("{name}: {value} → {back}{}", beside.unwrap_or_default())
        });
        let mut cells = vec![name, error_at(&examples.errors, place)];
        cells.extend(examples.pca.as_ref().map(|pca| error_at(&pca.errors, place)));
        cells.push(worst.collect::<Vec<_>>().join("; "));
        cells
    });
    let rows = rows.collect();
    let (pca, shown) = match examples.pca {
        Some(_) => (Some("#PCA's"), "value → reconstruction (PCA's)"),
        None => (None, "value → reconstruction"),
    };
    let columns = ["row", "#squared error"].into_iter().chain(pca).chain([shown]);
    Table { columns: columns.map(String::from).collect(), rows }
}
