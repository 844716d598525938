//! Forward and back.

use std::ops::Range;

use ndarray::{ArrayView2, ArrayViewMut2};

use super::{Layer, Network, Normalisation};
use crate::compute::{
    Activation, Matrix, Normalised, Real, activate, back_through_columns, back_through_rows,
    column_products, column_sums, drop_out, inverse_root, keep_largest, multiply, multiply_add,
    multiply_into, multiply_then, normalise_columns, normalise_rows, shift_and_scale, stretch,
};
use crate::model::{Draw, Pass, Rule, Trainable};
use crate::random::Random;

/// How much of its running mean batch normalisation replaces at each step.
const RENEWAL: f64 = 0.1;

impl<T: Real> Network<T> {
    /// `x` through some layers, as the model is used: no dropout, running means; `to_the_end` with the
    /// activation of the last layer of all.
    pub(super) fn run(&self, x: &Matrix<T>, layers: Range<usize>, to_the_end: bool) -> Matrix<T> {
        let mut values = Matrix::zeros(0, 0);
        for (step, place) in layers.enumerate() {
            let layer = &self.layers[place];
            let mut next = Matrix::zeros(x.rows(), layer.output_dim());
            let input = if step == 0 { x } else { &values };
            self.product(place, input, &mut next);
            match layer.normalisation {
                Normalisation::None => {}
                Normalisation::Batch => {
                    let scales: Vec<T> =
                        layer.running.1.iter().map(|&variance| inverse_root(variance)).collect();
                    shift_and_scale(&mut next, &layer.running.0, &scales);
                    stretch(&mut next, &layer.scale, &layer.bias);
                }
                Normalisation::Layer => {
                    normalise_rows(&mut next, None);
                    stretch(&mut next, &layer.scale, &layer.bias);
                }
            }
            if to_the_end || place + 1 < self.layers.len() {
                activate(layer.activation, &mut next, None);
            }
            if let Some(k) = self.top_k_of(place) {
                keep_largest(&mut next, None, k);
            }
            values = next;
        }
        values
    }

    /// `input · Wᵀ`, plus the bias where nothing comes between them.
    fn product(&self, place: usize, input: &Matrix<T>, out: &mut Matrix<T>) {
        let layer = &self.layers[place];
        let weight = self.weight(place).reversed_axes();
        match layer.normalisation {
            Normalisation::None => {
                multiply_then(input.view(), weight, out.view_mut(), |first, row| {
                    let bias = &layer.bias[first..];
                    row.iter_mut().zip(bias).for_each(|(value, &bias)| *value += bias);
                });
            }
            _ => multiply(input.view(), weight, out.view_mut()),
        }
    }

    fn top_k_of(&self, place: usize) -> Option<usize> {
        self.top_k.filter(|_| place + 1 == self.encoder_depth)
    }

    /// The last activation is part of a loss that takes logits.
    fn activation_in_training(&self, place: usize) -> Activation {
        match self.logits && place + 1 == self.layers.len() {
            true => Activation::Identity,
            false => self.layers[place].activation,
        }
    }

    fn normalise_batch(layer: &mut Layer<T>, values: &mut Matrix<T>, kept: &mut Normalised<T>) {
        match layer.normalisation {
            Normalisation::None => return,
            Normalisation::Layer => normalise_rows(values, Some(kept)),
            Normalisation::Batch => {
                let count = values.rows() as f64;
                let (means, variances) = normalise_columns(values, kept);
                // One row has no variance.
                if count > 1.0 {
                    let unbiased = T::from_f64(count / (count - 1.0));
                    let new = T::from_f64(RENEWAL);
                    let old = T::ONE - new;
                    let (mean, variance) = &mut layer.running;
                    let means = mean.iter_mut().zip(means);
                    means.for_each(|(run, now)| *run = old * *run + new * now);
                    let variances = variance.iter_mut().zip(variances);
                    variances.for_each(|(run, now)| *run = old * *run + new * unbiased * now);
                }
            }
        }
        stretch(values, &layer.scale, &layer.bias);
    }

    /// Where the gradients of each layer lie: weight (of the owner where tied), bias, scale.
    fn slots(&self) -> Vec<[usize; 3]> {
        let mut next = 0;
        let mut slots: Vec<[usize; 3]> = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let mut take = |there: bool| {
                let slot = if there { next } else { usize::MAX };
                next += usize::from(there);
                slot
            };
            let weight = match layer.tied_to {
                Some(owner) => slots[owner][0],
                None => take(true),
            };
            let bias = take(true);
            slots.push([weight, bias, take(!layer.scale.is_empty())]);
        }
        slots
    }

    /// From the derivative by the output of layer `place` to that by its product, in place; adds the
    /// derivatives by bias and scale.
    fn back_through_layer(
        &self,
        place: usize,
        flow: &mut Matrix<T>,
        pass: &Pass<T>,
        [_, bias, scale]: [usize; 3],
        into: &mut Into<'_, T>,
    ) {
        let layer = &self.layers[place];
        let (slope, kept) = (&pass.hidden[2 * place + 1], &pass.normalised[place]);
        if slope.rows() > 0 {
            multiply_into(flow, slope);
        }
        let mut sums = vec![T::ZERO; layer.output_dim()];
        column_sums(flow, T::ONE, &mut sums);
        into.add(bias, &sums);
        if layer.normalisation == Normalisation::None {
            return;
        }
        let products = column_products(flow, &kept.values);
        into.add(scale, &products);
        match layer.normalisation {
            Normalisation::Batch => {
                back_through_columns(flow, kept, &layer.scale, &products, &sums);
            }
            _ => back_through_rows(flow, kept, &layer.scale),
        }
    }

    /// Adds the derivative by the weights of layer `place`, from that by its product.
    fn back_to_weights(
        &self,
        place: usize,
        input: &Matrix<T>,
        flow: &Matrix<T>,
        slot: usize,
        into: &mut Into<'_, T>,
    ) {
        let (from, to) = self.layers[place].dims;
        if self.layers[place].tied_to.is_some() {
            into.add_product(slot, into.keep, input.view(), flow.view(), (from, to));
            return;
        }
        // The encoder comes after its decoder on the way back, and adds to what that left.
        let shared = self.layers.iter().any(|other| other.tied_to == Some(place));
        let keep = if shared { T::ONE } else { into.keep };
        into.add_product(slot, keep, flow.view(), input.view(), (to, from));
    }
}

/// Where derivatives go: `gradients ← keep · gradients + share · derivative`.
struct Into<'a, T> {
    gradients: &'a mut [Vec<T>],
    keep: T,
    share: T,
}

impl<T: Real> Into<'_, T> {
    fn add(&mut self, slot: usize, derivative: &[T]) {
        for (gradient, &value) in self.gradients[slot].iter_mut().zip(derivative) {
            *gradient = self.keep * *gradient + self.share * value;
        }
    }

    /// The derivative `leftᵀ · right`, `(rows, columns)`.
    fn add_product(
        &mut self,
        slot: usize,
        keep: T,
        left: ArrayView2<'_, T>,
        right: ArrayView2<'_, T>,
        shape: (usize, usize),
    ) {
        let out = ArrayViewMut2::from_shape(shape, &mut self.gradients[slot]);
        let out = out.expect("gradients have the sizes of the parameters");
        multiply_add(keep, self.share, left.reversed_axes(), right, out);
    }
}

impl<T: Real> Trainable<T> for Network<T> {
    fn dims(&self) -> (usize, usize) {
        (self.input_dim, self.layers.last().map_or(self.input_dim, Layer::output_dim))
    }

    fn forward(&mut self, x: &Matrix<T>, pass: &mut Pass<T>) {
        assert_eq!(x.cols(), self.input_dim, "forward: other columns than the model");
        let count = self.layers.len();
        pass.hidden.resize_with(2 * count + 1, Matrix::default);
        pass.normalised.resize_with(count, Normalised::default);
        for place in 0..count {
            let last = place + 1 == count;
            let mut values = match last {
                true => std::mem::take(&mut pass.output),
                false => std::mem::take(&mut pass.hidden[2 * place]),
            };
            let mut slopes = std::mem::take(&mut pass.hidden[2 * place + 1]);
            let input = if place == 0 { x } else { &pass.hidden[2 * place - 2] };
            values.reshape(x.rows(), self.layers[place].output_dim());
            self.product(place, input, &mut values);
            let layer = &mut self.layers[place];
            Self::normalise_batch(layer, &mut values, &mut pass.normalised[place]);
            let (dropout, top_k) = (self.layers[place].dropout, self.top_k_of(place));
            let activation = self.activation_in_training(place);
            if activation == Activation::Identity && dropout == 0.0 && top_k.is_none() {
                slopes.reshape(0, 0);
            } else {
                activate(activation, &mut values, Some(&mut slopes));
            }
            if let Some(k) = top_k {
                keep_largest(&mut values, Some(&mut slopes), k);
            }
            if dropout > 0.0 {
                let Draw { seed, step, first } = pass.draw;
                drop_out(&mut values, &mut slopes, dropout, |row| {
                    Random::numbered(seed, "dropout", &[step, place as u64, first + row as u64])
                });
            }
            match last {
                true => pass.output = values,
                false => pass.hidden[2 * place] = values,
            }
            pass.hidden[2 * place + 1] = slopes;
        }
    }

    fn judge(&self, x: &Matrix<T>) -> Matrix<T> {
        self.run(x, 0..self.layers.len(), !self.logits)
    }

    fn backward(
        &self,
        x: &Matrix<T>,
        keep: T,
        share: T,
        pass: &mut Pass<T>,
        gradients: &mut [Vec<T>],
    ) {
        let count = self.layers.len();
        let slots = self.slots();
        let into = &mut Into { gradients, keep, share };
        let mut flow = std::mem::take(&mut pass.gradient);
        let mut next = std::mem::take(&mut pass.hidden[2 * count]);
        for place in (0..count).rev() {
            if place + 1 == self.encoder_depth && pass.code_gradient.rows() > 0 {
                let penalty = pass.code_gradient.as_slice();
                flow.as_mut_slice().iter_mut().zip(penalty).for_each(|(flow, &by)| *flow += by);
            }
            self.back_through_layer(place, &mut flow, pass, slots[place], into);
            let input = if place == 0 { x } else { &pass.hidden[2 * place - 2] };
            self.back_to_weights(place, input, &flow, slots[place][0], into);
            if place > 0 {
                next.reshape(x.rows(), self.layers[place].input_dim());
                multiply(flow.view(), self.weight(place), next.view_mut());
                std::mem::swap(&mut flow, &mut next);
            }
        }
        pass.gradient = flow;
        pass.hidden[2 * count] = next;
    }

    fn code<'a>(&self, pass: &'a Pass<T>) -> (Activation, &'a Matrix<T>) {
        let place = self.encoder_depth - 1;
        let code = match self.encoder_depth == self.layers.len() {
            true => &pass.output,
            false => &pass.hidden[2 * place],
        };
        (self.layers[place].activation, code)
    }

    fn rows_are_independent(&self) -> bool {
        self.layers.iter().all(|layer| layer.normalisation != Normalisation::Batch)
    }

    fn parameters(&self) -> Vec<&[T]> {
        self.layers.iter().flat_map(Layer::parameters).collect()
    }

    fn parameters_mut(&mut self) -> Vec<&mut [T]> {
        self.layers.iter_mut().flat_map(Layer::parameters_mut).collect()
    }

    fn rules(&self) -> Vec<Rule> {
        let mut rules = Vec::new();
        for layer in &self.layers {
            if layer.tied_to.is_none() {
                rules.push(Rule::Decayed);
            }
            rules.push(Rule::Free);
            rules.extend((!layer.scale.is_empty()).then_some(Rule::Free));
        }
        rules
    }

    fn operations_per_row(&self) -> usize {
        let products = |layer: &Layer<T>| 2 * layer.input_dim() * layer.output_dim();
        let forward: usize = self.layers.iter().map(products).sum();
        // The derivative by the rows themselves is not wanted.
        3 * forward - self.layers.first().map_or(0, products)
    }

    fn buffers(&self) -> Vec<&[T]> {
        let running = self.layers.iter().map(|layer| &layer.running);
        running.flat_map(|(means, variances)| [means.as_slice(), variances]).collect()
    }

    fn buffers_mut(&mut self) -> Vec<&mut [T]> {
        let running = self.layers.iter_mut().map(|layer| &mut layer.running);
        running.flat_map(|(means, variances)| [means.as_mut_slice(), variances]).collect()
    }
}
