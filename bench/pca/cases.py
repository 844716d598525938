"""The matrices that are fitted, as float32 .npy files under bench/out/pca.

Real data come from the folder that NARROWS_DATA names; where it is unset or lacks them, rows with a
like spectrum are drawn instead, and the name of the case says so.
"""

import gzip
import os
import pathlib
import sys

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "bench" / "out" / "pca"

# Eigenvalues of the covariance of the real data, pixels / 255, at a few ranks.
DIGITS_SPECTRUM = {1: 5.1, 2: 3.7, 5: 2.6, 10: 1.2, 20: 0.61, 50: 0.17, 100: 0.053, 200: 0.015,
                   300: 0.0072, 400: 0.0032, 500: 0.0008, 600: 9.7e-5}
FACES_SPECTRUM = {1: 43, 2: 32, 5: 13, 10: 4.4, 20: 1.7, 50: 0.59, 100: 0.24, 200: 0.1, 300: 0.053,
                  399: 0.016}
POWER_LAW = {1: 10.0, 10_000: 0.001}


def data_folder(*parts):
    """A folder of real data, or None where there is none."""
    folder = pathlib.Path(os.environ.get("NARROWS_DATA", "/nonexistent"), *parts)
    return folder if folder.is_dir() else None


def drawn(rows, columns, spectrum):
    """Normal rows in random directions whose variances follow `spectrum`, around means in [0, 1)."""
    generator = np.random.default_rng(0)
    rank = min(rows, columns, max(spectrum))
    at = np.log(list(spectrum.keys())), np.log(list(spectrum.values()))
    deviations = np.exp(np.interp(np.log(np.arange(1, rank + 1)), *at) / 2)
    axes = generator.normal(size=(rank, columns)) / np.sqrt(columns) * deviations[:, None]
    axes, mean = axes.astype(np.float32), generator.random(columns, dtype=np.float32)
    x = np.empty((rows, columns), np.float32)
    for start in range(0, rows, 50_000):
        codes = generator.standard_normal((min(50_000, rows - start), rank), dtype=np.float32)
        x[start:start + len(codes)] = codes @ axes + mean
    return x


def pictures_of_digits():
    """The training pictures of MNIST, gzipped or not, or None where there are none."""
    folder = data_folder("mnist")
    if folder is None:
        return None
    plain = folder / "train-images-idx3-ubyte"
    for path in plain.with_suffix(".gz"), plain:
        if path.is_file():
            return path
    print(f"MNIST is left out: no {plain.name}, gzipped or not, in {folder}", file=sys.stderr)
    return None


def digits():
    path = pictures_of_digits()
    if path is None:
        return "drawn like MNIST", drawn(60_000, 784, DIGITS_SPECTRUM)
    with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
        pixels = np.frombuffer(file.read(), np.uint8, offset=16)
    return "MNIST", pixels.reshape(60_000, 784).astype(np.float32) / 255


def faces():
    folder = data_folder("orl-faces")
    if folder is None:
        return "drawn like ORL faces", drawn(400, 10_304, FACES_SPECTRUM)
    files = sorted(folder.glob("s*/*.pgm"))
    pixels = [np.frombuffer(file.read_bytes()[-10_304:], np.uint8) for file in files]
    return "ORL faces", np.stack(pixels).astype(np.float32) / 255


def tall():
    return "drawn, tall", drawn(1_000_000, 100, POWER_LAW)


def wide():
    return "drawn, wide", drawn(2_000, 20_000, POWER_LAW)


# kind: how to make the rows, components kept (None is all), names of the solvers of scikit-learn.
CASES = {
    "digits": (digits, 50, ["auto", "full", "covariance_eigh", "randomized"]),
    "tall": (tall, 20, ["auto", "full", "covariance_eigh", "randomized"]),
    # covariance_eigh is left out where d > 10,000: the eigenvectors of d x d take minutes.
    "faces": (faces, None, ["auto", "full"]),
    "wide": (wide, 100, ["auto", "full"]),
}


def prepare(kind, quick):
    """Name, path and number of components of a case; `quick` keeps a part that the same solvers suit."""
    make, components, _ = CASES[kind]
    name, x = make()
    if quick:
        rows, columns = x.shape
        x = x[:rows // 7] if rows > columns else x[:rows // 4, :columns // 10]
    OUT.mkdir(parents=True, exist_ok=True)
    path = OUT / f"{kind}.npy"
    np.save(path, np.ascontiguousarray(x))
    return name, path, components
