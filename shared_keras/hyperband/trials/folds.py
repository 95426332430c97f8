"""Cross-validation: the folds on which a trial trains, one after the other."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from shared_keras import training
from shared_keras.errors import BadInput
from shared_keras.training.fit_data import arrays, length, select

DATA = ("x", "y", "sample_weight")
OTHER = ("validation_data", "validation_split")


def check(args: Sequence, options: Mapping[str, Any], count: int) -> None:
    """Refuse data that cannot be cut into folds.

    Args:
        args: Positional arguments of the search.
        options: Its keyword arguments.
        count: Number of folds.

    Raises:
        BadInput: naming the argument.
    """
    given = training.by_name(args) | dict(options)
    for name in OTHER:
        if given.get(name):
            raise BadInput(f"{name}: expected none with folds={count}, which validates on its own")
    for name, what in (("x", "inputs"), ("y", "targets")):
        if given.get(name) is None:
            raise BadInput(f"{name}: expected {what} with folds={count}, got None")
    try:
        cut(args, options, count, 0, 0)
    except ValueError as error:
        raise BadInput(f"folds: the data cannot be cut into {count} folds: {error}") from None


def cut(
    args: Sequence, options: Mapping[str, Any], count: int, number: int, seed: int
) -> tuple[list, dict[str, Any]]:
    """Return the arguments of a training that validates on one fold and trains on the others.

    They are those that were given, with the data cut, and `validation_data`. Folds are stratified
    if the targets are classes, each with at least as many samples as there are folds: whole
    numbers, shape (n,) or (n, 1), or one-hot, shape (n, classes).

    Args:
        args: Positional arguments of the search.
        options: Its keyword arguments.
        count: Number of folds.
        number: Number of the fold, counted from 0.
        seed: Determines the folds.
    """
    from sklearn.model_selection import KFold, StratifiedKFold  # slow, and seldom needed

    placed = training.by_name(args)
    given = placed | dict(options)
    data = {name: arrays(name, given[name]) for name in DATA if given.get(name) is not None}
    classes = _classes(data["y"])
    if classes is not None and np.unique(classes, return_counts=True)[1].min() < count:
        classes = None  # rare ones, or whole numbers that are no classes
    split = KFold if classes is None else StratifiedKFold
    folds = split(count, shuffle=True, random_state=seed % 2**32)
    train, held_out = list(folds.split(np.arange(length(data["x"])), classes))[number]
    new = {name: select(part, train) for name, part in data.items()}
    new["validation_data"] = tuple(select(part, held_out) for part in data.values())
    named = {name: value for name, value in (dict(options) | new).items() if name not in placed}
    return [new.get(name, value) for name, value in placed.items()], named


def _classes(y: Any) -> np.ndarray | None:
    """Return the class of each sample, int (n,), or None if the targets are not classes."""
    if not isinstance(y, np.ndarray) or y.ndim > 2:
        return None
    if y.ndim == 2 and y.shape[1] > 1:
        one_hot = ((y == 0) | (y == 1)).all() and (y.sum(axis=1) == 1).all()
        return y.argmax(axis=1) if one_hot else None
    y = y.reshape(len(y))
    return y.astype(np.int64) if (y == np.round(y)).all() else None
