"""Small dictionaries in the files of other libraries, with the codes and rebuilt rows of those libraries.

    SPARSIFY_DISABLE_TRITON=1 python dictionaries.py

writes the folder `dictionaries` beside this script; names of libraries after the command (`saelens`) choose.
Made with Python 3.11, torch 2.15, eai-sparsify 1.3.3, dictionary-learning 0.1.0, sae-lens 6.54.12 and numpy 2.
Codes and rows of sparsify and dictionary_learning come from their own classes, loaded from the files by their
own loaders; those of a checkpoint of SAELens from what SAELens makes of it when training ends; those of Gemma Scope, OpenAI and Llamascopium, which
are no packages or too large ones, from their published formulas below:

* Gemma Scope: Lieberum et al. 2024, and the tutorial of the release
* OpenAI: `sparse_autoencoder/model.py`, commit 4965b941
* Llamascopium: `models/sae.py` and `models/sparse_dictionary.py`, 2.0.0b34; the old files as
  `llama_scope_sae_huggingface_loader` of sae-lens 6.54.12 reads them

Every folder holds the files of the library and `golden.safetensors` with x (rows), z (codes), f (rebuilt).
"""

import json
import math
import os
import shutil
import sys
import tempfile
import types
from pathlib import Path

os.environ.setdefault("SPARSIFY_DISABLE_TRITON", "1")

import numpy as np
import torch
from safetensors.torch import save_file

D, N, K, ROWS = 8, 24, 4, 12
HERE = Path(__file__).parent / "dictionaries"


def fresh(name):
    torch.manual_seed(sum(name.encode()))
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def randomise(module):
    """Every parameter random, so that nothing is proved by zeros; decoders far from unit norm."""
    for name, parameter in module.named_parameters():
        parameter.data = torch.randn_like(parameter) * (0.3 if parameter.ndim == 1 else 0.5)


def golden(folder, x, z, f):
    assert (z != 0).any(dim=0).sum() > 3, folder
    tensors = {"x": x, "z": z, "f": f}
    save_file({k: v.detach().float().contiguous() for k, v in tensors.items()}, folder / "golden.safetensors")


def rows():
    return torch.randn(ROWS, D) * 1.5 + 0.5


@torch.no_grad()
def sparsify():
    from sparsify import SparseCoder
    from sparsify.config import SparseCoderConfig

    for name, settings in {
        "sparsify_sae": {},
        "sparsify_transcoder": {"transcode": True, "skip_connection": True},
    }.items():
        folder = fresh(name)
        cfg = SparseCoderConfig(num_latents=N, k=K, **settings)
        coder = SparseCoder(D, cfg)
        randomise(coder)
        coder.save_to_disk(folder)
        again = SparseCoder.load_from_disk(folder)
        x = rows()
        out = again(x, y=x)
        z = torch.zeros(ROWS, N).scatter_(1, out.latent_indices, out.latent_acts)
        golden(folder, x, z, out.sae_out)


@torch.no_grad()
def dictionary_learning():
    # It imports libraries for language models and their data, which its dictionaries do not use.
    for name, names in {"nnsight": ["LanguageModel"], "zstandard": [], "datasets": ["load_dataset"]}.items():
        stand_in = types.ModuleType(name)
        for attribute in names:
            setattr(stand_in, attribute, object)
        sys.modules[name] = stand_in
    from dictionary_learning import dictionary as plain
    from dictionary_learning.trainers.batch_top_k import BatchTopKSAE
    from dictionary_learning.trainers.matryoshka_batch_top_k import MatryoshkaBatchTopKSAE
    from dictionary_learning.trainers.top_k import AutoEncoderTopK
    from dictionary_learning.utils import load_dictionary

    kinds = {
        "AutoEncoder": lambda: plain.AutoEncoder(D, N),
        "AutoEncoderNew": lambda: plain.AutoEncoderNew(D, N),
        "GatedAutoEncoder": lambda: plain.GatedAutoEncoder(D, N),
        "JumpReluAutoEncoder": lambda: plain.JumpReluAutoEncoder(D, N),
        "AutoEncoderTopK": lambda: AutoEncoderTopK(D, N, K),
        "BatchTopKSAE": lambda: BatchTopKSAE(D, N, K),
        "MatryoshkaBatchTopKSAE": lambda: MatryoshkaBatchTopKSAE(D, N, K, [6, 6, 12]),
    }
    for kind, make in kinds.items():
        folder = fresh(f"dictionary_learning_{kind}")
        ae = make()
        randomise(ae)
        if kind == "JumpReluAutoEncoder":
            ae.threshold.data = torch.rand(N)
        elif hasattr(ae, "threshold"):
            ae.threshold.fill_(0.7)
        torch.save({k: v.cpu() for k, v in ae.state_dict().items()}, folder / "ae.pt")
        trainer = {"dict_class": kind, "activation_dim": D, "dict_size": N, "k": K, "lm_name": "none"}
        (folder / "config.json").write_text(json.dumps({"trainer": trainer, "buffer": {"ctx_len": 128}}))
        again, _ = load_dictionary(str(folder), "cpu")
        x = rows()
        z = again.encode(x)
        golden(folder, x, z, again.decode(z))

    # What a run leaves when it is stopped: the state within, before the biases are scaled.
    folder = fresh("dictionary_learning_backup")
    ae = BatchTopKSAE(D, N, K)
    randomise(ae)
    ae.threshold.fill_(0.4)
    state = ae.state_dict()
    optimizer = torch.optim.Adam(ae.parameters(), lr=1e-3)
    backup = {"step": 7, "ae": state, "optimizer": optimizer.state_dict(), "config": {"k": K}, "norm_factor": 1.7}
    torch.save(backup, folder / "ae.pt")
    trainer = {"dict_class": "BatchTopKSAE", "activation_dim": D, "dict_size": N, "k": K}
    (folder / "config.json").write_text(json.dumps({"trainer": trainer}))
    ae.scale_biases(1.7)
    x = 1.7 * rows()
    z = ae.encode(x)
    golden(folder, x, z, ae.decode(z))

    # Half precision, a transposed view, and bfloat16 in one state.
    folder = fresh("dictionary_learning_halves")
    ae = plain.AutoEncoderNew(D, N)
    randomise(ae)
    state = {
        "encoder.weight": ae.encoder.weight.data.T.contiguous().half().T,
        "encoder.bias": ae.encoder.bias.data.bfloat16(),
        "decoder.weight": ae.decoder.weight.data.double(),
        "decoder.bias": ae.decoder.bias.data,
    }
    torch.save(state, folder / "ae.pt")
    ae.load_state_dict({name: value.float() for name, value in state.items()})
    x = rows()
    z = ae.encode(x)
    golden(folder, x, z, ae.decode(z))


@torch.no_grad()
def saelens():
    import sae_lens as sl

    # A checkpoint of training, with the factor that it learned from the rows beside it.
    size = {"d_in": D, "d_sae": N, "normalize_activations": "expected_average_only_in", "k": K}
    factor = 0.37
    for name, make in {
        "saelens_batchtopk_scaled": lambda: sl.BatchTopKTrainingSAE(sl.BatchTopKTrainingSAEConfig(**size)),
        "saelens_matryoshka_scaled": lambda: sl.MatryoshkaBatchTopKTrainingSAE(
            sl.MatryoshkaBatchTopKTrainingSAEConfig(**size, matryoshka_widths=[6, 12, N])),
    }.items():
        folder = fresh(name)
        sae = make()
        randomise(sae)
        sae.topk_threshold.fill_(0.9)
        sae.save_model(str(folder))
        (folder / "activation_scaler.json").write_text(json.dumps({"scaling_factor": factor}))
        sae.fold_activation_norm_scaling_factor(factor)
        with tempfile.TemporaryDirectory() as inference:
            sae.save_inference_model(inference)
            again = sl.SAE.load_from_disk(inference)
        x = rows()
        z = again.encode(x)
        golden(folder, x, z, again.decode(z))


@torch.no_grad()
def gemma_scope():
    folder = fresh("gemma_scope")
    w_enc, w_dec = torch.randn(D, N) * 0.5, torch.randn(N, D) * 0.5
    b_enc, b_dec, threshold = torch.randn(N) * 0.3, torch.randn(D) * 0.3, torch.rand(N)
    arrays = {"W_enc": w_enc, "W_dec": w_dec, "b_enc": b_enc, "b_dec": b_dec, "threshold": threshold}
    np.savez(folder / "params.npz", **{name: value.numpy() for name, value in arrays.items()})
    x = rows()
    pre = x @ w_enc + b_enc
    z = (pre > threshold) * torch.relu(pre)
    golden(folder, x, z, z @ w_dec + b_dec)


def layer_norm(x, eps=1e-5):
    mean = x.mean(dim=-1, keepdim=True)
    x = x - mean
    std = x.std(dim=-1, keepdim=True)
    return x / (std + eps), mean, std


@torch.no_grad()
def openai():
    for name, kind in {"openai_topk": "TopK", "openai_relu": "ReLU"}.items():
        folder = fresh(name)
        state = {
            "pre_bias": torch.randn(D) * 0.3,
            "latent_bias": torch.randn(N) * 0.3,
            "stats_last_nonzero": torch.zeros(N, dtype=torch.long),
            "latents_activation_frequency": torch.ones(N),
            "latents_mean_square": torch.zeros(N),
            "encoder.weight": torch.randn(N, D) * 0.5,
            "decoder.weight": torch.randn(D, N) * 0.5,
            "activation": kind,
            "activation_state_dict": {"k": K, "postact_fn": "ReLU"} if kind == "TopK" else {},
        }
        torch.save(state, folder / "autoencoder.pt")
        x = rows()
        scaled, mean, std = layer_norm(x) if kind == "TopK" else (x, 0.0, 1.0)
        pre = (scaled - state["pre_bias"]) @ state["encoder.weight"].T + state["latent_bias"]
        if kind == "TopK":
            top = pre.topk(K, dim=-1)
            z = torch.zeros_like(pre).scatter_(-1, top.indices, top.values.relu())
        else:
            z = pre.relu()
        f = (z @ state["decoder.weight"].T + state["pre_bias"]) * std + mean
        golden(folder, x, z, f)


@torch.no_grad()
def llamascopium():
    for name, kind, include in [("relu", "relu", True), ("jumprelu", "jumprelu", True), ("topk", "topk", False)]:
        folder = fresh(f"llamascopium_{name}")
        norm = 5.0
        w_e, w_d = torch.randn(D, N) * 0.5, torch.randn(N, D) * 0.5
        b_e, b_d, log_threshold = torch.randn(N) * 0.3, torch.randn(D) * 0.3, torch.randn(N) * 0.3 - 1
        tensors = {"W_E": w_e, "b_E": b_e, "W_D": w_d, "b_D": b_d}
        if kind == "jumprelu":
            tensors["activation_function.log_jumprelu_threshold"] = log_threshold
        tensors["dataset_average_activation_norm.blocks.3.hook"] = torch.tensor(norm)
        save_file(tensors, folder / "sae_weights.safetensors", {"version": "2.0.0b34"})
        config = {
            "sae_type": "sae", "d_model": D, "expansion_factor": N / D, "act_fn": kind, "top_k": K,
            "use_decoder_bias": True, "use_glu_encoder": False, "norm_activation": "dataset-wise",
            "sparsity_include_decoder_norm": include,
            "hook_point_in": "blocks.3.hook", "hook_point_out": "blocks.3.hook",
        }
        (folder / "config.json").write_text(json.dumps(config))
        x = rows()
        factor = math.sqrt(D) / norm
        pre = (x * factor) @ w_e + b_e
        norms = w_d.norm(dim=1) if include else torch.ones(N)
        weighted = pre * norms
        if kind == "relu":
            z = weighted * (weighted > 0)
        elif kind == "jumprelu":
            z = weighted * (weighted > log_threshold.exp())
        else:
            positive = weighted * (weighted > 0)
            top = positive.topk(K, dim=-1)
            z = torch.zeros_like(positive).scatter_(-1, top.indices, top.values)
        z = z / norms
        golden(folder, x, z, (z @ w_d + b_d) / factor)

    folder = fresh("llamascopium_old")
    (folder / "checkpoints").mkdir()
    norm, threshold = 5.0, 0.3
    w_e, w_d = torch.randn(N, D) * 0.5, torch.randn(D, N) * 0.5
    b_e, b_d = torch.randn(N) * 0.3, torch.randn(D) * 0.3
    save_file(
        {"encoder.weight": w_e, "encoder.bias": b_e, "decoder.weight": w_d, "decoder.bias": b_d},
        folder / "checkpoints" / "final.safetensors",
    )
    config = {
        "d_model": D, "d_sae": N, "act_fn": "jumprelu", "jump_relu_threshold": threshold,
        "norm_activation": "dataset-wise", "dataset_average_activation_norm": {"in": norm, "out": norm},
        "sparsity_include_decoder_norm": False, "use_glu_encoder": False,
        "hook_point_in": "blocks.3.hook", "hook_point_out": "blocks.3.hook",
    }
    (folder / "hyperparams.json").write_text(json.dumps(config))
    x = rows()
    factor = math.sqrt(D) / norm
    # As SAELens reads it: W_enc times the factor, W_dec and b_dec divided by it, threshold times it.
    pre = x @ (factor * w_e.T) + b_e
    z = torch.relu(pre) * (pre > threshold * factor)
    golden(folder, x, z, z @ (w_d.T / factor) + b_d / factor)


if __name__ == "__main__":
    libraries = {make.__name__: make for make in (sparsify, dictionary_learning, saelens, gemma_scope, openai, llamascopium)}
    for chosen in sys.argv[1:] or libraries:
        libraries[chosen]()
