"""Functions without weights: activations and pooling, of PyTorch and in Keras."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from keras import activations, ops

GRID = np.linspace(-7, 7, 561, dtype=np.float32).reshape(3, 187)  # two axes, for softmax
SAME_FUNCTION = 1e-5  # implementations of one function differ by less, on the grid
# PyTorch's arguments behind the input, in their order, and their defaults.
DEFAULTS: dict[str, dict[str, Any]] = {
    "relu": {},
    "leaky_relu": {"negative_slope": 0.01},
    "gelu": {"approximate": "none"},
    "elu": {"alpha": 1.0},
    "celu": {"alpha": 1.0},
    "selu": {},
    "silu": {},
    "mish": {},
    "sigmoid": {},
    "tanh": {},
    "softplus": {"beta": 1.0, "threshold": 20.0},
    "softsign": {},
    "hardswish": {},
    "hardsigmoid": {},
    "hardtanh": {"min_val": -1.0, "max_val": 1.0},
    "relu6": {},
    "logsigmoid": {},
    "softmax": {"dim": None},
    "log_softmax": {"dim": None},
}
POOLING: dict[str, dict[str, Any]] = {
    "max_pool": {
        "kernel_size": None,
        "stride": None,
        "padding": 0,
        "dilation": 1,
        "ceil_mode": False,
    },
    "avg_pool": {
        "kernel_size": None,
        "stride": None,
        "padding": 0,
        "ceil_mode": False,
        "count_include_pad": True,
    },
}


@dataclass(frozen=True)
class Event:
    """A function that was called: its name, without the number of dimensions, and options."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def pools(self) -> bool:
        """Whether it is a pooling."""
        return self.name in POOLING

    @property
    def activates(self) -> bool:
        """Whether it is an activation."""
        return self.name in DEFAULTS

    def __str__(self) -> str:
        shown = {k: v for k, v in self.options.items() if k not in ("threshold", "dim")}
        return self.name + (f"({', '.join(f'{k}={v}' for k, v in shown.items())})" if shown else "")


def event(name: str, args: tuple, kwargs: dict) -> Event | None:
    """Return a call of PyTorch as an event, or None if it is of no interest here."""
    plain = name.rstrip("_")
    pooling = plain[:-2] if plain[-2:] in ("1d", "2d", "3d") else plain
    if pooling in POOLING:
        defaults = POOLING[pooling]
        plain = pooling
    elif plain in DEFAULTS:
        defaults = DEFAULTS[plain]
    else:
        return None
    given = dict(zip(defaults, args[1:])) | {k: v for k, v in kwargs.items() if k in defaults}
    return Event(plain, defaults | {k: v for k, v in given.items() if v is not None})


def function(found: Event) -> Callable:
    """Return an activation of PyTorch as a function of Keras."""
    o = found.options
    match found.name:
        case "leaky_relu":
            return lambda x: ops.leaky_relu(x, o["negative_slope"])
        case "gelu":
            return lambda x: ops.gelu(x, approximate=o["approximate"] == "tanh")
        case "elu":
            return lambda x: ops.elu(x, o["alpha"])
        case "celu":
            return lambda x: ops.celu(x, o["alpha"])
        case "softplus":
            return lambda x: ops.softplus(x * o["beta"]) / o["beta"]
        case "hardswish":
            return activations.hard_silu
        case "hardsigmoid":
            return activations.hard_sigmoid
        case "hardtanh":
            return lambda x: ops.clip(x, o["min_val"], o["max_val"])
        case "logsigmoid":
            return activations.log_sigmoid
        case "softmax" | "log_softmax":
            return getattr(activations, found.name)
    return getattr(activations, found.name)


def same(one: Callable, other: Callable) -> bool:
    """Whether two functions of Keras are the same, as far as a grid of numbers shows."""
    values = []
    for each in (one, other):
        try:
            values.append(ops.convert_to_numpy(each(ops.convert_to_tensor(GRID))))
        except Exception:  # a function of the user's may take no such array
            return False
    return np.allclose(values[0], values[1], rtol=SAME_FUNCTION, atol=SAME_FUNCTION)


def identity(x: Any) -> Any:
    """Return the input."""
    return x


def name_of(one: Callable) -> str:
    """Return a name for an activation of Keras."""
    if isinstance(one, keras.layers.Activation):
        return name_of(one.activation)
    if isinstance(one, keras.layers.Layer):
        slope = getattr(one, "negative_slope", getattr(one, "alpha", None))
        shown = f"({slope:.4g})" if isinstance(slope, int | float) and slope else ""
        return f"{type(one).__name__}{shown}"
    if one is identity or one is activations.linear:
        return "nothing"
    return getattr(one, "__name__", type(one).__name__)


def pool(found: Event, dimensions: int) -> Callable:
    """Return a pooling of PyTorch as a function of Keras, for channels last.

    Args:
        found: The call.
        dimensions: Number of spatial axes.
    """
    o = found.options
    size = _each(o["kernel_size"], dimensions)
    strides = _each(o["stride"] if o["stride"] is not None else o["kernel_size"], dimensions)
    padding = _each(o["padding"], dimensions)

    def pooled(x: Any) -> Any:
        extra = [
            -(length + 2 * p - k) % s if o["ceil_mode"] else 0
            for length, p, k, s in zip(x.shape[1:-1], padding, size, strides)
        ]
        pairs = [(0, 0), *((p, p + e) for p, e in zip(padding, extra)), (0, 0)]
        if found.name == "max_pool":
            low = ops.pad(x, pairs, constant_values=-3e38)
            return ops.max_pool(low, size, strides, padding="valid", data_format="channels_last")

        def mean(values: Any) -> Any:
            return ops.average_pool(
                values, size, strides, padding="valid", data_format="channels_last"
            )

        if o["count_include_pad"] and not any(extra):
            return mean(ops.pad(x, pairs))
        # Windows are divided by the number of values in them that count.
        counted = ops.ones_like(x)
        if o["count_include_pad"]:
            inner = [(0, 0), *((p, p) for p in padding), (0, 0)]
            x, counted = ops.pad(x, inner), ops.pad(counted, inner, constant_values=1.0)
            pairs = [(0, 0), *((0, e) for e in extra), (0, 0)]
        return mean(ops.pad(x, pairs)) / mean(ops.pad(counted, pairs))

    return pooled


def _each(value: Any, dimensions: int) -> tuple[int, ...]:
    values = tuple(value) if isinstance(value, tuple | list) else (value,)
    return tuple(int(v) for v in (values * dimensions if len(values) == 1 else values))
