"""Rows per second of training 784-1000-500-250-30-…-784 (Adam, squared error): narrows and PyTorch in turns.

    python compare.py [--rounds 3] [--seconds 4] [--compile]

Random rows in memory; both shuffle; same threads (THREADS, by default 2). PyTorch: eager float32, with
--compile also torch.compile, and eager under bfloat16 autocast where the processor has that. Medians over the
rounds are printed.
"""

import os
import pathlib
import statistics
import subprocess
import sys
import time

import torch

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))

import processor

PROGRAM = ROOT / "target" / "release" / "examples" / "network_steps"
THREADS = int(os.environ.get("THREADS", "2"))
ROUNDS = int(sys.argv[sys.argv.index("--rounds") + 1]) if "--rounds" in sys.argv else 3
SECONDS = float(sys.argv[sys.argv.index("--seconds") + 1]) if "--seconds" in sys.argv else 4.0
WIDTHS = [784, 1000, 500, 250, 30, 250, 500, 1000, 784]
# Multiplications and additions of a row, forward and back.
OPERATIONS = 15.4e6


class Narrows:
    name = "narrows f32"

    def __init__(self, batch):
        self.process = subprocess.Popen(
            [PROGRAM, str(batch)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "RAYON_NUM_THREADS": str(THREADS)})
        self.process.stdout.readline()

    def run(self):
        print(f"run {SECONDS}", file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class PyTorch:
    def __init__(self, batch, name, compiled=False, autocast=False):
        self.batch, self.name, self.autocast = batch, name, autocast
        layers = []
        for place, (of, to) in enumerate(zip(WIDTHS, WIDTHS[1:])):
            layers.append(torch.nn.Linear(of, to))
            if to not in (30,) and place + 2 < len(WIDTHS):
                layers.append(torch.nn.ReLU())
        self.model = torch.nn.Sequential(*layers)
        self.forward = torch.compile(self.model) if compiled else self.model
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3)
        self.rows = torch.rand(16 * 1024, 784)
        self.step(torch.arange(batch))

    def step(self, chosen):
        x = self.rows[chosen]
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.autocast):
            y = self.forward(x)
        loss = ((x - y.float()) ** 2).sum(1).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def run(self):
        start, rows = time.perf_counter(), 0
        while True:
            order = torch.randperm(len(self.rows))
            for chosen in order.split(self.batch):
                self.step(chosen)
                rows += len(chosen)
                if time.perf_counter() - start > SECONDS:
                    return rows / (time.perf_counter() - start)

    def close(self):
        pass


def main():
    torch.set_num_threads(THREADS)
    print(f"torch {torch.__version__}, {THREADS} threads, {ROUNDS} rounds of {SECONDS:g} s")
    processor.tell_what_is_left_out()
    print("| batch | method | rows/s, median (range) | narrows is × | GFLOP/s |")
    print("|---|---|---|---|---|")
    for batch in (128, 256, 1024):
        sides = [Narrows(batch), PyTorch(batch, "PyTorch f32, eager")]
        if "--compile" in sys.argv:
            sides.append(PyTorch(batch, "PyTorch f32, torch.compile", compiled=True))
        if processor.has_bf16():
            sides.append(PyTorch(batch, "PyTorch bf16 autocast, eager", autocast=True))
        found = {side.name: [] for side in sides}
        for _ in range(ROUNDS):
            for side in sides:
                found[side.name].append(side.run())
        for side in sides:
            side.close()
        own = statistics.median(found["narrows f32"])
        for name, speeds in found.items():
            middle = statistics.median(speeds)
            print(f"| {batch} | {name} | {middle:,.0f} ({min(speeds):,.0f}-{max(speeds):,.0f}) | "
                  f"{own / middle:.2f} | {middle * OPERATIONS / 1e9:.0f} |", flush=True)


if __name__ == "__main__":
    main()
