"""The arguments of the tuner: check them, and make the oracle from them."""

import math
import numbers
import os
import random
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from shared_keras import files
from shared_keras.errors import BadInput, RunFailed, whole
from shared_keras.hyperband.decisions.oracle import Oracle
from shared_keras.processes import lock
from shared_keras.processes.local_pool import LocalPool
from shared_keras.processes.protocol import Pool


def oracle(
    folder: Path,
    overwrite: bool,
    *,
    max_epochs: int,
    min_epochs: int,
    factor: float,
    hyperband_iterations: int,
    seed: int | None,
    max_retries_per_trial: int,
    max_consecutive_failed_trials: int | None,
    max_trials: int | None,
    try_first: Sequence[Mapping],
    **others: Any,
) -> Oracle:
    """Return the oracle of a search.

    Args:
        folder: Folder of the search, which may have a seed.
        overwrite: Whether that search is to be deleted.
        others: Further arguments of the oracle.

    Raises:
        BadInput: naming the argument that is wrong.
    """
    if "KERASTUNER_ORACLE_IP" in os.environ:
        raise BadInput(
            "KERASTUNER_ORACLE_IP: KerasTuner's chief and workers are not used here, because "
            "they hang when one dies; unset it and use workers=N"
        )
    max_epochs, min_epochs = whole("max_epochs", max_epochs, 1), whole("min_epochs", min_epochs, 1)
    if min_epochs > max_epochs:
        raise BadInput(f"min_epochs: expected at most max_epochs, {max_epochs}, got {min_epochs}")
    failures = whole("max_consecutive_failed_trials", max_consecutive_failed_trials, 1, None)
    return Oracle(
        seed=_seed(seed, None if overwrite else folder),
        max_trials=whole("max_trials", max_trials, 1, None),
        try_first=[_plain(values) for values in try_first],
        max_epochs=max_epochs,
        min_epochs=min_epochs,
        factor=_factor(factor),
        hyperband_iterations=whole("hyperband_iterations", hyperband_iterations, 1),
        max_retries_per_trial=whole("max_retries_per_trial", max_retries_per_trial, 0),
        max_failures=math.inf if failures is None else failures,
        **others,
    )


def _plain(values: Mapping) -> dict:
    """Return hyperparameters with Python's numbers instead of NumPy's, which JSON lacks."""
    return {n: value.item() if hasattr(value, "item") else value for n, value in values.items()}


def pool(workers: int | Pool | None) -> Pool:
    """Return the workers: that many on this machine, or those given.

    Raises:
        BadInput: if it is neither.
    """
    if hasattr(workers, "workers"):
        return cast(Pool, workers)
    return LocalPool(whole("workers", workers, 1, None))


def _seed(seed: int | None, folder: Path | None) -> int:
    """Return the seed, or that of the search in the folder, or a new one."""
    if isinstance(seed, numbers.Integral):
        return int(seed)
    if seed is not None:
        raise BadInput(f"seed: expected a whole number or None, got {seed!r}")
    path = folder and folder / "oracle.json"
    if path and path.exists():
        return files.read_object(path, "seed")["seed"]
    return random.randint(1, 10_000)


def _factor(factor: float) -> float:
    """Return the reduction factor, as an int if it is whole."""
    if isinstance(factor, numbers.Real) and 2 <= factor < math.inf:
        return int(factor) if factor == int(factor) else float(factor)
    raise BadInput(f"factor: expected a number of at least 2, got {factor!r}")


def callable_or_none(name: str, value: Any) -> Any:
    """Return what can be called without arguments, or None, unchanged.

    Raises:
        BadInput: if the value is neither.
    """
    if value is None or callable(value):
        return value
    raise BadInput(f"{name}: expected a function or None, got {value!r}")


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
