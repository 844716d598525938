//! What a dictionary is made like, and how it is trained.

use serde::{Deserialize, Serialize};

use super::matryoshka;
use crate::data::Shuffle;
use crate::error::{Error, Result};

/// Which idea keeps the codes sparse.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A penalty on the sum of the codes: see `l1`.
    Relu,
    /// The k largest of each row: see `top_k`.
    TopK,
    /// The k largest of each row on average over a batch: see `batch_top_k`.
    #[default]
    BatchTopK,
    /// A learned threshold for each latent: see `jump_relu`.
    JumpRelu,
    /// Nested dictionaries, each of which has to rebuild the row: see `matryoshka`.
    Matryoshka,
    /// A gate that is learned apart from the size: see `gated`.
    Gated,
}

/// How the lengths of the decoder's rows are kept from hiding the codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecoderNorm {
    /// Each row of D has length 1; its gradient along the row is taken away.
    Unit,
    /// The rows are free, and what counts a code counts it times the length of its row.
    Weighted,
}

/// What is charged for a latent that is active, of a JumpReLU dictionary.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JumpPenalty {
    /// The same for each: λ·L0.
    #[default]
    Step,
    /// `λ·Σ tanh(s·z·‖D‖)`.
    Tanh,
    /// `λ·(2/T)·(L0 − T)²` with T the target.
    Quadratic,
}

/// What one dictionary is made like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DictionaryOptions {
    /// Which idea keeps the codes sparse.
    pub kind: Kind,
    /// Latents.
    pub latents: usize,
    /// Codes of a row: exactly (top k), on average (batch top k, matryoshka).
    pub k: f64,
    /// λ (α of Cunningham et al.): the weight of the penalty.
    pub sparsity_weight: f64,
    /// The L0 that λ is steered to while it learns, where a penalty makes codes sparse. Where a number of
    /// codes is kept, `k` says it.
    pub target_l0: Option<f64>,
    /// Whether the decoder is the encoder, each row brought to length 1: Cunningham et al.
    pub tied: bool,
    /// How the lengths of the decoder's rows are treated; by default weighted, but unit for jumprelu,
    /// gated and tied weights: see [`DictionaryOptions::norm`].
    pub decoder_norm: Option<DecoderNorm>,
    /// Whether the decoder's bias is taken from the input; by default unless the target is
    /// another, which cannot be centred.
    pub centred: Option<bool>,
    /// Whether the input also passes to the output through a matrix of its own; only where targets are others.
    pub skip: bool,
    /// JumpReLU: what is charged for an active latent.
    pub penalty: JumpPenalty,
    /// JumpReLU: θ at the start.
    pub threshold: f64,
    /// JumpReLU: ε, the width over which the step counts as a slope.
    pub bandwidth: f64,
    /// JumpReLU: s of the tanh penalty.
    pub tanh_scale: f64,
    /// JumpReLU: whether that slope also moves the encoder.
    pub slope_to_encoder: bool,
    /// Matryoshka: the widths of the nested dictionaries; by default n/16, n/8, n/4, n/2, n.
    pub widths: Vec<usize>,
    /// The weight of the loss that revives dead latents; 0 for none. Not of relu.
    pub revival_weight: f64,
    /// How many dead latents that loss takes of a row; by default half the columns of a row.
    pub revival_k: Option<usize>,
    /// Rows without a code after which a latent counts as dead.
    pub dead_after: u64,
    /// Numbers of rows, counted from the start, after which dead latents are drawn anew; none of them below
    /// `dead_after`, before which no latent is dead.
    pub resample_at: Vec<u64>,
    /// The seed of its first weights.
    pub seed: u64,
}

impl Default for DictionaryOptions {
    fn default() -> Self {
        Self {
            kind: Kind::default(),
            latents: 4096,
            k: 32.0,
            sparsity_weight: 1.0,
            target_l0: None,
            tied: false,
            decoder_norm: None,
            centred: None,
            skip: false,
            penalty: JumpPenalty::default(),
            threshold: 0.5,
            bandwidth: 1.0,
            tanh_scale: 4.0,
            slope_to_encoder: true,
            widths: Vec::new(),
            revival_weight: 1.0 / 32.0,
            revival_k: None,
            dead_after: 10_000_000,
            resample_at: Vec::new(),
            seed: 0,
        }
    }
}

/// Batches that a line of the history tells of at least, unless somebody asked for less.
const LINE_BATCHES: u64 = 4;

/// How dictionaries are trained: the same for all that learn from one pass.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DictionaryTraining {
    /// Rows that are learned from, all passes together; by default one pass.
    pub rows: Option<u64>,
    /// Rows of a step.
    pub batch_size: usize,
    /// η; by default 2·10⁻⁴/√(n/2¹⁴).
    pub learning_rate: Option<f64>,
    /// The part of training in which η rises from 0.
    pub warm_up: f64,
    /// The part of training, its last, in which η falls to 0.
    pub decay: f64,
    /// The part of training in which a penalty rises from 0, but for one that is steered to an L0.
    pub sparsity_warm_up: f64,
    /// The part of training in which k falls from the columns of a row to its value.
    pub k_warm_up: f64,
    /// What the length of all gradients together is brought to where it is more.
    pub gradient_clip: Option<f64>,
    /// β₁ of Adam.
    pub momentum: f64,
    /// β₂ of Adam.
    pub second_momentum: f64,
    /// Whether rows are scaled so that their length is √d on average; undone in what is kept.
    pub scale: bool,
    /// The order in which rows are visited.
    pub shuffle: Shuffle,
    /// Rows between two lines of the history: see [`DictionaryTraining::lines_every`].
    pub log_every: Option<u64>,
    /// Seconds between checkpoints: a state of several gigabytes takes some to write.
    pub checkpoint_seconds: f64,
    /// The seed of the order.
    #[serde(skip)]
    pub seed: u64,
}

impl Default for DictionaryTraining {
    fn default() -> Self {
        Self {
            rows: None,
            batch_size: 4096,
            learning_rate: None,
            warm_up: 0.01,
            decay: 0.2,
            sparsity_warm_up: 0.05,
            k_warm_up: 0.0,
            gradient_clip: Some(1.0),
            momentum: 0.9,
            second_momentum: 0.999,
            scale: true,
            shuffle: Shuffle::Global,
            log_every: None,
            checkpoint_seconds: 300.0,
            seed: 0,
        }
    }
}

impl DictionaryTraining {
    /// The learning rate of a dictionary of so many latents at full height.
    pub fn full_rate(&self, latents: usize) -> f64 {
        self.learning_rate.unwrap_or(2e-4 / (latents as f64 / 16384.0).sqrt())
    }

    /// Rows between two lines of the history of a training on `total` rows; by default a fiftieth of them,
    /// at most 100,000, but never less than four batches.
    pub fn lines_every(&self, total: u64) -> u64 {
        let batches = LINE_BATCHES.saturating_mul(self.batch_size as u64);
        self.log_every.unwrap_or((total / 50).min(100_000).max(batches).max(1))
    }

    /// Whether there is a line after `position` of `total` rows, of which the last step saw `rows`.
    ///
    /// The last line is of all rows since the one before: where less than half of what is usual would be left
    /// for it, that one is left out.
    pub(super) fn line_is_due(&self, position: u64, rows: u64, total: u64) -> bool {
        let every = self.lines_every(total);
        let passed = position / every > (position - rows) / every;
        position == total || passed && total - position >= every / 2
    }

    /// The part of the full rate when the part `done` of training is done.
    pub fn rate_factor(&self, done: f64) -> f64 {
        risen(done, self.warm_up).min(risen(1.0 - done, self.decay))
    }

    /// The part of the penalty that counts when the part `done` of training is done.
    pub fn sparsity_factor(&self, done: f64) -> f64 {
        risen(done, self.sparsity_warm_up)
    }

    /// The part of its way that k has come when the part `done` of training is done.
    pub fn k_factor(&self, done: f64) -> f64 {
        risen(done, self.k_warm_up)
    }

    /// Refuses what cannot be.
    ///
    /// # Errors
    /// If a number is out of its range.
    pub fn check(&self) -> Result<()> {
        let part = |value: f64| (0.0..=1.0).contains(&value);
        let positive = |value: Option<f64>| value.is_none_or(|v| v.is_finite() && v > 0.0);
        let checks = [
            (self.batch_size > 0, "batch_size", "at least 1"),
            (self.rows != Some(0), "rows", "at least 1"),
            (positive(self.learning_rate), "learning_rate", "a positive number"),
            (positive(self.gradient_clip), "gradient_clip", "a positive number"),
            (part(self.warm_up), "warm_up", "a part of 1"),
            (part(self.decay), "decay", "a part of 1"),
            (part(self.sparsity_warm_up), "sparsity_warm_up", "a part of 1"),
            (part(self.k_warm_up), "k_warm_up", "a part of 1"),
            ((0.0..1.0).contains(&self.momentum), "momentum", "0 to below 1"),
            ((0.0..1.0).contains(&self.second_momentum), "second_momentum", "0 to below 1"),
            (self.log_every != Some(0), "log_every", "at least 1"),
            (self.shuffle != Shuffle::Blocks { rows: 0 }, "shuffle", "blocks of at least 1 row"),
            (self.checkpoint_seconds >= 0.0, "checkpoint_seconds", "0 or more"),
        ];
        refuse("train", &checks, self)
    }
}

impl DictionaryOptions {
    /// Widths of the nested dictionaries, the last of which is the whole.
    pub fn nested_widths(&self) -> Vec<usize> {
        if self.kind != Kind::Matryoshka {
            return vec![self.latents];
        }
        if !self.widths.is_empty() {
            return self.widths.clone();
        }
        matryoshka::default_widths(self.latents)
    }

    /// How the lengths of the decoder's rows are treated.
    ///
    /// Rows that are free begin short, so that a step of Adam turns them further; in what is kept they have
    /// one length all the same.
    pub fn norm(&self) -> DecoderNorm {
        let unit = self.tied || matches!(self.kind, Kind::JumpRelu | Kind::Gated);
        let usual = if unit { DecoderNorm::Unit } else { DecoderNorm::Weighted };
        self.decoder_norm.unwrap_or(usual)
    }

    /// Whether λ is what makes the codes sparse.
    pub fn penalised(&self) -> bool {
        matches!(self.kind, Kind::Relu | Kind::JumpRelu | Kind::Gated)
    }

    /// Whether λ is steered to `target_l0`; the quadratic penalty finds it by itself.
    pub fn steered(&self) -> bool {
        let quadratic = self.kind == Kind::JumpRelu && self.penalty == JumpPenalty::Quadratic;
        self.penalised() && !quadratic
    }

    /// Refuses what cannot be.
    ///
    /// # Errors
    /// If a number is out of its range, or does not go with the kind.
    pub fn check(&self) -> Result<()> {
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let widths = self.nested_widths();
        let rising = widths.windows(2).all(|pair| pair[0] < pair[1]);
        let counts = !self.penalised();
        let k_range = format!("above 0, at most latents, of which there are {}", self.latents);
        let late = format!(
            "rows from dead_after on, which is {}: no latent is dead before",
            self.dead_after
        );
        let checks = [
            (self.latents > 0, "latents", "at least 1"),
            (!counts || (positive(self.k) && self.k <= self.latents as f64), "k", &k_range),
            (self.sparsity_weight >= 0.0, "sparsity_weight", "0 or more"),
            (self.target_l0.is_none_or(positive), "target_l0", "a positive number"),
            (
                !counts || self.target_l0.is_none(),
                "target_l0",
                "nothing where k counts codes: give k",
            ),
            (!self.tied || self.kind == Kind::Relu, "tied", "false, but for kind=\"relu\""),
            (!self.tied || self.resample_at.is_empty(), "resample_at", "nothing with tied weights"),
            (self.resample_at.iter().all(|&rows| rows >= self.dead_after), "resample_at", &late),
            (
                self.kind != Kind::TopK || (self.k >= 1.0 && self.k.fract() == 0.0),
                "k",
                "a whole number, at least 1, with kind=\"topk\"",
            ),
            (self.kind != Kind::Gated || !self.skip, "skip", "false with kind=\"gated\""),
            (!self.tied || !self.skip, "skip", "false with tied weights"),
            (!self.tied || self.centred != Some(true), "centred", "false with tied weights"),
            (
                !self.tied || self.norm() == DecoderNorm::Unit,
                "decoder_norm",
                "\"unit\" with tied weights",
            ),
            (positive(self.bandwidth), "bandwidth", "a positive number"),
            (self.threshold >= 0.0, "threshold", "0 or more"),
            (rising && widths.last() == Some(&self.latents), "widths", "rising up to latents"),
            (widths.first() != Some(&0), "widths", "rising from at least 1"),
            (self.revival_weight >= 0.0, "revival_weight", "0 or more"),
            (
                self.penalty != JumpPenalty::Quadratic || self.target_l0.is_some(),
                "target_l0",
                "a number with penalty=\"quadratic\"",
            ),
        ];
        refuse("dictionary", &checks, self)
    }
}

/// From 0 to 1 in a straight line over the part `over`.
fn risen(done: f64, over: f64) -> f64 {
    if over > 0.0 { (done / over).clamp(0.0, 1.0) } else { 1.0 }
}

/// Refuses the first of the keys of a table that does not hold, with the value that it has.
fn refuse(table: &str, checks: &[(bool, &str, &str)], given: &impl Serialize) -> Result<()> {
    let Some((_, key, expected)) = checks.iter().find(|(holds, ..)| !holds) else {
        return Ok(());
    };
    let value =
        serde_json::to_value(given).map_or_else(|why| why.to_string(), |all| all[*key].to_string());
    Err(Error::mistake(
        "train a dictionary",
        format!("{table}.{key}: {expected}"),
        value,
        format!("change {table}.{key}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows that each line of the history tells of.
    fn lines(total: u64, batch_size: usize, log_every: Option<u64>) -> Vec<u64> {
        let training = DictionaryTraining { batch_size, log_every, ..Default::default() };
        let (mut lines, mut position, mut since) = (Vec::new(), 0, 0);
        while position < total {
            let rows = (total - position).min(batch_size as u64);
            (position, since) = (position + rows, since + rows);
            if training.line_is_due(position, rows, total) {
                lines.push(std::mem::take(&mut since));
            }
        }
        lines
    }

    #[test]
    fn a_line_tells_of_several_batches_the_last_one_too() {
        // Of 100,352 rows the last 2,048 are half a batch.
        assert_eq!(lines(100_352, 4096, None), [16_384, 16_384, 16_384, 16_384, 16_384, 18_432]);
        assert_eq!(lines(3000, 4096, None), [3000]);
        assert_eq!(lines(100, 30, Some(30)), [30, 30, 40]);
        // Who asks for every step gets every step.
        assert_eq!(lines(100, 30, Some(1)), [30, 30, 30, 10]);
        for (total, batch) in [(1_000_000, 1024), (20_000_000, 4096), (5_000_001, 1000)] {
            let lines = lines(total, batch, None);
            assert_eq!(lines.iter().sum::<u64>(), total);
            assert!(lines.iter().all(|&rows| rows >= 4 * batch as u64), "{lines:?}");
            assert!((40..=201).contains(&lines.len()), "{}", lines.len());
        }
    }
}
