"""Fits a 20 GB file whose exact answer is known, and measures the memory that it takes.

The file is sparse: zeros, except for five blocks of rows, each of which repeats one vector aᵢuᵢ
(mᵢ times, of which sᵢ more with the sign + than with −). The uᵢ are unit vectors on columns of their
own, so with c = (sᵢaᵢ / n)ᵢ

    mean        μ = Σ cᵢ uᵢ
    covariance  Σ = Uᵀ M U,   M = (diag(mᵢaᵢ²) − n ccᵀ) / (n − 1)        (5, 5)

and everything else follows from the eigenvectors of M. The blocks sit at the first row, the last,
and on both sides of the places where a reader that counts bytes in 32 bits would slip: 2 GiB and
4 GiB. A block that is missed, read twice or misplaced by a column changes the answer.

    python stream_20gb.py [--quick]      NARROWS=path of another binary; --quick makes 0.2 GB
"""

import os
import sys

import numpy as np

import cases
import record

COLUMNS, WIDTH = 784, 16
AMPLITUDES = np.array([2.0, 3.0, 5.0, 7.0, 4.0])
COUNTS = np.array([3_000, 2_000, 4_000, 1_500, 2_500])
PLUS = np.array([3_000, 1_000, 2_500, 1_500, 0])
MEMORY_LIMIT = 1e9
NARROWS = os.environ.get("NARROWS", cases.ROOT / "target" / "release" / "narrows")


def directions():
    """Unit vectors with 16 entries of 1/4, which float32 holds exactly."""
    u = np.zeros((len(COUNTS), COLUMNS), np.float32)
    for index in range(len(COUNTS)):
        first = index * (COLUMNS - WIDTH) // (len(COUNTS) - 1)
        u[index, first:first + WIDTH] = 1 / 4
    return u


def first_rows(rows):
    """Where the blocks start; the second and third lie across 2 and 4 GiB in the large file."""
    inner = [2**31, 2**32, 3 * 2**32] if rows * COLUMNS * 4 > 4 * 2**32 else [2**25, 2**26, 2**27]
    across = [place // (COLUMNS * 4) - count // 2 for place, count in zip(inner, COUNTS[1:4])]
    return [0, *across, rows - COUNTS[-1]]


def write(path, rows):
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f4", "fortran_order": False, "shape": (rows, COLUMNS)})
        start = file.tell()
        for vector, amplitude, count, plus, first in zip(
                directions(), AMPLITUDES, COUNTS, PLUS, first_rows(rows)):
            signs = np.where(np.arange(count) < plus, 1, -1).astype(np.float32)
            file.seek(start + int(first) * COLUMNS * 4)
            file.write((signs[:, None] * amplitude.astype(np.float32) * vector).tobytes())
        file.truncate(start + rows * COLUMNS * 4)


def closed_form(rows):
    """Mean, components and explained variance."""
    u = directions().astype(float)
    c = (2 * PLUS - COUNTS) * AMPLITUDES / rows
    small = (np.diag(COUNTS * AMPLITUDES**2) - rows * np.outer(c, c)) / (rows - 1)
    values, vectors = np.linalg.eigh(small)
    return c @ u, vectors.T[::-1] @ u, values[::-1]


def largest_axis_difference(axes, reference):
    """Axis by axis, whatever its sign."""
    signs = np.sign((axes * reference).sum(1, keepdims=True))
    return np.abs(signs * axes - reference).max()


def main():
    quick = "--quick" in sys.argv
    rows = 64_000 if quick else 6_400_000
    cases.OUT.mkdir(parents=True, exist_ok=True)
    path, run = cases.OUT / "stream.npy", cases.OUT / "stream_run"
    try:
        write(path, rows)
        size = path.stat().st_size
        seconds, peak = record.run_measured(record.fit_command(NARROWS, path, len(COUNTS), run))
    finally:
        path.unlink(missing_ok=True)

    mean, components, variances = record.fitted_by_narrows(run)
    exact_mean, exact_components, exact_variances = closed_form(rows)
    checks = [
        ("peak memory", peak / 1e6, MEMORY_LIMIT / 1e6, "MB"),
        ("largest error of the mean, of its largest entry",
         np.abs(mean - exact_mean).max() / np.abs(exact_mean).max(), 1e-6, ""),
        ("largest relative error of a variance",
         np.abs(variances / exact_variances - 1).max(), 1e-5, ""),
        ("largest error of an entry of a component",
         largest_axis_difference(components, exact_components), 1e-5, ""),
    ]
    lines = [[what, f"{value:.3g} {unit}", f"{limit:.3g} {unit}", "pass" if value < limit else "FAIL"]
             for what, value, limit, unit in checks]
    title = (f"{size / 1e9:.1f} GB, {rows:,} × {COLUMNS} float32, k = {len(COUNTS)}: "
             f"{seconds:.1f} s, {size / seconds / 1e9:.2f} GB/s (a sparse file: the disk is hardly read)")
    record.publish("stream", f"{title}\n\n" + record.table(["check", "found", "limit", ""], lines), quick)
    if any(line[-1] == "FAIL" for line in lines):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
