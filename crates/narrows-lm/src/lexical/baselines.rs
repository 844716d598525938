//! Bases that a dictionary is compared with.

use narrows::Result;
use narrows::compute::{Matrix, column_means};
use narrows::data::evenly;
use narrows::evaluate::Frame;

use super::Rows;
use super::contexts::Contexts;
use crate::basis::Basis;
use crate::splice::BaselineFrames;

/// What stands in the place of a dictionary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BaselineBasis {
    /// Principal axes.
    Pca,
    /// Independent components.
    Ica,
    /// Directions drawn evenly from the sphere, as many as the dictionary has.
    Random,
    /// The columns of a row: neurons, where the tap is `mlp_hidden`.
    Columns,
}

impl BaselineBasis {
    /// Every one of them.
    pub const ALL: [Self; 4] = [Self::Pca, Self::Ica, Self::Random, Self::Columns];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pca => "PCA",
            Self::Ica => "ICA",
            Self::Random => "random",
            Self::Columns => "columns",
        }
    }
}

/// Each baseline twice, fitted on an even sample of at most 50,000 rows of the fitting windows: with all codes
/// of a row, and with the `most` largest. `random` directions are drawn.
///
/// # Errors
/// If the rows cannot be read, or do not vary.
pub fn baseline_bases(
    rows: Rows<'_>,
    contexts: &Contexts,
    random: usize,
    most: usize,
    seed: u64,
) -> Result<Vec<Basis>> {
    let sample = sample(rows, contexts)?;
    let means = column_means(sample.view());
    let mean: Vec<f32> = means.iter().map(|&mean| mean as f32).collect();
    let mut bases = Vec::new();
    for baseline in BaselineBasis::ALL {
        let frame = match baseline {
            BaselineBasis::Pca => Frame::pca(&sample, seed)?,
            BaselineBasis::Ica => Frame { mean: mean.clone(), ..Frame::ica(&sample, seed)?.0 },
            BaselineBasis::Random => Frame::random(random, mean.clone(), seed)?,
            BaselineBasis::Columns => Frame::columns(mean.clone())?,
        };
        let all = frame.encoder.rows();
        bases.push(Basis::frame(baseline.name(), frame.clone(), all));
        if most < all {
            bases.push(Basis::frame(format!("{}, top {most}", baseline.name()), frame, most));
        }
    }
    Ok(bases)
}

fn sample(rows: Rows<'_>, contexts: &Contexts) -> Result<Matrix> {
    let most = BaselineFrames::most_rows(rows.dim());
    let fitted: Vec<usize> = (0..rows.count()).filter(|&row| !contexts.is_held_out(row)).collect();
    let places: Vec<usize> = evenly(fitted.len(), most).into_iter().map(|at| fitted[at]).collect();
    let mut sample = Matrix::zeros(places.len(), rows.dim());
    match rows {
        Rows::Source(rows) => rows.gather_f32(&places, sample.as_mut_slice())?,
        Rows::Matrix(rows) => {
            let into = sample.as_mut_slice().chunks_exact_mut(rows.cols().max(1));
            into.zip(&places).for_each(|(into, &place)| into.copy_from_slice(rows.row(place)));
        }
    }
    Ok(sample)
}
