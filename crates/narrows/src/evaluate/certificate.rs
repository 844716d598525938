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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::compute::Matrix;
    use crate::model::pca::{Components, PcaOptions};
    use crate::random::Random;

    fn rows() -> Matrix {
        let mut random = Random::stream(2, "certificate");
        let rows = Array2::from_shape_fn((5_000, 12), |(_, j)| {
            (2.0 + random.normal() / (1.0 + j as f64)) as f32
        });
        Matrix::from(rows)
    }

    fn pca(rows: &Matrix, count: usize) -> Pca {
        let components = Components::Count(count);
        Pca::fit_source(rows, &PcaOptions { components, ..Default::default() }).unwrap()
    }

    fn tied(weight: &Array2<f64>, mean: &Array1<f64>) -> Linear {
        let narrow = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect();
        let (d, m) = weight.dim();
        let weight = weight.as_standard_layout().iter().copied().collect();
        Linear::from_tensors(vec![
            ("weight".to_owned(), vec![d, m], narrow(weight)),
            ("mean".to_owned(), vec![d], narrow(mean.to_vec())),
        ])
        .unwrap()
    }

    /// What is left are the roundings of the weights to f32.
    #[test]
    fn the_weights_of_pca_are_certified() {
        let rows = rows();
        let pca = pca(&rows, 4);
        let model = tied(&pca.components.t().to_owned(), &pca.mean);
        let certificate = Certificate::new(&model, &pca, &rows).unwrap();
        assert_eq!((certificate.rows, certificate.principal_angles.len()), (5_000, 4));
        assert!(certificate.relative_excess_loss.abs() < 1e-9, "{certificate:?}");
        assert!(certificate.largest_angle < 1e-6, "{certificate:?}");
        let left = (pca.total_variance - pca.explained_variance.sum()) * 4_999.0 / 5_000.0;
        assert!((certificate.optimum / left - 1.0).abs() < 1e-10);
    }

    /// The last component turned by 0.1 towards the next costs `(λ₄ − λ₅) sin² 0.1`.
    #[test]
    fn a_known_turn_is_measured() {
        let rows = rows();
        let (four, five) = (pca(&rows, 4), pca(&rows, 5));
        let mut turned = four.components.clone();
        let (sine, cosine) = 0.1_f64.sin_cos();
        let last = &five.components.row(3) * cosine + &five.components.row(4) * sine;
        turned.row_mut(3).assign(&last);
        let model = tied(&turned.t().to_owned(), &four.mean);
        let certificate = Certificate::new(&model, &four, &rows).unwrap();
        assert!((certificate.largest_angle - 0.1).abs() < 1e-6, "{certificate:?}");
        let gap = (five.explained_variance[3] - five.explained_variance[4]) * 4_999.0 / 5_000.0;
        let excess = certificate.loss - certificate.optimum;
        assert!((excess / (gap * sine * sine) - 1.0).abs() < 1e-4, "{certificate:?}");
    }

    #[test]
    fn other_columns_are_refused() {
        let rows = rows();
        let pca = pca(&rows, 4);
        let model = tied(&pca.components.t().to_owned(), &pca.mean);
        let error = Certificate::new(&model, &pca, &Matrix::zeros(3, 5)).unwrap_err();
        assert!(error.to_string().contains("3 rows of 5 columns"), "{error}");
    }
}
