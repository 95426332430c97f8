"""The kinds of layers that pairs are made of: each in PyTorch, in Keras, and what can go wrong."""

from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from torch import nn

from shared_keras.models.layers import BatchNorm
from tests.port_audit.parts import like_torch


def gelu(x):
    """Return GELU as PyTorch has it."""
    return ops.gelu(x, approximate=False)


def leaky(x):
    """Return a leaky ReLU with PyTorch's slope."""
    return ops.leaky_relu(x, 0.01)


# PyTorch's module and Keras's activation, and names that a wrong one may have.
ACTIVATIONS = {
    "relu": (nn.ReLU, "relu"),
    "tanh": (nn.Tanh, "tanh"),
    "sigmoid": (nn.Sigmoid, "sigmoid"),
    "elu": (nn.ELU, "elu"),
    "silu": (nn.SiLU, "silu"),
    "gelu": (nn.GELU, gelu),
    "mish": (nn.Mish, "mish"),
    "leaky": (nn.LeakyReLU, leaky),
    "softplus": (nn.Softplus, "softplus"),
    "selu": (nn.SELU, "selu"),
    "relu6": (nn.ReLU6, "relu6"),
    "softsign": (nn.Softsign, "softsign"),
}


@dataclass(frozen=True)
class Part:
    """A layer of both sides: its kind, and options that both understand.

    `wrong` has what the Keras side has otherwise.
    """

    kind: str
    options: dict[str, Any] = field(default_factory=dict)
    wrong: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        shown = ", ".join(f"{k}={v}" for k, v in self.options.items())
        return f"{self.kind}({shown})"

    @property
    def ours(self) -> dict[str, Any]:
        """Return the options of the Keras side."""
        return self.options | self.wrong


class Sequence(nn.Module):
    """A recurrent layer that puts out its last step, or all of them."""

    def __init__(self, rnn, whole):
        super().__init__()
        self.rnn, self.whole = rnn, whole

    def forward(self, x):
        outputs = self.rnn(x)[0]
        return outputs if self.whole else outputs[:, -1]


class Swapped(nn.Module):
    """A layer for channels in the middle, of inputs with channels at the end."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x.transpose(1, 2)).transpose(1, 2)


class Mean(nn.Module):
    """The mean over time."""

    def forward(self, x):
        return x.mean(1)


class Block(nn.Module):
    """A residual block of two linear layers."""

    def __init__(self, width, hidden):
        super().__init__()
        self.one, self.two = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x):
        return x + self.two(self.one(x).relu())


def torch_part(part: Part, shape: tuple) -> nn.Module:
    """Return PyTorch's layer for inputs of a shape, without batch, channels last."""
    o, width = part.options, shape[-1]
    dimensions = len(shape) - 1
    match part.kind:
        case "linear":
            return nn.Linear(width, o["units"], bias=o["bias"])
        case "activation":
            return ACTIVATIONS[o["name"]][0]()
        case "prelu":
            return nn.PReLU(width)
        case "dropout":
            return nn.Dropout(o["rate"])
        case "maps dropout":
            return nn.Dropout2d(o["rate"])
        case "batch norm":
            kind = {0: nn.BatchNorm1d, 2: nn.BatchNorm2d}[dimensions]
            return kind(width, eps=o["epsilon"], momentum=o["momentum"], affine=o["affine"])
        case "layer norm":
            return nn.LayerNorm(width, eps=o["epsilon"])
        case "group norm":
            return nn.GroupNorm(o["groups"], width, eps=o["epsilon"])
        case "block":
            return Block(width, o["hidden"])
        case "conv":
            options = {k: o[k] for k in ("stride", "padding", "dilation", "bias")}
            groups = width if o["depthwise"] else 1
            filters = width if o["depthwise"] else o["filters"]
            kind = {1: nn.Conv1d, 2: nn.Conv2d}[dimensions]
            made = kind(width, filters, o["kernel"], groups=groups, **options)
            return Swapped(made) if dimensions == 1 else made
        case "transposed":
            return nn.ConvTranspose2d(width, o["filters"], o["kernel"], stride=o["stride"])
        case "max pool":
            return nn.MaxPool2d(o["size"])
        case "average pool":
            return nn.AvgPool2d(o["size"])
        case "global":
            return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        case "flatten":
            return nn.Flatten()
        case "mean":
            return Mean()
        case "embedding":
            return nn.Embedding(o["words"], o["units"])
        case "gru":
            made = nn.GRU(width, o["units"], batch_first=True, bias=o["bias"])
            return Sequence(made, o["whole"])
        case "lstm":
            made = nn.LSTM(width, o["units"], batch_first=True, bias=False)
            return Sequence(made, o["whole"])
    raise ValueError(part.kind)


def shape_behind(part: Part, shape: tuple) -> tuple:
    """Return the shape of what a layer puts out, without batch, channels last."""
    o = part.options
    match part.kind:
        case "linear":
            return (*shape[:-1], o["units"])
        case "conv":
            extent = (o["kernel"] - 1) * o["dilation"] + 1
            sizes = ((n + 2 * o["padding"] - extent) // o["stride"] + 1 for n in shape[:-1])
            return (*sizes, shape[-1] if o["depthwise"] else o["filters"])
        case "transposed":
            sizes = ((n - 1) * o["stride"] + o["kernel"] for n in shape[:-1])
            return (*sizes, o["filters"])
        case "max pool" | "average pool":
            return (*(n // o["size"] for n in shape[:-1]), shape[-1])
        case "global" | "mean":
            return shape[-1:]
        case "flatten":
            return (int(np.prod(shape)),)
        case "embedding":
            return (*shape, o["units"])
        case "gru" | "lstm":
            return (shape[0], o["units"]) if o["whole"] else (o["units"],)
    return shape


def keras_parts(part: Part, shape: tuple) -> list:
    """Return Keras's layers that do the same, each a function of a tensor."""
    o, width = part.ours, shape[-1]
    made = _keras_parts(part, o, shape, width)
    regularizer = o.get("regularizer")
    for layer in made:
        if isinstance(layer, layers.Layer):
            if o.get("frozen"):
                layer.trainable = False
            if regularizer:
                layer.activity_regularizer = keras.regularizers.L2(regularizer)
    if (factor := o.get("gradient")) is not None:
        scaled = lambda x: factor * x + (1 - factor) * ops.stop_gradient(x)  # noqa: E731
        made.append(layers.Lambda(scaled))
    if o.get("lost"):
        return []
    if (extra := o.get("extra")) is not None:
        made.append(extra())
    return made


def _keras_parts(part, o, shape, width) -> list:
    match part.kind:
        case "linear":
            limit = {} if o.get("limit") is None else {"kernel_constraint": _max(o["limit"])}
            start = like_torch(width, o["bias"])
            return [layers.Dense(o["units"], use_bias=o["bias"], **start, **limit)]
        case "activation":
            return [layers.Activation(ACTIVATIONS[o["name"]][1])]
        case "prelu":
            constant = keras.initializers.Constant(0.25)
            shared = tuple(range(1, len(shape))) or None
            return [layers.PReLU(alpha_initializer=constant, shared_axes=shared)]
        case "dropout":
            return [layers.Dropout(o["rate"])]
        case "maps dropout":
            return [layers.SpatialDropout2D(o["rate"])]
        case "batch norm":
            kind = layers.BatchNormalization if o.get("biased") else BatchNorm
            norm = {"momentum": 1 - o["momentum"], "epsilon": o["epsilon"]}
            return [kind(**norm, scale=o["affine"], center=o["affine"])]
        case "layer norm":
            return [layers.LayerNormalization(epsilon=o["epsilon"])]
        case "group norm":
            return [layers.GroupNormalization(o["groups"], epsilon=o["epsilon"])]
        case "block":
            return [_Residual(o["hidden"], width, o.get("plain", False))]
        case "conv":
            return _convolution(o, shape, width)
        case "transposed":
            start = like_torch(o["filters"] * o["kernel"] ** 2)
            return [layers.Conv2DTranspose(o["filters"], o["kernel"], o["stride"], **start)]
        case "max pool":
            return [layers.MaxPooling2D(o["size"])]
        case "average pool":
            kind = layers.MaxPooling2D if o.get("max") else layers.AveragePooling2D
            return [kind(o["size"])]
        case "global":
            kind = layers.GlobalMaxPooling2D if o.get("max") else layers.GlobalAveragePooling2D
            return [kind()]
        case "flatten":
            return [layers.Flatten()]
        case "mean":
            return [layers.GlobalAveragePooling1D()]
        case "embedding":
            normal = keras.initializers.RandomNormal(stddev=1.0)
            return [layers.Embedding(o["words"], o["units"], normal)]
        case "gru" | "lstm":
            return [_recurrent(part.kind, o)]
    raise ValueError(part.kind)


def _max(limit):
    return keras.constraints.MaxNorm(limit)


def _convolution(o, shape, width) -> list:
    fan_in = (1 if o["depthwise"] else width) * o["kernel"] ** (len(shape) - 1)
    options: dict[str, Any] = {"use_bias": o["bias"], "dilation_rate": o["dilation"]}
    padding = []
    if o["padding"]:
        kind = {1: layers.ZeroPadding1D, 2: layers.ZeroPadding2D}[len(shape) - 1]
        padding = [kind(o["padding"])]
    if o.get("same"):
        padding, options["padding"] = [], "same"
    start = like_torch(fan_in, o["bias"])
    if not o["depthwise"]:
        kind = {1: layers.Conv1D, 2: layers.Conv2D}[len(shape) - 1]
        return [*padding, kind(o["filters"], o["kernel"], o["stride"], **options, **start)]
    kind = {1: layers.DepthwiseConv1D, 2: layers.DepthwiseConv2D}[len(shape) - 1]
    start["depthwise_initializer"] = start.pop("kernel_initializer")
    return [*padding, kind(o["kernel"], o["stride"], **options, **start)]


def _recurrent(kind, o):
    biased = kind == "gru" and o["bias"]
    start = like_torch(o["units"], biased)
    start["recurrent_initializer"] = like_torch(o["units"])["kernel_initializer"]
    options = {"return_sequences": o["whole"], "use_bias": biased, **start}
    if kind == "gru":
        return layers.GRU(o["units"], reset_after=o.get("reset_after", True), **options)
    gate = o.get("gate", "sigmoid")
    return layers.LSTM(o["units"], recurrent_activation=gate, **options)


class _Residual:
    """A residual block of two Dense layers, applied to a tensor."""

    def __init__(self, hidden, width, plain):
        self.hidden, self.width, self.plain = hidden, width, plain

    def __call__(self, x):
        z = layers.Dense(self.hidden, "relu", **like_torch(self.width))(x)
        z = layers.Dense(self.width, **like_torch(self.hidden))(z)
        return z if self.plain else layers.Add()([x, z])
