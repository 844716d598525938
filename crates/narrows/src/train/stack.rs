//! Greedy layer-wise training: storey upon storey, then the whole.
//!
//! ```text
//! storey 1 learns the rows, storey i the codes of storey i − 1:
//!     zᵢ = eᵢ(zᵢ₋₁)    minimise L(zᵢ₋₁, dᵢ(eᵢ(z̃ᵢ₋₁))) + α·Ω(zᵢ)      z₀ = x, z̃: z corrupted
//! or is PCA of them. Then all are unrolled into one network and trained from there on the rows.
//! ```
//!
//! The codes of a storey are those of its clean input. A checkpoint holds the storeys that are done
//! and the moment of the one that is not, so that a stack goes on where it stopped.
//!
//! Source: G. Hinton and R. Salakhutdinov, Science 313 (2006); Y. Bengio et al., Greedy layer-wise
//! training of deep networks (2007); P. Vincent et al., Stacked denoising autoencoders, JMLR 11 (2010).

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::state::misfit;
use super::{Beginning, Checkpoint, Epoch, Observer, Step, Task, TrainOptions, Wish, fit};
use crate::compute::Matrix;
use crate::error::{Error, Result};
use crate::evaluate::evaluate;
use crate::model::network::{self, Initialisation, NetworkOptions, Shape};
use crate::model::pca::{Components, PcaOptions};
use crate::model::{Autoencoder, Model, Network, Pca};
use crate::objective::Loss;
use crate::random::Random;

/// What the names of the tensors of finished storeys begin with, in a checkpoint.
const STOREY: &str = "storey.";

/// A stack before it is learned.
#[derive(Debug, Clone)]
pub struct Stack<'a> {
    /// The rows `(n, d)`.
    pub rows: &'a Matrix,
    /// From the rows up.
    pub storeys: Vec<Storey<'a>>,
    /// What the whole learns in the end, and how; `None`: nothing.
    pub fine_tuning: Option<(Task<'a>, TrainOptions)>,
    /// Seed of the weights; training has its own.
    pub seed: u64,
}

/// One storey before it is learned.
#[derive(Debug, Clone)]
pub struct Storey<'a> {
    /// Its layers; of PCA only the width of the code and whether it is tied are read.
    pub shape: NetworkOptions,
    /// What it learns and how, its rows replaced by the codes of the storey below; `None`: PCA, in
    /// closed form.
    pub training: Option<(Task<'a>, TrainOptions)>,
}

/// What a storey brought.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreyRecord {
    /// Its shape.
    pub shape: Shape,
    /// What it minimised by steps; `None` for PCA.
    pub loss: Option<Loss>,
    /// Mean over the rows of the squared error of its reconstructions of its clean input.
    pub squared_error_per_row: f64,
    /// The share of the variance of its input that it loses; `None` where that has none.
    pub fraction_variance_unexplained: Option<f64>,
    /// What each epoch brought; empty for PCA.
    pub history: Vec<Epoch>,
}

/// A stack that is learned.
#[derive(Debug, Clone, PartialEq)]
pub struct Stacked {
    /// The whole as one network.
    pub network: Network,
    /// What each storey brought.
    pub storeys: Vec<StoreyRecord>,
    /// What each epoch of the fine-tuning brought.
    pub history: Vec<Epoch>,
}

/// The part of a training that begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stage {
    /// All of it.
    #[default]
    Whole,
    /// A storey of a stack.
    Storey {
        /// Counted from 1.
        number: usize,
        /// All that there are.
        of: usize,
    },
    /// The whole stack, in the end.
    FineTuning,
}

impl Storey<'_> {
    /// Columns of its code.
    fn width(&self) -> usize {
        self.shape.layers.last().copied().unwrap_or(0)
    }
}

impl Stack<'_> {
    /// Refuses what could not be learned, before anything is.
    ///
    /// # Errors
    /// If there are no storeys, or a width, a noise, a penalty or an option cannot be had.
    pub fn check(&self) -> Result<()> {
        if self.storeys.is_empty() {
            let remedy = "set model.layers, as [200, 200]";
            return Err(Error::mistake("train a stack", "one storey or more", "none", remedy));
        }
        let mut from = self.rows.cols();
        for (place, storey) in self.storeys.iter().enumerate() {
            network::check(from, &storey.shape)?;
            let most = self.rows.rows().min(from);
            if storey.training.is_none() && storey.width() > most {
                return Err(Error::mistake(
                    "train a stack",
                    format!(
                        "storey {} of PCA to have 1 to {most} columns (the smaller of {} rows and \
                         {from} columns)",
                        place + 1,
                        self.rows.rows()
                    ),
                    storey.width().to_string(),
                    "set model.layers",
                ));
            }
            if let Some((task, options)) = &storey.training {
                options.check()?;
                task.corruption.check()?;
                task.sparsity.check(storey.shape.code_activation)?;
            }
            from = storey.width();
        }
        self.fine_tuning.iter().try_for_each(|(task, options)| {
            options.check()?;
            task.corruption.check()
        })
    }

    /// Learns storey upon storey and then the whole, from the start or from a checkpoint. The
    /// result does not depend on the number of threads. Beside the rows it holds the codes of two
    /// storeys.
    ///
    /// # Errors
    /// As [`Stack::check`] and [`fit`]; if the codes of a storey do not vary and PCA is to follow.
    pub fn fit(
        &self,
        mut from: Option<Checkpoint>,
        observer: &mut dyn Observer,
    ) -> Result<Stacked> {
        self.check()?;
        let (mut built, mut records) = match &mut from {
            Some(checkpoint) => self.take_finished(checkpoint)?,
            None => (Vec::new(), Vec::new()),
        };
        let mut codes: Option<Matrix> = None;
        for place in 0..self.storeys.len() {
            if place > 0 {
                codes = Some(built[place - 1].encode(codes.as_ref().unwrap_or(self.rows))?);
            }
            if place < built.len() {
                continue;
            }
            let input = codes.as_ref().unwrap_or(self.rows);
            let mut watched = self.watched(place, &built, &records, observer);
            let (network, history) = self.learn(place, input, &mut from, &mut watched)?;
            records.push(self.record(place, &network, input, history)?);
            built.push(network);
        }
        drop(codes);
        let mut network = Network::unroll(&built)?;
        let mut history = Vec::new();
        if let Some((task, options)) = &self.fine_tuning {
            let mut watched = self.watched(built.len(), &built, &records, observer);
            history = fit(&mut network, task, options, from.take(), &mut watched)?;
        }
        Ok(Stacked { network, storeys: records, history })
    }

    /// Learns storey `place` from its input.
    fn learn(
        &self,
        place: usize,
        input: &Matrix,
        from: &mut Option<Checkpoint>,
        observer: &mut dyn Observer,
    ) -> Result<(Network, Vec<Epoch>)> {
        let Storey { shape, training } = &self.storeys[place];
        let Some((task, options)) = training else {
            let components = Components::Count(self.storeys[place].width());
            let options = PcaOptions { components, seed: self.seed, ..Default::default() };
            let pca = Pca::fit_source(input, &options)?;
            return Ok((Network::of_pca(&pca, shape.tied), Vec::new()));
        };
        let mut network = self.untrained(place, input, task)?;
        let task = Task { rows: input, ..task.clone() };
        let history = fit(&mut network, &task, options, from.take(), observer)?;
        Ok((network, history))
    }

    /// Storey `place` on its input, before it has learned anything.
    pub(crate) fn untrained(
        &self,
        place: usize,
        input: &Matrix,
        task: &Task<'_>,
    ) -> Result<Network> {
        // Storeys of one shape are not to begin with the same weights.
        let mut random = Random::numbered(self.seed, "storey", &[place as u64]);
        let seed = random.below(u32::MAX as usize) as u64;
        let shape = &self.storeys[place].shape;
        let mut network = Network::new(input.cols(), shape, task.loss.takes_logits(), seed)?;
        if shape.initialisation == Initialisation::Pca {
            network.start_from_pca(input, seed)?;
        }
        Ok(network)
    }

    /// What storey `place` brought, measured on all its input.
    fn record(
        &self,
        place: usize,
        network: &Network,
        input: &Matrix,
        history: Vec<Epoch>,
    ) -> Result<StoreyRecord> {
        let scores = evaluate(input, &Model::Network(network.clone()), None, None)?.scores;
        let lost = scores.fraction_variance_unexplained;
        Ok(StoreyRecord {
            shape: network.shape(),
            loss: self.storeys[place].training.as_ref().map(|(task, _)| task.loss),
            squared_error_per_row: scores.squared_error_per_row,
            fraction_variance_unexplained: Some(lost).filter(|lost| lost.is_finite()),
            history,
        })
    }

    /// Takes the finished storeys out of a checkpoint, which is then that of the next stage.
    fn take_finished(
        &self,
        checkpoint: &mut Checkpoint,
    ) -> Result<(Vec<Network>, Vec<StoreyRecord>)> {
        let records = std::mem::take(&mut checkpoint.progress.storeys);
        let vectors = std::mem::take(&mut checkpoint.vectors);
        let (mut finished, rest): (BTreeMap<_, _>, BTreeMap<_, _>) =
            vectors.into_iter().partition(|(name, _)| name.starts_with(STOREY));
        checkpoint.vectors = rest.into_iter().collect();
        let mut built: Vec<Network> = Vec::with_capacity(records.len());
        for (place, record) in records.iter().enumerate() {
            let mut network = Network::of_shape(&record.shape)?;
            let below = built.last().map_or(self.rows.cols(), Autoencoder::latent_dim);
            let wanted = self.storeys.get(place).map(|storey| (below, storey.width()));
            let got = (network.input_dim(), network.latent_dim());
            if wanted != Some(got) {
                return Err(misfit(format!(
                    "storey {} of {} → {} columns",
                    place + 1,
                    got.0,
                    got.1
                )));
            }
            let mut tensors = network.tensors();
            for (name, _, values) in &mut tensors {
                let name = tensor_name(place, name);
                *values = finished.remove(&name).ok_or_else(|| misfit(format!("no `{name}`")))?;
            }
            network.set_tensors(tensors)?;
            built.push(network);
        }
        Ok((built, records))
    }

    /// The observer of stage `place`, who hears which it is and keeps what was finished before.
    fn watched<'b>(
        &self,
        place: usize,
        built: &'b [Network],
        records: &'b [StoreyRecord],
        observer: &'b mut dyn Observer,
    ) -> Watched<'b> {
        let costs = self.costs();
        let all: f64 = costs.iter().sum();
        let of = self.storeys.len();
        let stage = match place < of {
            true => Stage::Storey { number: place + 1, of },
            false => Stage::FineTuning,
        };
        let before = costs[..place].iter().sum::<f64>() / all;
        Watched { stage, before, share: costs[place] / all, built, records, observer }
    }

    /// How long each stage takes, by the sizes of its products; fine-tuning is the last.
    fn costs(&self) -> Vec<f64> {
        let mut from = self.rows.cols();
        let mut costs = Vec::with_capacity(self.storeys.len() + 1);
        let mut whole = 0;
        for storey in &self.storeys {
            let product = from * storey.width();
            let epochs = storey.training.as_ref().map_or(0, |(_, options)| options.epochs);
            costs.push((epochs * product) as f64);
            (whole, from) = (whole + product, storey.width());
        }
        let epochs = self.fine_tuning.as_ref().map_or(0, |(_, options)| options.epochs);
        costs.push((epochs * whole) as f64);
        costs
    }
}

fn tensor_name(place: usize, name: &str) -> String {
    format!("{STOREY}{place}.{name}")
}

/// Whoever watches, in one stage of a stack.
struct Watched<'a> {
    stage: Stage,
    /// The parts of the whole training that come before the stage, and that the stage is.
    before: f64,
    share: f64,
    built: &'a [Network],
    records: &'a [StoreyRecord],
    observer: &'a mut dyn Observer,
}

impl Observer for Watched<'_> {
    fn begin(&mut self, beginning: &Beginning) {
        self.observer.begin(&Beginning { stage: self.stage, ..*beginning });
    }

    fn step(&mut self, step: &Step) -> Wish {
        self.observer.step(&Step { done: self.before + self.share * step.done, ..*step })
    }

    fn epoch(&mut self, epoch: &Epoch) -> ControlFlow<()> {
        self.observer.epoch(epoch)
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let mut whole = checkpoint.clone();
        whole.progress.storeys = self.records.to_vec();
        for (place, network) in self.built.iter().enumerate() {
            let tensors = network.tensors().into_iter();
            let named = tensors.map(|(name, _, values)| (tensor_name(place, &name), values));
            whole.vectors.extend(named);
        }
        self.observer.checkpoint(&whole)
    }
}

#[cfg(test)]
mod tests;
