//! The tensors of GPT-NeoX.
//!
//! Queries, keys and values of a head lie together: `query_key_value` is `(heads, 3, head, d)`.

use narrows::Result;
use narrows::compute::Matrix;

use super::Parameters;
use super::architecture::Architecture;
use super::block::{Block, Projection, Shelf};

/// Tensors that can be worked out from the configuration.
pub(super) fn is_left_out(name: &str) -> bool {
    ["attention.bias", "attention.masked_bias", "rotary_emb.inv_freq"]
        .iter()
        .any(|end| name.ends_with(end))
}

pub(super) fn read(shelf: &mut Shelf, made: &Architecture) -> Result<Parameters> {
    let (d, tokens) = (made.width, made.vocabulary);
    // Later versions of transformers call it so in the model, and may come to do so in the file.
    shelf.tensors.rename("lm_head.weight", "embed_out.weight");
    let unembedding = match made.tied {
        true => {
            shelf.tensors.drop("embed_out.weight");
            None
        }
        false => Some(shelf.matrix("embed_out.weight", (tokens, d), false)?),
    };
    shelf.prefix = "gpt_neox.".to_owned();
    Ok(Parameters {
        embedding: shelf.matrix("embed_in.weight", (tokens, d), false)?,
        positions: None,
        blocks: (0..made.layers).map(|layer| block(shelf, made, layer)).collect::<Result<_>>()?,
        norm: shelf.norm("final_layer_norm", d, true)?,
        unembedding,
    })
}

fn block(shelf: &mut Shelf, made: &Architecture, layer: usize) -> Result<Block> {
    let (d, inner) = (made.width, made.heads * made.head_width);
    let name = |part: &str| format!("layers.{layer}.{part}");
    let joint = shelf.projection(
        &name("attention.query_key_value"),
        (3 * inner, d),
        made.query_bias,
        false,
    )?;
    Ok(Block {
        attention_norm: shelf.norm(&name("input_layernorm"), d, true)?,
        queries: parted(&joint, made)?,
        attention: shelf.projection(
            &name("attention.dense"),
            (d, inner),
            made.attention_bias,
            false,
        )?,
        mlp_norm: shelf.norm(&name("post_attention_layernorm"), d, true)?,
        into_mlp: shelf.projection(&name("mlp.dense_h_to_4h"), (made.hidden, d), true, false)?,
        gated: None,
        out_of_mlp: shelf.projection(&name("mlp.dense_4h_to_h"), (d, made.hidden), true, false)?,
    })
}

/// From `(heads, 3, head)` to `(3, heads, head)`.
fn parted(joint: &Projection, made: &Architecture) -> Result<Projection> {
    let (heads, width) = (made.heads, made.head_width);
    let rows = (0..3 * heads * width).map(|row| {
        let (part, head, column) = (row / (heads * width), row / width % heads, row % width);
        (head * 3 + part) * width + column
    });
    let rows: Vec<usize> = rows.collect();
    let weight = rows.iter().flat_map(|&row| joint.weight.row(row)).copied().collect();
    let bias = match joint.bias.is_empty() {
        true => Vec::new(),
        false => rows.iter().map(|&row| joint.bias[row]).collect(),
    };
    Ok(Projection { weight: Matrix::from_rows(rows.len(), joint.weight.cols(), weight)?, bias })
}
