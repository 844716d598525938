//! The codes of a batch, by row and by latent.

use crate::compute::Kept;

/// What belongs to one pre-activation that takes part in a step.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Code {
    /// j.
    pub(super) latent: u32,
    /// The row of the batch.
    pub(super) row: u32,
    /// a, the pre-activation.
    pub(super) before: f32,
    /// z, what multiplies Dⱼ.
    pub(super) value: f32,
    /// ∂loss/∂a, that of the encoder's bias.
    pub(super) slope: f32,
    /// Of JumpReLU ∂loss/∂θ; of a gated dictionary ∂loss/∂(size).
    pub(super) second_slope: f32,
}

/// The codes of a batch, row after row, and where those of each latent are.
#[derive(Debug, Default)]
pub(super) struct Codes {
    pub(super) codes: Vec<Code>,
    /// Where each row begins `(rows + 1)`.
    pub(super) starts: Vec<usize>,
    /// Places in `codes`, latent after latent, of each in the order of the rows.
    by_latent: Vec<u32>,
    /// Where each latent begins in `by_latent` `(n + 1)`.
    latent_starts: Vec<u32>,
}

impl Codes {
    /// No codes of so many rows.
    pub(super) fn clear(&mut self, rows: usize) {
        self.codes.clear();
        self.starts.clear();
        self.starts.resize(rows + 1, 0);
    }

    /// Takes over the entries of each row.
    pub(super) fn fill(&mut self, rows: &[Vec<Kept>]) {
        self.codes.clear();
        self.starts.clear();
        self.starts.push(0);
        for (row, entries) in rows.iter().enumerate() {
            self.codes.extend(entries.iter().map(|entry| Code {
                latent: entry.column,
                row: row as u32,
                before: entry.value,
                ..Code::default()
            }));
            self.starts.push(self.codes.len());
        }
    }

    /// Finds the codes of each latent: a counting sort.
    pub(super) fn group(&mut self, latents: usize) {
        self.latent_starts.clear();
        self.latent_starts.resize(latents + 1, 0);
        for code in &self.codes {
            self.latent_starts[code.latent as usize + 1] += 1;
        }
        for latent in 0..latents {
            self.latent_starts[latent + 1] += self.latent_starts[latent];
        }
        self.by_latent.resize(self.codes.len(), 0);
        // Each start moves on to the next while its codes are placed, and is then moved back.
        for (place, code) in self.codes.iter().enumerate() {
            let next = &mut self.latent_starts[code.latent as usize];
            self.by_latent[*next as usize] = place as u32;
            *next += 1;
        }
        self.latent_starts.copy_within(0..latents, 1);
        self.latent_starts[0] = 0;
    }

    /// The codes of one latent, in the order of the rows.
    #[inline(always)]
    pub(super) fn of(&self, latent: usize) -> impl Iterator<Item = &Code> {
        let range = self.latent_starts[latent] as usize..self.latent_starts[latent + 1] as usize;
        self.by_latent[range].iter().map(|&place| &self.codes[place as usize])
    }

    /// How many codes a latent has.
    #[inline(always)]
    pub(super) fn count(&self, latent: usize) -> usize {
        (self.latent_starts[latent + 1] - self.latent_starts[latent]) as usize
    }
}
