//! The second pass, which knows the largest codes: how codes are spread, and contexts from all of their range.

use std::collections::{BTreeMap, HashMap};

use narrows::Result;
use narrows::compute::SparseRows;
use narrows::random::Random;

use super::collect::{Asked, BANDS, BINS, Context, FeaturesOptions, Firing, Part};
use super::peaks::Seen;
use crate::basis::Basis;
use crate::harvest::{Harvester, WINDOWS};
use crate::model::{LanguageModel, Tap};
use crate::text::Windows;

/// What is drawn of a feature.
struct Drawn {
    histogram: Vec<u32>,
    /// Of each band, the lowest first: how many firings there were, and those that are kept.
    bands: Vec<(u64, Vec<Firing>)>,
    random: Random,
}

/// The contexts of the largest codes of a feature, and of each band.
pub(super) type Contexts = (Vec<Context>, Vec<Vec<Context>>);

/// Histograms and contexts of the features that are asked for, in their order.
pub(super) struct Drawing<'a> {
    seen: &'a [Seen],
    asked: &'a Asked,
    drawn: Vec<Drawn>,
    wanted: usize,
}

/// What contexts are made of.
pub(super) struct Around<'a> {
    pub(super) model: &'a LanguageModel,
    pub(super) tap: Tap,
    pub(super) basis: &'a Basis,
    pub(super) windows: &'a Windows,
    pub(super) options: &'a FeaturesOptions,
}

impl<'a> Drawing<'a> {
    pub(super) fn new(seen: &'a [Seen], asked: &'a Asked, options: &FeaturesOptions) -> Self {
        let of = |&feature: &usize| Drawn {
            histogram: vec![0; BINS],
            bands: vec![(0, Vec::new()); BANDS],
            random: Random::numbered(options.seed, "contexts of features", &[feature as u64]),
        };
        let drawn = asked.features.iter().map(of).collect();
        Self { seen, asked, drawn, wanted: options.drawn }
    }

    pub(super) fn add(&mut self, part: &Part<'_>) {
        let (seen, drawn) = (self.seen, &mut self.drawn);
        part.each(self.asked, |place, firing| {
            let firing = Firing { code: firing.code.abs(), ..firing };
            let own = &mut drawn[place];
            let share = firing.code / seen[place].largest.max(f32::MIN_POSITIVE);
            let at = |parts: usize| ((share * parts as f32) as usize).min(parts - 1);
            own.histogram[at(BINS)] += 1;
            let (met, kept) = &mut own.bands[at(BANDS)];
            *met += 1;
            // Reservoir sampling: each of those that were met is kept with the same chance.
            if kept.len() < self.wanted {
                kept.push(firing);
            } else {
                let at = own.random.below(*met as usize);
                if at < kept.len() {
                    kept[at] = firing;
                }
            }
        });
    }

    pub(super) fn histogram(&self, place: usize) -> Vec<u32> {
        self.drawn[place].histogram.clone()
    }

    /// What stands around the firings of each feature: of the largest codes, and of each band from the highest on.
    pub(super) fn contexts(&self, around: &Around<'_>) -> Result<Vec<Contexts>> {
        let codes = self.codes(around)?;
        let context =
            |firing: &Firing, place: usize| around.context(firing, &codes[&(firing.window, place)]);
        let of = |place: usize| {
            let top = self.seen[place].top.iter().map(|firing| context(firing, place)).collect();
            let bands = self.drawn[place].bands.iter().rev().map(|(_, firings)| {
                let mut firings = firings.clone();
                let by_code = |a: &Firing, b: &Firing| {
                    let places = (a.window, a.place).cmp(&(b.window, b.place));
                    b.code.total_cmp(&a.code).then(places)
                };
                firings.sort_by(by_code);
                firings.iter().map(|firing| context(firing, place)).collect()
            });
            (top, bands.collect())
        };
        Ok((0..self.drawn.len()).map(of).collect())
    }

    /// The codes of each feature in every window that it needs; those of a window are made once for all of them.
    fn codes(&self, around: &Around<'_>) -> Result<HashMap<(u32, usize), Vec<f32>>> {
        let mut needed: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (place, own) in self.drawn.iter().enumerate() {
            let drawn = own.bands.iter().flat_map(|(_, firings)| firings);
            for firing in self.seen[place].top.iter().chain(drawn) {
                let of_window = needed.entry(firing.window).or_default();
                if of_window.last() != Some(&place) {
                    of_window.push(place);
                }
            }
        }
        let mut codes = HashMap::new();
        let length = around.windows.length;
        let mut harvester = Harvester::new(around.model, &[around.tap], false);
        let all: Vec<(&u32, &Vec<usize>)> = needed.iter().collect();
        for group in all.chunks(WINDOWS) {
            let tokens =
                group.iter().flat_map(|(window, _)| around.windows.sequence(**window as usize));
            let found = harvester.run(&Windows::new(tokens.copied().collect(), length))?;
            let sparse = around.basis.encode(&found.rows[0])?;
            for (within, (window, places)) in group.iter().enumerate() {
                for &place in *places {
                    let feature = self.asked.features[place];
                    let own = codes_of(&sparse, &found.places, length, within, feature);
                    codes.insert((**window, place), own);
                }
            }
        }
        Ok(codes)
    }
}

impl Around<'_> {
    /// The tokens around a firing, none beyond those that begin and end its document.
    fn context(&self, firing: &Firing, codes: &[f32]) -> Context {
        let sequence = self.windows.sequence(firing.window as usize);
        let peak = firing.place as usize;
        let begins = |place: &usize| Some(sequence[*place]) == self.model.begin();
        let start = (0..=peak).rev().find(begins).unwrap_or(0);
        let end = (peak + 1..sequence.len()).find(begins).unwrap_or(sequence.len());
        let first = peak.saturating_sub(self.options.before).max(start);
        let end = end.min(peak + self.options.after + 1);
        Context {
            window: firing.window as usize,
            first,
            tokens: sequence[first..end].to_vec(),
            codes: codes[first..end].to_vec(),
            peak: peak - first,
        }
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
