"""Hypermodels that train their models themselves."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import keras_tuner

from shared_keras.hyperband.space import Space

BEFORE_VERBOSE = ("x", "y", "batch_size", "epochs")  # positional arguments of `keras.Model.fit`


def is_in(hypermodel: keras_tuner.HyperModel | None) -> bool:
    """Return whether a hypermodel has a `fit` of its own."""
    return not isinstance(hypermodel, (Space, type(None))) and (
        type(hypermodel).fit is not keras_tuner.HyperModel.fit
    )


@contextlib.contextmanager
def quiet(model: keras.Model) -> Iterator[None]:
    """Let `model.fit` print nothing meanwhile, unless it is given a `verbose`.

    In a worker, its progress bars would run into the progress of the search. Keras's own
    switch, `disable_interactive_logging`, does not reach the threads that print them on JAX.
    """
    fit = model.fit
    if type(model).fit is not keras.Model.fit:  # it may know no `verbose`
        yield
        return

    def silent(*args: Any, **options: Any) -> Any:
        if len(args) <= len(BEFORE_VERBOSE):
            options.setdefault("verbose", 0)
        return fit(*args, **options)

    model.fit = silent
    try:
        yield
    finally:
        del model.fit
