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


def any_batch_will_do(model: keras.Model) -> bool:
    """Return whether `evaluate` returns the same for any batch size.

    Keras's own parts, and ours, take means over samples, except for those checked here.
    """
    losses = keras.tree.flatten(model.loss)
    metrics = model._compile_metrics
    if metrics is not None:
        metrics = (metrics._user_metrics, metrics._user_weighted_metrics)
    parts = [model, *layers(model), *losses, *keras.tree.flatten(metrics)]
    return (
        all(map(_known, parts))
        # TensorFlow counts a short batch like a full one in the loss of each output.
        and (isinstance(model, keras.Sequential) or len(model.outputs) == 1)
        and not any(map(_minds_its_batch, layers(model)))
        and not any(map(_minds_its_batch, losses))
    )


def _known(part) -> bool:
    if part is None or isinstance(part, str):
        return True
    kind = part if hasattr(part, "__qualname__") else type(part)
    return kind.__module__.partition(".")[0] in ("keras", "shared_keras")


def _minds_its_batch(part) -> bool:
    """Return whether a layer or a loss is stateful, sums over a batch, or skips parts of it."""
    return bool(
        getattr(part, "stateful", False)
        or getattr(part, "activity_regularizer", None)
        or getattr(part, "reduction", "mean") not in ("mean", "sum_over_batch_size")
        or getattr(part, "mask_zero", False)
        or getattr(part, "ignore_class", None) is not None
        or isinstance(part, keras.layers.Masking)
    )
