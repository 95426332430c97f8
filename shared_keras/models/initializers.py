"""Keras's initializers, with values from NumPy.

To draw values, and even to make zeros, JAX compiles a program for each shape, which takes 0.1 s
or more: a small model would take longer to build than to train for an epoch. With NumPy, a seed
also gives the same values on every backend.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np


@keras.saving.register_keras_serializable("shared_keras")
class RandomUniform(keras.initializers.RandomUniform):
    """Keras's `RandomUniform`, with values from NumPy."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """Draw values of any shape."""
        values = np.random.default_rng(self.seed).uniform(self.minval, self.maxval, shape)
        return tensor(values.astype(dtype))


@keras.saving.register_keras_serializable("shared_keras")
class RandomNormal(keras.initializers.RandomNormal):
    """Keras's `RandomNormal`, with values from NumPy."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """Draw values of any shape."""
        values = np.random.default_rng(self.seed).normal(self.mean, self.stddev, shape)
        return tensor(values.astype(dtype))


@keras.saving.register_keras_serializable("shared_keras")
class Zeros(keras.initializers.Zeros):
    """Keras's `Zeros`, made by NumPy."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """Make zeros of any shape."""
        return tensor(np.zeros(shape, dtype))


@keras.saving.register_keras_serializable("shared_keras")
class Ones(keras.initializers.Ones):
    """Keras's `Ones`, made by NumPy."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """Make ones of any shape."""
        return tensor(np.ones(shape, dtype))


def constants() -> keras.saving.CustomObjectScope:
    """Return a scope in which "zeros" and "ones" mean the classes of this module."""
    return keras.saving.custom_object_scope({"zeros": Zeros, "ones": Ones})


def tensor(values: np.ndarray) -> Any:
    """Return values, of any shape and dtype, as a tensor of the backend.

    JAX's own `asarray`, `zeros` and `ones` compile a program for every new shape, which takes
    0.015 s: ten or more for a small model and its optimizer. `device_put` compiles none.
    """
    if keras.backend.backend() != "jax":
        return keras.ops.convert_to_tensor(values)
    import jax

    return jax.device_put(values)


def assign(variables: Iterable[keras.Variable], values: Iterable[np.ndarray]) -> None:
    """Assign to each variable its values."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(tensor(value))
