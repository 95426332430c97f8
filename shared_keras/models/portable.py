"""Replace our parts of a model by Keras's own, so that anyone can load its file."""

from typing import Any

import keras

from shared_keras.models import mirrored
from shared_keras.models.initializers import Ones, RandomNormal, RandomUniform, Zeros
from shared_keras.models.layers import BatchNorm, Dropout, MaxPool, WithMirrored, mish, relu
from shared_keras.models.optimizers import OnePassAdam

STOCK = {
    BatchNorm: keras.layers.BatchNormalization,
    Dropout: keras.layers.Dropout,
    MaxPool: keras.layers.MaxPooling2D,
    RandomNormal: keras.initializers.RandomNormal,
    RandomUniform: keras.initializers.RandomUniform,
    Zeros: keras.initializers.Zeros,
    Ones: keras.initializers.Ones,
    OnePassAdam: keras.optimizers.Adam,
}
ACTIVATIONS = {mish: "mish", relu: "relu"}
INITIALIZERS = tuple(
    f"{name}_initializer"
    for name in ("kernel", "bias", "beta", "gamma", "moving_mean", "moving_variance")
)


def portable(model: keras.Sequential) -> keras.Model:
    """Return the model with Keras's own parts only, so that anyone can load its file.

    A model that has no other parts is returned as it is. A copy is compiled and has the
    optimizer's state only if Keras has that optimizer, too. Keras has no layer for the means over
    images and their mirror images, so a model with them becomes a functional one, which takes
    these means in training, too.
    """
    if not any(map(_is_ours, [model.optimizer, *model.layers])):
        return model
    copy = _copy(model)
    for layer in copy.layers:
        for name in INITIALIZERS:
            if initializer := getattr(layer, name, None):
                setattr(layer, name, _stock(initializer))
    copy.set_weights(model.get_weights())
    optimizer = _stock_optimizer(model.optimizer)
    if not _is_ours(optimizer):
        config = model.get_compile_config()
        config["optimizer"] = keras.optimizers.serialize(optimizer)
        config["metrics"] = [each for each in config["metrics"] or [] if isinstance(each, str)]
        copy.compile_from_config(config)
        if model.optimizer.built:
            if not copy.optimizer.built:  # one that scales the loss would double its variables
                copy.optimizer.build(copy.trainable_variables)
            for new, old in zip(copy.optimizer.variables, model.optimizer.variables, strict=True):
                new.assign(old)
    return copy


def _copy(model: keras.Sequential) -> keras.Model:
    inputs = keras.Input(model.input_shape[1:])
    if not any(isinstance(layer, WithMirrored) for layer in model.layers):
        return keras.Sequential([inputs, *map(_stock, model.layers)])
    outputs = inputs
    for layer in model.layers:
        call = mirrored.CALLS.get(type(layer))
        outputs = call(layer, outputs) if call else _stock(layer)(outputs)
    return keras.Model(inputs, outputs)


def _stock(part: Any) -> Any:
    """Return Keras's own counterpart of a layer or an initializer."""
    config = part.get_config()
    for ours, name in ACTIVATIONS.items():
        if getattr(part, "activation", None) is ours:
            config["activation"] = name
    return STOCK.get(type(part), type(part)).from_config(config)


def _stock_optimizer(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """Return a new optimizer with the same settings, Keras's own where there is one."""
    config = optimizer.get_config()
    if inner := getattr(optimizer, "inner_optimizer", None):  # mixed_float16 scales the loss
        config["inner_optimizer"] = keras.optimizers.serialize(_stock_optimizer(inner))
    return STOCK.get(type(optimizer), type(optimizer)).from_config(config)


def _is_ours(part: Any) -> bool:
    """Return whether a layer or an optimizer needs code of this package."""
    part = getattr(part, "inner_optimizer", part)  # mixed_float16 wraps optimizers
    types = [type(part), *(type(getattr(part, name, None)) for name in INITIALIZERS)]
    modules = [kind.__module__ for kind in types]
    modules.append(getattr(getattr(part, "activation", None), "__module__", ""))
    return any(module.startswith("shared_keras.") for module in modules)
