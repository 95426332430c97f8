"""From a system to a compiled Keras model."""

import math

import keras

from shared_keras import optimizers, system
from shared_keras.datasets import SIDE
from shared_keras.initializers import RandomNormal, RandomUniform, constants
from shared_keras.layers import BatchNorm, Dropout, MaxPool, mish
from shared_keras.system import System


def build(described: System) -> keras.Model:
    """Build and compile the Keras model of a system.

    Args:
        described: The system.

    Returns:
        A model from raw images, shape (n, 28, 28), 0...255, of any dtype, to
        logits or probabilities, float32 (n, classes), or float64 under that policy.
        A learning rate that moves epoch by epoch is not in it but in `callbacks`.
    """
    scale, offset = 1 / (255 * described.std), -described.mean / described.std
    model = keras.Sequential([keras.Input((SIDE, SIDE)), keras.layers.Rescaling(scale, offset)])
    if any(isinstance(layer, system.Conv) for layer in described.layers):
        model.add(keras.layers.Reshape((SIDE, SIDE, 1)))
    *hidden, last = described.layers
    with constants():
        for layer in hidden:
            model.add(_layer(layer, model.output_shape))
        model.add(_layer(last, model.output_shape, dtype=_output_dtype()))
    model.compile(
        optimizer=_optimizer(described.optimizer),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=not described.probabilities),
        metrics=["accuracy"],
    )
    return model


def callbacks(described: System) -> list[keras.callbacks.Callback]:
    """Return the callbacks that belong to the training of a system."""
    schedule = described.optimizer.schedule
    if schedule is None or schedule.per == "batch":
        return []
    rate = described.optimizer.learning_rate

    def cosine(epoch, _):
        return float(optimizers.cosine(rate, epoch, schedule.t_max))

    return [keras.callbacks.LearningRateScheduler(cosine)]


def _output_dtype() -> str:
    """Return at least float32: in less, a softmax loses what the loss needs."""
    compute = keras.config.dtype_policy().compute_dtype
    return "float32" if compute in ("float16", "bfloat16") else compute


def _layer(layer: system.Layer, shape, dtype=None) -> keras.layers.Layer:
    match layer:
        case system.Flatten():
            return keras.layers.Flatten(dtype=dtype)
        case system.Dense(units, init, l2, bias):
            return keras.layers.Dense(
                units,
                use_bias=bias,
                kernel_regularizer=keras.regularizers.L2(l2) if l2 else None,
                dtype=dtype,
                **_initializers(init, shape[-1], units),
            )
        case system.Conv(filters, kernel, stride, init, bias):
            return keras.layers.Conv2D(
                filters,
                kernel,
                strides=stride,
                padding="same",
                use_bias=bias,
                **_initializers(init, shape[-1] * kernel**2, filters * kernel**2),
            )
        case system.MaxPool(size):
            return MaxPool(size)
        case system.BatchNorm():
            return BatchNorm()
        case system.Flip():
            return keras.layers.RandomFlip("horizontal")
        case system.Shift(pixels):
            share = pixels / SIDE
            return keras.layers.RandomTranslation(
                share, share, fill_mode="nearest", interpolation="nearest"
            )
        case system.Activation("mish"):
            return keras.layers.Activation(mish, dtype=dtype)
        case system.Activation(name):
            return keras.layers.Activation(name, dtype=dtype)
        case system.Dropout(rate):
            return Dropout(rate)


def _initializers(init: str, fan_in: int, fan_out: int) -> dict:
    torchs = 1 / math.sqrt(fan_in)
    match init:
        case "keras":
            glorot = math.sqrt(6 / (fan_in + fan_out))
            return {"kernel_initializer": RandomUniform(-glorot, glorot)}
        case "torch":
            return {
                "kernel_initializer": RandomUniform(-torchs, torchs),
                "bias_initializer": RandomUniform(-torchs, torchs),
            }
        case "he":
            return {
                "kernel_initializer": RandomNormal(0, math.sqrt(2 / fan_in)),
                "bias_initializer": RandomUniform(-torchs, torchs),
            }


def _optimizer(described: system.Optimizer) -> keras.optimizers.Optimizer:
    rate, schedule = described.learning_rate, described.schedule
    if schedule is not None and schedule.per == "batch":
        rate = optimizers.CosineAnnealing(rate, schedule.t_max)
    match described.name:
        case "adam":
            return optimizers.Adam(rate, l2=described.l2)
        case "rmsprop":
            return optimizers.RMSprop(rate, momentum=described.momentum, l2=described.l2)
        case "sgd":
            return keras.optimizers.SGD(rate)
        case "keras adam":
            return keras.optimizers.Adam(rate)
