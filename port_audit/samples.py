"""Inputs and targets: arrays, or several of them, and what each side takes of them."""

from typing import Any

import numpy as np
import torch
from torch import nn


def arrays(x: Any) -> Any:
    """Return data as arrays."""
    if isinstance(x, dict):
        return {name: arrays(each) for name, each in x.items()}
    if isinstance(x, list | tuple):
        return tuple(arrays(each) for each in x)
    return x.detach().cpu().numpy() if isinstance(x, torch.Tensor) else np.asarray(x)


def take(x: Any, rows: slice | np.ndarray) -> Any:
    """Return some samples of an array, or of each of several arrays."""
    if isinstance(x, dict):
        return {name: take(each, rows) for name, each in x.items()}
    if isinstance(x, list | tuple):
        return type(x)(take(each, rows) for each in x)
    return x[rows]


def mixed(*several: Any) -> list[Any]:
    """Return data with the same samples in another order.

    An audit of a large model looks at the first few: of sorted data, they would be alike.
    """
    order = np.random.default_rng(0).permutation(count(several[0]))
    return [take(each, order) for each in several]


def count(x: Any) -> int:
    """Return the number of samples."""
    while isinstance(x, dict | list | tuple):
        x = next(iter(x.values())) if isinstance(x, dict) else x[0]
    return len(x)


def some(values: np.ndarray, most: int) -> np.ndarray:
    """Return the values of an array in a row, at random places if there are more than some."""
    if values.size <= most:
        return values.ravel()
    return values.ravel()[np.unique(np.random.default_rng(0).integers(0, values.size, most))]


def tensors(x: Any) -> Any:
    """Return arrays as tensors: bytes and floats as float32, whole numbers as int64.

    A tensor of another type keeps it.
    """
    if isinstance(x, dict):
        return {name: tensors(each) for name, each in x.items()}
    if isinstance(x, list | tuple):
        return type(x)(tensors(each) for each in x)
    if isinstance(x, torch.Tensor):
        x = x.detach().cpu()
        return x.float() if x.dtype == torch.float64 else x
    x = np.asarray(x)
    whole = np.issubdtype(x.dtype, np.integer) and x.dtype != np.uint8
    return torch.tensor(x, dtype=torch.int64 if whole else torch.float32)


def labels(y: Any, outputs: Any, shaped: bool = False) -> Any:
    """Return targets as PyTorch's losses take them: classes as int64, others as float32.

    Args:
        y: Targets.
        outputs: What the model puts out for them, if that is one tensor.
        shaped: Whether numbers get the shape of the outputs.
    """
    if isinstance(y, dict | list | tuple):
        parts = y.items() if isinstance(y, dict) else enumerate(y)
        made = {key: labels(each, None) for key, each in parts}
        return made if isinstance(y, dict) else type(y)(made.values())
    y = np.asarray(y)
    whole = np.issubdtype(y.dtype, np.integer) or y.dtype == bool
    one = isinstance(outputs, torch.Tensor) and tuple(outputs.shape[1:]) in ((), (1,))
    if whole and one:
        y, whole = y.reshape(outputs.shape), False  # of one output, yes or no
    elif shaped and not whole and isinstance(outputs, torch.Tensor) and y.size == outputs.numel():
        y = y.reshape(outputs.shape)
    return torch.tensor(y, dtype=torch.int64 if whole else torch.float32)


def call(module: nn.Module, inputs: Any) -> Any:
    """Call a module on copies of one input, or of several: it may change them in place."""
    inputs = _copied(inputs)
    if isinstance(inputs, dict):
        return module(**inputs)
    if isinstance(inputs, list | tuple):
        return module(*inputs)
    return module(inputs)


def _copied(x: Any) -> Any:
    if isinstance(x, dict):
        return {name: _copied(each) for name, each in x.items()}
    if isinstance(x, list | tuple):
        return type(x)(_copied(each) for each in x)
    return x.clone() if isinstance(x, torch.Tensor) else x
