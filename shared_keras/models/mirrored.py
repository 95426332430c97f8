"""Models that answer with means over an image and its mirror image, in Keras's own operations.

Keras has no layers for that, so `portable` writes operations in place of ours; `again` finds them.
"""

import itertools
from typing import Any

import keras
from keras.src.models import Functional  # what `keras.Model(inputs, outputs)` makes
from keras.src.ops.numpy import Concatenate, Flip, Mean, Reshape

from shared_keras.models.layers import MeanOfMirrored, WithMirrored


def _with_mirrored(layer: keras.layers.Layer, images: Any) -> Any:
    """Do what a `WithMirrored` does outside training, by operations that have its name."""
    flipped = Flip(axis=2, name=f"{layer.name}_flip")(images)
    return Concatenate(axis=0, name=layer.name)([images, flipped])


def _mean_of_mirrored(layer: keras.layers.Layer, both: Any) -> Any:
    halves = Reshape((2, -1, *both.shape[1:]), name=f"{layer.name}_halves")(both)
    return Mean(axis=0, name=layer.name)(halves)


CALLS = {WithMirrored: _with_mirrored, MeanOfMirrored: _mean_of_mirrored}


def again(model: keras.Model) -> keras.Model:
    """Return a model as it was before `portable` put operations in; any other as it is."""
    layers = _chain(model) if type(model) is Functional and len(model.outputs) == 1 else None
    if layers is None:
        return model
    given = keras.Input(model.input_shape[1:], dtype=model.inputs[0].dtype)
    copy = keras.Sequential([given, *layers])
    copy.set_weights(model.get_weights())
    return copy


def _chain(model: keras.Model) -> list[keras.layers.Layer] | None:
    """Return copies of the layers, if a model is just what `portable` makes of such a chain."""
    parts = model.operations[1:]
    operations = [part for part in parts if not isinstance(part, keras.layers.Layer)]
    if [_what(operation) for operation in operations] != _expected(model.output_shape[1:]):
        return None
    flip, both, halves, mean = operations
    for before, part in itertools.pairwise(model.operations):
        wanted = [*_reads(model, flip), flip] if part is both else [before]
        if _reads(model, part) != wanted:
            return None
    if parts[-2:] != [halves, mean]:
        return None
    found: list[keras.layers.Layer] = []
    for part in parts:
        if isinstance(part, keras.layers.Layer):
            found.append(type(part).from_config(part.get_config()))
        elif part in (both, mean):
            kind = WithMirrored if part is both else MeanOfMirrored
            found.append(kind(name=part.name, dtype=found[-1].dtype_policy.name))
    return found


def _what(operation: keras.Operation) -> tuple:
    config = operation.get_config()
    shape = config.get("newshape")
    return type(operation), config.get("axis"), None if shape is None else tuple(shape)


def _expected(outputs: tuple) -> list[tuple]:
    """Return what is written into a model with these outputs."""
    first = [(Flip, 2, None), (Concatenate, 0, None)]
    return [*first, (Reshape, None, (2, -1, *outputs)), (Mean, 0, None)]


def _reads(model: keras.Model, part: keras.Operation) -> list[keras.Operation]:
    """Return the operations whose results a part of a model takes, of all of its calls there."""
    nodes = [node for level in model._nodes_by_depth.values() for node in level]
    its = [node for node in nodes if node.operation is part]
    return [given._keras_history.operation for node in its for given in node.input_tensors]
