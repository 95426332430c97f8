"""The steps of a chain of layers as plain values: what a plain module or a page needs to know."""

from typing import Any

import keras
import numpy as np

from shared_keras.errors import BadInput
from shared_keras.exports import plain
from shared_keras.models.layers import MeanOfMirrored, WithMirrored
from shared_keras.systems.spec import SIDE

ACTIVATIONS = ("relu", "mish", "elu", "gelu", "silu", "tanh", "sigmoid", "softmax", "leaky_relu")
KNOWN = (
    "Rescaling, Reshape, Flatten, Dense, Conv2D, MaxPooling2D, BatchNormalization and the "
    f"activations {', '.join(ACTIVATIONS)}"
)
STRING_SLOPE = 0.2  # of "leaky_relu" where Keras is given only the name

Step = dict[str, Any]


def of(model: keras.Model, form: str) -> list[Step]:
    """Return the steps of a model that `plain.inference` returned.

    A step has a `kind`, what it needs, and as arrays `kernel` and `bias`, or `factor` and
    `offset` for each channel. Arrays are in Keras's layout, channels last.

    Args:
        model: The model.
        form: The format that is asked for, for messages.

    Raises:
        BadInput: naming the first layer that cannot be exported so.
    """
    if not plain.is_chain(model):
        raise BadInput(
            f"argument --to: '{form}' takes layers one behind the other, and this model has "
            "branches; onnx, litert and saved-model take it"
        )
    found: list[Step] = []
    for layer in plain.layers(model):
        step = _step(layer)
        if step is None:
            raise BadInput(
                f"argument --to: '{form}' cannot hold the layer {layer.name} "
                f"({type(layer).__name__}), it knows {KNOWN}; onnx, litert and saved-model may"
            )
        found += step
    return found


def _step(layer: keras.layers.Layer) -> list[Step] | None:
    """Return the steps of a layer, or None if it has none."""
    kinds = keras.layers
    match layer:
        case kinds.Rescaling() if np.ndim(layer.scale) == np.ndim(layer.offset) == 0:
            return [{"kind": "scale", "factor": float(layer.scale), "offset": float(layer.offset)}]
        case kinds.Reshape() if tuple(layer.target_shape) == (*layer.input.shape[1:], 1):
            return [{"kind": "channel"}]
        case kinds.Flatten():
            return [{"kind": "flatten"}]
        case kinds.Dense() if len(layer.input.shape) == 2:
            return _with_activation(layer, {"kind": "dense", **_kernel(layer)})
        case kinds.Conv2D() if _plain_convolution(layer):
            shapes = {"shape": layer.input.shape[1:], "out": layer.output.shape[1:]}
            stride, size = layer.strides[0], layer.kernel_size[0]
            pads = _pads(layer, stride, size)
            step = {"kind": "conv", "stride": stride, "size": size, "pads": pads, **shapes}
            return _with_activation(layer, step | _kernel(layer))
        case kinds.MaxPooling2D() if _plain_pool(layer):
            shapes = {"shape": layer.input.shape[1:], "out": layer.output.shape[1:]}
            size, stride = layer.pool_size[0], layer.strides[0]
            return [{"kind": "pool", "size": size, "stride": stride, **shapes}]
        case kinds.BatchNormalization() if layer.axis in (-1, len(layer.input.shape) - 1):
            return [
                {"kind": "norm", "epsilon": layer.epsilon, "maps": len(layer.input.shape) == 4}
                | _normalization(layer)
            ]
        case WithMirrored() if tuple(layer.input.shape[1:]) == (SIDE, SIDE, 1):
            return [{"kind": "mirrored"}]
        case MeanOfMirrored():
            return [{"kind": "mean"}]
        case kinds.LeakyReLU():
            return [{"kind": "activation", "name": "leaky_relu", "slope": layer.negative_slope}]
        case kinds.ReLU() if not (layer.max_value or layer.negative_slope or layer.threshold):
            return [{"kind": "activation", "name": "relu"}]
        case kinds.Softmax() if layer.axis == -1:
            return [{"kind": "activation", "name": "softmax"}]
        case kinds.Activation():
            return _with_activation(layer)
    return None


def _with_activation(layer: keras.layers.Layer, *steps: Step) -> list[Step] | None:
    """Return steps with that of a layer's activation, or None if that is unknown."""
    name = getattr(layer.activation, "__name__", "")
    if name == "linear":
        return list(steps)
    if name not in ACTIVATIONS or layer.activation is not keras.activations.get(name):
        return None
    slope = {"slope": STRING_SLOPE} if name == "leaky_relu" else {}
    return [*steps, {"kind": "activation", "name": name, **slope}]


def _kernel(layer: keras.layers.Layer) -> Step:
    arrays = [np.asarray(array, np.float32) for array in layer.get_weights()]
    bias = arrays[1] if layer.use_bias else np.zeros(arrays[0].shape[-1], np.float32)
    return {"kernel": arrays[0], "bias": bias, "biased": layer.use_bias}


def _normalization(layer: keras.layers.Layer) -> Step:
    """Return what a normalization multiplies and adds outside training."""
    arrays = [np.asarray(array, np.float64) for array in layer.get_weights()]
    mean, variance = arrays[-2:]
    gamma = arrays.pop(0) if layer.scale else np.ones_like(mean)
    beta = arrays.pop(0) if layer.center else np.zeros_like(mean)
    factor = gamma / np.sqrt(variance + layer.epsilon)
    return {
        "factor": factor.astype(np.float32),
        "offset": (beta - mean * factor).astype(np.float32),
        "whole": layer.scale and layer.center,
    }


def _plain_convolution(layer: keras.layers.Layer) -> bool:
    square = len({*layer.kernel_size}) == len({*layer.strides}) == 1
    alone = layer.groups == 1 and {*layer.dilation_rate} == {1}
    return square and alone and layer.data_format == "channels_last"


def _plain_pool(layer: keras.layers.Layer) -> bool:
    square = len({*layer.pool_size}) == len({*layer.strides}) == 1
    return square and layer.padding == "valid" and layer.data_format == "channels_last"


def _pads(layer: keras.layers.Layer, stride: int, size: int) -> list[int]:
    """Return how many zeros are at the top, the left, the bottom and the right."""
    if layer.padding == "valid":
        return [0, 0, 0, 0]
    first, last = [], []
    for n in layer.input.shape[1:3]:
        total = max((-(-n // stride) - 1) * stride + size - n, 0)
        first.append(total // 2)
        last.append(total - total // 2)
    return [*first, *last]
