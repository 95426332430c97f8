"""Train a compiled Keras model: one contract, the fastest way on each backend.

`fit` means what `keras.Model.fit` means, and tests/test_training.py holds it to
that, with three differences. The order of the images depends on the seed and the
epoch alone, so that a training that goes on from `initial_epoch` sees the images
that an uninterrupted one would have seen. An epoch is one unit: callbacks that
work batch by batch are refused. And validation uses batches of 1,000 images.
"""

import random
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np

from shared_keras import keras_settings
from shared_keras.devices import gpus

VALIDATION_BATCH = 1000
BATCH_HOOKS = (
    "on_batch_begin",
    "on_batch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_test_batch_begin",
    "on_test_batch_end",
)


class Plan(NamedTuple):
    """The arguments of `fit` that a backend's own `fit(model, x, y, plan)` takes."""

    batch_size: int
    epochs: int
    initial_epoch: int
    validation_data: tuple[np.ndarray, np.ndarray] | None
    validation_batch_size: int
    callbacks: list[keras.callbacks.Callback]
    order: Callable[[int], np.ndarray]  # of an epoch: which samples, int32 (n,)
    seed: int
    verbose: int


def seed_layers(seed: int) -> None:
    """Make the models built from here on start alike.

    Keras draws the seed of each initializer and of each dropout layer from
    Python's `random`; what builds a model may draw from NumPy's global generator,
    too. `keras.utils.set_random_seed` would do as well, but it imports TensorFlow,
    which takes seconds, whatever the backend.
    """
    settings = keras_settings.read()
    keras.utils.clear_session(free_memory=False)  # names of layers are counted anew
    keras_settings.apply(settings)  # clear_session forgets a dtype policy
    seed_globals(seed)


def seed_globals(seed: int) -> None:
    """Seed the global generators of Python and NumPy, the latter with 32 bits of it."""
    random.seed(seed)
    np.random.seed(seed % 2**32)


def fit(
    model: keras.Model,
    x: np.ndarray,
    y: np.ndarray,
    *,
    batch_size: int = 32,
    epochs: int = 1,
    initial_epoch: int = 0,
    validation_data: tuple[np.ndarray, np.ndarray] | None = None,
    callbacks: list[keras.callbacks.Callback] | None = None,
    shuffle: bool = True,
    seed: int = 0,
    verbose: int = 0,
) -> keras.callbacks.History:
    """Train `model` and return its history.

    On JAX an epoch is one compiled program. On TensorFlow and PyTorch it is
    `Model.fit`, with the settings measured best there, which stay set on the
    model.

    Args:
        model: A compiled model.
        x: Inputs, shape (n, ...), of any dtype that the model takes. They are
            copied to the device as they are.
        y: Targets, shape (n, ...).
        batch_size: Samples per optimizer step. The last batch of an epoch
            holds what is left.
        epochs: The epoch after which to stop, counted from zero, as in Keras.
        initial_epoch: The epoch at which to start. The training goes on from the
            model as it is, of which Keras makes the averages at the end if its
            optimizer has `use_ema`; callbacks begin anew.
        validation_data: Inputs and targets to evaluate after each epoch.
        callbacks: Keras callbacks. They see each epoch as one execution of
            all its steps.
        shuffle: Whether to permute the samples in each epoch.
        seed: Decides the permutations, together with the epoch.
        verbose: 0 for silence, otherwise as in Keras.

    Returns:
        The `History` that Keras would have returned.

    Raises:
        ValueError: if a callback needs batches, or an argument is out of range.
    """
    callbacks = list(callbacks or [])
    for callback in callbacks:
        _refuse_batches(callback)
    if not model.compiled:
        raise ValueError("The model must be compiled before it is trained.")
    if len(x) != len(y):
        raise ValueError(f"x and y must be equally long. Received: {len(x)}, {len(y)}")
    for name, value in (("batch_size", batch_size), ("len(x)", len(x))):
        if value < 1:
            raise ValueError(f"{name} must be at least 1. Received: {value}")

    def order(epoch: int) -> np.ndarray:
        if not shuffle:
            return np.arange(len(x), dtype=np.int32)
        return np.random.default_rng([seed, epoch]).permutation(len(x)).astype(np.int32)

    if keras.backend.backend() == "jax":
        from shared_keras import training_jax as backend
    else:
        from shared_keras import training_stock as backend
    plan = Plan(
        batch_size=batch_size,
        epochs=epochs,
        initial_epoch=initial_epoch,
        validation_data=validation_data,
        validation_batch_size=VALIDATION_BATCH,
        callbacks=callbacks,
        order=order,
        seed=seed,
        verbose=verbose,
    )
    return backend.fit(model, x, y, plan)


def convolves_on_cpu(model: keras.Model) -> bool:
    """Return whether a model has convolutions and no GPU: XLA is slow at those in loops."""
    convolution = keras.layers.Conv2D.__mro__[1]  # of any rank
    return any(isinstance(layer, convolution) for layer in model.layers) and not gpus()


def _refuse_batches(callback: keras.callbacks.Callback) -> None:
    name = type(callback).__name__
    for hook in BATCH_HOOKS:
        if getattr(callback, hook).__module__.partition(".")[0] != "keras":
            raise ValueError(
                f"{name}.{hook} needs batches, but an epoch is one compiled unit "
                "here; use the epoch hooks, or keras.Model.fit."
            )
    for attribute in ("save_freq", "update_freq"):
        frequency = getattr(callback, attribute, "epoch")
        if frequency != "epoch":
            raise ValueError(
                f"{name}({attribute}=...) must be 'epoch', because an epoch is one "
                f"compiled unit here. Received: {frequency!r}"
            )
    if getattr(callback, "_should_trace", False):
        raise ValueError(
            f"{name}(profile_batch=...) must be 0, because an epoch is one compiled unit here."
        )
