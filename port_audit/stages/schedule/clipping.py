"""Part of stage 7: how gradients are clipped."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from keras import ops

from port_audit import plain_optimizers
from port_audit.distances import relative
from port_audit.findings import UNEXPLAINED, Finding
from port_audit.nets import torch_net
from port_audit.pair import Pair
from port_audit.samples import call, count, labels, take

TOLERANCE = 1e-4
SCALES = (1.0, 1e3, 1e-3)  # times the gradients, so that clipping shows
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
    if pair.theirs.clip is None and not ours:
        return []
    if pair.theirs.clip is None:
        limit = OPTIONS[ours[0].what]
        text = f"{limit}={ours[0].limit:g} clips {SPOKEN[ours[0].what]}, PyTorch does not clip"
        return [Finding("gradients", "clipping", text, f"no {limit}")]
    samples = _gradients(pair)
    clipped = [_clipped(pair, gradients) for gradients in samples]
    limits = {OPTIONS[each.what]: each.limit for each in ours}
    size = _far(pair, samples, clipped, limits)
    if size <= TOLERANCE:
        return []
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
        net.train(inputs)
        with torch_net.WithoutChance():
            outputs = call(net.module, inputs)
        first = outputs if isinstance(outputs, torch.Tensor) else None
        loss: Any = (
            pair.theirs.loss(outputs, labels(take(pair.y, rows), first)) if pair.theirs.loss else 0
        )
        if pair.theirs.loss is None:
            loss = outputs.pow(2).mean()
        parameters = [p for p in net.module.parameters() if p.requires_grad]
        found = torch.autograd.grad(loss, parameters, allow_unused=True)
    base = [torch_net.array(g) for g in found if g is not None]
    return [[g * scale for g in base] for scale in SCALES]


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
