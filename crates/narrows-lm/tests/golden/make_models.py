"""Small language models with random weights, and what Hugging Face transformers makes of them.

    pip install torch==2.15.0 transformers==5.24.0 tokenizers==0.23.3 safetensors==0.8.0
    python make_models.py

That is what the files were made with (Python 3.11, CPU, one thread; it takes seconds and needs no network).
For every NAME in MODELS below it writes, beside this script, models/NAME with

    config.json          the configuration. Those in CLASSIC are put into the spelling of transformers 4
                         (`rotary_pct`, `rotary_emb_base`, `rope_theta`, `rope_scaling` at the top); the others
                         have `rope_parameters`, as version 5 writes it. GPT-2 has neither. llama-linear has the
                         oldest form, with "type" for "rope_type"
    model.safetensors    the weights as they are stored, in f16, bf16 or f32; of llama-sharded several shards and
                         model.safetensors.index.json. Tied models hold the embedding once
    tokenizer.json       byte-level BPE of 272 tokens, trained on TEXTS; `<|endoftext|>` is 0. The same for all;
                         neox-parallel has 8 tokens more than its tokenizer, as Pythia does
    golden.safetensors   arrays of f32, and of i32 where that is said:

        tokens                  i32 (2, 24)    row 0: the first 24 tokens of PROMPT; row 1: drawn at random,
                                               but the highest in column 3 and 0 in column 11
        embedding                   (2, 24, d)       the residual stream before block 0, positions included
        blocks.N.attention_out      (2, 24, d)       what the attention module returns, its last bias included
        blocks.N.residual_mid       (2, 24, d)       the input of the norm before the MLP; not of neox-parallel
        blocks.N.mlp_in             (2, 24, d)       the input of the MLP module
        blocks.N.mlp_hidden         (2, 24, hidden)  the input of the MLP's last product
        blocks.N.mlp_out            (2, 24, d)       what the MLP module returns
        blocks.N.residual_post      (2, 24, d)       what the block returns; of the last block before the last norm
        logits                      (2, 24, vocabulary)
        greedy                  i32 (12)       the most likely tokens, each in turn, after the first 6 of row 0

The files are first written and then read again by `from_pretrained` as f32 with eager attention, so that the
arrays belong to what is in the files: weights in f16 and bf16 are widened, and all sums are in f32. Loops in f64
differ from them by at most 1.2e-5 of the root mean square of an array (qwen2; the others 1e-5 or less).
Tokens in `greedy` lead the next best by at least MARGIN.

Weights are drawn large enough that every part shows in the logits: embeddings N(0, 0.5²), matrices
N(0, 1.2²/smaller side), the one to the logits N(0, 2.4²/d), biases N(0, 0.3²), weights of norms N(1, 0.2²).
ε of norms and bases of rotations differ from their usual values in some models, so that a reader that
overlooks them is found out.
"""

import json
import os
import shutil

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    Qwen2Config,
    logging,
)

TOKENS, LENGTH, PROMPT_LENGTH, GENERATED, MARGIN = 272, 24, 6, 12, 1e-2
# With it all tokens of `greedy` lead by MARGIN; the model at place i is drawn with FIRST_SEED + i.
FIRST_SEED = 1
PROMPT = "The river narrows where the valley narrows, and then it runs on to the sea."
TEXTS = [
    "The river narrows where the valley narrows, and there the water runs fast.",
    "Then it widens again, and runs on through the fields to the sea.",
    "Where a river is narrow, one can stand on either side and talk over the water.",
    "In 1897 they built a bridge here; there are 12 of them now.",
    "She said that she didn't know where the other side was, and that it's too far to see.",
]

ENDS = dict(bos_token_id=0, eos_token_id=0)
NEOX = dict(vocab_size=TOKENS, num_hidden_layers=2, max_position_embeddings=64, **ENDS)
GPT2 = dict(vocab_size=TOKENS, n_positions=32, n_embd=12, n_head=2, n_layer=2, **ENDS)
LLAMA = dict(
    vocab_size=TOKENS,
    hidden_size=8,
    intermediate_size=20,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=1,
    head_dim=8,
    max_position_embeddings=64,
    **ENDS,
)


def rotation(theta, kind="default", **others):
    return {"rope_parameters": {"rope_type": kind, "rope_theta": theta, **others}}


MODELS = {
    "neox-parallel": (
        torch.float16,
        GPTNeoXConfig(
            **NEOX
            | dict(vocab_size=TOKENS + 8, hidden_size=32, num_attention_heads=2, intermediate_size=40)
            | dict(layer_norm_eps=1e-3)
            | rotation(1000.0, partial_rotary_factor=0.25)
        ),
    ),
    "neox-sequential": (
        torch.float16,
        GPTNeoXConfig(
            **NEOX
            | dict(hidden_size=12, num_attention_heads=3, intermediate_size=28)
            | dict(use_parallel_residual=False, tie_word_embeddings=True, attention_bias=False)
            | rotation(100.0, partial_rotary_factor=1.0)
        ),
    ),
    "gpt2": (torch.float32, GPT2Config(**GPT2)),
    "gpt2-inner": (
        torch.float16,
        GPT2Config(
            **GPT2
            | dict(n_embd=16, n_inner=48, activation_function="gelu", layer_norm_epsilon=1e-3)
            | dict(scale_attn_by_inverse_layer_idx=True)
        ),
    ),
    "llama-gqa": (
        torch.bfloat16,
        LlamaConfig(
            **LLAMA
            | dict(hidden_size=24, intermediate_size=28, num_attention_heads=8, num_key_value_heads=2)
            | dict(head_dim=4, rms_norm_eps=1e-3)
            | rotation(10_000.0)
        ),
    ),
    "llama-tied": (
        torch.float16,
        LlamaConfig(
            **LLAMA
            | dict(hidden_size=12, num_attention_heads=3, num_key_value_heads=3, head_dim=6)
            | dict(attention_bias=True, mlp_bias=True, tie_word_embeddings=True)
            | rotation(10_000.0)
        ),
    ),
    # Of its four frequencies one stays, one is between, and two are divided.
    "llama-rope3": (
        torch.bfloat16,
        LlamaConfig(
            **LLAMA
            | rotation(
                100.0,
                "llama3",
                factor=4.0,
                low_freq_factor=1.0,
                high_freq_factor=4.0,
                original_max_position_embeddings=32,
            )
        ),
    ),
    "llama-linear": (
        torch.float16,
        LlamaConfig(
            **LLAMA | dict(num_key_value_heads=2) | rotation(1000.0, "linear", factor=3.0)
        ),
    ),
    "mistral-window": (
        torch.bfloat16,
        MistralConfig(**LLAMA | dict(sliding_window=7) | rotation(1000.0)),
    ),
    "qwen2": (
        torch.bfloat16,
        Qwen2Config(
            **{key: value for key, value in LLAMA.items() if key != "head_dim"}
            | dict(hidden_size=12, num_attention_heads=3, tie_word_embeddings=True)
            | rotation(1_000_000.0)
        ),
    ),
    "llama-sharded": (
        torch.float16,
        LlamaConfig(
            **LLAMA
            | dict(hidden_size=12, num_attention_heads=3, head_dim=None, num_hidden_layers=3)
            | rotation(10_000.0)
        ),
    ),
}


def classic_neox(rope):
    return {"rotary_pct": rope["partial_rotary_factor"], "rotary_emb_base": rope["rope_theta"]}


def classic_plain(rope):
    return {"rope_theta": rope["rope_theta"], "rope_scaling": None}


def classic_linear(rope):
    scaling = {"type": rope["rope_type"], "factor": rope["factor"]}
    return {"rope_theta": rope["rope_theta"], "rope_scaling": scaling}


CLASSIC = {
    "neox-sequential": classic_neox,
    "llama-linear": classic_linear,
    "mistral-window": classic_plain,
}


def train_tokenizer():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=TOKENS,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    assert tokenizer.get_vocab_size() == TOKENS and tokenizer.token_to_id("<|endoftext|>") == 0
    return tokenizer


def draw_weights(model):
    for name, weights in model.named_parameters():
        drawn = torch.randn(weights.shape)
        if name.endswith("bias"):
            drawn *= 0.3
        elif weights.dim() == 1:
            drawn = 1 + 0.2 * drawn
        elif any(part in name for part in ("embed_in", "embed_tokens", "wte")):
            drawn *= 0.5
        elif "lm_head" in name:
            drawn *= 2.4 / weights.shape[1] ** 0.5
        else:
            drawn *= 1.2 / min(weights.shape) ** 0.5
        weights.data = drawn


def write_config_in_classic_spelling(path, rewrite):
    with open(path) as file:
        config = json.load(file)
    config |= rewrite(config.pop("rope_parameters"))
    config["torch_dtype"] = config.pop("dtype")
    config["transformers_version"] = "4.46.0"
    with open(path, "w") as file:
        file.write(json.dumps(config, indent=2, sort_keys=True) + "\n")


def parts_of(model):
    """The blocks, and the names in them of attention, norm before the MLP, MLP and its last product."""
    if hasattr(model, "gpt_neox"):
        return model.gpt_neox.layers, "attention", "post_attention_layernorm", "mlp", "dense_4h_to_h"
    if hasattr(model, "transformer"):
        return model.transformer.h, "attn", "ln_2", "mlp", "c_proj"
    return model.model.layers, "self_attn", "post_attention_layernorm", "mlp", "down_proj"


def watch(model, seen):
    def keep(name, value):
        value = value[0] if isinstance(value, tuple) else value
        seen[name] = value.detach().clone()

    def before(module, name):
        module.register_forward_pre_hook(
            lambda _, args, named: keep(name, args[0] if args else named["hidden_states"]),
            with_kwargs=True,
        )

    def after(module, name):
        module.register_forward_hook(lambda _, args, value: keep(name, value))

    blocks, attention, norm, mlp, last = parts_of(model)
    before(blocks[0], "embedding")
    for place, block in enumerate(blocks):
        name = f"blocks.{place}."
        after(getattr(block, attention), name + "attention_out")
        if not getattr(model.config, "use_parallel_residual", False):
            before(getattr(block, norm), name + "residual_mid")
        before(getattr(block, mlp), name + "mlp_in")
        before(getattr(getattr(block, mlp), last), name + "mlp_hidden")
        after(getattr(block, mlp), name + "mlp_out")
        after(block, name + "residual_post")


def generate(model, tokens):
    tokens = tokens.long()[None]
    for _ in range(GENERATED):
        best = model(tokens, use_cache=False).logits[0, -1].topk(2)
        assert best.values[0] - best.values[1] > MARGIN, "another seed: two tokens are as good"
        tokens = torch.cat([tokens, best.indices[None, :1]], 1)
    return tokens[0, -GENERATED:].int()


@torch.no_grad()
def make(folder, name, seed, tokenizer, dtype, config):
    model = AutoModelForCausalLM.from_config(config)
    torch.manual_seed(seed)
    draw_weights(model)
    model.tie_weights()
    shards = {"max_shard_size": "8KB"} if name == "llama-sharded" else {}
    model.to(dtype).save_pretrained(folder, **shards)
    os.remove(os.path.join(folder, "generation_config.json"))
    if name in CLASSIC:
        write_config_in_classic_spelling(os.path.join(folder, "config.json"), CLASSIC[name])
    tokenizer.save(os.path.join(folder, "tokenizer.json"), pretty=False)

    prompt = torch.tensor(tokenizer.encode(PROMPT).ids[:LENGTH])
    drawn = torch.randint(config.vocab_size, (LENGTH,))
    drawn[3], drawn[11] = config.vocab_size - 1, 0
    tokens = torch.stack([prompt, drawn])

    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    golden = {"tokens": tokens.int(), "greedy": generate(model, tokens[0, :PROMPT_LENGTH])}
    watch(model, golden)
    golden["logits"] = model(tokens, use_cache=False).logits.clone()
    save_file(golden, os.path.join(folder, "golden.safetensors"))


def main():
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    to = os.path.join(os.path.dirname(os.path.abspath(__file__)), "models")
    shutil.rmtree(to, ignore_errors=True)
    tokenizer = train_tokenizer()
    for seed, (name, (dtype, config)) in enumerate(MODELS.items(), FIRST_SEED):
        folder = os.path.join(to, name)
        make(folder, name, seed, tokenizer, dtype, config)
        for file in os.listdir(folder):
            os.chmod(os.path.join(folder, file), 0o644)


if __name__ == "__main__":
    main()
