//! The scores of one feature.

use std::collections::BTreeMap;

use serde::Serialize;

use super::contexts::{Context, Contexts};
use super::rules::{Means, Sums};
use super::sets::CellSet;
use super::{Rule, scores::f1};

/// Contexts of a set that are told.
const TOLD: usize = 12;
/// What a rule has to gain over a simpler one: in the share of the variance, and in F1.
const GAIN: f64 = 1e-3;
/// Firings on rows that are fitted on, at least.
pub(super) const FEWEST: u32 = 10;

/// How well rules predict a feature on text that they were not fitted on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FeatureScore {
    /// Its number in the basis.
    pub feature: usize,
    /// Whether the negative side of its codes was taken.
    pub negative: bool,
    /// The share of all rows on which it fires.
    pub density: f64,
    /// The rule that was chosen on the fitting windows.
    pub rule: Rule,
    /// corr(a, â) of that rule.
    pub correlation: f64,
    /// As `correlation`, of what is left of the activation where it fires, with the rule chosen for that.
    pub matched_correlation: f64,
    /// corr(a, â) of every rule.
    pub by_rule: BTreeMap<Rule, f64>,
    /// Its best set.
    pub set: SetScore,
    /// Its best set of single tokens.
    pub token_set: SetScore,
}

/// How well a set says where a feature fires.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SetScore {
    /// Of which rule the set is.
    pub rule: Rule,
    /// The share of rows in the set on which it fires.
    pub precision: f64,
    /// The share of rows on which it fires that are in the set.
    pub recall: f64,
    /// Their harmonic mean.
    pub f1: f64,
    /// Number of contexts in the set, of those that the fitting windows have.
    pub size: usize,
    /// Those of them with the most firings, at most 12.
    pub contexts: Vec<Context>,
}

/// What a feature does on the text.
pub(super) enum Found {
    /// It fires nowhere.
    Dead,
    /// It fires too seldom to be scored.
    Rare,
    /// Its scores.
    Scored(Box<FeatureScore>),
}

/// Activations `(row, a > 0)` of a feature.
pub(super) struct Activations {
    pub(super) feature: usize,
    pub(super) negative: bool,
    /// All that are above 0.
    pub(super) all: Vec<(u32, f32)>,
    /// q: it fires above this.
    pub(super) threshold: f32,
}

/// A rule and its correlations, chosen and measured.
struct Predicted {
    rule: Rule,
    by_rule: BTreeMap<Rule, f64>,
}

impl Predicted {
    fn new(contexts: &Contexts, sums: &Sums) -> Self {
        let mut by_rule = BTreeMap::new();
        let mut errors = BTreeMap::new();
        for (chain, cells) in contexts.chains.iter().zip(&sums.cells) {
            let means =
                Means::of_chain(chain, cells, contexts.fitted(), sums.all.sum, |cell| cell.sum);
            for (place, &rule) in chain.rules.iter().enumerate() {
                let (level, cells, means) = (&chain.levels[place], &cells[place], &means[place]);
                by_rule.insert(rule, sums.held_out_correlation(level, cells, means));
                errors.insert(rule, means.error_without_itself(level, cells));
            }
        }
        let total = sums.spread(contexts.fitted());
        let better = |best: Rule, rule: Rule| match errors[&rule] < errors[&best] - GAIN * total {
            true => rule,
            false => best,
        };
        Self { rule: Rule::ALL.into_iter().fold(Rule::Current, better), by_rule }
    }

    fn correlation(&self) -> f64 {
        self.by_rule[&self.rule]
    }
}

impl Activations {
    /// Measures the feature.
    pub(super) fn score(&self, contexts: &Contexts) -> Found {
        if self.all.is_empty() {
            return Found::Dead;
        }
        let firing: Vec<(u32, f32)> =
            self.all.iter().copied().filter(|(_, a)| *a > self.threshold).collect();
        let sums = Sums::new(contexts, &firing);
        if sums.all.fires < FEWEST || sums.all.held_fires == 0 {
            return Found::Rare;
        }
        let matched = Predicted::new(contexts, &sums);
        let whole = (firing.len() < self.all.len())
            .then(|| Predicted::new(contexts, &Sums::new(contexts, &self.all)));
        let matched_correlation = matched.correlation();
        let told = whole.unwrap_or(matched);
        let (set, token_set) = sets(contexts, &sums);
        Found::Scored(Box::new(FeatureScore {
            feature: self.feature,
            negative: self.negative,
            density: firing.len() as f64 / contexts.rows() as f64,
            rule: told.rule,
            correlation: told.correlation(),
            matched_correlation,
            by_rule: told.by_rule,
            set,
            token_set,
        }))
    }
}

/// The best set and the best one of single tokens.
fn sets(contexts: &Contexts, sums: &Sums) -> (SetScore, SetScore) {
    let fires = f64::from(sums.all.fires);
    let base = fires / contexts.fitted() as f64;
    let shares: Vec<Vec<Means>> = contexts
        .chains
        .iter()
        .zip(&sums.cells)
        .map(|(chain, cells)| {
            let fitted = contexts.fitted();
            Means::of_chain(chain, cells, fitted, fires, |cell| f64::from(cell.fires))
        })
        .collect();
    let place = |rule: Rule| match rule {
        Rule::Current => (0, 0),
        Rule::Bigram => (0, 1),
        Rule::Trigram => (0, 2),
        Rule::Previous => (1, 0),
        Rule::Position => (2, 0),
    };
    let choose = |rule: Rule| {
        let (chain, level) = place(rule);
        let cells = &sums.cells[chain][level];
        CellSet::choose(&contexts.chains[chain].levels[level], cells, &shares[chain][level], base)
    };
    let told = |rule: Rule, set: &CellSet| {
        let (chain, level) = place(rule);
        let (cells, shares) = (&sums.cells[chain][level], &shares[chain][level]);
        let level = &contexts.chains[chain].levels[level];
        let (precision, recall) = set.held_out(level, cells, shares);
        let mut inside: Vec<usize> = (0..cells.len())
            .filter(|&cell| level.fitted[cell] > 0 && shares.of[cell].mean >= set.threshold)
            .collect();
        let size = inside.len();
        inside.sort_by_key(|&cell| std::cmp::Reverse(cells[cell].fires));
        inside.truncate(TOLD);
        let context = |cell: usize| {
            let (rows, fires) = (level.fitted[cell] as usize, cells[cell].fires as usize);
            contexts.told(rule, level.witness[cell], rows, fires)
        };
        let contexts = inside.into_iter().map(context).collect();
        SetScore { rule, precision, recall, f1: f1(precision, recall), size, contexts }
    };
    let chosen = Rule::ALL.map(|rule| (rule, choose(rule)));
    let tokens = chosen[0];
    let best = chosen.into_iter().fold(tokens, |best, next| {
        if next.1.fitted_f1 > best.1.fitted_f1 + GAIN { next } else { best }
    });
    (told(best.0, &best.1), told(Rule::Current, &tokens.1))
}
