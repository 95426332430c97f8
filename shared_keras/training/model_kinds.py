"""What kind of model it is, as far as it decides how to train it."""

import keras

from shared_keras.devices import gpus

# Each of any rank.
CONVOLUTIONS = tuple(
    kind.__mro__[1]
    for kind in (
        keras.layers.Conv2D,
        keras.layers.Conv2DTranspose,
        keras.layers.DepthwiseConv2D,
        keras.layers.SeparableConv2D,
    )
)
LOOPS = ("fit", "evaluate", "make_train_function", "make_test_function")
# Keras says that they do not support compiling, for TensorFlow's sake. On JAX they do.
COMPILED_HERE = (keras.layers.RandomFlip, keras.layers.RandomTranslation)


def layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Return the layers of a model, those within layers and models among them."""
    return list(model._flatten_layers(include_self=False))


def convolves_on_cpu(model: keras.Model) -> bool:
    """Return whether a model has convolutions and no GPU: XLA is slow at those in loops."""
    return any(isinstance(layer, CONVOLUTIONS) for layer in layers(model)) and not gpus()


def compiles(model: keras.Model) -> bool:
    """Return whether a model may be trained by compiled programs that are not its own."""
    stock = all(getattr(type(model), loop) is getattr(keras.Model, loop) for loop in LOOPS)
    refusing = [layer for layer in layers(model) if not layer.supports_jit]
    # Keras sets jit_compile to False for those, too, so that it tells only without them.
    wanted = bool(model.jit_compile) or bool(refusing)
    able = all(isinstance(layer, COMPILED_HERE) for layer in refusing)
    return stock and not model.run_eagerly and wanted and able


def any_batch_will_do(model: keras.Model) -> bool:
    """Return whether the size of its batches leaves what `evaluate` returns as it is.

    What is Keras's own (or of here) takes means over samples, but for the exceptions named.
    """
    losses = keras.tree.flatten(model.loss)
    metrics = model._compile_metrics
    if metrics is not None:
        metrics = (metrics._user_metrics, metrics._user_weighted_metrics)
    parts = [model, *layers(model), *losses, *keras.tree.flatten(metrics)]
    return (
        all(map(_known, parts))
        # TensorFlow counts a short batch as a whole one in the loss of each output.
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
    """Return whether a layer or a loss has states, sums over a batch, or leaves parts of it out."""
    return bool(
        getattr(part, "stateful", False)
        or getattr(part, "activity_regularizer", None)
        or getattr(part, "reduction", "mean") not in ("mean", "sum_over_batch_size")
        or getattr(part, "mask_zero", False)
        or getattr(part, "ignore_class", None) is not None
        or isinstance(part, keras.layers.Masking)
    )
