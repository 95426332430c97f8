"""Gradients of a Keras model on each backend, and programs, outside of `fit`."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops


def program(
    variables: Sequence[keras.Variable], loss: Callable[..., Any]
) -> Callable[..., tuple[float, list[np.ndarray]]]:
    """Return what computes a loss and its gradients, compiled once on JAX.

    Args:
        variables: What to differentiate by.
        loss: Takes arrays and returns the loss, a scalar; it reads the variables.
    """
    backends = {"jax": _of_jax, "tensorflow": _of_tensorflow, "torch": _of_torch}
    compute = backends[keras.backend.backend()](variables, loss)

    def run(*data: Any) -> tuple[float, list[np.ndarray]]:
        value, found = compute(*data)
        arrays = [
            np.zeros(v.shape, "float32") if g is None else ops.convert_to_numpy(g)
            for v, g in zip(variables, found)
        ]
        return float(ops.convert_to_numpy(value)), arrays

    return run


def compiled(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a function of a whole number, compiled on JAX, which else traces a condition anew.

    What cannot be compiled is called as it is.
    """
    if keras.backend.backend() != "jax":
        return function
    import jax

    program = jax.jit(lambda number: function(number))

    def run(number: Any) -> Any:
        try:
            return program(number)
        except Exception:
            return function(number)

    return run


def _of_jax(variables: Sequence[keras.Variable], loss: Callable) -> Callable:
    import jax

    def of_values(values: Any, *data: Any) -> Any:
        with keras.StatelessScope(list(zip(variables, values))):
            return loss(*data)

    compiled = jax.jit(jax.value_and_grad(of_values))
    return lambda *data: compiled([v.value for v in variables], *data)


def _of_tensorflow(variables: Sequence[keras.Variable], loss: Callable) -> Callable:
    import tensorflow as tf

    def compute(*data: Any) -> tuple:
        values = [v.value for v in variables]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            value = loss(*data)
        found = tape.gradient(value, values)
        return value, [None if g is None else tf.convert_to_tensor(g) for g in found]

    return compute


def _of_torch(variables: Sequence[keras.Variable], loss: Callable) -> Callable:
    import torch

    def compute(*data: Any) -> tuple:
        values = [v.value for v in variables]
        wanted = [v for v in values if v.requires_grad]
        with torch.enable_grad():
            value = loss(*data)
            found = torch.autograd.grad(value, wanted, allow_unused=True)
        by_id = dict(zip(map(id, wanted), found))
        got = [by_id.get(id(v)) for v in values]
        return value.detach(), [None if g is None else g.detach() for g in got]

    return compute
