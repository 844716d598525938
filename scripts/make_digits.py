"""Writes the digits behind `demo:digits` as gzipped idx files, the same bytes every time.

    python scripts/make_digits.py          (needs scikit-learn; made with 1.9.1)
"""

import gzip
import struct
from pathlib import Path

from sklearn.datasets import load_digits

FOLDER = Path(__file__).parent.parent / "crates/narrows/src/data/digits"


def write_idx(path, array):
    """An idx file of unsigned bytes: 0, 0, 8, the number of axes, their lengths, the values."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    # No name and no time in the gzip header: they would change the bytes.
    with open(path, "wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
        packed.write(header + array.astype("uint8").tobytes())


digits = load_digits()
assert digits.images.shape == (1797, 8, 8) and digits.images.max() == 16
write_idx(FOLDER / "images.idx3-ubyte.gz", digits.images)
write_idx(FOLDER / "labels.idx1-ubyte.gz", digits.target)
