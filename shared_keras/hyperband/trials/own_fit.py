"""Hypermodels that train their models themselves."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import keras_tuner
from filelock import FileLock

from shared_keras.hyperband.space import Space
from shared_keras.hyperband.trials import callback_files

BEFORE_VERBOSE = ("x", "y", "batch_size", "epochs")  # positional arguments of `keras.Model.fit`
BEFORE_CALLBACKS = len(BEFORE_VERBOSE) + 1
TURN = ".turn"  # the lock of the trials that write to the same paths


def is_in(hypermodel: keras_tuner.HyperModel | None) -> bool:
    """Return whether a hypermodel has a `fit` of its own."""
    return not isinstance(hypermodel, (Space, type(None))) and (
        type(hypermodel).fit is not keras_tuner.HyperModel.fit
    )


@contextlib.contextmanager
def running(
    model: keras.Model,
    given: Sequence[keras.callbacks.Callback],
    folder: Path,
    quiet: bool,
    say: Callable[[str], None],
) -> Iterator[None]:
    """Look after `model.fit` while a hypermodel's own `fit` runs.

    It prints nothing if it is to be quiet, unless it is given a `verbose`. In a worker, its
    progress bars would run into the progress of the search. Keras's own switch,
    `disable_interactive_logging`, does not reach the threads that print them on JAX.

    If it gets callbacks of Keras that write to a path, other than those of the search, all trials
    have that path, unless it names the trial, and the hypermodel may read what they wrote. So from
    there on, trials do it one after the other.

    Args:
        model: The model that the hypermodel trains.
        given: The callbacks of the search, each of which writes to a path of its trial.
        folder: Folder of the trial.
        quiet: Whether to print nothing.
        say: Called with a sentence if trials wait for each other.
    """
    fit, stock = model.fit, type(model).fit is keras.Model.fit
    turn = FileLock(folder.parent / TURN)

    def looked_after(*args: Any, **options: Any) -> Any:
        if quiet and stock and len(args) <= len(BEFORE_VERBOSE):  # another `fit` may not know it
            options.setdefault("verbose", 0)
        callbacks = options.get("callbacks", args[BEFORE_CALLBACKS : BEFORE_CALLBACKS + 1])
        own = [each for each in keras.tree.flatten(callbacks or []) if id(each) not in known]
        writers = callback_files.writers(own, Path())
        shared = [each for each in writers if folder.name not in str(each.path)]
        if shared and not turn.is_locked:
            turn.acquire()
            say(_waiting(shared[0]))
        return fit(*args, **options)

    known = {id(each) for each in given}
    model.fit = looked_after
    try:
        yield
    finally:
        turn.release()
        with contextlib.suppress(AttributeError):  # the hypermodel has replaced it in turn
            del model.fit


def _waiting(writer: callback_files.Writer) -> str:
    name, path = type(writer.callback).__name__, getattr(writer.callback, writer.attribute)
    return (
        f"Trials train one after the other, because the hypermodel's own fit gives {name} the path "
        f"{path}; given to search(), it gets one for each trial."
    )
