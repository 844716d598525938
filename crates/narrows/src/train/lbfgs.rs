//! Full-batch steps along quasi-Newton directions, for sets whose rows can all be passed at each step.
//!
//! ```text
//! direction  p = −H g,  H from the last ten pairs s = θ' − θ, y = g' − g by the two-loop recursion,
//!            started from (sᵀy/yᵀy)·I of the last pair; at first p = −g/‖g‖₁ limited to length 1
//! step       t with f(θ + tp) ≤ f + 10⁻⁴·t·gᵀp and |g(θ + tp)ᵀp| ≤ 0.9·|gᵀp|    (strong Wolfe)
//! ```
//!
//! f is the loss and penalty over all rows plus ½λ‖W‖² over the weights that decay. An epoch is one
//! step. Noise on the input is drawn once and stays, so that f is a function.
//!
//! Source: J. Nocedal and S. Wright, Numerical Optimization (2006), algorithms 7.4, 3.5 and 3.6.

use std::time::Instant;

use super::state::State;
use super::task::{Desk, Value};
use super::{
    Epoch, Observer, Step, Task, TrainOptions, Wish, exhausted, interrupted, measure,
    refuse_explosion, remember,
};
use crate::error::Result;
use crate::model::{Draw, Rule, Trainable};
use crate::objective::{Sparsity, SparsityState};

/// Pairs that are remembered.
const MEMORY: usize = 10;
/// Evaluations of one search for a step length.
const TRIES: usize = 20;
const DECREASE: f64 = 1e-4;
const CURVATURE: f64 = 0.9;

/// A step and the change of the gradient along it, all parameters in one vector.
pub(super) type Pair = (Vec<f32>, Vec<f32>);

/// The loss as a function of all parameters in one vector.
struct Function<'a> {
    model: &'a mut dyn Trainable,
    task: &'a Task<'a>,
    rows: &'a [usize],
    options: &'a TrainOptions,
    rules: Vec<Rule>,
    gradients: Vec<Vec<f32>>,
    desk: Desk,
}

/// What it is at a point.
#[derive(Clone, Default)]
struct Place {
    point: Vec<f32>,
    parts: Value,
    value: f64,
    gradient: Vec<f32>,
}

impl Function<'_> {
    fn at(&mut self, point: Vec<f32>) -> Place {
        self.put(&point);
        let draw = Draw { seed: self.options.seed, step: 0, first: 0 };
        let mut sparsity = SparsityState::default();
        let parts = self.desk.learn(
            self.model,
            self.task,
            self.rows,
            (draw, 0),
            &mut sparsity,
            &mut self.gradients,
        );
        let decay = self.options.weight_decay;
        let mut value = parts.loss + parts.penalty;
        let mut gradient = Vec::with_capacity(point.len());
        for ((own, rule), by) in
            self.model.parameters().into_iter().zip(&self.rules).zip(&self.gradients)
        {
            match rule {
                Rule::Free => gradient.extend_from_slice(by),
                Rule::Decayed => {
                    value += 0.5 * decay * dot(own, own);
                    gradient.extend(own.iter().zip(by).map(|(w, g)| g + decay as f32 * w));
                }
            }
        }
        Place { point, parts, value, gradient }
    }

    fn put(&mut self, point: &[f32]) {
        let mut rest = point;
        for parameter in self.model.parameters_mut() {
            let (own, after) = rest.split_at(parameter.len());
            parameter.copy_from_slice(own);
            rest = after;
        }
    }

    /// The place at step length `t` along `direction`, and the slope along it there.
    fn along(&mut self, from: &Place, direction: &[f32], t: f64) -> (Place, f64) {
        let moved = from.point.iter().zip(direction).map(|(x, p)| x + t as f32 * p).collect();
        let place = self.at(moved);
        let slope = dot(&place.gradient, direction);
        (place, slope)
    }
}

/// Minimises as [`super::fit`] does, one epoch a step.
pub(super) fn fit(
    model: &mut dyn Trainable,
    task: &Task<'_>,
    options: &TrainOptions,
    mut state: State,
    (rows, held_out): (&[usize], &[usize]),
    observer: &mut dyn Observer,
) -> Result<Vec<Epoch>> {
    let rules = model.rules();
    let start = model.parameters().concat();
    let gradients = model.parameters().iter().map(|p| vec![0.0; p.len()]).collect();
    let desk = Desk::default();
    let mut function = Function { model, task, rows, options, rules, gradients, desk };
    let buffers: Vec<Vec<f32>> =
        function.model.buffers().iter().map(|buffer| buffer.to_vec()).collect();
    let mut here = function.at(start);
    if state.progress.epoch > 0 {
        // Training that never stopped did not come here twice.
        let now = function.model.buffers_mut().into_iter();
        now.zip(&buffers).for_each(|(now, then)| now.copy_from_slice(then));
    }
    while state.progress.epoch < options.epochs && !exhausted(&state.progress, options) {
        let begin = Instant::now();
        let epoch = state.progress.epoch;
        refuse_explosion(here.parts.loss, &state.progress, None)?;
        let direction = direction(&here.gradient, &state.optimizer.pairs);
        let Some((next, length)) = search(&mut function, &here, &direction) else { break };
        let step: Vec<f32> = next.point.iter().zip(&here.point).map(|(a, b)| a - b).collect();
        let change: Vec<f32> =
            next.gradient.iter().zip(&here.gradient).map(|(a, b)| a - b).collect();
        if dot(&step, &change) > 0.0 {
            state.optimizer.pairs.push((step, change));
            let surplus = state.optimizer.pairs.len().saturating_sub(MEMORY);
            state.optimizer.pairs.drain(..surplus);
        }
        here = next;
        function.put(&here.point);
        let validation =
            measure(&mut function.desk, function.model, task, held_out, &mut state.average);
        let seconds = begin.elapsed().as_secs_f64();
        let progress = &mut state.progress;
        progress.history.push(Epoch {
            epoch: epoch + 1,
            loss: here.parts.loss,
            penalty: (task.sparsity != Sparsity::None).then_some(here.parts.penalty),
            validation,
            learning_rate: length,
            batch_size: rows.len(),
            seconds,
            rows_per_second: rows.len() as f64 / seconds,
        });
        (progress.epoch, progress.steps) = (epoch + 1, progress.steps + 1);
        remember(&mut state, &*function.model, options, validation);
        let done = (epoch + 1) as f64 / options.epochs as f64;
        let (loss, rows_per_second) = (here.parts.loss, rows.len() as f64 / seconds);
        let wish = observer.step(&Step { done, epoch, loss, rows_per_second });
        if wish != Wish::GoOn {
            observer.checkpoint(&state.save(&*function.model))?;
        }
        if wish == Wish::Stop {
            return Err(interrupted());
        }
        if state.progress.history.last().is_some_and(|last| observer.epoch(last).is_break()) {
            break;
        }
    }
    function.put(&here.point);
    state.finish(function.model);
    Ok(state.progress.history)
}

/// −H g by the two-loop recursion.
fn direction(gradient: &[f32], pairs: &[Pair]) -> Vec<f32> {
    let mut q = gradient.to_vec();
    let mut weights = Vec::with_capacity(pairs.len());
    for (step, change) in pairs.iter().rev() {
        let weight = dot(step, &q) / dot(step, change);
        add(&mut q, -weight, change);
        weights.push(weight);
    }
    let scale = match pairs.last() {
        Some((step, change)) => dot(step, change) / dot(change, change),
        None => {
            let size: f64 = gradient.iter().map(|g| f64::from(g.abs())).sum();
            (1.0 / size).min(1.0)
        }
    };
    q.iter_mut().for_each(|value| *value *= scale as f32);
    for ((step, change), weight) in pairs.iter().zip(weights.into_iter().rev()) {
        let correction = weight - dot(change, &q) / dot(step, change);
        add(&mut q, correction, step);
    }
    q.iter_mut().for_each(|value| *value = -*value);
    q
}

/// A step length that satisfies the strong Wolfe conditions, or the best that was found; `None` where
/// no step goes down any more.
fn search(function: &mut Function<'_>, from: &Place, direction: &[f32]) -> Option<(Place, f64)> {
    let slope = dot(&from.gradient, direction);
    if slope >= 0.0 || !slope.is_finite() {
        return None;
    }
    let enough = |t: f64, value: f64| value <= from.value + DECREASE * t * slope;
    // Between `low`, which goes down, and `high` there is a step that satisfies both.
    let mut low = (0.0, from.value, slope);
    let mut high: Option<(f64, f64)> = None;
    let mut best: Option<(Place, f64)> = None;
    let mut t = 1.0;
    for _ in 0..TRIES {
        let (place, here) = function.along(from, direction, t);
        let value = place.value;
        if !value.is_finite() || !enough(t, value) || value >= low.1 && low.0 > 0.0 {
            high = Some((t, value));
        } else {
            let satisfied = here.abs() <= CURVATURE * slope.abs();
            if best.as_ref().is_none_or(|(best, _)| value < best.value) {
                best = Some((place, t));
            }
            if satisfied {
                return best;
            }
            // The slope tells on which side of the new point the minimum lies.
            let downhill_to_high = here * high.map_or(1.0, |(end, _)| end - t) >= 0.0;
            if downhill_to_high {
                high = Some((low.0, low.1));
            }
            low = (t, value, here);
        }
        t = match high {
            None => 2.0 * t,
            Some(high) => between(low, high),
        };
    }
    best
}

/// The minimum of the parabola through two values and a slope, kept away from both ends.
fn between((t, value, slope): (f64, f64, f64), (end, end_value): (f64, f64)) -> f64 {
    let width = end - t;
    let curvature = 2.0 * (end_value - value - slope * width) / (width * width);
    let minimum = t - slope / curvature;
    let (near, far) = (t + 0.1 * width, t + 0.9 * width);
    let (least, most) = (near.min(far), near.max(far));
    if minimum.is_finite() && end_value.is_finite() {
        minimum.clamp(least, most)
    } else {
        t + 0.5 * width
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

fn add(to: &mut [f32], factor: f64, what: &[f32]) {
    to.iter_mut().zip(what).for_each(|(to, what)| *to += factor as f32 * what);
}
