"""How much of a known truth dictionaries find: narrows and SAELens trained on the same saved rows.

    cargo build --release -p narrows-cli
    python known_truth.py FOLDER [--rows 1200000] [--seeds 2] [--quick]

Rows are those of `demo:superposition`, the generator in the spirit of SynthSAEBench: 16,384 features in
768 columns, of which 4,096 latents can hold a quarter. They are packed once, as f32, into a store in FOLDER.
narrows trains all kinds and seeds from one pass over it in the stored order; SAELens trains a dictionary of
each kind and seed with its own trainer on the same rows in that order, after the eight batches from which it
takes their scale. Both have the same learning rate, schedule, batch, window for dead latents, initial
threshold and bandwidth. Where a penalty makes codes sparse, narrows first finds the weight for the L0 that is
aimed at while it trains (`target_l0`); then both train with that weight from the beginning. Beginnings are each library's own (the encoder of SAELens is 0.1 long where
narrows' is 1), and so is the weight of the loss that revives dead latents (1 and 1/32). Both are then
measured by `narrows evaluate` on rows that neither saw.

A finished folder is not trained again; a weight is part of its name.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
from importlib import metadata

ROOT = pathlib.Path(__file__).resolve().parents[2]
NARROWS = os.environ.get("NARROWS", ROOT / "target" / "release" / "narrows")
KINDS = ("batchtopk", "matryoshka", "jumprelu", "relu")
QUICK = "--quick" in sys.argv
DIM, FEATURES, LATENTS = (64, 512, 128) if QUICK else (768, 16384, 4096)
L0, BATCH, RATE, WARM_UP, DECAY = 25, 1024, 2e-3, 0.05, 0.2
THRESHOLD, BANDWIDTH = 0.5, 1.0


def option(name, otherwise):
    return type(otherwise)(sys.argv[sys.argv.index(name) + 1]) if name in sys.argv else otherwise


ROWS = option("--rows", 40_000 if QUICK else 1_200_000)
SEEDS = option("--seeds", 2)
HELD_OUT = 2_000 if QUICK else 20_000
DEAD_AFTER = ROWS // 6


def generator(rows, first=0):
    return f"demo:superposition?dim={DIM}&features={FEATURES}&rows={rows}&first={first}"


def narrows(*arguments):
    done = subprocess.run([NARROWS, *map(str, arguments)], stdout=subprocess.PIPE, check=True)
    return done.stdout


def table(kind, how):
    """A dictionary of each seed."""
    jump = f"\nthreshold = {THRESHOLD}\nbandwidth = {BANDWIDTH}" if kind == "jumprelu" else ""
    return "\n".join(f'[[dictionary]]\nkind = "{kind}"\nlatents = {LATENTS}\n{how}{jump}\nseed = {seed}\n'
                     f"dead_after = {DEAD_AFTER}\n" for seed in range(SEEDS))


def train_narrows(folder, name, tables):
    """The runs of each table of (kind, how its sparsity is chosen), from one pass."""
    out = folder / name
    if not out.exists():
        recipe = f"""[data]
path = "{folder / 'store'}"
[model]
kind = "dictionary"
[train]
batch_size = {BATCH}
learning_rate = {RATE}
warm_up = {WARM_UP}
decay = {DECAY}
sparsity_warm_up = {WARM_UP}
shuffle = "none"
log_every = {ROWS // 10}
"""
        path = folder / f"{name}.toml"
        path.write_text(recipe + "\n".join(table(*own) for own in tables))
        narrows("fit", path, "--out", out)
    runs = sorted((out / "dictionaries").iterdir(), key=lambda run: int(run.name))
    return {kind: runs[place * SEEDS:(place + 1) * SEEDS] for place, (kind, _) in enumerate(tables)}


def last(run):
    return json.loads((run / "history.jsonl").read_text().splitlines()[-1])


def batches(store):
    """The rows of the store, batch after batch, without end."""
    import torch
    from safetensors import safe_open

    while True:
        kept = torch.empty(0, DIM)
        for shard in sorted(store.glob("*.safetensors")):
            with safe_open(shard, "pt") as file:
                rows = file.get_slice(next(iter(file.keys())))
                for first in range(0, rows.get_shape()[0], 32 * BATCH):
                    kept = torch.cat([kept, rows[first:first + 32 * BATCH]])
                    while len(kept) >= BATCH:
                        yield kept[:BATCH]
                        kept = kept[BATCH:]


def train_saelens(kind, seed, weight, folder):
    """Trains a dictionary of SAELens; says its folder."""
    weighted = "" if kind in KINDS[:2] else f"-{weight:.6g}"
    out = folder / f"saelens-{kind}{weighted}-{seed}"
    if out.exists():
        return out
    import sae_lens as sl
    import torch
    from sae_lens.config import LoggingConfig, SAETrainerConfig
    from sae_lens.training.sae_trainer import SAETrainer

    torch.manual_seed(seed)
    steps = ROWS // BATCH
    size = {"d_in": DIM, "d_sae": LATENTS, "normalize_activations": "expected_average_only_in"}
    rising = {"l0_warm_up_steps": int(WARM_UP * steps)}
    widths = [LATENTS // part for part in (16, 8, 4, 2, 1)]
    sae = {
        "batchtopk": lambda: sl.BatchTopKTrainingSAE(sl.BatchTopKTrainingSAEConfig(**size, k=L0)),
        "matryoshka": lambda: sl.MatryoshkaBatchTopKTrainingSAE(
            sl.MatryoshkaBatchTopKTrainingSAEConfig(**size, k=L0, matryoshka_widths=widths)),
        "jumprelu": lambda: sl.JumpReLUTrainingSAE(sl.JumpReLUTrainingSAEConfig(
            **size, l0_coefficient=weight, jumprelu_ste_to_input=True, decoder_init_norm=1.0,
            jumprelu_init_threshold=THRESHOLD, jumprelu_bandwidth=BANDWIDTH, **rising)),
        "relu": lambda: sl.StandardTrainingSAE(sl.StandardTrainingSAEConfig(
            **size, l1_coefficient=weight, l1_warm_up_steps=int(WARM_UP * steps))),
    }[kind]()
    config = SAETrainerConfig(
        total_training_samples=steps * BATCH, train_batch_size_samples=BATCH, lr=RATE, lr_end=0.0,
        lr_warm_up_steps=int(WARM_UP * steps), lr_decay_steps=int(DECAY * steps),
        dead_feature_window=DEAD_AFTER // BATCH, n_batches_for_norm_estimate=8,
        logger=LoggingConfig(log_to_wandb=False))
    SAETrainer(config, sae, batches(folder / "store")).fit()
    sae.save_inference_model(str(out))
    return out


def measure(run):
    """Scores of a dictionary on rows that nobody saw."""
    return json.loads(narrows("evaluate", run, "--data", generator(HELD_OUT, ROWS), "--json"))


def line(kind, side, scores):
    def middle(values):
        text = f"{statistics.mean(values):.3f}"
        return text + (f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else "")

    cells = [middle([own["truth"][name] for own in scores]) for name in ("f1", "mcc", "mmcs")]
    names = ("fraction_variance_unexplained", "l0", "dead_share")
    cells += [middle([own[name] for own in scores]) for name in names]
    print(f"| {kind} | {side} | " + " | ".join(cells) + " |", flush=True)


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "store").exists():
        narrows("shards", "pack", generator(ROWS), "--element", "f32", "--out", folder / "store")
    packed = json.loads((folder / "store" / "shards.json").read_text())["rows"]
    if packed != ROWS:
        sys.exit(f"{folder}/store has {packed} rows: give --rows {packed}, or another folder")
    runs = train_narrows(folder, "narrows", [(kind, f"k = {L0}") for kind in KINDS[:2]]
                         + [(kind, f"target_l0 = {L0}") for kind in KINDS[2:]])
    weights = {kind: last(runs[kind][0])["sparsity_weight"] for kind in KINDS}
    named = "-".join(f"{weights[kind]:.6g}" for kind in KINDS[2:])
    weighted = train_narrows(folder, f"narrows-weighted-{named}",
                             [(kind, f"sparsity_weight = {weights[kind]}") for kind in KINDS[2:]])
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("sae-lens", "torch"))
    print(f"{ROWS:,} rows, batch {BATCH}, learning rate {RATE:g}, {SEEDS} seeds; {HELD_OUT:,} rows held out; {versions}\n")
    print("| kind | trained by | F1 | MCC | MMCS to the truth | FVU | L0 | dead |")
    print("|---|---|---|---|---|---|---|---|")
    for kind, own in runs.items():
        line(kind, "narrows" if kind in KINDS[:2] else f"narrows, target_l0 = {L0}", [measure(run) for run in own])
        if kind in weighted:
            line(kind, f"narrows, weight {weights[kind]:.3f}", [measure(run) for run in weighted[kind]])
        others = [train_saelens(kind, seed, weights[kind], folder) for seed in range(SEEDS)]
        line(kind, "SAELens", [measure(run) for run in others])


if __name__ == "__main__":
    main()
