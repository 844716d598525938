//! How near a learned linear autoencoder is to the best one.
//!
//! ```text
//! loss     L(U, V, μ) = 1/n · Σᵢ ‖xᵢ − μ − U V (xᵢ − μ)‖²      the autoencoder's weights
//! optimum  L(Wᵀ, W, μ)                                         W: (m, d), PCA's components
//! relative excess loss  (loss − optimum) / optimum
//! angles   between the columns of U (d, m) and the rows of W
//! ```
//!
//! Everything in f64, both losses by the same code over the same rows.
//!
//! Source: P. Baldi and K. Hornik, Neural Networks 2 (1989): the optimum is PCA's; Å. Björck and
//! G. H. Golub, Mathematics of Computation 27 (1973): the angles.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2};
use serde::{Deserialize, Serialize};

use crate::compute::{centred, multiply, multiply_add, principal_angles};
use crate::data::Source;
use crate::error::{Error, Result};
use crate::model::{Autoencoder, Linear, Pca};

/// Rows that are read at a time.
const BLOCK: usize = 4096;

/// The distance of a linear autoencoder from the optimum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// Rows that were measured.
    pub rows: usize,
    /// Squared error per row of the autoencoder.
    pub loss: f64,
    /// Squared error per row of PCA with as many components, on the same rows.
    pub optimum: f64,
    /// `(loss − optimum) / optimum`. Where PCA leaves nothing but rounding, over the squared
    /// distance of the rows from their mean instead. Rounding can make it slightly negative.
    pub relative_excess_loss: f64,
    /// Principal angles between the decoder's column space and PCA's components, in radians,
    /// smallest first.
    pub principal_angles: Vec<f64>,
    /// The largest of them.
    pub largest_angle: f64,
}

impl Certificate {
    /// Measures `model` against `pca` on the training rows of both, in two passes.
    ///
    /// # Errors
    /// If the three have different numbers of columns, there are no rows, the source cannot be read
    /// or holds missing values, or a decomposition does not converge.
    pub fn new(model: &Linear, pca: &Pca, source: &dyn Source) -> Result<Self> {
        let dim = source.dim();
        if source.rows() == 0 || model.input_dim() != dim || pca.mean.len() != dim {
            return Err(Error::mistake(
                "certify a linear autoencoder",
                format!(
                    "rows of {} columns, as the model has, and a PCA of them",
                    model.input_dim()
                ),
                format!("{} rows of {dim} columns, a PCA of {}", source.rows(), pca.mean.len()),
                "give the rows that the model was fitted on",
            ));
        }
        let decoder = model.decoder().mapv(f64::from);
        let encoder = model.encoder().mapv(f64::from);
        let mean = model.mean().iter().map(|&value| f64::from(value)).collect();
        let components = pca.components.view();
        let (loss, _) = losses(source, encoder.view(), decoder.view(), &mean)?;
        let (optimum, total) = losses(source, components, components.t(), &pca.mean)?;
        let rounding = f64::EPSILON * total * dim as f64;
        let principal_angles = principal_angles(&decoder.t().to_owned(), &pca.components)?;
        Ok(Self {
            rows: source.rows(),
            loss,
            optimum,
            relative_excess_loss: (loss - optimum)
                / if optimum > rounding { optimum } else { total },
            largest_angle: principal_angles.last().copied().unwrap_or(0.0),
            principal_angles,
        })
    }
}

/// Squared error per row of `x̂ = U V (x − μ) + μ`, and of `x̂ = μ`.
fn losses(
    source: &dyn Source,
    encoder: ArrayView2<'_, f64>,
    decoder: ArrayView2<'_, f64>,
    mean: &Array1<f64>,
) -> Result<(f64, f64)> {
    let (rows, dim) = (source.rows(), source.dim());
    let mut block = vec![0.0_f64; BLOCK.min(rows) * dim];
    let (mut loss, mut total) = (0.0, 0.0);
    for start in (0..rows).step_by(BLOCK) {
        let count = BLOCK.min(rows - start);
        let block = &mut block[..count * dim];
        source.read_f64(start, block)?;
        let view = ArrayView2::from_shape((count, dim), &*block).expect("whole rows");
        let mut rest: Array2<f64> = centred(view, mean);
        total += sum_of_squares(&rest);
        let mut codes = Array2::zeros((count, encoder.nrows()));
        multiply(rest.view(), encoder.t(), codes.view_mut());
        multiply_add(1.0, -1.0, codes.view(), decoder.t(), rest.view_mut());
        loss += sum_of_squares(&rest);
    }
    Ok((loss / rows as f64, total / rows as f64))
}

fn sum_of_squares(rows: &Array2<f64>) -> f64 {
    rows.rows().into_iter().map(|row: ArrayView1<'_, f64>| row.dot(&row)).sum()
}
