"""Models that answer with means over an image and its mirror image, as `portable` writes them."""

import itertools

import keras
from keras.src.models import Functional  # what `keras.Model(inputs, outputs)` makes

from shared_keras.models.layers import MeanOfMirrored, WithMirrored


def again(model: keras.Model) -> keras.Model:
    """Return a model as it was before `portable` made it functional; any other as it is."""
    layers = _chain(model) if type(model) is Functional and len(model.outputs) == 1 else None
    if layers is None:
        return model
    return keras.Sequential([keras.Input(model.input_shape[1:]), *layers])


def _chain(model: keras.Model) -> list[keras.layers.Layer] | None:
    """Return the layers, if a model is exactly what `portable` makes of such a chain."""
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
    swapped = {both: [WithMirrored()], mean: [MeanOfMirrored()], flip: [], halves: []}
    return [layer for part in parts for layer in swapped.get(part, [part])]


def _what(operation: keras.Operation) -> tuple:
    config = operation.get_config()
    shape = config.get("newshape")
    return type(operation).__name__, config.get("axis"), None if shape is None else tuple(shape)


def _expected(outputs: tuple) -> list[tuple]:
    """Return what `with_mirrored` and `mean_of_mirrored` leave of a model with these outputs."""
    first = [("Flip", 2, None), ("Concatenate", 0, None)]
    return [*first, ("Reshape", None, (2, -1, *outputs)), ("Mean", 0, None)]


def _reads(model: keras.Model, part: keras.Operation) -> list[keras.Operation]:
    """Return the operations whose results a part of a model takes, of all of its calls there."""
    nodes = [node for level in model._nodes_by_depth.values() for node in level]
    its = [node for node in nodes if node.operation is part]
    return [given._keras_history.operation for node in its for given in node.input_tensors]
