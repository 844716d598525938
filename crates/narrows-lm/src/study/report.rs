//! What a study found.

use narrows::evaluate::Baselines;
use serde::Serialize;
use serde_json::Value;

use super::layer::{Sizes, Tried};

/// Everything that a study found.
#[derive(Debug, Clone, Serialize)]
pub struct StudyReport {
    /// The model.
    pub model: ModelFacts,
    /// The text.
    pub text: TextFacts,
    /// The recipe, complete.
    pub recipe: Value,
    /// One for each layer that was taken apart.
    pub layers: Vec<LayerReport>,
    /// What replaced features do; `None` where the model cannot do the task.
    pub patching: Option<PatchingReport>,
    /// Why there is no patching.
    pub no_patching: Option<String>,
    /// Seconds that it took.
    pub seconds: f64,
}

/// The model that was studied.
#[derive(Debug, Clone, Serialize)]
pub struct ModelFacts {
    /// Its name.
    pub name: String,
    /// Its family.
    pub family: String,
    /// Numbers that were learned.
    pub parameters: usize,
    /// Blocks.
    pub layers: usize,
    /// Columns of the residual stream.
    pub width: usize,
}

/// The text it was studied on.
#[derive(Debug, Clone, Serialize)]
pub struct TextFacts {
    /// The files.
    pub files: Vec<String>,
    /// Tokens of a window.
    pub context: usize,
    /// Windows to learn from, to choose on, to report on.
    pub windows: [usize; 3],
    /// Rows of a layer that were learned from, that were chosen on, that were reported on.
    pub rows: [usize; 3],
    /// What the model loses on the windows that are reported, in nats per token.
    pub loss: f64,
}

/// What was found at one layer.
#[derive(Debug, Clone, Serialize)]
pub struct LayerReport {
    /// The place.
    pub tap: String,
    /// The block, counted from 0.
    pub layer: usize,
    /// Every dictionary of the sweep.
    pub tried: Vec<Tried>,
    /// Which was chosen.
    pub chosen: usize,
    /// Each width in the next.
    pub sizes: Vec<Sizes>,
    /// What there is without a dictionary.
    pub baselines: Baselines,
    /// How well simple rules of tokens predict features, of each basis; the dictionary first.
    pub lexical: Vec<LexicalLine>,
    /// What is lost where the rows are put back, of each replacement; the dictionary first.
    pub splice: Vec<SpliceLine>,
}

/// How well simple rules of tokens predict the features of a basis, on the windows that are reported.
#[derive(Debug, Clone, Serialize)]
pub struct LexicalLine {
    /// The basis.
    pub basis: String,
    /// Features that were measured.
    pub features: usize,
    /// Mean correlation of the best rule and the feature, with its standard error.
    pub correlation: [f64; 2],
    /// The same of what is left of the feature where it fires as often as a feature of the dictionary: what bases
    /// are compared by, since a direction that is never 0 correlates with whatever moves it a little everywhere.
    pub matched: [f64; 2],
    /// Mean F1 of the best set of tokens, with its standard error.
    pub f1: [f64; 2],
    /// Mean precision and recall of that set.
    pub precision_recall: [f64; 2],
}

/// What is lost where rows are put back.
#[derive(Debug, Clone, Serialize)]
pub struct SpliceLine {
    /// What takes the place of the rows.
    pub replacement: String,
    /// Codes of a row, where it has codes.
    pub l0: Option<f64>,
    /// Squared error over squared distance from the mean row.
    pub fraction_variance_unexplained: f64,
    /// Nats per token.
    pub loss: f64,
    /// The part of what zeroing loses that is not lost.
    pub recovered: f64,
    /// KL to the output of the model as it is, in nats per token.
    pub divergence: f64,
}

/// What replaced features do.
#[derive(Debug, Clone, Serialize)]
pub struct PatchingReport {
    /// The place.
    pub tap: String,
    /// The task in words, with how well the model does it.
    pub task: String,
    /// Pairs on which features were put in order, and pairs that are reported.
    pub pairs: [usize; 2],
    /// One for each basis; dictionaries first.
    pub curves: Vec<PatchingCurve>,
}

impl PatchingReport {
    /// The KL before anything is replaced.
    pub(super) fn before(&self) -> f64 {
        let first = self.curves.iter().filter_map(|curve| curve.points.first());
        first.filter(|point| point[0] == 0.0).map(|point| point[2]).fold(0.0, f64::max)
    }
}

/// KL to the target against what was replaced.
#[derive(Debug, Clone, Serialize)]
pub struct PatchingCurve {
    /// The basis.
    pub basis: String,
    /// Whether it is a dictionary.
    pub dictionary: bool,
    /// Replaced features, size of the edit, KL and its standard error; in rising order of the first.
    pub points: Vec<[f64; 4]>,
}
