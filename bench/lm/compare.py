"""Tokens per second of a forward pass: narrows and PyTorch transformers in turns, f32, equal threads.

    cargo build --release --workspace --example harvest_speed
    python compare.py [--rounds 5] [--quick] [--only NAME]

Windows of 256 tokens. `half` ends after the block in the middle, as a harvest from there does; transformers runs a
model whose later blocks and last norm were taken away. `logits` is the whole model with the logits of every token.
Models are drawn at random in the shapes of Pythia-70m, GPT-2 small and a small Llama with grouped queries; lm-tiny is
read from NARROWS_DATA where that has it. transformers runs with eager attention and with sdpa; the faster counts. Each
side is a process of its own with THREADS threads (by default 2); sides take turns within a round, and what is printed
are medians over the rounds and the median of the ratios within a round. A turn is as many passes, one after another as
in a harvest, as the slowest side makes in half a second, and at least one. Before that the rows of both sides are
compared.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("PROGRAM", ROOT / "target" / "release" / "examples" / "harvest_speed")
THREADS = int(os.environ.get("THREADS", "2"))
LENGTH = 256
QUICK = "--quick" in sys.argv
# Name: sequences at once for `half` and for `logits`.
BATCHES = {
    "lm-tiny": ([1, 8, 32], [1, 8, 32]),
    "pythia-70m": ([1, 8, 32], [1, 8]),
    "llama-gqa": ([1, 8, 32], [1, 8]),
    "gpt2-small": ([1, 8], [1, 4]),
}


def option(name, otherwise):
    return type(otherwise)(sys.argv[sys.argv.index(name) + 1]) if name in sys.argv else otherwise


def made(name, folder):
    """A model of this shape with random weights, and a tokenizer that nobody uses."""
    import tokenizers
    import torch
    import transformers as tf

    config = {
        "pythia-70m": lambda: tf.GPTNeoXConfig(
            vocab_size=50304, hidden_size=512, num_hidden_layers=6, num_attention_heads=8,
            intermediate_size=2048, max_position_embeddings=2048, rotary_pct=0.25),
        "gpt2-small": lambda: tf.GPT2Config(),
        "llama-gqa": lambda: tf.LlamaConfig(
            vocab_size=32000, hidden_size=512, num_hidden_layers=8, num_attention_heads=8,
            num_key_value_heads=2, intermediate_size=1376, max_position_embeddings=2048),
    }[name]()
    torch.manual_seed(0)
    model = tf.AutoModelForCausalLM.from_config(config).float()
    model.save_pretrained(folder)
    words = tokenizers.models.WordLevel({"a": 0, "b": 1}, unk_token="a")
    tokenizers.Tokenizer(words).save(str(folder / "tokenizer.json"))
    return folder


def worker(folder, attention):
    """Answers lines `SEQUENCES LENGTH PLACE PASSES` with the seconds of a pass and the mean size of what came out."""
    import copy

    import torch
    import transformers as tf

    torch.set_num_threads(THREADS)
    whole = tf.AutoModelForCausalLM.from_pretrained(
        folder, attn_implementation=attention, dtype=torch.float32).eval()
    cut = {}

    def until(blocks):
        if blocks not in cut:
            base = copy.deepcopy(whole.base_model)
            layers = "h" if hasattr(base, "h") else "layers"
            setattr(base, layers, getattr(base, layers)[:blocks])
            base.config.num_hidden_layers = blocks
            for norm in ("ln_f", "final_layer_norm", "norm"):
                if hasattr(base, norm):
                    setattr(base, norm, torch.nn.Identity())
            cut[blocks] = base
        return cut[blocks]

    for line in sys.stdin:
        sequences, length, place, passes = line.split()
        count = int(sequences) * int(length)
        ids = (torch.arange(count) * 7919 + 13) % whole.config.vocab_size
        ids = ids.view(int(sequences), int(length))
        model = whole if place == "logits" else until(int(place.split(".")[1]) + 1)
        begin = time.perf_counter()
        with torch.inference_mode():
            for _ in range(int(passes)):
                out = model(input_ids=ids, use_cache=False)
        seconds = (time.perf_counter() - begin) / int(passes)
        out = out.logits if place == "logits" else out.last_hidden_state
        print(seconds, float(out.abs().double().mean()), flush=True)


class Side:
    def __init__(self, command):
        environment = dict(os.environ, RAYON_NUM_THREADS=str(THREADS), OMP_NUM_THREADS=str(THREADS),
                           MKL_NUM_THREADS=str(THREADS), TRANSFORMERS_VERBOSITY="error",
                           HF_HUB_OFFLINE="1")
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                        env=environment)

    def ask(self, sequences, place, passes=1):
        self.process.stdin.write(f"{sequences} {LENGTH} {place} {passes}\n")
        self.process.stdin.flush()
        seconds, size = self.process.stdout.readline().split()
        return float(seconds), float(size)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def measure(name, folder, rounds):
    config = json.loads((folder / "config.json").read_text())
    layers = config.get("num_hidden_layers", config.get("n_layer"))
    sides = {"narrows": Side([PROGRAM, folder])}
    for attention in ("eager", "sdpa"):
        sides[attention] = Side([sys.executable, __file__, "--worker", folder, attention])
    for place, batches in zip((f"blocks.{layers // 2 - 1}.residual_post", "logits"), BATCHES[name]):
        for sequences in batches[:1] if QUICK else batches:
            first = {side: own.ask(sequences, place)[1] for side, own in sides.items()}
            worst = max(abs(size / first["narrows"] - 1) for size in first.values())
            assert worst < 1e-4, f"{name} {place}: the sides differ: {first}"
            passes = max(1, int(0.5 / max(own.ask(sequences, place)[0] for own in sides.values())))
            seconds = {side: [] for side in sides}
            for _ in range(rounds):
                for side, own in sides.items():
                    seconds[side].append(own.ask(sequences, place, passes)[0])
            speed = {side: sequences * LENGTH / statistics.median(own) for side, own in seconds.items()}
            ratios = [min(e, s) / n for n, e, s in zip(*(seconds[x] for x in ("narrows", "eager", "sdpa")))]
            kind = "logits" if place == "logits" else f"half ({layers // 2} of {layers} blocks)"
            print(f"| {name} | {kind} | {sequences} | {speed['narrows']:,.0f} | {speed['eager']:,.0f} "
                  f"| {speed['sdpa']:,.0f} | {statistics.median(ratios):.2f} ({min(ratios):.2f} to "
                  f"{max(ratios):.2f}) |", flush=True)
    for side in sides.values():
        side.close()


def main():
    if "--worker" in sys.argv:
        return worker(*sys.argv[sys.argv.index("--worker") + 1:])
    only, rounds = option("--only", ""), option("--rounds", 2 if QUICK else 5)
    print("| model | until | windows | narrows, tokens/s | eager | sdpa | × the faster (range) |")
    print("|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        for name in BATCHES:
            if only and name != only:
                continue
            if name == "lm-tiny":
                data = os.environ.get("NARROWS_DATA")
                if not data:
                    print("lm-tiny is left out: NARROWS_DATA is not set", file=sys.stderr)
                    continue
                folder = pathlib.Path(data) / "lm-tiny"
                if not (folder / "config.json").is_file():
                    print(f"lm-tiny is left out: no config.json in {folder}", file=sys.stderr)
                    continue
            else:
                folder = made(name, pathlib.Path(scratch) / name)
            measure(name, folder, rounds)


if __name__ == "__main__":
    main()
