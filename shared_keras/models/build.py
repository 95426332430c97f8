"""Build the compiled Keras model of a system."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import keras

from shared_keras.models import optimizers
from shared_keras.models.initializers import RandomNormal, RandomUniform, constants
from shared_keras.models.layers import (
    BatchNorm,
    Dropout,
    MaxPool,
    MeanOfMirrored,
    WithMirrored,
    mish,
    relu,
)
from shared_keras.systems import spec
from shared_keras.systems.spec import SIDE, System


def keras_model(system: System, metrics: Sequence = ("accuracy",)) -> keras.Model:
    """Build and compile the Keras model of a system.

    Args:
        system: The system.
        metrics: What to measure beside the loss.

    Returns:
        A model that maps raw images, shape (n, 28, 28), 0...255, of any dtype, to logits
        or probabilities, float32 (n, classes), or float64 under that policy. It does not
        include a learning rate that changes per epoch: see `schedule_callbacks`.
    """
    scale, offset = 1 / (255 * system.std), -system.mean / system.std
    model = keras.Sequential([keras.Input((SIDE, SIDE)), keras.layers.Rescaling(scale, offset)])
    if system.takes_a_channel:
        model.add(keras.layers.Reshape((SIDE, SIDE, 1)))
    if system.mirrored:
        model.add(WithMirrored())
    *hidden, last = system.layers
    with constants():
        for layer in hidden:
            model.add(_layer(layer, model.output_shape))
        model.add(_layer(last, model.output_shape, dtype=_output_dtype()))
    if system.mirrored:
        model.add(MeanOfMirrored(dtype=_output_dtype()))
    model.compile(
        optimizer=_optimizer(system.optimizer),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=not system.probabilities),
        metrics=list(metrics),
    )
    return model


def schedule_callbacks(system: System) -> list[keras.callbacks.Callback]:
    """Return the callbacks that the training of a system needs."""
    schedule = system.optimizer.schedule
    if schedule is None or schedule.per == "batch":
        return []
    rate = system.optimizer.learning_rate

    def cosine(epoch: int, _: Any) -> Any:
        return float(optimizers.cosine(rate, epoch, schedule.t_max))

    return [keras.callbacks.LearningRateScheduler(cosine)]


def _output_dtype() -> str:
    """Return at least float32: with less, a softmax loses the digits that the loss needs."""
    compute = keras.config.dtype_policy().compute_dtype
    return "float32" if compute in ("float16", "bfloat16") else compute


def _layer(layer: spec.Layer, shape: Sequence[int], dtype: Any = None) -> keras.layers.Layer:
    match layer:
        case spec.Flatten():
            return keras.layers.Flatten(dtype=dtype)
        case spec.Dense(units, init, l2, bias):
            return keras.layers.Dense(
                units,
                use_bias=bias,
                kernel_regularizer=keras.regularizers.L2(l2) if l2 else None,
                dtype=dtype,
                **_initializers(init, shape[-1], units),
            )
        case spec.Conv(filters, kernel, stride, init, bias, padded):
            return keras.layers.Conv2D(
                filters,
                kernel,
                strides=stride,
                padding="same" if padded else "valid",
                use_bias=bias,
                **_initializers(init, shape[-1] * kernel**2, filters * kernel**2),
            )
        case spec.MaxPool(size):
            return MaxPool(size)
        case spec.BatchNorm():
            return BatchNorm()
        case spec.Flip():
            return keras.layers.RandomFlip("horizontal")
        case spec.Shift(pixels):
            share = pixels / SIDE
            return keras.layers.RandomTranslation(
                share, share, fill_mode="nearest", interpolation="nearest"
            )
        case spec.Activation("mish"):
            return keras.layers.Activation(mish, dtype=dtype)
        case spec.Activation("relu"):
            return keras.layers.Activation(relu, dtype=dtype)
        case spec.Activation("leaky_relu"):
            return keras.layers.LeakyReLU(0.01, dtype=dtype)
        case spec.Activation(name):
            return keras.layers.Activation(name, dtype=dtype)
        case spec.Dropout(rate):
            return Dropout(rate)
        case spec.Noise(deviation):
            return keras.layers.GaussianNoise(deviation)


def _initializers(init: Literal["keras", "torch", "he"], fan_in: int, fan_out: int) -> dict:
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


def _optimizer(optimizer: spec.Optimizer) -> keras.optimizers.Optimizer:
    rate, schedule = optimizer.learning_rate, optimizer.schedule
    if schedule is not None and schedule.per == "batch":
        rate = optimizers.CosineAnnealing(rate, schedule.t_max)
    match optimizer.name:
        case "adam":
            return optimizers.Adam(rate, l2=optimizer.l2)
        case "rmsprop":
            return optimizers.RMSprop(rate, momentum=optimizer.momentum, l2=optimizer.l2)
        case "sgd":
            return keras.optimizers.SGD(rate)
        case "keras adam":
            return optimizers.OnePassAdam(rate)
