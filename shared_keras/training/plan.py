"""How to train: the plan that `fit` makes and each way of training follows."""

import math
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np

from shared_keras.training.fit_data import Arrays

VALIDATION_BATCH = 1000
MOST_NUMBERS = 16_000_000  # in the inputs of such a batch: 64 MB once they are float32


def validation_batch(x: Arrays, batch_size: int) -> int:
    """Return how many samples to validate at once where any number gives the same result.

    1,000, or as many as hold 16 million numbers, so that large images do not fill the memory; but
    not fewer than `batch_size`, which is known to fit.

    Args:
        x: Inputs, (n, ...), one array or several.
        batch_size: Samples per optimizer step.
    """
    numbers = sum(math.prod(part.shape[1:]) for part in keras.tree.flatten(x))
    return min(VALIDATION_BATCH, max(batch_size, MOST_NUMBERS // max(numbers, 1)))


class Plan(NamedTuple):
    """How to train: what `jax_epoch.fit` and `stock_fit.fit` take."""

    batch_size: int
    epochs: int
    initial_epoch: int
    validation_data: tuple[Arrays, ...] | None  # (x, y) or (x, y, sample_weight)
    validation_batch_size: int
    callbacks: list[keras.callbacks.Callback]
    order: Callable[[int], np.ndarray]  # from an epoch to indices of samples, int32 (n,)
    seed: int
    verbose: int | str
    by_batch: bool  # whether a callback needs to see each batch
