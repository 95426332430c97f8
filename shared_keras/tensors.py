"""From NumPy to the backend without a program per shape.

JAX compiles one, in 0.015 s, for every new shape that its `asarray`, `zeros` and `ones`
meet: ten and more for a small model and its optimizer.
"""

from collections.abc import Iterable

import keras
import numpy as np


def tensor(values: np.ndarray):
    """Return values, of any shape and dtype, as a tensor of the backend."""
    if keras.backend.backend() != "jax":
        return keras.ops.convert_to_tensor(values)
    import jax

    return jax.device_put(values)


def assign(variables: Iterable[keras.Variable], values: Iterable[np.ndarray]) -> None:
    """Set variables, each to its values."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(tensor(value))
