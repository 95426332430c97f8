"""Part of stage 6: constraints of weights, which Keras applies after each step."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from port_audit.changes import attributes
from port_audit.distances import EPS, largest
from port_audit.findings import Finding
from port_audit.ledger.entries import PORT
from port_audit.pair import Pair
from port_audit.stages.steps.penalties import spoken


def compare(pair: Pair, records: Sequence[Any], weights: Sequence[Any]) -> Iterator[Finding]:
    """Apply each constraint to the weights that PyTorch goes through, which nothing constrains.

    One that changes none of them may still do so later: the ledger says that it is not compared. An
    original with a loop of its own may do the same there, and then the witness compares.

    Args:
        pair: Both sides.
        records: Trainings of PyTorch, which looked at these weights.
        weights: The weights that stand for PyTorch's.
    """
    loop = any(getattr(pair.theirs, name, None) for name in ("train_step", "train_epoch"))
    known = {id(weight.variable): index for index, weight in enumerate(weights)}
    for layer in pair.keras.model._flatten_layers():
        for variable in layer._trainable_variables:
            constraint = getattr(variable, "constraint", None)
            if constraint is None:
                continue
            index = known.get(id(variable))
            weight = None if index is None else weights[index].weight
            key = _key(layer, variable)
            ways = [] if index is None or loop else [record.ways[index] for record in records]
            far = _far(constraint, tuple(variable.shape), ways)
            if far:
                yield Finding(
                    weight.name,
                    "constraint",
                    f"{spoken(constraint)} changes it after a step; nothing constrains PyTorch's",
                    f"{key}=None",
                    far,
                )
            else:
                match = getattr(weight, "match", None)
                holder = layer if match is None else match.layer  # of a cell, its LSTM
                stage = "witness" if loop else ""
                pair.ledger.reopen(f"layers.{holder.name}.{key}", side=PORT, stage=stage)


def _key(layer: keras.layers.Layer, variable: keras.Variable) -> str:
    """Return the argument of a layer that constrains a variable."""
    own = (key for key, value in vars(layer).items() if value is variable.constraint)
    return next((key for key in own if key.endswith("_constraint")), f"{variable.name}_constraint")


def _far(constraint: Any, shape: tuple, ways: Sequence[Any]) -> float:
    """Return how far a constraint moves a weight at most; 0 where rounding explains it."""
    far = 0.0
    for way in ways:
        for value in way.values:
            if value.shape == shape:
                kept = ops.convert_to_numpy(constraint(ops.convert_to_tensor(value)))
                moved = float(np.abs(kept - value).max(initial=0.0))
                far = max(far, moved if moved > 64 * EPS * largest(value) else 0.0)
    return far


@contextlib.contextmanager
def taken_off(variables: Iterable[keras.Variable]) -> Iterator[None]:
    """Within this context, an optimizer constrains no variable."""
    with contextlib.ExitStack() as stack:
        for variable in variables:
            if getattr(variable, "constraint", None) is not None:
                stack.enter_context(attributes(variable, _constraint=None))
        yield
