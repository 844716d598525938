"""Measures neighbours with scikit-learn: neighbours.json.

    python neighbours.py          scikit-learn 1.9.1

Four clusters in nine dimensions, two codes of them, and their figures for several k. They are compared
with those of the library in tests/golden_neighbours.rs.
"""

import json
import pathlib

import numpy
from sklearn.manifold import trustworthiness
from sklearn.model_selection import LeaveOneOut, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

random = numpy.random.default_rng(0)
classes = random.integers(0, 4, 150)
rows = 3 * random.normal(size=(4, 9))[classes] + 2 * random.normal(size=(150, 9)) + 50
plane = numpy.tanh((rows - 50) @ random.normal(size=(9, 2)) / 9)
wide = numpy.maximum((rows - 50) @ random.normal(size=(9, 14)), 0)


def figures(codes, k):
    votes = cross_val_score(KNeighborsClassifier(k), codes, classes, cv=LeaveOneOut())
    return {
        "k": k,
        "accuracy": float(votes.mean()),
        "trustworthiness": float(trustworthiness(rows, codes, n_neighbors=k)),
    }


golden = {"rows": rows.tolist(), "classes": classes.tolist(), "codes": []}
for codes in (plane, wide):
    golden["codes"].append(
        {"values": codes.tolist(), "figures": [figures(codes, k) for k in (1, 2, 5, 40)]}
    )
path = pathlib.Path(__file__).with_name("neighbours.json")
path.write_text(json.dumps(golden) + "\n")
