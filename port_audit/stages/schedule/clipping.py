"""Part of stage 7: how gradients are clipped."""

import contextlib
import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from keras import ops

from port_audit import plain_optimizers
from port_audit.distances import relative
from port_audit.findings import UNEXPLAINED, Finding
from port_audit.ledger.entries import ORIGINAL, Entry
from port_audit.nets import torch_net
from port_audit.nets.chance import WithoutChance, seeded
from port_audit.nets.held import Held
from port_audit.pair import Pair
from port_audit.samples import call, count, take

TOLERANCE = 1e-4
SCALES = (1.0, 1e3, 1e-3)  # times the gradients, so that clipping shows
UNCLIPPED = 1e-9  # times them, so that nothing is clipped
MOST_ACCUMULATED = 64  # batches until an own loop takes a step
OPTIONS = {"norm": "global_clipnorm", "each norm": "clipnorm", "value": "clipvalue"}
SPOKEN = {
    "norm": "the norm of all gradients together",
    "each norm": "the norm of each parameter's gradient",
    "value": "each value",
}


@dataclass(frozen=True)
class Clip:
    """A form of clipping: what is limited, and to how much."""

    what: str
    limit: float

    def __call__(self, gradients: list[np.ndarray]) -> list[np.ndarray]:
        """Return clipped gradients."""
        if self.what == "value":
            return [np.clip(g, -self.limit, self.limit) for g in gradients]
        norms = [float(np.linalg.norm(g)) for g in gradients]
        if self.what == "norm":
            norms = [float(np.linalg.norm(norms))] * len(gradients)
        return [g * min(1.0, self.limit / (n + 1e-6)) for g, n in zip(gradients, norms)]


def compare(pair: Pair) -> list[Finding]:
    """Compare clipping on gradients of the first batch, as they are and scaled."""
    optimizer = pair.optimizer
    ours = [
        Clip(what, float(getattr(optimizer, option)))
        for what, option in OPTIONS.items()
        if getattr(optimizer, option, None) is not None
    ]
    own_loop = pair.theirs.train_step or pair.theirs.train_epoch
    if own_loop is None and pair.theirs.clip is None and not ours:
        return []
    if own_loop is None and pair.theirs.clip is None:
        limit = OPTIONS[ours[0].what]
        text = f"{limit}={ours[0].limit:g} clips {SPOKEN[ours[0].what]}, PyTorch does not clip"
        return [Finding("gradients", "clipping", text, f"no {limit}")]
    if own_loop is not None:
        taken = _of_loop(pair)
        if taken is None:
            where = "train_step" if pair.theirs.train_step else "train_epoch"
            pair.ledger.add([Entry(ORIGINAL, f"{where}.clipping", "its steps cannot be looked at")])
            return []
        samples, clipped = taken
    else:
        samples = _gradients(pair)
        clipped = [_clipped(pair, gradients) for gradients in samples]
    limits = {OPTIONS[each.what]: each.limit for each in ours}
    size = _far(pair, samples, clipped, limits)
    if size <= TOLERANCE:
        return []
    if all(_apart(a, b) <= TOLERANCE for a, b in zip(samples, clipped)):
        limit = OPTIONS[ours[0].what]
        text = f"{limit}={ours[0].limit:g} clips {SPOKEN[ours[0].what]}, PyTorch does not clip"
        return [Finding("gradients", "clipping", text, f"no {limit}")]
    theirs = _identified(samples, clipped)
    if theirs is None:
        text = "gradients are clipped otherwise"
        return [Finding("gradients", UNEXPLAINED, text, None, size, TOLERANCE)]
    wanted = {OPTIONS[theirs.what]: theirs.limit}
    helps = _far(pair, samples, clipped, wanted) <= TOLERANCE
    has = f"{OPTIONS[ours[0].what]}={ours[0].limit:g}" if ours else "nothing"
    return [
        Finding(
            "gradients",
            "clipping",
            f"PyTorch limits {SPOKEN[theirs.what]} to {theirs.limit:g}; the port has {has}",
            f"{OPTIONS[theirs.what]}={theirs.limit:g}" if helps else None,
            size,
            TOLERANCE,
        )
    ]


def _far(
    pair: Pair,
    samples: Sequence[list[np.ndarray]],
    clipped: Sequence[list[np.ndarray]],
    limits: dict[str, float],
) -> float:
    """Return how far Keras's optimizer, with some limits, is from what PyTorch clips to."""
    config = plain_optimizers.quiet(pair.optimizer, 1.0) | limits
    optimizer = type(pair.optimizer).from_config(config)
    far = 0.0
    for gradients, expected in zip(samples, clipped):
        mine = optimizer._clip_gradients([ops.convert_to_tensor(each) for each in gradients])
        far = max(far, _apart(expected, [ops.convert_to_numpy(each) for each in mine]))
    return far


def _apart(theirs: Sequence[np.ndarray], ours: Sequence[np.ndarray]) -> float:
    return max(relative(a, b) for a, b in zip(theirs, ours))


def _gradients(pair: Pair) -> list[list[np.ndarray]]:
    net = pair.torch
    with net.unmoved():
        rows = np.arange(min(pair.samples, count(pair.x)))
        inputs = pair.torch_batch(rows)
        net.train_without_chance(inputs)
        with WithoutChance():
            outputs = call(net.module, inputs)
        first = outputs if isinstance(outputs, torch.Tensor) else None
        loss: Any = (
            pair.theirs.loss(outputs, pair.torch_labels(take(pair.y, rows), first))
            if pair.theirs.loss
            else 0
        )
        if pair.theirs.loss is None:
            loss = outputs.pow(2).mean()
        parameters = [p for p in net.module.parameters() if p.requires_grad]
        found = torch.autograd.grad(loss, parameters, allow_unused=True)
    base = [torch_net.array(g) for g in found if g is not None]
    return [[g * scale for g in base] for scale in SCALES]


def _of_loop(pair: Pair) -> tuple[list[list[np.ndarray]], list[list[np.ndarray]]] | None:
    """Return gradients, and what the original's own loop makes of them before its first step.

    It is None where the loop fails or takes no step, or where gradients are not there or random.
    """
    rows = np.arange(min(pair.samples, count(pair.x)))
    try:
        small = _taken(pair, rows, UNCLIPPED)
        if small is None:
            return None
        base = [g / UNCLIPPED for g in small]
        clipped = [_taken(pair, rows, scale) for scale in SCALES]
    except Exception:  # it needs what only its own script has
        return None
    found = [each for each in clipped if each is not None and len(each) == len(base)]
    if len(found) < len(SCALES):
        return None
    return [[g * scale for g in base] for scale in SCALES], found


def _taken(pair: Pair, rows: np.ndarray, scale: float) -> list[np.ndarray] | None:
    """Return the gradients that a first step of the original's own loop takes.

    Args:
        pair: Both sides.
        rows: Samples of its batches.
        scale: What the gradients of all parameters are multiplied by, before the loop sees them.
    """
    theirs = pair.theirs
    module = copy.deepcopy(pair.torch.module)
    module.train()
    optimizer = theirs.optimizer(module.parameters())
    seen: list[list[np.ndarray]] = []

    def look(optimizer: torch.optim.Optimizer, args: tuple, kwargs: dict) -> None:
        given = [p for group in optimizer.param_groups for p in group["params"]]
        seen.append([torch_net.array(p.grad) for p in given if p.grad is not None])
        raise StopIteration

    for parameter in module.parameters():
        if parameter.requires_grad:
            parameter.register_hook(lambda gradient: gradient * scale)
    optimizer.register_step_pre_hook(look)
    y = take(pair.y, rows)
    first = (
        torch.empty((len(rows), *pair.trace.output.shape[1:]), device="meta")
        if isinstance(pair.trace.output, torch.Tensor)
        else None
    )
    data = pair.torch_batch(rows), pair.torch_labels(y, first)
    own = Held({"train_step": theirs.train_step, "train_epoch": theirs.train_epoch})
    with own.kept(), contextlib.suppress(StopIteration), seeded(), WithoutChance():
        if theirs.train_step is None:
            theirs.train_epoch(module, [data] * MOST_ACCUMULATED, optimizer)
        for _ in range(MOST_ACCUMULATED if theirs.train_step is not None else 0):
            theirs.train_step(module, data, optimizer)
    return seen[0] if seen and seen[0] else None


def _clipped(pair: Pair, gradients: Sequence[np.ndarray]) -> list[np.ndarray]:
    parameters = [torch.nn.Parameter(torch.zeros(g.shape)) for g in gradients]
    for parameter, gradient in zip(parameters, gradients):
        parameter.grad = torch.tensor(gradient)
    pair.theirs.clip(parameters)
    return [torch_net.array(p.grad) for p in parameters]


def _identified(
    samples: Sequence[list[np.ndarray]], clipped: Sequence[list[np.ndarray]]
) -> Clip | None:
    large = clipped[1]
    norms = [float(np.linalg.norm(g)) for g in large]
    candidates = [
        Clip("norm", float(np.linalg.norm(norms))),
        Clip("each norm", max(norms)),
        Clip("value", max(float(np.abs(g).max()) for g in large)),
    ]
    for clip in candidates:
        rounded = Clip(clip.what, float(f"{clip.limit:.4g}"))
        if all(_apart(theirs, rounded(own)) <= 1e-3 for own, theirs in zip(samples, clipped)):
            return rounded
    return None
