"""Inputs and targets from a file of arrays, as `numpy.savez` writes it."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from port_audit.errors import UnusableInput

EXPECTED = "expected arrays x and y; several inputs as x_NAME, several targets as y_NAME"


def read_npz(path: Path) -> tuple[Any, Any]:
    """Read inputs and targets.

    Returns:
        Inputs: the array `x`, or a dict by NAME of all arrays `x_NAME`. Targets: the array `y`, or
        a tuple of all arrays `y_NAME`, in the order of the file.

    Raises:
        UnusableInput: if it is no such file.
    """
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            raise UnusableInput(f"{path}: {EXPECTED}, got a single array")
        with loaded as file:
            arrays = dict(file)
    except UnusableInput:
        raise
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        sentence = getattr(error, "strerror", None) or str(error)
        raise UnusableInput(
            f"{path}: expected a .npz file of plain arrays, but {sentence}"
        ) from None
    odd = [name for name in arrays if name not in ("x", "y") and name[:2] not in ("x_", "y_")]
    inputs, targets = (_of(letter, arrays) for letter in "xy")
    if odd or inputs is None or targets is None:
        raise UnusableInput(f"{path}: {EXPECTED}, got {', '.join(arrays) or 'none'}")
    lengths = {name: len(array) if array.ndim else 0 for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise UnusableInput(f"{path}: expected as many samples in each array, got {shown}")
    return inputs, targets if isinstance(targets, np.ndarray) else tuple(targets.values())


def _of(letter: str, arrays: dict[str, np.ndarray]) -> np.ndarray | dict[str, np.ndarray] | None:
    """Return the array of a letter, or all with names behind it; None if there are both or none."""
    named = {name[2:]: array for name, array in arrays.items() if name.startswith(f"{letter}_")}
    if (letter in arrays) == bool(named):
        return None
    return named or arrays[letter]
