"""Keras's initial values, drawn by NumPy.

JAX compiles a program per shape to draw them, in 0.1 s and more: a small model would take
longer to build than to train for an epoch. With NumPy, a seed also means the same values
on every backend.
"""

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable("shared_keras")
class RandomUniform(keras.initializers.RandomUniform):
    """Keras's class of this name."""

    def __call__(self, shape, dtype=None):
        """Draw values of any shape."""
        values = np.random.default_rng(self.seed).uniform(self.minval, self.maxval, shape)
        return ops.convert_to_tensor(values.astype(dtype))


@keras.saving.register_keras_serializable("shared_keras")
class RandomNormal(keras.initializers.RandomNormal):
    """Keras's class of this name."""

    def __call__(self, shape, dtype=None):
        """Draw values of any shape."""
        values = np.random.default_rng(self.seed).normal(self.mean, self.stddev, shape)
        return ops.convert_to_tensor(values.astype(dtype))
