//! One network from storeys that stand on each other, and PCA as a storey.
//!
//! ```text
//! storey i    zᵢ = eᵢ(zᵢ₋₁)    ẑᵢ₋₁ = dᵢ(ẑᵢ)            z₀ = x, ẑ_s = z_s
//! unrolled    x̂ = d₁(d₂(… d_s(e_s(… e₂(e₁(x))))))
//! PCA         z = W x − W μ     x̂ = Wᵀ z + μ             W: (k, d)   μ: (d,)
//! ```
//!
//! Source: G. Hinton and R. Salakhutdinov, Science 313 (2006), figure 1.

use super::{Layer, Network};
use crate::compute::{Activation, Matrix, Real};
use crate::error::{Error, Result};
use crate::model::Pca;

impl Network {
    /// Two layers without a bend that do what PCA does, in f32; codes are not whitened, even where
    /// those of `pca` are. `tied` if training is to keep the decoder the encoder's transpose.
    pub fn of_pca(pca: &Pca, tied: bool) -> Self {
        let (k, d) = pca.components.dim();
        let components = pca.components.mapv(|value| value as f32);
        let back = match tied {
            true => Matrix::default(),
            false => Matrix::from(components.t().to_owned()),
        };
        let forth = Matrix::from(components);
        let mut encoder = Layer::bare(d, k, forth, None, Activation::Identity);
        encoder.bias = pca.components.dot(&pca.mean).iter().map(|&value| -value as f32).collect();
        let mut decoder = Layer::bare(k, d, back, tied.then_some(0), Activation::Identity);
        decoder.bias = pca.mean.iter().map(|&value| value as f32).collect();
        Self {
            layers: vec![encoder, decoder],
            encoder_depth: 1,
            input_dim: d,
            top_k: None,
            logits: false,
        }
    }
}

impl<T: Real> Network<T> {
    /// All storeys as one network: their encoders from the rows up, their decoders back down.
    ///
    /// # Errors
    /// If there are none, one does not take the codes of the one below it or gives others back, or
    /// one below the last keeps only some numbers of its code.
    pub fn unroll(storeys: &[Self]) -> Result<Self> {
        let (Some(first), Some(last)) = (storeys.first(), storeys.last()) else {
            return Err(misfit("none".to_owned()));
        };
        for (place, pair) in storeys.windows(2).enumerate() {
            let code = pair[0].code_dim();
            if pair[1].input_dim != code || pair[1].output_dim() != code {
                let (from, to) = (pair[1].input_dim, pair[1].output_dim());
                let got = format!("{from} → {to} columns on codes of {code}");
                return Err(misfit(format!("storey {} of {got}", place + 2)));
            }
            if pair[0].top_k.is_some() {
                return Err(misfit(format!("`top_k` in storey {}", place + 1)));
            }
        }
        let mut layers: Vec<Layer<T>> = Vec::new();
        let mut starts = Vec::with_capacity(storeys.len());
        for storey in storeys {
            let start = layers.len();
            starts.push(start);
            storey.lay(&mut layers, 0..storey.encoder_depth, start);
        }
        let encoder_depth = layers.len();
        for (storey, start) in storeys.iter().zip(starts).rev() {
            storey.lay(&mut layers, storey.encoder_depth..storey.layers.len(), start);
        }
        Ok(Self {
            layers,
            encoder_depth,
            input_dim: first.input_dim,
            top_k: last.top_k,
            logits: first.logits,
        })
    }

    /// Lays some layers on others; the encoder's own begin there at `start`.
    fn lay(&self, layers: &mut Vec<Layer<T>>, own: std::ops::Range<usize>, start: usize) {
        let decoder = layers.len();
        layers.extend(self.layers[own].iter().cloned().map(|mut layer| {
            layer.tied_to =
                layer.tied_to.map(|owner| match owner.checked_sub(self.encoder_depth) {
                    None => start + owner,
                    Some(within) => decoder + within,
                });
            layer
        }));
    }

    fn code_dim(&self) -> usize {
        self.layers[self.encoder_depth - 1].output_dim()
    }

    fn output_dim(&self) -> usize {
        self.layers.last().map_or(self.input_dim, Layer::output_dim)
    }
}

fn misfit(got: String) -> Error {
    Error::mistake(
        "unroll a stack",
        "storeys that each give back the codes of the one below",
        got,
        "train them on each other's codes",
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::model::Autoencoder;
    use crate::model::network::NetworkOptions;
    use crate::model::pca::{Components, PcaOptions};
    use crate::random::Random;

    fn rows(name: &str, columns: usize) -> Matrix {
        let mut random = Random::stream(4, name);
        let values = (0..30 * columns).map(|_| random.normal() as f32).collect();
        Matrix::from_rows(30, columns, values).unwrap()
    }

    fn storey(from: usize, widths: &[usize], tied: bool) -> Network {
        let options = NetworkOptions {
            layers: widths.to_vec(),
            tied,
            code_activation: Activation::Tanh,
            output_activation: Activation::Sigmoid,
            ..Default::default()
        };
        Network::new(from, &options, true, from as u64).unwrap()
    }

    /// The same products in the same order: not a bit may differ.
    #[test]
    fn the_whole_is_its_storeys_one_after_the_other() {
        for tied in [false, true] {
            let storeys =
                [storey(9, &[8, 7], tied), storey(7, &[12], tied), storey(12, &[3], tied)];
            let whole = Network::unroll(&storeys).unwrap();
            assert_eq!((whole.layers().len(), whole.encoder_depth()), (8, 4));
            let x = rows("x", 9);
            let code = storeys.iter().fold(x.clone(), |z, storey| storey.encode(&z).unwrap());
            assert_eq!(whole.encode(&x).unwrap(), code);
            let back = storeys.iter().rev().fold(code, |z, storey| storey.decode(&z).unwrap());
            assert_eq!(whole.reconstruct(&x).unwrap(), back);
            let again = Network::of_shape(&whole.shape()).unwrap();
            assert_eq!(again.shape(), whole.shape());
        }
    }

    /// f32 against f64 of numbers of size 1: some 1e-7 each, summed over seven columns.
    #[test]
    fn a_storey_of_pca_does_what_pca_does() {
        let x = Matrix::from(rows("x", 7).into_array() + 2.0);
        let components = Components::Count(3);
        let pca = Pca::fit(x.view(), &PcaOptions { components, ..Default::default() }).unwrap();
        for tied in [false, true] {
            let network = Network::of_pca(&pca, tied);
            for (ours, theirs) in [
                (network.encode(&x).unwrap(), pca.transform(x.view()).unwrap()),
                (network.reconstruct(&x).unwrap(), {
                    pca.inverse_transform(pca.transform(x.view()).unwrap().view()).unwrap()
                }),
            ] {
                let gap = (&ours.view() - &theirs).mapv(f32::abs);
                assert!(gap.iter().all(|&gap| gap < 3e-6), "{gap}");
            }
        }
    }

    #[test]
    fn storeys_that_do_not_fit_are_refused() {
        let refused = |storeys: &[Network]| Network::unroll(storeys).unwrap_err().to_string();
        assert!(refused(&[]).contains("none"));
        let message = refused(&[storey(9, &[7], false), storey(6, &[3], false)]);
        assert!(message.contains("storey 2 of 6 → 6 columns on codes of 7"), "{message}");
        let options = NetworkOptions { layers: vec![7], top_k: Some(2), ..Default::default() };
        let sparse = Network::new(9, &options, false, 0).unwrap();
        assert!(refused(&[sparse, storey(7, &[3], false)]).contains("`top_k` in storey 1"));
    }
}
