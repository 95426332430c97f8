"""Additions that one side lacks."""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from port_audit.changes import Change, ahead_of, behind
from port_audit.distances import largest
from port_audit.forced import Match
from port_audit.nets import activations, keras_net
from port_audit.pair import Pair


def added_before(pair: Pair, match: Match) -> Iterator[Change]:
    """A missing or an extra addition: the difference is an earlier tensor."""
    theirs = match.order(match.unit.input)
    if theirs.shape != match.inputs.shape or theirs.dtype.kind != "f":
        return
    difference = theirs - match.inputs
    for earlier in pair.forced.matches:
        if earlier is match:
            return
        for place, kind in enumerate(("input", "output")):
            tensor = keras_net.arrays(pair.keras.last[id(earlier.layer)][place])[0]
            if tensor.shape != theirs.shape or not tensor.any():
                continue
            for activation in (activations.identity, ops.relu):
                value = ops.convert_to_numpy(activation(ops.convert_to_tensor(tensor)))
                for sign, word in ((1.0, "lacks a"), (-1.0, "has an extra")):
                    far = np.abs(difference - sign * value).max()
                    if far <= 1e-5 * max(largest(theirs), largest(match.inputs)):
                        name = f"the {kind} of {earlier.layer.name}"
                        yield Change(
                            match.where,
                            "residual",
                            f"the port {word} residual: {name} added to what reaches the layer",
                            f"{'add' if sign > 0 else 'do not add'} {name}",
                            ahead_of(
                                match.layer,
                                _adding(pair, earlier.layer, place, sign, activation),
                            ),
                        )
                        return


def added_behind(pair: Pair, gap: Any) -> Iterator[Change]:
    """An addition right behind the layer before, with an activation or a mean after it."""
    previous = gap.previous.layer
    shape = keras_net.arrays(pair.keras.last[id(previous)][1])[0].shape
    for earlier in pair.forced.matches:
        if earlier.layer is previous:
            return
        for place, kind in enumerate(("input", "output")):
            tensor = keras_net.arrays(pair.keras.last[id(earlier.layer)][place])[0]
            if tensor.shape != shape or tensor.dtype.kind != "f":
                continue
            for activation, spoken in ((activations.identity, ""), (ops.relu, "ReLU of ")):
                name = f"{spoken}the {kind} of {earlier.layer.name}"
                for sign, word in ((1.0, "lacks a"), (-1.0, "has an extra")):
                    add = _adding(pair, earlier.layer, place, sign, activation)
                    yield Change(
                        previous.name,
                        "residual",
                        f"the port {word} residual: {name} added to what the layer puts out",
                        f"{'add' if sign > 0 else 'do not add'} {name}",
                        behind(previous, add),
                    )


def _adding(
    pair: Pair, layer: keras.layers.Layer, place: int, sign: float, activation: Callable
) -> Callable:
    net = pair.keras
    net.needed.add(id(layer))
    return lambda x: x + sign * activation(net.last[id(layer)][place])
