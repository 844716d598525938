"""What the benches share: a measured child process, run folders, and tables in bench/README.md."""

import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import time

import numpy as np

README = pathlib.Path(__file__).resolve().parents[1] / "README.md"


# A child's peak starts at the memory of the process that it was forked from, so the measured command
# is forked from a process that holds nothing.
MEASURE = """
import os, sys, time
start = time.perf_counter()
child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ,
                        file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)])
_, status, usage = os.wait4(child, 0)
print(time.perf_counter() - start, usage.ru_maxrss * 1024, os.waitstatus_to_exitcode(status))
"""


def run_measured(command):
    """Wall seconds and peak resident memory in bytes of a command, by wait4; stops if it fails."""
    command = [str(part) for part in command]
    measured = subprocess.run([sys.executable, "-I", "-S", "-c", MEASURE, *command],
                              stdout=subprocess.PIPE, text=True, check=True)
    seconds, peak, code = measured.stdout.split()
    if int(code) != 0:
        raise SystemExit(f"{command[0]} ended with exit code {code}")
    return float(seconds), int(peak)


def fit_command(narrows, data, components, out):
    shutil.rmtree(out, ignore_errors=True)
    return [narrows, "fit", "--model", "pca", "--set", f"model.components={components}",
            "--data", data, "--out", out]


def read_safetensors(path):
    """All arrays of a safetensors file by name."""
    kinds = {"F32": np.float32, "F64": np.float64, "U64": np.uint64, "I64": np.int64}
    content = pathlib.Path(path).read_bytes()
    length = int.from_bytes(content[:8], "little")
    body = content[8 + length:]
    header = json.loads(content[8:8 + length])
    header.pop("__metadata__", None)
    return {
        name: np.frombuffer(body[slice(*tensor["data_offsets"])], kinds[tensor["dtype"]])
        .reshape(tensor["shape"])
        for name, tensor in header.items()
    }


def fitted_by_narrows(run):
    """Mean, components and explained variance from a run folder."""
    arrays = read_safetensors(run / "weights.safetensors")

    def named(ending):
        found = [array for name, array in arrays.items() if name.split(".")[-1] == ending]
        if len(found) != 1:
            raise SystemExit(f"{run}: expected one array {ending!r} among {sorted(arrays)}")
        return found[0].astype(np.float64)

    return named("mean"), named("components"), named("explained_variance")


def largest_angle(components, reference):
    """The largest principal angle, in radians, between the spaces of two sets of orthonormal rows."""
    rest = components - (components @ reference.T) @ reference
    return float(np.arcsin(min(1.0, np.linalg.norm(rest, 2))))


def shown(seconds):
    """Median and range."""
    median = f"{statistics.median(seconds):.3g} s"
    return median if len(seconds) == 1 else f"{median} ({min(seconds):.3g}-{max(seconds):.3g})"


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def publish(name, text, quick):
    """Prints a table and, unless it is a trial or only to be printed, puts it between its markers in bench/README.md."""
    print(f"\n{text}\n", flush=True)
    if quick or "--print" in sys.argv:
        return
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, rest = README.read_text().split(begin)
    _, after = rest.split(end)
    README.write_text(f"{before}{begin}\n{text}\n{end}{after}")


def machine():
    """Processor, thread limits, versions, and the BLAS that numpy and scipy really loaded."""
    import scipy  # loads the BLAS that scikit-learn decomposes with
    import scipy.linalg
    import sklearn
    import threadpoolctl

    with open("/proc/cpuinfo") as file:
        processor = next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    pools = [
        f"{pool['internal_api']} {pool['version'] or ''} {pool.get('architecture', '')}".strip()
        + f", {pool['num_threads']} threads"
        for pool in threadpoolctl.threadpool_info()
    ]
    rustc = subprocess.run(["rustc", "--version"], capture_output=True, text=True).stdout.strip()
    return "\n".join([
        f"- processor: {processor}, {os.cpu_count()} cores seen; {platform.platform()}",
        f"- {rustc}; narrows with RAYON_NUM_THREADS={os.environ.get('RAYON_NUM_THREADS', 'unset')}",
        f"- Python {platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}, "
        f"scikit-learn {sklearn.__version__}, "
        f"OPENBLAS_CORETYPE={os.environ.get('OPENBLAS_CORETYPE', 'unset')}",
        *[f"- loaded: {pool}" for pool in sorted(set(pools))],
        f"- {time.strftime('%Y-%m-%d')}",
    ])
