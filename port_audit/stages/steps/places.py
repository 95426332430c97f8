"""Part of stage 6: which values of the weights are looked at after every step.

A large model has too many to keep them all. An optimizer that treats each value by itself does to
some what it does to the others.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import torch

from port_audit import plain_optimizers
from port_audit.stages.steps.weights import AnyWeight

ALL = 1_000_000  # values of all weights together, of which all are kept
SOME, LEAST = 100_000, 256  # else so many of all weights together, and of each weight


@dataclass
class Chosen:
    """A weight of which some values stand for all, or the whole weight.

    Attributes:
        weight: The weight.
        places: Where the values are, or None for the whole.
        stepped: What an optimizer of Keras steps: a variable of these values, or its own.
    """

    weight: AnyWeight
    places: np.ndarray | None
    stepped: keras.Variable

    @property
    def variable(self) -> keras.Variable:
        """Return the variable of the port."""
        return self.weight.variable

    @property
    def name(self) -> str:
        """Return its name on both sides."""
        return self.weight.name

    @property
    def role(self) -> str:
        """Return its role, such as "kernel"."""
        return self.weight.role

    @property
    def times(self) -> int:
        """Return how often the same gradient moves it."""
        return self.weight.times

    def carried(self, values: Mapping[str, np.ndarray], gradients: bool = False) -> np.ndarray:
        """Return PyTorch's values of it, in Keras's layout."""
        whole = self.weight.carried(values, gradients)
        return whole if self.places is None else whole.ravel()[self.places]

    def parameters(self, module: torch.nn.Module) -> list[torch.nn.Parameter]:
        """Return the parameters of PyTorch that it stands for."""
        return self.weight.parameters(module)


def whole(weights: Sequence[AnyWeight]) -> list[Chosen]:
    """Return weights with all of their values."""
    return [Chosen(weight, None, weight.variable) for weight in weights]


def chosen(weights: Sequence[AnyWeight], values: Mapping[str, np.ndarray]) -> list[Chosen]:
    """Return some values of each weight of a large model, to an optimizer that is `known`.

    Args:
        weights: The weights.
        values: PyTorch's values by name.
    """
    most = max(LEAST, SOME // len(weights))
    return [_some(weight, values, most) for weight in weights]


def large(weights: Sequence[AnyWeight]) -> bool:
    """Whether weights have too many values to keep all of them after every step."""
    return sum(math.prod(weight.variable.shape) for weight in weights) > ALL


def known(optimizer: keras.optimizers.Optimizer) -> bool:
    """Whether an optimizer is Keras's own; others may look at shapes, names and norms."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    return all(type(each).__module__.partition(".")[0] == "keras" for each in (optimizer, inner))


def _some(weight: AnyWeight, values: Mapping[str, np.ndarray], most: int) -> Chosen:
    variable = weight.variable
    shape, size = tuple(variable.shape), math.prod(variable.shape)
    fits = all(weight.carried(values, gradients).shape == shape for gradients in (False, True))
    # A constraint may take a whole row together.
    if size <= most or not fits or getattr(variable, "constraint", None) is not None:
        return Chosen(weight, None, variable)
    places = np.unique(np.random.default_rng(0).integers(0, size, most))
    stepped = keras.Variable(
        np.zeros(len(places), "float32"), trainable=variable.trainable, name=variable.name
    )
    return Chosen(weight, places, stepped)


def each_alone(optimizer: keras.optimizers.Optimizer) -> bool:
    """Whether an optimizer treats each value by itself; it is tried."""
    random = np.random.default_rng(0)
    start = random.normal(size=(6, 8)).astype("float32")
    gradients = random.normal(size=(3, 6, 8)).astype("float32")
    rows = slice(None, None, 2)

    def stepped(start: np.ndarray, gradients: np.ndarray) -> np.ndarray:
        variable = keras.Variable(start, name="kernel")
        fresh = plain_optimizers.plain(optimizer, 1e-2)
        fresh.build([variable])
        for gradient in gradients:
            fresh.apply([keras.ops.convert_to_tensor(gradient)], [variable])
        return keras.ops.convert_to_numpy(variable)

    together = stepped(start, gradients)[rows].ravel()
    alone = stepped(start[rows].ravel(), gradients[:, rows].reshape(3, -1))
    return np.allclose(together, alone, rtol=1e-5, atol=1e-7)
