//! Features explained by a language model that is asked over the network, and how well that explanation
//! predicts them.
//!
//! ```text
//! fragments of 64 tokens; of a feature the 20 with the largest activation a, and some drawn from all
//! explain    5 of the 20 → a sentence              tokens with ⌊10·a / largest a⌋
//! simulate   the sentence, 5 others of the 20, 5 drawn → s, 0 to 10, of every token
//!            score = corr(a, s) over all tokens of the 10; 0 where s is the same everywhere
//! detect     the sentence, the same 10 in random order, 5 at a time → which of them activate the feature
//!            balanced accuracy = (share of those that do and are said to + share of those that do not and are
//!            said not to) / 2
//! ```
//!
//! The endpoint takes `POST URL/chat/completions` as OpenAI's does. Answers are kept in a folder under the hash
//! of the request, so that a run that was stopped goes on where it was, and one that is made again asks
//! nothing but what came back empty or cut off. An answer that cannot be read counts as failed and is left out of the score.
//!
//! Source: S. Bills et al., Language models can explain neurons in language models (2023), with the numbers of
//! fragments of H. Cunningham et al. (2023); detection is that of G. Paulo et al., Automatically interpreting
//! millions of features in large language models (2024).
//! Differs from: Bills et al. take the expected value of each simulated activation from the probabilities of
//! the answer's tokens; endpoints seldom tell those, so one number for each token is asked for, all tokens of a
//! fragment at once (their "all at once" variant), each line numbered so that a line that is left out is noticed.

mod answers;
mod cache;
mod endpoint;
mod fragments;
mod prompts;
mod protocol;
#[cfg(test)]
mod tests;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use narrows::Result;
use serde::Serialize;

pub use endpoint::{Endpoint, EndpointOptions, Limit, Spent};
pub use fragments::{CollectOptions, FeatureFragments, Fragment, collect};
pub use prompts::Prompts;
pub use protocol::{Detection, Interpretation};

use crate::lexical::Mean;
use protocol::interpret_one;

/// What explanations are tried with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Activations are simulated.
    Simulate,
    /// Fragments that activate are told from others.
    Detect,
    /// Both.
    Both,
}

/// How features are interpreted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InterpretOptions {
    /// What explanations are tried with.
    pub method: Method,
    /// Requests that are under way at the same time, at most.
    pub concurrency: usize,
    /// Names the choice of fragments and their order.
    pub seed: u64,
}

/// What was found out about features.
#[derive(Debug, Clone, PartialEq)]
pub struct Interpreted {
    /// The features that were finished, in the order in which they were given.
    pub features: Vec<Interpretation>,
    /// Whether all were; else the budget is spent.
    pub finished: bool,
}

/// All of them together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Features that were finished.
    pub features: usize,
    /// Whether all were; else the budget is spent.
    pub finished: bool,
    /// Those with an explanation.
    pub explained: usize,
    /// The score of simulations.
    pub score: Option<Mean>,
    /// The balanced accuracy of detections.
    pub detection: Option<Mean>,
    /// Answers that could not be read.
    pub failed: usize,
    /// What this run asked for.
    pub spent: Spent,
}

impl Interpreted {
    /// All of them together.
    pub fn summary(&self, spent: Spent) -> Summary {
        let mean = |value: fn(&Interpretation) -> Option<f64>| {
            let values: Vec<f64> = self.features.iter().filter_map(value).collect();
            (!values.is_empty()).then(|| Mean::of(values.into_iter()))
        };
        Summary {
            features: self.features.len(),
            finished: self.finished,
            explained: self.features.iter().filter(|f| f.explanation.is_some()).count(),
            score: mean(|f| f.score),
            detection: mean(|f| f.detection.as_ref().and_then(|d| d.balanced_accuracy)),
            failed: self.features.iter().map(|f| f.failed.len()).sum(),
            spent,
        }
    }
}

/// Explains features and tries the explanations; `told` hears how many are done.
///
/// # Errors
/// If the endpoint cannot be reached, refuses, or answers what is no answer. What it answered before is kept.
pub fn interpret(
    endpoint: &Endpoint,
    prompts: &Prompts,
    features: &[FeatureFragments],
    options: &InterpretOptions,
    told: &mut (dyn FnMut(usize) + Send),
) -> Result<Interpreted> {
    let next = AtomicUsize::new(0);
    let stopped = AtomicBool::new(false);
    let found: Vec<Mutex<Option<Result<Option<Interpretation>>>>> =
        features.iter().map(|_| Mutex::new(None)).collect();
    let told = Mutex::new((0, told));
    let work = || {
        while !stopped.load(Ordering::Relaxed) {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(feature) = features.get(place) else { return };
            let one = interpret_one(endpoint, prompts, feature, options);
            if !matches!(one, Ok(Some(_))) {
                stopped.store(true, Ordering::Relaxed);
            }
            *held(&found[place]) = Some(one);
            let (done, told) = &mut *held(&told);
            *done += 1;
            told(*done);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..options.concurrency.clamp(1, features.len().max(1)) {
            scope.spawn(work);
        }
    });
    let mut interpretations = Vec::new();
    for one in found {
        let one = one.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(Some(one)) = one.transpose()? {
            interpretations.push(one);
        }
    }
    let finished = interpretations.len() == features.len();
    Ok(Interpreted { features: interpretations, finished })
}

/// What is behind a lock, whatever happened to the thread that held it.
fn held<T>(lock: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
