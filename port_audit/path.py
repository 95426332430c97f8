"""How far the two models are apart along the network."""

import math

from keras import ops

from port_audit.distances import EPS, distance, largest
from port_audit.findings import Step
from port_audit.nets import keras_net, orders
from port_audit.pair import Pair


def distances(pair: Pair) -> list[tuple[str, float, float]]:
    """Run the port with PyTorch's weights, and return where, how far, and how far rounding goes.

    Distances are relative to PyTorch's largest output; infinite where shapes differ.
    """
    matches = {id(match.layer): match for match in pair.forced.matches}
    pair.carry()
    seen: list[tuple[str, float, float]] = []
    try:
        with pair.keras.watched(keep=True):
            pair.keras.run(pair.keras_inputs)
    except Exception:  # shapes do not fit behind a divergence
        pair.keras.last.clear()
    for key, match in matches.items():
        expected = orders.outputs(
            match.layer, match.unit, match.order, pair.keras.crops(match.layer)
        )
        top = largest(expected) or 1.0
        activation = keras_net.activation_of(match.acting)
        far = math.inf
        if key in pair.keras.last:
            ours = keras_net.arrays(pair.keras.last[key][1])[0]
            if activation is not None:
                expected = ops.convert_to_numpy(activation(ops.convert_to_tensor(expected)))
            far = distance(expected, ours) / top
        seen.append((match.where, far, max(match.tolerance / top, 64 * EPS)))
    return seen


def steps(written: list, undone: list) -> tuple[Step, ...]:
    """Join distances before and after causes were undone."""
    after = {where: far for where, far, _ in undone}
    return tuple(
        Step(where, far, after.get(where, far), rounding) for where, far, rounding in written
    )
