"""The pair that trains: a copy in float64, or the pair itself."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import keras
import numpy as np
import torch
from keras import ops
from keras.src.backend.common import dtypes

from port_audit.forced import Match
from port_audit.nets import kinds
from port_audit.nets.keras_net import KerasNet
from port_audit.pair import Pair
from port_audit.sides import make


@dataclass(frozen=True)
class Slot:
    """A weight or statistic of the port that stands for one of PyTorch's.

    Attributes:
        name: Its name on both sides.
        variable: The variable of the model that trains.
        convert: Makes PyTorch's values by name into it; None if PyTorch has none.
    """

    name: str
    variable: keras.Variable
    convert: Callable[[Mapping[str, np.ndarray]], np.ndarray | None]


@dataclass(frozen=True)
class Copy:
    """What trains.

    Attributes:
        pair: Both sides.
        net: The Keras model.
        slots: Its weights.
        dtype: "float64" or "float32".
    """

    pair: Pair
    net: KerasNet
    slots: tuple[Slot, ...]
    dtype: str


@contextlib.contextmanager
def copied(pair: Pair, again: Callable[[Pair], bool], dtype: str) -> Iterator[Copy | None]:
    """Yield what trains; None if causes that were undone in the pair cannot be undone in a copy.

    Args:
        pair: Both sides.
        again: Undoes the causes of a pair.
        dtype: "float64" for a copy; in "float32" a finished model of the user's is trained itself,
            and given back as it was.
    """
    if isinstance(pair.ours.model, keras.Model):
        with _kept(pair.keras.model):
            yield Copy(pair, pair.keras, _slots(pair, pair.keras), dtype)
        return
    with _floats(dtype):
        model = make(pair.ours.model, keras.Model, "port")
        if dtype == "float64" and keras.backend.backend() == "tensorflow":
            widen(model.optimizer)
        if pair.changed:
            with _torch_floats(torch.float32):  # stages run the original as it is
                other = Pair(pair.theirs, replace(pair.ours, model=lambda: model), pair.x, pair.y)
            try:
                with _torch_floats(torch.float32):
                    agrees = again(other)
                yield (
                    Copy(other, other.keras, _slots(other, other.keras), dtype) if agrees else None
                )
            finally:
                other.close()
            return
        net = KerasNet(model, None if model.built else pair.keras_inputs, kept=False)
        yield Copy(pair, net, _slots(pair, net), dtype)


class Wide(np.float64):
    """A float64 that leaves it to a Keras variable how the two are combined."""

    def __mul__(self, other: Any) -> Any:
        return NotImplemented if isinstance(other, keras.Variable) else super().__mul__(other)

    def __add__(self, other: Any) -> Any:
        return NotImplemented if isinstance(other, keras.Variable) else super().__add__(other)

    def __sub__(self, other: Any) -> Any:
        return NotImplemented if isinstance(other, keras.Variable) else super().__sub__(other)

    def __truediv__(self, other: Any) -> Any:
        return NotImplemented if isinstance(other, keras.Variable) else super().__truediv__(other)


def widen(optimizer: keras.optimizers.Optimizer) -> None:
    """Let the numbers of an optimizer be float64.

    TensorFlow takes a Python number for float32 before it casts it to float64. 1 - 0.999, by which
    Adam divides in its first step, then has only five digits. The other backends do not.
    """
    for name, value in list(vars(optimizer).items()):
        if type(value) is float:
            object.__setattr__(optimizer, name, Wide(value))
        elif isinstance(value, keras.optimizers.Optimizer):  # as in LossScaleOptimizer
            widen(value)


def _slots(pair: Pair, net: KerasNet) -> tuple[Slot, ...]:
    same = net is pair.keras
    places = {id(v): i for i, v in enumerate(pair.keras.model.weights)}

    def own(variable: keras.Variable) -> keras.Variable:
        found = variable if same else net.model.weights[places[id(variable)]]
        if found.shape != variable.shape:
            raise RuntimeError("model() does not make the same model twice")
        return found

    slots = [
        Slot(f"{match.where} ({role})", own(variable), partial(_carried, match, role))
        for match in pair.matches
        for role, variable in kinds.variables(match.layer).items()
    ]
    return (*slots, *(Slot(each.name, own(each.variable), each.convert) for each in pair.loose))


def _carried(match: Match, role: str, values: Mapping[str, np.ndarray]) -> np.ndarray | None:
    return kinds.carried(match.layer, match.unit.weights(values), match.order).get(role)


@contextlib.contextmanager
def _floats(dtype: str) -> Iterator[None]:
    """Within this context, models are made and trained in floats of one width on both sides."""
    if dtype == "float32":
        yield
        return
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    with contextlib.ExitStack() as stack:
        if keras.backend.backend() == "jax":
            import jax

            stack.enter_context(jax.enable_x64(True))
        stack.callback(keras.config.set_floatx, floatx)
        stack.callback(keras.config.set_dtype_policy, policy)
        # Whatever floatx is, Keras makes float32 of what a norm gets and of the mean of a loss.
        # A ReLU whose input is zero but for that rounding then sends the two trainings apart.
        narrowed = dict(dtypes.BIT64_TO_BIT32_DTYPE)
        stack.callback(dtypes.BIT64_TO_BIT32_DTYPE.update, narrowed)
        dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"
        keras.config.set_floatx(dtype)
        keras.config.set_dtype_policy(dtype)
        stack.enter_context(_torch_floats(torch.float64))
        yield


@contextlib.contextmanager
def _torch_floats(dtype: torch.dtype) -> Iterator[None]:
    """Within this context, PyTorch makes floats of a width where none is said."""
    default = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(default)


@contextlib.contextmanager
def _kept(model: keras.Model) -> Iterator[None]:
    """Give a finished model and its optimizer their values back."""
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    variables = [*model.variables, *model.optimizer.variables]
    values = [ops.convert_to_numpy(v).copy() for v in variables]
    try:
        yield
    finally:
        for variable, value in zip(variables, values):
            variable.assign(value)
