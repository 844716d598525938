//! The cells that rules put the tokens of a text into.

use std::collections::HashMap;
use std::hash::Hash;

use narrows::{Error, Result};
use serde::Serialize;

use super::Rule;
use crate::text::Windows;

/// Windows of a stretch that is fitted on or held out, at most, and stretches that there are at least.
const STRETCH: usize = 16;
const STRETCHES: usize = 10;
/// Stands for the token before the first of a window.
const NOTHING: u32 = u32::MAX;

/// What each token of a text stands in, which is the same for every feature.
pub struct Contexts {
    windows: Windows,
    begin: Option<u32>,
    /// Of each row, which token of the windows it is of.
    places: Vec<u32>,
    stretch: usize,
    fitted: usize,
    pub(super) chains: [Chain; 3],
}

/// Cells within cells.
pub(super) struct Chain {
    /// The finest cell of each row.
    pub(super) finest: Vec<u32>,
    /// From the coarsest to the finest.
    pub(super) levels: Vec<Level>,
    /// The rule of each level.
    pub(super) rules: &'static [Rule],
}

/// The cells of a rule.
#[derive(Default)]
pub(super) struct Level {
    /// The cell of the coarser level that each lies in; of the coarsest nothing is read.
    pub(super) parents: Vec<u32>,
    /// Rows of each that are fitted on, and that are held out.
    pub(super) fitted: Vec<u32>,
    pub(super) held_out: Vec<u32>,
    /// The place of a token of each.
    pub(super) witness: Vec<u32>,
}

/// What a cell stands for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Context {
    /// The tokens, the last one last; `None` before the window. Empty of the previous token and of positions
    /// never: of the previous token it is that one, of a position there is none.
    pub tokens: Vec<Option<u32>>,
    /// The place, if the rule is of places.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// Rows of it that were fitted on.
    pub rows: usize,
    /// Of these, those on which the feature fires.
    pub fires: usize,
}

/// Places that are taken for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Position {
    /// The first and the last place in the window, from 0.
    pub window: (usize, usize),
    /// The first and the last place in the document, where it begins in the window.
    pub document: Option<(usize, usize)>,
}

impl Contexts {
    /// Sorts the tokens of windows; `begin` is the token that begins a document, if there is one. Others have it as
    /// their context, but it has no row of its own: models park attention there, and no dictionary has learned it.
    ///
    /// Memory: 20 bytes for each token and 16 for each cell, and while they are sorted as much again for each cell.
    ///
    /// # Errors
    /// If there are fewer than two windows: none would be held out.
    pub fn new(windows: &Windows, begin: Option<u32>) -> Result<Self> {
        let count = windows.sequences();
        if count < 2 {
            return Err(Error::mistake(
                "measure lexical interpretability",
                "at least two windows of text, one to fit on and one to hold out",
                count.to_string(),
                "give more text or a smaller --context",
            ));
        }
        let stretch = count.div_ceil(STRETCHES).clamp(1, STRETCH);
        let tokens = (0..).zip(&windows.tokens);
        let places = tokens.filter(|(_, token)| Some(**token) != begin).map(|(place, _)| place);
        let mut contexts = Self {
            windows: windows.clone(),
            begin,
            places: places.collect(),
            stretch,
            fitted: 0,
            chains: [
                Chain::new(&[Rule::Current, Rule::Bigram, Rule::Trigram]),
                Chain::new(&[Rule::Previous]),
                Chain::new(&[Rule::Position]),
            ],
        };
        contexts.sort();
        Ok(contexts)
    }

    fn sort(&mut self) {
        let before = |place: usize, steps: usize| match place % self.windows.length >= steps {
            true => self.windows.tokens[place - steps],
            false => NOTHING,
        };
        let (mut tokens, mut pairs, mut triples) = (Ids::new(), Ids::new(), Ids::new());
        let (mut previous, mut places) = (Ids::new(), Ids::new());
        let mut begun = None;
        for place in 0..self.windows.tokens.len() {
            let position = position(place, &self.windows, self.begin, &mut begun);
            if Some(self.windows.tokens[place]) == self.begin {
                continue;
            }
            let held_out = self.is_at_held_out(place);
            let [ngrams, before_it, positions] = &mut self.chains;
            let token = tokens.of(before(place, 0), 0, place, &mut ngrams.levels[0]);
            let pair = pairs.of((before(place, 1), token), token, place, &mut ngrams.levels[1]);
            let triple = triples.of((before(place, 2), pair), pair, place, &mut ngrams.levels[2]);
            ngrams.push(triple, held_out);
            let cell = previous.of(before(place, 1), 0, place, &mut before_it.levels[0]);
            before_it.push(cell, held_out);
            let cell = places.of(position, 0, place, &mut positions.levels[0]);
            positions.push(cell, held_out);
            self.fitted += usize::from(!held_out);
        }
        self.chains.iter_mut().for_each(Chain::count_parents);
    }

    /// Number of rows, one for each token that does not begin a document.
    pub fn rows(&self) -> usize {
        self.places.len()
    }

    /// Rows that are fitted on.
    pub fn fitted(&self) -> usize {
        self.fitted
    }

    /// Whether a row is held out.
    pub fn is_held_out(&self, row: usize) -> bool {
        self.is_at_held_out(self.places[row] as usize)
    }

    fn is_at_held_out(&self, place: usize) -> bool {
        (place / self.windows.length / self.stretch) % 2 == 1
    }

    /// The windows that were sorted.
    pub fn windows(&self) -> &Windows {
        &self.windows
    }

    /// Tells what a cell stands for.
    pub(super) fn told(&self, rule: Rule, witness: u32, rows: usize, fires: usize) -> Context {
        let place = witness as usize;
        let before = |steps: usize| {
            (place % self.windows.length >= steps).then(|| self.windows.tokens[place - steps])
        };
        let tokens = match rule {
            Rule::Current => vec![before(0)],
            Rule::Previous => vec![before(1)],
            Rule::Bigram => vec![before(1), before(0)],
            Rule::Trigram => vec![before(2), before(1), before(0)],
            Rule::Position => Vec::new(),
        };
        let position = (rule == Rule::Position).then(|| {
            let window = place / self.windows.length * self.windows.length;
            let begins = |&place: &usize| self.begin == Some(self.windows.tokens[place]);
            let begun = (window..=place).rev().find(begins);
            let document = begun.map(|begun| span(place - begun));
            Position { window: span(place - window), document }
        });
        Context { tokens, position, rows, fires }
    }
}

/// The number of the place in the window and of that in the document; 0 where the document began before.
fn position(
    place: usize,
    windows: &Windows,
    begin: Option<u32>,
    begun: &mut Option<usize>,
) -> (u32, u32) {
    let within = place % windows.length;
    if within == 0 {
        *begun = None;
    }
    if begin == Some(windows.tokens[place]) {
        *begun = Some(place);
    }
    (number(within), begun.map_or(0, |begun| number(place - begun) + 1))
}

/// 0, 1, 2–3, 4–7, … are 0, 1, 2, 3, …
fn number(place: usize) -> u32 {
    usize::BITS - place.leading_zeros()
}

/// The first and the last place that have the number of this one.
fn span(place: usize) -> (usize, usize) {
    match number(place) {
        0 => (0, 0),
        number => (1 << (number - 1), (1 << number) - 1),
    }
}

impl Chain {
    fn new(rules: &'static [Rule]) -> Self {
        Self { finest: Vec::new(), levels: rules.iter().map(|_| Level::default()).collect(), rules }
    }

    fn push(&mut self, cell: u32, held_out: bool) {
        self.finest.push(cell);
        if let Some(level) = self.levels.last_mut() {
            let counts = if held_out { &mut level.held_out } else { &mut level.fitted };
            counts[cell as usize] += 1;
        }
    }

    /// Rows of coarser cells are those of the cells within them.
    fn count_parents(&mut self) {
        for place in (1..self.levels.len()).rev() {
            let (coarser, finer) = self.levels.split_at_mut(place);
            let (coarser, finer) = (&mut coarser[place - 1], &finer[0]);
            for (cell, &parent) in finer.parents.iter().enumerate() {
                coarser.fitted[parent as usize] += finer.fitted[cell];
                coarser.held_out[parent as usize] += finer.held_out[cell];
            }
        }
    }
}

/// Numbers of keys, in the order in which they come.
struct Ids<K>(HashMap<K, u32>);

impl<K: Eq + Hash> Ids<K> {
    fn new() -> Self {
        Self(HashMap::new())
    }

    fn of(&mut self, key: K, parent: u32, place: usize, level: &mut Level) -> u32 {
        *self.0.entry(key).or_insert_with(|| {
            level.parents.push(parent);
            level.fitted.push(0);
            level.held_out.push(0);
            level.witness.push(place as u32);
            (level.parents.len() - 1) as u32
        })
    }
}
