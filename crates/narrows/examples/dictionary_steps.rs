//! Rows per second of training a sparse dictionary, for `bench/dictionary`:
//!
//!     dictionary_steps KIND INPUT LATENTS K BATCH SECONDS
//!
//! prints one JSON object: the median time of a step, of its encoder product alone, and the peak memory.

use std::time::Instant;

use narrows::compute::{Matrix, multiply};
use narrows::train::Wish;
use narrows::train::dictionary::{
    DictionaryObserver, DictionaryOptions, DictionaryStep, DictionaryTask, DictionaryTraining,
    fit_dictionaries,
};
use narrows::{Result, random::Random};

struct Watch {
    last: Instant,
    began: Instant,
    limit: f64,
    steps: Vec<f64>,
    unexplained: f64,
}

impl DictionaryObserver for Watch {
    fn step(&mut self, step: &DictionaryStep) -> Wish {
        self.steps.push(self.last.elapsed().as_secs_f64());
        self.last = Instant::now();
        self.unexplained = step.fraction_variance_unexplained;
        if self.began.elapsed().as_secs_f64() > self.limit { Wish::Stop } else { Wish::GoOn }
    }
}

fn main() -> Result<()> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let [kind, input, latents, k, batch, seconds] = &given[..] else {
        panic!("dictionary_steps KIND INPUT LATENTS K BATCH SECONDS")
    };
    let number = |text: &String| text.parse::<usize>().expect("a number");
    let (input, latents, batch) = (number(input), number(latents), number(batch));
    let mut random = Random::stream(0, "rows");
    let values = (0..4 * batch * input).map(|_| random.normal() as f32).collect();
    let rows = Matrix::from_rows(4 * batch, input, values)?;
    let options = DictionaryOptions {
        kind: serde_json::from_value(kind.clone().into()).expect("a kind"),
        latents,
        k: number(k) as f64,
        sparsity_weight: 2.0,
        ..DictionaryOptions::default()
    };
    let training = DictionaryTraining {
        rows: Some(u64::MAX / 4),
        batch_size: batch,
        scale: false,
        warm_up: 0.0,
        sparsity_warm_up: 0.0,
        ..DictionaryTraining::default()
    };
    let limit = seconds.parse().expect("seconds");
    let now = Instant::now();
    let mut watch = Watch { last: now, began: now, limit, steps: Vec::new(), unexplained: 0.0 };
    let task = DictionaryTask { rows: &rows, targets: None };
    let _ = fit_dictionaries(&task, &[options], &training, None, &mut watch);
    let encoder = Matrix::zeros(latents, input);
    let mut product = Matrix::zeros(batch, latents);
    let batch_rows = Matrix::from_rows(batch, input, rows.as_slice()[..batch * input].to_vec())?;
    let mut products: Vec<f64> = (0..9)
        .map(|_| {
            let start = Instant::now();
            multiply(batch_rows.view(), encoder.view().t(), product.view_mut());
            start.elapsed().as_secs_f64()
        })
        .collect();
    let median = |times: &mut [f64]| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let step = median(&mut watch.steps[1..]);
    println!(
        "{}",
        serde_json::json!({
            "rows_per_second": batch as f64 / step,
            "step_ms": 1e3 * step,
            "product_ms": 1e3 * median(&mut products),
            "steps": watch.steps.len(),
            "fraction_variance_unexplained": watch.unexplained,
        })
    );
    Ok(())
}
