//! Lengths of the decoder's rows, moved into the encoder.
//!
//! ```text
//! E ← ν·E    b ← ν·b    D ← D/ν      with νⱼ for row j: z ← ν·z, and y stays as it was
//! ```

use super::Dictionary;
use crate::compute::scale_rows;

/// Rows of the decoder shorter than this are as good as zero, and stay so: as SAELens has it.
const LEAST: f32 = 1e-8;

impl Dictionary {
    /// Divides each row of the decoder by its ν `(n)`, and multiplies its code by it.
    ///
    /// What the gate compares codes with is left as it is: it has to be meant for the new ones.
    pub(crate) fn fold(&mut self, norms: &[f32]) {
        let norms: Vec<f32> = norms.iter().map(|norm| norm.max(LEAST)).collect();
        let inverse: Vec<f32> = norms.iter().map(|norm| 1.0 / norm).collect();
        scale_rows(&mut self.encoder, &norms);
        scale_rows(&mut self.decoder, &inverse);
        self.encoder_bias.iter_mut().zip(&norms).for_each(|(bias, norm)| *bias *= norm);
    }
}
