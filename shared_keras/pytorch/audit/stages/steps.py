"""Stage 6: gradients, one step of the optimizer, twenty steps."""

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from shared_keras.pytorch.audit.findings import UNEXPLAINED, Finding, Stage
from shared_keras.pytorch.audit.forced import EPS, Match, largest
from shared_keras.pytorch.audit.nets import kinds, torch_net
from shared_keras.pytorch.audit.pair import Pair
from shared_keras.pytorch.audit.sides import call, count, labels, take
from shared_keras.pytorch.audit.stages import gradients
from shared_keras.pytorch.audit.stages.optimizer import Weight, compare_optimizers

STEPS = 20
MOST = 64  # samples per step
# Rounding may flip a ReLU in a sample, and Adam makes whole steps of the gradients of pixels
# that only this sample has. So a hundredth of the parameters may be further apart.
MOST_AGREE = 0.99


@dataclass
class Training:
    """A training of PyTorch: gradients and parameters of each step, by name."""

    start: dict[str, np.ndarray]
    gradients: list[dict[str, np.ndarray]] = field(default_factory=list)
    values: list[dict[str, np.ndarray]] = field(default_factory=list)
    optimizer: Any = None
    module: Any = None


def compare(pair: Pair) -> Stage:
    """Compare gradients; the optimizers, given the same gradients; and twenty steps of both."""
    if pair.theirs.loss is None:
        return Stage("steps", "the original has no loss", ran=False)
    if not getattr(pair.keras.model, "compiled", False):
        return Stage("steps", "the port is not compiled", ran=False)
    theirs = train(pair, torch_net.TorchNet(pair.torch.module))
    exact = _in_float64(pair)
    findings: list[Finding] = []
    coarser = 1.0
    size = tolerance = None
    notes: list[str] = []
    matches = pair.matches
    compute = None
    if pair.loss is None:
        notes.append("gradients are not compared, because the losses differ")
    elif pair.unsettled:
        notes.append("gradients are not compared, because the outputs differ")
    else:
        compute = _program(pair, matches)
        found, coarser = _gradients(pair, matches, compute, theirs, exact)
        findings += found
    if pair.theirs.optimizer is None:
        notes.append("the original has no optimizer")
        return Stage("steps", "gradients", None, None, tuple(findings), tuple(notes))
    found, advance = compare_optimizers(pair, theirs, _weights(matches))
    findings += found
    if compute is not None and advance is not None and not _stopped_by(findings):
        disturbed = _disturbed(pair, theirs, exact, coarser)
        size, tolerance = _train_both(pair, matches, compute, advance, theirs, disturbed)
        if not size <= tolerance and _each_step_agrees(matches, compute, theirs, exact):
            notes.append(
                f"after {STEPS} steps the parameters are {size:.1e} apart, because rounding "
                "flipped a ReLU or a maximum on the way; started from PyTorch's parameters, each "
                "step agrees"
            )
            size = tolerance = None
        elif not size <= tolerance:
            text = f"after {STEPS} steps the parameters differ, though each part agrees"
            findings.append(Finding("training", UNEXPLAINED, text, None, size, tolerance))
    compared = f"gradients, one step, {STEPS} steps of {_batch(pair)} samples"
    return Stage("steps", compared, size, tolerance, tuple(findings), tuple(notes))


def _stopped_by(findings) -> bool:
    """Whether twenty steps cannot agree, because something before them is unexplained."""
    return any(not finding.explained or finding.name == "padding_idx" for finding in findings)


def _batch(pair) -> int:
    return min(pair.batch_size, MOST, count(pair.x))


def rows(pair: Pair, step: int) -> np.ndarray:
    """Return which samples a step takes."""
    n, batch = count(pair.x), _batch(pair)
    return (np.arange(batch) + step * batch) % n


def train(
    pair: Pair,
    net: torch_net.TorchNet,
    double: bool = False,
    noise: dict[str, np.ndarray] | None = None,
) -> Training:
    """Train PyTorch for some steps, with nothing dropped.

    Args:
        pair: Both sides.
        net: The network, which is changed.
        double: Whether it is in float64.
        noise: By how much each gradient is disturbed, by the parameter's name.
    """
    module = net.module
    random = torch.Generator().manual_seed(0)
    net.train_without_chance()
    own = net.parameters()
    record = Training({name: torch_net.array(p) for name, p in own.items()}, module=module)
    make = pair.theirs.optimizer
    record.optimizer = make(module.parameters()) if make is not None else None
    for step in range(STEPS):
        chosen = rows(pair, step)
        inputs = pair.torch_batch(chosen)
        outputs = call(module, torch_net.doubled(inputs) if double else inputs)
        first = outputs if isinstance(outputs, torch.Tensor) else None
        y = labels(take(pair.y, chosen), first)
        loss = pair.theirs.loss(outputs, torch_net.doubled(y) if double else y)
        module.zero_grad()
        loss.backward()
        for name, amount in (noise or {}).items():
            if own[name].grad is not None:
                own[name].grad += torch.randn(amount.shape, generator=random) * torch.from_numpy(
                    amount
                )
        record.gradients.append(
            {
                name: torch_net.array(p.grad)
                if p.grad is not None
                else np.zeros(p.shape, "float32")
                for name, p in own.items()
            }
        )
        if record.optimizer is None:
            break
        record.optimizer.step()
        record.values.append({name: torch_net.array(p) for name, p in own.items()})
    return record


def _in_float64(pair) -> Training | None:
    """Return the same training in float64, or None if the loss does not take it."""
    with torch_net.in_float64(pair.torch.module) as module:
        net = copy.copy(pair.torch)
        net.module = module
        try:
            return train(pair, net, double=True)
        except RuntimeError:
            return None


def _weights(matches: list[Match]) -> list[Weight]:
    """Return the trainable weights of matched layers."""
    return [
        Weight(match, role, variable)
        for match in matches
        for role, variable in kinds.variables(match.layer).items()
        if role not in kinds.STATISTICS and role not in match.misfits
    ]


def _program(pair, matches):
    variables = [weight.variable for weight in _weights(matches)]

    def loss(x, data):
        outputs = pair.keras.model(x, training=True)
        return pair.loss.value(outputs, *data)

    compute = gradients.program(variables, loss)

    def run(step):
        chosen = rows(pair, step)
        x, y = pair.keras_batch(chosen), pair.loss.data(take(pair.y, chosen))
        with pair.ended(), pair.keras.watched():
            return compute(x, y)

    return run


def _disturbed(pair, theirs, exact, coarser: float) -> Training | None:
    """Return a training in which gradients are off by as much as rounding takes them.

    Adam divides gradients by their size, so that rounding of small ones moves parameters far.

    Args:
        pair: Both sides.
        theirs: The training.
        exact: The same in float64.
        coarser: How many times as large the rounding of Keras's gradients is.
    """
    if exact is None:
        return None
    noise = {
        name: (coarser * np.abs(gradient - exact.gradients[0][name])).astype("float32")
        for name, gradient in theirs.gradients[0].items()
    }
    return train(pair, torch_net.TorchNet(pair.torch.module), noise=noise)


def _gradients(pair, matches, compute, theirs, exact) -> tuple[list[Finding], float]:
    """Compare gradients of the first step; also say how much coarser Keras's rounding is."""
    pair.carry()
    _, ours = compute(0)
    most = max((largest(g) for g in theirs.gradients[0].values()), default=0.0)
    found = []
    squares = np.zeros(2)
    for weight, gradient in zip(_weights(matches), ours):
        if not weight.trained(theirs.module):
            continue
        expected = weight.carried(theirs.gradients[0], gradients=True)
        if expected.shape != gradient.shape:
            continue
        size = float(np.abs(expected - gradient).max()) if gradient.size else 0.0
        tolerance = 64 * EPS * (largest(expected) + most / 16)
        if exact is not None:
            precise = weight.carried(exact.gradients[0], gradients=True)
            for index, other in enumerate((gradient, precise)):
                squares[index] += float(((expected - other) ** 2).sum())
            tolerance = max(tolerance, 16 * float(np.abs(expected - precise).max()))
        if size <= tolerance:
            continue
        index = getattr(weight.match.unit.module, "padding_idx", None)
        if index is not None:
            gradient = gradient.copy()
            gradient[index] = 0
            if float(np.abs(expected - gradient).max()) <= tolerance:
                found.append(
                    Finding(
                        weight.name,
                        "padding_idx",
                        f"the row of padding_idx={index} is trained; PyTorch's never moves",
                        f"set the gradient of row {index} to zero, in a subclass of Embedding",
                        size,
                        tolerance,
                    )
                )
                continue
        found.append(Finding(weight.name, UNEXPLAINED, "gradients differ", None, size, tolerance))
    coarser = max(1.0, float(np.sqrt(squares[0] / max(squares[1], 1e-30))))
    return (found[:1] if found and not found[0].explained else found), coarser


def _train_both(pair, matches, compute, advance, theirs, disturbed) -> tuple[float, float]:
    """Train the port, too, by its own gradients; return the distance and its tolerance."""
    pair.carry()
    weights = _weights(matches)
    for step in range(STEPS):
        _, ours = compute(step)
        values = advance(ours)
        for weight, value in zip(weights, values):
            weight.variable.assign(value.astype("float32"))
    far, allowed = [], []
    for weight, value in zip(weights, values):
        expected = weight.carried(theirs.values[-1])
        if expected.shape != value.shape:
            continue
        other = weight.carried((disturbed or theirs).values[-1])
        moved = largest(expected - weight.carried(theirs.start))
        rounding = 16 * float(np.abs(expected - other).max())
        far.append(np.abs(expected - value).ravel())
        limit = max(rounding, 64 * EPS * largest(expected), 1e-4 * moved)
        allowed.append(np.full(value.size, limit))
    far, allowed = np.concatenate(far), np.concatenate(allowed)
    place = np.argsort(far / allowed)[int(MOST_AGREE * (len(far) - 1))]
    return float(far[place]), float(allowed[place])


def _each_step_agrees(matches, compute, theirs, exact) -> bool:
    """Whether gradients agree at nearly all of the parameters that PyTorch goes through.

    The optimizers are known to do the same with the same gradients.
    """
    weights = _weights(matches)
    agreed = 0
    for step in range(STEPS):
        values = theirs.values[step - 1] if step else theirs.start
        for weight in weights:
            carried = weight.carried(values)
            if carried.shape == tuple(weight.variable.shape):
                weight.variable.assign(carried)
        _, ours = compute(step)
        most = max(largest(g) for g in theirs.gradients[step].values())
        far = []
        for weight, gradient in zip(weights, ours):
            expected = weight.carried(theirs.gradients[step], gradients=True)
            if expected.shape != gradient.shape or not weight.trained(theirs.module):
                continue
            limit = 64 * EPS * (largest(expected) + most / 16)
            if exact is not None:
                precise = weight.carried(exact.gradients[step], gradients=True)
                limit = max(limit, 16 * float(np.abs(expected - precise).max()))
            far.append(np.abs(expected - gradient).ravel() / limit)
        agreed += float(np.quantile(np.concatenate(far), MOST_AGREE)) <= 1
    return agreed >= STEPS - 2
