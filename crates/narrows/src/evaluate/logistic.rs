//! Logistic regression of two classes.
//!
//! ```text
//! X (n, d), y (n) 0 or 1     m = X·w + b,  p = 1/(1 + e^(−m))
//! loss(w, b) = Σᵢ ln(1 + e^mᵢ) − yᵢ·mᵢ + ½λ‖w‖²       a sum over rows; b is free
//! gradient   = Xᵀ(p − y) + λw,  Σ(p − y)
//! Hessian·v  = Xᵀ(p(1 − p) ∘ (X·v + v_b)) + λv, …
//! ```
//!
//! Newton steps, each by conjugate gradients, shortened until the loss falls. λ is 1/C of scikit-learn.
//!
//! Source: J. Nocedal and S. Wright, Numerical Optimization (2006), algorithm 7.1.

use ndarray::{Array2, ArrayView2, Axis, s};

use crate::compute::multiply;

/// Newton steps; a dozen is usual.
const STEPS: usize = 100;
/// The largest entry of the gradient, per row, at which it ends.
const TOLERANCE: f64 = 1e-10;
/// Share of a Newton step's decrease that a step must reach.
const DECREASE: f64 = 1e-4;
const HALVINGS: usize = 40;

/// Weights of columns and a bias.
pub(super) struct Logistic {
    /// `(d + 1)`: w, then b.
    parameters: Vec<f64>,
}

impl Logistic {
    /// Fits rows `(n, d)`; `own` says which are of the class. Both must occur, or b would not end.
    pub(super) fn fit(rows: ArrayView2<'_, f64>, own: &[bool], penalty: f64) -> Self {
        let problem = Problem::new(rows, own, penalty);
        let mut parameters = vec![0.0; rows.ncols() + 1];
        let mut loss = problem.loss(&problem.margins(&parameters), &parameters);
        for _ in 0..STEPS {
            let chances: Vec<f64> = problem
                .margins(&parameters)
                .into_iter()
                .map(|m| 1.0 / (1.0 + (-m).exp()))
                .collect();
            let gradient = problem.gradient(&chances, &parameters);
            let largest = gradient.iter().fold(0.0_f64, |largest, g| largest.max(g.abs()));
            if largest <= TOLERANCE * own.len() as f64 {
                break;
            }
            let step = problem.newton_step(&chances, &gradient);
            let Some(better) = problem.shorten(&parameters, &step, loss, &gradient) else { break };
            (parameters, loss) = better;
        }
        Self { parameters }
    }

    /// Whether rows `(n, d)` are taken for the class: `m > 0`.
    pub(super) fn tells(&self, rows: ArrayView2<'_, f64>) -> Vec<bool> {
        let (bias, weights) = self.parameters.split_last().expect("a bias is there");
        let margin = |row: ndarray::ArrayView1<'_, f64>| {
            row.iter().zip(weights).map(|(x, w)| x * w).sum::<f64>() + bias
        };
        rows.rows().into_iter().map(|row| margin(row) > 0.0).collect()
    }

    #[cfg(test)]
    pub(super) fn parameters(&self) -> &[f64] {
        &self.parameters
    }
}

struct Problem {
    /// X with a column of ones for b `(n, d + 1)`.
    x: Array2<f64>,
    y: Vec<f64>,
    penalty: f64,
}

impl Problem {
    fn new(rows: ArrayView2<'_, f64>, own: &[bool], penalty: f64) -> Self {
        let mut x = Array2::ones((rows.nrows(), rows.ncols() + 1));
        x.slice_mut(s![.., ..rows.ncols()]).assign(&rows);
        Self { x, y: own.iter().map(|&own| f64::from(u8::from(own))).collect(), penalty }
    }

    /// `X·v`.
    fn margins(&self, v: &[f64]) -> Vec<f64> {
        let column = ArrayView2::from_shape((v.len(), 1), v).expect("one column");
        let mut out = Array2::zeros((self.x.nrows(), 1));
        multiply(self.x.view(), column, out.view_mut());
        out.into_raw_vec_and_offset().0
    }

    /// `Xᵀ·r + λ·v` with no penalty on b.
    fn back(&self, r: &[f64], v: &[f64]) -> Vec<f64> {
        let column = ArrayView2::from_shape((r.len(), 1), r).expect("one column");
        let mut out = Array2::zeros((self.x.ncols(), 1));
        multiply(self.x.view().reversed_axes(), column, out.view_mut());
        let mut out = out.index_axis_move(Axis(1), 0).to_vec();
        let weights = v.len() - 1;
        out[..weights].iter_mut().zip(v).for_each(|(out, v)| *out += self.penalty * v);
        out
    }

    fn loss(&self, margins: &[f64], v: &[f64]) -> f64 {
        let of_row = |(m, y): (&f64, &f64)| m.max(0.0) + (-m.abs()).exp().ln_1p() - y * m;
        let weights = &v[..v.len() - 1];
        margins.iter().zip(&self.y).map(of_row).sum::<f64>()
            + 0.5 * self.penalty * dot(weights, weights)
    }

    fn gradient(&self, chances: &[f64], v: &[f64]) -> Vec<f64> {
        let gaps: Vec<f64> = chances.iter().zip(&self.y).map(|(p, y)| p - y).collect();
        self.back(&gaps, v)
    }

    /// `−H⁻¹·g`, nearly.
    fn newton_step(&self, chances: &[f64], gradient: &[f64]) -> Vec<f64> {
        let mut step = vec![0.0; gradient.len()];
        let mut rest: Vec<f64> = gradient.iter().map(|g| -g).collect();
        let mut along = rest.clone();
        let mut size = dot(&rest, &rest);
        // The nearer the end, the more exact, so that steps converge faster than linearly.
        let enough = size * size.sqrt().min(1e-2).powi(2);
        for _ in 0..10 * gradient.len() {
            if size <= enough {
                break;
            }
            let bent: Vec<f64> =
                self.margins(&along).iter().zip(chances).map(|(m, p)| m * p * (1.0 - p)).collect();
            let bent = self.back(&bent, &along);
            let curvature = dot(&along, &bent);
            if curvature <= 0.0 {
                break;
            }
            let length = size / curvature;
            step.iter_mut().zip(&along).for_each(|(step, d)| *step += length * d);
            rest.iter_mut().zip(&bent).for_each(|(rest, h)| *rest -= length * h);
            let smaller = dot(&rest, &rest);
            along.iter_mut().zip(&rest).for_each(|(d, r)| *d = r + smaller / size * *d);
            size = smaller;
        }
        step
    }

    /// The first of the steps 1, ½, ¼, … at which the loss falls enough; `None` where rounding hides it.
    fn shorten(
        &self,
        from: &[f64],
        step: &[f64],
        loss: f64,
        gradient: &[f64],
    ) -> Option<(Vec<f64>, f64)> {
        let slope = dot(gradient, step);
        let mut length = 1.0;
        for _ in 0..HALVINGS {
            let to: Vec<f64> = from.iter().zip(step).map(|(at, d)| at + length * d).collect();
            let there = self.loss(&self.margins(&to), &to);
            // Near the end the loss changes by less than its last digit, and a full step is still right.
            let rounding = 1e-14 * loss.abs();
            if there <= loss + DECREASE * length * slope + rounding {
                return Some((to, there));
            }
            length *= 0.5;
        }
        None
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
