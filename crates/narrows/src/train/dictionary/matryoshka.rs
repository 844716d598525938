//! Nested dictionaries, each of which has to rebuild the row: `kind = "matryoshka"`.
//!
//! ```text
//! widths m₁ < … < m_G = n;  z chosen as by batch top k, over all latents
//! y_g = Σ_{j < m_g} zⱼDⱼ + c
//! L = 1/(B·G) Σ_rows Σ_g ‖t − y_g‖²  +  L' of the dead, of what the whole leaves over
//! ```
//!
//! The first latents learn what every row needs, so that general features are not torn apart by special
//! ones.
//!
//! Source: B. Bussmann, N. Nabeshima, A. Karvonen, N. Nanda, Learning multi-level features with matryoshka
//! sparse autoencoders (2025).
//!
//! Differs from: SAELens, which sums over g and may revive each width by itself; dictionary_learning, which
//! may weigh the widths.

/// Widths where none are given, in parts of n.
const PARTS: [usize; 5] = [16, 8, 4, 2, 1];

/// n/16, n/8, n/4, n/2 and n.
pub(super) fn default_widths(latents: usize) -> Vec<usize> {
    let mut widths: Vec<usize> = PARTS.iter().map(|part| latents / part).collect();
    widths.dedup();
    widths.retain(|&width| width > 0);
    widths
}
