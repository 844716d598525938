"""Loads with SAELens what narrows wrote for it, and compares codes and rebuilt rows.

    cargo run --example dictionaries_for_saelens -- /tmp/dictionaries
    python scripts/check_saelens.py /tmp/dictionaries

Needs sae-lens (run with 6.54.12). Ends with 1 if a number differs by more than 1e-5 of the larger of 1 and
the largest of its row, or if a code is in use in one and not in the other.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from sae_lens import SAE

TOLERANCE = 1e-5


def difference(got, expected):
    scale = np.maximum(1.0, np.abs(expected).max(axis=1, keepdims=True))
    return float((np.abs(got - expected) / scale).max())


@torch.no_grad()
def main(folder):
    failed = False
    print(f"{'kind':<28}{'class':<26}{'codes a row':>12}{'codes':>12}{'rows':>12}")
    for home in sorted(path for path in folder.iterdir() if (path / "cfg.json").exists()):
        x, z, f = (np.load(home / f"{name}.npy") for name in "xzf")
        sae = SAE.load_from_disk(home, device="cpu")
        codes = sae.encode(torch.from_numpy(x)).numpy()
        rebuilt = sae(torch.from_numpy(x)).numpy()
        worst = difference(codes, z), difference(rebuilt, f)
        same = ((codes != 0) == (z != 0)).all()
        active = (z != 0).sum(axis=1).mean()
        failed |= not same or not max(worst) <= TOLERANCE or active == 0
        print(f"{home.name:<28}{type(sae).__name__:<26}{active:>12.1f}{worst[0]:>12.1e}{worst[1]:>12.1e}")
    return failed


if __name__ == "__main__":
    sys.exit(1 if main(Path(sys.argv[1])) else 0)
