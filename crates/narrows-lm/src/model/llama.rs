//! The tensors of Llama, Mistral and Qwen2.

use narrows::Result;
use narrows::compute::Matrix;

use super::Parameters;
use super::architecture::Architecture;
use super::block::{Block, Projection, Shelf};

/// Tensors that can be worked out from the configuration.
pub(super) fn is_left_out(name: &str) -> bool {
    name.ends_with("rotary_emb.inv_freq")
}

pub(super) fn read(shelf: &mut Shelf, made: &Architecture) -> Result<Parameters> {
    let (d, tokens) = (made.width, made.vocabulary);
    let unembedding = match made.tied {
        true => {
            shelf.tensors.drop("lm_head.weight");
            None
        }
        false => Some(shelf.matrix("lm_head.weight", (tokens, d), false)?),
    };
    shelf.prefix = "model.".to_owned();
    Ok(Parameters {
        embedding: shelf.matrix("embed_tokens.weight", (tokens, d), false)?,
        positions: None,
        blocks: (0..made.layers).map(|layer| block(shelf, made, layer)).collect::<Result<_>>()?,
        norm: shelf.norm("norm", d, false)?,
        unembedding,
    })
}

fn block(shelf: &mut Shelf, made: &Architecture, layer: usize) -> Result<Block> {
    let (d, hidden) = (made.width, made.hidden);
    let (inner, keys) = (made.heads * made.head_width, made.key_heads * made.head_width);
    let name = |part: &str| format!("layers.{layer}.{part}");
    let parts = [("q_proj", inner), ("k_proj", keys), ("v_proj", keys)];
    let parts = parts.map(|(part, rows)| {
        shelf.projection(&name(&format!("self_attn.{part}")), (rows, d), made.query_bias, false)
    });
    let [q, k, v] = parts;
    Ok(Block {
        attention_norm: shelf.norm(&name("input_layernorm"), d, false)?,
        queries: stacked(&[q?, k?, v?])?,
        attention: shelf.projection(
            &name("self_attn.o_proj"),
            (d, inner),
            made.attention_bias,
            false,
        )?,
        mlp_norm: shelf.norm(&name("post_attention_layernorm"), d, false)?,
        into_mlp: shelf.projection(&name("mlp.gate_proj"), (hidden, d), made.mlp_bias, false)?,
        gated: Some(shelf.projection(&name("mlp.up_proj"), (hidden, d), made.mlp_bias, false)?),
        out_of_mlp: shelf.projection(&name("mlp.down_proj"), (d, hidden), made.mlp_bias, false)?,
    })
}

/// Projections of the same rows, one below the other.
pub(super) fn stacked(parts: &[Projection]) -> Result<Projection> {
    let cols = parts[0].weight.cols();
    let weight: Vec<f32> = parts.iter().flat_map(|part| part.weight.as_slice()).copied().collect();
    let bias = parts.iter().flat_map(|part| &part.bias).copied().collect();
    Ok(Projection { weight: Matrix::from_rows(weight.len() / cols, cols, weight)?, bias })
}
