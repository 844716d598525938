"""What SAELens 6.54.12 measures of a made-up dictionary, by its own functions.

    pip install sae-lens==6.54.12 && python dictionary_scores.py > dictionary_scores.json
"""

import json
from types import SimpleNamespace

import torch
from sae_lens.evals import get_sparsity_and_variance_metrics
from sae_lens.synthetic import evals
from sae_lens.training.activation_scaler import ActivationScaler

torch.manual_seed(0)
ROWS, DIM, LATENTS, FEATURES = 60, 6, 10, 14
decoder, truth = torch.randn(LATENTS, DIM), torch.randn(FEATURES, DIM)
decoder[3] = 0.0
decoder[5] = decoder[4] * 2 + 0.1 * torch.randn(DIM)
codes = torch.randn(ROWS, LATENTS).relu() * (torch.rand(ROWS, LATENTS) < 0.4)
codes[:, 7] = 0.0
codes[:, 8] = torch.rand(ROWS) + 0.1
true_codes = torch.rand(ROWS, FEATURES) * (torch.rand(ROWS, FEATURES) < 0.3)
# The latents that are nearest to some features fire with them, more or less.
nearest = evals.cosine_similarities(decoder, truth).abs().argmax(1)
for latent in [0, 1, 2]:
    codes[:50, latent] = true_codes[:50, nearest[latent]]
rows = true_codes @ truth + 0.5
output = 0.3 * codes @ decoder + 0.7 * rows + 0.1

sae = SimpleNamespace(
    cfg=SimpleNamespace(
        metadata=SimpleNamespace(hook_name="blocks.0.hook_resid_pre", hook_head_index=None), d_sae=LATENTS
    ),
    device="cpu",
    encode=lambda x: codes[None],
    decode=lambda z: output[None],
)
store = SimpleNamespace(get_batch_tokens=lambda n: torch.zeros(1, ROWS))
model = SimpleNamespace(run_with_cache=lambda *a, **k: (None, {"blocks.0.hook_resid_pre": rows[None]}))
scores, by_latent = get_sparsity_and_variance_metrics(
    sae, model, store, ActivationScaler(), 1, True, True, True, True, 1, {}
)
classes = evals.compute_classification_metrics(codes, true_codes, decoder, truth)
dead = evals.DeadLatentsCalculator(LATENTS)
dead.add_batch(codes)
shrinkage = evals.ShrinkageCalculator()
shrinkage.add_batch(output, rows)
cosines = evals.cosine_similarities(decoder, truth)
print(
    json.dumps(
        {
            "decoder": decoder.flatten().tolist(),
            "truth": truth.flatten().tolist(),
            "codes": codes.flatten().tolist(),
            "true_codes": true_codes.flatten().tolist(),
            "rows": rows.flatten().tolist(),
            "output": output.flatten().tolist(),
            "scores": scores,
            "density": by_latent["feature_density"],
            "dead": dead.compute(),
            "shrinkage": shrinkage.compute(),
            "mcc": evals.mean_correlation_coefficient(decoder, truth),
            "uniqueness": evals.feature_uniqueness(decoder, truth),
            # mmcs of sparse_coding: einsum of unit rows, the largest of each, their mean.
            "mmcs": cosines.max(1).values.mean().item(),
            "mmcs_of_other": cosines.max(0).values.mean().item(),
            "precision": classes.precision,
            "recall": classes.recall,
            "f1": classes.f1_score,
            "accuracy": classes.accuracy,
        }
    )
)
