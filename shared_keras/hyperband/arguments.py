"""The arguments of the tuner that neither the oracle nor KerasTuner checks."""

import numbers
import os
import random
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import keras_tuner

from shared_keras import files
from shared_keras.errors import BadInput, RunFailed, whole
from shared_keras.hyperband import table
from shared_keras.processes import lock
from shared_keras.processes.local_pool import LocalPool
from shared_keras.processes.protocol import Pool

LOG = b'{"op_code":'  # begins every line of an Optuna journal


def alone() -> None:
    """Refuse to be one of KerasTuner's chief and workers."""
    if "KERASTUNER_ORACLE_IP" in os.environ:
        raise BadInput(
            "KERASTUNER_ORACLE_IP: KerasTuner's chief and workers are not used here, because "
            "they hang when one dies; unset it and use workers=N"
        )


def pool(workers: int | Pool | None) -> Pool:
    """Return the workers: that many on this machine, or those given.

    Raises:
        BadInput: if it is neither.
    """
    if hasattr(workers, "workers"):
        return cast(Pool, workers)
    return LocalPool(whole("workers", workers, 1, None))


def seed(given: int | None, folder: Path | None) -> int:
    """Return the seed, or that of the search in the folder, or a new one.

    Raises:
        BadInput: if it is no whole number.
    """
    if isinstance(given, numbers.Integral):
        return int(given)
    if given is not None:
        raise BadInput(f"seed: expected a whole number or None, got {given!r}")
    path = folder and folder / "oracle.json"
    if path and path.exists():
        return files.read_object(path, "seed")["seed"]
    return random.randint(1, 10_000)


def callable_or_none(name: str, value: Any) -> Callable[[], None] | None:
    """Return what can be called without arguments, or None, unchanged.

    Raises:
        BadInput: if the value is neither.
    """
    if value is None or callable(value):
        return value
    raise BadInput(f"{name}: expected a function or None, got {value!r}")


def try_first(given: Any) -> list[dict[str, Any]]:
    """Return hyperparameters to try first as dicts of their values.

    Raises:
        BadInput: if it is no list of dicts or of `keras_tuner.HyperParameters`.
    """
    if given is None:
        return []
    settings = given if isinstance(given, (list, tuple)) else [None]
    settings = [
        each.values if isinstance(each, keras_tuner.HyperParameters) else each for each in settings
    ]
    if not all(isinstance(each, Mapping) for each in settings):
        raise BadInput(f"try_first: expected a list of dicts of hyperparameters, got {given!r}")
    return [table.without_bookkeeping(each) for each in settings]


def optuna_journal(value: Any, name: str = "optuna_journal") -> Path | None:
    """Return the path of an Optuna journal, or None.

    Raises:
        BadInput: if Optuna is not installed, or it is not the path of a journal or a new file.
    """
    if value is None:
        return None
    if not isinstance(value, (str, os.PathLike)) or not str(value) or "://" in str(value):
        raise BadInput(f"{name}: expected the path of a file, got {value!r}")
    path = Path(value).absolute()  # the current folder may change
    if path.is_dir():
        raise BadInput(f"{name}: expected the path of a file, got the folder {path}")
    if path.exists():
        with path.open("rb") as file:
            if file.read(len(LOG)) not in (b"", LOG):
                raise BadInput(
                    f"{name}: expected a new file or a journal of Optuna, got {path}, which is none"
                )
    try:
        import optuna  # noqa: F401
    except ImportError:
        raise BadInput(
            f"{name}: needs Optuna, which is not installed; `pip install '.[optuna]'` installs it"
        ) from None
    return path


def delete(folder: Path) -> None:
    """Delete all files of an earlier search, if there are any.

    Raises:
        RunFailed: if they cannot be deleted, or if another process is searching there.
    """
    if not any(folder.iterdir()):
        return
    try:
        with lock.of(folder):
            for path in folder.iterdir():
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                elif path.name != ".lock":  # it is held
                    path.unlink()
    except OSError as error:
        raise RunFailed(f"overwrite: the search in {folder} cannot be deleted: {error}") from error
