//! Times the forward pass for `bench/lm/compare.py`: `harvest_speed MODEL_DIR`, then lines
//! `SEQUENCES LENGTH TAP PASSES` on standard input, TAP a place or `logits`; answers each with the seconds of one of so
//! many passes and the mean size of the numbers that came out.

use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Instant;

use narrows::compute::Matrix;
use narrows::{Error, Result};
use narrows_lm::model::{NoHook, Pass};
use narrows_lm::text::Windows;
use narrows_lm::{LanguageModel, Tap};

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).unwrap_or_default();
    let model = LanguageModel::open(Path::new(&folder))?;
    let (mut pass, mut normed, mut logits) =
        (Pass::default(), Matrix::default(), Matrix::default());
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|error| Error::read("standard input", error))?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let [sequences, length, tap, passes] = words[..] else { continue };
        let [sequences, length, passes] =
            [sequences, length, passes].map(|word| word.parse().unwrap_or(1));
        model.check_length(length)?;
        let windows = made_up(&model, sequences, length);
        let last = match tap {
            "logits" => None,
            name => Some(Tap::parse(name, &model.architecture)?),
        };
        let begin = Instant::now();
        for _ in 0..passes {
            model.run_to(&windows, last, &mut pass, &mut NoHook)?;
            if last.is_none() {
                model.last_norm(&pass.rows, &mut normed);
                model.logits(&normed, &mut logits);
            }
        }
        let seconds = begin.elapsed().as_secs_f64() / passes as f64;
        let came_out = if last.is_none() { &logits } else { &pass.rows };
        let numbers = came_out.as_slice();
        let size = numbers.iter().map(|x| f64::from(x.abs())).sum::<f64>() / numbers.len() as f64;
        let mut screen = std::io::stdout();
        writeln!(screen, "{seconds} {size}")
            .map_err(|error| Error::write("standard output", error))?;
    }
    Ok(())
}

fn made_up(model: &LanguageModel, sequences: usize, length: usize) -> Windows {
    let vocabulary = model.architecture.vocabulary;
    let tokens = (0..sequences * length).map(|place| ((place * 7919 + 13) % vocabulary) as u32);
    let tokens = tokens.collect();
    Windows::new(tokens, length)
}
