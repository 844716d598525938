"""What a large column mean costs: relative error of the worst variance, on the same float32 rows.

20,000 rows of 20 normal components, standard deviation 0.3 to 3, in random directions. The truth is
the singular values of the centred rows in f64.

    python offset_table.py [--quick]
"""

import sys

import numpy as np
from sklearn.decomposition import PCA

import cases
import record
from compare import Narrows

MEANS = [0, 100, 1_000, 10_000]


def rows_around(mean):
    generator = np.random.default_rng(0)
    axes = np.linalg.qr(generator.normal(size=(20, 20)))[0]
    codes = generator.normal(size=(20_000, 20)) * np.geomspace(0.3, 3, 20)
    return (codes @ axes + mean).astype(np.float32)


def by_narrows(path):
    method = Narrows(path, None, "auto")
    method.fit()
    variances, _ = method.fitted()
    method.close()
    return variances


def errors_at(mean):
    x = rows_around(mean)
    path = cases.OUT / "offset.npy"
    np.save(path, x)
    exact = np.linalg.svd(x - x.mean(0, dtype=np.float64), compute_uv=False) ** 2 / (len(x) - 1)
    found = {
        "scikit-learn default": PCA().fit(x).explained_variance_,
        "scikit-learn full": PCA(svd_solver="full").fit(x).explained_variance_,
        "**narrows**": by_narrows(path),
    }
    path.unlink()
    return {name: shown(variances, exact) for name, variances in found.items()}


def shown(variances, exact):
    error = np.abs(variances.astype(float) / exact - 1).max()
    zeros = np.count_nonzero(variances == 0)
    return f"{error:.1e}" + (f", {zeros} of {len(exact)} exactly 0" if zeros else "")


def main():
    cases.OUT.mkdir(parents=True, exist_ok=True)
    errors = {mean: errors_at(mean) for mean in MEANS}
    head = ["column mean", *errors[0]]
    lines = [[f"{mean:,}", *errors[mean].values()] for mean in MEANS]
    record.publish("offset", record.table(head, lines), "--quick" in sys.argv)


if __name__ == "__main__":
    main()
