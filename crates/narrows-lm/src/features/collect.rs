//! Passes over a text: where features fire most, how codes are spread, then what stands around those that are kept.

use narrows::compute::SparseRows;
use narrows::{Error, Result};
use serde::Serialize;

use super::contexts::{Around, Drawing};
use super::lens::{self, Lens, LogitHistogram};
use super::peaks::Peaks;
use super::together::{FIRINGS, Together};
use crate::basis::Basis;
use crate::harvest::Harvester;
use crate::model::{LanguageModel, Site, Tap};
use crate::text::Windows;

/// Bands of codes from which contexts are drawn, and bins of the histogram.
pub(super) const BANDS: usize = 5;
pub(super) const BINS: usize = 20;
/// Features that are told to fire together with one, are near to it, and tokens that it promotes.
const NEAR: usize = 8;
const PROMOTED: usize = 10;

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
    /// How much it raises or lowers all tokens; none where it promotes none.
    pub logits: Option<LogitHistogram>,
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
    /// Features that fire together were counted at one token in so many: 1 where the text is short enough to count
    /// all.
    pub together_one_in: u64,
    /// One for each feature that was asked for.
    pub features: Vec<FeatureRecord>,
}

/// A token at which a feature fires.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Firing {
    /// The feature.
    pub feature: u32,
    /// The window, counted from 0.
    pub window: u32,
    /// The place of the token in it.
    pub place: u32,
    /// The code, with its sign.
    pub code: f32,
}

/// What hears how collecting goes.
pub trait Listener {
    /// Is given all firings of the features that are asked for, in the order of windows, places and features; what
    /// does not fit at once comes in several calls.
    ///
    /// # Errors
    /// Its own; collecting ends with it.
    fn firings(&mut self, _firings: &[Firing]) -> Result<()> {
        Ok(())
    }

    /// Hears which part is done, and says whether to go on.
    fn done(&mut self, _part: f64) -> bool {
        true
    }
}

/// Hears nothing.
pub struct Silent;

impl Listener for Silent {}

/// The features that are asked for.
pub(super) struct Asked {
    pub(super) features: Vec<usize>,
    /// Of each feature of the basis its place among them.
    places: Vec<Option<u32>>,
}

impl Asked {
    fn new(options: &FeaturesOptions, basis: &Basis) -> Result<Self> {
        let count = basis.features();
        if let Some(feature) = options.features.iter().find(|&&feature| feature >= count) {
            return Err(Error::mistake(
                "collect features",
                format!("features 0 to {}, as '{}' has them", count - 1, basis.name),
                feature.to_string(),
                "change --features",
            ));
        }
        let features = match options.features.is_empty() {
            true => (0..count).collect(),
            false => options.features.clone(),
        };
        let mut places = vec![None; count];
        features.iter().zip(0..).for_each(|(&feature, place)| places[feature] = Some(place));
        Ok(Self { features, places })
    }
}

/// Collects features at a tap over a text, read twice, 8 windows at a time; windows in which a context is kept are read
/// once more, which may be all of them.
///
/// Memory: the tokens; of each feature that is asked for the contexts that are kept, 8 bytes for each of their tokens; and up to 64 MiB for features that
/// fire together.
///
/// # Errors
/// If the basis is of rows of another width, a feature is asked for that it does not have, or `listener` ends it,
/// which is [`Error::Interrupted`].
pub fn collect(
    model: &LanguageModel,
    tap: Tap,
    basis: &Basis,
    windows: &Windows,
    options: &FeaturesOptions,
    listener: &mut dyn Listener,
) -> Result<Features> {
    basis.check(tap.width(&model.architecture))?;
    let asked = Asked::new(options, basis)?;
    let reading = Reading { model, tap, basis, windows };
    let mut peaks = Peaks::new(asked.features.len(), options.top);
    let mut together = Together::new(basis.features(), FIRINGS);
    let mut firings = Vec::new();
    reading.each_part(&mut |part, done| {
        peaks.add(part, &asked);
        together.add(part.codes);
        firings.clear();
        part.each(&asked, |_, firing| firings.push(firing));
        listener.firings(&firings)?;
        go_on(listener, 0.4 * done)
    })?;
    let mut drawing = Drawing::new(&peaks.seen, &asked, options);
    reading.each_part(&mut |part, done| {
        drawing.add(part);
        go_on(listener, 0.4 + 0.3 * done)
    })?;
    let around = Around { model, tap, basis, windows, options };
    let contexts = drawing.contexts(&around, &mut |done| go_on(listener, 0.7 + 0.25 * done))?;
    let near = lens::near(basis.directions(), &asked.features, NEAR);
    let adds = matches!(tap.site, Site::AttentionOut | Site::MlpOut);
    let mut lens = match tap.is_residual() || adds {
        true => lens::through(model, basis.directions(), &asked.features, PROMOTED),
        false => vec![Lens::default(); asked.features.len()],
    };
    let fire_with = together.of(&asked.features, NEAR);
    let parts = asked.features.iter().zip(contexts).zip(near).zip(fire_with).enumerate();
    let records = parts.map(|(place, (((&feature, (top, bands)), near), together))| {
        let seen = &peaks.seen[place];
        let Lens { promoted, suppressed, logits } = std::mem::take(&mut lens[place]);
        FeatureRecord {
            feature,
            density: seen.fired as f64 / peaks.tokens.max(1) as f64,
            mean: seen.sum / seen.fired.max(1) as f64,
            largest: seen.largest,
            histogram: drawing.histogram(place),
            promoted,
            suppressed,
            logits,
            near,
            together,
            top,
            bands,
        }
    });
    Ok(Features {
        model: model.name.clone(),
        tap: tap.to_string(),
        basis: basis.name.clone(),
        count: basis.features(),
        tokens: peaks.tokens as usize,
        together_one_in: together.one_in(),
        features: records.collect(),
    })
}

fn go_on(listener: &mut dyn Listener, part: f64) -> Result<()> {
    match listener.done(part) {
        true => Ok(()),
        false => Err(Error::Interrupted {
            operation: "collect features".to_owned(),
            remedy: "nothing is written; begin again".to_owned(),
        }),
    }
}

/// The codes of some windows.
pub(super) struct Part<'a> {
    /// The first window.
    window: usize,
    length: usize,
    /// Of each row its place among the tokens of the part, and its codes.
    places: &'a [usize],
    pub(super) codes: &'a SparseRows,
}

impl Part<'_> {
    /// Every firing of the features that are asked for, with the place among them, in the order of tokens.
    pub(super) fn each(&self, asked: &Asked, mut hear: impl FnMut(usize, Firing)) {
        for (row, place) in self.places.iter().enumerate() {
            let window = (self.window + place / self.length) as u32;
            let (features, codes) = self.codes.row(row);
            for (&feature, &code) in features.iter().zip(codes) {
                let own = asked.places[feature as usize].filter(|_| code != 0.0);
                if let Some(own) = own {
                    let place = (place % self.length) as u32;
                    hear(own as usize, Firing { feature, window, place, code });
                }
            }
        }
    }
}

/// What is read, and how.
struct Reading<'a> {
    model: &'a LanguageModel,
    tap: Tap,
    basis: &'a Basis,
    windows: &'a Windows,
}

impl Reading<'_> {
    /// Codes of all of the text, and which part of it is done with them.
    fn each_part(&self, add: &mut dyn FnMut(&Part<'_>, f64) -> Result<()>) -> Result<()> {
        let mut harvester = Harvester::new(self.model, &[self.tap], false);
        let all = self.windows.sequences();
        let mut window = 0;
        for part in self.windows.parts() {
            let found = harvester.run(&part)?;
            let codes = self.basis.encode(&found.rows[0])?;
            let (length, places) = (self.windows.length, &found.places[..]);
            let last = window + part.sequences();
            add(&Part { window, length, places, codes: &codes }, last as f64 / all as f64)?;
            window = last;
        }
        Ok(())
    }
}
