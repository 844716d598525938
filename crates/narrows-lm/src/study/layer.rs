//! The dictionaries of one layer: learned, chosen, measured.
//!
//! ```text
//! learn    every dictionary of the sweep on the rows of the learning windows
//! choose   on the rows of the choosing windows: of the dictionaries that lose at most the wanted fraction of
//!          variance the one with the fewest codes in a row; where none is as good, the one that loses least
//! report   on the rows of the testing windows
//! ```

use narrows::Result;
use narrows::compute::Matrix;
use narrows::data::Source;
use narrows::evaluate::{Baselines, DictionaryScores, compare_dictionaries, evaluate_dictionary};
use narrows::model::Dictionary;
use narrows::recipe::DictionaryRecipe;
use narrows::report::number;
use narrows::train::dictionary::{DictionaryObserver, DictionaryOptions, Kind};
use serde::Serialize;
use serde_json::json;

/// Rows of one layer.
pub(super) struct LayerRows<'a> {
    /// To learn from.
    pub(super) learning: &'a dyn Source,
    /// To choose on.
    pub(super) choosing: &'a Matrix,
    /// To report on.
    pub(super) testing: &'a Matrix,
}

/// One dictionary of a layer and what it came to.
#[derive(Debug, Clone, Serialize)]
pub struct Tried {
    /// What it was made like.
    pub made: DictionaryOptions,
    /// On the rows on which dictionaries are chosen.
    pub choosing: Figures,
    /// On the rows that are reported.
    pub testing: Figures,
}

impl Tried {
    /// The word for its kind.
    fn kind(&self) -> String {
        json!(self.made.kind).as_str().unwrap_or_default().to_owned()
    }

    /// Kind and width: what is joined by a line where dictionaries are drawn.
    pub(super) fn family(&self) -> String {
        format!("{}, {}", self.kind(), self.made.latents)
    }

    /// What keeps its codes few.
    pub fn setting(&self) -> String {
        let made = &self.made;
        match (made.kind, made.target_l0) {
            (Kind::TopK | Kind::BatchTopK | Kind::Matryoshka, _) => format!("k {}", made.k),
            (_, Some(l0)) => format!("L0 {l0}"),
            _ => format!("α {}", number(made.sparsity_weight)),
        }
    }

    /// Its kind, and what keeps its codes few.
    pub fn name(&self) -> String {
        format!("{}, {}", self.kind(), self.setting())
    }

    /// Whether it differs from another in nothing but how few codes it keeps, or not even in that.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let (mut one, other) = (self.made.clone(), &other.made);
        (one.k, one.sparsity_weight) = (other.k, other.sparsity_weight);
        one.target_l0 = other.target_l0;
        one == *other
    }
}

/// What a dictionary does to rows, in few figures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figures {
    /// Mean number of codes of a row.
    pub l0: f64,
    /// Squared error over squared distance from the mean row.
    pub fraction_variance_unexplained: f64,
    /// The share of latents that never fired.
    pub dead_share: f64,
}

impl Figures {
    fn of(scores: &DictionaryScores) -> Self {
        Self {
            l0: scores.l0,
            fraction_variance_unexplained: scores.fraction_variance_unexplained,
            dead_share: scores.dead_share,
        }
    }
}

/// How far what a smaller dictionary found is in a larger one.
#[derive(Debug, Clone, Serialize)]
pub struct Sizes {
    /// Latents of the smaller and the larger.
    pub latents: [usize; 2],
    /// Kind of both, and what keeps their codes few.
    pub made: String,
    /// Mean max cosine similarity of the smaller's atoms in the larger.
    pub mmcs: f64,
}

/// What came of a layer.
pub(super) struct LayerDictionaries {
    pub(super) dictionaries: Vec<Dictionary>,
    pub(super) tried: Vec<Tried>,
    /// Which was chosen.
    pub(super) chosen: usize,
    pub(super) sizes: Vec<Sizes>,
    /// Without a dictionary, at the codes in a row of those that were tried.
    pub(super) baselines: Baselines,
}

/// Learns, chooses and measures.
pub(super) fn learn(
    recipe: &DictionaryRecipe,
    rows: &LayerRows<'_>,
    wanted: f64,
    observer: &mut dyn DictionaryObserver,
) -> Result<LayerDictionaries> {
    let made = recipe.dictionaries(rows.learning.dim())?;
    let dictionaries = recipe.fit(rows.learning, None, None, observer)?.dictionaries;
    let mut tried = Vec::new();
    for (dictionary, made) in dictionaries.iter().zip(made) {
        let on = |rows: &Matrix| -> Result<Figures> {
            Ok(Figures::of(&evaluate_dictionary(dictionary, rows, None, None)?))
        };
        tried.push(Tried { made, choosing: on(rows.choosing)?, testing: on(rows.testing)? });
    }
    let l0: Vec<usize> = tried.iter().map(|own| (own.testing.l0.round() as usize).max(1)).collect();
    let directions = tried.iter().map(|own| own.made.latents).max().unwrap_or(1);
    let baselines = Baselines::measure(rows.testing, &l0, directions, recipe.seed)?;
    Ok(LayerDictionaries {
        chosen: choose(&tried, wanted),
        sizes: sizes(&dictionaries, &tried)?,
        dictionaries,
        tried,
        baselines,
    })
}

fn choose(tried: &[Tried], wanted: f64) -> usize {
    let lost = |own: &Tried| own.choosing.fraction_variance_unexplained;
    let good = (0..tried.len()).filter(|&place| lost(&tried[place]) <= wanted);
    let sparsest = good.min_by(|&a, &b| tried[a].choosing.l0.total_cmp(&tried[b].choosing.l0));
    let least = || (0..tried.len()).min_by(|&a, &b| lost(&tried[a]).total_cmp(&lost(&tried[b])));
    sparsest.or_else(least).unwrap_or(0)
}

/// Each width in the next, where they differ in nothing else.
fn sizes(dictionaries: &[Dictionary], tried: &[Tried]) -> Result<Vec<Sizes>> {
    let mut found = Vec::new();
    for (small, own) in dictionaries.iter().zip(tried) {
        let like = |other: &&(usize, &Tried)| {
            let mut same = other.1.made.clone();
            same.latents = own.made.latents;
            same == own.made && other.1.made.latents > own.made.latents
        };
        let larger: Vec<(usize, &Tried)> = tried.iter().enumerate().collect();
        let next = larger.iter().filter(like).min_by_key(|(_, other)| other.made.latents);
        if let Some(&(place, other)) = next {
            let likeness = compare_dictionaries(&small.decoder, &dictionaries[place].decoder)?;
            found.push(Sizes {
                latents: [own.made.latents, other.made.latents],
                made: own.name(),
                mmcs: likeness.mmcs,
            });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(lost: f64, l0: f64) -> Tried {
        let figures = Figures { l0, fraction_variance_unexplained: lost, dead_share: 0.0 };
        // What is reported must not matter to what is chosen.
        let testing = Figures { fraction_variance_unexplained: 1.0 - lost, ..figures };
        Tried { made: DictionaryOptions::default(), choosing: figures, testing }
    }

    #[test]
    fn the_sparsest_that_is_good_enough_is_chosen_and_else_the_best() {
        let all = [tried(0.3, 2.0), tried(0.09, 20.0), tried(0.08, 12.0), tried(0.01, 60.0)];
        assert_eq!(choose(&all, 0.1), 2);
        assert_eq!(choose(&all, 0.001), 3);
    }
}
