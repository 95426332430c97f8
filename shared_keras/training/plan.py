"""How to train: the plan that `fit` makes and each way of training follows."""

from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np

from shared_keras.training.fit_data import Arrays

VALIDATION_BATCH = 1000


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
