"""Why `keras.Model.fit` trains a model instead of one compiled program per epoch.

Each function returns the reason, as the end of a sentence that begins with "because", or None.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import keras

from shared_keras.training.model_kinds import layers

BATCH_HOOKS = (
    "on_batch_begin",
    "on_batch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_test_batch_begin",
    "on_test_batch_end",
)
LOOPS = ("fit", "evaluate", "make_train_function", "make_test_function")
# Keras says that these cannot be compiled, because TensorFlow cannot. JAX can.
COMPILED_HERE = (keras.layers.RandomFlip, keras.layers.RandomTranslation)
STEPS = {"steps_per_epoch": None, "validation_steps": None, "validation_freq": 1}


def of(model: keras.Model, given: Mapping[str, Any]) -> str | None:
    """Return why `Model.fit` trains this model with these arguments.

    Args:
        model: A compiled model.
        given: What `training.arguments` returned.
    """
    callbacks = keras.tree.flatten(given["callbacks"] or [])
    return of_data(given) or of_callbacks(callbacks) or of_model(model)


def of_data(given: Mapping[str, Any]) -> str | None:
    """Return why the arguments need `Model.fit` as it is: datasets, generators, steps."""
    if given["x"] is None:
        return "there is no x"
    for name in ("x", "validation_data"):
        if _comes_in_batches(given[name]):
            return f"{name} is a {type(given[name]).__name__}"
    for name, default in STEPS.items():
        if given[name] != default:
            return f"{name} is {given[name]}"
    if keras.config.max_steps_per_epoch():
        return f"keras.config.max_steps_per_epoch() is {keras.config.max_steps_per_epoch()}"
    return None


def _comes_in_batches(data: Any) -> bool:
    known = data is None or isinstance(data, (list, tuple, Mapping)) or hasattr(data, "__array__")
    return not known and (isinstance(data, (Iterable, keras.utils.PyDataset)))


def overridden(thing: Any, method: str, homes: tuple[str, ...]) -> bool:
    """Return whether an object has its own method, or a class of its own that defines it.

    A function's own `__module__` does not tell: `functools.wraps` copies it.

    Args:
        thing: The object.
        method: Name of the method.
        homes: The packages whose classes do not count as its own.
    """
    if method in vars(thing):
        return True
    kinds = type(thing).__mro__
    defining = next(kind for kind in kinds if method in vars(kind))
    return defining.__module__.partition(".")[0] not in homes


def of_callbacks(callbacks: Iterable[keras.callbacks.Callback]) -> str | None:
    """Return why a callback needs batches."""
    for callback in callbacks:
        name = type(callback).__name__
        for hook in BATCH_HOOKS:
            if overridden(callback, hook, ("keras",)):
                return f"{name} has {hook}"
        for attribute in ("save_freq", "update_freq"):
            frequency = getattr(callback, attribute, "epoch")
            if frequency != "epoch":
                return f"{name} has {attribute}={frequency!r}"
        if getattr(callback, "_should_trace", False):
            return f"{name} has profile_batch"
    return None


def of_model(model: keras.Model) -> str | None:
    """Return why compiled programs must not train a model."""
    for loop in LOOPS:
        if getattr(type(model), loop) is not getattr(keras.Model, loop):
            return f"{type(model).__name__} has its own {loop}"
    if model.run_eagerly:
        return "the model runs eagerly"
    refusing = [layer for layer in layers(model) if not layer.supports_jit]
    for layer in refusing:
        if not isinstance(layer, COMPILED_HERE):
            return f"{type(layer).__name__} cannot be compiled"
    # Keras sets jit_compile to False for these, too, so it tells something only without them.
    if not model.jit_compile and not refusing:
        return "the model has jit_compile=False"
    return None
