"""Cross-validation: the folds on which a trial trains, one after the other."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from shared_keras.errors import BadInput
from shared_keras.training.fit_data import arrays, length, select

OTHER = ("validation_data", "validation_split")


def check(given: Mapping[str, Any], count: int) -> None:
    """Refuse data that cannot be cut into folds.

    Args:
        given: What `training.arguments` returned.
        count: Number of folds.

    Raises:
        BadInput: naming the argument.
    """
    for name in OTHER:
        if given[name]:
            raise BadInput(f"{name}: expected none with folds={count}, which validates on its own")
    if given["class_weight"] is None and given["y"] is None:
        raise BadInput(f"y: expected targets with folds={count}, got None")
    try:
        cut(given, count, 0, 0)
    except ValueError as error:
        raise BadInput(f"folds: the data cannot be cut into {count} folds: {error}") from None


def cut(given: Mapping[str, Any], count: int, number: int, seed: int) -> dict[str, Any]:
    """Return the arguments of a training that validates on one fold and trains on the others.

    Folds are stratified if the targets are classes: whole numbers, shape (n,) or (n, 1), or
    one-hot, shape (n, classes).

    Args:
        given: What `training.arguments` returned.
        count: Number of folds.
        number: Number of the fold, counted from 0.
        seed: Determines the folds.
    """
    from sklearn.model_selection import KFold, StratifiedKFold  # slow, and seldom needed

    data = {
        name: arrays(name, given[name])
        for name in ("x", "y", "sample_weight")
        if given[name] is not None
    }
    classes = _classes(data["y"])
    split = KFold if classes is None else StratifiedKFold
    folds = split(count, shuffle=True, random_state=seed % 2**32)
    indices = np.arange(length(data["x"]))
    train, held_out = list(folds.split(indices, classes))[number]
    parts = {name: select(part, train) for name, part in data.items()}
    return (
        dict(given) | parts | {"validation_data": tuple(select(p, held_out) for p in data.values())}
    )


def _classes(y) -> np.ndarray | None:
    """Return the class of each sample, int (n,), or None if the targets are not classes."""
    if not isinstance(y, np.ndarray) or y.ndim > 2:
        return None
    if y.ndim == 2 and y.shape[1] > 1:
        one_hot = ((y == 0) | (y == 1)).all() and (y.sum(axis=1) == 1).all()
        return y.argmax(axis=1) if one_hot else None
    y = y.reshape(len(y))
    return y.astype(np.int64) if (y == np.round(y)).all() else None
