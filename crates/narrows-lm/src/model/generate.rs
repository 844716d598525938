//! Text that a model goes on with.

use narrows::compute::{Matrix, softmax_rows};
use narrows::random::Random;
use narrows::{Error, Result};

use super::{Hook, LanguageModel, Pass};
use crate::text::Windows;

/// How the next token is chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// What logits are divided by; 0: the most likely token.
    pub temperature: f64,
    /// The seed of the draws.
    pub seed: u64,
}

impl LanguageModel {
    /// Goes on with `prompt` for at most `most` tokens, with `hook` on the way; `each` is told of every token and
    /// says whether to go on. Ends where the model's positions end.
    ///
    /// The whole sequence is run for each token: nothing is kept between them that a hook would not see.
    ///
    /// # Errors
    /// If the prompt is empty or too long, the temperature is below 0, and those of `hook`.
    pub fn generate(
        &self,
        prompt: &[u32],
        most: usize,
        sampling: Sampling,
        hook: &mut dyn Hook,
        mut each: impl FnMut(u32) -> bool,
    ) -> Result<Vec<u32>> {
        if prompt.is_empty() {
            let remedy = "give a prompt";
            return Err(Error::mistake("generate", "at least one token", "none", remedy));
        }
        if !(sampling.temperature >= 0.0 && sampling.temperature.is_finite()) {
            let (expected, got) = ("a temperature of 0 or more", sampling.temperature.to_string());
            let remedy = "0 takes the most likely token each time, 1 draws as the model says";
            return Err(Error::mistake("generate", expected, got, remedy));
        }
        self.check_length(prompt.len())?;
        self.check_tokens(prompt)?;
        let mut tokens = prompt.to_vec();
        let mut pass = Pass::default();
        let mut random = Random::stream(sampling.seed, "generated tokens");
        let end = (prompt.len() + most).min(self.architecture.context);
        while tokens.len() < end {
            let length = tokens.len();
            self.run(&Windows::new(tokens.clone(), length), &mut pass, hook)?;
            let token =
                choose(self.next_logits(&pass, &[length - 1]), sampling.temperature, &mut random);
            tokens.push(token);
            if !each(token) {
                break;
            }
        }
        Ok(tokens)
    }
}

fn choose(mut logits: Matrix, temperature: f64, random: &mut Random) -> u32 {
    if temperature <= 0.0 {
        let largest =
            (0..).zip(logits.row(0)).fold((0, f32::NEG_INFINITY), |best, (id, &logit)| {
                if logit > best.1 { (id, logit) } else { best }
            });
        return largest.0;
    }
    logits.as_mut_slice().iter_mut().for_each(|logit| *logit /= temperature as f32);
    softmax_rows(&mut logits);
    let mut left = random.uniform();
    for (id, &share) in (0..).zip(logits.row(0)) {
        left -= f64::from(share);
        if left < 0.0 {
            return id;
        }
    }
    logits.cols() as u32 - 1
}
