//! PCA as named arrays: alone, beside another model, or as the eigenfaces of known faces.
//!
//! ```text
//! mean (d)   components (k, d)   explained_variance (k)   spectrum (n)   noise_variance ()
//! total_variance ()   spectrum_threshold (n), where k was chosen by parallel analysis
//! ```

use ndarray::{ArrayView1, ArrayViewD, arr0};

use super::Weights;
use crate::error::Result;
use crate::model::Pca;
use crate::model::pca::{Algorithm, Selection};

/// What is known of a PCA beside its arrays.
pub(crate) struct Told {
    /// Rows it was fitted on.
    pub(crate) rows: usize,
    /// Whether codes are divided by the standard deviation of their component.
    pub(crate) whiten: bool,
    /// The algorithm that was used.
    pub(crate) solver: Algorithm,
    /// Why there are as many components as there are.
    pub(crate) reason: String,
}

impl Weights {
    /// Adds the arrays of `pca`, whose names begin with `prefix`.
    pub(crate) fn insert_pca(&mut self, prefix: &str, pca: &Pca) {
        let mut insert = |name: &str, array: ArrayViewD<'_, f64>| {
            self.insert(&format!("{prefix}{name}"), array);
        };
        insert("mean", pca.mean.view().into_dyn());
        insert("components", pca.components.view().into_dyn());
        insert("explained_variance", pca.explained_variance.view().into_dyn());
        insert("spectrum", ArrayView1::from(&pca.selection.spectrum).into_dyn());
        insert("noise_variance", arr0(pca.noise_variance).view().into_dyn());
        insert("total_variance", arr0(pca.total_variance).view().into_dyn());
        if let Some(threshold) = &pca.selection.threshold {
            insert("spectrum_threshold", ArrayView1::from(threshold).into_dyn());
        }
    }

    /// The PCA whose arrays begin with `prefix`.
    ///
    /// # Errors
    /// If an array is missing or of another shape, or there is no component.
    pub(crate) fn pca(&self, prefix: &str, told: Told) -> Result<Pca> {
        let name = |name: &str| format!("{prefix}{name}");
        let mean = self.vector(&name("mean"), None)?;
        let explained_variance = self.vector(&name("explained_variance"), None)?;
        let k = explained_variance.len();
        if k == 0 {
            return Err(self.bad(format!("'{}' is empty", name("explained_variance"))));
        }
        let components = self.matrix(&name("components"), (k, mean.len()))?;
        let total_variance = self.number(&name("total_variance"))?;
        let threshold = name("spectrum_threshold");
        Ok(Pca {
            components,
            explained_variance_ratio: &explained_variance / total_variance,
            singular_values: explained_variance.mapv(|v| (v * (told.rows as f64 - 1.0)).sqrt()),
            noise_variance: self.number(&name("noise_variance"))?,
            total_variance,
            rows: told.rows,
            whiten: told.whiten,
            solver: told.solver,
            selection: Selection {
                components: k,
                reason: told.reason,
                spectrum: self.vector(&name("spectrum"), None)?.to_vec(),
                threshold: match self.contains(&threshold) {
                    true => Some(self.vector(&threshold, None)?.to_vec()),
                    false => None,
                },
            },
            explained_variance,
            mean,
        })
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::model::pca::PcaOptions;

    fn told(pca: &Pca) -> Told {
        let (rows, whiten, solver) = (pca.rows, pca.whiten, pca.solver);
        Told { rows, whiten, solver, reason: pca.selection.reason.clone() }
    }

    /// One strong direction and some others.
    fn rows() -> Array2<f64> {
        Array2::from_shape_fn((40, 4), |(i, j)| {
            (i as f64).sin() * (j + 1) as f64 + 0.1 * ((i * i + j) as f64).cos()
        })
    }

    #[test]
    fn what_is_read_is_what_was_written() {
        for components in ["2", "parallel"] {
            let components = components.parse().expect("legal");
            let pca = Pca::fit(rows().view(), &PcaOptions { components, ..Default::default() });
            let pca = pca.expect("fits");
            let mut weights = Weights::default();
            weights.insert_pca("beside.", &pca);
            let again = weights.pca("beside.", told(&pca)).expect("reads");
            assert_eq!(
                again,
                Pca { singular_values: again.singular_values.clone(), ..pca.clone() }
            );
            let gap = &again.singular_values / &pca.singular_values - 1.0;
            assert!(gap.iter().all(|gap| gap.abs() < 1e-14), "{gap}");
        }
    }

    #[test]
    fn a_pca_without_components_is_damaged() {
        let pca = Pca::fit(rows().view(), &PcaOptions::default()).expect("fits");
        let mut weights = Weights::default();
        weights.insert_pca("", &pca);
        weights.insert("explained_variance", ArrayView1::from(&[0.0; 0]));
        weights.insert("components", Array2::<f64>::zeros((0, 4)).view());
        let error = weights.pca("", told(&pca)).expect_err("refused").to_string();
        assert!(error.contains("'explained_variance' is empty"), "{error}");
    }
}
