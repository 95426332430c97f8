"""How to train: what the file for each way of training is given."""

from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np

from shared_keras.training.fit_data import Arrays

VALIDATION_BATCH = 1000


class Plan(NamedTuple):
    """How to train: what a backend's own `fit(model, data, plan)` takes."""

    batch_size: int
    epochs: int
    initial_epoch: int
    validation_data: tuple[Arrays, ...] | None  # (x, y), perhaps with weights
    validation_batch_size: int
    callbacks: list[keras.callbacks.Callback]
    order: Callable[[int], np.ndarray]  # of an epoch: which samples, int32 (n,)
    seed: int
    verbose: int | str
