//! The tensors of GPT-2, whose weights lie as `(in, out)`.

use narrows::Result;

use super::Parameters;
use super::architecture::Architecture;
use super::block::{Block, Shelf};

/// Tensors that can be worked out from the configuration.
pub(super) fn is_left_out(name: &str) -> bool {
    name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias")
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
    if shelf.tensors.contains("transformer.wte.weight") {
        shelf.prefix = "transformer.".to_owned();
    }
    Ok(Parameters {
        embedding: shelf.matrix("wte.weight", (tokens, d), false)?,
        positions: Some(shelf.matrix("wpe.weight", (made.context, d), false)?),
        blocks: (0..made.layers).map(|layer| block(shelf, made, layer)).collect::<Result<_>>()?,
        norm: shelf.norm("ln_f", d, true)?,
        unembedding,
    })
}

fn block(shelf: &mut Shelf, made: &Architecture, layer: usize) -> Result<Block> {
    let d = made.width;
    let name = |part: &str| format!("h.{layer}.{part}");
    Ok(Block {
        attention_norm: shelf.norm(&name("ln_1"), d, true)?,
        queries: shelf.projection(&name("attn.c_attn"), (3 * d, d), true, true)?,
        attention: shelf.projection(&name("attn.c_proj"), (d, d), true, true)?,
        mlp_norm: shelf.norm(&name("ln_2"), d, true)?,
        into_mlp: shelf.projection(&name("mlp.c_fc"), (made.hidden, d), true, true)?,
        gated: None,
        out_of_mlp: shelf.projection(&name("mlp.c_proj"), (d, made.hidden), true, true)?,
    })
}
