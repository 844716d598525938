"""A sweep of 32 dictionaries from one pass, beside the same 32 trained one after another.

    cargo build --release -p narrows-cli
    python sweep.py STORE FOLDER [--latents 1x] [--batch 1024] [--rows 200000]

k = 8, 16, 24, 32 times seeds 0..7, batch top-k. Before each process the store is dropped from the page cache,
so that it comes from the disk. Printed are seconds, bytes that each side read while learning, bytes that the
system fetched from the disk for it, and whether each dictionary of the sweep has the bits of its single run.
"""

import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
NARROWS = os.environ.get("NARROWS", ROOT / "target" / "release" / "narrows")
STORE, FOLDER = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
SIZES, SEEDS = (8, 16, 24, 32), range(8)


def option(name, otherwise):
    return type(otherwise)(sys.argv[sys.argv.index(name) + 1]) if name in sys.argv else otherwise


LATENTS, BATCH, ROWS = option("--latents", "1x"), option("--batch", 1024), option("--rows", 200_000)


def drop_from_cache():
    for shard in STORE.iterdir():
        file = os.open(shard, os.O_RDONLY)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)


def fetched(process):
    """Bytes from the disk, as the system counts them while the process is there."""
    most = 0
    while process.poll() is None:
        try:
            text = pathlib.Path(f"/proc/{process.pid}/io").read_text()
            most = max(most, int(re.search(r"^read_bytes: (\d+)", text, re.M)[1]))
        except (OSError, TypeError):
            pass
        time.sleep(0.05)
    return most


def fit(out, *more):
    """Seconds, gigabytes read while learning as narrows tells it, bytes from the disk."""
    shutil.rmtree(out, ignore_errors=True)
    drop_from_cache()
    start = time.perf_counter()
    command = [NARROWS, "fit", "--model", "dictionary", "--data", STORE, "--unverified",
               "--set", f"dictionary.latents={LATENTS}",
               "--set", f"train.batch_size={BATCH}", "--set", f"train.rows={ROWS}", "--out", out, *more]
    log = FOLDER / "log"
    with log.open("w") as file:
        process = subprocess.Popen([str(part) for part in command], stdout=file, stderr=file)
        disk = fetched(process)
    seconds = time.perf_counter() - start
    if process.returncode:
        sys.exit(log.read_text())
    return seconds, float(re.search(r"([\d.]+) GB read while learning", log.read_text())[1]), disk


def weights(run):
    return hashlib.sha256((run / "weights.safetensors").read_bytes()).hexdigest()


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    sweep = FOLDER / "sweep"
    sizes = ",".join(map(str, SIZES))
    seconds, read, disk = fit(sweep, "--sweep", f"k={sizes}; seed={SEEDS.start}..{SEEDS.stop - 1}")
    print(f"sweep of 32: {seconds:.1f} s, {read:.2f} GB read while learning, {disk / 1e9:.2f} GB from the disk", flush=True)
    singles, same = [], 0
    for place, (k, seed) in enumerate((k, seed) for k in SIZES for seed in SEEDS):
        out = FOLDER / "single"
        singles.append(fit(out, "--set", f"dictionary.k={k}", "--set", f"dictionary.seed={seed}"))
        same += weights(out) == weights(sweep / "dictionaries" / f"{place:02}")
    total = [sum(column) for column in zip(*singles)]
    print(f"32 single runs: {total[0]:.1f} s, {total[1]:.2f} GB read while learning, {total[2] / 1e9:.2f} GB from the disk")
    print(f"sweep ÷ singles: {seconds / total[0]:.3f} of the time; {same} of 32 have the same bits")


if __name__ == "__main__":
    main()
