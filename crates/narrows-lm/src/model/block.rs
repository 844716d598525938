//! The weights of a block.

use narrows::Result;
use narrows::compute::{Matrix, RowNorm, multiply_then, normalise_rows_into};
use narrows::data::tensors::Tensors;

/// γ and β of a norm; β is empty where there is none.
pub(crate) struct NormWeights {
    pub(crate) gamma: Vec<f32>,
    pub(crate) beta: Vec<f32>,
}

impl NormWeights {
    pub(crate) fn apply(&self, rows: &Matrix, norm: RowNorm, epsilon: f32, out: &mut Matrix) {
        normalise_rows_into(rows, norm, epsilon, &self.gamma, &self.beta, out);
    }

    pub(crate) fn numbers(&self) -> [&[f32]; 2] {
        [&self.gamma, &self.beta]
    }
}

/// A product with a bias: `y = x·Wᵀ + b`, W `(out, in)`.
pub(crate) struct Projection {
    pub(crate) weight: Matrix,
    /// Empty where there is none.
    pub(crate) bias: Vec<f32>,
}

impl Projection {
    pub(crate) fn apply(&self, rows: &Matrix, out: &mut Matrix) {
        self.apply_then(rows, out, |_| {});
    }

    /// As [`Projection::apply`], and `then` on what comes out while it is in the cache.
    pub(crate) fn apply_then(
        &self,
        rows: &Matrix,
        out: &mut Matrix,
        then: impl Fn(&mut [f32]) + Sync,
    ) {
        out.reshape(rows.rows(), self.weight.rows());
        let weight = self.weight.view().reversed_axes();
        multiply_then(rows.view(), weight, out.view_mut(), |first, part| {
            if let Some(bias) = self.bias.get(first..first + part.len()) {
                part.iter_mut().zip(bias).for_each(|(y, b)| *y += b);
            }
            then(part);
        });
    }

    fn numbers(&self) -> [&[f32]; 2] {
        [self.weight.as_slice(), &self.bias]
    }
}

/// The weights of a block.
pub(crate) struct Block {
    pub(crate) attention_norm: NormWeights,
    /// To queries, keys and values, one below the other.
    pub(crate) queries: Projection,
    pub(crate) attention: Projection,
    pub(crate) mlp_norm: NormWeights,
    pub(crate) into_mlp: Projection,
    /// What is gated, where the MLP is.
    pub(crate) gated: Option<Projection>,
    pub(crate) out_of_mlp: Projection,
}

impl Block {
    /// All that was learned, in a fixed order.
    pub(crate) fn numbers(&self) -> Vec<&[f32]> {
        let products = [&self.queries, &self.attention, &self.into_mlp, &self.out_of_mlp];
        let products = products.into_iter().chain(&self.gated).flat_map(Projection::numbers);
        let norms =
            [&self.attention_norm, &self.mlp_norm].into_iter().flat_map(NormWeights::numbers);
        norms.chain(products).collect()
    }
}

/// Takes weights out of a file and compares them with the shapes that the configuration says.
pub(crate) struct Shelf {
    pub(crate) tensors: Tensors,
    /// What all names begin with.
    pub(crate) prefix: String,
}

impl Shelf {
    /// A matrix `(rows, cols)` that may lie with both exchanged.
    pub(crate) fn matrix(
        &mut self,
        name: &str,
        shape: (usize, usize),
        turned: bool,
    ) -> Result<Matrix> {
        let name = format!("{}{name}", self.prefix);
        let found =
            if turned { self.tensors.transposed(&name) } else { self.tensors.matrix(&name) }?;
        if (found.rows(), found.cols()) == shape {
            return Ok(found);
        }
        let (rows, cols) = (found.rows(), found.cols());
        Err(self.unfit(&name, format!("{rows} × {cols}"), format!("{} × {}", shape.0, shape.1)))
    }

    pub(crate) fn vector(&mut self, name: &str, length: usize) -> Result<Vec<f32>> {
        let name = format!("{}{name}", self.prefix);
        let found = self.tensors.vector(&name)?;
        match found.len() == length {
            true => Ok(found),
            false => Err(self.unfit(&name, found.len().to_string(), length.to_string())),
        }
    }

    fn unfit(&self, name: &str, found: String, expected: String) -> narrows::Error {
        self.tensors.bad(format!("'{name}' is {found} where config.json says {expected}"))
    }

    /// `NAME.weight` and, where there is one, `NAME.bias`.
    pub(crate) fn projection(
        &mut self,
        name: &str,
        shape: (usize, usize),
        bias: bool,
        turned: bool,
    ) -> Result<Projection> {
        let weight = self.matrix(&format!("{name}.weight"), shape, turned)?;
        let bias = match bias {
            true => self.vector(&format!("{name}.bias"), shape.0)?,
            false => Vec::new(),
        };
        Ok(Projection { weight, bias })
    }

    pub(crate) fn norm(&mut self, name: &str, width: usize, bias: bool) -> Result<NormWeights> {
        let gamma = self.vector(&format!("{name}.weight"), width)?;
        let beta = match bias {
            true => self.vector(&format!("{name}.bias"), width)?,
            false => Vec::new(),
        };
        Ok(NormWeights { gamma, beta })
    }
}
