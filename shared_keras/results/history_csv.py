"""Histories, the values of each epoch by metric, as CSV."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

from shared_keras import files
from shared_keras.errors import BadInput

History = dict[str, list[float]]


def write(path: Path, history: Mapping[str, Sequence[float]], first: int = 1) -> None:
    """Write a history: a row per epoch, numbered from `first`.

    Where one metric has fewer values than another, the last cells stay empty.
    """
    rows = [dict(zip(history, values)) for values in itertools.zip_longest(*history.values())]
    files.write_csv(path, [{"epoch": first + i} | row for i, row in enumerate(rows)])


def read(path: Path) -> History:
    """Read what `write` wrote, without the epoch numbers; "#" begins a comment.

    Raises:
        BadInput: naming the file, if it is missing or not a history.
    """
    import pandas as pd

    try:
        history: History = pd.read_csv(path, comment="#").drop(columns="epoch").to_dict("list")
        return history
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(f"{path}: cannot be read as a history ({error})") from None


def column(path: Path, metric: str) -> list[float]:
    """Return the values of a metric, or none if the history or the metric cannot be read."""
    try:
        return [float(value) for value in read(path)[metric]]
    except (BadInput, KeyError, TypeError, ValueError):
        return []
