//! Beginning with PCA: weights that make a network of layers do what PCA does, before it has learned
//! anything.
//!
//! ```text
//! t = V (x − μ)              the first k scores of PCA     V: (k, d)   μ: (d,)   σ: (k,) deviations of t
//!
//! A layer of width w carries the first k of them; the others are drawn as usual and not listened to.
//! activation                 k      units of score tⱼ                  tⱼ is read from the layer above as
//! identity                   w      aⱼ = tⱼ                            aⱼ
//! relu, leaky_relu, gelu,    ⌊w/2⌋  a⁺ = f(tⱼ/√c), a⁻ = f(−tⱼ/√c)      (a⁺ − a⁻)/√c
//!   silu, softplus
//! sigmoid, tanh, elu         w      aⱼ = f(p + s·tⱼ), s = ¼/σⱼ         (aⱼ − E f)/(s·E f′)
//! ```
//!
//! The second line is exact: there f(u) − f(−u) = c·u for all u, c = 1 (leaky_relu: 1.01). The third is
//! nearly so, as only the middle of f is used: p = 0 (elu: 1); E is the mean over p + ¼·N(0, 1), by
//! Gauss and Hermite at three points, which makes the reading the best linear one of normal scores. σⱼ
//! is taken as σ₁/100 at least. No layer can carry more scores than the one before it.
//!
//! ```text
//! output     identity: W t + μ, W = Vᵀ;  others: one step of Newton from the mean of each column,
//!            f(z + W t/f′(z)) with f(z) = μ as near as f′ ≥ 1/100 allows
//! tied       what is not listened to would be told by the same weights: those are a thousandth of the
//!            usual, so that they add a millionth and can still learn, which from 0 they never would.
//!            Exact where the first two lines are, and refused elsewhere.
//! ```
//!
//! With an output of identity and layers of the first two lines the network is PCA of as many
//! components as its narrowest layer carries, to the rounding of f32.
//!
//! Source: M. Seuret et al., PCA-initialized deep neural networks applied to document image analysis
//! (2017), for principal axes as weights; D. Balduzzi et al., The shattered gradients problem (2017),
//! for pairs of units that look linear.
//!
//! Differs from the former, where each layer has the axes of what the last one puts out: scores that
//! pass through unbent stay principal, so one PCA of the rows serves all layers.

use ndarray::Array2;

use super::{Network, NetworkOptions, Normalisation};
use crate::compute::{Activation, Matrix};
use crate::data::Source;
use crate::error::{Error, Result};
use crate::model::Pca;
use crate::model::pca::{Components, PcaOptions};

/// The deviation of what enters a function that is straight only in its middle.
const MIDDLE: f64 = 0.25;
/// What drawn weights are multiplied by where they must hardly count.
const FAINT: f32 = 1e-3;
/// Nodes and weights of the mean over N(0, 1).
const NORMAL: [(f64, f64); 3] =
    [(-1.732_050_807_568_877_2, 1.0 / 6.0), (0.0, 2.0 / 3.0), (1.732_050_807_568_877_2, 1.0 / 6.0)];

/// How the units of a layer carry scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    /// Two units for each score.
    Pairs,
    /// The middle of a bend.
    Middle,
}

/// The scores that a layer carries.
struct Carried {
    form: Form,
    /// k.
    count: usize,
    /// p, and E f there.
    middle: (f64, f64),
    /// What scores are multiplied by on the way in, and on the way out.
    scales: Vec<(f64, f64)>,
}

impl Network {
    /// Makes of the weights, drawn before, those that begin with PCA of the rows of `source`.
    ///
    /// Memory and passes are those of [`Pca::fit_source`].
    ///
    /// # Errors
    /// As [`Pca::fit_source`].
    pub fn start_from_pca(&mut self, source: &dyn Source, seed: u64) -> Result<()> {
        let widest = source.rows().min(source.dim());
        let wanted = self.layers[..self.encoder_depth].iter().map(|layer| {
            let width = layer.output_dim();
            if form(layer.activation) == Form::Pairs { width / 2 } else { width }
        });
        let count = wanted.max().unwrap_or(1).clamp(1, widest.max(1));
        let options =
            PcaOptions { components: Components::Count(count), seed, ..Default::default() };
        self.put_pca(&Pca::fit_source(source, &options)?);
        Ok(())
    }

    fn put_pca(&mut self, pca: &Pca) {
        let deviations: Vec<f64> =
            pca.explained_variance.iter().map(|value| value.sqrt()).collect();
        let last = self.layers.len() - 1;
        let tied = self.layers[last].tied_to.is_some();
        let mut before: Option<Carried> = None;
        for place in 0..last {
            if self.layers[place].tied_to.is_some() {
                break;
            }
            let most = before.as_ref().map_or(deviations.len(), |before| before.count);
            let layer = &self.layers[place];
            let carried = Carried::new(layer.activation, layer.output_dim(), &deviations[..most]);
            self.carry(place, pca, before.as_ref(), &carried, tied);
            before = Some(carried);
        }
        self.put_out(pca, before.as_ref());
    }

    /// The weights that bring scores from the layer before, or from the rows, into layer `place`.
    fn carry(
        &mut self,
        place: usize,
        pca: &Pca,
        before: Option<&Carried>,
        carried: &Carried,
        tied: bool,
    ) {
        let layer = &mut self.layers[place];
        let mut weight = std::mem::take(&mut layer.weight).into_array();
        let units = carried.units();
        weight.slice_mut(ndarray::s![..units, ..]).fill(0.0);
        if tied {
            let told = before.map_or(weight.ncols(), Carried::units);
            weight.slice_mut(ndarray::s![units.., ..told]).mapv_inplace(|drawn| FAINT * drawn);
        }
        for score in 0..carried.count {
            let scale = carried.scales[score].0;
            let mut shift = carried.middle.0;
            match before {
                None => {
                    let axis = pca.components.row(score);
                    shift -= scale * axis.dot(&pca.mean);
                    let row = axis.mapv(|value| (scale * value) as f32);
                    weight.row_mut(score).assign(&row);
                }
                Some(before) => {
                    shift -= before.read(score, scale, |unit, share| {
                        weight[[score, unit]] = share as f32;
                    });
                }
            }
            layer.bias[score] = shift as f32;
            if carried.form == Form::Pairs {
                let mirrored = weight.row(score).mapv(|value| -value);
                weight.row_mut(carried.count + score).assign(&mirrored);
                layer.bias[carried.count + score] = -shift as f32;
            }
        }
        layer.weight = Matrix::from(weight);
    }

    /// The last layer: from scores to rows.
    fn put_out(&mut self, pca: &Pca, before: Option<&Carried>) {
        let place = self.layers.len() - 1;
        let layer = &mut self.layers[place];
        let (from, to) = layer.dims;
        let mut weight = Array2::<f32>::zeros((to, from));
        for column in 0..to {
            let (start, slope) = inverse(layer.activation, pca.mean[column]);
            let mut shift = start;
            if let Some(before) = before {
                for score in 0..before.count {
                    let by = pca.components[[score, column]] / slope;
                    shift -= before.read(score, by, |unit, share| {
                        weight[[column, unit]] = share as f32;
                    });
                }
            }
            layer.bias[column] = shift as f32;
        }
        if layer.tied_to.is_none() {
            layer.weight = Matrix::from(weight);
        }
    }
}

impl Carried {
    /// As many of the scores with these deviations as fit.
    fn new(activation: Activation, width: usize, deviations: &[f64]) -> Self {
        let form = form(activation);
        let widest = if form == Form::Pairs { width / 2 } else { width };
        let count = widest.min(deviations.len());
        let (mut middle, mut scales) = ((0.0, 0.0), vec![(1.0, 1.0); count]);
        match form {
            Form::Plain => {}
            Form::Pairs => {
                let gain = activation.at(1.0).0 - activation.at(-1.0).0;
                scales.fill((1.0 / gain.sqrt(), 1.0 / gain.sqrt()));
            }
            Form::Middle => {
                let centre = if activation == Activation::Elu { 1.0 } else { 0.0 };
                let points = NORMAL.map(|(z, share)| (activation.at(centre + MIDDLE * z), share));
                let level = points.iter().map(|((value, _), share)| share * value).sum();
                let slope: f64 = points.iter().map(|((_, slope), share)| share * slope).sum();
                middle = (centre, level);
                // A score that hardly varies is not blown up.
                let least = 0.01 * deviations.first().copied().unwrap_or(1.0);
                let scaled = |deviation: &f64| {
                    let deviation = deviation.max(least);
                    (MIDDLE / deviation, deviation / (MIDDLE * slope))
                };
                scales = deviations[..count].iter().map(scaled).collect();
            }
        }
        Self { form, count, middle, scales }
    }

    fn units(&self) -> usize {
        if self.form == Form::Pairs { 2 * self.count } else { self.count }
    }

    /// Tells the weights that read `by` times a score, and what they give too much.
    fn read(&self, score: usize, by: f64, mut tell: impl FnMut(usize, f64)) -> f64 {
        let share = by * self.scales[score].1;
        tell(score, share);
        if self.form == Form::Pairs {
            tell(self.count + score, -share);
            return 0.0;
        }
        share * self.middle.1
    }
}

fn form(activation: Activation) -> Form {
    match activation {
        Activation::Identity => Form::Plain,
        Activation::Relu
        | Activation::LeakyRelu
        | Activation::Gelu
        | Activation::GeluTanh
        | Activation::Silu
        | Activation::Softplus => Form::Pairs,
        Activation::Sigmoid | Activation::Tanh | Activation::Elu => Form::Middle,
    }
}

/// Where an activation has the value `mean`, or comes nearest to it with a slope of 1/100 or more; and
/// that slope.
fn inverse(activation: Activation, mean: f64) -> (f64, f64) {
    let far = mean.abs() + 5.0;
    let (mut low, mut high) = match activation {
        Activation::Identity => return (mean, 1.0),
        Activation::Sigmoid => (-4.59, 4.59),
        Activation::Tanh => (-2.99, 2.99),
        Activation::Softplus | Activation::Elu => (-4.59, far),
        Activation::Relu
        | Activation::LeakyRelu
        | Activation::Gelu
        | Activation::GeluTanh
        | Activation::Silu => (0.01, far),
    };
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if activation.at(middle).0 < mean {
            low = middle;
        } else {
            high = middle;
        }
    }
    (low, activation.at(low).1)
}

/// Refuses a shape that cannot begin with PCA.
pub(super) fn check(options: &NetworkOptions) -> Result<()> {
    let refuse = |expected: &str, got: String| {
        let remedy = "leave it out, or let weights be drawn: model.initialisation=\"auto\"";
        Err(Error::mistake("begin with PCA", expected, got, remedy))
    };
    if options.normalisation != Normalisation::None {
        let got = format!("model.normalisation = {:?}", options.normalisation).to_lowercase();
        return refuse("layers that leave the size of numbers as it is", got);
    }
    if let Some(k) = options.top_k {
        return refuse("a code of which every number is kept", format!("model.top_k = {k}"));
    }
    let output = options.output_activation;
    let inner = [options.activation, options.code_activation];
    let bent = inner.into_iter().find(|&activation| form(activation) == Form::Middle);
    let bent = bent.or(Some(output).filter(|&output| output != Activation::Identity));
    match bent.filter(|_| options.tied) {
        Some(activation) => {
            let expected = "activations that pairs of units undo, and an output of identity, where \
                            model.tied is true";
            refuse(expected, format!("{activation:?}").to_lowercase())
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::Initialisation;
    use super::*;
    use crate::model::Autoencoder;
    use crate::random::Random;

    /// Rows of falling variances, mixed, with a mean; the first four columns lie in 0 … 1.
    fn rows(n: usize, d: usize) -> Matrix {
        let mut random = Random::stream(8, "warm start");
        let mix = Array2::from_shape_simple_fn((d, d), || random.normal());
        let draws = Array2::from_shape_fn((n, d), |(_, j)| random.normal() / (1.0 + j as f64));
        Matrix::from((draws.dot(&mix) + 2.0).mapv(|value| value as f32))
    }

    fn error(rows: &Matrix, network: &Network) -> f64 {
        let rebuilt = network.reconstruct(rows).unwrap();
        (&rows.view() - &rebuilt.view()).mapv(|gap| f64::from(gap).powi(2)).sum()
    }

    /// What PCA of `count` components, none: the mean, loses, from its own spectrum.
    fn least(rows: &Matrix, count: usize) -> f64 {
        let pca = Pca::fit_source(rows, &PcaOptions::default()).unwrap();
        let kept: f64 = pca.explained_variance.iter().take(count).sum();
        (pca.total_variance - kept) * (rows.rows() - 1) as f64
    }

    fn begun(rows: &Matrix, options: &NetworkOptions) -> Network {
        let options = NetworkOptions { initialisation: Initialisation::Pca, ..options.clone() };
        let mut network = Network::new(rows.cols(), &options, false, 1).unwrap();
        network.start_from_pca(rows, 1).unwrap();
        network
    }

    fn begun_with(activations: [Activation; 3], rows: &Matrix) -> [f64; 2] {
        let [activation, code_activation, output_activation] = activations;
        let options = NetworkOptions {
            layers: vec![40, 20, 5],
            activation,
            code_activation,
            output_activation,
            ..Default::default()
        };
        let drawn = Network::new(rows.cols(), &options, false, 1).unwrap();
        [error(rows, &begun(rows, &options)), error(rows, &drawn)]
    }

    /// Where only the middle of a function is straight, five layers lose a few hundredths of the variance.
    #[test]
    fn bends_cost_little() {
        let rows = rows(300, 12);
        let identity = Activation::Identity;
        for activation in [Activation::Sigmoid, Activation::Tanh, Activation::Elu] {
            let [begun, drawn] = begun_with([activation, identity, identity], &rows);
            let lost = (begun - least(&rows, 5)) / least(&rows, 0);
            assert!(lost < 0.03 && begun < 0.1 * drawn, "{activation:?}: {lost}");
        }
        for activation in Activation::ALL {
            let [begun, drawn] = begun_with([Activation::Relu, activation, identity], &rows);
            assert!(begun < 0.5 * drawn, "{activation:?}: {begun}, drawn {drawn}");
        }
    }

    /// Pictures in 0 … 1 through an output that keeps to it.
    #[test]
    fn an_output_that_bends_begins_near_pca_too() {
        let digits = crate::data::open("demo:digits", &Default::default()).unwrap();
        let mut rows = Matrix::zeros(digits.rows.rows(), digits.rows.dim());
        digits.rows.read_f32(0, rows.as_mut_slice()).unwrap();
        rows.as_mut_slice().iter_mut().for_each(|value| *value /= 16.0);
        for (output, limit) in
            [(Activation::Sigmoid, 1.3), (Activation::Relu, 1.0), (Activation::Softplus, 3.0)]
        {
            let activations = [Activation::Silu, Activation::Identity, output];
            let [begun, drawn] = begun_with(activations, &rows);
            let times = begun / least(&rows, 5);
            assert!(times < limit && begun < 0.5 * drawn, "{output:?}: {times}");
        }
    }

    #[test]
    fn what_would_spoil_the_start_is_refused() {
        let refused = |options: NetworkOptions| {
            let options = NetworkOptions { initialisation: Initialisation::Pca, ..options };
            Network::<f32>::new(9, &options, false, 0).unwrap_err().to_string()
        };
        let normalisation = Normalisation::Batch;
        let message = refused(NetworkOptions { normalisation, ..Default::default() });
        assert!(message.contains("model.normalisation = batch"), "{message}");
        let message = refused(NetworkOptions { top_k: Some(3), ..Default::default() });
        assert!(message.contains("model.top_k = 3"), "{message}");
        let activation = Activation::Tanh;
        let message = refused(NetworkOptions { activation, tied: true, ..Default::default() });
        assert!(message.contains("got tanh"), "{message}");
        let output_activation = Activation::Sigmoid;
        let message =
            refused(NetworkOptions { output_activation, tied: true, ..Default::default() });
        assert!(message.contains("got sigmoid"), "{message}");
    }

    /// Against the spectrum: wider than the rows, narrow in between, a decoder of its own, tied.
    #[test]
    fn it_begins_where_pca_ends() {
        let rows = rows(300, 12);
        let exact = [
            Activation::Identity,
            Activation::Relu,
            Activation::LeakyRelu,
            Activation::Gelu,
            Activation::Silu,
            Activation::Softplus,
        ];
        for activation in exact {
            let pairs = activation != Activation::Identity;
            for (layers, decoder, carried) in [
                (vec![3], None, 3),
                (vec![40, 20, 5], None, 5),
                (vec![40, 7, 5], None, if pairs { 3 } else { 5 }),
                (vec![16, 6], Some(vec![9, 30]), if pairs { 4 } else { 6 }),
            ] {
                for tied in [false, true] {
                    if tied && decoder.is_some() {
                        continue;
                    }
                    let decoder_layers = decoder.clone();
                    let options = NetworkOptions {
                        layers: layers.clone(),
                        decoder_layers,
                        activation,
                        tied,
                        ..Default::default()
                    };
                    let network = begun(&rows, &options);
                    let times = error(&rows, &network) / least(&rows, carried);
                    assert!((times - 1.0).abs() < 1e-5, "{options:?}: {times}");
                }
            }
        }
    }
}
