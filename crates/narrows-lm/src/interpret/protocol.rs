//! One feature: explained, simulated, detected.

use narrows::Result;
use narrows::random::Random;
use serde::Serialize;

use super::answers::{as_text, detection, explanation, numbered, simulation, with_activations};
use super::endpoint::Endpoint;
use super::fragments::{FeatureFragments, Fragment};
use super::prompts::Prompts;
use super::{InterpretOptions, Method};

/// Fragments that are explained, and of either kind that explanations are tried on.
const SHOWN: usize = 5;
/// Fragments that one request of a detection shows.
const BATCH: usize = 5;
/// Tokens of an answer, at most: of a sentence (and what is thought before it), of a token's line, and of a list.
const SENTENCE: usize = 512;
const LINE: usize = 16;
const LIST: usize = 512;

/// What was found out about a feature.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Interpretation {
    /// Its number.
    pub feature: usize,
    /// What it is looking for; none if the answer could not be read.
    pub explanation: Option<String>,
    /// corr(a, s) over all fragments whose simulation could be read.
    pub score: Option<f64>,
    /// The same over those with large activations alone.
    pub top_score: Option<f64>,
    /// The same over those that were drawn alone.
    pub random_score: Option<f64>,
    /// How well fragments that activate it are told from others.
    pub detection: Option<Detection>,
    /// What was asked for but could not be read.
    pub failed: Vec<String>,
}

/// How well fragments that activate a feature are told from others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Detection {
    /// Fragments that activate it, and those that are said to.
    pub active: usize,
    /// Of these, those that are said to.
    pub active_found: usize,
    /// Fragments that do not.
    pub inactive: usize,
    /// Of these, those that are said not to.
    pub inactive_found: usize,
    /// The mean of both shares; none where there are no fragments of a kind.
    pub balanced_accuracy: Option<f64>,
}

impl Detection {
    fn add(&mut self, active: bool, said: bool) {
        let (all, found) = match active {
            true => (&mut self.active, &mut self.active_found),
            false => (&mut self.inactive, &mut self.inactive_found),
        };
        *all += 1;
        *found += usize::from(active == said);
    }

    fn finish(mut self) -> Self {
        let share = |found: usize, all: usize| found as f64 / all as f64;
        let both = self.active > 0 && self.inactive > 0;
        self.balanced_accuracy = both.then(|| {
            f64::midpoint(
                share(self.active_found, self.active),
                share(self.inactive_found, self.inactive),
            )
        });
        self
    }
}

/// What fragments of a feature are for.
struct Parts<'a> {
    explained: Vec<&'a Fragment>,
    top: Vec<&'a Fragment>,
    random: Vec<&'a Fragment>,
}

impl<'a> Parts<'a> {
    fn choose(of: &'a FeatureFragments, seed: u64) -> Self {
        let mut order =
            Random::numbered(seed, "fragments that are explained", &[of.feature as u64]);
        let order = order.permutation(of.top.len());
        let most = SHOWN.min(of.top.len().div_ceil(2));
        let mut top = order.into_iter().map(|place| &of.top[place]);
        Self {
            explained: top.by_ref().take(most).collect(),
            top: top.take(most).collect(),
            random: of.random.iter().take(SHOWN).collect(),
        }
    }
}

/// True and simulated activations of tokens.
#[derive(Default)]
struct Pairs(Vec<(f64, f64)>);

impl Pairs {
    fn push(&mut self, fragment: &Fragment, simulated: &[f32]) {
        let pairs = fragment.activations.iter().zip(simulated);
        self.0.extend(pairs.map(|(&a, &s)| (f64::from(a), f64::from(s))));
    }

    /// None without tokens or where a is the same everywhere; 0 where s is.
    fn correlation(&self) -> Option<f64> {
        let count = self.0.len() as f64;
        let sums = self.0.iter().fold((0.0, 0.0), |(a, s), pair| (a + pair.0, s + pair.1));
        let (mean_a, mean_s) = (sums.0 / count, sums.1 / count);
        let [common, own, simulated] = self.0.iter().fold([0.0; 3], |[c, x, y], (a, s)| {
            let (a, s) = (a - mean_a, s - mean_s);
            [c + a * s, x + a * a, y + s * s]
        });
        let known = own > 0.0;
        known.then(|| if simulated > 0.0 { common / (own * simulated).sqrt() } else { 0.0 })
    }
}

/// Explains a feature and tries the explanation; `None` if the budget ended before.
pub(super) fn interpret_one(
    endpoint: &Endpoint,
    prompts: &Prompts,
    of: &FeatureFragments,
    options: &InterpretOptions,
) -> Result<Option<Interpretation>> {
    let parts = Parts::choose(of, options.seed);
    let mut found = Interpretation {
        feature: of.feature,
        explanation: None,
        score: None,
        top_score: None,
        random_score: None,
        detection: None,
        failed: Vec::new(),
    };
    let shown = with_activations(&parts.explained);
    let asked = prompts.explain.user(&[("{fragments}", &shown)]);
    let Some(answer) = endpoint.ask(&prompts.explain.system, &asked, SENTENCE)? else {
        return Ok(None);
    };
    let Some(explained) = explanation(&answer) else {
        found.failed.push("the explanation is empty".to_owned());
        return Ok(Some(found));
    };
    found.explanation = Some(explained.clone());
    let whole = match options.method {
        Method::Simulate => simulate(endpoint, prompts, &explained, &parts, &mut found)?,
        Method::Detect => detect(endpoint, prompts, &explained, &parts, options.seed, &mut found)?,
        Method::Both => {
            simulate(endpoint, prompts, &explained, &parts, &mut found)?
                && detect(endpoint, prompts, &explained, &parts, options.seed, &mut found)?
        }
    };
    Ok(whole.then_some(found))
}

/// Lets activations be simulated; false if the budget ended before.
fn simulate(
    endpoint: &Endpoint,
    prompts: &Prompts,
    explained: &str,
    parts: &Parts<'_>,
    found: &mut Interpretation,
) -> Result<bool> {
    let (mut all, mut top, mut random) = (Pairs::default(), Pairs::default(), Pairs::default());
    let kinds = [(&parts.top, &mut top, "top"), (&parts.random, &mut random, "random")];
    for (fragments, pairs, kind) in kinds {
        for (number, fragment) in (1..).zip(fragments) {
            let tokens = numbered(fragment);
            let asked =
                prompts.simulate.user(&[("{explanation}", explained), ("{tokens}", &tokens)]);
            let most = LINE * fragment.tokens.len();
            let Some(answer) = endpoint.ask(&prompts.simulate.system, &asked, most)? else {
                return Ok(false);
            };
            let Some(simulated) = simulation(&answer, fragment.tokens.len()) else {
                let what = format!(
                    "the simulation of {kind} fragment {number}: not one number from 0 to 10 for each token"
                );
                found.failed.push(what);
                continue;
            };
            pairs.push(fragment, &simulated);
            all.push(fragment, &simulated);
        }
    }
    found.score = all.correlation();
    found.top_score = top.correlation();
    found.random_score = random.correlation();
    Ok(true)
}

/// Lets fragments that activate be told from others; false if the budget ended before.
fn detect(
    endpoint: &Endpoint,
    prompts: &Prompts,
    explained: &str,
    parts: &Parts<'_>,
    seed: u64,
    found: &mut Interpretation,
) -> Result<bool> {
    let mut shown: Vec<&Fragment> = parts.top.iter().chain(&parts.random).copied().collect();
    Random::numbered(seed, "order of fragments", &[found.feature as u64]).shuffle(&mut shown);
    let mut counts = Detection::default();
    for (number, batch) in (1..).zip(shown.chunks(BATCH)) {
        let fragments = as_text(batch);
        let filled = [("{explanation}", explained), ("{fragments}", &*fragments)];
        let asked = prompts.detect.user(&filled);
        let Some(answer) = endpoint.ask(&prompts.detect.system, &asked, LIST)? else {
            return Ok(false);
        };
        match detection(&answer, batch.len()) {
            Some(said) => batch
                .iter()
                .zip(said)
                .for_each(|(fragment, said)| counts.add(fragment.largest() > 0.0, said)),
            None => found
                .failed
                .push(format!("list {number} of the detection: not 0 or 1 for each fragment")),
        }
    }
    found.detection = Some(counts.finish());
    Ok(true)
}
