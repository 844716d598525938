"""From a file to a saved model: the command `narrows fit` against a Python script, by turns.

    python whole_command.py [--quick]      NARROWS=path of another binary
"""

import os
import statistics
import sys

import numpy as np

import cases
import record

COMPONENTS = 50
NARROWS = os.environ.get("NARROWS", cases.ROOT / "target" / "release" / "narrows")


def file_of_digits(quick):
    path = None if quick else cases.pictures_of_digits()
    if path is None or path.suffix != ".gz":
        name, path, _ = cases.prepare("digits", quick)
        return f"{name}, float32 .npy", path
    return "MNIST, gzipped idx", path


def main():
    quick = "--quick" in sys.argv
    label, data = file_of_digits(quick)
    run, saved = cases.OUT / "run", cases.OUT / "saved.npz"
    script = [sys.executable, cases.ROOT / "bench" / "pca" / "load_fit_save.py"]
    measured = {"**narrows** fit": [], "Python, scikit-learn default": []}
    for _ in range(2 if quick else 5):
        commands = record.fit_command(NARROWS, data, COMPONENTS, run), [*script, data, COMPONENTS, saved]
        for name, command in zip(measured, commands):
            measured[name].append(record.run_measured(command))

    _, components, variances = record.fitted_by_narrows(run)
    other = np.load(saved)
    angle = record.largest_angle(components, other["components"].astype(float))
    error = np.abs(variances / other["explained_variance"] - 1).max()
    own = statistics.median(seconds for seconds, _ in measured["**narrows** fit"])
    lines = [
        [label, name, record.shown([seconds for seconds, _ in runs]),
         f"{statistics.median(seconds for seconds, _ in runs) / own:.2f}", len(runs),
         f"{max(peak for _, peak in runs) / 1e6:.0f} MB"]
        for name, runs in measured.items()
    ]
    head = ["file", "command", "wall time, median (range)", "× narrows", "runs", "peak memory"]
    agreement = (f"The two models agree: largest angle between their subspaces {angle:.1e} rad, "
                 f"largest relative difference of a variance {error:.1e}.")
    if angle > 1e-2 or error > 1e-2:
        raise SystemExit(agreement.replace("agree", "do NOT agree"))
    record.publish("whole", f"{record.table(head, lines)}\n\n{agreement}", quick)


if __name__ == "__main__":
    main()
