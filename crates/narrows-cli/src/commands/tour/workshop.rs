//! What sections share: data, models that several of them look at, and progress while they learn.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use narrows::Result;
use narrows::compute::{Activation, Matrix};
use narrows::evaluate::{Evaluation, evaluate};
use narrows::model::network::NetworkOptions;
use narrows::model::pca::{Components, PcaOptions};
use narrows::model::{Model, Network, Pca, Trainable};
use narrows::train::dictionary::{DictionaryObserver, DictionaryStep};
use narrows::train::{Epoch, Method, Observer, Schedule, Step, Task, TrainOptions, Wish, fit};

use super::lego::Study;
use super::linear::Learned;
use super::sets::{People, Pictures};
use crate::commands::Output;
use crate::commands::bar::Bar;

/// Data and models of a tour, each opened or learned when a section first asks for it.
pub(super) struct Workshop<'a> {
    pub(super) output: &'a Output,
    /// Whether trainings are long.
    pub(super) full: bool,
    pub(super) seed: u64,
    /// Where data lie, if not built in.
    pub(super) folder: Option<PathBuf>,
    /// Whether its pictures are many and large.
    pub(super) large: bool,
    digits: OnceCell<Pictures>,
    movable_digits: OnceCell<Pictures>,
    components: OnceCell<Pca>,
    people: [OnceCell<People>; 2],
    deep: RefCell<BTreeMap<usize, Rc<Network>>>,
    untied: OnceCell<Learned>,
    study: OnceCell<Study>,
}

impl<'a> Workshop<'a> {
    pub(super) fn new(output: &'a Output, folder: Option<PathBuf>, full: bool, seed: u64) -> Self {
        let large = folder.as_ref().is_some_and(|folder| folder.join("mnist").is_dir());
        Self {
            output,
            full,
            seed,
            folder,
            large,
            digits: OnceCell::new(),
            movable_digits: OnceCell::new(),
            components: OnceCell::new(),
            people: [OnceCell::new(), OnceCell::new()],
            deep: RefCell::default(),
            untied: OnceCell::new(),
            study: OnceCell::new(),
        }
    }

    /// Handwritten digits.
    pub(super) fn digits(&self) -> Result<&Pictures> {
        kept(&self.digits, || Pictures::digits(self.folder.as_deref(), self.full, 0))
    }

    /// The same with room around them, in which they can be shifted and turned.
    pub(super) fn movable_digits(&self) -> Result<&Pictures> {
        if self.large {
            // Those of MNIST have it as they are.
            return self.digits();
        }
        kept(&self.movable_digits, || Pictures::digits(self.folder.as_deref(), self.full, 2))
    }

    /// Faces, in full size or small.
    pub(super) fn people(&self, small: bool) -> Result<&People> {
        let cell = &self.people[usize::from(small)];
        kept(cell, || People::open(self.folder.as_deref(), small))
    }

    /// All principal components of the digits.
    fn components(&self) -> Result<&Pca> {
        kept(&self.components, || {
            let options = PcaOptions { components: Components::All, ..Default::default() };
            Pca::fit_source(&self.digits()?.train, &options)
        })
    }

    /// PCA of the digits with `k` components.
    pub(super) fn pca(&self, k: usize) -> Result<Pca> {
        Ok(self.components()?.first(k))
    }

    /// The linear autoencoder of free matrices, which two sections tell of.
    pub(super) fn untied(&self) -> Result<&Learned> {
        kept(&self.untied, || Learned::by_gradient(self, false))
    }

    /// The study of few labels, which two sections tell of.
    pub(super) fn study(&self) -> Result<&Study> {
        kept(&self.study, || Study::run(self))
    }

    /// The deep autoencoder of the digits with a code of so many numbers.
    pub(super) fn deep(&self, width: usize) -> Result<Rc<Network>> {
        if let Some(network) = self.deep.borrow().get(&width) {
            return Ok(Rc::clone(network));
        }
        let shape = self.deep_shape(width);
        let task = Task::reconstruct(&self.digits()?.train);
        let what = format!("deep autoencoder, code of {width}");
        let (network, _) = self.learn(&what, &task, &shape, &self.training(150, 10))?;
        let network = Rc::new(network);
        self.deep.borrow_mut().insert(width, Rc::clone(&network));
        Ok(network)
    }

    /// Its layers.
    pub(super) fn deep_shape(&self, width: usize) -> NetworkOptions {
        let mut layers = self.hidden();
        layers.push(width);
        NetworkOptions { layers, activation: Activation::Silu, ..Default::default() }
    }

    /// Widths of the layers between a picture and its code.
    pub(super) fn hidden(&self) -> Vec<usize> {
        if self.large { vec![256, 128] } else { vec![128, 64] }
    }

    /// The same of a network that learns what pictures have in common however they are moved, which takes more.
    pub(super) fn wide_hidden(&self) -> Vec<usize> {
        if self.large && self.full { vec![500, 250] } else { vec![256, 128] }
    }

    /// Units of a code that is wider than the rows.
    pub(super) fn overcomplete(&self) -> usize {
        if self.large { 1000 } else { 256 }
    }

    /// What it is in a short tour and in a full one.
    pub(super) fn either<T>(&self, short: T, full: T) -> T {
        if self.full { full } else { short }
    }

    /// How networks learn here: passes over built-in data or in a short tour, and in a full one.
    pub(super) fn training(&self, epochs: usize, full: usize) -> TrainOptions {
        let epochs = match (self.full, self.large) {
            (true, true) => full,
            (true, false) => 3 * epochs,
            (false, true) => epochs.div_ceil(6),
            (false, false) => epochs,
        };
        TrainOptions {
            optimizer: Method::Adamw,
            learning_rate: 3e-3,
            // Of many rows few passes are made, in which a short memory of squares gets further.
            second_momentum: if self.large { 0.98 } else { 0.999 },
            batch_size: if self.large { 256 } else { 64 },
            epochs,
            schedule: Schedule::OneCycle,
            seed: self.seed,
            ..TrainOptions::network()
        }
    }

    /// Learns a network from random weights.
    pub(super) fn learn(
        &self,
        what: &str,
        task: &Task<'_>,
        shape: &NetworkOptions,
        options: &TrainOptions,
    ) -> Result<(Network, Vec<Epoch>)> {
        let mut network =
            Network::new(task.rows.cols(), shape, task.loss.takes_logits(), self.seed)?;
        let history = self.teach(what, &mut network, task, options)?;
        Ok((network, history))
    }

    /// Goes on to learn a model.
    pub(super) fn teach(
        &self,
        what: &str,
        model: &mut dyn Trainable,
        task: &Task<'_>,
        options: &TrainOptions,
    ) -> Result<Vec<Epoch>> {
        let mut watch = self.watch(what);
        fit(model, task, options, None, &mut watch)
    }

    /// Shows how far a training is.
    pub(super) fn watch(&self, what: &str) -> Watch<'_> {
        Watch { bar: Bar::new(self.output), what: what.to_owned() }
    }
}

/// The value in a cell, made if it is not there yet.
fn kept<T>(cell: &OnceCell<T>, make: impl FnOnce() -> Result<T>) -> Result<&T> {
    if let Some(value) = cell.get() {
        return Ok(value);
    }
    let value = make()?;
    Ok(cell.get_or_init(|| value))
}

/// What a model loses of rows, and what PCA does.
pub(super) fn measured(rows: &Matrix, model: Model, pca: &Pca) -> Result<Evaluation> {
    evaluate(rows, &model, Some(pca), None)
}

/// Shows how far a training is.
pub(super) struct Watch<'a> {
    bar: Bar<'a>,
    what: String,
}

impl Watch<'_> {
    /// So much is done.
    pub(super) fn part(&mut self, done: f64, now: &str) {
        self.bar.advance(done, || format!("{}: {now}", self.what));
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.bar.finish();
    }
}

impl Observer for Watch<'_> {
    fn step(&mut self, step: &Step) -> Wish {
        self.bar.advance(step.done, || format!("{}: epoch {}", self.what, step.epoch + 1));
        Wish::GoOn
    }
}

impl DictionaryObserver for Watch<'_> {
    fn step(&mut self, step: &DictionaryStep) -> Wish {
        let done = step.position as f64 / step.total.max(1) as f64;
        self.bar.advance(done, || format!("{}: {} rows", self.what, step.position));
        Wish::GoOn
    }
}
