"""Part of stage 6: what a port adds to its loss: regularizers, losses of layers."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from port_audit.changes import attributes
from port_audit.findings import REPORTED, TRAINING, Finding
from port_audit.pair import Pair

SHAKEN = 1.01  # times the weights: a loss that then stays the same has no gradient


def compare(pair: Pair) -> Iterator[Finding]:
    """Compare what is added to the loss; the loss of the original has only outputs and targets."""
    yield from _regularizers(pair)
    yield from _of_layers(pair)


def _regularizers(pair: Pair) -> Iterator[Finding]:
    """Regularizers but for L2, which is compared as a decay of the optimizer."""
    found: dict[str, list[keras.Variable]] = {}
    for variable in pair.keras.model.trainable_variables:
        regularizer = getattr(variable, "regularizer", None)
        if regularizer is None or _only_l2(regularizer):
            continue
        found.setdefault(spoken(regularizer), []).append(variable)
    for text, variables in found.items():
        yield Finding(
            ", ".join(variable.path for variable in variables[:3]),
            "regularizer",
            f"{text} adds to the loss; the original has no such penalty",
            "no regularizer, or the same penalty in the original",
        )


def _only_l2(regularizer: Any) -> bool:
    known = keras.regularizers.L1, keras.regularizers.L2, keras.regularizers.L1L2
    return isinstance(regularizer, known) and not float(getattr(regularizer, "l1", 0.0) or 0.0)


def spoken(regularizer: Any) -> str:
    """Return a regularizer or constraint as one would write it."""
    config = regularizer.get_config() if hasattr(regularizer, "get_config") else {}
    shown = ", ".join(
        f"{key}={value:g}" for key, value in config.items() if isinstance(value, int | float)
    )
    return f"{getattr(type(regularizer), '__name__', regularizer)}({shown})"


def _of_layers(pair: Pair) -> Iterator[Finding]:
    """Losses that layers add while they run: regularizers of activities, `add_loss`."""
    pair.carry()
    own = _added(pair)
    if not own:
        return
    values = pair.keras.values()
    pair.keras.assign([value * SHAKEN if value.dtype.kind == "f" else value for value in values])
    shaken = _added(pair)
    pair.keras.assign(values)
    for layer, value in own.items():
        regularizer = getattr(layer, "activity_regularizer", None)
        moves = shaken.get(layer) != value
        name = "activity regularizer" if regularizer is not None else "added loss"
        text = spoken(regularizer) if regularizer is not None else "add_loss"
        write = f"leave add_loss out of {layer.name}"
        if regularizer is not None:
            with attributes(layer, activity_regularizer=None):
                gone = layer not in _added(pair)
            write = f"{type(layer).__name__}(..., activity_regularizer=None)" if gone else None
        yield Finding(
            layer.name,
            name,
            f"{text} of the layer adds {value:.3g} to the loss; the original adds nothing",
            write,
            abs(value),
            0.0,
            TRAINING if moves else REPORTED,
        )


def _added(pair: Pair) -> dict[keras.layers.Layer, float]:
    """Return what each layer adds to the loss in a run in training mode, if it is not zero."""
    with pair.keras.watched():
        pair.keras.run(pair.keras_inputs, training=True)
    found = {}
    for layer in pair.keras.model._flatten_layers():
        losses = layer._get_own_losses()
        value = float(np.sum([ops.convert_to_numpy(ops.sum(loss)) for loss in losses]))
        if losses and value:
            found[layer] = value
    return found
