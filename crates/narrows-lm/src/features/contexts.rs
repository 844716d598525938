//! The second pass, which knows the largest codes: how codes are spread, and contexts from all of their range. The
//! windows of contexts that are kept are then read once more.

use std::collections::BTreeMap;
use std::ops::Range;

use narrows::Result;
use narrows::compute::SparseRows;
use narrows::random::Random;

use super::collect::{Asked, BANDS, BINS, Context, FeaturesOptions, Firing, Part};
use super::peaks::Seen;
use crate::basis::Basis;
use crate::harvest::Harvester;
use crate::model::{LanguageModel, Tap};
use crate::text::{AT_ONCE, Windows};

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
    /// `told` hears which part is done.
    pub(super) fn contexts(
        &self,
        around: &Around<'_>,
        told: &mut dyn FnMut(f64) -> Result<()>,
    ) -> Result<Vec<Contexts>> {
        let kept: Vec<(Vec<Firing>, Vec<Vec<Firing>>)> =
            (0..self.drawn.len()).map(|place| self.kept(place)).collect();
        let firings = kept.iter().flat_map(|(top, bands)| top.iter().chain(bands.iter().flatten()));
        let mut made = around.contexts(&firings.copied().collect::<Vec<_>>(), told)?.into_iter();
        let mut next = |firings: &[Firing]| made.by_ref().take(firings.len()).collect();
        let of = |(top, bands): &(Vec<Firing>, Vec<Vec<Firing>>)| {
            (next(top), bands.iter().map(|band| next(band)).collect())
        };
        Ok(kept.iter().map(of).collect())
    }

    /// The firings of a feature whose contexts are wanted.
    fn kept(&self, place: usize) -> (Vec<Firing>, Vec<Vec<Firing>>) {
        let bands = self.drawn[place].bands.iter().rev().map(|(_, firings)| {
            let mut firings = firings.clone();
            let by_code = |a: &Firing, b: &Firing| {
                let places = (a.window, a.place).cmp(&(b.window, b.place));
                b.code.total_cmp(&a.code).then(places)
            };
            firings.sort_by(by_code);
            firings
        });
        (self.seen[place].top.clone(), bands.collect())
    }
}

impl Around<'_> {
    /// The context of each firing, in their order; the codes of a window are made once for all that lie in it.
    fn contexts(
        &self,
        firings: &[Firing],
        told: &mut dyn FnMut(f64) -> Result<()>,
    ) -> Result<Vec<Context>> {
        let mut needed: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (place, firing) in firings.iter().enumerate() {
            needed.entry(firing.window).or_default().push(place);
        }
        let mut contexts: Vec<Option<Context>> = firings.iter().map(|_| None).collect();
        let length = self.windows.length;
        let mut harvester = Harvester::new(self.model, &[self.tap], false);
        let all: Vec<(&u32, &Vec<usize>)> = needed.iter().collect();
        for (number, group) in (1..).zip(all.chunks(AT_ONCE)) {
            let tokens =
                group.iter().flat_map(|(window, _)| self.windows.sequence(**window as usize));
            let found = harvester.run(&Windows::new(tokens.copied().collect(), length))?;
            let sparse = self.basis.encode(&found.rows[0])?;
            for (within, (_, wanted)) in group.iter().enumerate() {
                for &place in *wanted {
                    let firing = &firings[place];
                    let around = self.around(firing);
                    let own = within * length + around.start..within * length + around.end;
                    let codes = codes_of(&sparse, &found.places, own, firing.feature);
                    contexts[place] = Some(self.context(firing, around, codes));
                }
            }
            told((number * AT_ONCE).min(all.len()) as f64 / all.len() as f64)?;
        }
        Ok(contexts.into_iter().flatten().collect())
    }

    /// The places around a firing, none beyond the tokens that begin and end its document.
    fn around(&self, firing: &Firing) -> Range<usize> {
        let sequence = self.windows.sequence(firing.window as usize);
        let peak = firing.place as usize;
        let begins = |place: &usize| Some(sequence[*place]) == self.model.begin();
        let start = (0..=peak).rev().find(begins).unwrap_or(0);
        let end = (peak + 1..sequence.len()).find(begins).unwrap_or(sequence.len());
        let first = peak.saturating_sub(self.options.before).max(start);
        first..end.min(peak + self.options.after + 1)
    }

    fn context(&self, firing: &Firing, around: Range<usize>, codes: Vec<f32>) -> Context {
        let sequence = self.windows.sequence(firing.window as usize);
        Context {
            window: firing.window as usize,
            first: around.start,
            peak: firing.place as usize - around.start,
            tokens: sequence[around].to_vec(),
            codes,
        }
    }
}

/// The codes of a feature at some tokens, 0 where there is no row. Rows come in the order of their `places`.
fn codes_of(sparse: &SparseRows, places: &[usize], tokens: Range<usize>, feature: u32) -> Vec<f32> {
    let mut found = vec![0.0; tokens.len()];
    let begin = places.partition_point(|&place| place < tokens.start);
    let own = places[begin..].iter().take_while(|&&place| place < tokens.end);
    for (row, place) in (begin..).zip(own) {
        let (features, codes) = sparse.row(row);
        if let Ok(at) = features.binary_search(&feature) {
            found[place - tokens.start] = codes[at].abs();
        }
    }
    found
}
