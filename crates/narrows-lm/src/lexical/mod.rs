//! Lexical interpretability: how much of a feature is said by tokens and positions alone, on text that no rule
//! was fitted on. It needs no model that explains.
//!
//! ```text
//! t a token of the text, in windows, but for those that begin a document, which are context of others alone
//! a_t ≥ 0 the activation of a feature there    y_t = [a_t > q] it fires
//! fitting windows F    held-out windows H: stretches of windows take turns, and no rule sees H before the end
//!
//! a rule r puts every t into a cell c = r(t), and each cell but the coarsest lies within a parent p(c):
//!   current    t's token                         within all tokens
//!   previous   the token before                  within all tokens
//!   bigram     the token before and t's          within current
//!   trigram    the two before and t's            within bigram
//!   position   where t stands in its window and, if that is known, in its document; 0, 1, 2–3, 4–7, … are
//!              one place each                    within all tokens
//!
//! predicted activation   â_c = (Σ_{t ∈ c ∩ F} a_t + κ·â_{p(c)}) / (N_c + κ)     κ = 4: rare cells say what their
//!                        parents say, and a cell that F does not have says just that
//! rule of a feature      the r of least Σ_{t ∈ F} (a_t − â⁻_t)², where â⁻_t is â without t itself, in every
//!                        parent too: else the finest rule would always win;
//!                        a rule has to explain 0.1 % of the variance more than a simpler one
//! correlation            corr(a_t, â_{r(t)}) over H, of that r
//! set of a rule          { c : ŷ_c ≥ τ }, ŷ as â of y, τ what gives the largest F1 on F with ŷ⁻; cells are
//!                        taken greedily by precision, for ŷ is one
//! set of a feature       that of the r of largest F1 on F, by 0.001; precision, recall and F1 of it are over H
//! ```
//!
//! Sums over rows are made once for each feature, in cells; all else is a sum over cells, since â is the same
//! in the whole of a cell and â⁻ is linear in a_t there.
//!
//! **Bases alike.** Codes of directions have a sign, so the side whose third central moment over F is positive
//! is taken and rectified: a = max(±z, 0), whose sign is chosen without H. A dictionary fires where a > 0.
//! Where all codes of directions are kept (dense bases), q of the i-th feature is such that it fires on as
//! large a share of F as the i-th feature of the dictionary that has a score does of all rows: densities alike. The
//! correlation is then told twice: of a as it is, and of what is left of it where it fires (`matched`). Of
//! directions of which only the k largest codes of each row are kept, the paper's other variant, q = 0.
//!
//! A feature is dead that fires nowhere, and rare that fires in fewer than 10 places of F or nowhere in H;
//! neither has a score, and both are counted. A basis has the mean of its features and its standard error.
//!
//! Source: the comparison of bases is that of H. Cunningham et al., Sparse autoencoders find highly
//! interpretable features in language models (2023); smoothing by parents is that of D. MacKay and L. Peto, A
//! hierarchical Dirichlet language model (1995).
//! Differs from: the paper lets a language model explain features and predict them from the explanation
//! (see [`crate::interpret`]); here what predicts is the best of five rules, so a feature of meaning that
//! many words share scores lower than a person would rate it, in every basis alike.

mod baselines;
mod columns;
mod contexts;
mod feature;
mod rules;
mod scores;
mod sets;
#[cfg(test)]
mod tests;

use narrows::compute::Matrix;
use narrows::data::Source;
use narrows::random::Random;
use narrows::{Error, Result};
use serde::{Deserialize, Serialize};

pub use baselines::{BaselineBasis, baseline_bases};
pub use contexts::{Context, Contexts, Position};
pub use feature::{FeatureScore, SetScore};
pub use scores::{Difference, LexicalScores, Mean};

use crate::basis::Basis;
use columns::Columns;

/// Rows at a tap that were harvested, one for each token of the windows that does not begin a document, in their
/// order.
#[derive(Clone, Copy)]
pub enum Rows<'a> {
    /// In memory.
    Matrix(&'a Matrix),
    /// In a store or a file.
    Source(&'a dyn Source),
}

impl Rows<'_> {
    /// Number of rows.
    pub fn count(&self) -> usize {
        match self {
            Self::Matrix(rows) => rows.rows(),
            Self::Source(rows) => rows.rows(),
        }
    }

    /// Columns of a row.
    pub fn dim(&self) -> usize {
        match self {
            Self::Matrix(rows) => rows.cols(),
            Self::Source(rows) => rows.dim(),
        }
    }

    /// Copies `count` rows from `start` on.
    fn read(&self, start: usize, count: usize, into: &mut Matrix) -> Result<()> {
        let dim = self.dim();
        into.reshape(count, dim);
        match self {
            Self::Matrix(rows) => {
                let from = &rows.as_slice()[start * dim..(start + count) * dim];
                into.as_mut_slice().copy_from_slice(from);
                Ok(())
            }
            Self::Source(rows) => rows.read_f32(start, into.as_mut_slice()),
        }
    }
}

/// A way to predict a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// By the token itself.
    Current,
    /// By the token before.
    Previous,
    /// By both.
    Bigram,
    /// By them and the one before.
    Trigram,
    /// By the place in the window and the document.
    Position,
}

impl Rule {
    /// Every one of them; the simpler of two that do as well is taken.
    pub const ALL: [Self; 5] =
        [Self::Current, Self::Previous, Self::Position, Self::Bigram, Self::Trigram];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Previous => "previous",
            Self::Bigram => "bigram",
            Self::Trigram => "trigram",
            Self::Position => "position",
        }
    }
}

/// What is measured.
#[derive(Debug, Clone, PartialEq)]
pub struct LexicalOptions {
    /// Features that are drawn, at most.
    pub features: usize,
    /// The seed of the draw.
    pub seed: u64,
    /// What shares of the rows the features of a dense basis fire on, one after the other and again from the
    /// first: [`LexicalScores::densities`] of the dictionary that it is compared with. Not read of sparse codes.
    pub densities: Vec<f64>,
}

impl Default for LexicalOptions {
    fn default() -> Self {
        Self { features: 256, seed: 0, densities: Vec::new() }
    }
}

/// Measures features of `basis`, drawn at random, on rows at a tap. `told` hears which part is done.
///
/// Memory: of sparse codes 8 bytes for each that is kept of a drawn feature; of dense ones 32 features at a
/// time, 4 bytes for each row and feature; and of each thread 32 bytes for each cell, twice, and 24 more. Rows are read once in the first
/// case and once for each 32 features in the other.
///
/// # Errors
/// If the rows are not those of the text or of other columns, or a dense basis is given no densities.
pub fn measure(
    basis: &Basis,
    rows: Rows<'_>,
    contexts: &Contexts,
    options: &LexicalOptions,
    told: &mut dyn FnMut(f64),
) -> Result<LexicalScores> {
    basis.check(rows.dim())?;
    if rows.count() != contexts.rows() {
        return Err(Error::mistake(
            "measure lexical interpretability",
            format!("{} rows, one for each token that begins no document", contexts.rows()),
            rows.count().to_string(),
            "give the rows that the model made of this text",
        ));
    }
    let drawn = drawn(basis.features(), options);
    let columns = Columns::new(basis, &drawn);
    if columns.is_dense() && options.densities.is_empty() {
        return Err(Error::mistake(
            "measure lexical interpretability",
            "the share of rows that features fire on, for directions of which all codes are kept",
            "none",
            "measure the dictionary first and give its densities",
        ));
    }
    let found = columns.scores(rows, contexts, &options.densities, told)?;
    Ok(LexicalScores::of(&basis.name, columns.is_dense(), found))
}

/// Features in the order in which they were drawn.
fn drawn(features: usize, options: &LexicalOptions) -> Vec<usize> {
    let mut order =
        Random::stream(options.seed, "features of lexical scores").permutation(features);
    order.truncate(options.features);
    order
}
