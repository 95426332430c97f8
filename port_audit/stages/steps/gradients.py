"""Part of stage 6: the gradients, of each step of PyTorch's training.

Rounding may put a sum on the other side of a ReLU's zero, or let another value be the largest
of a pool, and then gradients differ by far more than rounding. So where they differ, they are
compared again in a run in which each matched layer of Keras puts out PyTorch's own numbers.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import torch
from keras import ops

from port_audit.changes import applied, attributes
from port_audit.distances import EPS, largest
from port_audit.findings import UNEXPLAINED, Finding
from port_audit.forced import MOST_ROUNDING, Forced, assign, batch_rounding
from port_audit.nets import (
    activations,
    differentiation,
    keras_net,
    kinds,
    pooling,
    torch_net,
)
from port_audit.pair import Pair
from port_audit.samples import take
from port_audit.stages.handed import LossInUse
from port_audit.stages.steps.training import Training, rows
from port_audit.stages.steps.weights import AnyWeight

MOST_COARSER = 64  # as many times as large as PyTorch's, rounding is no rounding


@dataclass(frozen=True)
class Gradients:
    """Keras's gradients of all weights in a step.

    Attributes:
        values: The gradients, in the order of the weights.
        reversal: By how much each changes when the samples come in the opposite order.
        statistics: How far rounding takes a batch's statistics, relative to their spread.
    """

    values: list[np.ndarray]
    reversal: list[float]
    statistics: float = 0.0


@dataclass(frozen=True)
class Comparison:
    """A weight's gradient on both sides.

    Attributes:
        weight: The weight.
        ours: Keras's gradient.
        expected: PyTorch's.
        rounding: PyTorch's gradient minus its gradient in float64, or None if that is unknown.
        size: The largest difference.
        tolerance: How far rounding may take it.
    """

    weight: AnyWeight
    ours: np.ndarray
    expected: np.ndarray
    rounding: np.ndarray | None
    size: float
    tolerance: float


# Takes a step; the other one takes PyTorch's parameters, too.
Compute = Callable[[int], Gradients]
ComputeThere = Callable[[int, Mapping[str, np.ndarray]], Gradients | None]


def as_it_is(pair: Pair, weights: Sequence[AnyWeight], loss: LossInUse) -> Compute:
    """Return what computes the gradients of the model; how far rounding goes is not measured."""

    def value(x: Any, data: tuple) -> Any:
        return loss.value(pair.keras.model(x, training=True), *data)

    compute = differentiation.program([weight.variable for weight in weights], value)

    def run(step: int) -> Gradients:
        with applied(loss.ends), pair.keras.watched():
            found = compute(*_batch(pair, loss, rows(pair, step)))[1]
        return Gradients(found, [0.0] * len(found))

    return run


def given_theirs(pair: Pair, weights: Sequence[AnyWeight], loss: LossInUse) -> ComputeThere:
    """Return what computes gradients where each matched layer puts out what PyTorch's does.

    Gradients are those of the Keras layers; only the values that they are taken at are PyTorch's.
    How far rounding takes them is measured, too. It returns None where a layer, given PyTorch's
    inputs, does not put out the same.
    """

    def value(x: Any, data: tuple, outputs: Sequence[np.ndarray | None]) -> Any:
        with pooling.exact(pair.keras.plain), pair.keras.watched(_putting_out(outputs)):
            return loss.value(pair.keras.model(x, training=True), *data)

    compute = differentiation.program([weight.variable for weight in weights], value)

    def gradients(forced: Forced, chosen: np.ndarray) -> list[np.ndarray]:
        outputs = [match.outputs if match else None for match in forced.calls]
        return compute(*_batch(pair, loss, chosen), outputs)[1]

    def run(step: int, before: Mapping[str, np.ndarray]) -> Gradients | None:
        chosen = rows(pair, step)
        values = pair.torch.values() | dict(before)
        with applied(loss.ends):
            runs = [_forced(pair, each, values) for each in (chosen, chosen[::-1])]
            if not all(map(_agrees, runs)):
                return None
            for match in pair.matches:
                assign(match, values)
            found, reversed_ = (gradients(*each) for each in zip(runs, (chosen, chosen[::-1])))
        reversal = [largest(one - other) for one, other in zip(found, reversed_, strict=True)]
        statistics = max((batch_rounding(match.unit) for match in runs[0].matches), default=0.0)
        return Gradients(found, reversal, statistics)

    return run


def compare(
    pair: Pair,
    weights: Sequence[AnyWeight],
    theirs: Training,
    exact: Mapping[str, np.ndarray] | None,
    compute: Compute,
    compute_there: ComputeThere,
) -> tuple[list[Finding], float, bool]:
    """Compare gradients of the first step.

    Args:
        pair: Both sides.
        weights: The weights to compare.
        theirs: The training of PyTorch.
        exact: Gradients of the first step in float64, by name, if there are any.
        compute: Computes those of Keras, from `as_it_is`.
        compute_there: Computes them at PyTorch's numbers, from `given_theirs`.

    Returns:
        What is found, how many times as large Keras's rounding is as PyTorch's, and whether
        they agree only where each layer puts out PyTorch's numbers.
    """
    pair.carry()
    own = compute(0)
    expected = theirs.module, theirs.first, exact
    found = comparisons(weights, own, *expected)
    forced = False
    if not _explained(found):
        again = compute_there(0, theirs.start)
        if again is not None:
            measured = replace(own, reversal=again.reversal, statistics=again.statistics)
            found = comparisons(weights, measured, *expected)
            other = comparisons(weights, again, *expected)
            if not _explained(found) and _explained(other):
                found, forced = other, True
    findings = [finding for each in found if (finding := finding_of(each))]
    if findings and not findings[0].explained:
        scaled = _scaled(found)
        findings = findings[:1] if scaled is None else [scaled]
    return findings, _coarser(found), forced


def comparisons(
    weights: Sequence[AnyWeight],
    ours: Gradients,
    module: torch.nn.Module,
    theirs: Mapping[str, np.ndarray],
    exact: Mapping[str, np.ndarray] | None,
) -> list[Comparison]:
    """Compare the gradients of a step, of each weight that PyTorch trains.

    Args:
        weights: The weights.
        ours: Keras's gradients of them.
        module: PyTorch's module.
        theirs: Its gradients of this step, by name.
        exact: The same in float64, if that is known.
    """
    most = max((largest(g) for g in theirs.values()), default=0.0)
    result = []
    for weight, gradient, reversal in zip(weights, ours.values, ours.reversal, strict=True):
        if not weight.trained(module):
            continue
        expected = weight.carried(theirs, gradients=True)
        if expected.shape != gradient.shape:
            continue
        scale, rounding, measured = largest(expected) + most / 16, None, reversal
        if exact is not None:
            rounding = expected - weight.carried(exact, gradients=True)
            measured = max(reversal, largest(rounding))
            if largest(expected) <= min(2 * largest(rounding), MOST_ROUNDING * most):
                scale = 16 * most  # zero but for rounding, as for a bias before a batch norm
        relative = max(64 * EPS, ours.statistics)
        tolerance = max(relative * scale, min(16 * measured, MOST_ROUNDING * scale))
        size = largest(expected - gradient)
        result.append(Comparison(weight, gradient, expected, rounding, size, tolerance))
    return result


def finding_of(comparison: Comparison) -> Finding | None:
    """Return what is found, with the cause if it is known; None if the gradients agree."""
    weight, size, tolerance = comparison.weight, comparison.size, comparison.tolerance
    if size <= tolerance:
        return None
    match = getattr(weight, "match", None)
    index = None if match is None else getattr(match.unit.module, "padding_idx", None)
    if index is not None:
        kept = comparison.ours.copy()
        kept[index] = 0
        if largest(comparison.expected - kept) <= tolerance:
            return Finding(
                weight.name,
                "padding_idx",
                f"the row of padding_idx={index} is trained; PyTorch's never moves",
                f"set the gradient of row {index} to zero, in a subclass of Embedding",
                size,
                tolerance,
            )
    return Finding(weight.name, UNEXPLAINED, "gradients differ", None, size, tolerance)


def _scaled(found: Sequence[Comparison]) -> Finding | None:
    """Return what is found if all gradients that differ are PyTorch's times one number."""
    apart = [each for each in found if each.size > each.tolerance]
    ours, theirs = (
        np.concatenate([array.astype(np.float64).ravel() for array in arrays])
        for arrays in ([each.ours for each in apart], [each.expected for each in apart])
    )
    factor = float(ours @ theirs / max(theirs @ theirs, 1e-30))
    if any(largest(each.ours - factor * each.expected) > each.tolerance for each in apart):
        return None
    names = [each.weight.name for each in apart]
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    what = "zero" if factor == 0 else f"{factor:.4g} times PyTorch's"
    return Finding(
        names[-1] + more,
        "gradient scale",
        f"gradients are {what}, though the outputs agree: something behind this layer "
        f"{'stops' if factor == 0 else 'scales'} them",
        None,
        max(each.size for each in apart),
        max(each.tolerance for each in apart),
    )


def _explained(found: Sequence[Comparison]) -> bool:
    return all(finding.explained for each in found if (finding := finding_of(each)))


def _coarser(found: Sequence[Comparison]) -> float:
    squares = np.zeros(2)
    for each in found:
        if each.rounding is not None:
            squares += (((each.expected - each.ours) ** 2).sum(), (each.rounding**2).sum())
    return float(np.clip(np.sqrt(squares[0] / max(squares[1], 1e-30)), 1, MOST_COARSER))


def _batch(pair: Pair, loss: LossInUse, chosen: np.ndarray) -> tuple:
    return pair.keras_batch(chosen), loss.data(take(pair.y, chosen))


def _forced(pair: Pair, chosen: np.ndarray, values: dict[str, np.ndarray]) -> Forced:
    """Run Keras on some samples as in training, each layer with what PyTorch's puts out there."""
    net = torch_net.TorchNet(pair.torch.module)
    state = {name: torch.from_numpy(value) for name, value in values.items()}
    net.module.load_state_dict(state, strict=False)  # some buffers are not part of it
    inputs = pair.torch_batch(chosen)
    net.train_without_chance(inputs)
    trace = net.run(inputs)
    return pair.force(trace, training=True, inputs=pair.keras_batch(chosen), values=values)


def _agrees(forced: Forced) -> bool:
    """Whether each layer did what PyTorch's does, with the same inputs, up to rounding."""
    return forced.stopped is None and all(
        match.error <= match.tolerance and match.reach <= match.reach_tolerance
        for match in forced.matches
    )


def _putting_out(outputs: Sequence[np.ndarray | None]) -> keras_net.OnLayer:
    left = iter(outputs)

    def on_layer(
        layer: keras.layers.Layer, compute: Callable, inputs: Any, args: tuple, kwargs: dict
    ) -> Any:
        theirs = next(left)
        if theirs is None:  # PyTorch has no such layer
            return compute(inputs, *args, **kwargs)
        acting = kinds.acting(layer)
        activation = keras_net.activation_of(acting)
        quiet = {} if activation is None else {"activation": activations.identity}
        with attributes(acting, **quiet):
            own = compute(inputs, *args, **kwargs)
        several = isinstance(own, list | tuple)
        first = own[0] if several else own
        # The difference is zero; it only carries the gradient.
        value = ops.convert_to_tensor(theirs) + (first - ops.stop_gradient(first))
        value = value if activation is None else activation(value)
        return [value, *own[1:]] if several else value

    return on_layer
