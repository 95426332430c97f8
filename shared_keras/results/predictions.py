"""What a run predicted of each test image, so that a page can show which ones it gets wrong."""

import io
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from shared_keras import files
from shared_keras.results import names
from shared_keras.results.scores import entropy


class Predictions(NamedTuple):
    """Predictions of n images.

    Attributes:
        predicted: The class of each, int (n,).
        probability: What it was given, float (n,).
        entropy: Of all probabilities of an image, in nats, float (n,).
    """

    predicted: np.ndarray
    probability: np.ndarray
    entropy: np.ndarray


def of(probabilities: np.ndarray) -> Predictions:
    """Return the predictions that probabilities, float (n, classes), make."""
    return Predictions(probabilities.argmax(1), probabilities.max(1), entropy(probabilities))


def write(folder: Path, made: Predictions) -> None:
    """Write the file of a run."""
    small = [made.predicted.astype(np.uint8), *(part.astype(np.float32) for part in made[1:])]
    packed = io.BytesIO()
    arrays: dict[str, Any] = dict(zip(Predictions._fields, small))
    np.savez_compressed(packed, **arrays)
    files.write_bytes(folder / names.PREDICTIONS, packed.getvalue())


def find(folder: Path, n: int) -> Predictions | None:
    """Read the file of a run, if it has a whole one, of n images; one of version 0.5 has none."""
    try:
        with np.load(folder / names.PREDICTIONS) as packed:
            found = Predictions(*(packed[name] for name in Predictions._fields))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return found if all(part.shape == (n,) for part in found) else None
