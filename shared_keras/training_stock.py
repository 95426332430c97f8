"""Training on TensorFlow and PyTorch: `keras.Model.fit`, set as measured best.

On TensorFlow, XLA and many steps per execution are about twice as fast as the
defaults (benchmarks/epoch.py). The batches come from a `PyDataset`, so that their
order is the one that every backend uses.
"""

import keras
import numpy as np

from shared_keras.training import Plan, convolves_on_cpu

STEPS_PER_EXECUTION = 125


class _Batches(keras.utils.PyDataset):
    """The batches of an epoch, in the order that `_Order` sets."""

    def __init__(self, x, y, batch_size):
        super().__init__()
        self.x, self.y, self.batch_size = x, y, batch_size
        self.indices = np.arange(len(x))

    def __len__(self):
        return -(-len(self.x) // self.batch_size)

    def __getitem__(self, step):
        start = step * self.batch_size
        batch = self.indices[start : start + self.batch_size]
        return self.x[batch], self.y[batch]


class _Order(keras.callbacks.Callback):
    """Sets all that is random in an epoch from the seed and the epoch alone."""

    def __init__(self, batches, order, seed):
        super().__init__()
        self.batches, self.order, self.seed = batches, order, seed

    def on_epoch_begin(self, epoch, logs=None):
        self.batches.indices = self.order(epoch)
        if keras.backend.backend() == "torch":  # whose dropout has no seed of its own
            import torch

            torch.manual_seed(int(np.random.SeedSequence([self.seed, epoch]).generate_state(1)[0]))


def fit(model: keras.Model, x: np.ndarray, y: np.ndarray, plan: Plan) -> keras.callbacks.History:
    """Train as `shared_keras.training.fit` describes."""
    if keras.backend.backend() == "tensorflow":
        model.jit_compile = not convolves_on_cpu(model)
        model.steps_per_execution = STEPS_PER_EXECUTION
    batches = _Batches(x, y, plan.batch_size)
    return model.fit(
        batches,
        shuffle=False,  # or Keras would shuffle the batches once more
        epochs=plan.epochs,
        initial_epoch=plan.initial_epoch,
        validation_data=plan.validation_data,
        validation_batch_size=plan.validation_batch_size,
        callbacks=[_Order(batches, plan.order, plan.seed), *plan.callbacks],
        verbose=plan.verbose,
    )
