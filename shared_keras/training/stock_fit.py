"""Training with `keras.Model.fit`: on TensorFlow and PyTorch, and what `why_stock` names.

On TensorFlow, XLA and many steps per execution are about twice as fast as the defaults
(benchmarks/epoch.py). The batches come from a `PyDataset`, so that their order is the same on
every backend.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from shared_keras.training.fit_data import Arrays, length, select
from shared_keras.training.model_kinds import convolves_on_cpu, layers
from shared_keras.training.plan import Plan

STEPS_PER_EXECUTION = 125


class _Batches(keras.utils.PyDataset):
    """The batches of an epoch, in the order that `_Order` sets."""

    def __init__(self, data: Any, batch_size: int):
        super().__init__()
        self.data, self.batch_size = _without_lists(data), batch_size
        self.indices = np.arange(length(data))

    def __len__(self) -> int:
        return -(-len(self.indices) // self.batch_size)

    def __getitem__(self, step: int) -> Any:
        start = step * self.batch_size
        return select(self.data, self.indices[start : start + self.batch_size])


def _without_lists(data: Arrays) -> Arrays:
    """Return lists as tuples, because TensorFlow makes one tensor of a list."""
    if isinstance(data, dict):
        return {key: _without_lists(value) for key, value in data.items()}
    return tuple(map(_without_lists, data)) if isinstance(data, (list, tuple)) else data


class _Order(keras.callbacks.Callback):
    """Derives everything random in an epoch from the seed and the epoch alone."""

    def __init__(self, batches: Any, order: Callable[[int], np.ndarray], seed: Any):
        super().__init__()
        self.batches, self.order, self.seed = batches, order, seed

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.batches.indices = self.order(epoch)
        if keras.backend.backend() == "torch":  # its dropout has no seed of its own
            import torch

            torch.manual_seed(int(np.random.SeedSequence([self.seed, epoch]).generate_state(1)[0]))


def fit(model: keras.Model, data: tuple[Arrays, ...], plan: Plan) -> keras.callbacks.History:
    """Train as `shared_keras.training.fit` describes."""
    if keras.backend.backend() == "tensorflow" and not model.run_eagerly:
        supported = all(layer.supports_jit for layer in layers(model))
        model.jit_compile = supported and not convolves_on_cpu(model)
        model.steps_per_execution = 1 if plan.by_batch else STEPS_PER_EXECUTION
    batches = _Batches(data, plan.batch_size)
    return model.fit(
        batches,
        shuffle=False,  # otherwise Keras would shuffle the batches again
        epochs=plan.epochs,
        initial_epoch=plan.initial_epoch,
        validation_data=plan.validation_data,
        validation_batch_size=plan.validation_batch_size,
        callbacks=[_Order(batches, plan.order, plan.seed), *plan.callbacks],
        verbose=plan.verbose,
    )
