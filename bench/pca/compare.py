"""Times one PCA fit of narrows and of scikit-learn by turns, and checks what each found.

Data are in memory before the clock starts. Accuracy is against eigenvectors of the f64 covariance
(or of the f64 products between rows where those are fewer), computed with numpy.

    python compare.py [--quick] [digits] [tall] [faces] [wide] [streaming]
"""

import statistics
import subprocess
import sys
import time

import numpy as np
from sklearn.decomposition import PCA, IncrementalPCA

import cases
import record

ROUNDS = 5
SLOW = 30.0  # seconds; what takes longer is not run again
REST = 0.2  # seconds between fits
PROGRAM = cases.ROOT / "target" / "release" / "examples" / "pca_fit"


class Narrows:
    """One fit at a time in a process of its own that sleeps in between."""

    def __init__(self, path, components, solver):
        self.name = f"**narrows** {solver}"
        self.prefix = cases.OUT / f"fitted_{solver}"
        self.process = subprocess.Popen(
            [PROGRAM, path, "all" if components is None else str(components), solver],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()

    def ask(self, line):
        print(line, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"{self.name} ended early")
        return answer

    def fit(self):
        return float(self.ask("fit"))

    def fitted(self):
        self.ask(f"save {self.prefix}")
        variances = np.load(f"{self.prefix}.variances.npy")[:, 0]
        return variances, np.load(f"{self.prefix}.components.npy")

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class ScikitLearn:
    def __init__(self, x, estimator, name):
        self.x, self.estimator, self.name = x, estimator, f"scikit-learn {name}"

    def fit(self):
        start = time.perf_counter()
        self.estimator.fit(self.x)
        return time.perf_counter() - start

    def fitted(self):
        fit = self.estimator
        return fit.explained_variance_.astype(float), fit.components_.astype(float)

    def close(self):
        pass


def exact(x, components):
    """Variances and components in f64 by another route than either library's default."""
    rows, columns = x.shape
    mean = x.mean(0, dtype=np.float64)
    rank = min(components or min(x.shape), rows - 1, columns)
    if columns <= rows:
        scatter = np.zeros((columns, columns))
        for start in range(0, rows, 50_000):
            centred = x[start:start + 50_000] - mean
            scatter += centred.T @ centred
        values, vectors = np.linalg.eigh(scatter)
        return values[::-1][:rank] / (rows - 1), vectors.T[::-1][:rank]
    centred = x - mean
    values, vectors = np.linalg.eigh(centred @ centred.T)
    values, vectors = values[::-1][:rank], vectors.T[::-1][:rank]
    return values / (rows - 1), vectors @ centred / np.sqrt(values)[:, None]


def take_turns(methods):
    """Seconds of every fit, by method, one round after another."""
    seconds = {method: [] for method in methods}
    for _ in range(ROUNDS):
        for method in methods:
            if min(seconds[method], default=0.0) < SLOW:
                # OpenBLAS threads spin for a while after their work and would take the next one's core.
                time.sleep(REST)
                seconds[method].append(method.fit())
                print(f"  {method.name}: {seconds[method][-1]:.3f} s", file=sys.stderr)
    return seconds


def compared(label, x, components, methods):
    """One line of the table for each method; the first is the measure of the others."""
    seconds = take_turns(methods)
    reference = exact(x, components)
    own = statistics.median(seconds[methods[0]])
    for method in methods:
        variances, axes = method.fitted()
        kept = min(len(reference[0]), len(variances))
        error = np.abs(variances[:kept] / reference[0][:kept] - 1).max()
        angle = record.largest_angle(axes[:kept], reference[1][:kept])
        taken = seconds[method]
        ratio = statistics.median(taken) / own
        yield [label, method.name, record.shown(taken), f"{ratio:.2f}", len(taken),
               f"{error:.1e}", f"{angle:.1e}"]
        method.close()


def rivals(x, components, solvers):
    """One per solver; the default is named by what it chooses, which is then not run twice."""
    chosen = PCA(components, svd_solver="auto")
    chosen.fit(x)
    name = chosen._fit_svd_solver
    for solver in solvers:
        if solver == "auto":
            yield ScikitLearn(x, PCA(components, random_state=0), f"default = {name}")
        elif solver != name:
            yield ScikitLearn(x, PCA(components, svd_solver=solver, random_state=0), solver)


def rows_of(kind, quick):
    streaming = kind == "streaming"
    name, path, components = cases.prepare("digits" if streaming else kind, quick)
    x = np.load(path)
    label = f"{name}, {x.shape[0]:,} × {x.shape[1]:,}, k = {components or 'all'}"
    print(label, file=sys.stderr)
    if streaming:
        methods = [Narrows(path, components, "streaming")]
        for size in (None, 1000):
            estimator = IncrementalPCA(components, batch_size=size)
            name = f"IncrementalPCA, batch {size or f'default = {5 * x.shape[1]}'}"
            methods.append(ScikitLearn(x, estimator, name))
    else:
        solvers = ["auto"] if components is None else ["auto", "randomized"]
        methods = [Narrows(path, components, solver) for solver in solvers]
        methods += rivals(x, components, cases.CASES[kind][2])
    yield from compared(label, x, components, methods)
    path.unlink()


def main():
    quick = "--quick" in sys.argv
    kinds = [word for word in sys.argv[1:] if not word.startswith("--")]
    every = [*cases.CASES, "streaming"]
    lines = [line for kind in kinds or every for line in rows_of(kind, quick)]
    head = ["rows × columns", "method", "one fit, median (range)", "× narrows", "runs",
            "largest relative error of a kept variance", "largest angle to the exact subspace, rad"]
    # A part of the cases is not the table.
    partial = quick or bool(kinds)
    record.publish("machine", record.machine(), partial)
    record.publish("fits", record.table(head, lines), partial)


if __name__ == "__main__":
    main()
