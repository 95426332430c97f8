"""Layers and activations that match PyTorch's, or Keras's but faster."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

JAX = keras.backend.backend() == "jax"
if JAX:
    from shared_keras.models import jax_ops


@keras.saving.register_keras_serializable("shared_keras")
class BatchNorm(keras.layers.BatchNormalization):
    """`torch.nn.BatchNorm1d` and `BatchNorm2d`.

    Epsilon is 1e-5, the moving statistics take a tenth of each new value, and the moving
    variance is unbiased: n / (n - 1) times that of the batch, where n counts the
    values per channel. Outside training it behaves like Keras's layer.
    """

    def __init__(self, momentum: float = 0.9, epsilon: float = 1e-5, **kwargs: Any):
        super().__init__(momentum=momentum, epsilon=epsilon, **kwargs)
        if self.axis != -1 or self.synchronized or getattr(self, "renorm", False):
            raise ValueError(
                "BatchNorm normalizes the last axis, without synchronized or renorm. "
                f"Received: axis={self.axis}, synchronized={self.synchronized}"
            )

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalize inputs, shape (n, ..., channels), in training by the batch's statistics.

        Raises:
            ValueError: if there is a mask, which PyTorch's layer does not support.
        """
        if mask is not None:
            raise ValueError("BatchNorm takes no mask; keras.layers.BatchNormalization does.")
        if not training or not self.trainable:
            return super().call(inputs, training=training, mask=mask)
        inputs = ops.cast(inputs, self.variable_dtype)  # Keras's layer would keep float64
        mean, variance = ops.moments(inputs, axes=self._reduction_axes)
        n = ops.cast(ops.size(inputs), self.variable_dtype) / inputs.shape[self.axis]
        self._move(self.moving_mean, mean)
        self._move(self.moving_variance, variance * n / ops.maximum(n - 1, 1))
        outputs = ops.batch_normalization(
            inputs,
            mean,
            variance,
            axis=self.axis,
            offset=self.beta,
            scale=self.gamma,
            epsilon=self.epsilon,
        )
        return ops.cast(outputs, self.compute_dtype)

    def _move(self, variable: keras.Variable, new: Any) -> None:
        variable.assign(self.momentum * variable + (1 - self.momentum) * new)


@keras.saving.register_keras_serializable("shared_keras")
class Dropout(keras.layers.Dropout):
    """Keras's dropout, with faster random bits on JAX."""

    def call(self, inputs: Any, training: bool | None = False) -> Any:
        """Drop a fraction of the inputs, shape (n, ...), in training."""
        if not training or self.rate == 0 or not JAX or self.noise_shape is not None:
            return super().call(inputs, training=training)
        return jax_ops.dropout(inputs, self.rate, self.seed_generator.next())


@keras.saving.register_keras_serializable("shared_keras")
class MaxPool(keras.layers.MaxPooling2D):
    """Max pooling over squares that do not overlap.

    Gives the same as Keras's layer, but by comparing slices. On a CPU, XLA is slow at the
    gradient of Keras's layer: with it, an epoch of Lab 4's network takes 1.6 times as long.
    Of equal values, the first gets the gradient, as in `torch.nn.MaxPool2d`.

    Raises:
        ValueError: if squares overlap or are padded, or channels do not come last.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        alike = len({*self.pool_size, *self.strides}) == 1
        if not alike or self.padding != "valid" or self.data_format != "channels_last":
            raise ValueError(
                "MaxPool needs squares that do not overlap, no padding, and channels_last. "
                f"Received: pool_size={self.pool_size}, strides={self.strides}, "
                f"padding={self.padding!r}, data_format={self.data_format!r}"
            )

    def call(self, inputs: Any) -> Any:
        """Pool inputs, shape (n, height, width, channels)."""
        size = self.pool_size[0]
        height, width, channels = inputs.shape[1:]
        rows, columns = height // size, width // size
        whole = inputs[:, : rows * size, : columns * size]
        squares = ops.reshape(whole, (-1, rows, size, columns, size, channels))
        highest = _first_highest([squares[:, :, :, :, column] for column in range(size)])
        return _first_highest([highest[:, :, row] for row in range(size)])


def _first_highest(values: Sequence[Any]) -> Any:
    """Return the largest of some arrays at each place; `ops.max` shares the gradient of a tie."""
    highest = values[0]
    for value in values[1:]:
        higher = ops.logical_or(value > highest, value != value)  # NaN goes through, as in PyTorch
        highest = ops.where(higher, value, highest)
    return highest


@keras.saving.register_keras_serializable("shared_keras")
class WithMirrored(keras.layers.Layer):
    """Outside training, adds the mirror images of a batch to it, for a `MeanOfMirrored`."""

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Return images, shape (n, height, width, channels), or (2n, ...) outside training."""
        if training:
            return inputs
        return ops.concatenate([inputs, ops.flip(inputs, axis=2)], axis=0)


@keras.saving.register_keras_serializable("shared_keras")
class MeanOfMirrored(keras.layers.Layer):
    """Outside training, takes the mean over each image and its mirror image."""

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Return what is computed of images, shape (n, ...), given (2n, ...) outside training."""
        if training:
            return inputs
        return ops.mean(ops.reshape(inputs, (2, -1, *inputs.shape[1:])), axis=0)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Sequence[int | None]:
        """Return the shape as given: Keras cannot tell that it halves what is even."""
        return input_shape


@keras.saving.register_keras_serializable("shared_keras")
def mish(x: Any) -> Any:
    """Return x * tanh(softplus(x)), with one exponential instead of three.

    Equal to `keras.activations.mish` except for rounding, of less than 1e-6 in float32.
    With it, training the system of benchmarks/twin.py takes an eighth less time.
    float16 and bfloat16 are computed in float32, and without the subtraction, in which
    most of their digits would cancel.
    """
    kind = keras.backend.standardize_dtype(x.dtype)
    half = kind in ("float16", "bfloat16")
    x = ops.cast(x, "float32") if half else x
    e = ops.exp(ops.minimum(x, 20.0))  # above 20, mish(x) is x
    n = e * (e + 2)
    return ops.cast(x * (n / (n + 2)), kind) if half else x - 2 * x / (n + 2)


@keras.saving.register_keras_serializable("shared_keras")
def relu(x: Any) -> Any:
    """Return the larger of x and 0: Keras's ReLU, with a faster derivative on JAX."""
    return jax_ops.relu(x) if JAX else ops.relu(x)
