//! A slow twin of a step: the same formulas in f64 with whole matrices, every code among them.

use std::collections::BTreeMap;

use ndarray::{Array1, Array2, Axis, s};

use crate::train::dictionary::{DecoderNorm, DictionaryOptions, JumpPenalty, Kind};

/// What a step comes to.
pub(super) struct Twin {
    pub(super) loss: f64,
    pub(super) penalty: f64,
    pub(super) revival: f64,
    pub(super) gradients: BTreeMap<&'static str, Vec<f64>>,
}

/// What a step is given.
pub(super) struct Given<'a> {
    pub(super) options: &'a DictionaryOptions,
    pub(super) parameters: BTreeMap<&'static str, Array2<f64>>,
    pub(super) x: Array2<f64>,
    pub(super) target: Array2<f64>,
    pub(super) dead: &'a [usize],
    pub(super) centred: bool,
}

/// Codes, and what pre-activations and the numbers of latents are told of the loss, `(B, n)` and `(n)`.
struct Codes {
    z: Array2<f64>,
    /// ∂L/∂(E·(x − c)).
    through: Array2<f64>,
    /// ∂L/∂b.
    bias: Array2<f64>,
    first: Array2<f64>,
    second: Array2<f64>,
    by_norm: Array2<f64>,
    penalty: f64,
}

fn squares(matrix: &Array2<f64>) -> f64 {
    matrix.iter().map(|value| value * value).sum()
}

/// 1 at the `count` largest of each row, 0 elsewhere.
fn largest(values: &Array2<f64>, count: usize) -> Array2<f64> {
    let mut mask = Array2::zeros(values.raw_dim());
    for (row, mut mask) in values.rows().into_iter().zip(mask.rows_mut()) {
        let mut order: Vec<usize> = (0..row.len()).collect();
        order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
        order.iter().take(count).for_each(|&place| mask[place] = 1.0);
    }
    mask
}

fn positive(value: f64) -> f64 {
    f64::from(u8::from(value > 0.0))
}

impl Given<'_> {
    fn unit_rows(&self, name: &str) -> Array2<f64> {
        let rows = &self.parameters[name];
        rows / &rows.map_axis(Axis(1), |row| row.dot(&row).sqrt()).insert_axis(Axis(1))
    }

    fn encoder(&self) -> Array2<f64> {
        if self.options.tied {
            self.unit_rows("encoder")
        } else {
            self.parameters["encoder"].clone()
        }
    }

    fn decoder(&self) -> Array2<f64> {
        if self.options.tied {
            self.unit_rows("encoder")
        } else {
            self.parameters["decoder"].clone()
        }
    }

    fn numbers(&self, name: &str) -> Array1<f64> {
        self.parameters[name].column(0).to_owned()
    }

    fn norms(&self) -> Array1<f64> {
        let lengths = self.decoder().map_axis(Axis(1), |row| row.dot(&row).sqrt());
        match self.options.norm() {
            DecoderNorm::Unit => Array1::ones(lengths.len()),
            DecoderNorm::Weighted => lengths,
        }
    }

    /// z without what the loss tells it.
    fn values(&self, through: &Array2<f64>) -> Array2<f64> {
        let a = through + &self.numbers("bias");
        let ordered = &a * &self.norms();
        let (rows, latents) = a.dim();
        match self.options.kind {
            Kind::Relu => a.mapv(|a| a.max(0.0)),
            Kind::TopK => a.mapv(|a| a.max(0.0)) * largest(&ordered, self.options.k as usize),
            Kind::BatchTopK | Kind::Matryoshka => {
                let count = (self.options.k * rows as f64).round() as usize;
                let flat = ordered.into_shape_with_order((1, rows * latents)).expect("fits");
                let chosen = largest(&flat, count);
                let chosen = chosen.into_shape_with_order((rows, latents)).expect("fits");
                a.mapv(|a| a.max(0.0)) * chosen
            }
            Kind::JumpRelu => (&a - &self.numbers("first")).mapv(positive) * a,
            Kind::Gated => {
                let size = through * &self.numbers("first").exp() + &self.numbers("second");
                a.mapv(positive) * size.mapv(|size| size.max(0.0))
            }
        }
    }

    /// From `d = ∂L/∂z`, as far as it comes from the rebuilt rows, to everything else; `gate` is what a
    /// gate is told by its own rebuilt rows.
    fn back(&self, through: &Array2<f64>, d: &Array2<f64>, gate: &Array2<f64>) -> Codes {
        let (rows, latents) = d.dim();
        let none = Array2::zeros((rows, latents));
        let z = self.values(through);
        let a = through + &self.numbers("bias");
        let norms = self.norms().broadcast((rows, latents)).expect("fits").to_owned();
        let weight = self.options.sparsity_weight / rows as f64;
        let mut told = Codes {
            through: none.clone(),
            bias: none.clone(),
            first: none.clone(),
            second: none.clone(),
            by_norm: none,
            penalty: 0.0,
            z,
        };
        let z = &told.z;
        match self.options.kind {
            Kind::Relu => {
                told.through = a.mapv(positive) * (d + &(weight * &norms));
                told.by_norm = weight * z;
                told.penalty = weight * (z * &norms).sum();
            }
            Kind::TopK | Kind::BatchTopK | Kind::Matryoshka => told.through = z.mapv(positive) * d,
            Kind::JumpRelu => return self.back_through_jump(&a, d, &norms, told),
            Kind::Gated => {
                let gate = a.mapv(positive) * (gate + &(weight * &norms));
                let size = z.mapv(positive) * d;
                let magnitude = self.numbers("first").exp();
                told.first = &size * through * &magnitude;
                told.through = &gate + &(&size * &magnitude);
                told.second = size;
                told.bias = gate;
                told.by_norm = weight * a.mapv(|a| a.max(0.0));
                told.penalty = (&told.by_norm * &norms).sum();
                return told;
            }
        }
        told.bias = told.through.clone();
        told
    }

    fn back_through_jump(
        &self,
        a: &Array2<f64>,
        d: &Array2<f64>,
        norms: &Array2<f64>,
        mut told: Codes,
    ) -> Codes {
        let own = self.options;
        let weight = own.sparsity_weight / a.nrows() as f64;
        let target = own.target_l0.unwrap_or(1.0);
        let thresholds = self.numbers("first");
        for row in 0..a.nrows() {
            let active = told.z.row(row).iter().filter(|&&z| z != 0.0).count() as f64;
            let (charge, of_step) = match own.penalty {
                JumpPenalty::Step => (weight * active, weight),
                JumpPenalty::Quadratic => (
                    weight * 2.0 / target * (active - target).powi(2),
                    weight * 4.0 / target * (active - target),
                ),
                JumpPenalty::Tanh => (0.0, 0.0),
            };
            told.penalty += charge;
            for j in 0..a.ncols() {
                let (place, threshold) = ([row, j], thresholds[j]);
                let mut by_value = d[place];
                if own.penalty == JumpPenalty::Tanh {
                    let tanh = (own.tanh_scale * told.z[place] * norms[place]).tanh();
                    let slope = weight * own.tanh_scale * (1.0 - tanh * tanh);
                    told.penalty += weight * tanh;
                    by_value += slope * norms[place];
                    told.by_norm[place] = slope * told.z[place];
                }
                let beyond = a[place] - threshold;
                told.through[place] = positive(beyond) * by_value;
                if beyond.abs() < own.bandwidth / 2.0 {
                    let lent = (threshold * by_value + of_step) / own.bandwidth;
                    told.first[place] = -lent;
                    told.through[place] += if own.slope_to_encoder { lent } else { 0.0 };
                }
            }
        }
        told.bias = told.through.clone();
        told
    }

    /// The step.
    pub(super) fn twin(&self) -> Twin {
        let (encoder, decoder) = (self.encoder(), self.decoder());
        let output = decoder.ncols();
        let centre = match self.options.tied {
            true => Array1::zeros(output),
            false => self.parameters["centre"].row(0).to_owned(),
        };
        let input = if self.centred { &self.x - &centre } else { self.x.clone() };
        let through = input.dot(&encoder.t());
        let z = self.values(&through);
        let mut laid_out = Array2::zeros(self.target.raw_dim()) + &centre;
        if let Some(skip) = self.parameters.get("skip") {
            laid_out += &self.x.dot(&skip.t());
        }
        let widths = self.options.nested_widths();
        let share = 1.0 / (self.x.nrows() * widths.len()) as f64;
        let mut d = Array2::zeros(z.raw_dim());
        let mut by_decoder = Array2::<f64>::zeros(decoder.raw_dim());
        let mut by_output = Array2::<f64>::zeros(self.target.raw_dim());
        let (mut loss, mut left) = (0.0, Array2::zeros(self.target.raw_dim()));
        for &width in &widths {
            let (z, decoder) = (z.slice(s![.., ..width]), decoder.slice(s![..width, ..]));
            left = &self.target - &(z.dot(&decoder) + &laid_out);
            loss += share * squares(&left);
            let gradient = -2.0 * share * &left;
            let mut d = d.slice_mut(s![.., ..width]);
            d += &gradient.dot(&decoder.t());
            let mut by_decoder = by_decoder.slice_mut(s![..width, ..]);
            by_decoder += &z.t().dot(&gradient);
            by_output += &gradient;
        }
        let mut gate = Array2::zeros(z.raw_dim());
        if self.options.kind == Kind::Gated {
            let open = (&through + &self.numbers("bias")).mapv(|a| a.max(0.0));
            let own = open.dot(&decoder) + &centre - &self.target;
            loss += share * squares(&own);
            gate = 2.0 * share * own.dot(&decoder.t());
        }
        let mut told = self.back(&through, &d, &gate);
        let revival = self.revive(&through, &decoder, &left, &mut told, &mut by_decoder);

        let by_norm = told.by_norm.sum_axis(Axis(0)).insert_axis(Axis(1));
        let norms = self.norms().insert_axis(Axis(1));
        let along = (&by_decoder * &decoder).sum_axis(Axis(1)).insert_axis(Axis(1));
        let mut by_encoder = told.through.t().dot(&input);
        if self.options.tied {
            let whole = by_encoder + by_decoder;
            let along = (&whole * &decoder).sum_axis(Axis(1)).insert_axis(Axis(1));
            let free = &self.parameters["encoder"];
            let lengths = free.map_axis(Axis(1), |row| row.dot(&row).sqrt()).insert_axis(Axis(1));
            by_encoder = (whole - along * &decoder) / lengths;
            by_decoder = Array2::zeros((0, 0));
        } else if self.options.norm() == DecoderNorm::Unit {
            by_decoder -= &(along * &decoder);
        } else {
            by_decoder += &(by_norm / norms * &decoder);
        }
        let mut by_centre = by_output.sum_axis(Axis(0));
        if self.centred {
            by_centre -= &told.through.sum_axis(Axis(0)).dot(&encoder);
        }
        let sums = |codes: &Array2<f64>| codes.sum_axis(Axis(0)).to_vec();
        let mut gradients = BTreeMap::from([
            ("encoder", by_encoder.iter().copied().collect()),
            ("bias", sums(&told.bias)),
        ]);
        if !self.options.tied {
            gradients.insert("decoder", by_decoder.iter().copied().collect());
            gradients.insert("centre", by_centre.to_vec());
        }
        if self.parameters.contains_key("skip") {
            gradients.insert("skip", by_output.t().dot(&self.x).iter().copied().collect());
        }
        for (name, own) in [("first", &told.first), ("second", &told.second)] {
            if !self.parameters[name].is_empty() {
                gradients.insert(name, sums(own));
            }
        }
        Twin { loss, penalty: told.penalty, revival, gradients }
    }

    /// Adds what the dead are told; `left` is what the living leave over.
    fn revive(
        &self,
        through: &Array2<f64>,
        decoder: &Array2<f64>,
        left: &Array2<f64>,
        told: &mut Codes,
        by_decoder: &mut Array2<f64>,
    ) -> f64 {
        if self.dead.is_empty() || self.options.kind == Kind::Relu {
            return 0.0;
        }
        let a = through + &self.numbers("bias");
        let mut ordered = Array2::from_elem(a.raw_dim(), f64::NEG_INFINITY);
        for &j in self.dead {
            ordered.column_mut(j).assign(&(&a.column(j) * self.norms()[j]));
        }
        let k = self.options.revival_k.unwrap_or(self.x.ncols() / 2);
        let chosen = largest(&ordered, k.min(self.dead.len()));
        let asked = &a * &chosen;
        let residual = asked.dot(decoder) - left;
        let scale = (self.dead.len() as f64 / k as f64).min(1.0);
        let share = self.options.revival_weight * scale / a.nrows() as f64;
        let gradient = 2.0 * share * &residual;
        *by_decoder += &asked.t().dot(&gradient);
        let slopes = chosen * gradient.dot(&decoder.t());
        told.through += &slopes;
        told.bias += &slopes;
        share * squares(&residual)
    }
}
