//! Sets of features patched in many pairs at once.

use narrows::compute::{Matrix, log_softmax_rows};
use narrows::{Error, Result};
use serde::{Deserialize, Serialize};

use super::pairs::{Pair, check_pairs};
use crate::basis::Basis;
use crate::lexical::Mean;
use crate::model::{LanguageModel, NoHook, Pass, Site, Tap};
use crate::steer::divergence;
use crate::text::Windows;

/// Tokens that go on from the tap at once.
const TOKENS: usize = 4096;
/// Thresholds τ of removal, as shares of the KL when nothing is replaced, in rising order.
const THRESHOLDS: [f64; 10] = [0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4];

/// How sets of features are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Those with the largest effect alone.
    Effect,
    /// Those that are left when what does little is taken away.
    Removal,
}

/// A set of features and what it does, over the pairs that are reported.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Point {
    /// Features that are replaced.
    pub features: usize,
    /// Mean ‖x' − x‖.
    pub edit: f64,
    /// Mean KL to the target.
    pub kl: f64,
    /// Its standard error.
    pub standard_error: f64,
}

/// What sets of features of a basis do.
#[derive(Debug, Clone, Serialize)]
pub struct Curve {
    /// The basis.
    pub basis: String,
    /// How sets were found.
    pub method: Method,
    /// In rising order of features, from none.
    pub points: Vec<Point>,
    /// Features in falling order of their effect on the pairs that they were ordered on, at most 50.
    pub first: Vec<usize>,
}

/// Pairs, run to a tap.
pub struct Experiment<'a> {
    model: &'a LanguageModel,
    tap: Tap,
    /// Tokens of the longest prompt; shorter ones are filled up behind their end, which they do not see.
    length: usize,
    pairs: Vec<Prepared>,
}

struct Prepared {
    base: Matrix,
    target: Matrix,
    /// The last position of the prompts.
    last: usize,
    /// ln p̄.
    wanted: Vec<f32>,
}

/// The change of one feature in one pair, at each position where there is one: in the scale of the base row.
type Change = Vec<(usize, f32)>;

/// The changes of each feature in each pair: `[pair][feature place]`.
struct Changes {
    features: Vec<usize>,
    of: Vec<Vec<Change>>,
}

impl<'a> Experiment<'a> {
    /// Runs all prompts to the tap and on.
    ///
    /// # Errors
    /// If there are too few pairs, or the tap is not after a block.
    pub fn new(model: &'a LanguageModel, tap: Tap, pairs: &[Pair]) -> Result<Self> {
        check_pairs(pairs)?;
        if tap.site != Site::ResidualPost {
            return Err(Error::mistake(
                "patch",
                "a tap after a block, such as blocks.1.residual_post",
                tap.to_string(),
                "give another --tap",
            ));
        }
        let length = pairs.iter().map(|pair| pair.base.len()).max().unwrap_or(1);
        let mut experiment = Self { model, tap, length, pairs: Vec::new() };
        let mut pass = Pass::default();
        for pair in pairs {
            let mut rows = [Matrix::default(), Matrix::default()];
            for (tokens, rows) in [&pair.base, &pair.target].into_iter().zip(&mut rows) {
                let mut filled = tokens.clone();
                filled.resize(length, tokens[0]);
                let windows = Windows::new(filled, length);
                model.run_to(&windows, Some(tap), &mut pass, &mut NoHook)?;
                rows.clone_from(&pass.rows);
            }
            let [base, target] = rows;
            let last = pair.base.len() - 1;
            let wanted = experiment.go_on(&[(&target, last)], &mut pass)?.row(0).to_vec();
            experiment.pairs.push(Prepared { base, target, last, wanted });
        }
        Ok(experiment)
    }

    /// Pairs on which features are put in order, and pairs that are reported.
    pub fn split(&self) -> [usize; 2] {
        let ordered = self.pairs.len() / 2;
        [ordered, self.pairs.len() - ordered]
    }

    /// ln p of the next token for rows at the tap, of sequences with a last position.
    fn go_on(&self, sequences: &[(&Matrix, usize)], pass: &mut Pass) -> Result<Matrix> {
        let d = self.model.architecture.width;
        pass.rows.reshape(sequences.len() * self.length, d);
        let filled = pass.rows.as_mut_slice().chunks_exact_mut(self.length * d);
        filled.zip(sequences).for_each(|(out, (rows, _))| out.copy_from_slice(rows.as_slice()));
        let blocks = self.tap.block + 1..self.model.architecture.layers;
        self.model.run_blocks(blocks, self.length, pass, &mut NoHook)?;
        let places = sequences.iter().enumerate();
        let last: Vec<usize> =
            places.map(|(place, (_, last))| place * self.length + last).collect();
        let mut logits = self.model.next_logits(pass, &last);
        log_softmax_rows(&mut logits);
        Ok(logits)
    }

    /// How features of a basis change from base to target.
    fn changes(&self, basis: &Basis) -> Result<Changes> {
        basis.check(self.model.architecture.width)?;
        let mut of: Vec<Vec<(usize, usize, f32)>> = Vec::new();
        for pair in &self.pairs {
            let (base, target) = (basis.encode(&pair.base)?, basis.encode(&pair.target)?);
            let stretches = basis.stretches(&pair.base);
            let mut own = Vec::new();
            for (position, &stretch) in stretches.iter().enumerate().take(pair.last + 1) {
                let mut both: Vec<(u32, f32)> = Vec::new();
                let (features, values) = base.row(position);
                both.extend(features.iter().zip(values).map(|(&f, &v)| (f, -v)));
                let (features, values) = target.row(position);
                both.extend(features.iter().zip(values).map(|(&f, &v)| (f, v)));
                both.sort_by_key(|(feature, _)| *feature);
                for group in both.chunk_by(|a, b| a.0 == b.0) {
                    let change: f32 = group.iter().map(|(_, change)| change).sum();
                    if change != 0.0 {
                        own.push((group[0].0 as usize, position, change * stretch));
                    }
                }
            }
            of.push(own);
        }
        let mut features: Vec<usize> = of.iter().flatten().map(|(feature, ..)| *feature).collect();
        features.sort_unstable();
        features.dedup();
        let grouped = of.into_iter().map(|own| {
            let mut changes = vec![Change::new(); features.len()];
            for (feature, position, change) in own {
                if let Ok(place) = features.binary_search(&feature) {
                    changes[place].push((position, change));
                }
            }
            changes
        });
        Ok(Changes { of: grouped.collect(), features })
    }

    /// Base rows of a pair with a set of features replaced, and the size of the edit.
    fn patched(
        &self,
        basis: &Basis,
        changes: &Changes,
        pair: usize,
        set: &[usize],
    ) -> (Matrix, f64) {
        let base = &self.pairs[pair].base;
        let mut rows = base.clone();
        let d = rows.cols();
        for &place in set {
            for &(position, change) in &changes.of[pair][place] {
                let row = &mut rows.as_mut_slice()[position * d..(position + 1) * d];
                basis.add(row, changes.features[place], change);
            }
        }
        let apart = rows.as_slice().iter().zip(base.as_slice());
        let square: f64 = apart.map(|(a, b)| f64::from(a - b).powi(2)).sum();
        (rows, square.sqrt())
    }

    /// KL to the target and size of the edit of each `(pair, set)`.
    fn measure(
        &self,
        basis: &Basis,
        changes: &Changes,
        asked: &[(usize, &[usize])],
    ) -> Result<Vec<(f64, f64)>> {
        let mut pass = Pass::default();
        let mut found = Vec::with_capacity(asked.len());
        for chunk in asked.chunks((TOKENS / self.length).max(1)) {
            let patched: Vec<(Matrix, f64)> =
                chunk.iter().map(|(pair, set)| self.patched(basis, changes, *pair, set)).collect();
            let sequences: Vec<(&Matrix, usize)> = patched
                .iter()
                .zip(chunk)
                .map(|((rows, _), (pair, _))| (rows, self.pairs[*pair].last))
                .collect();
            let logs = self.go_on(&sequences, &mut pass)?;
            for (place, (pair, _)) in chunk.iter().enumerate() {
                let kl = divergence(&self.pairs[*pair].wanted, logs.row(place));
                found.push((kl, patched[place].1));
            }
        }
        Ok(found)
    }

    /// Mean KL of each set over pairs.
    fn mean_kl(
        &self,
        basis: &Basis,
        changes: &Changes,
        pairs: std::ops::Range<usize>,
        sets: &[Vec<usize>],
    ) -> Result<Vec<f64>> {
        let asked: Vec<(usize, &[usize])> =
            sets.iter().flat_map(|set| pairs.clone().map(move |pair| (pair, &set[..]))).collect();
        let found = self.measure(basis, changes, &asked)?;
        let each = found.chunks(pairs.len());
        Ok(each.map(|own| own.iter().map(|(kl, _)| kl).sum::<f64>() / own.len() as f64).collect())
    }

    /// What sets of features of a basis do. `watch` hears which part of removal is done and says whether to go on.
    ///
    /// # Errors
    /// If the basis is of rows of another width, or `watch` ends it, which is [`Error::Interrupted`].
    pub fn curve(
        &self,
        basis: &Basis,
        method: Method,
        watch: &mut dyn FnMut(f64) -> bool,
    ) -> Result<Curve> {
        let changes = self.changes(basis)?;
        let [ordered, _] = self.split();
        let alone: Vec<Vec<usize>> = (0..changes.features.len()).map(|place| vec![place]).collect();
        let effects = self.mean_kl(basis, &changes, 0..ordered, &alone)?;
        let mut order: Vec<usize> = (0..alone.len()).collect();
        order.sort_by(|&a, &b| effects[a].total_cmp(&effects[b]).then(a.cmp(&b)));
        let mut sets: Vec<Vec<usize>> = match method {
            Method::Effect => first_of(&order),
            Method::Removal => self.removed(basis, &changes, &order, watch)?,
        };
        sets.sort_by_key(Vec::len);
        sets.dedup();
        let points =
            sets.iter().map(|set| self.point(basis, &changes, set)).collect::<Result<_>>()?;
        let first = order.iter().take(50).map(|&place| changes.features[place]).collect();
        Ok(Curve { basis: basis.name.clone(), method, points, first })
    }

    /// The sets that are left at each threshold, beside none and all. Each begins from what the threshold before left.
    fn removed(
        &self,
        basis: &Basis,
        changes: &Changes,
        order: &[usize],
        watch: &mut dyn FnMut(f64) -> bool,
    ) -> Result<Vec<Vec<usize>>> {
        let [ordered, _] = self.split();
        let kl = |set: &Vec<usize>| -> Result<f64> {
            let found = self.mean_kl(basis, changes, 0..ordered, std::slice::from_ref(set))?;
            Ok(found[0])
        };
        let nothing = kl(&Vec::new())?;
        let mut sets = vec![Vec::new(), order.to_vec()];
        let mut left = order.to_vec();
        for (done, threshold) in THRESHOLDS.into_iter().enumerate() {
            let mut current = kl(&left)?;
            let from = left.len();
            for (step, place) in left.clone().into_iter().rev().enumerate() {
                let part = done as f64 + step as f64 / from as f64;
                if !watch(part / THRESHOLDS.len() as f64) {
                    return Err(Error::Interrupted {
                        operation: "patch".to_owned(),
                        remedy: "nothing is kept; begin again".to_owned(),
                    });
                }
                let without: Vec<usize> =
                    left.iter().copied().filter(|&own| own != place).collect();
                let after = kl(&without)?;
                if after - current < threshold * nothing {
                    (left, current) = (without, after);
                }
            }
            sets.push(left.clone());
        }
        Ok(sets)
    }

    fn point(&self, basis: &Basis, changes: &Changes, set: &[usize]) -> Result<Point> {
        let [ordered, _] = self.split();
        let asked: Vec<(usize, &[usize])> =
            (ordered..self.pairs.len()).map(|pair| (pair, set)).collect();
        let found = self.measure(basis, changes, &asked)?;
        let [kl, standard_error] = Mean::of(found.iter().map(|(kl, _)| *kl)).with_error();
        let edit = Mean::of(found.iter().map(|(_, edit)| *edit)).mean;
        Ok(Point { features: set.len(), edit, kl, standard_error })
    }
}

/// The first 0, 1, 2, 3, 4, 6, 8, 12, 16, … of an order, and all of it.
fn first_of(order: &[usize]) -> Vec<Vec<usize>> {
    let mut sizes = vec![0, 1, 2, 3];
    let mut size = 4;
    while size < order.len() {
        sizes.extend([size, size + size / 2]);
        size *= 2;
    }
    sizes.push(order.len());
    sizes.retain(|&size| size <= order.len());
    sizes.into_iter().map(|size| order[..size].to_vec()).collect()
}
