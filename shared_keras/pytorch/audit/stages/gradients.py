"""Part of stage 6: the gradients, of each step of PyTorch's training.

Rounding may put a sum on the other side of a ReLU's zero, or let another value be the largest
of a pool, and then gradients part by far more than rounding. So where they part, they are
compared again in a run in which each layer of Keras puts out PyTorch's own numbers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from keras import ops

from shared_keras.pytorch.audit.changes import attributes
from shared_keras.pytorch.audit.findings import UNEXPLAINED, Finding
from shared_keras.pytorch.audit.forced import EPS, Match, assign, batch_rounding, largest
from shared_keras.pytorch.audit.nets import activations, gradients, keras_net, pooling, torch_net
from shared_keras.pytorch.audit.pair import Pair
from shared_keras.pytorch.audit.sides import take
from shared_keras.pytorch.audit.stages.optimizer import Weight
from shared_keras.pytorch.audit.training import Training, rows


@dataclass
class Gradients:
    """Keras's gradients of all weights in a step.

    Attributes:
        values: The gradients.
        turned: By how much each changes when the samples come in the opposite order.
        lost: What rounding takes from a batch's statistics, relative to their spread.
    """

    values: list[np.ndarray]
    turned: list[float]
    lost: float = 0.0


Compute = Callable[[int], Gradients]  # takes a step


@dataclass
class Apart:
    """How far the gradients of a weight are apart.

    Attributes:
        weight: The weight.
        ours: Keras's gradient.
        expected: PyTorch's.
        rounding: How far PyTorch's is from that in float64; nothing if that is unknown.
        size: How far the two are apart.
        tolerance: How far rounding may take them.
    """

    weight: Weight
    ours: np.ndarray
    expected: np.ndarray
    rounding: np.ndarray | None
    size: float
    tolerance: float

    @property
    def finding(self) -> Finding | None:
        """Return what is found, with the cause if it is known; None if nothing is."""
        if self.size <= self.tolerance:
            return None
        index = getattr(self.weight.match.unit.module, "padding_idx", None)
        if index is not None:
            kept = self.ours.copy()
            kept[index] = 0
            if float(np.abs(self.expected - kept).max()) <= self.tolerance:
                return Finding(
                    self.weight.name,
                    "padding_idx",
                    f"the row of padding_idx={index} is trained; PyTorch's never moves",
                    f"set the gradient of row {index} to zero, in a subclass of Embedding",
                    self.size,
                    self.tolerance,
                )
        text = "gradients differ"
        return Finding(self.weight.name, UNEXPLAINED, text, None, self.size, self.tolerance)


def program(pair: Pair, weights: Sequence[Weight]) -> Compute:
    """Return what computes the gradients of the model as it is; its rounding is not measured."""

    def loss(x, data):
        return pair.loss.value(pair.keras.model(x, training=True), *data)

    compute = gradients.program([weight.variable for weight in weights], loss)

    def run(step):
        with pair.ended(), pair.keras.watched():
            found = compute(*_batch(pair, rows(pair, step)))[1]
        return Gradients(found, [0.0] * len(found))

    return run


def given_theirs(pair: Pair, weights: Sequence[Weight], theirs: Training) -> Compute:
    """Return what computes gradients where each layer puts out what PyTorch's does.

    Gradients are those of the Keras layers; only the values that they are taken at are PyTorch's.
    How far rounding takes them is measured, too.
    """

    def loss(x, data, outputs):
        with pair.keras.watched(_putting_out(outputs)), pooling.exact(pair.keras.plain):
            return pair.loss.value(pair.keras.model(x, training=True), *data)

    compute = gradients.program([weight.variable for weight in weights], loss)

    def run(step):
        chosen = rows(pair, step)
        values = pair.torch.values() | theirs.before(step)
        with pair.ended():
            calls = _calls(pair, chosen, values)
            outputs = [match.outputs for match in calls]
            for match in pair.matches:
                assign(match, values)
            found = compute(*_batch(pair, chosen), outputs)[1]
            opposite = [each[::-1].copy() for each in outputs]
            again = compute(*_batch(pair, chosen[::-1]), opposite)[1]
        lost = max((batch_rounding(match.unit) for match in calls), default=0.0)
        turned = [largest(one - other) for one, other in zip(found, again, strict=True)]
        return Gradients(found, turned, lost)

    return run


def compare(
    pair: Pair, weights: Sequence[Weight], theirs: Training, exact: Training | None
) -> tuple[list[Finding], float, bool]:
    """Compare gradients of the first step.

    Args:
        pair: Both sides.
        weights: The weights to compare.
        theirs: The training of PyTorch.
        exact: The same in float64, if there is one.

    Returns:
        What is found, how many times as large Keras's rounding is as PyTorch's, and whether
        rounding flips a ReLU or a maximum.
    """
    pair.carry()
    found = apart(weights, program(pair, weights)(0), theirs, exact, 0)
    flipped = False
    if any(each.finding and not each.finding.explained for each in found):
        again = apart(weights, given_theirs(pair, weights, theirs)(0), theirs, exact, 0)
        flipped = not any(each.finding and not each.finding.explained for each in again)
        found = again if flipped else found
    findings = [each.finding for each in found if each.finding]
    if findings and not findings[0].explained:
        findings = findings[:1]
    return findings, _coarser(found), flipped


def apart(
    weights: Sequence[Weight],
    ours: Gradients,
    theirs: Training,
    exact: Training | None,
    step: int,
) -> list[Apart]:
    """Return how far the gradients of a step are apart, of each weight that PyTorch trains.

    Args:
        weights: The weights.
        ours: Keras's gradients of them.
        theirs: The training of PyTorch.
        exact: The same in float64, if there is one.
        step: The step.
    """
    most = max((largest(g) for g in theirs.gradients[step].values()), default=0.0)
    result = []
    for weight, gradient, turned in zip(weights, ours.values, ours.turned, strict=True):
        if not weight.trained(theirs.module):
            continue
        expected = weight.carried(theirs.gradients[step], gradients=True)
        if expected.shape != gradient.shape:
            continue
        scale = largest(expected) + most / 16
        rounding = None
        if exact is not None:
            rounding = expected - weight.carried(exact.gradients[step], gradients=True)
            turned = max(turned, largest(rounding))
            if largest(rounding) > largest(expected) / 2:
                scale = 16 * most  # zero but for rounding, as for a bias before a batch norm
        tolerance = max(max(64 * EPS, ours.lost) * scale, 16 * turned)
        size = largest(expected - gradient)
        result.append(Apart(weight, gradient, expected, rounding, size, tolerance))
    return result


def _coarser(found: Sequence[Apart]) -> float:
    squares = np.zeros(2)
    for each in found:
        if each.rounding is not None:
            squares += (((each.expected - each.ours) ** 2).sum(), (each.rounding**2).sum())
    return max(1.0, float(np.sqrt(squares[0] / max(squares[1], 1e-30))))


def _batch(pair, chosen) -> tuple:
    return pair.keras_batch(chosen), pair.loss.data(take(pair.y, chosen))


def _calls(pair, chosen, values) -> list[Match]:
    """Return the calls of layers of Keras in their order, with what PyTorch's put out."""
    net = torch_net.TorchNet(pair.torch.module)
    state = {name: torch.from_numpy(value) for name, value in values.items()}
    net.module.load_state_dict(state, strict=False)  # some buffers are not part of it
    net.train_without_chance()
    trace = net.run(pair.torch_batch(chosen))
    inputs = pair.keras_batch(chosen)
    return pair.force(trace, training=True, inputs=inputs, values=values).matches


def _putting_out(outputs) -> keras_net.OnLayer:
    left = iter(outputs)

    def on_layer(layer, compute, inputs, args, kwargs):
        activation = keras_net.activation_of(layer) or activations.identity
        quiet = {"activation": activations.identity} if keras_net.activation_of(layer) else {}
        with attributes(layer, **quiet):
            own = compute(inputs, *args, **kwargs)
        several = isinstance(own, list | tuple)
        first = own[0] if several else own
        # The difference is zero; it only carries the gradient.
        theirs = ops.convert_to_tensor(next(left))
        value = activation(theirs + (first - ops.stop_gradient(first)))
        return [value, *own[1:]] if several else value

    return on_layer
