"""Train a compiled Keras model: one contract, the fastest way on each backend.

`fit` means what `keras.Model.fit` means, and the tests in tests/training hold it to that,
with three differences. The order of the samples depends on the seed and the epoch alone, so
a training resumed at `initial_epoch` sees what an uninterrupted one would have seen. An epoch
is one unit: callbacks that work batch by batch are refused. And validation uses batches of
1,000 samples, unless their size may affect a result.
"""

import inspect
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

LEAST = {"batch_size": 1, "validation_batch_size": 1, "epochs": 0, "initial_epoch": 0, "seed": 0}
OF_DATA = ("sample_weight", "class_weight", "validation_split", "validation_data")
BATCH_HOOKS = (
    "on_batch_begin",
    "on_batch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_test_batch_begin",
    "on_test_batch_end",
)


def seed_layers(seed: int) -> None:
    """Make models built from here on start with the same weights.

    Keras draws the seed of each initializer and of each dropout layer from
    Python's `random`; the code that builds a model may also draw from NumPy's
    global generator. `keras.utils.set_random_seed` would do, too, but it imports
    TensorFlow, whatever the backend, which takes seconds.
    """
    settings = keras_settings.read()
    keras.utils.clear_session(free_memory=False)  # layer names are numbered from the start
    keras_settings.apply(settings)  # clear_session resets the dtype policy
    seed_globals(seed)


def seed_globals(seed: int) -> None:
    """Seed the global generators of Python and NumPy; NumPy's takes only 32 bits."""
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

    On JAX, an epoch is one compiled program. On TensorFlow and PyTorch, `Model.fit`
    trains, with the settings that were fastest there; they stay set on the model. On
    every backend, `Model.fit` also trains models that must not be compiled
    (`run_eagerly`, `jit_compile=False`) or whose class has its own `fit` or `evaluate`.

    `steps_per_epoch`, `validation_steps` and `validation_freq` of `Model.fit` are not
    supported, nor are datasets and generators.

    Args:
        model: A compiled model.
        x: Inputs, shape (n, ...), of any numeric dtype: NumPy arrays, or what NumPy can
            read, such as pandas frames and tensors; for several inputs, a list, tuple or
            dict of these. Floats are cast to `keras.config.floatx()`; other dtypes are
            copied to the device unchanged.
        y: Targets, shape (n, ...), in the same forms, or None for a model that needs
            none.
        batch_size: Samples per optimizer step, 32 by default. The last batch of an
            epoch holds the remaining samples.
        epochs: How many epochs there are in all, those before `initial_epoch` included,
            as in Keras.
        initial_epoch: The epoch at which to start, counted from zero. The training
            resumes from the model as it is; with `use_ema`, Keras has replaced its weights
            by their averages at the end of the last training. Callbacks start afresh.
        validation_data: What to evaluate after each epoch: `(x, y)` or
            `(x, y, sample_weight)`.
        validation_split: If there is no `validation_data`, the fraction of the samples,
            taken from their end, that is held out for validation.
        validation_batch_size: Samples per step of the evaluation. By default 1,000; or
            `batch_size`, as in Keras, where it may affect a result: with custom steps,
            layers, losses or metrics, stateful layers, or activity regularizers.
        sample_weight: A weight for each sample, or one such array for each output.
        class_weight: A weight for each class. Classes are numbered from zero.
        callbacks: Keras callbacks. They see each epoch as one execution of
            all its steps.
        shuffle: Whether to permute the samples in each epoch.
        seed: Determines the permutations, together with the epoch.
        verbose: 0 for silence, otherwise as in Keras.

    Returns:
        The `History` that Keras would have returned.

    Raises:
        ValueError: if a callback needs batches, or an argument is invalid.
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
    _check_values(
        batch_size=batch_size,
        validation_batch_size=validation_batch_size,
        epochs=epochs,
        initial_epoch=initial_epoch,
        seed=seed,
        shuffle=shuffle,
    )

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


def check(x: Arrays, y: Arrays | None = None, **options) -> None:
    """Refuse what `fit` would refuse of any model, before there is one.

    Args:
        x: Inputs.
        y: Targets.
        options: Further arguments of `fit`, but for the seed.

    Raises:
        ValueError: if an argument is not what it should be.
    """
    try:
        given = inspect.signature(fit).bind(None, x, y, seed=0, **options)
    except TypeError as error:
        raise ValueError(f"The arguments must be those of training.fit: {error}.") from None
    given.apply_defaults()
    _callbacks(given.arguments["callbacks"])
    training_data(x, y, *(given.arguments[name] for name in OF_DATA))
    values = {name: given.arguments[name] for name in (*LEAST, "shuffle")}
    optional = ("batch_size", "validation_batch_size")
    _check_values(**{n: v for n, v in values.items() if v is not None or n not in optional})


def _check_values(shuffle: bool, **values: int) -> None:
    """Refuse what is no whole number, or too small for its name."""
    for name, value in values.items():
        if not isinstance(value, numbers.Integral):
            raise ValueError(f"{name} must be a whole number. Received: {value!r}")
        if value < LEAST[name]:
            raise ValueError(f"{name} must be at least {LEAST[name]}. Received: {value}")
    if not isinstance(shuffle, (bool, np.bool_)):
        raise ValueError(f"shuffle must be True or False. Received: {shuffle!r}")


def _callbacks(callbacks) -> list[keras.callbacks.Callback]:
    """Return callbacks as a list, after a check that they are callbacks and need no batches."""
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
