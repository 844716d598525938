//! Rows through a model with a quantised code between, by blocks.

use ndarray::{Array2, ArrayView2};

use super::head::About;
use super::values::{Fidelity, Values};
use crate::data::{Preparation, Prepared, Source};
use crate::error::{Error, Result};
use crate::model::Model;

/// Numbers of a block of rows, or of their codes: 16 MiB as f64.
const BLOCK: usize = 1 << 21;
/// Rows of a block at most.
const MOST_ROWS: usize = 2048;

/// What rows go through on both sides.
#[derive(Clone, Copy)]
pub struct Codec<'a> {
    model: &'a Model,
    preparation: &'a Preparation,
    values: Values,
}

/// Rebuilt rows.
pub(super) struct Rebuilt {
    /// As the model gives them.
    pub(super) prepared: Array2<f64>,
    /// In the units of the data, as they are kept.
    pub(super) kept: Vec<f64>,
}

impl<'a> Codec<'a> {
    /// A codec of rows that are prepared so; for coding, `preparation` is what [`Preparation::check`] gave.
    ///
    /// # Errors
    /// If the model has no code of few numbers per row, or no way back, or if rows were divided by their
    /// length, which would be lost.
    pub fn new(model: &'a Model, preparation: &'a Preparation, values: Values) -> Result<Self> {
        let refuse = |got: &str, remedy: &str| {
            let expected = "PCA, a linear autoencoder, a network or a stack";
            Err(Error::mistake("compress", expected, got, remedy))
        };
        match model {
            Model::Dictionary(_) => {
                return refuse("a sparse dictionary", "fit another model to the rows");
            }
            Model::Predictor(_) => {
                return refuse("a model that predicts", "give the run that it was made from");
            }
            Model::Pca(_) | Model::Linear(_) | Model::Network(_) => {}
        }
        if preparation.config().row_norm {
            let remedy = "fit with prepare.row_norm=false";
            return refuse("one of rows that were divided by their length", remedy);
        }
        Ok(Self { model, preparation, values })
    }

    /// The same with another model of the same rows.
    pub(super) fn with_model(self, model: &'a Model) -> Result<Self> {
        Self::new(model, self.preparation, self.values)
    }

    /// What the numbers are in the end.
    pub fn values(&self) -> Values {
        self.values
    }

    /// The model.
    pub fn model(&self) -> &Model {
        self.model
    }

    /// Whether the model may take more than one decoding to know how it answers to a code.
    pub(super) fn is_linear(&self) -> bool {
        matches!(self.model, Model::Pca(_) | Model::Linear(_))
    }

    /// Rows of a block: the same on both sides, so that decoders see what the encoder saw.
    pub(super) fn block_rows(&self) -> usize {
        let widest = self.model.input_dim().max(self.model.latent_dim()).max(1);
        (BLOCK / widest).clamp(1, MOST_ROWS)
    }

    /// The blocks of so many rows: first row and rows.
    pub(super) fn blocks(&self, rows: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let most = self.block_rows();
        (0..rows).step_by(most).map(move |start| (start, most.min(rows - start)))
    }

    /// Prepared rows, with what is missing filled in where the model can.
    pub(super) fn prepared(
        &self,
        source: &dyn Source,
        (start, rows): (usize, usize),
    ) -> Result<Array2<f64>> {
        let prepared = Prepared { source, preparation: self.preparation };
        let mut block = Array2::zeros((rows, prepared.dim()));
        prepared.read_f64(start, block.as_slice_mut().expect("owned and row-major"))?;
        if block.iter().any(|value| value.is_nan()) {
            self.model.fill_missing(&mut block)?;
        }
        Ok(block)
    }

    /// Codes of prepared rows.
    pub(super) fn codes(&self, rows: ArrayView2<'_, f64>) -> Result<Vec<f64>> {
        Ok(self.model.encode(rows)?.iter().copied().collect())
    }

    /// Rows from codes `(n, m)`.
    pub(super) fn rebuild(&self, codes: Vec<f64>) -> Result<Rebuilt> {
        let rows = codes.len() / self.model.latent_dim();
        let codes = Array2::from_shape_vec((rows, self.model.latent_dim()), codes)
            .map_err(|error| Error::failure("decode", error.to_string(), "report it"))?;
        let prepared = self.model.decode(codes.view())?.as_standard_layout().into_owned();
        let mut kept = vec![0.0; rows * self.preparation.input_dim()];
        self.preparation.invert(prepared.as_slice().expect("row-major"), &mut kept);
        kept.iter_mut().for_each(|value| *value = self.values.kept(*value));
        Ok(Rebuilt { prepared, kept })
    }

    /// Takes rebuilt rows into account.
    pub(super) fn compare(
        &self,
        source: &dyn Source,
        start: usize,
        prepared: &Array2<f64>,
        rebuilt: &Rebuilt,
        into: &mut Fidelity,
    ) -> Result<()> {
        if !self.values.in_own_units() {
            let flat = |rows: &Array2<f64>| rows.iter().copied().collect::<Vec<_>>();
            into.add(&flat(prepared), &flat(&rebuilt.prepared));
            return Ok(());
        }
        let mut raw = vec![0.0; rebuilt.kept.len()];
        source.read_f64(start, &mut raw)?;
        into.add(&raw, &rebuilt.kept);
        Ok(())
    }

    /// Refuses a file whose rows this model cannot have made.
    pub(super) fn check(&self, about: &About, latent_dim: usize) -> Result<()> {
        let (dim, latents) = (self.preparation.input_dim(), self.model.latent_dim());
        if (about.dim, latent_dim) == (dim, latents) {
            return Ok(());
        }
        Err(Error::mistake(
            "decompress",
            format!("rows of {dim} columns and codes of {latents}, as the run has"),
            format!("{} and {latent_dim}", about.dim),
            "give the run that the file was compressed with",
        ))
    }
}
