"""Train a compiled Keras model: one contract, the fastest way on each backend.

`fit` means what `keras.Model.fit` means, and the tests in tests/training hold it to that,
with three differences. The order of the samples depends on the seed and the epoch alone, so
a training resumed at `initial_epoch` sees what an uninterrupted one would have seen. On JAX, an
epoch is one compiled program where that is possible; `why_stock` says when it is not. And
validation uses batches of 1,000 samples where `known_means` knows that their size does not matter.
"""

import contextlib
import inspect
import numbers
import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from shared_keras import keras_settings
from shared_keras.training import stock_fit, why_stock
from shared_keras.training.fit_data import Arrays, length, training_data
from shared_keras.training.known_means import any_batch_will_do
from shared_keras.training.plan import Plan, validation_batch

JAX = keras.backend.backend() == "jax"
if JAX:
    from shared_keras.training import jax_epoch

LEAST = {"batch_size": 1, "validation_batch_size": 1, "epochs": 0, "initial_epoch": 0, "seed": 0}
OF_DATA = ("sample_weight", "class_weight", "validation_split", "validation_data")


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


@contextlib.contextmanager
def random_state_restored() -> Iterator[None]:
    """Leave the global generators of Python and NumPy as they were."""
    states = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])


def fit(
    model: keras.Model,
    x: Any = None,
    y: Arrays | None = None,
    batch_size: int | None = None,
    epochs: int = 1,
    verbose: int | str = 0,
    callbacks: list[keras.callbacks.Callback] | keras.callbacks.Callback | None = None,
    validation_split: float = 0.0,
    validation_data: Any = None,
    shuffle: bool = True,
    class_weight: Mapping[int, float] | None = None,
    sample_weight: Arrays | None = None,
    initial_epoch: int = 0,
    steps_per_epoch: int | None = None,
    validation_steps: int | None = None,
    validation_batch_size: int | None = None,
    validation_freq: int | Sequence[int] = 1,
    *,
    seed: int = 0,
) -> keras.callbacks.History:
    """Train `model` and return its history.

    The arguments are those of `keras.Model.fit`, and `seed`. On JAX, an epoch is one compiled
    program. On TensorFlow and PyTorch, `Model.fit` trains, with the settings that were fastest
    there; they stay set on the model. On every backend, `Model.fit` also trains what one
    compiled epoch cannot do: see `why_stock.of`.

    Args:
        model: A compiled model.
        x: Inputs, shape (n, ...), of any numeric dtype: NumPy arrays, or what NumPy can
            read, such as pandas frames and tensors; for several inputs, a list, tuple or
            dict of these. Floats are cast to `keras.config.floatx()`; other dtypes are
            copied to the device unchanged. Or a dataset or generator of batches, which
            `Model.fit` then reads in its own order.
        y: Targets, shape (n, ...), in the same forms, or None for a model that needs
            none.
        batch_size: Samples per optimizer step, 32 by default. The last batch of an
            epoch holds the remaining samples.
        epochs: How many epochs there are in all, those before `initial_epoch` included,
            as in Keras.
        verbose: 0 for silence, otherwise as in Keras.
        callbacks: Keras callbacks. Unless one of them needs batches, they see each epoch as
            one execution of all its steps.
        validation_split: If there is no `validation_data`, the fraction of the samples,
            taken from their end, that is held out for validation.
        validation_data: What to evaluate after each epoch: `(x, y)` or
            `(x, y, sample_weight)`; `x` or `(x,)` for a model that needs no targets; or a
            dataset or generator.
        shuffle: Whether to permute the samples in each epoch.
        class_weight: A weight for each class. Classes are numbered from zero. Validation
            samples are not weighted.
        sample_weight: A weight for each sample, or one such array for each output.
        initial_epoch: The epoch at which to start, counted from zero. The training
            resumes from the model as it is; with `use_ema`, Keras has replaced its weights
            by their averages at the end of the last training. Callbacks start afresh.
        steps_per_epoch: Batches in an epoch, if not all.
        validation_steps: Batches of the evaluation, if not all.
        validation_batch_size: Samples per step of the evaluation. By default `batch_size`, as in
            Keras; or 1,000 if all layers, losses and metrics are among those that are known to
            give the same result then (see `known_means`). Of large inputs, it is as many as hold
            64 MB, but no fewer than `batch_size`.
        validation_freq: After how many epochs to evaluate, or after which.
        seed: Determines the permutations of arrays, together with the epoch. Where `Model.fit`
            reads batches, it seeds the global generators of Python and NumPy, together with
            `initial_epoch`.

    Returns:
        The `History` that Keras would have returned.

    Raises:
        ValueError: if an argument is invalid.
    """
    given = dict(locals())
    callbacks = _callbacks(callbacks)
    if not model.compiled and type(model).fit is keras.Model.fit:
        raise ValueError("The model must be compiled before it is trained.")
    if why_stock.of_data(given) is not None:
        del given["model"], given["seed"]
        with random_state_restored():
            seed_globals(int(np.random.SeedSequence([seed, initial_epoch]).generate_state(1)[0]))
            return model.fit(**given | {"callbacks": callbacks})
    data, validation_data = training_data(
        x, y, sample_weight, class_weight, validation_split, validation_data
    )
    _need_targets(model, y=data, validation_data=validation_data)
    n = length(data)
    batch_size = 32 if batch_size is None else batch_size
    any_size = validation_batch_size is None and any_batch_will_do(model)
    if validation_batch_size is None:
        validation_batch_size = batch_size
    _check_values(
        batch_size=batch_size,
        validation_batch_size=validation_batch_size,
        epochs=epochs,
        initial_epoch=initial_epoch,
        seed=seed,
        shuffle=shuffle,
    )
    epochs = _limited(epochs)
    if any_size and validation_data is not None:
        validation_batch_size = validation_batch(validation_data[0], batch_size)

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
        by_batch=why_stock.of_callbacks(callbacks) is not None,
    )
    stock = plan.by_batch or why_stock.of_model(model) is not None
    way = jax_epoch if JAX and not stock else stock_fit
    return way.fit(model, data, plan)


def why_not_compiled(model: keras.Model, given: Mapping[str, Any]) -> str | None:
    """Return why an epoch is not one compiled program here, as the end of a sentence, or None.

    Only on JAX could it be one.

    Args:
        model: A compiled model.
        given: What `arguments` returned.
    """
    return why_stock.of(model, given) if JAX else None


def check(*args: Any, **options: Any) -> None:
    """Refuse what `fit` would refuse of any model, before there is one.

    Args:
        args: The positional arguments of `fit` after the model.
        options: Its further arguments, but for the seed.

    Raises:
        ValueError: if an argument is not what it should be.
    """
    given = arguments(*args, **options)
    _callbacks(given["callbacks"])
    if why_stock.of_data(given) is not None:  # Keras checks these
        return
    training_data(given["x"], given["y"], *(given[name] for name in OF_DATA))
    values = {name: given[name] for name in (*LEAST, "shuffle")}
    optional = ("batch_size", "validation_batch_size")
    _check_values(**{n: v for n, v in values.items() if v is not None or n not in optional})


def by_name(args: Sequence) -> dict[str, Any]:
    """Return the positional arguments of `fit` after the model by name."""
    return dict(zip([*inspect.signature(fit).parameters][1:], args))


def arguments(*args: Any, **options: Any) -> dict[str, Any]:
    """Return all arguments of `fit` by name, but for the model.

    Raises:
        ValueError: if there are others.
    """
    try:
        given = inspect.signature(fit).bind(None, *args, **options)
    except TypeError as error:
        raise ValueError(f"The arguments must be those of keras.Model.fit: {error}.") from None
    given.apply_defaults()
    del given.arguments["model"]
    return dict(given.arguments)


def _check_values(shuffle: bool, **values: int) -> None:
    """Refuse what is no whole number, or too small for its name."""
    for name, value in values.items():
        if not isinstance(value, numbers.Integral):
            raise ValueError(f"{name} must be a whole number. Received: {value!r}")
        if value < LEAST[name]:
            raise ValueError(f"{name} must be at least {LEAST[name]}. Received: {value}")
    if not isinstance(shuffle, (bool, np.bool_)):
        raise ValueError(f"shuffle must be True or False. Received: {shuffle!r}")


def _need_targets(model: keras.Model, **packed: tuple[Arrays, ...] | None) -> None:
    """Refuse data without targets for a model whose loss compares outputs with targets."""
    own = ("train_step", "test_step", "compute_loss")
    if model.loss is None or any(why_stock.overridden(model, name, ("keras",)) for name in own):
        return
    for name, data in packed.items():
        if data is not None and len(data) == 1:
            raise ValueError(f"{name} must hold targets, because the model has a loss. Got none.")


def _limited(epochs: int) -> int:
    """Return how many epochs `keras.config.set_max_epochs` allows; warn as Keras does."""
    limit = keras.config.max_epochs()
    if not limit or epochs <= limit:
        return epochs
    warnings.warn(f"Limiting epochs to {limit}", stacklevel=3)
    return limit


def _callbacks(callbacks: Any) -> list[keras.callbacks.Callback]:
    """Return callbacks as a list, after a check that they are callbacks."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        raise ValueError("callbacks must be a list. Received: a keras.callbacks.CallbackList")
    callbacks = [] if callbacks is None else keras.tree.flatten(callbacks)
    for callback in callbacks:
        if not isinstance(callback, keras.callbacks.Callback):
            raise ValueError(f"callbacks must be Keras callbacks. Received: {callback!r}")
    return callbacks
