"""Trains a small network with PyTorch's optimisers and writes every loss: optimizers.json.

    python optimizers.py          torch 2.15.0, float64 throughout

Whole batches, so that no order of rows matters. The losses and the last weights are compared with those
of the library in tests/golden_training.rs. Of L-BFGS, whose line searches differ, it is the minimum that
both come to, of a network that has one.
"""

import json
import pathlib

import torch

STEPS = 100
torch.manual_seed(0)
torch.set_default_dtype(torch.float64)

rows = torch.rand(24, 7)
widths = [7, 6, 3, 6, 7]
weights = [torch.randn(to, of) / of**0.5 for of, to in zip(widths, widths[1:])]
biases = [0.1 * torch.randn(to) for to in widths[1:]]

# The options are those of the library's names; weight decay is on weights, not on biases.
CASES = {
    "sgd": (lambda groups: torch.optim.SGD(groups, lr=0.05, momentum=0.9), 0.01),
    "adam": (lambda groups: torch.optim.Adam(groups, lr=0.01, betas=(0.9, 0.999)), 0.01),
    "adamw": (lambda groups: torch.optim.AdamW(groups, lr=0.01, betas=(0.9, 0.99)), 0.1),
}


def run(make, decay, clip=None):
    w = [weight.clone().requires_grad_() for weight in weights]
    b = [bias.clone().requires_grad_() for bias in biases]
    optimizer = make([{"params": w, "weight_decay": decay}, {"params": b, "weight_decay": 0.0}])
    losses = []
    for _ in range(STEPS):
        value = rows
        for place, (weight, bias) in enumerate(zip(w, b)):
            value = value @ weight.T + bias
            if place + 1 < len(w):
                value = torch.tanh(value)
        loss = ((rows - value) ** 2).sum(1).mean()
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(w + b, clip)
        optimizer.step()
    return {"losses": losses, "weight": w[0].detach().flatten().tolist()}


def minimum(decay):
    """Of a linear network of 7-3-7, whose minima all have one value."""
    w = [(torch.randn(to, of) / of**0.5).requires_grad_() for of, to in ((7, 3), (3, 7))]
    b = [torch.zeros(to).requires_grad_() for to in (3, 7)]
    optimizer = torch.optim.LBFGS(w + b, max_iter=5000, max_eval=10000, tolerance_grad=1e-12,
                                  tolerance_change=1e-15, line_search_fn="strong_wolfe")

    def closure():
        rebuilt = (rows @ w[0].T + b[0]) @ w[1].T + b[1]
        loss = ((rows - rebuilt) ** 2).sum(1).mean()
        whole = loss + 0.5 * decay * sum((weight**2).sum() for weight in w)
        optimizer.zero_grad()
        whole.backward()
        return whole

    optimizer.step(closure)
    return closure().item()


golden = {
    "torch": torch.__version__,
    "rows": rows.flatten().tolist(),
    "widths": widths,
    "weights": [weight.flatten().tolist() for weight in weights],
    "biases": [bias.tolist() for bias in biases],
    "cases": {name: run(*case) for name, case in CASES.items()}
    | {"sgd_clipped": run(*CASES["sgd"], clip=0.5)},
    "minimum": minimum(0.05),
}
path = pathlib.Path(__file__).with_suffix(".json")
path.write_text(json.dumps(golden, indent=1) + "\n")
