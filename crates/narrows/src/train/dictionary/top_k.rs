//! The k largest of each row: `kind = "topk"`.
//!
//! ```text
//! z = the k largest of a·ν of a row, where a > 0; as they are           ν = 1 with unit norms
//! L = 1/B Σ_rows ‖t − y‖²  +  L' of the dead: see `revival`
//! ∂L/∂aⱼ = [chosen] <∂L/∂y, Dⱼ>
//! ```
//!
//! While k warms up it falls in a straight line from d to its value.
//!
//! Source: L. Gao et al., Scaling and evaluating sparse autoencoders (2024), section 2.2.
//!
//! Differs from: sparsify, which divides by the variance of the batch (Adam does not see the factor).
//! SAELens keeps a·ν as the code and divides it by ν again before it is decoded.

/// k when the part `factor` of its warm-up is done.
pub(super) fn warmed(k: f64, columns: usize, latents: usize, factor: f64) -> f64 {
    let start = (columns.min(latents) as f64).max(k);
    start + (k - start) * factor
}
