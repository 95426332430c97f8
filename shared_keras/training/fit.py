"""Train a compiled Keras model: one contract, the fastest way on each backend.

`fit` means what `keras.Model.fit` means, and the tests in tests/training hold it to that,
with three differences. The order of the samples depends on the seed and the epoch alone, so
that a training resumed at `initial_epoch` sees what an uninterrupted one would have seen. An
epoch is one unit: callbacks that work batch by batch are refused. And validation uses
batches of 1,000 samples, where nothing depends on their size.
"""

import numbers
import random
from collections.abc import Mapping

import keras
import numpy as np

from shared_keras import keras_settings
from shared_keras.training import stock_fit
from shared_keras.training.fit_data import Arrays, length, training_data
from shared_keras.training.model_kinds import any_batch_will_do, compiles
from shared_keras.training.plan import VALIDATION_BATCH, Plan

JAX = keras.backend.backend() == "jax"
if JAX:
    from shared_keras.training import jax_epoch

BATCH_HOOKS = (
    "on_batch_begin",
    "on_batch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_test_batch_begin",
    "on_test_batch_end",
)


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
    x: Arrays,
    y: Arrays | None = None,
    *,
    batch_size: int | None = None,
    epochs: int = 1,
    initial_epoch: int = 0,
    validation_data: tuple | None = None,
    validation_split: float = 0.0,
    validation_batch_size: int | None = None,
    sample_weight: Arrays | None = None,
    class_weight: Mapping[int, float] | None = None,
    callbacks: list[keras.callbacks.Callback] | keras.callbacks.Callback | None = None,
    shuffle: bool = True,
    seed: int = 0,
    verbose: int | str = 0,
) -> keras.callbacks.History:
    """Train `model` and return its history.

    On JAX an epoch is one compiled program. On TensorFlow and PyTorch it is
    `Model.fit`, with the settings measured best there, which stay set on the
    model. `Model.fit` it is everywhere for a model that is not to be compiled
    (`run_eagerly`, `jit_compile=False`) or whose class has a `fit` or `evaluate` of its
    own.

    Of the arguments of `Model.fit`, `steps_per_epoch`, `validation_steps` and
    `validation_freq` are not taken, and of its data neither datasets nor generators.

    Args:
        model: A compiled model.
        x: Inputs, shape (n, ...), of any dtype of numbers: NumPy arrays, or what
            NumPy can read, pandas frames and tensors among them; for several inputs
            a list, tuple or dict of such. Floats become `keras.config.floatx()`. Others
            are copied to the device as they are.
        y: Targets, shape (n, ...), in the same forms, or None for a model that needs
            none.
        batch_size: Samples per optimizer step, without it 32. The last batch of an
            epoch holds what is left.
        epochs: The epoch after which to stop, counted from zero, as in Keras.
        initial_epoch: The epoch at which to start. The training goes on from the
            model as it is, of which Keras makes the averages at the end if its
            optimizer has `use_ema`; callbacks begin anew.
        validation_data: What to evaluate after each epoch: `(x, y)` or
            `(x, y, sample_weight)`.
        validation_split: Without `validation_data`, the fraction of the samples, from
            their end, to evaluate instead of training on them.
        validation_batch_size: Samples per step of the evaluation. Without it 1,000; or
            `batch_size`, as in Keras, where a result may depend on it: with steps, layers,
            losses or metrics that are not Keras's, with states or penalties of activations.
        sample_weight: A weight for each sample, or one such array for each output.
        class_weight: A weight for each class, a number from zero.
        callbacks: Keras callbacks. They see each epoch as one execution of
            all its steps.
        shuffle: Whether to permute the samples in each epoch.
        seed: Decides the permutations, together with the epoch.
        verbose: 0 for silence, otherwise as in Keras.

    Returns:
        The `History` that Keras would have returned.

    Raises:
        ValueError: if a callback needs batches, or an argument is not what it should be.
    """
    callbacks = _callbacks(callbacks)
    if not model.compiled:
        raise ValueError("The model must be compiled before it is trained.")
    data, validation_data = training_data(
        x, y, sample_weight, class_weight, validation_split, validation_data
    )
    n = length(data)
    batch_size = 32 if batch_size is None else batch_size
    if validation_batch_size is None:
        validation_batch_size = VALIDATION_BATCH if any_batch_will_do(model) else batch_size
    for name, value, least in (
        ("batch_size", batch_size, 1),
        ("validation_batch_size", validation_batch_size, 1),
        ("epochs", epochs, 0),
        ("initial_epoch", initial_epoch, 0),
        ("len(x)", n, 1),
    ):
        if not isinstance(value, numbers.Integral):
            raise ValueError(f"{name} must be a whole number. Received: {value!r}")
        if value < least:
            raise ValueError(f"{name} must be at least {least}. Received: {value}")
    if not isinstance(shuffle, (bool, np.bool_)):
        raise ValueError(f"shuffle must be True or False. Received: {shuffle!r}")

    def order(epoch: int) -> np.ndarray:
        if not shuffle:
            return np.arange(n, dtype=np.int32)
        return np.random.default_rng([seed, epoch]).permutation(n).astype(np.int32)

    plan = Plan(
        batch_size=batch_size,
        epochs=epochs,
        initial_epoch=initial_epoch,
        validation_data=validation_data,
        validation_batch_size=validation_batch_size,
        callbacks=callbacks,
        order=order,
        seed=seed,
        verbose=verbose,
    )
    way = jax_epoch if JAX and compiles(model) else stock_fit
    return way.fit(model, data, plan)


def _callbacks(callbacks) -> list[keras.callbacks.Callback]:
    """Return callbacks as a list, if they are some and need no batches."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        raise ValueError("callbacks must be a list. Received: a keras.callbacks.CallbackList")
    callbacks = [] if callbacks is None else keras.tree.flatten(callbacks)
    for callback in callbacks:
        if not isinstance(callback, keras.callbacks.Callback):
            raise ValueError(f"callbacks must be Keras callbacks. Received: {callback!r}")
        _refuse_batches(callback)
    return callbacks


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
