//! A penalty on the size of the codes: `kind = "relu"`.
//!
//! ```text
//! B rows x (d) with targets t (o); z = max(E(x − c) + b, 0); y = Σⱼ zⱼDⱼ + c; νⱼ = ‖Dⱼ‖
//!
//! L = 1/B Σ_rows ‖t − y‖²  +  λ · 1/B Σ_rows Σⱼ zⱼ·νⱼ          ‖·‖²: sum over the o columns
//!
//! ∂L/∂aⱼ = [a > 0] (<∂L/∂y, Dⱼ> + λνⱼ/B)     ∂L/∂νⱼ = λ/B Σ_rows zⱼ
//! ```
//!
//! - `decoder_norm = "unit"`: ν = 1 by force (Towards monosemanticity).
//! - `decoder_norm = "weighted"`: D is free and ν is learned (Anthropic's update of April 2024).
//! - `tied = true`: E = D = M with each row brought to length 1, c = 0 (Cunningham et al.):
//!   `∂L/∂M = (g − <g, D>D)/‖M‖` with g the sum of what the encoder and the decoder tell.
//!
//! Source: H. Cunningham et al., Sparse autoencoders find highly interpretable features in language
//! models (2023), equation 4; T. Bricken et al., Towards monosemanticity (2023); T. Conerly et al., Update
//! on how we train SAEs (Transformer Circuits, April 2024).
//!
//! Differs from: the code of Cunningham et al., which divides the squared error by d too, but not the
//! penalty: their α = 8.6·10⁻⁴ is λ = α·d here, 0.44 for d = 512. SAELens weighs by ν also where ν = 1.

/// λ/B·z·ν.
#[inline(always)]
pub(super) fn charge(weight: f32, value: f32, norm: f32) -> f32 {
    weight * value * norm
}
