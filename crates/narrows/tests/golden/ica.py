"""Independent components of a small mixture by scikit-learn 1.9.1, for evaluate/ica.rs.

    python ica.py > ica.json
"""

import json

import numpy as np
from sklearn.decomposition import FastICA

random = np.random.default_rng(7)
sources = np.stack(
    [
        random.laplace(size=400),
        random.uniform(-1, 1, size=400),
        random.exponential(size=400),
        np.sign(random.normal(size=400)),
    ]
)
rows = (random.normal(size=(5, 4)) @ sources).T + np.array([3.0, -1.0, 0.5, 10.0, 0.0])
rows = rows.round(6)
# Rounding gives the fifth axis a variance of its own.
_, _, axes = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
rows = rows - np.outer((rows - rows.mean(0)) @ axes[4], axes[4])

ica = FastICA(4, fun="logcosh", whiten="unit-variance", tol=1e-13, max_iter=1000, random_state=0)
ica.fit(rows)
print(json.dumps({"rows": rows.ravel().tolist(), "components": ica.components_.ravel().tolist()}))
