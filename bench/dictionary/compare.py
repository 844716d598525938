"""Rows per second of training sparse dictionaries: narrows, SAELens, dictionary_learning, sparsify in turns.

    cargo build --release -p narrows --example dictionary_steps
    python compare.py [--rounds 3] [--seconds 6] [--quick] [--file FOLDER]

A whole step on random normal rows in memory: forward, loss, backward, gradients clipped to length 1,
Adam; rows of the decoder are free or of length 1 as each library has them by default (sparsify and
dictionary_learning bring them to 1). SAELens without what its trainer does beside (dead latents, metrics,
the loader), in bf16 too where the processor has that; sparsify eager, without its bf16 autocast;
dictionary_learning with its trainer's update. narrows includes its shuffle of the rows, by a thread beside;
its step is without. Each side is a process of its own with the same number of threads (THREADS, by default
2), whose peak memory is the VmHWM of the system. The product of a batch with the encoder alone is timed
after each turn, in the same process. `relu` is where training ends: biases leave as many latents of a row
active as k says, and a small learning rate leaves it so. Medians over the rounds are printed.

--file FOLDER counts the loader too: rows of a npy file of 1 GB that is made in FOLDER, in an order without
preference. narrows reads as it always does, the others index a memory map with a permutation and wait for
it, as their users do.

--quick is a trial on a small shape.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
import types

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))

import processor

PROGRAM = ROOT / "target" / "release" / "examples" / "dictionary_steps"
THREADS = int(os.environ.get("THREADS", "2"))
QUICK = "--quick" in sys.argv
FOLDER = sys.argv[sys.argv.index("--file") + 1] if "--file" in sys.argv else None
# Columns, latents, k, rows of a batch.
SHAPES = [(64, 512, 8, 256)] if QUICK else [
    (d, n, 32, batch) for d, n in ((768, 4096), (512, 16384)) for batch in (1024, 4096)]
SIDES = {
    "topk": ["narrows f32", "SAELens f32", "SAELens bf16 autocast", "dictionary_learning f32",
             "sparsify f32"],
    "batchtopk": ["narrows f32", "SAELens f32", "SAELens bf16 autocast", "dictionary_learning f32"],
    "relu": ["narrows f32", "SAELens f32", "SAELens bf16 autocast"],
}
if not processor.has_bf16():
    SIDES = {kind: [side for side in sides if "bf16" not in side] for kind, sides in SIDES.items()}
SPARSITY_WEIGHT = 1.0


def option(name, otherwise):
    return type(otherwise)(sys.argv[sys.argv.index(name) + 1]) if name in sys.argv else otherwise


def bias_of(kind, latents, k):
    """Where b begins: pre-activations of unit rows are standard normal."""
    return statistics.NormalDist().inv_cdf(k / latents) if kind == "relu" else 0.0


def rate_of(kind, latents):
    """The usual one; a penalty alone would soon have another number of latents active."""
    return 1e-7 if kind == "relu" else 2e-4 / (latents / 2**14) ** 0.5


class Side:
    """A process that trains when it is told to."""

    def __init__(self, name, kind, shape, file):
        self.name = name
        d, n, k, batch = map(str, shape)
        bias, rate = bias_of(kind, shape[1], shape[2]), rate_of(kind, shape[1])
        own = [kind, d, n, k, batch, str(bias)]
        if name.startswith("narrows"):
            command = [PROGRAM, *own, str(rate), *file]
        else:
            command = [sys.executable, __file__, "--worker", name, *own, *file]
        threads = {key: str(THREADS) for key in ("RAYON_NUM_THREADS", "OMP_NUM_THREADS")}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, **threads, "SPARSIFY_DISABLE_TRITON": "1"})
        self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended")
        return json.loads(line)

    def run(self, seconds):
        print(f"run {seconds}", file=self.process.stdin, flush=True)
        return self.read()

    def close(self):
        """Ends it; says its peak memory in bytes."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        self.process.stdin.close()
        self.process.wait()
        return int(peak.split()[1]) * 1024


def saelens(kind, d, n, k, bias, autocast):
    import sae_lens as sl
    import torch
    from sae_lens.saes.sae import TrainStepInput

    size = {"d_in": d, "d_sae": n}
    sae = {
        "topk": lambda: sl.TopKTrainingSAE(sl.TopKTrainingSAEConfig(**size, k=k)),
        "batchtopk": lambda: sl.BatchTopKTrainingSAE(sl.BatchTopKTrainingSAEConfig(**size, k=k)),
        "relu": lambda: sl.StandardTrainingSAE(sl.StandardTrainingSAEConfig(**size)),
    }[kind]()
    if kind == "relu":
        sae.W_dec.data /= sae.W_dec.data.norm(dim=1, keepdim=True)
        sae.W_enc.data = sae.W_dec.data.T.clone()
        sae.b_enc.data.fill_(bias)
    adam = torch.optim.Adam(sae.parameters(), lr=rate_of(kind, n))
    nobody = torch.zeros(n, dtype=torch.bool)
    coefficients = {name: SPARSITY_WEIGHT for name in sae.get_coefficients()}

    def step(x):
        given = TrainStepInput(sae_in=x, coefficients=coefficients, dead_neuron_mask=nobody,
                               n_training_steps=0, is_logging_step=False)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            out = sae.training_forward_pass(given)
        out.loss.backward()
        torch.nn.utils.clip_grad_norm_(sae.parameters(), 1.0)
        adam.step()
        adam.zero_grad()
        return out.feature_acts

    return step


def dictionary_learning(kind, d, n, k):
    # nnsight runs language models; only the library's buffer of activations needs it.
    sys.modules["nnsight"] = types.ModuleType("nnsight")
    sys.modules["nnsight"].LanguageModel = None
    from dictionary_learning.trainers.batch_top_k import BatchTopKTrainer
    from dictionary_learning.trainers.top_k import TopKTrainer

    trainer = {"topk": TopKTrainer, "batchtopk": BatchTopKTrainer}[kind](
        steps=100_000, activation_dim=d, dict_size=n, k=k, layer=0, lm_name="none", device="cpu",
        lr=rate_of(kind, n))
    count = iter(range(10**9))

    def step(x):
        trainer.update(next(count), x)

    return step


def sparsify(d, n, k):
    import torch
    from sparsify import SparseCoder, SparseCoderConfig

    coder = SparseCoder(d, SparseCoderConfig(num_latents=n, k=k), dtype=torch.float32)
    adam = torch.optim.Adam(coder.parameters(), lr=rate_of("topk", n))

    def step(x):
        coder(x).fvu.backward()
        coder.remove_gradient_parallel_to_decoder_directions()
        torch.nn.utils.clip_grad_norm_(coder.parameters(), 1.0)
        adam.step()
        adam.zero_grad()
        coder.set_decoder_norm_to_unit_norm()

    return step


def batches_of(d, batch, file):
    """Endless batches: four that are in memory, or those of a file in an order without preference."""
    import numpy as np
    import torch

    if not file:
        batches = torch.randn(4, batch, d)
        while True:
            yield from batches
    rows = np.load(file[0], mmap_mode="r")
    while True:
        order = np.random.default_rng(0).permutation(len(rows))
        for first in range(0, len(rows) - batch + 1, batch):
            yield torch.from_numpy(rows[order[first:first + batch]])


def file_of(d):
    """A npy file of 1 GB of random rows of d columns."""
    import numpy as np

    path = pathlib.Path(FOLDER) / f"rows{d}.npy"
    if not path.exists():
        rows = np.lib.format.open_memmap(path, "w+", np.float32, (250_000_000 // d, d))
        for first in range(0, len(rows), 10_000):
            part = rows[first:first + 10_000]
            part[:] = np.random.default_rng(first).standard_normal(part.shape, np.float32)
    return [str(path)]


def worker(name, kind, d, n, k, batch, bias, *file):
    """One of the other libraries: trains for as long as each line of stdin says."""
    import torch

    # What libraries say on their way belongs beside the numbers, not among them.
    out, sys.stdout = sys.stdout, sys.stderr
    torch.set_num_threads(THREADS)
    d, n, k, batch = int(d), int(n), int(k), int(batch)
    autocast = "bf16" in name
    if name.startswith("SAELens"):
        step = saelens(kind, d, n, k, float(bias), autocast)
    elif name.startswith("dictionary_learning"):
        step = dictionary_learning(kind, d, n, k)
    else:
        step = sparsify(d, n, k)
    batches = batches_of(d, batch, file)
    first = next(batches)
    step(first)
    print("{}", file=out, flush=True)
    for line in sys.stdin:
        limit = float(line.removeprefix("run "))
        start, rows, seconds, codes = time.perf_counter(), 0, 0.0, None
        while seconds < limit:
            codes = step(next(batches))
            rows += batch
            seconds = time.perf_counter() - start
        l0 = None if codes is None else (codes != 0).sum().item() / batch
        own = {"rows": rows, "seconds": seconds, "l0": l0, "product": product(first, n, autocast)}
        print(json.dumps(own), file=out, flush=True)


def product(x, n, autocast):
    """Seconds of the encoder's product of a batch alone, median."""
    import torch

    weight, times = torch.randn(x.shape[1], n), []
    if autocast:
        x, weight = x.bfloat16(), weight.bfloat16()
    with torch.no_grad():
        for _ in range(9):
            start = time.perf_counter()
            x @ weight
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def versions():
    from importlib.metadata import version

    names = ("torch", "sae-lens", "dictionary-learning", "eai-sparsify")
    return ", ".join(f"{name} {version(name)}" for name in names)


def compare(kind, shape, rounds, seconds):
    d, n, k, batch = shape
    file = file_of(d) if FOLDER else []
    sides = [Side(name, kind, shape, file) for name in SIDES[kind]]
    found = {side.name: [] for side in sides}
    for side in sides:
        side.run(0.0)
    for _ in range(rounds):
        for side in sides:
            found[side.name].append(side.run(seconds))
    rates = {name: [run["rows"] / run["seconds"] for run in runs] for name, runs in found.items()}
    own = statistics.median(rates["narrows f32"])
    for side in sides:
        speeds, last = rates[side.name], found[side.name][-1]
        middle = statistics.median(speeds)
        steps = [1e3 * run.get("own", run["seconds"]) * batch / run["rows"]
                 for run in found[side.name]]
        floors = [1e3 * run["product"] for run in found[side.name]]
        parts = [step / floor for step, floor in zip(steps, floors)]
        step, floor, part = map(statistics.median, (steps, floors, parts))
        l0 = "" if last["l0"] is None else f"{last['l0']:.1f}"
        print(f"| {d} → {n:,} | {batch} | {kind} | {side.name} | "
              f"{middle:,.0f} ({min(speeds):,.0f}-{max(speeds):,.0f}) | {own / middle:.2f} | "
              f"{step:.1f} | {floor:.1f} | {part:.2f} ({min(parts):.2f}-{max(parts):.2f}) | {l0} | "
              f"{side.close() / 1e6:,.0f} MB |", flush=True)


def main():
    rounds = option("--rounds", 1 if QUICK else 3)
    seconds = option("--seconds", 0.5 if QUICK else 6.0)
    print(f"{versions()}; {THREADS} threads, {rounds} rounds of {seconds:g} s\n")
    processor.tell_what_is_left_out()
    print("| shape | batch | kind | method | rows/s, median (range) | narrows is × | step, ms | "
          "encoder product alone, ms | step ÷ product | L0 | peak memory |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for shape in SHAPES:
        for kind in ["topk", "batchtopk"] if FOLDER else SIDES:
            compare(kind, shape, rounds, seconds)


if __name__ == "__main__":
    if "--worker" in sys.argv:
        worker(*sys.argv[sys.argv.index("--worker") + 1:])
    else:
        main()
