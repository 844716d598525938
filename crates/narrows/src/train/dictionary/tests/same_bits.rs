//! The same bits: alone or with others, on any number of threads, gone on with after any step.

use std::borrow::Cow;

use serde_json::Value;

use super::{drawn, one_of_each};
use crate::compute::Matrix;
use crate::error::Result;
use crate::train::Wish;
use crate::train::dictionary::{
    DictionaryCheckpoint, DictionaryObserver, DictionaryOptions, DictionaryProgress,
    DictionaryStep, DictionaryTask, DictionaryTraining, fit_dictionaries,
};

const ROWS: usize = 330;
const INPUT: usize = 13;
const STEPS: usize = 14;

/// Where training stood after a step, as it would lie in a file.
#[derive(Debug, Clone, PartialEq)]
struct Moment {
    progress: Value,
    vectors: Vec<(String, Vec<u32>)>,
}

/// Keeps every moment.
#[derive(Default)]
struct Watch(Vec<Moment>);

impl DictionaryObserver for Watch {
    fn step(&mut self, _: &DictionaryStep) -> Wish {
        Wish::Checkpoint
    }

    fn checkpoint(&mut self, checkpoint: &DictionaryCheckpoint<'_>) -> Result<()> {
        let progress = serde_json::to_value(&checkpoint.progress).expect("numbers and names");
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect();
        let vectors = checkpoint.vectors.iter().map(|(name, own)| (name.clone(), bits(own)));
        self.0.push(Moment { progress, vectors: vectors.collect() });
        Ok(())
    }
}

impl Moment {
    fn checkpoint(&self) -> DictionaryCheckpoint<'static> {
        let progress: DictionaryProgress =
            serde_json::from_value(self.progress.clone()).expect("what was written");
        let floats = |bits: &[u32]| bits.iter().map(|&own| f32::from_bits(own)).collect();
        let named = self.vectors.iter();
        let vectors = named.map(|(name, own)| (name.clone(), Cow::Owned(floats(own))));
        DictionaryCheckpoint { progress, vectors: vectors.collect() }
    }

    /// Without the time that it took.
    fn timeless(mut self) -> Self {
        for part in ["since", "history"] {
            for line in self.progress[part].as_array_mut().expect("a list") {
                line["seconds"] = 0.0.into();
            }
        }
        self
    }

    /// What belongs to one dictionary of several.
    fn of(&self, index: usize) -> Vec<(&str, &[u32])> {
        let prefix = format!("{index}.");
        let own = self.vectors.iter();
        own.filter_map(|(name, bits)| Some((name.strip_prefix(&prefix)?, &bits[..]))).collect()
    }
}

/// Dictionaries of all kinds, with dead latents that are revived or drawn anew and steered weights, of more
/// pieces than one, and of three widths, so that each finds on the desk what a wider or narrower one left.
fn class() -> Vec<DictionaryOptions> {
    let of_widths = [70, 150, 20].map(one_of_each);
    let places = 0..of_widths[0].len();
    let of_kinds = places.map(|place| (place, of_widths[place % 3][place].1.clone()));
    let own = of_kinds.map(|(place, options)| DictionaryOptions {
        dead_after: 60,
        revival_k: Some(3),
        sparsity_weight: 20.0 * options.sparsity_weight,
        seed: place as u64,
        resample_at: if place % 3 == 1 && !options.tied { vec![250, 400] } else { Vec::new() },
        target_l0: options.target_l0.or((place % 2 == 0 && options.penalised()).then_some(5.0)),
        ..options
    });
    own.collect()
}

fn train(options: &[DictionaryOptions], from: Option<&Moment>) -> Vec<Moment> {
    let rows: Matrix = drawn("rows", ROWS, INPUT, 1.0);
    let training = DictionaryTraining {
        rows: Some(STEPS as u64 * 50),
        batch_size: 50,
        learning_rate: Some(0.05),
        warm_up: 0.2,
        sparsity_warm_up: 0.3,
        k_warm_up: 0.5,
        log_every: Some(120),
        seed: 4,
        ..DictionaryTraining::default()
    };
    let task = DictionaryTask { rows: &rows, targets: None };
    let mut watch = Watch::default();
    let from = from.map(Moment::checkpoint);
    fit_dictionaries(&task, options, &training, from, &mut watch).expect("trains");
    watch.0.into_iter().map(Moment::timeless).collect()
}

#[test]
fn dictionaries_that_learn_together_are_those_that_learn_alone() {
    let class = class();
    let together = train(&class, None);
    assert_eq!(together.len(), STEPS);
    for (index, own) in class.iter().enumerate() {
        let alone = train(std::slice::from_ref(own), None);
        for (together, alone) in together.iter().zip(&alone) {
            assert_eq!(together.of(index), alone.of(0), "{own:?}");
            let standing = &together.progress["standings"][index];
            assert_eq!(standing, &alone.progress["standings"][0], "{own:?}");
        }
    }
}

#[test]
fn the_run_has_dead_latents_and_both_ways_of_a_step() {
    let moments = train(&class(), None);
    let lines = moments[STEPS - 1].progress["history"].as_array().expect("a list");
    assert!(lines.iter().any(|line| line["revival"].as_f64() > Some(0.0)));
    let density = |moment: &Moment, index: usize| {
        moment.progress["standings"][index]["density"].as_f64().expect("a number")
    };
    let emptied = |index: usize| {
        density(&moments[0], index) > 0.15 && density(&moments[STEPS - 1], index) < 0.15
    };
    assert!((0..class().len()).any(emptied));
}

#[test]
fn threads_change_no_bit() {
    let class = class();
    let expected = train(&class, None);
    for threads in [1, 2, 5] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        assert!(pool.install(|| train(&class, None)) == expected, "{threads} threads");
    }
}

#[test]
fn training_goes_on_after_any_step_as_if_it_had_not_stopped() {
    let class = class();
    let whole = train(&class, None);
    for (step, moment) in whole.iter().enumerate() {
        let rest = train(&class, Some(moment));
        assert!(rest == whole[step + 1..], "gone on with after step {}", step + 1);
    }
}
