"""What SAELens 6.54.12 draws from a small SynthSAEBench: the rates it starts from, exactly, and how often
and how strongly features of each level fire, over many models.

    pip install sae-lens==6.54.12 && python make_superposition.py > superposition.json
"""

import json
import warnings

import torch
from sae_lens.synthetic import (
    FoldedNormalMagnitudeConfig,
    HierarchyConfig,
    LinearMagnitudeConfig,
    LowRankCorrelationConfig,
    SyntheticModel,
    SyntheticModelConfig,
    ZipfianFiringProbabilityConfig,
    zipfian_firing_probabilities,
)

warnings.filterwarnings("ignore")
MODELS, BATCHES, ROWS = 60, 5, 2000
# 16 trees of 1 + 4 + 16 + 64 features, and 688 features that stand alone.
LEVELS = [0, 16, 80, 336, 1360, 2048]


def model(seed):
    return SyntheticModel(
        SyntheticModelConfig(
            num_features=2048,
            hidden_dim=8,
            firing_probability=ZipfianFiringProbabilityConfig(exponent=0.5, max_prob=0.4, min_prob=5e-4),
            hierarchy=HierarchyConfig(
                total_root_nodes=16,
                branching_factor=4,
                max_depth=3,
                mutually_exclusive_portion=1.0,
                compensate_probabilities=True,
                scale_children_by_parent=True,
            ),
            mean_firing_magnitudes=LinearMagnitudeConfig(start=5.0, end=4.0),
            std_firing_magnitudes=FoldedNormalMagnitudeConfig(mean=0.5, std=0.5),
            correlation=LowRankCorrelationConfig(rank=25, correlation_scale=0.1),
            bias=0.5,
            seed=seed,
        )
    )


def measure(codes):
    fires = codes > 0
    per_row = fires.sum(1).double()
    figures = [per_row.mean(), per_row.var()]
    for low, high in zip(LEVELS, LEVELS[1:]):
        level, code = fires[:, low:high], codes[:, low:high]
        figures += [level.sum(1).double().mean(), code[level].double().mean(), code[level].double().std()]
    return torch.stack([figure.double() for figure in figures])


def main():
    found = []
    for seed in range(MODELS):
        made = model(seed)
        torch.manual_seed(1000 + seed)
        batches = [made.activation_generator.sample(ROWS) for _ in range(BATCHES)]
        found.append(measure(torch.cat(batches)))
    found = torch.stack(found)
    names = ["active", "variance of active"]
    for level in range(len(LEVELS) - 1):
        names += [f"active {level}", f"mean code {level}", f"deviation of code {level}"]
    generator = model(0).activation_generator
    rates = zipfian_firing_probabilities(2048, exponent=0.5, max_prob=0.4, min_prob=5e-4)
    print(
        json.dumps(
            {
                "rates": rates.tolist(),
                "given_parent": generator.firing_probabilities.tolist(),
                "names": names,
                "means": found.mean(0).tolist(),
                "standard_errors": (found.std(0) / MODELS**0.5).tolist(),
            }
        )
    )


if __name__ == "__main__":
    main()
