"""Kinds of layers with weights, and how their weights go from PyTorch to Keras."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers
from torch import Tensor, nn

CONVOLUTIONS = {
    "conv1d": (nn.Conv1d, (layers.Conv1D, layers.DepthwiseConv1D)),
    "conv2d": (nn.Conv2d, (layers.Conv2D, layers.DepthwiseConv2D)),
    "conv3d": (nn.Conv3d, (layers.Conv3D,)),
}
TRANSPOSED = {
    "transposed conv1d": (nn.ConvTranspose1d, (layers.Conv1DTranspose,)),
    "transposed conv2d": (nn.ConvTranspose2d, (layers.Conv2DTranspose,)),
    "transposed conv3d": (nn.ConvTranspose3d, (layers.Conv3DTranspose,)),
}
KINDS: dict[str, tuple[Any, tuple]] = {
    **TRANSPOSED,  # before the convolutions, of which Keras derives them
    **CONVOLUTIONS,
    "linear": (nn.Linear, (layers.Dense,)),
    "batch norm": (nn.modules.batchnorm._BatchNorm, (layers.BatchNormalization,)),
    "layer norm": (nn.LayerNorm, (layers.LayerNormalization,)),
    # an instance norm has as many groups as channels
    "group norm": (
        (nn.GroupNorm, nn.modules.instancenorm._InstanceNorm),
        (layers.GroupNormalization,),
    ),
    "embedding": (nn.Embedding, (layers.Embedding,)),
    "lstm": (nn.LSTM, (layers.LSTM,)),
    "gru": (nn.GRU, (layers.GRU,)),
    "prelu": (nn.PReLU, (layers.PReLU,)),
}
RECURRENT = ("lstm", "gru")
FILLED = {"zeros": "constant", "circular": "wrap", "reflect": "reflect", "replicate": "edge"}
SAME_ORDER = ("batch norm", "layer norm", "group norm", "prelu")  # outputs lie as inputs do
STATISTICS = ("moving_mean", "moving_variance")


@dataclass(frozen=True)
class Order:
    """How an array of PyTorch lies in Keras.

    Attributes:
        name: "same", "channels last", "features" (of flattened maps), "axes" or "blocks".
        axes: A permutation of all axes, or None.
        features: A permutation of the last axis, int (features,), or None.
        faulty: Whether a port that means the same would never have it.
        pads: Values before and behind each spatial axis, which a layer ahead has added.
        filled: With what, as `numpy.pad` calls it.
        made: A permutation of the features that a Dense puts out, to be added to flattened maps.
    """

    name: str
    axes: tuple[int, ...] | None = None
    features: np.ndarray | None = None
    faulty: bool = False
    pads: tuple[tuple[int, int], ...] = ()
    filled: Any = "constant"
    made: np.ndarray | None = None

    def __call__(self, array: np.ndarray) -> np.ndarray:
        """Return an array of PyTorch as it would lie in Keras."""
        if self.pads:
            array = np.pad(array, [(0, 0), (0, 0), *self.pads], mode=self.filled)
        if self.axes is not None:
            return array.transpose(self.axes)
        return array if self.features is None else array[..., self.features]


SAME = Order("same")


def channels_last(dimensions: int) -> Order:
    """Return the order that moves channels from the second to the last axis."""
    return Order("channels last", (0, *range(2, dimensions), 1))


def torch_kind(module: nn.Module) -> str | None:
    """Return the kind of a module, or None."""
    if getattr(module, "proj_size", 0):
        return None  # Keras's LSTM has no projection
    return next((name for name, (cls, _) in KINDS.items() if isinstance(module, cls)), None)


def groups_of(module: Any) -> int:
    """Return the number of groups of a group norm or an instance norm."""
    return getattr(module, "num_groups", None) or module.num_features


def made_weights(module: nn.Module) -> list[str]:
    """Return the names of weights that a parametrization or a hook makes of other parameters."""
    return [
        name
        for name in ("weight", "bias")
        if name not in module._parameters and isinstance(getattr(module, name, None), Tensor)
    ]


def padding(module: Any) -> tuple[tuple[int, int], ...]:
    """Return what a convolution of PyTorch adds before and behind each spatial axis."""
    if module.padding == "same":
        sides = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size)]
        return tuple((total // 2, total - total // 2) for total in sides)
    if module.padding == "valid":
        return ((0, 0),) * len(module.kernel_size)
    return tuple((each, each) for each in module.padding)


def keras_kind(layer: keras.layers.Layer) -> str | None:
    """Return the kind of a layer, or None: also if it has weights that its kind does not know.

    Those are weights of a subclass's own, those of LoRA, and what quantization makes of a kernel.
    """
    kind = next((name for name, (_, classes) in KINDS.items() if isinstance(layer, classes)), None)
    if kind is None or not layer.built:
        return kind
    known = {id(variable) for variable in _by_role(layer, kind).values()}
    return kind if known == {id(variable) for variable in layer.weights} else None


def acting(layer: keras.layers.Layer) -> keras.layers.Layer:
    """Return the layer that acts for another one whose form was undone, or the layer itself."""
    return layer.__dict__.get("audited_instead", layer)


def instead(
    layer: keras.layers.Layer, weights: Mapping[str, np.ndarray], shape: tuple, **options: Any
) -> keras.layers.Layer:
    """Return a layer of the same kind that takes PyTorch's weights.

    Args:
        layer: The layer of the port.
        weights: Weights of the module, by PyTorch's names.
        shape: Shape of the inputs, as they lie in Keras.
        options: Other arguments of the layer.
    """
    kind = keras_kind(layer)
    weight = weights.get("weight", weights.get("weight_ih"))
    biased = "bias" in weights or "bias_ih" in weights
    if kind == "linear":
        form = {"units": weight.shape[0], "use_bias": biased}
    elif kind in CONVOLUTIONS and not hasattr(layer, "depth_multiplier"):
        channels = shape[-1] if layer.data_format == "channels_last" else shape[1]
        groups = max(1, channels // weight.shape[1])
        size = weight.shape[2:]
        form = {"filters": weight.shape[0], "kernel_size": size, "use_bias": biased}
        form["groups"] = groups
    elif kind in TRANSPOSED:
        form = {"filters": weight.shape[1], "kernel_size": weight.shape[2:], "use_bias": biased}
    elif kind in ("batch norm", "layer norm", "group norm"):
        form = {"scale": weight is not None, "center": biased}
    elif kind == "embedding":
        form = {"input_dim": weight.shape[0], "output_dim": weight.shape[1]}
    elif kind in RECURRENT:
        form = {"units": weight.shape[0] // (4 if kind == "lstm" else 3), "use_bias": biased}
    else:
        form = {}
    config = acting(layer).get_config() | form | options
    other = type(layer).from_config({k: v for k, v in config.items() if k != "name"})
    other.build(tuple(shape))
    return other


def variables(layer: keras.layers.Layer) -> dict[str, keras.Variable]:
    """Return the variables of a layer of a known kind by their role, such as "kernel"."""
    layer = acting(layer)
    return _by_role(layer, keras_kind(layer))


def _by_role(layer: keras.layers.Layer, kind: str | None) -> dict[str, keras.Variable]:
    holder = layer.cell if kind in RECURRENT else layer
    names = {
        "batch norm": ("gamma", "beta", *STATISTICS),
        "layer norm": ("gamma", "beta"),
        "group norm": ("gamma", "beta"),
        "embedding": ("embeddings",),
        "prelu": ("alpha",),
        "lstm": ("kernel", "recurrent_kernel", "bias"),
        "gru": ("kernel", "recurrent_kernel", "bias"),
    }.get(kind, ("kernel", "bias"))
    found = {name: getattr(holder, name, None) for name in names}
    return {name: variable for name, variable in found.items() if variable is not None}


def stands_for(names: Mapping[str, str], role: str) -> list[str]:
    """Return the names of the parameters of PyTorch that a weight of a role stands for.

    Args:
        names: Full names of a module's parameters, by their own names.
        role: The role, such as "kernel".
    """
    own = {"bias": ("bias", "bias_ih", "bias_hh"), "beta": ("bias",)}.get(
        role, {"recurrent_kernel": ("weight_hh",)}.get(role, ("weight", "weight_ih"))
    )
    return [names[name] for name in own if name in names]


def carried(
    layer: keras.layers.Layer,
    weights: Mapping[str, np.ndarray],
    order: Order,
    gradients: bool = False,
) -> dict[str, np.ndarray]:
    """Return the weights of a module in the layout of a Keras layer, by role.

    Args:
        layer: The layer. Its form is taken into account, its values are not.
        weights: Weights of the module, or their gradients, by PyTorch's names.
        order: How the inputs of the layer lie.
        gradients: Whether they are gradients. Those of PyTorch's two biases of an LSTM are
            equal, and also that of their sum.
    """
    layer = acting(layer)
    kind = keras_kind(layer)
    if kind in TRANSPOSED:
        return _named(weights, {"weight": ("kernel", _transposed_kernel)})
    if kind in CONVOLUTIONS:
        return _named(weights, {"weight": ("kernel", lambda w: _kernel(layer, w))})
    if kind == "linear":
        made = slice(None) if order.made is None else order.made
        names = {
            "weight": ("kernel", lambda w: order_features(w, order)[made].T),
            "bias": ("bias", lambda b: b[made]),
        }
        return _named(weights, names)
    if kind in ("batch norm", "layer norm", "group norm"):
        names = {
            "weight": ("gamma", lambda w: _like_inputs(w, order)),
            "bias": ("beta", lambda w: _like_inputs(w, order)),
            "running_mean": ("moving_mean", lambda w: _like_inputs(w, order)),
            "running_var": ("moving_variance", lambda w: _like_inputs(w, order)),
        }
        return _named(weights, names)
    if kind == "embedding":
        return {"embeddings": weights["weight"]}
    if kind == "prelu":
        return {"alpha": _slopes(layer, _like_inputs(weights["weight"], order), gradients)}
    return _recurrent(layer, kind, weights, order, gradients)


def order_features(weight: np.ndarray, order: Order) -> np.ndarray:
    """Return the weight of a Linear, shape (out, in), for inputs in an order of features."""
    return weight if order.features is None else weight[:, order.features]


def _named(
    weights: Mapping[str, np.ndarray], names: Mapping[str, tuple[str, Any]]
) -> dict[str, np.ndarray]:
    result = {}
    for name, array in weights.items():
        role, convert = names.get(name, (name, lambda w: w))
        result[role] = convert(array)
    return result


def _kernel(layer: keras.layers.Layer, weight: np.ndarray) -> np.ndarray:
    spatial = tuple(range(2, weight.ndim))
    if isinstance(layer, layers.DepthwiseConv1D | layers.DepthwiseConv2D):
        channels = weight.shape[0] // max(layer.depth_multiplier, 1)
        if weight.shape[1] == 1:
            shape = (channels, -1, *weight.shape[2:])
            return weight.reshape(shape).transpose(*spatial, 0, 1)
    return weight.transpose(*spatial, 1, 0)


def _transposed_kernel(weight: np.ndarray) -> np.ndarray:
    return weight.transpose(*range(2, weight.ndim), 1, 0)


def _like_inputs(weight: np.ndarray, order: Order) -> np.ndarray:
    """Return weights, one for each feature or each value of a sample, as the inputs lie."""
    if weight.ndim > 1 and order.axes is not None:
        return weight.transpose([axis - 1 for axis in order.axes if axis > 0])
    if weight.ndim == 1 and order.features is not None and len(weight) == len(order.features):
        return weight[order.features]
    return weight


def _slopes(layer: keras.layers.Layer, weight: np.ndarray, gradients: bool) -> np.ndarray:
    shape = tuple(layer.alpha.shape)
    if gradients or weight.size == np.prod(shape):
        return weight.reshape(shape) if weight.size == np.prod(shape) else weight
    return np.broadcast_to(weight, shape).copy()  # one slope for all, or one for each channel


def _recurrent(
    layer: keras.layers.Layer,
    kind: str,
    weights: Mapping[str, np.ndarray],
    order: Order,
    gradients: bool,
) -> dict[str, np.ndarray]:
    gates = {"lstm": (0, 1, 2, 3), "gru": (1, 0, 2)}[kind]

    def reordered(array: np.ndarray) -> np.ndarray:
        parts = np.split(array, len(gates))
        return np.concatenate([parts[gate] for gate in gates])

    result = {
        "kernel": reordered(order_features(weights["weight_ih"], order)).T,
        "recurrent_kernel": reordered(weights["weight_hh"]).T,
    }
    if "bias_ih" in weights:
        both = [reordered(weights[name]) for name in ("bias_ih", "bias_hh")]
        two = kind == "gru" and layer.reset_after
        result["bias"] = np.stack(both) if two else both[0] if gradients else both[0] + both[1]
    return result
