"""What Keras lacks to do as PyTorch does, and how to leave it out of a saved model."""

import keras
from keras import ops

from shared_keras.initializers import Ones, RandomNormal, RandomUniform, Zeros


@keras.saving.register_keras_serializable("shared_keras")
class BatchNorm(keras.layers.BatchNormalization):
    """`torch.nn.BatchNorm1d` and `BatchNorm2d`.

    Epsilon is 1e-5, a tenth of each new value enters the moving ones, and the moving
    variance is unbiased: n / (n - 1) times that of the batch, where n counts the
    values per channel. Outside training it is Keras's layer.
    """

    def __init__(self, momentum=0.9, epsilon=1e-5, **kwargs):
        super().__init__(momentum=momentum, epsilon=epsilon, **kwargs)
        if self.axis != -1 or self.synchronized or getattr(self, "renorm", False):
            raise ValueError(
                "BatchNorm normalizes the last axis, without synchronized or renorm. "
                f"Received: axis={self.axis}, synchronized={self.synchronized}"
            )

    def call(self, inputs, training=None, mask=None):
        """Normalize (n, ..., channels); in training by the batch itself.

        Raises:
            ValueError: if there is a mask, which PyTorch's layer does not know.
        """
        if mask is not None:
            raise ValueError("BatchNorm takes no mask; keras.layers.BatchNormalization does.")
        if not training or not self.trainable:
            return super().call(inputs, training=training, mask=mask)
        inputs = ops.cast(inputs, self.variable_dtype)  # Keras's layer would leave float64
        mean, variance = ops.moments(inputs, axes=self._reduction_axes)
        n = ops.cast(ops.size(inputs), self.variable_dtype) / inputs.shape[-1]
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

    def _move(self, variable, new) -> None:
        variable.assign(self.momentum * variable + (1 - self.momentum) * new)


@keras.saving.register_keras_serializable("shared_keras")
class Dropout(keras.layers.Dropout):
    """Keras's dropout, from quicker random bits on JAX."""

    def call(self, inputs, training=False):
        """Drop a share of (n, ...) in training."""
        quick = keras.backend.backend() == "jax" and self.noise_shape is None
        if not training or self.rate == 0 or not quick:
            return super().call(inputs, training=training)
        from shared_keras.dropout_jax import dropout

        return dropout(inputs, self.rate, self.seed_generator.next())


@keras.saving.register_keras_serializable("shared_keras")
class MaxPool(keras.layers.MaxPooling2D):
    """The largest value of each square, for squares that do not overlap.

    Equal to Keras's layer, but by reshaping: XLA is slow at the gradient of the other way
    on a CPU (an epoch of Lab 4's network takes 1.6 times as long with it).

    Raises:
        ValueError: if squares overlap, are padded, or channels do not come last.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        alike = len({*self.pool_size, *self.strides}) == 1
        if not alike or self.padding != "valid" or self.data_format != "channels_last":
            raise ValueError(
                "MaxPool takes squares side by side, without padding, of channels that come "
                f"last. Received: pool_size={self.pool_size}, strides={self.strides}, "
                f"padding={self.padding!r}, data_format={self.data_format!r}"
            )

    def call(self, inputs):
        """Pool (n, height, width, channels)."""
        size = self.pool_size[0]
        height, width, channels = inputs.shape[1:]
        rows, columns = height // size, width // size
        whole = inputs[:, : rows * size, : columns * size]
        squares = ops.reshape(whole, (-1, rows, size, columns, size, channels))
        return ops.max(squares, axis=(2, 4))


@keras.saving.register_keras_serializable("shared_keras")
def mish(x):
    """Return x * tanh(softplus(x)), with one exponential instead of three.

    Equal to `keras.activations.mish` but for rounding, of less than 1e-6 in float32.
    Training the system of benchmarks/twin.py takes an eighth less time with it.
    float16 and bfloat16 are computed in float32, and without a difference, in which most
    of their digits would cancel.
    """
    kind = keras.backend.standardize_dtype(x.dtype)
    half = kind in ("float16", "bfloat16")
    x = ops.cast(x, "float32") if half else x
    e = ops.exp(ops.minimum(x, 20.0))  # beyond, mish(x) is x
    n = e * (e + 2)
    return ops.cast(x * (n / (n + 2)), kind) if half else x - 2 * x / (n + 2)


STOCK = {
    BatchNorm: keras.layers.BatchNormalization,
    Dropout: keras.layers.Dropout,
    MaxPool: keras.layers.MaxPooling2D,
    RandomNormal: keras.initializers.RandomNormal,
    RandomUniform: keras.initializers.RandomUniform,
    Zeros: keras.initializers.Zeros,
    Ones: keras.initializers.Ones,
}
INITIALIZERS = tuple(
    f"{name}_initializer"
    for name in ("kernel", "bias", "beta", "gamma", "moving_mean", "moving_variance")
)


def portable(model: keras.Sequential) -> keras.Sequential:
    """Return the model with Keras's own parts only, so that anyone can load its file.

    A model that has none but those is returned as it is. A copy is compiled and has the
    state of the optimizer only if that is Keras's own, too.
    """
    if not any(map(_is_ours, [model.optimizer, *model.layers])):
        return model

    def stock(part):
        if getattr(part, "activation", None) is mish:
            return keras.layers.Activation.from_config(part.get_config() | {"activation": "mish"})
        return STOCK.get(type(part), type(part)).from_config(part.get_config())

    copy = keras.Sequential([keras.Input(model.input_shape[1:]), *map(stock, model.layers)])
    for layer in copy.layers:
        for name in INITIALIZERS:
            if initializer := getattr(layer, name, None):
                setattr(layer, name, stock(initializer))
    copy.set_weights(model.get_weights())
    if not _is_ours(model.optimizer):
        copy.compile_from_config(model.get_compile_config())
        if model.optimizer.built:
            if not copy.optimizer.built:  # one with a scaled loss would have its variables twice
                copy.optimizer.build(copy.trainable_variables)
            for new, old in zip(copy.optimizer.variables, model.optimizer.variables, strict=True):
                new.assign(old)
    return copy


def _is_ours(part) -> bool:
    """Return whether a layer or an optimizer needs code from here."""
    part = getattr(part, "inner_optimizer", part)  # mixed_float16 wraps optimizers
    types = [type(part), *(type(getattr(part, name, None)) for name in INITIALIZERS)]
    modules = [kind.__module__ for kind in types]
    modules.append(getattr(getattr(part, "activation", None), "__module__", ""))
    return any(module.startswith("shared_keras.") for module in modules)
