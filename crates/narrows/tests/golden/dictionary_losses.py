"""Losses of sparse dictionaries and their gradients by PyTorch's autograd: dictionary_losses.json.

    python dictionary_losses.py          torch 2.15.0, float64 throughout; sae-lens 6.54.12 if it is there

Each loss is written here from the formulas at the heads of src/train/dictionary/*.rs, not from their code;
the slope that is lent to a step is a function of its own for autograd. Some cases go on for three steps
of torch.optim.Adam with clipped gradients. Cases are drawn again until no number is near a decision
(whether a code is zero, which of two is larger), as f32 might decide otherwise. Compared in
src/train/dictionary/tests/golden.rs. Where a training class of SAELens has the same loss, but for
differences that the heads of those files name, its loss is compared here and printed.
"""

import json
import pathlib

import torch

torch.set_default_dtype(torch.float64)
INPUT, LATENTS, ROWS, K, BANDWIDTH, SCALE, TARGET = 6, 12, 9, 3, 0.4, 2.5, 4.0
WEIGHT, WIDTHS, DEAD, REVIVAL, REVIVAL_K = 0.3, [3, 7, 12], [1, 4, 5, 8, 11], 0.25, 3
RATE, CLIP, STEPS = 0.01, 0.5, 3
NEAR = 1e-3


class Step(torch.autograd.Function):
    """H(a - threshold)."""

    @staticmethod
    def forward(context, a, threshold, to_encoder):
        context.save_for_backward(a, threshold)
        context.to_encoder = to_encoder
        return (a > threshold).to(a)

    @staticmethod
    def backward(context, gradient):
        a, threshold = context.saved_tensors
        lent = gradient * ((a - threshold).abs() < BANDWIDTH / 2) / BANDWIDTH
        return lent if context.to_encoder else None, -lent.sum(0), None


class Jump(torch.autograd.Function):
    """a·H(a - threshold)."""

    @staticmethod
    def forward(context, a, threshold, to_encoder):
        context.save_for_backward(a, threshold)
        context.to_encoder = to_encoder
        return a * (a > threshold)

    @staticmethod
    def backward(context, gradient):
        a, threshold = context.saved_tensors
        lent = gradient * threshold * ((a - threshold).abs() < BANDWIDTH / 2) / BANDWIDTH
        passed = gradient * (a > threshold)
        return passed + lent if context.to_encoder else passed, -lent.sum(0), None


class Margin:
    """How near the nearest decision was."""

    def __init__(self):
        self.least = float("inf")

    def apart(self, distances):
        if distances.numel():
            self.least = min(self.least, distances.abs().min().item())

    def largest(self, values, count):
        """A mask of the `count` largest of the last axis."""
        count = min(count, values.shape[-1])
        order = values.sort(descending=True)
        if count < values.shape[-1]:
            self.apart(order.values[..., count - 1] - order.values[..., count])
        return torch.zeros_like(values).scatter(-1, order.indices[..., :count], 1.0)


def draw(options, seed):
    """Parameters, rows and targets; f32 holds them exactly."""
    random = torch.Generator().manual_seed(seed)

    def drawn(*shape, scale=1.0):
        return (scale * torch.randn(*shape, generator=random) * 64).round() / 64

    output = options.get("output", INPUT)
    unit = options["decoder_norm"] == "unit"
    p = {"encoder": drawn(LATENTS, INPUT, scale=0.6), "bias": drawn(LATENTS, scale=0.2)}
    p["decoder"] = drawn(LATENTS, output, scale=0.6)
    if unit:
        p["decoder"] = (p["decoder"] / p["decoder"].norm(dim=1, keepdim=True)).float().double()
    p["centre"] = drawn(output, scale=0.3)
    if options["kind"] == "jumprelu":
        p["first"] = drawn(LATENTS, scale=0.2).abs() + 0.25
    if options["kind"] == "gated":
        p["first"], p["second"] = drawn(LATENTS, scale=0.3), drawn(LATENTS, scale=0.3)
    if options.get("skip"):
        p["skip"] = drawn(output, INPUT, scale=0.4)
    if options.get("tied"):
        del p["decoder"], p["centre"]
    x = drawn(ROWS, INPUT)
    other = output != INPUT or options.get("skip")
    return p, x, drawn(ROWS, output) if other else x


def is_centred(options):
    return not options.get("tied") and "output" not in options and not options.get("skip")


def losses(options, p, x, t, margin):
    """The squared error as the kind has it, the penalty, and the loss that revives."""
    kind, rows = options["kind"], len(x)
    if options.get("tied"):
        encoder = p["encoder"] / p["encoder"].norm(dim=1, keepdim=True)
        decoder, centre = encoder, torch.zeros(INPUT)
    else:
        encoder, decoder, centre = p["encoder"], p["decoder"], p["centre"]
    unit = options["decoder_norm"] == "unit"
    norms = torch.ones(LATENTS) if unit else decoder.norm(dim=1)
    shifted = x - centre if is_centred(options) else x
    through = shifted @ encoder.T
    a = through + p["bias"]
    penalty = third = torch.zeros(())
    if kind == "relu":
        margin.apart(a.detach())
        z = a.relu()
        penalty = WEIGHT * (z * norms).sum() / rows
    elif kind == "topk":
        margin.apart(a.detach())
        z = a.relu() * margin.largest((a * norms).detach(), K)
    elif kind in ("batchtopk", "matryoshka"):
        margin.apart(a.detach())
        chosen = margin.largest((a * norms).detach().flatten(), K * rows)
        z = a.relu() * chosen.reshape(a.shape)
    elif kind == "jumprelu":
        distance = (a - p["first"]).detach()
        margin.apart(distance)
        margin.apart(distance.abs() - BANDWIDTH / 2)
        to_encoder = options["slope_to_encoder"]
        z = Jump.apply(a, p["first"], to_encoder)
        l0 = Step.apply(a, p["first"], to_encoder).sum(1)
        penalty = {
            "step": lambda: WEIGHT * l0.sum() / rows,
            "quadratic": lambda: WEIGHT * (2 / TARGET * (l0 - TARGET) ** 2).sum() / rows,
            "tanh": lambda: WEIGHT * torch.tanh(SCALE * z * norms).sum() / rows,
        }[options["penalty"]]()
    elif kind == "gated":
        size = p["first"].exp() * through + p["second"]
        margin.apart(a.detach())
        margin.apart(size.detach())
        z = (a > 0) * size.relu()
        penalty = WEIGHT * (a.relu() * norms).sum() / rows
        rebuilt = a.relu() @ decoder.detach() + centre.detach()
        third = ((t - rebuilt) ** 2).sum() / rows

    skipped = x @ p["skip"].T if "skip" in p else 0.0
    widths = WIDTHS if kind == "matryoshka" else [LATENTS]
    outputs = [z[:, :m] @ decoder[:m] + centre + skipped for m in widths]
    loss = sum(((t - y) ** 2).sum() for y in outputs) / (rows * len(widths)) + third

    revival = torch.zeros(())
    if options.get("dead"):
        left = (t - outputs[-1]).detach()
        living = torch.ones(LATENTS, dtype=torch.bool)
        living[DEAD] = False
        ordered = (a * norms).detach().masked_fill(living, -1e9)
        asked = a * margin.largest(ordered, REVIVAL_K)
        scale = min(1.0, len(DEAD) / REVIVAL_K)
        revival = REVIVAL * scale * ((left - asked @ decoder) ** 2).sum() / rows
    return loss, penalty, revival, z


def gradients(options, p, x, t, margin):
    live = {name: value.clone().requires_grad_() for name, value in p.items()}
    *parts, z = losses(options, live, x, t, margin)
    sum(parts).backward()
    told = {name: value.grad for name, value in live.items()}
    if options["decoder_norm"] == "unit" and not options.get("tied"):
        along = (told["decoder"] * p["decoder"]).sum(1, keepdim=True)
        told["decoder"] = told["decoder"] - along * p["decoder"]
    return [part.item() for part in parts], told, z.detach()


def three_steps(options, p, x, t, margin):
    """Adam on clipped gradients; unit rows are brought back to length 1 after each step."""
    p = {name: value.clone() for name, value in p.items()}
    adam = torch.optim.Adam(p.values(), lr=RATE)
    lengths = []
    for _ in range(STEPS):
        _, told, _ = gradients(options, p, x, t, margin)
        for name, value in p.items():
            value.grad = told[name]
        lengths.append(torch.nn.utils.clip_grad_norm_(p.values(), CLIP).item())
        adam.step()
        if options["decoder_norm"] == "unit" and "decoder" in p:
            p["decoder"] /= p["decoder"].norm(dim=1, keepdim=True)
        if options["kind"] == "jumprelu":
            p["first"].clamp_(min=0.0)
    return {"lengths": lengths, "parameters": p}


def options_of_cases():
    for norm in ("unit", "weighted"):
        for kind in ("relu", "topk", "batchtopk", "matryoshka", "gated"):
            yield f"{kind}_{norm}", {"kind": kind, "decoder_norm": norm}
        for penalty in ("step", "quadratic", "tanh"):
            for to_encoder in (False, True):
                name = f"jumprelu_{penalty}_{norm}" + ("_to_encoder" if to_encoder else "")
                yield name, {"kind": "jumprelu", "decoder_norm": norm, "penalty": penalty,
                             "slope_to_encoder": to_encoder}
        for kind in ("topk", "batchtopk", "matryoshka", "gated"):
            yield f"{kind}_{norm}_dead", {"kind": kind, "decoder_norm": norm, "dead": True}
    yield "relu_tied", {"kind": "relu", "decoder_norm": "unit", "tied": True}
    jump = {"kind": "jumprelu", "penalty": "tanh", "slope_to_encoder": True}
    yield "jumprelu_dead", {**jump, "decoder_norm": "weighted", "dead": True}
    for kind in ("relu", "topk", "matryoshka", "gated"):
        yield f"transcoder_{kind}", {"kind": kind, "decoder_norm": "unit", "output": 5}
        yield f"transcoder_{kind}_skip", {"kind": kind, "decoder_norm": "weighted", "output": 5,
                                          "skip": True}
    yield "transcoder_jumprelu", {**jump, "decoder_norm": "weighted", "output": 8}
    yield "transcoder_dead_skip", {"kind": "topk", "decoder_norm": "weighted", "output": 8,
                                   "skip": True, "dead": True}


def as_narrows_has_them(options):
    own = {key: value for key, value in options.items() if key not in ("output", "dead")}
    own |= {"latents": LATENTS, "k": K, "sparsity_weight": WEIGHT, "dead_after": 1000}
    own |= {"revival_weight": REVIVAL, "revival_k": REVIVAL_K}
    if options["kind"] == "matryoshka":
        own["widths"] = WIDTHS
    if options["kind"] == "jumprelu":
        own |= {"bandwidth": BANDWIDTH, "tanh_scale": SCALE}
        own |= {"target_l0": TARGET} if options["penalty"] == "quadratic" else {}
    return own


STEPPED = ("relu_unit", "relu_tied", "topk_unit", "batchtopk_weighted", "matryoshka_unit",
           "jumprelu_step_unit", "gated_weighted", "transcoder_topk_skip", "topk_unit_dead")


def rounded(tensor, digits=9):
    return [float(f"{value:.{digits}g}") for value in tensor.flatten().tolist()]


def case(name, options):
    for seed in range(10_000):
        margin = Margin()
        p, x, t = draw(options, seed)
        parts, told, z = gradients(options, p, x, t, margin)
        made = {
            "options": as_narrows_has_them(options),
            "dead": DEAD if options.get("dead") else [],
            "parameters": {key: rounded(value) for key, value in p.items()},
            "rows": rounded(x),
            "loss": parts[0], "penalty": parts[1], "revival": parts[2],
            "active": int((z != 0).sum()),
            "gradients": {key: rounded(value, 7) for key, value in told.items()},
        }
        if t is not x:
            made["targets"] = rounded(t)
        if name in STEPPED:
            stepped = three_steps(options, p, x, t, margin)
            # Of a gradient that is nearly nothing Adam makes a whole step.
            margin.apart(10 * torch.cat([g[g != 0].flatten() for g in told.values()]))
            made["gradient_lengths"] = stepped["lengths"]
            made["stepped"] = {key: rounded(v, 7) for key, v in stepped["parameters"].items()}
        if margin.least > NEAR:
            return made, (p, x)
    raise SystemExit(f"{name}: no case that is far from every decision")


def saelens(name, options, p, x, made):
    """The loss of SAELens less that of the library, once the documented differences are applied."""
    import sae_lens as sl
    from sae_lens.saes.sae import TrainStepInput

    of_kind = {
        "relu": (sl.StandardTrainingSAE, sl.StandardTrainingSAEConfig, {}),
        "topk": (sl.TopKTrainingSAE, sl.TopKTrainingSAEConfig, {"k": K}),
        "batchtopk": (sl.BatchTopKTrainingSAE, sl.BatchTopKTrainingSAEConfig, {"k": K}),
        "matryoshka": (sl.MatryoshkaBatchTopKTrainingSAE, sl.MatryoshkaBatchTopKTrainingSAEConfig,
                       {"k": K, "matryoshka_widths": list(WIDTHS)}),
        "jumprelu": (sl.JumpReLUTrainingSAE, sl.JumpReLUTrainingSAEConfig, {
            "jumprelu_bandwidth": BANDWIDTH, "jumprelu_tanh_scale": SCALE, "target_l0": TARGET,
            "jumprelu_sparsity_loss_mode": options.get("penalty", "step"),
            "jumprelu_ste_to_input": options.get("slope_to_encoder", False)}),
        "gated": (sl.GatedTrainingSAE, sl.GatedTrainingSAEConfig, {}),
    }
    model, config, more = of_kind[options["kind"]]
    weighted = options["decoder_norm"] == "weighted"
    if options["kind"] in ("topk", "batchtopk", "matryoshka"):
        more |= {"rescale_acts_by_decoder_norm": weighted, "aux_loss_coefficient": REVIVAL}
    sae = model(config(d_in=INPUT, d_sae=LATENTS, dtype="float64", **more))
    names = {"encoder": "W_enc", "decoder": "W_dec", "bias": "b_enc", "centre": "b_dec"}
    if options["kind"] == "gated":
        names |= {"bias": "b_gate", "first": "r_mag", "second": "b_mag"}
    if options["kind"] == "jumprelu":
        names["first"] = "threshold"
    for own, theirs in names.items():
        value = p[own].T if own == "encoder" else p[own]
        getattr(sae, theirs).data = value.clone().contiguous()
    dead = torch.zeros(LATENTS, dtype=torch.bool)
    dead[DEAD if options.get("dead") else []] = True
    out = sae.training_forward_pass(TrainStepInput(
        sae_in=x, coefficients={"l1": WEIGHT, "l0": WEIGHT}, dead_neuron_mask=dead,
        n_training_steps=0, is_logging_step=False))
    out.loss.backward()
    # SAELens sums over the widths where the library takes the mean.
    groups = len(WIDTHS) if options["kind"] == "matryoshka" else 1
    own, theirs = groups * made["loss"] + made["penalty"] + made["revival"], out.loss.item()
    # The third term of a gate also moves D and c there; unit rows have no gradient along themselves here.
    same = [key for key in names if key != "decoder" or weighted]
    if options["kind"] == "gated":
        same = ["encoder", "bias", "first", "second"]
    worst = 0.0
    for key in same if groups == 1 or not options.get("dead") else []:
        gradient = getattr(sae, names[key]).grad / groups
        gradient = (gradient.T if key == "encoder" else gradient).flatten()
        worst = max(worst, (gradient - torch.tensor(made["gradients"][key])).abs().max().item())
    print(f"{name:34s} narrows {own:.9f}  SAELens {theirs:.9f}  gradients differ by {worst:.1e}")
    assert abs(own / theirs - 1) < 1e-6 and worst < 1e-5, name


def main():
    cases, drawn = {}, {}
    for name, options in options_of_cases():
        cases[name], drawn[name] = case(name, options)
    golden = {
        "torch": torch.__version__,
        "input": INPUT, "rows": ROWS,
        "learning_rate": RATE, "gradient_clip": CLIP,
        "cases": cases,
    }
    path = pathlib.Path(__file__).with_suffix(".json")
    lines = json.dumps(golden, separators=(",", ":")).replace('},"', '},\n"')
    path.write_text(lines + "\n")
    print(f"{len(cases)} cases, {path.stat().st_size:,} bytes")
    try:
        import sae_lens  # noqa: F401
    except ImportError:
        print("sae-lens is not installed: not compared with it")
        return
    for name, options in options_of_cases():
        skipped = ("tied", "output", "skip")
        if any(options.get(key) for key in skipped):
            continue
        if options["kind"] in ("gated", "jumprelu") and options.get("dead"):
            continue
        saelens(name, options, *drawn[name], cases[name])


if __name__ == "__main__":
    main()
