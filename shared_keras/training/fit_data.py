"""The data of `training.fit`: arrays, single or nested, as Keras takes them."""

import math
import numbers
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

if TYPE_CHECKING:
    import pandas as pd

Arrays = Any  # an array, or a list, tuple or dict of equally long arrays


def training_data(
    x: Any,
    y: Any,
    sample_weight: Any,
    class_weight: Mapping[int, float] | None,
    validation_split: float,
    validation_data: Any,
) -> tuple[tuple[Arrays, ...], tuple[Arrays, ...] | None]:
    """Return training and validation data, each `(x,)`, `(x, y)` or `(x, y, sample_weight)`.

    The arguments are those of `training.fit`. Floats are cast to `keras.config.floatx()`. As in
    Keras, `class_weight` weighs the training samples only, those that are left after a split.

    Raises:
        ValueError: if an argument is invalid.
    """
    if class_weight is not None and sample_weight is not None:
        raise ValueError("class_weight and sample_weight cannot be given together.")
    data = _pack(("x", "y", "sample_weight"), (x, y, sample_weight))
    if length(data) < 1:
        raise ValueError("len(x) must be at least 1. Received: 0")
    if validation_data is None:
        data, validation_data = _split(data, validation_split)
    else:
        validation_data = _validation(validation_data)
    if class_weight is not None:
        data = (data[0], *_weighted(data[1] if len(data) > 1 else None, class_weight))
    return data, validation_data


def _validation(data: Any) -> tuple[Arrays, ...]:
    """Return validation data as arrays: `x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)`."""
    if not isinstance(data, (tuple, list)):
        data = (data,)
        names: tuple[str, ...] = ("validation_data",)
    elif 1 <= len(data) <= 3:
        names = tuple(f"validation_data[{i}]" for i in range(len(data)))
    else:
        raise ValueError(
            "validation_data must be x, (x,), (x, y) or (x, y, sample_weight). "
            f"Received: {_short(data)}"
        )
    data = _pack(names, data)
    if length(data) < 1:
        raise ValueError(f"len({names[0]}) must be at least 1. Received: 0")
    return data


def _split(
    data: Any, validation_split: Any
) -> tuple[tuple[Arrays, ...], tuple[Arrays, ...] | None]:
    """Return the data for training and, from their end, those for validation, if any."""
    if validation_split is None or validation_split is False:
        return data, None
    number = isinstance(validation_split, numbers.Real)
    if not number or not validation_split >= 0:
        raise ValueError(
            f"validation_split must be a number of at least 0. Received: {_short(validation_split)}"
        )
    if validation_split == 0:
        return data, None
    n = length(data)
    first = math.floor(n * (1 - min(validation_split, 1)))
    if not 0 < first < n:
        raise ValueError(
            f"validation_split must leave samples on both sides of the split; there are {n}. "
            f"Received: {validation_split}"
        )
    return select(data, slice(0, first)), select(data, slice(first, n))


def length(data: Arrays) -> int:
    """Return the number of samples."""
    return len(keras.tree.flatten(data)[0])


def select(data: Arrays, indices: slice | np.ndarray) -> Arrays:
    """Return the samples at some indices."""
    return keras.tree.map_structure(lambda array: array[indices], data)


def arrays(name: str, values: Any) -> Arrays:
    """Return values as NumPy arrays, floats cast to `keras.config.floatx()`.

    Lists of numbers become arrays. As in Keras, lists of arrays stay lists, a pandas series
    becomes a column, and a frame of columns that have no dtype in common becomes floats.

    Raises:
        ValueError: if they are not arrays of numbers.
    """
    if isinstance(values, Mapping):
        return {key: arrays(f"{name}[{key!r}]", value) for key, value in values.items()}
    if isinstance(values, (list, tuple)) and any(map(_is_nested, values)):
        kind = list if isinstance(values, list) else tuple
        return kind(arrays(f"{name}[{i}]", value) for i, value in enumerate(values))
    if hasattr(values, "iloc") and np.asarray(values).dtype.kind not in "biufc":
        return _of_mixed_frame(name, values if values.ndim == 2 else values.to_frame())
    if not isinstance(values, (list, tuple)) and not hasattr(values, "__array__"):
        raise ValueError(
            f"{name} must be an array, a list or dict of arrays, or a dataset. "
            f"Received: {_short(values)}"
        )
    try:
        if hasattr(values, "detach"):  # a PyTorch tensor, perhaps with a gradient or on a GPU
            values = values.detach().cpu()
        array = np.asarray(values)
        dtype = keras.backend.standardize_dtype(array.dtype)
    except (TypeError, ValueError):
        array, dtype = None, "string"
    if array is None or array.ndim == 0 or dtype == "string":
        raise ValueError(f"{name} must be an array of numbers. Received: {_short(values)}")
    if "float" in dtype:
        array = array.astype(keras.config.floatx(), copy=False)
    return array[:, None] if hasattr(values, "to_frame") and array.ndim == 1 else array


def _of_mixed_frame(name: str, frame: "pd.DataFrame") -> np.ndarray:
    """Return a pandas frame whose columns have no dtype in common, as floats (n, columns)."""
    array = np.empty(frame.shape, keras.config.floatx())
    for i, label in enumerate(frame.columns):
        column = frame.iloc[:, i]
        values = np.asarray(column)
        wrong = []
        if values.dtype == object:  # anything, perhaps numbers and what is missing
            missing = np.asarray(column.isna())
            values = np.where(missing, np.nan, values)
            wrong = [value for value in values if not isinstance(value, (numbers.Real, np.bool_))]
        elif values.dtype.kind not in "biuf":
            wrong = column
        for value in wrong:
            which = f"its column {label!r}" if len(frame.columns) > 1 else "it"
            raise ValueError(
                f"{name} must be an array of numbers, but {which} has the dtype {column.dtype}. "
                f"Received: {_short(value)}"
            )
        array[:, i] = values
    return array


def _is_nested(value: Any) -> bool:
    """Return whether a list that holds this value is a list of arrays, not of numbers."""
    if isinstance(value, (list, tuple)):
        return any(map(_is_nested, value))
    return np.ndim(value) > 0 if hasattr(value, "__array__") else isinstance(value, Mapping)


def _pack(names: Any, parts: Any) -> tuple[Arrays, ...]:
    """Return the given parts as arrays, after a check that they are equally long."""
    if len(parts) > 2 and parts[1] is None and parts[2] is not None:
        raise ValueError(f"{names[2]} needs {names[1]}, which is None.")
    packed = [arrays(name, part) for name, part in zip(names, parts) if part is not None]
    if len(packed) == 3 and keras.tree.is_nested(packed[1]) and not keras.tree.is_nested(packed[2]):
        packed[2] = keras.tree.map_structure(lambda _: packed[2], packed[1])  # one for all outputs
    lengths = [len(array) for part in packed for array in keras.tree.flatten(part)]
    if len(set(lengths)) != 1:
        given = " and ".join(names[: len(packed)])
        received = ", ".join(map(str, lengths))
        raise ValueError(f"{given} must be equally long. Received: {received}")
    return tuple(packed)


def _weighted(y: Any, class_weight: Any) -> tuple[Arrays, np.ndarray]:
    """Return targets, and a weight for each sample, float (n,); 1 for classes without a weight."""
    if y is None:
        raise ValueError("class_weight needs y, which is None.")
    if keras.tree.is_nested(y):
        raise ValueError("class_weight works for models with one output only.")
    if not isinstance(class_weight, Mapping):
        raise ValueError(f"class_weight must be a dict. Received: {_short(class_weight)}")
    of_each = y
    if y.ndim > 1:
        of_each = y.argmax(-1) if y.shape[-1] != 1 else y[..., 0]
    if of_each.ndim > 1:
        raise ValueError("class_weight needs one class per sample; otherwise use sample_weight.")
    classes, places = np.unique(np.round(of_each).astype(np.int64), return_inverse=True)
    weights = np.array([class_weight.get(int(c), 1.0) for c in classes], keras.config.floatx())
    return y, weights[places]


def _short(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) < 100 else f"{text[:80]}… ({type(value).__name__})"
