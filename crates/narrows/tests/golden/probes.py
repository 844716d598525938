"""Logistic regressions and sparse probes by scikit-learn 1.9.1.

    pip install scikit-learn==1.9.1 && python probes.py > probes.json
"""

import json

import numpy
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.preprocessing import StandardScaler

random = numpy.random.default_rng(0)


def regression(x, y, c):
    fit = LogisticRegression(C=c, solver="newton-cholesky", tol=1e-12, max_iter=1000).fit(x, y)
    return {
        "x": x.ravel().tolist(),
        "columns": x.shape[1],
        "y": y.tolist(),
        "penalty": 1 / c,
        "parameters": [*fit.coef_[0].tolist(), float(fit.intercept_[0])],
    }


def probe(x, own, train, test, k):
    gap = numpy.abs(x[train][own[train]].mean(0) - x[train][~own[train]].mean(0))
    columns = numpy.argsort(-gap, kind="stable")[:k]
    scaler = StandardScaler().fit(x[train][:, columns])
    fit = LogisticRegression(C=1, solver="newton-cholesky", tol=1e-12, max_iter=1000)
    fit.fit(scaler.transform(x[train][:, columns]), own[train])
    told = fit.predict(scaler.transform(x[test][:, columns]))
    return accuracy_score(own[test], told), f1_score(own[test], told, zero_division=0)


def probes(x, classes, train, test, k):
    scores = [probe(x, classes == each, train, test, k) for each in range(classes.max() + 1)]
    return numpy.mean(scores, axis=0).tolist()


easy = random.normal(size=(60, 3))
hard = random.normal(size=(80, 8)) * numpy.array([1, 10, 0.1, 1, 1, 1, 1, 1])
hard[:, 7] = hard[:, 6] + 1e-3 * hard[:, 7]
apart = numpy.repeat([[1.0], [2.0]], 10, axis=0)
regressions = [
    regression(easy, easy @ [1, -2, 0.5] + random.normal(size=60) > 0.3, 1.0),
    regression(hard, hard @ [1, 0.2, 3, 0, 0, 1, 1, 0] + random.normal(size=80) > 1, 10.0),
    regression(apart, apart[:, 0] > 1.5, 1.0),
]
classes = random.integers(0, 3, size=150)
# f32 and f64 must choose the same columns, and no margin may lie at 0.
codes = random.normal(size=(150, 12)).clip(0) * (random.random((150, 12)) < 0.5)
for each in range(3):
    codes[classes == each, each] += (random.random((classes == each).sum()) < 0.6) * 1.5
    codes[classes == each, each + 5] += 0.4
codes = codes.astype(numpy.float32).astype(float)
rows = (codes @ random.normal(size=(12, 6))).astype(numpy.float32).astype(float)
order = random.permutation(150)
train, test = order[:110], order[110:]
print(
    json.dumps(
        {
            "regressions": regressions,
            "classes": classes.tolist(),
            "codes": codes.ravel().tolist(),
            "rows": rows.ravel().tolist(),
            "train": train.tolist(),
            "test": test.tolist(),
            "latents": [probes(codes, classes, train, test, k) for k in [1, 2, 5]],
            "columns": [probes(rows, classes, train, test, k) for k in [1, 2, 5]],
            "all_columns": probes(rows, classes, train, test, 6),
        }
    )
)
