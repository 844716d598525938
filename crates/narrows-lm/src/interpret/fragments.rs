//! Fragments of a text in which features are strong, and some that are drawn.

use std::collections::{BTreeMap, BTreeSet};

use narrows::Result;
use narrows::random::Random;

use crate::basis::Basis;
use crate::harvest::Harvester;
use crate::model::{LanguageModel, Tap};
use crate::text::Windows;

/// Tokens that follow each other, and how active a feature is on each.
#[derive(Debug, Clone, PartialEq)]
pub struct Fragment {
    /// The tokens as they stand in the text.
    pub tokens: Vec<String>,
    /// One for each token.
    pub activations: Vec<f32>,
}

impl Fragment {
    /// The largest activation; 0 of no tokens.
    pub fn largest(&self) -> f32 {
        self.activations.iter().copied().fold(0.0, f32::max)
    }
}

/// Fragments of a feature.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureFragments {
    /// Its number.
    pub feature: usize,
    /// Those with the largest activation, the largest first; all of them activate it.
    pub top: Vec<Fragment>,
    /// Some that were drawn and are not among the former.
    pub random: Vec<Fragment>,
}

/// What is collected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectOptions {
    /// The features.
    pub features: Vec<usize>,
    /// Tokens of a fragment; a window is cut into as many as fit.
    pub length: usize,
    /// Fragments with the largest activation.
    pub top: usize,
    /// Fragments that are drawn.
    pub random: usize,
    /// The seed of the draws.
    pub seed: u64,
}

impl CollectOptions {
    /// 64 tokens, 20 fragments with the largest activation and 10 that are drawn.
    pub fn new(features: Vec<usize>) -> Self {
        Self { features, length: 64, top: 20, random: 10, seed: 0 }
    }
}

/// A fragment by its number, and the activations in it.
struct Held {
    fragment: usize,
    largest: f32,
    activations: Vec<f32>,
}

/// What is held of a feature.
#[derive(Default)]
struct Shelf {
    top: Vec<Held>,
    drawn: BTreeMap<usize, Vec<f32>>,
}

impl Shelf {
    /// Of fragments with the same tokens the one with the largest activation stays.
    fn offer(&mut self, held: Held, most: usize, same: impl Fn(usize, usize) -> bool) {
        let above = |other: &Held| other.largest >= held.largest;
        let place = self.top.partition_point(above);
        if place >= most {
            return;
        }
        if let Some(twin) = self.top.iter().position(|own| same(own.fragment, held.fragment)) {
            if twin < place {
                return;
            }
            self.top.remove(twin);
        }
        self.top.insert(place, held);
        self.top.truncate(most);
    }
}

/// Collects fragments of features at a tap, of those with the same tokens one. Nothing is active on the token that begins
/// a text: no dictionary has learned its rows, and the scale of all others would be that of it. `told` hears which part of
/// the text is done.
///
/// Memory: of each feature as many activations as its fragments have tokens, and of 8 windows the rows of a
/// pass and their codes.
///
/// # Errors
/// If the basis does not fit the tap.
pub fn collect(
    model: &LanguageModel,
    tap: Tap,
    basis: &Basis,
    windows: &Windows,
    options: &CollectOptions,
    told: &mut dyn FnMut(f64),
) -> Result<Vec<FeatureFragments>> {
    basis.check(tap.width(&model.architecture))?;
    let length = options.length.clamp(1, windows.length);
    let per_window = windows.length / length;
    let mut shelves = draw(options, windows.sequences() * per_window);
    let mut slot_of = vec![None; basis.features()];
    for (slot, &feature) in options.features.iter().enumerate() {
        slot_of[feature] = Some(slot);
    }
    let ids = |fragment: usize| -> &[u32] {
        let start = fragment / per_window * windows.length + fragment % per_window * length;
        &windows.tokens[start..start + length]
    };
    let same = |one: usize, other: usize| ids(one) == ids(other);
    let mut harvester = Harvester::new(model, &[tap], false);
    let mut first = 0;
    for part in windows.parts() {
        let found = harvester.run(&part)?;
        let codes = basis.encode(&found.rows[0])?;
        let mut row_of = vec![None; part.tokens.len()];
        found.places.iter().enumerate().for_each(|(row, &place)| row_of[place] = Some(row));
        for sequence in 0..part.sequences() {
            for within in 0..per_window {
                let fragment = (first + sequence) * per_window + within;
                let start = sequence * windows.length + within * length;
                let mut active: BTreeMap<usize, Vec<f32>> = BTreeMap::new();
                for within in 0..length {
                    let Some(row) = row_of[start + within] else { continue };
                    let (latents, values) = codes.row(row);
                    for (&latent, &value) in latents.iter().zip(values) {
                        if let Some(slot) = slot_of[latent as usize].filter(|_| value > 0.0) {
                            active.entry(slot).or_insert_with(|| vec![0.0; length])[within] = value;
                        }
                    }
                }
                for (slot, activations) in active {
                    if let Some(drawn) = shelves[slot].drawn.get_mut(&fragment) {
                        drawn.clone_from(&activations);
                    }
                    let largest = activations.iter().copied().fold(0.0, f32::max);
                    let held = Held { fragment, largest, activations };
                    shelves[slot].offer(held, options.top, same);
                }
            }
        }
        first += part.sequences();
        told(first as f64 / windows.sequences() as f64);
    }
    let tokens = |fragment: usize| -> Vec<String> {
        ids(fragment).iter().map(|&id| model.tokenizer.token(id)).collect()
    };
    let of = |(&feature, mut shelf): (&usize, Shelf)| {
        // What is told from what activates a feature is not to be the same text again.
        let mut met: BTreeSet<&[u32]> = shelf.top.iter().map(|held| ids(held.fragment)).collect();
        shelf.drawn.retain(|&fragment, _| met.insert(ids(fragment)));
        finish(feature, shelf, length, options.random, tokens)
    };
    Ok(options.features.iter().zip(shelves).map(of).collect())
}

/// Draws fragments for each feature: more than are wanted, since some may be among those with the largest
/// activation.
fn draw(options: &CollectOptions, fragments: usize) -> Vec<Shelf> {
    let wanted = (options.random + options.top).min(fragments);
    let drawn = |&feature: &usize| {
        let mut random = Random::numbered(options.seed, "fragments drawn", &[feature as u64]);
        let mut drawn = BTreeMap::new();
        while drawn.len() < wanted {
            drawn.insert(random.below(fragments), Vec::new());
        }
        Shelf { top: Vec::new(), drawn }
    };
    options.features.iter().map(drawn).collect()
}

fn finish(
    feature: usize,
    shelf: Shelf,
    length: usize,
    random: usize,
    tokens: impl Fn(usize) -> Vec<String>,
) -> FeatureFragments {
    let quiet = |mut activations: Vec<f32>| {
        activations.resize(length, 0.0);
        activations
    };
    let top = shelf.top.into_iter();
    let drawn = shelf.drawn.into_iter();
    let mut drawn: Vec<Fragment> = drawn
        .map(|(fragment, activations)| Fragment {
            tokens: tokens(fragment),
            activations: quiet(activations),
        })
        .collect();
    // They are sorted by their place in the text, so that the first would be of its beginning.
    Random::numbered(0, "order of drawn fragments", &[feature as u64]).shuffle(&mut drawn);
    drawn.truncate(random);
    FeatureFragments {
        feature,
        top: top
            .map(|held| Fragment { tokens: tokens(held.fragment), activations: held.activations })
            .collect(),
        random: drawn,
    }
}
