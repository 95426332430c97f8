"""Kinds of models, as far as they decide how a model is trained."""

import keras

from shared_keras.devices import gpus

# Their base classes, so any number of dimensions.
CONVOLUTIONS = tuple(
    kind.__mro__[1]
    for kind in (
        keras.layers.Conv2D,
        keras.layers.Conv2DTranspose,
        keras.layers.DepthwiseConv2D,
        keras.layers.SeparableConv2D,
    )
)


def layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Return the layers of a model, including those inside layers and models."""
    return list(model._flatten_layers(include_self=False))


def convolves_on_cpu(model: keras.Model) -> bool:
    """Return whether a model convolves on a CPU, which XLA does slowly inside loops."""
    return any(isinstance(layer, CONVOLUTIONS) for layer in layers(model)) and not gpus()
