"""What it takes to have and to start narrows, and what one would otherwise use: size, start-up, memory.

    python footprint.py [--rounds 5]       NARROWS=path of another binary

Size is that of the binary, and of a Python package with all packages it requires, as pip installed them here
(libraries for GPUs too, if pip brought them). A start is `narrows --version`, or an interpreter that imports the
package and ends. Sides take turns; medians are printed.
"""

import importlib.metadata
import os
import pathlib
import re
import statistics
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "bench" / "pca"))

import record

NARROWS = pathlib.Path(os.environ.get("NARROWS", ROOT / "target" / "release" / "narrows"))
ROUNDS = int(sys.argv[sys.argv.index("--rounds") + 1]) if "--rounds" in sys.argv else 5
# What is installed, and what is imported.
PACKAGES = {"scikit-learn": "sklearn", "torch": "torch", "transformers": "transformers", "sae-lens": "sae_lens"}


def required(name, found):
    """The installed packages that one requires, itself among them."""
    key = re.sub(r"[-_.]+", "-", name).lower()
    if key in found:
        return found
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return found
    found[key] = distribution
    for line in distribution.requires or []:
        if "extra ==" not in line:
            required(re.match(r"[A-Za-z0-9._-]+", line).group(), found)
    return found


def size(distribution):
    paths = (distribution.locate_file(file) for file in distribution.files or [])
    return sum(path.stat().st_size for path in map(pathlib.Path, paths) if path.is_file())


def main():
    sides = {"**narrows**": ([NARROWS, "--version"], NARROWS.stat().st_size, "1 file")}
    for package, module in PACKAGES.items():
        found = required(package, {})
        if not found:
            print(f"{package} is not installed here: left out", file=sys.stderr)
            continue
        version = found[re.sub(r"[-_.]+", "-", package).lower()].version
        sides[f"{package} {version}"] = (
            [sys.executable, "-c", f"import {module}"],
            sum(map(size, found.values())), f"{len(found)} packages")
    runs = {name: [] for name in sides}
    for _ in range(ROUNDS + 1):
        for name, (command, *_) in sides.items():
            runs[name].append(record.run_measured(command))
    print("| | installed | of | start, median (range) | peak memory of it |")
    print("|---|---|---|---|---|")
    for name, (_, installed, parts) in sides.items():
        # The first start reads files from the disk.
        seconds = [seconds for seconds, _ in runs[name][1:]]
        peak = max(peak for _, peak in runs[name][1:])
        print(f"| {name} | {installed / 1e6:,.1f} MB | {parts} | {statistics.median(seconds) * 1e3:,.0f} ms "
              f"({min(seconds) * 1e3:,.0f} to {max(seconds) * 1e3:,.0f}) | {peak / 1e6:,.0f} MB |")


if __name__ == "__main__":
    main()
