//! Times the training of a sparse dictionary on random rows, or on those of a file: the side of `narrows`
//! in `bench/dictionary/compare.py`.
//!
//! ```text
//! dictionary_steps KIND INPUT LATENTS K BATCH BIAS RATE [FILE]     BIAS is where b begins
//! stdout  {} as soon as it can begin
//! stdin   run SECONDS  → stdout  {"rows", "seconds", "own": seconds without waiting for rows, "l0",
//!                                 "product": seconds of the encoder's product of a batch alone, after them}
//! ```

#![allow(clippy::unwrap_used)]

use std::io::Lines;
use std::time::Instant;

use narrows::Result;
use narrows::compute::{Matrix, multiply};
use narrows::data::{OpenOptions, Source, open};
use narrows::random::Random;
use narrows::train::Wish;
use narrows::train::dictionary::{
    DictionaryCheckpoint, DictionaryObserver, DictionaryOptions, DictionaryProgress,
    DictionaryRecord, DictionaryStep, DictionaryTask, DictionaryTraining, fit_dictionaries,
};

/// Keeps where training stood after the first step.
#[derive(Default)]
struct First {
    progress: Option<DictionaryProgress>,
    vectors: Vec<(String, Vec<f32>)>,
}

impl DictionaryObserver for First {
    fn step(&mut self, _: &DictionaryStep) -> Wish {
        Wish::Stop
    }

    fn checkpoint(&mut self, checkpoint: &DictionaryCheckpoint<'_>) -> Result<()> {
        let vectors = checkpoint.vectors.iter();
        self.vectors = vectors.map(|(name, own)| (name.clone(), own.to_vec())).collect();
        self.progress = Some(checkpoint.progress.clone());
        Ok(())
    }
}

/// Trains for as long as each line of stdin says; the rest of the time training waits.
struct Turns<'a> {
    /// A batch, and how many latents there are: what the product is timed on.
    first: &'a Matrix,
    latents: usize,
    lines: Lines<std::io::StdinLock<'static>>,
    start: Instant,
    limit: f64,
    rows: u64,
    steps: u32,
    batch: u64,
    own: f64,
    l0: f64,
}

impl Turns<'_> {
    fn wait(&mut self) -> Wish {
        let Some(line) = self.lines.next() else { return Wish::Stop };
        self.limit = line.unwrap().trim_start_matches("run ").parse().unwrap();
        (self.start, self.rows, self.own, self.l0, self.steps) = (Instant::now(), 0, 0.0, 0.0, 0);
        Wish::GoOn
    }
}

impl DictionaryObserver for Turns<'_> {
    fn record(&mut self, records: &[DictionaryRecord]) {
        self.own += records[0].seconds;
        self.l0 += records[0].l0;
    }

    fn step(&mut self, _: &DictionaryStep) -> Wish {
        self.rows += self.batch;
        self.steps += 1;
        let seconds = self.start.elapsed().as_secs_f64();
        if seconds < self.limit {
            return Wish::GoOn;
        }
        let (rows, own, l0) = (self.rows, self.own, self.l0 / f64::from(self.steps));
        let product = encoder_product(self.first, self.latents);
        println!(
            "{}",
            serde_json::json!({
                "rows": rows, "seconds": seconds, "own": own, "l0": l0, "product": product
            })
        );
        self.wait()
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let [kind, input, latents, k, batch, bias, rate, file @ ..] = &given[..] else {
        panic!("dictionary_steps KIND INPUT LATENTS K BATCH BIAS RATE [FILE]")
    };
    let number = |text: &String| text.parse::<usize>().unwrap();
    let (input, latents, batch) = (number(input), number(latents), number(batch));
    let mut random = Random::stream(0, "rows");
    let values: Vec<f32> = (0..4 * batch * input).map(|_| random.normal() as f32).collect();
    let first = Matrix::from_rows(batch, input, values[..batch * input].to_vec()).unwrap();
    let rows: Box<dyn Source> = match file {
        [file, ..] => open(file, &OpenOptions::default()).unwrap().rows,
        [] => Box::new(Matrix::from_rows(4 * batch, input, values).unwrap()),
    };
    let options = [DictionaryOptions {
        kind: serde_json::from_value(kind.clone().into()).unwrap(),
        latents,
        k: number(k) as f64,
        ..DictionaryOptions::default()
    }];
    let training = DictionaryTraining {
        rows: Some(u64::MAX / 4),
        batch_size: batch,
        learning_rate: Some(rate.parse().unwrap()),
        scale: false,
        warm_up: 0.0,
        sparsity_warm_up: 0.0,
        log_every: Some(1),
        ..DictionaryTraining::default()
    };
    let task = DictionaryTask { rows: &*rows, targets: None };
    let mut begun = First::default();
    fit_dictionaries(&task, &options, &training, None, &mut begun).unwrap_err();
    // Pre-activations are as long as the rows of the encoder, which a penalty makes shorter at first.
    let (_, encoder) = begun.vectors.iter().find(|(name, _)| name == "0.encoder").unwrap();
    let length = encoder[..input].iter().map(|x| x * x).sum::<f32>().sqrt();
    let bias = length * bias.parse::<f32>().unwrap();
    let own = begun.vectors.iter_mut().find(|(name, _)| name == "0.bias").unwrap();
    own.1.fill(bias);
    let vectors = begun.vectors.into_iter().map(|(name, own)| (name, own.into())).collect();
    println!("{{}}");
    let mut turns = Turns {
        first: &first,
        latents,
        lines: std::io::stdin().lines(),
        start: Instant::now(),
        limit: 0.0,
        rows: 0,
        steps: 0,
        batch: batch as u64,
        own: 0.0,
        l0: 0.0,
    };
    if turns.wait() == Wish::GoOn {
        let progress = begun.progress.unwrap();
        let from = Some(DictionaryCheckpoint { progress, vectors });
        fit_dictionaries(&task, &options, &training, from, &mut turns).unwrap_err();
    }
}

/// Seconds of `x·Eᵀ`, median.
fn encoder_product(x: &Matrix, latents: usize) -> f64 {
    let mut random = Random::stream(0, "encoder");
    let values = (0..latents * x.cols()).map(|_| random.normal() as f32).collect();
    let encoder = Matrix::from_rows(latents, x.cols(), values).unwrap();
    let mut product = Matrix::zeros(x.rows(), latents);
    let times = (0..9).map(|_| {
        let start = Instant::now();
        multiply(x.view(), encoder.view().t(), product.view_mut());
        start.elapsed().as_secs_f64()
    });
    median(times.collect())
}
