"""A model as it answers, without what only training needs."""

from collections.abc import Iterator
from typing import Any

import keras

from shared_keras import silence
from shared_keras.systems.spec import SIDE

TRAINING_ONLY = (
    keras.layers.Dropout,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
    keras.layers.AlphaDropout,
    keras.layers.ActivityRegularization,
    keras.layers.RandomFlip,
    keras.layers.RandomTranslation,
    keras.layers.RandomRotation,
    keras.layers.RandomZoom,
)


def inference(model: keras.Model, probabilities: bool) -> keras.Model:
    """Return a copy in float32 that maps images, 0...255, to probabilities.

    Args:
        model: The model. If it is a chain of layers, the copy lacks those that do nothing outside
            training; any other model is taken whole.
        probabilities: Whether its outputs are probabilities already, not logits.
    """
    with silence.on_stderr():  # to serialize a dtype policy, Keras imports TensorFlow
        return _inference(model, probabilities)


def _inference(model: keras.Model, probabilities: bool) -> keras.Model:
    tail = [] if probabilities else [keras.layers.Softmax(dtype="float32")]
    if not is_chain(model):
        return keras.Sequential([keras.Input((SIDE, SIDE)), model, *tail])
    kept = [layer for layer in layers(model) if not isinstance(layer, TRAINING_ONLY)]
    copies = [_copy(layer) for layer in kept]
    copy = keras.Sequential([keras.Input((SIDE, SIDE)), *copies, *tail])
    for new, old in zip(copies, kept):
        new.set_weights(old.get_weights())
    return copy


def is_chain(model: keras.Model) -> bool:
    """Return whether a model is layers one behind the other."""
    parts = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    if not all(map(is_chain, parts)):
        return False
    if isinstance(model, keras.Sequential):
        return True
    levels = getattr(model, "_nodes_by_depth", None)  # of a functional model
    if not levels:
        return False
    return len(levels) == len(model.layers) and all(len(nodes) == 1 for nodes in levels.values())


def layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """Yield the layers of a chain in their order, those of models within it, too."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from layers(layer)
        elif not isinstance(layer, keras.layers.InputLayer):
            yield layer


def _copy(layer: keras.layers.Layer) -> Any:
    config = layer.get_config()
    if layer.compute_dtype in ("float16", "bfloat16", "float64"):
        config["dtype"] = "float32"
    return type(layer).from_config(config)
