"""Max pooling in three dimensions whose gradient goes to the largest value alone.

TensorFlow's kernel on CPUs gives the whole gradient to each value within 1e-5 of the largest.
"""

import contextlib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import keras
from keras import layers, ops

from port_audit.changes import attributes


@contextlib.contextmanager
def exact(model_layers: Sequence[layers.Layer]) -> Iterator[None]:
    """Within this context, MaxPooling3D on TensorFlow has the gradient that it has elsewhere.

    Not where its call was replaced, or is a subclass's own.
    """
    with contextlib.ExitStack() as stack:
        for layer in blurred(model_layers):
            stack.enter_context(attributes(layer, call=partial(in_two_turns, layer)))
        yield


def blurred(model_layers: Sequence[layers.Layer]) -> list[layers.Layer]:
    """Return the layers whose gradient may go to more than one value."""
    if keras.backend.backend() != "tensorflow":
        return []
    return [
        layer
        for layer in model_layers
        if type(layer) is layers.MaxPooling3D and "call" not in layer.__dict__
    ]


def in_two_turns(layer: layers.MaxPooling3D, x: Any) -> Any:
    """Return what a layer returns, pooled along two axes and then along the third.

    Args:
        layer: The layer.
        x: Its inputs, floats of shape (n, depth, height, width, channels), or channels first.
    """
    first = layer.data_format == "channels_first"
    x = ops.moveaxis(x, 1, -1) if first else x
    n, depth, height, width, channels = x.shape
    size, strides = layer.pool_size, layer.strides
    x = ops.reshape(x, (n * depth, height, width, channels))
    x = _pool(x, size[1:], strides[1:], layer.padding)
    _, height, width, _ = x.shape
    x = ops.reshape(x, (n, depth, height * width, channels))
    x = _pool(x, (size[0], 1), (strides[0], 1), layer.padding)
    x = ops.reshape(x, (n, x.shape[1], height, width, channels))
    return ops.moveaxis(x, -1, 1) if first else x


def _pool(x: Any, size: Any, strides: Any, padding: str) -> Any:
    return ops.max_pool(x, size, strides, padding, data_format="channels_last")
