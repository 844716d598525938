//! Every key of a recipe, by table.

use serde::{Deserialize, Serialize};

use crate::compute::Activation;
use crate::error::Result;
use crate::model::linear::LinearOptions;
use crate::model::network::{Initialisation, NetworkOptions, Normalisation};
use crate::model::pca::{Components, PcaOptions, Solver};
use crate::objective::{Corruption, Loss, Sparsity, check_emphasis};

/// Where rows come from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataTable {
    /// A file, a folder of pictures, `PATH#name` in an npz, or `demo:digits`.
    pub path: Option<String>,
    /// A file with one label per row.
    pub labels: Option<String>,
    /// The column of a table that holds the labels.
    pub label_column: Option<String>,
    /// Whether pictures keep their colours.
    pub colour: bool,
    /// Width and height that pictures are brought to.
    pub resize: Option<(usize, usize)>,
}

/// What is learned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelTable {
    /// The kind of model.
    pub kind: Kind,
    /// PCA: how many components; by default the fewest that explain more than 95 %.
    pub components: Components,
    /// PCA: which algorithm.
    pub solver: Solver,
    /// PCA: whether codes are divided by the standard deviation of their component.
    pub whiten: bool,
    /// PCA, randomised solver: dimensions beyond those kept.
    pub oversampling: usize,
    /// PCA, randomised solver: passes of the power iteration.
    pub power_iterations: Option<usize>,
    /// Linear autoencoder: columns of a code; by default half of those of the rows, at most 32.
    pub latent_dim: Option<usize>,
    /// Whether the decoder has the encoder's weights, transposed.
    pub tied: bool,
    /// Network: columns of each layer of the encoder; the last is the code.
    pub layers: Vec<usize>,
    /// Network: columns of the decoder's layers but the last; by default the encoder's mirrored.
    pub decoder_layers: Option<Vec<usize>>,
    /// Network: the function between layers.
    pub activation: Activation,
    /// Network: the function of the code.
    pub code_activation: Activation,
    /// Network: the function of the output; by default sigmoid where the data lie between 0 and 1,
    /// else identity.
    pub output_activation: Option<Activation>,
    /// Network: how weights are drawn, or `pca`.
    pub initialisation: Initialisation,
    /// Network: what brings numbers to mean 0 and variance 1 between layers.
    pub normalisation: Normalisation,
    /// Network: the probability that a number between layers is dropped in training.
    pub dropout: f64,
    /// Network: how many numbers of a code are kept, if not all.
    pub top_k: Option<usize>,
    /// Stack: epochs of the whole after its storeys, 0 for none; by default those of training.
    pub fine_tune_epochs: Option<usize>,
    /// Stack: whether the input is corrupted then too, as that of the first storey.
    pub fine_tune_corruption: bool,
}

/// The kinds of model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Principal component analysis, in closed form.
    #[default]
    Pca,
    /// A linear autoencoder, learned by following gradients.
    Linear,
    /// An autoencoder of layers.
    Network,
    /// Layers learned one after the other, then as a whole.
    Stack,
}

impl Kind {
    /// Every one of them.
    pub const ALL: [Self; 4] = [Self::Pca, Self::Linear, Self::Network, Self::Stack];
}

/// What is minimised.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ObjectiveTable {
    /// The loss; by default binary cross-entropy where the data lie between 0 and 1 and the output is
    /// sigmoid, else squared error.
    pub loss: Option<Loss>,
    /// Noise on the input.
    pub corruption: CorruptionTable,
    /// The penalty on the code.
    pub sparsity: SparsityTable,
}

/// Noise on the input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CorruptionTable {
    /// Its kind.
    pub kind: CorruptionKind,
    /// Gaussian: its standard deviation, in the units of the prepared rows.
    pub sigma: f64,
    /// Salt and pepper, masking: the probability of each component.
    pub rate: f64,
    /// Salt and pepper, masking: the weights α and β of corrupted and of clean components in the loss.
    pub emphasis: Option<[f64; 2]>,
}

/// The kinds of noise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CorruptionKind {
    /// None.
    #[default]
    None,
    /// [`Corruption::Gaussian`].
    Gaussian,
    /// [`Corruption::SaltAndPepper`].
    SaltAndPepper,
    /// [`Corruption::Masking`].
    Masking,
}

/// The penalty on the code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SparsityTable {
    /// Its kind.
    pub kind: SparsityKind,
    /// α, its weight in the loss.
    pub weight: f64,
    /// KL: p, the mean activation that is wanted.
    pub target: f64,
    /// KL: how much of the last running mean is kept; 0 for the mean of the mini-batch alone.
    pub memory: f64,
}

/// The kinds of penalty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SparsityKind {
    /// None.
    #[default]
    None,
    /// [`Sparsity::L1`].
    L1,
    /// [`Sparsity::Kl`].
    Kl,
}

/// What one storey of a stack has of its own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreyTable {
    /// How it is learned.
    pub kind: StoreyKind,
    /// Noise on its input, in place of that of the objective.
    pub corruption: Option<CorruptionTable>,
    /// The penalty on its code, in place of that of the objective.
    pub sparsity: Option<SparsityTable>,
    /// In place of those of training.
    pub epochs: Option<usize>,
    /// In place of that of training.
    pub learning_rate: Option<f64>,
}

/// How a storey is learned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreyKind {
    /// By following gradients.
    #[default]
    Autoencoder,
    /// As PCA, in closed form.
    Pca,
}

/// Optimisers that take a step for each batch; L-BFGS takes whole ones of a length that it finds.
const STEPWISE: &[&str] = &["sgd", "adam", "adamw"];

/// Keys that are read only where another key has one of these values; a table stands for all its
/// keys. A key that stands in several lines needs all of them.
pub(super) const READ_WHERE: &[(&str, &str, &[&str])] = &[
    ("model.components", "model.kind", &["pca"]),
    ("model.solver", "model.kind", &["pca"]),
    ("model.whiten", "model.kind", &["pca"]),
    ("model.oversampling", "model.kind", &["pca"]),
    ("model.oversampling", "model.solver", &["auto", "randomized"]),
    ("model.power_iterations", "model.kind", &["pca"]),
    ("model.power_iterations", "model.solver", &["auto", "randomized"]),
    ("model.latent_dim", "model.kind", &["linear"]),
    ("model.tied", "model.kind", &["linear", "network", "stack"]),
    ("model.layers", "model.kind", &["network", "stack"]),
    ("model.decoder_layers", "model.kind", &["network"]),
    ("model.activation", "model.kind", &["network", "stack"]),
    ("model.code_activation", "model.kind", &["network", "stack"]),
    ("model.output_activation", "model.kind", &["network", "stack"]),
    ("model.initialisation", "model.kind", &["network", "stack"]),
    ("model.normalisation", "model.kind", &["network"]),
    ("model.dropout", "model.kind", &["network"]),
    ("model.top_k", "model.kind", &["network"]),
    ("model.fine_tune_epochs", "model.kind", &["stack"]),
    ("model.fine_tune_corruption", "model.kind", &["stack"]),
    ("storey", "model.kind", &["stack"]),
    ("objective", "model.kind", &["network", "stack"]),
    ("objective.corruption.sigma", "objective.corruption.kind", &["gaussian"]),
    ("objective.corruption.rate", "objective.corruption.kind", &["salt_and_pepper", "masking"]),
    ("objective.corruption.emphasis", "objective.corruption.kind", &["salt_and_pepper", "masking"]),
    ("objective.sparsity.weight", "objective.sparsity.kind", &["l1", "kl"]),
    ("objective.sparsity.target", "objective.sparsity.kind", &["kl"]),
    ("objective.sparsity.memory", "objective.sparsity.kind", &["kl"]),
    ("objective.sparsity.memory", "train.optimizer", STEPWISE),
    ("train", "model.kind", &["linear", "network", "stack"]),
    ("train.augmentation", "model.kind", &["network", "stack"]),
    ("train.learning_rate", "train.optimizer", STEPWISE),
    ("train.momentum", "train.optimizer", STEPWISE),
    ("train.gradient_clip", "train.optimizer", STEPWISE),
    ("train.batch_size", "train.optimizer", STEPWISE),
    ("train.batch_growth", "train.optimizer", STEPWISE),
    ("train.schedule", "train.optimizer", STEPWISE),
    ("train.warm_up", "train.optimizer", STEPWISE),
    ("train.average", "train.optimizer", STEPWISE),
    ("train.second_momentum", "train.optimizer", &["adam", "adamw"]),
];

impl Default for ModelTable {
    fn default() -> Self {
        let pca = PcaOptions::default();
        let linear = LinearOptions::default();
        let network = NetworkOptions::default();
        Self {
            kind: Kind::default(),
            components: Components::Variance(0.95),
            solver: pca.solver,
            whiten: pca.whiten,
            oversampling: pca.oversampling,
            power_iterations: pca.power_iterations,
            latent_dim: None,
            tied: linear.tied,
            layers: network.layers,
            decoder_layers: network.decoder_layers,
            activation: network.activation,
            code_activation: network.code_activation,
            output_activation: None,
            initialisation: network.initialisation,
            normalisation: network.normalisation,
            dropout: network.dropout,
            top_k: network.top_k,
            fine_tune_epochs: None,
            fine_tune_corruption: false,
        }
    }
}

impl Default for CorruptionTable {
    fn default() -> Self {
        Self { kind: CorruptionKind::None, sigma: 0.3, rate: 0.25, emphasis: None }
    }
}

impl Default for SparsityTable {
    fn default() -> Self {
        Self { kind: SparsityKind::None, weight: 1e-4, target: 0.05, memory: 0.0 }
    }
}

impl CorruptionTable {
    /// The noise that the table describes.
    pub fn corruption(&self) -> Corruption {
        let Self { sigma, rate, .. } = *self;
        match self.kind {
            CorruptionKind::None => Corruption::None,
            CorruptionKind::Gaussian => Corruption::Gaussian { sigma },
            CorruptionKind::SaltAndPepper => Corruption::SaltAndPepper { rate },
            CorruptionKind::Masking => Corruption::Masking { rate },
        }
    }

    /// Refuses a strength or an emphasis that cannot be.
    pub(super) fn check(&self) -> Result<()> {
        self.corruption().check()?;
        check_emphasis(self.emphasis)
    }
}

impl SparsityTable {
    /// The penalty that the table describes.
    pub fn sparsity(&self) -> Sparsity {
        let Self { weight, target, memory, .. } = *self;
        match self.kind {
            SparsityKind::None => Sparsity::None,
            SparsityKind::L1 => Sparsity::L1 { weight },
            SparsityKind::Kl => Sparsity::Kl { weight, target, memory },
        }
    }
}

impl ModelTable {
    /// The shape of the network that the table describes, with the output decided.
    pub fn network(&self, output_activation: Activation) -> NetworkOptions {
        NetworkOptions {
            layers: self.layers.clone(),
            decoder_layers: self.decoder_layers.clone(),
            tied: self.tied,
            activation: self.activation,
            code_activation: self.code_activation,
            output_activation,
            initialisation: self.initialisation,
            normalisation: self.normalisation,
            dropout: self.dropout,
            top_k: self.top_k,
        }
    }
}
