//! Two passes over a text: where features fire most, then what stands around.

use std::collections::{BTreeMap, HashMap};

use narrows::compute::SparseRows;
use narrows::random::Random;
use narrows::{Error, Result};
use serde::Serialize;

use super::lens;
use crate::basis::Basis;
use crate::harvest::{Harvester, WINDOWS};
use crate::model::{LanguageModel, Site, Tap};
use crate::text::Windows;

/// Bands of codes from which contexts are drawn, and bins of the histogram.
pub(super) const BANDS: usize = 5;
pub(super) const BINS: usize = 20;
/// Features that are told to fire together with one, are near to it, and tokens that it promotes.
const NEAR: usize = 8;
const PROMOTED: usize = 10;
/// Pairs of features whose common tokens are counted, at most.
const PAIRS: usize = 1 << 22;

/// What is collected.
#[derive(Debug, Clone, PartialEq)]
pub struct FeaturesOptions {
    /// The features; none: all.
    pub features: Vec<usize>,
    /// Contexts of the largest codes.
    pub top: usize,
    /// Contexts drawn from each band.
    pub drawn: usize,
    /// Tokens before and after the one at which a feature fires.
    pub before: usize,
    /// See `before`.
    pub after: usize,
    /// The seed of what is drawn.
    pub seed: u64,
}

impl Default for FeaturesOptions {
    fn default() -> Self {
        Self { features: Vec::new(), top: 20, drawn: 4, before: 32, after: 16, seed: 0 }
    }
}

/// A token with a weight.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TokenWeight {
    /// The token.
    pub token: u32,
    /// What it has.
    pub weight: f32,
}

/// Some tokens and the codes of a feature at them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Context {
    /// The window it is of, counted from 0, and the place of its first token there.
    pub window: usize,
    /// See `window`.
    pub first: usize,
    /// The tokens.
    pub tokens: Vec<u32>,
    /// The code at each.
    pub codes: Vec<f32>,
    /// The place among them at which the feature fires for which the context was taken.
    pub peak: usize,
}

/// What is known of a feature.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FeatureRecord {
    /// Its number.
    pub feature: usize,
    /// The share of tokens at which it fires.
    pub density: f64,
    /// The mean and the largest of its codes that are not 0.
    pub mean: f64,
    /// See `mean`.
    pub largest: f32,
    /// How many of its codes lie in each of 20 equal bins up to the largest.
    pub histogram: Vec<u32>,
    /// Tokens that it promotes; none where rows are not those of the residual stream.
    pub promoted: Vec<TokenWeight>,
    /// Tokens that it suppresses.
    pub suppressed: Vec<TokenWeight>,
    /// Features near to it, with the cosine.
    pub near: Vec<(usize, f32)>,
    /// Features that fire with it, with the share of common tokens.
    pub together: Vec<(usize, f32)>,
    /// The contexts of its largest codes.
    pub top: Vec<Context>,
    /// Contexts drawn from five bands of its codes, the highest first.
    pub bands: Vec<Vec<Context>>,
}

/// What is known of the features of a basis.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Features {
    /// The model.
    pub model: String,
    /// The place.
    pub tap: String,
    /// What the basis is called.
    pub basis: String,
    /// Features that the basis has.
    pub count: usize,
    /// Tokens that were looked at.
    pub tokens: usize,
    /// One for each feature that was asked for.
    pub features: Vec<FeatureRecord>,
}

/// A place in the text at which a feature fires.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Firing {
    code: f32,
    window: u32,
    place: u32,
}

/// What the first pass finds of a feature.
#[derive(Default, Clone)]
struct Seen {
    fired: u64,
    sum: f64,
    largest: f32,
    top: Vec<Firing>,
}

/// Collects features at a tap over a text, read twice, 8 windows at a time.
///
/// Memory: the tokens; of each feature the contexts that are kept; and counts of the first 4 million pairs of features
/// that fire together: of wider dictionaries than some 2,000 latents, features that are first met later have fewer. `told` hears which part is done.
///
/// # Errors
/// If the basis is of rows of another width, or a feature is asked for that it does not have.
pub fn collect(
    model: &LanguageModel,
    tap: Tap,
    basis: &Basis,
    windows: &Windows,
    options: &FeaturesOptions,
    told: &mut dyn FnMut(f64),
) -> Result<Features> {
    basis.check(tap.width(&model.architecture))?;
    let count = basis.features();
    if let Some(feature) = options.features.iter().find(|&&feature| feature >= count) {
        return Err(Error::mistake(
            "collect features",
            format!("features 0 to {}, as '{}' has them", count - 1, basis.name),
            feature.to_string(),
            "change --features",
        ));
    }
    let asked: Vec<usize> =
        if options.features.is_empty() { (0..count).collect() } else { options.features.clone() };
    let mut first = First { seen: vec![Seen::default(); count], pairs: HashMap::new(), tokens: 0 };
    each_part(model, tap, basis, windows, &mut |part| first.add(part, options.top), &mut |done| {
        told(0.5 * done);
    })?;
    let mut second = Second::new(&first.seen, &asked, options);
    each_part(model, tap, basis, windows, &mut |part| second.add(part), &mut |done| {
        told(0.5 + 0.5 * done);
    })?;
    let contexts = second.contexts(model, tap, basis, windows, options)?;
    let near = lens::near(basis.directions(), NEAR);
    let adds = matches!(tap.site, Site::AttentionOut | Site::MlpOut);
    let promoted = match tap.is_residual() || adds {
        true => lens::promoted(model, basis.directions(), PROMOTED),
        false => vec![[Vec::new(), Vec::new()]; count],
    };
    let together = first.together();
    let records = asked.iter().zip(contexts).map(|(&feature, (top, bands))| {
        let seen = &first.seen[feature];
        let [raised, lowered] = promoted[feature].clone();
        FeatureRecord {
            feature,
            density: seen.fired as f64 / first.tokens.max(1) as f64,
            mean: seen.sum / seen.fired.max(1) as f64,
            largest: seen.largest,
            histogram: second.histogram(feature),
            promoted: raised,
            suppressed: lowered,
            near: near[feature].clone(),
            together: together.get(&feature).cloned().unwrap_or_default(),
            top,
            bands,
        }
    });
    Ok(Features {
        model: model.name.clone(),
        tap: tap.to_string(),
        basis: basis.name.clone(),
        count,
        tokens: first.tokens as usize,
        features: records.collect(),
    })
}

/// The codes of some windows.
struct Part<'a> {
    /// The first window.
    window: usize,
    length: usize,
    /// Of each row its place among the tokens of the part, and its codes.
    places: &'a [usize],
    codes: &'a SparseRows,
}

impl Part<'_> {
    fn firing(&self, row: usize, code: f32) -> Firing {
        let place = self.places[row];
        Firing {
            code: code.abs(),
            window: (self.window + place / self.length) as u32,
            place: (place % self.length) as u32,
        }
    }
}

fn each_part(
    model: &LanguageModel,
    tap: Tap,
    basis: &Basis,
    windows: &Windows,
    add: &mut dyn FnMut(&Part<'_>),
    told: &mut dyn FnMut(f64),
) -> Result<()> {
    let mut harvester = Harvester::new(model, &[tap], false);
    for first in (0..windows.sequences()).step_by(WINDOWS) {
        let last = windows.sequences().min(first + WINDOWS);
        let found = harvester.run(&windows.part(first..last))?;
        let codes = basis.encode(&found.rows[0])?;
        add(&Part { window: first, length: windows.length, places: &found.places, codes: &codes });
        told(last as f64 / windows.sequences() as f64);
    }
    Ok(())
}

/// The first pass.
struct First {
    seen: Vec<Seen>,
    /// Tokens at which two features fire, the lower first.
    pairs: HashMap<(u32, u32), u32>,
    tokens: u64,
}

impl First {
    fn add(&mut self, part: &Part<'_>, top: usize) {
        for row in 0..part.codes.rows() {
            self.tokens += 1;
            let (features, codes) = part.codes.row(row);
            for (place, (&feature, &code)) in features.iter().zip(codes).enumerate() {
                if code == 0.0 {
                    continue;
                }
                let seen = &mut self.seen[feature as usize];
                let firing = part.firing(row, code);
                seen.fired += 1;
                seen.sum += f64::from(firing.code);
                seen.largest = seen.largest.max(firing.code);
                keep_top(&mut seen.top, firing, top);
                for &other in &features[place + 1..] {
                    // Of more pairs than can be counted, those that were met first are.
                    let full = self.pairs.len() >= PAIRS;
                    match self.pairs.get_mut(&(feature, other)) {
                        Some(count) => *count += 1,
                        None if !full => {
                            self.pairs.insert((feature, other), 1);
                        }
                        None => {}
                    }
                }
            }
        }
    }

    /// Of each feature those that fire with it.
    fn together(&self) -> BTreeMap<usize, Vec<(usize, f32)>> {
        let mut found: BTreeMap<usize, Vec<(usize, f32)>> = BTreeMap::new();
        for (&(one, other), &both) in &self.pairs {
            let either = self.seen[one as usize].fired + self.seen[other as usize].fired;
            let share = f64::from(both) / (either - u64::from(both)) as f64;
            for (own, with) in [(one, other), (other, one)] {
                found.entry(own as usize).or_default().push((with as usize, share as f32));
            }
        }
        for others in found.values_mut() {
            others.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            others.truncate(NEAR);
        }
        found
    }
}

/// Keeps the largest codes, one of each window, in falling order.
fn keep_top(top: &mut Vec<Firing>, firing: Firing, most: usize) {
    if let Some(own) = top.iter_mut().find(|own| own.window == firing.window) {
        if firing.code > own.code {
            *own = firing;
        }
    } else if top.len() < most {
        top.push(firing);
    } else if top.last().is_some_and(|last| firing.code > last.code) {
        top.pop();
        top.push(firing);
    } else {
        return;
    }
    top.sort_by(|a, b| b.code.total_cmp(&a.code).then(a.window.cmp(&b.window)));
}

/// The contexts of the largest codes of a feature, and of each band.
type Contexts = (Vec<Context>, Vec<Vec<Context>>);

/// The second pass, which knows the largest codes.
struct Second<'a> {
    seen: &'a [Seen],
    histograms: BTreeMap<usize, Vec<u32>>,
    /// Of each feature that was asked for: firings drawn from each band, the lowest first, and how many there were.
    drawn: BTreeMap<usize, Vec<(u64, Vec<Firing>)>>,
    asked: Vec<usize>,
    random: BTreeMap<usize, Random>,
    wanted: usize,
}

impl<'a> Second<'a> {
    fn new(seen: &'a [Seen], asked: &[usize], options: &FeaturesOptions) -> Self {
        let of = |feature: usize| {
            Random::numbered(options.seed, "contexts of features", &[feature as u64])
        };
        Self {
            seen,
            histograms: asked.iter().map(|&feature| (feature, vec![0; BINS])).collect(),
            drawn: asked.iter().map(|&feature| (feature, vec![(0, Vec::new()); BANDS])).collect(),
            asked: asked.to_vec(),
            random: asked.iter().map(|&feature| (feature, of(feature))).collect(),
            wanted: options.drawn,
        }
    }

    fn add(&mut self, part: &Part<'_>) {
        for row in 0..part.codes.rows() {
            let (features, codes) = part.codes.row(row);
            for (&feature, &code) in features.iter().zip(codes) {
                let feature = feature as usize;
                let (Some(histogram), Some(bands), Some(random)) = (
                    self.histograms.get_mut(&feature),
                    self.drawn.get_mut(&feature),
                    self.random.get_mut(&feature),
                ) else {
                    continue;
                };
                let firing = part.firing(row, code);
                let share = firing.code / self.seen[feature].largest.max(f32::MIN_POSITIVE);
                let place = |parts: usize| ((share * parts as f32) as usize).min(parts - 1);
                if firing.code > 0.0 {
                    histogram[place(BINS)] += 1;
                    let (met, kept) = &mut bands[place(BANDS)];
                    *met += 1;
                    // Reservoir sampling: each of those that were met is kept with the same chance.
                    if kept.len() < self.wanted {
                        kept.push(firing);
                    } else {
                        let at = random.below(*met as usize);
                        if at < kept.len() {
                            kept[at] = firing;
                        }
                    }
                }
            }
        }
    }

    fn histogram(&self, feature: usize) -> Vec<u32> {
        self.histograms.get(&feature).cloned().unwrap_or_default()
    }

    /// What stands around the firings of each feature that was asked for: of the largest codes, and of each band from
    /// the highest on.
    fn contexts(
        &self,
        model: &LanguageModel,
        tap: Tap,
        basis: &Basis,
        windows: &Windows,
        options: &FeaturesOptions,
    ) -> Result<Vec<Contexts>> {
        // The codes of a window are made once for all features that need it.
        let mut needed: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (place, feature) in self.asked.iter().enumerate() {
            let drawn = self.drawn[feature].iter().flat_map(|(_, firings)| firings);
            for firing in self.seen[*feature].top.iter().chain(drawn) {
                let of_window = needed.entry(firing.window).or_default();
                if of_window.last() != Some(&place) {
                    of_window.push(place);
                }
            }
        }
        let mut codes: HashMap<(u32, usize), Vec<f32>> = HashMap::new();
        let mut harvester = Harvester::new(model, &[tap], false);
        let all: Vec<(&u32, &Vec<usize>)> = needed.iter().collect();
        for group in all.chunks(WINDOWS) {
            let tokens = group.iter().flat_map(|(window, _)| windows.sequence(**window as usize));
            let part = Windows::new(tokens.copied().collect(), windows.length);
            let found = harvester.run(&part)?;
            let sparse = basis.encode(&found.rows[0])?;
            for (place, (window, features)) in group.iter().enumerate() {
                for &own in *features {
                    let own_codes =
                        codes_of(&sparse, &found.places, windows.length, place, self.asked[own]);
                    codes.insert((**window, own), own_codes);
                }
            }
        }
        let around = |firing: &Firing, own: usize| -> Context {
            let sequence = windows.sequence(firing.window as usize);
            let peak = firing.place as usize;
            let begins = |place: &usize| Some(sequence[*place]) == model.begin();
            let start = (0..=peak).rev().find(begins).unwrap_or(0);
            let end = (peak + 1..sequence.len()).find(begins).unwrap_or(sequence.len());
            let first = peak.saturating_sub(options.before).max(start);
            let end = end.min(peak + options.after + 1);
            let codes =
                codes.get(&(firing.window, own)).map_or(&[][..], |codes| &codes[first..end]);
            Context {
                window: firing.window as usize,
                first,
                tokens: sequence[first..end].to_vec(),
                codes: codes.to_vec(),
                peak: peak - first,
            }
        };
        let of = |(own, feature): (usize, &usize)| {
            let top = self.seen[*feature].top.iter().map(|firing| around(firing, own)).collect();
            let bands = self.drawn[feature].iter().rev().map(|(_, firings)| {
                let mut firings = firings.clone();
                firings.sort_by(|a, b| b.code.total_cmp(&a.code).then(a.window.cmp(&b.window)));
                firings.iter().map(|firing| around(firing, own)).collect()
            });
            (top, bands.collect())
        };
        Ok(self.asked.iter().enumerate().map(of).collect())
    }
}

/// The codes of a feature at every token of a window, 0 where there is no row.
fn codes_of(
    sparse: &SparseRows,
    places: &[usize],
    length: usize,
    window: usize,
    feature: usize,
) -> Vec<f32> {
    let mut found = vec![0.0; length];
    // Rows come in the order of their places.
    let begin = places.partition_point(|place| place / length < window);
    let own = places[begin..].iter().take_while(|place| **place / length == window);
    for (row, place) in (begin..).zip(own) {
        let (features, codes) = sparse.row(row);
        if let Ok(at) = features.binary_search(&(feature as u32)) {
            found[place % length] = codes[at].abs();
        }
    }
    found
}
