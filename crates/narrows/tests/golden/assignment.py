"""Least assignments by SciPy of costs that both languages make by the same linear congruence.

    pip install scipy==1.17.1 numpy && python assignment.py > assignment.json
"""

import json

import numpy
from scipy.optimize import linear_sum_assignment

cases = []
for rows, columns, seed in [(5, 5, 1), (40, 60, 2), (300, 300, 3), (200, 900, 4), (70, 30, 5)]:
    state, costs = seed, []
    for _ in range(rows * columns):
        state = (state * 6364136223846793005 + 1) % 2**64
        costs.append((state >> 40) / 16777216.0)
    costs = numpy.array(costs, dtype=numpy.float32).astype(numpy.float64).reshape(rows, columns)
    chosen = dict(zip(*(side.tolist() for side in linear_sum_assignment(costs))))
    column_of_row = [chosen.get(row, 0) for row in range(rows)]
    cases.append({"rows": rows, "columns": columns, "seed": seed, "column_of_row": column_of_row})
print(json.dumps(cases))
